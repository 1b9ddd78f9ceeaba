//! From what a device or a file delivers to 16 kHz mono: replace what is no number, mix down, resample. Pure.

use std::ops::RangeInclusive;

use ptt_messages::SAMPLE_RATE_HZ;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, Fft, FixedAsync, FixedSync, Resampler, SincInterpolationParameters, WindowFunction};

use crate::mixdown::Mixdown;

/// The rates that are believed. At a few Hz every frame would become thousands of samples, whatever the memory; the
/// highest is the highest that PulseAudio knows.
pub const RATES_HZ: RangeInclusive<u32> = 1_000..=768_000;

/// Samples at or above this are at the end of the converter's range.
const FULL_SCALE: f32 = 0.999_9;

/// What was found in the samples since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Samples that were NaN or infinite, replaced by silence.
    pub replaced: u64,
    /// Samples at or beyond full scale.
    pub clipped: u64,
}

/// Turns the interleaved samples of one source into 16 kHz mono. Continuous: blocks of any length may be pushed.
///
/// Sample `i` of the output is the sound of frame `i * rate / 16000` of the input: the filter's delay is taken off the
/// beginning, so what is pushed comes out one filter length (5 ms at 48 kHz) later, not shifted.
#[derive(Debug)]
pub struct Intake {
    channels: usize,
    mixdown: Mixdown,
    mono: Vec<f32>,
    rate: Rate,
    findings: Findings,
}

impl Intake {
    /// For frames of `channels` samples at `rate_hz`, which is one of [`RATES_HZ`]; zeros are taken as one.
    #[must_use]
    pub fn new(rate_hz: u32, channels: u16) -> Self {
        Self {
            channels: usize::from(channels.max(1)),
            mixdown: Mixdown::new(rate_hz, channels.into()),
            mono: Vec::with_capacity(4_096),
            rate: Rate::new(rate_hz.max(1)),
            findings: Findings::default(),
        }
    }

    /// Appends what `interleaved` (whole frames) gives to `out`.
    pub fn push(&mut self, interleaved: &[f32], out: &mut Vec<f32>) {
        self.mono.clear();
        let scale = 1.0 / self.channels as f32;
        for frame in interleaved.chunks_exact(self.channels) {
            let findings = &mut self.findings;
            let sum = self.mixdown.sum(frame.iter().map(|&sample| {
                if !sample.is_finite() {
                    findings.replaced += 1;
                    return 0.0;
                }
                findings.clipped += u64::from(sample.abs() >= FULL_SCALE);
                sample.clamp(-1.0, 1.0)
            }));
            self.mono.push(sum * scale);
        }
        self.rate.push(&self.mono, out);
    }

    /// Appends what is still in the filter. The output then has `round(frames * 16000 / rate)` samples in all, and
    /// nothing may be pushed any more.
    pub fn flush(&mut self, out: &mut Vec<f32>) {
        self.rate.flush(out);
    }

    /// What was found since the last call.
    pub fn findings(&mut self) -> Findings {
        std::mem::take(&mut self.findings)
    }
}

/// Mean square of samples: 0.0 is digital silence, 1.0 a square wave at full scale.
#[must_use]
pub fn mean_square(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32
}

/// Any rate to 16 kHz.
enum Rate {
    Same,
    Change(Box<Change>),
}

struct Change {
    resampler: Box<dyn Resampler<f32>>,
    rate_hz: u64,
    /// Input that does not fill a chunk yet.
    pending: Vec<f32>,
    chunk_out: Vec<f32>,
    /// Output still to be thrown away: the filter's delay.
    delay: usize,
    frames_in: u64,
    samples_out: u64,
}

impl Rate {
    fn new(rate_hz: u32) -> Self {
        if rate_hz == SAMPLE_RATE_HZ {
            return Self::Same;
        }
        let resampler = resampler(rate_hz);
        Self::Change(Box::new(Change {
            rate_hz: u64::from(rate_hz),
            pending: Vec::with_capacity(resampler.input_frames_max() * 2),
            chunk_out: vec![0.0; resampler.output_frames_max()],
            delay: resampler.output_delay(),
            frames_in: 0,
            samples_out: 0,
            resampler,
        }))
    }

    fn push(&mut self, mono: &[f32], out: &mut Vec<f32>) {
        match self {
            Self::Same => out.extend_from_slice(mono),
            Self::Change(change) => {
                change.frames_in += mono.len() as u64;
                change.feed(mono, out);
            }
        }
    }

    fn flush(&mut self, out: &mut Vec<f32>) {
        let Self::Change(change) = self else { return };
        let whole = (change.frames_in * u64::from(SAMPLE_RATE_HZ) + change.rate_hz / 2) / change.rate_hz;
        while change.samples_out < whole {
            let silence = vec![0.0; change.resampler.input_frames_next()];
            change.feed(&silence, out);
        }
        out.truncate(out.len() - usize::try_from(change.samples_out - whole).unwrap_or(0));
        change.samples_out = whole;
    }
}

impl Change {
    fn feed(&mut self, mono: &[f32], out: &mut Vec<f32>) {
        self.pending.extend_from_slice(mono);
        let mut used = 0;
        loop {
            let need = self.resampler.input_frames_next();
            if self.pending.len() - used < need {
                break;
            }
            let made = self.chunk(used, need);
            used += need;
            let skip = self.delay.min(made);
            self.delay -= skip;
            out.extend(self.chunk_out[skip..made].iter().map(|s| s.clamp(-1.0, 1.0)));
            self.samples_out += (made - skip) as u64;
        }
        self.pending.drain(..used);
    }

