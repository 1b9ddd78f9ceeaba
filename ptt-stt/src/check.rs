//! Whether a result can be believed. Pure; what to do about it is decided in [`crate::strategy`].

use std::time::Duration;

use crate::engine::{Decoded, Ending};

/// Why a result is suspect. Also the label `reason` of `ptt_stt_fallbacks_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspicion {
    /// The engine was stopped because it repeated itself.
    Loop,
    /// The engine had not come to an end when it was stopped.
    TooLong,
    /// More was said per second than anyone says.
    TooFast,
    /// The text says something twice.
    Repeats,
    /// The engine did not believe it either.
    Unsure,
    /// There was speech for some time, and no text.
    Empty,
}

impl Suspicion {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 6] =
        [Self::Loop, Self::TooLong, Self::TooFast, Self::Repeats, Self::Unsure, Self::Empty];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::TooLong => "too_long",
            Self::TooFast => "too_fast",
            Self::Repeats => "repeats",
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
/// So many words in a row are not said twice in one segment: in 143 clips of real speech none has it at full context,
/// while a context that is too short has nearly all of its wrong words in sentences that come twice.
const SAID_TWICE: usize = 4;
/// The last word or words so many times in a row are a loop that has just begun.
const IN_A_ROW: usize = 3;

/// Looks at a result for a clip of `length`. `None` when there is nothing against it.
#[must_use]
pub fn suspect(decoded: &Decoded, length: Duration) -> Option<Suspicion> {
    let text = decoded.text.reveal().trim();
    if decoded.nobody_speaks() {
        // Nothing will be made of it, however often it is heard.
        return None;
    }
    match decoded.ending {
        Ending::Loop => return Some(Suspicion::Loop),
        Ending::MaxTokens => return Some(Suspicion::TooLong),
        Ending::Natural => {}
    }
    if text.is_empty() {
        return (length >= MUST_SAY_SOMETHING).then_some(Suspicion::Empty);
    }
    if f64::from(decoded.tokens) > AT_ONCE + FASTEST * length.as_secs_f64() {
        return Some(Suspicion::TooFast);
    }
    let words = words(text);
    if says_twice(&words, SAID_TWICE) || repeated_tail(&words, IN_A_ROW, IN_A_ROW).is_some() {
        return Some(Suspicion::Repeats);
    }
    (decoded.avg_logprob < UNSURE).then_some(Suspicion::Unsure)
}

/// Whether `count` items in a row come a second time, anywhere.
fn says_twice<T: PartialEq>(items: &[T], count: usize) -> bool {
    let rows = || items.windows(count).enumerate();
    rows().any(|(at, row)| rows().skip(at + 1).any(|(_, later)| row == later))
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
            (said("Firefox Firefox Firefox"), 2, Some(Suspicion::Repeats)),
            (said("The visits of the fox have stopped. The visits of the fox"), 6, Some(Suspicion::Repeats)),
            (said("a test of the mill and a test of the wheel"), 6, Some(Suspicion::Repeats)),
            (said("the end of the day and the end of it"), 6, None),
            (loops.clone(), 6, Some(Suspicion::Repeats)),
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
