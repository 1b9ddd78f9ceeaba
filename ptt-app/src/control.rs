//! The control socket: one JSON object per line in, one out. This is also how a compositor's own key bindings drive the
//! daemon without any permission. [`answer`] decides what a request does, [`expiry`] if it still counts,
//! and [`clients`] which client gives way; threads and sockets are around these.

mod client;
mod clients;
mod connection;
mod expiry;
mod gate;
mod lines;
mod server;

use std::path::{Path, PathBuf};

use ptt_messages::{ControllerCommand, KeyboardEvent, Moment, Profile, StateName};
use serde::{Deserialize, Serialize};

pub use self::client::{ask, follow};
pub use self::expiry::{BootTime, PATIENCE};
pub use self::gate::{Gate, Pass};
pub use self::server::{Doors, Server};
use crate::board::Status;
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
    /// What the user should know although it is done: there was nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// To `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// To `follow`: what the numbers of profiles in the events mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Profiles>,
}

impl Reply {
    fn done() -> Self {
        Self { ok: true, error: None, note: None, status: None, profiles: None }
    }

    fn noted(note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..Self::done() }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self { ok: false, error: Some(why.into()), ..Self::done() }
    }

    /// The reply as it goes over the socket.
    fn line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("a reply is a plain value");
        line.push('\n');
        line
    }
}

/// The optional field of a request with the time at which its client sent it, as a [`BootTime`].
const SENT: &str = "sent_ms";

/// A request as it goes over the socket.
fn request_line(request: &Request, sent: BootTime) -> String {
    let mut line = serde_json::to_value(request).expect("a request is a plain value");
    line[SENT] = sent.0.into();
    format!("{line}\n")
}

/// Reads a request and the time it was sent.
fn parse_request(line: &str) -> serde_json::Result<(Request, Option<BootTime>)> {
    let mut value: serde_json::Value = serde_json::from_str(line)?;
    let sent = value.as_object_mut().and_then(|fields| fields.remove(SENT));
    Ok((serde_json::from_value(value)?, sent.map(serde_json::from_value).transpose()?))
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

/// The situation of the daemon when a request is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The status, which may be behind by what the machine has not told yet.
    pub status: &'a Status,
    /// The last press that was asked for here was not let go yet.
    pub held: bool,
    /// A take was asked for here a moment ago, so the status may not show it yet.
    pub starting: bool,
    /// The profiles by name.
    pub profiles: &'a Profiles,
    /// The time of the request.
    pub at: Moment,
}

/// Decides what a request does to the daemon, and what to answer. The action also goes out where there
/// is nothing to do according to the status: the machine knows better.
#[must_use]
pub fn answer(request: &Request, situation: &Situation<'_>) -> (Action, Reply) {
    let &Situation { status, held, starting, profiles, at } = situation;
    let listening = status.state != StateName::Idle;
    let resting = matches!(status.state, StateName::Idle | StateName::WaitingForKey);
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
        Request::Release => {
            let reply = if recording || starting {
                Reply::done()
            } else {
                Reply::noted("nothing to release: no take is being recorded")
            };
            (Action::Key(KeyboardEvent::Released { at }), reply)
        }
        Request::Toggle { profile } => {
            key_of(profile.as_deref(), profiles, |profile| KeyboardEvent::Toggled { at, profile })
        }
        Request::Cancel => {
            let reply = if resting && !starting && status.undelivered.is_empty() {
                Reply::noted("nothing to cancel: no take is running, and no text is on its way")
            } else {
                Reply::done()
            };
            (Action::Key(KeyboardEvent::Cancelled { at }), reply)
        }
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

#[cfg(test)]
mod tests {
    use ptt_messages::TakeId;

    use super::*;

    fn status(state: StateName) -> Status {
        Status { state, take: Some(TakeId(7)), ..Status::default() }
    }

    /// The answer of a daemon with this status, to which nobody has asked for a take.
    fn told(request: &Request, status: &Status) -> (Action, Reply) {
        let (profiles, at) = (&Profiles::default(), Moment::default());
        answer(request, &Situation { status, held: false, starting: false, profiles, at })
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
            let situation =
                Situation { status: &status(state), held: false, starting: false, profiles: &profiles, at };
            let (action, reply) = answer(&request, &situation);
            assert_eq!((action, reply.ok), expected, "{request:?} in {state:?}");
        }
    }

    #[test]
    fn a_press_that_repeats_says_that_a_recording_runs() {
        let press = Request::Press { profile: None };
        let told = |state| {
            let (status, profiles) = (&status(state), &Profiles::default());
            let at = Moment::default();
            answer(&press, &Situation { status, held: true, starting: true, profiles, at })
        };
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
    fn that_there_is_nothing_to_do_is_said() {
        use StateName as S;
        for (state, release, cancel) in [
            (S::Idle, true, true),
            (S::WaitingForKey, true, true),
            (S::KeyPressed, false, false),
            (S::Recording, false, false),
            (S::RecordingStopped, true, false),
            (S::RecordingCancelled, true, false),
            (S::Processing, true, false),
        ] {
            let of = |request| told(&request, &status(state)).1;
            for (reply, noted) in [(of(Request::Release), release), (of(Request::Cancel), cancel)] {
                assert!(reply.ok, "{state:?}");
                assert_eq!(reply.note.is_some(), noted, "{state:?}: {reply:?}");
            }
        }
        let on_its_way = Status { undelivered: vec![TakeId(7)], ..status(S::WaitingForKey) };
        assert_eq!(told(&Request::Cancel, &on_its_way).1.note, None);
        // The machine has not told of the take yet.
        let (status, profiles, at) = (&status(S::WaitingForKey), &Profiles::default(), Moment::default());
        for request in [Request::Release, Request::Cancel] {
            let situation = Situation { status, held: true, starting: true, profiles, at };
            assert_eq!(answer(&request, &situation).1.note, None, "{request:?}");
        }
    }

    #[test]
    fn a_request_may_tell_when_it_was_sent() {
        let press = Request::Press { profile: Some("german".into()) };
        let line = request_line(&press, BootTime(12));
        assert_eq!(line, "{\"do\":\"press\",\"profile\":\"german\",\"sent_ms\":12}\n");
        assert_eq!(parse_request(&line).unwrap(), (press, Some(BootTime(12))));
        assert_eq!(parse_request(r#"{"do":"release"}"#).unwrap(), (Request::Release, None));
        for wrong in [
            r#"{"do":"release","sent_ms":"now"}"#,
            r#"{"do":"press","when":1}"#,
            r#"{"do":"fly"}"#,
            "[]",
            "3",
            "",
        ] {
            assert!(parse_request(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_follows_learns_the_names_of_the_profiles() {
        let text = "stt.model = 'tiny'\n[[profile]]\nname = 'german'";
        let profiles = Profiles::of(&crate::Config::parse(text, "f", [], &[]).unwrap());
        let (status, at) = (&status(StateName::Idle), Moment::default());
        let situation = Situation { status, held: false, starting: false, profiles: &profiles, at };
        let (_, reply) = answer(&Request::Follow, &situation);
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
