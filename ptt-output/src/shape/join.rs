//! How a text goes on with the one before it: in lower case, when that left its sentence unfinished. Pure.

use std::borrow::Cow;
use std::time::Duration;

use ptt_messages::Moment;

use super::sentence::{ends_sentence, lowered};

/// What is remembered of the text before.
#[derive(Debug)]
pub(super) struct Join {
    /// For how long; nothing when texts stand for themselves.
    within: Option<Duration>,
    /// When an unfinished sentence went out.
    unfinished: Option<Moment>,
}

impl Join {
    pub const fn new(within: Option<Duration>) -> Self {
        Self { within, unfinished: None }
    }

    /// The text as it goes on at `now`.
    pub fn apply<'t>(&self, text: &'t str, now: Moment) -> Cow<'t, str> {
        match (self.within, self.unfinished) {
            (Some(within), Some(at)) if now.since(at) <= within => lowered(text),
            (Some(_), Some(_)) | (Some(_), None) | (None, _) => Cow::Borrowed(text),
        }
    }

    /// Remembers what is out, with what followed it: a new line begins a new text.
    pub fn remember(&mut self, whole: &str, at: Moment) {
        let is_finished = whole.ends_with('\n') || whole.trim().is_empty() || ends_sentence(whole);
        self.unfinished = (!is_finished).then_some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_on_with_an_unfinished_one_for_a_while() {
        for (before, after_s, expected) in [
            ("I was going ", 30, "to"),
            ("I was going", 0, "to"),
            ("first, ", 1, "to"),
            ("I was going ", 31, "To"),
            ("I was going. ", 1, "To"),
            ("\"I was going.\" ", 1, "To"),
            ("I was going\n", 1, "To"),
            (" ", 1, "To"),
        ] {
            let mut join = Join::new(Some(Duration::from_secs(30)));
            let at = Moment::from_millis(5_000);
            assert_eq!(join.apply("To", at), "To", "nothing came before");
            join.remember(before, at);
            assert_eq!(join.apply("To", at + Duration::from_secs(after_s)), expected, "{before:?}");
            assert_eq!(join.apply("I", at), "I");
        }
        let mut off = Join::new(None);
        off.remember("I was going ", Moment::default());
        assert_eq!(off.apply("To", Moment::default()), "To");
    }
}
