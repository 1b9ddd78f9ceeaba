//! A whole world in virtual time: a user at the keys and roles that answer, faultlessly or not.

use std::collections::BTreeMap;
use std::time::Duration;

use ptt_messages::StateName;

use super::watch::{Dice, Watch, seeds};
use super::*;

#[test]
fn in_a_world_that_loses_doubles_and_delays_everything_the_invariants_hold() {
    seeds(100_000, |seed, aloud| {
        let mut dice = Dice::new(seed);
        let policy = dice.policy();
        let mut world = World::new(policy, dice, true);
        world.watch.aloud = aloud;
        world.live();
        world.watch.leave_alone();
    });
}

/// No word lost, not the first, not the last, not a take: from press to release, whatever else goes on.
#[test]
fn in_a_faultless_world_every_hold_becomes_its_text_in_order() {
    seeds(30_000, |seed, aloud| {
        let mut world = World::new(Policy::default(), Dice::new(seed), false);
        world.watch.aloud = aloud;
        world.live();
        world.watch.leave_alone();
        world.all_held_became_texts();
    });
}

/// Two quick taps, however far the next ones are, are a take that goes on without a hand until the next tap.
#[test]
fn in_a_faultless_world_every_double_tap_becomes_its_text_in_order() {
    seeds(30_000, |seed, aloud| {
        let policy = Policy { mode: Mode::DoubleTap, ..Policy::default() };
        let mut world = World::new(policy, Dice::new(seed), false);
        world.watch.aloud = aloud;
        world.live();
        world.watch.leave_alone();
        world.all_held_became_texts();
    });
}

struct World {
    watch: Watch,
    dice: Dice,
    faulty: bool,
    /// What will happen, and when; the number keeps the order of what happens at the same time.
    coming: Vec<(Moment, u64, Input)>,
    number: u64,
    /// What the user held long enough to be meant, or began and ended with taps.
    holds: Vec<(Moment, Moment)>,
    /// What the recorder was told to record.
    recorded: BTreeMap<TakeId, (Moment, Option<Moment>)>,
}

impl World {
    fn new(policy: Policy, dice: Dice, faulty: bool) -> Self {
        let watch = Watch::new(policy);
        Self {
            watch,
            dice,
            faulty,
            coming: Vec::new(),
            number: 0,
            holds: Vec::new(),
            recorded: BTreeMap::new(),
        }
    }

    fn live(&mut self) {
        self.coming.push((self.watch.now, 0, C::Enable.into()));
        if self.watch.policy.mode == Mode::DoubleTap && !self.faulty {
            self.tapper();
        } else {
            self.user();
        }
        while let Some(next) = (0..self.coming.len()).min_by_key(|i| (self.coming[*i].0, self.coming[*i].1)) {
            let (at, _, input) = self.coming.swap_remove(next);
            self.watch.now = self.watch.now.max(at);
            if matches!(input, Input::TimedOut(timer) if !self.watch.armed.iter().any(|(_, armed)| *armed == timer))
            {
                continue;
            }
            for effect in self.watch.step(input) {
                self.answer(effect);
            }
        }
    }

    /// Holds, taps and pauses of all lengths, not more than can be remembered; in a faulty world also everything else a
    /// user can do.
    fn user(&mut self) {
        let mut at = self.watch.now;
        for _ in 0..=self.dice.below(1 + policy::REMEMBERED as u64) {
            at = at + Duration::from_millis(1) + self.dice.millis(1_500);
            let press = at;
            let longest = if self.dice.once_in(3) { 150 } else { 2_000 };
            at = at + Duration::from_millis(1) + self.dice.millis(longest);
            if at.since(press) >= self.watch.policy.min_hold {
                self.holds.push((press, at));
            }
            let profile = *self.dice.pick(&[Profile::DEFAULT, Profile(1)]);
            self.edge(press, K::Pressed { at: press, profile });
            self.edge(at, K::Released { at });
            if self.faulty {
                let other: Input = match self.dice.below(11) {
                    0 => K::Cancelled { at }.into(),
                    1 => K::Failed(fault(Component::Keyboard, FaultKind::Gone)).into(),
                    2 => K::Toggled { at, profile: Profile::DEFAULT }.into(),
                    3 => C::Disable.into(),
                    4 | 5 => C::Enable.into(),
                    6 => C::Retry.into(),
                    7 => K::UserLeft { at }.into(),
                    _ => continue,
                };
                let later = at + self.dice.millis(1_000);
                self.coming(later, other);
            }
        }
    }

    /// Takes that two quick taps begin and one ends, and single taps between them.
    fn tapper(&mut self) {
        let mut at = self.watch.now;
        let apart = self.watch.policy.double_tap + Duration::from_millis(1);
        for _ in 0..=self.dice.below(1 + policy::REMEMBERED as u64) {
            at = at + apart + self.dice.millis(1_500);
            if self.dice.once_in(3) {
                self.tap(at);
                at = at + apart + self.dice.millis(1_500);
            }
            self.tap(at);
            at = at + Duration::from_millis(1) + self.dice.millis(400);
            self.tap(at);
            let began = at;
            at = at + Duration::from_millis(1) + self.dice.millis(2_000);
            self.tap(at);
            self.holds.push((began, at));
        }
    }

