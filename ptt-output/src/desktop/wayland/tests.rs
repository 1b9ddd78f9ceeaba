//! Against a real compositor. What it lacks is played by a few lines that speak its language.

#[path = "tests/mute.rs"]
mod mute;
#[path = "tests/renamed.rs"]
mod renamed;
#[path = "tests/rig.rs"]
mod rig;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::time::Instant;

use ptt_messages::{FaultKind, TakeId};
use rustix::process::Signal;

use self::mute::Mute;
use self::renamed::Renamed;
use self::rig::{LONG, Sway, await_some, client, connect, say};
use super::clipboard::Selection;
use super::keyboard::Keyboard;
use super::*;
use crate::desktop::content::Content;
use crate::desktop::portal::PortalError;
use crate::sink::{DeskSink, Sink};

const STRANGE: &str = "é ü ß ñ 你好 🎤";

#[test]
fn fifty_lines_arrive_whole() {
    let Some(sway) = rig::start("fifty_lines_arrive_whole") else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    let mut all = String::new();
    for line in 0..50 {
        let line = format!("{line}: Hello, World! {STRANGE} (~`|\\\"'<>) aAbB «{}»\n", "l".repeat(line));
        wayland.type_text(&line).unwrap();
        all += &line;
    }
    assert_eq!(reader.text_until(&format!("{}»\n", "l".repeat(49))), all);
}

#[test]
fn the_first_text_after_connecting_arrives_whole() {
    let Some(sway) = rig::start("the_first_text_after_connecting_arrives_whole") else { return };
    let reader = sway.reader("reader");
    let mut all = String::new();
    for text in ["first\n", "second\n", "third\n"] {
        // The seat has no other keyboard: this window learns each time that it has one.
        connect(&sway).type_text(text).unwrap();
        all += text;
        assert_eq!(reader.text_until(text), all);
    }
}

#[test]
fn many_characters_arrive_whole_and_too_many_are_not_begun() {
    let test = "many_characters_arrive_whole_and_too_many_are_not_begun";
    let Some(sway) = rig::start(test) else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    let text: String = ('\u{4e00}'..).take(150).chain('а'..='я').chain('🌀'..='🌿').chain(['\n']).collect();
    wayland.type_text(&text).unwrap();
    assert_eq!(reader.text_until("\n"), text);
    // Programs may still have to read those keys with the layout they were made in.
    let other: String = ('\u{6000}'..).take(200).chain(['\n']).collect();
    let error = wayland.type_text(&other).unwrap_err();
    assert!(matches!(error, OutputError::Untypable { characters: 200 }), "{error}");
    wayland.rest();
    wayland.type_text(&other).unwrap();
    assert_eq!(reader.text_until(&other), text + &other);
}

#[test]
fn two_hundred_characters_take_less_than_200_ms() {
    const LIMIT: Duration = Duration::from_millis(200);
    let Some(sway) = rig::start("two_hundred_characters_take_less_than_200_ms") else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    wayland.type_text("ready\n").unwrap();
    let mut all = reader.text_until("ready\n");
    for (what, sentence) in [("ASCII", "The quick brown fox jumps. "), ("mixed", "Grüße, 你好 und 🎤 dazu! ")]
    {
        let mut times = Vec::new();
        // More rounds where the machine is busy with other things.
        while times.len() < 10 || (times.len() < 100 && times.iter().all(|(seen, _)| *seen >= LIMIT)) {
            let text: String = sentence.chars().cycle().take(199).chain(['\n']).collect();
            all += &text;
            let begun = Instant::now();
            wayland.type_text(&text).unwrap();
            let typed = begun.elapsed();
            await_some("the text", || (reader.text().len() == all.len()).then_some(()));
            times.push((begun.elapsed(), typed));
        }
        assert_eq!(reader.text(), all);
        times.sort();
        let (seen, typed) = times[times.len() / 2];
        say(&format!(
            "wayland: 200 characters ({what}) typed in {typed:.1?}, in the window after {seen:.1?}; slowest {:.1?}",
            times[9].0
        ));
        assert!(times[0].0 < LIMIT, "{times:?}");
    }
    let text: String = "Grüße, 你好 und 🎤 dazu! ".chars().cycle().take(199).chain(['\n']).collect();
    let mut times = Vec::new();
    for _ in 0..10 {
        all += &text;
        let begun = Instant::now();
        wayland.paste(&text, PasteChord::SHIFT_INSERT, LONG).unwrap();
        let taken = begun.elapsed();
        await_some("the text", || (reader.text().len() == all.len()).then_some(()));
        times.push((begun.elapsed(), taken));
    }
    times.sort();
    let (seen, taken) = times[5];
    say(&format!(
        "wayland: 200 characters pasted in {taken:.1?}, in the window after {seen:.1?}; slowest {:.1?}",
        times[9].0
    ));
}

