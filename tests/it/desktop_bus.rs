//! The shipped program on a desktop's buses: shortcuts of the portal as the key, and a user who leaves in the middle of a take.
//! The portal and the logind are the test's own, on a private `dbus-daemon`.

use std::time::Duration;

use ptt_messages::{ControllerEvent, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, Dialog, MockLogind, MockPortal, PrivateBus, TakeReport};

const SOON: Duration = Duration::from_secs(60);

/// A daemon on this bus, the bundled clip as its microphone, at once.
fn daemon(bus: &PrivateBus, more: &str) -> Daemon {
    let more =
        format!("audio.wav_pace = 'fast'\nstt.canned_texts = ['heard']\nkeyboard.session = true\n{more}");
    DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], &more)).env(bus.env()).start()
}

/// One whose key is the portal, once its shortcuts are bound.
fn portal_daemon(bus: &PrivateBus) -> Daemon {
    let daemon = daemon(bus, "keyboard.backend = 'portal'\nkeyboard.chord = 'LeftCtrl+Space'");
    daemon.has("keyboard");
    daemon
}

/// Holds for as long as a short word takes.
fn speak() {
    std::thread::sleep(Duration::from_millis(300));
}

/// Waits until the daemon's log has this. A fault may be older than anybody who watches events.
fn says(daemon: &Daemon, part: &str) {
    rig::await_some(part, SOON, || daemon.log().contains(part).then_some(()));
}

fn assert_text(report: &TakeReport, daemon: &Daemon) {
    assert_eq!((report.outcome, report.text.as_str()), (Outcome::Text, "heard"), "{}", daemon.log());
}

/// A take whose key is the portal's shortcut.
fn hold(portal: &MockPortal, daemon: &mut Daemon) -> TakeReport {
    portal.press("talk");
    daemon.recording();
    speak();
    portal.release("talk");
    let report = daemon.ended();
    assert_text(&report, daemon);
    report
}

/// Waits until the daemon has heard so often that the user left.
fn left(daemon: &Daemon, times: u32) {
    rig::await_some("the user to have left", SOON, || {
        let told = daemon.scrape().sum("ptt_keyboard_events_total", &[("edge", "user_left")]);
        (told == Some(f64::from(times))).then_some(())
    });
}

#[test]
fn a_shortcut_of_the_desktop_is_the_key() {
    let Some(bus) = bus("a shortcut of the desktop") else { return };
    let portal = MockPortal::join(&bus, Dialog::Accepted, true);
    let mut daemon = portal_daemon(&bus);
    let expected = [("talk".to_owned(), Some("CTRL+space".to_owned())), ("cancel".to_owned(), None)];
    assert_eq!(portal.asked(), expected);
    assert_eq!(portal.app_id().as_deref(), Some("ptt.Dictation"));
    for _ in 0..2 {
        hold(&portal, &mut daemon);
    }
    portal.press("talk");
    daemon.recording();
    portal.press("cancel");
    portal.release("cancel");
    assert_eq!(daemon.ended().outcome, Outcome::Cancelled);
    portal.release("talk");
    assert!(portal.was_not_asked());
    assert!(daemon.stop().status.success());
}

#[test]
fn each_profile_is_a_shortcut_of_its_own() {
    let Some(bus) = bus("a shortcut for each profile") else { return };
    let portal = MockPortal::join(&bus, Dialog::Accepted, true);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("german");
    let mut daemon = daemon(
        &bus,
        &format!(
            "keyboard.backend = 'portal'\nkeyboard.chord = 'LeftCtrl+Space'\n[[profile]]\nname = 'german'\n\
             chord = 'LeftCtrl+LeftShift+Space'\n[profile.output]\nfile_path = {file:?}"
        ),
    );
    daemon.has("keyboard");
    let asked: Vec<(String, Option<String>)> = portal.asked();
    let names: Vec<(&str, Option<&str>)> =
        asked.iter().map(|(id, keys)| (id.as_str(), keys.as_deref())).collect();
    let expected =
        [("talk", Some("CTRL+space")), ("talk-german", Some("CTRL+SHIFT+space")), ("cancel", None)];
    assert_eq!(names, expected);
    for shortcut in ["talk", "talk-german"] {
        portal.press(shortcut);
        daemon.recording();
        speak();
        portal.release(shortcut);
        let report = daemon.ended();
        assert_text(&report, &daemon);
    }
    let text = || std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'));
    assert_eq!(rig::await_some("the german text", SOON, text), "heard\n");
    assert!(daemon.stop().status.success());
}

