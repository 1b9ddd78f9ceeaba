//! The record beside a model, `ggml-NAME.json`: what its bytes must be, where they came from, and which file was last
//! found to have them.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use super::file;
use super::part::{self, Part};

/// Longer than any record by far.
const MAX_BYTES: u64 = 64 << 10;

/// Where a model's bytes came from, that is, why its hash is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Fetched, and equal to the published file.
    Published,
    /// Converted on this machine.
    Imported,
    /// Put there by hand: the hash is that of the first time it was checked.
    FirstSeen,
}

/// What is known of a model file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The model's name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Where it came from.
    pub origin: Origin,
    /// The file that was last found to have this hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Stamp>,
    /// By which rules; 0 for those before there were numbers.
    #[serde(default)]
    pub rules: u32,
}

/// What identifies the unchanged content of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_s: i64,
    modified_ns: i64,
    changed_s: i64,
    changed_ns: i64,
}

impl Stamp {
    /// The file's size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file was not written to between the two. It may have been renamed, replaced or unlinked, which changes the
    /// time of its last change of status only.
    pub fn has_same_content(&self, other: &Self) -> bool {
        let renamed = Self { changed_s: self.changed_s, changed_ns: self.changed_ns, ..*other };
        *self == renamed
    }
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            modified_s: meta.mtime(),
            modified_ns: meta.mtime_nsec(),
            changed_s: meta.ctime(),
            changed_ns: meta.ctime_nsec(),
        }
    }
}

impl Record {
    /// A record of a file that was not checked yet.
    pub fn new(name: &str, size: u64, sha256: &str, origin: Origin) -> Self {
        Self { name: name.to_owned(), size, sha256: sha256.to_owned(), origin, checked: None, rules: 0 }
    }

    /// The record beside `model`, if there is one.
    ///
    /// # Errors
    /// [`ModelError::BadRecord`] when it is there but not readable as one: ignoring it would drop the pin.
    pub fn read(model: &Path) -> Result<Option<Self>, ModelError> {
        let Some(path) = path_of(model) else { return Ok(None) };
        let Some(file) = file::open_if_there(&path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(ModelError::io("read", &path))?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| ModelError::BadRecord { path, what: e.to_string() })
    }

    /// Writes it beside `model`. Does nothing for a file that is not named `ggml-NAME.bin`: foreign folders stay clean.
    ///
    /// # Errors
    /// When the folder does not take it.
    pub fn write(&self, model: &Path) -> Result<(), ModelError> {
        let Some(path) = path_of(model) else { return Ok(()) };
        let mut json = serde_json::to_vec_pretty(self).expect("a record is plain data");
        json.push(b'\n');
        part::write_whole(&path, &json)
    }

    /// Moves a complete model into its place and writes its record. The old record goes first, so that no crash leaves
    /// a new model beside the record of an old one.
    ///
    /// # Errors
    /// When the folder does not take them.
    pub fn install(part: Part, model: &Path, name: &str, origin: Origin) -> Result<Self, ModelError> {
        let record = Self::new(name, part.length(), &part.sha256(), origin);
        Self::forget(model)?;
        part.publish()?;
        record.write(model)?;
        Ok(record)
    }

    fn forget(model: &Path) -> Result<(), ModelError> {
        let Some(path) = path_of(model) else { return Ok(()) };
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(ModelError::io("remove", &path)(e)),
            _ => Ok(()),
        }
    }
}

fn path_of(model: &Path) -> Option<PathBuf> {
    super::folder::name_of(model).map(|_| model.with_extension("json"))
}
