//! Keeping the chords from the windows: a passive grab of one key of each, for every state of the lock keys.
//!
//! A grab is of one key together with modifiers, so that is what a chord must be to be swallowed; Down+Right is not: its keys
//! would be gone from every window. While a grabbed key is held the server gives no other key to windows either. It lets go
//! of all grabs when the connection ends, however this program ends.

use x11rb::errors::ReplyError;
use x11rb::protocol::ErrorKind;
use x11rb::protocol::xinput::{self, ConnectionExt as _, GrabMode22, GrabOwner, GrabType, XIEventMask};
use x11rb::protocol::xproto::{ConnectionExt as _, GrabMode, GrabStatus, ModMask, Window};
use x11rb::{CURRENT_TIME, NONE};

use super::error::X11Error;
use super::layout::Layout;
use super::link::Link;
use crate::chord::{Slot, Slots, Watched, WatchedChord};

/// The session's keyboard and pointer.
type Masters = (xinput::DeviceId, xinput::DeviceId);

/// What is to be grabbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For people.
    chord: String,
    key: Slot,
    /// Only while these are down; any modifiers where there are none.
    with: Slots,
}

/// The kernel's codes of the modifiers.
const MODIFIERS: [u16; 8] = [29, 97, 42, 54, 56, 100, 125, 126];
/// The server's numbers of NumLock and ScrollLock, whose modifiers are not fixed; CapsLock has the second one.
const LOCKS: [u8; 2] = [77, 78];
const CAPS: u32 = 1 << 1;
const ANY_MODIFIER: u32 = 1 << 31;
const ANY_KEY: u32 = 0;

/// How the chords can be swallowed.
///
/// # Errors
/// [`X11Error::CannotSwallow`] where one has not exactly one key beside modifiers.
pub fn plans(watched: &Watched) -> Result<Vec<Plan>, X11Error> {
    watched.chords().iter().map(|chord| plan(watched, chord)).collect()
}

fn plan(watched: &Watched, chord: &WatchedChord) -> Result<Plan, X11Error> {
    let modifiers: Slots =
        chord.slots.iter().filter(|slot| MODIFIERS.contains(&watched.key(*slot).code())).collect();
    let keys: Vec<Slot> = chord.slots.without(modifiers).iter().collect();
    match (&keys[..], &modifiers.iter().collect::<Vec<_>>()[..]) {
        ([key], _) => Ok(Plan { chord: watched.describe(chord), key: *key, with: modifiers }),
        ([], [key]) => Ok(Plan { chord: watched.describe(chord), key: *key, with: Slots::NONE }),
        _ => Err(X11Error::CannotSwallow { chord: watched.describe(chord) }),
    }
}

/// Grabs what the chords need, and gives those that another program has for itself. They are heard all the same.
///
/// # Errors
/// [`plans`]', or the connection's.
pub fn grab(
    link: &Link,
    root: Window,
    masters: Masters,
    watched: &Watched,
    layout: &Layout,
) -> Result<Vec<String>, X11Error> {
    grab_all(link, root, masters, plans(watched)?, layout)
}

/// The chords that another program has for itself, of those that can be grabbed. Nothing stays grabbed.
///
/// # Errors
/// The connection's.
pub fn look(
    link: &Link,
    root: Window,
    masters: Masters,
    watched: &Watched,
    layout: &Layout,
) -> Result<Vec<String>, X11Error> {
    let plans = watched.chords().iter().filter_map(|chord| plan(watched, chord).ok()).collect();
    // A desktop that starts at this very moment is not to find its shortcuts taken.
    link.grab_server()?.check()?;
    let taken = grab_all(link, root, masters, plans, layout);
    let_go(link, root, masters)?;
    link.ungrab_server()?.check()?;
    taken
}

fn grab_all(
    link: &Link,
    root: Window,
    masters: Masters,
    plans: Vec<Plan>,
    layout: &Layout,
) -> Result<Vec<String>, X11Error> {
    let mut taken = Vec::new();
    for plan in plans {
        if !grab_one(link, root, masters, &plan, layout)? {
            taken.push(plan.chord);
        }
    }
    Ok(taken)
}

