//! Recordings as another microphone or another room would have them: weaker, louder, in noise. Pure and repeatable.

use ptt_messages::{Clip, SAMPLE_RATE_HZ};

/// Samples of 50 ms.
const SHORT: usize = SAMPLE_RATE_HZ as usize / 20;

/// RMS of the loudest 50 ms.
#[must_use]
pub fn loudest(clip: &Clip) -> f32 {
    let (mut sum, mut most) = (0.0f64, 0.0f64);
    for (n, sample) in clip.samples().iter().enumerate() {
        sum += f64::from(*sample).powi(2);
        if let Some(gone) = n.checked_sub(SHORT) {
            sum -= f64::from(clip.samples()[gone]).powi(2);
        }
        most = most.max(sum);
    }
    (most / SHORT as f64).sqrt() as f32
}

/// The clip with its loudest 50 ms at this RMS, as a microphone of 16 bits gives it.
#[must_use]
pub fn at_level(clip: &Clip, rms: f32) -> Clip {
    amplified(clip, rms / loudest(clip).max(f32::MIN_POSITIVE))
}

/// The clip through another gain, cut off at full scale and rounded to 16 bits.
#[must_use]
pub fn amplified(clip: &Clip, factor: f32) -> Clip {
    let samples = clip.samples().iter().map(|s| (s * factor * 32_768.0).round().clamp(-32_768.0, 32_767.0));
    Clip::sanitised(samples.map(|s| s / 32_768.0).collect()).0
}

/// The clip with a noise that is this much weaker than its speech, in dB; the noise begins at its sample `from` and goes
/// round.
#[must_use]
pub fn in_noise(clip: &Clip, noise: &[f32], snr_db: f32, from: usize) -> Clip {
    let energy = |samples: &[f32]| samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32;
    // Of the speech without its pauses: the frames that are at most 25 dB below the loudest.
    let frames: Vec<f32> = clip.samples().chunks_exact(SHORT).map(energy).collect();
    let least = frames.iter().copied().fold(0.0, f32::max) / 316.0;
    let spoken: Vec<f32> = frames.into_iter().filter(|e| *e > least).collect();
    let speech = spoken.iter().sum::<f32>() / spoken.len().max(1) as f32;
    let factor = (speech / energy(noise).max(f32::MIN_POSITIVE)).sqrt() * 10f32.powf(-snr_db / 20.0);
    let mixed = clip.samples().iter().zip(noise.iter().cycle().skip(from % noise.len().max(1)));
    let mixed: Vec<f32> = mixed.map(|(s, n)| s + n * factor).collect();
    let peak = mixed.iter().fold(1.0f32, |peak, s| peak.max(s.abs()));
    Clip::sanitised(mixed.into_iter().map(|s| s / peak).collect()).0
}

/// Chords of an instrument that swell: 20 s.
#[must_use]
pub fn music() -> Vec<f32> {
    const TONES_HZ: [f32; 6] = [220.0, 277.2, 329.6, 440.0, 554.4, 659.3];
    let turn = |hz: f32, seconds: f32| (std::f32::consts::TAU * (hz * seconds).fract()).sin();
    (0..20 * SAMPLE_RATE_HZ)
        .map(|n| {
            let seconds = n as f32 / SAMPLE_RATE_HZ as f32;
            let tone = |(i, hz): (usize, &f32)| {
                turn(*hz, seconds) * (0.5 + 0.5 * turn(1.3 + i as f32 * 0.7, seconds)) / (i + 1) as f32
            };
            TONES_HZ.iter().enumerate().map(tone).sum()
        })
        .collect()
}

/// Traffic: noise below 70 Hz, 20 s.
#[must_use]
pub fn rumble() -> Vec<f32> {
    let (mut state, mut low, mut lower) = (1u32, 0.0f32, 0.0f32);
    let slow = std::f32::consts::TAU * 50.0 / SAMPLE_RATE_HZ as f32;
    (0..20 * SAMPLE_RATE_HZ)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            low += ((state >> 8) as f32 / 8_388_608.0 - 1.0 - low) * slow;
            lower += (low - lower) * slow;
            lower
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_reached_and_noise_has_its_distance() {
        let tone: Vec<f32> = (0..32_000).map(|n| (n as f32 * 0.2).sin() * 0.5).collect();
        let clip = Clip::new(tone).unwrap();
        for rms in [0.002, 0.05, 0.3] {
            let found = loudest(&at_level(&clip, rms));
            assert!((found / rms - 1.0).abs() < 0.02, "{rms} is {found}");
        }
        let mixed = in_noise(&clip, &rumble(), 10.0, 700);
        let noise: Vec<f32> = mixed.samples().iter().zip(clip.samples()).map(|(m, s)| m - s).collect();
        let energy = |samples: &[f32]| samples.iter().map(|s| s * s).sum::<f32>();
        let db = 10.0 * (energy(clip.samples()) / energy(&noise)).log10();
        assert!((8.0..12.0).contains(&db), "{db} dB");
    }
}
