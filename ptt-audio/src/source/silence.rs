//! A microphone in front of which nobody speaks: zeros, or the noise of a quiet room.

use std::thread::Thread;

use ptt_messages::{Moment, SAMPLE_RATE_HZ};

use crate::config::SilenceKind;
use crate::error::AudioError;
use crate::ring::hand_over;
use crate::source::paced::Paced;
use crate::source::{CaptureSource, Cue, Format, Opened, Stream};

/// -70 dBFS of white noise between plus and minus this.
const ROOM: f32 = 0.000_55;

/// The backend `silence`.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    kind: SilenceKind,
}

impl Silence {
    /// Silence of a kind.
    #[must_use]
    pub const fn new(kind: SilenceKind) -> Self {
        Self { kind }
    }
}

impl CaptureSource for Silence {
    fn open(&self, wake: &Thread) -> Result<Opened, AudioError> {
        let (feed, drain) = hand_over(SAMPLE_RATE_HZ, 1, wake.clone());
        let level = match self.kind {
            SilenceKind::Digital => 0.0,
            SilenceKind::Room => ROOM,
        };
        let mut state = 0x2545_f491_u32;
        let paced = Paced::start(feed, move |_, block| {
            for sample in block {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *sample = level * ((state >> 8) as f32 / 8_388_608.0 - 1.0);
            }
        })?;
        let format =
            Format { device: "silence".to_owned(), rate_hz: SAMPLE_RATE_HZ, channels: 1, live: true };
        Ok(Opened { stream: Box::new(Quiet(paced)), drain, format })
    }
}

struct Quiet(#[expect(dead_code, reason = "dropping it ends the thread")] Paced);

impl Stream for Quiet {
    fn take_begins(&mut self, _press: Moment) -> Result<Cue, AudioError> {
        Ok(Cue::Live)
    }

    fn take_ends(&mut self) {}
}
