//! An X server's keyboard and mouse: needs no permission beyond the session's.
//!
//! * XInput 2 raw events: a key is seen whatever window has the focus and whoever has grabbed the keyboard. The server has no
//!   filter for them, so it sends us the numbers of *all* keys; those of no watched key are dropped where they are read
//!   ([`X11Source::event`]) and never become a value of this program. Who minds uses `evdev`, whose filter is the kernel's.
//! * Raw events have no auto-repeat. A press of a key that is down is taken as one all the same.
//! * The server's times are on our clock in whole milliseconds ([`clock`]), checked when it is opened: latencies that are
//!   measured from them are up to 1 ms too long. Where the server runs elsewhere an edge is timed when it is read.
//! * `XQueryKeymap` at opening and, while the chord is held, every 100 ms by the listener; for buttons `XIQueryDevice`. With the
//!   desktop's Slow Keys the server takes a key for pressed only after a while: until then it cannot tell that one is up.
//! * A chord that another program has grabbed is heard and named: that program may act on it too.
//! * With `swallow` a passive grab keeps the chord from the windows ([`swallow`]), of a chord of several keys the last one
//!   ([`last_key`]); what is heard does not depend on it, and the server lets go of it when the connection ends. A chord that
//!   another program has grabbed is asked for again. A chord that cannot be kept is named in the log, and heard.
//! * A server that dies or hangs is an error, never an exit; the keyboard's actor opens the source again.

mod clock;
mod error;
mod last_key;
mod layout;
mod link;
mod swallow;

use std::os::fd::AsFd;
use std::time::Duration;

use ptt_messages::Moment;
use rustix::event::{PollFd, PollFlags};
use tracing::{debug, info, warn};
use x11rb::connection::{Connection as _, SequenceNumber};
use x11rb::errors::ReplyError;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{self, ConnectionExt as _, DeviceType, XIEventMask};
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{self, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, WindowClass};
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT};

pub use self::error::X11Error;

use self::clock::Clock;
use self::last_key::LastKey;
use self::layout::{Layout, Names};
use self::link::Link;
use self::swallow::Grabs;
use super::{Backend, KeySource};
use crate::chord::{DeviceId, Edge, Signal, Slot, Slots, Watched};
use crate::wake::{Stop, earlier, poll_until};
use crate::{KeyboardConfig, KeyboardError};

/// The session's keyboard and pointer, as one device: the server merges what is plugged in.
const SEAT: DeviceId = DeviceId(0);
/// How soon a chord that another program has is asked for again.
const GRAB_AGAIN: Duration = Duration::from_secs(5);
/// How often the true key state is read while a key of a chord is grabbed because the others are down:
/// with a release that was lost it would be gone from the windows.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// A session on an X server.
#[derive(Debug)]
pub struct X11Source {
    link: Link,
    root: xproto::Window,
    keyboard: xinput::DeviceId,
    pointer: xinput::DeviceId,
    watched: Watched,
    swallow: bool,
    layout: Layout,
    /// How often the numbers were looked up anew.
    renumbered: u64,
    /// What is taken from the windows.
    grabs: Grabs,
    /// The progress of the chords that are kept step by step.
    last_key: LastKey,
    /// The keys of theirs that are grabbed now.
    grabbed: Slots,
    /// When the true key state is read because of these.
    check_due: Option<Moment>,
    /// Those that another program has for itself, so that it is said once.
    refused: Slots,
    /// The chords of it that another program has.
    owned: Vec<String>,
    /// When those are asked for again.
    grab_due: Option<Moment>,
    clock: Clock,
    stop: Stop,
    /// The watched keys that are down, by their edges.
    down: Slots,
    /// Those of them that the server had down too when it was asked.
    confirmed: Slots,
    /// An event that came after the answer that was waited for.
    later: Option<(Event, SequenceNumber)>,
    /// What opening found, for the first wait.
    first: Vec<Signal>,
}

/// What is down, by the server's numbers.
struct Answer {
    keys: [u8; 32],
    buttons: Vec<u32>,
    /// The requests that were answered: an event with this number or a higher one is newer.
    keys_to: SequenceNumber,
    buttons_to: SequenceNumber,
}

/// An edge of any key or button: lives as long as it takes to look its number up.
struct Raw {
    is_button: bool,
    number: u32,
    is_down: bool,
    time: xproto::Timestamp,
}

impl X11Source {
    /// Listens to the server that `DISPLAY` names.
    ///
    /// # Errors
    /// There is no such server, it does not let us in, or it cannot tell one of the watched keys.
    pub fn open(config: &KeyboardConfig, watched: &Watched, stop: &Stop) -> Result<Self, KeyboardError> {
        Self::open_on(None, config, watched, stop)
    }

