//! What the machine wants done, as data.

use std::fmt;
use std::time::Duration;

use ptt_messages::{
    Chime, Component, ControllerEvent, Fault, FeedbackCommand, KeyboardCommand, Moment, OutputCommand,
    Profile, RecorderCommand, ResourceCommand, StateName, SttCommand, TakeId,
};

use super::input::InputName;

/// One thing to do. The order within a step is the order of the sending.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the keyboard.
    Keyboard(KeyboardCommand),
    /// Tell the recorder.
    Recorder(RecorderCommand),
    /// Tell the engine.
    Stt(SttCommand),
    /// Tell the chimes.
    Feedback(FeedbackCommand),
    /// Tell the output.
    Output(OutputCommand),
    /// Tell the resource manager.
    Resources(ResourceCommand),
    /// Come back with [`super::Input::TimedOut`] after this time.
    Arm(Timer, Duration),
    /// Tell those who watch. Never `Transition` or `Stage`: those are measured where the effects are sent.
    Observe(ControllerEvent),
    /// The machine went to another state; stands behind the effects of that transition.
    Moved(Move),
}

/// A deadline. Two are equal exactly if they end the same wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timer {
    /// The take that waits.
    pub take: TakeId,
    /// What it waits for.
    pub kind: TimerKind,
}

/// What a timer is the deadline of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimerKind {
    /// `key_pressed`: the recording's confirmation.
    Start,
    /// `recording`: the key's release.
    MaxTake,
    /// `recording_stopped`: the audio.
    Stop,
    /// `recording_cancelled`: the recorder's confirmation.
    Cancel,
    /// `processing`: the text, of this attempt.
    Decode {
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// No state: the time in which cancelled audio can be brought back.
    Undo,
}

/// A transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Move {
    /// The take it is about, if any.
    pub take: Option<TakeId>,
    /// Before.
    pub from: StateName,
    /// After.
    pub to: StateName,
    /// What did it.
    pub input: InputName,
}

/// The effects of one step, in order.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "effects that nobody performs are lost"]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Effect> {
        self.0.iter()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, effect: impl Into<Effect>) {
        self.0.push(effect.into());
    }

    pub(super) fn play(&mut self, take: TakeId, chime: Chime, since: Moment) {
        self.push(FeedbackCommand::Play { take, chime, since });
    }

    pub(super) fn fault(&mut self, take: Option<TakeId>, fault: impl Into<Fault>) {
        self.push(ControllerEvent::Fault { take, fault: fault.into() });
    }

    pub(super) fn up(&mut self, component: Component, what: String) {
        self.push(ControllerEvent::Part { component, what: Some(what) });
    }

    pub(super) fn down(&mut self, component: Component) {
        self.push(ControllerEvent::Part { component, what: None });
    }

    pub(super) fn arm(&mut self, take: TakeId, kind: TimerKind, after: Duration) {
        self.push(Effect::Arm(Timer { take, kind }, after));
    }
}

impl IntoIterator for Effects {
    type Item = Effect;
    type IntoIter = std::vec::IntoIter<Effect>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Effects {
    type Item = &'a Effect;
    type IntoIter = std::slice::Iter<'a, Effect>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

macro_rules! from_command {
    ($($command:ident => $variant:ident),+ $(,)?) => {
        $(impl From<$command> for Effect {
            fn from(command: $command) -> Self {
                Self::$variant(command)
            }
        })+
    };
}

from_command! {
    KeyboardCommand => Keyboard,
    RecorderCommand => Recorder,
    SttCommand => Stt,
    FeedbackCommand => Feedback,
    OutputCommand => Output,
    ResourceCommand => Resources,
    ControllerEvent => Observe,
    Move => Moved,
}

impl fmt::Display for TimerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start_deadline"),
            Self::MaxTake => f.write_str("max_duration"),
            Self::Stop => f.write_str("stop_deadline"),
            Self::Cancel => f.write_str("cancel_deadline"),
            Self::Decode { .. } => f.write_str("decode_deadline"),
            Self::Undo => f.write_str("undo_deadline"),
        }
    }
}

