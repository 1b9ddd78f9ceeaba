//! Chords of several ordinary keys, kept from the windows of a real X server step by step.

use super::swallowed::grab_key_with;
use super::*;

const DOWN: u8 = 116;
const RIGHT: u8 = 114;

/// A server whose keys repeat soon and quickly, and a chord that is kept from its windows.
struct Rig {
    server: Server,
    window: Window,
    hand: XHand,
}

impl Rig {
    fn start() -> Option<Self> {
        let server = Server::start(&["-ardelay", "40", "-arinterval", "10"])?;
        let (window, hand) = (Window::open(&server), server.hand());
        Some(Self { server, window, hand })
    }

    fn open(&self, chord: &str) -> X11Source {
        let mut source = open(&self.server, &config(&format!("chord = '{chord}'\nswallow = true"))).unwrap();
        source.first.clear();
        source
    }

    /// Lets the source take in what the keys did and act on it.
    fn follow(&self, source: &mut X11Source) {
        self.hand.sync();
        for _ in 0..3 {
            source.wait(Some(Moment::now() + Duration::from_millis(5)), &mut Vec::new()).unwrap();
        }
    }

    /// Whether the window sees a key within a time in which an unkept one repeats twenty times.
    fn is_quiet(&self) -> bool {
        self.window.presses();
        std::thread::sleep(Duration::from_millis(240));
        self.window.presses().is_empty()
    }

    /// Whether each of these reaches the window when it is tapped.
    fn passes(&mut self, numbers: &[(&str, u8)]) -> bool {
        numbers.iter().all(|(key, number)| {
            self.hand.sync();
            self.window.presses();
            self.hand.tap(key);
            self.hand.sync();
            self.window.presses() == [*number]
        })
    }
}

#[test]
fn the_key_that_completes_a_chord_reaches_no_window_and_no_key_of_it_repeats() {
    let Some(mut rig) = Rig::start() else { return };
    // The proof that there is something to keep: without a source the last key repeats.
    rig.hand.set(&["Down", "Right"], true);
    rig.window.await_presses(2 + 15);
    rig.hand.set(&["Down", "Right"], false);
    for (keys, last) in [
        (&["Down", "Right"][..], RIGHT),
        (&["Right", "Down"], DOWN),
        (&["LeftCtrl", "A", "B"], 56),
        (&["LeftCtrl", "LeftShift"], 50),
    ] {
        let mut source = rig.open(&keys.join("+"));
        for release_first in [0, keys.len() - 1] {
            rig.hand.sync();
            rig.window.presses();
            for key in keys {
                rig.hand.set(&[key], true);
                rig.follow(&mut source);
            }
            let seen = rig.window.presses();
            assert!(!seen.is_empty() && !seen.contains(&last), "{keys:?}: {seen:?}");
            assert!(rig.is_quiet(), "{keys:?}");
            // What is still down does not begin to repeat.
            rig.hand.set(&[keys[release_first]], false);
            rig.follow(&mut source);
            assert!(rig.is_quiet(), "{keys:?}, {release_first} up");
            rig.hand.set(keys, false);
            rig.follow(&mut source);
            assert!(source.grabbed.is_empty(), "{keys:?}");
        }
        assert!(rig.passes(&[("Down", DOWN), ("Right", RIGHT), ("B", 56)]), "{keys:?}");
    }
}

#[test]
fn keys_that_go_down_at_once_reach_the_windows_once() {
    let Some(mut rig) = Rig::start() else { return };
    let mut source = rig.open("Down+Right");
    rig.hand.set(&["Down", "Right"], true);
    rig.follow(&mut source);
    let seen = rig.window.presses();
    assert!(seen.starts_with(&[DOWN]) && seen.len() < 8, "{seen:?}");
    assert!(rig.is_quiet(), "nothing repeats");
    rig.hand.set(&["Down"], false);
    rig.follow(&mut source);
    assert!(rig.is_quiet(), "nor does the other one alone");
    rig.hand.set(&["Right"], false);
    rig.follow(&mut source);
    assert!(rig.passes(&[("Right", RIGHT), ("Down", DOWN)]));
}

