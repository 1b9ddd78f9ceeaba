//! Failures, and what the next attempt is made with.

use super::*;

#[test]
fn a_second_attempt_has_a_fresh_worker_and_the_texts_of_the_first() {
    let mut s = Script::live();
    s.hear(committed(0, 0.0, 6.0, 6.5));
    s.says(1, "One.");
    let rest = tail(1, 6.5, 8.0, 8.2);
    assert_eq!(s.release(rest.clone(), 1), ["decode 2 1.7s/384 finalx2 after 'One.'"]);
    assert_eq!(s.fails(2), ["failed #1 broken"]);
    assert_eq!(s.release(rest, 2), ["renew", "decode 3 1.7s/384 finalx2 after 'One.'"]);
    assert_eq!(s.says(3, "Two."), ["complete #1 'One. Two.' tail"]);
}

#[test]
fn a_failure_in_the_background_is_tried_again_when_it_matters() {
    let mut s = Script::live();
    s.hear(committed(0, 0.0, 6.0, 6.5));
    assert!(s.fails(1).is_empty());
    assert_eq!(s.release(tail(1, 6.5, 6.5, 6.6), 1), ["decode 2 6.2s/448 finalx2"]);
    assert_eq!(s.says(2, "One."), ["complete #1 'One.' tail"]);
}

#[test]
fn an_engine_that_does_not_answer_is_given_up() {
    let mut s = Script::live();
    s.release(tail(0, 0.0, 2.0, 2.2), 1);
    s.later(10_500);
    assert!(s.feed(Input::Overdue { take: TakeId(1), attempt: 2 }).is_empty());
    assert_eq!(s.feed(Input::Overdue { take: TakeId(1), attempt: 1 }), ["failed #1 timeout", "renew"]);
    assert!(s.says(1, "Late.").is_empty());
    // The fresh one is not given up in its turn before it had a chance.
    assert_eq!(s.release(tail(0, 0.0, 2.0, 2.2), 2), ["decode 2 2.2s/384 finalx2"]);
    s.later(10_500);
    assert_eq!(s.feed(Input::Overdue { take: TakeId(1), attempt: 2 }), ["failed #1 timeout", "renew"]);
}

#[test]
fn an_engine_that_kept_its_deadline_is_kept() {
    let mut s = Script::live();
    let rest = tail(0, 0.0, 2.0, 2.2);
    let ends =
        |s: &mut Script, job, kind| s.ends(job, Err(Failure::Failed(Fault::new(Component::Stt, kind, "no"))));
    s.release(rest.clone(), 1);
    assert_eq!(ends(&mut s, 1, FaultKind::Timeout), ["failed #1 timeout"]);
    assert_eq!(s.release(rest.clone(), 2), ["decode 2 2.2s/384 finalx2"]);
    // That it kept one before says nothing when it breaks, or stops by itself.
    assert_eq!(ends(&mut s, 2, FaultKind::Broken), ["failed #1 broken"]);
    assert_eq!(s.release(rest.clone(), 3), ["renew", "decode 3 2.2s/384 finalx2"]);
    assert_eq!(s.ends(3, Err(Failure::Cancelled)), ["failed #1 broken"]);
    assert_eq!(s.release(rest, 4), ["renew", "decode 4 2.2s/384 finalx2"]);
    assert_eq!(s.says(4, "One."), ["complete #1 'One.' tail"]);
}
