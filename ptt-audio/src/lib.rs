//! The recorder: microphone in, takes of 16 kHz mono out.
//!
//! What lives here: the actor of the role *recorder*, the sources it can listen to (real microphones, audio files,
//! silence), the way from a device's callback to a take, the voice-activity detector, and the reading of audio files.
//! What does not: when a take starts and stops (the controller), what was said in it (speech to text).
//!
//! One thread, `ptt-capture`, owns all of it: `ring` → `dsp` → `history`, of which a `take` is a range. The actor only
//! passes commands on.
#![forbid(unsafe_code)]

mod activity;
mod actor;
mod capture;
mod clock;
mod config;
mod dsp;
mod error;
mod file;
mod history;
mod link;
mod loudness;
pub mod metrics;
mod mixdown;
mod recorder;
mod ring;
mod source;
mod split;
mod take;
mod vad;

use ptt_messages::{Port, RecorderCommand, RecorderEvent};

pub use config::{AudioConfig, BackendKind, HostChoice, MicrophonePolicy, SilenceKind, WavPace};
pub use error::AudioError;
pub use file::{AudioFile, read_audio_file};
pub use source::microphone::{InputDeviceInfo, list_devices};
pub use split::Splitter;

/// Whether the section says where audio comes from. Opens no device.
///
/// # Errors
/// [`AudioError::NoFiles`], [`AudioError::Unreadable`], [`AudioError::NoSuchHost`].
pub fn check(config: &AudioConfig) -> Result<(), AudioError> {
    source::choose(config).map(drop)
}

/// Starts the recorder on the current arbiter. Opens nothing until it is told to.
///
/// # Errors
/// What is wrong with the configuration ([`AudioError::NoFiles`], [`AudioError::Unreadable`],
/// [`AudioError::NoSuchHost`]), or [`AudioError::Thread`].
pub fn spawn(config: &AudioConfig, events: Port<RecorderEvent>) -> Result<Port<RecorderCommand>, AudioError> {
    metrics::describe();
    let source = source::choose(config)?;
    Ok(Port::start("recorder", 100, actor::RecorderActor::new(config, source, events)?))
}
