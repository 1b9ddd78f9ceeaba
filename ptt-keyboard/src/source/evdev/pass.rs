//! A keyboard that is taken from everybody else (`EVIOCGRAB`) and passed on to them through a uinput device, but for the
//! chord. Which keys that are is decided in [`super::sieve`].
//!
//! * A thread of its own does nothing else, so a listener that waits never holds the user's typing up.
//! * Every key of the keyboard goes through here as a number, and is not kept.
//! * When this process ends, however it does, the kernel gives the keyboard back, removes the uinput device and lets go of
//!   what was down on it. Left Ctrl+Space+Escape together give the keyboard back at once and for as long as it is plugged in.
//! * The keyboard is taken while no key is down: who saw a key go down would wait for its release.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use ::evdev::raw_stream::RawDevice;
use ::evdev::uinput::VirtualDevice;
use ::evdev::{EventType, InputEvent, SynchronizationCode};
use ptt_messages::Moment;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use tracing::{info, warn};

use super::ioctl::{self, KeyBits};
use super::probe::{PASSED_ON, open_device};
use super::sieve::{KeyEvent, Sieve};
use crate::bus::Address;
use crate::chord::{DeviceId, Edge, Signal, Slots, Watched};
use crate::urgency;
use crate::wake::{Inbox, Stop, poll_until};

/// A keyboard whose keys are passed on. Dropping it gives the keyboard back.
#[derive(Debug)]
pub struct Passer {
    inbox: Arc<Inbox<Told>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Told {
    Signal(Signal),
    Gone(Errno),
}

/// What the thread works with.
struct Pass {
    id: DeviceId,
    name: String,
    watched: Watched,
    from: RawDevice,
    /// The same keyboard once more, to ask for its state: asking empties the queue of who asks.
    state: OwnedFd,
    to: VirtualDevice,
    sieve: Sieve,
    inbox: Arc<Inbox<Told>>,
    /// The user wanted it back.
    given_up: bool,
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
        let open = || open_device(path).map_err(|error| format!("it cannot be read: {error}"));
        let (fd, state) = (open()?, open()?);
        ioctl::use_monotonic_clock(fd.as_fd())
            .map_err(|error| format!("its clock cannot be set: {error}"))?;
        let from = RawDevice::from_fd(fd).map_err(|error| format!("it cannot be read: {error}"))?;
        let to = twin(&from)?;
        let (inbox, stop) = Inbox::new()
            .and_then(|inbox| Ok((Arc::new(inbox), Stop::new()?)))
            .map_err(|error| error.to_string())?;
        let codes = |chord: &Slots| chord.iter().map(|slot| watched.key(slot).code()).collect();
        let chords = chords.iter().map(codes).collect();
        let mut pass = Pass {
            id,
            name: from.name().unwrap_or_default().to_owned(),
            watched: watched.clone(),
            from,
            state,
            to,
            sieve: Sieve::new(chords),
            inbox: Arc::clone(&inbox),
            given_up: false,
            in_hole: false,
            packet: Vec::new(),
        };
        let on = stop.clone();
        let run = move || {
            // The user's typing waits for it.
            urgency::ask(Address::System, &on);
            if let Err(error) = pass.run(&on) {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::NODEV);
                pass.inbox.put(Told::Gone(errno));
            }
        };
        let thread = std::thread::Builder::new().name("ptt-pass".to_owned()).spawn(run);
        Ok(Self { inbox, stop, thread: Some(thread.map_err(|error| error.to_string())?) })
    }

    /// Readable when [`Passer::read`] has something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inbox.fd()
    }

    /// Adds what the watched keys did.
    ///
    /// # Errors
    /// The keyboard is gone.
    pub fn read(&self, signals: &mut Vec<Signal>) -> Result<(), Errno> {
        self.inbox.take().into_iter().try_for_each(|told| match told {
            Told::Signal(signal) => {
                signals.push(signal);
                Ok(())
            }
            Told::Gone(errno) => Err(errno),
        })
    }
}

