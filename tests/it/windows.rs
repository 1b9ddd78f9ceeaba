//! The shipped program and a real window: the key goes up, and the text stands in a terminal, under a real X server and a real
//! Wayland compositor.

use std::time::Duration;

use ptt_messages::{ControllerEvent, Moment, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, Screen, Skip, Sway};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, PropMode};
use x11rb::wrapper::ConnectionExt as _;

const HOLD: Duration = Duration::from_millis(300);
const TAKES: usize = 50;

/// A daemon on this desktop that says these texts one after the other.
fn daemon(desktop: (&str, &str), texts: &[String], more: &str) -> Daemon {
    let more = format!(
        "stt.canned_texts = {texts:?}\naudio.wav_pace = 'fast'\noutput.notify = false\n\
         output.trailing = 'newline'\noutput.newline = 'enter'\n{more}"
    );
    let config = hardware_free(&[&rig::bundled().file], &more);
    DaemonBuilder::new().config(&config).env([desktop]).start()
}

#[test]
fn fifty_takes_stand_in_an_x11_window_as_they_were_said() {
    let _alone = rig::heavy();
    let screen = match Screen::start() {
        Ok(screen) => screen,
        Err(skip) => return skip.say("fifty takes into an X11 window"),
    };
    screen.layout("de");
    for way in ["type", "paste"] {
        let terminal = screen.terminal(way);
        fifty_takes(("DISPLAY", screen.display()), "x11", way, |number, _| terminal.lines(number).join("\n"));
    }
}

#[test]
fn fifty_takes_stand_in_a_wayland_window_as_they_were_said() {
    let _alone = rig::heavy();
    let sway = match Sway::start() {
        Ok(sway) => sway,
        Err(why) => return Skip(why).say("fifty takes into a Wayland window"),
    };
    for way in ["type", "paste"] {
        let reader = sway.reader(way);
        fifty_takes(("WAYLAND_DISPLAY", &sway.socket()), "wayland", way, |_, last| {
            reader.text_until(&format!("{last}\n")).trim_end().to_owned()
        });
    }
}

/// `seen` waits until the window has the take of this number, of which this is the text, and gives all that the window has.
fn fifty_takes(desktop: (&str, &str), name: &str, way: &str, seen: impl Fn(usize, &str) -> String) {
    let kinds =
        ["The quick brown fox jumps over the lazy dog.", "Größe: é ü ß ñ!", "你好 мир", "Yes? (No.) 50 %"];
    let texts: Vec<String> =
        (0..TAKES).map(|number| format!("{} {number}", kinds[number % kinds.len()])).collect();
    let sink = if way == "type" { "auto" } else { way };
    let mut daemon = daemon(desktop, &texts, &format!("output.sink = '{sink}'"));
    let mut overhead = Vec::new();
    for number in 1..=TAKES {
        let mut released = Moment::now();
        let report = daemon.take(|_| {
            std::thread::sleep(HOLD);
            released = Moment::now();
        });
        assert_eq!(report.outcome, Outcome::Text, "{number}");
        let window = seen(number, &texts[number - 1]);
        let took = Moment::now().since(released);
        assert_eq!(window, texts[..number].join("\n"), "the window has what was said, and nothing else");
        overhead.push(took.saturating_sub(report.release_to_text.unwrap_or_default()));
    }
    overhead.sort_unstable();
    rig::say(&format!(
        "{name}, {way}: {TAKES} takes, 0 wrong or lost; from the release to the terminal's file beyond recognition: \
         median {:.1?}, 90 % within {:.1?}, worst {:.1?}",
        overhead[TAKES / 2],
        overhead[TAKES * 9 / 10],
        overhead[TAKES - 1]
    ));
    // The fastest: what else the machine does is not what this is about.
    assert!(overhead[0] < Duration::from_millis(30), "{overhead:?}");
    // A text counts as delivered once the window has read it, which is after it is there.
    let ways = || daemon.scrape().sum("ptt_output_ways_total", &[("way", way), ("result", "ok")]);
    rig::await_some("as many deliveries as takes", Duration::from_secs(30), || {
        (ways() == Some(TAKES as f64)).then_some(())
    });
}

