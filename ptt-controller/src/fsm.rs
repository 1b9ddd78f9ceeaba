//! The machine: seven states, every input, and what follows from them.
//!
//! What lives here: [`Machine::step`], a function of its arguments, and the data it is about. What does not: a clock,
//! an actor, a device, a log. The table of what it does is `docs/fsm.md`, which [`diagram`] reads off `step` itself.
//!
//! * Every asynchronous input carries its take, and one about another take changes nothing.
//! * Every state but `idle` and `waiting_for_key` has an armed deadline that leads out of it.
//! * A press while a take takes its time gets its take (and its chime) at once and is recorded, from its own time on,
//!   as soon as the machine is back in `waiting_for_key`: up to [`policy::REMEMBERED`] of them, in order.
//! * The cancel key throws away everything that was begun before it, remembered presses too: nothing is typed after it.
//!   Audio that was already in `processing` can be brought back for a while; a text that still waits to go out is
//!   withdrawn and kept.
//! * A take's profile is fixed when it begins and goes with it everywhere, also into a retry.
//! * A retry puts out all undelivered texts again, under their takes; where there are none, what is newer: the words that were
//!   left out of a text, or kept audio, which is transcribed again as a new take with an outcome of its own.

pub mod diagram;
mod effect;
mod ending;
mod finished;
mod gesture;
mod handover;
mod input;
mod keys;
pub mod policy;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use ptt_messages::{
    Chime, Component, ControllerCommand as C, ControllerEvent, Fault, FeedbackCommand, FeedbackEvent as F,
    KeyboardCommand, KeyboardEvent as K, Moment, Outcome, OutputCommand, OutputEvent as O, Profile,
    RecorderCommand, RecorderEvent as Rec, ResourceCommand, ResourceEvent as Res, Segment, StateName,
    SttCommand, SttEvent as Stt, TakeId,
};

pub use effect::{Effect, Effects, Move, Timer, TimerKind};
pub use handover::{Handover, KeptItems};
pub use input::{Input, InputName};
pub use policy::{Mode, Policy};

use crate::error::ControllerError;
use gesture::{Edge, Gesture};
use input::Input as I;
use policy::{ENGINE_GRACE, ON_THE_WAY};
use state::{Job, Kept, Sent, State as S, Take};

/// The push-to-talk state machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    state: S,
    /// Whether new takes are wanted.
    enabled: bool,
    /// Whether the keyboard was told to listen; it still is while a take is finished after a disable.
    listening: bool,
    /// The newest take's id.
    last: TakeId,
    /// The newest press that meant something: one that is not newer is the same press again.
    newest_press: Option<Moment>,
    /// A press that may be the first tap of two.
    tapped: Option<(Moment, Profile)>,
    /// Takes whose press came while another one took its time, oldest first.
    remembered: VecDeque<Take>,
    /// Texts that the output has, and has not confirmed.
    on_the_way: VecDeque<Sent>,
    /// The newest cancel threw no take away, and its chime comes with the first text that is withdrawn.
    unheard_cancel: bool,
    kept: Kept,
    /// The user was told that the microphone is very quiet.
    hinted_quiet: bool,
    /// The model that is resident.
    model: Option<String>,
}

impl Machine {
    /// The state's name.
    #[must_use]
    pub const fn state(&self) -> StateName {
        self.state.name()
    }

    /// The take that is in the state.
    #[must_use]
    pub const fn take(&self) -> Option<TakeId> {
        self.state.take()
    }

