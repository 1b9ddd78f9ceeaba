//! Takes of stretches of loud and quiet, heard by a detector to whom loud is speech.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is not expected fails the test")]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::vad::tests::Loudness as LoudIsSpeech;

const LOUD: f32 = 0.25;

/// With segments that are long enough to be told apart in a script.
fn rules() -> Rules {
    Rules { commit_pause: 6_400, commit_min: 5 * 16_000, ..Rules::from(&AudioConfig::default()) }
}

/// Samples that are all different, loud or quiet by stretches of (seconds, loud).
fn audio(stretches: &[(f64, bool)]) -> Vec<f32> {
    let mut samples = Vec::new();
    for &(seconds, loud) in stretches {
        let level = if loud { LOUD } else { 0.001 };
        for _ in 0..(seconds * 16_000.0) as usize {
            let n = samples.len();
            samples.push(level * (1.0 + (n % 7_919) as f32 / 100_000.0));
        }
    }
    samples
}

#[derive(Debug, Default)]
struct Told {
    lines: Vec<String>,
    joined: Vec<f32>,
    longest: usize,
    held: u64,
    summary: Option<TakeSummary>,
    end: u64,
}

impl Told {
    fn take(&mut self, events: Vec<RecorderEvent>) {
        for event in events {
            match event {
                RecorderEvent::Heard(segment) | RecorderEvent::Finished { tail: segment, .. }
                    if matches!(segment.state, SegmentState::Committed | SegmentState::Tail) =>
                {
                    assert_eq!(segment.start, self.joined.len() as u64, "segments follow each other");
                    assert!((segment.start..=segment.end()).contains(&segment.speech_end));
                    self.joined.extend_from_slice(segment.clip.samples());
                    self.longest = self.longest.max(segment.clip.samples().len());
                    self.end = segment.end();
                    self.note(&segment);
                }
                RecorderEvent::Heard(segment) => self.note(&segment),
                RecorderEvent::SpeechResumed { index, .. } => self.lines.push(format!("resumed {index}")),
                other => panic!("a take does not say {other:?}"),
            }
        }
    }

    fn note(&mut self, segment: &Segment) {
        let seconds = |n: u64| n as f64 / 16_000.0;
        self.lines.push(format!(
            "{:?} {} {:.1}-{:.1} speech to {:.1}",
            segment.state,
            segment.id.index,
            seconds(segment.start),
            seconds(segment.end()),
            seconds(segment.speech_end),
        ));
    }
}

/// Plays `samples` to a take that begins at 0, in blocks; the release is known when its block is in.
fn play(samples: &[f32], rules: Rules, press: u64, release: u64, blocks: &[usize]) -> Told {
    let mut history = History::default();
    let mut take = Take::new(TakeId(1), rules, 0, press);
    let mut told = Told::default();
    let mut rest = samples;
    let mut blocks = blocks.iter().cycle();
    while told.summary.is_none() {
        assert!(!rest.is_empty(), "the take ends while there is audio: {:?}", told.lines);
        let (block, later) = rest.split_at(rest.len().min(*blocks.next().unwrap()));
        rest = later;
        history.push(block);
        if history.end() >= release {
            take.release(release);
        }
        let events = take.hear(&history, &mut LoudIsSpeech, u64::MAX);
        told.held = told.held.max(take.held());
        if let Some(RecorderEvent::Finished { summary, .. }) = events.last() {
            told.summary = Some(*summary);
        }
        told.take(events);
    }
    told
}

fn check(stretches: &[(f64, bool)], release_s: f64, expected: &[&str]) -> TakeSummary {
    let told = play(&audio(stretches), rules(), 4_800, (release_s * 16_000.0) as u64, &[160]);
    assert_eq!(told.lines, expected, "{stretches:?}");
    told.summary.unwrap()
}