    /// As [`X11Source::open`] on a named `display`.
    pub(super) fn open_on(
        display: Option<&str>,
        config: &KeyboardConfig,
        watched: &Watched,
        stop: &Stop,
    ) -> Result<Self, KeyboardError> {
        // Before anybody is asked: a chord that X11 cannot tell is wrong on every server.
        check(watched)?;
        let (link, screen) = link::connect(display, stop)?;
        let root = link::root(&link, screen);
        let (keyboard, pointer) = greet(&link)?;
        let clock = look_at_clock(&link, root)?;
        if clock == Clock::Foreign {
            info!("the X server's clock is not this machine's: edges are timed when they are read");
        }
        let mut source = Self {
            layout: Layout::new(watched, &read_names(&link)?)?,
            link,
            root,
            keyboard,
            pointer,
            watched: watched.clone(),
            swallow: config.swallow,
            renumbered: 0,
            grabs: Grabs::default(),
            last_key: LastKey::default(),
            grabbed: Slots::NONE,
            check_due: None,
            refused: Slots::NONE,
            owned: Vec::new(),
            grab_due: None,
            clock,
            stop: stop.clone(),
            down: Slots::NONE,
            confirmed: Slots::NONE,
            later: None,
            first: Vec::new(),
        };
        source.select()?;
        let taken = source.take_from_windows();
        source.or_without_swallow(taken)?;
        source.say_what_is_kept();
        let (down, mut first) = (source.ask(&mut Vec::new())?, Vec::new());
        source.down = down;
        first.push(Signal::Opened { device: SEAT, down, at: Moment::now() });
        source.first = first;
        Ok(source)
    }

    /// Asks for edges of keys, of buttons only where one is watched, and for changes of the numbers, of the modifiers only
    /// where a grab hangs on them.
    fn select(&self) -> Result<(), X11Error> {
        let mask = |deviceid, mask| xinput::EventMask { deviceid, mask: vec![mask] };
        let mut masks = vec![mask(self.keyboard, XIEventMask::RAW_KEY_PRESS | XIEventMask::RAW_KEY_RELEASE)];
        if !self.layout.buttons().is_empty() {
            masks.push(mask(self.pointer, XIEventMask::RAW_BUTTON_PRESS | XIEventMask::RAW_BUTTON_RELEASE));
        }
        self.link.xinput_xi_select_events(self.root, &masks)?.check()?;
        let (numbers, names) = (xkb::NKNDetail::KEYCODES, xkb::NameDetail::KEY_NAMES);
        let details = xkb::SelectEventsAux::new()
            .new_keyboard_notify(xkb::SelectEventsAuxNewKeyboardNotify {
                affect_new_keyboard: numbers,
                new_keyboard_details: numbers,
            })
            .names_notify(xkb::SelectEventsAuxNamesNotify { affect_names: names, names_details: names });
        let none = (xkb::EventType::from(0_u16), xkb::MapPart::from(0_u16));
        let (all, map) =
            if self.swallow { (xkb::EventType::MAP_NOTIFY, xkb::MapPart::MODIFIER_MAP) } else { none };
        let core = xkb::ID::USE_CORE_KBD.into();
        self.link.xkb_select_events(core, none.0, all, map, map, &details)?.check()?;
        Ok(())
    }

    /// Keeps the chords from the windows, where that is wanted, anew where the numbers or the modifiers are others than before;
    /// says which of them are not ours alone.
    fn take_from_windows(&mut self) -> Result<(), KeyboardError> {
        let masters = (self.keyboard, self.pointer);
        let owned = if self.swallow {
            let grabs = swallow::grabs(&self.link, masters, &self.watched, &self.layout)?;
            if grabs == self.grabs {
                return Ok(());
            }
            swallow::let_go(&self.link, self.root, masters)?;
            let owned = swallow::take(&self.link, self.root, &grabs.fixed)?;
            self.last_key = LastKey::new(grabs.stepwise.iter().copied());
            (self.grabs, self.grabbed, self.refused) = (grabs, Slots::NONE, Slots::NONE);
            owned
        } else {
            match swallow::look(&self.link, self.root, masters, &self.watched, &self.layout) {
                Err(X11Error::Protocol { reason }) => {
                    debug!(reason, "whose the chords are is not known");
                    return Ok(());
                }
                owned => owned?,
            }
        };
        for chord in owned.iter().filter(|chord| !self.owned.contains(chord)) {
            warn!(
                chord,
                "another program has this chord for itself (a shortcut of the desktop?): it is heard all the same, and that \
                 program may act on it too; free it there, or choose another chord"
            );
        }
        self.grab_due = (self.swallow && !owned.is_empty()).then(|| Moment::now() + GRAB_AGAIN);
        self.owned = owned;
        Ok(())
    }