#[test]
fn what_the_user_holds_changes_nothing() {
    let Some(sway) = rig::start("what_the_user_holds_changes_nothing") else { return };
    // Another keyboard of the seat: the user's, with Ctrl held and Caps Lock on.
    let mut theirs = client(&sway.socket());
    let mut keyboard = keyboard::Keyboard::new(&mut theirs).unwrap().unwrap();
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    keyboard.type_text(&mut theirs, "user\n").unwrap();
    keyboard.keyboard.modifiers(1 << 2, 0, 1 << 1, 0);
    theirs.sync().unwrap();
    wayland.type_text("Held ctrl and Caps Lock\n").unwrap();
    assert_eq!(reader.text_until("Lock\n"), "user\nHeld ctrl and Caps Lock\n");
    assert!(wayland.hands_free(LONG).unwrap());
}

#[test]
fn a_paste_arrives_and_the_old_content_is_back_in_all_its_formats() {
    let test = "a_paste_arrives_and_the_old_content_is_back_in_all_its_formats";
    let Some(sway) = rig::start(test) else { return };
    pastes_and_gives_back(&sway, connect(&sway));
}

#[test]
fn the_newer_clipboard_protocol_is_used_where_there_is_one() {
    let Some(sway) = rig::start("the_newer_clipboard_protocol_is_used_where_there_is_one") else { return };
    let compositor = Renamed::start(sway.socket());
    pastes_and_gives_back(&sway, Wayland::connect(compositor.socket()).unwrap());
    assert!(compositor.used());
}

#[test]
fn keys_that_the_compositor_lacks_are_pressed_by_the_portal() {
    let Some(sway) = rig::start("keys_that_the_compositor_lacks_are_pressed_by_the_portal") else { return };
    let compositor = Renamed::without_keyboards(sway.socket());
    let mut wayland = Wayland::connect(compositor.socket()).unwrap();
    assert_eq!(wayland.offers(), Offers { keyboard: false, clipboard: true, windows: true });
    assert_eq!(connect(&sway).offers(), Offers { keyboard: true, clipboard: true, windows: true });

    wayland.press_by(Portal::played(|_| Err(PortalError::Declined.into()))).unwrap();
    sway.copy(&[], b"theirs");
    let refused = wayland.paste("text", PasteChord::SHIFT_INSERT, LONG).unwrap_err();
    assert_eq!(refused.kind(), FaultKind::Denied, "{refused}");
    assert_eq!(sway.pasted(&["-n"]).as_deref(), Some(&b"theirs"[..]), "nothing is put out");

    let (socket, mut hands) = (sway.socket(), None);
    let portal = Portal::played(move |chord| {
        let (client, keyboard) = hands.get_or_insert_with(|| {
            let mut client = client(&socket);
            let keyboard = Keyboard::new(&mut client).unwrap().unwrap();
            (client, keyboard)
        });
        keyboard.be_noticed(client)?;
        chord.map_or(Ok(()), |chord| keyboard.press_chord(client, chord))
    });
    wayland.press_by(portal).unwrap();
    pastes_and_gives_back(&sway, wayland);
}

