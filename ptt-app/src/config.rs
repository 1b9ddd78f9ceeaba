//! The configuration as a whole: one section per crate, joined here; read from a file, the environment and `--set`.
//!
//! What a section may hold is its own crate's affair; every number's range is part of its type, so that an error
//! carries the line and column of the file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::profile::{self, ProfileConfig};

/// The commented default, which `config init` writes. A test holds it equal to [`Config::default`].
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The state machine: modes and patience.
    pub controller: ptt_controller::ControllerConfig,
    /// The chord and where keys come from.
    pub keyboard: ptt_keyboard::KeyboardConfig,
    /// The microphone and the edges of a take.
    pub audio: ptt_audio::AudioConfig,
    /// The engine and its model.
    pub stt: ptt_stt::SttConfig,
    /// Chimes.
    pub feedback: ptt_feedback::FeedbackConfig,
    /// Where texts go.
    pub output: ptt_output::OutputConfig,
    /// More chords, each with what is different for its takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<ProfileConfig>,
    /// Residency and budgets.
    pub resources: ptt_resources::ResourcesConfig,
    /// The Prometheus endpoint.
    pub metrics: MetricsConfig,
    /// Logs.
    pub log: LogConfig,
    /// Nothing of ours: sections for actors of a custom build, as they like them.
    pub custom: toml::Table,
}

/// Section `[metrics]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether there is an endpoint.
    pub enabled: bool,
    /// Where it listens. Anything but a loopback address needs `allow_remote`.
    pub listen: SocketAddr,
    /// Whether other machines may read it.
    pub allow_remote: bool,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { enabled: true, listen: (Ipv4Addr::LOCALHOST, 9091).into(), allow_remote: false }
    }
}

/// Section `[log]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// A level (`error` to `trace`) or a `tracing` filter such as `info,ptt_audio=debug`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// What is wrong with a configuration. Every text says where and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line is not there.
    #[error("cannot read {path}: {source}; `ptt-app config init` writes a commented one")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Syntax, an unknown key, a wrong type or a value out of range in the file.
    #[error("{path}: {error}{hint}")]
    File {
        /// The file.
        path: String,
        /// toml's own report: line, column, the line itself and what is allowed.
        error: String,
        /// The nearest known key, where a key is unknown.
        hint: Hint,
    },
    /// The same in `--set` or the environment.
    #[error("{origin}: {error}{hint}")]
    Override {
        /// `--set audio.pre_roll_ms=9999` or the variable's name.
        origin: String,
        /// What is wrong.
        error: String,
        /// The nearest known key, where a key is unknown.
        hint: Hint,
    },
    /// Two settings that do not go together.
    #[error("{0}")]
    Contradiction(String),
}

/// "did you mean", or nothing.
#[derive(Debug, Default)]
pub struct Hint(Option<String>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(near) => write!(f, "\ndid you mean `{near}`?"),
            None => Ok(()),
        }
    }
}

/// One `section.key = value` from outside the file, with where it came from.
#[derive(Clone, Debug)]
struct Override {
    origin: String,
    path: Vec<String>,
    value: toml::Value,
}

