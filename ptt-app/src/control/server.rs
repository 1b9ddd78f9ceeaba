//! The socket's server: who may ask, how many at once, and a thread for each. What a request means is decided outside of it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ptt_messages::{ControllerCommand, ControllerEvent, KeyboardEvent, Moment, Port, StateName};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{debug, info, warn};

use super::{Action, Gate, Reply, Request, answer, socket_path};
use crate::board::Board;
use crate::exit_code::{Exit, Failure};

/// Longest request in bytes.
const REQUEST_LIMIT: u64 = 4_096;
/// How many clients are served at once; how many may follow beside them.
const CLIENT_LIMIT: usize = 8;
const FOLLOWER_LIMIT: usize = 32;
/// How soon a follower that has gone is noticed where there is nothing to tell.
const GONE: Duration = Duration::from_secs(1);

/// How long a request waits for the daemon while that is replaced or starts; less than a client waits.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Far longer than the machine takes to listen again after a take.
const REARM: Duration = Duration::from_millis(100);

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Edges, beside those of the keyboard.
    pub keys: Port<KeyboardEvent>,
    /// Commands.
    pub commands: Port<ControllerCommand>,
    /// What is known.
    pub board: Arc<Board>,
}

/// What those who serve clients share.
#[derive(Debug)]
struct Desk {
    gate: Arc<Gate>,
    clients: Arc<AtomicUsize>,
    followers: Arc<AtomicUsize>,
    held: AtomicBool,
    ended: Arc<AtomicBool>,
}

/// A place among those who are served; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let place = Self(Arc::clone(taken));
        (taken.fetch_add(1, Ordering::AcqRel) < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The socket's server, which is there before the first daemon and stays when one is replaced;
/// dropping it ends it and removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Listens at `dir`/control.sock, mode 0600. The daemon's lock must be held, so an old socket is a dead one.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(dir: &Path, gate: Arc<Gate>) -> Result<Self, Failure> {
        let path = socket_path(dir);
        let failed = |e: std::io::Error| {
            Failure::new(Exit::Unavailable, format!("cannot listen at {}: {e}", path.display()))
        };
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let ended = Arc::new(AtomicBool::new(false));
        let desk = Arc::new(Desk {
            gate,
            clients: Arc::default(),
            followers: Arc::default(),
            held: AtomicBool::new(false),
            ended: Arc::clone(&ended),
        });
        std::thread::Builder::new()
            .name("ptt-control".into())
            .spawn(move || accept(&listener, &desk))
            .map_err(failed)?;
        Ok(Self { path, ended })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn accept(listener: &UnixListener, desk: &Arc<Desk>) {
    for stream in listener.incoming() {
        if desk.ended.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            // Out of file descriptors, most likely: do not spin on it.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if !is_same_user(&stream) {
            warn!("a control connection of another user was refused");
            continue;
        }
        let Some(place) = Place::take(&desk.clients, CLIENT_LIMIT) else {
            refuse(stream);
            continue;
        };
        let desk = Arc::clone(desk);
        // Where no thread is left the client is hung up on.
        let _ = std::thread::Builder::new().name("ptt-client".into()).spawn(move || {
            if let Err(error) = serve(&stream, &desk, place) {
                debug!(%error, "a control client went away");
            }
        });
    }
}

fn is_same_user(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::getuid())
}

fn refuse(mut stream: UnixStream) {
    let reply = Reply::refused(format!("{CLIENT_LIMIT} clients are connected; close one"));
    // The client may be gone already.
    let _ = writeln!(stream, "{}", serde_json::to_string(&reply).expect("a reply is a plain value"));
}

fn serve(stream: &UnixStream, desk: &Desk, place: Place) -> std::io::Result<()> {
    // A client that sends half a line must not hold a place for ever.
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut line = String::new();
        if (&mut lines).take(REQUEST_LIMIT).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let request = match serde_json::from_str::<Request>(&line) {
            Ok(request) => request,
            Err(error) => {
                let reply =
                    Reply::refused(format!("not a request: {error}; send one such as {{\"do\":\"status\"}}"));
                writeln!(out, "{}", serde_json::to_string(&reply)?)?;
                return Ok(());
            }
        };
        let (reply, events) = decide(&request, Moment::now(), desk);
        if let Some(events) = events {
            let Some(_place) = Place::take(&desk.followers, FOLLOWER_LIMIT) else {
                let reply = Reply::refused(format!("{FOLLOWER_LIMIT} clients follow; end one"));
                return writeln!(out, "{}", serde_json::to_string(&reply)?);
            };
            // Whoever only listens keeps nobody out.
            drop(place);
            writeln!(out, "{}", serde_json::to_string(&reply)?)?;
            return follow(stream, &events, &desk.ended);
        }
        writeln!(out, "{}", serde_json::to_string(&reply)?)?;
    }
}

/// Does what a request that came at `at` asks the daemon for; with the events for who follows.
fn decide(request: &Request, at: Moment, desk: &Desk) -> (Reply, Option<Receiver<ControllerEvent>>) {
    // Left at the end of this: what is acknowledged is in the mailbox of the daemon that will do it.
    let Some(doors) = desk.gate.enter(Instant::now() + PATIENCE) else {
        return (Reply::refused("the daemon is starting or ending; try again"), None);
    };
    if matches!(request, Request::Press { .. } | Request::Toggle { .. }) {
        // Between two takes the machine is idle for a moment before it listens again: that is not "switched off".
        let _ = doors.board.wait_until(REARM, |status| status.state != StateName::Idle);
    }
    // Subscribed before the answer, so that nothing that follows the answer is missed.
    let events = (*request == Request::Follow).then(|| doors.board.follow());
    let held = desk.held.load(Ordering::Acquire);
    let (action, reply) = answer(request, &doors.board.status(), held, doors.board.profiles(), at);
    match action {
        Action::Key(KeyboardEvent::Pressed { .. }) => desk.held.store(true, Ordering::Release),
        Action::Key(_) => desk.held.store(false, Ordering::Release),
        Action::Command(_) | Action::None => {}
    }
    let delivered = match action {
        Action::Key(edge) => doors.keys.post_patiently(edge),
        Action::Command(command) => {
            info!(?command, "asked over the control socket");
            doors.commands.post_patiently(command)
        }
        Action::None => true,
    };
    (if delivered { reply } else { Reply::refused("the daemon is ending") }, events)
}

/// Tells every event until the client hangs up or the daemon ends.
fn follow(
    mut out: &UnixStream,
    events: &Receiver<ControllerEvent>,
    ended: &AtomicBool,
) -> std::io::Result<()> {
    loop {
        match events.recv_timeout(GONE) {
            Ok(event) => writeln!(out, "{}", serde_json::to_string(&event)?)?,
            Err(RecvTimeoutError::Timeout) if !ended.load(Ordering::Acquire) && !has_hung_up(out) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Whether the other end is closed both ways: who only has nothing more to ask still listens.
fn has_hung_up(stream: &UnixStream) -> bool {
    let mut fd = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut fd, Some(&Timespec::default())).is_ok() && fd[0].revents().contains(PollFlags::HUP)
}