fn pastes_and_gives_back(sway: &Sway, mut wayland: Wayland) {
    let reader = sway.reader("reader");
    // A window of the user's with a picture that is text too, and something marked by the mouse.
    let picture: Arc<[u8]> = (0..3_000_000_u32).map(|i| (i >> 3) as u8).collect();
    let _owner = Owner::start(
        sway,
        Content(vec![
            ("image/png".to_owned(), Arc::clone(&picture)),
            ("text/html".to_owned(), Arc::from(&b"<b>old</b>"[..])),
        ]),
    );
    sway.copy(&["--primary"], b"marked");

    for (chord, text) in
        [("Shift+Insert", "by the selection\n"), ("Ctrl+Shift+V", "by the clipboard: é 你好 🎤\n")]
    {
        wayland.paste(text, chord.parse().unwrap(), LONG).unwrap();
        reader.text_until(text);
    }
    assert_eq!(reader.text(), "by the selection\nby the clipboard: é 你好 🎤\n");

    let given_back = await_some("the old content", || sway.pasted(&["-t", "image/png"]));
    assert!(given_back == picture[..], "{} bytes", given_back.len());
    assert_eq!(sway.pasted(&["-n", "-t", "text/html"]).unwrap(), b"<b>old</b>");
    let formats = String::from_utf8(sway.pasted(&["-l"]).unwrap()).unwrap();
    assert_eq!(formats.lines().collect::<BTreeSet<_>>(), ["image/png", "text/html"].into());
    assert_eq!(sway.pasted(&["-n", "--primary"]).unwrap(), b"marked");
}

#[test]
fn an_empty_clipboard_is_empty_again_and_a_copied_text_comes_back() {
    let test = "an_empty_clipboard_is_empty_again_and_a_copied_text_comes_back";
    let Some(sway) = rig::start(test) else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    let chord = "Ctrl+Shift+V".parse().unwrap();
    wayland.paste("one\n", chord, LONG).unwrap();
    reader.text_until("one\n");
    await_some("an empty clipboard", || sway.pasted(&["-l"]).is_none().then_some(()));

    wayland.copy("ours").unwrap();
    wayland.paste("two\n", chord, LONG).unwrap();
    // The second follows before the first is settled.
    wayland.paste("three\n", chord, LONG).unwrap();
    reader.text_until("three\n");
    assert_eq!(reader.text(), "one\ntwo\nthree\n");
    await_some("our text", || (sway.pasted(&["-n"]).as_deref() == Some(b"ours")).then_some(()));
}

#[test]
fn a_copied_text_is_served_until_somebody_else_copies() {
    let Some(sway) = rig::start("a_copied_text_is_served_until_somebody_else_copies") else { return };
    let mut wayland = connect(&sway);
    let long = format!("{STRANGE} {}", "x".repeat(1 << 20));
    for text in [STRANGE, &long] {
        wayland.copy(text).unwrap();
        for mime in ["text/plain", "text/plain;charset=utf-8", "UTF8_STRING", "STRING"] {
            let pasted = sway.pasted(&["-n", "-t", mime]).unwrap();
            assert!(pasted == text.as_bytes(), "{mime}: {} bytes", pasted.len());
        }
    }
    assert_eq!(sway.pasted(&["--primary"]), None);
    sway.copy(&[], b"theirs");
    assert_eq!(sway.pasted(&["-n"]).unwrap(), b"theirs");
    // Of what is theirs nothing is taken back.
    drop(wayland);
    assert_eq!(sway.pasted(&["-n"]).unwrap(), b"theirs");
}

