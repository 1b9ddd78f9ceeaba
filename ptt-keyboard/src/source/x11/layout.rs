//! Which numbers an X server gives the watched keys and buttons, purely.
//!
//! A key is a *place* on the keyboard here as everywhere in this crate, so letters of another layout and `xmodmap` change
//! nothing. On Linux the number of a key is the kernel's code plus 8; a server that counts otherwise calls its places by
//! XKB's names for them, and they are looked up by those.

use crate::KeyboardError;
use crate::chord::{Slot, Slots, Watched};
use crate::source::Backend;

/// XKB's name of a place, padded with zeros.
pub type Name = [u8; 4];

/// The names that a server gives its keys, the first of them that of key `first`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The lowest number of a key.
    pub first: u8,
    /// One name for each number.
    pub names: Vec<Name>,
}

/// The numbers of the watched keys and buttons. All other numbers mean nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    keys: Vec<(u8, Slot)>,
    buttons: Vec<(u8, Slot)>,
}

impl Layout {
    /// Looks the watched keys up.
    ///
    /// # Errors
    /// [`KeyboardError::Unseen`] names those that X11 has no number for.
    pub fn new(watched: &Watched, names: &Names) -> Result<Self, KeyboardError> {
        let (mut layout, mut unseen) = (Self::default(), Vec::new());
        for (slot, key) in watched.iter() {
            if let Some(button) = button(key.code()) {
                layout.buttons.push((button, slot));
            } else if let Some(number) = number(key.code(), names) {
                layout.keys.push((number, slot));
            } else {
                unseen.push(key.to_string());
            }
        }
        if unseen.is_empty() {
            return Ok(layout);
        }
        Err(KeyboardError::Unseen {
            backend: Backend::X11.name(),
            keys: unseen.join(", "),
            instead: "X11 has numbers for 255 keys and none for gamepads: use backend = \"evdev\", or another key",
        })
    }

    /// The slot of the key with this number.
    pub fn key(&self, number: u32) -> Option<Slot> {
        find(&self.keys, number)
    }

    /// The slot of the mouse button with this number, counted as the mouse does (before a left-handed user's swap).
    pub fn button(&self, number: u32) -> Option<Slot> {
        find(&self.buttons, number)
    }

    /// The numbers of the keys.
    pub fn keys(&self) -> &[(u8, Slot)] {
        &self.keys
    }

    /// The numbers of the buttons.
    pub fn buttons(&self) -> &[(u8, Slot)] {
        &self.buttons
    }

    /// What is down of all these, from the server's bitmaps: of keys by bytes, of buttons by words.
    pub fn down(&self, keys: &[u8; 32], buttons: &[u32]) -> Slots {
        let key_is_down = |number: u8| keys[usize::from(number / 8)] & (1 << (number % 8)) != 0;
        let button_is_down = |number: u8| {
            buttons.get(usize::from(number / 32)).is_some_and(|word| word & (1 << (number % 32)) != 0)
        };
        let keys = self.keys.iter().filter(|(number, _)| key_is_down(*number));
        let buttons = self.buttons.iter().filter(|(number, _)| button_is_down(*number));
        keys.chain(buttons).map(|(_, slot)| *slot).collect()
    }
}

fn find(numbers: &[(u8, Slot)], wanted: u32) -> Option<Slot> {
    numbers.iter().find(|(number, _)| u32::from(*number) == wanted).map(|(_, slot)| *slot)
}

/// The kernel's mouse buttons as X11 counts them: 4 to 7 are the wheel.
fn button(code: u16) -> Option<u8> {
    const LEFT: u16 = 0x110;
    [1, 3, 2, 8, 9, 10, 11, 12].get(usize::from(code.checked_sub(LEFT)?)).copied()
}

fn number(code: u16, names: &Names) -> Option<u8> {
    let usual = u8::try_from(code + 8).ok();
    let Some((_, name)) = PLACES.iter().find(|(known, _)| *known == code) else { return usual };
    let mut wanted = Name::default();
    wanted[..name.len()].copy_from_slice(name.as_bytes());
    let is_at = |number: u8| {
        let at = usize::from(number).checked_sub(usize::from(names.first));
        at.and_then(|at| names.names.get(at)) == Some(&wanted)
    };
    let elsewhere = || (names.first..=u8::MAX).find(|number| is_at(*number));
    usual.filter(|number| is_at(*number)).or_else(elsewhere).or(usual)
}

