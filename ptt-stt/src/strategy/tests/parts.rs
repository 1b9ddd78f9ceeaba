//! Pieces that the engine gets lost in: what it repeats is not what was said.

use super::*;

#[test]
fn a_long_piece_that_the_engine_gets_lost_in_is_decoded_in_parts() {
    let loops = Decoded { ending: Ending::Loop, ..said("so my fellow so my fellow so my fellow") };
    for mut s in [Script::live(), Script::batch()] {
        // All positions of 30 s: there is no wider context.
        let first = s.release(tail(0, 0.0, 27.0, 27.5), 1);
        assert_eq!(first, ["decode 1 27.2s/1500 finalx2"]);
        let parts = s.ends(1, Ok(loops.clone()));
        assert!(parts[0].starts_with("decode 2 ") && parts.len() == 1, "{parts:?}");
        let mut words = ["one", "two", "three", "four", "five", "six", "seven"].into_iter();
        let mut said = Vec::new();
        let end = loop {
            said.push(words.next().unwrap());
            let next = s.says(said.len() as u64 + 1, said[said.len() - 1]);
            if next[0].starts_with("complete") {
                break next;
            }
        };
        assert!(said.len() > 2, "{said:?}");
        let whole: f64 = s.jobs[1..].iter().map(|job| job.clip.duration().as_secs_f64()).sum();
        assert!((27.0..27.6).contains(&whole), "every sample is in one part: {whole}");
        assert!(s.jobs[1..].iter().all(|job| job.clip.duration() <= Duration::from_secs(10)));
        assert_eq!(end, [format!("complete #1 '{}' fallback", said.join(" "))]);
        assert_eq!(s.notes, [Note::Fallback(Suspicion::Loop)]);
    }
    // In the background it is a wasted decode, and the parts follow.
    let mut s = Script::live();
    s.hear(committed(0, 0.0, 27.0, 27.5));
    let parts = s.ends(1, Ok(loops));
    assert!(parts[0].starts_with("decode 2 ") && parts[0].ends_with("backx1"), "{parts:?}");
}

#[test]
fn an_open_piece_that_the_engine_gets_lost_in_waits_for_its_end() {
    let loops = Decoded { ending: Ending::Loop, ..said("so my fellow so my fellow so my fellow") };
    let mut s = Script::live();
    s.hear(paused(0, 0.0, 27.0, 27.3));
    assert!(s.ends(1, Ok(loops)).is_empty(), "its text is not shown");
    let parts = s.hear(committed(0, 0.0, 27.0, 27.5));
    assert!(parts[0].starts_with("decode 2 "), "{parts:?}");
}
