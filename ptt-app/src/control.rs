//! The control socket: one JSON object per line in, one out. This is also how a compositor's own key bindings drive the
//! daemon without any permission. What a request means is decided in [`answer`]; threads and sockets are around it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ptt_messages::{ControllerCommand, KeyboardEvent, Moment, Port, Profile, StateName};
use serde::{Deserialize, Serialize};
use tracing::{debug, info, warn};

use crate::board::{Board, Status};
use crate::exit_code::{Exit, Failure};
use crate::profile::Profiles;

/// Longest request in bytes, and how many clients are served at once.
const REQUEST_LIMIT: u64 = 4_096;
const CLIENT_LIMIT: usize = 8;

/// Far longer than the machine takes to listen again after a take.
const REARM: Duration = Duration::from_millis(100);

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A chord goes down.
    Press {
        /// The name of the profile whose chord it is; without one the default profile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
    },
    /// The chord goes up.
    Release,
    /// Starts a take, or ends the running one.
    Toggle {
        /// The name of the take's profile; without one the default profile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
    },
    /// Throws the running take away.
    Cancel,
    /// Listens for the chord.
    Enable,
    /// Listens no more.
    Disable,
    /// Brings back what was salvaged or not delivered.
    Retry,
    /// One [`Status`].
    Status,
    /// Every event from now on, one JSON object per line, until the client goes.
    Follow,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether it is done.
    pub ok: bool,
    /// Why not, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// To `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// To `follow`: what the numbers of profiles in the events mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Profiles>,
}

impl Reply {
    fn done() -> Self {
        Self { ok: true, error: None, status: None, profiles: None }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self { ok: false, error: Some(why.into()), ..Self::done() }
    }
}

/// What a request does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A key edge, as if from a keyboard.
    Key(KeyboardEvent),
    /// A command to the controller.
    Command(ControllerCommand),
    /// Nothing.
    None,
}

/// Decides what a request at `at` does to a daemon in this `status`, and what to answer.
#[must_use]
pub fn answer(request: &Request, status: &Status, profiles: &Profiles, at: Moment) -> (Action, Reply) {
    let listening = status.state != StateName::Idle;
    let recording = matches!(status.state, StateName::KeyPressed | StateName::Recording);
    match request {
        Request::Press { .. } | Request::Toggle { .. } if !listening => {
            (Action::None, Reply::refused("push-to-talk is switched off; `ptt-app enable` switches it on"))
        }
        Request::Press { .. } if recording => (
            Action::None,
            Reply::refused(format!(
                "recording already in progress{}; release or cancel it first",
                status.take.map_or_else(String::new, |t| format!(" (take {t})"))
            )),
        ),
        Request::Press { profile } => {
            key_of(profile.as_deref(), profiles, |profile| KeyboardEvent::Pressed { at, profile })
        }
        Request::Release => (Action::Key(KeyboardEvent::Released { at }), Reply::done()),
        Request::Toggle { profile } => {
            key_of(profile.as_deref(), profiles, |profile| KeyboardEvent::Toggled { at, profile })
        }
        Request::Cancel => (Action::Key(KeyboardEvent::Cancelled { at }), Reply::done()),
        Request::Enable => (Action::Command(ControllerCommand::Enable), Reply::done()),
        Request::Disable => (Action::Command(ControllerCommand::Disable), Reply::done()),
        Request::Retry => (Action::Command(ControllerCommand::Retry), Reply::done()),
        Request::Status => (Action::None, Reply { status: Some(status.clone()), ..Reply::done() }),
        Request::Follow => (Action::None, Reply { profiles: Some(profiles.clone()), ..Reply::done() }),
    }
}

fn key_of(
    name: Option<&str>,
    profiles: &Profiles,
    edge: impl FnOnce(Profile) -> KeyboardEvent,
) -> (Action, Reply) {
    match name.map_or(Some(Profile::DEFAULT), |name| profiles.find(name)) {
        Some(profile) => (Action::Key(edge(profile)), Reply::done()),
        None => {
            let name = name.unwrap_or_default();
            (Action::None, Reply::refused(format!("there is no profile {name:?}; there are: {profiles}")))
        }
    }
}

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

