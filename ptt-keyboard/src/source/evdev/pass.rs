//! A keyboard that is taken from everybody else (`EVIOCGRAB`) and passed on to them through a uinput device, but for the
//! chord. Which keys that are is decided in [`super::sieve`], and when the keyboard is taken in [`super::claim`].
//!
//! * A thread of its own does nothing else, so a listener that waits never holds the user's typing up.
//! * Every key of the keyboard goes through here as a number, and is not kept.
//! * When this process ends, however it does, the kernel gives the keyboard back, removes the uinput device and lets go of
//!   what was down on it. Left Ctrl+Space+Escape, held for a second, give the keyboard back for as long as it is plugged in.
//! * The keyboard is taken while no key is down: who saw a key go down would wait for its release. What the others saw before
//!   that is not passed on. Where another program has taken it before us it is tried again at each event.
//! * It is taken a second after the uinput device was made, when the others read that, and is everybody's while its user is
//!   away: nothing is lost by that, for a keyboard that is not taken reaches whom it always did.

use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use ::evdev::raw_stream::RawDevice;
use ::evdev::uinput::VirtualDevice;
use ::evdev::{EventType, InputEvent, SynchronizationCode};
use ptt_messages::Moment;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use tracing::{debug, info, warn};

use super::claim::Claim;
use super::ioctl;
use super::probe::open_device;
use super::sieve::{KeyEvent, Sieve};
use super::twin::twin;
use crate::bus::Address;
use crate::chord::{DeviceId, Edge, Signal, Slots, Watched};
use crate::metrics::RESYNCS_TOTAL;
use crate::urgency;
use crate::wake::{Inbox, Stop, poll_until};

/// A keyboard whose keys are passed on. Dropping it gives the keyboard back.
#[derive(Debug)]
pub struct Passer {
    inbox: Arc<Inbox<Told>>,
    stop: Stop,
    away: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Told {
    Signal(Signal),
    /// No key is passed on any more.
    Ended(Errno),
}

/// What the thread works with.
struct Pass {
    id: DeviceId,
    name: String,
    watched: Watched,
    from: RawDevice,
    /// The same keyboard once more, to ask for its state: asking empties the queue of who asks.
    state: RawDevice,
    to: VirtualDevice,
    sieve: Sieve,
    claim: Claim,
    /// Whether the user of the windows is away.
    away: Arc<AtomicBool>,
    inbox: Arc<Inbox<Told>>,
    /// When it was taken: what is older was seen by the others.
    taken: Moment,
    /// It has been said that another program has it.
    said_busy: bool,
    /// The kernel's queue ran over, and the report that ends the hole has not come.
    in_hole: bool,
    packet: Vec<InputEvent>,
}

impl Passer {
    /// Makes the other device and starts to pass on what comes from the keyboard at `path`, but for `chords`.
    ///
    /// # Errors
    /// Why that cannot be done, as the end of a sentence.
    pub fn start(id: DeviceId, path: &Path, watched: &Watched, chords: &[Slots]) -> Result<Self, String> {
        let open = || {
            let opened = open_device(path).map_err(std::io::Error::from).and_then(RawDevice::from_fd);
            opened.map_err(|error| format!("it cannot be read: {error}"))
        };
        let (from, state) = (open()?, open()?);
        ioctl::use_monotonic_clock(from.as_fd())
            .map_err(|error| format!("its clock cannot be set: {error}"))?;
        let to = twin(&from)?;
        let (inbox, stop) = Inbox::new()
            .and_then(|inbox| Ok((Arc::new(inbox), Stop::new()?)))
            .map_err(|error| error.to_string())?;
        let codes = |chord: &Slots| chord.iter().map(|slot| watched.key(slot).code()).collect();
        let chords = chords.iter().map(codes).collect();
        let away = Arc::new(AtomicBool::new(false));
        let mut pass = Pass {
            id,
            name: from.name().unwrap_or_default().to_owned(),
            watched: watched.clone(),
            from,
            state,
            to,
            sieve: Sieve::new(chords),
            claim: Claim::new(Moment::now()),
            away: Arc::clone(&away),
            inbox: Arc::clone(&inbox),
            taken: Moment::default(),
            said_busy: false,
            in_hole: false,
            packet: Vec::new(),
        };
        let on = stop.clone();
        let run = move || {
            // The user's typing waits for it.
            urgency::ask(Address::System, &on);
            if let Some(errno) = failure(|| pass.run(&on)) {
                pass.inbox.put(Told::Ended(errno));
            }
        };
        let thread = std::thread::Builder::new().name("ptt-pass".to_owned()).spawn(run);
        Ok(Self { inbox, stop, away, thread: Some(thread.map_err(|error| error.to_string())?) })
    }

