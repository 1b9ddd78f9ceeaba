//! A machine that is replaced by another one, as when the configuration is read again.

use std::time::Duration;

use super::table::{AUDIO, LISTEN, PRESS, START, STOP, TEXT, hold};
use super::*;

const REPLACED: &str = "replaced | keyboard:ignore, recorder:close, feedback:close";
const FAILED: &str = "output_failed#1 | chime:error#1@900, fault:broken#1";
const SALVAGED: &str = "engine_hopeless#1 | stt:abort#1, chime:error#1@900, fault:misconfigured#1, \
                        resources:release#1, ended:salvaged#1, => idle, => waiting_for_key";
const ESCAPE: &str = "escape | arm:undo_deadline#1, chime:cancelled#1@900, recorder:abort#1, stt:abort#1, \
                      arm:cancel_deadline#1, => recording_cancelled";

#[test]
fn what_retry_can_bring_back_outlives_the_machine_and_takes_go_on_counting() {
    let nothing = "retry | fault:gone";
    let text = "retry | output:deliver#1 'hello'";
    let parts = [LISTEN, PRESS, START, STOP, AUDIO, TEXT, FAILED, REPLACED, "replaced", LISTEN, text];
    hold(&parts);
    let again =
        "retry | resources:acquire#2, stt:hear#2, stt:transcribe#2, arm:decode_deadline#2, => processing";
    let heard = "committed#1 | stt:hear#1";
    hold(&[LISTEN, PRESS, START, heard, STOP, AUDIO, SALVAGED, REPLACED, again]);
    let second = PRESS.replace("#1", "#2").replace("@0", "@900");
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, TEXT, "delivered#1 | delivered#1", REPLACED, LISTEN, &second]);
    hold(&[LISTEN, REPLACED, nothing]);
}

#[test]
fn a_cancelled_take_can_be_brought_back_for_no_longer_than_without_a_replacement() {
    let over = "cleared#1 | resources:release#1, ended:cancelled#1, => idle, => waiting_for_key";
    let replaced = "+10s replaced | keyboard:ignore, recorder:close, feedback:close, arm:undo_deadline#1";
    let retry = "+19s retry | resources:acquire#2, stt:transcribe#2, arm:decode_deadline#2, => processing";
    let until = [LISTEN, PRESS, START, STOP, AUDIO, ESCAPE, over, replaced];
    hold(&[&until[..], &[retry]].concat());
    hold(&[&until[..], &["+21s", "retry | fault:gone"]].concat());
    let late = replaced.replace("+10s", "+30s").replace(", arm:undo_deadline#1", "");
    hold(&[&until[..7], &[&late, "retry | fault:gone"]].concat());
    // A new configuration may allow less.
    let mut machine = hold(&until[..7]);
    let (memory, _) = machine.hand_over();
    let none = Policy { undo: Duration::ZERO, ..Policy::default() };
    let (machine, first) = Machine::resume(&none, Moment::from_millis(2_000), memory);
    assert!(machine.kept.cancelled.is_none() && first.is_empty());
}

#[test]
fn only_a_machine_without_a_take_and_without_a_text_on_its_way_rests() {
    let parts = [LISTEN, PRESS, START, STOP, AUDIO, TEXT, "delivered#1 | delivered#1"];
    let rests: Vec<bool> = (0..=parts.len()).map(|n| hold(&parts[..n]).is_at_rest()).collect();
    assert_eq!(rests, [true, true, false, false, false, false, false, true]);
    let tap = "+1ms release | recorder:abort#1, stt:abort#1, arm:cancel_deadline#1, => recording_cancelled";
    assert!(!hold(&[LISTEN, PRESS, tap]).is_at_rest());
}

#[test]
fn a_take_in_the_middle_and_a_text_on_its_way_are_kept_when_there_is_no_waiting() {
    let audio = KeptItems { texts: 0, recordings: 1 };
    let nothing = KeptItems::default();
    let heard = "committed#1 | stt:hear#1";
    for (parts, kept) in [
        (vec![LISTEN, PRESS], nothing),
        (vec![LISTEN, PRESS, START], nothing),
        (vec![LISTEN, PRESS, START, heard], audio),
        (vec![LISTEN, PRESS, START, heard, STOP], audio),
        (vec![LISTEN, PRESS, START, STOP, AUDIO], audio),
        (vec![LISTEN, PRESS, START, STOP, AUDIO, TEXT], KeptItems { texts: 1, recordings: 0 }),
        (vec![LISTEN, PRESS, START, STOP, AUDIO, TEXT, FAILED], KeptItems { texts: 1, recordings: 0 }),
        (vec![LISTEN, PRESS, START, STOP, AUDIO, SALVAGED], audio),
    ] {
        let (memory, _) = hold(&parts).hand_over();
        assert_eq!(memory.kept(Moment::from_millis(3_000)), kept, "{parts:?}");
    }
    assert_eq!(KeptItems { texts: 1, recordings: 2 }.to_string(), "1 text, 2 recordings");
}

#[test]
fn the_memory_says_whether_takes_are_wanted_and_knows_the_profiles_by_their_new_numbers() {
    assert!(!hold(&[]).hand_over().0.is_enabled());
    assert!(hold(&[LISTEN]).hand_over().0.is_enabled());
    let mut machine = hold(&[LISTEN, PRESS, START, STOP, AUDIO, TEXT, FAILED]);
    let (mut memory, _) = machine.hand_over();
    memory.renumber(|profile| if profile.is_default() { Profile(3) } else { profile });
    let (mut machine, _) = Machine::resume(&Policy::default(), Moment::from_millis(3_000), memory);
    let effects = machine.step(&Policy::default(), Moment::from_millis(3_000), C::Retry.into());
    let profile = effects.iter().find_map(|effect| match effect {
        Effect::Output(OutputCommand::Deliver { profile, .. }) => Some(*profile),
        _ => None,
    });
    assert_eq!(profile, Some(Profile(3)));
}