#[test]
fn takes_by_script() {
    // Released in silence: it ends at once, and the pause had the same words.
    let summary = check(
        &[(0.5, false), (1.5, true), (1.0, false)],
        2.5,
        &["Paused 0 0.0-2.2 speech to 2.0", "Tail 0 0.0-2.5 speech to 2.0"],
    );
    assert!(summary.has_speech && !summary.cut_short && !summary.digital_silence);
    assert_eq!(summary.pre_roll, Duration::from_millis(300));
    assert_eq!(summary.post_roll, Duration::ZERO);
    // Released in a word: it goes on to the end of the word and a little.
    let summary = check(
        &[(0.5, false), (1.5, true), (1.0, false)],
        1.8,
        &[
            "Ending 0 0.0-1.8 speech to 1.8",
            "resumed 0",
            "Ending 0 0.0-2.0 speech to 2.0",
            "Tail 0 0.0-2.1 speech to 2.0",
        ],
    );
    assert!(summary.post_roll > Duration::from_millis(200) && summary.post_roll < Duration::from_millis(340));
    // Released just after it: what is there is told at once, and the rest is waited for.
    check(
        &[(0.5, false), (1.5, true), (1.0, false)],
        2.05,
        &["Ending 0 0.0-2.0 speech to 2.0", "Tail 0 0.0-2.1 speech to 2.0"],
    );
    // Somebody who goes on and on.
    let summary = check(
        &[(0.5, false), (4.0, true)],
        2.0,
        &["Ending 0 0.0-2.0 speech to 2.0", "resumed 0", "Tail 0 0.0-2.5 speech to 2.5"],
    );
    assert_eq!(summary.post_roll, Duration::from_millis(500));
    // A pause, and on.
    check(
        &[(0.5, false), (1.0, true), (0.3, false), (1.0, true), (1.0, false)],
        3.5,
        &[
            "Paused 0 0.0-1.7 speech to 1.5",
            "resumed 0",
            "Paused 0 0.0-3.0 speech to 2.8",
            "Tail 0 0.0-3.5 speech to 2.8",
        ],
    );
    // A long one closes the segment in its middle; the rest is short.
    check(
        &[(0.5, false), (6.0, true), (1.0, false), (1.0, true), (1.0, false)],
        9.0,
        &[
            "Paused 0 0.0-6.8 speech to 6.5",
            "Committed 0 0.0-6.7 speech to 6.5",
            "Paused 1 6.7-8.8 speech to 8.5",
            "Tail 1 6.7-9.0 speech to 8.5",
        ],
    );
    // Nobody speaks.
    let summary = check(&[(3.0, false)], 1.0, &["Tail 0 0.0-1.0 speech to 0.0"]);
    assert!(!summary.has_speech && !summary.digital_silence);
    // 40 s without a pause but for a breath at 24 s.
    check(
        &[(24.0, true), (0.18, false), (17.0, true)],
        40.0,
        &[
            "Committed 0 0.0-24.1 speech to 24.0",
            "Ending 1 24.1-40.0 speech to 40.0",
            "resumed 1",
            "Tail 1 24.1-40.5 speech to 40.5",
        ],
    );
}

#[test]
fn a_voice_that_stops_at_once_has_stopped_whatever_the_detector_says() {
    /// Hears speech for 200 ms longer than there is some.
    #[derive(Default)]
    struct Lagging(usize);
    impl Vad for Lagging {
        fn score(&mut self, frame: &[f32; FRAME]) -> f32 {
            self.0 = if mean_square(frame) > 0.01 { 12 } else { self.0.saturating_sub(1) };
            if self.0 > 0 { 0.9 } else { 0.1 }
        }

        fn reset(&mut self) {}
    }
    let mut history = History::default();
    history.push(&audio(&[(0.5, false), (1.5, true), (1.0, false)]));
    let mut take = Take::new(TakeId(1), rules(), 0, 4_800);
    take.release(32_000);
    let mut told = Told::default();
    told.take(take.hear(&history, &mut Lagging::default(), u64::MAX));
    assert_eq!(told.lines, ["Ending 0 0.0-2.0 speech to 2.0", "Tail 0 0.0-2.1 speech to 2.0"]);
}

#[test]
fn the_less_was_said_the_longer_is_the_pause_that_closes_a_segment() {
    let rules = rules();
    let seconds = |seconds: f64| (seconds * 16_000.0) as u64;
    for (speech, pause, closes) in [
        (5.0, 0.4, true),
        (5.0, 0.39, false),
        (9.0, 0.39, false),
        (2.5, 0.8, true),
        (2.5, 0.79, false),
        (0.5, 4.1, true),
    ] {
        assert_eq!(rules.close(seconds(speech), seconds(pause)), closes, "{speech} s, then {pause} s");
    }
}

#[test]
fn a_release_that_is_long_past_ends_the_take_there() {
    let samples = audio(&[(0.5, false), (1.0, true), (8.0, false), (1.0, true)]);
    let mut history = History::default();
    history.push(&samples);
    let mut take = Take::new(TakeId(1), rules(), 0, 4_800);
    take.hear(&history, &mut LoudIsSpeech, 3 * 16_000);
    take.release(2 * 16_000);
    let mut told = Told::default();
    told.take(take.hear(&history, &mut LoudIsSpeech, u64::MAX));
    assert_eq!(told.end, 2 * 16_000);
}

