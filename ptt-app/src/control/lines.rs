//! Lines from a socket, each before a deadline: for both ends of the control socket.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// The outcome of waiting for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A line without its line break.
    Line(String),
    /// The other end has nothing more to say.
    End,
    /// The deadline passed before the line was complete.
    Late,
    /// The line is longer than the limit.
    TooLong,
}

/// Reads lines, however slowly their bytes come.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    stream: &'a UnixStream,
    limit: usize,
    buffer: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// Lines of at most `limit` bytes.
    pub(super) const fn new(stream: &'a UnixStream, limit: usize) -> Self {
        Self { stream, limit, buffer: Vec::new() }
    }

    /// The next line, or what came instead until `deadline`; without one it is waited for as long
    /// as the other end lives.
    pub(super) fn next(&mut self, deadline: Option<Instant>) -> io::Result<Received> {
        let mut block = [0; 4_096];
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return text(line);
            }
            if self.buffer.len() >= self.limit {
                return Ok(Received::TooLong);
            }
            if !self.is_readable(deadline)? {
                return Ok(Received::Late);
            }
            match self.stream.read(&mut block) {
                // A last line may lack its line break.
                Ok(0) if self.buffer.is_empty() => return Ok(Received::End),
                Ok(0) => return text(std::mem::take(&mut self.buffer)),
                Ok(read) => self.buffer.extend_from_slice(&block[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until there is something to read; false at the deadline.
    fn is_readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let patience = left.map(timespec);
            match poll(&mut [PollFd::new(self.stream, PollFlags::IN)], patience.as_ref()) {
                Ok(0) if left == Some(Duration::ZERO) => return Ok(false),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Rounded up to a millisecond, so that waiting does not spin at its end.
fn timespec(left: Duration) -> Timespec {
    let ms = i64::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX);
    Timespec { tv_sec: ms / 1_000, tv_nsec: ms % 1_000 * 1_000_000 }
}

fn text(line: Vec<u8>) -> io::Result<Received> {
    String::from_utf8(line).map(Received::Line).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Tells whether the other end is closed both ways: one that has only nothing more to ask still
/// listens.
pub(super) fn has_hung_up(stream: &UnixStream) -> bool {
    revents(stream, PollFlags::empty()).contains(PollFlags::HUP)
}

/// Tells whether bytes of the other end wait to be read.
pub(super) fn has_unread(stream: &UnixStream) -> bool {
    revents(stream, PollFlags::IN).contains(PollFlags::IN) && !has_hung_up(stream)
}

fn revents(stream: &UnixStream, events: PollFlags) -> PollFlags {
    let mut fd = [PollFd::new(stream, events)];
    match poll(&mut fd, Some(&Timespec::default())) {
        Ok(_) => fd[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(20))
    }

    fn line(text: &str) -> Received {
        Received::Line(text.to_owned())
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(&ours, 20);
        theirs.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(lines.next(soon()).unwrap(), line("one"));
        assert_eq!(lines.next(soon()).unwrap(), line("two"));
        theirs.write_all(b"ee\n\nlast").unwrap();
        assert_eq!(lines.next(soon()).unwrap(), line("three"));
        assert_eq!(lines.next(soon()).unwrap(), line(""));
        drop(theirs);
        assert_eq!(lines.next(soon()).unwrap(), line("last"));
        assert_eq!(lines.next(soon()).unwrap(), Received::End);
    }

    #[test]
    fn a_line_that_drips_is_late() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let drip = std::thread::spawn(move || {
            while theirs.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        let mut lines = Lines::new(&ours, 4_096);
        let deadline = began + Duration::from_millis(300);
        assert_eq!(lines.next(Some(deadline)).unwrap(), Received::Late);
        assert!(began.elapsed() >= Duration::from_millis(300));
        drop(ours);
        drip.join().unwrap();
    }

    #[test]
    fn a_line_without_end_is_too_long() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[b'x'; 30]).unwrap();
        assert_eq!(Lines::new(&ours, 20).next(soon()).unwrap(), Received::TooLong);
    }

    #[test]
    fn an_end_that_only_listens_has_not_hung_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_hung_up(&ours) && !has_unread(&ours));
        (&theirs).write_all(b"x").unwrap();
        assert!(has_unread(&ours));
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!has_hung_up(&ours));
        drop(theirs);
        assert!(has_hung_up(&ours));
    }
}
