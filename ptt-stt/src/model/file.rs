//! Opens files that a user names: regular ones only, and without waiting for a writer.

use std::fs::{self, File, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::error::ModelError;

/// Opens a regular file for reading. A named pipe would block until somebody writes to it, and a
/// device may never end.
///
/// # Errors
/// [`ModelError::NotAFile`] for everything that is not a regular file; else the operating system's.
pub fn open(path: &Path) -> Result<File, ModelError> {
    let failed = |error: io::Error| ModelError::io("open", path)(error);
    // Before it is opened too: opening some devices has an effect.
    regular(path, fs::metadata(path).map_err(failed)?.file_type())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|e| failed(e.into()))?);
    regular(path, file.metadata().map_err(failed)?.file_type())?;
    Ok(file)
}

/// As [`open`]; `None` when there is no such file.
///
/// # Errors
/// As [`open`].
pub fn open_if_there(path: &Path) -> Result<Option<File>, ModelError> {
    match open(path) {
        Err(ModelError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Whether a file of this kind is read or written.
///
/// # Errors
/// [`ModelError::NotAFile`] says what it is.
pub fn regular(path: &Path, kind: FileType) -> Result<(), ModelError> {
    if kind.is_file() {
        return Ok(());
    }
    let found = match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(ModelError::NotAFile { path: path.to_owned(), found })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_none_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), b"x").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        assert!(open(&at("file")).is_ok());
        for (path, kind) in [
            (at("pipe"), "a named pipe"),
            (at("socket"), "a socket"),
            (folder.path().to_owned(), "a directory"),
            ("/dev/zero".into(), "a device"),
        ] {
            let error = open(&path).unwrap_err();
            assert!(matches!(error, ModelError::NotAFile { found, .. } if found == kind), "{error}");
        }
        assert!(matches!(open(&at("none")), Err(ModelError::Io { .. })));
        assert!(open_if_there(&at("none")).unwrap().is_none());
        assert!(open_if_there(&at("pipe")).is_err());
    }
}
