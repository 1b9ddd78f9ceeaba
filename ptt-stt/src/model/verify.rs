//! The check before a model is loaded: its structure, vocabulary and weights, then its SHA-256 against the record beside it
//! or the catalogue. A file that was found right and has not changed since is not read again.

use std::fs::{self, File};
use std::io::Seek;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::catalog;
use super::error::ModelError;
use super::file;
use super::folder;
use super::part;
use super::record::{Origin, Record, Stamp};
use super::structure::{self, Structure, Unsound};
use super::weights;

/// A model whose bytes are the right ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Why this hash is trusted.
    pub origin: Origin,
    /// Whether an earlier check of the unchanged file was relied on.
    pub cached: bool,
}

/// Number of the rules in [`weights`] and [`structure`]: a file that earlier rules found sound is read again.
const RULES: u32 = 1;

/// A model file that is open, and whose bytes were found right. Engines read this descriptor and not the path again, under
/// which another file may lie by then.
#[derive(Debug)]
pub struct CheckedModel {
    file: File,
    stamp: Stamp,
    verified: Verified,
}

impl CheckedModel {
    /// Opens a file and checks it as [`check_before_load`] does.
    ///
    /// # Errors
    /// As [`check_before_load`].
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        check(path, true)
    }

    /// What is known of it.
    #[must_use]
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Where it lay when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.verified.path
    }

    /// The open file, at its beginning.
    ///
    /// # Errors
    /// When it cannot be rewound.
    pub fn rewound(&self) -> Result<&File, ModelError> {
        (&self.file).rewind().map_err(ModelError::io("read", self.path()))?;
        Ok(&self.file)
    }

    /// A path that leads to the open file whatever happens to its own: for whisper.cpp, which takes only paths.
    #[must_use]
    pub fn descriptor_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Its dimensions and the storage of its weights.
    ///
    /// # Errors
    /// As [`check_before_load`].
    pub fn structure(&self) -> Result<Structure, ModelError> {
        structure::check(self.rewound()?).map_err(|unsound| at(self.path(), unsound))
    }

    /// Fails when whisper.cpp cannot run it, though it is sound: it would end the process.
    ///
    /// # Errors
    /// [`ModelError::OtherEngine`].
    pub fn for_whisper_cpp(&self) -> Result<(), ModelError> {
        let structure = self.structure()?;
        if structure.has_whole_rows() {
            return Ok(());
        }
        let width = structure.dims.audio_state;
        let what = format!("its rows of {width} weights are no whole blocks");
        Err(ModelError::OtherEngine { path: self.path().to_owned(), what })
    }

    /// Fails when the file was written to since it was checked. To be asked after it was read.
    ///
    /// # Errors
    /// [`ModelError::Busy`].
    pub fn unchanged(&self) -> Result<(), ModelError> {
        if stamp(&self.file, self.path())?.has_same_content(&self.stamp) {
            Ok(())
        } else {
            Err(ModelError::Busy { path: self.path().to_owned() })
        }
    }
}

/// Checks a file before the engine sees it. Takes microseconds when it has not changed since the last check, else as long
/// as reading it.
///
/// # Errors
/// Says whether it is missing, cut short, changed or something else, and what to do.
pub fn check_before_load(path: &Path) -> Result<Verified, ModelError> {
    check(path, true).map(|model| model.verified)
}

/// As [`check_before_load`], but always reads the whole file.
///
/// # Errors
/// As [`check_before_load`].
pub fn verify(path: &Path) -> Result<Verified, ModelError> {
    check(path, false).map(|model| model.verified)
}

