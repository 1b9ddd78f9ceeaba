//! Which key types which character: a keyboard layout made for the text. Pure; sending it is `keyboard`'s.
//!
//! Every character has a key of its own, so that no modifier takes part and neither the user's layout nor a held Ctrl or
//! Caps Lock can change what arrives. The layout begins with ASCII and grows by what texts need, so that for most texts
//! nothing is sent to the compositor but keys.

use std::collections::HashMap;
use std::fmt::Write;

/// What stands between a kernel's key code and the same key's number in a layout.
const XKB_OFFSET: u16 = 8;
/// The highest kernel code that a layout may hold: X11 programs see one byte.
const CODE_MAX: u16 = 247;

/// The keys of a US keyboard that make a character, by row: code of the first, characters without and with Shift.
const ROWS: [(u16, &str, &str); 5] = [
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", ""),
];

/// Keys without a character that a text or a chord may need: code, X keysym, name.
const NAMED: [(u16, u32, &str); 4] =
    [(15, 0xff09, "Tab"), (28, 0xff0d, "Return"), (110, 0xff63, "Insert"), (135, 0x1008_ff6d, "XF86Paste")];

/// Codes for all other characters: keys which no compositor binds without a modifier and no program acts on by its code
/// alone. So neither modifiers and locks, nor Escape, Backspace, F1-F12, cursor, input method, media and power keys.
const SPARE: [(u16, u16); 18] = [
    (195, 199),
    (183, 189),
    (191, 194),
    (84, 84),
    (86, 86),
    (55, 55),
    (71, 83),
    (98, 98),
    (117, 118),
    (120, 121),
    (128, 134),
    (136, 138),
    (145, 149),
    (151, 154),
    (174, 182),
    (200, 223),
    (231, 235),
    (241, 243),
];

/// A layout and what it holds.
pub(super) struct Keymap {
    /// Kernel codes.
    codes: HashMap<char, u16>,
    /// Codes that type nothing yet; the last is next.
    spare: Vec<u16>,
}

/// How much of a text a layout can type.
pub(super) struct Fitted<'t> {
    /// Kernel codes of the keys to press, in order.
    pub codes: Vec<u16>,
    /// What needs another layout; the next call makes it.
    pub rest: &'t str,
    /// Whether the layout is another than before.
    pub changed: bool,
}

impl Keymap {
    /// The layout that types ASCII.
    pub fn new() -> Self {
        let mut keymap = Self { codes: HashMap::new(), spare: Vec::new() };
        for (first, plain, _) in ROWS {
            keymap.codes.extend(plain.chars().zip(first..));
        }
        keymap.codes.extend([('\t', 15), ('\n', 28)]);
        let spare: Vec<u16> = SPARE.iter().flat_map(|&(first, last)| first..=last).collect();
        keymap.spare = spare.into_iter().rev().collect();
        for c in ROWS.iter().flat_map(|(_, _, shifted)| shifted.chars()) {
            keymap.assign(c);
        }
        keymap
    }

