//! The desktop's portal, `org.freedesktop.portal.GlobalShortcuts`: the one way to a key under Wayland that needs no permission
//! beside the user's own word in a dialog, and sees no other key.
//!
//! * The whole chord is one shortcut, `talk`, that of a profile another, `talk-NAME`, and the cancel key one more, `cancel`.
//!   Activated and Deactivated become edges of all keys of the chord, so that the tracker's rules hold here too.
//! * Which keys it really is is the desktop's and the user's choice; the configured chord is only proposed, where the portal has
//!   words for it ([`trigger`]). A bare Escape is not: it would be taken from every program, all the time.
//! * A desktop that tells presses only is found out at its second press ([`gesture`]); from then on a press toggles.
//! * A portal that is gone ends the source; the keyboard's actor opens it again. One that says no is not asked again.
//!
//! `zbus` and four calls written out rather than `ashpd`: that is this very protocol in a tenth of the code, one dependency
//! less, and one stream in which presses, a closed session and a portal that is gone keep their order.

mod error;
mod gesture;
mod trigger;

use ptt_messages::{Moment, Profile};
use tracing::{debug, info, warn};
use zbus::Message;
use zbus::zvariant::{Array, ObjectPath, OwnedObjectPath, Value};

pub use self::error::PortalError;
use self::gesture::{Act, Gesture, moment_of};
use self::trigger::trigger;
use super::{Backend, KeySource};
use crate::KeyboardError;
use crate::bus::{Address, Bus, BusError, Options, Properties};
use crate::chord::{DeviceId, Edge, Signal, Slot, Slots, Watched, WatchedChord};
use crate::wake::Stop;

/// By what the desktop remembers the user's choice: the name of the desktop file in `ptt-app/dist`.
pub const APP_ID: &str = "ptt.Dictation";

const PORTAL: &str = "org.freedesktop.portal.Desktop";
const ROOT: &str = "/org/freedesktop/portal/desktop";
const SHORTCUTS: &str = "org.freedesktop.portal.GlobalShortcuts";
const SESSION: &str = "org.freedesktop.portal.Session";
const REQUEST: &str = "org.freedesktop.portal.Request";
const REGISTRY: &str = "org.freedesktop.host.portal.Registry";

const TALK: &str = "talk";
const CANCEL: &str = "cancel";

/// The kernel's code of Escape.
const ESCAPE: u16 = 1;

/// The device of the cancel key. Each chord is a device of its own: two may share a key, and each holds it for itself.
const CANCEL_KEY: DeviceId = DeviceId(u32::MAX);

/// A session of the portal with the shortcuts bound.
#[derive(Debug)]
pub struct PortalSource {
    bus: Bus,
    session: OwnedObjectPath,
    watched: Watched,
    /// Of each chord.
    gestures: Vec<Gesture>,
    /// Of the last edge: the desktop's times are not to run backwards.
    last: Moment,
}

/// Something the portal tells.
#[derive(Debug)]
enum Told {
    Activated { shortcut: String, timestamp: u64 },
    Deactivated { shortcut: String, timestamp: u64 },
    Closed,
    Gone,
}

/// Whether `auto` may ask: under X11 other sources do without a dialog, and without a desktop there is nobody to ask.
#[must_use]
pub fn is_the_way() -> bool {
    super::is_wayland()
}

impl PortalSource {
    /// Binds the shortcuts. The desktop may ask the user first; this waits for the answer, or for `stop`.
    ///
    /// # Errors
    /// See [`PortalError`].
    pub fn open(watched: &Watched, stop: &Stop) -> Result<Self, KeyboardError> {
        Ok(Self::bound(watched, stop)?)
    }

    fn bound(watched: &Watched, stop: &Stop) -> Result<Self, PortalError> {
        let mut bus =
            Bus::connect(Address::Session, stop).map_err(|e| PortalError::NoBus { reason: e.to_string() })?;
        let gone = |e: BusError| PortalError::Gone { reason: e.to_string() };
        // What the portal sends to us alone comes anyway; of the bus we want to hear that the portal is gone.
        bus.subscribe(&format!(
            "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{PORTAL}'"
        ))
        .map_err(gone)?;
        introduce(&bus);
        let session = create_session(&mut bus)?;
        bind(&mut bus, &session, watched)?;
        Ok(Self {
            bus,
            session,
            watched: watched.clone(),
            gestures: vec![Gesture::default(); watched.chords().len()],
            last: Moment::default(),
        })
    }

