//! Audio of which the detector was not certain: the engine decides.

use super::*;

fn uncertain() -> Segment {
    Segment { certain: false, ..tail(0, 0.0, 4.0, 4.0) }
}

#[test]
fn what_the_engine_believes_is_a_text() {
    for mut s in [Script::live(), Script::batch()] {
        s.release(uncertain(), 1);
        let told = s.says(1, "Come in.");
        assert!(told[0].starts_with("complete #1 'Come in.'"), "{told:?}");
    }
}

#[test]
fn what_it_does_not_believe_is_not_and_is_not_decoded_again() {
    let doubted = [
        Decoded { avg_logprob: -1.1, ..said("Come in.") },
        Decoded { no_speech_prob: 0.5, ..said("Come in.") },
        Decoded { ending: Ending::Loop, avg_logprob: -1.1, ..said("so so so so so so so") },
    ];
    for (decoded, mut s) in
        doubted.into_iter().flat_map(|d| [(d.clone(), Script::live()), (d, Script::batch())])
    {
        s.release(uncertain(), 1);
        let told = s.ends(1, Ok(decoded));
        let words = told[0].strip_prefix("remarks #1").expect("`retry` can bring them back");
        assert!(!words.trim().trim_matches('\'').is_empty(), "{told:?}");
        assert!(told[1].starts_with("complete #1 ''"), "{told:?}");
        assert_eq!(s.notes, [Note::Discarded(crate::clean::Discard::Uncertain)]);
    }
}
