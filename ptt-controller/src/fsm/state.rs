//! What the machine remembers: the state, the take in it, and what is kept for another try.

use std::collections::VecDeque;
use std::time::Duration;

use ptt_messages::{
    Clip, Moment, Outcome, Profile, Remarks, Segment, SegmentId, SegmentState, StateName, TakeId, Transcript,
};

use super::gesture::Gesture;
use super::policy::ON_THE_WAY;

/// The state with what belongs to it. Ids and values only: whoever owns a device or an engine is told by an effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum State {
    #[default]
    Idle,
    WaitingForKey,
    /// `granted`: the take has the microphone, and the recorder was told to start.
    KeyPressed {
        take: Take,
        granted: bool,
    },
    Recording {
        take: Take,
    },
    RecordingStopped {
        take: Take,
        release: Moment,
    },
    RecordingCancelled {
        take: TakeId,
        outcome: Outcome,
    },
    Processing(Job),
}

/// A take from its press to its audio.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Take {
    pub id: TakeId,
    pub gesture: Gesture,
    /// Its committed segments, the newest few minutes of them.
    pub heard: VecDeque<Segment>,
}

/// A take from its audio to its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub pressed: Moment,
    pub release: Moment,
    pub audio: Audio,
    pub attempt: u32,
    /// What the engine told of its text so far.
    pub remarks: Remarks,
}

/// All that is needed to transcribe a take from the beginning.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Audio {
    pub take: TakeId,
    pub profile: Profile,
    pub heard: VecDeque<Segment>,
    pub tail: Segment,
    pub length: Duration,
}

/// A text that the output has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent {
    pub take: TakeId,
    pub profile: Profile,
    pub text: Transcript,
    /// The press, or the wish for a retry: a cancel that is older was not meant for it.
    pub begun: Moment,
}

/// What a retry can bring back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kept {
    /// Texts the output did not put out, oldest first.
    pub texts: VecDeque<Sent>,
    /// Words of the last take that were left out of its text.
    pub discarded: Option<Sent>,
    /// Audio of the last take whose recognition failed.
    pub salvaged: Option<Audio>,
    /// Audio of the last take that was cancelled in `processing`, for a while.
    pub cancelled: Option<Audio>,
    /// End of that while.
    pub undo_until: Moment,
}

impl State {
    pub const fn name(&self) -> StateName {
        match self {
            Self::Idle => StateName::Idle,
            Self::WaitingForKey => StateName::WaitingForKey,
            Self::KeyPressed { .. } => StateName::KeyPressed,
            Self::Recording { .. } => StateName::Recording,
            Self::RecordingStopped { .. } => StateName::RecordingStopped,
            Self::RecordingCancelled { .. } => StateName::RecordingCancelled,
            Self::Processing(_) => StateName::Processing,
        }
    }

    pub const fn take(&self) -> Option<TakeId> {
        match self {
            Self::Idle | Self::WaitingForKey => None,
            Self::KeyPressed { take, .. }
            | Self::Recording { take }
            | Self::RecordingStopped { take, .. } => Some(take.id),
            Self::RecordingCancelled { take, .. } => Some(*take),
            Self::Processing(job) => Some(job.audio.take),
        }
    }

    /// When the take that can still be cancelled began.
    pub const fn pressed(&self) -> Option<Moment> {
        match self {
            Self::Idle | Self::WaitingForKey | Self::RecordingCancelled { .. } => None,
            Self::KeyPressed { take, .. }
            | Self::Recording { take }
            | Self::RecordingStopped { take, .. } => Some(take.gesture.pressed),
            Self::Processing(job) => Some(job.pressed),
        }
    }
}

impl Take {
    pub const fn new(id: TakeId, gesture: Gesture) -> Self {
        Self { id, gesture, heard: VecDeque::new() }
    }

    pub const fn profile(&self) -> Profile {
        self.gesture.profile
    }

    /// Keeps a committed segment for a retry, and forgets the oldest ones beyond `limit`.
    pub fn keep(&mut self, segment: Segment, limit: Duration) {
        if segment.state != SegmentState::Committed {
            return;
        }
        self.heard.push_back(segment);
        let mut length: Duration = self.heard.iter().map(|segment| segment.clip.duration()).sum();
        while length > limit
            && let Some(oldest) = self.heard.pop_front()
        {
            length -= oldest.clip.duration();
        }
    }

    /// What there is of a take whose tail never came.
    pub fn without_tail(self) -> Option<Audio> {
        let last = self.heard.back()?;
        let tail = Segment {
            id: SegmentId { take: self.id, index: last.id.index + 1 },
            state: SegmentState::Tail,
            start: last.end(),
            speech_end: last.end(),
            certain: last.certain,
            clip: Clip::empty(),
        };
        let length = self.heard.iter().map(|segment| segment.clip.duration()).sum();
        Some(Audio { take: self.id, profile: self.profile(), heard: self.heard, tail, length })
    }
}

impl Audio {
    /// The same audio as a take of its own.
    pub fn under(mut self, take: TakeId) -> Self {
        self.take = take;
        self.tail.id.take = take;
        for segment in &mut self.heard {
            segment.id.take = take;
        }
        self
    }
}

impl Kept {
    /// Keeps a text that is not out, and forgets the oldest one where there are many.
    pub fn keep(&mut self, sent: Option<Sent>) {
        if self.texts.len() == ON_THE_WAY {
            self.texts.pop_front();
        }
        self.texts.extend(sent);
    }

    /// Words that were left out, unless a newer take has audio to try again.
    pub fn discarded(&mut self) -> Option<Sent> {
        let audio = [&self.cancelled, &self.salvaged].into_iter().flatten().map(|audio| audio.take).max();
        self.discarded.take_if(|sent| Some(sent.take) >= audio)
    }

    /// The audio to try again: of the newer take, if there are two.
    pub fn audio(&mut self) -> Option<Audio> {
        let take = |audio: &Option<Audio>| audio.as_ref().map(|audio| audio.take);
        if take(&self.cancelled) > take(&self.salvaged) {
            self.cancelled.take()
        } else {
            self.salvaged.take()
        }
    }
}
