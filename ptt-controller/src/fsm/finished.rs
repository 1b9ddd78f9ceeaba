//! The end of a recording: what follows when the recorder has given all audio of a take.

use ptt_messages::{Chime, ControllerEvent, Moment, Outcome, Remarks, Segment, SttCommand, TakeSummary};

use super::policy::DEAD_AFTER;
use super::state::{Audio, Job, State, Take};
use super::{Effects, Machine, Policy, finish, transcribe};
use crate::error::ControllerError;

impl Machine {
    pub(super) fn audio_ready(
        &mut self,
        policy: &Policy,
        take: Take,
        release: Moment,
        (tail, summary): (Segment, TakeSummary),
        now: Moment,
        out: &mut Effects,
    ) -> State {
        let (id, profile, length) = (take.id, take.profile(), summary.length);
        if summary.has_speech {
            // Not before: the microphone would have heard it.
            out.play(id, Chime::Stop, release);
            if summary.quiet && !std::mem::replace(&mut self.hinted_quiet, true) {
                let hint = ControllerError::QuietMicrophone.to_string();
                out.push(ControllerEvent::Hint { take: id, hint });
            }
            let audio = Audio { take: id, profile, heard: take.heard, tail, length };
            let (pressed, remarks) = (take.gesture.pressed, Remarks::default());
            return transcribe(policy, Job { pressed, release, audio, attempt: 1, remarks }, out);
        }
        out.push(SttCommand::Abort { take: id });
        if summary.digital_silence && length >= DEAD_AFTER {
            out.play(id, Chime::Error, now);
            out.fault(Some(id), ControllerError::DeadMicrophone);
        }
        finish(id, Outcome::Empty, out)
    }
}
