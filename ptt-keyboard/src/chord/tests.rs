use proptest::prelude::*;

use super::super::{CancelKey, ProfileChord, Slot};
use super::ChordEvent::{Cancelled, Released, UserLeft};
use super::*;

fn ms(n: u64) -> Moment {
    Moment::from_millis(n)
}

fn pressed(at: Moment) -> ChordEvent {
    ChordEvent::Pressed { at, profile: Profile::DEFAULT }
}

fn tracker(chord: &str, bounce_ms: u64) -> ChordTracker {
    let watched = Watched::new(&chord.parse().unwrap(), &[], CancelKey("Escape".parse().ok())).unwrap();
    ChordTracker::new(&watched, Duration::from_millis(bounce_ms))
}

/// Chords of the profiles: ab, abc, d, bd, and x, the cancel key.
fn several() -> ChordTracker {
    let others = [(1, "F13+F14+F15"), (2, "F16"), (3, "F16+F14")].map(|(n, chord)| ProfileChord {
        profile: Profile(n),
        name: format!("p{n}"),
        chord: chord.parse().unwrap(),
    });
    let cancel = CancelKey("Escape".parse().ok());
    let watched = Watched::new(&"F13+F14".parse().unwrap(), &others, cancel).unwrap();
    ChordTracker::new(&watched, Duration::ZERO)
}

/// Runs a script: one word per signal, 1 ms apart, and what it makes of it: `P`, `R`, `C` with the milliseconds,
/// and the number of the profile before them where it is not the default one.
/// `0a` key a of device 0 down, `0A` up, `0r` auto-repeat of a, `+0ab` device 0 opened with a and b down, `=0ab` these are
/// really down, `-0` device 0 lost, `<` the user leaves, `>` is back, `.5` 5 ms pass. Keys are a, b, c of the chord and x, the cancel key.
fn run(tracker: &mut ChordTracker, script: &str) -> String {
    let cancel = tracker.cancel.unwrap();
    let slot = |key: char| match key.to_ascii_lowercase() {
        'x' => cancel,
        key => Slot(key as u8 - b'a'),
    };
    let (mut now, mut events, mut told) = (0, Vec::new(), String::new());
    for word in script.split_whitespace() {
        now += 1;
        let (sign, rest) = word.split_at(usize::from(!word.starts_with(|c: char| c.is_ascii_digit())));
        if sign == "." {
            now += rest.parse::<u64>().unwrap() - 1;
            tracker.expire(ms(now), &mut events);
        } else if word == "<" {
            tracker.step(Signal::Away { at: ms(now) }, &mut events);
        } else if word == ">" {
            tracker.step(Signal::Back { at: ms(now) }, &mut events);
        } else {
            let device = DeviceId(rest[..1].parse().unwrap());
            let (keys, at) = (&rest[1..], ms(now));
            let down = || keys.chars().map(slot).collect();
            let signal = match (sign, keys) {
                ("+", _) => Signal::Opened { device, down: down(), at },
                ("=", _) => Signal::Actual { device, down: down(), at },
                ("-", _) => Signal::Lost { device, at },
                (_, "r") => Signal::Key { device, slot: Slot(0), edge: Edge::Repeat, at },
                (_, key) => {
                    let key = key.chars().next().unwrap();
                    let edge = if key.is_ascii_lowercase() { Edge::Down } else { Edge::Up };
                    Signal::Key { device, slot: slot(key), edge, at }
                }
            };
            tracker.step(signal, &mut events);
        }
        for event in events.drain(..) {
            let (letter, at) = match event {
                ChordEvent::Pressed { at, profile } if !profile.is_default() => {
                    told.push_str(&format!("{}", profile.0));
                    ('P', at)
                }
                ChordEvent::Pressed { at, .. } => ('P', at),
                Released { at } => ('R', at),
                Cancelled { at } => ('C', at),
                ChordEvent::Toggled { at, .. } => ('T', at),
                UserLeft { at } => ('L', at),
            };
            told.push_str(&format!("{letter}{} ", at.as_nanos() / 1_000_000));
        }
    }
    told.trim_end().to_owned()
}

