//! The names of keys: what a configuration may write, and the kernel's code for each.
//!
//! Only the table and the look-up live here. What a chord does with keys is in [`crate::chord`].

use std::fmt;
use std::str::FromStr;

use crate::KeyboardError;

/// A key or button by its code in the kernel's `input-event-codes.h`. Made only from the configuration, never from what is
/// typed, so it may be shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u16);

/// A key that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// The name to write into a configuration; case, spaces, `-` and `_` do not matter.
    pub name: &'static str,
    /// Other names of the same key.
    pub also: &'static [&'static str],
    /// The kernel's code.
    pub code: u16,
}

/// The highest code the kernel knows (`KEY_MAX`).
pub const CODE_MAX: u16 = 0x2ff;

/// Every name a chord may use. A key without one is written by its code, such as `Code194`.
#[must_use]
pub fn key_names() -> &'static [KeyName] {
    NAMES
}

impl Key {
    /// The key with this code.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        if code == 0 || code > CODE_MAX { None } else { Some(Self(code)) }
    }

    /// The kernel's code, 1..=[`CODE_MAX`].
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

impl FromStr for Key {
    type Err = KeyboardError;

    /// Looks a name up.
    ///
    /// # Errors
    /// [`KeyboardError::UnknownKey`] with the names that look most like it.
    fn from_str(name: &str) -> Result<Self, KeyboardError> {
        let wanted = plain(name);
        if let Some(found) = NAMES.iter().find(|known| spellings(known).any(|s| s == wanted)) {
            return Ok(Self(found.code));
        }
        let by_code =
            wanted.strip_prefix("code").and_then(|digits| digits.parse().ok()).and_then(Self::from_code);
        by_code.ok_or_else(|| KeyboardError::UnknownKey { name: name.to_owned(), near: near(&wanted) })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|known| known.code == self.0) {
            Some(known) => f.write_str(known.name),
            None => write!(f, "Code{}", self.0),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name without what does not matter: `Left Ctrl`, `left_ctrl` and `KEY_LEFTCTRL` are one.
fn plain(name: &str) -> String {
    let name = name.trim().to_lowercase();
    let name = name.strip_prefix("key_").unwrap_or(&name);
    name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect()
}

fn spellings(known: &KeyName) -> impl Iterator<Item = String> {
    std::iter::once(known.name).chain(known.also.iter().copied()).map(plain)
}

/// At most four names that look like `wanted`, the nearest first: those that contain it (`ctrl` in `LeftCtrl`), then those
/// at a small distance of edits.
fn near(wanted: &str) -> Vec<&'static str> {
    const ALIKE: f64 = 0.6;
    let likeness = |spelling: &str| {
        let edits = strsim::normalized_damerau_levenshtein(wanted, spelling);
        if wanted.len() >= 2 && spelling.contains(wanted) { edits.max(0.9) } else { edits }
    };
    let mut found: Vec<(f64, &'static str)> = NAMES
        .iter()
        .map(|known| (spellings(known).map(|s| likeness(&s)).fold(0.0, f64::max), known.name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().take(4).map(|(_, name)| name).collect()
}

const fn key(code: u16, name: &'static str, also: &'static [&'static str]) -> KeyName {
    KeyName { name, also, code }
}

#[rustfmt::skip]
const NAMES: &[KeyName] = &[
    key(103, "Up", &["ArrowUp"]), key(108, "Down", &["ArrowDown"]),
    key(105, "Left", &["ArrowLeft"]), key(106, "Right", &["ArrowRight"]),
    key(1, "Escape", &["Esc"]), key(57, "Space", &["SpaceBar"]), key(28, "Enter", &["Return"]), key(15, "Tab", &[]),
    key(14, "Backspace", &[]), key(110, "Insert", &["Ins"]), key(111, "Delete", &["Del"]),
    key(102, "Home", &[]), key(107, "End", &[]), key(104, "PageUp", &["PgUp"]), key(109, "PageDown", &["PgDn"]),

    key(29, "LeftCtrl", &["LeftControl", "LCtrl"]), key(97, "RightCtrl", &["RightControl", "RCtrl"]),
    key(42, "LeftShift", &["LShift"]), key(54, "RightShift", &["RShift"]),
    key(56, "LeftAlt", &["LAlt", "LeftOption"]), key(100, "RightAlt", &["RAlt", "AltGr", "RightOption"]),
    key(125, "LeftMeta", &["LeftSuper", "LeftWin", "LeftCommand"]),
    key(126, "RightMeta", &["RightSuper", "RightWin", "RightCommand"]),
    key(58, "CapsLock", &["Caps"]), key(69, "NumLock", &[]), key(70, "ScrollLock", &[]),
    key(127, "Compose", &["ContextMenu", "Application"]), key(139, "Menu", &[]), key(464, "Fn", &[]),

    key(59, "F1", &[]), key(60, "F2", &[]), key(61, "F3", &[]), key(62, "F4", &[]), key(63, "F5", &[]),
    key(64, "F6", &[]), key(65, "F7", &[]), key(66, "F8", &[]), key(67, "F9", &[]), key(68, "F10", &[]),
    key(87, "F11", &[]), key(88, "F12", &[]), key(183, "F13", &[]), key(184, "F14", &[]), key(185, "F15", &[]),
    key(186, "F16", &[]), key(187, "F17", &[]), key(188, "F18", &[]), key(189, "F19", &[]), key(190, "F20", &[]),
    key(191, "F21", &[]), key(192, "F22", &[]), key(193, "F23", &[]), key(194, "F24", &[]),

    key(30, "A", &[]), key(48, "B", &[]), key(46, "C", &[]), key(32, "D", &[]), key(18, "E", &[]),
    key(33, "F", &[]), key(34, "G", &[]), key(35, "H", &[]), key(23, "I", &[]), key(36, "J", &[]),
    key(37, "K", &[]), key(38, "L", &[]), key(50, "M", &[]), key(49, "N", &[]), key(24, "O", &[]),
    key(25, "P", &[]), key(16, "Q", &[]), key(19, "R", &[]), key(31, "S", &[]), key(20, "T", &[]),
    key(22, "U", &[]), key(47, "V", &[]), key(17, "W", &[]), key(45, "X", &[]), key(21, "Y", &[]), key(44, "Z", &[]),
    key(2, "1", &[]), key(3, "2", &[]), key(4, "3", &[]), key(5, "4", &[]), key(6, "5", &[]),
    key(7, "6", &[]), key(8, "7", &[]), key(9, "8", &[]), key(10, "9", &[]), key(11, "0", &[]),

    key(12, "Minus", &[]), key(13, "Equal", &[]), key(26, "LeftBracket", &["LeftBrace"]),
    key(27, "RightBracket", &["RightBrace"]), key(39, "Semicolon", &[]), key(40, "Apostrophe", &["Quote"]),
    key(41, "Grave", &["Backquote", "Tilde"]), key(43, "Backslash", &[]), key(51, "Comma", &[]),
    key(52, "Dot", &["Period"]), key(53, "Slash", &[]), key(86, "102nd", &["IntlBackslash", "LessGreater"]),

    key(82, "KP0", &["Numpad0"]), key(79, "KP1", &["Numpad1"]), key(80, "KP2", &["Numpad2"]),
    key(81, "KP3", &["Numpad3"]), key(75, "KP4", &["Numpad4"]), key(76, "KP5", &["Numpad5"]),
    key(77, "KP6", &["Numpad6"]), key(71, "KP7", &["Numpad7"]), key(72, "KP8", &["Numpad8"]),
    key(73, "KP9", &["Numpad9"]), key(83, "KPDot", &["NumpadDot", "NumpadDecimal"]),
    key(96, "KPEnter", &["NumpadEnter"]), key(78, "KPPlus", &["NumpadAdd"]), key(74, "KPMinus", &["NumpadSubtract"]),
    key(55, "KPAsterisk", &["NumpadMultiply"]), key(98, "KPSlash", &["NumpadDivide"]),
    key(117, "KPEqual", &["NumpadEqual"]), key(121, "KPComma", &["NumpadComma"]),

    key(99, "SysRq", &["PrintScreen", "Print"]), key(119, "Pause", &["Break"]), key(138, "Help", &[]),
    key(85, "Zenkaku", &["ZenkakuHankaku"]), key(93, "KatakanaHiragana", &[]), key(92, "Henkan", &[]),
    key(94, "Muhenkan", &[]), key(122, "Hangeul", &["Hanguel"]), key(123, "Hanja", &[]), key(89, "Ro", &[]),
    key(124, "Yen", &[]),

    key(113, "Mute", &["VolumeMute"]), key(114, "VolumeDown", &[]), key(115, "VolumeUp", &[]),
    key(248, "MicMute", &[]), key(164, "PlayPause", &["MediaPlayPause"]), key(163, "NextSong", &["MediaNext"]),
    key(165, "PreviousSong", &["MediaPrevious"]), key(166, "StopCD", &["MediaStop"]), key(167, "Record", &[]),
    key(158, "Back", &["BrowserBack"]), key(159, "Forward", &["BrowserForward"]), key(172, "HomePage", &[]),
    key(173, "Refresh", &["BrowserRefresh"]), key(217, "Search", &[]), key(140, "Calc", &["Calculator"]),
    key(155, "Mail", &[]), key(226, "Media", &[]), key(148, "Prog1", &[]), key(149, "Prog2", &[]),
    key(202, "Prog3", &[]), key(203, "Prog4", &[]), key(582, "VoiceCommand", &[]), key(583, "Assistant", &[]),
    key(586, "Dictate", &[]),

    key(0x110, "MouseLeft", &["BTN_LEFT"]), key(0x111, "MouseRight", &["BTN_RIGHT"]),
    key(0x112, "MouseMiddle", &["BTN_MIDDLE"]), key(0x113, "MouseSide", &["BTN_SIDE", "Mouse4"]),
    key(0x114, "MouseExtra", &["BTN_EXTRA", "Mouse5"]), key(0x115, "MouseForward", &["BTN_FORWARD"]),
    key(0x116, "MouseBack", &["BTN_BACK"]), key(0x117, "MouseTask", &["BTN_TASK"]),
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_key_has_many_spellings() {
        for (name, code) in [
            ("Down", 108),
            ("down", 108),
            ("KEY_DOWN", 108),
            ("ArrowDown", 108),
            ("LeftCtrl", 29),
            ("left control", 29),
            ("L-Ctrl", 29),
            ("altgr", 100),
            ("f13", 183),
            ("F24", 194),
            ("numpad2", 80),
            ("BTN_SIDE", 0x113),
            ("mouse5", 0x114),
            ("7", 8),
            ("Code700", 700),
        ] {
            assert_eq!(name.parse::<Key>().map(Key::code).ok(), Some(code), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_gets_near_ones() {
        for (name, expected) in [
            ("Dwon", "Down"),
            ("Rihgt", "Right"),
            ("Ctrl", "LeftCtrl"),
            ("super", "LeftMeta"),
            ("Escpae", "Escape"),
            ("PageDwn", "PageDown"),
            ("Nmupad3", "KP3"),
        ] {
            let error = name.parse::<Key>().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
        for name in ["", "+", "Code0", "Code768", "Code99999", "Schreibmaschine"] {
            assert!(name.parse::<Key>().is_err(), "{name}");
        }
    }

    #[test]
    fn no_spelling_means_two_keys_and_every_name_reads_back() {
        let mut seen = HashMap::new();
        for known in key_names() {
            for spelling in spellings(known) {
                assert_eq!(seen.insert(spelling.clone(), known.code), None, "{spelling}");
            }
            let key = Key::from_code(known.code).unwrap();
            assert_eq!(key.to_string(), known.name);
            assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        }
        assert_eq!(Key::from_code(699).unwrap().to_string(), "Code699");
    }

    /// The kernel's header, through a crate that is generated from it.
    #[test]
    fn codes_are_those_of_the_kernel() {
        for (name, code) in [
            ("Compose", evdev::KeyCode::KEY_COMPOSE),
            ("MicMute", evdev::KeyCode::KEY_MICMUTE),
            ("F13", evdev::KeyCode::KEY_F13),
            ("Fn", evdev::KeyCode::KEY_FN),
            ("Assistant", evdev::KeyCode::KEY_ASSISTANT),
            ("MouseTask", evdev::KeyCode::BTN_TASK),
            ("Hanja", evdev::KeyCode::KEY_HANJA),
        ] {
            assert_eq!(name.parse::<Key>().unwrap().code(), code.code(), "{name}");
        }
        for known in key_names().iter().filter(|known| known.name.len() == 1 || known.name.starts_with('F')) {
            if known.name == "Forward" {
                continue;
            }
            let theirs = format!("KEY_{}", known.name.to_uppercase());
            assert_eq!(theirs.parse::<evdev::KeyCode>().unwrap().code(), known.code, "{theirs}");
        }
    }
}