#[test]
fn a_desktop_that_tells_no_release_toggles() {
    let Some(bus) = bus("a desktop that tells no release") else { return };
    let portal = MockPortal::join(&bus, Dialog::Accepted, false);
    let mut daemon = portal_daemon(&bus);
    for _ in 0..3 {
        portal.press("talk");
        daemon.recording();
        speak();
        portal.press("talk");
        let report = daemon.ended();
        assert_text(&report, &daemon);
    }
    let log = daemon.log();
    assert_eq!(log.matches("controller.mode").count(), 1, "said once\n{log}");
}

#[test]
fn a_portal_that_vanishes_ends_the_take_and_is_found_again() {
    let Some(bus) = bus("a portal that vanishes") else { return };
    let portal = MockPortal::join(&bus, Dialog::Accepted, false);
    let mut daemon = portal_daemon(&bus);
    portal.press("talk");
    daemon.recording();
    speak();
    drop(portal);
    says(&daemon, "it is asked again when it is back");
    let report = daemon.ended();
    assert_text(&report, &daemon);

    let portal = MockPortal::join(&bus, Dialog::Accepted, false);
    assert_eq!(portal.asked().len(), 2);
    daemon.until("the keyboard again", |event| match event {
        ControllerEvent::Part { what: Some(what), .. } => (what == "portal").then_some(()),
        _ => None,
    });
    hold(&portal, &mut daemon);
}

#[test]
fn a_desktop_that_says_no_is_not_asked_again() {
    let Some(bus) = bus("a desktop that says no") else { return };
    for (dialog, said) in [(Dialog::Declined, "was declined"), (Dialog::Accepted, "took the shortcut back")] {
        let portal = MockPortal::join(&bus, dialog, false);
        let mut daemon = daemon(&bus, "keyboard.backend = 'portal'");
        assert_eq!(portal.asked()[0], ("talk".to_owned(), None), "Down+Right has no words");
        if dialog == Dialog::Accepted {
            daemon.has("keyboard");
            portal.close();
        }
        says(&daemon, said);
        // The control socket is a key all the same.
        let report = daemon.take(|_| speak());
        assert_text(&report, &daemon);
        assert!(portal.was_not_asked());
        // Nor in half a minute.
        assert!(!daemon.log().contains("key source is tried again"), "{}", daemon.log());
        daemon.ask("disable").unwrap();
        daemon.ask("enable").unwrap();
        assert_eq!(portal.asked().len(), 2, "but when the user wants it");
    }
}

#[test]
fn a_dialog_that_nobody_answers_blocks_nothing() {
    let Some(bus) = bus("a dialog that nobody answers") else { return };
    let portal = MockPortal::join(&bus, Dialog::Ignored, false);
    let mut daemon = daemon(&bus, "keyboard.backend = 'portal'");
    for _ in 0..2 {
        assert_eq!(portal.asked().len(), 2);
        let report = daemon.take(|_| speak());
        assert_text(&report, &daemon);
        daemon.listening();
        daemon.ask("disable").unwrap();
        daemon.ask("enable").unwrap();
    }
    assert_eq!(portal.asked().len(), 2);
    assert!(daemon.stop().status.success());
}

#[test]
fn what_is_missing_for_the_portal_is_told_with_what_to_do() {
    let Some(bus) = bus("what is missing for the portal") else { return };
    let portal = "keyboard.backend = 'portal'";
    says(&daemon(&bus, portal), "install xdg-desktop-portal");

    let _desktop = MockPortal::without_shortcuts(&bus);
    says(&daemon(&bus, portal), "portal has no global shortcuts");

    let without = DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], portal)).start();
    says(&without, "no session bus");
}

#[test]
fn a_suspend_in_a_take_delivers_its_text_and_wants_a_fresh_press() {
    let Some(bus) = bus("a suspend in a take") else { return };
    let (portal, logind) = (MockPortal::join(&bus, Dialog::Accepted, false), MockLogind::join(&bus));
    let mut daemon = portal_daemon(&bus);
    logind.watched();
    portal.press("talk");
    daemon.recording();
    speak();
    logind.sleep(true);
    let report = daemon.ended();
    assert_text(&report, &daemon);
    daemon.until("its delivery", |event| match event {
        ControllerEvent::Delivered { take, .. } => (*take == report.take).then_some(()),
        _ => None,
    });

    // Awake again with the key still held; then it is let go and pressed, while nobody is there.
    logind.sleep(false);
    logind.lock();
    left(&daemon, 2);
    logind.sleep(true);
    left(&daemon, 3);
    portal.release("talk");
    portal.press("talk");
    // Signals of one peer come in order, those of two need not.
    portal.press("cancel");
    says(&daemon, "Activated { shortcut: \"cancel\"");
    logind.sleep(false);
    logind.lock();
    left(&daemon, 4);

    // A fresh press is the first thing that begins a take.
    portal.release("talk");
    let fresh = hold(&portal, &mut daemon);
    assert_eq!(fresh.take.0, report.take.0 + 1, "nothing came between\n{}", daemon.log());
}

