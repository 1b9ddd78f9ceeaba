//! Tests with a real X server, a private Xvfb; where that is not installed each says so and passes.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ptt_messages::{FaultKind, Moment, Profile};
use rustix::process::{Signal as Kill, kill_process};
use x11rb::connection::Connection as _;
use x11rb::protocol::xinput::{ConnectionExt as _, GrabOwner, XIEventMask};
use x11rb::protocol::xproto::{ConnectionExt as _, GrabMode, ModMask};
use x11rb::rust_connection::RustConnection;
use x11rb::{CURRENT_TIME, NONE};

mod last_key;
mod slow_keys;
mod swallowed;

use super::rig::{Server, Window, XHand};
use super::*;
use crate::chord::{ChordEvent, ChordTracker, ProfileChord};
use crate::source::ear::{Ear, Hand, percentile, report};

fn config(toml: &str) -> KeyboardConfig {
    toml::from_str(&format!("backend = 'x11'\n{toml}")).unwrap()
}

fn open(server: &Server, config: &KeyboardConfig) -> Result<X11Source, KeyboardError> {
    let stop = Stop::new().unwrap();
    X11Source::open_on(Some(&server.display), config, &config.watched().unwrap(), &stop)
}

fn ear(server: &Server, config: &KeyboardConfig) -> Ear {
    let display = server.display.clone();
    Ear::through(config, move |config, watched, stop| {
        Ok(Box::new(X11Source::open_on(Some(&display), config, watched, stop)?))
    })
}

/// All of them in one order, for edges of a source without a thread.
fn read(source: &mut X11Source, tracker: &mut ChordTracker) -> Vec<ChordEvent> {
    let (mut signals, mut events) = (Vec::new(), Vec::new());
    source.wait(Some(Moment::now() + Duration::from_millis(50)), &mut signals).unwrap();
    signals.sort_by_key(Signal::at);
    signals.drain(..).for_each(|signal| tracker.step(signal, &mut events));
    events
}

#[test]
fn two_hundred_holds_are_told_in_time() {
    let Some(server) = Server::start(&[]) else { return };
    let (ear, mut hand) = (ear(&server, &config("chord = 'Down+Right'")), server.hand());
    let mut all = ear.hold_often(&mut hand, &["Down", "Right"], 100);
    let others = ear.hold_often(&mut hand, &["Right", "Down"], 100);
    all.press.extend(others.press);
    all.release.extend(others.release);
    all.detection.extend(others.detection);
    report("x11", &all);
    assert_eq!(all.detection.len(), 800, "the server's clock is ours");
    // The median: the tail of a busy machine is not ours, and is printed.
    assert!(percentile(&all.press, 0.5) < Duration::from_millis(2));
    hand.tap("Escape");
    assert!(matches!(ear.next(), ChordEvent::Cancelled { .. }));
    assert!(ear.quiet());
}

#[test]
fn a_key_that_repeats_is_one_hold() {
    let Some(server) = Server::start(&[]) else { return };
    let window = Window::open(&server);
    let (ear, mut hand) = (ear(&server, &config("chord = 'Down+Right'")), server.hand());
    let begun = hand.set(&["Right", "Down"], true);
    let ChordEvent::Pressed { at, .. } = ear.next() else { panic!("a press first") };
    // The server repeats 25 times a second, after 0.66 s.
    window.await_presses(2 + 20);
    let ended = hand.set(&["Right", "Down"], false);
    let ChordEvent::Released { at: until } = ear.next() else { panic!("no press while it is held") };
    assert!(at.since(begun) < Duration::from_millis(50), "the hold begins with its first press");
    assert!(until.since(at) > Duration::from_secs(1) && ended.since(until) < Duration::from_millis(50));
    assert!(ear.quiet());
}

#[test]
fn locks_and_other_modifiers_change_nothing() {
    let Some(server) = Server::start(&[]) else { return };
    let (ear, mut hand) = (ear(&server, &config("chord = 'LeftCtrl+A'")), server.hand());
    for lock in ["CapsLock", "NumLock"] {
        hand.tap(lock);
        for (order, modifier) in [(["A", "LeftCtrl"], "LeftShift"), (["LeftCtrl", "A"], "RightAlt")] {
            hand.set(&[modifier], true);
            hand.set(&order, true);
            assert!(matches!(ear.next(), ChordEvent::Pressed { .. }), "{lock} {modifier}");
            hand.set(&order, false);
            hand.set(&[modifier], false);
            assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{lock} {modifier}");
        }
    }
    assert!(ear.quiet());
}

