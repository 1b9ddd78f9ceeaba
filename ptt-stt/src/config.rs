//! The section `[stt]` of the configuration.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use ptt_messages::Within;
use serde::{Deserialize, Serialize};

use crate::context::ContextRule;
use crate::engine::{Backend, CannedStep};
use crate::strategy::{Policy, Speech, StrategyKind};

/// How speech becomes text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SttConfig {
    /// Which engine: `native`, `whisper`, or `canned` for tests without a model.
    pub backend: Backend,
    /// Name of an installed model (`ptt-app models list`) or the path of a ggml file.
    pub model: String,
    /// Language code such as `en` or `de`; `auto` detects it in every take, and within a take where
    /// it changes. Models whose name ends in `.en` know English only.
    pub language: String,
    /// The languages that `auto` may detect; empty for all.
    pub languages: Vec<String>,
    /// `live` decodes while the key is held, `batch` after the release.
    pub strategy: StrategyKind,
    /// Compute threads after the release; 0 = one per core, at most 8 (whisper.cpp: per core that is idle at that moment).
    pub threads: Within<0, 64>,
    /// Compute threads while the key is held: capture and desktop keep the other cores.
    pub background_threads: Within<1, 64>,
    /// How much work may have been in vain in a take before a pause is no longer decoded on suspicion, in percent of
    /// the work that the take needs anyway. 0 decodes committed segments only.
    pub speculation_percent: Within<0, 1_000>,
    /// Let the encoder compute little more than the clip instead of always 30 s. Suspect results are decoded once more
    /// at a wider context.
    pub short_context: bool,
    /// whisper.cpp: silence that the encoder sees after the clip when `short_context` is on. Less is faster and loops
    /// more often.
    pub context_margin_ms: Within<320, 20_000>,
    /// whisper.cpp: the shortest context when `short_context` is on.
    pub context_min_ms: Within<2_560, 30_000>,
    /// Names and terms that the engine should know how to spell.
    pub vocabulary: Vec<String>,
    /// How many words of a take's text so far are the context of its next segment.
    pub prompt_words: Within<0, 100>,
    /// Canned engine: the texts it gives in turn, from the first again after the last; `{language}` in one is the language
    /// it was asked for.
    pub canned_texts: Vec<String>,
    /// Canned engine: how long a decode takes.
    pub canned_delay_ms: Within<0, 60_000>,
    /// Canned engine: what its decodes do in turn; `ok` after the last.
    pub canned_script: Vec<CannedStep>,
    /// The other profiles. No keys of this section: whoever reads `[[profile]]` puts them here.
    #[serde(skip)]
    pub profiles: Vec<ProfileSpeech>,
}

/// What another profile than the default one has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileSpeech {
    /// What people call the profile.
    pub name: String,
    /// As [`SttConfig::language`]; `None` for that one.
    pub language: Option<String>,
    /// As [`SttConfig::vocabulary`]; `None` for that one.
    pub vocabulary: Option<Vec<String>>,
}

impl Default for SttConfig {
    fn default() -> Self {
        Self {
            backend: Backend::Native,
            model: "tiny.en".to_owned(),
            language: "auto".to_owned(),
            languages: Vec::new(),
            strategy: StrategyKind::Live,
            threads: Within::new(0),
            background_threads: Within::new(1),
            speculation_percent: Within::new(150),
            short_context: true,
            context_margin_ms: Within::new(5_120),
            context_min_ms: Within::new(10_240),
            vocabulary: Vec::new(),
            prompt_words: Within::new(30),
            canned_texts: vec!["This is a canned text.".to_owned()],
            canned_delay_ms: Within::new(0),
            canned_script: Vec::new(),
            profiles: Vec::new(),
        }
    }
}

impl SttConfig {
    /// Most compute threads after the release, with 0 resolved.
    #[must_use]
    pub fn final_threads(&self) -> usize {
        match usize::try_from(self.threads.get()) {
            Ok(0) | Err(_) => available_parallelism().map_or(1, NonZeroUsize::get).min(8),
            Ok(threads) => threads,
        }
    }

    /// What the strategy needs of it.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let mut profiles = vec![Speech { language: None, vocabulary: sentence(&self.vocabulary) }];
        profiles.extend(self.profiles.iter().map(|profile| Speech {
            language: profile.language.clone(),
            vocabulary: sentence(profile.vocabulary.as_ref().unwrap_or(&self.vocabulary)),
        }));
        Policy {
            kind: self.strategy,
            threads: self.final_threads(),
            background_threads: self.background_threads.get() as usize,
            speculation_percent: self.speculation_percent.get(),
            context: self.short_context.then(|| match self.backend {
                Backend::Native => ContextRule::native(),
                Backend::Whisper | Backend::Canned => {
                    ContextRule::new(self.context_margin_ms.millis(), self.context_min_ms.millis())
                }
            }),
            profiles,
            languages: self.languages.clone(),
            prompt_words: self.prompt_words.get() as usize,
        }
    }
}

/// The words to know as a prompt.
fn sentence(words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(|w| w.trim()).filter(|w| !w.is_empty()).collect();
    if words.is_empty() { String::new() } else { format!("{}.", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_and_a_wrong_number_are_errors() {
        for (given, expected) in [
            (r#"{"modle": "base"}"#, "unknown field"),
            (r#"{"threads": 65}"#, "65 is out of range, allowed is 0 to 64"),
            (r#"{"strategy": "eager"}"#, "unknown variant"),
            (r#"{"canned_script": ["explode"]}"#, "unknown variant"),
        ] {
            let error = serde_json::from_str::<SttConfig>(given).unwrap_err().to_string();
            assert!(error.contains(expected), "{given}: {error}");
        }
        let json = serde_json::to_string(&SttConfig::default()).unwrap();
        assert_eq!(serde_json::from_str::<SttConfig>(&json).unwrap(), SttConfig::default());
    }

    #[test]
    fn the_vocabulary_becomes_one_sentence() {
        let config = SttConfig {
            vocabulary: vec!["Enea ".to_owned(), String::new(), "Compel".to_owned()],
            ..SttConfig::default()
        };
        let own = |vocabulary| ProfileSpeech { vocabulary, ..ProfileSpeech::default() };
        let config = SttConfig {
            profiles: vec![own(None), own(Some(vec!["Fry".to_owned()])), own(Some(vec![]))],
            ..config
        };
        let sentences: Vec<String> =
            config.policy().profiles.into_iter().map(|speech| speech.vocabulary).collect();
        assert_eq!(sentences, ["Enea, Compel.", "Enea, Compel.", "Fry.", ""]);
        assert!(SttConfig::default().policy().profiles[0].vocabulary.is_empty());
        assert!(config.final_threads() >= 1);
    }
}