    /// Readable when [`Passer::read`] has something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inbox.fd()
    }

    /// Adds what the watched keys did.
    ///
    /// # Errors
    /// Why no key is passed on any more: with [`Errno::NODEV`] the keyboard is gone.
    pub fn read(&self, signals: &mut Vec<Signal>) -> Result<(), Errno> {
        self.inbox.take().into_iter().try_for_each(|told| match told {
            Told::Signal(signal) => {
                signals.push(signal);
                Ok(())
            }
            Told::Ended(errno) => Err(errno),
        })
    }

    /// Asks which keys are really down. The answer comes with what they did, after what had been done by then.
    pub fn ask(&self) {
        self.stop.nudge();
    }

    /// While the user of the windows is away the keyboard is everybody's.
    pub fn user_is_away(&self, away: bool) {
        self.away.store(away, Ordering::Release);
        self.stop.nudge();
    }

    /// As if passing on had failed.
    #[cfg(test)]
    pub fn fail(&self, errno: Errno) {
        self.inbox.put(Told::Ended(errno));
    }
}

impl Drop for Passer {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            // Whichever way it ended, its devices are closed: the keyboard is back.
            let _ = thread.join();
        }
    }
}

/// Why no key is passed on any more, where that is not because nobody wants it. A panic is a reason like any other: who is not
/// told of it would wait for keys for ever.
fn failure(run: impl FnOnce() -> std::io::Result<()>) -> Option<Errno> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        Err(_) => Some(Errno::IO),
    }
}

impl Pass {
    fn run(&mut self, stop: &Stop) -> std::io::Result<()> {
        loop {
            self.take_if_idle()?;
            let mut fds = [
                PollFd::from_borrowed_fd(stop.fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.from.as_fd(), PollFlags::IN),
            ];
            let due = self.claim.due(Moment::now());
            poll_until(&mut fds, due).map_err(std::io::Error::other)?;
            if stop.raised() {
                return self.give_back();
            }
            if !fds[0].revents().is_empty() {
                stop.heed();
                self.answer()?;
            }
            // Time is judged when all that the keys did is known: who was held up reads late that they were let go. What they
            // asked for by their own times needs none.
            if !self.read()? || self.claim.is_given_up() {
                self.give_back_if_due()?;
            }
        }
    }

