//! The section `[output]` of the configuration.

use ptt_messages::Within;
use serde::{Deserialize, Serialize};

/// The section `[output]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputConfig {
    /// Where texts go.
    pub sink: Backend,
    /// What follows each text.
    pub trailing: Trailing,
    /// Milliseconds after which a sink that does not take a text has failed.
    pub limit_ms: Within<50, 600_000>,
    /// Of the sink `file`: its path; a leading `~` is the home directory.
    pub file_path: String,
    /// Of the sink `file`: what happens to the texts already in it.
    pub file_mode: WriteMode,
    /// Of the sink `file`: whether a text counts as delivered only when it is on the disk.
    pub file_sync: bool,
    /// Of the sink `command`: the program and its arguments. The text is its standard input; no shell is involved.
    pub command: Vec<String>,
    /// Of the sink `command`: milliseconds after which it is ended, with everything it started.
    pub command_limit_ms: Within<50, 600_000>,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self {
            sink: Backend::Stdout,
            trailing: Trailing::Newline,
            limit_ms: Within::new(2_000),
            file_path: "~/dictation.txt".to_owned(),
            file_mode: WriteMode::Append,
            file_sync: false,
            command: Vec::new(),
            command_limit_ms: Within::new(2_000),
        }
    }
}

/// The sinks by their names in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// Standard output of the daemon.
    #[default]
    Stdout,
    /// A file.
    File,
    /// The standard input of a program started for each text.
    Command,
}

/// What follows a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trailing {
    /// The end of a line: one line per take.
    #[default]
    Newline,
    /// A space: takes run on.
    Space,
    /// Nothing.
    None,
}

impl Trailing {
    /// The characters.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Newline => "\n",
            Self::Space => " ",
            Self::None => "",
        }
    }
}

/// What happens to what a file already holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// It stays, the text follows it.
    #[default]
    Append,
    /// It goes, once the text is written whole.
    Overwrite,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_or_a_wild_number_is_refused() {
        let parse = |toml: &str| toml::from_str::<OutputConfig>(toml);
        assert_eq!(parse("").unwrap(), OutputConfig::default());
        let command = parse("sink = \"command\"\ncommand = [\"wl-copy\", \"--trim-newline\"]").unwrap();
        assert_eq!((command.sink, command.command.len()), (Backend::Command, 2));
        for bad in [
            "sink = \"printer\"",
            "command = \"a shell line\"",
            "command_limit_ms = 1",
            "file = \"x\"",
            "trailing = 1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let written = toml::to_string(&OutputConfig::default()).unwrap();
        assert_eq!(parse(&written).unwrap(), OutputConfig::default());
    }
}
