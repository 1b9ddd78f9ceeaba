//! The invariants of the machine, checked after every step of whoever drives it.
//!
//! I1 the recorder has a take in `key_pressed` and `recording` only. I2 every state of a take has an armed deadline that
//! ends it. I3 every take has exactly one outcome. I4 a text goes out for the take in `processing` only, once. I5 nothing
//! grows without bound, and one transcription is asked for at a time. I6 left alone, the machine comes back to where it
//! listens. I7 what was started was stopped, aborted, or has told its end. I8 a release, a cancel and a lost keyboard do
//! what they are for. I9 what carries another take changes nothing. I10 a take has one profile, from its press to its
//! text.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use ptt_messages::StateName;

use super::*;

#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub machine: Machine,
    pub policy: Policy,
    pub now: Moment,
    /// What can expire, and when.
    pub armed: Vec<(Moment, Timer)>,
    /// Takes that have begun, with their outcomes.
    pub takes: BTreeMap<TakeId, Option<Outcome>>,
    /// Texts that went out, oldest first.
    pub delivered: Vec<TakeId>,
    /// Every transition seen.
    pub moves: Vec<Move>,
    /// Print what happens.
    pub aloud: bool,
    profiles: BTreeMap<TakeId, Profile>,
    capturing: Option<TakeId>,
    leased: Option<TakeId>,
    transcribing: Option<TakeId>,
    /// Of the newest cancel no chime was heard yet.
    unheard: bool,
}

impl Watch {
    pub fn new(policy: Policy) -> Self {
        Self {
            machine: Machine::default(),
            policy,
            now: Moment::from_millis(10_000),
            armed: Vec::new(),
            takes: BTreeMap::new(),
            delivered: Vec::new(),
            moves: Vec::new(),
            aloud: false,
            profiles: BTreeMap::new(),
            capturing: None,
            leased: None,
            transcribing: None,
            unheard: false,
        }
    }

    /// One step, with every invariant checked.
    pub fn step(&mut self, input: Input) -> Effects {
        let before = self.machine.clone();
        if let Input::TimedOut(timer) = input {
            self.armed.retain(|(_, armed)| *armed != timer);
        }
        let effects = self.machine.step(&self.policy, self.now, input.clone());
        if self.aloud {
            let shown: Vec<String> = effects.iter().map(ToString::to_string).collect();
            println!("{:?} {input:?} | {}", self.now, shown.join(", "));
        }
        self.heard(&input, &effects);
        self.follow(&before, &input, &effects);
        self.check_state();
        self.check_input(&before, &input, &effects);
        effects
    }

    /// Lets time pass until nothing is under way, as it does when nobody answers any more.
    pub fn leave_alone(&mut self) {
        for _ in 0..100 {
            if self.machine.take().is_none() {
                break;
            }
            self.armed.sort_by_key(|(due, _)| *due);
            let (due, timer) = *self.armed.first().expect("I2: a state of a take has a deadline");
            self.now = self.now.max(due);
            let _ = self.step(Input::TimedOut(timer));
        }
        let state = if self.machine.enabled { StateName::WaitingForKey } else { StateName::Idle };
        assert_eq!(self.machine.state(), state, "I6: back to where it listens");
        assert_eq!(self.machine.remembered(), 0, "I6: with nothing left to do");
        assert_eq!(
            self.machine.listening, self.machine.enabled,
            "I6: the keyboard listens exactly if it is wanted"
        );
        let open: Vec<&TakeId> =
            self.takes.iter().filter(|(_, o)| o.is_none()).map(|(take, _)| take).collect();
        assert!(open.is_empty(), "I3: takes without an outcome: {open:?}");
    }

    /// Drops what is known of takes that are over, so that two ways to the same situation look the same. Their timers do
    /// nothing any more; the random tests let those expire too.
    pub fn forget(&mut self) {
        let current = self.machine.take();
        let undo = self.machine.kept.cancelled.as_ref().map(|audio| audio.take);
        self.armed.retain(|(_, timer)| {
            if timer.kind == TimerKind::Undo { undo == Some(timer.take) } else { current == Some(timer.take) }
        });
        self.delivered.retain(|take| current == Some(*take));
        self.takes.retain(|_, outcome| outcome.is_none());
        self.profiles.clear();
    }

    /// What an answer that was not ignored closes.
    fn heard(&mut self, input: &Input, effects: &Effects) {
        self.unheard |= matches!(input, Input::Keyboard(K::Cancelled { .. }));
        if effects.is_empty() {
            return;
        }
        let about = |held: Option<TakeId>| held.is_some() && held == input.take();
        match input {
            Input::Recorder(Rec::StartFailed { .. } | Rec::Failed { .. } | Rec::Finished { .. })
                if about(self.capturing) =>
            {
                self.capturing = None;
            }
            Input::Resources(Res::Refused { .. }) if about(self.leased) => self.leased = None,
            Input::Stt(Stt::Complete { .. }) if about(self.transcribing) => self.transcribing = None,
            _ => {}
        }
    }

