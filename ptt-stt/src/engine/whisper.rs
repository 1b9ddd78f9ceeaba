//! whisper.cpp in this process: one context, one warm state, greedy, no temperature fallback, bounded in tokens and
//! time. Whether a result is believed is decided elsewhere.

use std::time::Duration;

use ptt_messages::{Clip, Moment, SAMPLE_RATE_HZ, Transcript};
use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperState,
};

use super::hooks::{CpuBackend, Vocabulary, Watch, noting_backend, redirect_logs, watched};
use super::limits::{
    Language, PROMPT_TOKENS, check_profiles, kept, likeliest, loops_from, max_tokens, model_name, stopped,
};
use super::{CancelFlag, DecodeRequest, Decoded, Detection, Ending, Engine};
use crate::context::{FULL_FRAMES, LONGEST_CLIP_SAMPLES};
use crate::model::{self, CheckedModel};
use crate::{SttConfig, SttError, cores};

/// Clips shorter than this are padded with silence: whisper.cpp skips what is shorter than 0.1 s, reads beyond the end
/// of what is shorter than 0.0126 s, and guesses at what is shorter than a second.
const SHORTEST_SAMPLES: usize = SAMPLE_RATE_HZ as usize * 5 / 4;

/// whisper.cpp with a loaded model.
#[derive(Debug)]
pub struct WhisperEngine {
    name: String,
    context: WhisperContext,
    state: WhisperState,
    backend: Option<CpuBackend>,
    vocabulary: Vocabulary,
    params: FullParams<'static, 'static>,
    language: Language,
}

impl WhisperEngine {
    /// Loads the model that the configuration names, after its file was checked, and warms it up.
    ///
    /// # Errors
    /// A missing or damaged model, no memory, a language that does not go with the model.
    pub fn open(config: &SttConfig) -> Result<Self, SttError> {
        let model = CheckedModel::open(&model::resolve(&config.model)?)?;
        let mut engine = Self::load(&model, &config.language)?;
        check_profiles(config, &engine.name, engine.context.is_multilingual())?;
        let frames = config.policy().context.map_or(FULL_FRAMES, |rule| rule.shortest());
        engine.warm_up(frames, cores::idle(config.final_threads()));
        Ok(engine)
    }

    /// Loads a model. `language` is a code or `auto`.
    ///
    /// # Errors
    /// As [`WhisperEngine::open`].
    pub fn load(model: &CheckedModel, language: &str) -> Result<Self, SttError> {
        redirect_logs();
        model.for_whisper_cpp()?;
        let name = model_name(model.path());
        // Not the path: another file may lie there by now.
        let descriptor = model.descriptor_path();
        let mut wanted = WhisperContextParameters::new();
        wanted.flash_attn(false);
        let (made, backend) = noting_backend(|| {
            let context = WhisperContext::new_with_params(&descriptor, wanted)
                .map_err(|_| SttError::Load { path: model.path().to_owned() })?;
            let state = context.create_state().map_err(|_| SttError::State)?;
            Ok::<_, SttError>((context, state))
        });
        model.unchanged()?;
        let (context, state) = made?;
        if backend.is_none() {
            tracing::warn!(
                "a decode can be stopped between its passes only; the engine's version is not the known one"
            );
        }
        let language = Language::choose(language, &name, context.is_multilingual())?;
        let vocabulary = Vocabulary {
            size: usize::try_from(context.n_vocab()).unwrap_or(0),
            end_of_text: usize::try_from(context.token_eot()).unwrap_or(usize::MAX),
        };
        Ok(Self { name, context, state, backend, vocabulary, params: greedy(), language })
    }

