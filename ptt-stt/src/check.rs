//! Whether a result can be believed. Pure; what to do about it is decided in [`crate::strategy`].

use std::ops::Range;
use std::time::Duration;

use crate::engine::{Decoded, Ending, NO_SPEECH};

/// Why a result is suspect. Also the label `reason` of `ptt_stt_fallbacks_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspicion {
    /// The engine was stopped because it repeated itself.
    Loop,
    /// The engine had not come to an end when it was stopped.
    TooLong,
    /// More was said per second than anyone says.
    TooFast,
    /// The text says something twice that was said once.
    Repeats,
    /// The text is the end of what was said before it, as an engine echoes its prompt.
    Echo,
    /// The text ends long before the speech does.
    Missing,
    /// The engine did not believe it either.
    Unsure,
    /// There was speech for some time, and no text.
    Empty,
}

impl Suspicion {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 8] = [
        Self::Loop,
        Self::TooLong,
        Self::TooFast,
        Self::Repeats,
        Self::Echo,
        Self::Missing,
        Self::Unsure,
        Self::Empty,
    ];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::TooLong => "too_long",
            Self::TooFast => "too_fast",
            Self::Repeats => "repeats",
            Self::Echo => "echo",
            Self::Missing => "missing",
            Self::Unsure => "unsure",
            Self::Empty => "empty",
        }
    }
}

/// Tokens per second above which nobody speaks; people stay below 6, spelled numbers below 8.
const FASTEST: f64 = 8.0;
/// So many more may come at once, in a clip that is short. Real speech stays below half of both together; what a sliver of noise
/// echoes of its prompt does not.
const AT_ONCE: f64 = 4.0;
/// Average log-probability below which Whisper's own recipe tries again.
const UNSURE: f32 = -1.0;
/// Speech this long has words in it.
const MUST_SAY_SOMETHING: Duration = Duration::from_millis(1_500);
/// So many words in a row are seldom said twice in one segment: a context that is too short has
/// nearly all of its wrong words in sentences that come twice.
const SAID_TWICE: usize = 4;
/// Who says something twice in earnest says this many tokens per second at most, of the text with
/// both; an engine that writes twice what was said once has more. For an engine that cannot tell
/// when a token was said.
const TWICE_IN_EARNEST: f64 = 3.5;
/// Repeated words that lie closer together than this, each, are one sound that was written twice.
const ONE_SOUND: Duration = Duration::from_millis(40);
/// The text ends so long before the speech when something of it is missing: in 286 clips of real
/// speech, slower ones among them, it is 2.3 s at most with the silence at their ends, and in
/// repetitions that were written once it is 2.2 s and more.
const MISSING: Duration = Duration::from_millis(2_000);
/// Between two words is so long a time when something that was said there is missing: in the same
/// clips it is 2.4 s at most, and in repetitions of which one was left out 2.9 s and more. Silence
/// may take longer: whether there is sound is not known here.
const HOLE: Duration = Duration::from_millis(2_600);
/// An echo of the prompt comes from a clip that is this short.
const ECHOES: Duration = Duration::from_millis(2_000);
/// The last word or words so many times in a row are a loop that has just begun.
const IN_A_ROW: usize = 3;

/// Looks at a result for a clip of `length`. `None` when there is nothing against it.
#[must_use]
pub fn suspect(decoded: &Decoded, length: Duration) -> Option<Suspicion> {
    let text = decoded.text.reveal().trim();
    let silent = decoded.no_speech_prob > NO_SPEECH;
    if decoded.nobody_speaks() || silent && !text.contains(char::is_alphanumeric) {
        // Nothing will be made of it, however often it is heard.
        return None;
    }
    match decoded.ending {
        Ending::Loop => return Some(Suspicion::Loop),
        Ending::MaxTokens => return Some(Suspicion::TooLong),
        Ending::Natural | Ending::LanguageSwitch(_) => {}
    }
    if text.is_empty() {
        return (length >= MUST_SAY_SOMETHING).then_some(Suspicion::Empty);
    }
    if f64::from(decoded.tokens) > AT_ONCE + FASTEST * length.as_secs_f64() {
        return Some(Suspicion::TooFast);
    }
    if !silent && !decoded.times.is_empty() && decoded.last_time() + MISSING < length {
        return Some(Suspicion::Missing);
    }
    if repeats(decoded, length) {
        return Some(Suspicion::Repeats);
    }
    (decoded.avg_logprob < UNSURE).then_some(Suspicion::Unsure)
}

