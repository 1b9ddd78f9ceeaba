//! The default chord in a terminal on an X server: what it does to the cursor, what the program says
//! about that, and what `keyboard.swallow` keeps from the window.

use std::time::Duration;

use evdev::KeyCode;
use ptt_messages::Outcome;
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, DaemonBuilder, Screen};

const CHORD: [KeyCode; 2] = [KeyCode::KEY_DOWN, KeyCode::KEY_RIGHT];
const ADVICE: &str = "Down and Right also act on windows or the desktop while you speak";

#[test]
fn the_default_chord_moves_the_cursor_until_it_is_swallowed() {
    // The keys repeat as on a desktop.
    let server = match Screen::start_with(&["-ardelay", "300", "-arinterval", "33"]) {
        Ok(server) => server,
        Err(skip) => return skip.say("the default chord in a window"),
    };
    let terminal = server.terminal("ptt-window");
    for (lines, swallow, backend) in [(1, false, "auto"), (2, true, "auto"), (3, true, "x11")] {
        let more = format!(
            "keyboard.backend = '{backend}'\nkeyboard.swallow = {swallow}\nkeyboard.devices = ['no such device']\n\
             audio.wav_pace = 'fast'"
        );
        let config = hardware_free(&[&rig::bundled().file], &more);
        let mut daemon = DaemonBuilder::new()
            .config(&config)
            .env([("DISPLAY", server.display())])
            .env([("WAYLAND_DISPLAY", "")])
            .start();
        daemon.has("keyboard");
        daemon.listening();
        // As fingers press: one after the other.
        for key in CHORD {
            server.press(&[key]);
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon.recording();
        std::thread::sleep(Duration::from_millis(1_500));
        server.release(&CHORD);
        assert_eq!(daemon.ended().outcome, Outcome::Text, "swallowed or not, it is a take");
        server.tap(KeyCode::KEY_ENTER);
        let moves = terminal.lines(lines)[lines - 1].matches('\u{1b}').count();
        let log = daemon.log();
        assert_eq!(log.contains(ADVICE), !swallow, "{log}");
        assert_eq!(log.contains("keyboard.swallow = true"), !swallow, "{log}");
        if swallow {
            assert_eq!(moves, 1, "the first key, once");
            assert!(log.contains("only the key that completes this chord is kept"), "{log}");
        } else {
            assert!(moves > 20, "{moves}: there is something to swallow");
        }
        assert!(daemon.stop().status.success());
    }
}

#[test]
fn a_chord_that_acts_on_nothing_needs_no_advice() {
    let server = match Screen::start() {
        Ok(server) => server,
        Err(skip) => return skip.say("a chord that acts on nothing"),
    };
    let config =
        hardware_free(&[&rig::bundled().file], "keyboard.backend = 'x11'\nkeyboard.chord = 'RightCtrl'");
    let daemon = DaemonBuilder::new().config(&config).env([("DISPLAY", server.display())]).start();
    daemon.has("keyboard");
    let log = daemon.log();
    assert!(!log.contains("also act"), "{log}");
}
