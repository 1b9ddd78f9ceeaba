//! Whisper in this program's own code, made for short clips on few cores: the models and the words of whisper.cpp at full
//! context, in a fraction of its time, because silence is hardly computed (`encoder`), weights are read as bytes where
//! reading is what takes long (`bytes`), and cores never wait for each other in circles (`crew`).
//!
//! Greedy, no times, bounded in tokens and time. Whether a result is believed is decided elsewhere.

mod alignment;
mod bytes;
mod crew;
mod decoder;
mod encoder;
mod matrix;
#[cfg(test)]
mod meeting;
mod pool;
mod rows;
mod soon;
mod spectrogram;
mod weights;
mod words;

use std::time::Duration;

use ptt_messages::{Clip, Moment, SAMPLE_RATE_HZ, Transcript};

use self::crew::Crew;
use self::decoder::{Past, step};
use self::encoder::{Positions, Seen, encode};
use self::pool::Pool;
use self::weights::Model;
use self::words::Token;
use super::limits::{
    Language, PROMPT_TOKENS, check_profiles, goes_in_circles, likeliest, loops_from, max_tokens, model_name,
    stopped, switch,
};
use super::{CancelFlag, DecodeRequest, Decoded, Detection, Ending, Engine, Threads, TokenTime};
use crate::context::{FRAME_SAMPLES, FULL_FRAMES, LONGEST_CLIP_SAMPLES};
use crate::model::{self, CheckedModel};
use crate::{SttConfig, SttError, memory, trim};

/// Of the positions in the silence so many in a row are computed...
const TOGETHER: usize = 8;
/// ...of so many. Chosen by how near probabilities and texts come to those of all positions (`docs/performance.md`).
const CELL: usize = 128;

/// A loaded model and the threads that work on it.
#[derive(Debug)]
pub struct NativeEngine {
    name: String,
    model: Model,
    pool: Pool,
    /// A place in Whisper's order; `None` where it is to be detected.
    language: Option<u32>,
}

