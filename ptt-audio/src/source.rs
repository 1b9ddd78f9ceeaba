//! Where audio comes from: the seam between the recorder and what plays its microphone, and the choice of one.
//! The backends without hardware are always compiled, so tests and demonstrations run the program that ships.

mod alsa;
mod cpal;
pub mod microphone;
pub mod paced;
mod pulse;
pub mod silence;
pub mod wav;

use std::fmt;
use std::sync::Arc;
use std::thread::Thread;

use ptt_messages::Moment;

use crate::config::{AudioConfig, BackendKind};
use crate::error::AudioError;
use crate::ring::Drain;

/// Something that can be opened and then delivers audio.
pub trait CaptureSource: Send + Sync + fmt::Debug {
    /// Opens it. Called on a thread of its own, because a sound server may take its time. From then on blocks arrive in
    /// the drain and `wake` is unparked for them.
    ///
    /// # Errors
    /// What is not there or may not be used, and what the user can do about it.
    fn open(&self, wake: &Thread) -> Result<Opened, AudioError>;
}

/// An open source.
pub struct Opened {
    /// Dropping it closes the source, which may take long.
    pub stream: Box<dyn Stream>,
    /// Where its audio arrives.
    pub drain: Drain,
    /// What arrives.
    pub format: Format,
}

/// What an open source delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// For people.
    pub device: String,
    /// Frames per second.
    pub rate_hz: u32,
    /// Samples per frame.
    pub channels: u16,
    /// Whether audio arrives all the time, as from a microphone.
    pub live: bool,
}

/// An open source, told about takes. A microphone does not care; a player of files lines them up.
pub trait Stream: Send {
    /// A take begins whose key went down at `press`.
    ///
    /// # Errors
    /// When there is nothing to be heard for it.
    fn take_begins(&mut self, press: Moment) -> Result<Cue, AudioError>;
    /// The take is over.
    fn take_ends(&mut self);
}

/// How the audio of a take arrives.
#[derive(Debug)]
pub enum Cue {
    /// Through the drain, as it is spoken.
    Live,
    /// Here it is, as fast as it is taken.
    AtOnce(wav::Pieces),
}

/// The source the configuration asks for. Opens nothing.
///
/// # Errors
/// What is wrong with the configuration: no files, or one that is not there.
pub fn choose(config: &AudioConfig) -> Result<Arc<dyn CaptureSource>, AudioError> {
    Ok(match config.backend {
        BackendKind::Cpal => Arc::new(microphone::Microphone::new(config)?),
        BackendKind::Wav => Arc::new(wav::Files::new(&config.wav, config.wav_repeat.get(), config.wav_pace)?),
        BackendKind::Silence => Arc::new(silence::Silence::new(config.silence)),
    })
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("format", &self.format).finish_non_exhaustive()
    }
}
