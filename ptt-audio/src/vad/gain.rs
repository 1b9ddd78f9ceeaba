//! The signal that the detector gets: the take's audio above [`CUTOFF_HZ`], at a level that does not depend on the
//! microphone's. The detector of `earshot` misses most voices whose loudest 50 ms are below an RMS of 0.01, and takes water
//! and dishes at full scale for voices. Pure: frames in, frames out; the audio of the take stays as it is.
//!
//! The gain follows the loudest sound of the last seconds: it falls within a frame and rises slowly. The noise floor limits
//! it, so that noise alone is never raised to the level of speech.

use super::FRAME;
use crate::dsp::mean_square;

/// Rumble, hum and the handling of the microphone lie below; the lowest voices have their fundamental there, and everything
/// else above.
const CUTOFF_HZ: f32 = 90.0;

/// RMS that the loudest sound is brought to: the median of the loudest 50 ms of 143 recordings is 0.15. The detector finds
/// a voice in quiet from 0.02 on, and in noise of 10 dB below it from 0.1 on.
const REFERENCE: f32 = 0.12;

/// The highest RMS that the noise floor is raised to. Lower, voices are missed in noise; higher, noise is taken for voices.
const FLOOR: f32 = 0.02;

/// The highest gain, 38 dB: a voice at RMS 0.0015 is brought to the reference.
const MAX_GAIN: f32 = 80.0;

/// Frames whose median is the level: what lasts no longer than two of them, a click of a key, does not lower the gain.
const LEVEL_FRAMES: usize = 5;

/// Frames over which the floor is taken: longer than the closure of a plosive.
const FLOOR_FRAMES: usize = 8;

/// The level is forgotten at 3 dB per second, as power per frame of 16 ms.
const LEVEL_DECAY: f32 = 0.989;

/// The gain rises by 0.5 dB per frame at most.
const RISE: f32 = 1.059;

/// Mean square below which a frame is digital silence: it says nothing about the room.
const NOTHING: f32 = 1e-11;

/// High-pass filter and automatic gain of one take.
#[derive(Clone, Debug)]
pub struct DetectorInput {
    high_pass: HighPass,
    gain: Gain,
}

impl Default for DetectorInput {
    fn default() -> Self {
        Self { high_pass: HighPass::new(CUTOFF_HZ), gain: Gain::default() }
    }
}

impl DetectorInput {
    /// The next frame as the detector should hear it, every sample in -1.0..=1.0.
    #[must_use]
    pub fn next(&mut self, frame: &[f32; FRAME]) -> [f32; FRAME] {
        let mut heard = frame.map(|sample| self.high_pass.next(sample));
        let (from, to) = self.gain.next(mean_square(&heard));
        for (n, sample) in heard.iter_mut().enumerate() {
            let gain = from + (to - from) * (n + 1) as f32 / FRAME as f32;
            *sample = (*sample * gain).clamp(-1.0, 1.0);
        }
        heard
    }
}

/// Second-order Butterworth high-pass.
#[derive(Clone, Debug)]
struct HighPass {
    feed: [f32; 3],
    back: [f32; 2],
    state: [f32; 2],
}

impl HighPass {
    fn new(cutoff_hz: f32) -> Self {
        let angle = std::f32::consts::TAU * cutoff_hz / ptt_messages::SAMPLE_RATE_HZ as f32;
        let (sin, cos) = angle.sin_cos();
        let alpha = sin * std::f32::consts::FRAC_1_SQRT_2;
        let scale = 1.0 / (1.0 + alpha);
        let outer = (1.0 + cos) / 2.0 * scale;
        Self {
            feed: [outer, -2.0 * outer, outer],
            back: [-2.0 * cos * scale, (1.0 - alpha) * scale],
            state: [0.0; 2],
        }
    }

    fn next(&mut self, sample: f32) -> f32 {
        let out = self.feed[0] * sample + self.state[0];
        self.state[0] = self.feed[1] * sample - self.back[0] * out + self.state[1];
        self.state[1] = self.feed[2] * sample - self.back[1] * out;
        out
    }
}

/// The gain by the energies of the frames so far.
#[derive(Clone, Debug)]
struct Gain {
    /// The newest energies, mean squares; digital silence included.
    newest: [f32; LEVEL_FRAMES],
    /// The newest energies that are no digital silence.
    sounding: [f32; FLOOR_FRAMES],
    frames: usize,
    sounds: usize,
    /// Mean square of the loudest sound, forgotten slowly.
    level: f32,
    /// Mean square of the quietest [`FLOOR_FRAMES`] frames.
    floor: f32,
    /// Factor at the end of the last frame; none before the first sound.
    gain: Option<f32>,
}

impl Default for Gain {
    fn default() -> Self {
        Self {
            newest: [0.0; LEVEL_FRAMES],
            sounding: [0.0; FLOOR_FRAMES],
            frames: 0,
            sounds: 0,
            level: 0.0,
            floor: f32::INFINITY,
            gain: None,
        }
    }
}

