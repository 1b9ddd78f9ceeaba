use super::*;

/// `None`, and a line, where XKB's files are not installed and may be missing.
fn load(name: &str) -> Option<Layout> {
    if !std::path::Path::new("/usr/share/X11/xkb").is_dir() {
        assert!(std::env::var_os("PTT_REQUIRE_RIGS").is_none(), "layouts may not be skipped: no `xkb-data`");
        println!("skipped: no layouts here, install the package `xkb-data`");
        return None;
    }
    Some(Layout::load(&name.to_owned().try_into().unwrap()).unwrap())
}

/// A text as the layout types it: what is held as `^` for Shift and `~` for AltGr, then the code.
fn typed(layout: &Layout, text: &str) -> String {
    let stroke = |stroke: Stroke| {
        let held = stroke.held.iter().map(|code| match code {
            42 => '^',
            100 => '~',
            other => panic!("{other} is held"),
        });
        held.collect::<String>() + &stroke.code.to_string()
    };
    layout.strokes(text).unwrap().into_iter().map(stroke).collect::<Vec<_>>().join(" ")
}

#[test]
fn characters_are_where_the_layout_has_them() {
    for (layout, text, keys) in [
        ("us", "yz-/", "21 44 12 53"),
        ("us", "Yz!@", "^21 44 ^2 ^3"),
        ("us", "a b\n", "30 57 48 28"),
        ("us", "~|<>", "^41 ^43 ^51 ^52"),
        // Of several places the one with the least to hold, in the main block where there is one.
        ("gb", "@{|", "^40 ^26 ~41"),
        ("us(altgr-intl)", "aé", "30 ~18"),
        ("de", "Ω", "^~16"),
        ("de", "yz-/", "44 21 53 ^8"),
        ("de", "Yz!@", "^44 21 ^2 ~16"),
        ("de", "äÖüß", "40 ^39 26 12"),
        ("de", "<>|€", "86 ^86 ~86 ~18"),
        ("de", "{[]}\\", "~8 ~9 ~10 ~11 ~12"),
        ("fr", "aqéè1.", "16 30 3 8 ^2 ^51"),
        ("de(nodeadkeys)", "^`´", "41 ^13 13"),
        ("us(dvorak)", "aoeu", "30 31 32 33"),
        ("ru", "привет", "34 35 48 32 20 49"),
    ] {
        let Some(layout) = load(layout) else { return };
        assert_eq!(typed(&layout, text), keys, "{} {text}", layout.name);
    }
}

#[test]
fn a_text_that_the_layout_lacks_is_not_begun() {
    // Dead keys type nothing by themselves, tabs move on, and what takes two keys is no key.
    for (layout, text, lacking) in
        [("us", "für 5 €, für", 2), ("us", "你好 🎤", 3), ("de", "a^b`c´é\t", 5), ("ru", "привет, you", 3)]
    {
        let Some(layout) = load(layout) else { return };
        let error = layout.strokes(text).unwrap_err();
        assert!(
            matches!(&error, OutputError::NotInLayout { characters, .. } if *characters == lacking),
            "{error}"
        );
        assert!(!error.to_string().contains(text));
    }
}

#[test]
fn a_layout_that_xkb_does_not_have_is_said_to_be_none() {
    if load("us").is_none() {
        return;
    }
    for name in ["xx", "de(xx)", "english"] {
        let error = Layout::load(&name.to_owned().try_into().unwrap()).unwrap_err();
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
    for bad in ["", "us,de", "../de", "de(", "de()", "de(../us)", "(x)", "de(a)b", "de nodeadkeys"] {
        let error = LayoutName::try_from(bad.to_owned()).unwrap_err();
        assert!(error.to_string().contains("de(nodeadkeys)"), "{error}");
    }
}

/// A compositor's state after every key, not only the table's.
fn read(layout: &str, strokes: &[Stroke]) -> String {
    let group = Group { layout, variant: "" };
    let keymap = Context::default().keymap_from_names(Vec::new(), None, None, Some(&[group]), Some(&[]));
    let keymap = keymap.to_builder();
    let (machine, table) = (keymap.build_state_machine(), keymap.build_lookup_table());
    let (mut state, mut now, mut text) = (machine.create_state(), Components::default(), String::new());
    for stroke in strokes {
        let keys = stroke.held.iter().chain([&stroke.code]);
        let down = keys.clone().map(|code| (*code, Direction::Down));
        for (code, direction) in down.chain(keys.rev().map(|code| (*code, Direction::Up))) {
            let key = Keycode::from_evdev(u32::from(code));
            if direction == Direction::Down {
                let chars = table.lookup(now.group, now.mods, key).into_iter().filter_map(|sym| sym.char());
                text.extend(chars.map(|c| if c == '\r' { '\n' } else { c }));
            }
            let mut events = Vec::new();
            machine.handle_key(&mut state, &mut events, key, direction);
            events.into_iter().for_each(|event| {
                now.apply_event(event);
            });
        }
    }
    text
}

#[test]
fn every_character_of_many_layouts_is_read_as_it_was_meant() {
    for (layout, at_least) in [
        ("us", 96),
        ("gb", 100),
        ("de", 120),
        ("fr", 110),
        ("es", 100),
        ("ru", 90),
        ("gr", 90),
        ("jp", 80),
        ("il", 60),
    ] {
        let Some(found) = load(layout) else { return };
        let text: String = found.strokes.keys().collect();
        assert!(found.strokes.len() >= at_least, "{layout} has {}", found.strokes.len());
        assert_eq!(read(layout, &found.strokes(&text).unwrap()), text, "{layout}");
    }
}
