//! Which window has the keyboard, and which modifiers the user holds.

use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{Atom, AtomEnum, ConnectionExt as _, InputFocus, Window as XWindow};

use super::Broken;
use super::link::Link;
use crate::desktop::{Listener, Window};

/// How often the keyboard is looked at while a modifier is held.
const LOOK: Duration = Duration::from_millis(3);

/// Rows of the modifier mapping that only lock: Caps Lock, and Num Lock as it is everywhere. A finger on them is no
/// shortcut.
const LOCKS: [usize; 2] = [1, 4];

/// What has to be known of the server to ask.
#[derive(Debug)]
pub(super) struct Focus {
    active_window: Atom,
}

impl Focus {
    /// Readies asking.
    ///
    /// # Errors
    /// The connection broke.
    pub fn start(conn: &Link) -> Result<Self, Broken> {
        Ok(Self { active_window: conn.intern_atom(false, b"_NET_ACTIVE_WINDOW")?.reply()?.atom })
    }

    /// The application's window that has the keyboard.
    ///
    /// # Errors
    /// The connection broke.
    pub fn window(&self, conn: &Link) -> Result<Option<Window>, Broken> {
        let Some(focused) = self.focused(conn)? else { return Ok(None) };
        // The keyboard may be with a part of the window. The class is at the window itself.
        let (mut at, root) = (focused, conn.setup().roots[0].root);
        while at != root && at != x11rb::NONE {
            // A window may go while it is asked for.
            let Ok(class) =
                conn.get_property(false, at, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 256)?.reply()
            else {
                return Ok(None);
            };
            // Two strings, each with a zero behind it: the instance and the class.
            if let Some(class) = class.value.split(|byte| *byte == 0).nth(1).filter(|class| !class.is_empty())
            {
                return Ok(Some(Window { id: at.into(), app: String::from_utf8_lossy(class).into_owned() }));
            }
            let Ok(tree) = conn.query_tree(at)?.reply() else { return Ok(None) };
            at = tree.parent;
        }
        Ok(Some(Window { id: focused.into(), app: String::new() }))
    }

    /// Who gets keys. Nobody, where no window was given the keyboard, or the pointer, which it follows then, is in none. Window
    /// managers give it to a window of their own instead, and say that no window is active; so they do while a launcher has
    /// it.
    ///
    /// # Errors
    /// The connection broke.
    pub fn listener(&self, conn: &Link) -> Result<Listener, Broken> {
        let root = conn.setup().roots[0].root;
        let (focus, pointer) = (conn.get_input_focus()?, conn.query_pointer(root)?);
        let active = conn.get_property(false, root, self.active_window, AtomEnum::WINDOW, 0, 1)?;
        let (focus, under_pointer) = (focus.reply()?.focus, pointer.reply()?.child);
        let none_active =
            active.reply()?.value32().and_then(|mut windows| windows.next()) == Some(x11rb::NONE);
        let follows = focus == root || focus == InputFocus::POINTER_ROOT.into();
        Ok(if focus == x11rb::NONE || follows && under_pointer == x11rb::NONE {
            Listener::Nobody
        } else if none_active {
            Listener::Untold
        } else {
            Listener::Window
        })
    }

    /// The range of numbers of the client that has the keyboard, to tell its requests from others'.
    ///
    /// # Errors
    /// The connection broke.
    pub fn client(&self, conn: &Link) -> Result<Option<Client>, Broken> {
        let mask = conn.setup().resource_id_mask;
        Ok(self.focused(conn)?.map(|window| Client { base: window & !mask, mask }))
    }

    /// Waits until no modifier is held.
    ///
    /// # Errors
    /// The connection broke.
    pub fn hands_free(&self, conn: &Link, limit: Duration) -> Result<bool, Broken> {
        let map = conn.get_modifier_mapping()?.reply()?;
        let rows = map.keycodes.chunks(usize::from(map.keycodes_per_modifier()).max(1));
        let modifiers: Vec<u8> = rows
            .enumerate()
            .filter(|(row, _)| !LOCKS.contains(row))
            .flat_map(|(_, keycodes)| keycodes.iter().copied())
            .filter(|keycode| *keycode != 0)
            .collect();
        let end = Instant::now() + limit;
        loop {
            let down = conn.query_keymap()?.reply()?.keys;
            let held = |keycode: &u8| down[usize::from(*keycode / 8)] >> (keycode % 8) & 1 == 1;
            if !modifiers.iter().any(held) {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What the window manager says, else what the server says.
    fn focused(&self, conn: &Link) -> Result<Option<XWindow>, Broken> {
        let root = conn.setup().roots[0].root;
        let active = conn.get_property(false, root, self.active_window, AtomEnum::WINDOW, 0, 1)?;
        let focus = conn.get_input_focus()?;
        let active = active.reply()?.value32().and_then(|mut windows| windows.next());
        // 0 is no window, 1 is whatever the pointer is in.
        let focus = focus.reply()?.focus;
        Ok(active.into_iter().chain([focus]).find(|window| *window > 1))
    }
}

/// A client of the server, by the numbers of its windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    base: u32,
    mask: u32,
}

impl Client {
    /// Whether the window is this client's.
    pub const fn owns(self, window: XWindow) -> bool {
        window & !self.mask == self.base
    }
}
