//! The shipped program on a desktop that lets no program type: texts go into its window through the portal, by the clipboard.
//! Bus, portal and window are the test's own; where a compositor is needed it is a real one that has neither protocol.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use ptt_messages::{ControllerEvent, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{
    self, Daemon, DaemonBuilder, Dialog, Formats, Habits, MockPortal, MockRemoteDesktop, PrivateBus, Process,
    Screen, Skip, Wanted, await_some,
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);
const STRANGE: &str = "é ü ß ñ 你好 🎤";

/// A user who agrees, and a window that pastes.
const WILLING: Habits = Habits { dialog: Dialog::Accepted, pastes: true };

/// A daemon on this bus that hears `text`, keeps what it has to in `state`, and puts texts into windows.
fn daemon(bus: &PrivateBus, state: &TempDir, text: &str, more: &str) -> Daemon {
    start(bus.env().to_vec(), state, text, more)
}

fn start(mut env: Vec<(&'static str, String)>, state: &TempDir, text: &str, more: &str) -> Daemon {
    let more =
        format!("audio.wav_pace = 'fast'\nstt.canned_texts = ['{text}']\noutput.notify = false\n{more}");
    env.push(("XDG_STATE_HOME", state.path().display().to_string()));
    DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], &more)).env(env).start()
}

const PORTAL: &str = "output.desktop = 'portal'\noutput.sink = 'auto'\noutput.limit_ms = 1000";
const AUTO: &str = "output.sink = 'auto'";

fn take(daemon: &mut Daemon) {
    let report = daemon.take(|_| std::thread::sleep(Duration::from_millis(300)));
    assert_eq!(report.outcome, Outcome::Text, "{}", daemon.log());
}

/// Why the text did not go out.
fn fault(daemon: &mut Daemon) -> String {
    daemon.until("the failed delivery", |event| match event {
        ControllerEvent::Fault { fault, .. } => Some(fault.message.clone()),
        _ => None,
    })
}

fn says(daemon: &Daemon, part: &str) {
    await_some(part, SOON, || daemon.log().contains(part).then_some(()));
}

/// Somebody's clipboard.
fn theirs() -> Formats {
    [("text/plain;charset=utf-8", &b"theirs"[..]), ("image/png", b"\x89PNG")]
        .map(|(format, content)| (format.to_owned(), content.to_vec()))
        .into()
}

fn came_back(portal: &MockRemoteDesktop, expected: &Formats) {
    await_some("the old clipboard", SOON, || (portal.clipboard() == *expected).then_some(()));
}

#[test]
fn a_text_in_any_script_is_pasted_and_the_clipboard_comes_back() {
    let Some((bus, state)) = rigs("pasting through the portal") else { return };
    let portal = MockRemoteDesktop::join(&bus, WILLING, theirs());
    let mut daemon = daemon(&bus, &state, STRANGE, PORTAL);
    // Before any take.
    let asked = Wanted { types: 1, persist_mode: 2, restore_token: None, clipboard: true };
    assert_eq!(portal.asked(), asked);
    take(&mut daemon);
    assert_eq!(portal.pasted(), format!("{STRANGE} "));
    came_back(&portal, &theirs());
    assert_eq!(portal.keys_down(), [0; 0]);

    // Of one that another program puts there meanwhile, all formats come back.
    let html = Formats::from([
        ("text/html".to_owned(), b"<b>x</b>".repeat(40_000)),
        ("x/empty".to_owned(), Vec::new()),
    ]);
    portal.copy(html.clone());
    take(&mut daemon);
    assert_eq!(portal.pasted(), format!("{STRANGE} "));
    came_back(&portal, &html);
    assert!(portal.was_not_asked() && portal.nothing_pasted());
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("ptt_output_ways_total", &[("way", "paste"), ("result", "ok")]), Some(2.0));
    let seconds = scrape.sum("ptt_delivery_seconds_sum", &[]).unwrap_or_default() / 2.0;
    rig::say(&format!("portal: a text is pasted within {:.1} ms", seconds * 1e3));
    assert!(!daemon.log().contains(STRANGE));
    assert!(daemon.stop().status.success());
}

