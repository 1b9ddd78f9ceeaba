use proptest::prelude::*;

use super::*;

#[test]
fn commands_that_stand_alone_are_obeyed() {
    for (given, expected) in [
        ("Dear Anna, new line, thank you.", "Dear Anna,\nThank you."),
        ("Dear Anna. New line. Thank you.", "Dear Anna.\nThank you."),
        ("One. Newline two. New paragraph. Three", "One. Newline two.\n\nThree"),
        ("Dear Anna, comma new paragraph, how are you, question mark", "Dear Anna,\n\nHow are you?"),
        ("I came. Comma. And went. Full stop.", "I came, and went."),
        ("I came. Comma. I went. Period.", "I came, I went."),
        ("I came, comma, NASA went", "I came, NASA went"),
        ("Stop... Exclamation point! go", "Stop! Go"),
        ("These, colon, apples", "These: apples"),
        ("Well – comma – no", "Well, no"),
        ("New line. ... and", "\n... And"),
        ("Period.", "."),
        ("New line.", "\n"),
        ("new paragraph", "\n\n"),
        ("New line, new line, a", "\n\nA"),
        ("Come Monday. No. Scratch that. on Tuesday", "Come Monday. On Tuesday"),
        ("I come Monday, scratch that, on Tuesday", "On Tuesday"),
        ("One. Two. Scratch that. Scratch that. Three.", "Three."),
        ("One. New line. Two. Scratch that. Three.", "One.\nThree."),
        ("Scratch that.", ""),
        ("All caps, do not touch, please", "DO NOT TOUCH, please"),
        ("Look: all caps. Danger. Go.", "Look: DANGER. Go."),
        ("Look. All caps.", "Look."),
    ] {
        assert_eq!(Commands::new(&[Spoken::En]).obey(given), expected, "{given:?}");
    }
    let both = Commands::new(&[Spoken::En, Spoken::De]);
    let given = "Guten Tag. Neue Zeile. Es geht, Komma, glaube ich. Punkt. New line. Bye";
    assert_eq!(both.obey(given), "Guten Tag.\nEs geht, glaube ich.\nBye");
    assert_eq!(both.obey("A. Großbuchstaben. Straße"), "A. STRASSE");
}

#[test]
fn within_a_sentence_they_are_words() {
    for text in [
        "We have a new line of products.",
        "He put a comma there, and a new line after it.",
        "In the Victorian period.",
        "Ask, question marks, periods",
        "Say \"new line\", please.",
        "(new line)",
        "Scratch that itch.",
        "All caps are sold, all caps off",
        "new, line",
        "Version 3.14  is:\nout. Now",
        "  blanks stay  ",
        "",
    ] {
        assert!(matches!(Commands::new(&[Spoken::En]).obey(text), Cow::Borrowed(_)), "{text:?}");
    }
    assert_eq!(Commands::new(&[]).obey("New line."), "New line.");
    assert_eq!(Commands::new(&[Spoken::De]).obey("New line."), "New line.");
}

#[test]
fn no_command_begins_with_another() {
    let all = Commands::new(&[Spoken::En, Spoken::De]);
    let phrases: Vec<&str> = all.0.iter().copied().flatten().map(|(phrase, _)| *phrase).collect();
    for a in &phrases {
        assert_eq!(a.to_lowercase(), **a, "compared in lower case");
        assert_eq!(
            phrases.iter().filter(|b| format!("{b} ").starts_with(&format!("{a} "))).count(),
            1,
            "{a}"
        );
    }
}

/// Words, marks and commands in any order.
fn dictation() -> impl Strategy<Value = String> {
    let mut parts =
        vec!["a", "I", "new", "line", "that", "NASA.", "so,", "well...", "\n", "3.5", ".", "–", "\"yes.\""];
    parts.extend(ENGLISH.iter().map(|(phrase, _)| *phrase));
    let part = (prop::sample::select(parts), prop::sample::select(vec!["", "", ".", ",", "?"]));
    prop::collection::vec(part.prop_map(|(word, mark)| format!("{word}{mark}")), 0..12)
        .prop_map(|parts| parts.join(" "))
}

fn words(text: &str) -> Vec<String> {
    let words = text.split_whitespace().map(|w| w.trim_matches(is_mark).to_lowercase());
    words.filter(|w| !w.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn twice_is_once(text in dictation()) {
        let commands = Commands::new(&[Spoken::En]);
        let once = commands.obey(&text).into_owned();
        prop_assert_eq!(commands.obey(&once), once.as_str());
    }

    /// Without "scratch that" only the commands' own words go, and no word changes its place.
    #[test]
    fn no_other_word_is_lost(text in dictation().prop_filter("scratches", |t| !t.contains("scratch"))) {
        let commands = Commands::new(&[Spoken::En]);
        let mut left = words(&text).into_iter();
        let mut gone = Vec::new();
        for word in words(&commands.obey(&text)) {
            gone.extend(left.by_ref().take_while(|w| *w != word));
        }
        gone.extend(left);
        let spoken = |w: &String| ENGLISH.iter().any(|(phrase, _)| phrase.split(' ').any(|p| p == w));
        prop_assert!(gone.iter().all(spoken), "{gone:?} of {text:?}");
    }
}