/// Chord of two keys, no bounce.
#[test]
fn what_edges_mean() {
    for (why, script, expected) in [
        ("both keys, any goes up", "0a 0b 0A 0B", "P2 R3"),
        ("the other order", "0b 0a 0B 0A", "P2 R3"),
        ("one key is not the chord", "0a 0A 0b 0B", ""),
        ("auto-repeat says nothing", "0a 0r 0r 0b 0r 0r 0A 0B", "P4 R7"),
        ("no second press before all were up", "0a 0b 0A 0a 0B 0b 0A 0B 0a 0b", "P2 R3 P10"),
        ("doubled edges", "0a 0a 0b 0b 0A 0A 0B 0B", "P3 R5"),
        ("ups without downs", "0A 0B 0a 0b 0B", "P4 R5"),
        ("two devices share a chord", "0a 1b 0A 1B", "P2 R3"),
        ("the same key on two devices", "0a 0b 1a 0A 0B", "P2 R5"),
        ("cancel, once per press", "0x 0x 0X 0a 0b 0x 0A", "C1 P5 C6 R7"),
        ("held at opening", "+0ab 0A 0a", ""),
        ("held at opening, then fresh", "+0ab 0A 0B 0a 0b", "P5"),
        ("half held at opening, the other half is not enough", "+0a 0b 0B 0b", ""),
        ("half held at opening, then every key was pressed", "+0a 0b 0A 0a", "P4"),
        ("a key stuck on one device does not block another", "+0a 1a 1b 1A", "P3 R4"),
        ("cancel held at opening", "+0x 0X 0x", "C3"),
        ("lost while held", "0a 0b -0 +0ab 0A 0B 0a 0b", "P2 R3 P8"),
        ("half of it lost while held", "0a 1b -1 1b", "P2 R3"),
        ("another device lost or found while held", "0a 0b 1A -1 +2ab 0A", "P2 R6"),
        ("lost when not held", "0a -0 0a 0b", "P4"),
        ("resync: still held", "0a 0b =0ab 0A", "P2 R4"),
        ("resync: release was lost", "0a 0b =0b 0B", "P2 R3"),
        ("resync: all was lost", "0a 0b =0 0a 0b", "P2 R3 P5"),
        ("resync: press was lost, a fresh one is needed", "=0ab 0A 0B 0a 0b", "P5"),
        ("resync: cancel was lost", "0a 0b =0abx 0X 0x", "P2 C3 C5"),
        ("a press of a stale key is fresh: its release was lost", "+0a 0a 0b", "P3"),
        ("left while held, still held when back, then fresh", "0a 0b < > 0A 0B 0a 0b", "P2 L3 P8"),
        ("the release came while away", "0a 0b < 0A 0B > 0a 0b", "P2 L3 P8"),
        ("the release was lost", "0a 0b < > 0a 0b", "P2 L3 P6"),
        ("one key of a hold from before is not enough", "0a 0b < > 0A 0a", "P2 L3"),
        ("pressed while away is no press, nor is it one when back", "< 0a 0b > =0ab 0A 0a 0B 0b", "L1 P9"),
        ("a cancel while away is none", "< 0x 0X =0x =0 > 0x", "L1 C7"),
        ("left when not held", "0a < > 0b 0A 0a", "L2 P6"),
    ] {
        assert_eq!(run(&mut tracker("Down+Right", 0), script), expected, "{why}: {script}");
    }
}

/// Chords of the profiles: ab, abc, d, bd.
#[test]
fn of_several_chords_one_is_meant() {
    for (why, script, expected) in [
        ("each its own", "0a 0b 0B 0A 0d 0D", "P2 R3 2P5 R6"),
        ("the key that makes two whole means the longer one", "0a 0c 0b 0B 0A 0C", "1P3 R4"),
        ("a held one is not replaced by a longer one", "0a 0b 0c 0C 0A 0B", "P2 R5"),
        ("nor by another, nor does that one begin when the first ends", "0a 0b 0d 0A 0B 0D 0d", "P2 R4 2P7"),
        ("a fresh press is needed after", "0d 0a 0b 0D 0A 0a 0B 0b", "2P1 R4 P8"),
        ("a part of what was held begins nothing", "0a 0c 0b 0C 0c 0A 0B 0C 0a 0b", "1P3 R4 P10"),
        ("not while a key of the last one is still down", "0a 0b 0A 0d 0D 0B 0d", "P2 R3 2P7"),
        (
            "one that went down in a hold counts when it has been up",
            "0d 0c 0D 0a 0b 0A 0B 0C 0c 0a 0b",
            "2P1 R3 P5 R6 1P11",
        ),
        ("of two on two devices", "0a 1d 0b 1D 0A 0B", "2P2 R4"),
        ("lost with its device", "0a 1d -1 0b", "2P2 R3"),
        ("the cancel key is none of them", "0d 0x 0D", "2P1 C2 R3"),
        ("left while another one is half down", "0d 0a < > 0D 0b 0A 0a", "2P1 L3 P8"),
    ] {
        assert_eq!(run(&mut several(), script), expected, "{why}: {script}");
    }
}