    /// Makes keys for as long a beginning of `text` as there is room for. Begins anew when there is none for its first
    /// character. Control characters other than tab and newline have no key; they are left out.
    pub fn fit<'t>(&mut self, text: &'t str) -> Fitted<'t> {
        let mut fitted = Fitted { codes: Vec::with_capacity(text.len()), rest: "", changed: false };
        for (at, c) in text.char_indices() {
            let code = match self.codes.get(&c) {
                Some(&code) => code,
                None if c.is_control() => continue,
                None => {
                    if self.spare.is_empty() && fitted.codes.is_empty() {
                        *self = Self::new();
                    }
                    let Some(code) = self.assign(c) else {
                        fitted.rest = &text[at..];
                        break;
                    };
                    fitted.changed = true;
                    code
                }
            };
            fitted.codes.push(code);
        }
        fitted
    }

    /// The key of a chord, by its X keysym: that of an ASCII character or of a named key.
    pub fn key(&self, keysym: u32) -> Option<u16> {
        let named = NAMED.iter().find(|&&(_, sym, _)| sym == keysym).map(|&(code, _, _)| code);
        named.or_else(|| self.codes.get(&char::from_u32(keysym)?).copied())
    }

    /// The layout in the language of XKB.
    pub fn text(&self) -> String {
        let mut keys: Vec<(u16, String)> = self
            .codes
            .iter()
            .filter(|(c, _)| !c.is_control())
            .map(|(&c, &code)| (code, format!("U{:04X}", u32::from(c))))
            .chain(NAMED.iter().map(|&(code, _, name)| (code, name.to_owned())))
            .collect();
        keys.sort();
        let (mut codes, mut symbols) = (String::new(), String::new());
        for (code, symbol) in keys {
            let _ = writeln!(codes, "<K{code}> = {};", code + XKB_OFFSET);
            let _ = writeln!(symbols, "key <K{code}> {{ [ {symbol} ] }};");
        }
        let max = CODE_MAX + XKB_OFFSET;
        format!(
            "xkb_keymap {{\n\
             xkb_keycodes \"ptt\" {{ minimum = 8; maximum = {max};\n{codes}}};\n\
             xkb_types \"ptt\" {{ include \"complete\" }};\n\
             xkb_compatibility \"ptt\" {{ include \"complete\" }};\n\
             xkb_symbols \"ptt\" {{\n{symbols}}};\n\
             }};\n"
        )
    }

    fn assign(&mut self, c: char) -> Option<u16> {
        let code = self.spare.pop()?;
        self.codes.insert(c, code);
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// The text that a layout makes of codes.
    fn typed(keymap: &Keymap, codes: &[u16]) -> String {
        let back: HashMap<u16, char> = keymap.codes.iter().map(|(&c, &code)| (code, c)).collect();
        codes.iter().map(|code| back[code]).collect()
    }

    /// All of a text, and how many layouts it took.
    fn type_all(keymap: &mut Keymap, text: &str) -> (String, usize) {
        let (mut rest, mut all, mut layouts) = (text, String::new(), 0);
        while !rest.is_empty() {
            let fitted = keymap.fit(rest);
            assert!(fitted.rest.len() < rest.len(), "gets on");
            all += &typed(keymap, &fitted.codes);
            layouts += usize::from(fitted.changed);
            rest = fitted.rest;
        }
        (all, layouts)
    }

    #[test]
    fn ascii_lies_where_it_lies_on_a_us_keyboard_and_needs_no_new_layout() {
        let mut keymap = Keymap::new();
        for (c, code) in
            [('1', 2), ('q', 16), ('a', 30), ('`', 41), ('\\', 43), ('v', 47), ('/', 53), (' ', 57)]
        {
            assert_eq!(keymap.codes[&c], code, "{c:?}");
        }
        let ascii: String = (' '..='~').chain(['\n', '\t']).collect();
        let fitted = keymap.fit(&ascii);
        assert_eq!((fitted.rest, fitted.changed), ("", false));
        assert_eq!(typed(&keymap, &fitted.codes), ascii);
        for (keysym, code) in [(0xff63, 110), (0x1008_ff6d, 135), (0x76, 47)] {
            assert_eq!(keymap.key(keysym), Some(code), "{keysym:#x}");
        }
        assert_eq!(keymap.key(0xffe3), None, "a modifier is no key of this keyboard");
    }

    #[test]
    fn a_code_has_one_meaning_and_none_is_a_key_that_acts() {
        let mut keymap = Keymap::new();
        type_all(&mut keymap, &('\u{4e00}'..='\u{4fff}').collect::<String>());
        let mut seen: HashSet<u16> = [110, 135].into();
        for (&c, &code) in &keymap.codes {
            assert!(seen.insert(code), "{code} twice");
            assert!((1..=CODE_MAX).contains(&code), "{code}");
            // Escape, Backspace, modifiers, locks, F keys, system, cursor, input method, sound and power.
            let acts = [
                1, 14, 29, 42, 54, 56, 58, 69, 70, 87, 88, 96, 97, 99, 100, 119, 125, 126, 127, 142, 143, 190,
            ];
            let ranges =
                [59..=68, 85..=85, 89..=95, 101..=109, 112..=116, 122..=124, 150..=150, 155..=173, 224..=230];
            assert!(!acts.contains(&code) && !ranges.iter().any(|r| r.contains(&code)), "{c:?} has {code}");
        }
    }

    #[test]
    fn a_layout_grows_once_and_then_stays() {
        let mut keymap = Keymap::new();
        assert!(keymap.fit("é ü ß ñ 你好 🎤").changed);
        assert!(!keymap.fit("好你 🎤ñ ß").changed);
        let text = keymap.text();
        for part in ["<K16> = 24;", "key <K16> { [ U0071 ] };", "U1F3A4 ]", "key <K28> { [ Return ] };"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_long_alphabet_takes_several_layouts() {
        let text: String = ('\u{4e00}'..='\u{4fff}').collect();
        let (all, layouts) = type_all(&mut Keymap::new(), &text);
        assert_eq!(all, text);
        assert!((8..=12).contains(&layouts), "{layouts} for {} characters", text.chars().count());
    }

    proptest! {
        #[test]
        fn any_text_is_typed_whole(texts in prop::collection::vec(prop::collection::vec(any::<char>(), 0..300), 1..4)) {
            let mut keymap = Keymap::new();
            for text in texts {
                let text: String = text.into_iter().collect();
                let wanted: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
                prop_assert_eq!(type_all(&mut keymap, &text).0, wanted);
            }
        }
    }
}
