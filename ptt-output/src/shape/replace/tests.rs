use proptest::prelude::*;

use super::*;

#[test]
fn rules_find_what_they_mean_and_nothing_else() {
    for (from, to, flags, given, expected) in [
        ("teh", "the", "", "teh cat, Teh dog; tehran", "the cat, The dog; tehran"),
        ("cooper netties", "Kubernetes", "", "Cooper  Netties's", "Kubernetes's"),
        ("iphone", "iPhone", "", "Iphone iphone IPHONE", "iPhone iPhone iPhone"),
        ("Git", "git", "", "Git and git", "git and git"),
        ("gonna", "going to", "", "Gonna go, gonna stay", "Going to go, going to stay"),
        ("c++", "C plus plus", "", "C++ and ac++ and c++11", "C plus plus and ac++ and c++11"),
        ("cat", "dog", "part", "concatenate", "condogenate"),
        ("cat", "dog", "case", "Cat cat", "Cat dog"),
        ("GRÜẞE", "hi", "", "grüße", "hi"),
        ("über", "ueber", "", "Über über", "Ueber ueber"),
        ("你好", "您好", "part", "说你好吗", "说您好吗"),
        ("Price", "$1 ${0} \\1", "", "price", "$1 ${0} \\1"),
        (".", "!", "part", "a.b", "a!b"),
        ("signature", "Yours\nMe", "", "Signature", "Yours\nMe"),
        ("...", "", "part", "well... yes", "well yes"),
    ] {
        let rule = rule(from, to, !flags.contains("part"), !flags.contains("case"));
        assert_eq!(Rules::new(&[rule]).apply(given), expected, "{from:?} in {given:?}");
    }
}

#[test]
fn a_dropped_word_leaves_no_gap() {
    for (given, expected) in [
        ("I um think", "I think"),
        ("I, um, think", "I think"),
        ("I, um think", "I, think"),
        ("I um, think", "I think"),
        ("Um, I think", "I think"),
        ("Um, we think", "We think"),
        ("um we think", "we think"),
        ("Um um we", "We"),
        ("Yes. Um, no.", "Yes. No."),
        ("Yes. Um. No.", "Yes. No."),
        ("Yes, um.", "Yes."),
        ("Yes um", "Yes"),
        ("Yes,  um", "Yes"),
        ("Is it, um?", "Is it?"),
        ("Um...", ""),
        ("Um", ""),
        ("album, umlaut", "album, umlaut"),
        ("a um\num b", "a\nb"),
    ] {
        assert_eq!(Rules::new(&[rule("um", "", true, true)]).apply(given), expected, "{given:?}");
    }
    let noise = Rules::new(&[rule("[noise]", "", true, true)]);
    assert_eq!(noise.apply("one [Noise] two"), "one two");
}

#[test]
fn rules_see_what_those_before_them_made() {
    let rules = [rule("a", "b", true, true), rule("b c", "d", true, true)];
    assert_eq!(Rules::new(&rules).apply("a c"), "d");
    assert!(matches!(Rules::new(&rules).apply("x"), Cow::Borrowed("x")));
    assert!(matches!(Rules::new(&[]).apply("a c"), Cow::Borrowed("a c")));
}

proptest! {
    #[test]
    fn without_a_match_nothing_changes(text in "[a-z ,.\n]{0,40}", to in "[a-z]{0,3}") {
        prop_assert_eq!(Rules::new(&[rule("Ω", &to, true, true)]).apply(&text), text.as_str());
    }

    /// Rules whose results no rule looks for.
    #[test]
    fn twice_is_once(words in prop::collection::vec("(?i:um|teh|cat)|x|y, |z\\.|[ \n]", 0..20)) {
        let rules = Rules::new(&[
            rule("um", "", true, true),
            rule("teh", "the", true, true),
            rule("cat", "Dog", true, true),
        ]);
        let once = rules.apply(&words.join(" ")).into_owned();
        prop_assert_eq!(rules.apply(&once), once.as_str());
    }

    /// Every word that is not left out is still there, in its order.
    #[test]
    fn dropping_one_word_loses_no_other(words in prop::collection::vec("(?i:um)[,.?]?|[a-z]{1,2}[,.]?|\n", 0..20)) {
        let bare = |text: &str| {
            let words = text.split_whitespace().map(|w| w.trim_matches(is_mark).to_lowercase());
            words.filter(|w| !w.is_empty() && w != "um").collect::<Vec<_>>()
        };
        let given = words.join(" ");
        let dropped = Rules::new(&[rule("um", "", true, true)]).apply(&given).into_owned();
        prop_assert!(!dropped.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|w| w == "um"));
        prop_assert_eq!(bare(&dropped), bare(&given));
    }
}

fn rule(from: &str, to: &str, whole_word: bool, ignore_case: bool) -> Replacement {
    let from = from.to_owned().try_into().unwrap();
    Replacement { from, to: to.to_owned(), whole_word, ignore_case }
}