    fn tell(&mut self, told: Told, now: Moment, signals: &mut Vec<Signal>) -> Result<(), PortalError> {
        debug!(?told, "the portal tells");
        match told {
            Told::Activated { shortcut, timestamp } if shortcut == CANCEL => {
                let at = self.stamp(timestamp, now);
                if let Some(slot) = self.watched.cancel() {
                    signals.extend([Edge::Down, Edge::Up].map(|way| edge(CANCEL_KEY, slot, way, at)));
                }
            }
            Told::Activated { shortcut, timestamp } => {
                let Some(of) = self.chord_of(&shortcut) else { return Ok(()) };
                let (at, act) = (self.stamp(timestamp, now), self.gestures[of].activated());
                if act == Act::FirstToggle {
                    warn!(
                        "this desktop tells when the shortcut is pressed and not when it is let go: a press starts a take and \
                         the next one ends it, as with controller.mode = \"toggle\"; to hold it, use keyboard.backend = \
                         \"evdev\" or let the desktop call `ptt-app press` and `ptt-app release`"
                    );
                }
                self.act(act, of, at, signals);
            }
            Told::Deactivated { shortcut, timestamp } => {
                // Cancel has its edges already; others are not ours.
                let Some(of) = self.chord_of(&shortcut) else { return Ok(()) };
                let (at, act) = (self.stamp(timestamp, now), self.gestures[of].deactivated());
                self.act(act, of, at, signals);
            }
            Told::Closed => return Err(PortalError::TakenBack),
            Told::Gone => return Err(PortalError::Gone { reason: "it left the bus".to_owned() }),
        }
        Ok(())
    }

    fn stamp(&mut self, timestamp: u64, now: Moment) -> Moment {
        self.last = moment_of(timestamp, now).max(self.last);
        self.last
    }

    /// The place of the chord that this shortcut is.
    fn chord_of(&self, shortcut: &str) -> Option<usize> {
        self.watched.chords().iter().position(|chord| shortcut == name_of(chord))
    }

    fn act(&self, act: Act, of: usize, at: Moment, signals: &mut Vec<Signal>) {
        let chord = &self.watched.chords()[of];
        let (profile, device) = (chord.profile, DeviceId(u32::from(chord.profile.0)));
        let mut keys = |way| signals.extend(chord.slots.iter().map(|slot| edge(device, slot, way, at)));
        match act {
            Act::Down => keys(Edge::Down),
            Act::Up => keys(Edge::Up),
            Act::Toggle => signals.push(Signal::Toggled { at, profile }),
            Act::FirstToggle => {
                // In this order: the release of a take that is over means nothing in any mode.
                signals.push(Signal::Toggled { at, profile });
                signals.extend(chord.slots.iter().map(|slot| edge(device, slot, Edge::Up, at)));
            }
        }
    }
}

impl KeySource for PortalSource {
    fn backend(&self) -> Backend {
        Backend::Portal
    }

    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        let signal = self.bus.signal(until).map_err(|e| PortalError::Gone { reason: e.to_string() })?;
        if let Some(told) = signal.and_then(|signal| hear(&signal, &self.session)) {
            self.tell(told, Moment::now(), signals)?;
        }
        Ok(())
    }

    fn stamps_at_origin(&self) -> bool {
        false
    }
}

/// Says which program this is: newer portals want to know before anything else, and older ones do not know the question.
fn introduce(bus: &Bus) {
    let said: Result<(), _> = bus.call([PORTAL, ROOT, REGISTRY, "Register"], &(APP_ID, Options::new()));
    if let Err(reason) = said {
        debug!(%reason, "the portal does not take our name");
    }
}

fn create_session(bus: &mut Bus) -> Result<OwnedObjectPath, PortalError> {
    let options = Options::from([
        ("handle_token", Value::from("ptt_session")),
        ("session_handle_token", Value::from("ptt")),
    ]);
    let asked = bus.call([PORTAL, ROOT, SHORTCUTS, "CreateSession"], &options);
    let results = answer(bus, asked)?;
    // Older portals say it as a string, the specification too.
    let handle = results.get("session_handle").and_then(|handle| {
        let text = handle.downcast_ref::<&str>().map(ToOwned::to_owned);
        text.or_else(|_| handle.downcast_ref::<ObjectPath<'_>>().map(|path| path.to_string())).ok()
    });
    handle
        .and_then(|handle| OwnedObjectPath::try_from(handle).ok())
        .ok_or_else(|| PortalError::Failed { what: "a session without a handle".to_owned() })
}

fn bind(bus: &mut Bus, session: &OwnedObjectPath, watched: &Watched) -> Result<(), PortalError> {
    let keys = |slots: Slots| slots.iter().map(|slot| watched.key(slot)).collect::<Vec<_>>();
    let mut shortcuts = Vec::new();
    for chord in watched.chords() {
        let proposed = trigger(&keys(chord.slots));
        if proposed.is_none() {
            info!(
                chord = watched.describe(chord),
                "the portal has no words for this chord: choose its keys in the desktop's dialog or settings"
            );
        }
        let what = match chord.profile {
            Profile::DEFAULT => "Dictate while held".to_owned(),
            Profile(_) => format!("Dictate while held: {}", chord.name),
        };
        shortcuts.push((name_of(chord), described(what, proposed)));
    }
    if let Some(slot) = watched.cancel() {
        let key = watched.key(slot);
        let proposed = trigger(&[key]).filter(|_| key.code() != ESCAPE);
        shortcuts.push((CANCEL.to_owned(), described("Throw the dictation away".to_owned(), proposed)));
    }
    let options = Options::from([("handle_token", Value::from("ptt_bind"))]);
    let asked = bus.call([PORTAL, ROOT, SHORTCUTS, "BindShortcuts"], &(session, shortcuts, "", options));
    let results = answer(bus, asked)?;
    info!(shortcuts = chosen(&results), "the desktop has bound the shortcuts");
    Ok(())
}

/// By what the desktop knows the shortcut of a chord.
fn name_of(chord: &WatchedChord) -> String {
    match chord.profile {
        Profile::DEFAULT => TALK.to_owned(),
        Profile(_) => format!("{TALK}-{}", chord.name),
    }
}

fn described(what: String, trigger: Option<String>) -> Options<'static> {
    let mut described = Options::from([("description", Value::from(what))]);
    if let Some(trigger) = trigger {
        described.insert("preferred_trigger", Value::from(trigger));
    }
    described
}

