//! Any input at any time, of any take: whatever the other roles do wrong, the invariants hold.

use std::time::Duration;

use super::watch::{Dice, Watch, seeds};
use super::*;

#[test]
fn nothing_that_is_heard_in_any_order_breaks_an_invariant() {
    seeds(300_000, |seed, aloud| {
        let mut dice = Dice::new(seed);
        let mut watch = Watch::new(dice.policy());
        watch.aloud = aloud;
        for _ in 0..dice.below(50) {
            let pause = *dice.pick(&[0, 1, 100, 200, 2_000]);
            watch.now = watch.now + dice.millis(pause + 1);
            let input = any(&mut dice, &watch);
            let _ = watch.step(input);
        }
        watch.leave_alone();
    });
}

/// Half of it fits the situation: a machine that is told nonsense only never leaves its first states.
fn any(dice: &mut Dice, watch: &Watch) -> Input {
    let current = watch.machine.take().unwrap_or(watch.machine.last);
    let take = match dice.below(6) {
        0 => TakeId(dice.below(4)),
        1 => current.next(),
        2 => TakeId(current.0.saturating_sub(1)),
        _ => current,
    };
    let at = match dice.below(40) {
        0 => Moment::default(),
        1 => watch.now + Duration::from_secs(3_600),
        _ => watch.now - dice.millis(20),
    };
    if dice.once_in(2) {
        return fitting(dice, watch, take, at);
    }
    match dice.below(28) {
        0 => C::Enable.into(),
        1 => C::Disable.into(),
        2 => C::Retry.into(),
        3 => K::Pressed { at, profile: some(dice) }.into(),
        4 => K::Released { at }.into(),
        5 => K::Toggled { at, profile: some(dice) }.into(),
        6 => K::Cancelled { at }.into(),
        7 => K::Failed(problem(dice)).into(),
        8 => Res::Granted { take }.into(),
        9 => Res::Refused { take, fault: problem(dice) }.into(),
        10 => dice.pick(&[Res::LoadModel, Res::UnloadModel]).clone().into(),
        11 => started(take).into(),
        12 => Rec::StartFailed { take, fault: problem(dice) }.into(),
        13 => Rec::Failed { take, fault: problem(dice) }.into(),
        14 => finished(take, dice.once_in(2)).into(),
        15 => Rec::Cleared { take }.into(),
        16 => Rec::Heard(segment(
            take,
            0,
            *dice.pick(&[SegmentState::Paused, SegmentState::Ending, SegmentState::Committed]),
        ))
        .into(),
        17 => Rec::SpeechResumed { take, index: 0 }.into(),
        18 => complete(take, if dice.once_in(2) { "" } else { "hello" }).into(),
        19 => engine_failed(take, *dice.pick(&FaultKind::ALL)).into(),
        20 => {
            Stt::Partial { take, committed: Transcript::default(), tentative: Transcript::default() }.into()
        }
        21 => Stt::Failed { take: None, fault: problem(dice) }.into(),
        22 => O::Delivered { take, sink: "stdout".into() }.into(),
        23 => O::Failed { take, fault: problem(dice) }.into(),
        24 => F::Played { take, chime: Chime::Start, since: at, at }.into(),
        25 => Rec::Lost(problem(dice)).into(),
        26 => K::UserLeft { at }.into(),
        _ => Input::TimedOut(timer(dice, watch, take)),
    }
}

fn some(dice: &mut Dice) -> Profile {
    *dice.pick(&[Profile::DEFAULT, Profile(1), Profile(2)])
}

fn fitting(dice: &mut Dice, watch: &Watch, take: TakeId, at: Moment) -> Input {
    match &watch.machine.state {
        S::Idle => C::Enable.into(),
        S::WaitingForKey => K::Pressed { at, profile: some(dice) }.into(),
        S::KeyPressed { granted: false, .. } => Res::Granted { take }.into(),
        S::KeyPressed { .. } => started(take).into(),
        S::Recording { .. } => K::Released { at }.into(),
        S::RecordingStopped { .. } if dice.once_in(2) => K::Pressed { at, profile: some(dice) }.into(),
        S::RecordingStopped { .. } => finished(take, true).into(),
        S::RecordingCancelled { .. } => Rec::Cleared { take }.into(),
        S::Processing(_) if dice.once_in(2) => K::Pressed { at, profile: some(dice) }.into(),
        S::Processing(_) => complete(take, "hello").into(),
    }
}

/// Mostly one that was armed.
fn timer(dice: &mut Dice, watch: &Watch, take: TakeId) -> Timer {
    use TimerKind::{Cancel, Decode, MaxTake, Start, Stop, Undo};
    if watch.armed.is_empty() || dice.once_in(4) {
        let kind =
            *dice.pick(&[Start, MaxTake, Stop, Cancel, Decode { attempt: 1 }, Decode { attempt: 2 }, Undo]);
        return Timer { take, kind };
    }
    dice.pick(&watch.armed).1
}

fn problem(dice: &mut Dice) -> Fault {
    fault(Component::Recorder, *dice.pick(&FaultKind::ALL))
}
