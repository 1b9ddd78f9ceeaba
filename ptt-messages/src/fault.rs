//! Errors as values: what travels to the state machine when something fails.

use serde::{Deserialize, Serialize};

/// The part of the program a fault came from. Also the label `component` of `ptt_faults_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Key sources and chords.
    Keyboard,
    /// Microphone and takes.
    Recorder,
    /// Engine, worker and models.
    Stt,
    /// Chimes.
    Feedback,
    /// Sinks.
    Output,
    /// Leases and residency.
    Resources,
    /// The state machine's own deadlines.
    Controller,
}

impl Component {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 7] = [
        Self::Keyboard,
        Self::Recorder,
        Self::Stt,
        Self::Feedback,
        Self::Output,
        Self::Resources,
        Self::Controller,
    ];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Keyboard => "keyboard",
            Self::Recorder => "recorder",
            Self::Stt => "stt",
            Self::Feedback => "feedback",
            Self::Output => "output",
            Self::Resources => "resources",
            Self::Controller => "controller",
        }
    }
}

/// What may help against a fault (after cpal's `ErrorKind`). Also the label `kind` of `ptt_faults_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// In use by someone else: trying again shortly may help.
    Busy,
    /// A device, a server or a file is not there (any more): trying again after it came back helps.
    Gone,
    /// Something failed inside: a fresh device, worker or process may help.
    Broken,
    /// It took too long.
    Timeout,
    /// Not permitted: only the user can help.
    Denied,
    /// The configuration or an argument is wrong: only the user can help.
    Misconfigured,
}

impl FaultKind {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 6] =
        [Self::Busy, Self::Gone, Self::Broken, Self::Timeout, Self::Denied, Self::Misconfigured];

    /// Whether the same thing once more may go well without the user doing anything.
    #[must_use]
    pub const fn worth_retrying(self) -> bool {
        match self {
            Self::Busy | Self::Gone | Self::Broken | Self::Timeout => true,
            Self::Denied | Self::Misconfigured => false,
        }
    }

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Gone => "gone",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::Denied => "denied",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// Something failed. Every actor crate's error type turns into one, so that the machine can decide and the user can act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Where.
    pub component: Component,
    /// What may help.
    pub kind: FaultKind,
    /// One line for the user that says what to do. Never holds what was said.
    pub message: String,
}

impl Fault {
    /// A fault of `component`; `message` is shown to the user as it is.
    #[must_use]
    pub fn new(component: Component, kind: FaultKind, message: impl Into<String>) -> Self {
        Self { component, kind, message: message.into() }
    }
}
