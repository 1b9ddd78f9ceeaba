//! Typing: the server's keymap is asked for, what it lacks is bound to spare keys, and the keys go down and up through
//! XTEST.
//!
//! Nothing here waits for a client. Bindings only ever fill keys that mean nothing, and stay until [`Typist::rest`], a
//! few seconds after the last text: a key that is bound anew while a slow client still has presses of it to read would
//! give it the wrong character.

use std::collections::{BTreeMap, BTreeSet};

use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::xkb::{self, ConnectionExt as _, MapPart};
use x11rb::protocol::xproto::{ConnectionExt as _, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, ModMask};
use x11rb::protocol::{xinput, xtest};

use super::keymap::{Key, KeyType, Keymap, LOCK, Mods, Stroke, bits, keysym};
use super::link::Link;
use super::{Broken, lacks};
use crate::desktop::PasteChord;
use crate::error::OutputError;

/// The core keyboard, in XKB's requests.
const CORE: u16 = 0x100;

/// So many keys are flushed together: few enough to fit the connection's buffer, which would otherwise be flushed in the
/// middle of a key when it is full.
const KEYS_PER_FLUSH: usize = 64;

/// What typing remembers between two texts.
#[derive(Debug, Default)]
pub(super) struct Typist {
    /// The device that XTEST's keys come from; its keymap may be another than the physical keyboard's.
    device: Option<u16>,
    /// The spare keys that we bound, with their keysyms.
    bound: BTreeMap<u8, u32>,
    /// A spare key that is never bound: a window that is slow to read its presses would take them for a
    /// character.
    silent: Option<u8>,
}

impl Typist {
    /// Readies typing on this connection.
    ///
    /// # Errors
    /// [`OutputError::NotOffered`] without XTEST or XKB, [`OutputError::DesktopLost`].
    pub fn start(conn: &Link) -> Result<Self, OutputError> {
        let offered =
            |name| conn.extension_information(name).map(|info| info.is_some()).map_err(Broken::from);
        if !offered(xtest::X11_EXTENSION_NAME)? {
            return Err(lacks("the extension XTEST, by which keys are typed"));
        }
        if !offered(xkb::X11_EXTENSION_NAME)? {
            return Err(lacks("the extension XKEYBOARD, which tells the keymap"));
        }
        let version = conn.xkb_use_extension(1, 0).map_err(Broken::from)?.reply().map_err(Broken::from)?;
        if !version.supported {
            return Err(lacks("version 1 of the extension XKEYBOARD"));
        }
        Ok(Self { device: xtest_keyboard(conn)?, ..Self::default() })
    }

    /// Looks up the keys of a text, and binds what the keymap lacks.
    ///
    /// # Errors
    /// [`OutputError::Untypable`], [`OutputError::DesktopLost`].
    pub fn keys(&mut self, conn: &Link, text: &str) -> Result<Keys, OutputError> {
        let (keymap, caps) = self.keymap(conn)?;
        let mut strokes = keymap.strokes();
        let mut silent = None;
        let lacking: BTreeSet<char> = text.chars().filter(|c| !strokes.contains_key(c)).collect();
        let keymap = if lacking.is_empty() {
            keymap
        } else {
            let used = text.chars().filter_map(|c| strokes.get(&c)).map(|stroke| stroke.keycode).collect();
            self.bind(conn, &keymap, &lacking, &used)?;
            // Whatever the server made of the bindings: the keymap that counts is the one that clients will read.
            let keymap = self.keymap(conn)?.0;
            strokes = keymap.strokes();
            silent = self.silent;
            keymap
        };
        let lacking: BTreeSet<char> = text.chars().filter(|c| !strokes.contains_key(c)).collect();
        if !lacking.is_empty() {
            return Err(OutputError::Untypable { characters: lacking.len() });
        }
        let strokes = text.chars().filter_map(|c| strokes.get(&c).copied()).collect();
        Ok(Keys { keymap, caps, strokes, silent })
    }

    /// Looks up the keys of a chord.
    ///
    /// # Errors
    /// [`OutputError::NotOffered`] when the keymap lacks one, [`OutputError::DesktopLost`].
    pub fn chord(&mut self, conn: &Link, chord: PasteChord) -> Result<Chord, OutputError> {
        let (keymap, _) = self.keymap(conn)?;
        let mut keycodes = Vec::new();
        for sym in chord.keysyms() {
            let stroke = keymap.stroke_of(sym).filter(|stroke| stroke.mods == 0);
            keycodes
                .push(stroke.ok_or_else(|| lacks("a key of the chord that pastes in its keymap"))?.keycode);
        }
        Ok(Chord(keycodes))
    }