    fn follow(&mut self, before: &Machine, input: &Input, effects: &Effects) {
        let mut at = before.state();
        for effect in effects {
            if let Some((take, profile)) = profile_of(effect) {
                let known = *self.profiles.entry(take).or_insert(profile);
                assert_eq!(profile, known, "I10: {effect} of {take}");
            }
            match effect {
                Effect::Moved(moved) => {
                    assert_eq!(moved.from, at, "a path is without gaps");
                    assert!(known(*moved), "docs/fsm.md lacks {moved:?}");
                    at = moved.to;
                    self.moves.push(*moved);
                }
                Effect::Arm(timer, after) => {
                    assert!(!self.armed.iter().any(|(_, armed)| armed == timer), "armed twice: {timer:?}");
                    self.armed.push((self.now + *after, *timer));
                }
                Effect::Resources(ResourceCommand::Acquire { take }) => {
                    assert_eq!(self.leased.replace(*take), None, "I7: one lease at a time");
                    self.takes.entry(*take).or_insert(None);
                }
                Effect::Resources(ResourceCommand::Release { take }) => {
                    assert_eq!(self.leased.take(), Some(*take), "I7: what was acquired is released, once");
                }
                Effect::Recorder(RecorderCommand::Start { take, .. }) => {
                    assert_eq!(self.capturing.replace(*take), None, "I7: a recorder is never started twice");
                }
                Effect::Recorder(RecorderCommand::Stop { take, .. }) => {
                    assert_eq!(self.capturing.take(), Some(*take), "I7: what was started is stopped, once");
                }
                Effect::Recorder(RecorderCommand::Abort { take }) => {
                    self.capturing.take_if(|capturing| capturing == take);
                }
                Effect::Stt(SttCommand::Transcribe { tail, attempt, .. }) => {
                    let asked = self.transcribing.replace(tail.id.take);
                    assert!(
                        asked.is_none() || (asked == Some(tail.id.take) && *attempt > 1),
                        "I5: one at a time"
                    );
                    assert!(*attempt <= 1 + self.policy.retries, "I5: {attempt} attempts");
                }
                Effect::Stt(SttCommand::Abort { take }) => {
                    _ = self.transcribing.take_if(|asked| asked == take)
                }
                Effect::Feedback(FeedbackCommand::Play { take, chime: Chime::Start, .. }) => {
                    self.takes.entry(*take).or_insert(None);
                }
                Effect::Feedback(FeedbackCommand::Play { chime: Chime::Cancelled, .. }) => {
                    assert!(std::mem::take(&mut self.unheard), "I8: a cancel is heard once");
                }
                Effect::Output(OutputCommand::Deliver { take, text, .. }) => {
                    self.goes_out(before, input, *take, text)
                }
                Effect::Observe(ControllerEvent::Ended { take, outcome }) => {
                    let known = self.takes.insert(*take, Some(*outcome)).flatten();
                    assert_eq!(known, None, "I3: {take} has ended before");
                    let out = self.delivered.contains(take);
                    assert_eq!(out, *outcome == Outcome::Text, "I3: {outcome:?} of {take}");
                }
                Effect::Keyboard(_)
                | Effect::Recorder(_)
                | Effect::Stt(_)
                | Effect::Feedback(_)
                | Effect::Output(OutputCommand::Aim { .. } | OutputCommand::Withdraw { .. })
                | Effect::Resources(_)
                | Effect::Observe(_) => {}
            }
        }
        assert_eq!(at, self.machine.state(), "every transition is told");
    }

    fn goes_out(&mut self, before: &Machine, input: &Input, take: TakeId, text: &Transcript) {
        if *input == Input::Command(C::Retry) {
            let mut kept = before.kept.texts.iter().chain(&before.kept.discarded);
            assert!(kept.any(|kept| kept.take == take), "I4: a retry of what failed or was left out");
            return;
        }
        assert!(matches!(input, Input::Stt(Stt::Complete { take: id, .. }) if *id == take), "I4: {input:?}");
        assert_eq!(
            (before.state(), before.take()),
            (StateName::Processing, Some(take)),
            "I4: of the take in it"
        );
        assert!(!text.is_empty(), "I4: nothing was said");
        assert!(!self.delivered.contains(&take), "I4: {take} twice");
        assert!(self.delivered.last() < Some(&take), "texts come out in the order of the takes");
        self.delivered.push(take);
    }