    /// Touches weights and buffers once, so that the first real decode does not have to.
    fn warm_up(&mut self, frames: u16, threads: usize) {
        let began = Moment::now();
        // Any sound will do; a fixed one gives the same work at every start.
        let mut x = 1_u32;
        let noise: Vec<f32> = (0..SAMPLE_RATE_HZ)
            .map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (x >> 16) as f32 / 655_360.0 - 0.05
            })
            .collect();
        let request = Ask { frames, threads, deadline: began + Duration::from_secs(30), max_tokens: 4 };
        self.params.set_language(Some("en"));
        let _ = self.run(&noise, &[], request, &CancelFlag::default());
        tracing::debug!(took = ?Moment::now().since(began), frames, threads, "warmed up");
    }

    /// One pass of whisper.cpp over prepared samples.
    fn run(
        &mut self,
        samples: &[f32],
        prompt: &[i32],
        ask: Ask,
        cancel: &CancelFlag,
    ) -> Result<Pass, SttError> {
        let began = Moment::now();
        let mut watch = Watch::new(cancel, ask.deadline, loops_from(samples.len()), self.vocabulary);
        if watch.over() {
            return Err(stopped(cancel, ask.deadline.since(began)));
        }
        let mut params = self.params.clone();
        params.set_n_threads(int(ask.threads));
        params.set_audio_ctx(if ask.frames < FULL_FRAMES { i32::from(ask.frames) } else { 0 });
        params.set_max_tokens(int(ask.max_tokens));
        params.set_tokens(prompt);
        let result = watched(&mut watch, self.backend, params, |params| self.state.full(params, samples));
        let ended = Moment::now();
        match result {
            Ok(()) => {}
            Err(_) if watch.over() => return Err(stopped(cancel, ask.deadline.since(began))),
            Err(WhisperError::GenericError(code)) => return Err(SttError::Decode { code }),
            Err(_) => return Err(SttError::Decode { code: -1 }),
        }
        let encoded = watch.encoded.unwrap_or(ended);
        Ok(Pass { encode: encoded.since(began), decode: ended.since(encoded), looped: watch.looped })
    }

    /// Finds the language. It costs an encoder pass at full context.
    fn detect_language(
        &mut self,
        samples: &[f32],
        detection: &Detection,
        ask: Ask,
        cancel: &CancelFlag,
    ) -> Result<&'static str, SttError> {
        // whisper.cpp detects at the context of the run before: one that is stopped at once sets the full one.
        let stop = CancelFlag::default();
        let mut watch = Watch::new(&stop, ask.deadline, usize::MAX, self.vocabulary);
        stop.set();
        let mut params = self.params.clone();
        params.set_language(Some("en"));
        params.set_audio_ctx(0);
        let _ = watched(&mut watch, self.backend, params, |params| self.state.full(params, samples));

        let mut watch = Watch::new(cancel, ask.deadline, usize::MAX, self.vocabulary);
        if watch.over() {
            return Err(stopped(cancel, Duration::ZERO));
        }
        // The pass itself takes no callback of whisper.cpp's, but it runs on the backend that has ours.
        let state = &mut self.state;
        let found = watched(&mut watch, self.backend, greedy(), |_| {
            state.pcm_to_mel(samples, ask.threads)?;
            state.lang_detect(0, ask.threads)
        });
        let (_, odds) = match found {
            Ok(found) => found,
            Err(_) if watch.over() => return Err(stopped(cancel, Duration::ZERO)),
            Err(_) => return Err(SttError::Decode { code: -3 }),
        };
        let odds: Vec<_> = (0..).map_while(whisper_rs::get_lang_str).zip(odds).collect();
        let (language, sure) = likeliest(&odds, samples.len(), detection).unwrap_or(("en", 0.0));
        tracing::debug!(language, sure, "language detected");
        Ok(language)
    }

    /// How likely it is that nobody speaks, where Whisper was trained to tell: after the start of
    /// the text. (whisper.cpp 1.8.3 takes it after the last token of the prompt, where it is near
    /// zero.)
    fn no_speech_prob(&mut self, threads: usize) -> Option<f32> {
        self.state.decode(&[self.context.token_sot()], 0, threads).ok()?;
        let logits = self.state.get_logits().ok()?;
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
        let place = usize::try_from(self.context.token_nosp()).ok()?;
        logits.get(place).map(|logit| (logit - most).exp() / all)
    }

    fn prompt_tokens(&self, prompt: &str) -> Vec<i32> {
        if prompt.is_empty() {
            return Vec::new();
        }
        let clean = prompt.replace('\0', " ");
        // A token is at least one byte; a buffer that is too small would be filled beyond its end by whisper-rs.
        let tokens = self.context.tokenize(&format!(" {clean}"), clean.len() + 8).unwrap_or_default();
        tokens[tokens.len().saturating_sub(PROMPT_TOKENS)..].to_vec()
    }

    fn result(&self, pass: &Pass, max_tokens: usize) -> Decoded {
        let mut text = Vec::new();
        let (mut tokens, mut logprob, mut no_speech_prob) = (0_u32, 0.0, 0.0_f32);
        for segment in self.state.as_iter() {
            text.extend_from_slice(segment.to_bytes().unwrap_or_default());
            no_speech_prob = no_speech_prob.max(segment.no_speech_probability());
            for token in (0..segment.n_tokens()).filter_map(|i| segment.get_token(i)) {
                let data = token.token_data();
                if usize::try_from(data.id).is_ok_and(|id| id < self.vocabulary.end_of_text) {
                    tokens += 1;
                    logprob += f64::from(data.plog);
                }
            }
        }
        let ending = match () {
            () if pass.looped => Ending::Loop,
            () if tokens as usize >= max_tokens => Ending::MaxTokens,
            () => Ending::Natural,
        };
        Decoded {
            text: Transcript::new(String::from_utf8_lossy(&text).trim()),
            avg_logprob: if tokens == 0 { 0.0 } else { (logprob / f64::from(tokens)) as f32 },
            no_speech_prob,
            tokens,
            times: Vec::new(),
            language: None,
            ending,
            encode: pass.encode,
            decode: pass.decode,
        }
    }
}

