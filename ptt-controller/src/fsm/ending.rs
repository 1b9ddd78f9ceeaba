//! How a take ends: with its text, with its audio kept, or not at all because it is tried again.

use ptt_messages::{
    Chime, ControllerEvent, Fault, Moment, Outcome, Remarks, ResourceCommand, SttCommand, SttTiming, TakeId,
    TextPath, Transcript,
};

use super::effect::Effects;
use super::gesture::Gesture;
use super::policy::Policy;
use super::state::{Audio, Job, Sent, State as S};
use super::{Machine, finish, tell_profile, transcribe};
use crate::error::ControllerError;

impl Machine {
    /// Ends a take that has its text, empty or not, and keeps what the text lacks.
    pub(super) fn completed(
        &mut self,
        policy: &Policy,
        job: Job,
        (text, path, timing): (Transcript, TextPath, SttTiming),
        now: Moment,
        out: &mut Effects,
    ) -> S {
        let Job { pressed, release, audio, remarks, .. } = job;
        let (take, profile) = (audio.take, audio.profile);
        if let Some(words) = remarks.discarded {
            self.kept.discarded = Some(Sent { take, profile, text: words, begun: pressed });
            out.push(ControllerEvent::Discarded { take });
        }
        match (remarks.incomplete, text.is_empty()) {
            (true, true) => {
                return self.salvage(take, Some(audio), ControllerError::Incomplete.into(), now, out);
            }
            (false, true) => return finish(take, Outcome::Empty, out),
            (true, false) => {
                out.play(take, Chime::Error, now);
                let fault = self.keep_audio(audio, ControllerError::Incomplete.into());
                out.fault(Some(take), fault);
            }
            (false, false) => {}
        }
        self.hand_out(Sent { take, profile, text: text.clone(), begun: pressed }, out);
        let release_to_text = now.since(release);
        out.push(ControllerEvent::Text { take, text, path, release_to_text, timing });
        if !remarks.incomplete {
            out.play(take, Chime::Done, release);
        }
        if policy.once {
            self.enabled = false;
            self.forget_remembered(Moment::from_nanos(u64::MAX), out);
        }
        finish(take, Outcome::Text, out)
    }

    pub(super) fn engine_failed(
        &mut self,
        policy: &Policy,
        mut job: Job,
        fault: Fault,
        now: Moment,
        out: &mut Effects,
    ) -> S {
        if job.attempt <= policy.retries && fault.kind.worth_retrying() {
            out.fault(Some(job.audio.take), fault);
            job.attempt += 1;
            job.remarks = Remarks::default();
            return transcribe(policy, job, out);
        }
        self.salvage(job.audio.take, Some(job.audio), fault, now, out)
    }

    /// Ends a take that failed with its audio kept, as far as there is any.
    pub(super) fn salvage(
        &mut self,
        take: TakeId,
        audio: Option<Audio>,
        fault: Fault,
        now: Moment,
        out: &mut Effects,
    ) -> S {
        out.push(SttCommand::Abort { take });
        out.play(take, Chime::Error, now);
        let fault = match audio {
            Some(audio) => self.keep_audio(audio, fault),
            None => fault,
        };
        out.fault(Some(take), fault);
        finish(take, Outcome::Salvaged, out)
    }

    /// Keeps audio for a retry, and says so in the fault.
    fn keep_audio(&mut self, audio: Audio, fault: Fault) -> Fault {
        self.kept.salvaged = Some(audio);
        let message = format!("{}; the audio is kept, `ptt-app retry` tries again", fault.message);
        Fault { message, ..fault }
    }

    pub(super) fn retry(&mut self, policy: &Policy, now: Moment, resting: S, out: &mut Effects) -> S {
        let texts = std::mem::take(&mut self.kept.texts);
        if !texts.is_empty() {
            for text in texts {
                self.hand_out(Sent { begun: now, ..text }, out);
            }
            return resting;
        }
        if let Some(words) = self.kept.discarded() {
            self.hand_out(Sent { begun: now, ..words }, out);
            return resting;
        }
        let Some(audio) = self.kept.audio() else {
            out.fault(None, ControllerError::NothingToRetry);
            return resting;
        };
        let take = self.new_take(Gesture::over(now, audio.profile));
        let audio = audio.under(take.id);
        // No microphone is wanted here; the lease tells the resource manager that the model is in
        // use.
        out.push(ResourceCommand::Acquire { take: take.id });
        tell_profile(&take, out);
        for segment in &audio.heard {
            out.push(SttCommand::Hear { segment: segment.clone(), profile: audio.profile });
        }
        transcribe(
            policy,
            Job { pressed: now, release: now, audio, attempt: 1, remarks: Remarks::default() },
            out,
        )
    }
}
