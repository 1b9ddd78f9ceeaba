//! Writing to a descriptor whose reader may stand still: with a time limit instead of for ever.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A pipe that polls as writable takes this much without blocking (`PIPE_BUF`).
const CHUNK: usize = 4_096;

/// Writes all of `bytes`.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when it is not all taken within `limit`; a part of it may have been.
pub(super) fn write_all(target: impl AsFd, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&target, PollFlags::OUT)], Some(&timeout)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            // A hang-up is ready too: the write says which error it is.
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match rustix::io::write(&target, &bytes[..bytes.len().min(CHUNK)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = &bytes[taken..],
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn all_arrives_or_the_limit_ends_it() {
        let (mut reader, writer) = io::pipe().unwrap();
        let limit = Duration::from_millis(20);
        let full = write_all(&writer, &[b'x'; 1 << 20], limit).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::TimedOut);

        let (mut slow, other) = io::pipe().unwrap();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            slow.read_to_end(&mut all).map(|_| all.len())
        });
        write_all(&other, &[b'x'; 1 << 20], Duration::from_secs(60)).unwrap();
        drop(other);
        assert_eq!(reading.join().unwrap().unwrap(), 1 << 20);

        let mut first = [0];
        reader.read_exact(&mut first).unwrap();
        drop(reader);
        assert_eq!(write_all(&writer, b"x", limit).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
