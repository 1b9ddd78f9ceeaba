//! What the user holds on the keyboards of this machine.
//!
//! They are open only from one text until a few seconds after it, and nothing is read from them but which keys are down.
//! Asking that also empties the kernel's queue, so what is typed meanwhile is not kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use evdev::raw_stream::RawDevice;
use evdev::{KeyCode, LedCode};

use super::DEVICE_NAME;
use crate::error::OutputError;

/// How often they are asked while it is waited for.
const LOOK: Duration = Duration::from_millis(5);

const MODIFIERS: [KeyCode; 8] = [
    KeyCode::KEY_LEFTCTRL,
    KeyCode::KEY_RIGHTCTRL,
    KeyCode::KEY_LEFTSHIFT,
    KeyCode::KEY_RIGHTSHIFT,
    KeyCode::KEY_LEFTALT,
    KeyCode::KEY_RIGHTALT,
    KeyCode::KEY_LEFTMETA,
    KeyCode::KEY_RIGHTMETA,
];

/// The keyboards, while they are looked at.
#[derive(Debug, Default)]
pub(super) struct Hands {
    keyboards: Option<Vec<RawDevice>>,
}

impl Hands {
    /// Waits until no modifier is held, up to `limit`, and says whether so.
    ///
    /// # Errors
    /// [`OutputError::KeyboardDenied`].
    pub fn free_within(&mut self, limit: Duration) -> Result<bool, OutputError> {
        let end = Instant::now() + limit;
        while self.any(holds_modifier)? {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            thread::sleep(left.min(LOOK));
        }
        Ok(true)
    }

    /// Whether Caps Lock is on. A keyboard without a light for it does not tell.
    ///
    /// # Errors
    /// [`OutputError::KeyboardDenied`].
    pub fn caps_lock(&mut self) -> Result<bool, OutputError> {
        self.any(|keyboard| Ok(keyboard.get_led_state()?.contains(LedCode::LED_CAPSL)))
    }

    /// Closes them.
    pub fn rest(&mut self) {
        self.keyboards = None;
    }

    /// Whether it is so of any keyboard. One that is gone is left out.
    fn any(&mut self, is: impl Fn(&RawDevice) -> io::Result<bool>) -> Result<bool, OutputError> {
        let mut keyboards = match self.keyboards.take() {
            Some(keyboards) => keyboards,
            None => keyboards()?,
        };
        let mut found = false;
        keyboards.retain(|keyboard| is(keyboard).inspect(|yes| found |= yes).is_ok());
        self.keyboards = Some(keyboards);
        Ok(found)
    }
}

fn holds_modifier(keyboard: &RawDevice) -> io::Result<bool> {
    let down = keyboard.get_key_state()?;
    Ok(MODIFIERS.iter().any(|key| down.contains(*key)))
}

/// All keyboards but our own.
fn keyboards() -> Result<Vec<RawDevice>, OutputError> {
    let files = fs::read_dir("/dev/input").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut keyboards = Vec::new();
    for path in files.filter(|path| may_be_keyboard(path)) {
        match RawDevice::open(&path) {
            Ok(device) if device.name() == Some(DEVICE_NAME) => {}
            Ok(device) => keyboards.push(device),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(OutputError::KeyboardDenied { name: name(&path) });
            }
            // It has just been pulled out.
            Err(error) => tracing::debug!(path = %path.display(), %error, "keyboard not looked at"),
        }
    }
    Ok(keyboards)
}

/// Whether it is an input device with a left Control key, as the kernel tells everybody.
fn may_be_keyboard(path: &Path) -> bool {
    let is_event = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("event"));
    is_event && fs::read_to_string(about(path).join("capabilities/key")).is_ok_and(|bits| has_control(&bits))
}

/// Reads the bit of the left Control key in the kernel's way to write them: words in hexadecimal, the lowest last.
fn has_control(bits: &str) -> bool {
    let lowest = bits.split_whitespace().next_back().and_then(|word| u64::from_str_radix(word, 16).ok());
    lowest.is_some_and(|word| word & (1 << KeyCode::KEY_LEFTCTRL.0) != 0)
}

fn about(path: &Path) -> PathBuf {
    Path::new("/sys/class/input").join(path.file_name().unwrap_or_default()).join("device")
}

fn name(path: &Path) -> String {
    let name = fs::read_to_string(about(path).join("name")).unwrap_or_default();
    if name.trim().is_empty() { path.display().to_string() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyboard_is_what_has_a_control_key() {
        for (bits, is) in [
            ("402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe\n", true),
            // A power button, a mouse, nothing.
            ("10000000000000 0\n", false),
            ("ff0000 0 0 0 0\n", false),
            // The right one alone, the left one alone, and as many words as a keyboard has with nothing in the lowest.
            ("200000000 0\n", false),
            ("dfffffff\n", false),
            ("20000000\n", true),
            ("402000000 3803078f800d001 feffffdfffefffff 0\n", false),
            ("", false),
            ("no number\n", false),
        ] {
            assert_eq!(has_control(bits), is, "{bits}");
        }
    }
}
