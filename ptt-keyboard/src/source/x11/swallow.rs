//! Keeping the chords from the windows by passive grabs, for every state of the lock keys.
//!
//! A grab is of one key together with modifiers. A chord of that form is grabbed once and for all.
//! Of any other (Down+Right, or with a modifier that is none to the server) a key is grabbed only while
//! the others are down, as [`super::last_key`] decides: always grabbed it would be gone from every
//! window. While a grabbed key is held the server gives no other key to windows either. It lets go of a
//! grab when the key comes up, and of all grabs when the connection ends, however this program ends.

use x11rb::connection::Connection as _;
use x11rb::errors::ReplyError;
use x11rb::protocol::ErrorKind;
use x11rb::protocol::xinput::{self, ConnectionExt as _, GrabMode22, GrabOwner, GrabType, XIEventMask};
use x11rb::protocol::xproto::{ConnectionExt as _, GrabMode, GrabStatus, Keysym, ModMask, Window};
use x11rb::{CURRENT_TIME, NONE};

use super::error::X11Error;
use super::layout::Layout;
use super::link::Link;
use crate::chord::{Slot, Slots, Watched};

/// The session's keyboard and pointer.
type Masters = (xinput::DeviceId, xinput::DeviceId);

/// A chord that one grab can keep: one key, alone or with modifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    key: Slot,
    /// Only while these are down; any modifiers where there are none.
    with: Slots,
}

/// The grabs that the chords need.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Grabs {
    /// Those that last as long as the source.
    pub fixed: Vec<Grab>,
    /// The chords of which a key is grabbed only while the others are down.
    pub stepwise: Vec<Slots>,
    /// The grab of each key of those chords.
    pub keys: Vec<(Slot, Grab)>,
}

/// The grab of a chord's key.
#[derive(Debug, PartialEq, Eq)]
pub struct Grab {
    /// For people.
    pub chord: String,
    device: xinput::DeviceId,
    kind: GrabType,
    number: u8,
    /// The states of the modifiers that are the chord's.
    exact: Vec<u32>,
    /// It is grabbed in any state.
    alone: bool,
}

/// Which keys the server takes for modifiers.
#[derive(Debug)]
struct Modifiers {
    /// The numbers of keys, in a row for each of the eight modifiers; 0 is no key.
    table: Vec<u8>,
    /// What the keys mean, from the number `first` on, `per_key` meanings for each.
    meanings: Vec<Keysym>,
    first: u8,
    per_key: u8,
}

/// The kernel's codes of the modifiers.
const MODIFIERS: [u16; 8] = [29, 97, 42, 54, 56, 100, 125, 126];
/// The server's numbers of NumLock and ScrollLock, whose modifiers are not fixed; CapsLock has the second one.
const LOCKS: [u8; 2] = [77, 78];
const CAPS: u32 = 1 << 1;
const ANY_MODIFIER: u32 = 1 << 31;
const ANY_KEY: u32 = 0;

/// How one grab keeps a chord; `None` where that takes more.
fn plan(watched: &Watched, chord: Slots) -> Option<Plan> {
    let modifiers = modifiers_of(watched, chord);
    let keys: Vec<Slot> = chord.without(modifiers).iter().collect();
    match (&keys[..], &modifiers.iter().collect::<Vec<_>>()[..]) {
        ([key], _) => Some(Plan { key: *key, with: modifiers }),
        ([], [key]) => Some(Plan { key: *key, with: Slots::NONE }),
        _ => None,
    }
}

fn modifiers_of(watched: &Watched, chord: Slots) -> Slots {
    chord.iter().filter(|slot| MODIFIERS.contains(&watched.key(*slot).code())).collect()
}

/// The grabs that the chords need, by the modifiers that the server has now.
///
/// # Errors
/// The connection's.
pub fn grabs(link: &Link, masters: Masters, watched: &Watched, layout: &Layout) -> Result<Grabs, X11Error> {
    Ok(plan_all(masters, watched, layout, &Modifiers::read(link)?))
}

