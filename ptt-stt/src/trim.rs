//! Which part of a segment the engine gets: without the silence at its ends, and never more than fits its window.
//! Pure: levels and lengths only.

use std::ops::Range;

use ptt_messages::{Clip, SAMPLE_RATE_HZ, Segment};

/// Silence that stays at both ends, so that no soft sound is cut: 0.2 s.
const KEPT: usize = SAMPLE_RATE_HZ as usize / 5;
/// Silence at the beginning is cut only where there is much of it: 1 s. The detector tells where speech ends, but not
/// where it begins, so this goes by level and is careful.
const MUCH: usize = SAMPLE_RATE_HZ as usize;
/// What is this much weaker (45 dB) than the loudest 20 ms is silence.
const WEAKER: f32 = 0.005_6;
/// Levels are taken over 20 ms.
const FRAME: usize = SAMPLE_RATE_HZ as usize / 50;
/// A cut in the middle of speech is made at the weakest 0.2 s of the last 6 s.
const PAUSE: usize = SAMPLE_RATE_HZ as usize / 5;
const SEARCHED: usize = 6 * SAMPLE_RATE_HZ as usize;

/// The samples of the segment that hold its speech, with a margin.
#[must_use]
pub fn speech(segment: &Segment) -> Clip {
    let samples = segment.clip.samples();
    let heard = usize::try_from(segment.speech_end.saturating_sub(segment.start)).unwrap_or(usize::MAX);
    let end = heard.saturating_add(KEPT).min(samples.len());
    let range = leading_silence(&samples[..end])..end;
    if range == (0..samples.len()) { segment.clip.clone() } else { part(&segment.clip, range) }
}

/// Where to cut a segment that is longer than `longest` samples (more than 6 s), as ranges of its samples. One range when it is
/// not.
#[must_use]
pub fn windows(samples: &[f32], longest: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while samples.len() - start > longest {
        let latest = start + longest;
        let cut = weakest(samples, latest - SEARCHED..latest);
        ranges.push(start..cut);
        start = cut;
    }
    ranges.push(start..samples.len());
    ranges
}

/// A clip of a part of another's samples.
#[must_use]
pub fn part(clip: &Clip, range: Range<usize>) -> Clip {
    Clip::new(&clip.samples()[range]).expect("a part of a clip is a clip")
}

/// How many samples of silence to skip at the beginning.
fn leading_silence(samples: &[f32]) -> usize {
    let loudest = samples.chunks_exact(FRAME).map(energy).fold(0.0, f32::max);
    let quiet =
        samples.chunks_exact(FRAME).take_while(|frame| energy(frame) < loudest * WEAKER * WEAKER).count();
    let silence = quiet * FRAME;
    if loudest > 0.0 && silence >= MUCH { silence - KEPT } else { 0 }
}

/// The middle of the weakest [`PAUSE`] in `range`.
fn weakest(samples: &[f32], range: Range<usize>) -> usize {
    let levels: Vec<f32> = samples[range.clone()].chunks_exact(FRAME).map(energy).collect();
    let width = PAUSE / FRAME;
    let at = (0..=levels.len() - width)
        .min_by(|a, b| {
            let level = |i: usize| levels[i..i + width].iter().sum::<f32>();
            level(*a).total_cmp(&level(*b))
        })
        .unwrap_or(0);
    range.start + at * FRAME + PAUSE / 2
}

fn energy(frame: &[f32]) -> f32 {
    frame.iter().map(|s| s * s).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ptt_messages::{SegmentId, SegmentState, TakeId};

    use super::*;
    use crate::context::LONGEST_CLIP_SAMPLES;

    const RATE: usize = SAMPLE_RATE_HZ as usize;

    fn segment(samples: Vec<f32>, speech_end: usize) -> Segment {
        Segment {
            id: SegmentId { take: TakeId(1), index: 0 },
            state: SegmentState::Tail,
            start: 1_000,
            speech_end: 1_000 + speech_end as u64,
            certain: true,
            clip: Clip::new(samples).unwrap(),
        }
    }

    fn pattern(parts: &[(usize, f32)]) -> Vec<f32> {
        parts
            .iter()
            .flat_map(|(n, level)| (0..*n).map(move |i| if i % 2 == 0 { *level } else { -*level }))
            .collect()
    }

    #[test]
    fn silence_goes_but_for_a_margin() {
        let samples = pattern(&[(2 * RATE, 0.000_1), (RATE, 0.5), (3 * RATE, 0.000_1)]);
        let clip = speech(&segment(samples.clone(), 3 * RATE));
        assert_eq!(clip.samples(), &samples[2 * RATE - KEPT..3 * RATE + KEPT]);
    }

    #[test]
    fn little_silence_and_soft_speech_stay() {
        for parts in
            [&[(RATE / 2, 0.0), (RATE, 0.5)][..], &[(3 * RATE, 0.01), (RATE, 0.5)], &[(2 * RATE, 0.0)]]
        {
            let samples = pattern(parts);
            let n = samples.len();
            assert_eq!(speech(&segment(samples, n)).samples().len(), n);
        }
    }

    #[test]
    fn a_long_segment_is_cut_in_its_pause() {
        let samples = pattern(&[(26 * RATE, 0.3), (RATE / 2, 0.001), (10 * RATE, 0.3)]);
        let cuts = windows(&samples, LONGEST_CLIP_SAMPLES);
        assert_eq!(cuts.len(), 2);
        assert!((26 * RATE..26 * RATE + RATE / 2).contains(&cuts[0].end), "{cuts:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn windows_cover_everything_once(seconds in 0usize..130, longest_s in 7usize..30, seed in any::<u32>()) {
            let mut x = seed;
            let samples: Vec<f32> = (0..seconds * RATE).map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (x >> 16) as f32 / 65_536.0 - 0.5
            }).collect();
            let cuts = windows(&samples, longest_s * RATE);
            prop_assert_eq!(cuts[0].start, 0);
            prop_assert_eq!(cuts[cuts.len() - 1].end, samples.len());
            for pair in cuts.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
            }
            prop_assert!(cuts.iter().all(|c| c.len() <= longest_s * RATE && (!c.is_empty() || seconds == 0)));
        }
    }
}
