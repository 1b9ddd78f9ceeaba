//! A keyboard that the kernel believes in (`/dev/uinput`): for the text console and for compositors that let no program type.
//!
//! * It reaches whoever reads keyboards, so it knows neither windows nor a clipboard, and its keys mean what the reader's layout
//!   says. Which that is nobody tells: the user does (`output.uinput_layout`), and a text that the layout lacks is not begun.
//! * All keyboards of a seat share their modifiers, so it looks at the others before every key. While Caps Lock is on it
//!   types nothing: whether that counts for its keys differs from compositor to compositor.
//! * It stays plugged in for as long as the program runs: readers take time to open a new one and miss what it types before.
//! * Its name begins as those do that ptt-keyboard takes for nobody's keyboard.
//!
//! What lives here: making the keyboard and pressing its keys. Which they are is `layout`'s, what the user holds `held`'s.

mod held;
mod layout;

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use evdev::uinput::VirtualDevice;
use evdev::{AttributeSet, EventType, InputEvent, KeyCode, SynchronizationCode};

use self::held::Hands;
use self::layout::{Layout, Stroke};
pub use self::layout::{LayoutName, NoLayoutName};
use super::backlog::{Backlog, FULL, STILL_LIMIT, Watch};
use super::pace::Pace;
use super::{Desktop, PasteChord, Window, wayland};
use crate::error::OutputError;

/// For messages.
const NAME: &str = "uinput";

/// What it calls itself. Other programs see it too.
pub const DEVICE_NAME: &str = "ptt passes on what was said";

/// How long programs have to open the keyboard. It takes udev and a compositor some 100 ms.
const NOTICE: Duration = Duration::from_secs(1);

/// The pause for each event. The kernel keeps 64 events for a reader and then throws them away without a word to us, so one that
/// stands still for less than 64 of these misses nothing.
const PAUSE: Duration = Duration::from_millis(1);

/// Events that a Wayland window which does not read surely bears, each in a piece of memory of its own,
/// and the rate at which they may follow: a stall of three seconds fits its socket.
const BURST: u32 = 120;
const PER_SECOND: u32 = 40;

/// The longest text for a reader that nothing is known of. A text console holds 4,095 bytes.
const LONGEST: usize = 4_000;

/// How long the user may hold a modifier in the middle of a text.
const MIDDLE: Duration = Duration::from_secs(2);

/// The keyboard.
#[derive(Debug)]
pub struct Uinput {
    device: VirtualDevice,
    layout: Layout,
    hands: Hands,
    /// Not to be used before.
    noticed: Instant,
    /// The pace where the compositor cannot be looked at.
    pace: Pace,
}

/// What is known of who reads the keys.
enum Reader {
    /// Programs of a Wayland compositor, and what they have not read.
    Watched(Backlog, Watch),
    /// Programs of a Wayland compositor that cannot be looked at.
    Unseen,
    /// A text console, or an X server, which keeps what its programs do not read.
    Other,
}

impl Reader {
    fn find() -> Self {
        let Some(server) = wayland::server() else { return Self::Other };
        let watched = Backlog::at(&server).and_then(|backlog| backlog.watch().map(|watch| (backlog, watch)));
        watched.map_or(Self::Unseen, |(backlog, watch)| Self::Watched(backlog, watch))
    }
}

/// Whether XKB's files have this layout.
///
/// # Errors
/// [`OutputError::NoLayout`].
pub(crate) fn is_known(layout: &LayoutName) -> Result<(), OutputError> {
    Layout::load(layout).map(drop)
}

impl Uinput {
    /// Plugs it in.
    ///
    /// # Errors
    /// [`OutputError::NoLayout`]; [`OutputError::NoUinput`] and [`OutputError::UinputDenied`] with what to do.
    pub fn plug(layout: &LayoutName) -> Result<Self, OutputError> {
        let layout = Layout::load(layout)?;
        let device = device().map_err(refused)?;
        tracing::debug!(device = DEVICE_NAME, "plugged in");
        Ok(Self {
            device,
            layout,
            hands: Hands::default(),
            noticed: Instant::now() + NOTICE,
            pace: Pace::new(BURST, PER_SECOND),
        })
    }

