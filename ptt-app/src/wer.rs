//! Word error rate as the literature reports it: Whisper's English normalisation (Radford et al. 2022, appendix C) and
//! the corpus-level rate, edits over reference words. Pure.
//!
//! The normaliser follows the published rules; its list of British spellings is the common part of theirs.

mod numbers;

/// Edits between references and hypotheses of a corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Substituted, deleted and inserted words.
    pub edits: usize,
    /// Words in the references.
    pub words: usize,
}

impl Errors {
    /// Errors of one pair, both normalised first.
    #[must_use]
    pub fn of(reference: &str, hypothesis: &str) -> Self {
        let (reference, hypothesis) = (normalise(reference), normalise(hypothesis));
        let reference: Vec<&str> = reference.split_whitespace().collect();
        let hypothesis: Vec<&str> = hypothesis.split_whitespace().collect();
        Self { edits: distance(&reference, &hypothesis), words: reference.len() }
    }

    /// Edits over words: 0.05 is 5 %. Zero for an empty corpus.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of words")]
    pub fn rate(self) -> f64 {
        if self.words == 0 { 0.0 } else { self.edits as f64 / self.words as f64 }
    }
}

impl std::ops::AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        self.edits += other.edits;
        self.words += other.words;
    }
}

/// Lower case, no brackets, no fillers, no contractions, digits for numbers, American spelling, no punctuation.
#[must_use]
pub fn normalise(text: &str) -> String {
    let text = without_brackets(&text.to_lowercase().replace(['’', '‘', '`'], "'"));
    let mut words: Vec<String> = Vec::new();
    for raw in text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '–' | '—' | '/')) {
        let word: String = plain(raw);
        words.extend(
            expand(&word).split_whitespace().filter(|w| !is_filler(w)).map(|w| american(w).to_owned()),
        );
    }
    numbers::to_digits(&words).join(" ")
}

fn is_filler(word: &str) -> bool {
    matches!(word, "hmm" | "mm" | "mhm" | "mmm" | "uh" | "um" | "er" | "ah")
}