    fn tap(&mut self, at: Moment) {
        self.edge(at, K::Pressed { at, profile: Profile::DEFAULT });
        let later = at + self.dice.millis(3);
        self.edge(later, K::Released { at: later });
    }

    fn all_held_became_texts(&self) {
        assert_eq!(self.watch.machine.state(), StateName::WaitingForKey);
        let recorded: Vec<(Moment, Moment)> =
            self.recorded.values().filter_map(|(press, release)| Some((*press, (*release)?))).collect();
        assert_eq!(recorded, self.holds, "every hold was recorded from its press to its release");
        assert_eq!(self.watch.delivered.len(), self.holds.len(), "and every one of them is a text");
    }

    fn edge(&mut self, at: Moment, event: K) {
        if self.faulty && self.dice.once_in(20) {
            return;
        }
        if self.faulty && self.dice.once_in(20) {
            let later = at + self.dice.millis(500);
            self.coming(later, event.clone());
        }
        self.coming(at, event);
    }

    fn answer(&mut self, effect: Effect) {
        match effect {
            Effect::Arm(timer, after) => self.coming(self.watch.now + after, Input::TimedOut(timer)),
            Effect::Resources(ResourceCommand::Acquire { take }) => {
                if self.goes_wrong() {
                    let fault = fault(Component::Resources, FaultKind::Busy);
                    self.reply(2, Res::Refused { take, fault });
                } else {
                    self.reply(2, Res::Granted { take });
                }
            }
            Effect::Recorder(RecorderCommand::Start { take, press }) => {
                let known = self.recorded.insert(take, (press, None));
                assert_eq!(known, None, "one take, one start");
                if self.goes_wrong() {
                    let fault = fault(Component::Recorder, FaultKind::Gone);
                    self.reply(50, Rec::StartFailed { take, fault });
                } else {
                    self.reply(50, started(take));
                }
                if self.goes_wrong() {
                    let fault = fault(Component::Recorder, FaultKind::Gone);
                    self.reply(1_000, Rec::Failed { take, fault });
                    self.reply(1_001, finished(take, true));
                }
            }
            Effect::Recorder(RecorderCommand::Stop { take, release }) => {
                self.recorded.entry(take).and_modify(|(_, end)| *end = Some(release));
                let has_speech = !self.goes_wrong();
                self.reply(500, finished(take, has_speech));
            }
            Effect::Recorder(RecorderCommand::Abort { take }) => {
                self.reply(20, Rec::Cleared { take });
            }
            Effect::Stt(SttCommand::Transcribe { tail, .. }) => {
                let take = tail.id.take;
                match self.dice.below(if self.faulty { 8 } else { 1 }) {
                    0..4 => self.reply(400, complete(take, "hello")),
                    4 => self.reply(400, complete(take, "")),
                    5 => self.reply(20_000, complete(take, "late")),
                    _ => {
                        let kind = *self.dice.pick(&FaultKind::ALL);
                        self.reply(400, engine_failed(take, kind));
                    }
                }
            }
            Effect::Output(OutputCommand::Deliver { take, .. }) => {
                if self.goes_wrong() {
                    let fault = fault(Component::Output, FaultKind::Broken);
                    self.reply(100, O::Failed { take, fault });
                } else {
                    self.reply(100, O::Delivered { take, sink: "stdout".into() });
                }
            }
            Effect::Keyboard(_)
            | Effect::Recorder(_)
            | Effect::Stt(_)
            | Effect::Feedback(_)
            | Effect::Output(OutputCommand::Aim { .. } | OutputCommand::Withdraw { .. })
            | Effect::Resources(_)
            | Effect::Observe(_)
            | Effect::Moved(_) => {}
        }
    }

    fn goes_wrong(&mut self) -> bool {
        self.faulty && self.dice.once_in(8)
    }

    /// An answer within `millis`; in a faulty world it may be lost, come twice, or take seconds.
    fn reply(&mut self, millis: u64, input: impl Into<Input>) {
        let input = input.into();
        let at = self.watch.now + self.dice.millis(millis + 1);
        if !self.faulty {
            return self.coming(at, input);
        }
        match self.dice.below(16) {
            0 => {}
            1 => {
                let again = at + self.dice.millis(3_000);
                self.coming(at, input.clone());
                self.coming(again, input);
            }
            2 => {
                let late = at + self.dice.millis(15_000);
                self.coming(late, input);
            }
            _ => self.coming(at, input),
        }
    }

    fn coming(&mut self, at: Moment, input: impl Into<Input>) {
        self.number += 1;
        self.coming.push((at, self.number, input.into()));
    }
}
