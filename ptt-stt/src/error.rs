//! What can go wrong between audio and text.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ptt_messages::{Component, Fault, FaultKind};

use crate::model::ModelError;

/// Why there is no text, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SttError {
    /// The model's file is missing or may not be trusted.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// whisper.cpp refused the model.
    #[error("the engine cannot load {}; check it with `ptt-app models verify`, or fetch it again with `ptt-app models pull`", path.display())]
    Load {
        /// The file.
        path: PathBuf,
    },
    /// No memory for the engine's buffers.
    #[error(
        "no memory for the engine's buffers; close other programs or choose a smaller model in `stt.model`"
    )]
    State,
    /// A language Whisper does not know.
    #[error(
        "`{given}` is no language that Whisper knows; set `language` to `auto` or to a code such as `en` or `de`"
    )]
    Language {
        /// What the configuration says.
        given: String,
    },
    /// An English model for another language.
    #[error("the model {model} knows English only, but the language is to be `{language}`; choose a model without `.en`, such as `{}`", model.trim_end_matches(".en"))]
    EnglishOnly {
        /// Name of the model.
        model: String,
        /// What the configuration says.
        language: String,
    },
    /// A profile's language does not go with the model.
    #[error("profile {name:?}: {error}")]
    OfProfile {
        /// What people call the profile.
        name: String,
        /// What is wrong.
        error: Box<SttError>,
    },
    /// The engine failed in a decode.
    #[error("the engine failed in a decode (code {code}); the audio is kept, try again")]
    Decode {
        /// whisper.cpp's return code.
        code: i32,
    },
    /// The engine panicked; it is made anew for the next decode.
    #[error("the engine crashed in a decode and is made anew; the audio is kept, try again")]
    Crashed,
    /// Too many engines neither ended nor listened; each still has its model.
    #[error(
        "the engine hangs ({number} left behind), so that none is loaded for this take; its audio is kept until that ends or \
         ptt-app is restarted"
    )]
    Stuck {
        /// How many.
        number: usize,
    },
    /// The decode took longer than it may.
    #[error(
        "the engine took longer than {limit:.1?}; the audio is kept, try again or choose a smaller model in `stt.model`"
    )]
    Timeout {
        /// What it was allowed.
        limit: Duration,
    },
    /// The decode was stopped because its result is not wanted any more.
    #[error("the decode was stopped because nobody waits for it any more")]
    Cancelled,
    /// The canned engine did as its script says.
    #[error("the canned engine failed because `stt.canned_script` says so")]
    Scripted,
    /// The worker's thread could not be started.
    #[error("cannot start the engine's thread; the limit of threads may be reached")]
    Thread(#[source] io::Error),
}

impl SttError {
    /// What may help.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Model(error) => error.kind(),
            Self::OfProfile { error, .. } => error.kind(),
            Self::Language { .. } | Self::EnglishOnly { .. } | Self::Load { .. } => FaultKind::Misconfigured,
            Self::Timeout { .. } => FaultKind::Timeout,
            Self::State
            | Self::Decode { .. }
            | Self::Crashed
            | Self::Stuck { .. }
            | Self::Cancelled
            | Self::Scripted
            | Self::Thread(_) => FaultKind::Broken,
        }
    }
}

impl From<&SttError> for Fault {
    fn from(error: &SttError) -> Self {
        Self::new(Component::Stt, error.kind(), error.to_string())
    }
}
