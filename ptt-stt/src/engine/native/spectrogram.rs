//! Samples to the log-mel spectrogram that Whisper was trained with: windows of 400 samples, 160 apart, in `bands` bands.
//!
//! Only the frames that hold audio are computed; after them comes the constant frame of silence, up to 30 s.

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

use crate::model::mel::BINS;

/// Samples from one frame to the next: 10 ms.
pub const HOP: usize = 160;
const WINDOW: usize = 400;
/// The least energy that is told from none.
const FLOOR: f32 = 1e-10;
/// What is more than this below the loudest (in powers of ten) is as silent as silence.
const RANGE: f32 = 8.0;

/// Makes spectrograms.
pub struct Spectrograph {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    /// Per band its first bin and its weights from there.
    filters: Vec<(usize, Vec<f32>)>,
}

/// A spectrogram: rows of one value per band.
#[derive(Clone, Debug, Default)]
pub struct Spectrogram {
    /// The frames, one after the other.
    pub frames: Vec<f32>,
    /// What every band of a frame of silence is.
    pub silence: f32,
}

impl Spectrograph {
    /// With a filter bank of rows of [`BINS`] weights.
    #[must_use]
    pub fn new(filters: &[f32]) -> Self {
        let window = |n: usize| {
            let phase = std::f64::consts::TAU * n as f64 / WINDOW as f64;
            (0.5 * (1.0 - phase.cos())) as f32
        };
        let trimmed = |row: &[f32]| {
            let first = row.iter().position(|w| *w != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|w| *w != 0.0).map_or(first, |last| last + 1);
            (first, row[first..end].to_vec())
        };
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(WINDOW),
            window: (0..WINDOW).map(window).collect(),
            filters: filters.chunks_exact(BINS).map(trimmed).collect(),
        }
    }

    /// Number of bands.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.filters.len()
    }

    /// The frames of `samples` and of the silence after them, `frames` in all.
    #[must_use]
    pub fn of(&self, samples: &[f32], frames: usize) -> Spectrogram {
        let bands = self.bands();
        let mut values = vec![FLOOR.log10(); frames * bands];
        let mut windowed = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let sounding = (samples.len() + WINDOW / 2).div_ceil(HOP).min(frames);
        for (frame, bands) in values.chunks_exact_mut(bands).enumerate().take(sounding) {
            for (n, (place, weight)) in windowed.iter_mut().zip(&self.window).enumerate() {
                // Before the first sample the sound is mirrored, after the last there is none.
                let at = (frame * HOP + n).abs_diff(WINDOW / 2);
                *place = samples.get(at).copied().unwrap_or(0.0) * weight;
            }
            if self.fft.process_with_scratch(&mut windowed, &mut spectrum, &mut scratch).is_err() {
                debug_assert!(false, "the buffers have the lengths that the transform asked for");
                continue;
            }
            let energies: [f32; BINS] = std::array::from_fn(|bin| spectrum[bin].norm_sqr());
            for (band, (first, weights)) in bands.iter_mut().zip(&self.filters) {
                let energy: f32 = weights.iter().zip(&energies[*first..]).map(|(w, e)| w * e).sum();
                *band = energy.max(FLOOR).log10();
            }
        }
        let most = values.iter().copied().fold(FLOOR.log10(), f32::max);
        let scaled = |value: f32| (value.max(most - RANGE) + 4.0) / 4.0;
        for value in &mut values {
            *value = scaled(*value);
        }
        Spectrogram { frames: values, silence: scaled(FLOOR.log10()) }
    }
}

impl std::fmt::Debug for Spectrograph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spectrograph").field("bands", &self.bands()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mel::filters;

    #[test]
    fn a_tone_is_where_it_sounds_and_silence_is_even() {
        let graph = Spectrograph::new(&filters(80));
        let tone: Vec<f32> =
            (0..16_000).map(|n| (n as f32 * 1_000.0 * std::f32::consts::TAU / 16_000.0).sin()).collect();
        let picture = graph.of(&tone, 300);
        assert_eq!(picture.frames.len(), 300 * 80);
        let frame = &picture.frames[50 * 80..51 * 80];
        let loudest = (0..80).max_by(|a, b| frame[*a].total_cmp(&frame[*b])).unwrap();
        // 1 kHz is 15 mel of 45.2 up to 8 kHz, in 81 steps.
        assert!((25..=27).contains(&loudest), "{loudest}");
        assert!(picture.frames[120 * 80..].iter().all(|v| *v == picture.silence));
    }

    #[test]
    fn nothing_at_all_is_silence_too() {
        let picture = Spectrograph::new(&filters(80)).of(&[], 10);
        assert!(picture.frames.iter().all(|v| *v == picture.silence && *v == -1.5));
    }
}
