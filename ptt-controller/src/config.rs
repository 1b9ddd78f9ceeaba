//! The section `[controller]` of the configuration.

use ptt_messages::Within;
use serde::{Deserialize, Serialize};

use crate::fsm::Mode;

/// What a hold means and how long each step of a take may last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerConfig {
    /// `hold`: the take lasts as long as the hold. `toggle`: one press starts it, the next ends it.
    /// `auto`: a short tap is a toggle, a longer press is a hold. `double_tap`: two quick taps start it, one ends it.
    pub mode: Mode,
    /// A hold shorter than this is a tap and is thrown away without a sound (mode `hold`).
    pub min_hold_ms: Within<0, 2_000>,
    /// A press shorter than this leaves the take running until the next press (mode `auto`).
    pub auto_tap_ms: Within<50, 2_000>,
    /// From one press to the next, at most, for both to be a double tap (mode `double_tap`).
    pub double_tap_ms: Within<100, 2_000>,
    /// A take is stopped and transcribed after this.
    pub max_take_s: Within<1, 3_600>,
    /// From the press to the recording's confirmation.
    pub start_deadline_ms: Within<100, 60_000>,
    /// From the release to the take's audio; has to be longer than the post-roll.
    pub stop_deadline_ms: Within<600, 60_000>,
    /// From the cancel key to the recorder's confirmation.
    pub cancel_deadline_ms: Within<100, 60_000>,
    /// From the audio to the text, at least.
    pub decode_deadline_s: Within<1, 600>,
    /// From the audio to the text, in seconds per second of the take, where that is longer.
    pub decode_deadline_factor: Within<1, 100>,
    /// How often a take whose recognition failed is tried again by itself, in a fresh worker where it did more than take too long.
    pub retries: Within<0, 5>,
    /// Stop listening after the first text.
    pub once: bool,
    /// How long a take that was cancelled while its text was being made can be brought back.
    pub undo_s: Within<0, 3_600>,
    /// How much of a take's already closed audio is kept in memory for `retry` (64 kB per second).
    pub retry_audio_s: Within<0, 3_600>,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Hold,
            min_hold_ms: Within::new(150),
            auto_tap_ms: Within::new(350),
            double_tap_ms: Within::new(400),
            max_take_s: Within::new(120),
            start_deadline_ms: Within::new(2_000),
            stop_deadline_ms: Within::new(3_000),
            cancel_deadline_ms: Within::new(1_000),
            decode_deadline_s: Within::new(10),
            decode_deadline_factor: Within::new(4),
            retries: Within::new(1),
            once: false,
            undo_s: Within::new(30),
            retry_audio_s: Within::new(300),
        }
    }
}
