//! Hands on a real X server: what is typed and pasted is read back from a real terminal, and other programs own the
//! clipboard.

use std::time::{Duration, Instant};

use evdev::KeyCode;
use ptt_messages::TakeId;
use ptt_output::desktop::x11::X11;
use ptt_output::desktop::{Desktop, PasteChord};
use ptt_output::{DeskSink, OutputConfig, OutputError, Sink};
use ptt_tests::rig::{self, Holder, Screen, await_some};
use rustix::process::Signal;
use x11rb::protocol::xproto::InputFocus;

use crate::section;

const LONG: Duration = Duration::from_secs(60);
const TAKE: TakeId = TakeId(1);
const CTRL: &[KeyCode] = &[KeyCode::KEY_LEFTCTRL];
const CAPS: KeyCode = KeyCode::KEY_CAPSLOCK;

/// In each of them so many lines must come out whole.
const LINES: usize = 50;

/// A server and a connection to it as the daemon has one, or a line that says why not.
macro_rules! screen {
    ($what:literal) => {
        match Screen::start() {
            Ok(screen) => screen,
            Err(skip) => return skip.say($what),
        }
    };
}

fn desktop(screen: &Screen) -> X11 {
    X11::connect(screen.display()).unwrap()
}

fn sink(screen: &Screen, config: &str) -> DeskSink {
    let config: OutputConfig = section(&format!("notify = false\nnewline = 'enter'\n{config}"));
    let display = screen.display().to_owned();
    DeskSink::on(&config, move || Ok(Box::new(X11::connect(&display)?)))
}

#[test]
fn every_character_is_whole_in_every_layout() {
    let screen = screen!("typing into a terminal");
    let terminal = screen.terminal("Typed");
    let mut desktop = desktop(&screen);
    let mut expected = Vec::new();
    for (layout, caps) in [("us", false), ("us", true), ("de", false), ("de", true), ("us,ru", false)] {
        screen.layout(layout);
        if caps {
            screen.tap(CAPS);
        }
        assert_eq!(screen.caps_lock(), caps);
        for number in 0..LINES {
            for text in
                ["The quick (brown) fox: ~/y & z@{}[]|\\ 100%!", "Größe é ü ß ñ Ñ €", "你好 🎤 Привет"]
            {
                desktop.type_text(&format!("{text} {number}\n")).unwrap();
                expected.push(format!("{text} {number}"));
            }
        }
        assert_eq!(screen.caps_lock(), caps, "Caps Lock is as it was");
        if caps {
            screen.tap(CAPS);
        }
        assert_eq!(terminal.lines(expected.len()), expected, "{layout}, Caps Lock {caps}");
    }
    rig::say(&format!("x11: {} lines typed, all whole", expected.len()));
}

#[test]
fn the_first_text_of_a_connection_is_whole_and_the_keymap_is_put_back() {
    let screen = screen!("binding characters to spare keys");
    let terminal = screen.terminal("Typed");
    let mut first = desktop(&screen);
    let before = screen.keymap();
    first.type_text("é ü ß ñ 你好 🎤 first\n").unwrap();
    let mut expected = vec!["é ü ß ñ 你好 🎤 first".to_owned()];
    assert_eq!(terminal.lines(1), expected);
    assert_ne!(screen.keymap(), before, "it had to be changed");
    first.rest();
    // Answered when all before it is done.
    first.hands_free(Duration::ZERO).unwrap();
    assert_eq!(screen.keymap(), before);

    for number in 0..LINES {
        // Each one binds its characters anew, and finds what the one before it left.
        let mut desktop = desktop(&screen);
        desktop.type_text(&format!("é ü ß ñ 你好 🎤 {number}\n")).unwrap();
        expected.push(format!("é ü ß ñ 你好 🎤 {number}"));
    }
    assert_eq!(terminal.lines(LINES + 1), expected);

    // More than there are spare keys, once they are put back each time.
    let mut desktop = desktop(&screen);
    let mut count = LINES + 1;
    for first in (0x4e00_u32..).step_by(10).take(20) {
        let text: String = (first..first + 10).filter_map(char::from_u32).collect();
        desktop.type_text(&format!("{text}\n")).unwrap();
        count += 1;
        assert_eq!(terminal.lines(count)[count - 1], text);
        desktop.rest();
    }
    let many: String = (0x4e00_u32..0x4f00).filter_map(char::from_u32).collect();
    let error = desktop.type_text(&many).unwrap_err();
    assert!(matches!(error, OutputError::Untypable { characters: 256 }), "{error}");
    desktop.type_text("nothing of it was typed\n").unwrap();
    assert_eq!(terminal.lines(count + 1)[count], "nothing of it was typed");
}

