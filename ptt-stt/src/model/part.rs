//! A model file while it is being written: under another name, locked, hashed on the way, and moved into its place
//! in one step once it is complete and on the disk. A process that is killed leaves the old model or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use sha2::{Digest, Sha256};

use super::error::ModelError;
use super::file;

/// An unfinished file beside its target. Dropping it keeps what was written, for going on later.
#[derive(Debug)]
pub struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
    hash: Sha256,
    length: u64,
}

impl Part {
    /// Opens or creates the unfinished file for `target` and locks it. What an earlier process left is kept.
    ///
    /// # Errors
    /// [`ModelError::Busy`] when another process writes it.
    pub fn open(target: &Path) -> Result<Self, ModelError> {
        let path = part_path(target);
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(ModelError::io("create", folder))?;
        let file = lock(&path)?;
        let mut part = Self { file, path, target: target.to_owned(), hash: Sha256::new(), length: 0 };
        part.take_over().map_err(ModelError::io("read", &part.path))?;
        Ok(part)
    }

    /// Bytes that are there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Throws away what is there.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn restart(&mut self) -> Result<(), ModelError> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(ModelError::io("cut", &self.path))?;
        self.hash = Sha256::new();
        self.length = 0;
        Ok(())
    }

    /// The SHA-256 of what is there.
    pub fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Says early that the disk has no room for `size` bytes in all.
    ///
    /// # Errors
    /// [`ModelError::NoSpace`].
    pub fn reserve(&self, size: u64) -> Result<(), ModelError> {
        let needed = size.saturating_sub(self.length);
        let disk =
            rustix::fs::fstatvfs(&self.file).map_err(|e| ModelError::io("read", &self.path)(e.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed {
            Err(ModelError::NoSpace { path: self.target.clone(), needed, free })
        } else {
            Ok(())
        }
    }

    /// Writes it out to the disk and moves it into its place.
    ///
    /// # Errors
    /// When the disk or the folder does not take it.
    pub fn publish(self) -> Result<(), ModelError> {
        self.file.sync_all().map_err(ModelError::io("write", &self.path))?;
        move_into_place(&self.path, &self.target)
    }

    /// Removes the unfinished file.
    pub fn discard(self) {
        // A leftover is found and cut by the next one.
        let _ = fs::remove_file(&self.path);
    }

    fn take_over(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.length = hash_into(&mut self.file, &mut self.hash)?;
        Ok(())
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a small file in one step.
///
/// # Errors
/// When the disk does not take it.
pub fn write_whole(target: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let path = part_path(target);
    let write = || {
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).custom_flags(nonblocking).open(&path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(ModelError::io("write", &path))?;
    move_into_place(&path, target)
}

/// The SHA-256 of all that is left to read, as hexadecimal digits.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(file: &mut impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash_into(file, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// Where the unfinished file of `target` lies.
pub fn part_path(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    target.with_file_name(name)
}

fn lock(path: &Path) -> Result<File, ModelError> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            // A named pipe in its place is not waited for.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
            .map_err(ModelError::io("create", path))?;
        if lock_opened(&file, path)? {
            return Ok(file);
        }
    }
}

/// Locks a file that was opened as `path`. `false` when it is not that any more: between opening and locking, the owner
/// before us may have moved it into its place. It is the finished model then, and nothing may be written to it.
fn lock_opened(file: &File, path: &Path) -> Result<bool, ModelError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(ModelError::Busy { path: path.to_owned() }),
        Err(e) => return Err(ModelError::io("lock", path)(e.into())),
    }
    let ours = file.metadata().map_err(ModelError::io("read", path))?;
    file::regular(path, ours.file_type())?;
    Ok(fs::metadata(path).is_ok_and(|now| now.ino() == ours.ino() && now.dev() == ours.dev()))
}

fn move_into_place(from: &Path, to: &Path) -> Result<(), ModelError> {
    fs::rename(from, to).map_err(ModelError::io("create", to))?;
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(ModelError::io("write", folder))
}

fn hash_into(file: &mut impl Read, hash: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(n) => {
                hash.update(&buffer[..n]);
                length += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// As hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_visible_before_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/ggml-x.bin");
        let mut part = Part::open(&target).unwrap();
        part.write_all(b"abc").unwrap();
        drop(part);
        assert!(!target.exists());

        let mut part = Part::open(&target).unwrap();
        assert_eq!(part.length(), 3);
        part.write_all(b"def").unwrap();
        assert_eq!(part.sha256(), sha256(&mut &b"abcdef"[..]).unwrap());
        assert!(matches!(Part::open(&target), Err(ModelError::Busy { .. })));
        part.publish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"abcdef");
        assert!(!part_path(&target).exists());
    }

    #[test]
    fn a_file_that_became_the_model_before_it_was_locked_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("ggml-x.bin");
        let mut first = Part::open(&target).unwrap();
        first.write_all(b"the model").unwrap();
        let opened = OpenOptions::new().read(true).write(true).open(part_path(&target)).unwrap();
        assert!(matches!(lock_opened(&opened, &part_path(&target)), Err(ModelError::Busy { .. })));
        first.publish().unwrap();
        assert!(!lock_opened(&opened, &part_path(&target)).unwrap());
        // The next one begins a file of its own, also while the other still holds the model.
        let second = Part::open(&target).unwrap();
        assert_eq!(second.length(), 0);
        assert!(!lock_opened(&opened, &part_path(&target)).unwrap());
    }

    #[test]
    fn a_full_disk_is_told_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::open(&folder.path().join("ggml-x.bin")).unwrap();
        assert!(part.reserve(1_000).is_ok());
        let error = part.reserve(u64::MAX).unwrap_err();
        assert!(matches!(error, ModelError::NoSpace { .. }), "{error}");
    }

    #[test]
    fn hashes_are_the_known_ones() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&mut &b"abc"[..]).unwrap(), abc);
    }
}
