//! Which device files appear, told by inotify. Removal needs no watch: an open device tells it itself.
//!
//! The kernel makes the directory for the first device and removes it with the last one, so its parent is watched while it is
//! not there.

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
    /// Watches from now on: list the directory after this. It need not be there yet.
    ///
    /// # Errors
    /// There is not even a directory above it, or inotify has no watch left.
    pub fn watch(directory: &Path) -> Result<Self, KeyboardError> {
        const WHAT: &str = "watch for new input devices";
        let fd =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(KeyboardError::os(WHAT))?;
        let parent = match watch_directory(&fd, directory) {
            Ok(true) => None,
            Ok(false) => match watch_above(&fd, directory) {
                Ok(watch) => Some(watch),
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    return Err(KeyboardError::NoInputDevices { path: directory.to_owned() });
                }
                Err(errno) => return Err(KeyboardError::os(WHAT)(errno)),
            },
            Err(errno) => return Err(KeyboardError::os(WHAT)(errno)),
        };
        let mut hotplug = Self { fd, directory: directory.to_owned(), parent };
        // It may have come between the two looks.
        hotplug.look_again().map_err(KeyboardError::os(WHAT))?;
        Ok(hotplug)
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
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.fd, &mut buffer);
        let mut left = false;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            };
            let what = event.events();
            left |= what.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF);
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                changes.push(Change::All);
            }
            let name = event.file_name().filter(|_| Some(event.wd()) != self.parent);
            let name = name.map(|name| String::from_utf8_lossy(name.to_bytes()).into_owned());
            if let Some(name) = name.filter(|name| name.starts_with("event")) {
                let new = what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                changes.push(Change::File { path: self.directory.join(name), new });
            }
        }
        if left {
            self.parent = Some(watch_above(&self.fd, &self.directory)?);
        }
        if self.look_again()? {
            changes.push(Change::All);
        }
        Ok(())
    }

    /// Whether the directory was away and is there again; it is watched then, and its parent no more.
    fn look_again(&mut self) -> Result<bool, Errno> {
        let Some(watch) = self.parent else { return Ok(false) };
        let back = watch_directory(&self.fd, &self.directory)?;
        if back {
            self.parent = None;
            inotify::remove_watch(&self.fd, watch)?;
        }
        Ok(back)
    }
}

/// Watches what the directory is in.
fn watch_above(fd: &OwnedFd, directory: &Path) -> Result<i32, Errno> {
    let above = directory.parent().unwrap_or(Path::new("/"));
    inotify::add_watch(fd, above, WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR)
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
        assert!(matches!(Hotplug::watch(&input.join("deeper")), Err(KeyboardError::NoInputDevices { .. })));
        let mut hotplug = Hotplug::watch(&input).unwrap();
        assert_eq!(hotplug.changes().unwrap(), []);
        fs::create_dir(&input).unwrap();
        assert_eq!(hotplug.changes().unwrap(), [Change::All]);
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