    /// Makes the keys that were bound mean nothing again.
    ///
    /// # Errors
    /// [`OutputError::DesktopLost`].
    pub fn rest(&mut self, conn: &Link) -> Result<(), OutputError> {
        if self.bound.is_empty() {
            return Ok(());
        }
        self.keymap(conn)?;
        let nothing: BTreeMap<u8, u32> =
            std::mem::take(&mut self.bound).into_keys().map(|key| (key, 0)).collect();
        change(conn, &nothing)?;
        // A connection that is closed with events unread takes along what the server has not read yet: so this waits for it.
        self.keymap(conn)?;
        Ok(())
    }

    /// Binds the characters, each to a spare key that is none of those in use.
    fn bind(
        &mut self,
        conn: &Link,
        keymap: &Keymap,
        lacking: &BTreeSet<char>,
        used: &BTreeSet<u8>,
    ) -> Result<(), OutputError> {
        self.silent = self.silent.filter(|keycode| keymap.is_spare(*keycode)).or_else(|| keymap.last_spare());
        let free = |keycode: &u8| {
            !self.bound.contains_key(keycode) && !used.contains(keycode) && self.silent != Some(*keycode)
        };
        let spares: Vec<u8> = keymap.spares().into_iter().filter(free).collect();
        if spares.len() < lacking.len() {
            return Err(OutputError::Untypable { characters: lacking.len() });
        }
        let bindings: BTreeMap<u8, u32> =
            spares.into_iter().zip(lacking.iter().map(|c| keysym(*c))).collect();
        self.bound.extend(&bindings);
        Ok(change(conn, &bindings)?)
    }

    /// The keymap that a key of ours will be read by, and whether Caps Lock is on.
    fn keymap(&mut self, conn: &Link) -> Result<(Keymap, bool), OutputError> {
        let (keymap, caps) = fetch(conn, self.device)?;
        // Whoever chooses another layout takes our bindings away with the old one.
        self.bound.retain(|keycode, sym| keymap.binds(*keycode, *sym));
        Ok((keymap, caps))
    }
}

/// The keys of a text.
#[derive(Debug)]
pub(super) struct Keys {
    keymap: Keymap,
    /// Whether Caps Lock is on.
    caps: bool,
    strokes: Vec<Stroke>,
    /// A key that means nothing, where others were bound anew for this text.
    silent: Option<u8>,
}

impl Keys {
    /// Presses them, one after the other.
    pub fn press(&self, conn: &Link) -> Result<(), Broken> {
        if let Some(keycode) = self.silent {
            // A window that stood still reads the new keymap only with the first key after it, which
            // Chromium looks up in the old one: so that key is none of the text.
            fake(conn, KEY_PRESS_EVENT, keycode)?;
            fake(conn, KEY_RELEASE_EVENT, keycode)?;
        }
        press(conn, &self.keymap, self.caps, &self.strokes)
    }
}

/// Keys that go down in this order.
#[derive(Debug)]
pub(super) struct Chord(Vec<u8>);

impl Chord {
    /// Presses them and lets them go again, in one flush.
    pub fn press(&self, conn: &Link) -> Result<(), Broken> {
        let down = self.0.iter().map(|keycode| (KEY_PRESS_EVENT, *keycode));
        let up = self.0.iter().rev().map(|keycode| (KEY_RELEASE_EVENT, *keycode));
        for (kind, keycode) in down.chain(up) {
            fake(conn, kind, keycode)?;
        }
        conn.flush()?;
        Ok(())
    }
}

fn fake(conn: &Link, kind: u8, keycode: u8) -> Result<(), Broken> {
    let root = conn.setup().roots[0].root;
    xtest::fake_input(conn, kind, keycode, x11rb::CURRENT_TIME, root, 0, 0, 0)?;
    Ok(())
}

/// Bindings of neighbouring keycodes go in one request, because every client reads the keymap anew after each.
fn change(conn: &Link, bindings: &BTreeMap<u8, u32>) -> Result<(), Broken> {
    let bindings: Vec<(u8, u32)> = bindings.iter().map(|(keycode, sym)| (*keycode, *sym)).collect();
    for row in bindings.chunk_by(|(a, _), (b, _)| a + 1 == *b) {
        // The same at both levels: a Shift that is held by accident changes nothing.
        let syms: Vec<u32> = row.iter().flat_map(|(_, sym)| [*sym, *sym]).collect();
        let count = u8::try_from(row.len()).expect("there are less than 256 keycodes");
        conn.change_keyboard_mapping(count, row[0].0, 2, &syms)?;
    }
    conn.flush()?;
    Ok(())
}