#[test]
fn a_program_that_asks_late_gets_the_text_and_only_then_the_old_content_is_back() {
    let test = "a_program_that_asks_late_gets_the_text_and_only_then_the_old_content_is_back";
    let Some(sway) = rig::start(test) else { return };
    let mut wayland = connect(&sway);
    sway.copy(&[], b"old");
    // No window takes the chord.
    let limit = Duration::from_millis(50);
    let error = wayland.paste("text", "Ctrl+V".parse().unwrap(), limit).unwrap_err();
    assert!(matches!(error, OutputError::NotTaken { .. }), "{error}");
    let formats = String::from_utf8(sway.pasted(&["-l"]).unwrap()).unwrap();
    assert!(formats.contains("passwordManagerHint"), "clipboard managers are asked to forget it: {formats}");
    assert_eq!(sway.pasted(&["-n"]).unwrap(), b"text");
    await_some("the old content", || (sway.pasted(&["-n"]).as_deref() == Some(b"old")).then_some(()));

    // Once more, and the user copies something meanwhile: that stays.
    wayland.paste("text", "Ctrl+V".parse().unwrap(), limit).unwrap_err();
    sway.copy(&[], b"new");
    drop(wayland);
    assert_eq!(sway.pasted(&["-n"]).unwrap(), b"new");
}

#[test]
fn a_clipboard_manager_that_is_quicker_than_the_window_spoils_nothing() {
    let test = "a_clipboard_manager_that_is_quicker_than_the_window_spoils_nothing";
    let Some(sway) = rig::start(test) else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    let (seen, theirs) = std::io::pipe().unwrap();
    let mut manager = sway.program("wl-paste").args(["--watch", "cat"]).stdout(theirs).spawn().unwrap();
    sway.copy(&[], b"old\n");
    let mut seen = BufReader::new(seen).lines().map(Result::unwrap);
    assert_eq!(seen.next().unwrap(), "old");
    let mut all = String::new();
    for number in 0..5 {
        let text = format!("text {number}\n");
        wayland.paste(&text, "Ctrl+Shift+V".parse().unwrap(), LONG).unwrap();
        all += &text;
        assert_eq!(reader.text_until(&text), all);
        assert!(seen.any(|line| line == text.trim_end()), "the manager has it too");
    }
    assert_eq!(seen.next().unwrap(), "old");
    assert_eq!(sway.pasted(&["-n"]).unwrap(), b"old\n");
    manager.kill().unwrap();
    manager.wait().unwrap();
}

#[test]
fn a_clipboard_manager_is_not_taken_for_a_window_that_pastes() {
    let Some(sway) = rig::start("a_clipboard_manager_is_not_taken_for_a_window_that_pastes") else { return };
    let mut wayland = connect(&sway);
    let (ours, theirs) = std::io::pipe().unwrap();
    let mut manager = sway.program("wl-paste").args(["--watch", "cat"]).stdout(theirs).spawn().unwrap();
    sway.copy(&[], b"old\n");
    let mut seen = BufReader::new(ours).lines().map(Result::unwrap);
    assert_eq!(seen.next().as_deref(), Some("old"));
    let pasted = wayland.paste("text\n", PasteChord::SHIFT_INSERT, Duration::from_millis(300));
    assert!(matches!(pasted, Err(OutputError::NotTaken { .. })), "{pasted:?}");
    assert_eq!(seen.next().as_deref(), Some("text"), "the manager had it");
    assert_eq!(sway.pasted(&["-n"]).unwrap(), b"text\n", "and it is there to be pasted by hand");
    manager.kill().unwrap();
    manager.wait().unwrap();
}

#[test]
fn what_another_program_copies_in_between_is_not_pasted() {
    let Some(sway) = rig::start("what_another_program_copies_in_between_is_not_pasted") else { return };
    let reader = sway.reader("reader");
    let mut hands = hands(&sway);
    hands.type_text("begun\n").unwrap();
    let chord = "Ctrl+Shift+V".parse().unwrap();
    let owed = hands.lend("text\n", chord).unwrap();
    hands.client.sync().unwrap();
    sway.copy(&[], b"theirs\n");
    let error = hands.have_pasted(owed, chord, Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, OutputError::ClipboardBusy { .. }), "{error}");
    hands.type_text("end\n").unwrap();
    assert_eq!(reader.text_until("end\n"), "begun\nend\n");
    hands.give_back().unwrap();
    assert_eq!(sway.pasted(&["-n"]).unwrap(), b"theirs\n");
}

