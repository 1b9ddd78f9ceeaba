//! `[[profile]]`: more chords, each with a language, a vocabulary and an output of its own.
//!
//! What lives here: the sections as they are written, their names, and what each role gets of them. What a take's profile does is
//! the roles' affair; they know its number only.

use std::fmt;

use ptt_keyboard::{Chord, ProfileChord};
use ptt_messages::Profile;
use ptt_output::OutputConfig;
use ptt_stt::ProfileSpeech;
use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError};

/// One `[[profile]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfig {
    /// For `--profile` and `status`.
    pub name: ProfileName,
    /// Its keys, as `keyboard.chord`; none where only `press --profile` and `toggle --profile` begin its takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chord: Option<Chord>,
    /// As `stt.language`, which it is where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// As `stt.vocabulary`, which it is where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vec<String>>,
    /// Any keys of `[output]`; the others are as there. Whole once the configuration has been read.
    #[serde(default)]
    pub output: OutputConfig,
}

/// What people call a profile: letters, digits, `-` and `_`, at most 40, and not `default`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

/// Not a [`ProfileName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProfileName {
    /// It is the name of what stands outside of all profiles.
    #[error("\"default\" is the profile of the keys outside of [[profile]]; choose another name")]
    Taken,
    /// It could not be typed.
    #[error("{0:?} is no name of a profile: write 1 to 40 letters, digits, - and _")]
    Unfit(String),
}

/// The names of all profiles, the default one's first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profiles(Vec<String>);

impl ProfileName {
    const LONGEST: usize = 40;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProfileName {
    type Error = BadProfileName;

    fn try_from(name: String) -> Result<Self, BadProfileName> {
        let fit = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        match name.chars().count() {
            _ if name == Profile::DEFAULT_NAME => Err(BadProfileName::Taken),
            1..=Self::LONGEST if name.chars().all(fit) => Ok(Self(name)),
            _ => Err(BadProfileName::Unfit(name)),
        }
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}

impl Profiles {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let others = config.profile.iter().map(|profile| profile.name.0.clone());
        Self(std::iter::once(Profile::DEFAULT_NAME.to_owned()).chain(others).collect())
    }

    /// The profile with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Profile> {
        let at = self.0.iter().position(|known| known == name)?;
        u8::try_from(at).ok().map(Profile)
    }

    /// What a profile is called.
    #[must_use]
    pub fn name(&self, profile: Profile) -> String {
        self.0.get(profile.index()).map_or_else(|| profile.to_string(), Clone::clone)
    }
}

impl Default for Profiles {
    fn default() -> Self {
        Self(vec![Profile::DEFAULT_NAME.to_owned()])
    }
}

impl fmt::Display for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Completes the outputs of the profiles with `[output]`, and gives each role's section what it needs of them. `written` is the
/// configuration as it was written: only it knows which keys were left out.
///
/// # Errors
/// Two profiles of one name, or too many.
pub(crate) fn resolve(config: &mut Config, written: &toml::Table) -> Result<(), ConfigError> {
    let none = Vec::new();
    let sections = written.get("profile").and_then(toml::Value::as_array).unwrap_or(&none);
    let whole = toml::Table::try_from(&config.output).expect("a section is a table of plain values");
    for (profile, section) in config.profile.iter_mut().zip(sections) {
        let mut output = whole.clone();
        if let Some(named) = section.get("output").and_then(toml::Value::as_table) {
            output.extend(named.clone());
        }
        let at_fault = |e: toml::de::Error| {
            ConfigError::Contradiction(format!(
                "profile {:?}, output: {}",
                profile.name.as_str(),
                e.message()
            ))
        };
        profile.output = output.try_into().map_err(at_fault)?;
    }
    let names = config.profile.iter().map(|profile| &profile.name);
    for (n, name) in names.clone().enumerate() {
        if names.clone().take(n).any(|before| before == name) {
            let why = format!("two profiles have the name {:?}; give one of them another", name.as_str());
            return Err(ConfigError::Contradiction(why));
        }
    }
    if config.profile.len() >= Profile::MOST {
        let most = Profile::MOST - 1;
        return Err(ConfigError::Contradiction(format!(
            "there are more than {most} profiles; leave some out"
        )));
    }
    let numbered = || (1_u8..).map(Profile).zip(&config.profile);
    config.keyboard.profiles = numbered()
        .filter_map(|(profile, section)| {
            let (name, chord) = (section.name.0.clone(), section.chord.clone()?);
            Some(ProfileChord { profile, name, chord })
        })
        .collect();
    config.stt.profiles = numbered()
        .map(|(_, section)| ProfileSpeech {
            name: section.name.0.clone(),
            language: section.language.clone(),
            vocabulary: section.vocabulary.clone(),
        })
        .collect();
    config.output.profiles = numbered().map(|(_, section)| section.output.clone()).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use ptt_output::{Backend, Trailing};

    use super::*;

    fn parse(text: &str, sets: &[&str]) -> Result<Config, ConfigError> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Config::parse(text, "config.toml", [], &sets)
    }

    const TWO: &str = r#"
