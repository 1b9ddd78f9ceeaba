//! What windows and the desktop do with the keys of a chord, and which chord is a better choice.
//! Pure.

use crate::chord::{Chord, ProfileChord};
use crate::keys::Key;
use crate::source::Backend;

/// Modifiers that do nothing alone: Ctrl, Shift, and the right Alt, which is AltGr in most layouts.
const QUIET_MODIFIERS: [u16; 5] = [29, 97, 42, 54, 100];
/// Modifiers that open a menu or an overview alone: left Alt, left and right Meta.
const LONE_TAP_MODIFIERS: [u16; 3] = [56, 125, 126];
/// Keys that no application and no common desktop uses: Scroll Lock, Pause, F14 to F19, F24, Fn, the
/// keys for programs and for assistants. F13 opens the settings on GNOME; F20 to F23 switch the
/// microphone and the touchpad.
const QUIET: [u16; 18] =
    [70, 119, 184, 185, 186, 187, 188, 189, 194, 464, 148, 149, 202, 203, 582, 583, 586, 167];
/// The mouse's own buttons; all other buttons are of gamepads and pedals, which no desktop uses.
const MOUSE: std::ops::RangeInclusive<u16> = 0x110..=0x117;
const BUTTONS: [std::ops::RangeInclusive<u16>; 2] = [0x100..=0x151, 0x220..=0x2ff];

/// The keys of a chord that act on the focused window or the desktop.
#[must_use]
pub fn acting(chord: &Chord) -> Vec<Key> {
    let alone = chord.keys().len() == 1;
    chord.keys().iter().copied().filter(|key| acts(key.code(), alone)).collect()
}

fn acts(code: u16, alone: bool) -> bool {
    let is_button = BUTTONS.iter().any(|range| range.contains(&code)) && !MOUSE.contains(&code);
    let is_quiet = is_button || QUIET.contains(&code) || QUIET_MODIFIERS.contains(&code);
    !is_quiet && (alone || !LONE_TAP_MODIFIERS.contains(&code))
}

/// What to say at the start about chords that act on windows too: a line for each, empty where all is
/// well. With `swallow`, `backend` keeps the chords from the windows as far as it can, and says itself
/// what it cannot keep.
#[must_use]
pub fn advice(chord: &Chord, others: &[ProfileChord], swallow: bool, backend: Backend) -> Vec<String> {
    let can_swallow = match backend {
        Backend::Evdev | Backend::X11 => true,
        Backend::Auto | Backend::Inputbot => false,
        // The desktop keeps its own shortcuts from the windows; the others have no keys.
        Backend::Portal | Backend::Control | Backend::Scripted => return Vec::new(),
    };
    if swallow && can_swallow {
        return Vec::new();
    }
    let chords = std::iter::once(("keyboard.chord", chord))
        .chain(others.iter().map(|other| ("the profile's chord", &other.chord)));
    chords.filter_map(|(setting, chord)| line(setting, chord, can_swallow)).collect()
}

fn line(setting: &str, chord: &Chord, can_swallow: bool) -> Option<String> {
    let keys: Vec<String> = acting(chord).iter().map(Key::to_string).collect();
    let (act, keys) = match &keys[..] {
        [] => return None,
        [one] => ("acts", one.clone()),
        [most @ .., last] => ("act", format!("{} and {last}", most.join(", "))),
    };
    let what = effect(chord).map(|what| format!(" ({what})")).unwrap_or_default();
    let or = if can_swallow { ", or set keyboard.swallow = true" } else { "" };
    Some(format!(
        "{setting} {chord}: {keys} also {act} on windows or the desktop while you speak{what}; a better \
         chord is RightCtrl, or F14 where the keyboard has it{or}"
    ))
}

/// The best-known effect, in words.
fn effect(chord: &Chord) -> Option<&'static str> {
    const ARROWS: std::ops::RangeInclusive<u16> = 103..=108;
    let codes = || chord.keys().iter().map(|key| key.code());
    if codes().all(|code| ARROWS.contains(&code) && code != 104 && code != 107) {
        Some("the cursor moves")
    } else if codes().any(|code| code == 183) {
        Some("GNOME opens its settings")
    } else if codes().any(|code| code == 190) {
        Some("desktops mute the microphone")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chord(text: &str) -> Chord {
        text.parse().unwrap()
    }

    #[test]
    fn keys_that_windows_act_on_are_known() {
        for (text, expected) in [
            ("Down+Right", "Down, Right"),
            ("LeftCtrl+Space", "Space"),
            ("A", "A"),
            ("F1", "F1"),
            ("F13", "F13"),
            ("F20", "F20"),
            ("MouseSide", "MouseSide"),
            ("CapsLock", "CapsLock"),
            ("Code250", "Code250"),
            ("LeftMeta", "LeftMeta"),
            ("LeftAlt", "LeftAlt"),
            ("LeftAlt+LeftShift", ""),
            ("LeftMeta+F14", ""),
            ("LeftCtrl+LeftShift", ""),
            ("RightCtrl", ""),
            ("RightAlt", ""),
            ("F14", ""),
            ("F24", ""),
            ("Pause", ""),
            ("ScrollLock", ""),
            ("TriggerHappy1", ""),
            ("PadSouth", ""),
        ] {
            let keys: Vec<String> = acting(&chord(text)).iter().map(Key::to_string).collect();
            assert_eq!(keys.join(", "), expected, "{text}");
        }
    }

    #[test]
    fn the_start_warns_about_a_chord_that_moves_the_cursor_unless_it_is_swallowed() {
        let default = chord("Down+Right");
        for (swallow, backend, warned, remedy) in [
            (false, Backend::Evdev, true, true),
            (false, Backend::X11, true, true),
            (true, Backend::Evdev, false, false),
            (true, Backend::X11, false, false),
            (false, Backend::Inputbot, true, false),
            (true, Backend::Inputbot, true, false),
            (false, Backend::Portal, false, false),
            (false, Backend::Control, false, false),
            (false, Backend::Scripted, false, false),
        ] {
            let lines = advice(&default, &[], swallow, backend);
            assert_eq!(lines.len(), usize::from(warned), "{swallow} {backend:?}: {lines:?}");
            for line in lines {
                for part in ["Down+Right", "Down and Right also act", "the cursor moves", "RightCtrl"] {
                    assert!(line.contains(part), "{line:?} lacks {part:?}");
                }
                assert_eq!(line.contains("keyboard.swallow = true"), remedy, "{line}");
            }
        }
        assert!(advice(&chord("RightCtrl"), &[], false, Backend::Evdev).is_empty());
    }

    #[test]
    fn what_is_recommended_acts_on_nothing() {
        for text in ["RightCtrl", "F14"] {
            assert!(acting(&chord(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn every_chord_of_a_profile_is_looked_at() {
        let other = |text: &str| ProfileChord {
            profile: ptt_messages::Profile(1),
            name: "german".to_owned(),
            chord: chord(text),
        };
        let lines = advice(&chord("RightCtrl"), &[other("F9"), other("F15")], false, Backend::X11);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("the profile's chord F9: F9 also acts"), "{lines:?}");
    }
}
