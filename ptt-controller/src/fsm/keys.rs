//! What the keys do to the machine: take, remember, throw away.

use ptt_messages::{
    Chime, ControllerEvent, Moment, Outcome, OutputCommand, RecorderCommand, ResourceCommand, SttCommand,
    TakeId,
};

use super::effect::{Effects, TimerKind};
use super::gesture::{Edge, Gesture, Turn};
use super::policy::{Policy, REMEMBERED};
use super::state::State as S;
use super::{Machine, prepare, stop};
use crate::error::ControllerError;

impl Machine {
    pub(super) fn key(&mut self, policy: &Policy, now: Moment, state: S, edge: Edge, out: &mut Effects) -> S {
        if self.is_known(now, &state, edge) {
            return state;
        }
        match state {
            S::Idle => S::Idle,
            S::WaitingForKey => {
                let Some(gesture) = Gesture::begin(policy, &mut self.tapped, edge) else {
                    return S::WaitingForKey;
                };
                let (take, pressed) = (self.new_take(gesture.clone()), gesture.pressed);
                out.push(ResourceCommand::Acquire { take: take.id });
                out.play(take.id, Chime::Start, pressed);
                prepare(policy, take, out)
            }
            S::KeyPressed { mut take, granted } if take.gesture.is_open() => {
                match take.gesture.turn(policy, edge) {
                    Turn::Tap => throw_away(policy, take.id, Outcome::Tap, out),
                    // An end is latched here: the recording stops as soon as it has started.
                    Turn::GoesOn | Turn::Ended => S::KeyPressed { take, granted },
                }
            }
            S::Recording { mut take } => match (take.gesture.turn(policy, edge), take.gesture.ended) {
                (Turn::Tap, _) => throw_away(policy, take.id, Outcome::Tap, out),
                (Turn::Ended, Some(release)) => stop(policy, take, release, out),
                (Turn::GoesOn | Turn::Ended, _) => S::Recording { take },
            },
            busy @ (S::KeyPressed { .. }
            | S::RecordingStopped { .. }
            | S::RecordingCancelled { .. }
            | S::Processing(_)) => {
                self.remember(policy, edge, out);
                busy
            }
        }
    }

    /// The cancel key. One that is older than the take's press was not meant for it. Whether a text that is on its way was
    /// still waiting is for the output to say. However much it throws away, it is heard once.
    pub(super) fn cancel(
        &mut self,
        policy: &Policy,
        now: Moment,
        state: S,
        at: Moment,
        out: &mut Effects,
    ) -> S {
        if !matches!(state, S::Idle | S::WaitingForKey) {
            self.forget_remembered(at, out);
        }
        let is_older = |begun: Moment| at < begun && begun <= now;
        for sent in self.on_the_way.iter().filter(|sent| !is_older(sent.begun)) {
            out.push(OutputCommand::Withdraw { take: sent.take });
            self.unheard_cancel = true;
        }
        if state.pressed().is_none_or(is_older) {
            return state;
        }
        self.unheard_cancel = false;
        match state {
            S::Processing(job) => {
                let take = job.audio.take;
                if !policy.undo.is_zero() {
                    self.kept.cancelled = Some(job.audio);
                    self.kept.undo_until = now + policy.undo;
                    out.arm(take, TimerKind::Undo, policy.undo);
                }
                out.play(take, Chime::Cancelled, at);
                throw_away(policy, take, Outcome::Cancelled, out)
            }
            S::KeyPressed { take, .. } | S::Recording { take } | S::RecordingStopped { take, .. } => {
                out.play(take.id, Chime::Cancelled, at);
                throw_away(policy, take.id, Outcome::Cancelled, out)
            }
            resting @ (S::Idle | S::WaitingForKey | S::RecordingCancelled { .. }) => resting,
        }
    }

    /// Lets go of the presses that were remembered up to `until`.
    pub(super) fn forget_remembered(&mut self, until: Moment, out: &mut Effects) {
        self.remembered.retain(|take| {
            let stays = take.gesture.pressed > until;
            if !stays {
                out.push(ControllerEvent::Ended { take: take.id, outcome: Outcome::Cancelled });
            }
            stays
        });
    }

    /// Whether the press was heard before. Makes it known. A time that is still to come, from a source with a wrong
    /// clock, is no measure for the presses after it: none of those may be lost.
    fn is_known(&mut self, now: Moment, state: &S, edge: Edge) -> bool {
        match edge {
            Edge::Down(at, _) | Edge::Toggle(at, _) => {
                let known =
                    self.newest_press.is_some_and(|newest| at == newest || (at < newest && newest <= now));
                if !known && *state != S::Idle {
                    self.newest_press = Some(at);
                }
                known
            }
            Edge::Up(_) | Edge::Lost(_) | Edge::UserLeft(_) => false,
        }
    }

    /// An edge while a take takes its time: it belongs to the newest remembered press, or is a new one.
    fn remember(&mut self, policy: &Policy, edge: Edge, out: &mut Effects) {
        if let Some(newest) = self.remembered.back_mut()
            && newest.gesture.is_open()
        {
            if newest.gesture.turn(policy, edge) == Turn::Tap {
                out.push(ControllerEvent::Ended { take: newest.id, outcome: Outcome::Tap });
                self.remembered.pop_back();
            }
            return;
        }
        let begun = Gesture::begin(policy, &mut self.tapped, edge);
        let Some(gesture) = begun.filter(|_| self.enabled) else { return };
        let pressed = gesture.pressed;
        let take = self.new_take(gesture);
        if self.remembered.len() == REMEMBERED {
            out.play(take.id, Chime::Error, pressed);
            out.fault(Some(take.id), ControllerError::TooManyPresses(REMEMBERED));
            out.push(ControllerEvent::Ended { take: take.id, outcome: Outcome::NotStarted });
        } else {
            out.play(take.id, Chime::Start, pressed);
            self.remembered.push_back(take);
        }
    }
}

fn throw_away(policy: &Policy, take: TakeId, outcome: Outcome, out: &mut Effects) -> S {
    out.push(RecorderCommand::Abort { take });
    out.push(SttCommand::Abort { take });
    out.arm(take, TimerKind::Cancel, policy.cancel_deadline);
    S::RecordingCancelled { take, outcome }
}