fn check(path: &Path, rely_on_earlier: bool) -> Result<CheckedModel, ModelError> {
    let mut file = open(path)?;
    let stamp = stamp(&file, path)?;
    let record = Record::read(path)?;
    if let Some(record) = &record
        && rely_on_earlier
        && record.checked == Some(stamp)
        && record.rules == RULES
    {
        let verified = verified(path, record, true);
        return Ok(CheckedModel { file, stamp, verified });
    }
    weights::check(&file).map_err(|unsound| at(path, unsound))?;
    file.rewind().map_err(ModelError::io("read", path))?;
    let found = part::sha256(&mut file).map_err(ModelError::io("read", path))?;
    if self::stamp(&file, path)? != stamp {
        return Err(ModelError::Busy { path: path.to_owned() });
    }
    let mut record = match record.or_else(|| pinned(path, stamp.size())) {
        Some(record) if record.sha256 != found => {
            return Err(ModelError::Damaged { path: path.to_owned(), expected: record.sha256, found });
        }
        Some(record) => record,
        None => {
            Record::new(folder::name_of(path).unwrap_or_default(), stamp.size(), &found, Origin::FirstSeen)
        }
    };
    (record.checked, record.rules) = (Some(stamp), RULES);
    // A folder that is not ours to write costs reading the file again next time, nothing else. Where another model was moved
    // to meanwhile, its own record lies now.
    if fs::metadata(path).is_ok_and(|now| Stamp::from(&now) == stamp)
        && let Err(error) = record.write(path)
    {
        tracing::debug!(%error, "the check of the model is not remembered");
    }
    Ok(CheckedModel { file, stamp, verified: verified(path, &record, false) })
}

fn open(path: &Path) -> Result<File, ModelError> {
    let Some(file) = file::open_if_there(path)? else {
        let name = folder::name_of(path).unwrap_or("NAME").to_owned();
        return Err(ModelError::Missing { name, path: path.to_owned() });
    };
    let meta = file.metadata().map_err(ModelError::io("read", path))?;
    if meta.mode() & 0o002 != 0 {
        return Err(ModelError::Exposed { path: path.to_owned() });
    }
    Ok(file)
}

fn stamp(file: &File, path: &Path) -> Result<Stamp, ModelError> {
    file.metadata().map(|meta| Stamp::from(&meta)).map_err(ModelError::io("read", path))
}

/// The published hash, for a file that bears a published name and has the published size. Another size under that name is
/// another model, for instance one that was tuned.
fn pinned(path: &Path, size: u64) -> Option<Record> {
    let published = catalog::published(folder::name_of(path)?).filter(|p| p.size == size)?;
    Some(Record::new(published.name, size, published.sha256, Origin::Published))
}

fn verified(path: &Path, record: &Record, cached: bool) -> Verified {
    Verified {
        path: path.to_owned(),
        size: record.size,
        sha256: record.sha256.clone(),
        origin: record.origin,
        cached,
    }
}

