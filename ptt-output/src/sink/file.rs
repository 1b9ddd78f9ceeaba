//! A file: each text is in it whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ptt_messages::TakeId;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Sink, patient};
use crate::config::WriteMode;
use crate::error::OutputError;

/// What others may do with a file made here: nothing.
const PRIVATE: u32 = 0o600;

/// Writes to a file, a FIFO or a device. The path is opened for each text, so that a rotated or removed file is simply
/// made again.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    mode: WriteMode,
    sync: bool,
    limit: Duration,
}

impl FileSink {
    /// `path` may begin with `~`. With `sync` a text is on the disk when it counts as delivered. `limit` is for what is
    /// not a plain file.
    ///
    /// # Errors
    /// The path is empty, needs a home that is not there, is a directory, or lies in none.
    pub fn open(path: &str, mode: WriteMode, sync: bool, limit: Duration) -> Result<Self, OutputError> {
        let path = expand(path, ptt_dirs::home().as_deref())?;
        if path.is_dir() {
            return Err(OutputError::from_io(path.to_string_lossy(), io::ErrorKind::IsADirectory.into()));
        }
        let sink = Self { path, mode, sync, limit };
        if sink.directory().is_dir() { Ok(sink) } else { Err(sink.no_directory()) }
    }

    /// The file behind every link, for what replaces it and for whether it is a plain one.
    fn target(&self) -> PathBuf {
        fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone())
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => Path::new("/"),
        }
    }

    fn no_directory(&self) -> OutputError {
        OutputError::NoDirectory { directory: self.directory().to_owned() }
    }

    fn append(&self, path: &Path, text: &str) -> io::Result<()> {
        // Without O_NONBLOCK opening a FIFO that nobody reads would never return.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(PRIVATE)
            .custom_flags(flags(OFlags::NONBLOCK | OFlags::NOCTTY))
            .open(path)?;
        let before = file.metadata()?;
        let written = self.write(&file, text);
        if written.is_err() && before.is_file() {
            // Half a text is worse than none: the next attempt would double it.
            let _ = file.set_len(before.len());
        }
        written
    }

    /// Writes beside the file and puts that in its place, so that a reader never finds half a text and a full disk
    /// leaves the old one.
    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let permissions = fs::metadata(path).map_or(PRIVATE, |old| old.permissions().mode());
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE)
            .custom_flags(flags(OFlags::NOFOLLOW))
            .open(&part)
            .and_then(|file| {
                self.write(&file, text)?;
                file.set_permissions(fs::Permissions::from_mode(permissions))
            })
            .and_then(|()| fs::rename(&part, path));
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written
    }

    fn write(&self, file: &File, text: &str) -> io::Result<()> {
        patient::write_all(file, text.as_bytes(), self.limit)?;
        if self.sync { file.sync_data() } else { Ok(()) }
    }
}

impl Sink for FileSink {
    fn name(&self) -> &'static str {
        "file"
    }

    fn deliver(&mut self, _: TakeId, text: &str) -> Result<(), OutputError> {
        let path = self.target();
        // A device or a FIFO cannot be replaced by a file; what is not there yet can.
        let replaceable = fs::metadata(&path).map_or(true, |file| file.is_file());
        let written = match self.mode {
            WriteMode::Overwrite if replaceable => self.replace(&path, text),
            WriteMode::Overwrite | WriteMode::Append => self.append(&path, text),
        };
        written.map_err(|error| {
            let target = self.path.display().to_string();
            if error.kind() == io::ErrorKind::NotFound {
                self.no_directory()
            } else if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) {
                // A FIFO that nobody reads.
                OutputError::Closed { target }
            } else {
                OutputError::from_write(target, self.limit, error)
            }
        })
    }
}

/// Flags for `custom_flags`, which takes them as the C library does.
fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

/// Replaces a leading `~` by the home directory.
fn expand(path: &str, home: Option<&Path>) -> Result<PathBuf, OutputError> {
    match path.strip_prefix('~') {
        _ if path.trim().is_empty() => Err(OutputError::NoPath),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Ok(home.ok_or(OutputError::NoHome)?.join(rest.trim_start_matches('/')))
        }
        Some(_) | None => Ok(PathBuf::from(path)),
    }
}

#[cfg(test)]
#[path = "file/tests.rs"]
mod tests;
