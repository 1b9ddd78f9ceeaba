use super::*;

const SHIFT: Mods = 1;
const NUM: Mods = 16;
const ALTGR: Mods = 128;

/// A German-like keyboard with a second, Russian layout: keycodes 10 and on.
fn keymap() -> Keymap {
    let one = KeyType::default();
    let alphabetic = KeyType { mask: SHIFT | LOCK, levels: vec![(SHIFT, 1), (LOCK, 1)] };
    let four = KeyType { mask: SHIFT | ALTGR, levels: vec![(SHIFT, 1), (ALTGR, 2), (SHIFT | ALTGR, 3)] };
    let keypad = KeyType { mask: SHIFT | NUM, levels: vec![(SHIFT, 1), (NUM, 1)] };
    let key = |groups: u8, kind: u8, width: u8, syms: &[u32]| Key {
        types: [kind; 4],
        info: groups,
        width,
        syms: syms.to_vec(),
        sets: 0,
    };
    let sets = |sets, sym: Keysym| Key { sets, ..key(1, 0, 1, &[sym.raw()]) };
    let keys = vec![
        // 10: z, Z; я, Я (the old keysyms of Cyrillic)
        key(2, 1, 2, &[0x7a, 0x5a, 0x6d1, 0x6f1]),
        // 11: q, Q, @, Greek capital omega by its Unicode keysym
        key(1, 2, 4, &[0x71, 0x51, 0x40, 0x0100_03a9]),
        sets(SHIFT, Keysym::Shift_L),
        sets(ALTGR, Keysym::ISO_Level3_Shift),
        sets(4, Keysym::Control_L),
        // 15: spare, 16: one character at both levels, 17: Return, 18: the keypad's plus, 19 and 20: spare
        key(0, 0, 0, &[]),
        key(1, 0, 2, &[0x0100_4f60, 0x0100_4f60]),
        key(1, 0, 1, &[Keysym::Return.raw()]),
        key(1, 3, 2, &[Keysym::KP_Add.raw(), Keysym::KP_Add.raw()]),
        key(1, 0, 2, &[0, 0]),
        key(0, 0, 0, &[]),
    ];
    Keymap { first: 10, keys, types: vec![one, alphabetic, four, keypad], group: 0, locked: NUM }
}

#[test]
fn a_character_is_found_with_its_layout_and_modifiers() {
    let strokes = keymap().strokes();
    for (c, group, keycode, mods) in [
        ('z', 0, 10, 0),
        ('Z', 0, 10, SHIFT),
        ('я', 1, 10, 0),
        ('Я', 1, 10, SHIFT),
        ('q', 0, 11, 0),
        ('@', 0, 11, ALTGR),
        ('Ω', 0, 11, SHIFT | ALTGR),
        ('\n', 0, 17, 0),
    ] {
        assert_eq!(strokes.get(&c), Some(&Stroke { group, keycode, mods }), "{c:?}");
    }
    assert_eq!(strokes.get(&'+'), None, "the keypad's is none");
    assert_eq!(strokes.get(&'é'), None);
}

#[test]
fn the_layout_in_use_is_preferred_and_a_locked_modifier_counts() {
    let mut keymap = Keymap { group: 1, ..keymap() };
    assert_eq!(keymap.strokes()[&'q'].group, 1, "a key with one layout has it in every one");
    assert_eq!(keymap.strokes()[&'z'].group, 0);
    keymap.locked = ALTGR;
    let strokes = keymap.strokes();
    assert_eq!(strokes[&'@'], Stroke { group: 1, keycode: 11, mods: 0 });
    assert_eq!(strokes.get(&'q'), None, "no key lets a locked modifier go");
}

#[test]
fn only_a_key_that_chooses_a_level_holds_a_modifier() {
    let keymap = keymap();
    assert_eq!(keymap.holder(SHIFT, 0), Some(12));
    assert_eq!(keymap.holder(ALTGR, 1), Some(13));
    assert_eq!(keymap.holder(4, 0), None, "Control does more than that");
    assert_eq!(keymap.stroke_of(0xffe3).map(|stroke| stroke.keycode), Some(14));
    assert_eq!(keymap.stroke_of(0xff63), None);
    let russian = Keymap { group: 1, ..keymap };
    assert_eq!(russian.stroke_of(0x7a).map(|stroke| (stroke.keycode, stroke.mods)), Some((10, 0)));
}

#[test]
fn what_means_nothing_is_spare_and_the_longest_row_comes_first() {
    assert_eq!(keymap().spares(), [19, 20, 15]);
    assert!(keymap().binds(16, 0x0100_4f60) && !keymap().binds(15, 0x0100_4f60) && !keymap().binds(10, 0x7a));
    let first = Keymap { first: 5, ..keymap() };
    assert_eq!(first.spares(), [14, 15, 10], "the same keys five codes lower, none of them 8 or below");
    let eight = Keymap { first: 3, ..keymap() };
    assert_eq!(eight.spares(), [12, 13], "8 is none");
}

#[test]
fn what_a_killed_run_left_bound_is_spare_and_a_layouts_own_key_is_not() {
    let f12 = Keymap { first: 90, ..keymap() };
    assert_eq!(f12.spares(), [99, 100, 95], "96 has the form, as keys of Gujarati have");
    let beyond = Keymap { first: 91, ..keymap() };
    assert_eq!(beyond.spares(), [100, 101, 96, 97]);
}

#[test]
fn groups_beyond_a_keys_own_wrap_stay_or_go_where_the_key_says() {
    let key = |info| Key { info, ..Key::default() };
    for (info, group, expected) in [
        (0, 0, None),
        (2, 1, Some(1)),
        (2, 3, Some(1)),
        (2, 2, Some(0)),
        (0x42, 3, Some(1)),
        (0x80 | 2, 3, Some(0)),
        (0x90 | 2, 3, Some(1)),
    ] {
        assert_eq!(key(info).group(group), expected, "{info:#x} {group}");
    }
}
