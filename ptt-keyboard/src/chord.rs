//! Chords, purely: which keys make them, and what edges of those keys mean. No clock, device or thread lives here.
//!
//! A source turns the keys of its devices into [`Slot`]s before it says anything. A key that is neither in a chord nor the
//! cancel key has no slot: from there on a typed key cannot even be expressed, let alone logged.

mod tracker;
mod window;

use std::fmt;
use std::str::FromStr;

use ptt_messages::Profile;
use serde::{Deserialize, Serialize};

pub use tracker::{ChordEvent, ChordTracker, DeviceId, Edge, Signal};
pub use window::{ChordEdge, EdgeWindow};

use crate::KeyboardError;
use crate::keys::{Key, other_names};

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

/// The most keys that all chords and the cancel key may be together.
pub const WATCHED_MAX: usize = 64;

/// The chord of a profile beside the default one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChord {
    /// Whose it is.
    pub profile: Profile,
    /// What people call the profile.
    pub name: String,
    /// The keys.
    pub chord: Chord,
}

/// The keys a source may see: those of the chords, each once, then the cancel key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    keys: Vec<Key>,
    chords: Vec<WatchedChord>,
    cancel: Option<Slot>,
}

/// A chord by its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedChord {
    /// Whose it is.
    pub profile: Profile,
    /// What people call the profile.
    pub name: String,
    /// Its keys.
    pub slots: Slots,
}

/// Place of a key in [`Watched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

/// A set of [`Slot`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slots(u64);

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
        match Self::parse(text) {
            Err(unknown @ KeyboardError::UnknownKey { .. }) => {
                Err(match other_names::translate_chord(text) {
                    Some(chord) => {
                        KeyboardError::OtherSpelling { text: text.to_owned(), instead: chord.to_string() }
                    }
                    None => unknown,
                })
            }
            parsed => parsed,
        }
    }
}

