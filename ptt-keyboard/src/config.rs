//! The section `[keyboard]` of the configuration.

use std::path::PathBuf;

use ptt_messages::Within;
use serde::{Deserialize, Serialize};

use crate::KeyboardError;
use crate::chord::{CancelKey, Chord, ProfileChord, Watched};
use crate::keys::Key;
use crate::source::Backend;
use crate::source::scripted::Script;

/// What the keyboard is told by its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyboardConfig {
    /// Where edges come from; `auto` tries those of [`crate::source::AUTO`].
    pub backend: Backend,
    /// The keys to hold, `"Down+Right"`.
    pub chord: Chord,
    /// The key that throws a take away, `""` for none.
    pub cancel: CancelKey,
    /// Keep the chord from the windows, where the backend can.
    pub swallow: bool,
    /// How long a release is held back in case the key only bounced. Delays every release by as much: for worn switches.
    pub bounce_ms: Within<0, 500>,
    /// Parts of the names of the devices to listen to; empty for all. evdev only.
    pub devices: Vec<String>,
    /// Whether sleep, lock and another session in front end a take and make keys count only once they are pressed afresh.
    pub session: bool,
    /// What the backend `scripted` plays.
    pub script: Script,
    /// The same from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_file: Option<PathBuf>,
    /// How often the script is played.
    pub script_repeat: Within<1, 1_000_000>,
    /// The pause between two rounds of the script.
    pub script_gap_ms: Within<0, 600_000>,
    /// The chords of other profiles. No keys of this section: whoever reads `[[profile]]` puts them here.
    #[serde(skip)]
    pub profiles: Vec<ProfileChord>,
}

impl Default for KeyboardConfig {
    fn default() -> Self {
        let known = |name: &str| name.parse::<Key>().expect("the default keys have names");
        Self {
            backend: Backend::Auto,
            chord: "Down+Right".parse().expect("the default chord is one"),
            cancel: CancelKey(Some(known("Escape"))),
            swallow: false,
            bounce_ms: Within::new(0),
            devices: Vec::new(),
            session: true,
            script: Script::default(),
            script_file: None,
            script_repeat: Within::new(1),
            script_gap_ms: Within::new(500),
            profiles: Vec::new(),
        }
    }
}

impl KeyboardConfig {
    /// The keys of the chords and the cancel key.
    ///
    /// # Errors
    /// As [`Watched::new`].
    pub fn watched(&self) -> Result<Watched, KeyboardError> {
        Watched::new(&self.chord, &self.profiles, self.cancel)
    }

    /// Whether a device of this name is to be listened to.
    #[must_use]
    pub fn wants_device(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.devices.is_empty() || self.devices.iter().any(|part| name.contains(&part.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_reads_back_and_is_what_we_document() {
        let text = toml::to_string(&KeyboardConfig::default()).unwrap();
        assert_eq!(toml::from_str::<KeyboardConfig>(&text).unwrap(), KeyboardConfig::default());
        assert!(text.contains("chord = \"Down+Right\"") && text.contains("cancel = \"Escape\""), "{text}");
    }

    #[test]
    fn an_error_names_line_and_remedy() {
        for (toml, parts) in [
            ("\nchord = 'Dwon'", ["line 2", "did you mean Down"]),
            ("chrod = 'Down'", ["line 1", "unknown field `chrod`"]),
            ("bounce_ms = 501", ["line 1", "allowed is 0 to 500"]),
            ("backend = 'x12'", ["unknown variant", "`evdev`"]),
            ("cancel = 'Esacpe'", ["line 1", "did you mean Escape"]),
        ] {
            let error = toml::from_str::<KeyboardConfig>(toml).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let config: KeyboardConfig = toml::from_str("chord = 'Escape'").unwrap();
        assert!(config.watched().unwrap_err().to_string().contains("choose another one"));
        let config: KeyboardConfig = toml::from_str("chord = 'Escape'\ncancel = ''").unwrap();
        assert_eq!(config.watched().unwrap().cancel(), None);
    }

    #[test]
    fn a_backend_that_cannot_see_the_keys_is_named_before_it_is_opened() {
        for (toml, part) in [
            ("backend = 'x11'\nchord = 'PadSouth'", "x11 cannot see PadSouth"),
            ("backend = 'inputbot'", "inputbot cannot see Down, Right"),
            ("backend = 'scripted'", "set exactly one of them"),
            ("backend = 'scripted'\nscript_file = '/no/such'", "cannot read the key script /no/such"),
            ("backend = 'scripted'\nscript = '+1ms down A'", "+1ms down A"),
            ("cancel = 'Down'", "choose another one"),
            ("backend = 'x11'", ""),
            ("backend = 'evdev'\nchord = 'PadSouth'", ""),
            ("backend = 'scripted'\nscript = '+1ms down'", ""),
            ("", ""),
        ] {
            let checked = crate::check(&toml::from_str(toml).unwrap());
            let text = checked.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(text.contains(part) && text.is_empty() == part.is_empty(), "{toml}: {text:?}");
        }
    }

    #[test]
    fn devices_are_chosen_by_parts_of_their_names() {
        let config: KeyboardConfig = toml::from_str("devices = ['keychron', 'Pedal']").unwrap();
        for (name, wanted) in [("Keychron K2", true), ("USB foot PEDAL", true), ("AT keyboard", false)] {
            assert_eq!(config.wants_device(name), wanted, "{name}");
        }
        assert!(KeyboardConfig::default().wants_device("anything"));
    }
}
