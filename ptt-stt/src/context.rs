//! How much of its 30 s the encoder looks at. Pure arithmetic; no engine lives here.
//!
//! Whisper was trained on 30 s windows, of which a short clip leaves most to silence. The engine of our own computes
//! little of that silence and loses nothing by it: the clip and a short margin are enough. whisper.cpp can only leave it
//! away, and a window that ends with the speech makes small models repeat for ever: there a margin of silence and a
//! smallest window are needed. [`crate::check`] looks at every result.

use std::time::Duration;

use ptt_messages::SAMPLE_RATE_HZ;

/// One encoder position is 20 ms.
pub const FRAME_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 50;
/// What the encoder was trained on: 30 s.
pub const FULL_FRAMES: u16 = 1_500;
/// Longest clip that is given to the engine at once: the window less the padding at its end.
pub const LONGEST_CLIP_SAMPLES: usize = 29 * SAMPLE_RATE_HZ as usize;
/// What our own engine computes of the silence right after a clip; on our clips 8 to 64 cannot be told apart
/// (`docs/performance.md`).
const NATIVE_MARGIN: usize = 24;
/// From here on a short window saves too little to be worth its risk.
const WORTH_IT_BELOW: usize = 1_280;

/// How the encoder's window follows from the clip's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextRule {
    margin: usize,
    least: usize,
    /// The sizes that are used are multiples of this.
    step: usize,
}

impl ContextRule {
    /// For whisper.cpp: `margin` is the silence after the clip, `least` the shortest window. Few sizes need warming.
    #[must_use]
    pub fn new(margin: Duration, least: Duration) -> Self {
        let frames = |d: Duration| usize::try_from(d.as_millis()).unwrap_or(usize::MAX) / 20;
        Self { margin: frames(margin), least: frames(least), step: 64 }
    }

    /// For our own engine: the positions that are computed one by one.
    #[must_use]
    pub const fn native() -> Self {
        Self { margin: NATIVE_MARGIN, least: 4 * NATIVE_MARGIN, step: 1 }
    }

    /// Encoder positions for a clip of `samples`, up to [`FULL_FRAMES`].
    #[must_use]
    pub fn frames(self, samples: usize) -> u16 {
        let wanted =
            (samples.div_ceil(FRAME_SAMPLES) + self.margin).max(self.least).next_multiple_of(self.step);
        if wanted >= WORTH_IT_BELOW { FULL_FRAMES } else { u16::try_from(wanted).unwrap_or(FULL_FRAMES) }
    }

    /// For a second look at a clip whose result at `frames` is suspect. With whisper.cpp the short window may be the reason,
    /// so it is the full one; our own engine computes some more of the silence, so that other numbers come out.
    #[must_use]
    pub fn wider(self, frames: u16) -> u16 {
        if self.step > 1 {
            FULL_FRAMES
        } else {
            frames.saturating_mul(2).saturating_add(128).min(FULL_FRAMES)
        }
    }

    /// The smallest window of all: that of the shortest clip.
    #[must_use]
    pub fn shortest(self) -> u16 {
        self.frames(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule() -> ContextRule {
        ContextRule::new(Duration::from_millis(2_560), Duration::from_millis(7_680))
    }

    #[test]
    fn a_window_follows_the_clip() {
        for (seconds, frames) in
            [(0, 384), (1, 384), (5, 384), (6, 448), (11, 704), (20, 1_152), (25, 1_500), (29, 1_500)]
        {
            assert_eq!(rule().frames(seconds * SAMPLE_RATE_HZ as usize), frames, "{seconds} s");
        }
        assert_eq!(rule().shortest(), 384);
        assert_eq!(rule().wider(384), FULL_FRAMES);
        let native = ContextRule::native();
        assert_eq!((native.frames(0), native.frames(64_000), native.wider(224)), (96, 224, 576));
        assert_eq!(native.wider(1_000), FULL_FRAMES);
    }

    proptest! {
        #[test]
        fn no_window_cuts_its_clip(samples in 0..LONGEST_CLIP_SAMPLES, margin in 320u64..20_000, least in 2_560u64..30_000) {
            let rule = ContextRule::new(Duration::from_millis(margin), Duration::from_millis(least));
            let frames = rule.frames(samples);
            prop_assert!(usize::from(frames) * FRAME_SAMPLES >= samples);
            prop_assert!(frames <= FULL_FRAMES);
            prop_assert!(frames >= rule.shortest());
            prop_assert!(rule.frames(samples + 1) >= frames);
        }
    }
}
