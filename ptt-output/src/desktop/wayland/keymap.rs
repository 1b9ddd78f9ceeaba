//! Which key with which modifiers types which character: a keyboard layout made for the text. Pure;
//! sending it is `keyboard`'s.
//!
//! Characters lie only on the keys of the main block that write characters on every keyboard:
//! compositors and applications act on the codes of all other keys. ASCII lies where a US keyboard
//! has it. Every other character has a place on a further level, chosen by the modifiers of
//! ISO Level 3 and 5, so it fires no shortcut and no binding. The layout grows by what texts need;
//! a place changes its character only after [`Keymap::release`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

/// Difference between a kernel key code and the same key's number in a layout.
const XKB_OFFSET: u16 = 8;
/// The highest kernel code that a layout may hold: X11 programs see one byte.
const CODE_MAX: u16 = 247;

/// The keys of a US keyboard that write characters, by row: code of the first, characters without
/// and with Shift.
const ROWS: [(u16, &str, &str); 5] = [
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
];
/// The key beside the left Shift of ISO keyboards. It writes characters too.
const ISO_KEY: u16 = 86;
/// The space bar: applications act on its code, so it gets no other character.
const SPACE: u16 = 57;

/// Keys without a character that a text or a chord may need: code, X keysym, name.
const NAMED: [(u16, u32, &str); 4] =
    [(15, 0xff09, "Tab"), (28, 0xff0d, "Return"), (110, 0xff63, "Insert"), (135, 0x1008_ff6d, "XF86Paste")];

/// Bits of the real modifiers in the state of a keyboard.
pub(super) const SHIFT: u32 = 1;
const MOD3: u32 = 1 << 5;
pub(super) const MOD5: u32 = 1 << 7;

/// The modifiers that choose each level: Mod5 is ISO Level 3 (AltGr), Mod3 is ISO Level 5. Control,
/// Alt and Super are none of them: programs take those for shortcuts.
const LEVELS: [(u32, &str); 8] = [
    (0, "None"),
    (SHIFT, "Shift"),
    (MOD5, "Mod5"),
    (SHIFT | MOD5, "Shift+Mod5"),
    (MOD3, "Mod3"),
    (SHIFT | MOD3, "Shift+Mod3"),
    (MOD3 | MOD5, "Mod3+Mod5"),
    (SHIFT | MOD3 | MOD5, "Shift+Mod3+Mod5"),
];
/// Levels below this one are those of a US keyboard.
const FIRST_FREE_LEVEL: usize = 2;

/// A key and the modifiers that are in force while it is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stroke {
    /// Kernel code.
    pub code: u16,
    /// Bits of the real modifiers.
    pub modifiers: u32,
}

/// A place for a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    code: u16,
    level: usize,
}

/// A layout and what it holds.
pub(super) struct Keymap {
    places: HashMap<char, Place>,
    /// Places without a character; the last is next.
    free: Vec<Place>,
    /// Whether the characters beyond ASCII may give up their places.
    released: bool,
}

/// The keys of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Strokes {
    /// In order.
    pub strokes: Vec<Stroke>,
    /// Whether the layout is another than before.
    pub changed: bool,
}

impl Keymap {
    /// The layout that types ASCII.
    pub fn new() -> Self {
        let mut places: HashMap<char, Place> =
            [('\t', 15), ('\n', 28)].map(|(c, code)| (c, Place { code, level: 0 })).into();
        for (first, plain, shifted) in ROWS {
            for (level, row) in [plain, shifted].into_iter().enumerate() {
                for (c, code) in row.chars().zip(first..) {
                    places.entry(c).or_insert(Place { code, level });
                }
            }
        }
        let codes = || main_block().filter(|code| *code != SPACE);
        let levels = FIRST_FREE_LEVEL..LEVELS.len();
        let mut free: Vec<Place> =
            levels.flat_map(|level| codes().map(move |code| Place { code, level })).collect();
        free.reverse();
        Self { places, free, released: false }
    }