#[test]
fn a_chord_that_could_not_be_pressed_leaves_no_text_in_the_clipboard() {
    let test = "a_chord_that_could_not_be_pressed_leaves_no_text_in_the_clipboard";
    let Some(sway) = rig::start(test) else { return };
    let compositor = Renamed::without_keyboards(sway.socket());
    let mut wayland = Wayland::connect(compositor.socket()).unwrap();
    let refused = || OutputError::from(PortalError::Failed { what: "no such key".to_owned() });
    wayland.press_by(Portal::played(move |chord| chord.map_or(Ok(()), |_| Err(refused())))).unwrap();
    sway.copy(&[], b"theirs");
    let error = wayland.paste("text", PasteChord::CTRL_V, LONG).unwrap_err();
    assert!(matches!(error, OutputError::Portal(_)), "{error}");
    // Nobody has to take it for that.
    let formats = || String::from_utf8(sway.pasted(&["-l"]).unwrap_or_default()).unwrap();
    await_some("the old content", || (!formats().contains("passwordManagerHint")).then_some(()));
    assert_eq!(sway.pasted(&["-n"]).as_deref(), Some(&b"theirs"[..]));
}

#[test]
fn an_owner_that_hangs_delays_a_paste_and_no_more() {
    let Some(sway) = rig::start("an_owner_that_hangs_delays_a_paste_and_no_more") else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    let mut hung = hands(&sway);
    hung.copy("never handed over").unwrap();
    let begun = Instant::now();
    wayland.paste("text\n", "Ctrl+Shift+V".parse().unwrap(), LONG).unwrap();
    assert!(begun.elapsed() < LONG / 10, "{:?}", begun.elapsed());
    assert_eq!(reader.text_until("\n"), "text\n");
    await_some("an empty clipboard", || sway.pasted(&["-l"]).is_none().then_some(()));
}

#[test]
fn a_reader_that_hangs_holds_nobody_up() {
    let Some(sway) = rig::start("a_reader_that_hangs_holds_nobody_up") else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    let long = "x".repeat(1 << 20);
    wayland.copy(&long).unwrap();
    let mut theirs = hands(&sway);
    theirs.board().unwrap();
    theirs.client.sync().unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    let offer = theirs.client.world.clipboard.offer(Selection::Clipboard).unwrap();
    offer.receive("text/plain".to_owned(), writer.as_fd());
    theirs.client.sync().unwrap();
    wayland.type_text("typed\n").unwrap();
    assert_eq!(reader.text_until("\n"), "typed\n");
    assert!(sway.pasted(&["-n"]).unwrap() == long.as_bytes());
}

#[test]
fn the_focused_window_is_known() {
    let Some(sway) = rig::start("the_focused_window_is_known") else { return };
    let mut wayland = connect(&sway);
    assert_eq!(wayland.focus().unwrap(), None);
    let _one = sway.reader("one");
    let first = wayland.focus().unwrap().unwrap();
    assert_eq!(first.app, "one");
    let two = sway.reader("two");
    let second = wayland.focus().unwrap().unwrap();
    assert_eq!((second.app.as_str(), second.id == first.id), ("two", false));
    drop(two);
    await_some("the first window", || (wayland.focus().unwrap() == Some(first.clone())).then_some(()));
}