impl Engine for WhisperEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn decode(
        &mut self,
        clip: &Clip,
        request: &DecodeRequest,
        cancel: &CancelFlag,
    ) -> Result<Decoded, SttError> {
        let samples = &clip.samples()[..clip.samples().len().min(LONGEST_CLIP_SAMPLES)];
        let padded: Vec<f32>;
        let samples = if samples.len() < SHORTEST_SAMPLES {
            padded = samples.iter().copied().chain(std::iter::repeat(0.0)).take(SHORTEST_SAMPLES).collect();
            &padded
        } else {
            samples
        };
        let max_tokens = max_tokens(clip.samples().len());
        let ask = Ask {
            frames: request.frames,
            threads: request.threads.get(),
            deadline: request.deadline,
            max_tokens,
        };
        let began = Moment::now();
        let language = match &request.language {
            Some(own) => Language::choose(own, &self.name, self.context.is_multilingual()),
            None => Ok(self.language),
        };
        let (code, is_detected) = match language.unwrap_or(Language::Detect) {
            Language::Known(code) => (code, false),
            Language::Detect => match kept(clip.samples().len(), &request.detection) {
                Some(code) => (code, true),
                None => (self.detect_language(samples, &request.detection, ask, cancel)?, true),
            },
        };
        self.params.set_language(Some(code));
        let detected = Moment::now().since(began);
        let changes = request.detection.changes(is_detected.then_some(code));
        let prompt = self.prompt_tokens(if changes { "" } else { request.prompt.reveal() });
        let mut pass = self.run(samples, &prompt, ask, cancel)?;
        pass.encode += detected;
        let result = self.result(&pass, max_tokens);
        let began = Moment::now();
        let no_speech_prob = self.no_speech_prob(ask.threads).unwrap_or(result.no_speech_prob);
        let decode = result.decode + Moment::now().since(began);
        let language = is_detected.then(|| code.to_owned());
        Ok(Decoded { language, no_speech_prob, decode, ..result })
    }
}

/// Numbers of one pass.
#[derive(Clone, Copy, Debug)]
struct Ask {
    frames: u16,
    threads: usize,
    deadline: Moment,
    max_tokens: usize,
}

/// What a pass took.
#[derive(Clone, Copy, Debug)]
struct Pass {
    encode: Duration,
    decode: Duration,
    looped: bool,
}

/// One pass, no second temperature, no timestamps, and nothing printed.
fn greedy() -> FullParams<'static, 'static> {
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    params.set_temperature(0.0);
    params.set_temperature_inc(0.0);
    params.set_no_context(true);
    params.set_no_timestamps(true);
    params.set_single_segment(true);
    params.set_suppress_blank(true);
    params.set_suppress_nst(true);
    // Never true: doubtful text is judged by `clean`, with more to go by.
    params.set_no_speech_thold(2.0);
    params.set_print_special(false);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    params
}

fn int(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decode_can_be_stopped_in_the_middle_of_a_pass() {
        let Ok(path) = model::resolve("tiny.en") else { return };
        if let Ok(engine) = WhisperEngine::load(&CheckedModel::open(&path).unwrap(), "en") {
            assert!(engine.backend.is_some(), "ggml's CPU backend was not noted");
        }
    }
}
