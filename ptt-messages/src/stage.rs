//! The stages of a take that more than one crate measures: their names, their targets, and the metrics they share.
//!
//! Every histogram of seconds has exact boundaries at the targets, so "how many met it" is a count, not an estimate.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Histogram of a stage's latency in seconds; label `stage`.
pub const STAGE_SECONDS: &str = "ptt_stage_seconds";
/// Gauge of a stage's design target in seconds; label `stage`.
pub const LATENCY_TARGET_SECONDS: &str = "ptt_latency_target_seconds";
/// Histogram of the time from a message's sending to its handling; label `actor`.
pub const MAILBOX_WAIT_SECONDS: &str = "ptt_mailbox_wait_seconds";
/// Counter of messages sent into a mailbox that was full, so that they are not lost; label `actor`.
pub const MAILBOX_OVERFULL_TOTAL: &str = "ptt_mailbox_overfull_total";
/// Counter of messages that could not be delivered; labels `actor` and `reason` (`full`, `closed`).
pub const MESSAGES_LOST_TOTAL: &str = "ptt_messages_lost_total";
/// Counter of faults; labels `component` and `kind`.
pub const FAULTS_TOTAL: &str = "ptt_faults_total";

/// A measured step of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Kernel or server event to our thread.
    KeyDetection,
    /// Any message from its sending to its handling.
    ThreadHop,
    /// `step` and sending its effects.
    StateTransition,
    /// Press to the callback that plays the first sample of the start chime.
    Feedback,
    /// Press to the recording's confirmation.
    RecordingStart,
    /// Press to the later of recording and chime.
    PttResponse,
    /// Release to the end of the take's audio (post-roll).
    PostRoll,
    /// Mel spectrogram and encoder of the final decode.
    Encode,
    /// Decoder of the final decode.
    Decode,
    /// Text to delivered.
    Deliver,
}

impl Stage {
    /// All of them, in the order of a take.
    pub const ALL: [Self; 10] = [
        Self::KeyDetection,
        Self::ThreadHop,
        Self::StateTransition,
        Self::Feedback,
        Self::RecordingStart,
        Self::PttResponse,
        Self::PostRoll,
        Self::Encode,
        Self::Decode,
        Self::Deliver,
    ];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::KeyDetection => "key_detection",
            Self::ThreadHop => "thread_hop",
            Self::StateTransition => "state_transition",
            Self::Feedback => "feedback",
            Self::RecordingStart => "recording_start",
            Self::PttResponse => "ptt_response",
            Self::PostRoll => "post_roll",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Deliver => "deliver",
        }
    }

    /// The design target (99th percentile), where there is one.
    #[must_use]
    pub const fn target(self) -> Option<Duration> {
        match self {
            Self::KeyDetection => Some(Duration::from_millis(10)),
            Self::ThreadHop => Some(Duration::from_millis(5)),
            Self::StateTransition => Some(Duration::from_millis(1)),
            Self::Feedback => Some(Duration::from_millis(20)),
            Self::RecordingStart => Some(Duration::from_millis(50)),
            Self::PttResponse => Some(Duration::from_millis(100)),
            Self::PostRoll | Self::Encode | Self::Decode | Self::Deliver => None,
        }
    }

    /// Puts one measurement into [`STAGE_SECONDS`].
    pub fn record(self, took: Duration) {
        metrics::histogram!(STAGE_SECONDS, "stage" => self.label()).record(took);
    }
}

/// Counts a fault in [`FAULTS_TOTAL`].
pub fn count_fault(fault: &crate::Fault) {
    metrics::counter!(FAULTS_TOTAL, "component" => fault.component.label(), "kind" => fault.kind.label())
        .increment(1);
}

/// Describes the metrics named here and exports the targets, so that they are there before the first take.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
    describe_histogram!(STAGE_SECONDS, Unit::Seconds, "Latency of one stage of a take");
    describe_gauge!(LATENCY_TARGET_SECONDS, Unit::Seconds, "Design target of a stage (99th percentile)");
    describe_histogram!(MAILBOX_WAIT_SECONDS, Unit::Seconds, "Time a message waited in an actor's mailbox");
    describe_counter!(MAILBOX_OVERFULL_TOTAL, Unit::Count, "Messages sent into a full mailbox, none lost");
    describe_counter!(MESSAGES_LOST_TOTAL, Unit::Count, "Messages that could not be delivered");
    describe_counter!(FAULTS_TOTAL, Unit::Count, "Faults by component and by what may help");
    for stage in Stage::ALL {
        if let Some(target) = stage.target() {
            gauge!(LATENCY_TARGET_SECONDS, "stage" => stage.label()).set(target.as_secs_f64());
        }
    }
    for component in crate::Component::ALL {
        for kind in crate::FaultKind::ALL {
            metrics::counter!(FAULTS_TOTAL, "component" => component.label(), "kind" => kind.label())
                .absolute(0);
        }
    }
}