    /// Reads what there is, or the first part of it; false where there is nothing.
    fn read(&mut self) -> std::io::Result<bool> {
        let events: Vec<InputEvent> = match self.from.fetch_events() {
            Ok(events) => events.collect(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        events.into_iter().try_for_each(|event| self.event(event))?;
        Ok(true)
    }

    /// Tells which keys are really down, when all that had been done by then has been told.
    fn answer(&mut self) -> std::io::Result<()> {
        loop {
            let down = self.down()?;
            if !self.read()? {
                self.tell_down(&down);
                return Ok(());
            }
        }
    }

    /// Takes the keyboard from the others, where no key is down.
    fn take_if_idle(&mut self) -> std::io::Result<()> {
        if self.from.is_grabbed() || !self.may_have_it() || !self.down()?.is_empty() {
            return Ok(());
        }
        // What is still in the queue was seen by the others. What comes between this and the next line is found by the second
        // look.
        self.taken = Moment::now();
        match self.from.grab() {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {
                if !std::mem::replace(&mut self.said_busy, true) {
                    warn!(
                        device = self.name,
                        "another program has this device for itself (a key remapper?): it is heard, and its chords are kept \
                         from the windows, when that program has given it back; until then only what that one passes on is heard"
                    );
                }
                return Ok(());
            }
            grabbed => grabbed?,
        }
        // One that went down in between was seen by the others.
        if !self.down()?.is_empty() {
            return self.from.ungrab();
        }
        info!(
            device = self.name,
            "the chord is kept from the windows; Left Ctrl+Space+Escape, held for a second, gives the device back"
        );
        Ok(())
    }

    fn may_have_it(&mut self) -> bool {
        self.claim.stands(Moment::now(), self.away.load(Ordering::Acquire))
    }

    fn give_back_if_due(&mut self) -> std::io::Result<()> {
        if !self.from.is_grabbed() || self.may_have_it() {
            return Ok(());
        }
        self.give_back()?;
        if self.claim.is_given_up() {
            warn!(device = self.name, "given back: Left Ctrl, Space and Escape were held together");
        } else {
            info!(device = self.name, "given back until its user is here again");
        }
        Ok(())
    }

    fn give_back(&mut self) -> std::io::Result<()> {
        let mut rest = Vec::new();
        self.sieve.end(&mut rest);
        self.packet.clear();
        self.claim.way_out(false, Moment::now());
        self.tell(&rest)?;
        self.from.ungrab()
    }

    fn event(&mut self, event: InputEvent) -> std::io::Result<()> {
        let kind = event.event_type();
        if kind == EventType::SYNCHRONIZATION {
            return match SynchronizationCode(event.code()) {
                SynchronizationCode::SYN_DROPPED => {
                    self.in_hole = true;
                    self.packet.clear();
                    Ok(())
                }
                SynchronizationCode::SYN_REPORT if self.in_hole => self.resync(),
                SynchronizationCode::SYN_REPORT => self.flush(),
                _ => Ok(()),
            };
        }
        if self.in_hole {
            return Ok(());
        }
        let since_boot = event.timestamp().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = Moment::default() + since_boot;
        if kind == EventType::KEY {
            self.signal(&event, at);
        }
        if !self.from.is_grabbed() || at < self.taken {
            return Ok(());
        }
        if kind == EventType::KEY {
            let mut tell = Vec::new();
            self.sieve.step((event.code(), event.value()), &mut tell);
            self.claim.way_out(self.sieve.wants_out(), at);
            self.packet.extend(reports(&tell));
        } else {
            self.packet.push(event);
        }
        Ok(())
    }

    fn signal(&self, event: &InputEvent, at: Moment) {
        let Some(slot) = self.watched.slot(event.code()) else { return };
        let edge = match event.value() {
            0 => Edge::Up,
            1 => Edge::Down,
            _ => Edge::Repeat,
        };
        self.inbox.put(Told::Signal(Signal::Key { device: self.id, slot, edge, at }));
    }

    /// The end of a report: what it holds is passed on as one.
    fn flush(&mut self) -> std::io::Result<()> {
        let packet = std::mem::take(&mut self.packet);
        // The scan code of a key that was kept says nothing by itself.
        let speaks = packet.iter().any(|event| event.event_type() != EventType::MISC);
        if self.from.is_grabbed() && speaks { self.to.emit(&packet) } else { Ok(()) }
    }

    fn resync(&mut self) -> std::io::Result<()> {
        self.in_hole = false;
        debug!(device = self.name, "the kernel's queue ran over: reading the true key state");
        metrics::counter!(RESYNCS_TOTAL).increment(1);
        let down = self.down()?;
        self.tell_down(&down);
        let mut tell = Vec::new();
        if self.from.is_grabbed() {
            self.sieve.resync(down, &mut tell);
            self.claim.way_out(self.sieve.wants_out(), Moment::now());
        }
        self.tell(&tell)
    }

    /// The keys that are down. What is in the queue stays there.
    fn down(&self) -> std::io::Result<Vec<u16>> {
        Ok(self.state.get_key_state()?.iter().map(|key| key.code()).collect())
    }

    fn tell_down(&self, down: &[u16]) {
        let down: Slots = down.iter().filter_map(|code| self.watched.slot(*code)).collect();
        self.inbox.put(Told::Signal(Signal::Actual { device: self.id, down, at: Moment::now() }));
    }

    fn tell(&mut self, keys: &[KeyEvent]) -> std::io::Result<()> {
        let events = reports(keys);
        if events.is_empty() { Ok(()) } else { self.to.emit(&events) }
    }
}

/// The events of these keys, each but the last with the end of its report: in one report the order of keys is not promised to
/// mean anything, and a key that goes down and up in it may be overlooked.
fn reports(keys: &[KeyEvent]) -> Vec<InputEvent> {
    let mut events = Vec::new();
    for (n, &(code, value)) in keys.iter().enumerate() {
        if n > 0 {
            let end = SynchronizationCode::SYN_REPORT.0;
            events.push(InputEvent::new(EventType::SYNCHRONIZATION.0, end, 0));
        }
        events.push(InputEvent::new(EventType::KEY.0, code, value));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_it_as_an_error_does() {
        assert_eq!(failure(|| Ok(())), None);
        assert_eq!(failure(|| Err(Errno::NODEV.into())), Some(Errno::NODEV));
        assert_eq!(failure(|| panic!("a test's")), Some(Errno::IO));
    }
}
