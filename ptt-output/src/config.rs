//! The section `[output]` of the configuration.

use ptt_messages::Within;
use serde::{Deserialize, Serialize};

use crate::desktop::uinput::LayoutName;
use crate::desktop::{PasteChord, System};
use crate::rule::Rule;

/// The section `[output]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputConfig {
    /// Where texts go.
    pub sink: Backend,
    /// What follows each text, unless it ends in a line break of its own.
    pub trailing: Trailing,
    /// Of the sinks into windows: what becomes of the line breaks in a text and behind it.
    pub newline: Newline,
    /// The languages whose spoken commands are obeyed; empty for none.
    pub spoken_commands: Vec<Spoken>,
    /// Whether a text that goes on with an unfinished sentence begins in lower case.
    pub join: bool,
    /// Seconds after which a text no longer goes on with the one before it.
    pub join_s: Within<1, 3_600>,
    /// A program that makes the text from the text, and its arguments; empty for none. No shell is involved.
    pub post_command: Vec<String>,
    /// Milliseconds after which `post_command` is ended, with everything it started, and the text goes out without it.
    pub post_limit_ms: Within<50, 600_000>,
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
    /// Of the sinks into windows: which windowing system.
    pub desktop: System,
    /// Of the sinks into windows: the keys that make a window paste. Without any it is Shift+Insert, and through the portal,
    /// which has no primary selection for terminals to paste by that, Ctrl+V.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paste_chord: Option<PasteChord>,
    /// Of the sinks into windows: the keyboard layout of the text console or of a compositor that lets no program type. With it
    /// a keyboard of `/dev/uinput` is the last way before the clipboard; a guess would type wrong characters, so there is
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uinput_layout: Option<LayoutName>,
    /// Of the sinks into windows: milliseconds for which it is waited until the user holds no modifier.
    pub wait_for_modifiers_ms: Within<0, 60_000>,
    /// Of the sinks into windows: whether a text goes only into the window that had the keyboard at the release.
    pub same_window: bool,
    /// Of the sinks into windows: whether a text that is only in the clipboard is told by a notification.
    pub notify: bool,
    /// Of the sinks into windows: what is different for some applications.
    pub rules: Vec<Rule>,
    /// What is written in place of what was understood, in this order.
    pub replace: Vec<Replacement>,
    /// Of the sinks into windows: the program ends after one text, and with it what it would leave in the clipboard, so that the
    /// clipboard is no way. No key of this section either.
    #[serde(skip)]
    pub brief: bool,
    /// The outputs of the other profiles, whole. No keys of this section: whoever reads `[[profile]]` puts them here.
    #[serde(skip)]
    pub profiles: Vec<OutputConfig>,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self {
            sink: Backend::Auto,
            trailing: Trailing::Auto,
            newline: Newline::Space,
            spoken_commands: Vec::new(),
            join: true,
            join_s: Within::new(30),
            post_command: Vec::new(),
            post_limit_ms: Within::new(3_000),
            limit_ms: Within::new(2_000),
            file_path: "~/dictation.txt".to_owned(),
            file_mode: WriteMode::Append,
            file_sync: false,
            command: Vec::new(),
            command_limit_ms: Within::new(2_000),
            desktop: System::Auto,
            paste_chord: None,
            uinput_layout: None,
            wait_for_modifiers_ms: Within::new(2_000),
            same_window: true,
            notify: true,
            rules: Vec::new(),
            replace: Vec::new(),
            brief: false,
            profiles: Vec::new(),
        }
    }
}

/// The sinks by their names in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// Standard output of the daemon.
    Stdout,
    /// A file.
    File,
    /// The standard input of a program started for each text.
    Command,
    /// Keys typed into the focused window; the clipboard where that cannot be.
    Type,
    /// The clipboard, pasted into the focused window and given back; it keeps the text where that cannot be.
    Paste,
    /// Keys of a keyboard made with `/dev/uinput`, for whoever reads keyboards; the clipboard where that cannot be.
    Uinput,
    /// The clipboard.
    Clipboard,
    /// Typed, else pasted, else typed by `/dev/uinput` where its layout is named, else left in the clipboard. Without a desktop
    /// it is standard output.
    #[default]
    Auto,
}

