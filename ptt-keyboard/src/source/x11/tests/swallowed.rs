//! What is kept from the windows of a real X server, what is not, and who else has a chord.

use super::*;

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

/// Waits until no client has grabbed one of these keys with XInput in any state.
fn await_free(server: &Server, numbers: &[u8]) {
    let other = server.client();
    let root = other.setup().roots[0].root;
    let begun = Moment::now();
    for number in numbers {
        while !grab_key_with(&other, root, *number, 1 << 31) {
            assert!(Moment::now().since(begun) < Duration::from_secs(5), "{number} is grabbed");
            std::thread::sleep(Duration::from_millis(1));
        }
        let (kind, number) = (xinput::GrabType::KEYCODE, u32::from(*number));
        other
            .xinput_xi_passive_ungrab_device(root, number, 3_u16, kind, &[1 << 31])
            .unwrap()
            .check()
            .unwrap();
    }
}

/// Grabs a key for `client` as modern desktops do; false where another one has it.
pub fn grab_key_with(client: &RustConnection, root: xproto::Window, number: u8, state: u32) -> bool {
    let (mode, kind) = (xinput::GrabMode22::ASYNC, xinput::GrabType::KEYCODE);
    let (keyboard, owner, number) = (3_u16, GrabOwner::NO_OWNER, u32::from(number));
    let mask = [u32::from(XIEventMask::KEY_PRESS)];
    let asked = client.xinput_xi_passive_grab_device(
        CURRENT_TIME,
        root,
        NONE,
        number,
        keyboard,
        kind,
        mode,
        GrabMode::ASYNC,
        owner,
        &mask,
        &[state],
    );
    asked.unwrap().reply().unwrap().modifiers.is_empty()
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

/// Layouts with AltGr leave its key out of the table of modifiers: they list another one of the same meaning. Where there is
/// none, the chord is kept step by step, and here the keys may go down too quickly for that.
#[test]
fn a_modifier_that_the_server_does_not_list_is_found_or_the_chord_is_kept_step_by_step() {
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
            let seen = window.presses();
            assert!(seen == passes || !listed && seen == [&passes[..], &[65]].concat(), "{what}: {seen:?}");
            if !listed {
                await_free(&server, &[65, 37, 108]);
            }
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
}

#[test]
fn a_chord_that_another_program_gives_back_is_kept_from_then_on() {
    let Some(server) = Server::start(&[]) else { return };
    let (window, mut hand, desktop) = (Window::open(&server), server.hand(), server.client());
    let (root, mode) = (desktop.setup().roots[0].root, GrabMode::ASYNC);
    let grab = || desktop.grab_key(true, root, ModMask::CONTROL, 65, mode, mode).unwrap().check();
    let give_back = || desktop.ungrab_key(65, root, ModMask::ANY).unwrap().check().unwrap();
    grab().unwrap();
    let mut source = open(&server, &several()).unwrap();
    source.first.clear();
    let due = source.grab_due.expect("one of four is not ours");
    assert_eq!(source.owned, ["LeftCtrl+Space"]);
    source.grab_again(due).unwrap();
    assert_eq!((source.grab_due, source.owned.len()), (Some(due + GRAB_AGAIN), 1), "still theirs");
    give_back();
    // What the server numbers anew is looked at, and asked for at its time all the same.
    source.take_from_windows().unwrap();
    assert!(source.grab_due.is_some());
    source.grab_due = Some(Moment::now());
    source.wait(None, &mut Vec::new()).unwrap();
    assert_eq!((source.grab_due, source.owned.len()), (None, 0));
    hand.set(&["LeftCtrl", "Space"], true);
    hand.set(&["LeftCtrl", "Space"], false);
    hand.tap("F13");
    hand.sync();
    assert_eq!(window.presses(), [37], "all four are ours");
}

/// Two sources for a moment: the program has been told to begin again.
#[test]
fn a_chord_that_we_had_ourselves_a_moment_ago_is_kept_too() {
    let Some(server) = Server::start(&[]) else { return };
    let (config, window, mut hand) = (several(), Window::open(&server), server.hand());
    let old = open(&server, &config).unwrap();
    let mut new = open(&server, &config).unwrap();
    assert_eq!(new.owned.len(), 4, "the old one has them");
    drop(old);
    hand.sync();
    new.first.clear();
    // When the server has noticed that the old one is gone is its affair.
    let begun = Moment::now();
    while !new.owned.is_empty() && Moment::now().since(begun) < Duration::from_secs(5) {
        new.grab_due = Some(Moment::now());
        new.wait(None, &mut Vec::new()).unwrap();
    }
    hand.tap("F13");
    hand.sync();
    assert_eq!((window.presses(), new.owned.len()), (vec![], 0));
}

#[test]
fn a_look_that_fails_half_way_leaves_the_server_to_others() {
    let Some(server) = Server::start(&[]) else { return };
    let source = open(&server, &config("chord = 'F13'")).unwrap();
    let hand = server.hand();
    // There is no such pointer to give buttons back of.
    let masters = (source.keyboard, 999);
    let looked = swallow::look(&source.link, source.root, masters, &source.watched, &source.layout);
    assert!(matches!(looked, Err(X11Error::Protocol { .. })), "{looked:?}");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        hand.sync();
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(5)).expect("the server answers others");
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
    swallow::take(link, root, &swallow::grabs(link, masters, watched, layout)?.fixed)
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
