//! One text from the texts of segments. Pure.

use crate::check::bare;

/// How two segments meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seam {
    /// In a pause: nothing was cut.
    Pause,
    /// In running speech: a word at the seam may have been heard on both sides.
    Forced,
}

/// Longest echo, in words, that is looked for at a forced seam. No audio is on both sides of it, so only a word that the cut
/// went through can be in both texts; what is longer was said twice.
const LONGEST_ECHO: usize = 2;

/// Adds `next` to `text`: one space between them, and no words twice that were said once.
pub fn append(text: &mut String, next: &str, seam: Seam) {
    let after: Vec<&str> = next.split_whitespace().collect();
    let echo = match seam {
        // Whoever says something twice, before and after a pause, means it.
        Seam::Pause => 0,
        Seam::Forced => echo(text, &after),
    };
    for word in &after[echo..] {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
}

/// How many words of `after` are the last words of `text`.
fn echo(text: &str, after: &[&str]) -> usize {
    let before: Vec<String> = text.split_whitespace().map(bare).collect();
    let after: Vec<String> = after.iter().map(|word| bare(word)).collect();
    (1..=LONGEST_ECHO.min(before.len()).min(after.len()))
        .rev()
        .find(|n| {
            before[before.len() - n..] == after[..*n] && after[..*n].iter().all(|word| !word.is_empty())
        })
        .unwrap_or(0)
}

/// The last `count` words of a text.
#[must_use]
pub fn last_words(text: &str, count: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words[words.len().saturating_sub(count)..].join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seams() {
        for (text, next, seam, expected) in [
            ("", "One.", Seam::Pause, "One."),
            ("One.", "", Seam::Pause, "One."),
            ("One.", " Two.", Seam::Pause, "One. Two."),
            ("I think that", "that is so.", Seam::Pause, "I think that that is so."),
            ("I think that", "That is so.", Seam::Forced, "I think that is so."),
            ("go on to the", "to the end of it", Seam::Forced, "go on to the end of it"),
            ("one two three", "one two three", Seam::Forced, "one two three one two three"),
            ("This is a test.", "This is a test.", Seam::Pause, "This is a test. This is a test."),
            ("a b", "c d", Seam::Forced, "a b c d"),
            ("-", "- a", Seam::Forced, "- - a"),
        ] {
            let mut joined = text.to_owned();
            append(&mut joined, next, seam);
            assert_eq!(joined, expected);
        }
    }

    #[test]
    fn the_prompt_is_the_end() {
        assert_eq!(last_words("one two  three", 2), "two three");
        assert_eq!(last_words("one", 30), "one");
        assert_eq!(last_words("one", 0), "");
    }

    proptest! {
        #[test]
        fn words_stay_in_order(a in "[a-c ]{0,20}", b in "[d-f ]{0,20}") {
            let mut joined = String::new();
            append(&mut joined, &a, Seam::Pause);
            append(&mut joined, &b, Seam::Forced);
            let both: Vec<&str> = a.split_whitespace().chain(b.split_whitespace()).collect();
            prop_assert_eq!(joined, both.join(" "));
        }
    }
}
