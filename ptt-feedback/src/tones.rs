//! The tones, as numbers. Pure.
//!
//! Each is at most 100 ms, made of one to three sine notes between 400 and 2000 Hz, soft, and without a click: every
//! note begins and ends at zero. They differ in direction and count, so that they can be told apart without an ear for
//! pitch: *start* rises, *stop* falls, *cancelled* knocks twice, *done* is one high note, *error* falls in three.

use std::f32::consts::{PI, TAU};

use ptt_messages::Chime;

/// The largest sample at full volume: -20 dBFS. The microphone hears the start tone together with the first syllable.
pub const PEAK: f32 = 0.1;

/// No tone is longer than this.
pub const LONGEST_MS: u32 = 100;

/// A sine of `hz` for `ms`; a pause where `hz` is zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Note {
    /// Pitch in Hz.
    pub hz: f32,
    /// Length in milliseconds.
    pub ms: u32,
}

/// The notes of a tone.
#[must_use]
pub const fn notes(chime: Chime) -> &'static [Note] {
    const fn note(hz: f32, ms: u32) -> Note {
        Note { hz, ms }
    }
    const E5: f32 = 659.26;
    const B5: f32 = 987.77;
    const START: [Note; 2] = [note(E5, 40), note(B5, 55)];
    const STOP: [Note; 2] = [note(B5, 40), note(E5, 55)];
    const CANCELLED: [Note; 3] = [note(440.0, 35), note(0.0, 20), note(440.0, 35)];
    const DONE: [Note; 1] = [note(1_318.51, 75)];
    const ERROR: [Note; 3] = [note(622.25, 30), note(523.25, 30), note(415.30, 40)];
    match chime {
        Chime::Start => &START,
        Chime::Stop => &STOP,
        Chime::Cancelled => &CANCELLED,
        Chime::Done => &DONE,
        Chime::Error => &ERROR,
    }
}

/// The samples of a tone: mono, at `rate_hz`, none larger than [`PEAK`] times `volume` (0.0 to 1.0).
#[must_use]
pub fn render(chime: Chime, rate_hz: u32, volume: f32) -> Vec<f32> {
    let amplitude = PEAK * volume.clamp(0.0, 1.0);
    notes(chime).iter().flat_map(|&note| samples(note, rate_hz, amplitude)).collect()
}

fn samples(note: Note, rate_hz: u32, amplitude: f32) -> impl Iterator<Item = f32> {
    let count = rate_hz as usize * note.ms as usize / 1_000;
    // A quick attack says "now"; a release over half of the note lets it ring out instead of stopping.
    let attack = (rate_hz as usize * 5 / 1_000).max(1);
    let release = (count / 2).max(1);
    let step = TAU * note.hz / rate_hz as f32;
    (0..count).map(move |i| {
        let envelope = fade(i, attack).min(fade(count - 1 - i, release));
        amplitude * envelope * (step * i as f32).sin()
    })
}

/// Half a raised cosine: 0.0 at the edge, 1.0 from `length` samples on.
fn fade(from_edge: usize, length: usize) -> f32 {
    if from_edge >= length { 1.0 } else { 0.5 - 0.5 * (PI * from_edge as f32 / length as f32).cos() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_tone_has_its_pitches_and_no_other() {
        for chime in Chime::ALL {
            let tone = render(chime, 48_000, 1.0);
            let mut from = 0;
            for note in notes(chime) {
                let part = &tone[from..from + 48 * note.ms as usize];
                from += part.len();
                if note.hz > 0.0 {
                    let heard = loudest(part, 48_000);
                    assert!(
                        (heard - note.hz).abs() < 25.0,
                        "{chime:?}: {heard} Hz instead of {} Hz",
                        note.hz
                    );
                }
            }
            assert_eq!(from, tone.len());
        }
    }

    #[test]
    fn no_two_tones_sound_alike() {
        for (i, a) in Chime::ALL.into_iter().enumerate() {
            for b in Chime::ALL.into_iter().skip(i + 1) {
                let (x, y) = (render(a, 16_000, 1.0), render(b, 16_000, 1.0));
                let product: f32 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
                let power = |t: &[f32]| t.iter().map(|s| s * s).sum::<f32>();
                let likeness = product.abs() / (power(&x) * power(&y)).sqrt();
                assert!(likeness < 0.5, "{a:?} and {b:?}: {likeness}");
            }
        }
    }

    proptest! {
        #[test]
        fn short_soft_centred_and_without_a_click(
            chime in prop::sample::select(Chime::ALL.to_vec()),
            rate in prop_oneof![
                prop::sample::select(vec![8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000_u32]),
                8_000..=192_000_u32,
            ],
            volume in 0.0..=1.0_f32,
        ) {
            let tone = render(chime, rate, volume);
            let ms = tone.len() as f32 * 1_000.0 / rate as f32;
            prop_assert!((60.0..=LONGEST_MS as f32).contains(&ms), "{ms} ms");

            let largest = tone.iter().fold(0.0_f32, |largest, s| largest.max(s.abs()));
            let allowed = PEAK * volume;
            prop_assert!(largest <= allowed && largest >= 0.85 * allowed, "{largest} of {allowed}");

            let mean = tone.iter().sum::<f32>() / tone.len() as f32;
            prop_assert!(mean.abs() <= 0.01 * allowed, "a mean of {mean}");

            prop_assert_eq!(tone[0], 0.0);
            prop_assert!(tone[tone.len() - 1].abs() <= 1e-6);
            // Nothing is steeper than the steepest full sine allowed, plus what the attack adds.
            let steepest = allowed * (TAU * 2_000.0 / rate as f32 + PI / (rate as f32 * 0.005)).min(2.0);
            let step = tone.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
            prop_assert!(step <= steepest * 1.01, "a step of {step}, allowed is {steepest}");
        }

        #[test]
        fn every_note_lies_where_small_speakers_can_play_it(chime in prop::sample::select(Chime::ALL.to_vec())) {
            for note in notes(chime) {
                prop_assert!(note.hz == 0.0 || (400.0..=2_000.0).contains(&note.hz));
            }
        }
    }

    /// The frequency with the most energy, of those from 300 to 2100 Hz in steps of 5 (one term of a Fourier transform
    /// each).
    fn loudest(samples: &[f32], rate_hz: u32) -> f32 {
        let energy = |hz: f32| {
            let turn = |i: usize| (TAU * hz * i as f32 / rate_hz as f32).sin_cos();
            let (re, im) = samples.iter().enumerate().fold((0.0, 0.0), |(re, im), (i, s)| {
                let (sin, cos) = turn(i);
                (re + s * cos, im + s * sin)
            });
            re * re + im * im
        };
        let candidates = (60..420).map(|i: u16| f32::from(i) * 5.0);
        candidates.max_by(|&a, &b| energy(a).total_cmp(&energy(b))).unwrap()
    }
}
