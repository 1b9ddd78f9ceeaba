//! Tests with a real kernel: a uinput keyboard on one side, the sources on the other. Where there is no writable /dev/uinput
//! each says so and passes. The keys are such that no desktop minds (F20 to F24); inputbot cannot see those, so its test
//! moves the numeric keypad and wants `PTT_KERNEL_RIG=1` besides.

use std::time::Duration;

use ::evdev::uinput::VirtualDevice;
use ::evdev::{AttributeSet, Device as Grabber, EventType, InputEvent, KeyCode};

use super::ear::{Ear, Hand, percentile, report};
use super::evdev::EvdevSource;
use super::*;
use crate::Key;
use crate::chord::{ChordEvent, ChordTracker, Edge};

const TYPED: &str = "F20";

#[test]
fn two_hundred_holds_are_told_in_time() {
    let Some(mut keyboard) = FakeKeyboard::plug("ptt test holds", &["F22", "F23", "F24"]) else { return };
    let listener = Ear::on(&config("F22+F23", "ptt test holds"));
    let latencies = listener.hold_often(&mut keyboard, &["F22", "F23"], 200);
    report("evdev", &latencies);
    // The median: the tail of a busy machine is not ours, and is printed.
    assert!(percentile(&latencies.press, 0.5) < Duration::from_millis(10));
    keyboard.tap("F24");
    assert!(matches!(listener.next(), ChordEvent::Cancelled { .. }));
    assert!(listener.quiet());
}

#[test]
fn a_keyboard_pulled_out_while_held_is_one_release_and_may_come_back() {
    const NAME: &str = "ptt test pulled";
    let Some(mut keyboard) = FakeKeyboard::plug(NAME, &["F22", "F23"]) else { return };
    let listener = Ear::on(&config("F22+F23", NAME));
    for _ in 0..5 {
        keyboard.set(&["F22", "F23"], true);
        assert!(matches!(listener.next(), ChordEvent::Pressed { .. }));
        drop(keyboard);
        assert!(matches!(listener.next(), ChordEvent::Released { .. }));
        keyboard = FakeKeyboard::plug(NAME, &["F22", "F23"]).unwrap();
        listener.wait_until_open(&mut keyboard, "F22");
    }
    assert!(listener.quiet());
}

#[test]
fn a_chord_over_two_keyboards() {
    let Some(mut left) = FakeKeyboard::plug("ptt test two, left", &["F22"]) else { return };
    let mut right = FakeKeyboard::plug("ptt test two, right", &["F23"]).unwrap();
    let listener = Ear::on(&config("F22+F23", "ptt test two"));
    for _ in 0..20 {
        left.set(&["F22"], true);
        right.set(&["F23"], true);
        assert!(matches!(listener.next(), ChordEvent::Pressed { .. }));
        left.set(&["F22"], false);
        assert!(matches!(listener.next(), ChordEvent::Released { .. }));
        right.set(&["F23"], false);
    }
    assert!(listener.quiet());
}

#[test]
fn keys_held_before_listening_start_nothing() {
    let Some(mut keyboard) = FakeKeyboard::plug("ptt test early", &["F22", "F23"]) else { return };
    keyboard.set(&["F22", "F23"], true);
    let listener = Ear::on(&config("F22+F23", "ptt test early"));
    assert!(listener.quiet());
    keyboard.set(&["F23"], false);
    keyboard.set(&["F23"], true);
    assert!(listener.quiet());
    keyboard.set(&["F22", "F23"], false);
    keyboard.set(&["F22", "F23"], true);
    assert!(matches!(listener.next(), ChordEvent::Pressed { .. }));
}

/// Not that we look away: the kernel does not wake us.
#[test]
fn typing_does_not_reach_us() {
    let Some(mut keyboard) = FakeKeyboard::plug("ptt test typing", &["F22", TYPED]) else { return };
    let (mut source, _tracker) = opened("F22", "ptt test typing");
    let (begun, mut signals) = (Moment::now(), Vec::new());
    for _ in 0..1_000 {
        keyboard.tap(TYPED);
    }
    source.wait(Some(begun + Duration::from_millis(200)), &mut signals).unwrap();
    assert!(Moment::now().since(begun) >= Duration::from_millis(200), "one wait, slept to its end");
    assert_eq!(signals, []);
}

#[test]
fn after_an_overflow_the_true_state_counts() {
    for still_down in [false, true] {
        let Some(mut keyboard) = FakeKeyboard::plug("ptt test flood", &["F22"]) else { return };
        let (mut source, mut tracker) = opened("F22", "ptt test flood");
        let (mut signals, mut events) = (Vec::new(), Vec::new());
        let mut read = |signals: &mut Vec<Signal>, events: &mut Vec<ChordEvent>| {
            source.wait(Some(Moment::now() + Duration::from_millis(100)), signals).unwrap();
            let resynced = signals.iter().any(|signal| matches!(signal, Signal::Actual { .. }));
            let edge =
                |signal: &Signal| if let Signal::Key { edge, .. } = signal { Some(*edge) } else { None };
            let last = signals.iter().rev().find_map(edge);
            signals.drain(..).for_each(|signal| tracker.step(signal, events));
            (resynced, last, tracker.is_held())
        };
        keyboard.set(&["F22"], true);
        assert_eq!(read(&mut signals, &mut events), (false, Some(Edge::Down), true));
        for _ in 0..2_000 {
            keyboard.tap("F22");
        }
        keyboard.set(&["F22"], still_down);
        let (resynced, last, held) = read(&mut signals, &mut events);
        assert!(resynced, "the queue ran over");
        // Where no edge was readable the hold goes on as the true state says. A release that was readable ended it, and a press
        // that was lost after it needs a fresh one.
        println!("still down: {still_down}, the last edge that was not lost: {last:?}");
        assert_eq!(held, still_down && last != Some(Edge::Up));
        keyboard.set(&["F22"], false);
        assert!(!read(&mut signals, &mut events).2);
        let told = events.iter().filter(|event| matches!(event, ChordEvent::Pressed { .. })).count();
        assert_eq!(events.len(), 2 * told, "every press has its release");
    }
}