#[test]
fn every_way_to_leave_ends_every_kind_of_take() {
    let Some(bus) = bus("leaving in a take") else { return };
    let logind = MockLogind::join(&bus);
    let mut daemon = daemon(&bus, "");
    logind.watched();
    type Way<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());
    let ways: [Way<'_>; 4] = [
        ("sleep", &|| logind.sleep(true), &|| logind.sleep(false)),
        ("a lock that is asked for", &|| logind.lock(), &|| ()),
        ("a lock", &|| logind.locked(true), &|| logind.locked(false)),
        ("another session", &|| logind.in_front(false), &|| logind.in_front(true)),
    ];
    for begin in ["press", "toggle"] {
        for (way, leave, come_back) in ways {
            daemon.listening();
            daemon.ask(begin).unwrap();
            daemon.recording();
            speak();
            leave();
            let report = daemon.ended();
            assert_eq!(report.outcome, Outcome::Text, "{begin}, {way}\n{}", daemon.log());
            come_back();
        }
    }
}

/// The control socket is a key whatever became of the others.
#[test]
fn leaving_ends_a_take_of_the_socket_where_no_key_can_be_read() {
    for (what, backend, dialog, said) in [
        ("no display", "x11", None, "DISPLAY is not set"),
        ("a portal that says no", "portal", Some(Dialog::Declined), "was declined"),
        ("a dialog that stays open", "portal", Some(Dialog::Ignored), ""),
        ("no portal yet", "portal", None, "install xdg-desktop-portal"),
    ] {
        let Some(bus) = bus(what) else { return };
        let logind = MockLogind::join(&bus);
        let portal = dialog.map(|dialog| MockPortal::join(&bus, dialog, false));
        let mut daemon = daemon(&bus, &format!("keyboard.backend = '{backend}'"));
        if let Some(portal) = &portal {
            assert_eq!(portal.asked().len(), 2);
        }
        says(&daemon, said);
        logind.watched();
        for times in 1..3 {
            the_lock_ends_a_take(&mut daemon, &logind);
            logind.locked(false);
            left(&daemon, times);
        }
        assert!(daemon.stop().status.success(), "{what}");
    }
}

/// A user's service that a login by ssh started, and then the user sits down at the screen.
#[test]
fn the_newest_session_is_the_one_that_is_watched() {
    let Some(bus) = bus("a newer session") else { return };
    let logind = MockLogind::join(&bus);
    let mut daemon = daemon(&bus, "");
    logind.watched();
    logind.another_session();
    logind.watched();
    the_lock_ends_a_take(&mut daemon, &logind);
}

/// One of the control socket, of which all that was said becomes text.
fn the_lock_ends_a_take(daemon: &mut Daemon, logind: &MockLogind) {
    daemon.listening();
    daemon.ask("toggle").unwrap();
    daemon.recording();
    speak();
    logind.locked(true);
    let report = daemon.ended();
    assert_text(&report, daemon);
}

#[test]
fn a_logind_that_comes_late_is_heard_and_none_is_no_fault() {
    let Some(bus) = bus("a logind that comes late") else { return };
    let mut daemon = daemon(&bus, "");
    let report = daemon.take(|_| speak());
    assert_text(&report, &daemon);
    let faults = daemon.seen().iter().filter(|event| matches!(event, ControllerEvent::Fault { .. })).count();
    assert_eq!(faults, 0, "{}", daemon.log());
    rig::await_some("the daemon to look for its session", SOON, || {
        daemon.log().contains("no session of ours").then_some(())
    });

    let logind = MockLogind::join(&bus);
    logind.new_session();
    logind.watched();
    daemon.listening();
    daemon.ask("toggle").unwrap();
    daemon.recording();
    speak();
    logind.in_front(false);
    let report = daemon.ended();
    assert_text(&report, &daemon);
}

fn bus(test: &str) -> Option<PrivateBus> {
    PrivateBus::start().map_err(|skip| skip.say(test)).ok()
}
