//! Contents on their way through pipes, in both directions: never blocking, with limits of size and time.
//!
//! Whose content it is and what follows is in [`super::clipboard`] and [`super::hands`].

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionread};

use crate::desktop::content::{Format, KEPT_LIMIT, SENDING_LIMIT};

/// Read or written at a time.
const CHUNK: usize = 64 << 10;
/// How often a reader is looked at that has the rest in its pipe.
const LOOK: Duration = Duration::from_millis(2);

/// All that is under way.
#[derive(Default)]
pub(super) struct Transfers {
    sending: Vec<Sending>,
    receiving: Vec<Receiving>,
}

struct Sending {
    pipe: OwnedFd,
    bytes: Arc<[u8]>,
    at: usize,
    until: Instant,
    serial: Option<u64>,
}

struct Receiving {
    reading: u64,
    mime: String,
    /// `None` once the end or the limit has come.
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
    whole: bool,
}

impl Transfers {
    /// Writes `bytes` into the pipe of whoever asked; `serial` is the source that this counts for.
    pub fn send(&mut self, serial: Option<u64>, pipe: OwnedFd, bytes: Arc<[u8]>) {
        // One that cannot be made so is not written to: it could block.
        if fcntl_setfl(&pipe, OFlags::NONBLOCK).is_ok() {
            self.sending.push(Sending { pipe, bytes, at: 0, until: Instant::now() + SENDING_LIMIT, serial });
        }
    }

    /// Collects what comes out of `pipe` as one format of `reading`.
    pub fn receive(&mut self, reading: u64, mime: String, pipe: OwnedFd) {
        let pipe = fcntl_setfl(&pipe, OFlags::NONBLOCK).is_ok().then_some(pipe);
        self.receiving.push(Receiving { reading, mime, pipe, bytes: Vec::new(), whole: false });
    }

    /// Whether all formats of `reading` are here, or never will be.
    pub fn read_all(&self, reading: u64) -> bool {
        self.receiving.iter().all(|r| r.reading != reading || r.pipe.is_none())
    }

    /// The formats of `reading` that came whole, and how many did not. Nothing more is read.
    pub fn take(&mut self, reading: u64) -> (Vec<Format>, usize) {
        let (of_it, others) = self.receiving.drain(..).partition::<Vec<_>, _>(|r| r.reading == reading);
        self.receiving = others;
        let all = of_it.len();
        let whole: Vec<Format> =
            of_it.into_iter().filter(|r| r.whole).map(|r| (r.mime, Arc::from(r.bytes))).collect();
        let missing = all - whole.len();
        (whole, missing)
    }

    /// What to wait for.
    pub fn poll_fds<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let unwritten = self.sending.iter().filter(|s| !s.is_written());
        fds.extend(unwritten.map(|s| PollFd::new(&s.pipe, PollFlags::OUT)));
        let open = self.receiving.iter().filter_map(|r| r.pipe.as_ref());
        fds.extend(open.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    }

    /// When the next one has taken too long, or may have been read.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let due = |s: &Sending| if s.is_written() { s.until.min(now + LOOK) } else { s.until };
        self.sending.iter().map(due).min()
    }

    /// Moves on what can be moved on, and gives up what has taken too long. Returns the sources of which a format was
    /// read whole.
    pub fn advance(&mut self, now: Instant) -> Vec<u64> {
        let mut sent = Vec::new();
        self.sending.retain_mut(|s| match s.advance() {
            Ok(true) => {
                sent.extend(s.serial);
                false
            }
            Ok(false) => now < s.until,
            // The reader has gone.
            Err(_) => false,
        });
        for at in 0..self.receiving.len() {
            let reading = self.receiving[at].reading;
            let kept: usize =
                self.receiving.iter().filter(|r| r.reading == reading).map(|r| r.bytes.len()).sum();
            self.receiving[at].advance(KEPT_LIMIT.saturating_sub(kept));
        }
        sent
    }
}