impl Config {
    /// Reads `file` (or the user's own, where there is one), then the environment, then `sets`: the last one wins.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn load(file: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        let path = file.map_or_else(user_file, Path::to_path_buf);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) if file.is_some() || source.kind() != std::io::ErrorKind::NotFound => {
                return Err(ConfigError::Unreadable { path: path.display().to_string(), source });
            }
            Err(_) => String::new(),
        };
        // What is no text is none of ours, whoever put it there.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::parse(&text, &path.display().to_string(), variables, sets)
    }

    /// The same from values: `text` of a file called `path`, variables, and `section.key=value` strings.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        path: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        sets: &[String],
    ) -> Result<Self, ConfigError> {
        let file_error = |e: &toml::de::Error| ConfigError::File {
            path: path.to_owned(),
            error: e.to_string().trim_end().to_owned(),
            hint: nearest(e.message()),
        };
        let mut config: Self = toml::from_str(text).map_err(|e| file_error(&e))?;
        let mut table: toml::Table = toml::from_str(text).map_err(|e| file_error(&e))?;
        let mut overrides = from_environment(environment);
        for set in sets {
            overrides.push(from_set(set)?);
        }
        for o in overrides {
            insert(&mut table, &o)?;
            config = table.clone().try_into().map_err(|e: toml::de::Error| ConfigError::Override {
                origin: o.origin.clone(),
                error: e.message().to_owned(),
                hint: nearest(e.message()),
            })?;
        }
        profile::resolve(&mut config, &table)?;
        config.check()?;
        Ok(config)
    }

    /// This configuration with some keys set otherwise: `section.key=value` each.
    ///
    /// # Errors
    /// As [`Config::load`], for the given keys.
    pub fn overridden(&self, sets: &[String]) -> Result<Self, ConfigError> {
        Self::parse(&self.to_toml(), "configuration", [], sets)
    }

    /// The configuration as TOML, defaults included.
    ///
    /// # Panics
    /// Never: every section is a table of plain values.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("sections are tables of plain values")
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.metrics.enabled && !self.metrics.listen.ip().is_loopback() && !self.metrics.allow_remote {
            return Err(ConfigError::Contradiction(format!(
                "metrics.listen = \"{}\" can be read by other machines; use 127.0.0.1, or say metrics.allow_remote = true",
                self.metrics.listen
            )));
        }
        let contradiction = |why: String| ConfigError::Contradiction(why);
        let (post_roll, starve) = (self.audio.post_roll_ms.get(), self.audio.starve_ms.get());
        let stop = self.controller.stop_deadline_ms.get();
        if stop <= post_roll + starve {
            return Err(contradiction(format!(
                "controller.stop_deadline_ms = {stop} is not longer than audio.post_roll_ms = {post_roll} and audio.starve_ms = \
                 {starve} together, so that a take whose microphone falters at its end would be given up; raise the first"
            )));
        }
        crate::log_filter::parse(&self.log.filter).map_err(contradiction)?;
        // Said here too, where nothing has been started yet.
        self.keyboard.watched().map_err(|e| contradiction(e.to_string()))?;
        ptt_stt::engine::check_languages(&self.stt).map_err(|e| contradiction(e.to_string()))
    }
}

/// `$XDG_CONFIG_HOME/ptt/config.toml`, or under `~/.config`. A user without a home directory has none:
/// no file of the working directory takes its place.
#[must_use]
pub fn user_file() -> PathBuf {
    ptt_dirs::config().unwrap_or_else(|| "/nonexistent".into()).join("ptt/config.toml")
}

/// `PTT_AUDIO__PRE_ROLL_MS=200` is `audio.pre_roll_ms = 200`. Variables of sections that do not exist are errors later.
fn from_environment(vars: impl IntoIterator<Item = (String, String)>) -> Vec<Override> {
    let sorted: BTreeMap<String, String> = vars.into_iter().collect();
    sorted
        .into_iter()
        .filter_map(|(name, value)| {
            let (section, key) = name.strip_prefix("PTT_")?.split_once("__")?;
            let path = vec![section.to_lowercase(), key.to_lowercase()];
            Some(Override { origin: name.clone(), path, value: to_value(&value) })
        })
        .collect()
}

fn from_set(set: &str) -> Result<Override, ConfigError> {
    let origin = format!("--set {set}");
    match set.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok(Override {
            path: key.trim().split('.').map(str::to_owned).collect(),
            value: to_value(value.trim()),
            origin,
        }),
        Some(_) | None => Err(ConfigError::Override {
            origin,
            error: "expected section.key=value, such as audio.pre_roll_ms=300".into(),
            hint: Hint::default(),
        }),
    }
}

/// A TOML value where it is one, else the text itself, so that `keyboard.chord=F13` needs no quotes.
fn to_value(text: &str) -> toml::Value {
    toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

fn insert(table: &mut toml::Table, o: &Override) -> Result<(), ConfigError> {
    let (key, sections) = o.path.split_last().expect("a path has at least a section and a key");
    let mut at = table;
    for section in sections {
        at = at
            .entry(section.clone())
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| ConfigError::Override {
                origin: o.origin.clone(),
                error: format!("`{section}` is a value, not a section"),
                hint: Hint::default(),
            })?;
    }
    at.insert(key.clone(), o.value.clone());
    Ok(())
}

