//! The shipped program and a real window: the key goes up, and the text stands in a terminal under a real X server.

use std::time::Duration;

use ptt_messages::{Moment, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, Screen};

const HOLD: Duration = Duration::from_millis(300);
const TAKES: usize = 50;

/// A daemon on this display that says these texts one after the other.
fn daemon(display: &str, texts: &[String], more: &str) -> Daemon {
    let more = format!(
        "stt.canned_texts = {texts:?}\naudio.wav_pace = 'fast'\noutput.sink = 'auto'\noutput.notify = false\n\
         output.trailing = 'newline'\noutput.newline = 'enter'\n{more}"
    );
    let config = hardware_free(&[&rig::bundled().file], &more);
    DaemonBuilder::new().config(&config).env([("DISPLAY", display)]).start()
}

#[test]
fn fifty_takes_stand_in_the_window_as_they_were_said() {
    let _alone = rig::heavy();
    let screen = match Screen::start() {
        Ok(screen) => screen,
        Err(skip) => return skip.say("fifty takes into a window"),
    };
    let terminal = screen.terminal("Window");
    let kinds =
        ["The quick brown fox jumps over the lazy dog.", "Größe: é ü ß ñ!", "你好 🎤", "Yes? (No.) 50 %"];
    let texts: Vec<String> =
        (0..TAKES).map(|number| format!("{} {number}", kinds[number % kinds.len()])).collect();
    let mut daemon = daemon(screen.display(), &texts, "");
    screen.layout("de");
    let mut overhead = Vec::new();
    for number in 1..=TAKES {
        let mut released = Moment::now();
        let report = daemon.take(|_| {
            std::thread::sleep(HOLD);
            released = Moment::now();
        });
        assert_eq!(report.outcome, Outcome::Text, "{number}");
        let lines = terminal.lines(number);
        let seen = Moment::now();
        assert_eq!(lines, texts[..number], "the window has what was said, and nothing else");
        overhead.push(seen.since(released).saturating_sub(report.release_to_text.unwrap_or_default()));
    }
    overhead.sort_unstable();
    rig::say(&format!(
        "x11: {TAKES} takes, 0 wrong or lost; from the release to the terminal's file beyond recognition: \
         median {:.1?}, 90 % within {:.1?}, worst {:.1?}",
        overhead[TAKES / 2],
        overhead[TAKES * 9 / 10],
        overhead[TAKES - 1]
    ));
    // The fastest: what else the machine does is not what this is about.
    assert!(overhead[0] < Duration::from_millis(30), "{overhead:?}");
    let metrics = daemon.scrape();
    assert_eq!(
        metrics.sum("ptt_output_ways_total", &[("way", "type"), ("result", "ok")]),
        Some(TAKES as f64)
    );
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
    let mut daemon = daemon(&display, &texts, "");
    daemon.take(|_| std::thread::sleep(HOLD));
    assert_eq!(terminal.lines(1), ["before"]);
    screen.kill();
    drop(terminal);
    daemon.take(|_| std::thread::sleep(HOLD));
    let fault = daemon.until("the failed delivery", |event| match event {
        ptt_messages::ControllerEvent::Fault { fault, .. } => Some(fault.message.clone()),
        _ => None,
    });
    assert!(fault.contains(&display) && fault.contains("`ptt-app retry`"), "{fault}");

    screen.restart();
    let terminal = screen.terminal("Window");
    daemon.ask("retry").unwrap();
    assert_eq!(terminal.lines(1), ["while it is gone"]);
}
