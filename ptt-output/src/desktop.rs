//! A desktop's hands: what typing, pasting and the clipboard need of a windowing system, one implementation each.
//!
//! What lives here: the trait, which system is there, and the names of the keys that paste. What does not: which text
//! goes which way and what follows when a way fails (`sink/desk.rs`).

mod chord;
pub mod wayland;
pub mod x11;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use chord::PasteChord;

use crate::error::OutputError;

/// The window that has the keyboard's focus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The system's own number; compared only.
    pub id: u64,
    /// The X11 class or the Wayland application id, for the rules of applications; may be empty.
    pub app: String,
}

/// A connection to a windowing system. Lives on the delivering thread, so it may block, within the limits given.
///
/// After [`OutputError::DesktopLost`] it is of no use any more: the sink drops it and opens another one for the next
/// text. Every other error leaves it usable.
pub trait Desktop: Send {
    /// "x11", "wayland": for messages.
    fn name(&self) -> &'static str;

    /// The focused window; `None` where the system does not tell.
    ///
    /// # Errors
    /// [`OutputError::DesktopLost`].
    fn focus(&mut self) -> Result<Option<Window>, OutputError>;

    /// Waits until the user holds no modifier, up to `limit`, and says whether so. `true` where the system does not
    /// tell.
    ///
    /// # Errors
    /// [`OutputError::DesktopLost`].
    fn hands_free(&mut self, limit: Duration) -> Result<bool, OutputError>;

    /// Types at the cursor, in any layout, whatever Caps Lock is. Every key goes down and up in one flush. A line break
    /// is the Return key: the sink has made spaces of those the user did not ask for.
    ///
    /// # Errors
    /// [`OutputError::Untypable`] and [`OutputError::NotOffered`] before any key; [`OutputError::DesktopLost`] when a
    /// part may be out.
    fn type_text(&mut self, text: &str) -> Result<(), OutputError>;

    /// Takes the clipboard, sends the chord, waits until the focused application took the text, and gives the old
    /// content back in all its formats, if the clipboard is still ours then. The giving back may go on after the return.
    ///
    /// # Errors
    /// [`OutputError::NotTaken`] when nobody took the text within `limit`: it stays in the clipboard then.
    /// [`OutputError::NotOffered`], [`OutputError::ClipboardBusy`], [`OutputError::DesktopLost`].
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
    /// Wayland.
    Wayland,
}

/// Connects to the desktop.
///
/// # Errors
/// Why there is none, with what to do.
pub fn open(system: System) -> Result<Box<dyn Desktop>, OutputError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (system, set("WAYLAND_DISPLAY"), set("DISPLAY")) {
        (System::Auto, None, Some(display)) | (System::X11, _, Some(display)) => {
            Ok(Box::new(x11::X11::connect(&display)?))
        }
        (System::Auto | System::Wayland, Some(display), _) => {
            Ok(Box::new(wayland::Wayland::connect(&display)?))
        }
        (System::Auto, None, None) | (System::Wayland, None, _) => {
            let display = wayland::found().ok_or(OutputError::NoDesktop)?;
            Ok(Box::new(wayland::Wayland::connect(&display)?))
        }
        (System::X11, _, None) => Err(OutputError::NoDesktop),
    }
}
