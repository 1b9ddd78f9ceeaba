//! What the controller itself finds wrong. Faults of the other roles pass through it as they are.

use std::time::Duration;

use ptt_messages::{Component, Fault, FaultKind};

/// A fault that no other role could have told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// No `Started` after the press.
    #[error(
        "the recording did not start within {0:?}; look at the microphone with `ptt-app devices`, then press again"
    )]
    NotStarted(Duration),
    /// The key was held, or forgotten, for longer than a take may last.
    #[error(
        "the take was stopped after {0:?} and is being transcribed; raise controller.max_take_s for longer ones"
    )]
    TooLong(Duration),
    /// No `Finished` after the release.
    #[error(
        "the recorder gave no audio within {0:?} of the release; look at the microphone with `ptt-app devices`"
    )]
    NoAudio(Duration),
    /// Every sample was zero.
    #[error("the microphone gave only silence; unmute it, or choose another one of `ptt-app devices`")]
    DeadMicrophone,
    /// The loudest speech of a take was very weak.
    #[error(
        "the microphone is very quiet; raise its input volume in the sound settings (`pavucontrol`, `alsamixer`), or speak closer to it"
    )]
    QuietMicrophone,
    /// Neither a text nor a failure from the engine.
    #[error("no text within {0:?}; choose a smaller model or raise controller.decode_deadline_s")]
    NoText(Duration),
    /// More presses than the machine remembers while a take takes its time.
    #[error(
        "{0} takes are waiting already, this press was not recorded; wait for their texts and press again"
    )]
    TooManyPresses(usize),
    /// The engine did not come to the end of what was said.
    #[error("a part of what was said could not be understood")]
    Incomplete,
    /// Nothing failed or was cancelled lately.
    #[error("there is nothing to try again: every text was delivered")]
    NothingToRetry,
    /// A take runs.
    #[error("a take is running; try again when it is over")]
    TakeRunning,
}

impl ControllerError {
    /// What may help.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::NotStarted(_) | Self::TooLong(_) | Self::NoAudio(_) | Self::NoText(_) => FaultKind::Timeout,
            Self::Incomplete => FaultKind::Broken,
            Self::DeadMicrophone | Self::QuietMicrophone | Self::NothingToRetry => FaultKind::Gone,
            Self::TooManyPresses(_) | Self::TakeRunning => FaultKind::Busy,
        }
    }
}

impl From<ControllerError> for Fault {
    fn from(error: ControllerError) -> Self {
        Self::new(Component::Controller, error.kind(), error.to_string())
    }
}
