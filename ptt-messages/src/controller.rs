//! The role *controller*: what it can be asked for, and what it lets others watch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Component, Fault, Moment, Profile, Stage, SttTiming, TakeId, TextPath, Transcript};

/// What a controller can be asked for, beside the events of the other roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControllerCommand {
    /// Listen for the chord.
    Enable,
    /// Listen no more; a running take is finished first.
    Disable,
    /// Deliver the last undelivered text again, or transcribe the last salvaged audio again.
    Retry,
}

/// The states of the machine, by the names that code, logs, metrics and documents use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Not listening.
    #[default]
    Idle,
    /// Listening for the chord.
    WaitingForKey,
    /// The chord is down and the recording is being started.
    KeyPressed,
    /// The take is being recorded.
    Recording,
    /// The key is up; the last audio is on its way.
    RecordingStopped,
    /// The take is being thrown away.
    RecordingCancelled,
    /// The text is being made.
    Processing,
}

impl StateName {
    /// All of them, in the order of a take.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::WaitingForKey,
        Self::KeyPressed,
        Self::Recording,
        Self::RecordingStopped,
        Self::RecordingCancelled,
        Self::Processing,
    ];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::WaitingForKey => "waiting_for_key",
            Self::KeyPressed => "key_pressed",
            Self::Recording => "recording",
            Self::RecordingStopped => "recording_stopped",
            Self::RecordingCancelled => "recording_cancelled",
            Self::Processing => "processing",
        }
    }
}

/// How a take ended. Every take has exactly one. Also the label `outcome` of `ptt_takes_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A text was handed to the output.
    Text,
    /// Nothing was said, or nothing was understood: nothing was typed.
    Empty,
    /// Shorter than a hold.
    Tap,
    /// The user threw it away.
    Cancelled,
    /// It failed; what there is was kept and can be retried.
    Salvaged,
    /// It failed before there was any audio.
    NotStarted,
}

impl Outcome {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 6] =
        [Self::Text, Self::Empty, Self::Tap, Self::Cancelled, Self::Salvaged, Self::NotStarted];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Empty => "empty",
            Self::Tap => "tap",
            Self::Cancelled => "cancelled",
            Self::Salvaged => "salvaged",
            Self::NotStarted => "not_started",
        }
    }
}

/// What a controller lets others watch: the source of `status --follow`, `demo` and `bench`. Watching changes nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ControllerEvent {
    /// The machine went from one state to another.
    Transition {
        /// The take it was about, if any.
        take: Option<TakeId>,
        /// Before.
        from: StateName,
        /// After.
        to: StateName,
        /// The name of the input that did it.
        input: String,
        /// When the effects were sent.
        at: Moment,
        /// From the input's cause (the kernel's timestamp of a key, the sending of a message) to the effects sent.
        took: Duration,
    },
    /// The take that begins is of another profile than the default one.
    Profile {
        /// The take.
        take: TakeId,
        /// Its profile.
        profile: Profile,
    },
    /// A stage of a take was measured.
    Stage {
        /// The take.
        take: TakeId,
        /// The stage.
        stage: Stage,
        /// How long it took.
        took: Duration,
    },
    /// A part of the daemon became usable, or no longer is (`what` is `None`).
    Part {
        /// Which.
        component: Component,
        /// What it is, for people: a key source, a microphone, a model.
        what: Option<String>,
    },
    /// The text as it grows.
    Partial {
        /// The take.
        take: TakeId,
        /// Will not change.
        committed: Transcript,
        /// May change.
        tentative: Transcript,
    },
    /// The languages in which a take was spoken, where they were detected.
    Languages {
        /// The take.
        take: TakeId,
        /// Their codes, in the order in which they came.
        languages: Vec<String>,
    },
    /// Words of a take were understood and left out of its text; they are kept for a retry.
    Discarded {
        /// The take.
        take: TakeId,
    },
    /// A take's text is there and was handed to the output.
    Text {
        /// The take.
        take: TakeId,
        /// What was said.
        text: Transcript,
        /// How it came about.
        path: TextPath,
        /// From the release to the text.
        release_to_text: Duration,
        /// Where that time went.
        timing: SttTiming,
    },
    /// The take is over.
    Ended {
        /// The take.
        take: TakeId,
        /// How.
        outcome: Outcome,
    },
    /// The text reached its sink.
    Delivered {
        /// The take.
        take: TakeId,
        /// Name of the sink.
        sink: String,
    },
    /// The text was cancelled while it waited to go out: nothing of it is out, and it is kept for a retry.
    Withdrawn {
        /// The take.
        take: TakeId,
    },
    /// Something works, and could work better; told once.
    Hint {
        /// The take in which it was noticed.
        take: TakeId,
        /// What, and what to do.
        hint: String,
    },
    /// Something failed.
    Fault {
        /// The take it hit, if any.
        take: Option<TakeId>,
        /// What, and what to do.
        fault: Fault,
    },
}
