//! The crate `inputbot` 0.6 (libinput through udev), for machines where it is what works. Prefer `evdev`.
//!
//! What it cannot do, and what is done about it here:
//! * It looks every 10 ms: an edge is told 0-10 ms late, carries no time of its own and gets the time we hear of it. The design
//!   target of 10 ms for key detection is missed at the tail, and the true latency cannot be measured from inside.
//! * It tells presses only. Releases are found by asking `is_pressed` every millisecond, while a watched key is down.
//! * Each press comes on a new thread; two quick ones may come in either order. A chord does not mind.
//! * Its table of keys mixes two numberings: of the arrows it sees those of the **numeric keypad** only (`KP2`, `KP4`, `KP6`, `KP8`),
//!   and it knows no Alt, right Ctrl, Super, F11 and up, or media keys. Such a chord is refused when the source is opened.
//! * A device that may not be read is skipped without a word, so that is looked up first.
//! * It panics where libinput fails: it runs on a thread of its own, and a panic ends this source with an error.
//! * It has a table of every key that was ever pressed, with whether it is down: which keys those were is in our memory.
//! * Its bindings are global: one such source per process at a time.
//! * The bound key reaches the focused program too; `devices` of the configuration is not heeded.
//!
//! Its functions that press keys make a uinput device or ask the X server and panic without one: they are never called.

use std::collections::HashSet;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ptt_messages::Moment;

use self::table::Bound;
use super::evdev::probe::list_devices;
use super::{Backend, KeySource};
use crate::chord::{DeviceId, Edge, Signal, Slot, Watched};
use crate::wake::{Inbox, Stop, earlier};
use crate::{KeyboardConfig, KeyboardError, panic_text};

mod table;

/// Everything libinput sees, as one device: it does not tell them apart.
const SEAT: DeviceId = DeviceId(0);

/// How often a key that is down is asked whether it still is.
const ASK_EVERY: Duration = Duration::from_millis(1);

static IN_USE: AtomicBool = AtomicBool::new(false);

/// Watched keys, bound in `inputbot`.
#[derive(Debug)]
pub struct InputbotSource {
    bound: Vec<(Slot, Bound)>,
    down: HashSet<Slot>,
    inbox: Arc<Inbox<Told>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Told {
    Down(Slot, Moment),
    /// `inputbot` came back, with the text of its panic if it was one.
    Ended(Option<String>),
}

impl InputbotSource {
    /// Binds the watched keys and starts `inputbot`.
    ///
    /// # Errors
    /// A key that it cannot see, no udev, no keyboard, no permission, or another source of this kind.
    pub fn open(config: &KeyboardConfig, watched: &Watched, stop: &Stop) -> Result<Self, KeyboardError> {
        let bound = bind_table(watched)?;
        check_machine(config)?;
        let inbox = Arc::new(Inbox::new()?);
        if IN_USE.swap(true, Ordering::AcqRel) {
            return Err(KeyboardError::Busy);
        }
        let mut source = Self { bound, down: HashSet::new(), inbox, stop: stop.clone(), thread: None };
        for (slot, key) in source.bound.clone() {
            let inbox = Arc::clone(&source.inbox);
            key.bind(move || inbox.put(Told::Down(slot, Moment::now())));
        }
        let inbox = Arc::clone(&source.inbox);
        let run = move || {
            let end = catch_unwind(inputbot::handle_input_events);
            inbox.put(Told::Ended(end.err().map(panic_text)));
        };
        let thread = std::thread::Builder::new().name("ptt-inputbot".to_owned()).spawn(run);
        // Dropping the source on failure takes the bindings back.
        source.thread = Some(thread.map_err(KeyboardError::os("start a thread"))?);
        Ok(source)
    }
}

impl KeySource for InputbotSource {
    fn backend(&self) -> Backend {
        Backend::Inputbot
    }

    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        let ask = (!self.down.is_empty()).then(|| Moment::now() + ASK_EVERY);
        self.inbox.wait(&self.stop, earlier(until, ask))?;
        for told in self.inbox.take() {
            match told {
                Told::Down(slot, at) => {
                    self.down.insert(slot);
                    signals.push(Signal::Key { device: SEAT, slot, edge: Edge::Down, at });
                }
                Told::Ended(message) => {
                    let message = message.unwrap_or_else(|| "it ended by itself".to_owned());
                    return Err(KeyboardError::Panicked { backend: Backend::Inputbot.name(), message });
                }
            }
        }
        for (slot, key) in &self.bound {
            if self.down.contains(slot) && !key.is_pressed() {
                self.down.remove(slot);
                signals.push(Signal::Key { device: SEAT, slot: *slot, edge: Edge::Up, at: Moment::now() });
            }
        }
        Ok(())
    }

    fn stamps_at_origin(&self) -> bool {
        false
    }
}

impl Drop for InputbotSource {
    fn drop(&mut self) {
        // It ends when it finds nothing bound, at its next look.
        for (_, key) in &self.bound {
            key.unbind();
        }
        if let Some(thread) = self.thread.take() {
            // It catches its own panics.
            let _ = thread.join();
        }
        IN_USE.store(false, Ordering::Release);
    }
}

/// Whether it knows all these keys.
///
/// # Errors
/// [`KeyboardError::Unseen`] names the others.
pub(crate) fn check(watched: &Watched) -> Result<(), KeyboardError> {
    bind_table(watched).map(drop)
}

fn bind_table(watched: &Watched) -> Result<Vec<(Slot, Bound)>, KeyboardError> {
    let (mut bound, mut unseen) = (Vec::new(), Vec::new());
    for (slot, key) in watched.iter() {
        match Bound::of(key) {
            Some(known) => bound.push((slot, known)),
            None => unseen.push(key.to_string()),
        }
    }
    if unseen.is_empty() {
        return Ok(bound);
    }
    Err(KeyboardError::Unseen {
        backend: Backend::Inputbot.name(),
        keys: unseen.join(", "),
        instead: "of the arrows it sees only those of the numeric keypad: use backend = \"evdev\", or a chord such as KP2+KP6",
    })
}

fn check_machine(config: &KeyboardConfig) -> Result<(), KeyboardError> {
    if !Path::new("/run/udev/data").is_dir() {
        return Err(KeyboardError::NoUdev);
    }
    let ours: Vec<_> = list_devices(config).into_iter().filter(|device| !device.watched.is_empty()).collect();
    let names: Vec<_> =
        ours.iter().filter(|device| !device.readable).map(|device| device.name.clone()).collect();
    match (ours.len(), names.len()) {
        (0, _) => Err(KeyboardError::NoKeyboard),
        (of, denied) if of == denied => Err(KeyboardError::Denied { names, of }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chord::CancelKey;

    #[test]
    fn keys_it_cannot_see_are_named() {
        for (chord, unseen) in [("Down+Right", "Down, Right"), ("F13", "F13"), ("LeftAlt+Space", "LeftAlt")] {
            let watched =
                Watched::new(&chord.parse().unwrap(), &[], CancelKey("Escape".parse().ok())).unwrap();
            let error = bind_table(&watched).unwrap_err();
            assert!(error.to_string().contains(&format!("inputbot cannot see {unseen};")), "{error}");
            assert_eq!(error.kind(), ptt_messages::FaultKind::Misconfigured);
        }
        let watched =
            Watched::new(&"KP2+KP6".parse().unwrap(), &[], CancelKey("Escape".parse().ok())).unwrap();
        assert_eq!(bind_table(&watched).unwrap().len(), 3);
    }
}
