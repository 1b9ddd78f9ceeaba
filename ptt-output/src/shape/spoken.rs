//! Spoken commands: "new line" becomes one. Pure.
//!
//! A command is obeyed only where it stands alone: between two marks, line breaks or ends of the text, on both sides.
//! Engines write a pause as a mark, so a command is said with a short pause before and after it, and "a new line of
//! products" stays what it is. Several commands may follow each other without a pause between them. The marks that only
//! told the pauses go: the one after a command always, the one before it where the command is a mark itself.

use std::borrow::Cow;

use super::sentence::{ends_sentence, is_mark, lowered, raised};
use crate::config::Spoken;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    /// Ends the word before it with this mark.
    Mark(char),
    /// Begins a new line (1) or, after an empty one, a new paragraph (2).
    Breaks(usize),
    /// Throws away the sentence before it, as far as it belongs to this take.
    Scratch,
    /// Puts the words up to the next mark in capitals.
    Capitals,
}

const ENGLISH: &[(&str, Command)] = &[
    ("new line", Command::Breaks(1)),
    ("newline", Command::Breaks(1)),
    ("new paragraph", Command::Breaks(2)),
    ("comma", Command::Mark(',')),
    ("colon", Command::Mark(':')),
    ("semicolon", Command::Mark(';')),
    ("full stop", Command::Mark('.')),
    ("period", Command::Mark('.')),
    ("question mark", Command::Mark('?')),
    ("exclamation mark", Command::Mark('!')),
    ("exclamation point", Command::Mark('!')),
    ("scratch that", Command::Scratch),
    ("all caps", Command::Capitals),
];

const GERMAN: &[(&str, Command)] = &[
    ("neue zeile", Command::Breaks(1)),
    ("neuer absatz", Command::Breaks(2)),
    ("komma", Command::Mark(',')),
    ("doppelpunkt", Command::Mark(':')),
    ("semikolon", Command::Mark(';')),
    ("strichpunkt", Command::Mark(';')),
    ("punkt", Command::Mark('.')),
    ("fragezeichen", Command::Mark('?')),
    ("ausrufezeichen", Command::Mark('!')),
    ("satz löschen", Command::Scratch),
    ("großbuchstaben", Command::Capitals),
];

/// The commands of the configured languages.
#[derive(Debug)]
pub(super) struct Commands(Vec<&'static [(&'static str, Command)]>);

impl Commands {
    pub fn new(languages: &[Spoken]) -> Self {
        let table = |language: &Spoken| match language {
            Spoken::En => ENGLISH,
            Spoken::De => GERMAN,
        };
        Self(languages.iter().map(table).collect())
    }

    /// The text with its commands obeyed; untouched when there are none in it.
    pub fn obey<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut page = Page::default();
        let mut obeyed = false;
        for (n, line) in text.split('\n').enumerate() {
            if n > 0 {
                page.text.push('\n');
            }
            for clause in clauses(line) {
                match self.read(clause.words) {
                    Some(commands) => {
                        obeyed = true;
                        commands.iter().for_each(|command| page.obey(*command, clause.mark));
                    }
                    None => page.write(&clause),
                }
            }
        }
        if obeyed { Cow::Owned(page.text) } else { Cow::Borrowed(text) }
    }

    /// The words as commands, when they are nothing else.
    fn read(&self, words: &str) -> Option<Vec<Command>> {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        let mut rest = words.as_slice();
        let mut commands = Vec::new();
        while !rest.is_empty() {
            let (length, command) = self.0.iter().copied().flatten().find_map(|(phrase, command)| {
                let phrase: Vec<&str> = phrase.split(' ').collect();
                let is_next = rest.len() >= phrase.len() && phrase.iter().zip(rest).all(|(a, b)| a == b);
                is_next.then_some((phrase.len(), *command))
            })?;
            commands.push(command);
            rest = &rest[length..];
        }
        (!commands.is_empty()).then_some(commands)
    }
}

/// Words up to a mark.
struct Clause<'t> {
    words: &'t str,
    /// The marks after them; empty at the end of a line.
    mark: &'t str,
}

/// The clauses of a line, without the blanks between them.
fn clauses(line: &str) -> impl Iterator<Item = Clause<'_>> {
    let mut rest = line.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A mark within a word ends nothing: "3.14", "it:s".
        let after_mark = |(at, c): (usize, char)| {
            let end = at + c.len_utf8();
            (is_mark(c) && rest[end..].starts_with(char::is_whitespace)).then_some(end)
        };
        let end = rest.char_indices().find_map(after_mark).unwrap_or(rest.len());
        let (whole, others) = rest.split_at(end);
        let words = whole.trim_end_matches(is_mark);
        rest = others.trim_start();
        Some(Clause { words, mark: &whole[words.len()..] })
    })
}

/// The text as it is written.
#[derive(Default)]
struct Page {
    text: String,
    next: Next,
    capitals: bool,
}

/// How the next words begin.
#[derive(Clone, Copy, Default)]
enum Next {
    /// As the engine wrote them.
    #[default]
    AsTheyAre,
    /// With a capital: a sentence begins here.
    Raised,
    /// Without the capital that the engine gave them for a sentence that does not begin here.
    Lowered,
}

impl Page {
    fn write(&mut self, clause: &Clause<'_>) {
        if !(self.text.is_empty() || self.text.ends_with('\n')) {
            self.text.push(' ');
        }
        if clause.words.trim().is_empty() {
            return self.text.push_str(clause.mark);
        }
        let words = match std::mem::take(&mut self.next) {
            Next::AsTheyAre => Cow::Borrowed(clause.words),
            Next::Raised => raised(clause.words),
            Next::Lowered => lowered(clause.words),
        };
        let capitals = std::mem::take(&mut self.capitals);
        self.text.push_str(&if capitals { words.to_uppercase().into() } else { words });
        self.text.push_str(clause.mark);
    }

    fn obey(&mut self, command: Command, mark_after: &str) {
        match command {
            Command::Mark(mark) => {
                let bare = self.text.trim_end_matches(|c| is_mark(c) || c == ' ');
                let was_final = ends_sentence(&self.text[bare.len()..]) || ends_sentence(mark_after);
                self.text.truncate(bare.len());
                self.text.push(mark);
                self.next = match (ends_sentence(&self.text), was_final) {
                    (true, _) => Next::Raised,
                    (false, true) => Next::Lowered,
                    (false, false) => Next::AsTheyAre,
                };
            }
            Command::Breaks(count) => {
                self.text.extend(std::iter::repeat_n('\n', count));
                self.next = Next::Raised;
            }
            Command::Scratch => {
                self.text.truncate(last_sentence(&self.text));
                self.next = Next::Raised;
            }
            Command::Capitals => self.capitals = true,
        }
    }
}

/// Where the last sentence of the text begins, or the end of the one before it.
fn last_sentence(text: &str) -> usize {
    let body = text.trim_end();
    let before = |(at, c): (usize, char)| match c {
        '\n' => Some(at + 1),
        c if c.is_whitespace() && ends_sentence(&body[..at]) => Some(at),
        _ => None,
    };
    body.char_indices().rev().find_map(before).unwrap_or(0)
}

#[cfg(test)]
#[path = "spoken/tests.rs"]
mod tests;
