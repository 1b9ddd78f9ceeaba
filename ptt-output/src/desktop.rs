//! A desktop's hands: what typing, pasting and the clipboard need of a windowing system, one implementation each.
//!
//! What lives here: the trait, which system is there, and the names of the keys that paste. What does not: which text
//! goes which way and what follows when a way fails (`sink/desk.rs`).

mod backlog;
mod chord;
mod content;
mod pace;
pub mod portal;
pub mod uinput;
pub mod wayland;
pub mod x11;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::info;

pub use chord::PasteChord;

use crate::error::OutputError;
use portal::{Portal, Wants};
use wayland::Wayland;

/// The window that has the keyboard's focus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The system's own number; compared only.
    pub id: u64,
    /// The X11 class or the Wayland application id, for the rules of applications; may be empty.
    pub app: String,
}

/// Who gets keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// A window, for all that is known.
    Window,
    /// No window; nobody, or a panel or launcher, of which the system does not tell.
    Untold,
    /// Certainly nobody.
    Nobody,
}

/// A connection to a windowing system. Lives on the delivering thread, so it may block, within the limits given.
///
/// After [`OutputError::DesktopLost`], of the keyboard of `uinput` [`OutputError::KeyboardLost`], it is of no use any more: the
/// sink drops it and opens another one for the next text. Every other error leaves it usable.
pub trait Desktop: Send {
    /// "x11", "wayland", "portal", "uinput": for messages.
    fn name(&self) -> &'static str;

    /// The focused window; `None` where the system does not tell.
    ///
    /// # Errors
    /// [`OutputError::DesktopLost`].
    fn focus(&mut self) -> Result<Option<Window>, OutputError>;

    /// Whether the system tells of focused windows at all.
    fn tells_windows(&self) -> bool {
        true
    }

    /// Who would get keys that are pressed now.
    ///
    /// # Errors
    /// [`OutputError::DesktopLost`].
    fn listener(&mut self) -> Result<Listener, OutputError> {
        Ok(Listener::Window)
    }

    /// Waits until the user holds no modifier, up to `limit`, and says whether so. `true` where the system does not
    /// tell.
    ///
    /// # Errors
    /// [`OutputError::DesktopLost`], [`OutputError::KeyboardDenied`].
    fn hands_free(&mut self, limit: Duration) -> Result<bool, OutputError>;

    /// The keys that paste where the user names none.
    fn paste_chord(&self) -> PasteChord {
        PasteChord::SHIFT_INSERT
    }

    /// Types at the cursor, in any layout, whatever Caps Lock is; the keyboard of `uinput` in its own layout only, and not while
    /// Caps Lock is on. Every key goes down and up in one flush. A line break is the Return key: the sink has made spaces of
    /// those the user did not ask for.
    ///
    /// # Errors
    /// Before any key [`OutputError::Untypable`], [`OutputError::LongText`] and [`OutputError::NotOffered`], of `uinput`
    /// [`OutputError::NotInLayout`], [`OutputError::CapsLock`], [`OutputError::ModifiersHeld`] and
    /// [`OutputError::KeyboardDenied`]. When a part may be out [`OutputError::DesktopLost`], [`OutputError::NotRead`],
    /// [`OutputError::WindowGone`], of `uinput` [`OutputError::KeyboardLost`] and [`OutputError::HeldMidway`].
    fn type_text(&mut self, text: &str) -> Result<(), OutputError>;

    /// Takes the clipboard, sends the chord, waits until the focused application took the text, and gives the old
    /// content back in all its formats, if the clipboard is still ours then. The giving back may go on after the return.
    ///
    /// # Errors
    /// [`OutputError::NotTaken`] when nobody took the text within `limit`, which counts for a window that reads its events: the
    /// text stays in the clipboard then, may still be taken, and only after that the old content comes back.
    /// [`OutputError::ClipboardBusy`], maybe after the chord. [`OutputError::NotOffered`] and [`OutputError::Portal`] before it;
    /// [`OutputError::DesktopLost`] and [`OutputError::PortalLost`] when the text may be out.
    fn paste(&mut self, text: &str, chord: PasteChord, limit: Duration) -> Result<(), OutputError>;

    /// Leaves the text in the clipboard, served for as long as nobody else takes it and the daemon lives.
    ///
    /// # Errors
    /// As [`Self::paste`], save `NotTaken`.
    fn copy(&mut self, text: &str) -> Result<(), OutputError>;

