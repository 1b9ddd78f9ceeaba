//! What the machine hears, and the names by which inputs appear in logs, metrics and documents.

use ptt_messages::{
    ControllerCommand, FeedbackEvent, KeyboardEvent, OutputEvent, RecorderEvent, ResourceEvent, SttEvent,
    TakeId,
};

use super::effect::{Timer, TimerKind};

/// Everything that can happen to the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Somebody asks for something.
    Command(ControllerCommand),
    /// The keyboard tells something.
    Keyboard(KeyboardEvent),
    /// The recorder tells something.
    Recorder(RecorderEvent),
    /// The engine tells something.
    Stt(SttEvent),
    /// The chimes tell something.
    Feedback(FeedbackEvent),
    /// The output tells something.
    Output(OutputEvent),
    /// The resource manager tells something.
    Resources(ResourceEvent),
    /// A timer that was armed has expired. Timers are never cancelled; what they carry makes a late one harmless.
    TimedOut(Timer),
}

macro_rules! from_message {
    ($($message:ident => $variant:ident),+ $(,)?) => {
        $(impl From<$message> for Input {
            fn from(message: $message) -> Self {
                Self::$variant(message)
            }
        })+
    };
}

from_message! {
    ControllerCommand => Command,
    KeyboardEvent => Keyboard,
    RecorderEvent => Recorder,
    SttEvent => Stt,
    FeedbackEvent => Feedback,
    OutputEvent => Output,
    ResourceEvent => Resources,
    Timer => TimedOut,
}

macro_rules! input_names {
    ($($variant:ident $label:literal),+ $(,)?) => {
        /// The kinds of input. Also the label `input` of `ptt_transition_seconds`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum InputName {
            $(#[doc = concat!("`", $label, "`")] $variant),+
        }

        impl InputName {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label's value.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label),+
                }
            }
        }
    };
}

input_names! {
    Enable "enable_ptt",
    Disable "disable_ptt",
    Retry "retry",
    StillEnabled "still_enabled",
    Listening "keyboard_listening",
    KeyDown "key_down",
    KeyUp "key_up",
    Toggle "toggle",
    Cancel "cancel",
    UserLeft "user_left",
    KeyboardLost "keyboard_lost",
    Granted "granted",
    Refused "refused",
    LoadModel "load_model",
    UnloadModel "unload_model",
    MicrophoneOpened "microphone_opened",
    MicrophoneLost "microphone_lost",
    RecordingStarted "recording_started",
    StartFailed "start_failed",
    Heard "heard",
    SpeechResumed "speech_resumed",
    RecorderFailed "recorder_failed",
    AudioReady "audio_ready",
    NoSpeech "no_speech",
    CleanupComplete "cleanup_complete",
    EngineReady "engine_ready",
    EngineUnloaded "engine_unloaded",
    Partial "partial",
    Remarks "remarks",
    Complete "complete",
    EngineFailed "engine_failed",
    LoadFailed "load_failed",
    Played "chime_played",
    FeedbackFailed "feedback_failed",
    Delivered "delivered",
    OutputFailed "output_failed",
    Withdrawn "withdrawn",
    StartDeadline "start_deadline",
    MaxDuration "max_duration",
    StopDeadline "stop_deadline",
    CancelDeadline "cancel_deadline",
    DecodeDeadline "decode_deadline",
    UndoDeadline "undo_deadline",
}

