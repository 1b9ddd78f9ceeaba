//! Which part of a segment the engine gets: without the silence at its ends, and never more than fits its window.
//! Pure: levels and lengths only.

use std::ops::Range;
use std::time::Duration;

use ptt_messages::{Clip, SAMPLE_RATE_HZ, Segment};

/// Silence that stays at both ends, so that no soft sound is cut: 0.2 s.
const KEPT: usize = SAMPLE_RATE_HZ as usize / 5;
/// Silence at the beginning is cut only where there is much of it: 1 s. The detector tells where speech ends, but not
/// where it begins, so this goes by level and is careful.
const MUCH: usize = SAMPLE_RATE_HZ as usize;
/// What is this much weaker (45 dB) than the loudest 20 ms is silence.
const WEAKER: f32 = 0.005_6;
/// What is this much weaker (20 dB) than the loud parts is a pause.
const SOFTER: f32 = 0.1;
/// No part is cut off that is shorter: 0.5 s.
const SHORTEST: usize = SAMPLE_RATE_HZ as usize / 2;
/// Levels are taken over 20 ms.
const FRAME: usize = SAMPLE_RATE_HZ as usize / 50;
/// A cut in the middle of speech is made at the weakest 0.2 s of the last 6 s.
const PAUSE: usize = SAMPLE_RATE_HZ as usize / 5;
const SEARCHED: usize = 6 * SAMPLE_RATE_HZ as usize;

/// The samples of the segment that hold its speech, with a margin.
#[must_use]
pub fn speech(segment: &Segment) -> Clip {
    let range = speech_range(segment);
    if range == (0..segment.clip.samples().len()) { segment.clip.clone() } else { part(&segment.clip, range) }
}

/// Which samples of the segment [`speech`] gives.
#[must_use]
pub fn speech_range(segment: &Segment) -> Range<usize> {
    let samples = segment.clip.samples();
    let heard = usize::try_from(segment.speech_end.saturating_sub(segment.start)).unwrap_or(usize::MAX);
    let end = heard.saturating_add(KEPT).min(samples.len());
    leading_silence(&samples[..end])..end
}

/// The parts of at least 1 s between which there is a pause, when there are several.
#[must_use]
pub fn between_pauses(samples: &[f32]) -> Vec<Range<usize>> {
    let frames: Vec<f32> = samples.chunks_exact(FRAME).map(energy).collect();
    let loud = loud(samples);
    let width = PAUSE / FRAME;
    let (mut parts, mut start) = (Vec::new(), 0);
    let mut quiet = 0;
    for (at, level) in frames.iter().chain([&f32::MAX]).enumerate() {
        if *level < loud * SOFTER * SOFTER {
            quiet += 1;
            continue;
        }
        let middle = (at - quiet / 2) * FRAME;
        if quiet >= width && middle - start >= MUCH && samples.len() - middle >= MUCH {
            parts.push(start..middle);
            start = middle;
        }
        quiet = 0;
    }
    if start > 0 {
        parts.push(start..samples.len());
    }
    parts
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

/// How to cut a segment in which the engine gets lost: into parts of at most `longest` samples, or,
/// when it is no longer, in two at the weakest place. `None` when it is too short.
#[must_use]
pub fn smaller(segment: &Segment, longest: usize) -> Option<Vec<Range<usize>>> {
    let samples = segment.clip.samples();
    let speech = speech_range(segment);
    if speech.len() > longest {
        return Some(windows(samples, longest));
    }
    let inner = speech.start + SHORTEST..speech.end.saturating_sub(SHORTEST);
    (inner.len() >= PAUSE).then(|| {
        let cut = weakest(samples, inner);
        vec![0..cut, cut..samples.len()]
    })
}

/// How to cut a segment of which the engine wrote nothing that was said behind a time: at the
/// weakest place of `between`, which are times in its speech.
#[must_use]
pub fn cut_between(segment: &Segment, between: &Range<Duration>) -> Option<Vec<Range<usize>>> {
    let speech = speech_range(segment);
    let from = speech.start.saturating_add(samples(between.start).max(SHORTEST));
    let to = speech.start.saturating_add(samples(between.end));
    let inner = from..speech.end.saturating_sub(SHORTEST).min(to);
    (inner.len() >= PAUSE).then(|| {
        let cut = weakest(segment.clip.samples(), inner);
        vec![0..cut, cut..segment.clip.samples().len()]
    })
}

/// How much of the times `between` in a segment's speech is as loud as speech.
#[must_use]
pub fn sounding(segment: &Segment, between: &Range<Duration>) -> Duration {
    let all = segment.clip.samples();
    let speech = speech_range(segment);
    let place = |at: Duration| speech.start.saturating_add(samples(at)).min(speech.end);
    let loud = loud(all) * SOFTER * SOFTER;
    let frames = all[place(between.start)..place(between.end)].chunks_exact(FRAME);
    let count = frames.filter(|frame| energy(frame) >= loud).count();
    Duration::from_millis(20).saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The number of samples in a time.
fn samples(time: Duration) -> usize {
    usize::try_from(time.as_millis()).unwrap_or(usize::MAX).saturating_mul(SAMPLE_RATE_HZ as usize / 1_000)
}

/// Whether there is a pause around a sample.
#[must_use]
pub fn is_pause(samples: &[f32], at: usize) -> bool {
    let around = at.saturating_sub(PAUSE / 2)..(at + PAUSE / 2).min(samples.len());
    let loud = loud(samples);
    samples[around].chunks_exact(FRAME).all(|frame| energy(frame) < loud * SOFTER * SOFTER)
}

/// A clip of a part of another's samples.
#[must_use]
pub fn part(clip: &Clip, range: Range<usize>) -> Clip {
    Clip::new(&clip.samples()[range]).expect("a part of a clip is a clip")
}

/// The energy of a loud frame: a tenth of the frames are louder.
fn loud(samples: &[f32]) -> f32 {
    let mut levels: Vec<f32> = samples.chunks_exact(FRAME).map(energy).collect();
    levels.sort_by(f32::total_cmp);
    levels.iter().rev().nth(levels.len() / 10).copied().unwrap_or(0.0)
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

    #[test]
    fn what_is_unwritten_is_cut_off_at_its_pause() {
        let samples = pattern(&[(2 * RATE, 0.3), (RATE / 2, 0.001), (3 * RATE, 0.3), (4 * RATE, 0.0)]);
        let all = segment(samples, 19 * RATE / 2);
        let millis = |from, to| Duration::from_millis(from)..Duration::from_millis(to);
        for (between, cut, loud) in [
            // The attention ran ahead of the pause; the search begins with the last word.
            (millis(1_700, 3_700), Some(2 * RATE..5 * RATE / 2), 1_500),
            (millis(2_000, 2_500), Some(2 * RATE..5 * RATE / 2), 0),
            (millis(5_500, 9_000), Some(11 * RATE / 2..9 * RATE), 0),
            (millis(3_000, 3_100), None, 100),
        ] {
            let parts = cut_between(&all, &between);
            assert_eq!(parts.is_some(), cut.is_some(), "{between:?}");
            if let (Some(parts), Some(cut)) = (parts, cut) {
                assert!(cut.contains(&parts[0].end), "{between:?} {parts:?}");
                assert_eq!((parts[0].start, parts[1].start), (0, parts[0].end));
                assert_eq!(parts[1].end, all.clip.samples().len());
            }
            assert_eq!(sounding(&all, &between).as_millis(), loud, "{between:?}");
        }
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