impl Chord {
    pub(crate) fn parse(text: &str) -> Result<Self, KeyboardError> {
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
    /// What the default profile's `chord`, those of `others` and `cancel` need.
    ///
    /// # Errors
    /// [`KeyboardError::CancelInChord`], [`KeyboardError::SameChord`], [`KeyboardError::TooManyKeys`].
    pub fn new(chord: &Chord, others: &[ProfileChord], cancel: CancelKey) -> Result<Self, KeyboardError> {
        let mut watched = Self::chord_only(chord);
        for other in others {
            watched.add(other.profile, &other.name, &other.chord)?;
        }
        if let Some(key) = cancel.0 {
            if let Some(slot) = watched.slot(key.code()) {
                let chord = watched.chords.iter().find(|chord| chord.slots.has(slot));
                let chord = chord.map(|chord| watched.describe(chord)).unwrap_or_default();
                return Err(KeyboardError::CancelInChord { key: key.to_string(), chord });
            }
            watched.cancel = Some(watched.put(key)?);
        }
        Ok(watched)
    }

    /// What `chord` needs as the only one, without a cancel key.
    #[must_use]
    pub fn chord_only(chord: &Chord) -> Self {
        let slots = (0..).map(Slot).take(chord.0.len()).collect();
        let name = Profile::DEFAULT_NAME.to_owned();
        let chords = vec![WatchedChord { profile: Profile::DEFAULT, name, slots }];
        Self { keys: chord.0.clone(), chords, cancel: None }
    }

    fn add(&mut self, profile: Profile, name: &str, chord: &Chord) -> Result<(), KeyboardError> {
        let slots = chord.0.iter().map(|key| self.put(*key)).collect::<Result<Slots, _>>()?;
        if let Some(same) = self.chords.iter().find(|known| known.slots == slots) {
            let (one, other) = (same.name.clone(), name.to_owned());
            return Err(KeyboardError::SameChord { chord: chord.to_string(), one, other });
        }
        self.chords.push(WatchedChord { profile, name: name.to_owned(), slots });
        Ok(())
    }

    fn put(&mut self, key: Key) -> Result<Slot, KeyboardError> {
        if let Some(known) = self.slot(key.code()) {
            return Ok(known);
        }
        if self.keys.len() == WATCHED_MAX {
            return Err(KeyboardError::TooManyKeys { key: key.to_string() });
        }
        self.keys.push(key);
        Ok(Slot(u8::try_from(self.keys.len() - 1).expect("there are 64 slots")))
    }

    /// The keys of a chord, as a configuration names them.
    #[must_use]
    pub fn describe(&self, chord: &WatchedChord) -> String {
        chord.slots.iter().map(|slot| self.key(slot).to_string()).collect::<Vec<_>>().join("+")
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

    /// Every key with its slot: those of the chords, then the cancel key.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, Key)> {
        (0..).map(Slot).zip(self.keys.iter().copied())
    }

    /// The chords, the default profile's first.
    #[must_use]
    pub fn chords(&self) -> &[WatchedChord] {
        &self.chords
    }

    /// The slots of the default profile's chord.
    #[must_use]
    pub fn chord(&self) -> Slots {
        self.chords.first().map_or(Slots::NONE, |chord| chord.slots)
    }

    /// The slots of all chords together.
    #[must_use]
    pub fn in_chords(&self) -> Slots {
        self.chords.iter().fold(Slots::NONE, |all, chord| all.or(chord.slots))
    }

    /// The slot of the cancel key.
    #[must_use]
    pub const fn cancel(&self) -> Option<Slot> {
        self.cancel
    }
}

impl Slots {
    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

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
        (0..64).map(Slot).filter(move |slot| self.has(*slot))
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
    fn a_chord_of_another_program_is_translated() {
        for (text, instead) in [
            ("SUPER, V", "LeftMeta+V"),
            ("Control_R", "RightCtrl"),
            ("XF86AudioMicMute", "MicMute"),
            ("Mod4+Shift+v", "LeftMeta+LeftShift+V"),
        ] {
            let error = text.parse::<Chord>().unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean \"{instead}\"?")), "{error}");
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
        assert!(Watched::new(&chord, &[], CancelKey("Esc".parse().ok())).is_err());
    }

    #[test]
    fn only_watched_keys_have_a_slot() {
        let watched =
            Watched::new(&"Down+Right".parse().unwrap(), &[], CancelKey("Escape".parse().ok())).unwrap();
        let slots: Vec<u16> =
            (0..=crate::keys::CODE_MAX).filter(|code| watched.slot(*code).is_some()).collect();
        assert_eq!(slots, [1, 106, 108]);
        assert_eq!(
            watched.chord().iter().map(|slot| watched.key(slot).to_string()).collect::<Vec<_>>(),
            ["Down", "Right"]
        );
        assert_eq!(watched.cancel().map(|slot| watched.key(slot).code()), Some(1));
        assert_eq!(Watched::new(&"F13".parse().unwrap(), &[], CancelKey(None)).unwrap().cancel(), None);
    }

    fn others(chords: &[&str]) -> Vec<ProfileChord> {
        let named = (1..).zip(chords).map(|(n, chord)| ProfileChord {
            profile: Profile(n),
            name: format!("p{n}"),
            chord: chord.parse().unwrap(),
        });
        named.collect()
    }

    #[test]
    fn chords_share_the_slots_of_their_keys() {
        let main = "LeftCtrl+Space".parse().unwrap();
        let escape = CancelKey("Escape".parse().ok());
        let watched = Watched::new(&main, &others(&["Space+LeftShift+LeftCtrl", "F9"]), escape).unwrap();
        let keys: Vec<String> = watched.iter().map(|(_, key)| key.to_string()).collect();
        assert_eq!(keys, ["LeftCtrl", "Space", "LeftShift", "F9", "Escape"]);
        let chords: Vec<String> = watched.chords().iter().map(|chord| watched.describe(chord)).collect();
        assert_eq!(chords, ["LeftCtrl+Space", "LeftCtrl+Space+LeftShift", "F9"]);
        assert_eq!(watched.in_chords().count(), 4);
    }

    #[test]
    fn chords_that_contradict_each_other_are_both_named() {
        let main = "LeftCtrl+Space".parse().unwrap();
        let escape = CancelKey("Escape".parse().ok());
        let letters: Vec<String> = (0..8)
            .map(|n| (1..9).map(|k| format!("Code{}", 200 + 8 * n + k)).collect::<Vec<_>>().join("+"))
            .collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        for (chords, parts) in [
            (&["F9", "Space+LeftCtrl"][..], &["default", "p2", "Space+LeftCtrl"][..]),
            (&["F9", "F9"], &["p1", "p2", "F9"]),
            (&["F9", "LeftAlt+Escape"], &["Escape", "LeftAlt+Escape"]),
            (&letters, &["64", "fewer"]),
        ] {
            let error = Watched::new(&main, &others(chords), escape).unwrap_err();
            let text = error.to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
            assert_eq!(error.kind(), ptt_messages::FaultKind::Misconfigured);
        }
    }
}