    /// Where the server refuses a request for a grab the chords are heard all the same.
    fn or_without_swallow(&mut self, result: Result<(), KeyboardError>) -> Result<(), KeyboardError> {
        let Err(KeyboardError::X11(X11Error::Protocol { reason })) = result else { return result };
        warn!(
            reason,
            "keyboard.swallow has no effect: the X server refuses to keep the chords from the windows"
        );
        self.swallow = false;
        (self.grabs, self.last_key, self.grabbed) = (Grabs::default(), LastKey::default(), Slots::NONE);
        (self.grab_due, self.check_due) = (None, None);
        swallow::let_go(&self.link, self.root, (self.keyboard, self.pointer)).or_else(|error| {
            // It refuses this too, so there is nothing to let go.
            if matches!(error, X11Error::Protocol { .. }) { Ok(()) } else { Err(error.into()) }
        })
    }

    /// Says of which chords some keys reach the windows all the same.
    fn say_what_is_kept(&self) {
        for chord in self.watched.chords().iter().filter(|chord| self.grabs.stepwise.contains(&chord.slots)) {
            info!(
                chord = self.watched.describe(chord),
                "only the key that completes this chord is kept from the windows: those pressed before it reach \
                 them once, and so does one that goes down at the same moment; backend = \"evdev\" passes other keys on \
                 while the chord is held, X11 does not"
            );
        }
    }

    /// Grabs the keys that would complete a chord now, and gives the others back.
    fn grab_last_keys(&mut self) -> Result<(), X11Error> {
        let wanted = self.last_key.step(self.down);
        if wanted == self.grabbed {
            return Ok(());
        }
        let (new, old) = (wanted.without(self.grabbed), self.grabbed.without(wanted));
        for (slot, grab) in &self.grabs.keys {
            if old.has(*slot) {
                swallow::give_key_back(&self.link, self.root, grab, &self.grabs.fixed)?;
            } else if new.has(*slot) {
                let is_ours = swallow::take_key(&self.link, self.root, grab)?;
                if !is_ours && !self.refused.has(*slot) {
                    self.refused = self.refused.with(*slot);
                    warn!(
                        chord = grab.chord,
                        key = %self.watched.key(*slot),
                        "another program has this key for itself: the chord is heard, but not kept from the windows"
                    );
                }
            }
        }
        self.grabbed = wanted;
        self.check_due = (!wanted.is_empty()).then(|| Moment::now() + CHECK_EVERY);
        Ok(())
    }

    /// Asks again for the chords that another program had: it may have been one that was just ending.
    fn grab_again(&mut self, now: Moment) -> Result<(), KeyboardError> {
        let refused = self.grabs.fixed.iter().filter(|grab| self.owned.contains(&grab.chord));
        let owned = swallow::take(&self.link, self.root, refused)?;
        for chord in self.owned.iter().filter(|chord| !owned.contains(chord)) {
            info!(chord, "the other program has given the chord back: it is kept from the windows now");
        }
        self.grab_due = (!owned.is_empty()).then(|| now + GRAB_AGAIN);
        self.owned = owned;
        Ok(())
    }

    /// The keyboard has other numbers now, or other modifiers: looks them up.
    fn renumber(&mut self, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        let layout = Layout::new(&self.watched, &read_names(&self.link)?)?;
        if layout == self.layout {
            return if self.swallow { self.take_from_windows() } else { Ok(()) };
        }
        debug!("the X server numbers its keys anew");
        self.layout = layout;
        self.renumbered += 1;
        self.take_from_windows()?;
        // What is held was told by the old numbers.
        signals.push(Signal::Lost { device: SEAT, at: Moment::now() });
        self.down = self.ask(signals)?;
        signals.push(Signal::Opened { device: SEAT, down: self.down, at: Moment::now() });
        Ok(())
    }

    /// Takes in what has come, up to the answer to the request `before`.
    fn take(
        &mut self,
        before: Option<SequenceNumber>,
        signals: &mut Vec<Signal>,
    ) -> Result<(), KeyboardError> {
        loop {
            let next = match self.later.take() {
                Some(kept) => Some(kept),
                None => self.link.poll_for_event_with_sequence().map_err(X11Error::from)?,
            };
            let Some((event, sequence)) = next else { return Ok(()) };
            if before.is_none_or(|before| sequence < before) {
                self.event(&event, signals)?;
            } else if Raw::of(&event).is_none_or(|raw| self.slot(&raw).is_some()) {
                self.later = Some((event, sequence));
                return Ok(());
            }
        }
    }

