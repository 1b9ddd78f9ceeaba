//! What holds for every Whisper engine: how many tokens a clip can hold, when a text goes in circles, which languages go
//! with a model, and what a stopped decode is called. Pure.

use std::path::Path;
use std::time::Duration;

use ptt_messages::SAMPLE_RATE_HZ;

use super::{CancelFlag, Detection};
use crate::check::repeated_tail;
use crate::{SttConfig, SttError};

/// The prompt is decoded anew for every clip: more than this costs more than it helps.
pub(super) const PROMPT_TOKENS: usize = 160;
/// In a clip that is shorter than this (1 s) a detected language is no strong evidence.
const STRONG_SAMPLES: usize = SAMPLE_RATE_HZ as usize;
/// So much likelier is the language that was spoken before. Of 143 English clips base takes three
/// for another language, where its odds are 2.7, 3.7 and 7.7 to one; the least sure of 39 clips in
/// other languages that it tells has 8.8 to one.
const FAVOUR: f32 = 8.0;
/// More than this is said by nobody in a second, and a short clip may hold this many more.
const TOKENS_PER_SECOND: usize = 8;
const TOKENS_EXTRA: usize = 16;
/// From this many tokens on a repetition is looked for: more than people say in a second, so that what was really said
/// four times is not cut.
const LOOPS_FROM_PER_SECOND: usize = 7;
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

/// Which language to decode a clip of `samples` in: the likeliest of those that come into question,
/// where the one before it counts for more, and stays in a clip that is short. `odds` are code and
/// probability of all that the model knows.
pub(super) fn likeliest<'a>(
    odds: &[(&'a str, f32)],
    samples: usize,
    detection: &Detection,
) -> Option<(&'a str, f32)> {
    let allowed = |code: &str| detection.among.is_empty() || detection.among.iter().any(|c| c == code);
    let odds = || odds.iter().filter(|(code, _)| allowed(code));
    let all: f32 = odds().map(|(_, p)| p).sum();
    let share = |p: f32| if all > 0.0 { p / all } else { 0.0 };
    let is = |known: &Option<String>, code: &str| known.as_deref() == Some(code);
    if samples < STRONG_SAMPLES
        && let Some((code, p)) = odds().find(|(code, _)| is(&detection.before, code))
    {
        return Some((code, share(*p)));
    }
    let favoured = if detection.before.is_some() { &detection.before } else { &detection.usual };
    let favour = |(code, p): &(&str, f32)| if is(favoured, code) { FAVOUR * p } else { *p };
    let (best, p) = odds().max_by(|a, b| favour(a).total_cmp(&favour(b)))?;
    Some((best, share(*p)))
}

/// The language of the take so far, where a clip is too short to tell another one.
pub(super) fn kept(samples: usize, detection: &Detection) -> Option<&'static str> {
    let before = detection.before.as_deref().filter(|_| samples < STRONG_SAMPLES)?;
    whisper_rs::get_lang_id(before).and_then(whisper_rs::get_lang_str)
}

/// From this probability on, on both sides of a pause, a language begins there.
const SWITCHED: f32 = 0.9;

/// Where another language begins, of parts that begin at a sample with a language of some
/// probability.
pub(super) fn switch(parts: &[(usize, &str, f32)]) -> Option<usize> {
    let mut sure = parts.iter().filter(|(.., p)| *p >= SWITCHED);
    let (_, first, _) = sure.next()?;
    sure.find(|(_, code, _)| code != first).map(|(at, ..)| *at)
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
    for given in &config.languages {
        if Language::choose(given, model, multilingual)? == Language::Detect || given == "auto" {
            return Err(SttError::Language { given: given.clone() });
        }
    }
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
        let among = |code: &str| SttConfig { languages: vec![code.to_owned()], ..SttConfig::default() };
        assert!(check_languages(&SttConfig { model: "tiny".to_owned(), ..among("de") }).is_ok());
        assert!(check_languages(&SttConfig { model: "tiny".to_owned(), ..among("auto") }).is_err());
        assert!(check_languages(&among("de")).is_err(), "tiny.en knows English only");
    }

    #[test]
    fn the_language_follows_the_evidence() {
        let odds = [("en", 0.5), ("de", 0.3), ("nn", 0.2)];
        let second = SAMPLE_RATE_HZ as usize;
        for (among, before, samples, expected) in [
            (&[][..], None, second, ("en", 0.5)),
            (&[], Some("de"), second, ("de", 0.3)),
            (&[], Some("de"), second - 1, ("de", 0.3)),
            (&[], Some("fr"), second - 1, ("en", 0.5)),
            (&["de", "nn"], None, 100, ("de", 0.6)),
            (&["de", "nn"], Some("en"), 100, ("de", 0.6)),
            (&["de", "nn"], Some("nn"), second, ("nn", 0.4)),
            (&["nn"], Some("de"), second, ("nn", 1.0)),
        ] {
            let among: Vec<String> = among.iter().map(|code: &&str| (*code).to_owned()).collect();
            let detection =
                Detection { among, before: before.map(str::to_owned), usual: Some("nn".to_owned()) };
            let detection = if before.is_some() { detection } else { Detection { usual: None, ..detection } };
            let (code, sure) = likeliest(&odds, samples, &detection).unwrap();
            assert_eq!(code, expected.0, "{detection:?}");
            assert!((sure - expected.1).abs() < 1e-6, "{detection:?}: {sure}");
        }
        // The language of the take before is favoured, and no more.
        let usual = Detection { usual: Some("en".to_owned()), ..Detection::default() };
        for (german, expected) in [(0.88, "en"), (0.9, "de")] {
            let odds = [("en", 1.0 - german), ("de", german)];
            for samples in [100, second] {
                assert_eq!(likeliest(&odds, samples, &usual).unwrap().0, expected, "{german}");
            }
        }
    }

    #[test]
    fn a_switch_needs_two_parts_that_are_sure() {
        for (parts, expected) in [
            (&[(0, "en", 0.99), (100, "de", 0.98)][..], Some(100)),
            (&[(0, "en", 0.99), (100, "de", 0.89)], None),
            (&[(0, "en", 0.99), (100, "nn", 0.5), (200, "de", 0.98)], Some(200)),
            (&[(0, "mi", 0.6), (100, "de", 0.98)], None),
            (&[(0, "en", 0.99), (100, "en", 0.98)], None),
            (&[], None),
        ] {
            assert_eq!(switch(parts), expected, "{parts:?}");
        }
    }
}
