//! What the programs of a Wayland compositor have not read yet of what it sent them, as the kernel counts
//! it (`NETLINK_SOCK_DIAG`, what `ss -x` shows).
//!
//! This is the only sign of a program that does not read: the compositor's answers come from the compositor
//! alone. It disconnects a program when the buffer of its socket is full. An X server keeps what its
//! programs do not read, and sends every program an event with the first key, so nothing is asked there.
//!
//! What lives here: asking the kernel, and waiting for a program to read. How long is the caller's decision.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, getpeername, netlink, recv,
    send, socket_with,
};

use crate::error::OutputError;

// Numbers of linux/netlink.h, linux/sock_diag.h and linux/unix_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const SHOW_NAME: u32 = 1;
const SHOW_PEER: u32 = 4;
const SHOW_RQLEN: u32 = 0x10;
const ATTRIBUTE_NAME: u16 = 0;
const ATTRIBUTE_PEER: u16 = 2;
const ATTRIBUTE_RQLEN: u16 = 4;
const ESTABLISHED: u32 = 1 << 1;
const NO_COOKIE: u32 = u32::MAX;
const AF_UNIX: u8 = 1;
/// How long a window may read nothing. It gets what it was sent when it goes on.
pub(super) const STILL_LIMIT: Duration = Duration::from_secs(10);
/// Unread bytes in the kernel's memory from which on a window is sent no more keys. A socket holds 208 KiB.
pub(super) const FULL: u32 = 48 << 10;
/// How often a window is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(2);

/// Of `struct nlmsghdr`, `struct unix_diag_msg` and `struct nlattr`.
const HEADER: usize = 16;
const MESSAGE: usize = 16;
const ATTRIBUTE: usize = 4;

/// A way to ask for the backlog of the programs of one server.
#[derive(Debug)]
pub(super) struct Backlog {
    netlink: OwnedFd,
    /// The server's address.
    server: Vec<u8>,
    /// Our own connection.
    own: u32,
}

/// The programs that were connected when it was made, and what each had not read.
#[derive(Debug)]
pub(super) struct Watch(Vec<Program>);

#[derive(Debug)]
struct Program {
    /// The server's end of the connection.
    socket: u32,
    /// Its own end.
    peer: u32,
    before: u32,
    /// Whether the server has sent it something since then that it has not read.
    behind: bool,
}

/// What the programs have not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unread {
    /// The most that one of those has not read that were sent something since the watch began, in bytes
    /// of the kernel's memory; 0 when all is read.
    pub bytes: u32,
    /// One of them is gone with what it had not read.
    pub lost: bool,
}

/// One socket as the kernel describes it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Described {
    inode: u32,
    name: Vec<u8>,
    peer: u32,
    /// Bytes that were sent and not read at the other end.
    unread: u32,
}

impl Backlog {
    /// Of the programs that have the same server as `connection`; `None` where the kernel does not tell.
    pub fn new(connection: BorrowedFd<'_>) -> Option<Self> {
        let address = SocketAddrUnix::try_from(getpeername(connection).ok()??).ok()?;
        let server = address.path_bytes()?.to_vec();
        let own = u32::try_from(fstat(connection).ok()?.st_ino).ok()?;
        Self::of(server, own)
    }

    /// Of the programs whose server listens at this path; `None` where the kernel does not tell.
    pub fn at(server: &Path) -> Option<Self> {
        Self::of(server.as_os_str().as_bytes().to_vec(), 0)
    }