    /// Takes one event in. Here numbers of keys that are not ours end.
    fn event(&mut self, event: &Event, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        let Some(raw) = Raw::of(event) else {
            if let Event::Error(error) = event {
                debug!(?error, "the X server refused a request");
            }
            let renumbered = matches!(
                event,
                Event::XkbNewKeyboardNotify(_) | Event::XkbNamesNotify(_) | Event::XkbMapNotify(_)
            );
            return if renumbered { self.renumber(signals) } else { Ok(()) };
        };
        let Some(slot) = self.slot(&raw) else { return Ok(()) };
        let edge = match (raw.is_down, self.down.has(slot)) {
            (true, false) => Edge::Down,
            (true, true) => Edge::Repeat,
            (false, _) => Edge::Up,
        };
        if raw.is_down {
            (self.down, self.confirmed) = (self.down.with(slot), self.confirmed.without(slot.into()));
        } else {
            self.down = self.down.without(slot.into());
        }
        let at = self.clock.moment(raw.time, Moment::now());
        signals.push(Signal::Key { device: SEAT, slot, edge, at });
        Ok(())
    }

    fn slot(&self, raw: &Raw) -> Option<Slot> {
        if raw.is_button { self.layout.button(raw.number) } else { self.layout.key(raw.number) }
    }

    /// Asks what is down until there is an answer that holds.
    fn ask(&mut self, signals: &mut Vec<Signal>) -> Result<Slots, KeyboardError> {
        loop {
            let answer = self.question().map_err(X11Error::from)?;
            if let Some(down) = self.settle(&answer, signals)? {
                self.confirmed = self.confirmed.or(down);
                return Ok(down);
            }
        }
    }

    /// Takes in the edges that came before an answer, because a newer edge must not be undone by it, and says what it comes
    /// to. `None` where it does not hold: keys and buttons are two answers, and an edge between them is in one and not in the
    /// other; and where the numbers were looked up anew a newer answer has been taken in.
    fn settle(&mut self, answer: &Answer, signals: &mut Vec<Signal>) -> Result<Option<Slots>, KeyboardError> {
        let renumbered = self.renumbered;
        self.take(Some(answer.keys_to), signals)?;
        let before = signals.len();
        self.take(Some(answer.buttons_to), signals)?;
        let holds = signals.len() == before && self.renumbered == renumbered;
        Ok(holds.then(|| self.layout.down(&answer.keys, &answer.buttons)))
    }

    fn question(&self) -> Result<Answer, ReplyError> {
        let (keys, keys_to) = self.keys()?;
        let without = self.layout.buttons().is_empty();
        let (buttons, buttons_to) = if without { (Vec::new(), keys_to) } else { self.buttons()? };
        Ok(Answer { keys, keys_to, buttons, buttons_to })
    }

    fn keys(&self) -> Result<([u8; 32], SequenceNumber), ReplyError> {
        let asked = self.link.query_keymap()?;
        let to = asked.sequence_number();
        Ok((asked.reply()?.keys, to))
    }

    fn buttons(&self) -> Result<(Vec<u32>, SequenceNumber), ReplyError> {
        let asked = self.link.xinput_xi_query_device(self.pointer)?;
        let to = asked.sequence_number();
        let classes = asked.reply()?.infos.into_iter().flat_map(|info| info.classes);
        let mut states = classes.filter_map(|class| class.data.as_button().map(|b| b.state.clone()));
        Ok((states.next().unwrap_or_default(), to))
    }
}

impl KeySource for X11Source {
    fn backend(&self) -> Backend {
        Backend::X11
    }

    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        if !self.first.is_empty() {
            signals.append(&mut self.first);
            return Ok(());
        }
        // The press that the last call gave has been told: from here on it is kept from the windows.
        let grabbed = self.grab_last_keys().map_err(KeyboardError::from);
        self.or_without_swallow(grabbed)?;
        let before = signals.len();
        // What came with an earlier answer rings no bell.
        self.take(None, signals)?;
        if signals.len() == before {
            let input = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
            let until = earlier(until, earlier(self.grab_due, self.check_due));
            poll_until(&mut [input(self.stop.fd()), input(self.link.stream().as_fd())], until)?;
            self.take(None, signals)?;
        }
        let now = Moment::now();
        if self.grab_due.is_some_and(|due| due <= now) {
            self.grab_again(now)?;
        }
        if self.check_due.is_some_and(|due| due <= now) {
            self.check_due = Some(now + CHECK_EVERY);
            self.actual(signals)?;
        }
        Ok(())
    }

    fn actual(&mut self, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        let asked = self.ask(signals)?;
        let unconfirmed = self.down.without(self.confirmed);
        let slow = !unconfirmed.is_empty() && has_slow_keys(&self.link)?;
        self.down = if slow { asked.or(unconfirmed) } else { asked };
        signals.push(Signal::Actual { device: SEAT, down: self.down, at: Moment::now() });
        Ok(())
    }

    fn stamps_at_origin(&self) -> bool {
        self.clock == Clock::Ours
    }
}

