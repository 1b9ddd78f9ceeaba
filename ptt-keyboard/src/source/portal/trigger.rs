//! A chord as the freedesktop "shortcuts" specification writes it, purely: `CTRL+SHIFT+space`.
//!
//! It knows modifiers without sides and exactly one other key, by the name of its symbol. The kernel's codes are places on the
//! keyboard: a letter is proposed as it stands on a US layout, and the user has the last word in the desktop's dialog.

use crate::keys::Key;

/// What to propose for these keys; `None` where the specification has no words for them.
#[must_use]
pub fn trigger(keys: &[Key]) -> Option<String> {
    let (modifiers, others): (Vec<Key>, Vec<Key>) =
        keys.iter().copied().partition(|key| modifier(*key).is_some());
    let (names, last) = match (others.as_slice(), modifiers.as_slice()) {
        ([key], modifiers) => (modifiers, *key),
        // A modifier alone is a key like any other.
        ([], [key]) => (&[][..], *key),
        ([], _) | ([_, _, ..], _) => return None,
    };
    let has = |name: &&str| names.iter().any(|key| modifier(*key) == Some(*name));
    let mut parts: Vec<&str> = ["CTRL", "ALT", "SHIFT", "LOGO"].into_iter().filter(has).collect();
    let symbol = symbol(last)?;
    parts.push(&symbol);
    Some(parts.join("+"))
}

fn modifier(key: Key) -> Option<&'static str> {
    Some(match key.code() {
        29 | 97 => "CTRL",
        56 | 100 => "ALT",
        42 | 54 => "SHIFT",
        125 | 126 => "LOGO",
        _ => return None,
    })
}

/// The symbol's name in `xkbcommon-keysyms.h`, without its prefix.
fn symbol(key: Key) -> Option<String> {
    let name = key.to_string();
    let plain = match name.as_str() {
        "Up" | "Down" | "Left" | "Right" | "Escape" | "Tab" | "Insert" | "Delete" | "Home" | "End"
        | "Pause" | "Help" | "Muhenkan" | "Henkan" | "Menu" => return Some(name),
        "Space" => "space",
        "Enter" => "Return",
        "Backspace" => "BackSpace",
        "PageUp" => "Page_Up",
        "PageDown" => "Page_Down",
        "LeftCtrl" => "Control_L",
        "RightCtrl" => "Control_R",
        "LeftShift" => "Shift_L",
        "RightShift" => "Shift_R",
        "LeftAlt" => "Alt_L",
        "RightAlt" => "Alt_R",
        "LeftMeta" => "Super_L",
        "RightMeta" => "Super_R",
        "CapsLock" => "Caps_Lock",
        "NumLock" => "Num_Lock",
        "ScrollLock" => "Scroll_Lock",
        "Compose" => "Menu",
        "SysRq" => "Print",
        "Minus" => "minus",
        "Equal" => "equal",
        "LeftBracket" => "bracketleft",
        "RightBracket" => "bracketright",
        "Semicolon" => "semicolon",
        "Apostrophe" => "apostrophe",
        "Grave" => "grave",
        "Backslash" => "backslash",
        "Comma" => "comma",
        "Dot" => "period",
        "Slash" => "slash",
        "102nd" => "less",
        "KPDot" => "KP_Decimal",
        "KPEnter" => "KP_Enter",
        "KPPlus" => "KP_Add",
        "KPMinus" => "KP_Subtract",
        "KPAsterisk" => "KP_Multiply",
        "KPSlash" => "KP_Divide",
        "KPEqual" => "KP_Equal",
        "Mute" => "XF86AudioMute",
        "VolumeDown" => "XF86AudioLowerVolume",
        "VolumeUp" => "XF86AudioRaiseVolume",
        "MicMute" => "XF86AudioMicMute",
        "PlayPause" => "XF86AudioPlay",
        "NextSong" => "XF86AudioNext",
        "PreviousSong" => "XF86AudioPrev",
        "StopCD" => "XF86AudioStop",
        "Record" => "XF86AudioRecord",
        "Calc" => "XF86Calculator",
        "Search" => "XF86Search",
        "Mail" => "XF86Mail",
        other => return counted(other),
    };
    Some(plain.to_owned())
}

/// Letters, digits, F keys and those of the numeric keypad.
fn counted(name: &str) -> Option<String> {
    let number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match name.strip_prefix("KP") {
        Some(digit) if number(digit) => Some(format!("KP_{digit}")),
        _ if name.len() == 1 => Some(name.to_lowercase()),
        _ if name.strip_prefix('F').is_some_and(number) => Some(name.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chord;
    use crate::keys::key_names;

    #[test]
    fn chords_are_written_as_the_specification_wants_them() {
        for (chord, expected) in [
            ("F13", Some("F13")),
            ("LeftCtrl+Space", Some("CTRL+space")),
            ("Space+RightCtrl", Some("CTRL+space")),
            ("LeftMeta+RightShift+LeftAlt+T", Some("ALT+SHIFT+LOGO+t")),
            ("LeftCtrl+RightCtrl+7", Some("CTRL+7")),
            ("RightCtrl", Some("Control_R")),
            ("KP2", Some("KP_2")),
            ("PlayPause", Some("XF86AudioPlay")),
            ("Down+Right", None),
            ("LeftCtrl+LeftMeta", None),
            ("MouseSide", None),
            ("LeftCtrl+Code700", None),
        ] {
            let chord: Chord = chord.parse().unwrap();
            assert_eq!(trigger(chord.keys()).as_deref(), expected, "{chord}");
        }
    }

    #[test]
    fn no_name_is_empty_or_holds_a_plus() {
        let symbols: Vec<String> =
            key_names().iter().filter_map(|known| symbol(Key::from_code(known.code)?)).collect();
        assert!(symbols.len() > 100, "{}", symbols.len());
        assert!(symbols.iter().all(|symbol| !symbol.is_empty() && !symbol.contains(['+', ' '])));
    }
}
