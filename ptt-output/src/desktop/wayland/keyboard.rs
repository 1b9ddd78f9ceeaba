//! A keyboard of our own (`zwp_virtual_keyboard_v1`), one for as long as the connection lives: programs take time to notice a
//! seat's first keyboard and miss what it types before.

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
use super::keymap::Keymap;
use crate::desktop::PasteChord;
use crate::error::OutputError;

/// How long programs have to notice the first keyboard of a seat.
const NOTICE: Duration = Duration::from_millis(200);
/// A program that does not read its events is disconnected by the compositor after some thousand of them, so a text goes
/// out in pieces of so many keys, with a pause for reading after each.
const PIECE: usize = 64;
const PAUSE: Duration = Duration::from_millis(8);

/// The keyboard and its layout.
pub(super) struct Keyboard {
    pub keyboard: ZwpVirtualKeyboardV1,
    keymap: Keymap,
    /// What times of keys are counted from.
    since: Instant,
    /// Not to be used before.
    noticed: Instant,
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
        let keyboard = Self { keyboard, keymap: Keymap::new(), since: now, noticed };
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

    /// Types `text`, and returns when the compositor has all of it.
    pub fn type_text(&mut self, client: &mut Client, text: &str) -> Result<(), OutputError> {
        self.be_noticed(client)?;
        let mut rest = text;
        while !rest.is_empty() {
            let fitted = self.keymap.fit(rest);
            if fitted.changed {
                self.send_layout()?;
            }
            rest = fitted.rest;
            let mut pieces = fitted.codes.chunks(PIECE).peekable();
            while let Some(piece) = pieces.next() {
                piece.iter().for_each(|&code| self.press(code));
                client.sync()?;
                if pieces.peek().is_some() || !rest.is_empty() {
                    client.wait(Some(Instant::now() + PAUSE), |_| false)?;
                }
            }
        }
        Ok(())
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
        self.keyboard.modifiers(modifiers, 0, 0, 0);
        keys.into_iter().for_each(|code| self.press(code));
        self.keyboard.modifiers(0, 0, 0, 0);
        client.sync()
    }

    /// Waits until programs have had time to notice it.
    pub fn be_noticed(&self, client: &mut Client) -> Result<(), OutputError> {
        client.wait(Some(self.noticed), |_| false).map(|_| ())
    }

    fn press(&self, code: u16) {
        // The milliseconds wrap around, as they do for every keyboard.
        let time = self.since.elapsed().as_millis() as u32;
        self.keyboard.key(time, u32::from(code), KeyState::Pressed.into());
        self.keyboard.key(time, u32::from(code), KeyState::Released.into());
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
        0xffe1 => Some(1),      // Shift
        0xffe3 => Some(1 << 2), // Control
        0xffe9 => Some(1 << 3), // Alt
        _ => None,
    }
}

delegate_noop!(World: ZwpVirtualKeyboardManagerV1);
delegate_noop!(World: ZwpVirtualKeyboardV1);