#[test]
fn two_hundred_characters_take_less_than_a_tenth_of_a_second() {
    let screen = screen!("typing 200 characters");
    let terminal = screen.terminal("Timed");
    let mut desktop = desktop(&screen);
    let text = "The quick brown fox jumps over the lazy dog, 1 2 3. ".repeat(4)[..200].to_owned();
    let (mut typed, mut seen) = (Vec::new(), Vec::new());
    for count in 1..=20 {
        let began = Instant::now();
        desktop.type_text(&format!("{text}\n")).unwrap();
        typed.push(began.elapsed());
        assert_eq!(terminal.lines(count)[count - 1], text);
        seen.push(began.elapsed());
    }
    typed.sort_unstable();
    seen.sort_unstable();
    rig::say(&format!(
        "x11: 200 characters typed in {:.1?} (median of 20, worst {:.1?}), in the terminal's file after {:.1?}",
        typed[10], typed[19], seen[10]
    ));
    // The fastest: what else the machine does is not what this is about.
    assert!(seen[0] < Duration::from_millis(100), "{seen:?}");

    let mut pasted = Vec::new();
    for count in 21..=40 {
        let began = Instant::now();
        desktop.paste(&format!("{text}\n"), PasteChord::SHIFT_INSERT, LONG).unwrap();
        assert_eq!(terminal.lines(count)[count - 1], text);
        pasted.push(began.elapsed());
    }
    pasted.sort_unstable();
    rig::say(&format!(
        "x11: 200 characters pasted, in the terminal's file after {:.1?} (median of 20, worst {:.1?})",
        pasted[10], pasted[19]
    ));
}

#[test]
fn typing_waits_until_the_modifiers_are_up() {
    let screen = screen!("a held Control key");
    let terminal = screen.terminal("Held");
    let mut desktop = desktop(&screen);
    screen.press(CTRL);
    assert!(!desktop.hands_free(Duration::from_millis(20)).unwrap());
    let waiting = std::thread::spawn(move || desktop.hands_free(LONG));
    screen.release(CTRL);
    assert!(waiting.join().unwrap().unwrap());

    screen.press(CTRL);
    let mut sink = sink(&screen, "sink = 'type'\nwait_for_modifiers_ms = 60000");
    let delivering =
        std::thread::spawn(move || sink.wait(&|| true).and_then(|()| sink.deliver(TAKE, "no shortcut\n")));
    screen.release(CTRL);
    delivering.join().unwrap().unwrap();
    assert_eq!(terminal.lines(1), ["no shortcut"]);

    screen.press(CTRL);
    let mut sink = self::sink(&screen, "sink = 'type'\nwait_for_modifiers_ms = 20");
    sink.wait(&|| true).unwrap();
    sink.deliver(TAKE, "for the clipboard").unwrap();
    screen.release(CTRL);
    assert_eq!(screen.clipboard("UTF8_STRING").unwrap(), b"for the clipboard");
    assert_eq!(terminal.lines(1), ["no shortcut"]);
}

#[test]
fn a_paste_gives_back_what_was_in_the_clipboard_in_all_its_formats() {
    let screen = screen!("pasting into a terminal");
    let terminal = screen.terminal("Pasted");
    let picture = vec![7; 600_000];
    let old = Holder::new(
        &screen,
        "CLIPBOARD",
        &[("text/html", b"<b>old</b>"), ("UTF8_STRING", b"old"), ("image/x-test", &picture)],
    );
    let _selected = Holder::new(&screen, "PRIMARY", &[("UTF8_STRING", b"selected")]);
    let mut desktop = desktop(&screen);
    let mut seen = Vec::new();
    for count in 1..=LINES {
        let text = format!("é ü ß ñ 你好 🎤 {count}");
        let began = Instant::now();
        desktop.paste(&format!("{text}\n"), PasteChord::SHIFT_INSERT, LONG).unwrap();
        assert_eq!(terminal.lines(count)[count - 1], text);
        seen.push(began.elapsed());
    }
    seen.sort_unstable();
    rig::say(&format!(
        "x11: {LINES} texts pasted, all whole; median {:.1?}, first {:.1?}",
        seen[LINES / 2],
        seen[LINES - 1]
    ));
    assert!(old.has_lost());
    await_some("the old content", LONG, || {
        (screen.clipboard("text/html").as_deref() == Some(b"<b>old</b>")).then_some(())
    });
    assert_eq!(screen.clipboard("UTF8_STRING").unwrap(), b"old");
    assert!(screen.clipboard("image/x-test").unwrap() == picture);
    assert_eq!(screen.selection("PRIMARY", "UTF8_STRING").unwrap(), b"selected");
    assert_eq!(screen.clipboard("text/plain"), None, "nothing of ours is left");
}

