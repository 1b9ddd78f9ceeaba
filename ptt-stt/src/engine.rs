//! What an engine is: one clip in, one text out, stoppable at any moment.
//!
//! Here are the trait and the values that cross it. Which clip is decoded when is [`crate::strategy`]'s affair, on
//! which thread is [`crate::worker`]'s.

mod canned;
mod hooks;
mod limits;
mod native;
mod whisper;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ptt_messages::{Clip, Moment, Transcript};
use serde::{Deserialize, Serialize};

use crate::model::{self, CheckedModel};
use crate::{SttConfig, SttError};

pub use canned::{CannedEngine, CannedStep};
pub use native::NativeEngine;
pub use whisper::WhisperEngine;

/// Turns clips into text. Owned by one thread at a time.
pub trait Engine: Send {
    /// Name of the model, for people.
    fn name(&self) -> &str;

    /// Decodes one clip of at most [`crate::context::LONGEST_CLIP_SAMPLES`]. Nothing of an earlier clip has an influence
    /// on the text but the prompt.
    ///
    /// # Errors
    /// [`SttError::Cancelled`] soon after `cancel` was set, [`SttError::Timeout`] when the request's deadline passed,
    /// and whatever the engine itself reports.
    fn decode(
        &mut self,
        clip: &Clip,
        request: &DecodeRequest,
        cancel: &CancelFlag,
    ) -> Result<Decoded, SttError>;
}

/// The engines there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// Whisper in this program's own code, made for short clips on few cores.
    #[default]
    Native,
    /// whisper.cpp, through whisper-rs.
    Whisper,
    /// Prepared texts and faults, for tests of everything around the engine.
    Canned,
}

/// Checks, by names alone, that the languages go with the model: what can be told before a model is loaded.
///
/// # Errors
/// A language that does not exist, or another one than English for an English model.
pub fn check_languages(config: &SttConfig) -> Result<(), SttError> {
    match config.backend {
        Backend::Native | Backend::Whisper => limits::check_languages(config),
        Backend::Canned => Ok(()),
    }
}

/// Checks, without loading it, that the engine that the configuration names can be used: the model's file, its bytes, and the
/// languages. Takes milliseconds when the file has not changed since its last check, else as long as reading it.
///
/// # Errors
/// As [`open`], but for what only a load can find.
pub fn check(config: &SttConfig) -> Result<(), SttError> {
    check_languages(config)?;
    let model = match config.backend {
        Backend::Native | Backend::Whisper => CheckedModel::open(&model::resolve(&config.model)?)?,
        Backend::Canned => return Ok(()),
    };
    let multilingual = model.structure()?.dims.is_multilingual();
    limits::check_model(config, &limits::model_name(model.path()), multilingual)?;
    if config.backend == Backend::Whisper {
        model.for_whisper_cpp()?;
    }
    Ok(())
}

/// Makes the engine that the configuration names: loads the model and warms it up. Takes 0.1 s to seconds.
///
/// # Errors
/// A model that is missing or damaged, or a language that does not go with it.
pub fn open(config: &SttConfig) -> Result<Box<dyn Engine>, SttError> {
    Ok(match config.backend {
        Backend::Native => Box::new(NativeEngine::open(config)?),
        Backend::Whisper => Box::new(WhisperEngine::open(config)?),
        Backend::Canned => Box::new(CannedEngine::new(config)),
    })
}

/// How to decode a clip.
#[derive(Clone, Debug)]
pub struct DecodeRequest {
    /// Encoder positions to use, up to [`crate::context::FULL_FRAMES`].
    pub frames: u16,
    /// What was said before and words to know, as text; may be empty.
    pub prompt: Transcript,
    /// A language's code or `auto` in place of the one that the engine was opened with. One that [`open`] did not see, or that
    /// the model does not know, is `auto`.
    pub language: Option<String>,
    /// How the language is detected where it is `auto`.
    pub detection: Detection,
    /// Compute threads.
    pub threads: Threads,
    /// When the result is useless.
    pub deadline: Moment,
}