/// A screen saver, a menu or a virtual machine has the keyboard for itself.
#[test]
fn somebody_elses_grab_hides_nothing() {
    let Some(server) = Server::start(&[]) else { return };
    let (ear, mut hand, other) = (ear(&server, &config("chord = 'F13'")), server.hand(), server.client());
    let root = other.setup().roots[0].root;
    let mut hold = |what: &str| {
        hand.set(&["F13"], true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }), "{what}");
        hand.set(&["F13"], false);
        assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{what}");
    };
    let (now, mode) = (CURRENT_TIME, GrabMode::ASYNC);
    other.grab_keyboard(true, root, now, mode, mode).unwrap().reply().unwrap();
    hold("a core grab");
    other.ungrab_keyboard(now).unwrap().check().unwrap();
    let mask = [u32::from(XIEventMask::KEY_PRESS)];
    let (keyboard, owner) = (3_u16, GrabOwner::NO_OWNER);
    let grab = other.xinput_xi_grab_device(root, now, NONE, keyboard, mode, mode, owner, &mask);
    grab.unwrap().reply().unwrap();
    hold("an XInput grab");
}

#[test]
fn mouse_buttons_are_counted_as_the_mouse_does() {
    let Some(server) = Server::start(&[]) else { return };
    let mut hand = server.hand();
    // A left-handed user's.
    let swapped = [3, 2, 1, 4, 5, 6, 7, 9, 8, 10];
    hand.link.set_pointer_mapping(&swapped).unwrap().reply().unwrap();
    for chord in [vec!["MouseSide"], vec!["LeftCtrl", "MouseExtra"], vec!["MouseMiddle", "MouseRight"]] {
        let ear = ear(&server, &config(&format!("chord = '{}'", chord.join("+"))));
        hand.set(&chord, true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }), "{chord:?}");
        // The true state is asked for right away and again after 100 ms: both find the buttons down.
        assert!(ear.quiet(), "{chord:?}");
        hand.set(&chord, false);
        assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{chord:?}");
    }
}

#[test]
fn what_is_held_before_starts_nothing() {
    let Some(server) = Server::start(&[]) else { return };
    let mut hand = server.hand();
    hand.set(&["F13"], true);
    hand.sync();
    let ear = ear(&server, &config("chord = 'F13'"));
    assert!(ear.quiet());
    hand.set(&["F13"], false);
    hand.set(&["F13"], true);
    assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
}

/// A source that misses every release, in front of a real server.
struct HardOfHearing(X11Source);

impl KeySource for HardOfHearing {
    fn backend(&self) -> Backend {
        self.0.backend()
    }

    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        let waited = self.0.wait(until, signals);
        signals.retain(|signal| {
            let Signal::Key { edge: Edge::Up, slot, .. } = *signal else { return true };
            self.0.down = self.0.down.with(slot);
            false
        });
        waited
    }

    fn actual(&mut self, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        self.0.actual(signals)
    }

    fn stamps_at_origin(&self) -> bool {
        self.0.stamps_at_origin()
    }
}

