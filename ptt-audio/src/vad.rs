//! Is somebody speaking? A score per frame of 16 ms, and the hysteresis that makes speech and silence of scores.
//! What follows from a pause or from speech is decided in [`take`](crate::take).

mod gain;

use std::fmt;

use gain::DetectorInput;
use ptt_messages::SAMPLE_RATE_HZ;

/// Samples of one verdict: 16 ms at 16 kHz.
pub const FRAME: usize = 256;

/// Frames below the lower threshold before speech counts as over.
const HANG_FRAMES: u64 = 6;

/// Frames in a row that make speech. One alone is a click.
const ONSET_FRAMES: u32 = 2;

/// How far below the threshold a frame still belongs to speech that has begun.
const EXIT_BELOW: f32 = 0.15;

/// How far above the threshold a voice is certain, and for how many frames in a row. Dishes, taps, chimes and an exercise
/// bike pass the threshold; of the noises of the test set only pink noise passes this (longest run of the others: 2),
/// and every one of 183 spoken clips does (shortest run: 9).
const CERTAIN_ABOVE: f32 = 0.3;
const CERTAIN_FRAMES: u32 = 4;

/// A voice-activity detector. It keeps a memory of what it heard.
pub trait Vad: Send {
    /// How much `frame` sounds like speech, 0.0 to 1.0. Samples are 16 kHz mono in -1.0..=1.0.
    fn score(&mut self, frame: &[f32; FRAME]) -> f32;
    /// Forgets: the next frame does not follow the last one.
    fn reset(&mut self);
}

/// The detector of the crate `earshot`, behind a gain of its own: its weights come with it, one frame takes some
/// microseconds.
pub struct Earshot {
    input: DetectorInput,
    detector: Box<earshot::Detector>,
}

impl Default for Earshot {
    fn default() -> Self {
        Self { input: DetectorInput::default(), detector: earshot::Detector::default_boxed() }
    }
}

impl Vad for Earshot {
    fn score(&mut self, frame: &[f32; FRAME]) -> f32 {
        self.detector.predict_f32(&self.input.next(frame))
    }

    fn reset(&mut self) {
        self.input = DetectorInput::default();
        self.detector.reset();
    }
}

impl fmt::Debug for Earshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Earshot")
    }
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody speaks.
    Silence,
    /// It sounds like speech, and the next frame will show whether it is.
    Maybe,
    /// Speech, and so were the `maybes` frames before it.
    Speech {
        /// How many `Maybe`s this frame confirms.
        maybes: u32,
    },
}

/// Makes speech and silence of scores.
#[derive(Clone, Copy, Debug)]
pub struct Hysteresis {
    enter: f32,
    speaking: bool,
    rising: u32,
    falling: u64,
    sure: u32,
}

impl Hysteresis {
    /// Speech begins at a score of `enter`.
    #[must_use]
    pub const fn new(enter: f32) -> Self {
        Self { enter, speaking: false, rising: 0, falling: 0, sure: 0 }
    }

    /// Whether what it called speech was certainly some, once at least. Until then it may all have been noise.
    #[must_use]
    pub const fn certain(&self) -> bool {
        self.sure >= CERTAIN_FRAMES
    }

    /// The verdict on the next frame.
    pub fn judge(&mut self, score: f32) -> Verdict {
        if self.sure < CERTAIN_FRAMES {
            self.sure = if score >= self.enter + CERTAIN_ABOVE { self.sure + 1 } else { 0 };
        }
        if self.speaking {
            if score >= self.enter - EXIT_BELOW {
                self.falling = 0;
                return Verdict::Speech { maybes: 0 };
            }
            self.falling += 1;
            self.speaking = self.falling < HANG_FRAMES;
            self.rising = 0;
            return Verdict::Silence;
        }
        if score < self.enter {
            self.rising = 0;
            return Verdict::Silence;
        }
        self.rising += 1;
        if self.rising < ONSET_FRAMES {
            return Verdict::Maybe;
        }
        self.speaking = true;
        self.falling = 0;
        Verdict::Speech { maybes: self.rising - 1 }
    }
}

/// Samples in `duration` at 16 kHz.
#[must_use]
pub const fn samples_in(duration: std::time::Duration) -> u64 {
    // Wraps after 36 years.
    duration.as_nanos() as u64 * (SAMPLE_RATE_HZ as u64 / 1_000) / 1_000_000
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A detector to whom loud is speech, so that a pattern of loud and quiet is both the audio and the truth about it.
    pub(crate) struct Loudness;

    impl Vad for Loudness {
        fn score(&mut self, frame: &[f32; FRAME]) -> f32 {
            if crate::dsp::mean_square(frame) > 0.01 { 0.9 } else { 0.1 }
        }

        fn reset(&mut self) {}
    }

    #[test]
    fn hysteresis_by_table() {
        use Verdict::{Maybe, Silence, Speech};
        let check = |scores: &[f32], expected: &[Verdict]| {
            let mut ear = Hysteresis::new(0.5);
            let heard: Vec<_> = scores.iter().map(|s| ear.judge(*s)).collect();
            assert_eq!(heard, expected, "{scores:?}");
        };
        check(&[0.1, 0.9, 0.1], &[Silence, Maybe, Silence]);
        check(&[0.6, 0.6, 0.4], &[Maybe, Speech { maybes: 1 }, Speech { maybes: 0 }]);
        // A dip shorter than the hang ends nothing, so one frame is enough to go on.
        check(
            &[0.6, 0.6, 0.1, 0.1, 0.4],
            &[Maybe, Speech { maybes: 1 }, Silence, Silence, Speech { maybes: 0 }],
        );
        // After the hang it takes a fresh onset.
        let mut scores = vec![0.6, 0.6];
        let mut expected = vec![Maybe, Speech { maybes: 1 }];
        scores.extend([0.1; HANG_FRAMES as usize]);
        expected.extend([Silence; HANG_FRAMES as usize]);
        scores.extend([0.4, 0.6]);
        expected.extend([Silence, Maybe]);
        check(&scores, &expected);
    }

    #[test]
    fn a_voice_is_certain_after_some_clear_frames_and_stays_so() {
        let mut ear = Hysteresis::new(0.5);
        for score in [0.6, 0.7, 0.9, 0.9, 0.9, 0.7, 0.9, 0.9, 0.9] {
            ear.judge(score);
            assert!(!ear.certain());
        }
        ear.judge(0.9);
        ear.judge(0.1);
        assert!(ear.certain());
    }

    #[test]
    fn silence_and_noise_are_not_speech() {
        let mut vad = Earshot::default();
        let mut state = 1u32;
        for _ in 0..200 {
            assert!(vad.score(&[0.0; FRAME]) < 0.5);
        }
        vad.reset();
        let mut speech = 0;
        for _ in 0..200 {
            let frame: [f32; FRAME] = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 16_777_216.0 * 0.02 - 0.01
            });
            speech += usize::from(vad.score(&frame) >= 0.5);
        }
        assert!(speech < 10, "{speech} of 200 frames of white noise are speech");
    }
}