/// The socket's server; dropping it ends it and removes the socket.
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
    pub fn start(dir: &Path, doors: Doors) -> Result<Self, Failure> {
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
        let end = Arc::clone(&ended);
        std::thread::Builder::new()
            .name("ptt-control".into())
            .spawn(move || accept(&listener, &doors, &end))
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

/// Where the socket of the daemon in `dir` is.
#[must_use]
pub fn socket_path(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// Asks the running daemon for one thing.
///
/// # Errors
/// [`Exit::Unavailable`] when none runs, [`Exit::Failed`] when it refuses.
pub fn ask(dir: &Path, request: Request) -> Result<Reply, Failure> {
    let mut lines = connect(dir, request)?;
    let mut line = String::new();
    lines.read_line(&mut line).map_err(|e| gone(&e))?;
    let reply: Reply = serde_json::from_str(&line)
        .map_err(|e| Failure::new(Exit::Failed, format!("the daemon's answer cannot be read: {e}")))?;
    if let Some(error) = &reply.error {
        return Err(Failure::new(Exit::Failed, error.clone()));
    }
    Ok(reply)
}

/// Sends a request and returns what comes back, line by line.
///
/// # Errors
/// [`Exit::Unavailable`] when no daemon runs.
pub fn connect(dir: &Path, request: Request) -> Result<BufReader<UnixStream>, Failure> {
    let path = socket_path(dir);
    let mut stream = UnixStream::connect(&path).map_err(|e| {
        let nobody = matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused);
        let why = if nobody { String::new() } else { format!(" ({}: {e})", path.display()) };
        Failure::new(Exit::Unavailable, format!("no daemon answers{why}; start one with `ptt-app run`"))
    })?;
    let line = serde_json::to_string(&request).expect("a request is a plain value");
    writeln!(stream, "{line}").map_err(|e| gone(&e))?;
    Ok(BufReader::new(stream))
}

fn gone(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("the daemon went away: {error}"))
}

