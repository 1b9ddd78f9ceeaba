//! The control socket: one JSON object per line in, one out. This is also how a compositor's own key bindings drive the
//! daemon without any permission. What a request means is decided in [`answer`]; threads and sockets are around it
//! (`server`).

mod gate;
mod server;

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use ptt_messages::{ControllerCommand, KeyboardEvent, Moment, Profile, StateName};
use serde::{Deserialize, Serialize};

pub use self::gate::{Gate, Pass};
pub use self::server::{Doors, Server};
use crate::board::Status;
use crate::exit_code::{Exit, Failure};
use crate::profile::Profiles;

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

/// Decides what a request at `at` does to a daemon in this `status`, and what to answer. `held`: the last press that was asked
/// for here was not let go yet.
#[must_use]
pub fn answer(
    request: &Request,
    status: &Status,
    held: bool,
    profiles: &Profiles,
    at: Moment,
) -> (Action, Reply) {
    let listening = status.state != StateName::Idle;
    let recording = matches!(status.state, StateName::KeyPressed | StateName::Recording);
    match request {
        Request::Press { .. } | Request::Toggle { .. } if !listening => {
            (Action::None, Reply::refused("push-to-talk is switched off; `ptt-app enable` switches it on"))
        }
        // A binding that repeats. A press after a release may be what ends the take: the mode decides.
        Request::Press { .. } if recording && held => (
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
            (press(None), StateName::Recording, key(KeyboardEvent::Pressed { at, profile: main })),
            (press(None), StateName::Idle, no.clone()),
            (toggle(None), StateName::Idle, no),
            (toggle(None), StateName::Recording, key(KeyboardEvent::Toggled { at, profile: main })),
            (Request::Release, StateName::Recording, key(KeyboardEvent::Released { at })),
            (Request::Cancel, StateName::Processing, key(KeyboardEvent::Cancelled { at })),
            (Request::Enable, StateName::Idle, (Action::Command(ControllerCommand::Enable), true)),
            (Request::Retry, StateName::WaitingForKey, (Action::Command(ControllerCommand::Retry), true)),
            (Request::Status, StateName::Idle, (Action::None, true)),
        ] {
            let (action, reply) = answer(&request, &status(state), false, &profiles, at);
            assert_eq!((action, reply.ok), expected, "{request:?} in {state:?}");
        }
    }

    #[test]
    fn a_press_that_repeats_says_that_a_recording_runs() {
        let press = Request::Press { profile: None };
        let told = |state| answer(&press, &status(state), true, &Profiles::default(), Moment::default());
        let (action, reply) = told(StateName::Recording);
        assert_eq!(action, Action::None);
        assert_eq!(
            reply.error.as_deref(),
            Some("recording already in progress (take #7); release or cancel it first")
        );
        // Its release was lost.
        assert!(told(StateName::WaitingForKey).1.ok);
    }

    #[test]
    fn who_follows_learns_the_names_of_the_profiles() {
        let text = "stt.model = 'tiny'\n[[profile]]\nname = 'german'";
        let profiles = Profiles::of(&crate::Config::parse(text, "f", [], &[]).unwrap());
        let (_, reply) =
            answer(&Request::Follow, &status(StateName::Idle), false, &profiles, Moment::default());
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
