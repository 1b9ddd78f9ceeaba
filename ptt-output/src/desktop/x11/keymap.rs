//! The server's keymap, and by which keys a text is typed in it. Pure.
//!
//! What lives here: looking up a character (group, key, modifiers) as XKB defines it, and which keycodes are spare. What
//! does not: asking the server and pressing keys (`typing.rs`).

use std::collections::HashMap;

use xkeysym::Keysym;

/// A set of the eight real modifiers, in the bits of the protocol.
pub(super) type Mods = u8;

/// Caps Lock.
pub(super) const LOCK: Mods = 2;

/// A keyboard has at most so many layouts at once.
const GROUPS: u8 = 4;

/// The last keycode of the block that layouts are about: F12. Keys of real layouts have one character at both of two levels
/// there (Gujarati, Bengali, Tifinagh, Mongolian), and none beyond.
const LAST_OF_BLOCK: u8 = 96;

/// Keysyms by which a modifier can be held that chooses a level and does nothing else.
const LEVEL_SHIFTS: [Keysym; 4] =
    [Keysym::Shift_L, Keysym::Shift_R, Keysym::ISO_Level3_Shift, Keysym::ISO_Level5_Shift];

/// How the level of a key follows from the modifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyType {
    /// The modifiers that matter.
    pub mask: Mods,
    /// Which of them, exactly, choose which level; all other combinations choose level 0.
    pub levels: Vec<(Mods, u8)>,
}

impl KeyType {
    fn level(&self, mods: Mods) -> u8 {
        self.levels.iter().find(|(wanted, _)| *wanted == mods & self.mask).map_or(0, |&(_, level)| level)
    }
}

/// What a key means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    /// Indices into the types, one for each group.
    pub types: [u8; GROUPS as usize],
    /// XKB's `group_info`: the number of groups, and what happens to groups beyond.
    pub info: u8,
    /// Levels in each group.
    pub width: u8,
    /// `width` keysyms for each group.
    pub syms: Vec<u32>,
    /// The modifiers this key sets.
    pub sets: Mods,
}

impl Key {
    /// The key's own group for the keyboard's `group`; `None` where the key means nothing.
    fn group(&self, group: u8) -> Option<u8> {
        let count = self.info & 0x0f;
        match (count, self.info & 0xc0) {
            (0, _) => None,
            (count, _) if group < count => Some(group),
            (count, 0x40) => Some(count - 1),
            (count, 0x80) => Some(((self.info >> 4) & 3).min(count - 1)),
            (count, _) => Some(group % count),
        }
    }

    fn sym(&self, group: u8, level: u8) -> Option<Keysym> {
        let at = usize::from(self.group(group)?) * usize::from(self.width) + usize::from(level);
        self.syms.get(at).filter(|sym| **sym != 0 && level < self.width).map(|sym| Keysym::new(*sym))
    }

    /// Whether it means nothing.
    fn is_spare(&self) -> bool {
        self.sets == 0 && self.syms.iter().all(|sym| *sym == 0)
    }

    /// Whether it is one character at both of two levels. Beyond the main block no layout has that: a program that types
    /// bound it, and may be gone.
    fn is_left_over(&self) -> bool {
        matches!(*self.syms, [a, b] if a == b && character(Keysym::new(a)).is_some())
    }
}

/// A key with what has to be held and locked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stroke {
    /// The layout that must be chosen.
    pub group: u8,
    /// The key.
    pub keycode: u8,
    /// The modifiers that must be held.
    pub mods: Mods,
}

/// The keymap with the state that matters for looking it up.
#[derive(Clone, Debug, Default)]
pub(super) struct Keymap {
    /// The keycode of the first key.
    pub first: u8,
    /// The keys from there on.
    pub keys: Vec<Key>,
    /// What [`Key::types`] points to.
    pub types: Vec<KeyType>,
    /// The layout in use.
    pub group: u8,
    /// The locked modifiers without Caps Lock, which is switched off while we type.
    pub locked: Mods,
}

impl Keymap {
    /// How every character that the keymap has is typed: in the layout in use if that has it, with the fewest
    /// modifiers.
    pub fn strokes(&self) -> HashMap<char, Stroke> {
        let mut strokes: HashMap<char, Stroke> = HashMap::new();
        let cost = |stroke: &Stroke| (stroke.group != self.group, stroke.group, stroke.mods.count_ones());
        for group in 0..GROUPS {
            let holdable = self.holdable(group);
            for (keycode, key) in self.keycodes() {
                for level in 0..key.width {
                    let Some(c) = key.sym(group, level).and_then(character) else { continue };
                    let Some(mods) = self.mods(key, group, level, holdable) else { continue };
                    let stroke = Stroke { group, keycode, mods };
                    let best = strokes.entry(c).or_insert(stroke);
                    if cost(&stroke) < cost(best) {
                        *best = stroke;
                    }
                }
            }
        }
        strokes
    }

