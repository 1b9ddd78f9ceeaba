//! The vocabulary of a model: bytes of every token, the numbers of the special ones, and which may not be chosen. Pure.

use std::collections::HashMap;

/// A token's number.
pub type Token = u32;

/// Symbols that stand for sounds or for nothing, not for speech; alone and after a space (OpenAI's list, from the
/// reference decoder's `non_speech_tokens`).
const SYMBOLS: [&str; 39] = [
    "\"", "#", "(", ")", "*", "+", "/", ":", ";", "<", "=", ">", "@", "[", "\\", "]", "^", "_", "`", "{",
    "|", "}", "~", "「", "」", "『", "』", "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", "(\"",
    "((", "))",
];
const MORE_SYMBOLS: [&str; 10] = ["(((", ")))", "[[", "]]", "{{", "}}", "♪♪", "♪♪♪", " -", " '"];
const NOTES: [&str; 7] = ["♩", "♪", "♫", "♬", "♭", "♮", "♯"];

/// A vocabulary.
#[derive(Debug)]
pub struct Words {
    texts: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, Token>,
    size: usize,
    /// Ends a text. The text tokens are those below it.
    pub end: Token,
    /// Begins a text.
    pub start: Token,
    /// Says that what was said before follows.
    pub before: Token,
    /// Stands for silence at the beginning.
    pub no_speech: Token,
    /// Says that the text has no times in it.
    pub untimed: Token,
    transcribe: Token,
    languages: u32,
    barred: Vec<Token>,
    blank: Option<Token>,
}

impl Words {
    /// With the texts in a model's file and its number of tokens, from which the special ones follow.
    #[must_use]
    pub fn new(texts: Vec<Vec<u8>>, size: usize) -> Self {
        let numbers: HashMap<Vec<u8>, Token> = texts.iter().cloned().zip(0..).collect();
        // English only: no languages, and every special token comes one earlier.
        let (end, languages) = if size >= 51_865 { (50_257, size as u32 - 51_765 - 1) } else { (50_256, 99) };
        let start = end + 1;
        let transcribe = start + languages + 2;
        let barred = |text: &&str| {
            let alone = numbers.get(text.as_bytes());
            let spaced = numbers.get(format!(" {text}").as_bytes());
            alone.into_iter().chain(spaced).copied().collect::<Vec<_>>()
        };
        let all = SYMBOLS.iter().chain(&MORE_SYMBOLS).chain(&NOTES);
        let mut barred: Vec<Token> = all.flat_map(barred).collect();
        barred.retain(|token| *token < end);
        Self {
            blank: numbers.get(&b" "[..]).copied(),
            barred,
            numbers,
            texts,
            size,
            end,
            start,
            transcribe,
            before: transcribe + 2,
            no_speech: transcribe + 3,
            untimed: transcribe + 4,
            languages,
        }
    }

    /// Number of tokens, special ones included.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Whether it knows more than English.
    #[must_use]
    pub const fn multilingual(&self) -> bool {
        self.end == 50_257
    }

    /// The tokens of the languages, in Whisper's order.
    #[must_use]
    pub fn languages(&self) -> std::ops::Range<Token> {
        self.start + 1..self.start + 1 + self.languages
    }

    /// What every text begins with. `language` is a place in Whisper's order, for a multilingual model.
    #[must_use]
    pub fn opening(&self, language: Option<u32>) -> Vec<Token> {
        match language.filter(|_| self.multilingual()) {
            Some(language) => vec![self.start, self.start + 1 + language, self.transcribe, self.untimed],
            None => vec![self.start, self.untimed],
        }
    }

    /// Bars what may not be chosen next: all special tokens but the end, symbols, and at the beginning nothing at all.
    pub fn bar(&self, logits: &mut [f32], first: bool) {
        logits[self.end as usize + 1..].fill(f32::NEG_INFINITY);
        for token in &self.barred {
            logits[*token as usize] = f32::NEG_INFINITY;
        }
        if first {
            for token in self.blank.into_iter().chain([self.end]) {
                logits[token as usize] = f32::NEG_INFINITY;
            }
        }
    }