/// Whether nobody else has it.
fn grab_one(
    link: &Link,
    root: Window,
    (keyboard, pointer): Masters,
    plan: &Plan,
    layout: &Layout,
) -> Result<bool, X11Error> {
    let number_in = |list: &[(u8, Slot)], wanted| {
        list.iter().find(|(_, slot)| *slot == wanted).map(|(number, _)| *number)
    };
    let (device, kind, number) = match number_in(layout.keys(), plan.key) {
        Some(number) => (keyboard, GrabType::KEYCODE, number),
        None => {
            (pointer, GrabType::BUTTON, number_in(layout.buttons(), plan.key).expect("a layout has all keys"))
        }
    };
    let map = link.get_modifier_mapping()?.reply()?;
    let of = |number: u8| modifiers_of(number, &map.keycodes);
    let with = plan.with.iter().filter_map(|slot| number_in(layout.keys(), slot));
    let exact = states(with.map(of).fold(0, |all, bits| all | bits), &LOCKS.map(of));
    let is_free = device == pointer || is_free(link, root, number, &exact)?;
    let states = if plan.with.is_empty() { vec![ANY_MODIFIER] } else { exact };
    let (mode, owner) = (GrabMode22::ASYNC, GrabOwner::NO_OWNER);
    // While a grab lasts the server tells its owner raw events by the grab's mask only.
    let mask = [u32::from(
        XIEventMask::RAW_KEY_PRESS
            | XIEventMask::RAW_KEY_RELEASE
            | XIEventMask::RAW_BUTTON_PRESS
            | XIEventMask::RAW_BUTTON_RELEASE,
    )];
    let number = u32::from(number);
    let refused = link
        .xinput_xi_passive_grab_device(
            CURRENT_TIME,
            root,
            NONE,
            number,
            device,
            kind,
            mode,
            GrabMode::ASYNC,
            owner,
            &mask,
            &states,
        )?
        .reply()?
        .modifiers;
    Ok(is_free && refused.iter().all(|state| state.status == GrabStatus::SUCCESS))
}

/// Whether no other program has grabbed the key in the way from before XInput 2, as most window managers do: grabs of
/// the two kinds do not exclude each other.
fn is_free(link: &Link, root: Window, number: u8, states: &[u32]) -> Result<bool, X11Error> {
    let grabs: Vec<_> = states
        .iter()
        .map(|state| {
            let state = ModMask::from(u16::try_from(*state).expect("the eight modifiers are the low bits"));
            link.grab_key(false, root, state, number, GrabMode::ASYNC, GrabMode::ASYNC)
        })
        .collect::<Result<_, _>>()?;
    let mut free = true;
    for grab in grabs {
        match grab.check() {
            Ok(()) => {}
            Err(ReplyError::X11Error(error)) if error.error_kind == ErrorKind::Access => free = false,
            Err(error) => return Err(error.into()),
        }
    }
    link.ungrab_key(number, root, ModMask::ANY)?.check()?;
    Ok(free)
}

/// Gives everything back.
///
/// # Errors
/// The connection's.
pub fn let_go(link: &Link, root: Window, (keyboard, pointer): Masters) -> Result<(), X11Error> {
    for (device, kind) in [(keyboard, GrabType::KEYCODE), (pointer, GrabType::BUTTON)] {
        link.xinput_xi_passive_ungrab_device(root, ANY_KEY, device, kind, &[ANY_MODIFIER])?.check()?;
    }
    Ok(())
}

/// The modifiers that a key of this number is, from the server's table of eight equal rows.
fn modifiers_of(number: u8, table: &[u8]) -> u32 {
    let rows = table.chunks((table.len() / 8).max(1));
    rows.zip(0..8).filter(|(row, _)| row.contains(&number)).fold(0, |all, (_, bit)| all | 1 << bit)
}

/// `with` together with each set of locks that may be on.
fn states(with: u32, locks: &[u32]) -> Vec<u32> {
    let mut states = vec![with, with | CAPS];
    for lock in locks {
        let more: Vec<u32> = states.iter().map(|state| state | lock).collect();
        states.extend(more);
    }
    states.sort_unstable();
    states.dedup();
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_with_modifiers_can_be_swallowed() {
        let watched = |chord: &str| Watched::chord_only(&chord.parse().unwrap());
        for (chord, key, with) in [
            ("F13", "F13", vec![]),
            ("RightCtrl", "RightCtrl", vec![]),
            ("MouseSide", "MouseSide", vec![]),
            ("Space+LeftCtrl+LeftAlt", "Space", vec!["LeftCtrl", "LeftAlt"]),
        ] {
            let watched = watched(chord);
            let plan = &plans(&watched).unwrap()[0];
            assert_eq!(watched.key(plan.key).to_string(), key);
            assert_eq!(plan.with.iter().map(|slot| watched.key(slot).to_string()).collect::<Vec<_>>(), with);
        }
        for chord in ["Down+Right", "LeftCtrl+LeftShift", "LeftCtrl+A+B"] {
            let error = plans(&watched(chord)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("keyboard.swallow") && text.contains(chord), "{text}");
        }
    }

    #[test]
    fn every_state_of_the_locks_is_grabbed() {
        // Two keys for each modifier: Shift, Lock, Control, Mod1 (Alt), Mod2 (NumLock), ...
        let table = [50, 62, 66, 0, 37, 105, 64, 108, 77, 0, 0, 0, 133, 134, 0, 0];
        assert_eq!([37, 64, 77, 78, 9].map(|key| modifiers_of(key, &table)), [4, 8, 16, 0, 0]);
        assert_eq!(states(4, &[16, 0]), [4, 6, 20, 22]);
        assert_eq!(states(4, &[16, 128]).len(), 8);
        assert_eq!(modifiers_of(9, &[]), 0);
    }
}