#[test]
fn keys_of_one_moment_are_judged_together() {
    // Keys with the moments at which they go down, all in one batch.
    for (script, expected, when) in [
        ("a5 b5 c5", Profile(1), 5),
        ("c5 b5 a5", Profile(1), 5),
        ("b5 a5", Profile::DEFAULT, 5),
        ("d5 b5", Profile(3), 5),
        // Of ab and bd, which are equally long, the first.
        ("b4 a5 d5", Profile::DEFAULT, 5),
        ("b4 d5 a5", Profile::DEFAULT, 5),
        // One moment later is too late.
        ("a5 b6 c7", Profile::DEFAULT, 6),
        ("d5 b6", Profile(2), 5),
    ] {
        let (mut tracker, mut events) = (several(), Vec::new());
        let signals: Vec<Signal> = script
            .split(' ')
            .map(|word| {
                let (key, at) = word.split_at(1);
                let slot = Slot(key.as_bytes()[0] - b'a');
                Signal::Key { device: DeviceId(0), slot, edge: Edge::Down, at: ms(at.parse().unwrap()) }
            })
            .collect();
        for (n, signal) in signals.iter().enumerate() {
            tracker.step_before(signals.get(n + 1), *signal, &mut events);
        }
        assert_eq!(events, [ChordEvent::Pressed { at: ms(when), profile: expected }], "{script}");
    }
    // Down and up within one tick of a coarse clock is a press all the same.
    let (mut tracker, mut events) = (several(), Vec::new());
    let key = |edge| Signal::Key { device: DeviceId(0), slot: Slot(3), edge, at: ms(5) };
    tracker.step_before(Some(&key(Edge::Up)), key(Edge::Down), &mut events);
    tracker.step_before(None, key(Edge::Up), &mut events);
    assert_eq!(events.len(), 2, "{events:?}");
}

/// Chord of two keys, 10 ms of bounce.
#[test]
fn a_bounce_does_not_end_a_hold() {
    for (why, script, expected) in [
        ("released after the grace, at its own time", "0a 0b 0A .9 .1", "P2 R3"),
        ("back in time", "0a 0b 0A 0a .50 0B .50", "P2 R55"),
        ("both keys bounce", "0a 0b 0A 0B 0a 0b .50 0A .50", "P2 R57"),
        ("back too late, though nobody looked", "0a 0b 0A .8 0B 0a 0b .1", "P2 R3"),
        ("a lost device does not bounce", "0a 0b -0", "P2 R3"),
        ("lifted, then lost", "0a 0b 0A -0", "P2 R3"),
        ("lifted, then left", "0a 0b 0A < .50", "P2 R3 L4"),
        ("left and lifted is told once", "0a 0b < 0A 0B .50 > 0a 0b", "P2 L3 P58"),
    ] {
        let mut tracker = tracker("Down+Right", 10);
        // `.n` asks at its end only, so the steps that must be told by a later edge are.
        assert_eq!(run(&mut tracker, script), expected, "{why}: {script}");
    }
    let mut tracker = tracker("F13", 10);
    let mut events = Vec::new();
    let key = |edge, at| Signal::Key { device: DeviceId(0), slot: Slot(0), edge, at: ms(at) };
    for (edge, at) in
        [(Edge::Down, 0), (Edge::Up, 100), (Edge::Down, 200), (Edge::Up, 210), (Edge::Down, 220)]
    {
        tracker.step(key(edge, at), &mut events);
    }
    assert_eq!(events, [pressed(ms(0)), Released { at: ms(100) }, pressed(ms(200))]);
    assert_eq!(tracker.due(), None);
}

#[test]
fn all_thirty_six_orders_of_three_keys() {
    let orders = ["abc", "acb", "bac", "bca", "cab", "cba"];
    for press in orders {
        for release in orders {
            let words: Vec<String> =
                press.chars().chain(release.to_uppercase().chars()).map(|key| format!("0{key}")).collect();
            let script = format!("{0} {0}", words.join(" "));
            assert_eq!(run(&mut tracker("F13+F14+F15", 0), &script), "P3 R4 P9 R10", "{script}");
        }
    }
}

