//! The numbers the machine decides by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ControllerConfig;

/// What starts a take and what ends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The press starts it, the release ends it.
    #[default]
    Hold,
    /// The press starts it, the next press ends it. Also the fallback where releases cannot be seen.
    Toggle,
    /// A short tap is a toggle, a longer press is a hold.
    Auto,
    /// The second of two quick taps starts it, the next press ends it. A single tap is nothing.
    DoubleTap,
}

/// How many presses are remembered while a take takes its time. A fifth within the second or so of a decode is no
/// dictation; it is refused aloud.
pub const REMEMBERED: usize = 4;

/// How many texts may be on their way to the output with their copies kept.
pub const ON_THE_WAY: usize = 8;

/// How much later than the engine's own deadline the machine's expires, so that the engine's fault, which says more,
/// comes first.
pub const ENGINE_GRACE: Duration = Duration::from_secs(1);

/// From this length on a take of zeros means a dead microphone; a shorter one may only have been slow to start.
pub const DEAD_AFTER: Duration = Duration::from_secs(1);

/// The configuration as the machine uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What starts a take and what ends it.
    pub mode: Mode,
    /// A hold shorter than this is a tap (mode hold).
    pub min_hold: Duration,
    /// A press shorter than this is a toggle (mode auto).
    pub auto_tap: Duration,
    /// Two presses that are no further apart are a double tap (mode double tap).
    pub double_tap: Duration,
    /// The deadline of `recording`.
    pub max_take: Duration,
    /// The deadline of `key_pressed`.
    pub start_deadline: Duration,
    /// The deadline of `recording_stopped`.
    pub stop_deadline: Duration,
    /// The deadline of `recording_cancelled`.
    pub cancel_deadline: Duration,
    /// The shortest deadline the engine gets.
    pub decode_deadline: Duration,
    /// The engine's deadline in lengths of the take, where that is longer.
    pub decode_factor: u32,
    /// Attempts after the first.
    pub retries: u32,
    /// Stop listening after the first text.
    pub once: bool,
    /// How long cancelled audio can be brought back.
    pub undo: Duration,
    /// How much closed audio of a take is kept for a retry.
    pub retry_audio: Duration,
}

impl Policy {
    /// The deadline an engine gets for a take of this length.
    #[must_use]
    pub fn decode_deadline(&self, length: Duration) -> Duration {
        self.decode_deadline.max(length.saturating_mul(self.decode_factor))
    }
}

impl From<&ControllerConfig> for Policy {
    fn from(config: &ControllerConfig) -> Self {
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            mode: config.mode,
            min_hold: config.min_hold_ms.millis(),
            auto_tap: config.auto_tap_ms.millis(),
            double_tap: config.double_tap_ms.millis(),
            max_take: config.max_take_s.secs(),
            start_deadline: config.start_deadline_ms.millis(),
            stop_deadline: config.stop_deadline_ms.millis(),
            cancel_deadline: config.cancel_deadline_ms.millis(),
            decode_deadline: config.decode_deadline_s.secs(),
            decode_factor: small(config.decode_deadline_factor.get()),
            retries: small(config.retries.get()),
            once: config.once,
            undo: config.undo_s.secs(),
            retry_audio: config.retry_audio_s.secs(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::from(&ControllerConfig::default())
    }
}
