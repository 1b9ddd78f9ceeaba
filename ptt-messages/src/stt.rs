//! The role *speech to text*. Plain serialisable values, so that an engine can live in another process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Fault, Profile, Segment, TakeId, Transcript};

/// What an engine is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SttCommand {
    /// Load the model and warm it up, if it is not. Answered by `Ready` or `Failed { take: None }`.
    Load,
    /// Give the model's memory back. Answered by `Unloaded`.
    Unload,
    /// Decode in the background: a pause or a committed segment of a running take.
    Hear { segment: Segment, profile: Profile },
    /// Speech goes on after the pause at the end of this segment: its background decode may be useless.
    SpeechResumed { take: TakeId, index: u32 },
    /// The rest of the take; the text of the whole take is wanted. Answered by `Complete` or `Failed`.
    /// `attempt` counts from 1; from 2 on a fresh worker is used, unless the one there is only needed longer than it had.
    Transcribe { tail: Segment, profile: Profile, attempt: u32, deadline: Duration },
    /// Forget the take and stop what runs for it. Nothing is said about it after this.
    Abort { take: TakeId },
}

/// What an engine tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SttEvent {
    /// The model is resident and warm.
    Ready { model: String, load: Duration },
    /// The model's memory was given back.
    Unloaded,
    /// The text so far: what will not change, and what may.
    Partial { take: TakeId, committed: Transcript, tentative: Transcript },
    /// What is to be told about a take's text, right before it; not sent where there is nothing.
    Remarks { take: TakeId, remarks: Remarks },
    /// The text of the whole take. Empty when nothing was said.
    Complete { take: TakeId, text: Transcript, path: TextPath, timing: SttTiming },
    /// No text: of a take, or of loading (`None`).
    Failed { take: Option<TakeId>, fault: Fault },
}

/// What is to be told about a take's text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remarks {
    /// Codes of the languages that were detected, in the order in which they came.
    pub languages: Vec<String>,
    /// Words that were understood and left out of the text, because they may be none.
    pub discarded: Option<Transcript>,
    /// Speech of the take has no text.
    pub incomplete: bool,
}

/// How the text of a take came about. Also the label `path` of `ptt_release_to_text_seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPath {
    /// It was there when the key came up.
    Ready,
    /// Only the rest after the last decode was decoded.
    Tail,
    /// A result was suspect and was decoded once more at full context.
    Fallback,
    /// The whole take was decoded after the release.
    Batch,
    /// No speech: the engine was not asked.
    NoSpeech,
}

impl TextPath {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Tail, Self::Fallback, Self::Batch, Self::NoSpeech];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Tail => "tail",
            Self::Fallback => "fallback",
            Self::Batch => "batch",
            Self::NoSpeech => "no_speech",
        }
    }
}

/// Where the time of a final decode went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SttTiming {
    /// Audio that was decoded after the release.
    pub audio: Duration,
    /// From the command to the engine's start.
    pub queued: Duration,
    /// Mel spectrogram and encoder.
    pub encode: Duration,
    /// Decoder and sampling.
    pub decode: Duration,
    /// Processor seconds spent for this take in the background.
    pub background: Duration,
}
