//! Tests with a real X server, a private Xvfb; where that is not installed each says so and passes.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ptt_messages::{FaultKind, Moment, Profile};
use rustix::process::{Signal as Kill, kill_process};
use x11rb::connection::Connection as _;
use x11rb::protocol::xinput::{ConnectionExt as _, GrabOwner, XIEventMask};
use x11rb::protocol::xproto::{ConnectionExt as _, GrabMode, ModMask};
use x11rb::{CURRENT_TIME, NONE};

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
        signals.retain(|signal| !matches!(signal, Signal::Key { edge: Edge::Up, .. }));
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
fn a_swallowed_chord_reaches_no_window() {
    let Some(server) = Server::start(&[]) else { return };
    for (chord, passes) in [("F13", vec![]), ("LeftCtrl+Space", vec![37])] {
        let keys: Vec<&str> = chord.split('+').collect();
        let (window, mut hand) = (Window::open(&server), server.hand());
        let ear = ear(&server, &config(&format!("chord = '{chord}'\nswallow = true")));
        for locks in [&[][..], &["CapsLock"], &["CapsLock", "NumLock"], &["NumLock"]] {
            locks.iter().for_each(|lock| hand.tap(lock));
            hand.sync();
            window.presses();
            hand.set(&keys, true);
            assert!(matches!(ear.next(), ChordEvent::Pressed { .. }), "{chord} {locks:?}");
            hand.set(&keys, false);
            assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{chord} {locks:?}");
            // As edges, not by a look at the state some time later.
            ear.all_up(keys.len(), &mut Vec::new());
            hand.tap("B");
            hand.sync();
            let seen = window.presses();
            assert_eq!(seen, [&passes[..], &[56]].concat(), "{chord} {locks:?}");
            locks.iter().for_each(|lock| hand.tap(lock));
        }
        drop(ear);
        hand.sync();
        window.presses();
        hand.set(&keys, true);
        hand.set(&keys, false);
        hand.sync();
        assert_eq!(window.presses().len(), keys.len(), "given back");
    }
}

/// F13, Ctrl+Space, which is a part of Ctrl+Shift+Space, and a button.
fn several() -> KeyboardConfig {
    let others = [(1, "LeftCtrl+Space"), (2, "LeftShift+LeftCtrl+Space"), (3, "MouseSide")];
    let profiles = others.map(|(n, chord)| ProfileChord {
        profile: Profile(n),
        name: format!("p{n}"),
        chord: chord.parse().unwrap(),
    });
    KeyboardConfig { profiles: profiles.to_vec(), ..config("chord = 'F13'\nswallow = true") }
}

#[test]
fn of_several_swallowed_chords_each_is_kept_and_every_other_key_passes() {
    let Some(server) = Server::start(&[]) else { return };
    let (window, mut hand, ear) = (Window::open(&server), server.hand(), ear(&server, &several()));
    for locks in [&[][..], &["CapsLock"], &["CapsLock", "NumLock"]] {
        locks.iter().for_each(|lock| hand.tap(lock));
        hand.sync();
        window.presses();
        for (keys, profile, passed) in [
            (&["F13"][..], Some(0), &[][..]),
            (&["LeftCtrl", "Space"], Some(1), &[37]),
            (&["LeftCtrl", "LeftShift", "Space"], Some(2), &[37, 50]),
            (&["LeftShift", "LeftCtrl", "Space"], Some(2), &[50, 37]),
            (&["MouseSide"], Some(3), &[]),
            // Whatever else is held: a chord of one key is one.
            (&["LeftCtrl", "F13"], Some(0), &[37]),
            // A key of a chord alone, two that are no chord, and any other key.
            (&["Space"], None, &[65]),
            (&["LeftShift", "Space"], None, &[50, 65]),
            (&["LeftCtrl", "LeftShift"], None, &[37, 50]),
            (&["LeftCtrl", "B"], None, &[37, 56]),
        ] {
            let what = format!("{keys:?} {locks:?}");
            hand.set(keys, true);
            if let Some(profile) = profile {
                let event = ear.next();
                assert!(
                    matches!(event, ChordEvent::Pressed { profile: Profile(n), .. } if n == profile),
                    "{what}: {event:?}"
                );
            }
            hand.set(keys, false);
            if profile.is_some() {
                assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{what}");
            }
            hand.sync();
            assert_eq!(window.presses(), passed, "{what}");
        }
        locks.iter().for_each(|lock| hand.tap(lock));
    }
    assert!(ear.quiet());
}