/// Letters, digits and inner apostrophes; a dot or comma survives only between digits (`3.5`, not `1,000`).
fn plain(raw: &str) -> String {
    let chars: Vec<char> = raw.chars().collect();
    let digit = |i: Option<usize>| i.and_then(|i| chars.get(i)).is_some_and(char::is_ascii_digit);
    let mut word = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let between_digits = digit(i.checked_sub(1)) && digit(Some(i + 1));
        match c {
            'à' | 'á' | 'â' | 'ä' | 'ã' | 'å' => word.push('a'),
            'è' | 'é' | 'ê' | 'ë' => word.push('e'),
            'ì' | 'í' | 'î' | 'ï' => word.push('i'),
            'ò' | 'ó' | 'ô' | 'ö' | 'õ' | 'ø' => word.push('o'),
            'ù' | 'ú' | 'û' | 'ü' => word.push('u'),
            'ç' => word.push('c'),
            'ñ' => word.push('n'),
            'œ' => word.push_str("oe"),
            'æ' => word.push_str("ae"),
            'ß' => word.push_str("ss"),
            '\'' | '%' | '$' | '£' | '€' => word.push(c),
            '.' if between_digits => word.push('.'),
            _ if c.is_alphanumeric() => word.push(c),
            _ => {}
        }
    }
    word.trim_matches('\'').to_owned()
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|c| {
            match c {
                '[' | '(' | '<' => depth += 1,
                ']' | ')' | '>' if depth > 0 => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

fn expand(word: &str) -> String {
    const WHOLE: [(&str, &str); 22] = [
        ("won't", "will not"),
        ("can't", "can not"),
        ("cannot", "can not"),
        ("let's", "let us"),
        ("ain't", "aint"),
        ("y'all", "you all"),
        ("wanna", "want to"),
        ("gotta", "got to"),
        ("gonna", "going to"),
        ("i'ma", "i am going to"),
        ("imma", "i am going to"),
        ("woulda", "would have"),
        ("coulda", "could have"),
        ("shoulda", "should have"),
        ("ma'am", "madam"),
        ("mr", "mister"),
        ("mrs", "missus"),
        ("st", "saint"),
        ("dr", "doctor"),
        ("prof", "professor"),
        ("ok", "okay"),
        ("'cause", "because"),
    ];
    const ENDINGS: [(&str, &str); 6] = [
        ("n't", " not"),
        ("'re", " are"),
        ("'ll", " will"),
        ("'ve", " have"),
        ("'m", " am"),
        ("'d", " would"),
    ];
    if let Some((_, long)) = WHOLE.iter().find(|(short, _)| *short == word) {
        return (*long).to_owned();
    }
    for (short, long) in ENDINGS {
        if let Some(stem) = word.strip_suffix(short) {
            return format!("{stem}{long}");
        }
    }
    // `'s` is left as a possessive or "is" cannot be told apart; the published rules make it " is" after pronouns.
    if let Some(stem) = word.strip_suffix("'s") {
        const PRONOUNS: [&str; 10] =
            ["it", "he", "she", "that", "there", "what", "who", "where", "here", "how"];
        if PRONOUNS.contains(&stem) {
            return format!("{stem} is");
        }
        return format!("{stem}s");
    }
    word.replace('\'', "")
}

fn american(word: &str) -> &str {
    const PAIRS: [(&str, &str); 60] = [
        ("colour", "color"),
        ("colours", "colors"),
        ("coloured", "colored"),
        ("favour", "favor"),
        ("favourite", "favorite"),
        ("favourites", "favorites"),
        ("honour", "honor"),
        ("honours", "honors"),
        ("honourable", "honorable"),
        ("labour", "labor"),
        ("neighbour", "neighbor"),
        ("neighbours", "neighbors"),
        ("neighbourhood", "neighborhood"),
        ("behaviour", "behavior"),
        ("harbour", "harbor"),
        ("humour", "humor"),
        ("rumour", "rumor"),
        ("flavour", "flavor"),
        ("centre", "center"),
        ("centres", "centers"),
        ("theatre", "theater"),
        ("metre", "meter"),
        ("metres", "meters"),
        ("litre", "liter"),
        ("litres", "liters"),
        ("fibre", "fiber"),
        ("defence", "defense"),
        ("offence", "offense"),
        ("licence", "license"),
        ("practise", "practice"),
        ("organise", "organize"),
        ("organised", "organized"),
        ("organisation", "organization"),
        ("realise", "realize"),
        ("realised", "realized"),
        ("recognise", "recognize"),
        ("recognised", "recognized"),
        ("apologise", "apologize"),
        ("analyse", "analyze"),
        ("analysed", "analyzed"),
        ("travelled", "traveled"),
        ("travelling", "traveling"),
        ("traveller", "traveler"),
        ("cancelled", "canceled"),
        ("modelling", "modeling"),
        ("jewellery", "jewelry"),
        ("grey", "gray"),
        ("catalogue", "catalog"),
        ("dialogue", "dialog"),
        ("programme", "program"),
        ("programmes", "programs"),
        ("cheque", "check"),
        ("tyre", "tire"),
        ("tyres", "tires"),
        ("plough", "plow"),
        ("sceptical", "skeptical"),
        ("mould", "mold"),
        ("moustache", "mustache"),
        ("pyjamas", "pajamas"),
        ("aeroplane", "airplane"),
    ];
    PAIRS.iter().find(|(british, _)| *british == word).map_or(word, |(_, american)| american)
}

/// Levenshtein distance over words.
fn distance(a: &[&str], b: &[&str]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_sounds_the_same_counts_the_same() {
        for (a, b) in [
            ("Hello, World!", "hello world"),
            ("I can't, won't and don't.", "i can not will not and do not"),
            ("It's twenty-one degrees", "it is 21 degrees"),
            ("one hundred and five", "105"),
            ("two thousand and nineteen", "2019"),
            ("nineteen eighty-four", "1984"),
            ("1,000 people", "one thousand people"),
            ("the 21st of May", "the twenty first of may"),
            ("The colour of the theatre", "the color of the theater"),
            ("[BLANK_AUDIO] yes (laughs)", "Yes."),
            ("um, well — er — yes", "well yes"),
            ("Mr. Smith's café", "mister smiths cafe"),
            ("3.5 metres", "3.5 meters"),
        ] {
            assert_eq!(normalise(a), normalise(b), "{a:?} and {b:?}");
        }
    }

    #[test]
    fn errors_are_edits_over_reference_words() {
        for (reference, hypothesis, edits, words) in [
            ("a b c d", "a b c d", 0, 4),
            ("a b c d", "a x c d", 1, 4),
            ("a b c d", "a b d", 1, 4),
            ("a b", "a b c d", 2, 2),
            ("a b", "", 2, 2),
            ("", "", 0, 0),
        ] {
            assert_eq!(
                Errors::of(reference, hypothesis),
                Errors { edits, words },
                "{reference:?} {hypothesis:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[a-zA-Z0-9 ,.é-]{0,60}") {
            let once = normalise(&text);
            prop_assert_eq!(&normalise(&once), &once);
        }

        #[test]
        fn the_distance_is_a_metric(a in "[abc ]{0,20}", b in "[abc ]{0,20}") {
            prop_assert_eq!(Errors::of(&a, &a).edits, 0);
            prop_assert_eq!(Errors::of(&a, &b).edits, Errors::of(&b, &a).edits);
        }
    }
}
