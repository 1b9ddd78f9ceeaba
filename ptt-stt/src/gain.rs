//! The level at which an engine hears a clip. Whisper normalises its mel spectrogram by the loudest value
//! but not completely: quiet audio costs it words and raises its no-speech probability. Pure.

use ptt_messages::{Clip, SAMPLE_RATE_HZ};

/// Levels are taken over 50 ms.
const FRAME: usize = SAMPLE_RATE_HZ as usize / 20;
/// RMS of the loudest 50 ms below which a clip is raised. Ordinary recordings lie above it and stay as
/// they are, sample by sample.
const QUIET: f32 = 0.03;
/// RMS that the loudest 50 ms are raised to: the median of 143 recordings.
const USUAL: f32 = 0.15;
/// The highest factor, 40 dB.
const MAX_FACTOR: f32 = 100.0;

/// The clip at a level that the engine understands.
#[must_use]
pub fn raised(clip: Clip) -> Clip {
    match factor(clip.samples()) {
        Some(factor) => {
            let samples: Vec<f32> = clip.samples().iter().map(|sample| sample * factor).collect();
            Clip::new(samples).expect("the factor keeps every sample within -1.0..=1.0")
        }
        None => clip,
    }
}

/// What a quiet clip is multiplied by; `None` for one that is loud enough, or silent.
fn factor(samples: &[f32]) -> Option<f32> {
    let loudest = samples.chunks(FRAME).map(mean_square).fold(0.0, f32::max).sqrt();
    if loudest >= QUIET || loudest == 0.0 {
        return None;
    }
    let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    Some((USUAL / loudest).min(MAX_FACTOR).min(1.0 / peak)).filter(|factor| *factor > 1.0)
}

fn mean_square(frame: &[f32]) -> f32 {
    frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(rms: f32) -> Clip {
        let sample = |n: usize| rms * std::f32::consts::SQRT_2 * (n as f32 * 0.2).sin();
        Clip::new((0..FRAME * 20).map(sample).collect::<Vec<_>>()).unwrap()
    }

    fn level(clip: &Clip) -> f32 {
        mean_square(clip.samples()).sqrt()
    }

    #[test]
    fn quiet_clips_are_raised_and_others_are_left_alone() {
        for (rms, expected) in [(0.002, 0.15), (0.006, 0.15), (0.029, 0.15), (0.000_5, 0.05)] {
            let found = level(&raised(tone(rms)));
            assert!((found / expected - 1.0).abs() < 0.02, "{rms} becomes {found}");
        }
        for rms in [0.031, 0.1, 0.3] {
            assert_eq!(raised(tone(rms)).samples(), tone(rms).samples());
        }
        let silence = Clip::new(vec![0.0; FRAME]).unwrap();
        assert_eq!(raised(silence.clone()).samples(), silence.samples());
        assert!(raised(Clip::empty()).is_empty());
    }

    #[test]
    fn a_click_bounds_the_factor() {
        let mut samples = tone(0.002).samples().to_vec();
        samples[7] = -0.5;
        let clip = raised(Clip::new(samples).unwrap());
        assert!(clip.samples().iter().all(|sample| sample.abs() <= 1.0));
    }

    proptest! {
        #[test]
        fn what_comes_out_is_audio(samples in prop::collection::vec(-1.0f32..=1.0, 0..FRAME * 3), exponent in 0i32..20) {
            let quiet: Vec<f32> = samples.iter().map(|sample| sample / 2.0f32.powi(exponent)).collect();
            let clip = raised(Clip::new(quiet.clone()).unwrap());
            prop_assert_eq!(clip.samples().len(), quiet.len());
            prop_assert!(clip.samples().iter().all(|sample| sample.abs() <= 1.0 + f32::EPSILON));
        }
    }
}