    /// How many presses wait for their take to begin.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.remembered.len()
    }

    /// Lets one input happen at `now` (when it was sent, or when the timer expired) and tells what is to be done.
    pub fn step(&mut self, policy: &Policy, now: Moment, input: Input) -> Effects {
        let mut out = Effects::default();
        let name = input.name();
        let before = (self.state(), self.take());
        self.state = self.react(policy, now, input, &mut out);
        self.moved(before, name, &mut out);
        self.settle(policy, &mut out);
        out
    }

    /// One transition, as a table.
    fn react(&mut self, policy: &Policy, now: Moment, input: Input, out: &mut Effects) -> S {
        match (std::mem::take(&mut self.state), input) {
            // What can be asked for.
            (S::Idle, I::Command(C::Enable)) => {
                self.enabled = true;
                self.listen(out);
                S::WaitingForKey
            }
            (unmoved, I::Command(C::Enable)) => {
                self.enabled = true;
                self.listen(out);
                unmoved
            }
            (S::WaitingForKey, I::Command(C::Disable)) => {
                self.enabled = false;
                S::Idle
            }
            (unmoved, I::Command(C::Disable)) => {
                self.enabled = false;
                unmoved
            }
            (resting @ (S::Idle | S::WaitingForKey), I::Command(C::Retry)) => {
                self.retry(policy, now, resting, out)
            }
            (busy, I::Command(C::Retry)) => {
                out.fault(None, ControllerError::TakeRunning);
                busy
            }

            // The keyboard: see `keys`.
            (unmoved, I::Keyboard(K::Listening { backend })) => {
                out.up(Component::Keyboard, backend);
                unmoved
            }
            (state, I::Keyboard(K::Pressed { at, profile })) => {
                self.key(policy, now, state, Edge::Down(at, profile), out)
            }
            (state, I::Keyboard(K::Released { at })) => self.key(policy, now, state, Edge::Up(at), out),
            (state, I::Keyboard(K::Toggled { at, profile })) => {
                self.key(policy, now, state, Edge::Toggle(at, profile), out)
            }
            (state, I::Keyboard(K::Cancelled { at })) => self.cancel(policy, now, state, at, out),
            (state, I::Keyboard(K::UserLeft { at })) => self.key(policy, now, state, Edge::UserLeft(at), out),
            (state, I::Keyboard(K::Failed(fault))) => {
                out.down(Component::Keyboard);
                out.fault(state.take(), fault);
                self.key(policy, now, state, Edge::Lost(now), out)
            }

            // Starting.
            (S::KeyPressed { take, granted: false }, I::Resources(Res::Granted { take: id }))
                if id == take.id =>
            {
                out.push(RecorderCommand::Start { take: id, press: take.gesture.pressed });
                S::KeyPressed { take, granted: true }
            }
            (S::KeyPressed { take, granted: true }, I::Recorder(Rec::Started { take: id, .. }))
                if id == take.id =>
            {
                out.arm(id, TimerKind::MaxTake, policy.max_take);
                S::Recording { take }
            }
            // Start failure recovery.
            (S::KeyPressed { take, granted: false }, I::Resources(Res::Refused { take: id, fault }))
                if id == take.id =>
            {
                out.play(id, Chime::Error, now);
                out.fault(Some(id), fault);
                ended(id, Outcome::NotStarted, out)
            }
            (S::KeyPressed { take, .. }, I::Recorder(Rec::StartFailed { take: id, fault }))
                if id == take.id =>
            {
                not_started(id, fault, now, out)
            }
            (S::KeyPressed { take, .. }, I::TimedOut(Timer { take: id, kind: TimerKind::Start }))
                if id == take.id =>
            {
                out.push(RecorderCommand::Abort { take: id });
                not_started(id, ControllerError::NotStarted(policy.start_deadline).into(), now, out)
            }

            // Recording.
            (S::Recording { mut take }, I::Recorder(Rec::Heard(segment))) if segment.id.take == take.id => {
                hear(policy, &mut take, segment, out);
                S::Recording { take }
            }
            (S::RecordingStopped { mut take, release }, I::Recorder(Rec::Heard(segment)))
                if segment.id.take == take.id =>
            {
                hear(policy, &mut take, segment, out);
                S::RecordingStopped { take, release }
            }
            (
                state @ (S::Recording { .. } | S::RecordingStopped { .. }),
                I::Recorder(Rec::SpeechResumed { take, index }),
            ) if state.take() == Some(take) => {
                out.push(SttCommand::SpeechResumed { take, index });
                state
            }
            (S::Recording { take }, I::TimedOut(Timer { take: id, kind: TimerKind::MaxTake }))
                if id == take.id =>
            {
                let state = stop(policy, take, now, out);
                out.fault(Some(id), ControllerError::TooLong(policy.max_take));
                state
            }
            // Recording error recovery: the recorder salvages, `Finished` follows. In `key_pressed` the confirmation
            // was lost.
            (
                S::KeyPressed { take, granted: true } | S::Recording { take },
                I::Recorder(Rec::Failed { take: id, fault }),
            ) if id == take.id => {
                out.down(Component::Recorder);
                salvage_recording(policy, take, fault, now, out)
            }
            (S::Recording { take }, I::Recorder(Rec::StartFailed { take: id, fault })) if id == take.id => {
                salvage_recording(policy, take, fault, now, out)
            }
            (state @ S::RecordingStopped { .. }, I::Recorder(Rec::Failed { take, fault }))
                if state.take() == Some(take) =>
            {
                out.down(Component::Recorder);
                out.fault(Some(take), fault);
                state
            }

            // The audio. It also comes without a stop when the source has come to its end.
            (S::RecordingStopped { take, release }, I::Recorder(Rec::Finished { tail, summary }))
                if tail.id.take == take.id =>
            {
                self.audio_ready(policy, take, release, (tail, summary), now, out)
            }
            (
                S::KeyPressed { take, granted: true } | S::Recording { take },
                I::Recorder(Rec::Finished { tail, summary }),
            ) if tail.id.take == take.id => self.audio_ready(policy, take, now, (tail, summary), now, out),
            (S::RecordingStopped { take, .. }, I::TimedOut(Timer { take: id, kind: TimerKind::Stop }))
                if id == take.id =>
            {
                out.push(RecorderCommand::Abort { take: id });
                self.salvage(
                    id,
                    take.without_tail(),
                    ControllerError::NoAudio(policy.stop_deadline).into(),
                    now,
                    out,
                )
            }

            // Throwing away.
            (S::RecordingCancelled { take, outcome }, I::Recorder(Rec::Cleared { take: id }))
                if id == take =>
            {
                finish(take, outcome, out)
            }
            (
                S::RecordingCancelled { take, outcome },
                I::TimedOut(Timer { take: id, kind: TimerKind::Cancel }),
            ) if id == take => finish(take, outcome, out),

            // The text.
            (S::Processing(job), I::Stt(Stt::Complete { take, text, path, timing }))
                if take == job.audio.take =>
            {
                self.completed(policy, job, (text, path, timing), now, out)
            }
            (S::Processing(mut job), I::Stt(Stt::Remarks { take, remarks })) if take == job.audio.take => {
                if !remarks.languages.is_empty() {
                    out.push(ControllerEvent::Languages { take, languages: remarks.languages.clone() });
                }
                job.remarks = remarks;
                S::Processing(job)
            }
            // Processing error recovery.
            (S::Processing(job), I::Stt(Stt::Failed { take: Some(id), fault })) if id == job.audio.take => {
                self.engine_failed(policy, job, fault, now, out)
            }
            (S::Processing(job), I::TimedOut(Timer { take: id, kind: TimerKind::Decode { attempt } }))
                if id == job.audio.take && attempt == job.attempt =>
            {
                let waited = policy.decode_deadline(job.audio.length);
                self.engine_failed(policy, job, ControllerError::NoText(waited).into(), now, out)
            }
            // A background decode failed; the final one will show what that means for the take.
            (
                state @ (S::Recording { .. } | S::RecordingStopped { .. }),
                I::Stt(Stt::Failed { take: Some(take), fault }),
            ) if state.take() == Some(take) => {
                out.fault(Some(take), fault);
                state
            }
            (
                state @ (S::Recording { .. } | S::RecordingStopped { .. } | S::Processing(_)),
                I::Stt(Stt::Partial { take, committed, tentative }),
            ) if state.take() == Some(take) => {
                out.push(ControllerEvent::Partial { take, committed, tentative });
                state
            }

            // What concerns no state.
            (unmoved, I::Output(event)) => {
                self.output(event, now, out);
                unmoved
            }
            (unmoved, I::Stt(Stt::Ready { model, .. })) => {
                // Every take asks for the model; that it is there is news only once.
                if self.model.as_ref() != Some(&model) {
                    self.model = Some(model.clone());
                    out.up(Component::Stt, model);
                }
                out.push(ResourceCommand::ModelResident(true));
                unmoved
            }
            (unmoved, I::Stt(Stt::Unloaded)) => {
                self.model = None;
                out.down(Component::Stt);
                out.push(ResourceCommand::ModelResident(false));
                unmoved
            }
            (unmoved, I::Stt(Stt::Failed { take: None, fault })) => {
                self.model = None;
                out.down(Component::Stt);
                out.push(ResourceCommand::ModelResident(false));
                out.fault(None, fault);
                unmoved
            }
            (unmoved, I::Resources(Res::LoadModel)) => {
                out.push(SttCommand::Load);
                unmoved
            }
            (resting @ (S::Idle | S::WaitingForKey), I::Resources(Res::UnloadModel)) => {
                out.push(SttCommand::Unload);
                resting
            }
            (unmoved, I::Recorder(Rec::Opened { device, .. })) => {
                out.up(Component::Recorder, device);
                unmoved
            }
            (unmoved, I::Recorder(Rec::Lost(fault))) => {
                out.down(Component::Recorder);
                out.fault(None, fault);
                unmoved
            }
            (unmoved, I::Feedback(F::Failed(fault))) => {
                out.down(Component::Feedback);
                out.fault(None, fault);
                unmoved
            }
            (unmoved, I::TimedOut(Timer { take, kind: TimerKind::Undo })) => {
                self.kept.cancelled.take_if(|audio| audio.take == take);
                unmoved
            }

            // Late, doubled, or about nothing that can be changed: of another take, or of one that is past it. An
            // unload in the middle of a take is one of these: the take's lease, given back, starts that wait again.
            (
                unmoved,
                I::Recorder(_) | I::Stt(_) | I::Feedback(F::Played { .. }) | I::Resources(_) | I::TimedOut(_),
            ) => unmoved,
        }
    }

    /// What follows by itself: a stop that was latched, listening again, the next remembered take.
    fn settle(&mut self, policy: &Policy, out: &mut Effects) {
        if let S::Recording { take } = &self.state
            && let Some(release) = take.gesture.ended
        {
            let before = (self.state(), self.take());
            let take = take.clone();
            self.state = stop(policy, take, release, out);
            self.moved(before, InputName::KeyUp, out);
        }
        if self.state == S::Idle {
            if self.enabled || !self.remembered.is_empty() {
                self.state = S::WaitingForKey;
                self.moved((StateName::Idle, None), InputName::StillEnabled, out);
            } else if self.listening {
                self.listening = false;
                out.push(KeyboardCommand::Ignore);
                out.push(RecorderCommand::Close);
                out.push(FeedbackCommand::Close);
            }
        }
        if self.state == S::WaitingForKey
            && let Some(take) = self.remembered.pop_front()
        {
            out.push(ResourceCommand::Acquire { take: take.id });
            self.state = prepare(policy, take, out);
            self.moved((StateName::WaitingForKey, None), InputName::KeyDown, out);
        }
    }

    fn moved(&self, (from, take): (StateName, Option<TakeId>), input: InputName, out: &mut Effects) {
        let to = self.state();
        if from != to {
            out.push(Move { take: self.take().or(take), from, to, input });
        }
    }

    fn listen(&mut self, out: &mut Effects) {
        if std::mem::replace(&mut self.listening, true) {
            return;
        }
        out.push(KeyboardCommand::Listen);
        out.push(RecorderCommand::Open);
        out.push(FeedbackCommand::Open);
    }

    fn new_take(&mut self, gesture: Gesture) -> Take {
        self.last = self.last.next();
        Take::new(self.last, gesture)
    }

    fn hand_out(&mut self, sent: Sent, out: &mut Effects) {
        if self.on_the_way.len() == ON_THE_WAY {
            self.on_the_way.pop_front();
        }
        let Sent { take, profile, text, .. } = sent.clone();
        out.push(OutputCommand::Deliver { take, profile, text });
        self.on_the_way.push_back(sent);
    }

    fn output(&mut self, event: O, now: Moment, out: &mut Effects) {
        let (O::Delivered { take, .. } | O::Failed { take, .. } | O::Withdrawn { take }) = &event;
        let Some(at) = self.on_the_way.iter().position(|sent| sent.take == *take) else { return };
        let sent = self.on_the_way.remove(at);
        match event {
            O::Delivered { take, sink } => out.push(ControllerEvent::Delivered { take, sink }),
            O::Failed { take, fault } => {
                self.kept.keep(sent);
                out.play(take, Chime::Error, now);
                out.fault(Some(take), fault);
            }
            O::Withdrawn { take } => {
                self.kept.keep(sent);
                if std::mem::take(&mut self.unheard_cancel) {
                    out.play(take, Chime::Cancelled, now);
                }
                out.push(ControllerEvent::Withdrawn { take });
            }
        }
    }
}

