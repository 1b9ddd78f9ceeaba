//! Names that other programs give to keys, for "did you mean": XKB's keysyms (xev, sway, i3),
//! Hyprland's binds, GTK's accelerators, the kernel's names and those of browsers. Pure.
//!
//! They are suggested and not accepted: a keysym is a symbol, which another layout has on another key.

use super::Key;
use super::plain;
use crate::chord::Chord;

/// Translates the name that another program gives to a key.
#[must_use]
pub fn translate(name: &str) -> Option<Key> {
    let name = name.trim();
    if let Some(known) = coded(name) {
        return Some(known);
    }
    let wanted = plain(name.strip_prefix("XF86").unwrap_or(name));
    if let Some(side) = modifier(&wanted) {
        return side.parse().ok();
    }
    let is_it = |symbol: &str| symbol == name || !wanted.is_empty() && plain(symbol) == wanted;
    let found = SYMBOLS.iter().find(|(symbol, _)| is_it(symbol));
    if let Some((_, ours)) = found {
        return ours.parse().ok();
    }
    // Browsers: `KeyV`, `Digit1`.
    let of_browsers = wanted.strip_prefix("key").or_else(|| wanted.strip_prefix("digit"));
    of_browsers.and_then(|key| key.parse().ok()).or_else(|| kernel_name(&format!("KEY_{name}")))
}

/// Translates a chord that is written as in another program: `SUPER, V`, `<Control>v`, `Mod4+v`.
#[must_use]
pub fn translate_chord(text: &str) -> Option<Chord> {
    const SEPARATORS: [&[char]; 5] = [
        &['+'],
        &['+', ',', '&'],
        &['+', ',', '<', '>'],
        &['+', ',', ' ', '<', '>'],
        &['+', ',', ' ', '_', '-', '<', '>'],
    ];
    SEPARATORS.iter().find_map(|separators| {
        let names = text.split(*separators).map(str::trim).filter(|name| !name.is_empty());
        let keys: Vec<Key> =
            names.map(|name| name.parse().ok().or_else(|| translate(name))).collect::<Option<_>>()?;
        let joined = keys.iter().map(Key::to_string).collect::<Vec<_>>().join("+");
        Chord::parse(&joined).ok()
    })
}

/// A name of the kernel's header, such as `KEY_SLEEP` or `BTN_STYLUS`.
pub fn kernel_name(name: &str) -> Option<Key> {
    let name = name.trim().to_uppercase();
    let known = name.starts_with("KEY_") || name.starts_with("BTN_");
    let code = known.then(|| name.parse::<evdev::KeyCode>().ok()).flatten()?;
    Key::from_code(code.code())
}

/// Hyprland's and sway's numbers: `code:191` counts as XKB does, `mouse:275` as the kernel does.
fn coded(name: &str) -> Option<Key> {
    let (kind, number) = name.split_once(':')?;
    let number: u16 = number.trim().parse().ok()?;
    match kind.trim().to_lowercase().as_str() {
        "code" => Key::from_code(number.checked_sub(8)?),
        "mouse" => Key::from_code(number),
        _ => None,
    }
}

/// One of our modifiers by any name for it, the left one where the name has no side.
fn modifier(wanted: &str) -> Option<&'static str> {
    const SIDES: [(&str, usize); 6] = [("left", 0), ("right", 1), ("l", 0), ("r", 1), ("lt", 0), ("rt", 1)];
    const MODIFIERS: [(&[&str], [&str; 2]); 4] = [
        (&["ctrl", "control", "ctl", "primary", "strg"], ["LeftCtrl", "RightCtrl"]),
        (&["shift", "umschalt"], ["LeftShift", "RightShift"]),
        (&["alt", "mod1", "option", "opt"], ["LeftAlt", "RightAlt"]),
        (
            &[
                "super", "meta", "mod4", "win", "windows", "logo", "cmd", "command", "gui", "mod", "hyper",
                "os",
            ],
            ["LeftMeta", "RightMeta"],
        ),
    ];
    MODIFIERS.iter().find_map(|(names, [left, right])| {
        let is_side = |name: &str, side: &str| {
            wanted.strip_suffix(side) == Some(name) || wanted.strip_prefix(side) == Some(name)
        };
        names.iter().find_map(|name| {
            if wanted == *name {
                return Some(*left);
            }
            let side = SIDES.iter().find(|(side, _)| is_side(name, side))?.1;
            Some([*left, *right][side])
        })
    })
}

