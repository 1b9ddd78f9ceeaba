//! The connection to an X server. One that stops answering is an error after [`PATIENCE`], not a wait for ever.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use x11rb::errors::ConnectError;
use x11rb::reexports::x11rb_protocol::parse_display::parse_display;
use x11rb::reexports::x11rb_protocol::xauth::get_auth;
use x11rb::rust_connection::{DefaultStream, PollMode, RustConnection, Stream};
use x11rb::utils::RawFdContainer;

/// How long an answer, or room for a request, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection to an X server.
pub(super) type Link = RustConnection<Wire>;

/// The wire of a [`Link`].
#[derive(Debug)]
pub(super) struct Wire(DefaultStream);

/// Connects to the display, such as ":0".
///
/// # Errors
/// Why no server lets us in.
pub(super) fn connect(display: &str) -> Result<Link, ConnectError> {
    let parsed = parse_display(Some(display))?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in parsed.connect_instruction() {
        let (stream, (family, peer)) = match DefaultStream::connect(&address) {
            Ok(connected) => connected,
            Err(error) => {
                last = error;
                continue;
            }
        };
        // Many servers let their own user in without a cookie.
        let (kind, cookie) = get_auth(family, &peer, parsed.display).ok().flatten().unwrap_or_default();
        let screen = usize::from(parsed.screen);
        return RustConnection::connect_to_stream_with_auth_info(Wire(stream), screen, kind, cookie);
    }
    Err(last.into())
}

impl Stream for Wire {
    fn poll(&self, mode: PollMode) -> io::Result<()> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, mode.readable());
        flags.set(PollFlags::OUT, mode.writable());
        let limit = Timespec::try_from(PATIENCE).map_err(|_| io::ErrorKind::InvalidInput)?;
        loop {
            match rustix::event::poll(&mut [PollFd::new(&self.0, flags)], Some(&limit)) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer")),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&self, buf: &mut [u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.0.read(buf, fds)
    }

    fn write(&self, buf: &[u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.0.write(buf, fds)
    }

    fn write_vectored(&self, bufs: &[io::IoSlice<'_>], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.0.write_vectored(bufs, fds)
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
