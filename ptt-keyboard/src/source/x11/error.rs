//! What can go wrong between us and an X server, and what may help.
#![expect(clippy::wildcard_enum_match_arm, reason = "of x11rb's errors the rest is a lost connection")]

use std::io;

use ptt_messages::FaultKind;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::reexports::x11rb_protocol::errors::DisplayParsingError;

/// A failure of the X11 source. The texts are for the user.
#[derive(Debug, thiserror::Error)]
pub enum X11Error {
    /// Nobody says which server.
    #[error(
        "DISPLAY is not set, so there is no X server to listen to; start the program inside the X session (in a user \
         service: systemctl --user import-environment DISPLAY XAUTHORITY), or use backend = \"evdev\" or \"control\""
    )]
    NoDisplay,
    /// What says it cannot be read.
    #[error("DISPLAY is {display:?}, which names no X server; it looks like \":0\"")]
    BadDisplay {
        /// What it says.
        display: String,
    },
    /// Nobody answers there.
    #[error("no X server answers at DISPLAY {display:?} ({source}); it is tried again, or correct DISPLAY")]
    Unreachable {
        /// Where.
        display: String,
        /// Why.
        source: io::Error,
    },
    /// It does not let us in.
    #[error(
        "the X server at DISPLAY {display:?} refuses us ({reason}); run as the user of the session, with its XAUTHORITY"
    )]
    Refused {
        /// Where.
        display: String,
        /// Its own words.
        reason: String,
    },
    /// It has not what we need.
    #[error("the X server has no {what}; use backend = \"evdev\" or \"control\"")]
    Lacks {
        /// An extension.
        what: &'static str,
    },
    /// It was there.
    #[error("the X server is gone ({reason}); it is listened to again when it is back")]
    Lost {
        /// What was noticed.
        reason: String,
    },
    /// It is there and does not answer.
    #[error("the X server does not answer; it is tried again")]
    Hangs,
    /// It refused a request that it usually grants.
    #[error("the X server refused a request ({reason})")]
    Protocol {
        /// Its own words.
        reason: String,
    },
    /// XWayland shows us the keys of its own windows only.
    #[error(
        "WAYLAND_DISPLAY is set, and through XWayland only keys pressed in X11 windows are seen (backend = \"x11\" uses it \
         all the same)"
    )]
    UnderWayland,
}

impl X11Error {
    /// What may help.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::NoDisplay | Self::BadDisplay { .. } | Self::Lacks { .. } | Self::UnderWayland => {
                FaultKind::Misconfigured
            }
            Self::Unreachable { .. } | Self::Lost { .. } => FaultKind::Gone,
            Self::Refused { .. } => FaultKind::Denied,
            Self::Hangs => FaultKind::Timeout,
            Self::Protocol { .. } => FaultKind::Broken,
        }
    }

    /// Why `display` cannot be read.
    pub(super) fn of_parsing(error: &DisplayParsingError, display: &str) -> Self {
        if matches!(error, DisplayParsingError::DisplayNotSet) || display.is_empty() {
            Self::NoDisplay
        } else {
            Self::BadDisplay { display: display.to_owned() }
        }
    }

    /// Why the server at `display` did not greet us.
    pub(super) fn of_greeting(error: ConnectError, display: &str) -> Self {
        let display = display.to_owned();
        let words = |text: &[u8]| String::from_utf8_lossy(text).trim().to_owned();
        match error {
            ConnectError::IoError(error) if error.kind() == io::ErrorKind::TimedOut => Self::Hangs,
            ConnectError::IoError(source) => Self::Unreachable { display, source },
            ConnectError::SetupFailed(failed) => Self::Refused { display, reason: words(&failed.reason) },
            ConnectError::SetupAuthenticate(asked) => Self::Refused { display, reason: words(&asked.reason) },
            ConnectError::InvalidScreen | ConnectError::DisplayParsingError(_) => {
                Self::BadDisplay { display }
            }
            other => Self::Lost { reason: other.to_string() },
        }
    }
}

impl From<ConnectionError> for X11Error {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::IoError(error) if error.kind() == io::ErrorKind::TimedOut => Self::Hangs,
            ConnectionError::UnsupportedExtension => Self::Lacks { what: "extension XInput or XKEYBOARD" },
            other => Self::Lost { reason: other.to_string() },
        }
    }
}

impl From<ReplyError> for X11Error {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => error.into(),
            ReplyError::X11Error(error) => Self::Protocol { reason: format!("{error:?}") },
        }
    }
}

impl From<ReplyOrIdError> for X11Error {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(error) => error.into(),
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error).into(),
            ReplyOrIdError::IdsExhausted => Self::Lost { reason: "it has no number left for us".to_owned() },
        }
    }
}
