//! Replacement rules: what is written in place of what was understood. Pure.
//!
//! The rules are applied one after the other, each to what those before it made.

use std::borrow::Cow;

use regex::{NoExpand, Regex, RegexBuilder};

use super::sentence::{ends_sentence, is_mark, raised};
use crate::config::Replacement;

/// The rules of `[[output.replace]]`.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    pub fn new(rules: &[Replacement]) -> Self {
        Self(rules.iter().map(Rule::new).collect())
    }

    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.0.iter().fold(Cow::Borrowed(text), |text, rule| match rule.apply(&text) {
            Cow::Owned(changed) => Cow::Owned(changed),
            Cow::Borrowed(_) => text,
        })
    }
}

#[derive(Debug)]
struct Rule {
    from: Regex,
    to: Kind,
}

#[derive(Debug)]
enum Kind {
    /// As it is written.
    Exact(String),
    /// Where a sentence began with what was understood, it begins with this. So it is with rules that ignore case and
    /// are written in lower case altogether: "gonna" for "going to", but not "iphone" for "iPhone".
    Cased(String),
    /// Words that are left out, with what belongs to them.
    Dropped,
}

impl Rule {
    fn new(rule: &Replacement) -> Self {
        let words: Vec<String> = rule.from.as_str().split_whitespace().map(regex::escape).collect();
        // The half boundaries ask only that no letter stands beside it, so that "C++" and "[noise]" are words too.
        let (start, end) = if rule.whole_word { (r"\b{start-half}", r"\b{end-half}") } else { ("", "") };
        let from = RegexBuilder::new(&format!("{start}{}{end}", words.join(r"\s+")))
            .case_insensitive(rule.ignore_case)
            .build()
            .expect("an escaped phrase of limited length is a pattern");
        let is_lower = |text: &str| !text.chars().any(char::is_uppercase);
        let to = match rule.to.clone() {
            to if to.is_empty() && rule.whole_word => Kind::Dropped,
            to if rule.ignore_case && is_lower(rule.from.as_str()) && is_lower(&to) => Kind::Cased(to),
            to => Kind::Exact(to),
        };
        Self { from, to }
    }

    fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.to {
            Kind::Exact(to) => self.from.replace_all(text, NoExpand(to)),
            Kind::Cased(to) => self.from.replace_all(text, |found: &regex::Captures<'_>| {
                if found[0].starts_with(char::is_uppercase) { raised(to).into_owned() } else { to.clone() }
            }),
            Kind::Dropped => self.drop_from(text),
        }
    }

    /// Leaves out what matches; words before and after stay one blank apart, and a sentence that began with it still
    /// begins with a capital.
    fn drop_from<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut kept = String::new();
        let mut from = 0;
        let mut raise = false;
        let append = |kept: &mut String, part: &str, raise: &mut bool| {
            kept.push_str(&if *raise { raised(part) } else { Cow::Borrowed(part) });
            *raise &= part.is_empty();
        };
        // Found in the whole text, not in its rest: what stands before decides whether it is a word.
        while let Some(found) = self.from.find_at(text, from) {
            append(&mut kept, &text[from..found.start()], &mut raise);
            let (begins, rest) = close_gap(&mut kept, &text[found.end()..]);
            raise |= begins && found.as_str().starts_with(char::is_uppercase);
            from = text.len() - rest.len();
        }
        if from == 0 {
            return Cow::Borrowed(text);
        }
        append(&mut kept, &text[from..], &mut raise);
        Cow::Owned(kept)
    }
}

/// Joins what stands before a left-out word to what follows it. Returns whether a sentence began with the word, and
/// what is left of what follows.
///
/// The marks that set it apart go with it: "I, um, think" is "I think", "yes, um." is "yes.", "Um. Well" is "Well".
fn close_gap<'t>(before: &mut String, after: &'t str) -> (bool, &'t str) {
    let is_blank = |c: char| c.is_whitespace() && c != '\n';
    let mut after = after.trim_start_matches(is_blank);
    let begins = before.trim().is_empty() || before.ends_with('\n') || ends_sentence(before);
    before.truncate(before.trim_end_matches(is_blank).len());
    if begins {
        after = after.trim_start_matches(|c| is_mark(c) || is_blank(c));
    } else if let Some(rest) = after.strip_prefix(',') {
        after = rest.trim_start_matches(is_blank);
        before.truncate(before.trim_end_matches(',').len());
    } else if after.is_empty() || after.starts_with(is_mark) {
        before.truncate(before.trim_end_matches(',').len());
    }
    let apart = !(before.is_empty() || before.ends_with('\n') || after.is_empty());
    if apart && !after.starts_with(|c| is_mark(c) || c == '\n') {
        before.push(' ');
    }
    (begins, after)
}

#[cfg(test)]
#[path = "replace/tests.rs"]
mod tests;