#[test]
fn swallowed_keys_come_back_when_the_connection_ends_while_they_are_held() {
    let Some(server) = Server::start(&[]) else { return };
    for keys in [&["F13"][..], &["LeftCtrl", "Space"], &["LeftCtrl", "LeftShift", "Space"]] {
        let (window, mut hand, ear) = (Window::open(&server), server.hand(), ear(&server, &several()));
        hand.set(keys, true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
        hand.sync();
        window.presses();
        drop(ear);
        hand.set(keys, false);
        hand.set(keys, true);
        hand.set(keys, false);
        hand.tap("B");
        hand.sync();
        let seen = window.presses();
        assert_eq!(seen.len(), keys.len() + 1, "{keys:?}: {seen:?}");
    }
}

/// Layouts with AltGr leave its key out of the table of modifiers: they list another one of the same meaning.
#[test]
fn a_modifier_that_the_server_does_not_list_is_found_or_nothing_is_taken() {
    let Some(server) = Server::start(&[]) else { return };
    if !server.set_map(&["-layout", "de"]) {
        return;
    }
    let (window, mut hand) = (Window::open(&server), server.hand());
    for (chord, passes) in [("RightAlt+Space", vec![108]), ("LeftCtrl+RightAlt+Space", vec![37, 108])] {
        server.set_map(&["-layout", "de"]);
        for listed in [true, false] {
            if !listed {
                unlist(&hand, 7);
            }
            let ear = ear(&server, &config(&format!("chord = '{chord}'\nswallow = true")));
            let what = format!("{chord}, listed: {listed}");
            let keys: Vec<&str> = chord.split('+').collect();
            hand.set(&keys, true);
            assert!(matches!(ear.next(), ChordEvent::Pressed { .. }), "{what}");
            hand.set(&keys, false);
            assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{what}");
            hand.sync();
            assert_eq!(window.presses(), [&passes[..], &[65][usize::from(listed)..]].concat(), "{what}");
            // What is less than the chord is every window's.
            for (others, seen) in [(&["Space"][..], &[65][..]), (&["LeftCtrl", "Space"], &[37, 65])] {
                hand.set(others, true);
                hand.set(others, false);
                hand.sync();
                assert_eq!(window.presses(), seen, "{what}");
            }
        }
    }
}

#[test]
fn what_is_taken_follows_the_modifiers() {
    let Some(server) = Server::start(&[]) else { return };
    let (window, mut hand) = (Window::open(&server), server.hand());
    let mut source = open(&server, &config("chord = 'RightAlt+Space'\nswallow = true")).unwrap();
    let mut seen = |source: &mut X11Source| {
        // What the server has told is taken in.
        hand.sync();
        source.wait(Some(Moment::now() + Duration::from_millis(50)), &mut Vec::new()).unwrap();
        hand.set(&["RightAlt", "Space"], true);
        hand.set(&["RightAlt", "Space"], false);
        hand.tap("Space");
        hand.sync();
        window.presses()
    };
    source.first.clear();
    assert_eq!(seen(&mut source), [108, 65], "Alt");
    if !server.set_map(&["-layout", "de"]) {
        return;
    }
    assert_eq!(seen(&mut source), [108, 65], "AltGr");
    unlist(&server.hand(), 7);
    assert_eq!(seen(&mut source), [108, 65, 65], "no modifier any more");
    server.set_map(&["-layout", "us"]);
    assert_eq!(seen(&mut source), [108, 65], "Alt again");
}

/// Takes all keys of a modifier out of the server's table.
fn unlist(hand: &XHand, modifier: usize) {
    let mut table = hand.link.get_modifier_mapping().unwrap().reply().unwrap().keycodes;
    let row = table.len() / 8;
    table[modifier * row..(modifier + 1) * row].fill(0);
    hand.link.set_modifier_mapping(&table).unwrap().reply().unwrap();
}

#[test]
fn a_chord_that_another_program_owns_is_heard_all_the_same() {
    let Some(server) = Server::start(&[]) else { return };
    let (desktop, mut hand) = (server.client(), server.hand());
    let root = desktop.setup().roots[0].root;
    let mode = GrabMode::ASYNC;
    desktop.grab_key(true, root, ModMask::ANY, 191, mode, mode).unwrap().check().unwrap();
    for swallow in [false, true] {
        let ear = ear(&server, &config(&format!("chord = 'F13'\nswallow = {swallow}")));
        hand.set(&["F13"], true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
        hand.set(&["F13"], false);
        assert!(matches!(ear.next(), ChordEvent::Released { .. }));
    }
    desktop.ungrab_key(191, root, ModMask::ANY).unwrap().check().unwrap();

    let mut two = config("chord = 'F13'\nswallow = true");
    two.profiles = vec![ProfileChord {
        profile: Profile(1),
        name: "german".to_owned(),
        chord: "Down+Right".parse().unwrap(),
    }];
    let error = open(&server, &two).unwrap_err();
    assert_eq!(error.kind(), FaultKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("Down+Right"), "it names the chord: {error}");
}

type Masters = (xinput::DeviceId, xinput::DeviceId);
type Ask = fn(&Link, xproto::Window, Masters, &Watched, &Layout) -> Result<Vec<String>, X11Error>;

/// As a source that swallows.
fn grab(
    link: &Link,
    root: xproto::Window,
    masters: Masters,
    watched: &Watched,
    layout: &Layout,
) -> Result<Vec<String>, X11Error> {
    swallow::take(link, root, &swallow::grabs(link, masters, swallow::plans(watched)?, layout)?)
}

#[test]
fn a_chord_that_another_program_owns_is_named() {
    let Some(server) = Server::start(&[]) else { return };
    let source = open(&server, &several()).unwrap();
    let desktop = server.client();
    let root = desktop.setup().roots[0].root;
    let masters = (source.keyboard, source.pointer);
    let owned = |ask: Ask| -> Vec<String> {
        let owned = ask(&source.link, source.root, masters, &source.watched, &source.layout).unwrap();
        swallow::let_go(&source.link, source.root, masters).unwrap();
        owned
    };
    let mode = GrabMode::ASYNC;
    for (number, state, chords) in [
        (191, ModMask::from(0_u16), &["F13"][..]),
        (191, ModMask::M2, &["F13"]),
        (191, ModMask::CONTROL, &[]),
        (65, ModMask::CONTROL, &["LeftCtrl+Space"]),
        (65, ModMask::CONTROL | ModMask::SHIFT | ModMask::LOCK, &["LeftCtrl+Space+LeftShift"]),
        (65, ModMask::ANY, &["LeftCtrl+Space", "LeftCtrl+Space+LeftShift"]),
        (66, ModMask::ANY, &[]),
    ] {
        // That it can is also a proof that we have let go.
        desktop.grab_key(true, root, state, number, mode, mode).unwrap().check().unwrap();
        assert_eq!(owned(swallow::look), chords, "{number} {state:?}");
        assert_eq!(owned(grab), chords, "{number} {state:?}");
        desktop.ungrab_key(number, root, ModMask::ANY).unwrap().check().unwrap();
    }
    let (kind, owner) = (xinput::GrabType::KEYCODE, GrabOwner::NO_OWNER);
    let theirs = desktop
        .xinput_xi_passive_grab_device(
            CURRENT_TIME,
            root,
            NONE,
            65,
            source.keyboard,
            kind,
            xinput::GrabMode22::ASYNC,
            mode,
            owner,
            &[u32::from(XIEventMask::KEY_PRESS)],
            &[4],
        )
        .unwrap();
    assert!(theirs.reply().unwrap().modifiers.is_empty());
    assert_eq!(owned(swallow::look), ["LeftCtrl+Space"]);
    assert_eq!(owned(grab), ["LeftCtrl+Space"]);
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