#[test]
fn what_may_be_noise_is_left_to_the_engine() {
    struct Doubtful;
    impl Vad for Doubtful {
        fn score(&mut self, _frame: &[f32; FRAME]) -> f32 {
            0.7
        }

        fn reset(&mut self) {}
    }
    let mut history = History::default();
    history.push(&audio(&[(6.0, true), (1.0, false)]));
    let mut take = Take::new(TakeId(1), rules(), 0, 4_800);
    assert!(take.hear(&history, &mut Doubtful, u64::MAX).is_empty());
    let RecorderEvent::Finished { tail, summary } = take.cut_short(&history) else { panic!() };
    assert!(!tail.certain && summary.has_speech);
    assert_eq!(tail.speech_end, tail.end(), "all of it is looked at");
}

#[test]
fn what_stands_out_from_the_room_is_left_to_the_engine_too() {
    struct Deaf;
    impl Vad for Deaf {
        fn score(&mut self, _frame: &[f32; FRAME]) -> f32 {
            0.1
        }

        fn reset(&mut self) {}
    }
    for (stretches, expected) in [
        (&[(1.0, false), (0.3, true), (1.0, false)][..], true),
        // A click, and nothing at all.
        (&[(1.0, false), (0.05, true), (1.0, false)], false),
        (&[(2.0, false)], false),
    ] {
        let mut history = History::default();
        history.push(&audio(stretches));
        let mut take = Take::new(TakeId(1), rules(), 0, 4_800);
        assert!(take.hear(&history, &mut Deaf, u64::MAX).is_empty());
        let RecorderEvent::Finished { tail, summary } = take.cut_short(&history) else { panic!() };
        assert_eq!((tail.has_speech(), summary.has_speech), (expected, expected), "{stretches:?}");
        assert!(!tail.certain);
    }
}

#[test]
fn a_weak_voice_is_told() {
    for (factor, expected) in [(1.0, false), (0.1, false), (0.024, true)] {
        let samples: Vec<f32> =
            audio(&[(0.5, false), (1.0, true), (0.5, false)]).iter().map(|sample| sample * factor).collect();
        /// Hears speech in the middle, at any level.
        struct Middle(u32);
        impl Vad for Middle {
            fn score(&mut self, _frame: &[f32; FRAME]) -> f32 {
                self.0 += 1;
                if (32..94).contains(&self.0) { 0.9 } else { 0.1 }
            }

            fn reset(&mut self) {}
        }
        let mut history = History::default();
        history.push(&samples);
        let mut take = Take::new(TakeId(1), rules(), 0, 4_800);
        take.hear(&history, &mut Middle(0), u64::MAX);
        let RecorderEvent::Finished { summary, .. } = take.cut_short(&history) else { panic!() };
        assert!(summary.has_speech);
        assert_eq!(summary.quiet, expected, "{factor}");
    }
}

#[test]
fn digital_silence_is_named() {
    let told = play(&[0.0; 32_000], rules(), 4_800, 20_000, &[160]);
    assert!(told.summary.unwrap().digital_silence);
}

#[test]
fn a_cut_take_keeps_what_there_is() {
    let samples = audio(&[(0.5, false), (1.01, true)]);
    let mut history = History::default();
    history.push(&samples);
    let mut take = Take::new(TakeId(1), rules(), 100, 4_900);
    assert!(take.hear(&history, &mut LoudIsSpeech, u64::MAX).is_empty());
    let RecorderEvent::Finished { tail, summary } = take.cut_short(&history) else { panic!() };
    assert_eq!(tail.clip.samples(), &samples[100..]);
    assert!(summary.cut_short && summary.has_speech);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_sample_is_lost_or_doubled(
        stretches in prop::collection::vec((0.02f64..9.0, any::<bool>()), 1..14),
        blocks in prop::collection::vec(1usize..4_000, 1..8),
        at in 0.0f64..1.0,
        pre_roll in 0u64..16_000,
        post_roll in 0u64..16_000,
    ) {
        let mut samples = audio(&stretches);
        let release = (samples.len() as f64 * at) as u64;
        let spoken = samples.len();
        samples.extend(audio(&[(2.0, false)]));
        let rules = Rules { pre_roll, post_roll, ..rules() };
        let told = play(&samples, rules, pre_roll.min(release), release, &blocks);
        prop_assert!(told.end >= release && told.end <= release + post_roll, "{} in {}", told.end, spoken);
        prop_assert_eq!(&told.joined[..], &samples[..told.joined.len()]);
        prop_assert_eq!(told.joined.len() as u64, told.end);
        prop_assert!(told.longest as u64 <= LONGEST + post_roll);
        prop_assert!(told.held <= LONGEST + FRAME_LEN);
        let summary = told.summary.unwrap();
        prop_assert_eq!(samples_in(summary.length), told.end);
        prop_assert_eq!(samples_in(summary.post_roll), told.end - release);
        // However it came in, it is the same take.
        let again = play(&samples, rules, pre_roll.min(release), release, &[256]);
        if release.is_multiple_of(256) {
            prop_assert_eq!(again.joined, told.joined);
        }
    }
}
