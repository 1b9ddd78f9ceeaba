//! The socket's server: who may ask, and a thread for each client. What becomes of a client is in
//! [`connection`](super::connection), and what a request means is decided outside of both.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ptt_messages::{ControllerCommand, KeyboardEvent, Port};
use tracing::{debug, warn};

use super::clients::Clients;
use super::connection::{self, Memory};
use super::{Gate, Pass, socket_path};
use crate::board::Board;
use crate::exit_code::{Exit, Failure};

/// Most requests that are carried out at once, releases and cancels aside.
const WORKING_LIMIT: usize = 8;
/// How long a request waits for one of these, and how often it looks.
const WORKING_WAIT: Duration = Duration::from_millis(200);
const WORKING_LOOK: Duration = Duration::from_millis(2);
/// Most clients that follow, beside those that ask.
pub(super) const FOLLOWER_LIMIT: usize = 32;
/// Before the next connection is accepted after one could not be: descriptors are short, most
/// likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

/// State that the clients' threads share.
#[derive(Debug)]
pub(super) struct ServerState {
    gate: Arc<Gate>,
    memory: Mutex<Memory>,
    working: Arc<AtomicUsize>,
    pub(super) followers: Arc<AtomicUsize>,
    pub(super) ended: Arc<AtomicBool>,
}

impl ServerState {
    /// The way into the running daemon; `None` when there is none until `deadline`.
    pub(super) fn enter(&self, deadline: Instant) -> Option<Pass> {
        self.gate.enter(deadline)
    }

    /// What the requests so far leave behind.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing panics while it is held.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot among the requests that are carried out, as soon as one is free; `None` after a
    /// while.
    pub(super) fn working_slot(&self) -> Option<Slot> {
        let deadline = Instant::now() + WORKING_WAIT;
        loop {
            let slot = Slot::take(&self.working, WORKING_LIMIT);
            if slot.is_some() || Instant::now() >= deadline {
                return slot;
            }
            std::thread::sleep(WORKING_LOOK);
        }
    }
}

/// One of a limited number; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Option<Arc<AtomicUsize>>);

impl Slot {
    /// One of `limit`, where one is free.
    pub(super) fn take(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let slot = Self(Some(Arc::clone(taken)));
        (taken.fetch_add(1, Ordering::AcqRel) < limit).then_some(slot)
    }

    /// One without a limit.
    pub(super) const fn free() -> Self {
        Self(None)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(taken) = &self.0 {
            taken.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The socket's server. It is there before the first daemon and stays when one is replaced; dropping
/// it ends it and removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Listens at `dir`/control.sock, mode 0600. The daemon's lock must be held, so an old socket
    /// is a dead one.
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
        let state = Arc::new(ServerState {
            gate,
            memory: Mutex::default(),
            working: Arc::default(),
            followers: Arc::default(),
            ended: Arc::clone(&ended),
        });
        std::thread::Builder::new()
            .name("ptt-control".into())
            .spawn(move || accept(&listener, &state))
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

fn accept(listener: &UnixListener, state: &Arc<ServerState>) {
    let clients = Arc::new(Clients::default());
    for stream in listener.incoming() {
        if state.ended.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else {
            std::thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        if !is_same_user(&stream) {
            warn!("a control connection of another user was refused");
            continue;
        }
        let (place, state) = (clients.admit(stream), Arc::clone(state));
        // Where no thread is left the client is hung up on.
        let _ = std::thread::Builder::new().name("ptt-client".into()).spawn(move || {
            if let Err(error) = connection::serve(place, &state) {
                debug!(%error, "a control client went away");
            }
        });
    }
}

fn is_same_user(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::getuid())
}