impl Sending {
    fn is_written(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Whether all is read. What is only written may never be.
    fn advance(&mut self) -> Result<bool, Errno> {
        while self.at < self.bytes.len() {
            let end = self.bytes.len().min(self.at + CHUNK);
            match rustix::io::write(&self.pipe, &self.bytes[self.at..end]) {
                Ok(written) => self.at += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        if ioctl_fionread(&self.pipe)? == 0 {
            return Ok(true);
        }
        let mut there = [PollFd::new(&self.pipe, PollFlags::OUT)];
        poll(&mut there, Some(&Timespec::default()))?;
        if there[0].revents().contains(PollFlags::ERR) { Err(Errno::PIPE) } else { Ok(false) }
    }
}

impl Receiving {
    /// Reads what is there, up to `room` bytes; more is too much, and the format is given up.
    fn advance(&mut self, mut room: usize) {
        let Some(pipe) = &self.pipe else { return };
        let mut chunk = [0; CHUNK];
        let ended = loop {
            match rustix::io::read(pipe.as_fd(), &mut chunk) {
                Ok(0) => break Some(true),
                Ok(read) if read > room => break Some(false),
                Ok(read) => {
                    self.bytes.extend_from_slice(&chunk[..read]);
                    room -= read;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break None,
                Err(_) => break Some(false),
            }
        };
        if let Some(whole) = ended {
            self.pipe = None;
            self.whole = whole;
            if !whole {
                self.bytes = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use super::*;

    #[test]
    fn what_is_large_goes_through_in_pieces_and_neither_side_blocks() {
        let content: Arc<[u8]> = (0..1_u32 << 18).map(|i| (i >> 3) as u8).collect();
        let (reader, writer) = io::pipe().unwrap();
        let mut transfers = Transfers::default();
        transfers.send(Some(7), writer.into(), Arc::clone(&content));
        transfers.receive(1, "image/png".to_owned(), reader.into());
        let mut sent = Vec::new();
        while !transfers.read_all(1) {
            sent.extend(transfers.advance(Instant::now()));
        }
        assert_eq!(sent, [7]);
        let (formats, missing) = transfers.take(1);
        assert_eq!((formats.len(), missing), (1, 0));
        assert_eq!(formats[0], ("image/png".to_owned(), content));
    }

    #[test]
    fn a_writer_that_hangs_and_one_without_end_are_left_out() {
        let mut transfers = Transfers::default();
        let (hung, _hung_writer) = io::pipe().unwrap();
        let (endless, mut endless_writer) = io::pipe().unwrap();
        let (good, mut good_writer) = io::pipe().unwrap();
        transfers.receive(1, "a/hung".to_owned(), hung.into());
        transfers.receive(1, "an/endless".to_owned(), endless.into());
        transfers.receive(1, "a/good".to_owned(), good.into());
        good_writer.write_all(b"good").unwrap();
        drop(good_writer);
        let flood = std::thread::spawn(move || while endless_writer.write_all(&[0; CHUNK]).is_ok() {});
        while !flood.is_finished() {
            transfers.advance(Instant::now());
        }
        flood.join().unwrap();
        assert!(!transfers.read_all(1), "one still hangs");
        let (formats, missing) = transfers.take(1);
        assert_eq!((formats, missing), (vec![("a/good".to_owned(), Arc::from(&b"good"[..]))], 2));
        assert!(transfers.read_all(1));
    }

    #[test]
    fn a_reader_that_hangs_is_given_up_after_its_time() {
        let mut transfers = Transfers::default();
        let (mut reader, writer) = io::pipe().unwrap();
        transfers.send(Some(1), writer.into(), Arc::from(vec![b'x'; 1 << 20]));
        let now = Instant::now();
        assert!(transfers.advance(now).is_empty() && transfers.due(now).is_some());
        assert!(transfers.advance(now + SENDING_LIMIT * 2).is_empty() && transfers.due(now).is_none());
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert!((1..1 << 20).contains(&rest.len()));

        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        transfers.send(Some(2), writer.into(), Arc::from(&b"x"[..]));
        assert!(transfers.advance(now).is_empty() && transfers.due(now).is_none(), "nobody reads");
    }

    #[test]
    fn what_is_written_counts_once_it_is_read() {
        let (mut transfers, now) = (Transfers::default(), Instant::now());
        let (mut reader, writer) = io::pipe().unwrap();
        transfers.send(Some(1), writer.into(), Arc::from(&b"text"[..]));
        assert!(transfers.advance(now).is_empty(), "nobody has read it");
        assert_eq!(transfers.due(now), Some(now + LOOK));
        reader.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(transfers.advance(now), [1]);

        let (reader, writer) = io::pipe().unwrap();
        transfers.send(Some(2), writer.into(), Arc::from(&b"text"[..]));
        assert!(transfers.advance(now).is_empty());
        drop(reader);
        assert!(transfers.advance(now).is_empty() && transfers.due(now).is_none(), "nobody will");
    }
}
