//! Takes whose language is detected.

use super::*;

fn spoken(text: &str, language: &str) -> Decoded {
    Decoded { language: Some(language.to_owned()), ..said(text) }
}

fn before(s: &Script) -> Option<&str> {
    s.jobs.last().unwrap().detection.before.as_deref()
}

#[test]
fn a_take_keeps_its_language_until_there_is_evidence_and_the_next_begins_anew() {
    let languages = vec!["en".to_owned(), "de".to_owned()];
    let mut s = Script::new(Policy { languages: languages.clone(), ..policy(StrategyKind::Live) });
    s.hear(committed(0, 0.0, 6.0, 6.5));
    assert_eq!((before(&s), &s.jobs[0].detection.among), (None, &languages));
    s.ends(1, Ok(spoken("Eins.", "de")));
    s.hear(committed(1, 6.5, 12.0, 12.5));
    assert_eq!(before(&s), Some("de"));
    s.ends(2, Ok(spoken("Two.", "en")));
    s.release(tail(2, 12.5, 14.0, 14.2), 1);
    assert_eq!(before(&s), Some("en"));
    let end = s.ends(3, Ok(spoken("Three.", "en")));
    assert_eq!(end, ["remarks #1 de,en ''", "complete #1 'Eins. Two. Three.' tail"]);

    s.release(segment(2, 0, SegmentState::Tail, 0.0, 2.0, 2.2), 1);
    assert_eq!(before(&s), None, "the next take begins without a language");
    assert_eq!(s.jobs.last().unwrap().detection.usual.as_deref(), Some("en"));
}

#[test]
fn noise_has_no_language() {
    let mut s = Script::live();
    s.hear(committed(0, 0.0, 6.0, 6.5));
    s.ends(1, Ok(spoken("[music]", "nn")));
    s.release(tail(1, 6.5, 8.0, 8.2), 1);
    assert_eq!(before(&s), None);
    assert_eq!(s.ends(2, Ok(spoken("One.", "en"))), ["remarks #1 en ''", "complete #1 'One.' tail"]);
}

#[test]
fn a_piece_is_cut_where_its_language_changes() {
    let switch = || Ok(Decoded { ending: Ending::LanguageSwitch(48_000), ..Decoded::default() });
    for mut s in [Script::live(), Script::batch()] {
        assert_eq!(s.release(tail(0, 0.0, 7.0, 7.2), 1), ["decode 1 7.2s/512 finalx2"]);
        assert_eq!(s.ends(1, switch()), ["decode 2 3.0s/384 finalx2"]);
        assert_eq!(s.ends(2, Ok(spoken("One.", "en"))), ["decode 3 4.2s/384 finalx2 after 'One.'"]);
        let end = s.ends(3, Ok(spoken("Zwei.", "de")));
        assert_eq!(end[0], "remarks #1 en,de ''");
        assert!(end[1].starts_with("complete #1 'One. Zwei.'"), "{end:?}");
    }
    // An open one waits for its end; the silence before the speech, which the engine does not get,
    // is counted.
    let mut s = Script::live();
    s.hear(paused(0, 0.0, 7.0, 7.3));
    assert!(s.ends(1, switch()).is_empty());
    s.hear(committed(0, 0.0, 7.0, 7.5));
    assert_eq!(s.ends(2, switch()), ["decode 3 3.0s/384 backx1"]);
}