#[test]
fn a_release_that_no_edge_tells_is_found() {
    let Some(server) = Server::start(&[]) else { return };
    let (display, mut hand) = (server.display.clone(), server.hand());
    for chord in [&["F13"][..], &["LeftCtrl", "MouseSide"]] {
        let (config, display) = (config(&format!("chord = '{}'", chord.join("+"))), display.clone());
        let ear = Ear::through(&config, move |config, watched, stop| {
            Ok(Box::new(HardOfHearing(X11Source::open_on(Some(&display), config, watched, stop)?)))
        });
        hand.set(chord, true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
        // Two checks of the true state find it held.
        assert!(ear.quiet());
        let lost = hand.set(&chord[..1], false);
        let ChordEvent::Released { at } = ear.next() else { panic!("a release") };
        println!("a lost release was found after {:?}", at.since(lost));
        assert!(at.since(lost) < Duration::from_millis(250));
        hand.set(&chord[1..], false);
    }
}

/// Edges before the answer come before it, edges after it stay for the next time, whatever has been read already.
#[test]
fn the_true_state_is_put_between_the_edges_it_lies_between() {
    let Some(server) = Server::start(&[]) else { return };
    let config = config("chord = 'F13'");
    let (mut source, mut hand) = (open(&server, &config).unwrap(), server.hand());
    let mut tracker = ChordTracker::new(&config.watched().unwrap(), Duration::ZERO);
    assert_eq!(read(&mut source, &mut tracker), []);
    hand.set(&["F13"], true);
    hand.sync();
    // Asked, answered, and only then released: all of it is read at once.
    let answer = source.question().unwrap();
    hand.set(&["F13"], false);
    hand.sync();
    let mut signals = Vec::new();
    source.take(Some(answer.keys_to), &mut signals).unwrap();
    assert!(matches!(signals[..], [Signal::Key { edge: Edge::Down, .. }]), "{signals:?}");
    assert_eq!(source.layout.down(&answer.keys, &answer.buttons), config.watched().unwrap().chord());
    signals.clear();
    source.wait(Some(Moment::now() + Duration::from_secs(1)), &mut signals).unwrap();
    assert!(matches!(signals[..], [Signal::Key { edge: Edge::Up, .. }]), "{signals:?}");
}

/// Keys and buttons are asked for one after the other.
#[test]
fn an_edge_between_the_two_answers_makes_it_ask_again() {
    let Some(server) = Server::start(&[]) else { return };
    let config = config("chord = 'LeftCtrl+MouseSide'");
    let (mut source, mut hand) = (open(&server, &config).unwrap(), server.hand());
    let chord = config.watched().unwrap().chord();
    for (key, down) in [("LeftCtrl", true), ("MouseSide", true), ("LeftCtrl", false), ("MouseSide", false)] {
        let (keys, keys_to) = source.keys().unwrap();
        hand.set(&[key], down);
        hand.sync();
        let (buttons, buttons_to) = source.buttons().unwrap();
        let answer = Answer { keys, keys_to, buttons, buttons_to };
        let mut signals = Vec::new();
        assert_eq!(source.settle(&answer, &mut signals).unwrap(), None, "{key} {down}");
        assert!(matches!(signals[..], [Signal::Key { .. }]), "{signals:?}");
        let both = (key, down) == ("MouseSide", true);
        assert_eq!(source.ask(&mut signals).unwrap() == chord, both, "{key} {down}");
        assert_eq!(signals.len(), 1, "{signals:?}");
    }
}

#[test]
fn an_answer_from_before_the_numbers_changed_does_not_hold() {
    let Some(server) = Server::start(&[]) else { return };
    let config = config("chord = 'Down+Right'");
    let (mut source, mut hand) = (open(&server, &config).unwrap(), server.hand());
    if !server.set_map(&["-rules", "base", "-keycodes", "xfree86"]) {
        return;
    }
    hand.names = names(&hand);
    let answer = source.question().unwrap();
    hand.set(&["Down", "Right"], true);
    hand.sync();
    let mut signals = Vec::new();
    assert_eq!(source.settle(&answer, &mut signals).unwrap(), None);
    assert!(matches!(signals[..], [Signal::Lost { .. }, .., Signal::Opened { .. }]), "{signals:?}");
    assert_eq!(source.ask(&mut signals).unwrap(), config.watched().unwrap().chord());
}

#[test]
fn a_server_that_counts_its_keys_anew_is_followed() {
    let Some(server) = Server::start(&[]) else { return };
    let (ear, mut hand) = (ear(&server, &config("chord = 'Down+Right'")), server.hand());
    let load = |keycodes| server.set_map(&["-rules", "base", "-layout", "de", "-keycodes", keycodes]);
    if !load("xfree86") {
        return;
    }
    hand.names = names(&hand);
    let hold = |hand: &mut XHand, expected: &str| {
        hand.set(&["Down", "Right"], true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }), "{expected}");
        hand.set(&["Down", "Right"], false);
        assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{expected}");
    };
    assert_eq!(numbers(&hand), [104, 102]);
    hold(&mut hand, "XFree86's numbers");
    assert!(load("evdev"));
    hand.names = names(&hand);
    assert_eq!(numbers(&hand), [116, 114]);
    hold(&mut hand, "Linux's numbers");
}

