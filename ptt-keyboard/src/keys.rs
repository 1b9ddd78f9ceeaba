//! The names of keys: what a configuration may write, and the kernel's code for each.
//!
//! A key is a place on the keyboard, named by what is printed there on a US keyboard: `Z` is the key
//! that a German keyboard calls Y. Only the table and the look-up live here. What a chord does with
//! keys is in [`crate::chord`].

pub mod other_names;

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
        by_code
            .or_else(|| other_names::kernel_name(name))
            .ok_or_else(|| KeyboardError::UnknownKey { name: name.to_owned(), near: near(name) })
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

/// What may have been meant by `name`: the key that another program calls so, or at most four names that look like it, the
/// nearest first: those that contain it (`ctrl` in `LeftCtrl`), then those at a small distance of edits.
fn near(name: &str) -> Vec<String> {
    const ALIKE: f64 = 0.6;
    let wanted = &*plain(name);
    let translated = other_names::translate(name).map(|key| key.to_string());
    let is_part = |name: &&str| wanted.len() >= 2 && plain(name).contains(wanted);
    if let Some(key) = translated.as_deref().filter(|key| !is_part(key)) {
        return vec![key.to_owned()];
    }
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
    found.into_iter().take(4).map(|(_, name)| name.to_owned()).collect()
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

    key(0x130, "PadSouth", &["BTN_SOUTH", "BTN_A", "BTN_GAMEPAD"]), key(0x131, "PadEast", &["BTN_EAST", "BTN_B"]),
    key(0x132, "PadC", &["BTN_C"]), key(0x133, "PadNorth", &["BTN_NORTH", "BTN_X"]),
    key(0x134, "PadWest", &["BTN_WEST", "BTN_Y"]), key(0x135, "PadZ", &["BTN_Z"]),
    key(0x136, "PadLeftBumper", &["BTN_TL"]), key(0x137, "PadRightBumper", &["BTN_TR"]),
    key(0x138, "PadLeftTrigger", &["BTN_TL2"]), key(0x139, "PadRightTrigger", &["BTN_TR2"]),
    key(0x13a, "PadSelect", &["BTN_SELECT"]), key(0x13b, "PadStart", &["BTN_START"]),
    key(0x13c, "PadMode", &["BTN_MODE"]), key(0x13d, "PadLeftStick", &["BTN_THUMBL"]),
    key(0x13e, "PadRightStick", &["BTN_THUMBR"]), key(0x220, "PadUp", &["BTN_DPAD_UP"]),
    key(0x221, "PadDown", &["BTN_DPAD_DOWN"]), key(0x222, "PadLeft", &["BTN_DPAD_LEFT"]),
    key(0x223, "PadRight", &["BTN_DPAD_RIGHT"]),

    key(0x100, "Button0", &["BTN_0", "BTN_MISC"]), key(0x101, "Button1", &["BTN_1"]), key(0x102, "Button2", &["BTN_2"]),
    key(0x103, "Button3", &["BTN_3"]), key(0x104, "Button4", &["BTN_4"]), key(0x105, "Button5", &["BTN_5"]),
    key(0x106, "Button6", &["BTN_6"]), key(0x107, "Button7", &["BTN_7"]), key(0x108, "Button8", &["BTN_8"]),
    key(0x109, "Button9", &["BTN_9"]),
    key(0x120, "StickTrigger", &["BTN_TRIGGER", "BTN_JOYSTICK"]), key(0x121, "StickThumb", &["BTN_THUMB"]),
    key(0x122, "StickThumb2", &["BTN_THUMB2"]), key(0x123, "StickTop", &["BTN_TOP"]),
    key(0x124, "StickTop2", &["BTN_TOP2"]), key(0x125, "StickPinkie", &["BTN_PINKIE"]),
    key(0x126, "StickBase", &["BTN_BASE"]), key(0x127, "StickBase2", &["BTN_BASE2"]),
    key(0x128, "StickBase3", &["BTN_BASE3"]), key(0x129, "StickBase4", &["BTN_BASE4"]),
    key(0x12a, "StickBase5", &["BTN_BASE5"]), key(0x12b, "StickBase6", &["BTN_BASE6"]),
    key(0x12f, "StickDead", &["BTN_DEAD"]),

    key(0x2c0, "TriggerHappy1", &["BTN_TRIGGER_HAPPY1"]), key(0x2c1, "TriggerHappy2", &["BTN_TRIGGER_HAPPY2"]),
    key(0x2c2, "TriggerHappy3", &["BTN_TRIGGER_HAPPY3"]), key(0x2c3, "TriggerHappy4", &["BTN_TRIGGER_HAPPY4"]),
    key(0x2c4, "TriggerHappy5", &["BTN_TRIGGER_HAPPY5"]), key(0x2c5, "TriggerHappy6", &["BTN_TRIGGER_HAPPY6"]),
    key(0x2c6, "TriggerHappy7", &["BTN_TRIGGER_HAPPY7"]), key(0x2c7, "TriggerHappy8", &["BTN_TRIGGER_HAPPY8"]),
    key(0x2c8, "TriggerHappy9", &["BTN_TRIGGER_HAPPY9"]), key(0x2c9, "TriggerHappy10", &["BTN_TRIGGER_HAPPY10"]),
    key(0x2ca, "TriggerHappy11", &["BTN_TRIGGER_HAPPY11"]), key(0x2cb, "TriggerHappy12", &["BTN_TRIGGER_HAPPY12"]),
    key(0x2cc, "TriggerHappy13", &["BTN_TRIGGER_HAPPY13"]), key(0x2cd, "TriggerHappy14", &["BTN_TRIGGER_HAPPY14"]),
    key(0x2ce, "TriggerHappy15", &["BTN_TRIGGER_HAPPY15"]), key(0x2cf, "TriggerHappy16", &["BTN_TRIGGER_HAPPY16"]),
    key(0x2d0, "TriggerHappy17", &["BTN_TRIGGER_HAPPY17"]), key(0x2d1, "TriggerHappy18", &["BTN_TRIGGER_HAPPY18"]),
    key(0x2d2, "TriggerHappy19", &["BTN_TRIGGER_HAPPY19"]), key(0x2d3, "TriggerHappy20", &["BTN_TRIGGER_HAPPY20"]),
    key(0x2d4, "TriggerHappy21", &["BTN_TRIGGER_HAPPY21"]), key(0x2d5, "TriggerHappy22", &["BTN_TRIGGER_HAPPY22"]),
    key(0x2d6, "TriggerHappy23", &["BTN_TRIGGER_HAPPY23"]), key(0x2d7, "TriggerHappy24", &["BTN_TRIGGER_HAPPY24"]),
    key(0x2d8, "TriggerHappy25", &["BTN_TRIGGER_HAPPY25"]), key(0x2d9, "TriggerHappy26", &["BTN_TRIGGER_HAPPY26"]),
    key(0x2da, "TriggerHappy27", &["BTN_TRIGGER_HAPPY27"]), key(0x2db, "TriggerHappy28", &["BTN_TRIGGER_HAPPY28"]),
    key(0x2dc, "TriggerHappy29", &["BTN_TRIGGER_HAPPY29"]), key(0x2dd, "TriggerHappy30", &["BTN_TRIGGER_HAPPY30"]),
    key(0x2de, "TriggerHappy31", &["BTN_TRIGGER_HAPPY31"]), key(0x2df, "TriggerHappy32", &["BTN_TRIGGER_HAPPY32"]),
    key(0x2e0, "TriggerHappy33", &["BTN_TRIGGER_HAPPY33"]), key(0x2e1, "TriggerHappy34", &["BTN_TRIGGER_HAPPY34"]),
    key(0x2e2, "TriggerHappy35", &["BTN_TRIGGER_HAPPY35"]), key(0x2e3, "TriggerHappy36", &["BTN_TRIGGER_HAPPY36"]),
    key(0x2e4, "TriggerHappy37", &["BTN_TRIGGER_HAPPY37"]), key(0x2e5, "TriggerHappy38", &["BTN_TRIGGER_HAPPY38"]),
    key(0x2e6, "TriggerHappy39", &["BTN_TRIGGER_HAPPY39"]), key(0x2e7, "TriggerHappy40", &["BTN_TRIGGER_HAPPY40"]),
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
            ("KEY_SLEEP", 142),
            ("BTN_STYLUS", 0x14b),
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
            ("Control_R", "did you mean RightCtrl?"),
            ("XF86AudioMicMute", "did you mean MicMute?"),
            ("Mod4", "did you mean LeftMeta?"),
            ("Prior", "did you mean PageUp?"),
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
