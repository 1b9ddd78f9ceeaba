//! Which keys of a chord are grabbed while it is pressed, for chords that no single grab can keep from
//! the windows. Pure.
//!
//! A grab waits for one key. Of a chord such as Down+Right a key is grabbed only while all the others
//! are down: alone each is an ordinary key. Once the chord was whole, all its keys stay grabbed until
//! none of them is down, so that none repeats in a window. The keys before the last one reach the
//! windows once, and where two go down within a fraction of a millisecond both do.

use crate::chord::Slots;

/// The chords that are kept in this way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastKey {
    chords: Vec<Progress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    keys: Slots,
    was_whole: bool,
}

impl LastKey {
    /// No key is down.
    pub fn new(chords: impl IntoIterator<Item = Slots>) -> Self {
        let progress = |keys| Progress { keys, was_whole: false };
        Self { chords: chords.into_iter().map(progress).collect() }
    }

    /// The keys to hold grabbed while `down` are down.
    pub fn step(&mut self, down: Slots) -> Slots {
        self.chords.iter_mut().fold(Slots::NONE, |all, chord| all.or(chord.step(down)))
    }
}

impl Progress {
    fn step(&mut self, down: Slots) -> Slots {
        let missing = self.keys.without(down);
        if missing.is_empty() {
            self.was_whole = true;
        } else if self.keys.and(down).is_empty() {
            self.was_whole = false;
        }
        match missing.count() {
            _ if self.was_whole => self.keys,
            1 => missing,
            _ => Slots::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chord::{Slot, Watched};

    fn slots(watched: &Watched, keys: &str) -> Slots {
        let of = |key: &str| watched.slot(key.parse::<crate::Key>().unwrap().code()).unwrap();
        keys.split_whitespace().map(of).collect()
    }

    #[test]
    fn the_last_missing_key_is_grabbed_and_all_until_none_is_down() {
        for (chord, steps) in [
            (
                "Down+Right",
                &[
                    ("", ""),
                    ("Down", "Right"),
                    ("", ""),
                    ("Right", "Down"),
                    ("Down Right", "Down Right"),
                    ("Right", "Down Right"),
                    ("Down Right", "Down Right"),
                    ("Down", "Down Right"),
                    ("", ""),
                    ("Down", "Right"),
                ][..],
            ),
            // Both at once.
            ("Down+Right", &[("Down Right", "Down Right"), ("Down", "Down Right"), ("", "")]),
            (
                "LeftCtrl+A+B",
                &[
                    ("LeftCtrl", ""),
                    ("LeftCtrl A", "B"),
                    ("A", ""),
                    ("A B", "LeftCtrl"),
                    ("LeftCtrl A B", "LeftCtrl A B"),
                    ("B", "LeftCtrl A B"),
                    ("", ""),
                ],
            ),
        ] {
            let watched = Watched::chord_only(&chord.parse().unwrap());
            let mut last_key = LastKey::new([watched.chord()]);
            for (down, grabbed) in steps {
                let grabs = last_key.step(slots(&watched, down));
                assert_eq!(grabs, slots(&watched, grabbed), "{chord}: {down}");
            }
        }
    }

    proptest! {
        /// A key that is pressed alone, or with keys of other chords, is never grabbed, and nothing
        /// stays grabbed when no key is down.
        #[test]
        fn no_key_is_grabbed_without_the_rest_of_its_chord(
            edges in prop::collection::vec((0_usize..4, any::<bool>()), 0..100),
        ) {
            let watched = Watched::chord_only(&"A+B+C+D".parse().unwrap());
            let all: Vec<Slot> = watched.chord().iter().collect();
            let chords = [[all[0], all[1]], [all[1], all[2]]].map(|keys| keys.into_iter().collect());
            let (mut last_key, mut down) = (LastKey::new(chords), Slots::NONE);
            let mut whole = [false; 2];
            for (key, is_down) in edges {
                let slot = all[key];
                down = if is_down { down.with(slot) } else { down.without(slot.into()) };
                for (whole, keys) in whole.iter_mut().zip(chords) {
                    let held = keys.and(down).count();
                    *whole = held == 2 || *whole && held > 0;
                }
                let grabbed = last_key.step(down);
                prop_assert!(!grabbed.has(all[3]));
                for slot in grabbed.iter() {
                    let reason = chords.iter().zip(whole).any(|(keys, whole): (&Slots, bool)| {
                        keys.has(slot) && (whole || keys.without(slot.into()).without(down).is_empty())
                    });
                    prop_assert!(reason, "{slot:?} with {down:?}");
                }
            }
            prop_assert!(last_key.step(Slots::NONE).is_empty());
        }
    }
}