impl Input {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> InputName {
        use InputName as N;
        match self {
            Self::Command(ControllerCommand::Enable) => N::Enable,
            Self::Command(ControllerCommand::Disable) => N::Disable,
            Self::Command(ControllerCommand::Retry) => N::Retry,
            Self::Keyboard(KeyboardEvent::Listening { .. }) => N::Listening,
            Self::Keyboard(KeyboardEvent::Pressed { .. }) => N::KeyDown,
            Self::Keyboard(KeyboardEvent::Released { .. }) => N::KeyUp,
            Self::Keyboard(KeyboardEvent::Toggled { .. }) => N::Toggle,
            Self::Keyboard(KeyboardEvent::Cancelled { .. }) => N::Cancel,
            Self::Keyboard(KeyboardEvent::UserLeft { .. }) => N::UserLeft,
            Self::Keyboard(KeyboardEvent::Failed(_)) => N::KeyboardLost,
            Self::Recorder(RecorderEvent::Opened { .. }) => N::MicrophoneOpened,
            Self::Recorder(RecorderEvent::Lost(_)) => N::MicrophoneLost,
            Self::Recorder(RecorderEvent::Started { .. }) => N::RecordingStarted,
            Self::Recorder(RecorderEvent::StartFailed { .. }) => N::StartFailed,
            Self::Recorder(RecorderEvent::Heard(_)) => N::Heard,
            Self::Recorder(RecorderEvent::SpeechResumed { .. }) => N::SpeechResumed,
            Self::Recorder(RecorderEvent::Failed { .. }) => N::RecorderFailed,
            Self::Recorder(RecorderEvent::Finished { summary, .. }) => {
                if summary.has_speech {
                    N::AudioReady
                } else {
                    N::NoSpeech
                }
            }
            Self::Recorder(RecorderEvent::Cleared { .. }) => N::CleanupComplete,
            Self::Stt(SttEvent::Ready { .. }) => N::EngineReady,
            Self::Stt(SttEvent::Unloaded) => N::EngineUnloaded,
            Self::Stt(SttEvent::Partial { .. }) => N::Partial,
            Self::Stt(SttEvent::Remarks { .. }) => N::Remarks,
            Self::Stt(SttEvent::Complete { .. }) => N::Complete,
            Self::Stt(SttEvent::Failed { take: Some(_), .. }) => N::EngineFailed,
            Self::Stt(SttEvent::Failed { take: None, .. }) => N::LoadFailed,
            Self::Feedback(FeedbackEvent::Played { .. }) => N::Played,
            Self::Feedback(FeedbackEvent::Failed(_)) => N::FeedbackFailed,
            Self::Output(OutputEvent::Delivered { .. }) => N::Delivered,
            Self::Output(OutputEvent::Failed { .. }) => N::OutputFailed,
            Self::Output(OutputEvent::Withdrawn { .. }) => N::Withdrawn,
            Self::Resources(ResourceEvent::Granted { .. }) => N::Granted,
            Self::Resources(ResourceEvent::Refused { .. }) => N::Refused,
            Self::Resources(ResourceEvent::LoadModel) => N::LoadModel,
            Self::Resources(ResourceEvent::UnloadModel) => N::UnloadModel,
            Self::TimedOut(timer) => match timer.kind {
                TimerKind::Start => N::StartDeadline,
                TimerKind::MaxTake => N::MaxDuration,
                TimerKind::Stop => N::StopDeadline,
                TimerKind::Cancel => N::CancelDeadline,
                TimerKind::Decode { .. } => N::DecodeDeadline,
                TimerKind::Undo => N::UndoDeadline,
            },
        }
    }

    /// The take it is about, where it carries one.
    #[must_use]
    pub const fn take(&self) -> Option<TakeId> {
        match self {
            Self::Recorder(
                RecorderEvent::Started { take, .. }
                | RecorderEvent::StartFailed { take, .. }
                | RecorderEvent::SpeechResumed { take, .. }
                | RecorderEvent::Failed { take, .. }
                | RecorderEvent::Cleared { take },
            )
            | Self::Stt(
                SttEvent::Partial { take, .. }
                | SttEvent::Remarks { take, .. }
                | SttEvent::Complete { take, .. },
            )
            | Self::Feedback(FeedbackEvent::Played { take, .. })
            | Self::Output(
                OutputEvent::Delivered { take, .. }
                | OutputEvent::Failed { take, .. }
                | OutputEvent::Withdrawn { take },
            )
            | Self::Resources(ResourceEvent::Granted { take } | ResourceEvent::Refused { take, .. }) => {
                Some(*take)
            }
            Self::Recorder(RecorderEvent::Heard(segment) | RecorderEvent::Finished { tail: segment, .. }) => {
                Some(segment.id.take)
            }
            Self::Stt(SttEvent::Failed { take, .. }) => *take,
            Self::TimedOut(timer) => Some(timer.take),
            Self::Command(_)
            | Self::Keyboard(_)
            | Self::Recorder(RecorderEvent::Opened { .. } | RecorderEvent::Lost(_))
            | Self::Stt(SttEvent::Ready { .. } | SttEvent::Unloaded)
            | Self::Feedback(FeedbackEvent::Failed(_))
            | Self::Resources(ResourceEvent::LoadModel | ResourceEvent::UnloadModel) => None,
        }
    }
}
