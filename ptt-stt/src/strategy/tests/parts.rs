//! Pieces that the engine gets lost in: what it repeats is not what was said.

use super::*;
use crate::engine::TokenTime;

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
fn a_short_piece_that_the_engine_gets_lost_in_is_cut_at_its_pause() {
    let loops = || Ok(Decoded { ending: Ending::Loop, ..said("no, no, no, no, no, no, no, no") });
    let mut samples = vec![0.3; 4 * RATE as usize];
    samples[RATE as usize * 3 / 2..RATE as usize * 2].fill(0.001);
    let rest = Segment { clip: Clip::new(samples).unwrap(), ..tail(0, 0.0, 4.0, 4.0) };
    for mut s in [Script::live(), Script::batch()] {
        assert_eq!(s.release(rest.clone(), 1), ["decode 1 4.0s/384 finalx2"]);
        assert_eq!(s.ends(1, loops()), ["decode 2 4.0s/1500 finalx2"]);
        let first = s.ends(2, loops());
        assert!(
            first[0].starts_with("decode 3 1.6s/384") || first[0].starts_with("decode 3 1.7s/384"),
            "{first:?}"
        );
        assert!(s.says(3, "No, no.")[0].ends_with("after 'No, no.'"));
        // Between the two is a pause: what is said on both sides of it was said twice.
        let end = s.says(4, "No, do not do that.");
        assert_eq!(end, ["complete #1 'No, no. No, do not do that.' fallback"]);
    }
}

#[test]
fn a_decode_that_ends_in_a_loop_is_never_complete() {
    let loops = || Ok(Decoded { ending: Ending::Loop, ..said("no, no, no, no, no, no, no, no") });
    let long = || Ok(Decoded { ending: Ending::MaxTokens, ..said("one two three four five six") });
    for (lost, text) in [(loops(), "no,"), (long(), "one two three four five six")] {
        let mut s = Script::live();
        // Too short to be cut.
        s.release(tail(0, 0.0, 1.0, 1.1), 1);
        s.ends(1, lost.clone());
        let end = s.ends(2, lost);
        assert_eq!(end, ["remarks #1  '' incomplete".to_owned(), format!("complete #1 '{text}' fallback")]);
    }
}

#[test]
fn what_is_left_out_is_told_and_counted() {
    let noise = Decoded { no_speech_prob: 0.9, avg_logprob: -1.2, ..said("I'm going to go.") };
    let mut s = Script::live();
    s.hear(committed(0, 0.0, 6.0, 6.5));
    s.says(1, "One.");
    s.release(tail(1, 6.5, 8.0, 8.2), 1);
    let end = s.ends(2, Ok(noise));
    assert_eq!(end, ["remarks #1  'I'm going to go.'", "complete #1 'One.' tail"]);
    assert!(s.notes.contains(&Note::Discarded(crate::clean::Discard::NoSpeech)), "{:?}", s.notes);
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

/// A sentence of three words for each time in `at`, with the times of its words, in tenths.
fn sentences(at: &[[u64; 3]]) -> Decoded {
    let text = vec!["The fox jumps."; at.len()].join(" ");
    let ends = (0..at.len()).flat_map(|i| [3, 7, 14].map(|end| 15 * i + end));
    let times = ends.zip(at.iter().flatten());
    let times = times.map(|(end, at)| TokenTime { end, at: Duration::from_millis(100 * at) });
    Decoded { times: times.collect(), ..said(&text) }
}

#[test]
fn a_sentence_that_was_left_out_is_cut_off_at_its_pause() {
    // Three sentences of 3 s, with half a second between them.
    let mut samples = vec![0.3; 10 * RATE as usize];
    for pause in [3_000..3_500, 6_500..7_000_usize] {
        samples[pause.start * 16..pause.end * 16].fill(0.001);
    }
    let take = Segment { clip: Clip::new(samples).unwrap(), ..tail(0, 0.0, 10.0, 10.0) };
    for (written, cut) in [
        // The last one is missing, and the last word's attention is at its beginning already.
        (sentences(&[[2, 10, 20], [37, 50, 60]]), 6.5..=7.0),
        // The one in the middle is missing.
        (sentences(&[[2, 10, 20], [72, 80, 95]]), 3.0..=7.0),
    ] {
        for mut s in [Script::live(), Script::batch()] {
            s.release(take.clone(), 1);
            let first = s.ends(1, Ok(written.clone()));
            let part = s.jobs[1].clip.duration().as_secs_f64();
            assert!(cut.contains(&part), "{first:?}");
            assert_eq!(s.notes, [Note::Fallback(Suspicion::Missing)]);
        }
    }
    // Nobody speaks in the middle: that is a pause, and nothing is missing.
    let mut samples = vec![0.3; 10 * RATE as usize];
    samples[3 * RATE as usize..7 * RATE as usize].fill(0.001);
    let take = Segment { clip: Clip::new(samples).unwrap(), ..tail(0, 0.0, 10.0, 10.0) };
    let mut s = Script::batch();
    s.release(take, 1);
    let end = s.ends(1, Ok(sentences(&[[2, 10, 27], [72, 80, 95]])));
    assert_eq!(end, ["complete #1 'The fox jumps. The fox jumps.' batch"]);
}
