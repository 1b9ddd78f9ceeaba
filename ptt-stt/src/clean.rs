//! What is left of an engine's words when its habits are taken away: sound descriptions, phrases from subtitles,
//! repetitions. Pure. Words that may have been said are never touched.

use ptt_messages::Transcript;

use crate::check::{bare, repeated_tail, words};
use crate::engine::{Decoded, Ending, NO_SPEECH};

/// What Whisper writes when it hears nothing: the ends of videos. Lower case, without punctuation.
const PHRASES: [&str; 24] = [
    "you",
    "thank you",
    "thank you very much",
    "thank you for watching",
    "thank you so much for watching",
    "thanks",
    "thanks for watching",
    "thanks for listening",
    "please subscribe",
    "subscribe",
    "bye",
    "bye bye",
    "the end",
    "so",
    "okay",
    "oh",
    "ah",
    "and",
    "i'm sorry",
    "see you next time",
    "see you in the next video",
    "like and subscribe",
    "subtitles by the amara.org community",
    "vielen dank",
];
/// A phrase is doubtful below this: silence gives `you` at -0.7.
const DOUBTFUL: f32 = -0.6;
/// A loop that nobody spoke: at least so many times, so many words in all.
const LOOP_TIMES: usize = 3;
const LOOP_WORDS: usize = 6;

/// Why words that the engine wrote are left out. Also the label `reason` of
/// `ptt_stt_discarded_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// Nobody speaks.
    NoSpeech,
    /// A phrase from the ends of videos, which the engine itself doubts.
    Phrase,
    /// The engine repeated itself.
    Repetition,
    /// Neither the voice-activity detector nor the engine is certain that anything was said
    /// ([`second_look`](crate::second_look)).
    Uncertain,
}

impl Discard {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 4] = [Self::NoSpeech, Self::Phrase, Self::Repetition, Self::Uncertain];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoSpeech => "no_speech",
            Self::Phrase => "phrase",
            Self::Repetition => "repetition",
            Self::Uncertain => "uncertain",
        }
    }
}

/// What is made of an engine's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// The text that is worth delivering; may be empty.
    pub text: Transcript,
    /// What was left out of it.
    pub discarded: Option<Discarded>,
}

/// Words that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// The words; nothing where those that stay tell them.
    pub words: Transcript,
    /// The reason.
    pub why: Discard,
}

/// Takes the words apart into what is worth delivering and what is not.
#[must_use]
pub fn clean(decoded: &Decoded) -> Cleaned {
    let text = without_sounds(decoded.text.reveal());
    if !is_text(&text) {
        return Cleaned::default();
    }
    if decoded.nobody_speaks() {
        return all_discarded(text, Discard::NoSpeech);
    }
    let kept = match decoded.ending {
        // What the engine came to an end with may have been said.
        Ending::Natural | Ending::LanguageSwitch(_) => text.clone(),
        Ending::Loop | Ending::MaxTokens => without_loop(&text),
    };
    if is_phantom(&kept, decoded) {
        return all_discarded(text, Discard::Phrase);
    }
    let repeated = Discarded { words: Transcript::default(), why: Discard::Repetition };
    Cleaned { discarded: (kept.len() < text.len()).then_some(repeated), text: Transcript::new(kept) }
}

/// Leaves all of the words out, for a reason that is not in them.
#[must_use]
pub fn without(decoded: &Decoded, why: Discard) -> Cleaned {
    let text = without_sounds(decoded.text.reveal());
    if is_text(&text) { all_discarded(text, why) } else { Cleaned::default() }
}

fn all_discarded(text: String, why: Discard) -> Cleaned {
    Cleaned { text: Transcript::default(), discarded: Some(Discarded { words: Transcript::new(text), why }) }
}