#[test]
fn a_clipboard_that_somebody_else_took_meanwhile_is_theirs() {
    let screen = screen!("a clipboard that is taken meanwhile");
    let terminal = screen.terminal("Pasted");
    let _old = Holder::new(&screen, "CLIPBOARD", &[("UTF8_STRING", b"old")]);
    let _selected = Holder::new(&screen, "PRIMARY", &[("UTF8_STRING", b"selected")]);
    let mut desktop = desktop(&screen);
    desktop.paste("text\n", PasteChord::SHIFT_INSERT, LONG).unwrap();
    let new = Holder::new(&screen, "CLIPBOARD", &[("UTF8_STRING", b"new")]);
    assert_eq!(terminal.lines(1), ["text"]);
    // Both selections are given back in one step: once one of them is, the other one would be too.
    await_some("the old selection", LONG, || {
        (screen.selection("PRIMARY", "UTF8_STRING").as_deref() == Some(b"selected")).then_some(())
    });
    assert_eq!(screen.clipboard("UTF8_STRING").unwrap(), b"new");
    assert!(!new.has_lost());
}

#[test]
fn an_owner_that_hangs_holds_nobody_up() {
    let screen = screen!("a clipboard owner that hangs");
    let terminal = screen.terminal("Pasted");
    let _hangs = Holder::new(&screen, "CLIPBOARD", &[]);
    let mut desktop = desktop(&screen);
    let began = Instant::now();
    desktop.paste("text\n", PasteChord::SHIFT_INSERT, LONG).unwrap();
    assert_eq!(terminal.lines(1), ["text"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_text_that_nobody_pastes_stays_in_the_clipboard() {
    let screen = screen!("a window that does not paste");
    let _old = Holder::new(&screen, "CLIPBOARD", &[("UTF8_STRING", b"old")]);
    screen.focus(screen.dull_window());
    let mut sink = sink(&screen, "sink = 'paste'\nlimit_ms = 100");
    sink.deliver(TAKE, "for the clipboard").unwrap();
    for format in ["UTF8_STRING", "STRING", "text/plain;charset=utf-8"] {
        assert_eq!(screen.clipboard(format).unwrap(), b"for the clipboard", "{format}");
    }
    assert!(screen.clipboard("TARGETS").unwrap().len() >= 4 * 6);
}

#[test]
fn a_window_that_pastes_late_gets_the_text_and_then_the_old_clipboard_is_back() {
    let screen = screen!("a window that stands still");
    let terminal = screen.terminal("Stopped");
    let old = Holder::new(&screen, "CLIPBOARD", &[("UTF8_STRING", b"old"), ("text/html", b"<b>old</b>")]);
    let _selected = Holder::new(&screen, "PRIMARY", &[("UTF8_STRING", b"selected")]);
    let mut sink = sink(&screen, "sink = 'paste'\nlimit_ms = 100");
    terminal.signal(Signal::STOP);
    sink.deliver(TAKE, "late\n").unwrap();
    assert_eq!(screen.clipboard("UTF8_STRING").unwrap(), b"late\n", "it can be pasted by hand");
    assert!(old.has_lost());
    terminal.signal(Signal::CONT);
    assert_eq!(terminal.lines(1), ["late"]);
    await_some("the old clipboard", LONG, || {
        (screen.clipboard("UTF8_STRING").as_deref() == Some(b"old")).then_some(())
    });
    assert_eq!(screen.clipboard("text/html").unwrap(), b"<b>old</b>");
    assert_eq!(screen.selection("PRIMARY", "UTF8_STRING").unwrap(), b"selected");
}

#[test]
fn a_text_whose_window_lost_the_keyboard_goes_to_the_clipboard() {
    let screen = screen!("a focus that moves");
    let first = screen.terminal("First");
    let mut sink = sink(&screen, "sink = 'auto'");
    sink.aim(TAKE);
    let second = screen.terminal("Second");
    sink.deliver(TAKE, "meant for the first\n").unwrap();
    assert_eq!(screen.clipboard("UTF8_STRING").unwrap(), b"meant for the first\n");
    // Asked for again, it is meant for the window that has the keyboard then.
    sink.deliver(TAKE, "asked for again\n").unwrap();
    assert_eq!(second.lines(1), ["asked for again"]);

    screen.focus(first.window());
    sink.aim(TAKE);
    sink.deliver(TAKE, "for the first\n").unwrap();
    assert_eq!(first.lines(1), ["for the first"]);
}

#[test]
fn a_text_that_no_window_would_get_goes_to_the_clipboard() {
    let screen = screen!("a keyboard that no window has");
    let terminal = screen.terminal("Typed");
    let mut sink = sink(&screen, "sink = 'auto'");
    screen.point((600, 450));
    let nobodys = [("none", x11rb::NONE), ("the pointer's, in none", u32::from(InputFocus::POINTER_ROOT))];
    for (what, focus) in nobodys {
        screen.focus(focus);
        sink.deliver(TAKE, what).unwrap();
        assert_eq!(screen.clipboard("UTF8_STRING").unwrap(), what.as_bytes());
    }
    // It follows the pointer into a window.
    screen.point((20, 20));
    sink.deliver(TAKE, "under the pointer\n").unwrap();
    screen.point((600, 450));
    screen.focus(terminal.window());
    sink.deliver(TAKE, "in the window\n").unwrap();
    assert_eq!(terminal.lines(2), ["under the pointer", "in the window"]);
}

#[test]
fn rules_know_applications_by_their_class() {
    let screen = screen!("rules of applications");
    let terminal = screen.terminal("Editor");
    let _selected = Holder::new(&screen, "PRIMARY", &[("UTF8_STRING", b"selected")]);
    let mut sink = sink(
        &screen,
        "sink = 'type'\nrules = [{ app = 'other', sink = 'clipboard' }, { app = 'EDITOR', sink = 'paste' }]",
    );
    sink.deliver(TAKE, "pasted\n").unwrap();
    assert_eq!(terminal.lines(1), ["pasted"]);
    await_some("the old selection", LONG, || {
        (screen.selection("PRIMARY", "UTF8_STRING").as_deref() == Some(b"selected")).then_some(())
    });
}

#[test]
fn a_server_that_dies_keeps_the_text() {
    let mut screen = screen!("a server that dies");
    let terminal = screen.terminal("Typed");
    let mut sink = sink(&screen, "sink = 'type'");
    sink.deliver(TAKE, "before\n").unwrap();
    assert_eq!(terminal.lines(1), ["before"]);
    let delivering = std::thread::spawn(move || {
        let error = sink.deliver(TAKE, &"secret\n".repeat(50_000)).unwrap_err();
        (error, sink)
    });
    let _ = terminal.lines(2);
    screen.server().signal(Signal::KILL);
    let (error, mut sink) = delivering.join().unwrap();
    assert!(matches!(error, OutputError::DesktopLost { .. }), "{error}");
    let fault = error.undelivered();
    assert!(fault.message.contains("`ptt-app retry`") && !fault.message.contains("secret"), "{fault}");

    let error = sink.deliver(TAKE, "text").unwrap_err();
    assert!(matches!(error, OutputError::NoDisplay { .. }), "{error}");
    assert!(error.to_string().contains(screen.display()), "{error}");
}

#[test]
fn a_server_without_xtest_leaves_the_clipboard() {
    let screen = match Screen::start_with(&["-extension", "XTEST"]) {
        Ok(screen) => screen,
        Err(skip) => return skip.say("a server without XTEST"),
    };
    let mut desktop = desktop(&screen);
    let error = desktop.type_text("text").unwrap_err().to_string();
    assert!(error.contains("XTEST"), "{error}");
    sink(&screen, "sink = 'auto'").deliver(TAKE, "for the clipboard").unwrap();
}

#[test]
fn a_server_that_hangs_is_given_up_and_used_again_when_it_goes_on() {
    let mut screen = screen!("a server that hangs");
    let terminal = screen.terminal("Typed");
    let mut sink = sink(&screen, "sink = 'auto'");
    sink.deliver(TAKE, "before\n").unwrap();
    screen.server().signal(Signal::STOP);
    let began = Instant::now();
    let error = sink.deliver(TAKE, "text\n").unwrap_err();
    screen.server().signal(Signal::CONT);
    assert!(error.to_string().contains("does not answer"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    sink.deliver(TAKE, "after\n").unwrap();
    assert_eq!(terminal.lines(2), ["before", "after"]);
}
