use proptest::prelude::*;

use super::*;
use crate::config::{Replacement, Spoken};

#[test]
fn the_steps_come_in_their_order() {
    let config = OutputConfig {
        replace: vec![rule("knew line", "new line"), rule("bell", "\u{7}\u{202e}x\r\ny")],
        spoken_commands: vec![Spoken::En],
        ..OutputConfig::default()
    };
    let mut shaper = Shaper::new(&config);
    let mut say = |transcript: &str| {
        let text = shaper.finish(&shaper.draft(transcript).text, " ", Moment::default()).text;
        shaper.delivered(&text, Moment::default());
        text
    };
    // A transcript's own line break is none; a rule makes the command; nothing follows a line's end.
    assert_eq!(say("Dear\nAnna. Knew line."), "Dear Anna.\n");
    assert_eq!(say("I was going"), "I was going ");
    assert_eq!(say("To the shop. Bell"), "to the shop. x\ny ");
    assert_eq!(say("New paragraph"), "\n\n");
    assert_eq!(say("To begin with"), "To begin with ");
    assert_eq!(say("\u{1b}"), "");
}

#[test]
fn it_is_told_whether_the_filter_had_to_work() {
    let shaper = Shaper::new(&OutputConfig::default());
    assert!(shaper.draft("a\u{7}").filtered && !shaper.draft("a").filtered);
    let finished = |text| shaper.finish(text, "\n", Moment::default());
    assert_eq!(finished("a\nb"), Shaped { text: "a\nb\n".to_owned(), filtered: false });
    assert_eq!(finished("a\u{7}"), Shaped { text: "a\n".to_owned(), filtered: true });
}

fn rule(from: &str, to: &str) -> Replacement {
    let from = from.to_owned().try_into().unwrap();
    Replacement { from, to: to.to_owned(), whole_word: true, ignore_case: true }
}

/// What a video in the room, a rule or a command might come up with.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::char::range('\0', '\u{a0}').prop_map(String::from),
        prop::char::range('\u{2000}', '\u{2070}').prop_map(String::from),
        prop::sample::select(vec![
            "New line. ",
            "word ",
            "Bell, ",
            "all caps, ",
            "scratch that. ",
            "\u{1b}[2J",
            "um "
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

fn all_on() -> Shaper {
    Shaper::new(&OutputConfig {
        replace: vec![rule("bell", "\u{7}\u{9b}\u{2028}"), rule("um", "")],
        spoken_commands: vec![Spoken::En, Spoken::De],
        ..OutputConfig::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn with_nothing_configured_a_text_is_only_filtered(text in hostile()) {
        let mut shaper = Shaper::new(&OutputConfig::default());
        prop_assert_eq!(shaper.finish(&shaper.draft(&text).text, "", Moment::default()).text, filter(&text));
        // After an unfinished text the words are the same, whatever the case of the first.
        shaper.delivered("unfinished", Moment::default());
        let joined = shaper.finish(&shaper.draft(&text).text, "", Moment::default()).text;
        prop_assert_eq!(joined.to_lowercase(), filter(&text).to_lowercase());
    }

    #[test]
    fn nothing_gets_around_the_filter(transcript in hostile(), posted in hostile()) {
        let shaper = all_on();
        for text in [shaper.draft(&transcript).text, posted] {
            for line in shaper.finish(&text, "", Moment::default()).text.split('\n') {
                prop_assert_eq!(filter(line), line);
            }
        }
    }

    #[test]
    fn finishing_twice_is_finishing_once(text in hostile()) {
        let mut shaper = all_on();
        shaper.delivered("unfinished", Moment::default());
        let once = shaper.finish(&filter_lines(&text), "", Moment::default()).text;
        prop_assert_eq!(&shaper.finish(&once, "", Moment::default()).text, &once);
    }
}
