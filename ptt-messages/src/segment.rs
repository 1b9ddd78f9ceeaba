//! A stretch of a take between pauses: the unit in which audio goes from the recorder to the engine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Clip, SAMPLE_RATE_HZ, TakeId};

/// Which segment of which take. Segments of a take count up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId {
    /// The take it belongs to.
    pub take: TakeId,
    /// 0 for the first segment of the take.
    pub index: u32,
}

/// How final a segment's audio is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SegmentState {
    /// The speaker pauses; the same index may come again, longer, when speech goes on.
    Paused,
    /// The key is up and the speaker seems to be done: most likely the tail will hold the same words.
    Ending,
    /// Closed for good: the next audio belongs to the next index.
    Committed,
    /// The key is up and this is the rest of the take. Its clip is empty when nothing followed the last commit.
    Tail,
}

/// Audio of a take from `start` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Which one.
    pub id: SegmentId,
    /// How final its audio is.
    pub state: SegmentState,
    /// First sample, in samples at 16 kHz from the beginning of the take (pre-roll included).
    pub start: u64,
    /// End of the last speech the voice-activity detector heard, on the same scale; equals `start` when it heard none.
    /// Two segments of one index with the same `speech_end` hold the same words.
    pub speech_end: u64,
    /// Whether the voice-activity detector was certain of a voice in the take so far. Where it was not, `speech_end` says
    /// only that something sounded, and the engine decides whether anything was said.
    pub certain: bool,
    /// The samples from `start` on.
    pub clip: Clip,
}

impl Segment {
    /// Whether the voice-activity detector heard anything in it; see [`Segment::certain`].
    #[must_use]
    pub const fn has_speech(&self) -> bool {
        self.speech_end > self.start
    }

    /// Where the clip ends, in samples at 16 kHz from the beginning of the take.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.clip.samples().len() as u64
    }

    /// How much of the take lies before this segment.
    #[must_use]
    pub fn offset(&self) -> Duration {
        Duration::from_nanos(self.start * 1_000_000_000 / u64::from(SAMPLE_RATE_HZ))
    }
}
