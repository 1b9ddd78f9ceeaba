//! The role *recorder*: from the press to the audio of a take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Fault, Moment, Segment, TakeId};

/// What a recorder is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecorderCommand {
    /// Takes may come: open the microphone now if the policy is to keep it open. Not answered when it is not.
    Open,
    /// No takes will come: close the microphone.
    Close,
    /// Begin a take that starts at `press` minus the pre-roll. Answered by `Started` or `Failed`.
    Start { take: TakeId, press: Moment },
    /// The key went up at `release`: go on while speech does, but no longer than the post-roll. Answered by `Finished`.
    Stop { take: TakeId, release: Moment },
    /// Throw the take away, in whatever state it is. Answered by `Cleared`, also when there is no such take.
    Abort { take: TakeId },
}

/// What a recorder tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RecorderEvent {
    /// The microphone delivers audio. `device` is for people, never for a label.
    Opened { device: String, rate_hz: u32, channels: u16 },
    /// The microphone is lost between takes; it is opened again at the next `Start`, or before.
    Lost(Fault),
    /// The take runs. `first_sample` is when its first sample was heard, pre-roll included; with an open microphone
    /// that is before the press.
    Started { take: TakeId, first_sample: Moment },
    /// `Start` could not be done; there is no take.
    StartFailed { take: TakeId, fault: Fault },
    /// A pause, or a segment closed by a long one. Only sent for live recognition.
    Heard(Segment),
    /// Speech goes on after the `Paused` segment of this index: its decode will not be the last.
    SpeechResumed { take: TakeId, index: u32 },
    /// The capture failed or starved in the take. `Finished` with what there is follows at once.
    Failed { take: TakeId, fault: Fault },
    /// The take's audio is complete: the rest after the last commit, and what is known of the whole.
    Finished { tail: Segment, summary: TakeSummary },
    /// The aborted take is gone.
    Cleared { take: TakeId },
}

/// What the recorder knows of a finished take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TakeSummary {
    /// Whether the voice-activity detector heard anything in the take that may be speech.
    pub has_speech: bool,
    /// Length of the take, pre-roll and post-roll included.
    pub length: Duration,
    /// How much of it lies before the press.
    pub pre_roll: Duration,
    /// How much of it lies after the release.
    pub post_roll: Duration,
    /// Every sample was exactly zero: a dead or muted microphone.
    pub digital_silence: bool,
    /// The loudest of what may be speech was so weak that the microphone must be turned up.
    pub quiet: bool,
    /// The capture ended before the key did.
    pub cut_short: bool,
}
