//! The connection to an X server that never makes us wait for longer than it may: an answer that does not come within two
//! seconds, or a raised [`Stop`], is an error. What is said over it lives elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ptt_messages::Moment;
use rustix::event::{PollFd, PollFlags};
use x11rb::connection::Connection as _;
use x11rb::reexports::x11rb_protocol::parse_display::parse_display;
use x11rb::reexports::x11rb_protocol::xauth::get_auth;
use x11rb::rust_connection::{DefaultStream, PollMode, RustConnection, Stream};
use x11rb::utils::RawFdContainer;

use super::error::X11Error;
use crate::KeyboardError;
use crate::wake::{Stop, poll_until};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection to an X server.
pub type Link = RustConnection<Wire>;

/// The wire of a [`Link`].
#[derive(Debug)]
pub struct Wire {
    stream: DefaultStream,
    stop: Stop,
}

/// Connects to `display`, or where that is `None` to the one the environment names. Gives the number of the screen too.
///
/// # Errors
/// Every way in which there may be no server for us.
pub fn connect(display: Option<&str>, stop: &Stop) -> Result<(Link, usize), KeyboardError> {
    let name = display.map_or_else(|| std::env::var("DISPLAY").unwrap_or_default(), str::to_owned);
    let parsed = parse_display(display).map_err(|error| X11Error::of_parsing(&error, &name))?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in parsed.connect_instruction() {
        let (stream, (family, peer)) = match DefaultStream::connect(&address) {
            Ok(connected) => connected,
            Err(error) => {
                last = error;
                continue;
            }
        };
        // Without a cookie many servers let their own user in.
        let (kind, cookie) = get_auth(family, &peer, parsed.display).ok().flatten().unwrap_or_default();
        let wire = Wire { stream, stop: stop.clone() };
        let screen = usize::from(parsed.screen);
        let link = RustConnection::connect_to_stream_with_auth_info(wire, screen, kind, cookie);
        return Ok((link.map_err(|error| X11Error::of_greeting(error, &name))?, screen));
    }
    Err(X11Error::Unreachable { display: name, source: last }.into())
}

/// The root window of a screen that the server has.
pub fn root(link: &Link, screen: usize) -> u32 {
    link.setup().roots[screen].root
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Stream for Wire {
    fn poll(&self, mode: PollMode) -> io::Result<()> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, mode.readable());
        flags.set(PollFlags::OUT, mode.writable());
        let until = Some(Moment::now() + PATIENCE);
        let stream = PollFd::from_borrowed_fd(self.stream.as_fd(), flags);
        let stop = PollFd::from_borrowed_fd(self.stop.fd(), PollFlags::IN);
        let mut both = [stop, stream.clone()];
        poll_until(&mut both, until).map_err(io::Error::other)?;
        if self.stop.raised() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut ready = both[1].revents();
        if ready.is_empty() && !both[0].revents().is_empty() {
            // It was woken for something else that can wait.
            let mut alone = [stream];
            poll_until(&mut alone, until).map_err(io::Error::other)?;
            ready = alone[0].revents();
        }
        if ready.is_empty() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn read(&self, buffer: &mut [u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.stream.read(buffer, fds)
    }

    fn write(&self, buffer: &[u8], fds: &mut Vec<RawFdContainer>) -> io::Result<usize> {
        self.stream.write(buffer, fds)
    }
}