#[test]
fn what_may_have_reached_nobody_is_kept_too() {
    let sway = match Sway::start() {
        Ok(sway) => sway,
        Err(why) => return Skip(why).say("a text for no Wayland window"),
    };
    let mut daemon = daemon(
        ("WAYLAND_DISPLAY", &sway.socket()),
        &["to nobody", "to a window"].map(str::to_owned),
        "output.sink = 'auto'",
    );
    daemon.take(|_| std::thread::sleep(HOLD));
    let fault = fault(&mut daemon);
    assert!(fault.contains("no window") && fault.contains("`ptt-app retry`"), "{fault}");
    let reader = sway.reader("late");
    daemon.ask("retry").unwrap();
    reader.text_until("to nobody\n");
    daemon.take(|_| std::thread::sleep(HOLD));
    assert_eq!(reader.text_until("to a window\n"), "to nobody\nto a window\n");
}

/// As real window managers have it on an empty workspace: a window of their own has the keyboard, and none is active.
#[test]
fn what_may_have_reached_nobody_is_kept_too_on_x11() {
    let screen = match Screen::start() {
        Ok(screen) => screen,
        Err(skip) => return skip.say("a text for no X11 window"),
    };
    let (manager, _) = x11rb::connect(Some(screen.display())).unwrap();
    let active = manager.intern_atom(false, b"_NET_ACTIVE_WINDOW").unwrap().reply().unwrap().atom;
    let root = manager.setup().roots[0].root;
    manager.change_property32(PropMode::REPLACE, root, active, AtomEnum::WINDOW, &[x11rb::NONE]).unwrap();
    manager.sync().unwrap();
    screen.focus(screen.dull_window());
    let mut daemon = daemon(("DISPLAY", screen.display()), &["to nobody".to_owned()], "output.sink = 'auto'");
    daemon.take(|_| std::thread::sleep(HOLD));
    let fault = fault(&mut daemon);
    assert!(fault.contains("no window") && fault.contains("`ptt-app retry`"), "{fault}");
    let terminal = screen.terminal("late");
    manager
        .change_property32(PropMode::REPLACE, root, active, AtomEnum::WINDOW, &[terminal.window()])
        .unwrap();
    manager.sync().unwrap();
    daemon.ask("retry").unwrap();
    assert_eq!(terminal.lines(1), ["to nobody"]);
}

#[test]
fn the_keymap_is_as_it_was_when_the_daemon_ends() {
    let screen = match Screen::start() {
        Ok(screen) => screen,
        Err(skip) => return skip.say("the keymap at the daemon's end"),
    };
    let (conn, _) = x11rb::connect(Some(screen.display())).unwrap();
    let (first, last) = (conn.setup().min_keycode, conn.setup().max_keycode);
    let keymap = || conn.get_keyboard_mapping(first, last - first + 1).unwrap().reply().unwrap().keysyms;
    let terminal = screen.terminal("Window");
    let before = keymap();
    let mut daemon = daemon(("DISPLAY", screen.display()), &["你好".to_owned()], "output.sink = 'type'");
    daemon.take(|_| std::thread::sleep(HOLD));
    assert_eq!(terminal.lines(1), ["你好"]);
    assert!(keymap() != before, "a key was bound for what the layout lacks");
    assert!(daemon.stop().status.success());
    assert!(keymap() == before);
}

/// Why a text did not go out for sure.
fn fault(daemon: &mut Daemon) -> String {
    daemon.until("the failed delivery", |event| match event {
        ControllerEvent::Fault { fault, .. } => Some(fault.message.clone()),
        _ => None,
    })
}

#[test]
fn a_server_that_is_killed_costs_no_text() {
    let texts = ["before", "while it is gone"].map(str::to_owned);
    let mut screen = match Screen::start() {
        Ok(screen) => screen,
        Err(skip) => return skip.say("a server that is killed under the daemon"),
    };
    let display = screen.display().to_owned();
    let terminal = screen.terminal("Window");
    let mut daemon = daemon(("DISPLAY", &display), &texts, "output.sink = 'auto'");
    daemon.take(|_| std::thread::sleep(HOLD));
    assert_eq!(terminal.lines(1), ["before"]);
    screen.kill();
    drop(terminal);
    daemon.take(|_| std::thread::sleep(HOLD));
    let fault = fault(&mut daemon);
    assert!(fault.contains(&display) && fault.contains("`ptt-app retry`"), "{fault}");

    screen.restart();
    let terminal = screen.terminal("Window");
    daemon.ask("retry").unwrap();
    assert_eq!(terminal.lines(1), ["while it is gone"]);
}