[stt]
model = "tiny"
[output]
sink = "file"
trailing = "space"
[[profile]]
name = "german"
chord = "F9"
language = "de"
vocabulary = ["Kubernetes"]
[profile.output]
sink = "clipboard"
post_command = ["cat"]
[[profile]]
name = "by_hand"
"#;

    #[test]
    fn what_a_profile_leaves_out_is_as_outside_of_it() {
        let config = parse(TWO, &["output.trailing=none"]).unwrap();
        let [german, by_hand] = &config.output.profiles[..] else { panic!("two of them") };
        assert_eq!((german.sink, german.trailing), (Backend::Clipboard, Trailing::None));
        assert_eq!(german.post_command, ["cat"]);
        let plain = OutputConfig { profiles: Vec::new(), ..config.output.clone() };
        assert_eq!(*by_hand, plain);
        let [chord] = &config.keyboard.profiles[..] else { panic!("one of them has a chord") };
        assert_eq!((chord.profile, chord.chord.to_string()), (Profile(1), "F9".to_owned()));
        let speech = &config.stt.profiles;
        assert_eq!((speech[0].language.as_deref(), speech[1].language.as_deref()), (Some("de"), None));
        let names = Profiles::of(&config);
        assert_eq!(names.to_string(), "default, german, by_hand");
        assert_eq!(names.find("by_hand").map(|profile| names.name(profile)).as_deref(), Some("by_hand"));
        assert_eq!(names.find("french"), None);
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let config = parse(TWO, &[]).unwrap();
        assert_eq!(parse(&config.to_toml(), &[]).unwrap(), config);
    }

    #[test]
    fn an_error_says_where_or_names_both() {
        for (text, parts) in [
            ("[[profile]]\nname = \"a b\"\n", &["line 2, column 8", "\"a b\"", "letters"][..]),
            ("[[profile]]\nname = \"default\"\n", &["line 2", "choose another name"]),
            ("[[profile]]\nchord = \"F9\"\n", &["line 1", "missing field `name`"]),
            ("[[profile]]\nname = \"a\"\nchrod = \"F9\"\n", &["line 3", "did you mean `chord`"]),
            ("[[profile]]\nname = \"a\"\nchord = \"F99\"\n", &["line 3, column 9", "F99"]),
            ("[[profile]]\nname = \"a\"\n[profile.output]\nsnik = 1\n", &["line 4", "did you mean `sink`"]),
            (
                "[[profile]]\nname = \"a\"\n[profile.output]\nlimit_ms = 1\n",
                &["line 4, column 12", "allowed is 50"],
            ),
            ("[[profile]]\nname = \"a\"\n[[profile]]\nname = \"a\"\n", &["two profiles", "\"a\""]),
            ("[[profile]]\nname = \"a\"\nchord = \"Right+Down\"\n", &["\"default\"", "\"a\"", "Right+Down"]),
            ("[[profile]]\nname = \"a\"\nchord = \"Escape+F9\"\n", &["Escape", "Escape+F9"]),
            ("[[profile]]\nname = \"a\"\nlanguage = \"de\"\n", &["\"a\"", "tiny.en", "without `.en`"]),
        ] {
            let error = parse(text, &[]).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
            }
        }
        let many: String = (0..Profile::MOST).map(|n| format!("[[profile]]\nname = \"p{n}\"\n")).collect();
        assert!(parse(&many, &[]).unwrap_err().to_string().contains("more than 31 profiles"));
    }
}
