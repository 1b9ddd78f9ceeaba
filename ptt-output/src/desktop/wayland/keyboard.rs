//! A keyboard of our own (`zwp_virtual_keyboard_v1`), one for as long as the connection lives: programs take time to notice a
//! seat's first keyboard and miss what it types before.
//!
//! A compositor disconnects a program whose socket is full of events. So keys go out only while the
//! window reads them ([`Reading`]), and where that cannot be seen only as many as the socket of a
//! window that does not read surely holds.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use wayland_client::delegate_noop;
use wayland_client::protocol::wl_keyboard::{KeyState, KeymapFormat};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;

use super::NAME;
use super::client::{Client, World};
use super::keymap::{Keymap, MOD5, SHIFT, Stroke, Strokes};
use super::reading::Reading;
use crate::desktop::PasteChord;
use crate::desktop::backlog::FULL;
use crate::desktop::pace::Pace;
use crate::error::OutputError;

/// How long programs have to notice the first keyboard of a seat.
const NOTICE: Duration = Duration::from_millis(200);
/// Keys between two looks at the compositor. Their events fit one flush of its buffer for a window
/// (4,096 bytes; 76 for a key with its modifiers): the kernel counts each flush as a page at least.
const PIECE: usize = 48;
/// The pause after each piece where it cannot be seen whether the window reads.
const PAUSE: Duration = Duration::from_millis(8);
/// Keys that a window which does not read surely bears, and the rate at which those read that can
/// hardly keep up (GTK 3: 500 per second).
const BURST: u32 = 1_000;
const PER_SECOND: u32 = 300;

/// The keyboard and its layout.
pub(super) struct Keyboard {
    pub keyboard: ZwpVirtualKeyboardV1,
    keymap: Keymap,
    /// What times of keys are counted from.
    since: Instant,
    /// Not to be used before.
    noticed: Instant,
    pace: Pace,
}

impl Keyboard {
    /// Plugs it in, if the compositor has such keyboards.
    pub fn new(client: &mut Client) -> Result<Option<Self>, OutputError> {
        let manager: Option<ZwpVirtualKeyboardManagerV1> = client.bind(1..=1, ());
        let (Some(manager), Some(seat)) = (manager, client.seat()) else {
            return Ok(None);
        };
        let keyboard = manager.create_virtual_keyboard(seat, &client.queue(), ());
        let now = Instant::now();
        let noticed = if client.world.has_keyboard { now } else { now + NOTICE };
        let pace = Pace::new(BURST, PER_SECOND);
        let keyboard = Self { keyboard, keymap: Keymap::new(), since: now, noticed, pace };
        keyboard.send_layout()?;
        client.sync()?;
        Ok(Some(keyboard))
    }

    /// What there is to say where it has none.
    pub fn not_offered() -> OutputError {
        OutputError::NotOffered {
            desktop: NAME,
            what: "keyboards for programs (zwp_virtual_keyboard_v1), so nothing can be typed or pasted; use \
                   `output.sink = \"clipboard\"`, or `output.desktop = \"x11\"` for X11 programs",
        }
    }

    /// Types `text`, and returns when the window has read all of it, as far as that can be seen.
    pub fn type_text(&mut self, client: &mut Client, text: &str) -> Result<(), OutputError> {
        self.be_noticed(client)?;
        let strokes = self.keymap.strokes(text);
        let Strokes { strokes, changed } =
            strokes.map_err(|characters| OutputError::Untypable { characters })?;
        if changed {
            self.send_layout()?;
        }
        let mut reading = self.take_seat(client)?;
        // Of a window in a sandbox nothing is seen either, so a long text is paced in any case.
        if reading.is_seen() {
            self.pace = Pace::new(BURST, PER_SECOND);
        } else if !self.pace.fits(strokes.len(), Instant::now()) {
            return Err(OutputError::LongText { characters: strokes.len() });
        }
        for (at, piece) in strokes.chunks(PIECE).enumerate() {
            if at > 0 && !reading.is_seen() {
                client.wait(Some(Instant::now() + PAUSE), |_| false)?;
            }
            reading.wait(client, FULL)?;
            let due = self.pace.send(piece.len(), Instant::now());
            client.wait(Some(due), |_| false)?;
            self.press(piece);
            client.sync()?;
        }
        reading.wait(client, 0)
    }

    /// Lets the next layout reuse places.
    pub fn rest(&mut self) {
        self.keymap.release();
    }

    /// Makes this the seat's keyboard, and begins to watch the window. Every program is told of another
    /// keyboard and its layout, and that is no sign of the window, so it comes before.
    pub fn take_seat(&self, client: &mut Client) -> Result<Reading, OutputError> {
        // Compositors take it for no change when nothing is pressed.
        self.keyboard.modifiers(MOD5, 0, 0, 0);
        self.keyboard.modifiers(0, 0, 0, 0);
        client.sync()?;
        // It writes to its programs before it handles the next request.
        client.sync()?;
        Ok(Reading::begin(client))
    }

    /// Presses a chord.
    pub fn press_chord(&mut self, client: &mut Client, chord: PasteChord) -> Result<(), OutputError> {
        let (mut modifiers, mut keys) = (0, Vec::new());
        for keysym in chord.keysyms() {
            match modifier(keysym) {
                Some(bit) => modifiers |= bit,
                None => keys.extend(self.keymap.key(keysym)),
            }
        }
        let strokes: Vec<Stroke> = keys.into_iter().map(|code| Stroke { code, modifiers }).collect();
        self.press(&strokes);
        client.sync()
    }

    /// Waits until programs have had time to notice it.
    pub fn be_noticed(&self, client: &mut Client) -> Result<(), OutputError> {
        client.wait(Some(self.noticed), |_| false).map(|_| ())
    }

    /// Presses keys one after the other, each with its modifiers in force.
    fn press(&self, strokes: &[Stroke]) {
        let mut held = 0;
        for &Stroke { code, modifiers } in strokes {
            if modifiers != held {
                self.keyboard.modifiers(modifiers, 0, 0, 0);
                held = modifiers;
            }
            // The milliseconds wrap around, as they do for every keyboard.
            let time = self.since.elapsed().as_millis() as u32;
            self.keyboard.key(time, u32::from(code), KeyState::Pressed.into());
            self.keyboard.key(time, u32::from(code), KeyState::Released.into());
        }
        if held != 0 {
            self.keyboard.modifiers(0, 0, 0, 0);
        }
    }

    fn send_layout(&self) -> Result<(), OutputError> {
        let text = self.keymap.text() + "\0";
        let file =
            in_memory(text.as_bytes()).map_err(|error| OutputError::from_io("a file in memory", error))?;
        self.keyboard.keymap(KeymapFormat::XkbV1.into(), file.as_fd(), text.len() as u32);
        Ok(())
    }
}

fn in_memory(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("ptt-layout", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    Ok(file)
}

/// The bit of a modifier key in the state of a keyboard.
const fn modifier(keysym: u32) -> Option<u32> {
    match keysym {
        0xffe1 => Some(SHIFT),
        0xffe3 => Some(1 << 2), // Control
        0xffe9 => Some(1 << 3), // Alt
        _ => None,
    }
}

delegate_noop!(World: ZwpVirtualKeyboardManagerV1);
delegate_noop!(World: ZwpVirtualKeyboardV1);