fn plan_all(
    (keyboard, pointer): Masters,
    watched: &Watched,
    layout: &Layout,
    modifiers: &Modifiers,
) -> Grabs {
    let number_in = |list: &[(u8, Slot)], wanted| {
        list.iter().find(|(_, slot)| *slot == wanted).map(|(number, _)| *number)
    };
    let grab = |chord: String, key: Slot, exact: Vec<u32>, alone: bool| {
        let (device, kind, number) = match number_in(layout.keys(), key) {
            Some(number) => (keyboard, GrabType::KEYCODE, number),
            None => {
                let number = number_in(layout.buttons(), key).expect("a layout has all keys");
                (pointer, GrabType::BUTTON, number)
            }
        };
        Grab { chord, device, kind, number, exact, alone }
    };
    let numbers = |slots: Slots| -> Vec<u8> {
        slots.iter().filter_map(|slot| number_in(layout.keys(), slot)).collect()
    };
    let mut grabs = Grabs::default();
    for chord in watched.chords() {
        let name = watched.describe(chord);
        if let Some(plan) = plan(watched, chord.slots) {
            let exact = modifiers.states(&numbers(plan.with));
            if !exact.is_empty() {
                grabs.fixed.push(grab(name, plan.key, exact, plan.with.is_empty()));
                continue;
            }
        }
        grabs.stepwise.push(chord.slots);
        for key in chord.slots.iter() {
            let mut with = numbers(modifiers_of(watched, chord.slots).without(key.into()));
            with.retain(|number| modifiers.of(*number) != 0);
            let exact = modifiers.states(&with);
            match grabs.keys.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => known.exact.extend(exact),
                None => grabs.keys.push((key, grab(name.clone(), key, exact, false))),
            }
        }
    }
    // What is grabbed in any state already needs no other grab.
    let Grabs { fixed, keys, .. } = &mut grabs;
    keys.retain(|(_, key)| !fixed.iter().any(|fixed| fixed.alone && fixed.is_of_key(key)));
    grabs
}

/// Takes them, and gives the chords that another program has for itself. Those are heard all the same.
///
/// # Errors
/// The connection's.
pub fn take<'a>(
    link: &Link,
    root: Window,
    grabs: impl IntoIterator<Item = &'a Grab>,
) -> Result<Vec<String>, X11Error> {
    let mut taken = Vec::new();
    for grab in grabs {
        if !take_one(link, root, grab)? {
            taken.push(grab.chord.clone());
        }
    }
    Ok(taken)
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
    let grabs = grabs(link, masters, watched, layout)?;
    // A desktop that starts at this very moment is not to find its shortcuts taken.
    link.grab_server()?.check()?;
    let taken = take(link, root, &grabs.fixed);
    let given_back = let_go(link, root, masters);
    // Before any of it is an error: nobody else can use a server that stays grabbed.
    link.ungrab_server()?.check()?;
    given_back?;
    taken
}

/// Takes a key that completes a chord: in any state of the modifiers, or where another program has it
/// with some of them in those of the chord only. False where that program has those too.
///
/// # Errors
/// The connection's.
pub fn take_key(link: &Link, root: Window, grab: &Grab) -> Result<bool, X11Error> {
    Ok(request(link, root, grab, &[ANY_MODIFIER])? || request(link, root, grab, &grab.exact)?)
}

/// Gives a key that completes a chord back, and takes what it was part of beside that again.
///
/// # Errors
/// The connection's.
pub fn give_key_back(link: &Link, root: Window, grab: &Grab, fixed: &[Grab]) -> Result<(), X11Error> {
    let number = u32::from(grab.number);
    let states = [ANY_MODIFIER];
    link.xinput_xi_passive_ungrab_device(root, number, grab.device, grab.kind, &states)?.check()?;
    for fixed in fixed.iter().filter(|fixed| fixed.is_of_key(grab)) {
        take_one(link, root, fixed)?;
    }
    Ok(())
}

/// Whether nobody else has it.
fn take_one(link: &Link, root: Window, grab: &Grab) -> Result<bool, X11Error> {
    let is_free = grab.kind == GrabType::BUTTON || is_free(link, root, grab.number, &grab.exact)?;
    let any = [ANY_MODIFIER];
    let states = if grab.alone { &any[..] } else { &grab.exact };
    Ok(request(link, root, grab, states)? && is_free)
}