/// Readies everything for a take whose lease was asked for.
fn prepare(policy: &Policy, take: Take, out: &mut Effects) -> S {
    tell_profile(&take, out);
    out.push(SttCommand::Load);
    out.arm(take.id, TimerKind::Start, policy.start_deadline);
    S::KeyPressed { take, granted: false }
}

/// Whoever watches is told what is out of the ordinary only.
fn tell_profile(take: &Take, out: &mut Effects) {
    if !take.profile().is_default() {
        out.push(ControllerEvent::Profile { take: take.id, profile: take.profile() });
    }
}

fn not_started(take: TakeId, fault: Fault, now: Moment, out: &mut Effects) -> S {
    out.play(take, Chime::Error, now);
    out.fault(Some(take), fault);
    finish(take, Outcome::NotStarted, out)
}

fn stop(policy: &Policy, take: Take, release: Moment, out: &mut Effects) -> S {
    out.push(RecorderCommand::Stop { take: take.id, release });
    out.push(OutputCommand::Aim { take: take.id, profile: take.profile() });
    out.arm(take.id, TimerKind::Stop, policy.stop_deadline);
    S::RecordingStopped { take, release }
}

fn salvage_recording(policy: &Policy, take: Take, fault: Fault, now: Moment, out: &mut Effects) -> S {
    out.play(take.id, Chime::Error, now);
    out.fault(Some(take.id), fault);
    out.arm(take.id, TimerKind::Stop, policy.stop_deadline);
    S::RecordingStopped { take, release: now }
}

fn hear(policy: &Policy, take: &mut Take, segment: Segment, out: &mut Effects) {
    out.push(SttCommand::Hear { segment: segment.clone(), profile: take.profile() });
    take.keep(segment, policy.retry_audio);
}

fn transcribe(policy: &Policy, job: Job, out: &mut Effects) -> S {
    let (take, attempt) = (job.audio.take, job.attempt);
    let deadline = policy.decode_deadline(job.audio.length);
    let (tail, profile) = (job.audio.tail.clone(), job.audio.profile);
    out.push(SttCommand::Transcribe { tail, profile, attempt, deadline });
    out.arm(take, TimerKind::Decode { attempt }, deadline + ENGINE_GRACE);
    S::Processing(job)
}

/// Ends a take that holds the lease.
fn finish(take: TakeId, outcome: Outcome, out: &mut Effects) -> S {
    out.push(ResourceCommand::Release { take });
    ended(take, outcome, out)
}

/// Ends a take that holds nothing.
fn ended(take: TakeId, outcome: Outcome, out: &mut Effects) -> S {
    out.push(ControllerEvent::Ended { take, outcome });
    S::Idle
}