/// The longest time between two words of which nothing is written although it is long enough for a
/// sentence. Where there is sound in it, something is missing.
#[must_use]
pub fn hole(decoded: &Decoded) -> Option<Range<Duration>> {
    if decoded.no_speech_prob > NO_SPEECH {
        return None;
    }
    let times = decoded.word_times();
    let between = times.iter().zip(times.iter().skip(1)).map(|(from, to)| *from..*to);
    between.max_by_key(|hole| hole.end - hole.start).filter(|hole| hole.end - hole.start > HOLE)
}

/// Whether a text from a clip of `length` is an echo of what was said before it.
#[must_use]
pub fn echoes(text: &str, before: &str, length: Duration) -> bool {
    let text = words(text);
    length < ECHOES && !text.is_empty() && words(before).ends_with(&text)
}

/// Whether the text says twice what, by the audio, was said once.
fn repeats(decoded: &Decoded, length: Duration) -> bool {
    let (words, times): (Vec<String>, Vec<Option<Duration>>) = timed_words(decoded).into_iter().unzip();
    let tail = repeated_tail(&words, IN_A_ROW, IN_A_ROW).map(|found| {
        let last = words.len() - found.period;
        (last - found.period, last, found.period)
    });
    let Some((first, second, count)) = said_twice(&words, SAID_TWICE).or(tail) else { return false };
    let all = |from: usize| times[from..from + count].iter().copied().sum::<Option<Duration>>();
    match (all(first), all(second)) {
        (Some(one), Some(other)) => {
            let apart = u32::try_from((second - first) * count).unwrap_or(u32::MAX);
            other < one + ONE_SOUND.saturating_mul(apart)
        }
        _ => f64::from(decoded.tokens) > TWICE_IN_EARNEST * length.as_secs_f64(),
    }
}

/// The words of a text, and when each was said.
fn timed_words(decoded: &Decoded) -> Vec<(String, Option<Duration>)> {
    let text = decoded.text.reveal();
    let time = |end: usize| decoded.times.iter().find(|token| token.end >= end).map(|token| token.at);
    let starts = text.split_whitespace().map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        (bare(word), time(start + 1))
    });
    starts.filter(|(word, _)| !word.is_empty()).collect()
}

/// Where `count` items in a row stand that come a second time, and where they do, with their
/// number: the last of all, and one that does not overlap the first, where there is one.
fn said_twice<T: PartialEq>(items: &[T], count: usize) -> Option<(usize, usize, usize)> {
    let row = |at: usize| &items[at..at + count];
    let last = items.len().checked_sub(count)?;
    let pair = |least: usize| {
        let first = |second: usize| (0..=second - least).rev().find(|first| row(*first) == row(second));
        (least..=last).rev().find_map(|second| Some((first(second)?, second, count)))
    };
    pair(count).or_else(|| pair(1))
}

/// A pattern that `items` end with, the last time perhaps cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repetition {
    /// Length of the pattern.
    pub period: usize,
    /// How many items at the end are the same as those a period before.
    pub again: usize,
}

/// The shortest pattern that `items` end with at least `times` times in a row, covering at least `covering` items.
#[must_use]
pub fn repeated_tail<T: PartialEq>(items: &[T], times: usize, covering: usize) -> Option<Repetition> {
    let n = items.len();
    (1..=n / times.max(1)).find_map(|period| {
        let again =
            (period..n).take_while(|back| items[n - 1 - back] == items[n - 1 - back + period]).count();
        (again >= period * (times - 1) && again + period >= covering).then_some(Repetition { period, again })
    })
}

/// Lower-case words without punctuation, for comparing.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect()
}