/// What is known of a clip's language before it is decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detection {
    /// Codes of the languages that come into question; empty: all that the model knows.
    pub among: Vec<String>,
    /// The language of the take so far: it stays unless the evidence for another one is strong.
    pub before: Option<String>,
    /// The language of the take before it: somewhat likelier than others.
    pub usual: Option<String>,
}

impl Detection {
    /// Whether the take goes on in another language: then what was said before is no prompt for it.
    fn changes(&self, detected: Option<&str>) -> bool {
        self.before.is_some() && detected.is_some() && self.before.as_deref() != detected
    }
}

/// What an engine made of a clip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The words as the engine wrote them.
    pub text: Transcript,
    /// Natural logarithm of the tokens' probability, on average.
    pub avg_logprob: f32,
    /// How likely the engine thinks that nobody speaks, 0 to 1.
    pub no_speech_prob: f32,
    /// Number of text tokens.
    pub tokens: u32,
    /// When each token was said; empty where the engine cannot tell.
    pub times: Vec<TokenTime>,
    /// Code of the language, where it was detected.
    pub language: Option<String>,
    /// Why it came to an end.
    pub ending: Ending,
    /// Spectrogram, encoder and the prompt's pass through the decoder.
    pub encode: Duration,
    /// Decoder and sampling of the rest.
    pub decode: Duration,
}

/// When a token was said, as far as the decoder's attention tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTime {
    /// Where it ends in the text, in bytes.
    pub end: usize,
    /// From the beginning of the clip.
    pub at: Duration,
}

/// From this probability on the engine thinks that nobody speaks.
pub(crate) const NO_SPEECH: f32 = 0.35;
/// Below this average log-probability it does not believe its words.
const DOUBTED: f32 = -0.9;

impl Decoded {
    /// Whether it thinks that nobody speaks, and does not believe what it wrote. Each alone is no
    /// evidence: hard speech, slower or noisy, has averages down to -1.8, and repeated words a
    /// probability of silence up to 0.6. Of 31 clips of noise and silence the smallest probability
    /// is 0.46; of 143 clips of speech, also slower and faster ones, the largest is 0.20, in pink
    /// noise of 10 dB less 0.29.
    #[must_use]
    pub fn nobody_speaks(&self) -> bool {
        self.no_speech_prob > NO_SPEECH && self.avg_logprob < DOUBTED
    }

    /// When the last of what was written was said, as far as that is known.
    #[must_use]
    pub fn last_time(&self) -> Duration {
        self.times.iter().map(|token| token.at).max().unwrap_or_default()
    }

    /// When the words were said, in the order of time, as far as that is known. Without the
    /// punctuation: where it looks is often the beginning of what follows.
    #[must_use]
    pub fn word_times(&self) -> Vec<Duration> {
        let text = self.text.reveal();
        let mut start = 0;
        let words = self.times.iter().filter_map(|token| {
            let written = text.get(start..token.end.min(text.len())).unwrap_or_default();
            start = token.end;
            written.contains(char::is_alphanumeric).then_some(token.at)
        });
        let mut times: Vec<Duration> = words.collect();
        times.sort_unstable();
        times
    }
}

/// Why a decode came to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The engine found the end of what was said.
    #[default]
    Natural,
    /// It reached the number of tokens that a clip of this length can have.
    MaxTokens,
    /// It was stopped because it repeated itself.
    Loop,
    /// Nothing was decoded, because from this sample on another language is spoken.
    LanguageSwitch(usize),
}

/// Set from any thread to stop a decode. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Stops the decode, now or as soon as it starts.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many threads may compute: at least 1, and more as soon as somebody waits for the text. Clones share the number.
/// whisper.cpp takes the number that there is when it begins.
#[derive(Clone, Debug)]
pub struct Threads(Arc<AtomicUsize>);

impl Threads {
    /// So many, for the time being.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(number.max(1))))
    }

    /// So many, when they were fewer.
    pub fn grow(&self, number: usize) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// How many now.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