/// The keys that the desktop says it bound, in its own words. Not all of them say it.
fn chosen(results: &Properties) -> String {
    let shortcuts = results.get("shortcuts").and_then(|all| all.downcast_ref::<&Array<'_>>().ok());
    let said = shortcuts.into_iter().flat_map(|all| all.iter()).filter_map(|shortcut| {
        let Value::Structure(shortcut) = shortcut else { return None };
        let [Value::Str(id), Value::Dict(described)] = shortcut.fields() else { return None };
        let keys = described.get::<&str, &str>(&"trigger_description").ok().flatten();
        Some(format!(
            "{id}: {}",
            keys.filter(|keys| !keys.is_empty()).unwrap_or("(see the desktop's settings)")
        ))
    });
    said.collect::<Vec<_>>().join(", ")
}

/// Waits for what the portal answers to a request: first that it has it, then, when the user has decided, what came of it.
fn answer(bus: &mut Bus, asked: Result<OwnedObjectPath, BusError>) -> Result<Properties, PortalError> {
    let request = asked.map_err(refusal)?;
    loop {
        let signal = bus.signal(None).map_err(|e| PortalError::Gone { reason: e.to_string() })?;
        let Some(signal) = signal else {
            if bus.is_to_stop() {
                return Err(PortalError::Gone { reason: BusError::Stopped.to_string() });
            }
            continue;
        };
        let header = signal.header();
        let is = |interface: &str, member: &str| {
            header.interface().is_some_and(|name| name == interface)
                && header.member().is_some_and(|name| name == member)
        };
        if is("org.freedesktop.DBus", "NameOwnerChanged") && is_gone(&signal) {
            return Err(PortalError::Gone { reason: "it left the bus".to_owned() });
        }
        if is(REQUEST, "Response") && header.path() == Some(&*request) {
            return match signal.body().deserialize::<(u32, Properties)>() {
                Ok((0, results)) => Ok(results),
                Ok((1, _)) => Err(PortalError::Declined),
                Ok((code, _)) => Err(PortalError::Failed { what: format!("response {code}") }),
                Err(error) => Err(PortalError::Failed { what: error.to_string() }),
            };
        }
    }
}

fn refusal(error: BusError) -> PortalError {
    if error.is(&["ServiceUnknown", "NameHasNoOwner", "Spawn.ServiceNotFound", "NoReply"]) {
        return PortalError::NoPortal { reason: error.to_string() };
    }
    if error.is(&["UnknownMethod", "UnknownInterface", "UnknownObject"]) {
        return PortalError::NoShortcuts;
    }
    if error.is(&["portal.Error.NotAllowed"]) {
        return PortalError::Unnamed;
    }
    match error {
        BusError::Refused { .. } | BusError::Garbled(_) => PortalError::Failed { what: error.to_string() },
        BusError::Stopped | BusError::Gone(_) => PortalError::Gone { reason: error.to_string() },
    }
}

fn hear(signal: &Message, session: &OwnedObjectPath) -> Option<Told> {
    let header = signal.header();
    let body = signal.body();
    let edge = || {
        let (of, shortcut, timestamp, _): (OwnedObjectPath, String, u64, Properties) =
            body.deserialize().ok()?;
        (of == *session).then_some((shortcut, timestamp))
    };
    match (header.interface()?.as_str(), header.member()?.as_str()) {
        (SHORTCUTS, "Activated") => {
            edge().map(|(shortcut, timestamp)| Told::Activated { shortcut, timestamp })
        }
        (SHORTCUTS, "Deactivated") => {
            edge().map(|(shortcut, timestamp)| Told::Deactivated { shortcut, timestamp })
        }
        (SESSION, "Closed") => (header.path() == Some(&**session)).then_some(Told::Closed),
        ("org.freedesktop.DBus", "NameOwnerChanged") => is_gone(signal).then_some(Told::Gone),
        _ => None,
    }
}

/// Whether the portal's name lost its owner. Another owner at once is a portal that does not know us.
fn is_gone(owner_changed: &Message) -> bool {
    let body = owner_changed.body();
    body.deserialize::<(&str, &str, &str)>().is_ok_and(|(name, old, _)| name == PORTAL && !old.is_empty())
}

fn edge(device: DeviceId, slot: Slot, edge: Edge, at: Moment) -> Signal {
    Signal::Key { device, slot, edge, at }
}
