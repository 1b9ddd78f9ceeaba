//! Chords, purely: which keys make one, and what edges of those keys mean. No clock, device or thread lives here.
//!
//! A source turns the keys of its devices into [`Slot`]s before it says anything. A key that is neither in the chord nor the
//! cancel key has no slot: from there on a typed key cannot even be expressed, let alone logged.

mod tracker;
mod window;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use tracker::{ChordEvent, ChordTracker, DeviceId, Edge, Signal};
pub use window::{ChordEdge, EdgeWindow};

use crate::KeyboardError;
use crate::keys::Key;

/// The most keys a chord may have.
pub const CHORD_MAX: usize = 8;

/// One to eight different keys that are held together. In a configuration: `"Down+Right"`, `"F13"`, `"LeftCtrl+Space"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chord(Vec<Key>);

/// The key that throws a take away, or none. In a configuration: `"Escape"`, or `""` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CancelKey(pub Option<Key>);

/// The keys a source may see: those of the chord, then the cancel key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    keys: Vec<Key>,
    chord: usize,
}

/// Place of a key in [`Watched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

/// A set of [`Slot`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slots(u16);

impl Chord {
    /// The keys, in the order they were written.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.0
    }
}

impl FromStr for Chord {
    type Err = KeyboardError;

    fn from_str(text: &str) -> Result<Self, KeyboardError> {
        let bad = |reason| KeyboardError::BadChord { text: text.to_owned(), reason };
        if text.trim().is_empty() {
            return Err(bad("it is empty"));
        }
        let mut keys = Vec::new();
        for name in text.split('+').map(str::trim) {
            if name.is_empty() {
                return Err(bad("a key's name is missing beside a +"));
            }
            let key = name.parse()?;
            if keys.contains(&key) {
                return Err(bad("a key is in it twice"));
            }
            keys.push(key);
        }
        if keys.len() > CHORD_MAX { Err(bad("it has more than eight keys")) } else { Ok(Self(keys)) }
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, key) in self.0.iter().enumerate() {
            write!(f, "{}{key}", if n == 0 { "" } else { "+" })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Chord {
    type Error = KeyboardError;

    fn try_from(text: String) -> Result<Self, KeyboardError> {
        text.parse()
    }
}

impl From<Chord> for String {
    fn from(chord: Chord) -> Self {
        chord.to_string()
    }
}

impl TryFrom<String> for CancelKey {
    type Error = KeyboardError;

    fn try_from(text: String) -> Result<Self, KeyboardError> {
        if text.trim().is_empty() { Ok(Self(None)) } else { text.parse().map(|key| Self(Some(key))) }
    }
}

impl From<CancelKey> for String {
    fn from(cancel: CancelKey) -> Self {
        cancel.0.map(|key| key.to_string()).unwrap_or_default()
    }
}

impl Watched {
    /// What `chord` and `cancel` need.
    ///
    /// # Errors
    /// [`KeyboardError::CancelInChord`].
    pub fn new(chord: &Chord, cancel: CancelKey) -> Result<Self, KeyboardError> {
        let mut watched = Self::chord_only(chord);
        if let Some(key) = cancel.0 {
            if watched.keys.contains(&key) {
                return Err(KeyboardError::CancelInChord { key: key.to_string(), chord: chord.to_string() });
            }
            watched.keys.push(key);
        }
        Ok(watched)
    }

    /// What `chord` needs, without a cancel key.
    #[must_use]
    pub fn chord_only(chord: &Chord) -> Self {
        Self { keys: chord.0.clone(), chord: chord.0.len() }
    }

    /// The slot of the key with this code; `None` for every key that is none of our business.
    #[must_use]
    pub fn slot(&self, code: u16) -> Option<Slot> {
        let at = self.keys.iter().position(|key| key.code() == code)?;
        u8::try_from(at).ok().map(Slot)
    }

    /// The key in a slot that came from this value's [`Watched::slot`].
    #[must_use]
    pub fn key(&self, slot: Slot) -> Key {
        self.keys[usize::from(slot.0)]
    }

    /// Every key with its slot: the chord's, then the cancel key.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, Key)> {
        (0..).map(Slot).zip(self.keys.iter().copied())
    }

    /// The slots of the chord.
    #[must_use]
    pub fn chord(&self) -> Slots {
        self.iter().take(self.chord).map(|(slot, _)| slot).collect()
    }

    /// The slot of the cancel key.
    #[must_use]
    pub fn cancel(&self) -> Option<Slot> {
        self.iter().nth(self.chord).map(|(slot, _)| slot)
    }
}

impl Slots {
    /// No slot.
    pub const NONE: Self = Self(0);

    /// Whether there is none in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `slot` is in it.
    #[must_use]
    pub const fn has(self, slot: Slot) -> bool {
        self.0 & (1 << slot.0) != 0
    }

    /// The same with `slot`.
    #[must_use]
    pub const fn with(self, slot: Slot) -> Self {
        Self(self.0 | (1 << slot.0))
    }

    /// What is in this but not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Each slot in it.
    pub fn iter(self) -> impl Iterator<Item = Slot> {
        (0..16).map(Slot).filter(move |slot| self.has(*slot))
    }
}

impl From<Slot> for Slots {
    fn from(slot: Slot) -> Self {
        Self::NONE.with(slot)
    }
}

impl FromIterator<Slot> for Slots {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        slots.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chord_reads_what_it_writes() {
        for (text, shown) in [
            ("Down+Right", "Down+Right"),
            ("  down +  RIGHT ", "Down+Right"),
            ("f13", "F13"),
            ("left_ctrl+space", "LeftCtrl+Space"),
            ("Code700+btn_side", "Code700+MouseSide"),
        ] {
            let chord: Chord = text.parse().unwrap();
            assert_eq!(chord.to_string(), shown);
            assert_eq!(shown.parse::<Chord>().unwrap(), chord);
        }
    }

    #[test]
    fn a_bad_chord_says_what_to_write() {
        for (text, part) in [
            ("", "empty"),
            ("Down+", "missing beside a +"),
            ("Down+ArrowDown", "twice"),
            ("1+2+3+4+5+6+7+8+9", "more than eight"),
            ("Down+Rigth", "did you mean Right"),
        ] {
            let error = text.parse::<Chord>().unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.kind(), ptt_messages::FaultKind::Misconfigured);
        }
        let chord: Chord = "Escape+A".parse().unwrap();
        assert!(Watched::new(&chord, CancelKey("Esc".parse().ok())).is_err());
    }

    #[test]
    fn only_watched_keys_have_a_slot() {
        let watched = Watched::new(&"Down+Right".parse().unwrap(), CancelKey("Escape".parse().ok())).unwrap();
        let slots: Vec<u16> =
            (0..=crate::keys::CODE_MAX).filter(|code| watched.slot(*code).is_some()).collect();
        assert_eq!(slots, [1, 106, 108]);
        assert_eq!(
            watched.chord().iter().map(|slot| watched.key(slot).to_string()).collect::<Vec<_>>(),
            ["Down", "Right"]
        );
        assert_eq!(watched.cancel().map(|slot| watched.key(slot).code()), Some(1));
        assert_eq!(Watched::new(&"F13".parse().unwrap(), CancelKey(None)).unwrap().cancel(), None);
    }
}