#[test]
fn all_profiles_share_one_session() {
    let Some((bus, state)) = rigs("profiles that share a session of the portal") else { return };
    let portal = MockRemoteDesktop::join(&bus, WILLING, theirs());
    let profiles = "\nstt.language = 'en'\n[[profile]]\nname = 'german'\nlanguage = 'de'\n\
                    [[profile]]\nname = 'kept'\n[profile.output]\nsink = 'clipboard'\n";
    let mut daemon = daemon(&bus, &state, "in {language}", &(PORTAL.to_owned() + profiles));
    let _ = portal.asked();
    take(&mut daemon);
    assert_eq!(portal.pasted(), "in en ");
    came_back(&portal, &theirs());
    let take_of = |daemon: &mut Daemon, profile: &str| {
        daemon.listening();
        let pressed = DaemonBuilder::new().beside(daemon).run(&["press", "--profile", profile]);
        assert!(pressed.status.success(), "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(300));
        daemon.ask("release").unwrap();
        assert_eq!(daemon.ended().outcome, Outcome::Text, "{}", daemon.log());
    };
    take_of(&mut daemon, "german");
    assert_eq!(portal.pasted(), "in de ");
    came_back(&portal, &theirs());
    take_of(&mut daemon, "kept");
    await_some("the text to be in the clipboard", SOON, || {
        (portal.clipboard().get("text/plain;charset=utf-8")? == b"in en").then_some(())
    });
    assert!(portal.was_not_asked() && portal.nothing_pasted());
    assert!(daemon.stop().status.success());
}

#[test]
fn the_users_word_is_remembered() {
    let Some((bus, state)) = rigs("a word that is remembered") else { return };
    let portal = MockRemoteDesktop::join(&bus, WILLING, theirs());
    let file = state.path().join("ptt/remote-desktop.token");
    let mut last = None;
    for start in 1..=3 {
        let mut daemon = daemon(&bus, &state, "heard", PORTAL);
        assert_eq!(portal.asked().restore_token, last);
        take(&mut daemon);
        assert_eq!(portal.pasted(), "heard ");
        last = Some(format!("token {start}"));
        assert_eq!(std::fs::read_to_string(&file).ok(), last, "each is good for one start");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // From now on without a dialog.
        portal.behave(Habits { dialog: Dialog::Declined, pastes: true });
        assert!(daemon.stop().status.success());
    }
}

#[test]
fn a_no_is_told_and_not_asked_for_again() {
    let Some((bus, state)) = rigs("a dialog that is declined") else { return };
    let portal = MockRemoteDesktop::join(&bus, Habits { dialog: Dialog::Declined, pastes: true }, theirs());
    let mut daemon = daemon(&bus, &state, "heard", PORTAL);
    assert_eq!(portal.asked().restore_token, None);
    says(&daemon, "was declined in the desktop's dialog");
    for _ in 0..2 {
        take(&mut daemon);
        let said = fault(&mut daemon);
        assert!(said.contains("start ptt-app again") && said.contains("`ptt-app retry`"), "{said}");
    }
    assert!(portal.was_not_asked() && portal.nothing_pasted());
    assert_eq!(portal.clipboard(), theirs());
    // Nor when the portal is started anew.
    drop(portal);
    let portal = MockRemoteDesktop::join(&bus, WILLING, theirs());
    take(&mut daemon);
    let said = fault(&mut daemon);
    assert!(said.contains("start ptt-app again"), "{said}");
    assert!(portal.was_not_asked());
    assert!(daemon.stop().status.success());

    let mut daemon = self::daemon(&bus, &state, "heard", PORTAL);
    take(&mut daemon);
    assert_eq!(portal.pasted(), "heard ");
}

#[test]
fn a_dialog_that_nobody_answers_blocks_nothing() {
    let Some((bus, state)) = rigs("a dialog of the portal that nobody answers") else { return };
    let portal = MockRemoteDesktop::join(&bus, Habits { dialog: Dialog::Ignored, pastes: true }, theirs());
    let mut daemon = daemon(&bus, &state, "heard", PORTAL);
    let _ = portal.asked();
    for _ in 0..2 {
        take(&mut daemon);
        let said = fault(&mut daemon);
        assert!(said.contains("allow it in that dialog"), "{said}");
    }
    portal.agree();
    // The answer is on its way.
    await_some("the text to go out", SOON, || {
        let _ = daemon.ask("retry");
        (!portal.nothing_pasted()).then_some(())
    });
    assert!(portal.was_not_asked());
    assert!(daemon.stop().status.success());
}

#[test]
fn a_session_that_is_ended_in_the_middle_keeps_the_text() {
    let Some((bus, state)) = rigs("a session that is ended in the middle") else { return };
    let portal = MockRemoteDesktop::join(&bus, Habits { dialog: Dialog::Accepted, pastes: false }, theirs());
    let mut daemon = daemon(
        &bus,
        &state,
        "heard",
        "output.desktop = 'portal'\noutput.sink = 'auto'\noutput.limit_ms = 60000",
    );
    let _ = portal.asked();
    take(&mut daemon);
    // The window does not take it: it is waited for.
    await_some("the keys that paste", SOON, || (portal.chords() == 1).then_some(()));
    portal.close();
    let said = fault(&mut daemon);
    assert!(
        said.contains("ended ptt-app's remote control")
            && said.contains("not known")
            && said.contains("`ptt-app retry`"),
        "{said}"
    );
    take(&mut daemon);
    let said = fault(&mut daemon);
    assert!(said.contains("start ptt-app again"), "{said}");
    assert!(portal.was_not_asked());
    assert!(daemon.stop().status.success());
}

#[test]
fn a_portal_that_goes_is_found_again() {
    let Some((bus, state)) = rigs("a portal that goes") else { return };
    let portal = MockRemoteDesktop::join(&bus, WILLING, theirs());
    let mut daemon = daemon(&bus, &state, "heard", PORTAL);
    let _ = portal.asked();
    // Its answer, with the token, has arrived.
    says(&daemon, "the desktop lets us press keys");
    drop(portal);
    says(&daemon, "it is asked again when it is back");
    take(&mut daemon);
    let said = fault(&mut daemon);
    assert!(said.contains("`ptt-app retry`"), "{said}");
    let portal = MockRemoteDesktop::join(&bus, WILLING, theirs());
    assert_eq!(portal.asked().restore_token.as_deref(), Some("token 1"));
    await_some("the text to go out", SOON, || {
        let _ = daemon.ask("retry");
        (!portal.nothing_pasted()).then_some(())
    });
    assert!(daemon.stop().status.success());
}

#[test]
fn what_no_window_pastes_stays_in_the_clipboard() {
    let Some((bus, state)) = rigs("a window that does not paste") else { return };
    let portal = MockRemoteDesktop::join(&bus, Habits { dialog: Dialog::Accepted, pastes: false }, theirs());
    let mut daemon = daemon(&bus, &state, "heard", PORTAL);
    let _ = portal.asked();
    take(&mut daemon);
    says(&daemon, "the text is in the clipboard: the window did not paste within 1s");
    let formats = portal.clipboard();
    assert_eq!(formats["text/plain;charset=utf-8"], b"heard ");
    assert!(formats.contains_key("x-kde-passwordManagerHint"), "a late window may still paste it");
    assert_eq!(portal.keys_down(), [0; 0]);

    let typing = "output.desktop = 'portal'\noutput.sink = 'type'\n\
                  output.rules = [{ app = 'Emacs', sink = 'paste' }]";
    let mut daemon = self::daemon(&bus, &state, "heard", typing);
    let _ = portal.asked();
    take(&mut daemon);
    says(&daemon, "the text is in the clipboard: this portal desktop lacks keys for every character");
    take(&mut daemon);
    assert_eq!(daemon.log().matches("`output.rules` have no effect here").count(), 1, "{}", daemon.log());
}

#[test]
fn what_is_missing_is_told_with_what_to_do() {
    let Some((bus, state)) = rigs("what is missing for the portal's keys") else { return };
    let mut without = daemon(&bus, &state, "heard", PORTAL);
    says(&without, "install xdg-desktop-portal");
    take(&mut without);
    let said = fault(&mut without);
    assert!(said.contains("install xdg-desktop-portal") && said.contains("`ptt-app retry`"), "{said}");

    let _desktop = MockPortal::without_shortcuts(&bus);
    says(&daemon(&bus, &state, "heard", PORTAL), "portal lacks org.freedesktop.portal.RemoteDesktop");

    says(&start(Vec::new(), &state, "heard", PORTAL), "no session bus");
}

/// `auto` on a compositor that has neither protocol, as GNOME's, and on an X server.
#[test]
fn auto_asks_the_portal_only_where_nothing_better_is_there() {
    let Some((bus, state)) = rigs("auto and the portal") else { return };
    let portal = MockRemoteDesktop::join(&bus, WILLING, theirs());
    match Screen::start() {
        Ok(server) => {
            let mut env = bus.env().to_vec();
            env.push(("DISPLAY", server.display().to_owned()));
            let mut daemon = start(env, &state, "heard", AUTO);
            take(&mut daemon);
            daemon.until("the delivery", |event| {
                matches!(event, ControllerEvent::Delivered { .. }).then_some(())
            });
            assert!(daemon.stop().status.success());
            assert!(portal.was_not_asked() && portal.nothing_pasted());
        }
        Err(skip) => skip.say("auto on X11 beside a portal"),
    }
    let weston = match Weston::start() {
        Ok(weston) => weston,
        Err(skip) => return skip.say("auto on a Wayland desktop that lets no program type"),
    };
    let mut env = bus.env().to_vec();
    env.push(("WAYLAND_DISPLAY", weston.display()));
    let mut daemon = start(env, &state, STRANGE, AUTO);
    let _ = portal.asked();
    take(&mut daemon);
    assert_eq!(portal.pasted(), format!("{STRANGE} "));
    assert!(daemon.stop().status.success());
}

/// A compositor that offers programs neither keyboards nor the clipboard.
struct Weston {
    // Dropped in this order: the compositor, then its folder.
    _process: Process,
    folder: TempDir,
}

impl Weston {
    fn start() -> Result<Self, Skip> {
        rig::needs(&[("weston", "weston")])?;
        let folder = TempDir::with_prefix("ptt-weston-").unwrap();
        let mut command = Command::new("weston");
        command.args(["--backend=headless-backend.so", "--no-config", "--socket=wayland-0", "--idle-time=0"]);
        command.env("XDG_RUNTIME_DIR", folder.path()).env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY");
        let process = Process::spawn(&mut command).unwrap();
        let weston = Self { _process: process, folder };
        await_some("weston", SOON, || std::os::unix::net::UnixStream::connect(weston.display()).ok());
        Ok(weston)
    }

    fn display(&self) -> String {
        self.folder.path().join("wayland-0").display().to_string()
    }
}

/// A bus, and a folder for what is kept from one start to the next.
fn rigs(test: &str) -> Option<(PrivateBus, TempDir)> {
    let bus = PrivateBus::start().map_err(|skip| skip.say(test)).ok()?;
    Some((bus, TempDir::with_prefix("ptt-state-").unwrap()))
}