#[test]
fn losing_the_source_releases() {
    let (mut tracker, mut events) = (tracker("Down+Right", 10), Vec::new());
    assert_eq!(run(&mut tracker, "0a 1b"), "P2");
    tracker.lose_all(ms(9), &mut events);
    assert_eq!(events, [Released { at: ms(9) }]);
    assert!(!tracker.is_held());
}

#[test]
fn the_window_holds_edges_of_the_chord_only() {
    let mut tracker = tracker("Down+Right", 0);
    run(&mut tracker, "0x 0a 0x 0r 0b 0X 0A =0 0a");
    let edges: Vec<(Slot, bool)> = tracker.window().iter().map(|edge| (edge.slot, edge.down)).collect();
    let (a, b) = (Slot(0), Slot(1));
    assert_eq!(edges, [(a, true), (b, true), (a, false), (b, false), (a, true)]);
}

/// Three devices, a chord of three keys and the cancel key.
fn signals() -> impl Strategy<Value = Vec<(u32, Signal)>> {
    let one =
        (0..3_u32, 0..4_u8, 0..16_u16, 0..20_u8, 0..30_u32).prop_map(|(device, slot, down, what, wait)| {
            let (device, slot, down, at) =
                (DeviceId(device), Slot(slot), Slots(u64::from(down)), Moment::default());
            let signal = match what {
                0 => Signal::Opened { device, down, at },
                1 => Signal::Actual { device, down, at },
                2 => Signal::Lost { device, at },
                3 => Signal::Key { device, slot, edge: Edge::Repeat, at },
                4 => Signal::Away { at },
                5 | 6 => Signal::Back { at },
                n if n % 5 < 3 => Signal::Key { device, slot, edge: Edge::Down, at },
                _ => Signal::Key { device, slot, edge: Edge::Up, at },
            };
            (wait, signal)
        });
    prop::collection::vec(one, 0..80)
}