/// Grabs a key in these states; false where another program has one of them.
fn request(link: &Link, root: Window, grab: &Grab, states: &[u32]) -> Result<bool, X11Error> {
    let (mode, owner) = (GrabMode22::ASYNC, GrabOwner::NO_OWNER);
    // While a grab lasts the server tells its owner raw events by the grab's mask only.
    let mask = [u32::from(
        XIEventMask::RAW_KEY_PRESS
            | XIEventMask::RAW_KEY_RELEASE
            | XIEventMask::RAW_BUTTON_PRESS
            | XIEventMask::RAW_BUTTON_RELEASE,
    )];
    let refused = link
        .xinput_xi_passive_grab_device(
            CURRENT_TIME,
            root,
            NONE,
            u32::from(grab.number),
            grab.device,
            grab.kind,
            mode,
            GrabMode::ASYNC,
            owner,
            &mask,
            states,
        )?
        .reply()?
        .modifiers;
    Ok(refused.iter().all(|state| state.status == GrabStatus::SUCCESS))
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

impl Grab {
    fn is_of_key(&self, other: &Self) -> bool {
        (self.device, self.kind, self.number) == (other.device, other.kind, other.number)
    }
}

impl Modifiers {
    fn read(link: &Link) -> Result<Self, X11Error> {
        let (first, last) = (link.setup().min_keycode, link.setup().max_keycode);
        let meanings = link.get_keyboard_mapping(first, last - first + 1)?;
        let table = link.get_modifier_mapping()?.reply()?.keycodes;
        let meanings = meanings.reply()?;
        Ok(Self { table, first, per_key: meanings.keysyms_per_keycode, meanings: meanings.keysyms })
    }

    /// The states in which the keys of these numbers are down, whatever locks are on; none where one is no modifier.
    fn states(&self, with: &[u8]) -> Vec<u32> {
        let bits: Vec<u32> = with.iter().map(|number| self.of(*number)).collect();
        if bits.contains(&0) {
            return Vec::new();
        }
        states(bits.into_iter().fold(0, |all, bits| all | bits), &LOCKS.map(|lock| self.of(lock)))
    }

    /// The modifiers that a key of this number is. A layout with AltGr does not list that key but one of the same meaning
    /// that no keyboard has: then it is what those of its meaning are.
    fn of(&self, number: u8) -> u32 {
        let means = self.meanings(number).first().filter(|meaning| **meaning != NONE);
        let alike = |other| means.is_some_and(|meaning| self.meanings(other).contains(meaning));
        match self.listed(|other| other == number) {
            0 => self.listed(alike),
            bits => bits,
        }
    }

    fn listed(&self, which: impl Fn(u8) -> bool) -> u32 {
        let rows = self.table.chunks((self.table.len() / 8).max(1)).zip(0..8);
        rows.filter(|(row, _)| row.iter().any(|number| which(*number)))
            .fold(0, |all, (_, bit)| all | 1 << bit)
    }

    fn meanings(&self, number: u8) -> &[Keysym] {
        let at = number.checked_sub(self.first).map(|at| usize::from(at) * usize::from(self.per_key));
        at.and_then(|at| self.meanings.get(at..at + usize::from(self.per_key))).unwrap_or_default()
    }
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
    use super::super::layout::Names;
    use super::*;

    #[test]
    fn one_key_with_modifiers_is_one_grab() {
        let watched = |chord: &str| Watched::chord_only(&chord.parse().unwrap());
        for (chord, key, with) in [
            ("F13", "F13", vec![]),
            ("RightCtrl", "RightCtrl", vec![]),
            ("MouseSide", "MouseSide", vec![]),
            ("Space+LeftCtrl+LeftAlt", "Space", vec!["LeftCtrl", "LeftAlt"]),
        ] {
            let watched = watched(chord);
            let plan = plan(&watched, watched.chord()).unwrap();
            assert_eq!(watched.key(plan.key).to_string(), key);
            assert_eq!(plan.with.iter().map(|slot| watched.key(slot).to_string()).collect::<Vec<_>>(), with);
        }
        for chord in ["Down+Right", "LeftCtrl+LeftShift", "LeftCtrl+A+B"] {
            let watched = watched(chord);
            assert_eq!(plan(&watched, watched.chord()), None, "{chord}");
        }
    }

    #[test]
    fn what_one_grab_cannot_keep_is_kept_step_by_step() {
        let modifiers = modifiers(&[]);
        for (chord, fixed, keys) in [
            ("F13", 1, &[][..]),
            ("LeftCtrl+Space", 1, &[]),
            // 135 is no modifier: a compose key.
            ("Compose+Space", 0, &[(135, vec![0, 2, 16, 18]), (65, vec![0, 2, 16, 18])]),
            ("Down+Right", 0, &[(116, vec![0, 2, 16, 18]), (114, vec![0, 2, 16, 18])]),
            (
                "LeftCtrl+A+MouseSide",
                0,
                &[(37, vec![0, 2, 16, 18]), (38, vec![4, 6, 20, 22]), (8, vec![4, 6, 20, 22])],
            ),
        ] {
            let watched = Watched::chord_only(&chord.parse().unwrap());
            let layout = Layout::new(&watched, &Names::default()).unwrap();
            let grabs = plan_all((3, 2), &watched, &layout, &modifiers);
            assert_eq!(grabs.fixed.len(), fixed, "{chord}");
            let stepwise: Vec<_> =
                grabs.keys.iter().map(|(_, key)| (key.number, key.exact.clone())).collect();
            assert_eq!(stepwise, keys, "{chord}");
            assert_eq!(grabs.stepwise.len(), 1 - fixed);
        }
    }

    const ALT: Keysym = 0xffe9;
    const ALT_GR: Keysym = 0xfe03;

    /// Two keys for each modifier: Shift, Lock, Control, Mod1 (Alt), Mod2 (NumLock), ..., Mod5 (AltGr); what some mean.
    fn modifiers(meanings: &[(u8, Keysym)]) -> Modifiers {
        let table = vec![50, 62, 66, 0, 37, 105, 64, 204, 77, 0, 0, 0, 133, 134, 92, 0];
        let mut all = vec![NONE; 2 * 248];
        for (number, meaning) in meanings {
            all[2 * usize::from(number - 8)] = *meaning;
        }
        Modifiers { table, meanings: all, first: 8, per_key: 2 }
    }

    #[test]
    fn every_state_of_the_locks_is_grabbed() {
        let modifiers = modifiers(&[]);
        assert_eq!([37, 64, 77, 78, 9].map(|key| modifiers.of(key)), [4, 8, 16, 0, 0]);
        assert_eq!(modifiers.states(&[37]), [4, 6, 20, 22]);
        assert_eq!(states(4, &[16, 128]).len(), 8);
        let none = Modifiers { table: vec![], meanings: vec![], first: 8, per_key: 0 };
        assert_eq!((none.of(9), none.states(&[37])), (0, vec![]));
    }

    #[test]
    fn a_modifier_that_is_not_listed_is_found_by_its_meaning_or_nothing_is_grabbed() {
        const RIGHT: u8 = 108;
        for (meanings, bits) in [
            (&[(92, ALT_GR), (64, ALT), (RIGHT, ALT_GR)][..], 128),
            (&[(92, ALT_GR), (64, ALT), (RIGHT, ALT)], 8),
            // A compose key, and none.
            (&[(92, ALT_GR), (64, ALT), (RIGHT, 0xff20)], 0),
            (&[(92, ALT_GR), (64, ALT)], 0),
        ] {
            let modifiers = modifiers(meanings);
            assert_eq!(modifiers.of(RIGHT), bits, "{meanings:?}");
            let states = modifiers.states(&[37, RIGHT]);
            assert!(states.iter().all(|state| state & (4 | bits) == 4 | bits), "{states:?}");
            assert_eq!(states.is_empty(), bits == 0, "{states:?}");
        }
    }
}
