use std::collections::HashSet;

use kbvm::lookup::LookupTable;
use kbvm::xkb::Context;
use kbvm::xkb::diagnostic::Diagnostic;
use kbvm::{GroupIndex, Keycode, ModifierMask};
use proptest::prelude::*;

use super::*;

/// The layout as an XKB library reads it.
fn compiled(keymap: &Keymap) -> LookupTable {
    let (text, mut said) = (keymap.text(), Vec::<Diagnostic>::new());
    let keymap = Context::default().keymap_from_bytes(&mut said, None, text.as_bytes());
    keymap.unwrap_or_else(|error| panic!("{error}\n{text}")).to_builder().build_lookup_table()
}

/// The text that a program makes of the keys.
fn typed(table: &LookupTable, strokes: &[Stroke]) -> String {
    let character = |stroke: &Stroke| {
        let code = Keycode::from_evdev(u32::from(stroke.code));
        let found = table.lookup(GroupIndex(0), ModifierMask(stroke.modifiers), code);
        assert_eq!(found.remaining_mods(), ModifierMask::NONE, "{stroke:?}");
        let symbol = found.into_iter().next().expect("the key has a symbol");
        match symbol.keysym() {
            kbvm::syms::Return => '\n',
            kbvm::syms::Tab => '\t',
            _ => symbol.char().expect("the key has a character"),
        }
    };
    strokes.iter().map(character).collect()
}

#[test]
fn ascii_lies_where_it_lies_on_a_us_keyboard_and_needs_no_new_layout() {
    let mut keymap = Keymap::new();
    for (c, code, modifiers) in [
        ('1', 2, 0),
        ('!', 2, SHIFT),
        ('q', 16, 0),
        ('Q', 16, SHIFT),
        ('a', 30, 0),
        ('`', 41, 0),
        ('~', 41, SHIFT),
        ('\\', 43, 0),
        ('v', 47, 0),
        ('?', 53, SHIFT),
        (' ', 57, 0),
        ('\n', 28, 0),
    ] {
        let strokes = keymap.strokes(&c.to_string()).unwrap();
        assert_eq!(strokes, Strokes { strokes: vec![Stroke { code, modifiers }], changed: false }, "{c:?}");
    }
    let ascii: String = (' '..='~').chain(['\n', '\t']).collect();
    let strokes = keymap.strokes(&ascii).unwrap();
    assert!(!strokes.changed);
    assert_eq!(typed(&compiled(&keymap), &strokes.strokes), ascii);
    for (keysym, code) in [(0xff63, 110), (0x1008_ff6d, 135), (0x76, 47)] {
        assert_eq!(keymap.key(keysym), Some(code), "{keysym:#x}");
    }
    assert_eq!(keymap.key(0xffe3), None, "a modifier is no key of this keyboard");
}

#[test]
fn characters_lie_on_keys_that_write_and_on_levels_that_make_no_shortcut() {
    // Control, Alt, Num Lock and Super.
    const SHORTCUTS: u32 = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6;
    let mut keymap = Keymap::new();
    let text: String = ('\u{4e00}'..).take(280).chain(' '..='~').collect();
    let strokes = keymap.strokes(&text).unwrap().strokes;
    let writes = |code| matches!(code, 2..=13 | 16..=27 | 30..=41 | 43..=53 | 57 | 86);
    for (c, stroke) in text.chars().zip(&strokes) {
        assert!(writes(stroke.code), "{c:?} {stroke:?}");
        assert_eq!(stroke.modifiers & SHORTCUTS, 0, "{c:?} {stroke:?}");
        assert!(c.is_ascii() || stroke.code != SPACE, "{c:?} {stroke:?}");
    }
    assert_eq!(strokes.iter().collect::<HashSet<_>>().len(), strokes.len(), "each has a place of its own");
}

#[test]
fn a_layout_grows_once_and_then_stays() {
    let mut keymap = Keymap::new();
    let first = keymap.strokes("é ü ß ñ 你好 🎤").unwrap();
    assert!(first.changed);
    let again = keymap.strokes("好你 🎤ñ ß").unwrap();
    assert!(!again.changed);
    assert_eq!(again.strokes[0], first.strokes[9], "a place keeps its character");
}

#[test]
fn a_text_that_needs_too_many_characters_is_refused_until_the_old_ones_are_released() {
    let many = |from: char| (from..).take(250).collect::<String>();
    let mut keymap = Keymap::new();
    let first = keymap.strokes(&many('\u{4e00}')).unwrap().strokes;
    assert_eq!(keymap.strokes(&many('\u{6000}')), Err(250));
    assert_eq!(keymap.strokes(&many('\u{4e00}')).unwrap(), Strokes { strokes: first, changed: false });
    keymap.release();
    assert!(keymap.strokes(&many('\u{6000}')).unwrap().changed);
    assert_eq!(keymap.strokes(&many('\u{4e00}')), Err(250), "released once");
    keymap.release();
    let all: String = many('\u{4e00}') + &many('\u{6000}');
    assert_eq!(keymap.strokes(&all), Err(250), "more than there are places at all");
    assert!(!keymap.strokes(&many('\u{6000}')).unwrap().changed, "a refusal changes nothing");
}

proptest! {
    #[test]
    fn any_text_is_typed_whole(
        texts in prop::collection::vec(prop::collection::vec(any::<char>(), 0..90), 1..4)
    ) {
        let mut keymap = Keymap::new();
        for text in texts {
            let text: String = text.into_iter().collect();
            let kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
            let wanted: String = text.chars().filter(kept).collect();
            let strokes = keymap.strokes(&text).unwrap().strokes;
            let back: HashMap<Stroke, char> =
                keymap.places.iter().map(|(&c, place)| (place.stroke(), c)).collect();
            let typed: String = strokes.iter().map(|stroke| back[stroke]).collect();
            prop_assert_eq!(typed, wanted);
        }
    }
}

#[test]
fn an_xkb_library_reads_what_was_meant() {
    let text = "Grüße, Привет, 你好 😀👍🏽 éä👩‍👩‍👧 שלום عالم ’–«» {}|~\n\t";
    let mut keymap = Keymap::new();
    let strokes = keymap.strokes(text).unwrap().strokes;
    assert_eq!(typed(&compiled(&keymap), &strokes), text);
}
