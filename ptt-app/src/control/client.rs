//! The client's end of the control socket: what `ptt-app press` and the others do. A daemon that
//! does not answer in time is not there.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::expiry::{BootTime, PATIENCE};
use super::lines::{Lines, Received};
use super::{Reply, Request, request_line, socket_path};
use crate::exit_code::{Exit, Failure};

/// Longest line of a daemon in bytes: an event with the text of a whole take.
const LINE_LIMIT: usize = 16 << 20;

/// Asks the running daemon for one thing.
///
/// # Errors
/// [`Exit::Unavailable`] when none runs or none answers in time, [`Exit::Failed`] when it refuses.
pub fn ask(dir: &Path, request: &Request) -> Result<Reply, Failure> {
    converse(dir, request, |reply, _| Ok(reply))
}

/// Asks for every event and calls `each` with the reply's profiles and each line after it, until
/// the daemon ends or `each` fails.
///
/// # Errors
/// As [`ask`], and those of `each`.
pub fn follow(dir: &Path, mut each: impl FnMut(&Reply, &str) -> Result<(), Failure>) -> Result<(), Failure> {
    converse(dir, &Request::Follow, |reply, lines| {
        loop {
            match lines.next(None) {
                Ok(Received::Line(line)) => each(&reply, &line)?,
                Ok(Received::End | Received::Late | Received::TooLong) | Err(_) => return Ok(()),
            }
        }
    })
}

fn converse<T>(
    dir: &Path,
    request: &Request,
    then: impl FnOnce(Reply, &mut Lines<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + PATIENCE;
    exchange(connected(&socket_path(dir), PATIENCE)?, deadline, request, then)
}

fn exchange<T>(
    mut stream: UnixStream,
    deadline: Instant,
    request: &Request,
    then: impl FnOnce(Reply, &mut Lines<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let sent = stream.write_all(request_line(request, BootTime::now()).as_bytes());
    // Also when it could not be sent: a daemon that hangs up says why before that.
    let mut lines = Lines::new(&stream, LINE_LIMIT);
    let line = match (lines.next(Some(deadline)), sent) {
        (Ok(Received::Line(line)), _) => line,
        (Ok(Received::Late), _) => return Err(no_answer()),
        (_, Err(error)) if error.kind() == ErrorKind::WouldBlock => return Err(no_answer()),
        (_, Err(error)) | (Err(error), Ok(())) => return Err(gone(&error.to_string())),
        (Ok(Received::End | Received::TooLong), Ok(())) => return Err(gone("it closed the connection")),
    };
    let reply: Reply = serde_json::from_str(&line)
        .map_err(|e| Failure::new(Exit::Failed, format!("the daemon's answer cannot be read: {e}")))?;
    match &reply.error {
        Some(error) => Err(Failure::new(Exit::Failed, error.clone())),
        None => then(reply, &mut lines),
    }
}

/// Connects within `patience`, also where a stopped daemon's queue of connections is full.
fn connected(path: &Path, patience: Duration) -> Result<UnixStream, Failure> {
    let connected = || -> rustix::io::Result<UnixStream> {
        let address = SocketAddrUnix::new(path)?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Sending includes connecting.
        set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
        connect(&socket, &address)?;
        Ok(UnixStream::from(socket))
    };
    connected().map_err(|errno| {
        use rustix::io::Errno;
        match errno {
            Errno::AGAIN => no_answer(),
            Errno::NOENT | Errno::CONNREFUSED => no_daemon(""),
            _ => no_daemon(&format!(" ({}: {errno})", path.display())),
        }
    })
}

fn no_daemon(why: &str) -> Failure {
    Failure::new(Exit::Unavailable, format!("no daemon answers{why}; start one with `ptt-app run`"))
}

fn no_answer() -> Failure {
    let seconds = PATIENCE.as_secs();
    Failure::new(
        Exit::Unavailable,
        format!(
            "the daemon has not answered for {seconds} s; it is stopped or very busy. Try again or restart it"
        ),
    )
}

fn gone(why: &str) -> Failure {
    Failure::new(Exit::Unavailable, format!("the daemon went away: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_daemon_that_hangs_up_is_told() {
        for reason in [Some("too many clients"), None] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            if let Some(reason) = reason {
                theirs.write_all(Reply::refused(reason).line().as_bytes()).unwrap();
            }
            // The request cannot be written any more.
            drop(theirs);
            let failure = exchange(ours, Instant::now() + PATIENCE, &Request::Release, |reply, _| Ok(reply))
                .unwrap_err();
            assert_eq!(failure.exit, if reason.is_some() { Exit::Failed } else { Exit::Unavailable });
            assert!(failure.message.contains(reason.unwrap_or("the daemon went away")), "{failure}");
        }
    }

    #[test]
    fn a_daemon_that_does_not_answer_is_given_up() {
        for full in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = socket_path(dir.path());
            let address = SocketAddrUnix::new(&path).unwrap();
            let listener = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            rustix::net::bind(&listener, &address).unwrap();
            rustix::net::listen(&listener, 0).unwrap();
            let _first = full.then(|| UnixStream::connect(&path).unwrap());
            let began = Instant::now();
            let failure = ask(dir.path(), &Request::Status).unwrap_err();
            assert_eq!(failure.exit, Exit::Unavailable, "{failure}");
            assert!(failure.message.contains("has not answered"), "{failure}");
            let took = began.elapsed();
            assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}");
        }
    }
}
