//! A chord as keys of the portal. Pure.

use crate::desktop::PasteChord;

/// One key going down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stroke {
    pub key: Key,
    pub down: bool,
}

/// How the portal is told which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// By the kernel's code: the same in every layout.
    Code(i32),
    /// By the X keysym: wherever the layout has it.
    Sym(i32),
}

/// The keys in the order in which they go down and up.
pub(super) fn strokes(chord: PasteChord) -> Vec<Stroke> {
    let keys: Vec<Key> = chord.keysyms().into_iter().map(key).collect();
    let down = keys.iter().map(|&key| Stroke { key, down: true });
    let up = keys.iter().rev().map(|&key| Stroke { key, down: false });
    down.chain(up).collect()
}

fn key(keysym: u32) -> Key {
    match keysym {
        // Shift_L, Control_L, Alt_L, Insert, XF86Paste.
        0xffe1 => Key::Code(42),
        0xffe3 => Key::Code(29),
        0xffe9 => Key::Code(56),
        0xff63 => Key::Code(110),
        0x1008_ff6d => Key::Code(135),
        letter => Key::Sym(letter.cast_signed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_down_comes_up_the_other_way_round() {
        let (ctrl, shift) = (Key::Code(29), Key::Code(42));
        for (chord, keys) in [
            ("Shift+Insert", &[shift, Key::Code(110)][..]),
            ("Ctrl+V", &[ctrl, Key::Sym(0x76)]),
            ("Ctrl+Shift+V", &[shift, ctrl, Key::Sym(0x76)]),
            ("Alt+Paste", &[Key::Code(56), Key::Code(135)]),
        ] {
            let mut expected: Vec<Stroke> = keys.iter().map(|&key| Stroke { key, down: true }).collect();
            expected.extend(keys.iter().rev().map(|&key| Stroke { key, down: false }));
            assert_eq!(strokes(chord.parse().unwrap()), expected, "{chord}");
        }
    }
}