/// One word, lower case, without the punctuation around it.
#[must_use]
pub fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use ptt_messages::Transcript;

    use super::*;
    use crate::engine::TokenTime;

    fn said(text: &str) -> Decoded {
        let tokens = u32::try_from(text.split_whitespace().count()).unwrap();
        Decoded { text: Transcript::new(text), tokens, avg_logprob: -0.3, ..Decoded::default() }
    }

    #[test]
    fn what_is_suspect_and_what_is_not() {
        let fine = said("My empire reaches from the ocean in the East to the mountain ridge in the West.");
        let loops = said("and so my fellow and so my fellow and so my fellow and so my fellow");
        for (decoded, seconds, expected) in [
            (fine.clone(), 5, None),
            (fine.clone(), 1, Some(Suspicion::TooFast)),
            (said("Then whose is it?"), 1, None),
            (said(""), 1, None),
            (said(" "), 3, Some(Suspicion::Empty)),
            (said("Well, no no."), 2, None),
            // Too much for the time, or not.
            (said("Firefox Firefox Firefox Firefox"), 1, Some(Suspicion::Repeats)),
            (said("Firefox Firefox Firefox"), 2, None),
            (said("The visits of the fox have stopped. The visits of the fox"), 3, Some(Suspicion::Repeats)),
            (said("The visits of the fox have stopped. The visits of the fox"), 6, None),
            (said("a test of the mill and a test of the wheel"), 2, Some(Suspicion::Repeats)),
            (said("a test of the mill and a test of the wheel"), 6, None),
            (said("the end of the day and the end of it"), 6, None),
            (loops.clone(), 4, Some(Suspicion::Repeats)),
            (Decoded { ending: Ending::Loop, ..loops.clone() }, 6, Some(Suspicion::Loop)),
            (Decoded { ending: Ending::MaxTokens, ..loops }, 6, Some(Suspicion::TooLong)),
            (Decoded { avg_logprob: -1.2, ..fine.clone() }, 5, Some(Suspicion::Unsure)),
            (Decoded { avg_logprob: -1.2, no_speech_prob: 0.7, ..fine }, 5, None),
        ] {
            assert_eq!(
                suspect(&decoded, Duration::from_secs(seconds)),
                expected,
                "{:?}",
                decoded.text.reveal()
            );
        }
    }

    /// With the time of each word, in tenths of a second.
    fn timed(text: &str, tenths: &[u64]) -> Decoded {
        let mut end = 0;
        let times = text.split_inclusive(' ').zip(tenths).map(|(word, at)| {
            end += word.len();
            TokenTime { end, at: Duration::from_millis(at * 100) }
        });
        Decoded { times: times.collect(), ..said(text) }
    }

    #[test]
    fn what_was_said_twice_is_told_from_what_was_written_twice_by_its_time() {
        let here = "It was here that it was here that it was here that";
        let one_after_the_other = [1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 25, 27];
        let all_at_once = [1, 3, 5, 7, 6, 6, 7, 7, 7, 7, 7, 7];
        for (text, tenths, millis, expected) in [
            (here, &one_after_the_other[..], 3_000, None),
            (here, &all_at_once, 2_500, Some(Suspicion::Repeats)),
            ("No, no, no, no, no, do not do that.", &[6, 9, 15, 22, 22, 22, 24, 28, 32], 3_450, None),
            ("No, no, no, no, no, no, no.", &[6, 6, 6, 6, 6, 6, 6], 2_400, Some(Suspicion::Repeats)),
            // The sentence comes twice more in the audio.
            ("The caravan moved east.", &[1, 4, 9, 14], 4_900, Some(Suspicion::Missing)),
            ("The caravan moved east.", &[1, 4, 9, 14], 3_300, None),
        ] {
            let decoded = timed(text, tenths);
            assert_eq!(suspect(&decoded, Duration::from_millis(millis)), expected, "{text} {tenths:?}");
        }
        let music = Decoded { no_speech_prob: 0.9, ..timed("(music)", &[1]) };
        assert_eq!(suspect(&music, Duration::from_secs(9)), None, "what follows is music, too");
        let notes = Decoded { no_speech_prob: 0.9, ending: Ending::Loop, ..said("♪ ♪ ♪ ♪") };
        assert_eq!(suspect(&notes, Duration::from_secs(9)), None, "there is no speech to find");
    }

    #[test]
    fn a_hole_in_the_middle_is_longer_than_a_word_takes() {
        let text = "The fox jumps. The fox jumps.";
        let silent = Decoded { no_speech_prob: 0.9, ..timed(text, &[1, 3, 6, 40, 42, 45]) };
        for (decoded, expected) in [
            (timed(text, &[1, 3, 6, 32, 34, 37]), None),
            (timed(text, &[1, 3, 6, 40, 42, 45]), Some((600, 4_000))),
            // The attention goes back and forth; nothing is missing.
            (timed(text, &[1, 3, 40, 20, 22, 45]), None),
            // What follows the last word, and what comes before the first, is judged elsewhere.
            (timed(text, &[40, 42, 45, 48, 50, 52]), None),
            (silent, None),
            (said(text), None),
        ] {
            let found = hole(&decoded).map(|hole| (hole.start.as_millis(), hole.end.as_millis()));
            assert_eq!(found, expected, "{:?}", decoded.times);
        }
    }

    #[test]
    fn punctuation_does_not_tell_when_a_word_was_said() {
        let ends = [(3, 200), (7, 500), (8, 900)];
        let times = ends.map(|(end, at)| TokenTime { end, at: Duration::from_millis(at) });
        let decoded = Decoded { times: times.into(), ..said("The dog.") };
        assert_eq!(decoded.word_times(), [200, 500].map(Duration::from_millis));
        assert_eq!(decoded.last_time(), Duration::from_millis(900));
    }

    #[test]
    fn a_short_tail_echoes_what_was_said_before() {
        for (text, before, millis, expected) in [
            ("He said.", "That is all, he said.", 900, true),
            ("He said.", "That is all, he said.", 2_000, false),
            ("He said no.", "That is all, he said.", 900, false),
            ("He said.", "He said that is all.", 900, false),
            ("", "He said.", 900, false),
            ("Yes.", "", 900, false),
        ] {
            assert_eq!(echoes(text, before, Duration::from_millis(millis)), expected, "{text} {before}");
        }
    }

    #[test]
    fn a_sliver_has_no_room_for_a_sentence_and_some_for_a_word() {
        for (text, ms, expected) in [
            ("But he knew that it did matter now.", 450, Some(Suspicion::TooFast)),
            ("But he knew that it did matter now.", 500, None),
            ("Then whose is it?", 50, None),
        ] {
            assert_eq!(suspect(&said(text), Duration::from_millis(ms)), expected, "{text} {ms}");
        }
    }

    #[test]
    fn a_repetition_is_found_at_the_end_only() {
        for (items, expected) in [
            ("abcabcabc", Some((3, 6))),
            ("xyabcabcabc", Some((3, 6))),
            ("xyabcabcabca", Some((3, 7))),
            ("abcabcabcx", None),
            ("aaaa", Some((1, 3))),
            ("abababab", Some((2, 6))),
            ("abcab", None),
            ("", None),
        ] {
            let found = repeated_tail(items.as_bytes(), 3, 4).map(|r| (r.period, r.again));
            assert_eq!(found, expected, "{items}");
        }
    }

    proptest! {
        #[test]
        fn a_found_repetition_is_one(items in prop::collection::vec(0u8..3, 0..40), times in 2usize..5) {
            if let Some(found) = repeated_tail(&items, times, 1) {
                let pattern = &items[items.len() - found.period..];
                prop_assert!(items.ends_with(&pattern.repeat(times)));
                let end = &items[items.len() - found.again..];
                prop_assert_eq!(end, &items[items.len() - found.again - found.period..][..end.len()]);
            }
        }

        #[test]
        fn what_repeats_is_found(head in prop::collection::vec(0u8..3, 0..8),
                                 pattern in prop::collection::vec(0u8..3, 1..6), times in 3usize..6) {
            let mut items = head;
            items.extend(pattern.repeat(times));
            prop_assert!(repeated_tail(&items, 3, 1).is_some());
        }
    }
}