/// The places that all of XKB's tables name, by the kernel's code.
#[rustfmt::skip]
const PLACES: &[(u16, &str)] = &[
    (1, "ESC"), (2, "AE01"), (3, "AE02"), (4, "AE03"), (5, "AE04"), (6, "AE05"), (7, "AE06"), (8, "AE07"), (9, "AE08"),
    (10, "AE09"), (11, "AE10"), (12, "AE11"), (13, "AE12"), (14, "BKSP"), (15, "TAB"), (16, "AD01"), (17, "AD02"),
    (18, "AD03"), (19, "AD04"), (20, "AD05"), (21, "AD06"), (22, "AD07"), (23, "AD08"), (24, "AD09"), (25, "AD10"),
    (26, "AD11"), (27, "AD12"), (28, "RTRN"), (29, "LCTL"), (30, "AC01"), (31, "AC02"), (32, "AC03"), (33, "AC04"),
    (34, "AC05"), (35, "AC06"), (36, "AC07"), (37, "AC08"), (38, "AC09"), (39, "AC10"), (40, "AC11"), (41, "TLDE"),
    (42, "LFSH"), (43, "BKSL"), (44, "AB01"), (45, "AB02"), (46, "AB03"), (47, "AB04"), (48, "AB05"), (49, "AB06"),
    (50, "AB07"), (51, "AB08"), (52, "AB09"), (53, "AB10"), (54, "RTSH"), (55, "KPMU"), (56, "LALT"), (57, "SPCE"),
    (58, "CAPS"), (59, "FK01"), (60, "FK02"), (61, "FK03"), (62, "FK04"), (63, "FK05"), (64, "FK06"), (65, "FK07"),
    (66, "FK08"), (67, "FK09"), (68, "FK10"), (69, "NMLK"), (70, "SCLK"), (71, "KP7"), (72, "KP8"), (73, "KP9"),
    (74, "KPSU"), (75, "KP4"), (76, "KP5"), (77, "KP6"), (78, "KPAD"), (79, "KP1"), (80, "KP2"), (81, "KP3"),
    (82, "KP0"), (83, "KPDL"), (86, "LSGT"), (87, "FK11"), (88, "FK12"), (96, "KPEN"), (97, "RCTL"), (98, "KPDV"),
    (99, "PRSC"), (100, "RALT"), (102, "HOME"), (103, "UP"), (104, "PGUP"), (105, "LEFT"), (106, "RGHT"), (107, "END"),
    (108, "DOWN"), (109, "PGDN"), (110, "INS"), (111, "DELE"), (113, "MUTE"), (114, "VOL-"), (115, "VOL+"),
    (117, "KPEQ"), (119, "PAUS"), (125, "LWIN"), (126, "RWIN"), (127, "COMP"), (183, "FK13"), (184, "FK14"),
    (185, "FK15"), (186, "FK16"), (187, "FK17"), (188, "FK18"), (189, "FK19"), (190, "FK20"), (191, "FK21"),
    (192, "FK22"), (193, "FK23"), (194, "FK24"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chord::CancelKey;

    fn watched(chord: &str) -> Watched {
        Watched::new(&chord.parse().unwrap(), &[], CancelKey("Escape".parse().ok())).unwrap()
    }

    /// A server that counts as Linux does, but for these.
    fn names(but: &[(u8, &str)]) -> Names {
        let mut names = vec![Name::default(); 248];
        let as_usual = PLACES.iter().map(|(code, name)| (u8::try_from(*code).unwrap() + 8, *name));
        for (number, name) in as_usual.chain(but.iter().copied()) {
            names[usize::from(number) - 8] = Name::default();
            names[usize::from(number) - 8][..name.len()].copy_from_slice(name.as_bytes());
        }
        Names { first: 8, names }
    }

    fn numbers(chord: &str, names: &Names) -> Vec<u8> {
        Layout::new(&watched(chord), names).unwrap().keys().iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn a_key_is_found_by_its_place() {
        assert_eq!(numbers("Down+Right", &names(&[])), [116, 114, 9]);
        // No names at all.
        assert_eq!(numbers("Down+F13", &Names::default()), [116, 191, 9]);
        // The arrows where XFree86 had them.
        let moved = names(&[(116, "RTSH"), (114, ""), (104, "DOWN"), (102, "RGHT")]);
        assert_eq!(numbers("Down+Right", &moved), [104, 102, 9]);
        // A key without a name of its own keeps its usual number, on every server.
        assert_eq!(numbers("Prog1", &moved), [156, 9]);
    }

    #[test]
    fn buttons_are_counted_around_the_wheel() {
        let chord = "MouseLeft+MouseRight+MouseMiddle+MouseSide+MouseExtra+MouseForward+MouseBack+MouseTask";
        let layout = Layout::new(&watched(chord), &names(&[])).unwrap();
        assert_eq!(layout.buttons().iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 3, 2, 8, 9, 10, 11, 12]);
        assert_eq!(layout.keys().len(), 1);
    }

    #[test]
    fn what_x11_has_no_number_for_is_named() {
        let error = Layout::new(&watched("MicMute+PadSouth"), &names(&[])).unwrap_err();
        assert!(error.to_string().contains("x11 cannot see MicMute, PadSouth;"), "{error}");
    }

    #[test]
    fn only_watched_keys_have_a_slot_and_bitmaps_are_read() {
        let layout = Layout::new(&watched("Down+MouseSide"), &names(&[])).unwrap();
        let seen: Vec<u32> = (0..400).filter(|n| layout.key(*n).is_some()).collect();
        assert_eq!(seen, [9, 116]);
        assert_eq!((0..400).filter(|n| layout.button(*n).is_some()).collect::<Vec<_>>(), [8]);
        let (mut keys, all) = ([0_u8; 32], layout.key(116).into_iter().chain(layout.button(8)).collect());
        assert_eq!(layout.down(&keys, &[]), Slots::NONE);
        keys[116 / 8] = 1 << (116 % 8);
        keys[30] = 0xff;
        assert_eq!(layout.down(&keys, &[1 << 8]), all);
        assert_eq!(layout.down(&keys, &[!(1 << 8)]), layout.key(116).into_iter().collect());
    }

    /// XKB's own table, where it is installed.
    #[test]
    fn places_are_those_of_xkb() {
        let Ok(table) = std::fs::read_to_string("/usr/share/X11/xkb/keycodes/evdev") else {
            println!("skipped: no tables of XKB here, install the package `xkb-data`");
            return;
        };
        for (code, name) in PLACES {
            let found = table.lines().find_map(|line| {
                let (place, number) = line.trim().split_once('=')?;
                (place.trim() == format!("<{name}>"))
                    .then(|| number.trim().trim_end_matches(';').parse().ok())?
            });
            assert_eq!(found, Some(code + 8), "{name}");
        }
    }
}
