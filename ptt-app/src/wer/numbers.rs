//! Number words to digits: "one hundred and five" is 105, "nineteen eighty four" is 1984, "twenty first" is 21st. Pure.

/// Replaces every run of number words by digits.
pub(super) fn to_digits(words: &[String]) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let (number, used) = run(&words[at..]);
        if used == 0 {
            out.push(words[at].clone());
            at += 1;
        } else {
            out.extend(number);
            at += used;
        }
    }
    out
}

#[derive(Clone, Copy)]
enum Word {
    /// 0 to 19.
    Small(u64),
    /// 20 to 90.
    Tens(u64),
    Hundred,
    /// Thousand, million, billion.
    Scale(u64),
}

/// Reads one spoken number at the start of `words`: its digits, and how many words it took.
fn run(words: &[String]) -> (Vec<String>, usize) {
    let mut total = 0_u64;
    let mut group: Option<u64> = None;
    let mut last: Option<Word> = None;
    let mut used = 0;
    let mut suffix = "";
    // Pairs of two digits side by side are a year: nineteen | eighty four.
    let mut century: Option<u64> = None;
    while let Some(word) = words.get(used) {
        if word == "and" && matches!(last, Some(Word::Hundred | Word::Scale(_))) {
            match words.get(used + 1).and_then(|w| read(w)) {
                Some((Word::Small(_) | Word::Tens(_), _)) => {
                    used += 1;
                    continue;
                }
                Some((Word::Hundred | Word::Scale(_), _)) | None => break,
            }
        }
        let Some((kind, ordinal)) = read(word) else { break };
        match (kind, last) {
            (Word::Small(n), None | Some(Word::Hundred | Word::Scale(_))) => {
                group = Some(group.unwrap_or(0) + n)
            }
            (Word::Small(n @ 1..=9), Some(Word::Tens(_))) => group = Some(group.unwrap_or(0) + n),
            (Word::Tens(n), None | Some(Word::Hundred | Word::Scale(_))) => {
                group = Some(group.unwrap_or(0) + n)
            }
            (Word::Tens(n) | Word::Small(n @ 10..=19), Some(Word::Small(10..=19) | Word::Tens(_)))
                if total == 0 && century.is_none() && group.is_some_and(|g| (10..=99).contains(&g)) =>
            {
                century = group;
                group = Some(n);
            }
            (Word::Hundred, Some(Word::Small(_) | Word::Tens(_)))
                if group.is_some_and(|g| g > 0 && g < 100) =>
            {
                group = group.map(|g| g * 100);
            }
            (Word::Scale(scale), Some(_))
                if group.is_some_and(|g| g > 0 && g < 1_000) && century.is_none() =>
            {
                total += group.take().unwrap_or(0) * scale;
            }
            (Word::Small(_) | Word::Tens(_) | Word::Hundred | Word::Scale(_), _) => break,
        }
        last = Some(kind);
        used += 1;
        if let Some(ending) = ordinal {
            suffix = ending;
            break;
        }
    }
    if used == 0 {
        return (Vec::new(), 0);
    }
    let value = total + century.map_or(0, |c| c * 100) + group.unwrap_or(0);
    (vec![format!("{value}{suffix}")], used)
}

fn read(word: &str) -> Option<(Word, Option<&'static str>)> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    const ORDINALS: [(&str, u64); 12] = [
        ("first", 1),
        ("second", 2),
        ("third", 3),
        ("fifth", 5),
        ("eighth", 8),
        ("ninth", 9),
        ("twelfth", 12),
        ("fourth", 4),
        ("sixth", 6),
        ("seventh", 7),
        ("tenth", 10),
        ("eleventh", 11),
    ];
    let tens = |w: &str| TENS.iter().position(|t| *t == w).map(|i| (i as u64 + 2) * 10);
    if let Some(n) = SMALL.iter().position(|s| *s == word) {
        return Some((Word::Small(n as u64), None));
    }
    if let Some(n) = tens(word) {
        return Some((Word::Tens(n), None));
    }
    if let Some((_, n)) = ORDINALS.iter().find(|(o, _)| *o == word) {
        let ending = match n {
            1 => "st",
            2 => "nd",
            3 => "rd",
            _ => "th",
        };
        return Some((Word::Small(*n), Some(ending)));
    }
    match word {
        "hundred" => Some((Word::Hundred, None)),
        "thousand" => Some((Word::Scale(1_000), None)),
        "million" => Some((Word::Scale(1_000_000), None)),
        "billion" => Some((Word::Scale(1_000_000_000), None)),
        _ => word
            .strip_suffix("ieth")
            .and_then(|stem| tens(&format!("{stem}y")))
            .map(|n| (Word::Tens(n), Some("th")))
            .or_else(|| {
                let stem = word.strip_suffix("th")?;
                let n = SMALL.iter().position(|s| *s == stem).filter(|n| *n >= 13)?;
                Some((Word::Small(n as u64), Some("th")))
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoken_numbers_become_digits() {
        for (spoken, digits) in [
            ("three", "3"),
            ("twenty one", "21"),
            ("two hundred", "200"),
            ("two hundred and twelve cats", "212 cats"),
            ("five thousand three hundred and one", "5301"),
            ("nineteen eighty four", "1984"),
            ("twenty twenty", "2020"),
            ("twenty first", "21st"),
            ("the second of june", "the 2nd of june"),
            ("thirtieth", "30th"),
            ("nineteenth", "19th"),
            ("one two three", "1 2 3"),
            ("salt and pepper", "salt and pepper"),
            ("one and two", "1 and 2"),
            ("hundred", "hundred"),
            ("five hundred and", "500 and"),
        ] {
            let words: Vec<String> = spoken.split(' ').map(str::to_owned).collect();
            assert_eq!(to_digits(&words).join(" "), digits, "{spoken}");
        }
    }
}