/// The short form for logs, tests and documents: role, what, and take. Never what was said.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyboard(KeyboardCommand::Listen) => f.write_str("keyboard:listen"),
            Self::Keyboard(KeyboardCommand::Ignore) => f.write_str("keyboard:ignore"),
            Self::Recorder(RecorderCommand::Open) => f.write_str("recorder:open"),
            Self::Recorder(RecorderCommand::Close) => f.write_str("recorder:close"),
            Self::Recorder(RecorderCommand::Start { take, .. }) => write!(f, "recorder:start{take}"),
            Self::Recorder(RecorderCommand::Stop { take, .. }) => write!(f, "recorder:stop{take}"),
            Self::Recorder(RecorderCommand::Abort { take }) => write!(f, "recorder:abort{take}"),
            Self::Stt(SttCommand::Load) => f.write_str("stt:load"),
            Self::Stt(SttCommand::Unload) => f.write_str("stt:unload"),
            Self::Stt(SttCommand::Hear { segment, profile }) => {
                write!(f, "stt:hear{}{}", segment.id.take, Of(*profile))
            }
            Self::Stt(SttCommand::SpeechResumed { take, .. }) => write!(f, "stt:speech_resumed{take}"),
            Self::Stt(SttCommand::Transcribe { tail, profile, attempt: 1, .. }) => {
                write!(f, "stt:transcribe{}{}", tail.id.take, Of(*profile))
            }
            Self::Stt(SttCommand::Transcribe { tail, profile, .. }) => {
                write!(f, "stt:transcribe_again{}{}", tail.id.take, Of(*profile))
            }
            Self::Stt(SttCommand::Abort { take }) => write!(f, "stt:abort{take}"),
            Self::Feedback(FeedbackCommand::Open) => f.write_str("feedback:open"),
            Self::Feedback(FeedbackCommand::Close) => f.write_str("feedback:close"),
            Self::Feedback(FeedbackCommand::Play { take, chime, .. }) => {
                write!(f, "chime:{}{take}", chime_name(*chime))
            }
            Self::Output(OutputCommand::Aim { take, profile }) => {
                write!(f, "output:aim{take}{}", Of(*profile))
            }
            Self::Output(OutputCommand::Deliver { take, profile, .. }) => {
                write!(f, "output:deliver{take}{}", Of(*profile))
            }
            Self::Output(OutputCommand::Withdraw { take }) => write!(f, "output:withdraw{take}"),
            Self::Resources(ResourceCommand::Acquire { take }) => write!(f, "resources:acquire{take}"),
            Self::Resources(ResourceCommand::Release { take }) => write!(f, "resources:release{take}"),
            Self::Resources(ResourceCommand::ModelResident(true)) => f.write_str("resources:model_resident"),
            Self::Resources(ResourceCommand::ModelResident(false)) => f.write_str("resources:model_gone"),
            Self::Arm(timer, _) => write!(f, "arm:{}{}", timer.kind, timer.take),
            Self::Observe(event) => match event {
                ControllerEvent::Transition { .. } => f.write_str("transition"),
                ControllerEvent::Profile { take, profile } => write!(f, "profile{take}{}", Of(*profile)),
                ControllerEvent::Stage { take, stage, .. } => write!(f, "stage:{}{take}", stage.label()),
                ControllerEvent::Part { component, what: Some(_) } => write!(f, "up:{}", component.label()),
                ControllerEvent::Part { component, what: None } => write!(f, "down:{}", component.label()),
                ControllerEvent::Partial { take, .. } => write!(f, "partial{take}"),
                ControllerEvent::Languages { take, .. } => write!(f, "languages{take}"),
                ControllerEvent::Discarded { take } => write!(f, "discarded{take}"),
                ControllerEvent::Text { take, .. } => write!(f, "text{take}"),
                ControllerEvent::Ended { take, outcome } => write!(f, "ended:{}{take}", outcome.label()),
                ControllerEvent::Delivered { take, .. } => write!(f, "delivered{take}"),
                ControllerEvent::Withdrawn { take } => write!(f, "withdrawn{take}"),
                ControllerEvent::Hint { take, .. } => write!(f, "hint{take}"),
                ControllerEvent::Fault { take: Some(take), fault } => {
                    write!(f, "fault:{}{take}", fault.kind.label())
                }
                ControllerEvent::Fault { take: None, fault } => write!(f, "fault:{}", fault.kind.label()),
            },
            Self::Moved(moved) => write!(f, "=> {}", moved.to.label()),
        }
    }
}

/// The profile of a take, where it is not the default one.
struct Of(Profile);

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_default() { Ok(()) } else { write!(f, "/{}", self.0.0) }
    }
}

const fn chime_name(chime: Chime) -> &'static str {
    match chime {
        Chime::Start => "start",
        Chime::Stop => "stop",
        Chime::Cancelled => "cancelled",
        Chime::Done => "done",
        Chime::Error => "error",
    }
}