/// Reads the unknown name and the allowed ones out of serde's message, and finds the nearest.
fn nearest(message: &str) -> Hint {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let near = message.starts_with("unknown").then(|| quoted.next()).flatten().and_then(|unknown| {
        quoted
            .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, known)| known.to_owned())
    });
    Hint(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, sets: &[&str]) -> Result<Config, ConfigError> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        Config::parse(text, "config.toml", [], &sets)
    }

    #[test]
    fn the_written_default_is_the_built_in_one() {
        assert_eq!(parse(DEFAULT_TOML, &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_written_default_shows_every_key() {
        let shown: toml::Table = DEFAULT_TOML.lines().map(uncommented).collect::<String>().parse().unwrap();
        let built_in: toml::Table = Config::default().to_toml().parse().unwrap();
        for (section, keys) in &built_in {
            let shown = shown.get(section).and_then(toml::Value::as_table);
            for key in keys.as_table().unwrap().keys() {
                assert!(shown.is_some_and(|t| t.contains_key(key)), "default.toml lacks {section}.{key}");
            }
        }
    }

    /// Lines like `# key = value` show optional keys; everything else after `#` is prose.
    fn uncommented(line: &str) -> String {
        match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        }
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let config = Config::default();
        assert_eq!(parse(&config.to_toml(), &[]).unwrap(), config);
    }

    #[test]
    fn errors_name_line_column_and_what_is_allowed() {
        for (text, expected) in [
            (
                "[audio]\npre_roll = 300\n",
                vec!["line 2, column 1", "unknown field", "pre_roll_ms", "did you mean"],
            ),
            ("[audio]\npre_roll_ms = 99999\n", vec!["line 2, column 15", "out of range", "1000"]),
            ("[audio]\npre_roll_ms = \"x\"\n", vec!["line 2, column 15", "invalid type"]),
            ("[adio]\n", vec!["line 1", "unknown field `adio`", "`audio`"]),
            ("[audio\n", vec!["line 1"]),
        ] {
            let error = parse(text, &[]).unwrap_err().to_string();
            for part in expected {
                assert!(error.contains(part), "{text:?} gave {error:?}, which lacks {part:?}");
            }
        }
    }

    #[test]
    fn a_take_whose_microphone_falters_is_not_given_up_before_that_is_noticed() {
        let error = parse("", &["audio.starve_ms=2500"]).unwrap_err().to_string();
        for part in
            ["controller.stop_deadline_ms = 3000", "audio.post_roll_ms = 500", "audio.starve_ms = 2500"]
        {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
        parse("", &["audio.starve_ms=2499"]).unwrap();
        parse("", &["audio.starve_ms=10000", "controller.stop_deadline_ms=20000"]).unwrap();
    }

    #[test]
    fn sets_and_variables_override_the_file_in_that_order() {
        let file = "[audio]\npre_roll_ms = 100\n";
        let vars = [("PTT_AUDIO__PRE_ROLL_MS".to_owned(), "200".to_owned())];
        let ms =
            |sets: &[String]| Config::parse(file, "f", vars.clone(), sets).unwrap().audio.pre_roll_ms.get();
        assert_eq!(ms(&[]), 200);
        assert_eq!(ms(&["audio.pre_roll_ms=250".into()]), 250);
        assert_eq!(parse(file, &["keyboard.chord=F13"]).unwrap().keyboard.chord.to_string(), "F13");
    }

    #[test]
    fn a_bad_set_says_which_one() {
        for (set, expected) in [
            ("audio.pre_rol_ms=1", "did you mean `pre_roll_ms`"),
            ("audio.pre_roll_ms=5000", "allowed is 0 to 1000"),
            ("pre_roll_ms=5", "expected section.key=value"),
            ("audio", "expected section.key=value"),
        ] {
            let error = parse("", &[set]).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(set), "{error}");
        }
    }

    #[test]
    fn metrics_stay_on_this_machine_unless_asked() {
        let error = parse("[metrics]\nlisten = \"0.0.0.0:9091\"\n", &[]).unwrap_err().to_string();
        assert!(error.contains("allow_remote"), "{error}");
        assert!(parse("[metrics]\nlisten = \"0.0.0.0:9091\"\nallow_remote = true\n", &[]).is_ok());
    }
}
