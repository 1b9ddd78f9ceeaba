//! Where clauses and sentences end, and how they begin. Pure.

use std::borrow::Cow;

/// Whether `c` ends a clause when it stands at the end of a word. Engines write a pause as one of these.
pub(super) const fn is_mark(c: char) -> bool {
    matches!(c, ',' | ';' | ':' | '–' | '—' | '、' | '，' | '；' | '：') || is_final(c)
}

/// Whether `text` ends a sentence, blanks, quotation marks and brackets after it aside. An ellipsis does.
pub(super) fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches(|c: char| c.is_whitespace() || is_closer(c)).ends_with(is_final)
}

/// The text with its first letter in upper case.
pub(super) fn raised(text: &str) -> Cow<'_, str> {
    with_first(text, |first| first.to_uppercase().collect())
}

/// The text with its first letter in lower case, unless its first word is one that would be wrong so: the English "I",
/// and words with a further capital, a digit or a single letter and a full stop ("NASA", "McKay", "A4", "J.").
pub(super) fn lowered(text: &str) -> Cow<'_, str> {
    let word = text.split_whitespace().next().unwrap_or_default();
    let (stem, _) = word.split_once(['\'', '’']).unwrap_or((word, ""));
    let stem = stem.trim_end_matches(is_mark);
    let is_initial = stem.chars().count() == 1 && word.ends_with('.');
    let is_name = word.chars().skip(1).any(|c| c.is_uppercase() || c.is_numeric());
    if stem == "I" || is_initial || is_name {
        return Cow::Borrowed(text);
    }
    with_first(text, |first| first.to_lowercase().collect())
}

const fn is_final(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？')
}

const fn is_closer(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '“' | '»' | '«' | ')' | ']')
}

fn with_first(text: &str, case: impl Fn(char) -> String) -> Cow<'_, str> {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if case(first) != first.to_string() => Cow::Owned(case(first) + chars.as_str()),
        Some(_) | None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letter_goes_down_only_where_it_may() {
        for (given, expected) in [
            ("And then", "and then"),
            ("A man", "a man"),
            ("Über", "über"),
            ("I think", "I think"),
            ("I'm", "I'm"),
            ("I’ll", "I’ll"),
            ("I, too", "I, too"),
            ("It's", "it's"),
            ("In", "in"),
            ("NASA said", "NASA said"),
            ("McKay", "McKay"),
            ("A4 paper", "A4 paper"),
            ("J. Smith", "J. Smith"),
            ("\"Well", "\"Well"),
            ("你好", "你好"),
            ("", ""),
        ] {
            assert_eq!(lowered(given), expected, "{given}");
            assert_eq!(lowered(&lowered(given)), expected, "twice");
        }
        for (given, expected) in [("über", "Über"), ("ßx", "SSx"), ("«a", "«a"), ("", "")] {
            assert_eq!(raised(given), expected);
        }
    }

    #[test]
    fn a_sentence_ends_before_its_quotation_mark() {
        for (text, expected) in [
            ("Done.", true),
            ("Really?! ", true),
            ("\"Yes.\"", true),
            ("(no!)", true),
            ("and then…", true),
            ("好。", true),
            ("and then", false),
            ("first,", false),
            ("\"yes\"", false),
            ("", false),
        ] {
            assert_eq!(ends_sentence(text), expected, "{text:?}");
        }
    }
}