#[test]
fn a_compositor_that_dies_is_an_error_and_the_next_one_is_used() {
    let Some(sway) = rig::start("a_compositor_that_dies_is_an_error_and_the_next_one_is_used") else {
        return;
    };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    wayland.copy("kept by us").unwrap();
    wayland.type_text("begun\n").unwrap();
    reader.text_until("\n");
    thread::scope(|scope| {
        let typing = scope.spawn(|| wayland.type_text(&"x".repeat(1 << 20)));
        await_some("the first key", || (!reader.text().is_empty()).then_some(()));
        sway.signal(Signal::KILL);
        let error = typing.join().unwrap().unwrap_err();
        assert!(matches!(error, OutputError::DesktopLost { .. }), "{error}");
        assert_eq!(error.kind(), FaultKind::Gone);
    });
    for _ in 0..2 {
        assert!(matches!(wayland.type_text("x"), Err(OutputError::DesktopLost { .. })));
    }
    drop(wayland);
    let socket = sway.socket();
    drop((reader, sway));
    assert!(matches!(Wayland::connect(&socket), Err(OutputError::NoDisplay { .. })));

    let Some(sway) = rig::start("again") else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    wayland.type_text("again\n").unwrap();
    assert_eq!(reader.text_until("\n"), "again\n");
}

#[test]
fn what_a_window_has_not_read_is_not_delivered() {
    let Some(sway) = rig::start("what_a_window_has_not_read_is_not_delivered") else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    wayland.type_text("read\n").unwrap();
    reader.text_until("read\n");
    reader.signal(Signal::STOP);
    let text = "not read while it stands still\n";
    let begun = Instant::now();
    thread::scope(|scope| {
        let typing = scope.spawn(|| wayland.type_text(text));
        thread::sleep(Duration::from_millis(300));
        assert!(!typing.is_finished(), "it waits for the window");
        reader.signal(Signal::CONT);
        typing.join().unwrap().unwrap();
    });
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(reader.text_until(text), format!("read\n{text}"));

    reader.signal(Signal::STOP);
    let error = thread::scope(|scope| {
        let typing = scope.spawn(|| wayland.type_text(text));
        thread::sleep(Duration::from_millis(300));
        reader.signal(Signal::KILL);
        typing.join().unwrap().unwrap_err()
    });
    assert!(matches!(error, OutputError::WindowGone), "{error}");
}

