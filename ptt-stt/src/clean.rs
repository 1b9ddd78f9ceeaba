//! What is left of an engine's words when its habits are taken away: sound descriptions, phrases from subtitles,
//! repetitions. Pure. Words that may have been said are never touched.

use crate::check::{bare, repeated_tail, words};
use crate::engine::{Decoded, Ending};

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
/// Below this average log-probability nobody spoke: of 143 clips of real, partly hard speech the worst has -0.97 at
/// full context, of 31 clips of noise and silence all but the phrases above are below -1.4.
const NOBODY: f32 = -1.3;
/// A phrase is doubtful below this: silence gives `you` at -0.7.
const DOUBTFUL: f32 = -0.6;
/// A phrase is doubtful, too, when the engine thinks that nobody speaks. Our own engine says 0.49 and more of 31 clips of
/// noise and silence, and 0.20 at most of 143 clips of speech. (whisper.cpp 1.8.3 takes this probability after the last
/// token of the prompt, where it is near zero.)
const NO_SPEECH: f32 = 0.3;
/// A loop that nobody spoke: at least so many times, so many words in all.
const LOOP_TIMES: usize = 3;
const LOOP_WORDS: usize = 6;

/// The text that is worth delivering; may be empty.
#[must_use]
pub fn clean(decoded: &Decoded) -> String {
    if decoded.avg_logprob < NOBODY || decoded.nobody_speaks() {
        return String::new();
    }
    let text = without_sounds(decoded.text.reveal());
    let text = match decoded.ending {
        // What the engine came to an end with may have been said.
        Ending::Natural => text,
        Ending::Loop | Ending::MaxTokens => without_loop(&text),
    };
    if text.chars().any(char::is_alphanumeric) && !is_phantom(&text, decoded) { text } else { String::new() }
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
    use ptt_messages::Transcript;

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
            assert_eq!(clean(&sure(given)), expected, "{given}");
        }
    }

    #[test]
    fn a_phrase_goes_only_when_it_is_all_and_doubtful() {
        for (text, no_speech, logprob, expected) in [
            ("Thank you.", 0.7, -0.5, ""),
            ("Thanks for watching!", 0.1, -1.2, ""),
            ("you", 0.0, -0.72, ""),
            ("Bye bye.", 0.0, -1.25, ""),
            ("I'm going to go to the bottom.", 0.0, -1.7, ""),
            ("I am going to go there.", 0.7, -1.1, ""),
            ("He heard a muddled, raking sound.", 0.0, -0.97, "He heard a muddled, raking sound."),
            ("you", 0.5, -0.3, ""),
            ("Thank you.", 0.05, -0.2, "Thank you."),
            ("Thank you, Emma.", 0.5, -0.9, "Thank you, Emma."),
        ] {
            let decoded = Decoded { no_speech_prob: no_speech, avg_logprob: logprob, ..sure(text) };
            assert_eq!(clean(&decoded), expected, "{text}");
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
            assert_eq!(clean(&Decoded { ending, ..sure(text) }), expected);
        }
        let spoken = "one two three four five six seven eight nine ten";
        assert_eq!(clean(&Decoded { ending: Ending::MaxTokens, ..sure(spoken) }), spoken);
    }

    proptest! {
        #[test]
        fn cleaning_ends_and_never_adds(text in "[a-c \\[\\]()*♪.!]{0,40}") {
            let cleaned = clean(&sure(&text));
            prop_assert!(cleaned.chars().filter(|c| c.is_alphanumeric()).count()
                <= text.chars().filter(|c| c.is_alphanumeric()).count());
            prop_assert!(!cleaned.contains("  "));
            prop_assert_eq!(cleaned.trim(), &cleaned);
        }
    }
}
