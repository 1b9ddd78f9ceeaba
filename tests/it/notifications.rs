//! A text that is only in the clipboard is told by a notification of the desktop, without any program.

use std::time::Duration;

use ptt_messages::Outcome;
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, DaemonBuilder, MockNotifications, PrivateBus, Screen};

#[test]
fn a_text_that_is_only_in_the_clipboard_is_told_without_any_program() {
    let what = "a notification of the desktop";
    let (screen, bus) = match (Screen::start(), PrivateBus::start()) {
        (Ok(screen), Ok(bus)) => (screen, bus),
        (Err(skip), _) | (_, Err(skip)) => return skip.say(what),
    };
    let server = MockNotifications::join(&bus);
    let _terminal = screen.terminal("Window");
    // More characters than X11 has spare keys for.
    let texts = ["\u{4e00}", "\u{5000}"].map(|first| {
        let first = first.chars().next().unwrap();
        (first..).take(200).collect::<String>()
    });
    let config = hardware_free(
        &[&rig::bundled().file],
        &format!(
            "stt.canned_texts = {texts:?}\naudio.wav_pace = 'fast'\noutput.sink = 'type'\n\
                  log.filter = 'info,ptt_output=debug'"
        ),
    );
    let mut daemon = DaemonBuilder::new()
        .config(&config)
        .env([("DISPLAY", screen.display())])
        .env(bus.env())
        .env([("PATH", "/nonexistent")])
        .start();
    for replaces in [0, 7] {
        let report = daemon.take(|_| std::thread::sleep(Duration::from_millis(300)));
        assert_eq!(report.outcome, Outcome::Text);
        let shown = server.shown().unwrap_or_else(|| panic!("nothing is shown\n{}", daemon.log()));
        assert_eq!((shown.app.as_str(), shown.replaces), ("ptt", replaces), "a newer one replaces an older");
        assert_eq!(shown.summary, "Your text is in the clipboard");
        assert!(shown.body.contains("200 different characters"), "{shown:?}");
        assert!(!shown.body.contains(['\u{4e00}', '\u{5000}']), "none of the text is in it");
    }
}
