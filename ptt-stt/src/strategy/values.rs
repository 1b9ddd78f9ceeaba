//! The values that go into the decisions and come out of them.

use std::time::Duration;

use ptt_messages::{Clip, Fault, Moment, Profile, Segment, SttEvent, TakeId, Transcript};
use serde::{Deserialize, Serialize};

use crate::check::Suspicion;
use crate::clean::Discard;
use crate::context::ContextRule;
use crate::engine::{Decoded, Detection};

/// When a take is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// While the key is held: at pauses, and what is committed.
    #[default]
    Live,
    /// All of it after the release.
    Batch,
}

/// What the decisions depend on beside the inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When a take is decoded.
    pub kind: StrategyKind,
    /// Compute threads after the release.
    pub threads: usize,
    /// Compute threads while the key is held.
    pub background_threads: usize,
    /// Allowed work in vain, in percent of the work that the take needs anyway.
    pub speculation_percent: u64,
    /// The short context, or `None` for the full one always.
    pub context: Option<ContextRule>,
    /// What is particular about each profile's takes, the default one's first.
    pub profiles: Vec<Speech>,
    /// The languages that may be detected; empty for all.
    pub languages: Vec<String>,
    /// How many words of the text so far are the next piece's prompt.
    pub prompt_words: usize,
}

impl Policy {
    /// What is particular about a profile's takes; the default one's where there is no such profile.
    #[must_use]
    pub fn speech(&self, profile: Profile) -> Option<&Speech> {
        self.profiles.get(profile.index()).or_else(|| self.profiles.first())
    }
}

/// How the takes of one profile are spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speech {
    /// The language's code or `auto`; `None` as the engine was opened with.
    pub language: Option<String>,
    /// A sentence of words to know, or nothing.
    pub vocabulary: String,
}

/// One decode. Counts up for the life of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The recorder closed a segment or saw a pause.
    Hear(Segment, Profile),
    /// Speech goes on after a pause.
    SpeechResumed { take: TakeId, index: u32 },
    /// The text of the whole take is wanted within `deadline`.
    Transcribe { tail: Segment, profile: Profile, attempt: u32, deadline: Duration },
    /// Forget the take.
    Abort { take: TakeId },
    /// A decode ended.
    Done(Done),
    /// A take's text is not there although its deadline, and some grace after it, passed.
    Overdue { take: TakeId, attempt: u32 },
}

/// How a decode ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Which.
    pub job: JobId,
    /// When the engine began with it.
    pub began: Moment,
    /// Processor time it took.
    pub cpu: Duration,
    /// What came of it.
    pub result: Result<Decoded, Failure>,
}

/// Why a decode gave no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was cancelled.
    Cancelled,
    /// The engine failed.
    Failed(Fault),
}

/// What to do.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start this decode after what was cancelled has ended. There is no other that was not cancelled.
    Decode(Assignment),
    /// Somebody waits for this decode now: it may have so many threads from here on.
    Hurry(JobId, usize),
    /// Stop this decode.
    Cancel(JobId),
    /// Give up the worker with whatever it does, and make a fresh one; one that is still loading is as good as fresh.
    Renew,
    /// Tell whoever listens.
    Tell(SttEvent),
    /// Count this.
    Note(Note),
}

/// A decode to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Its number.
    pub job: JobId,
    /// What to decode.
    pub clip: Clip,
    /// Encoder positions.
    pub frames: u16,
    /// What was said before.
    pub prompt: Transcript,
    /// The language of the take's profile, where it has one of its own.
    pub language: Option<String>,
    /// How it is detected where it is `auto`.
    pub detection: Detection,
    /// Compute threads to begin with.
    pub threads: usize,
    /// Whether nobody waits for it when it begins.
    pub background: bool,
    /// When its result is useless.
    pub deadline: Moment,
}

/// What the metrics want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A segment was committed.
    Commit,
    /// A background decode was stopped.
    Aborted,
    /// A result was suspect, and its audio is decoded once more, whole or in parts.
    Fallback(Suspicion),
    /// Words were understood and left out.
    Discarded(Discard),
    /// Background processor time whose result became part of a text.
    Useful(Duration),
    /// Background processor time in vain.
    Wasted(Duration),
    /// Segments of a take that never arrived; its text has a hole.
    Missing(u32),
}