fn is_text(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

/// Drops descriptions of sounds, and the spaces that they leave.
fn without_sounds(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut dropped = false;
    while let Some(first) = rest.chars().next() {
        let at_word = kept.chars().next_back().is_none_or(char::is_whitespace);
        if let Some(bytes) = sound_at_start(rest, at_word) {
            kept.push(' ');
            rest = &rest[bytes..];
            dropped = true;
        } else {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    let mut text = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    if dropped {
        for mark in [" .", " ,", " ?", " !"] {
            text = text.replace(mark, mark.trim_start());
        }
    }
    text
}

/// How many bytes at the start of `text` describe a sound: `[BLANK_AUDIO]`, `(music)`, `*sighs*`, notes. Round brackets
/// and stars may be a writer's, so they count at the start of a word only, with a few words and no sentence in them.
fn sound_at_start(text: &str, at_word: bool) -> Option<usize> {
    let first = text.chars().next()?;
    let inner = &text[first.len_utf8()..];
    let close = match first {
        '[' => ']',
        '(' => ')',
        '*' => '*',
        '♪' | '♫' => {
            return Some(inner.find(first).map_or(first.len_utf8(), |end| end + 2 * first.len_utf8()));
        }
        _ => return None,
    };
    let inner = &inner[..inner.find(close)?];
    let few_words = at_word
        && (1..=4).contains(&inner.split_whitespace().count())
        && !inner.contains(['.', '?', '!'])
        && inner.trim() == inner;
    let letters = inner.chars().any(char::is_alphabetic);
    (letters && (first == '[' || few_words)).then_some(inner.len() + 2)
}

/// Keeps one of what comes in a row at the end, also when the last one is cut.
fn without_loop(text: &str) -> String {
    let spoken: Vec<&str> = text.split_whitespace().collect();
    let plain: Vec<String> = spoken.iter().map(|word| bare(word)).collect();
    let again = repeated_tail(&plain, LOOP_TIMES, LOOP_WORDS).map_or(0, |found| found.again);
    spoken[..spoken.len() - again].join(" ")
}

/// Whether the whole text is a phrase of subtitles, and the engine itself doubts it.
fn is_phantom(text: &str, decoded: &Decoded) -> bool {
    let doubtful = decoded.no_speech_prob > NO_SPEECH || decoded.avg_logprob < DOUBTFUL;
    doubtful && PHRASES.contains(&words(text).join(" ").as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sure(text: &str) -> Decoded {
        Decoded { text: Transcript::new(text), avg_logprob: -0.2, no_speech_prob: 0.01, ..Decoded::default() }
    }

    #[test]
    fn sounds_go_and_words_stay() {
        for (given, expected) in [
            ("[BLANK_AUDIO]", ""),
            (" (music)", ""),
            ("(soft music) Hello there.", "Hello there."),
            ("Hello [inaudible] there.", "Hello there."),
            ("*sighs* Well.", "Well."),
            ("♪ La la la ♪", ""),
            ("Hello [inaudible].", "Hello."),
            ("Call f(x) and g[0] now.", "Call f(x) and g[0] now."),
            (
                "He said (and this is what everybody knows) no.",
                "He said (and this is what everybody knows) no.",
            ),
            ("a ( b", "a ( b"),
            ("2 * 3 * 4", "2 * 3 * 4"),
            ("...", ""),
            (".", ""),
            ("Thank you.", "Thank you."),
            ("It costs 5.", "It costs 5."),
            ("  two   spaces ", "two spaces"),
        ] {
            assert_eq!(clean(&sure(given)).text.reveal(), expected, "{given}");
        }
    }

    #[test]
    fn a_phrase_goes_only_when_it_is_all_and_doubtful() {
        for (text, no_speech, logprob, expected) in [
            ("Thank you.", 0.7, -0.5, ""),
            ("Thanks for watching!", 0.1, -1.2, ""),
            ("you", 0.0, -0.72, ""),
            ("Bye bye.", 0.0, -1.25, ""),
            ("I'm going to go to the bottom.", 0.86, -1.74, ""),
            ("I am going to go there.", 0.7, -1.1, ""),
            // Hard speech, in which the engine doubts every word but not that there are some.
            ("7F close.", 0.07, -1.36, "7F close."),
            ("Who was that?", 0.12, -1.78, "Who was that?"),
            // Repeated words sound like nothing to it.
            ("one one one one two two", 0.6, -0.65, "one one one one two two"),
            ("He heard a muddled, raking sound.", 0.0, -0.97, "He heard a muddled, raking sound."),
            ("you", 0.5, -0.3, ""),
            ("Thank you.", 0.05, -0.2, "Thank you."),
            ("Thank you, Emma.", 0.5, -0.9, "Thank you, Emma."),
        ] {
            let decoded = Decoded { no_speech_prob: no_speech, avg_logprob: logprob, ..sure(text) };
            assert_eq!(clean(&decoded).text.reveal(), expected, "{text}");
        }
    }

    #[test]
    fn a_loop_is_cut_only_when_the_engine_did_not_end_by_itself() {
        let text = "Ask what and so my fellow and so my fellow and so my fellow and so";
        for (ending, expected) in [
            (Ending::Loop, "Ask what and so my fellow"),
            (Ending::MaxTokens, "Ask what and so my fellow"),
            (Ending::Natural, text),
        ] {
            assert_eq!(clean(&Decoded { ending, ..sure(text) }).text.reveal(), expected);
        }
        let spoken = "one two three four five six seven eight nine ten";
        assert_eq!(clean(&Decoded { ending: Ending::MaxTokens, ..sure(spoken) }).text.reveal(), spoken);
    }

    proptest! {
        #[test]
        fn cleaning_ends_and_never_adds(text in "[a-c \\[\\]()*♪.!]{0,40}") {
            let cleaned = clean(&sure(&text)).text.reveal().to_owned();
            prop_assert!(cleaned.chars().filter(|c| c.is_alphanumeric()).count()
                <= text.chars().filter(|c| c.is_alphanumeric()).count());
            prop_assert!(!cleaned.contains("  "));
            prop_assert_eq!(cleaned.trim(), &cleaned);
        }
    }
}
