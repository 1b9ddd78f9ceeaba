//! Where the process's standard output leads, as far as that forbids to write a text there. The
//! system journal keeps every line for months and shows it to every administrator.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, fstat, major, minor};
use rustix::net::{SocketAddrUnix, getpeername};

/// The variable by which systemd tells which of our descriptors is the journal's: device and inode.
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";
/// The kernel's log, which the journal reads.
const KMSG: (u32, u32) = (1, 11);
const NULL: (u32, u32) = (1, 3);

/// Where a descriptor leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The system journal.
    Journal,
    /// `/dev/null`.
    Nowhere,
    /// Anything else: a terminal, a file, a pipe.
    Reader,
}

/// Whether standard output is connected to the system journal: no text may be written there.
#[must_use]
pub fn is_journal() -> bool {
    target(io::stdout().as_fd()) == Target::Journal
}

/// Where `out` leads.
pub(crate) fn target(out: BorrowedFd<'_>) -> Target {
    target_given(out, std::env::var_os(JOURNAL_STREAM).as_deref())
}

fn target_given(out: BorrowedFd<'_>, journal_stream: Option<&OsStr>) -> Target {
    // What cannot be looked at cannot be written to either.
    let Ok(stat) = fstat(out) else { return Target::Reader };
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    let named = journal_stream.and_then(OsStr::to_str).and_then(device_and_inode);
    if named == Some((stat.st_dev, stat.st_ino)) || (is_device && device == KMSG) {
        return Target::Journal;
    }
    // Where standard error is a connection of its own, the variable names only that one.
    if getpeername(out).is_ok_and(|peer| peer.is_some_and(|peer| is_journals(peer.try_into().ok()))) {
        return Target::Journal;
    }
    if is_device && device == NULL { Target::Nowhere } else { Target::Reader }
}

/// `8:12345`.
fn device_and_inode(value: &str) -> Option<(u64, u64)> {
    let (device, inode) = value.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// Whether journald listens at this address: `/run/systemd/journal/stdout`, or that of a namespace
/// (`/run/systemd/journal.NAME/stdout`).
fn is_journals(peer: Option<SocketAddrUnix>) -> bool {
    peer.as_ref().and_then(SocketAddrUnix::path_bytes).is_some_and(is_journals_path)
}

fn is_journals_path(path: &[u8]) -> bool {
    path.strip_prefix(b"/run/systemd/journal").is_some_and(|rest| rest.ends_with(b"/stdout"))
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};

    use super::*;

    fn named(file: &File) -> String {
        let stat = fstat(file).unwrap();
        format!("{}:{}", stat.st_dev, stat.st_ino)
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode_whatever_else_is_set() {
        let (file, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        for (stream, expected) in [
            (Some(named(&file)), Target::Journal),
            // Standard output was sent elsewhere and the variable is still there.
            (Some(named(&other)), Target::Reader),
            (Some(named(&file).replace(':', "")), Target::Reader),
            (Some(String::new()), Target::Reader),
            (None, Target::Reader),
        ] {
            let found = target_given(file.as_fd(), stream.as_deref().map(OsStr::new));
            assert_eq!(found, expected, "{stream:?}");
        }
    }

    #[test]
    fn the_journal_is_known_by_the_address_of_its_socket_too() {
        for (path, journal) in [
            ("/run/systemd/journal/stdout", true),
            ("/run/systemd/journal.user/stdout", true),
            ("/run/systemd/journal/socket", false),
            ("/home/me/run/systemd/journal/stdout", false),
            ("", false),
        ] {
            assert_eq!(is_journals_path(path.as_bytes()), journal, "{path}");
        }
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(target_given(ours.as_fd(), None), Target::Reader, "a socket without an address");
    }

    #[test]
    fn what_leads_nowhere_is_told_from_what_somebody_reads() {
        let open = |path| OpenOptions::new().write(true).open(path).unwrap();
        assert_eq!(target_given(open("/dev/null").as_fd(), None), Target::Nowhere);
        assert_eq!(target_given(open("/dev/zero").as_fd(), None), Target::Reader);
        let (_reader, writer) = io::pipe().unwrap();
        assert_eq!(target_given(writer.as_fd(), None), Target::Reader);
    }
}
