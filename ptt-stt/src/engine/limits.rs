//! What holds for every Whisper engine: how many tokens a clip can hold, when a text goes in circles, which languages go
//! with a model, and what a stopped decode is called. Pure.

use std::path::Path;
use std::time::Duration;

use ptt_messages::SAMPLE_RATE_HZ;

use super::CancelFlag;
use crate::check::repeated_tail;
use crate::{SttConfig, SttError};

/// The prompt is decoded anew for every clip: more than this costs more than it helps.
pub(super) const PROMPT_TOKENS: usize = 160;
/// Below this a detected language is used once, but not kept.
pub(super) const SURE_OF_LANGUAGE: f32 = 0.5;
/// More than this is said by nobody in a second, and a short clip may hold this many more.
const TOKENS_PER_SECOND: usize = 8;
const TOKENS_EXTRA: usize = 16;
/// From this many tokens on a repetition is looked for: more than people say in a second, so that what was really said
/// four times is not cut.
const LOOPS_FROM_PER_SECOND: usize = 5;
const LOOPS_FROM_EXTRA: usize = 8;
/// How often, and over how many tokens, something must come in a row to be a loop.
const LOOP_TIMES: usize = 4;
const LOOP_TOKENS: usize = 12;

/// How many tokens a clip of `samples` can have.
pub(super) const fn max_tokens(samples: usize) -> usize {
    (samples * TOKENS_PER_SECOND).div_ceil(SAMPLE_RATE_HZ as usize) + TOKENS_EXTRA
}

/// From how many tokens on a repetition in a clip of `samples` ends the decode.
pub(super) fn loops_from(samples: usize) -> usize {
    (samples * LOOPS_FROM_PER_SECOND / SAMPLE_RATE_HZ as usize + LOOPS_FROM_EXTRA).max(LOOP_TOKENS)
}

/// Whether the tokens end in a loop.
pub(super) fn goes_in_circles<T: PartialEq>(tokens: &[T]) -> bool {
    repeated_tail(tokens, LOOP_TIMES, LOOP_TOKENS).is_some()
}

/// The language of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Whisper's own code.
    Known(&'static str),
    Detect,
}

impl Language {
    /// Of the configured language and what the model knows.
    ///
    /// # Errors
    /// A language that does not exist, or that the model does not know.
    pub fn choose(given: &str, model: &str, multilingual: bool) -> Result<Self, SttError> {
        if given == "auto" {
            return Ok(if multilingual { Self::Detect } else { Self::Known("en") });
        }
        let id = if given.contains('\0') { None } else { whisper_rs::get_lang_id(given) };
        match id.and_then(whisper_rs::get_lang_str) {
            None => Err(SttError::Language { given: given.to_owned() }),
            Some(code) if multilingual || code == "en" => Ok(Self::Known(code)),
            Some(_) => Err(SttError::EnglishOnly { model: model.to_owned(), language: given.to_owned() }),
        }
    }
}

/// Checks the languages of the other profiles.
///
/// # Errors
/// As [`Language::choose`], for the first profile that has such a language.
pub(super) fn check_profiles(config: &SttConfig, model: &str, multilingual: bool) -> Result<(), SttError> {
    for profile in &config.profiles {
        if let Some(language) = &profile.language {
            Language::choose(language, model, multilingual).map_err(|error| SttError::OfProfile {
                name: profile.name.clone(),
                error: Box::new(error),
            })?;
        }
    }
    Ok(())
}

/// Checks all languages of a configuration against a model.
///
/// # Errors
/// As [`Language::choose`].
pub(super) fn check_model(config: &SttConfig, model: &str, multilingual: bool) -> Result<(), SttError> {
    Language::choose(&config.language, model, multilingual)?;
    check_profiles(config, model, multilingual)
}

/// As far as names tell: that a language exists, and that a model whose name ends in `.en` is not asked for another one.
///
/// # Errors
/// As [`Language::choose`].
pub(super) fn check_languages(config: &SttConfig) -> Result<(), SttError> {
    // Not by `model_name`, for which the end of a bare `tiny.en` is that of a file.
    let file = config.model.rsplit('/').next().unwrap_or_default();
    let name = file.strip_suffix(".bin").unwrap_or(file);
    let name = name.strip_prefix("ggml-").unwrap_or(name);
    let multilingual = !(name.ends_with(".en") || name.contains(".en-"));
    check_model(config, name, multilingual)
}

/// What people call the model in a file.
pub(super) fn model_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_prefix("ggml-").unwrap_or(&stem).to_owned()
}

/// What a decode that was stopped reports.
pub(super) fn stopped(cancel: &CancelFlag, limit: Duration) -> SttError {
    if cancel.is_set() { SttError::Cancelled } else { SttError::Timeout { limit } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_must_go_with_the_model() {
        assert_eq!(Language::choose("auto", "tiny.en", false).unwrap(), Language::Known("en"));
        assert_eq!(Language::choose("auto", "tiny", true).unwrap(), Language::Detect);
        assert_eq!(Language::choose("de", "tiny", true).unwrap(), Language::Known("de"));
        assert_eq!(Language::choose("en", "tiny.en", false).unwrap(), Language::Known("en"));
        let error = Language::choose("de", "tiny.en", false).unwrap_err().to_string();
        assert!(error.contains("such as `tiny`"), "{error}");
        let de = crate::config::ProfileSpeech {
            name: "german".to_owned(),
            language: Some("de".to_owned()),
            vocabulary: None,
        };
        let config = SttConfig {
            model: "/models/ggml-tiny.en.bin".to_owned(),
            profiles: vec![de],
            ..SttConfig::default()
        };
        assert!(check_languages(&SttConfig { model: "tiny.en".to_owned(), ..config.clone() }).is_err());
        let error = check_languages(&config).unwrap_err().to_string();
        assert!(error.contains("\"german\"") && error.contains("such as `tiny`"), "{error}");
        assert!(check_languages(&SttConfig { model: "tiny".to_owned(), ..config }).is_ok());
        assert!(matches!(Language::choose("klingon", "tiny", true), Err(SttError::Language { .. })));
    }
}
