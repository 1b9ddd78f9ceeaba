//! Which device files appear, told by inotify. Removal needs no watch: an open device tells it itself.
//!
//! The kernel removes the directory with the last device and makes it again for the next one, so its parent is watched while
//! it is not there.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::KeyboardError;

/// Watches a directory of device files.
#[derive(Debug)]
pub struct Hotplug {
    fd: OwnedFd,
    directory: PathBuf,
    /// The watch on the directory's parent, while the directory is not there.
    parent: Option<i32>,
}

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This file is new, or may be read now when it could not before.
    File {
        /// Its path.
        path: PathBuf,
        /// New; else its permissions changed.
        new: bool,
    },
    /// Anything may have changed.
    All,
}

impl Hotplug {
    /// Watches from now on: list the directory after this.
    ///
    /// # Errors
    /// There is no such directory, or inotify has no watch left.
    pub fn watch(directory: &Path) -> Result<Self, KeyboardError> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(KeyboardError::os("watch for new input devices"))?;
        match watch_directory(&fd, directory) {
            Ok(true) => Ok(Self { fd, directory: directory.to_owned(), parent: None }),
            Ok(false) => Err(KeyboardError::NoInputDevices { path: directory.to_owned() }),
            Err(errno) => Err(KeyboardError::os("watch for new input devices")(errno)),
        }
    }

    /// Readable when [`Hotplug::changes`] has something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What changed since the last call.
    ///
    /// # Errors
    /// inotify itself failed.
    pub fn changes(&mut self) -> Result<Vec<Change>, KeyboardError> {
        let mut changes = Vec::new();
        self.collect(&mut changes).map_err(KeyboardError::os("watch for new input devices"))?;
        Ok(changes)
    }

    fn collect(&mut self, changes: &mut Vec<Change>) -> Result<(), Errno> {
        let Self { fd, directory, parent } = self;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&*fd, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            };
            let what = event.events();
            if what.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                let above = directory.parent().unwrap_or(Path::new("/"));
                *parent = Some(inotify::add_watch(&*fd, above, WatchFlags::CREATE | WatchFlags::MOVED_TO)?);
            }
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                changes.push(Change::All);
            }
            if let Some(watch) = *parent {
                // Asked at once too: it may have come back before its parent was watched.
                if watch_directory(&*fd, directory)? {
                    // What its name said before the watch is lost, and listing it finds it.
                    let _ = inotify::remove_watch(&*fd, watch);
                    *parent = None;
                    changes.push(Change::All);
                }
                continue;
            }
            let name = event.file_name().map(|name| String::from_utf8_lossy(name.to_bytes()).into_owned());
            if let Some(name) = name.filter(|name| name.starts_with("event")) {
                let new = what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                changes.push(Change::File { path: directory.join(name), new });
            }
        }
    }
}

/// Watches the directory; false where it is not there.
fn watch_directory(fd: &OwnedFd, directory: &Path) -> Result<bool, Errno> {
    // udev gives permission after the file was made: that is a change of its attributes.
    let what = WatchFlags::CREATE
        | WatchFlags::MOVED_TO
        | WatchFlags::ATTRIB
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    match inotify::add_watch(fd, directory, what) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_that_appear_or_may_be_read_now_are_told() {
        let root = tempfile::tempdir().unwrap();
        let input = root.path().join("input");
        assert!(matches!(Hotplug::watch(&input), Err(KeyboardError::NoInputDevices { .. })));
        fs::create_dir(&input).unwrap();
        let mut hotplug = Hotplug::watch(&input).unwrap();
        assert_eq!(hotplug.changes().unwrap(), []);
        let path = input.join("event7");
        fs::write(&path, "").unwrap();
        fs::write(input.join("mouse0"), "").unwrap();
        assert_eq!(hotplug.changes().unwrap(), [Change::File { path: path.clone(), new: true }]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(hotplug.changes().unwrap(), [Change::File { path, new: false }]);
    }

    #[test]
    fn the_directory_may_go_and_come_back() {
        let root = tempfile::tempdir().unwrap();
        let input = root.path().join("input");
        fs::create_dir(&input).unwrap();
        let mut hotplug = Hotplug::watch(&input).unwrap();
        for _ in 0..3 {
            fs::remove_dir(&input).unwrap();
            assert_eq!(hotplug.changes().unwrap(), []);
            fs::create_dir(root.path().join("output")).unwrap();
            assert_eq!(hotplug.changes().unwrap(), []);
            fs::remove_dir(root.path().join("output")).unwrap();
            fs::create_dir(&input).unwrap();
            assert_eq!(hotplug.changes().unwrap(), [Change::All]);
            fs::write(input.join("event0"), "").unwrap();
            let new = Change::File { path: input.join("event0"), new: true };
            assert_eq!(hotplug.changes().unwrap(), [new]);
            fs::remove_file(input.join("event0")).unwrap();
        }
        fs::remove_dir(&input).unwrap();
        fs::create_dir(&input).unwrap();
        assert_eq!(hotplug.changes().unwrap().last(), Some(&Change::All));
    }
}