#[test]
fn another_window_that_stands_still_holds_nobody_up() {
    let Some(sway) = rig::start("another_window_that_stands_still_holds_nobody_up") else { return };
    let mut users = connect(&sway);
    let mut wayland = connect(&sway);
    let (still, reader) = (sway.reader("still"), sway.reader("reader"));
    still.signal(Signal::STOP);
    // It is still told that it lost the focus.
    let mut watcher = client(&sway.socket());
    while let Some(mut watch) = watcher.watch() {
        watcher.wait(Some(Instant::now() + Duration::from_millis(300)), |_| false).unwrap();
        if watch.look(watcher.backlog.as_ref().unwrap()).bytes == 0 {
            break;
        }
    }
    let mut all = String::new();
    let begun = Instant::now();
    for text in ["one é\n", "two 你\n", "three\n"] {
        // Every program is told of the other keyboard.
        users.type_text("user\n").unwrap();
        wayland.type_text(text).unwrap();
        wayland.paste(text, "Ctrl+Shift+V".parse().unwrap(), LONG).unwrap();
        all += &format!("user\n{text}{text}");
        assert_eq!(reader.text_until(&all), all);
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    still.signal(Signal::CONT);
}

#[test]
fn a_compositor_that_stands_still_types_nothing_later() {
    let Some(sway) = rig::start("a_compositor_that_stands_still_types_nothing_later") else { return };
    let mut wayland = connect(&sway);
    let reader = sway.reader("reader");
    sway.signal(Signal::STOP);
    let error = wayland.type_text("late\n").unwrap_err();
    assert!(matches!(error, OutputError::DesktopLost { .. }), "{error}");
    let error = Wayland::connect(&sway.socket()).unwrap_err();
    assert!(matches!(error, OutputError::DesktopLost { .. }), "{error}");
    sway.signal(Signal::CONT);
    drop(wayland);
    connect(&sway).type_text("next\n").unwrap();
    assert_eq!(reader.text_until("\n"), "next\n");
}

#[test]
fn the_sink_types_and_pastes_here_and_outlives_the_compositor() {
    let Some(sway) = rig::start("the_sink_types_and_pastes_here_and_outlives_the_compositor") else {
        return;
    };
    let config = "sink = \"auto\"\nnotify = false\nnewline = \"enter\"\n[[rules]]\napp = \"paster\"\nsink = \"paste\"\n";
    let socket = Arc::new(Mutex::new(sway.socket()));
    let display = Arc::clone(&socket);
    let mut sink = DeskSink::on(&toml::from_str(config).unwrap(), move || {
        Ok(Box::new(Wayland::connect(&display.lock().unwrap())?))
    });
    sway.copy(&[], b"old");
    let text = format!("{STRANGE}\n");
    for (app, take) in [("typist", TakeId(1)), ("paster", TakeId(2))] {
        let reader = sway.reader(app);
        sink.aim(take);
        sink.deliver(take, &text).unwrap();
        assert_eq!(reader.text_until("\n"), text);
    }
    await_some("the old content", || (sway.pasted(&["-n"]).as_deref() == Some(b"old")).then_some(()));

    // Another window since the release: nothing is typed into it.
    let one = sway.reader("one");
    sink.aim(TakeId(3));
    let two = sway.reader("two");
    sink.deliver(TakeId(3), "kept").unwrap();
    assert_eq!(sway.pasted(&["-n"]).unwrap(), b"kept");
    assert_eq!((one.text(), two.text()), (String::new(), String::new()));

    drop((one, two, sway));
    assert_eq!(sink.deliver(TakeId(4), &text).unwrap_err().kind(), FaultKind::Gone);
    let Some(sway) = rig::start("again") else { return };
    *socket.lock().unwrap() = sway.socket();
    let reader = sway.reader("reader");
    sink.deliver(TakeId(4), &text).unwrap();
    assert_eq!(reader.text_until("\n"), text);
}

#[test]
fn what_the_compositor_lacks_is_named() {
    let compositor = Mute::start();
    let mut wayland = Wayland::connect(compositor.socket()).unwrap();
    assert_eq!(wayland.focus().unwrap(), None);
    assert!(!wayland.tells_windows());
    for (error, protocol) in [
        (wayland.type_text("canary").unwrap_err(), "zwp_virtual_keyboard_v1"),
        (wayland.paste("canary", PasteChord::SHIFT_INSERT, LONG).unwrap_err(), "zwp_virtual_keyboard_v1"),
        (wayland.copy("canary").unwrap_err(), "ext_data_control_v1"),
    ] {
        let message = error.to_string();
        assert!(message.contains(protocol) && message.contains("use `output."), "{message}");
        assert!(!message.contains("canary") && error.kind() == FaultKind::Misconfigured);
    }
}

#[test]
fn a_wrong_display_is_named() {
    for display in ["/no/such/wayland-7", "/dev/null"] {
        let error = Wayland::connect(display).unwrap_err();
        assert_eq!(error.kind(), FaultKind::Gone);
        assert!(error.to_string().contains(display), "{error}");
    }
}

/// Another program, of which nothing happens but in calls.
fn hands(sway: &Sway) -> Hands {
    Hands::new(client(&sway.socket())).unwrap()
}

/// Another program that owns the clipboard and hands its content over. Ends when dropped.
struct Owner {
    end: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Owner {
    fn start(sway: &Sway, content: Content) -> Self {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap());
        let stream = UnixStream::connect(sway.socket()).unwrap();
        let mut hands = Hands::new(Client::new(stream, Arc::clone(&bell)).unwrap()).unwrap();
        hands.hold(Selection::Clipboard, content).unwrap();
        hands.client.sync().unwrap();
        let thread = thread::spawn(move || hands.idle().unwrap());
        Self { end: bell, thread: Some(thread) }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        rustix::io::write(&self.end, &1_u64.to_ne_bytes()).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}
