//! What can go wrong with a keyboard, and what may help.

use std::io;
use std::path::PathBuf;

use ptt_messages::{Component, Fault, FaultKind};

use crate::source::portal::PortalError;
use crate::source::x11::X11Error;

/// A failure of this crate. The texts are for the user.
#[derive(Debug, thiserror::Error)]
pub enum KeyboardError {
    /// A name that no key has.
    #[error("there is no key {name:?}; {}", suggest(.near))]
    UnknownKey {
        /// What was written.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// A chord as another program writes it.
    #[error(
        "{text:?} is not how a chord is written here; did you mean {instead:?}? Keys are joined by + and named by their \
         place on a US keyboard"
    )]
    OtherSpelling {
        /// What was written.
        text: String,
        /// The same chord in our words.
        instead: String,
    },
    /// A chord that cannot be one.
    #[error(
        "{text:?} is not a chord: {reason}; write one to eight different keys joined by +, such as Down+Right"
    )]
    BadChord {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The cancel key is one of the chord's.
    #[error("the cancel key {key} is part of the chord {chord}; choose another one, or \"\" for none")]
    CancelInChord {
        /// The key's name.
        key: String,
        /// The chord.
        chord: String,
    },
    /// Two profiles have one chord.
    #[error("the profiles {one:?} and {other:?} have the same chord, {chord}; give one of them another")]
    SameChord {
        /// The chord.
        chord: String,
        /// The name of the first one.
        one: String,
        /// The name of the second one.
        other: String,
    },
    /// More keys than there are slots.
    #[error(
        "with {key} the chords and the cancel key are more than 64 different keys; use fewer or shorter chords"
    )]
    TooManyKeys {
        /// The first key that is one too many.
        key: String,
    },
    /// A step of a script that cannot be read.
    #[error(
        "step {step} of the script, {text:?}, cannot be read: {reason}; write for example \"+100ms down; +2s up\" with \
         down, up, cancel, toggle or unplug, and down or up of one key as \"+10ms down Right\""
    )]
    BadScript {
        /// Which step, counting from 1.
        step: usize,
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The backend plays a script and there is none.
    #[error(
        "backend = \"scripted\" plays what keyboard.script or keyboard.script_file says: set exactly one of them"
    )]
    NoScript,
    /// A script's file cannot be read.
    #[error("cannot read the key script {}: {source}", path.display())]
    ScriptFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no place where input devices could be.
    #[error("there is no {} and nothing above it: no input device can be here; use backend = \"control\"", path.display())]
    NoInputDevices {
        /// Where they would be.
        path: PathBuf,
    },
    /// No device has the chord's keys.
    #[error(
        "no input device has a key of the chord; plug the keyboard in, or change keyboard.chord or keyboard.devices"
    )]
    NoKeyboard,
    /// Devices with the chord's keys, none of which may be read.
    #[error(
        "may not read {} of {of} input devices with keys of the chord ({}); add yourself to the group `input` \
         (sudo usermod -aG input \"$USER\") and log in again, or let a udev rule give you the device (TAG+=\"uaccess\")",
        .names.len(), .names.join(", ")
    )]
    Denied {
        /// Names of the devices that may not be read.
        names: Vec<String>,
        /// How many devices have keys of the chord.
        of: usize,
    },
    /// The backend cannot see these keys.
    #[error("the backend {backend} cannot see {keys}; {instead}")]
    Unseen {
        /// The backend.
        backend: &'static str,
        /// The keys' names.
        keys: String,
        /// What to do.
        instead: &'static str,
    },
    /// Something between us and an X server.
    #[error("{0}")]
    X11(X11Error),
    /// libinput finds devices through udev only.
    #[error(
        "udev is not running, and inputbot finds keyboards only through it; start udev or use backend = \"evdev\""
    )]
    NoUdev,
    /// inputbot's state is global: one user at a time.
    #[error("inputbot is still in use in this process; trying again shortly helps")]
    Busy,
    /// The desktop's portal.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// A backend panicked.
    #[error("the backend {backend} failed inside ({message}); it is opened again")]
    Panicked {
        /// The backend.
        backend: &'static str,
        /// What the panic said.
        message: String,
    },
    /// A system call failed that does not usually.
    #[error("cannot {what}: {source}")]
    Os {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl KeyboardError {
    /// What may help.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::UnknownKey { .. }
            | Self::OtherSpelling { .. }
            | Self::BadChord { .. }
            | Self::CancelInChord { .. }
            | Self::SameChord { .. }
            | Self::TooManyKeys { .. }
            | Self::BadScript { .. }
            | Self::NoScript
            | Self::ScriptFile { .. }
            | Self::Unseen { .. } => FaultKind::Misconfigured,
            Self::X11(error) => error.kind(),
            Self::NoInputDevices { .. } | Self::NoKeyboard | Self::NoUdev => FaultKind::Gone,
            Self::Denied { .. } => FaultKind::Denied,
            Self::Busy => FaultKind::Busy,
            Self::Portal(error) => error.kind(),
            Self::Panicked { .. } | Self::Os { .. } => FaultKind::Broken,
        }
    }

    /// For `map_err` on system calls.
    pub(crate) fn os<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Os { what, source: source.into() }
    }
}

impl From<&KeyboardError> for Fault {
    fn from(error: &KeyboardError) -> Self {
        Self::new(Component::Keyboard, error.kind(), error.to_string())
    }
}

fn suggest(near: &[String]) -> String {
    if near.is_empty() {
        "keys are named by their place on a US keyboard, `ptt-app keys --names` lists them all".to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}