    /// The text of tokens.
    #[must_use]
    pub fn text(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> =
            tokens.iter().filter_map(|token| self.texts.get(*token as usize)).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many bytes the text of a token has.
    #[must_use]
    pub fn length(&self, token: Token) -> usize {
        self.texts.get(token as usize).map_or(0, Vec::len)
    }

    /// The tokens of a text: of each word the longest beginning that is one, then of the rest.
    #[must_use]
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        for word in pieces(text) {
            let mut rest = word.as_bytes();
            while !rest.is_empty() {
                let longest = (1..=rest.len()).rev().find_map(|n| Some((self.numbers.get(&rest[..n])?, n)));
                if let Some((token, _)) = longest.filter(|(token, _)| **token < self.end) {
                    tokens.push(*token);
                }
                rest = &rest[longest.map_or(1, |(_, n)| n)..];
            }
        }
        tokens
    }
}

/// Cuts a text as GPT-2 does: runs of letters, of digits or of others, each with the space before it.
fn pieces(text: &str) -> Vec<&str> {
    #[derive(PartialEq)]
    enum Kind {
        Letter,
        Digit,
        Other,
        Space,
    }
    let kind = |c: char| match c {
        c if c.is_alphabetic() => Kind::Letter,
        c if c.is_numeric() => Kind::Digit,
        c if c.is_whitespace() => Kind::Space,
        _ => Kind::Other,
    };
    let mut pieces = Vec::new();
    let (mut from, mut last) = (0, None::<char>);
    for (at, c) in text.char_indices() {
        let joins = last.is_none_or(|last| kind(last) == kind(c) || (last == ' ' && kind(c) != Kind::Space));
        if !joins {
            pieces.push(&text[from..at]);
            from = at;
        }
        last = Some(c);
    }
    pieces.push(&text[from..]);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(size: usize) -> Words {
        let texts = ["!", " ", " a", "a", "b", " ab", "(", " (", "é"];
        Words::new(texts.iter().map(|t| t.as_bytes().to_vec()).collect(), size)
    }

    #[test]
    fn special_tokens_are_where_the_published_models_have_them() {
        for (size, end, transcribe, no_speech, untimed, languages) in [
            (51_864, 50_256, 50_358, 50_361, 50_362, 99),
            (51_865, 50_257, 50_359, 50_362, 50_363, 99),
            (51_866, 50_257, 50_360, 50_363, 50_364, 100),
        ] {
            let words = words(size);
            assert_eq!((words.end, words.start), (end, end + 1), "{size}");
            assert_eq!((words.transcribe, words.no_speech), (transcribe, no_speech), "{size}");
            assert_eq!((words.untimed, words.before), (untimed, untimed - 2), "{size}");
            assert_eq!(words.languages().len(), languages);
        }
        assert_eq!(words(51_864).opening(Some(0)), [50_257, 50_362]);
        assert_eq!(words(51_865).opening(Some(2)), [50_258, 50_261, 50_359, 50_363]);
    }

    #[test]
    fn texts_and_tokens() {
        let words = words(51_864);
        assert_eq!(words.tokens("ab é!"), [3, 4, 1, 8, 0]);
        assert_eq!(words.tokens(" ab a"), [5, 2]);
        assert_eq!(words.text(&[5, 2, 8, 50_257]), " ab aé");
        assert_eq!(pieces("It's 12 o'clock"), ["It", "'", "s", " 12", " o", "'", "clock"]);
    }

    #[test]
    fn symbols_and_an_empty_beginning_are_barred() {
        let words = words(51_864);
        let barred = |first| {
            let mut logits = vec![0.0; 51_864];
            words.bar(&mut logits, first);
            (0..9).filter(|t| logits[*t] < 0.0).collect::<Vec<_>>()
        };
        assert_eq!(barred(false), [6, 7]);
        assert_eq!(barred(true), [1, 6, 7]);
    }
}