fn at(signal: Signal, at: Moment) -> Signal {
    match signal {
        Signal::Key { device, slot, edge, .. } => Signal::Key { device, slot, edge, at },
        Signal::Opened { device, down, .. } => Signal::Opened { device, down, at },
        Signal::Actual { device, down, .. } => Signal::Actual { device, down, at },
        Signal::Lost { device, .. } => Signal::Lost { device, at },
        Signal::Toggled { profile, .. } => Signal::Toggled { at, profile },
        Signal::Away { .. } => Signal::Away { at },
        Signal::Back { .. } => Signal::Back { at },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Random edges, doubled, dropped, of devices that come and go: presses and releases alternate, times do not go back,
    /// and when every key is up nothing is held.
    #[test]
    fn never_stuck_and_always_alternating(signals in signals(), bounce in 0..40_u64) {
        let mut tracker = tracker("F13+F14+F15", bounce);
        let (mut now, mut events) = (Moment::from_millis(1), Vec::new());
        for (wait, signal) in signals {
            now = now + Duration::from_millis(u64::from(wait));
            tracker.step(at(signal, now), &mut events);
            if wait % 3 == 0 {
                tracker.expire(now, &mut events);
            }
            prop_assert!(tracker.window().iter().count() <= EdgeWindow::LENGTH);
        }
        for device in (0..3).map(DeviceId) {
            for slot in (0..4).map(Slot) {
                tracker.step(Signal::Key { device, slot, edge: Edge::Up, at: now }, &mut events);
            }
        }
        if let Some(due) = tracker.due() {
            tracker.expire(due, &mut events);
        }
        tracker.step(Signal::Back { at: now }, &mut events);
        prop_assert!(!tracker.is_held());
        let (mut held, mut last) = (false, Moment::default());
        for event in &events {
            match event {
                ChordEvent::Pressed { at, .. } => { prop_assert!(!held && *at >= last); held = true; last = *at; }
                Released { at } => { prop_assert!(held && *at >= last); held = false; last = *at; }
                UserLeft { at } => { prop_assert!(*at >= last); held = false; last = *at; }
                Cancelled { .. } | ChordEvent::Toggled { .. } => {}
            }
        }
        prop_assert!(!held);
        // And it is not dead: a fresh press is one.
        events.clear();
        now = now + Duration::from_secs(1);
        for slot in (0..3).map(Slot) {
            tracker.step(Signal::Key { device: DeviceId(7), slot, edge: Edge::Down, at: now }, &mut events);
        }
        prop_assert_eq!(events, [pressed(now)]);
    }

    /// Edges only, no bounce, against the rules written down naively.
    #[test]
    fn edges_are_what_the_rules_say(edges in prop::collection::vec((0..3_u32, 0..3_u8, any::<bool>()), 0..120)) {
        let mut tracker = tracker("F13+F14+F15", 0);
        let (mut events, mut expected) = (Vec::new(), Vec::new());
        let mut down = std::collections::HashSet::new();
        let (mut held, mut all_up_since) = (false, true);
        for (n, (device, key, is_down)) in edges.into_iter().enumerate() {
            let at = ms(n as u64);
            let edge = if is_down { Edge::Down } else { Edge::Up };
            tracker.step(Signal::Key { device: DeviceId(device), slot: Slot(key), edge, at }, &mut events);
            if is_down { down.insert((device, key)); } else { down.remove(&(device, key)); }
            let whole = (0..3).all(|key| down.iter().any(|held| held.1 == key));
            all_up_since |= down.is_empty();
            if held && !whole {
                (held, all_up_since) = (false, down.is_empty());
                expected.push(Released { at });
            } else if !held && whole && all_up_since {
                held = true;
                expected.push(pressed(at));
            }
        }
        prop_assert_eq!(events, expected);
    }

    /// Several chords, edges of three devices in any order: at most one is held, the longest that its last key made whole, its
    /// keys are down while it is, and when all is up it is over and any chord can be pressed.
    #[test]
    fn one_chord_at_a_time_and_the_longest(edges in prop::collection::vec((0..3_u32, 0..4_u8, any::<bool>()), 0..150)) {
        let mut tracker = several();
        let chords: Vec<(Profile, Slots)> = tracker.chords.iter().map(|chord| (chord.profile, chord.slots)).collect();
        let mut down = std::collections::HashSet::new();
        let (mut events, mut held, mut now) = (Vec::new(), None, 0);
        for (device, key, is_down) in edges {
            now += 1;
            let edge = if is_down { Edge::Down } else { Edge::Up };
            tracker.step(Signal::Key { device: DeviceId(device), slot: Slot(key), edge, at: ms(now) }, &mut events);
            let before: Slots = down.iter().map(|(_, key)| Slot(*key)).collect();
            if is_down { down.insert((device, key)); } else { down.remove(&(device, key)); }
            let live: Slots = down.iter().map(|(_, key)| Slot(*key)).collect();
            prop_assert!(events.len() <= 1, "{:?}", events);
            match events.pop() {
                Some(ChordEvent::Pressed { profile, .. }) => {
                    prop_assert_eq!(held, None);
                    let slots = chords[profile.index()].1;
                    prop_assert!(is_down && slots.has(Slot(key)) && !before.has(Slot(key)), "by a fresh edge of its own");
                    prop_assert!(slots.without(live).is_empty(), "whole");
                    held = Some(slots);
                }
                Some(Released { .. }) => {
                    let slots = held.take().unwrap();
                    prop_assert!(!slots.without(live).is_empty(), "a key of it went up");
                }
                Some(_) => prop_assert!(false, "no other event"),
                None => {}
            }
            if let Some(slots) = held {
                prop_assert!(slots.without(live).is_empty(), "held while it is whole");
            }
        }
        for (device, key) in (0..3).flat_map(|device| (0..4).map(move |key| (device, key))) {
            tracker.step(Signal::Key { device: DeviceId(device), slot: Slot(key), edge: Edge::Up, at: ms(now) }, &mut events);
        }
        prop_assert!(!tracker.is_held());
        for (profile, slots) in chords {
            // Its keys in an order in which no shorter chord is whole before the last one.
            let mut keys: Vec<Slot> = slots.iter().collect();
            keys.sort_by_key(|slot| *slot == Slot(1));
            if keys.contains(&Slot(3)) && keys.len() > 1 { keys.reverse(); }
            events.clear();
            for edge in [Edge::Down, Edge::Up] {
                for slot in &keys {
                    tracker.step(Signal::Key { device: DeviceId(7), slot: *slot, edge, at: ms(now + 9) }, &mut events);
                }
            }
            prop_assert_eq!(&events[..], [ChordEvent::Pressed { at: ms(now + 9), profile }, Released { at: ms(now + 9) }]);
        }
    }
}