#[test]
fn the_chord_is_heard_as_any_other_and_comes_back_with_the_connection() {
    let Some(mut rig) = Rig::start() else { return };
    let ear = ear(&rig.server, &config("chord = 'Down+Right'\nswallow = true"));
    for keys in [["Down", "Right"], ["Right", "Down"]] {
        for _ in 0..20 {
            rig.hand.set(&keys, true);
            assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
            rig.hand.set(&keys, false);
            assert!(matches!(ear.next(), ChordEvent::Released { .. }));
        }
    }
    rig.hand.set(&["Down", "Right"], true);
    assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
    drop(ear);
    rig.hand.set(&["Right", "Down"], false);
    assert!(rig.passes(&[("Right", RIGHT), ("Down", DOWN)]));
}

#[test]
fn a_key_whose_release_was_lost_is_given_back() {
    let Some(mut rig) = Rig::start() else { return };
    let mut source = rig.open("Down+Right");
    source.down = source.watched.slot(108).unwrap().into();
    rig.follow(&mut source);
    assert_eq!(source.grabbed, source.watched.slot(106).unwrap().into());
    let due = source.check_due.expect("the true state is asked for");
    while Moment::now() < due {
        source.wait(Some(due), &mut Vec::new()).unwrap();
    }
    rig.follow(&mut source);
    assert!(source.grabbed.is_empty() && source.check_due.is_none());
    assert!(rig.passes(&[("Right", RIGHT)]));
}

#[test]
fn a_desktop_that_has_the_key_with_another_modifier_does_not_matter_and_one_that_has_it_is_named() {
    let Some(mut rig) = Rig::start() else { return };
    let desktop = rig.server.client();
    let root = desktop.setup().roots[0].root;
    // Super+Right.
    assert!(grab_key_with(&desktop, root, RIGHT, 1 << 6));
    let mut source = rig.open("Down+Right");
    rig.hand.set(&["Down"], true);
    rig.follow(&mut source);
    rig.window.presses();
    rig.hand.set(&["Right"], true);
    rig.follow(&mut source);
    assert!(source.refused.is_empty());
    assert!(!rig.window.presses().contains(&RIGHT) && rig.is_quiet());
    rig.hand.set(&["Right", "Down"], false);
    rig.follow(&mut source);

    assert!(grab_key_with(&desktop, root, RIGHT, 0));
    rig.hand.set(&["Down"], true);
    rig.follow(&mut source);
    assert_eq!(source.refused, source.watched.slot(106).unwrap().into());
    rig.hand.set(&["Down"], false);
    rig.follow(&mut source);
}

/// Its key is none of the server's modifiers: one grab cannot wait for it.
#[test]
fn a_compose_key_is_a_modifier_for_a_chord() {
    let Some(mut rig) = Rig::start() else { return };
    let mut source = rig.open("Compose+Space");
    rig.hand.set(&["Compose"], true);
    rig.follow(&mut source);
    rig.window.presses();
    rig.hand.set(&["Space"], true);
    rig.follow(&mut source);
    assert!(!rig.window.presses().contains(&65) && rig.is_quiet());
    rig.hand.set(&["Space", "Compose"], false);
    rig.follow(&mut source);
    assert!(rig.passes(&[("Space", 65)]));
}

#[test]
fn one_grab_and_steps_share_a_key() {
    let Some(mut rig) = Rig::start() else { return };
    let mut several = config("chord = 'LeftCtrl+A'\nswallow = true");
    several.profiles =
        vec![ProfileChord { profile: Profile(1), name: "letters".to_owned(), chord: "A+B".parse().unwrap() }];
    let mut source = open(&rig.server, &several).unwrap();
    source.first.clear();
    for _ in 0..2 {
        for key in ["B", "A"] {
            rig.hand.set(&[key], true);
            rig.follow(&mut source);
        }
        assert!(!rig.window.presses().contains(&38));
        rig.hand.set(&["A", "B"], false);
        rig.follow(&mut source);
        assert!(rig.passes(&[("A", 38), ("B", 56)]));
        rig.hand.set(&["LeftCtrl", "A"], true);
        rig.follow(&mut source);
        assert!(!rig.window.presses().contains(&38), "Ctrl+A is still kept");
        rig.hand.set(&["A", "LeftCtrl"], false);
        rig.follow(&mut source);
    }
}
