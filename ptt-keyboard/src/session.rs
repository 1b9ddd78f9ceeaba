//! Whether the user is at the keyboard, as logind tells it: sleep, lock, another session in front.
//!
//! A thread beside the key thread waits on the system bus. What it hears becomes [`Signal::Away`] and [`Signal::Back`] in the
//! key thread's own queue, so that the tracker decides alone what a held key means (`docs/adr/0007-session-watch.md`). Without
//! a bus, a logind or a session there is nothing to hear, and that is no fault.

mod presence;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ptt_messages::Moment;
use tracing::{debug, info};
use zbus::Message;
use zbus::zvariant::OwnedObjectPath;

use self::presence::{Presence, Told};
use crate::bus::{Address, Bus, BusError, Properties};
use crate::chord::Signal;
use crate::wake::Stop;

const LOGIND: &str = "org.freedesktop.login1";
const ROOT: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Ours, or the one on the user's screen where we are a service of the user.
const OUR_SESSION: &str = "/org/freedesktop/login1/session/auto";

/// How soon a bus that was not there, hung up or did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// Everything logind says of itself: a few messages an hour.
const RULE: &str = "type='signal',sender='org.freedesktop.login1',path_namespace='/org/freedesktop/login1'";

/// The watch. Dropping it ends its thread.
#[derive(Debug)]
pub(crate) struct SessionWatch {
    told: Receiver<Signal>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl SessionWatch {
    /// Starts it. `keys` is what the key thread waits on: it is nudged for each signal. `None` where the process has no thread
    /// or descriptor left.
    pub fn start(bus: Address, keys: &Stop) -> Option<Self> {
        let stop = Stop::new().ok()?;
        let (tell, told) = channel();
        let watcher = Watcher::new(stop.clone(), keys.clone(), tell);
        let run = move || watcher.run(bus);
        let thread = std::thread::Builder::new().name("ptt-session".to_owned()).spawn(run).ok()?;
        Some(Self { told, stop, thread: Some(thread) })
    }

    /// What happened since the last call.
    pub fn told(&self) -> impl Iterator<Item = Signal> {
        self.told.try_iter()
    }
}

impl Drop for SessionWatch {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            // It does not panic, and if it did nothing would follow from it.
            let _ = thread.join();
        }
    }
}

struct Watcher {
    stop: Stop,
    keys: Stop,
    tell: Sender<Signal>,
    presence: Presence,
    /// Whether logind answered since the bus was asked last.
    found: bool,
    /// Whether it was said that nobody can be asked.
    said: bool,
}

impl Watcher {
    fn new(stop: Stop, keys: Stop, tell: Sender<Signal>) -> Self {
        Self { stop, keys, tell, presence: Presence::default(), found: false, said: false }
    }

    fn run(mut self, bus: Address) {
        self.keep_on(AGAIN, |watcher| {
            let mut bus = Bus::connect(bus, &watcher.stop)?;
            watcher.watch(&mut bus)
        });
    }

    /// Watches until it is to stop: a machine that starts or has too much to do may let any call fail.
    fn keep_on(&mut self, pause: Duration, mut watch: impl FnMut(&mut Self) -> Result<(), BusError>) {
        loop {
            self.found = false;
            let end = watch(self);
            // Nobody would say it any more.
            self.happened(Told::Nothing);
            match end {
                Ok(()) | Err(BusError::Stopped) => return,
                // Where there is no such bus at all, once is enough.
                Err(reason) if self.said && !self.found => debug!(%reason, "logind is still out of reach"),
                Err(reason) => {
                    info!(%reason, "sleep, lock and other sessions are not watched for until logind can be asked again");
                    self.said = true;
                }
            }
            if self.stop.wait(Some(Moment::now() + pause)).is_err() || self.stop.raised() {
                return;
            }
        }
    }

    fn watch(&mut self, bus: &mut Bus) -> Result<(), BusError> {
        bus.subscribe(RULE)?;
        let mut ours = self.find_session(bus)?;
        self.found = true;
        loop {
            let signal = bus.signal(None)?;
            if self.stop.raised() {
                return Ok(());
            }
            match signal.as_ref().map_or(Heard::Other, |signal| hear(signal, ours.as_ref())) {
                Heard::Told(told) => told.into_iter().for_each(|told| self.happened(told)),
                // A user's service may be older than the session it belongs to, begin with another one (of ssh), and outlive it.
                Heard::Sessions => ours = self.find_session(bus)?,
                Heard::Other => {}
            }
        }
    }