    fn of(server: Vec<u8>, own: u32) -> Option<Self> {
        let netlink = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        );
        let backlog = Self { netlink: netlink.ok()?, server, own };
        // A proxy's peers tell nothing of the windows behind it.
        backlog.watch().filter(|watch| !watch.0.is_empty())?;
        Some(backlog)
    }

    /// Begins to watch the programs that are connected now; `None` where the kernel does not tell.
    pub fn watch(&self) -> Option<Watch> {
        self.ask(0, NLM_F_REQUEST | NLM_F_DUMP, SHOW_NAME | SHOW_PEER | SHOW_RQLEN).ok()?;
        let mut programs = Vec::new();
        while self.receive(|socket| {
            if trimmed(&socket.name) == trimmed(&self.server) && socket.peer != self.own {
                programs.push(Program {
                    socket: socket.inode,
                    peer: socket.peer,
                    before: socket.unread,
                    behind: false,
                });
            }
        })? {}
        Some(Watch(programs))
    }

    /// What this program has not read; `None` when it is gone.
    fn unread(&self, program: &Program) -> Option<u32> {
        self.ask(program.socket, NLM_F_REQUEST, SHOW_PEER | SHOW_RQLEN).ok()?;
        let mut unread = None;
        // The server may not have noticed yet that the other end is closed.
        self.receive(|socket| unread = (socket.peer == program.peer).then_some(socket.unread))?;
        unread
    }

    fn ask(&self, inode: u32, flags: u16, show: u32) -> Result<(), Errno> {
        send(&self.netlink, &request(inode, flags, show), SendFlags::empty()).map(|_| ())
    }

    /// Reads one datagram of an answer. Whether more follow; `None` after a refusal.
    fn receive(&self, mut each: impl FnMut(Described)) -> Option<bool> {
        let mut buffer = vec![0; 32 << 10];
        // The kernel has answered before the request returned.
        let (read, _) = recv(&self.netlink, buffer.as_mut_slice(), RecvFlags::DONTWAIT).ok()?;
        let mut rest = buffer.get(..read)?;
        let mut more = true;
        while let (Some(length), Some(kind)) = (word(rest, 0), half(rest, 4)) {
            let length = usize::try_from(length).ok()?;
            let body = rest.get(HEADER..length)?;
            match kind {
                NLMSG_DONE => more = false,
                NLMSG_ERROR => return None,
                SOCK_DIAG_BY_FAMILY => each(described(body)?),
                _ => {}
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(more)
    }
}

impl Watch {
    /// What is unread now.
    pub fn look(&mut self, backlog: &Backlog) -> Unread {
        let mut all = Unread::default();
        self.0.retain_mut(|program| match backlog.unread(program) {
            Some(unread) => {
                program.behind = unread > 0 && (program.behind || unread > program.before);
                if program.behind {
                    all.bytes = all.bytes.max(unread);
                }
                true
            }
            None => {
                all.lost |= program.behind;
                false
            }
        });
        all
    }

    /// Waits until the programs have not more than `most` bytes left to read.
    ///
    /// # Errors
    /// As [`Patience::is_over`].
    pub fn wait(&mut self, backlog: &Backlog, most: u32, limit: Duration) -> Result<(), OutputError> {
        let mut patience = Patience::new(most, limit, Instant::now());
        while !patience.is_over(self.look(backlog), Instant::now())? {
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Decides how long to wait for a program that is to read. Pure.
#[derive(Debug)]
pub(super) struct Patience {
    /// The most that may be left.
    most: u32,
    limit: Duration,
    least: u32,
    end: Instant,
}

impl Patience {
    /// Until not more than `most` bytes are left; it may read nothing for `limit`.
    pub fn new(most: u32, limit: Duration, now: Instant) -> Self {
        Self { most, limit, least: u32::MAX, end: now + limit }
    }

    /// Whether that is so.
    ///
    /// # Errors
    /// [`OutputError::NotRead`], [`OutputError::WindowGone`].
    pub fn is_over(&mut self, unread: Unread, now: Instant) -> Result<bool, OutputError> {
        if unread.lost {
            return Err(OutputError::WindowGone);
        }
        if unread.bytes <= self.most {
            return Ok(true);
        }
        if unread.bytes < self.least {
            self.least = unread.bytes;
            self.end = now + self.limit;
        }
        if self.end <= now { Err(OutputError::NotRead { limit: self.limit }) } else { Ok(false) }
    }
}

/// `struct unix_diag_req` behind its header.
fn request(inode: u32, flags: u16, show: u32) -> Vec<u8> {
    let length: u32 = 40;
    let mut bytes = Vec::with_capacity(40);
    bytes.extend(length.to_ne_bytes());
    bytes.extend([SOCK_DIAG_BY_FAMILY, flags].map(u16::to_ne_bytes).concat());
    bytes.extend([1, 0].map(u32::to_ne_bytes).concat());
    bytes.extend([AF_UNIX, 0, 0, 0]);
    bytes.extend([ESTABLISHED, inode, show, NO_COOKIE, NO_COOKIE].map(u32::to_ne_bytes).concat());
    bytes
}

/// Reads `struct unix_diag_msg` and its attributes.
fn described(body: &[u8]) -> Option<Described> {
    let mut socket = Described { inode: word(body, 4)?, ..Described::default() };
    let mut rest = body.get(MESSAGE..)?;
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let value = rest.get(ATTRIBUTE..usize::from(length))?;
        match kind {
            ATTRIBUTE_NAME => socket.name = value.to_vec(),
            ATTRIBUTE_PEER => socket.peer = word(value, 0)?,
            // The length of what waits here, then of what waits at the other end.
            ATTRIBUTE_RQLEN => socket.unread = word(value, 4)?,
            _ => {}
        }
        rest = rest.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(socket)
}

/// The kernel counts the zero at the end of a path as a part of it, or not.
fn trimmed(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"\0").unwrap_or(name)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn patience_ends_when_nothing_is_read_for_its_limit() {
        let begun = Instant::now();
        let (at, limit) = (|s| begun + Duration::from_secs(s), Duration::from_secs(10));
        let left = |bytes| Unread { bytes, lost: false };
        let mut patience = Patience::new(10, limit, begun);
        // It goes on reading, slowly.
        for (bytes, seconds) in [(100, 0), (100, 9), (90, 9), (90, 18), (50, 18), (60, 27)] {
            assert!(!patience.is_over(left(bytes), at(seconds)).unwrap(), "{bytes}");
        }
        assert!(matches!(patience.is_over(left(60), at(28)), Err(OutputError::NotRead { .. })));
        assert!(patience.is_over(left(10), at(28)).unwrap());
        let lost = Unread { bytes: 0, lost: true };
        assert!(matches!(patience.is_over(lost, begun), Err(OutputError::WindowGone)));
    }

    #[test]
    fn a_program_that_does_not_read_is_seen_and_one_that_goes_is_too() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("server-0");
        let listener = UnixListener::bind(&path).unwrap();
        let connect = || (UnixStream::connect(&path).unwrap(), listener.accept().unwrap().0);
        let (own, _own_end) = connect();
        if Backlog::new(own.as_fd()).is_some() {
            panic!("nobody else is connected: there is nothing to be told");
        }
        let (mut window, mut to_window) = connect();
        let (_other, mut to_other) = connect();
        to_other.write_all(&[1; 100]).unwrap();
        let Some(backlog) = Backlog::new(own.as_fd()) else {
            eprintln!("SKIPPED: this kernel does not tell what sockets hold");
            return;
        };
        let mut watch = backlog.watch().unwrap();
        assert_eq!(watch.look(&backlog), Unread::default(), "what was there before counts for nothing");
        to_window.write_all(&[1; 5_000]).unwrap();
        let behind = watch.look(&backlog);
        assert!(behind.bytes >= 5_000 && !behind.lost, "{behind:?}");
        window.read_exact(&mut [0; 5_000]).unwrap();
        assert_eq!(watch.look(&backlog), Unread::default());
        to_window.write_all(&[1; 50]).unwrap();
        assert!(watch.look(&backlog).bytes >= 50);
        drop((window, to_window));
        assert!(watch.look(&backlog).lost);
        assert_eq!(watch.look(&backlog), Unread::default(), "told once");
    }
}