impl Raw {
    fn of(event: &Event) -> Option<Self> {
        let key = |e: &xinput::RawKeyPressEvent, is_down| Self {
            is_button: false,
            number: e.detail,
            is_down,
            time: e.time,
        };
        let button = |e: &xinput::RawButtonPressEvent, is_down| Self {
            is_button: true,
            number: e.detail,
            is_down,
            time: e.time,
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "x11rb knows a hundred events")]
        match event {
            Event::XinputRawKeyPress(e) => Some(key(e, true)),
            Event::XinputRawKeyRelease(e) => Some(key(e, false)),
            Event::XinputRawButtonPress(e) => Some(button(e, true)),
            Event::XinputRawButtonRelease(e) => Some(button(e, false)),
            _ => None,
        }
    }
}

/// Whether X11 has numbers for all these keys.
///
/// # Errors
/// [`KeyboardError::Unseen`] names the others.
pub(crate) fn check(watched: &Watched) -> Result<(), KeyboardError> {
    Layout::new(watched, &Names::default()).map(drop)
}

/// Agrees on the extensions and gives the session's keyboard and pointer.
fn greet(link: &Link) -> Result<(xinput::DeviceId, xinput::DeviceId), X11Error> {
    let lacks = |what| X11Error::Lacks { what };
    let version = link.xinput_xi_query_version(2, 2)?.reply()?;
    // Before 2.1 raw events stay away while somebody has grabbed the keyboard.
    if (version.major_version, version.minor_version) < (2, 1) {
        return Err(lacks("XInput 2.1"));
    }
    if !link.xkb_use_extension(1, 0)?.reply()?.supported {
        return Err(lacks("XKEYBOARD 1.0"));
    }
    let all = link.xinput_xi_query_device(xinput::Device::ALL_MASTER)?.reply()?.infos;
    // The first pair is the one of a client that did not choose another, so the one that `XQueryKeymap` speaks of.
    let pointer = all.iter().find(|info| info.type_ == DeviceType::MASTER_POINTER);
    pointer.map(|info| (info.attachment, info.deviceid)).ok_or_else(|| lacks("keyboard"))
}

/// A round trip through a property of a window of ours: the server's time between two of ours.
fn look_at_clock(link: &Link, root: xproto::Window) -> Result<Clock, X11Error> {
    let window = link.generate_id()?;
    let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    let class = WindowClass::INPUT_ONLY;
    let depth = COPY_DEPTH_FROM_PARENT;
    link.create_window(depth, window, root, 0, 0, 1, 1, 0, class, COPY_FROM_PARENT, &aux)?;
    let asked = Moment::now();
    let (name, text) = (xproto::AtomEnum::WM_NAME, xproto::AtomEnum::STRING);
    link.change_property8(PropMode::APPEND, window, name, text, b"")?.check()?;
    let answered = Moment::now();
    link.destroy_window(window)?;
    while let Some(event) = link.poll_for_event()? {
        if let Event::PropertyNotify(told) = event {
            return Ok(Clock::judge(told.time, asked, answered));
        }
    }
    Ok(Clock::Foreign)
}

/// Whether the server has every press wait (an accessibility setting).
fn has_slow_keys(link: &Link) -> Result<bool, X11Error> {
    let told = link.xkb_get_controls(xkb::ID::USE_CORE_KBD.into())?.reply()?;
    Ok(u32::from(told.enabled_controls) & u32::from(xkb::BoolCtrl::SLOW_KEYS) != 0)
}

fn read_names(link: &Link) -> Result<Names, X11Error> {
    let which = xkb::NameDetail::KEY_NAMES;
    let told = link.xkb_get_names(xkb::ID::USE_CORE_KBD.into(), which)?.reply()?;
    let names = told.value_list.key_names.unwrap_or_default();
    Ok(Names { first: told.first_key, names: names.into_iter().map(|key| key.name).collect() })
}

impl From<X11Error> for KeyboardError {
    fn from(error: X11Error) -> Self {
        Self::X11(error)
    }
}

#[cfg(test)]
mod rig;
#[cfg(test)]
mod tests;