    /// The path of our session, whose state it takes over. That there is none is no error.
    fn find_session(&mut self, bus: &Bus) -> Result<Option<OwnedObjectPath>, BusError> {
        let found = bus
            .call::<Properties, _>([LOGIND, OUR_SESSION, PROPERTIES, "GetAll"], &SESSION)
            .and_then(|properties| {
                let id =
                    properties.get("Id").and_then(|id| id.downcast_ref::<&str>().ok()).unwrap_or_default();
                let path: OwnedObjectPath = bus.call([LOGIND, ROOT, MANAGER, "GetSession"], &id)?;
                Ok((path, properties))
            });
        match found {
            Ok((path, properties)) => {
                debug!(session = path.as_str(), "watching the session");
                told_by(&properties).for_each(|told| self.happened(told));
                Ok(Some(path))
            }
            Err(reason @ (BusError::Refused { .. } | BusError::Garbled(_))) => {
                debug!(%reason, "no session of ours");
                [Told::InFront(true), Told::Locked(false)].into_iter().for_each(|told| self.happened(told));
                Ok(None)
            }
            Err(end @ (BusError::Stopped | BusError::Gone(_))) => Err(end),
        }
    }

    fn happened(&mut self, told: Told) {
        let was_away = self.presence.is_away();
        let left = self.presence.heed(told);
        let (is_away, at) = (self.presence.is_away(), Moment::now());
        if left {
            info!(reason = told.name(), "the user left: keys count again when they are pressed afresh");
            self.signal(Signal::Away { at });
        }
        if (left || was_away) && !is_away {
            debug!("the user is here");
            self.signal(Signal::Back { at });
        }
    }

    fn signal(&self, signal: Signal) {
        // The key thread is gone when it does not listen.
        if self.tell.send(signal).is_ok() {
            self.keys.nudge();
        }
    }
}

/// What a signal of logind is to us.
enum Heard {
    Told(Vec<Told>),
    /// Sessions came or went.
    Sessions,
    Other,
}

fn hear(signal: &Message, ours: Option<&OwnedObjectPath>) -> Heard {
    let header = signal.header();
    let of_ours = ours.is_some_and(|ours| header.path() == Some(&**ours));
    let (interface, member) = (header.interface().map(|name| name.as_str()), header.member());
    let body = signal.body();
    match (interface, member.map(|name| name.as_str())) {
        (Some(MANAGER), Some("PrepareForSleep")) => match body.deserialize::<bool>() {
            Ok(begins) => Heard::Told(vec![Told::Asleep(begins)]),
            Err(_) => Heard::Other,
        },
        (Some(MANAGER), Some("SessionNew")) => Heard::Sessions,
        (Some(MANAGER), Some("SessionRemoved")) => match body.deserialize::<(String, OwnedObjectPath)>() {
            Ok((_, gone)) if ours == Some(&gone) => Heard::Sessions,
            Ok(_) | Err(_) => Heard::Other,
        },
        (Some(SESSION), Some("Lock")) if of_ours => Heard::Told(vec![Told::Lock]),
        (Some(PROPERTIES), Some("PropertiesChanged")) if of_ours => {
            match body.deserialize::<(String, Properties, Vec<String>)>() {
                Ok((_, changed, _)) => Heard::Told(told_by(&changed).collect()),
                Err(_) => Heard::Other,
            }
        }
        _ => Heard::Other,
    }
}

fn told_by(properties: &Properties) -> impl Iterator<Item = Told> {
    let is = |name: &str| properties.get(name).and_then(|value| value.downcast_ref::<bool>().ok());
    is("Active").map(Told::InFront).into_iter().chain(is("LockedHint").map(Told::Locked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_that_fails_is_asked_again_until_it_is_to_stop() {
        let (tell, told) = channel();
        let mut watcher = Watcher::new(Stop::new().unwrap(), Stop::new().unwrap(), tell);
        let mut asked = 0;
        watcher.keep_on(Duration::ZERO, |watcher| {
            asked += 1;
            watcher.happened(Told::Locked(true));
            if asked == 4 {
                watcher.stop.raise();
            }
            Err(BusError::Gone("no answer within 10 s".to_owned()))
        });
        assert_eq!(asked, 4);
        let told: Vec<bool> = told.try_iter().map(|signal| matches!(signal, Signal::Away { .. })).collect();
        assert_eq!(told, [true, false].repeat(4), "nobody stays away whose coming back nobody would tell");
    }
}