    fn chunk(&mut self, from: usize, need: usize) -> usize {
        let room = self.chunk_out.len();
        let input = InterleavedSlice::new(&self.pending[from..], 1, need).expect("the chunk is whole");
        let mut output =
            InterleavedSlice::new_mut(&mut self.chunk_out, 1, room).expect("the buffer has its own length");
        let (_, made) = self
            .resampler
            .process_into_buffer(&input, &mut output, None)
            .expect("both buffers are as long as the resampler asked for");
        made
    }
}

/// A chunk of about 10 ms through a Fourier transform where the two rates allow one that short, else a windowed sinc.
fn resampler(rate_hz: u32) -> Box<dyn Resampler<f32>> {
    const LONGEST_CHUNK_PER_S: u32 = 20;
    let (from, to) = (rate_hz as usize, SAMPLE_RATE_HZ as usize);
    let chunk = (from / 100).max(1);
    let step = rate_hz / gcd(rate_hz, SAMPLE_RATE_HZ);
    if step <= rate_hz / LONGEST_CHUNK_PER_S {
        return Box::new(
            Fft::<f32>::new(from, to, chunk, 1, FixedSync::Both).expect("rates and chunk are not zero"),
        );
    }
    let shape = SincInterpolationParameters::new(128, WindowFunction::BlackmanHarris2);
    let ratio = f64::from(SAMPLE_RATE_HZ) / f64::from(rate_hz);
    Box::new(
        Async::<f32>::new_sinc(ratio, 1.0, &shape, chunk, 1, FixedAsync::Input)
            .expect("ratio and chunk are not zero"),
    )
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl std::fmt::Debug for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same => f.write_str("Same"),
            Self::Change(change) => f.debug_tuple("Change").field(&change.rate_hz).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sine(rate_hz: u32, tone_hz: f64, frames: usize) -> Vec<f32> {
        (0..frames)
            .map(|n| (0.5 * (std::f64::consts::TAU * tone_hz * n as f64 / f64::from(rate_hz)).sin()) as f32)
            .collect()
    }

    fn convert(rate_hz: u32, channels: u16, interleaved: &[f32], block: usize) -> Vec<f32> {
        let mut intake = Intake::new(rate_hz, channels);
        let mut out = Vec::new();
        for piece in interleaved.chunks(block * usize::from(channels)) {
            intake.push(piece, &mut out);
        }
        intake.flush(&mut out);
        out
    }

    #[test]
    fn a_tone_keeps_its_pitch_place_and_level_at_any_rate() {
        for rate in
            [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 47_999, 48_000, 96_000, 192_000]
        {
            let out = convert(rate, 1, &sine(rate, 200.0, rate as usize), 441);
            assert_eq!(out.len(), 16_000, "{rate}");
            let expected = sine(16_000, 200.0, 16_000);
            let worst = (500..15_500).map(|n| (out[n] - expected[n]).abs()).fold(0.0, f32::max);
            assert!(worst < 0.039, "{rate} Hz: off by {worst}, a sample is 0.039");
        }
    }

    #[test]
    fn what_is_above_the_new_band_is_gone_and_speech_is_not() {
        for (tone, range) in [
            (9_000.0, 0.0..0.001),
            (12_000.0, 0.0..0.001),
            (21_000.0, 0.0..0.001),
            (7_000.0, 0.33..0.36),
            (300.0, 0.35..0.36),
        ] {
            for rate in [44_100, 48_000] {
                let out = convert(rate, 1, &sine(rate, tone, rate as usize), 480);
                let level = mean_square(&out[1_000..15_000]).sqrt();
                assert!(range.contains(&level), "{tone} Hz at {rate}: {level}");
            }
        }
    }

    #[test]
    fn bad_samples_are_replaced_and_counted() {
        let mut intake = Intake::new(16_000, 2);
        let mut out = Vec::new();
        intake.push(&[f32::NAN, 0.5, f32::INFINITY, f32::NEG_INFINITY, 1e30, 1.0, -0.25, -0.25], &mut out);
        assert_eq!(out, [0.25, 0.0, 1.0, -0.25]);
        assert_eq!(intake.findings(), Findings { replaced: 3, clipped: 2 });
        assert_eq!(intake.findings(), Findings::default());
    }

    #[test]
    fn silence_stays_exactly_silent() {
        assert!(convert(48_000, 2, &[0.0; 9_600], 480).iter().all(|s| *s == 0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_length_is_right_and_blocks_do_not_matter(
            rate in prop_oneof![Just(48_000u32), Just(44_100), Just(16_000), 4_000u32..100_000],
            channels in 1u16..7,
            frames in 0usize..30_000,
            block in 1usize..2_000,
        ) {
            let mono = sine(rate, 440.0, frames);
            let interleaved: Vec<f32> =
                mono.iter().flat_map(|s| std::iter::repeat_n(*s, usize::from(channels))).collect();
            let out = convert(rate, channels, &interleaved, block);
            prop_assert_eq!(out.len() as u64, (frames as u64 * 16_000 + u64::from(rate) / 2) / u64::from(rate));
            let at_once = convert(rate, channels, &interleaved, frames.max(1));
            prop_assert_eq!(out, at_once);
        }

        #[test]
        fn nothing_gets_past_that_is_no_sample(
            samples in prop::collection::vec(any::<f32>(), 0..4_000),
            rate in prop_oneof![Just(16_000u32), Just(48_000), Just(44_100)],
        ) {
            let out = convert(rate, 1, &samples, 480);
            prop_assert!(out.iter().all(|s| (-1.0..=1.0).contains(s)));
        }
    }
}
