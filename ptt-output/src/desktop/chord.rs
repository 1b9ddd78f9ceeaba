//! The keys that paste, as the configuration names them. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Modifiers and one key, such as `Shift+Insert` or `Ctrl+V`, that make an application paste.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasteChord {
    shift: bool,
    ctrl: bool,
    alt: bool,
    key: Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Insert,
    Paste,
    /// An upper-case ASCII letter.
    Letter(char),
}

/// A chord that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no chord that pastes; write modifiers (Shift, Ctrl, Alt) and a key (Insert, Paste, a letter), such as \
     \"Shift+Insert\" or \"Ctrl+V\""
)]
pub struct NoChord(String);

impl PasteChord {
    /// What most applications paste by, in every layout; terminals and xterm paste the selection by it.
    pub const SHIFT_INSERT: Self = Self { shift: true, ctrl: false, alt: false, key: Key::Insert };

    /// What applications paste by that are not terminals, in layouts with a V.
    pub const CTRL_V: Self = Self { shift: false, ctrl: true, alt: false, key: Key::Letter('V') };

    /// The X keysyms in the order in which they go down (`Shift_L`, `Control_L`, `Alt_L`, the key). A letter is the lower-case one.
    #[must_use]
    pub fn keysyms(self) -> Vec<u32> {
        let modifiers = [(self.shift, 0xffe1), (self.ctrl, 0xffe3), (self.alt, 0xffe9)];
        let mut keysyms: Vec<u32> = modifiers.iter().filter(|(down, _)| *down).map(|&(_, sym)| sym).collect();
        keysyms.push(match self.key {
            Key::Insert => 0xff63,
            Key::Paste => 0x1008_ff6d,
            Key::Letter(letter) => u32::from(letter.to_ascii_lowercase()),
        });
        keysyms
    }

    /// Whether it is `Shift+Insert`, by which terminals paste the primary selection and not the clipboard.
    #[must_use]
    pub fn may_paste_primary(self) -> bool {
        self == Self::SHIFT_INSERT
    }
}

impl FromStr for PasteChord {
    type Err = NoChord;

    fn from_str(text: &str) -> Result<Self, NoChord> {
        let no_chord = || NoChord(text.to_owned());
        let mut parts: Vec<String> = text.split('+').map(|part| part.trim().to_ascii_lowercase()).collect();
        let key = match parts.pop().as_deref() {
            Some("insert") => Key::Insert,
            Some("paste" | "xf86paste") => Key::Paste,
            Some(one) if one.len() == 1 => {
                let letter = one.chars().next().filter(char::is_ascii_lowercase).ok_or_else(no_chord)?;
                Key::Letter(letter.to_ascii_uppercase())
            }
            Some(_) | None => return Err(no_chord()),
        };
        let mut chord = Self { shift: false, ctrl: false, alt: false, key };
        for part in parts {
            let modifier = match part.as_str() {
                "shift" | "leftshift" => &mut chord.shift,
                "ctrl" | "control" | "leftctrl" => &mut chord.ctrl,
                "alt" | "leftalt" => &mut chord.alt,
                _ => return Err(no_chord()),
            };
            if std::mem::replace(modifier, true) {
                return Err(no_chord());
            }
        }
        // A bare letter would be typed, not paste.
        match chord.key {
            Key::Letter(_) | Key::Insert if !(chord.shift || chord.ctrl || chord.alt) => Err(no_chord()),
            Key::Letter(_) if chord.shift && !(chord.ctrl || chord.alt) => Err(no_chord()),
            Key::Letter(_) | Key::Insert | Key::Paste => Ok(chord),
        }
    }
}

impl TryFrom<String> for PasteChord {
    type Error = NoChord;

    fn try_from(text: String) -> Result<Self, NoChord> {
        text.parse()
    }
}

impl From<PasteChord> for String {
    fn from(chord: PasteChord) -> Self {
        chord.to_string()
    }
}

impl fmt::Display for PasteChord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (down, name) in [(self.ctrl, "Ctrl+"), (self.shift, "Shift+"), (self.alt, "Alt+")] {
            if down {
                f.write_str(name)?;
            }
        }
        match self.key {
            Key::Insert => f.write_str("Insert"),
            Key::Paste => f.write_str("Paste"),
            Key::Letter(letter) => write!(f, "{letter}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chords_are_read_and_written_and_what_would_type_is_refused() {
        for (given, written, keysyms) in [
            ("Shift+Insert", "Shift+Insert", &[0xffe1, 0xff63][..]),
            ("ctrl + v", "Ctrl+V", &[0xffe3, 0x76]),
            ("LeftCtrl+LeftShift+V", "Ctrl+Shift+V", &[0xffe1, 0xffe3, 0x76]),
            ("Paste", "Paste", &[0x1008_ff6d]),
        ] {
            let chord: PasteChord = given.parse().unwrap();
            assert_eq!((chord.to_string().as_str(), &*chord.keysyms()), (written, keysyms));
            assert_eq!(written.parse(), Ok(chord));
        }
        for bad in ["", "V", "Shift+V", "Insert", "Ctrl+", "Ctrl+F1", "Ctrl+Ctrl+V", "Hyper+V", "Ctrl+ä"] {
            let error = bad.parse::<PasteChord>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{bad}`")) && error.contains("Shift+Insert"), "{error}");
        }
        assert!(PasteChord::SHIFT_INSERT.may_paste_primary());
    }
}
