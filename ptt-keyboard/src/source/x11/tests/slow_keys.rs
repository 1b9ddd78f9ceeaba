//! A real X server that takes a key for pressed only after a while: the desktops' Slow Keys.

use super::*;

/// Longer than between two checks of the true state, more than once.
const DELAY_MS: u16 = 350;

#[test]
fn a_hold_lasts_though_the_server_has_not_taken_the_press_yet() {
    let Some(server) = Server::start(&[]) else { return };
    let mut hand = server.hand();
    slow_keys(&hand);
    for chord in ["F13", "Down+Right"] {
        let keys: Vec<&str> = chord.split('+').collect();
        let ear = ear(&server, &config(&format!("chord = '{chord}'")));
        hand.set(&keys, true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }), "{chord}");
        // Before the server takes it, and after.
        assert!(ear.quiet() && ear.quiet(), "{chord}");
        hand.set(&keys, false);
        assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{chord}");
        // So short that the server never takes it.
        hand.set(&keys, true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }), "{chord}");
        hand.set(&keys, false);
        assert!(matches!(ear.next(), ChordEvent::Released { .. }), "{chord}");
    }
}

#[test]
fn a_release_that_no_edge_tells_is_found_with_slow_keys_too() {
    let Some(server) = Server::start(&[]) else { return };
    let (mut hand, ear) = (server.hand(), hard_of_hearing(&server, "F13"));
    slow_keys(&hand);
    for _ in 0..2 {
        hand.set(&["F13"], true);
        assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
        assert!(ear.quiet() && ear.quiet(), "the server has taken it now");
        hand.set(&["F13"], false);
        assert!(matches!(ear.next(), ChordEvent::Released { .. }));
    }
}

/// Without them the first answer counts.
#[test]
fn a_key_whose_release_was_lost_before_makes_no_half_of_a_hold() {
    let Some(server) = Server::start(&[]) else { return };
    let (mut hand, ear) = (server.hand(), hard_of_hearing(&server, "Down+Right"));
    hand.tap("Down");
    hand.set(&["Right"], true);
    assert!(matches!(ear.next(), ChordEvent::Pressed { .. }));
    assert!(matches!(ear.next(), ChordEvent::Released { .. }));
}

fn hard_of_hearing(server: &Server, chord: &str) -> Ear {
    let display = server.display.clone();
    Ear::through(&config(&format!("chord = '{chord}'")), move |config, watched, stop| {
        Ok(Box::new(HardOfHearing(X11Source::open_on(Some(&display), config, watched, stop)?)))
    })
}

/// Switches them on.
fn slow_keys(hand: &XHand) {
    // This client has not said yet that it speaks XKB.
    hand.link.xkb_use_extension(1, 0).unwrap().reply().unwrap();
    let slow = xkb::BoolCtrl::SLOW_KEYS;
    let changed = xkb::Control::CONTROLS_ENABLED | xkb::Control::from(u32::from(slow));
    let (core, mods, virtuals) = (xkb::ID::USE_CORE_KBD.into(), ModMask::from(0_u16), xkb::VMod::from(0_u16));
    let (options, none, keys) = (xkb::AXOption::from(0_u16), xkb::BoolCtrl::from(0_u32), [0; 32]);
    // Of all this only what is `changed` is looked at.
    let sent = hand.link.xkb_set_controls(
        core, mods, mods, mods, mods, virtuals, virtuals, virtuals, virtuals, 0, 0, options, slow, slow,
        changed, 0, 0, DELAY_MS, 0, 0, 0, 0, 0, 0, 0, none, none, options, options, &keys,
    );
    sent.unwrap().check().unwrap();
}