    fn check_input(&self, before: &Machine, input: &Input, effects: &Effects) {
        let after = &self.machine;
        let busy = before.take().is_some();
        let unchanged = || effects.is_empty() && before == after;
        if let Input::Keyboard(K::Cancelled { at }) = input {
            for sent in before.on_the_way.iter().filter(|sent| *at >= sent.begun) {
                let withdraw = Effect::from(OutputCommand::Withdraw { take: sent.take });
                assert!(
                    effects.iter().any(|effect| *effect == withdraw),
                    "I8: nothing is typed after a cancel"
                );
            }
        }
        match input {
            Input::Keyboard(K::Cancelled { at }) => match before.state.pressed() {
                // One that is older than the press was not meant for it; a press that is still to come is no measure.
                Some(pressed) if *at >= pressed || pressed > self.now => {
                    assert_eq!(after.state(), StateName::RecordingCancelled, "I8: a cancel throws away");
                }
                _ => assert_eq!(after.state(), before.state(), "a cancel has nothing to throw away"),
            },
            Input::Keyboard(K::Released { .. } | K::Failed(_)) if matches!(&before.state, S::Recording { take } if take.gesture.is_held()) =>
            {
                let latched = matches!(&after.state, S::Recording { take } if !take.gesture.is_held());
                assert!(after.state() != StateName::Recording || latched, "I8: the hold is over");
            }
            Input::Keyboard(K::UserLeft { .. }) => {
                assert!(after.state() != StateName::Recording, "nobody is there to be recorded");
                assert!(before.state() == StateName::Recording || before.state() == after.state());
            }
            Input::Keyboard(K::Pressed { .. } | K::Toggled { .. }) if !busy && !before.enabled => {
                assert!(unchanged(), "a press that is not wanted");
            }
            Input::Recorder(_) | Input::Stt(_) | Input::Resources(_) | Input::TimedOut(_)
                if input.take().is_some() && input.take() != before.take() =>
            {
                let undo = matches!(input, Input::TimedOut(Timer { kind: TimerKind::Undo, .. }));
                assert!(unchanged() || undo, "I9: {input:?} is not about {:?}", before.take());
            }
            _ => {}
        }
    }

    fn check_state(&self) {
        let (state, take) = (self.machine.state(), self.machine.take());
        let recording = matches!(state, StateName::KeyPressed | StateName::Recording);
        assert!(self.capturing.is_none() || (recording && self.capturing == take), "I1: {state:?} {take:?}");
        assert!(state != StateName::Recording || self.capturing == take, "I1: nothing is recorded");
        assert_eq!(self.leased, take, "I7: the take in the machine has the lease");
        assert!(
            self.transcribing.is_none() || state == StateName::Processing,
            "I5: nobody waits for that text"
        );
        let deadline = match &self.machine.state {
            S::Idle | S::WaitingForKey => None,
            S::KeyPressed { .. } => Some(TimerKind::Start),
            S::Recording { .. } => Some(TimerKind::MaxTake),
            S::RecordingStopped { .. } => Some(TimerKind::Stop),
            S::RecordingCancelled { .. } => Some(TimerKind::Cancel),
            S::Processing(job) => Some(TimerKind::Decode { attempt: job.attempt }),
        };
        if let (Some(kind), Some(take)) = (deadline, take) {
            let timer = Timer { take, kind };
            assert!(self.armed.iter().any(|(_, armed)| *armed == timer), "I2: no deadline in {state:?}");
        }
        assert!(self.machine.remembered() <= policy::REMEMBERED, "I5: remembered presses");
        assert!(self.machine.on_the_way.len() <= ON_THE_WAY, "I5: texts on the way");
        assert!(self.machine.kept.texts.len() <= ON_THE_WAY, "I5: kept texts");
    }
}

fn known(moved: Move) -> bool {
    static EDGES: OnceLock<Vec<(StateName, StateName, InputName)>> = OnceLock::new();
    EDGES.get_or_init(diagram::edges).contains(&(moved.from, moved.to, moved.input))
}

/// A random number generator whose whole state is its seed (splitmix64).
pub(super) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n` - 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len() as u64);
        &from[usize::try_from(at).unwrap()]
    }

    pub fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.below(below))
    }

    pub fn policy(&mut self) -> Policy {
        Policy {
            mode: *self.pick(&[Mode::Hold, Mode::Hold, Mode::Toggle, Mode::Auto, Mode::DoubleTap]),
            retries: u32::try_from(self.below(3)).unwrap(),
            once: self.once_in(8),
            undo: *self.pick(&[Duration::ZERO, Duration::from_secs(30)]),
            max_take: *self.pick(&[Duration::from_secs(2), Duration::from_secs(120)]),
            ..Policy::default()
        }
    }
}

/// Runs `play` with one seed after the other; a failure names its seed, and `PTT_SEED` runs that one alone and aloud.
pub(super) fn seeds(count: u64, play: impl Fn(u64, bool)) {
    /// Names the seed when it is dropped by a failure.
    struct Failing(u64);

    impl Drop for Failing {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seed {}; PTT_SEED={0} shows what happened", self.0);
            }
        }
    }

    if let Some(seed) = std::env::var("PTT_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return play(seed, true);
    }
    for seed in 0..count {
        let failing = Failing(seed);
        play(seed, false);
        drop(failing);
    }
}

fn profile_of(effect: &Effect) -> Option<(TakeId, Profile)> {
    match effect {
        Effect::Stt(SttCommand::Hear { segment, profile }) => Some((segment.id.take, *profile)),
        Effect::Stt(SttCommand::Transcribe { tail, profile, .. }) => Some((tail.id.take, *profile)),
        Effect::Output(
            OutputCommand::Aim { take, profile } | OutputCommand::Deliver { take, profile, .. },
        )
        | Effect::Observe(ControllerEvent::Profile { take, profile }) => Some((*take, *profile)),
        _ => None,
    }
}