/// Sends the keys and waits until the server has had them.
fn press(conn: &Link, keymap: &Keymap, caps: bool, keys: &[Stroke]) -> Result<(), Broken> {
    let lock = |mods: Mods, group: Option<u8>| {
        let (caps, mods) = (ModMask::from(LOCK), ModMask::from(mods));
        let group_lock = xkb::Group::from(group.unwrap_or(0));
        let lock_group = group.is_some();
        let affect = if lock_group { ModMask::default() } else { caps };
        conn.xkb_latch_lock_state(CORE, affect, mods, lock_group, group_lock, ModMask::default(), false, 0)
            .map(drop)
    };
    // The server does all of this in order, and each key event carries the state it was made in: no client can see a
    // key with a state that is not meant for it.
    if caps {
        lock(0, None)?;
    }
    let mut group = keymap.group;
    for (number, some) in keys.chunks(KEYS_PER_FLUSH).enumerate() {
        // The last ones go out with what puts the keyboard back, so that nobody who sees the whole text sees less than that.
        if number > 0 {
            conn.flush()?;
        }
        for key in some {
            if key.group != group {
                group = key.group;
                lock(0, Some(group))?;
            }
            let held: Vec<u8> = bits(key.mods).filter_map(|bit| keymap.holder(bit, group)).collect();
            for keycode in &held {
                fake(conn, KEY_PRESS_EVENT, *keycode)?;
            }
            fake(conn, KEY_PRESS_EVENT, key.keycode)?;
            fake(conn, KEY_RELEASE_EVENT, key.keycode)?;
            for keycode in held.iter().rev() {
                fake(conn, KEY_RELEASE_EVENT, *keycode)?;
            }
        }
    }
    if group != keymap.group {
        lock(0, Some(keymap.group))?;
    }
    if caps {
        lock(LOCK, None)?;
    }
    // The answer comes after everything before it was done.
    conn.get_input_focus()?.reply()?;
    Ok(())
}

fn fetch(conn: &Link, device: Option<u16>) -> Result<(Keymap, bool), Broken> {
    let parts = MapPart::KEY_TYPES | MapPart::KEY_SYMS | MapPart::MODIFIER_MAP;
    let map = conn.xkb_get_map(
        device.unwrap_or(CORE),
        parts,
        MapPart::default(),
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        xkb::VMod::default(),
        0,
        0,
        0,
        0,
        0,
        0,
    )?;
    // What is locked and which layout is chosen is the core keyboard's.
    let state = conn.xkb_get_state(CORE)?;
    let (map, state) = (map.reply()?, state.reply()?);
    let types = map.map.types_rtrn.unwrap_or_default().into_iter().map(|kind| KeyType {
        mask: mods(kind.mods_mask),
        levels: kind.map.iter().filter(|e| e.active).map(|e| (mods(e.mods_mask), e.level)).collect(),
    });
    let mut keys: Vec<Key> = map
        .map
        .syms_rtrn
        .unwrap_or_default()
        .into_iter()
        .map(|key| Key {
            types: key.kt_index,
            info: key.group_info,
            width: key.width,
            syms: key.syms,
            sets: 0,
        })
        .collect();
    for entry in map.map.modmap_rtrn.unwrap_or_default() {
        if let Some(key) = keys.get_mut(usize::from(entry.keycode.saturating_sub(map.first_key_sym))) {
            key.sets = mods(entry.mods);
        }
    }
    let locked = mods(state.locked_mods);
    let keymap = Keymap {
        first: map.first_key_sym,
        keys,
        types: types.collect(),
        group: u8::from(state.group),
        locked: locked & !LOCK,
    };
    Ok((keymap, locked & LOCK != 0))
}

fn mods(mask: ModMask) -> Mods {
    u8::try_from(u16::from(mask) & 0xff).expect("eight bits")
}

/// The keyboard that XTEST's events come from.
fn xtest_keyboard(conn: &Link) -> Result<Option<u16>, Broken> {
    if conn.extension_information(xinput::X11_EXTENSION_NAME)?.is_none() {
        return Ok(None);
    }
    xinput::xi_query_version(conn, 2, 0)?.reply()?;
    let devices = xinput::xi_query_device(conn, xinput::Device::ALL)?.reply()?;
    let ours = devices.infos.iter().find(|device| {
        device.type_ == xinput::DeviceType::SLAVE_KEYBOARD && device.name.ends_with(b"XTEST keyboard")
    });
    Ok(ours.map(|device| device.deviceid))
}
