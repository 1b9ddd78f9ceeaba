//! The section `[feedback]` of the configuration.

use ptt_messages::Within;
use serde::{Deserialize, Serialize};

/// The section `[feedback]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedbackConfig {
    /// Whether tones are played at all.
    pub enabled: bool,
    /// What plays them.
    pub backend: Backend,
    /// Loudness; 100 is already soft (a peak of -20 dBFS), because the microphone hears it too.
    pub volume_percent: Within<0, 100>,
    /// `default`, or a part of the device's name or id.
    pub device: String,
    /// Frames per block of the output; doubled where the device refuses. At 48 kHz a chime waits for at most 5.3 ms
    /// with 256; a larger block costs less processor time.
    pub block_frames: Within<64, 4_096>,
    /// Seconds without a chime after which the open output is paused until the next one; 0 lets it run. A running
    /// output with small blocks costs several percent of a core, also in the sound server.
    pub idle_pause_s: Within<0, 86_400>,
}

impl Default for FeedbackConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            backend: Backend::Rodio,
            volume_percent: Within::new(100),
            device: "default".to_owned(),
            block_frames: Within::new(256),
            idle_pause_s: Within::new(1),
        }
    }
}

impl FeedbackConfig {
    /// The loudness as a factor, 0.0 to 1.0.
    #[must_use]
    pub fn volume(&self) -> f32 {
        self.volume_percent.get() as f32 / 100.0
    }
}

/// The players by their names in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The sound output, kept open with small blocks.
    #[default]
    Rodio,
    /// No device: every tone counts as played at once.
    Silent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_or_a_wild_number_is_refused() {
        let parse = |toml: &str| toml::from_str::<FeedbackConfig>(toml);
        assert_eq!(parse("").unwrap(), FeedbackConfig::default());
        let quiet = parse("backend = \"silent\"\nvolume_percent = 25").unwrap();
        assert_eq!((quiet.backend, quiet.volume()), (Backend::Silent, 0.25));
        for bad in ["volume = 3", "volume_percent = 101", "backend = \"beep\"", "enabled = \"yes\""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let written = toml::to_string(&FeedbackConfig::default()).unwrap();
        assert_eq!(parse(&written).unwrap(), FeedbackConfig::default());
    }
}