impl Drop for Passer {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            // A panic in it has closed its devices: the keyboard is back.
            let _ = thread.join();
        }
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
            poll_until(&mut fds, None).map_err(std::io::Error::other)?;
            if stop.raised() {
                return self.give_back();
            }
            let events: Vec<InputEvent> = match self.from.fetch_events() {
                Ok(events) => events.collect(),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            events.into_iter().try_for_each(|event| self.event(event))?;
            if self.from.is_grabbed() && self.sieve.wants_out() {
                self.given_up = true;
                self.give_back()?;
                warn!(device = self.name, "given back: Left Ctrl, Space and Escape were held together");
            }
        }
    }

    /// Takes the keyboard from the others, where no key is down.
    fn take_if_idle(&mut self) -> std::io::Result<()> {
        let idle = |state: &OwnedFd| Ok::<_, Errno>(ioctl::keys_down(state.as_fd())? == KeyBits::NONE);
        if self.from.is_grabbed() || self.given_up || !idle(&self.state)? {
            return Ok(());
        }
        self.from.grab()?;
        // One that went down in between was seen by the others.
        if !idle(&self.state)? {
            return self.from.ungrab();
        }
        info!(
            device = self.name,
            "the chord is kept from the windows; Left Ctrl+Space+Escape gives the device back"
        );
        Ok(())
    }

    fn give_back(&mut self) -> std::io::Result<()> {
        let mut rest = Vec::new();
        self.sieve.end(&mut rest);
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
        if kind != EventType::KEY {
            self.packet.push(event);
            return Ok(());
        }
        self.signal(&event);
        if self.from.is_grabbed() {
            let mut tell = Vec::new();
            self.sieve.step((event.code(), event.value()), &mut tell);
            self.packet.extend(tell.into_iter().map(key_event));
        }
        Ok(())
    }

    fn signal(&self, event: &InputEvent) {
        let Some(slot) = self.watched.slot(event.code()) else { return };
        let edge = match event.value() {
            0 => Edge::Up,
            1 => Edge::Down,
            _ => Edge::Repeat,
        };
        let since_boot = event.timestamp().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = Moment::default() + since_boot;
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
        let down: Vec<u16> = self.from.get_key_state()?.iter().map(|key| key.code()).collect();
        let slots: Slots = down.iter().filter_map(|code| self.watched.slot(*code)).collect();
        let signal = Signal::Actual { device: self.id, down: slots, at: Moment::now() };
        self.inbox.put(Told::Signal(signal));
        let mut tell = Vec::new();
        if self.from.is_grabbed() {
            self.sieve.resync(down, &mut tell);
        }
        self.tell(&tell)
    }

    fn tell(&mut self, keys: &[KeyEvent]) -> std::io::Result<()> {
        let events: Vec<InputEvent> = keys.iter().copied().map(key_event).collect();
        if events.is_empty() { Ok(()) } else { self.to.emit(&events) }
    }
}

fn key_event((code, value): KeyEvent) -> InputEvent {
    InputEvent::new(EventType::KEY.0, code, value)
}

/// A uinput device with the keys of a keyboard or mouse. Lights need none: whoever lights them writes to the real one too.
fn twin(of: &RawDevice) -> Result<VirtualDevice, String> {
    if of.supported_absolute_axes().is_some()
        || of.supported_switches().is_some()
        || of.supported_ff().is_some()
    {
        return Err("only keyboards and mice can be passed on".to_owned());
    }
    let uinput = |error: std::io::Error| {
        format!(
            "uinput refuses ({error}); give yourself write access to /dev/uinput, with the module uinput loaded"
        )
    };
    // uinput takes 79 bytes.
    let name: String = format!("{PASSED_ON}{}", of.name().unwrap_or_default())
        .chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes < 78).then_some(c)
        })
        .collect();
    let mut builder = VirtualDevice::builder().map_err(uinput)?.name(&name).input_id(of.input_id());
    if let Some(keys) = of.supported_keys() {
        builder = builder.with_keys(keys).map_err(uinput)?;
    }
    if let Some(axes) = of.supported_relative_axes() {
        builder = builder.with_relative_axes(axes).map_err(uinput)?;
    }
    if let Some(misc) = of.misc_properties() {
        builder = builder.with_msc(misc).map_err(uinput)?;
    }
    builder.with_properties(of.properties()).and_then(|b| b.build()).map_err(uinput)
}
