//! What one machine leaves to the next one when the configuration is read again: everything that
//! `retry` can bring back, and what a later press or take has to be compared with. Pure.

use ptt_messages::{FeedbackCommand, KeyboardCommand, Moment, Profile, RecorderCommand, StateName, TakeId};

use super::effect::{Effects, TimerKind};
use super::state::{Kept, State as S};
use super::{Machine, Policy};

/// The memory of a machine that was replaced. Its `Debug` shows lengths, never a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Handover {
    /// Whether the machine listened for the chord.
    enabled: bool,
    last: TakeId,
    newest_press: Option<Moment>,
    tapped: Option<(Moment, Profile)>,
    hinted_quiet: bool,
    kept: Kept,
}

/// Numbers of the items that `retry` can bring back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptItems {
    /// Texts that were not delivered.
    pub texts: usize,
    /// Takes of which only the audio is there.
    pub recordings: usize,
}

impl KeptItems {
    /// Whether there is nothing to bring back.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.texts == 0 && self.recordings == 0
    }
}

impl std::fmt::Display for KeptItems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one_or_many = |n| if n == 1 { "" } else { "s" };
        let Self { texts, recordings } = *self;
        write!(f, "{texts} text{}, {recordings} recording{}", one_or_many(texts), one_or_many(recordings))
    }
}

impl Handover {
    /// Whether the user wants takes.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Numbers of the items that `retry` can bring back at `now`.
    #[must_use]
    pub fn kept(&self, now: Moment) -> KeptItems {
        let cancelled = self.kept.cancelled.is_some() && now < self.kept.undo_until;
        KeptItems {
            texts: self.kept.texts.len(),
            recordings: usize::from(self.kept.salvaged.is_some()) + usize::from(cancelled),
        }
    }

    /// Renumbers the profiles of everything in it, for a configuration with other profiles.
    pub fn renumber(&mut self, new: impl Fn(Profile) -> Profile) {
        if let Some((_, profile)) = &mut self.tapped {
            *profile = new(*profile);
        }
        for text in self.kept.texts.iter_mut().chain(&mut self.kept.discarded) {
            text.profile = new(text.profile);
        }
        for audio in [&mut self.kept.salvaged, &mut self.kept.cancelled].into_iter().flatten() {
            audio.profile = new(audio.profile);
        }
    }
}

impl Machine {
    /// Whether no take runs or waits and no text is on its way, so that nothing is interrupted when
    /// the machine is replaced.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let resting = matches!(self.state.name(), StateName::Idle | StateName::WaitingForKey);
        resting && self.remembered.is_empty() && self.on_the_way.is_empty()
    }

    /// Ends the machine's work and returns its memory. A take in the middle leaves its audio, and a
    /// text that the output has not confirmed is kept like one that was not delivered.
    pub fn hand_over(&mut self) -> (Handover, Effects) {
        let mut out = Effects::default();
        if self.listening {
            out.push(KeyboardCommand::Ignore);
            out.push(RecorderCommand::Close);
            out.push(FeedbackCommand::Close);
        }
        let old = std::mem::take(self);
        let mut kept = old.kept;
        for sent in old.on_the_way {
            kept.keep(Some(sent));
        }
        let audio = match old.state {
            S::Processing(job) => Some(job.audio),
            S::Recording { take } | S::RecordingStopped { take, .. } => take.without_tail(),
            S::Idle | S::WaitingForKey | S::KeyPressed { .. } | S::RecordingCancelled { .. } => None,
        };
        kept.salvaged = audio.or(kept.salvaged);
        let Self { enabled, last, newest_press, tapped, hinted_quiet, .. } = old;
        (Handover { enabled, last, newest_press, tapped, hinted_quiet, kept }, out)
    }

    /// A machine with the memory of the one before it. It is idle: enabling it is the caller's.
    pub fn resume(policy: &Policy, now: Moment, before: Handover) -> (Self, Effects) {
        let mut out = Effects::default();
        let Handover { last, newest_press, tapped, hinted_quiet, mut kept, .. } = before;
        if let Some(audio) = &kept.cancelled {
            let left = kept.undo_until.since(now).min(policy.undo);
            if left.is_zero() {
                kept.cancelled = None;
            } else {
                out.arm(audio.take, TimerKind::Undo, left);
            }
        }
        (Self { last, newest_press, tapped, hinted_quiet, kept, ..Self::default() }, out)
    }
}
