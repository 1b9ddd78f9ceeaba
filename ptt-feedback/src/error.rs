//! What can go wrong with the sound output, and what to do about it. None of it harms a take.

use std::io;

use ptt_messages::{Component, Fault, FaultKind};

/// Why no tone is heard.
#[derive(Debug, thiserror::Error)]
pub enum FeedbackError {
    /// No host has an output that works.
    #[error(
        "no sound output, so no chimes ({reasons}); plug in or switch on a device, or set `feedback.enabled = false`"
    )]
    NoOutput {
        /// One reason per host.
        reasons: String,
        /// What may help.
        kind: FaultKind,
    },
    /// The configured device is not there.
    #[error("no sound output is called {wanted:?}; there is: {found}; correct `feedback.device`")]
    NoSuchDevice {
        /// What the configuration says.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// The device was taken away or its server ended.
    #[error("the sound output is lost ({reason}); chimes come back with it")]
    Lost {
        /// What the system said.
        reason: String,
    },
    /// The device or its server takes no audio.
    #[error("the sound output stands still; chimes come back when it does, or restart the sound server")]
    Stuck,
    /// The player's thread could not be started.
    #[error("cannot start the thread for chimes: {source}; end other programs, or raise the limit on tasks")]
    NoThread {
        /// What the system said.
        source: io::Error,
    },
}

impl FeedbackError {
    /// What may help.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::NoOutput { kind, .. } => *kind,
            Self::NoSuchDevice { .. } => FaultKind::Misconfigured,
            Self::Lost { .. } => FaultKind::Gone,
            Self::Stuck => FaultKind::Timeout,
            Self::NoThread { .. } => FaultKind::Broken,
        }
    }
}

impl From<&FeedbackError> for Fault {
    fn from(error: &FeedbackError) -> Self {
        Self::new(Component::Feedback, error.kind(), error.to_string())
    }
}