/// A language's code, and how likely it is.
type Spoken = (&'static str, f32);

impl NativeEngine {
    /// Loads the model that the configuration names, after its file was checked, and warms it up.
    ///
    /// # Errors
    /// A missing or damaged model, no memory, a language that does not go with the model.
    pub fn open(config: &SttConfig) -> Result<Self, SttError> {
        let model = CheckedModel::open(&model::resolve(&config.model)?)?;
        let mut engine = Self::load(&model, &config.language, config.final_threads())?;
        check_profiles(config, &engine.name, engine.model.words.multilingual())?;
        engine.warm_up();
        Ok(engine)
    }

    /// Loads a model, for at most `threads` threads. `language` is a code or `auto`.
    ///
    /// # Errors
    /// As [`NativeEngine::open`].
    pub fn load(model: &CheckedModel, language: &str, threads: usize) -> Result<Self, SttError> {
        let name = model_name(model.path());
        let model = Model::load(model)?;
        // What was only needed to build the weights is larger than they are.
        memory::give_back();
        let language = place(Language::choose(language, &name, model.words.multilingual())?);
        let pool = Pool::new(threads).map_err(SttError::Thread)?;
        Ok(Self { name, model, pool, language })
    }

    /// Touches the weights once, so that the first real decode does not have to.
    fn warm_up(&mut self) {
        let began = Moment::now();
        let request = DecodeRequest {
            frames: 0,
            prompt: Transcript::default(),
            language: None,
            detection: Detection::default(),
            threads: Threads::new(self.pool.threads()),
            deadline: began + Duration::from_secs(30),
        };
        let silence = Clip::new(vec![0.0; SAMPLE_RATE_HZ as usize]).expect("silence is a clip");
        let language = self.language.replace(0);
        let _ = self.decode(&silence, &request, &CancelFlag::default());
        self.language = language;
        tracing::debug!(took = ?Moment::now().since(began), "warmed up");
    }

    /// The language that is spoken, or the sample from which on it is another one.
    fn detect_language(
        &self,
        seen: &mut Seen,
        samples: &[f32],
        detection: &Detection,
        threads: &Threads,
    ) -> Result<Spoken, usize> {
        let whole = self.odds(seen, threads);
        let spoken = likeliest(&whole, samples.len(), detection).unwrap_or(("en", 0.0));
        let alone = Detection { before: None, usual: None, ..detection.clone() };
        let mut parts: Vec<(usize, &str, f32)> = Vec::new();
        for range in trim::between_pauses(samples) {
            let of_all = seen.only(range.start / FRAME_SAMPLES..range.end / FRAME_SAMPLES);
            let odds = self.odds(seen, threads);
            seen.weights = of_all;
            if let Some((code, sure)) = likeliest(&odds, range.len(), &alone) {
                parts.push((range.start, code, sure));
            }
        }
        let at = switch(&parts);
        tracing::debug!(
            language = spoken.0,
            sure = spoken.1,
            parts = parts.len(),
            switch = at,
            "language detected"
        );
        at.map_or(Ok(spoken), Err)
    }

    /// How likely each language is, with its code.
    fn odds(&self, seen: &Seen, threads: &Threads) -> Vec<(&'static str, f32)> {
        let words = &self.model.words;
        let crew = Crew::new(&self.pool, threads, &|| false);
        let logits = step(&self.model, seen, &mut Past::new(&self.model), &[words.start], 0, crew);
        let range = words.languages();
        let mut odds = logits[0][range.start as usize..range.end as usize].to_vec();
        rows::softmax(&mut odds, range.len(), None);
        (0..).map_while(whisper_rs::get_lang_str).zip(odds).collect()
    }

    /// What every text begins with: what was said before, and what kind of text is wanted.
    fn opening(&self, prompt: &str, language: u32) -> Vec<Token> {
        let words = &self.model.words;
        let said = if prompt.is_empty() { Vec::new() } else { words.tokens(&format!(" {prompt}")) };
        let mut opening = Vec::new();
        if !said.is_empty() {
            opening.push(words.before);
            opening.extend_from_slice(&said[said.len().saturating_sub(PROMPT_TOKENS)..]);
        }
        opening.extend(words.opening(Some(language)));
        opening
    }

    /// When the tokens were said.
    fn times(&self, written: &Written) -> Vec<TokenTime> {
        let words = &self.model.words;
        let whole = words.text(&written.tokens);
        let before = whole.len() - whole.trim_start().len();
        let mut end = 0;
        let time = |(token, place): (&Token, &u32)| {
            end += words.length(*token);
            TokenTime { end: end.saturating_sub(before), at: Duration::from_millis(20) * *place }
        };
        written.tokens.iter().zip(&written.places).map(time).collect()
    }

    /// Chooses token after token, each time the likeliest. `None` when it was over in the middle.
    fn write(
        &self,
        seen: &Seen,
        opening: &[Token],
        (most, loops_from, sounding): (usize, usize, usize),
        crew: Crew<'_>,
    ) -> Option<Written> {
        let words = &self.model.words;
        let start = opening.iter().position(|token| *token == words.start).unwrap_or(0);
        let mut past = Past::new(&self.model);
        let mut logits = step(&self.model, seen, &mut past, opening, start, crew);
        rows::softmax(&mut logits[0], words.size(), None);
        let no_speech_prob = logits[0][words.no_speech as usize];
        let mut written = Written {
            tokens: Vec::new(),
            places: Vec::new(),
            logprob: 0.0,
            no_speech_prob,
            ending: Ending::MaxTokens,
        };
        while written.tokens.len() < most {
            let mut next = logits.pop()?;
            words.bar(&mut next, written.tokens.is_empty());
            let (token, _) = largest(&next);
            if token == words.end {
                written.ending = Ending::Natural;
                break;
            }
            let size = next.len();
            rows::softmax(&mut next, size, None);
            written.logprob += f64::from(next[token as usize].max(f32::MIN_POSITIVE).ln());
            written.tokens.push(token);
            let sounding = sounding.min(past.attention.len());
            written.places.push(largest(&past.attention[..sounding]).0);
            if written.tokens.len() >= loops_from && goes_in_circles(&written.tokens) {
                written.ending = Ending::Loop;
                break;
            }
            if crew.over() {
                return None;
            }
            logits = step(&self.model, seen, &mut past, &[token], 0, crew);
        }
        Some(written)
    }
}

struct Written {
    tokens: Vec<Token>,
    /// The position that each looks at most.
    places: Vec<u32>,
    logprob: f64,
    no_speech_prob: f32,
    ending: Ending,
}

impl Drop for NativeEngine {
    fn drop(&mut self) {
        // Of the thread that decoded; the helpers' is freed with them.
        crew::forget_memory();
    }
}

impl Engine for NativeEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn decode(
        &mut self,
        clip: &Clip,
        request: &DecodeRequest,
        cancel: &CancelFlag,
    ) -> Result<Decoded, SttError> {
        let began = Moment::now();
        let over = || cancel.is_set() || Moment::now() > request.deadline;
        let ended = || stopped(cancel, request.deadline.since(began));
        if over() {
            return Err(ended());
        }
        let samples = &clip.samples()[..clip.samples().len().min(LONGEST_CLIP_SAMPLES)];
        let all = usize::from(FULL_FRAMES);
        let positions = match usize::from(request.frames) {
            frames if frames < all => {
                let sounding = samples.len().div_ceil(FRAME_SAMPLES);
                Positions::new(frames.max(sounding), all, TOGETHER, CELL)
            }
            _ => Positions::every(all),
        };
        let picture = self.model.spectrograph.of(samples, 2 * positions.dense);
        let crew = Crew::new(&self.pool, &request.threads, &over);
        let mut seen = encode(&self.model, &picture, &positions, crew).ok_or_else(ended)?;
        let wanted = match &request.language {
            Some(own) => {
                Language::choose(own, &self.name, self.model.words.multilingual()).map_or(None, place)
            }
            None => self.language,
        };
        let (language, detected) = match wanted {
            Some(language) => (language, None),
            None => match self.detect_language(&mut seen, samples, &request.detection, &request.threads) {
                Ok((code, _)) => (place(Language::Known(code)).unwrap_or(0), Some(code.to_owned())),
                Err(at) => {
                    let (ending, encode) = (Ending::LanguageSwitch(at), Moment::now().since(began));
                    return Ok(Decoded { ending, encode, ..Decoded::default() });
                }
            },
        };
        let encoded = Moment::now();
        let prompt =
            if request.detection.changes(detected.as_deref()) { "" } else { request.prompt.reveal() };
        let opening = self.opening(prompt, language);
        let sounding = samples.len().div_ceil(FRAME_SAMPLES);
        let limits = (max_tokens(clip.samples().len()), loops_from(samples.len()), sounding);
        let crew = Crew::new(&self.pool, &request.threads, &over);
        let written = self.write(&seen, &opening, limits, crew).ok_or_else(ended)?;
        let tokens = written.tokens.len();
        Ok(Decoded {
            text: Transcript::new(self.model.words.text(&written.tokens).trim()),
            avg_logprob: if tokens == 0 { 0.0 } else { (written.logprob / tokens as f64) as f32 },
            no_speech_prob: written.no_speech_prob,
            tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
            times: self.times(&written),
            language: detected,
            ending: written.ending,
            encode: encoded.since(began),
            decode: Moment::now().since(encoded),
        })
    }
}

/// A language's place in Whisper's order; `None` where it is to be detected.
fn place(language: Language) -> Option<u32> {
    match language {
        Language::Known(code) => whisper_rs::get_lang_id(code).and_then(|id| u32::try_from(id).ok()),
        Language::Detect => None,
    }
}

/// The largest of `values`, and where it is; the first of equals.
fn largest(values: &[f32]) -> (u32, f32) {
    let first = (0, f32::NEG_INFINITY);
    (0..).zip(values).fold(first, |best, (at, value)| if *value > best.1 { (at, *value) } else { best })
}