/// Another program takes the keyboard for itself while the chord is held: no edge of the release reaches us.
#[test]
fn a_release_that_no_edge_tells_is_found() {
    let Some(mut keyboard) = FakeKeyboard::plug("ptt test grabbed", &["F22"]) else { return };
    let listener = Ear::on(&config("F22", "ptt test grabbed"));
    keyboard.set(&["F22"], true);
    assert!(matches!(listener.next(), ChordEvent::Pressed { .. }));
    // Not right after the press, where the first check is.
    std::thread::sleep(Duration::from_millis(20));
    let mut grabber = Grabber::open(keyboard.path()).unwrap();
    grabber.grab().unwrap();
    keyboard.set(&["F22"], false);
    let gone = Moment::now();
    assert!(matches!(listener.next(), ChordEvent::Released { .. }));
    let took = Moment::now().since(gone);
    println!("a lost release was found after {took:?}");
    assert!(took < Duration::from_millis(250), "{took:?}");
}

#[test]
fn inputbot_sees_the_keypad() {
    if std::env::var_os("PTT_KERNEL_RIG").is_none() {
        println!("skipped: it moves the numeric keypad of this machine, set PTT_KERNEL_RIG=1 to allow it");
        return;
    }
    let Some(mut keyboard) = FakeKeyboard::plug("ptt test keypad", &["KP2", "KP6", "Escape"]) else { return };
    let config: KeyboardConfig = toml::from_str("backend = 'inputbot'\nchord = 'KP2+KP6'").unwrap();
    for round in 0..2 {
        let listener = Ear::on(&config);
        // libinput opens devices when udev has told it.
        listener.wait_until_open(&mut keyboard, "KP2");
        let latencies = listener.hold_often(&mut keyboard, &["KP2", "KP6"], if round == 0 { 200 } else { 5 });
        report("inputbot", &latencies);
        keyboard.tap_slowly("Escape");
        assert!(matches!(listener.next(), ChordEvent::Cancelled { .. }));
        drop(listener);
    }
}

/// A keyboard of the kernel's uinput. Unplugged when dropped.
pub struct FakeKeyboard(VirtualDevice);

impl FakeKeyboard {
    /// `None`, and a line, where there is no uinput.
    pub fn plug(name: &str, keys: &[&str]) -> Option<Self> {
        let set: AttributeSet<KeyCode> = keys.iter().map(|key| KeyCode(code(key))).collect();
        let built = VirtualDevice::builder().and_then(|b| b.name(name).with_keys(&set)?.build());
        match built {
            Ok(mut device) => {
                // Waits until its file is there.
                device.enumerate_dev_nodes_blocking().unwrap().next().unwrap().unwrap();
                Some(Self(device))
            }
            Err(reason) => {
                println!("skipped: no writable /dev/uinput here ({reason})");
                None
            }
        }
    }

    pub fn path(&mut self) -> std::path::PathBuf {
        self.0.enumerate_dev_nodes_blocking().unwrap().next().unwrap().unwrap()
    }
}

impl Hand for FakeKeyboard {
    fn set(&mut self, keys: &[&str], down: bool) -> Moment {
        let mut at = Moment::now();
        for key in keys {
            at = Moment::now();
            self.0.emit(&[InputEvent::new(EventType::KEY.0, code(key), i32::from(down))]).unwrap();
        }
        at
    }
}

fn code(key: &str) -> u16 {
    key.parse::<Key>().unwrap().code()
}

fn config(chord: &str, device: &str) -> KeyboardConfig {
    let toml = format!("backend = 'evdev'\nchord = '{chord}'\ncancel = 'F24'\ndevices = ['{device}']");
    toml::from_str(&toml).unwrap()
}

/// A source that is open, without a thread, and has told what it found.
fn opened(chord: &str, device: &str) -> (EvdevSource, ChordTracker) {
    let config = config(chord, device);
    let watched = config.watched().unwrap();
    let mut source = EvdevSource::open(&config, &watched, &Stop::new().unwrap()).unwrap();
    let (mut tracker, mut signals) = (ChordTracker::new(&watched, Duration::ZERO), Vec::new());
    source.wait(Some(Moment::now()), &mut signals).unwrap();
    assert!(matches!(signals[..], [Signal::Opened { .. }]), "{signals:?}");
    tracker.step(signals[0], &mut Vec::new());
    (source, tracker)
}