fn at(path: &Path, unsound: Unsound) -> ModelError {
    let path = path.to_owned();
    match unsound {
        Unsound::Other { found, advice } => ModelError::NotAModel { path, found, advice },
        Unsound::Vocabulary => ModelError::OtherVocabulary { path },
        Unsound::CutShort { expected, found } => ModelError::Truncated { path, expected, found },
        Unsound::Malformed { at, what } => ModelError::Malformed { path, at, what },
        Unsound::Io(source) => ModelError::Io { action: "read", path, source },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{FileExt, PermissionsExt};

    use super::*;
    use crate::model::quantize::Quantization;
    use crate::model::synthetic;

    #[test]
    fn a_file_is_read_once_as_long_as_it_does_not_change() {
        let (_folder, path) = model("ggml-mine.bin");
        let first = check_before_load(&path).unwrap();
        assert_eq!((first.origin, first.cached), (Origin::FirstSeen, false));
        let second = check_before_load(&path).unwrap();
        assert_eq!((&second.sha256, second.cached), (&first.sha256, true));
        assert!(!verify(&path).unwrap().cached);
    }

    #[test]
    fn one_flipped_bit_is_found() {
        let (_folder, path) = model("ggml-mine.bin");
        check_before_load(&path).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 2_000_000).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], 2_000_000).unwrap();
        let error = check_before_load(&path).unwrap_err();
        assert!(matches!(error, ModelError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("fetch or import the model again"), "{error}");
    }

    #[test]
    fn a_published_name_and_size_need_the_published_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ggml-tiny.en.bin");
        let record = pinned(&path, 77_704_715).unwrap();
        assert_eq!((record.origin, &record.sha256[..8]), (Origin::Published, "921e4cf8"));
        assert_eq!(pinned(&path, 77_704_714), None);
        assert_eq!(pinned(Path::new("tiny.en.bin"), 77_704_715), None);
    }

    #[test]
    fn bad_files_are_named() {
        let (folder, path) = model("ggml-mine.bin");
        let sound = fs::read(&path).unwrap();
        let missing = folder.path().join("ggml-tiny.en.bin");
        assert!(
            matches!(check_before_load(&missing), Err(ModelError::Missing { name, .. }) if name == "tiny.en")
        );
        fs::write(&path, &sound[..sound.len() - 7]).unwrap();
        let error = check_before_load(&path).unwrap_err();
        let size = sound.len() as u64;
        assert!(
            matches!(error, ModelError::Truncated { expected, found, .. } if (expected, found) == (size, size - 7)),
            "{error}"
        );
        fs::write(&path, "<!DOCTYPE html><title>Log in</title>").unwrap();
        assert!(matches!(check_before_load(&path), Err(ModelError::NotAModel { found: "a web page", .. })));
        assert!(matches!(check_before_load(folder.path()), Err(ModelError::NotAFile { .. })));
        fs::write(&path, &sound).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(check_before_load(&path), Err(ModelError::Exposed { .. })));
    }

    #[test]
    fn what_earlier_rules_found_sound_is_read_again() {
        let (_folder, path) = model("ggml-mine.bin");
        check_before_load(&path).unwrap();
        let mut record = Record::read(&path).unwrap().unwrap();
        record.rules = RULES - 1;
        record.write(&path).unwrap();
        assert!(!check_before_load(&path).unwrap().cached);
        assert!(check_before_load(&path).unwrap().cached);
    }

    #[test]
    fn another_vocabulary_is_refused_whatever_its_hash() {
        let (_folder, path) = model("ggml-mine.bin");
        let mut bytes = fs::read(&path).unwrap();
        // The text of the token 220, which is a space in Whisper's vocabularies.
        let at = 48 + 8 + 80 * crate::model::mel::BINS * 4 + 4 + 10 * 5 + 90 * 6 + 120 * 7;
        assert_eq!(bytes[at..at + 7], *b"\x03\0\0\x00220");
        bytes[at + 6] = 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(check_before_load(&path), Err(ModelError::OtherVocabulary { .. })));
    }

    #[test]
    fn weights_of_nothing_are_refused() {
        let (_folder, path) = model("ggml-mine.bin");
        let mut bytes = fs::read(&path).unwrap();
        let end = bytes.len();
        // The last tensor: a bias.
        bytes[end - 4 * 64..].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let error = check_before_load(&path).unwrap_err();
        assert!(error.to_string().contains("not a finite number"), "{error}");
    }

    #[test]
    fn a_model_that_is_replaced_after_its_check_is_still_the_one_that_is_read() {
        let (folder, path) = model("ggml-mine.bin");
        let bytes = fs::read(&path).unwrap();
        let checked = CheckedModel::open(&path).unwrap();
        let other = folder.path().join("other");
        fs::write(&other, b"something else").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(fs::read(checked.descriptor_path()).unwrap(), bytes);
        assert_eq!(checked.structure().unwrap().size, bytes.len() as u64);
        checked.unchanged().unwrap();
    }

    #[test]
    fn a_model_that_is_written_to_after_its_check_is_noticed() {
        let (_folder, path) = model("ggml-mine.bin");
        let checked = CheckedModel::open(&path).unwrap();
        checked.unchanged().unwrap();
        let size = checked.verified().size;
        File::options().write(true).open(&path).unwrap().write_all_at(b"x", size - 1).unwrap();
        assert!(matches!(checked.unchanged(), Err(ModelError::Busy { .. })));
    }

    #[test]
    fn a_spoilt_record_is_not_ignored() {
        let (_folder, path) = model("ggml-mine.bin");
        check_before_load(&path).unwrap();
        fs::write(path.with_extension("json"), "{").unwrap();
        assert!(matches!(check_before_load(&path), Err(ModelError::BadRecord { .. })));
    }

    #[test]
    fn foreign_folders_stay_clean() {
        let (folder, path) = model("elsewhere.bin");
        assert!(!check_before_load(&path).unwrap().cached);
        assert!(!check_before_load(&path).unwrap().cached);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    fn model(name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, synthetic::ggml_file(Quantization::Q8_0).0).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        (folder, path)
    }
}