/// Keysyms without `XF86`, and characters, by our name of the key that has them on a US keyboard.
#[rustfmt::skip]
const SYMBOLS: &[(&str, &str)] = &[
    ("ISO_Level3_Shift", "RightAlt"), ("Mode_switch", "RightAlt"), ("AltGraph", "RightAlt"),
    ("Multi_key", "Compose"), ("Prior", "PageUp"), ("Next", "PageDown"), ("Sys_Req", "SysRq"),
    ("Eisu_toggle", "CapsLock"), ("ISO_Left_Tab", "Tab"), ("Linefeed", "Code101"),
    // Function keys: what XKB calls the ones above F12.
    ("Tools", "F13"), ("Launch5", "F14"), ("Launch6", "F15"), ("Launch7", "F16"), ("Launch8", "F17"),
    ("Launch9", "F18"), ("TouchpadToggle", "F21"), ("TouchpadOn", "F22"), ("TouchpadOff", "F23"),
    ("Launch1", "Prog1"), ("Launch2", "Prog2"), ("Launch3", "Prog3"), ("Launch4", "Prog4"),
    // Media.
    ("AudioMicMute", "MicMute"), ("AudioMute", "Mute"), ("AudioVolumeMute", "Mute"),
    ("AudioLowerVolume", "VolumeDown"), ("AudioRaiseVolume", "VolumeUp"),
    ("AudioVolumeDown", "VolumeDown"), ("AudioVolumeUp", "VolumeUp"), ("AudioPlay", "PlayPause"),
    ("AudioPause", "PlayPause"), ("AudioNext", "NextSong"), ("AudioPrev", "PreviousSong"),
    ("AudioStop", "StopCD"), ("AudioRecord", "Record"), ("MediaTrackNext", "NextSong"),
    ("MediaTrackPrevious", "PreviousSong"), ("Calculator", "Calc"), ("Reload", "Refresh"),
    ("VoiceCommand", "VoiceCommand"), ("Favorites", "Code156"), ("Sleep", "Code142"),
    ("PowerOff", "Code116"), ("Eject", "Code161"), ("WWW", "Code150"), ("Explorer", "Code144"),
    // Keypad.
    ("KP_Add", "KPPlus"), ("KP_Subtract", "KPMinus"), ("KP_Multiply", "KPAsterisk"),
    ("KP_Divide", "KPSlash"), ("KP_Decimal", "KPDot"), ("KP_Delete", "KPDot"),
    ("KP_Separator", "KPComma"), ("KP_Insert", "KP0"), ("KP_End", "KP1"), ("KP_Down", "KP2"),
    ("KP_Next", "KP3"), ("KP_Page_Down", "KP3"), ("KP_Left", "KP4"), ("KP_Begin", "KP5"),
    ("KP_Right", "KP6"), ("KP_Home", "KP7"), ("KP_Up", "KP8"), ("KP_Prior", "KP9"),
    ("KP_Page_Up", "KP9"),
    // Punctuation, by name and by character.
    ("minus", "Minus"), ("underscore", "Minus"), ("equal", "Equal"), ("plus", "Equal"),
    ("bracketleft", "LeftBracket"), ("braceleft", "LeftBracket"), ("bracketright", "RightBracket"),
    ("braceright", "RightBracket"), ("colon", "Semicolon"), ("quotedbl", "Apostrophe"),
    ("quoteright", "Apostrophe"), ("asciitilde", "Grave"), ("quoteleft", "Grave"), ("bar", "Backslash"),
    ("less", "102nd"), ("greater", "102nd"), ("question", "Slash"), ("exclam", "1"), ("at", "2"),
    ("numbersign", "3"), ("dollar", "4"), ("percent", "5"), ("asciicircum", "6"), ("ampersand", "7"),
    ("asterisk", "8"), ("parenleft", "9"), ("parenright", "0"),
    ("-", "Minus"), ("=", "Equal"), ("[", "LeftBracket"), ("]", "RightBracket"), (";", "Semicolon"),
    ("'", "Apostrophe"), ("`", "Grave"), ("\\", "Backslash"), (",", "Comma"), (".", "Dot"), ("/", "Slash"),
    ("<", "102nd"), ("\u{b4}", "Equal"), ("^", "Grave"), ("#", "Backslash"),
    // German letters, by the place they have on a German keyboard.
    ("adiaeresis", "Apostrophe"), ("odiaeresis", "Semicolon"), ("udiaeresis", "LeftBracket"),
    ("ssharp", "Minus"), ("ä", "Apostrophe"), ("ö", "Semicolon"), ("ü", "LeftBracket"), ("ß", "Minus"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_programs_are_recognised() {
        for (name, ours) in [
            // XKB's keysyms.
            ("Control_R", "RightCtrl"),
            ("Control_L", "LeftCtrl"),
            ("Shift_R", "RightShift"),
            ("Alt_L", "LeftAlt"),
            ("Super_L", "LeftMeta"),
            ("Meta_R", "RightMeta"),
            ("ISO_Level3_Shift", "RightAlt"),
            ("XF86AudioMicMute", "MicMute"),
            ("XF86AudioRaiseVolume", "VolumeUp"),
            ("XF86Tools", "F13"),
            ("XF86Launch5", "F14"),
            ("XF86TouchpadToggle", "F21"),
            ("XF86Calculator", "Calc"),
            ("Prior", "PageUp"),
            ("KP_Add", "KPPlus"),
            ("KP_Page_Down", "KP3"),
            ("bracketleft", "LeftBracket"),
            ("question", "Slash"),
            // sway, i3, Hyprland.
            ("Mod4", "LeftMeta"),
            ("Mod1", "LeftAlt"),
            ("SUPER", "LeftMeta"),
            ("CTRL", "LeftCtrl"),
            ("CONTROL_R", "RightCtrl"),
            ("code:191", "F13"),
            ("mouse:275", "MouseSide"),
            // The kernel.
            ("SLEEP", "Code142"),
            ("CAMERA", "Code212"),
            // Browsers, Windows, macOS.
            ("ControlRight", "RightCtrl"),
            ("MetaLeft", "LeftMeta"),
            ("KeyV", "V"),
            ("Digit1", "1"),
            ("AudioVolumeMute", "Mute"),
            ("Win", "LeftMeta"),
            ("Cmd", "LeftMeta"),
            // Characters.
            (";", "Semicolon"),
            ("ä", "Apostrophe"),
        ] {
            assert_eq!(translate(name).map(|key| key.to_string()).as_deref(), Some(ours), "{name}");
        }
        for name in ["", "Schreibmaschine", "code:7", "code:x", "mouse:0", "XF86", "_L"] {
            assert_eq!(translate(name), None, "{name:?}");
        }
    }

    #[test]
    fn chords_of_other_programs_are_recognised() {
        for (text, ours) in [
            ("SUPER, V", "LeftMeta+V"),
            ("SUPER SHIFT, V", "LeftMeta+LeftShift+V"),
            ("SUPER_SHIFT, V", "LeftMeta+LeftShift+V"),
            (", F13", "F13"),
            ("$mod+v", ""),
            ("Mod4+Shift+v", "LeftMeta+LeftShift+V"),
            ("Ctrl+Alt+Space", "LeftCtrl+LeftAlt+Space"),
            ("<Control><Alt>v", "LeftCtrl+LeftAlt+V"),
            ("<Super>XF86AudioMicMute", "LeftMeta+MicMute"),
            ("ctrl-alt-v", "LeftCtrl+LeftAlt+V"),
            ("Left Ctrl, V", "LeftCtrl+V"),
            ("Control_R", "RightCtrl"),
            ("Control_L+space", "LeftCtrl+Space"),
            ("Ctrl Ctrl", ""),
            ("Dwon+Right", ""),
            ("", ""),
        ] {
            let found = translate_chord(text).map(|chord| chord.to_string()).unwrap_or_default();
            assert_eq!(found, ours, "{text:?}");
        }
    }

    /// What is suggested is a name that may be written.
    #[test]
    fn every_translation_is_a_key() {
        for (symbol, ours) in SYMBOLS {
            assert!(ours.parse::<Key>().is_ok(), "{symbol}: {ours}");
        }
    }

    #[test]
    fn names_of_the_kernel_are_found() {
        for (name, code) in [("KEY_SLEEP", 142), ("key_camera", 212), ("BTN_STYLUS", 0x14b)] {
            assert_eq!(kernel_name(name).map(Key::code), Some(code), "{name}");
        }
        for name in ["SLEEP", "KEY_", "KEY_NOTHING", "BTN_99999", "KEY_RESERVED"] {
            assert_eq!(kernel_name(name), None, "{name}");
        }
    }
}