fn accept(listener: &UnixListener, doors: &Doors, ended: &AtomicBool) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if ended.load(Ordering::Acquire) {
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
        if clients.fetch_add(1, Ordering::AcqRel) >= CLIENT_LIMIT {
            clients.fetch_sub(1, Ordering::AcqRel);
            refuse(stream);
            continue;
        }
        let (doors, counted) = (doors.clone(), Arc::clone(&clients));
        let served = std::thread::Builder::new().name("ptt-client".into()).spawn(move || {
            if let Err(error) = serve(&stream, &doors) {
                debug!(%error, "a control client went away");
            }
            counted.fetch_sub(1, Ordering::AcqRel);
        });
        if served.is_err() {
            clients.fetch_sub(1, Ordering::AcqRel);
        }
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

fn serve(stream: &UnixStream, doors: &Doors) -> std::io::Result<()> {
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
        if matches!(request, Request::Press { .. } | Request::Toggle { .. }) {
            // Between two takes the machine is idle for a moment before it listens again: that is not "switched off".
            let _ = doors.board.wait_until(REARM, |status| status.state != StateName::Idle);
        }
        // Subscribed before the answer, so that nothing that follows the answer is missed.
        let events = (request == Request::Follow).then(|| doors.board.follow());
        let (action, mut reply) =
            answer(&request, &doors.board.status(), doors.board.profiles(), Moment::now());
        let delivered = match action {
            Action::Key(edge) => doors.keys.post_patiently(edge),
            Action::Command(command) => {
                info!(?command, "asked over the control socket");
                doors.commands.post_patiently(command)
            }
            Action::None => true,
        };
        if !delivered {
            reply = Reply::refused("the daemon is ending");
        }
        writeln!(out, "{}", serde_json::to_string(&reply)?)?;
        if let Some(events) = events {
            for event in events {
                writeln!(out, "{}", serde_json::to_string(&event)?)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ptt_messages::TakeId;

    use super::*;

    fn status(state: StateName) -> Status {
        Status { state, take: Some(TakeId(7)), ..Status::default() }
    }

    #[test]
    fn requests_do_what_they_say_in_each_state() {
        let at = Moment::from_millis(5);
        let key = |edge| (Action::Key(edge), true);
        let no = (Action::None, false);
        let press = |name: Option<&str>| Request::Press { profile: name.map(str::to_owned) };
        let toggle = |name: Option<&str>| Request::Toggle { profile: name.map(str::to_owned) };
        let (main, german) = (Profile::DEFAULT, Profile(1));
        let text = "stt.model = 'tiny'\n[[profile]]\nname = 'german'";
        let profiles = Profiles::of(&crate::Config::parse(text, "f", [], &[]).unwrap());
        for (request, state, expected) in [
            (
                press(Some("german")),
                StateName::WaitingForKey,
                key(KeyboardEvent::Pressed { at, profile: german }),
            ),
            (
                press(Some("default")),
                StateName::WaitingForKey,
                key(KeyboardEvent::Pressed { at, profile: main }),
            ),
            (press(Some("french")), StateName::WaitingForKey, no.clone()),
            (
                toggle(Some("german")),
                StateName::WaitingForKey,
                key(KeyboardEvent::Toggled { at, profile: german }),
            ),
            (press(None), StateName::WaitingForKey, key(KeyboardEvent::Pressed { at, profile: main })),
            (press(None), StateName::Processing, key(KeyboardEvent::Pressed { at, profile: main })),
            (press(None), StateName::Recording, no.clone()),
            (press(None), StateName::Idle, no.clone()),
            (toggle(None), StateName::Idle, no),
            (toggle(None), StateName::Recording, key(KeyboardEvent::Toggled { at, profile: main })),
            (Request::Release, StateName::Recording, key(KeyboardEvent::Released { at })),
            (Request::Cancel, StateName::Processing, key(KeyboardEvent::Cancelled { at })),
            (Request::Enable, StateName::Idle, (Action::Command(ControllerCommand::Enable), true)),
            (Request::Retry, StateName::WaitingForKey, (Action::Command(ControllerCommand::Retry), true)),
            (Request::Status, StateName::Idle, (Action::None, true)),
        ] {
            let (action, reply) = answer(&request, &status(state), &profiles, at);
            assert_eq!((action, reply.ok), expected, "{request:?} in {state:?}");
        }
    }

    #[test]
    fn a_second_press_says_that_a_recording_runs() {
        let (_, reply) = answer(
            &Request::Press { profile: None },
            &status(StateName::Recording),
            &Profiles::default(),
            Moment::default(),
        );
        assert_eq!(
            reply.error.as_deref(),
            Some("recording already in progress (take #7); release or cancel it first")
        );
    }

    #[test]
    fn who_follows_learns_the_names_of_the_profiles() {
        let text = "stt.model = 'tiny'\n[[profile]]\nname = 'german'";
        let profiles = Profiles::of(&crate::Config::parse(text, "f", [], &[]).unwrap());
        let (_, reply) = answer(&Request::Follow, &status(StateName::Idle), &profiles, Moment::default());
        let line = serde_json::to_string(&reply).unwrap();
        assert_eq!(line, r#"{"ok":true,"profiles":["default","german"]}"#);
        assert_eq!(serde_json::from_str::<Reply>(&line).unwrap().profiles, Some(profiles));
    }

    #[test]
    fn the_words_of_the_protocol_are_stable() {
        for (line, request) in [
            (r#"{"do":"press"}"#, Request::Press { profile: None }),
            (r#"{"do":"toggle","profile":"german"}"#, Request::Toggle { profile: Some("german".into()) }),
            (r#"{"do":"follow"}"#, Request::Follow),
            (r#"{"do":"enable"}"#, Request::Enable),
        ] {
            assert_eq!(serde_json::from_str::<Request>(line).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
        assert!(serde_json::from_str::<Request>(r#"{"do":"fly"}"#).is_err());
    }
}