    /// Nothing was delivered for a few seconds: puts back what typing has changed and could not put back at once.
    fn rest(&mut self) {}
}

/// Which windowing system, by its name in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Wayland where `WAYLAND_DISPLAY` names a display, else X11 where `DISPLAY` does, else a Wayland display that is found.
    #[default]
    Auto,
    /// X11, or the X server that a Wayland desktop runs for old programs.
    X11,
    /// Wayland, with the portal's help where the compositor lets no program type.
    Wayland,
    /// The desktop's portal alone.
    Portal,
}

/// Whether a desktop is named in the environment that `env` reads, or a Wayland display is `found`.
/// The portal is one by itself: it is chosen by name.
pub(crate) fn is_there(
    system: System,
    env: impl Fn(&str) -> Option<std::ffi::OsString>,
    found: impl FnOnce() -> bool,
) -> bool {
    let set = |name| env(name).is_some_and(|value| !value.is_empty());
    match system {
        System::Auto => set("WAYLAND_DISPLAY") || set("DISPLAY") || found(),
        System::X11 => set("DISPLAY"),
        System::Wayland => set("WAYLAND_DISPLAY") || found(),
        System::Portal => true,
    }
}

/// Connects to the desktop, again and again. The portal is asked once in its life: its dialog is not to come back with
/// every connection.
#[derive(Debug)]
pub struct Opener {
    system: System,
    /// Whether keys are wanted, or only the clipboard.
    keys: bool,
    portal: Option<Portal>,
}

impl Opener {
    /// For this system. Without `keys` the clipboard is all that is asked for, where it can be had alone.
    #[must_use]
    pub const fn new(system: System, keys: bool) -> Self {
        Self { system, keys, portal: None }
    }

    /// Connects.
    ///
    /// # Errors
    /// Why there is no desktop, with what to do.
    pub fn open(&mut self) -> Result<Box<dyn Desktop>, OutputError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (self.system, set("WAYLAND_DISPLAY"), set("DISPLAY")) {
            (System::Auto, None, Some(display)) | (System::X11, _, Some(display)) => {
                Ok(Box::new(x11::X11::connect(&display)?))
            }
            (System::Auto | System::Wayland, Some(display), _) => self.over_wayland(&display),
            (System::Auto, None, None) | (System::Wayland, None, _) => {
                self.over_wayland(&wayland::found().ok_or(OutputError::NoDesktop)?)
            }
            (System::X11, _, None) => Err(OutputError::NoDesktop),
            (System::Portal, _, _) => Ok(Box::new(self.portal(Wants::KeysAndClipboard)?)),
        }
    }

    /// The compositor's own ways where it has them; what it lacks is the portal's.
    fn over_wayland(&mut self, display: &str) -> Result<Box<dyn Desktop>, OutputError> {
        let wayland = Wayland::connect(display)?;
        let offers = wayland.offers();
        if offers.keyboard || offers.clipboard && !self.keys {
            return Ok(Box::new(wayland));
        }
        if offers.clipboard {
            if self.portal.is_none() {
                info!(
                    "this compositor lets no program type: its desktop's portal is asked to press the keys that paste"
                );
            }
            wayland.press_by(self.portal(Wants::Keys)?)?;
            return Ok(Box::new(wayland));
        }
        if self.portal.is_none() {
            info!(
                "this compositor lets programs neither type nor use the clipboard: its desktop's portal is asked"
            );
        }
        Ok(Box::new(self.portal(Wants::KeysAndClipboard)?))
    }

    fn portal(&mut self, wants: Wants) -> Result<Portal, OutputError> {
        let portal = match self.portal.take() {
            Some(portal) => portal,
            None => Portal::ask(wants)?,
        };
        Ok(self.portal.insert(portal).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desktop_is_there_where_one_is_named_or_found() {
        for (system, named, found, there) in [
            (System::Auto, "", false, false),
            (System::Auto, "DISPLAY", false, true),
            (System::Auto, "WAYLAND_DISPLAY", false, true),
            (System::Auto, "", true, true),
            (System::X11, "WAYLAND_DISPLAY", true, false),
            (System::X11, "DISPLAY", false, true),
            (System::Wayland, "DISPLAY", false, false),
            (System::Wayland, "", true, true),
            (System::Portal, "", false, true),
        ] {
            let env = |name: &str| Some(if name == named { ":0" } else { "" }.into());
            assert_eq!(is_there(system, env, || found), there, "{system:?} {named:?} {found}");
        }
    }
}
