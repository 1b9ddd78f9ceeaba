//! What `inputbot` calls the keys that it sees, found by the kernel's code.

use inputbot::{KeybdKey, MouseButton};

use crate::Key;

/// A key or button of `inputbot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// On a keyboard.
    Key(KeybdKey),
    /// On a mouse.
    Button(MouseButton),
}

impl Bound {
    /// What `inputbot` reports when `key` is pressed; `None` where it reports nothing.
    pub fn of(key: Key) -> Option<Self> {
        let code = key.code();
        let button =
            BUTTONS.iter().find(|(known, _)| *known == code).map(|(_, button)| Self::Button(*button));
        button.or_else(|| KEYS.iter().find(|(known, _)| *known == code).map(|(_, key)| Self::Key(*key)))
    }

    /// Calls `pressed` on a new thread for every press.
    pub fn bind(self, pressed: impl Fn() + Send + Sync + 'static) {
        match self {
            Self::Key(key) => key.bind(pressed),
            Self::Button(button) => button.bind(pressed),
        }
    }

    /// Takes the binding back.
    pub fn unbind(self) {
        match self {
            Self::Key(key) => key.unbind(),
            Self::Button(button) => button.unbind(),
        }
    }

    /// Whether it was down when `inputbot` last looked.
    pub fn is_pressed(self) -> bool {
        match self {
            Self::Key(key) => key.is_pressed(),
            Self::Button(button) => button.is_pressed(),
        }
    }
}

const BUTTONS: &[(u16, MouseButton)] = &[
    (0x110, MouseButton::LeftButton),
    (0x111, MouseButton::RightButton),
    (0x112, MouseButton::MiddleButton),
    (0x113, MouseButton::X1Button),
    (0x114, MouseButton::X2Button),
];

/// Its own table read backwards: the numeric keypad's codes carry the names of the arrows and their neighbours.
#[rustfmt::skip]
const KEYS: &[(u16, KeybdKey)] = {
    use KeybdKey::{
        AKey, BKey, BackquoteKey, BackslashKey, BackspaceKey, CKey, CapsLockKey, CommaKey, DKey, DeleteKey, DownKey,
        EKey, EnterKey, EqualKey, EscapeKey, F1Key, F2Key, F3Key, F4Key, F5Key, F6Key, F7Key, F8Key, F9Key, F10Key,
        FKey, GKey, HKey, HomeKey, IKey, InsertKey, JKey, KKey, LBracketKey, LControlKey, LKey, LShiftKey, LeftKey,
        MKey, MinusKey, NKey, NumLockKey, Numpad1Key, Numpad3Key, Numpad5Key, Numpad9Key, Numrow0Key, Numrow1Key,
        Numrow2Key, Numrow3Key, Numrow4Key, Numrow5Key, Numrow6Key, Numrow7Key, Numrow8Key, Numrow9Key, OKey, PKey,
        PeriodKey, QKey, QuoteKey, RBracketKey, RKey, RShiftKey, RightKey, SKey, ScrollLockKey, SemicolonKey,
        SlashKey, SpaceKey, TKey, TabKey, UKey, UpKey, VKey, WKey, XKey, YKey, ZKey,
    };
    &[
        (1, EscapeKey), (2, Numrow1Key), (3, Numrow2Key), (4, Numrow3Key), (5, Numrow4Key), (6, Numrow5Key),
        (7, Numrow6Key), (8, Numrow7Key), (9, Numrow8Key), (10, Numrow9Key), (11, Numrow0Key), (12, MinusKey),
        (13, EqualKey), (14, BackspaceKey), (15, TabKey), (16, QKey), (17, WKey), (18, EKey), (19, RKey), (20, TKey),
        (21, YKey), (22, UKey), (23, IKey), (24, OKey), (25, PKey), (26, LBracketKey), (27, RBracketKey),
        (28, EnterKey), (29, LControlKey), (30, AKey), (31, SKey), (32, DKey), (33, FKey), (34, GKey), (35, HKey),
        (36, JKey), (37, KKey), (38, LKey), (39, SemicolonKey), (40, QuoteKey), (41, BackquoteKey), (42, LShiftKey),
        (43, BackslashKey), (44, ZKey), (45, XKey), (46, CKey), (47, VKey), (48, BKey), (49, NKey), (50, MKey),
        (51, CommaKey), (52, PeriodKey), (53, SlashKey), (54, RShiftKey), (57, SpaceKey), (58, CapsLockKey),
        (59, F1Key), (60, F2Key), (61, F3Key), (62, F4Key), (63, F5Key), (64, F6Key), (65, F7Key), (66, F8Key),
        (67, F9Key), (68, F10Key), (69, NumLockKey), (70, ScrollLockKey), (71, HomeKey), (72, UpKey),
        (73, Numpad9Key), (75, LeftKey), (76, Numpad5Key), (77, RightKey), (79, Numpad1Key), (80, DownKey),
        (81, Numpad3Key), (82, InsertKey), (83, DeleteKey),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keypad_is_what_it_calls_arrows() {
        let bound = |name: &str| Bound::of(name.parse().unwrap());
        assert_eq!(bound("KP2"), Some(Bound::Key(KeybdKey::DownKey)));
        assert_eq!(bound("KP6"), Some(Bound::Key(KeybdKey::RightKey)));
        assert_eq!(bound("MouseSide"), Some(Bound::Button(MouseButton::X1Button)));
        for name in
            ["Down", "Right", "Up", "Left", "RightCtrl", "LeftAlt", "F11", "F13", "MouseBack", "MicMute"]
        {
            assert_eq!(bound(name), None, "{name}");
        }
    }

    #[test]
    fn no_key_is_bound_twice() {
        let codes: std::collections::HashSet<u16> = KEYS.iter().map(|(code, _)| *code).collect();
        let keys: std::collections::HashSet<KeybdKey> = KEYS.iter().map(|(_, key)| *key).collect();
        assert_eq!((codes.len(), keys.len()), (KEYS.len(), KEYS.len()));
    }
}