    /// The key for a keysym of a shortcut, and what must be held for it. Programs know a shortcut's letter by its key in
    /// whichever layout has it, so that none has to be chosen.
    pub fn stroke_of(&self, sym: u32) -> Option<Stroke> {
        std::iter::once(self.group).chain(0..GROUPS).find_map(|group| {
            let holdable = self.holdable(group);
            self.keycodes().find_map(|(keycode, key)| {
                let level = (0..key.width).find(|level| key.sym(group, *level) == Some(Keysym::new(sym)))?;
                Some(Stroke { group, keycode, mods: self.mods(key, group, level, holdable)? })
            })
        })
    }

    /// The key that holds the one modifier `bit` while `group` is chosen.
    pub fn holder(&self, bit: Mods, group: u8) -> Option<u8> {
        let holds = |key: &Key| {
            key.sets & bit != 0 && key.sym(group, 0).is_some_and(|sym| LEVEL_SHIFTS.contains(&sym))
        };
        self.keycodes().find(|(_, key)| holds(key)).map(|(keycode, _)| keycode)
    }

    /// The keycodes that can be bound: those that mean nothing, in the longest row first, so that few requests bind many;
    /// then those that were left bound.
    pub fn spares(&self) -> Vec<u8> {
        let mut rows: Vec<Vec<u8>> = Vec::new();
        // Keycode 8 is 0 to programs that count as the kernel does, and that is no key.
        let usable = || self.keycodes().filter(|(keycode, _)| *keycode > 8);
        for (keycode, _) in usable().filter(|(_, key)| key.is_spare()) {
            match rows.last_mut() {
                Some(row) if row.last().is_some_and(|last| last + 1 == keycode) => row.push(keycode),
                Some(_) | None => rows.push(vec![keycode]),
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.len()));
        let left_over = usable().filter(|(keycode, key)| *keycode > LAST_OF_BLOCK && key.is_left_over());
        rows.push(left_over.map(|(keycode, _)| keycode).collect());
        rows.concat()
    }

    /// Whether this key means nothing.
    pub fn is_spare(&self, keycode: u8) -> bool {
        self.keycodes().any(|(code, key)| code == keycode && key.is_spare())
    }

    /// The last key that means nothing.
    pub fn last_spare(&self) -> Option<u8> {
        self.keycodes().filter(|(_, key)| key.is_spare()).map(|(keycode, _)| keycode).last()
    }

    /// Whether a spare key is bound to this keysym, in the way we bind.
    pub fn binds(&self, keycode: u8, sym: u32) -> bool {
        self.keycodes().any(|(code, key)| code == keycode && key.syms == [sym, sym])
    }

    fn keycodes(&self) -> impl Iterator<Item = (u8, &Key)> {
        (self.first..=u8::MAX).zip(&self.keys)
    }

    /// The fewest of the `holdable` modifiers that choose `level` of the key, beside those that are locked.
    fn mods(&self, key: &Key, group: u8, level: u8, holdable: Mods) -> Option<Mods> {
        let kind = self.types.get(usize::from(*key.types.get(usize::from(key.group(group)?))?))?;
        let mut best: Option<Mods> = None;
        // Counts down through every subset of what can be held and matters.
        let mask = kind.mask & holdable;
        let mut mods = mask;
        loop {
            let fits = kind.level(mods | self.locked) == level;
            if fits && best.is_none_or(|best| mods.count_ones() <= best.count_ones()) {
                best = Some(mods);
            }
            if mods == 0 {
                return best;
            }
            mods = (mods - 1) & mask;
        }
    }

    /// The modifiers that can be held while `group` is chosen. Caps Lock is none of them.
    fn holdable(&self, group: u8) -> Mods {
        bits(!LOCK).filter(|bit| self.holder(*bit, group).is_some()).sum()
    }
}

/// The modifiers in a set, one by one.
pub(super) fn bits(mods: Mods) -> impl Iterator<Item = Mods> {
    (0..8).map(|at| 1 << at).filter(move |bit| mods & bit != 0)
}

/// The keysym a character is bound as.
pub(super) fn keysym(c: char) -> u32 {
    match u32::from(c) {
        latin @ (0x20..=0x7e | 0xa0..=0xff) => latin,
        other => 0x0100_0000 | other,
    }
}

/// The character that typing the keysym gives. The keypad's are left out: their levels depend on Num Lock, and some
/// programs tell them apart.
fn character(sym: Keysym) -> Option<char> {
    match sym {
        Keysym::Return => Some('\n'),
        sym if sym.is_keypad_key() => None,
        sym => sym.key_char().filter(|c| !c.is_control()),
    }
}

#[cfg(test)]
#[path = "keymap/tests.rs"]
mod tests;