fn names(hand: &XHand) -> Names {
    hand.link.xkb_use_extension(1, 0).unwrap().reply().unwrap();
    let told = hand.link.xkb_get_names(xkb::ID::USE_CORE_KBD.into(), xkb::NameDetail::KEY_NAMES).unwrap();
    let told = told.reply().unwrap();
    let names = told.value_list.key_names.unwrap().iter().map(|key| key.name).collect();
    Names { first: told.first_key, names }
}

fn numbers(hand: &XHand) -> Vec<u8> {
    let watched = Watched::chord_only(&"Down+Right".parse().unwrap());
    Layout::new(&watched, &hand.names).unwrap().keys().iter().map(|(number, _)| *number).collect()
}

#[test]
fn no_server_no_entry_and_no_answer_are_told_apart() {
    let none = config("chord = 'F13'");
    let watched = none.watched().unwrap();
    let try_at = |display: &str| {
        X11Source::open_on(Some(display), &none, &watched, &Stop::new().unwrap()).unwrap_err()
    };
    for (display, kind, part) in [
        ("", FaultKind::Misconfigured, "DISPLAY is not set"),
        ("nonsense", FaultKind::Misconfigured, "names no X server"),
        (":54321", FaultKind::Gone, "no X server answers"),
        ("localhost:54321", FaultKind::Gone, "no X server answers"),
    ] {
        let error = try_at(display);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let cookies = folder.path().join("cookies");
    std::fs::write(&cookies, authority()).unwrap();
    std::fs::set_permissions(&cookies, PermissionsExt::from_mode(0o600)).unwrap();
    let Some(server) = Server::start(&["-auth", cookies.to_str().unwrap()]) else { return };
    let error = try_at(&server.display);
    assert_eq!(error.kind(), FaultKind::Denied, "{error}");
    assert!(error.to_string().contains("XAUTHORITY"), "{error}");
    let error = try_at(&format!("{}.7", server.display));
    assert!(matches!(error.kind(), FaultKind::Denied | FaultKind::Misconfigured), "{error}");
}

/// One cookie for every display, as `xauth` writes it: family, address, number, name, data.
fn authority() -> Vec<u8> {
    const WILD: [u8; 2] = [0xff, 0xff];
    let field = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    [&WILD[..], &field(b""), &field(b""), &field(b"MIT-MAGIC-COOKIE-1"), &field(&[7; 16])].concat()
}

#[test]
fn a_frozen_server_is_given_up_and_a_stop_does_not_wait_for_it() {
    let Some(server) = Server::start(&[]) else { return };
    let config = config("chord = 'F13'");
    let watched = config.watched().unwrap();
    let stop = Stop::new().unwrap();
    let mut source = X11Source::open_on(Some(&server.display), &config, &watched, &stop).unwrap();
    kill_process(server.pid(), Kill::STOP).unwrap();
    let error = source.actual(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), FaultKind::Timeout, "{error}");
    stop.raise();
    let begun = Moment::now();
    assert!(source.actual(&mut Vec::new()).is_err());
    assert!(X11Source::open_on(Some(&server.display), &config, &watched, &stop).is_err());
    assert!(Moment::now().since(begun) < Duration::from_millis(500));
    kill_process(server.pid(), Kill::CONT).unwrap();
}

#[test]
fn a_server_that_dies_is_an_error() {
    let Some(mut server) = Server::start(&[]) else { return };
    let (ear, mut hand) = (ear(&server, &config("chord = 'F13'")), server.hand());
    hand.set(&["F13"], true);
    assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
    server.kill();
    let error = ear.broke();
    assert_eq!(error.kind(), FaultKind::Gone, "{error}");
    server.restart();
    let (ear, mut hand) = (self::ear(&server, &config("chord = 'F13'")), server.hand());
    hand.set(&["F13"], true);
    assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
}