impl Trailing {
    /// What follows each text of a sink that by itself lets `auto` follow.
    #[must_use]
    pub const fn after(self, auto: &'static str) -> &'static str {
        match self {
            Self::Auto => auto,
            Self::Newline => "\n",
            Self::Space => " ",
            Self::None => "",
        }
    }
}

/// What follows a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trailing {
    /// A space where texts are typed or pasted, nothing in the clipboard, the end of a line everywhere else.
    #[default]
    Auto,
    /// The end of a line: one line per take.
    Newline,
    /// A space: takes run on.
    Space,
    /// Nothing.
    None,
}

/// What becomes of a line break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newline {
    /// A space: nothing is sent, run or submitted by it.
    #[default]
    Space,
    /// The Return key, or a line break in what is pasted.
    Enter,
}

/// The languages with spoken commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoken {
    /// English.
    En,
    /// German.
    De,
}

/// One rule of `[[output.replace]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// What was understood.
    pub from: Phrase,
    /// What is written; empty to leave it out.
    pub to: String,
    /// Whether it must stand as words of its own: "cat" is not in "concatenate". Has to be off in scripts without
    /// spaces.
    #[serde(default = "yes")]
    pub whole_word: bool,
    /// Whether upper and lower case are the same.
    #[serde(default = "yes")]
    pub ignore_case: bool,
}

const fn yes() -> bool {
    true
}

/// What a rule looks for: at least one visible character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phrase(String);

/// Not a [`Phrase`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPhrase {
    /// It would be found everywhere.
    #[error("`from` is empty; name the words to replace")]
    Blank,
    /// Nobody says that in one breath.
    #[error("`from` has {0} characters, allowed are {max}", max = Phrase::LONGEST)]
    Long(usize),
}

impl Phrase {
    /// How many characters one may have.
    pub const LONGEST: usize = 200;

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Phrase {
    type Error = BadPhrase;

    fn try_from(phrase: String) -> Result<Self, BadPhrase> {
        match phrase.chars().count() {
            _ if phrase.trim().is_empty() => Err(BadPhrase::Blank),
            long if long > Self::LONGEST => Err(BadPhrase::Long(long)),
            _ => Ok(Self(phrase.trim().to_owned())),
        }
    }
}

impl From<Phrase> for String {
    fn from(phrase: Phrase) -> Self {
        phrase.0
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
            "spoken_commands = true",
            "spoken_commands = [\"tlh\"]",
            "join_s = 0",
            "[[replace]]\nfrom = \" \"\nto = \"a\"",
            "[[replace]]\nfrom = \"a rule without a `to`\"",
            "[[replace]]\nfrom = \"a\"\nto = \"b\"\nwhole_words = true",
            "newline = \"return\"",
            "paste_chord = \"V\"",
            "uinput_layout = \"us,de\"",
            "uinput_layout = \"\"",
            "uinput_layout = \"../de\"",
            "uinput_layout = \"de()\"",
            "rules = [{ app = \"\", sink = \"type\" }]",
            "rules = [{ app = \"xterm\", sink = \"file\" }]",
            "rules = [{ app = \"xterm\" }]",
            "rules = [{ application = \"xterm\", sink = \"type\" }]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse("[[replace]]\nfrom = \"\"\nto = \"a\"").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("name the words to replace"), "{error}");
        assert!(parse(&format!("[[replace]]\nfrom = \"{}\"\nto = \"\"", "x".repeat(201))).is_err());

        let rules = "[[replace]]\nfrom = \" teh \"\nto = \"the\"\n[[replace]]\nfrom = \"um\"\nto = \"\"";
        let rules = parse(rules).unwrap();
        assert_eq!(rules.replace[0].from.as_str(), "teh");
        assert!(rules.replace[1].whole_word && rules.replace[1].ignore_case);
        let rule =
            "sink = \"auto\"\n[[rules]]\napp = \"xterm\"\nsink = \"paste\"\npaste_chord = \"Ctrl+V\"\n";
        let uinput = parse("sink = \"uinput\"\nuinput_layout = \"de(nodeadkeys)\"").unwrap();
        for config in [OutputConfig::default(), rules, parse(rule).unwrap(), uinput] {
            assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn what_follows_a_text_is_what_its_sink_wants_or_the_user() {
        for (trailing, ending) in [("auto", "?"), ("newline", "\n"), ("space", " "), ("none", "")] {
            let config: OutputConfig = toml::from_str(&format!("trailing = '{trailing}'")).unwrap();
            assert_eq!(config.trailing.after("?"), ending, "{trailing}");
        }
    }
}