    /// The keys that type `text`, with places made for the characters that have none. Control
    /// characters other than tab and newline have no key; they are left out.
    ///
    /// # Errors
    /// The number of characters that lack a place, when they are more than there are places. The
    /// layout stays as it is.
    pub fn strokes(&mut self, text: &str) -> Result<Strokes, usize> {
        let lacking = self.lacking(text);
        let changed = !lacking.is_empty();
        if lacking.len() <= self.free.len() {
            self.add(lacking);
        } else {
            let mut anew = Self::new();
            let all = anew.lacking(text);
            if !self.released || all.len() > anew.free.len() {
                return Err(lacking.len());
            }
            anew.add(all);
            *self = anew;
        }
        self.released = false;
        let places = text.chars().filter_map(|c| self.places.get(&c));
        let strokes = places.map(|place| place.stroke()).collect();
        Ok(Strokes { strokes, changed })
    }

    /// Lets later texts reuse the places of the characters beyond ASCII: every program has read by
    /// now what was typed with them.
    pub fn release(&mut self) {
        self.released = true;
    }

    /// The key of a chord, by its X keysym: that of an ASCII character or of a named key.
    pub fn key(&self, keysym: u32) -> Option<u16> {
        let named = NAMED.iter().find(|&&(_, sym, _)| sym == keysym).map(|&(code, _, _)| code);
        named.or_else(|| {
            let place = self.places.get(&char::from_u32(keysym)?)?;
            (place.level == 0).then_some(place.code)
        })
    }

    /// The layout in the language of XKB.
    pub fn text(&self) -> String {
        let mut keys: BTreeMap<u16, [Option<char>; LEVELS.len()]> =
            main_block().map(|code| (code, [None; LEVELS.len()])).collect();
        for (&c, place) in self.places.iter().filter(|(c, _)| !c.is_control()) {
            if let Some(levels) = keys.get_mut(&place.code) {
                levels[place.level] = Some(c);
            }
        }
        // As on other keyboards, these are no different with Shift.
        keys.entry(SPACE).and_modify(|levels| levels[1] = Some(' '));
        let (mut codes, mut symbols) = (String::new(), String::new());
        for (code, levels) in keys {
            let symbol =
                |c: &Option<char>| c.map_or("NoSymbol".to_owned(), |c| format!("U{:04X}", u32::from(c)));
            let levels: Vec<String> = levels.iter().map(symbol).collect();
            let _ = writeln!(codes, "<K{code}> = {};", code + XKB_OFFSET);
            let _ = writeln!(symbols, "key <K{code}> {{ type = \"PTT\", [ {} ] }};", levels.join(", "));
        }
        for (code, _, name) in NAMED {
            let _ = writeln!(codes, "<K{code}> = {};", code + XKB_OFFSET);
            let _ = writeln!(symbols, "key <K{code}> {{ type = \"ONE_LEVEL\", [ {name} ] }};");
        }
        let mut kind = "modifiers = Shift+Mod3+Mod5;\n".to_owned();
        for (level, (_, modifiers)) in (1..).zip(LEVELS) {
            let _ = writeln!(kind, "map[{modifiers}] = Level{level};");
            let _ = writeln!(kind, "level_name[Level{level}] = \"{modifiers}\";");
        }
        let max = CODE_MAX + XKB_OFFSET;
        format!(
            "xkb_keymap {{\n\
             xkb_keycodes \"ptt\" {{ minimum = 8; maximum = {max};\n{codes}}};\n\
             xkb_types \"ptt\" {{ include \"complete\"\ntype \"PTT\" {{\n{kind}}};\n}};\n\
             xkb_compatibility \"ptt\" {{ include \"complete\" }};\n\
             xkb_symbols \"ptt\" {{\n{symbols}}};\n\
             }};\n"
        )
    }

    /// The characters of `text` that have no place.
    fn lacking(&self, text: &str) -> BTreeSet<char> {
        text.chars().filter(|c| !c.is_control() && !self.places.contains_key(c)).collect()
    }

    fn add(&mut self, lacking: BTreeSet<char>) {
        for c in lacking {
            self.places.extend(self.free.pop().map(|place| (c, place)));
        }
    }
}

impl Place {
    fn stroke(self) -> Stroke {
        Stroke { code: self.code, modifiers: LEVELS[self.level].0 }
    }
}

/// The codes of the keys that write characters.
fn main_block() -> impl Iterator<Item = u16> {
    let rows = ROWS.into_iter().flat_map(|(first, plain, _)| plain.chars().zip(first..));
    rows.map(|(_, code)| code).chain([ISO_KEY])
}

#[cfg(test)]
#[path = "keymap/tests.rs"]
mod tests;