impl Gain {
    /// The factors at the beginning and at the end of a frame with this mean square.
    fn next(&mut self, energy: f32) -> (f32, f32) {
        self.newest[self.frames % LEVEL_FRAMES] = energy;
        self.frames += 1;
        if energy < NOTHING {
            let gain = self.gain.unwrap_or(1.0);
            return (gain, gain);
        }
        self.sounding[self.sounds % FLOOR_FRAMES] = energy;
        self.sounds += 1;
        let known = &self.sounding[..self.sounds.min(FLOOR_FRAMES)];
        self.floor = self.floor.min(known.iter().sum::<f32>() / known.len() as f32);
        self.level = (self.level * LEVEL_DECAY).max(self.median());
        let by_level = REFERENCE / self.level.max(NOTHING).sqrt();
        let wanted = by_level.min(FLOOR / self.floor.sqrt()).min(MAX_GAIN);
        let from = self.gain.unwrap_or(wanted);
        let to = wanted.min(from * RISE);
        self.gain = Some(to);
        (from, to)
    }

    fn median(&self) -> f32 {
        let mut sorted = self.newest;
        let known = &mut sorted[..self.frames.min(LEVEL_FRAMES)];
        known.sort_by(f32::total_cmp);
        known[known.len() / 2]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PER_S: usize = 62;

    /// A tone of this frequency and RMS, in frames.
    fn tone(hz: f32, rms: f32, frames: usize) -> Vec<[f32; FRAME]> {
        let sample = |n: usize| {
            rms * std::f32::consts::SQRT_2 * (std::f32::consts::TAU * hz * n as f32 / 16_000.0).sin()
        };
        (0..frames).map(|frame| std::array::from_fn(|n| sample(frame * FRAME + n))).collect()
    }

    /// RMS of the last frame that comes out.
    fn last(frames: &[[f32; FRAME]]) -> f32 {
        let mut input = DetectorInput::default();
        frames.iter().map(|frame| input.next(frame)).last().map_or(0.0, |out| mean_square(&out).sqrt())
    }

    #[test]
    fn a_voice_comes_to_the_reference_from_any_level() {
        for rms in [0.002, 0.006, 0.02, 0.1, 0.3] {
            // A room 40 dB below, then a voice.
            let frames = [tone(500.0, rms / 100.0, 40), tone(500.0, rms, 20)].concat();
            let out = last(&frames);
            assert!((0.1..0.13).contains(&out), "{rms} becomes {out}");
        }
    }

    #[test]
    fn noise_alone_stays_below_speech() {
        for rms in [0.000_01, 0.000_3, 0.005, 0.05, 0.5] {
            let out = last(&tone(500.0, rms, 3 * PER_S));
            assert!(out < 0.021, "{rms} becomes {out}");
        }
    }

    #[test]
    fn a_click_does_not_make_the_voice_quiet() {
        let room = tone(500.0, 0.000_1, 30);
        let quiet = tone(500.0, 0.006, 30);
        let clicks = tone(2_000.0, 0.2, 2);
        assert!(last(&[room.clone(), clicks, quiet].concat()) > 0.1);
        // A shout does, and is forgotten in some seconds.
        let shout = tone(500.0, 0.6, 30);
        let after = |seconds: usize| {
            last(&[room.clone(), shout.clone(), tone(500.0, 0.006, seconds * PER_S)].concat())
        };
        assert!(after(1) < 0.01 && after(10) > 0.02, "{} {}", after(1), after(8));
    }

    #[test]
    fn rumble_goes_and_voices_stay() {
        let through = |hz: f32| {
            let mut filter = HighPass::new(CUTOFF_HZ);
            let out: Vec<f32> =
                tone(hz, 0.1, 60).concat().into_iter().map(|sample| filter.next(sample)).collect();
            mean_square(&out[FRAME * 20..]).sqrt()
        };
        for (hz, range) in [
            (20.0, 0.0..0.006),
            (50.0, 0.0..0.033),
            (90.0, 0.069..0.073),
            (200.0, 0.095..0.101),
            (4_000.0, 0.099..0.101),
        ] {
            assert!(range.contains(&through(hz)), "{hz} Hz: {}", through(hz));
        }
    }

    #[test]
    fn digital_silence_is_no_room() {
        let zeros = vec![[0.0; FRAME]; 30];
        let frames = [zeros, tone(500.0, 0.006, 20)].concat();
        // Without a room the voice itself is the floor.
        assert!((0.019..0.021).contains(&last(&frames)), "{}", last(&frames));
        assert_eq!(last(&[[0.0; FRAME]; 30]), 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_microphone_of_another_gain_gives_the_same(
            levels in prop::collection::vec(0.000_3f32..0.3, 1..60),
            factor in 0.1f32..3.0,
        ) {
            let frames: Vec<_> = levels.iter().flat_map(|rms| tone(700.0, *rms, 2)).collect();
            let (mut one, mut other) = (DetectorInput::default(), DetectorInput::default());
            for frame in frames {
                let (a, b) = (one.next(&frame), other.next(&frame.map(|sample| sample * factor)));
                // Where the highest gain is reached, the quieter one stays quieter.
                let limited = one.gain.gain.is_some_and(|gain| gain > MAX_GAIN * 0.99 * factor.min(1.0))
                    || other.gain.gain.is_some_and(|gain| gain > MAX_GAIN * 0.99);
                prop_assert!(limited || a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 0.01));
            }
        }

        #[test]
        fn what_comes_out_is_audio(samples in prop::collection::vec(-1.0f32..=1.0, FRAME * 4)) {
            let mut input = DetectorInput::default();
            for frame in samples.chunks_exact(FRAME) {
                let frame: [f32; FRAME] = frame.try_into().unwrap();
                prop_assert!(input.next(&frame).iter().all(|sample| (-1.0..=1.0).contains(sample)));
            }
        }
    }
}
