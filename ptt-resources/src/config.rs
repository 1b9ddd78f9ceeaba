//! The section `[resources]` of the configuration.

use ptt_messages::Within;
use serde::{Deserialize, Serialize};

/// The section `[resources]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourcesConfig {
    /// When the model is loaded.
    pub model: Residency,
    /// Seconds without a take after which the model's memory is given back; 0 keeps it for ever.
    pub model_idle_s: Within<0, 604_800>,
    /// Seconds between two samples of what the process uses.
    pub probe_s: Within<1, 3_600>,
    /// Where those samples come from.
    pub probe: Backend,
}

impl Default for ResourcesConfig {
    fn default() -> Self {
        Self {
            model: Residency::AtStart,
            model_idle_s: Within::new(0),
            probe_s: Within::new(10),
            probe: Backend::Process,
        }
    }
}

/// When the model is loaded for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residency {
    /// When the daemon starts: the first take is as quick as the later ones.
    #[default]
    AtStart,
    /// At the first press: no memory is used before it, and the first take waits for the load.
    OnFirstPress,
}

/// Where the figures of the process come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The process itself, from `/proc/self`.
    #[default]
    Process,
    /// Nowhere: no figures.
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_or_a_wild_number_is_refused() {
        let parse = |toml: &str| toml::from_str::<ResourcesConfig>(toml);
        assert_eq!(parse("").unwrap(), ResourcesConfig::default());
        assert_eq!(parse("model = \"on_first_press\"").unwrap().model, Residency::OnFirstPress);
        for bad in ["model_idle = 3", "model = \"never\"", "probe_s = 0", "model_idle_s = -1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let written = toml::to_string(&ResourcesConfig::default()).unwrap();
        assert_eq!(parse(&written).unwrap(), ResourcesConfig::default());
    }
}
