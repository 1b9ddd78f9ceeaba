//! What can go wrong with audio, and what the user can do about it.

use std::path::PathBuf;
use std::time::Duration;

use ptt_messages::{Component, Fault, FaultKind};

/// A failure of the recorder or of reading an audio file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// No sound system gave a microphone; one reason each.
    #[error(
        "no microphone ({reasons}); plug one in or start the sound server, `ptt-app devices` lists what there is"
    )]
    NoMicrophone {
        /// Why each sound system did not, as "name: reason; name: reason".
        reasons: String,
        /// What may help.
        kind: FaultKind,
    },
    /// The configured device is not among those there are.
    #[error(
        "no microphone is called {wanted:?}; set audio.device to \"default\" or to (a part of) one of: {there_is}"
    )]
    NoSuchDevice {
        /// `audio.device`.
        wanted: String,
        /// Names, separated by commas.
        there_is: String,
    },
    /// This build cannot talk to the configured sound system.
    #[error(
        "this build has no {host} host; set audio.host to \"auto\", or build with `cargo install --locked --path ptt-app \
         --features {host}`"
    )]
    NoSuchHost {
        /// `audio.host`.
        host: &'static str,
    },
    /// The sound system did not answer in time.
    #[error("the sound server did not answer within {}; restart it (systemctl --user restart pipewire pulseaudio)", millis(.within))]
    NoAnswer {
        /// How long was waited.
        within: Duration,
    },
    /// The microphone was open and delivered nothing.
    #[error("the microphone delivered no audio for {}; check its cable, or restart the sound server", millis(.silent))]
    Starved {
        /// How long.
        silent: Duration,
    },
    /// The microphone went away while it was open.
    #[error(
        "the microphone is gone ({reason}); plug it in again or choose another one, the next press opens it"
    )]
    Lost {
        /// What the sound system said.
        reason: &'static str,
        /// What may help.
        kind: FaultKind,
    },
    /// The sound system says so.
    #[error(
        "may not use the microphone ({reason}); allow it in the system's privacy settings, or add yourself to the group `audio` and log in again"
    )]
    Denied {
        /// What the sound system said.
        reason: String,
    },
    /// The recorder was told to close while a take waited for the microphone.
    #[error("the microphone was closed before the recording began; enable push-to-talk and press again")]
    Closed,
    /// A take was asked for while another one runs.
    #[error("recording already in progress; release the key first")]
    TakeRunning,
    /// The files of `audio.wav` were all played.
    #[error("all files of audio.wav were played; raise audio.wav_repeat, 0 repeats for ever")]
    PlayedOut,
    /// `audio.backend` is `wav` without files.
    #[error("audio.backend is \"wav\" but audio.wav lists no file; add at least one")]
    NoFiles,
    /// A file is not there or may not be read.
    #[error("cannot read {}: {reason}; check the path", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file is there and is not audio we know.
    #[error("{} is not audio that can be read ({reason}); convert it: ffmpeg -i IN -ar 16000 -ac 1 OUT.wav", .path.display())]
    NotAudio {
        /// Which.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A file is audio and not all of it can be read.
    #[error("only a part of {} was read ({what}); convert it: ffmpeg -i IN -ar 16000 -ac 1 OUT.wav", .path.display())]
    PartlyRead {
        /// Which.
        path: PathBuf,
        /// What is missing and why.
        what: String,
    },
    /// A thread could not be started or is gone.
    #[error("cannot run the audio thread ({reason}); free memory or raise the limit on processes")]
    Thread {
        /// What the system said.
        reason: String,
    },
}

fn millis(duration: &Duration) -> String {
    format!("{} ms", duration.as_millis())
}

impl AudioError {
    /// What may help.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::NoMicrophone { kind, .. } | Self::Lost { kind, .. } => *kind,
            Self::NoSuchDevice { .. }
            | Self::NoSuchHost { .. }
            | Self::NoFiles
            | Self::PlayedOut
            | Self::Unreadable { .. }
            | Self::NotAudio { .. }
            | Self::PartlyRead { .. } => FaultKind::Misconfigured,
            Self::NoAnswer { .. } | Self::Starved { .. } => FaultKind::Timeout,
            Self::Denied { .. } => FaultKind::Denied,
            Self::TakeRunning => FaultKind::Busy,
            Self::Closed => FaultKind::Gone,
            Self::Thread { .. } => FaultKind::Broken,
        }
    }

    /// As the value that travels to the machine.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::new(Component::Recorder, self.kind(), self.to_string())
    }
}