    /// Presses one key. What it was readied for comes down and up in one write.
    fn press(&mut self, stroke: Stroke) -> io::Result<()> {
        let events = events(stroke);
        self.device.emit(&events)?;
        thread::sleep(PAUSE * u32::try_from(events.len()).unwrap_or(u32::MAX));
        Ok(())
    }
}

impl Desktop for Uinput {
    fn name(&self) -> &'static str {
        NAME
    }

    /// No keyboard knows.
    fn focus(&mut self) -> Result<Option<Window>, OutputError> {
        Ok(None)
    }

    fn tells_windows(&self) -> bool {
        false
    }

    fn hands_free(&mut self, limit: Duration) -> Result<bool, OutputError> {
        self.hands.free_within(limit)
    }

    fn type_text(&mut self, text: &str) -> Result<(), OutputError> {
        let strokes = self.layout.strokes(text)?;
        if self.hands.caps_lock()? {
            return Err(OutputError::CapsLock);
        }
        thread::sleep(self.noticed.saturating_duration_since(Instant::now()));
        let mut reader = Reader::find();
        if matches!(reader, Reader::Other) && strokes.len() > LONGEST {
            return Err(OutputError::LongText { characters: strokes.len() });
        }
        for (at, stroke) in strokes.into_iter().enumerate() {
            match &mut reader {
                Reader::Watched(backlog, watch) => watch.wait(backlog, FULL, STILL_LIMIT)?,
                Reader::Unseen => {
                    let now = Instant::now();
                    thread::sleep(self.pace.send(2 + 2 * stroke.held.len(), now).duration_since(now));
                }
                Reader::Other => {}
            }
            if !self.hands.free_within(MIDDLE)? {
                return Err(match at {
                    0 => OutputError::ModifiersHeld { limit: MIDDLE },
                    _ => OutputError::HeldMidway { limit: MIDDLE },
                });
            }
            self.press(stroke).map_err(|error| OutputError::KeyboardLost { reason: error.to_string() })?;
        }
        Ok(())
    }

    fn paste(&mut self, _: &str, _: PasteChord, _: Duration) -> Result<(), OutputError> {
        Err(OutputError::NotOffered { desktop: NAME, what: "a clipboard" })
    }

    fn copy(&mut self, _: &str) -> Result<(), OutputError> {
        Err(OutputError::NotOffered { desktop: NAME, what: "a clipboard" })
    }

    fn rest(&mut self) {
        self.hands.rest();
    }
}

/// Why there is no such keyboard.
fn refused(error: io::Error) -> OutputError {
    // The file may be there with no driver behind it.
    let no_driver = error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error());
    if no_driver || error.kind() == io::ErrorKind::NotFound {
        OutputError::NoUinput
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        OutputError::UinputDenied
    } else {
        OutputError::from_io("/dev/uinput", error)
    }
}

/// A keyboard with what an ordinary one has in its main block: udev and libinput take nothing with fewer keys for a keyboard.
fn device() -> io::Result<VirtualDevice> {
    let keys: AttributeSet<KeyCode> = (1..=88).chain([layout::ALT_GR]).map(KeyCode::new).collect();
    VirtualDevice::builder()?.name(DEVICE_NAME).with_keys(&keys)?.build()
}

/// The events of one key: each edge is a report of its own, as a hand's are.
fn events(stroke: Stroke) -> Vec<InputEvent> {
    let keys = stroke.held.iter().chain([&stroke.code]);
    let (down, up) = (keys.clone().map(|code| (*code, 1)), keys.rev().map(|code| (*code, 0)));
    let report = InputEvent::new(EventType::SYNCHRONIZATION.0, SynchronizationCode::SYN_REPORT.0, 0);
    down.chain(up)
        .flat_map(|(code, value)| [InputEvent::new(EventType::KEY.0, code, value), report])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_down_and_up_inside_of_what_is_held_for_it() {
        let stroke = Stroke { held: &[42, 100], code: 30 };
        let all = events(stroke);
        let (keys, reports): (Vec<_>, Vec<_>) = all.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
        let keys: Vec<(u16, i32)> = keys.iter().map(|event| (event.code(), event.value())).collect();
        assert_eq!(keys, [(42, 1), (100, 1), (30, 1), (30, 0), (100, 0), (42, 0)]);
        assert!(reports.iter().all(|event| event.event_type() == EventType::SYNCHRONIZATION));
    }
}
