//! Which ways a text takes into a window, in which order. Pure.

use serde::{Deserialize, Serialize};

use crate::config::Backend;
use crate::desktop::PasteChord;

/// One way into a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Keys.
    Type,
    /// The clipboard and a chord.
    Paste,
    /// Keys of a keyboard that the kernel believes in.
    Uinput,
    /// The clipboard, for the user to paste.
    Clipboard,
}

impl Way {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 4] = [Self::Type, Self::Paste, Self::Uinput, Self::Clipboard];

    /// Whether it leaves nothing with the program that has to outlive the text.
    pub const fn is_keys(self) -> bool {
        matches!(self, Self::Type | Self::Uinput)
    }

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Paste => "paste",
            Self::Uinput => "uinput",
            Self::Clipboard => "clipboard",
        }
    }
}

/// What is different for one application: an entry of `[[output.rules]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its X11 class or Wayland application id, in whichever case.
    pub app: App,
    /// How a text gets into it.
    pub sink: Way,
    /// The keys it pastes by; those of the section where there are none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paste_chord: Option<PasteChord>,
}

/// The name of an application; not empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct App(String);

impl TryFrom<String> for App {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name.trim().is_empty() {
            return Err(
                "a rule needs the class of its application (X11: `xprop WM_CLASS`), such as \"XTerm\"",
            );
        }
        Ok(Self(name))
    }
}

impl From<App> for String {
    fn from(app: App) -> Self {
        app.0
    }
}

/// The first rule for this application.
pub(crate) fn rule<'a>(rules: &'a [Rule], app: &str) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.app.0.to_lowercase() == app.to_lowercase())
}

/// Why the rules have no effect on the texts of this sink, where they have none.
pub(crate) fn idle(sink: Backend, rules: &[Rule]) -> Option<&'static str> {
    let why = match sink {
        Backend::Auto | Backend::Type | Backend::Paste | Backend::Uinput => None,
        Backend::Clipboard => Some("`output.sink` is \"clipboard\", where every text goes"),
        Backend::Stdout | Backend::File | Backend::Command => {
            Some("`output.sink` is none that puts texts into windows, such as \"auto\"")
        }
    };
    why.filter(|_| !rules.is_empty())
}

/// The ways to try, in this order: each when the one before it has put out nothing, and keys only when nothing that it left
/// behind can come out later. The last one is the clipboard. `uinput` is one where its keyboard has a `layout`.
pub(crate) fn ways(sink: Backend, rule: Option<&Rule>, layout: bool) -> &'static [Way] {
    match (rule.map(|rule| rule.sink), sink) {
        (_, Backend::Clipboard) | (Some(Way::Clipboard), _) => &[Way::Clipboard],
        (Some(Way::Type), _) | (None, Backend::Type) => &[Way::Type, Way::Clipboard],
        (Some(Way::Paste), _) | (None, Backend::Paste) => &[Way::Paste, Way::Clipboard],
        (Some(Way::Uinput), _) | (None, Backend::Uinput) => &[Way::Uinput, Way::Clipboard],
        // The other sinks have no ways; nobody asks for theirs.
        (None, Backend::Auto | Backend::Stdout | Backend::File | Backend::Command) => {
            if layout {
                &[Way::Type, Way::Paste, Way::Uinput, Way::Clipboard]
            } else {
                &[Way::Type, Way::Paste, Way::Clipboard]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_decides_before_the_section_and_every_way_ends_in_the_clipboard() {
        let rules: Vec<Rule> = [
            ("XTerm", Way::Paste),
            ("xterm", Way::Type),
            ("keepassxc", Way::Clipboard),
            ("kiosk", Way::Uinput),
        ]
        .map(|(app, sink)| Rule { app: App(app.to_owned()), sink, paste_chord: None })
        .into();
        assert!(idle(Backend::Auto, &rules).is_none() && idle(Backend::Stdout, &[]).is_none());
        assert!(idle(Backend::Clipboard, &rules).is_some() && idle(Backend::Stdout, &rules).is_some());
        let auto = ways(Backend::Auto, None, true);
        assert_eq!(auto, [Way::Type, Way::Paste, Way::Uinput, Way::Clipboard]);
        for (sink, app, expected) in [
            (Backend::Auto, "Emacs", &[Way::Type, Way::Paste, Way::Clipboard][..]),
            (Backend::Auto, "kiosk", &[Way::Uinput, Way::Clipboard]),
            (Backend::Uinput, "Emacs", &[Way::Uinput, Way::Clipboard]),
            (Backend::Uinput, "xterm", &[Way::Paste, Way::Clipboard]),
            (Backend::Auto, "XTERM", &[Way::Paste, Way::Clipboard]),
            (Backend::Type, "xterm", &[Way::Paste, Way::Clipboard]),
            (Backend::Type, "", &[Way::Type, Way::Clipboard]),
            (Backend::Paste, "Emacs", &[Way::Paste, Way::Clipboard]),
            (Backend::Paste, "KeePassXC", &[Way::Clipboard]),
            (Backend::Clipboard, "xterm", &[Way::Clipboard]),
        ] {
            let found = ways(sink, rule(&rules, app), false);
            assert_eq!(found, expected, "{sink:?} into {app:?}");
        }
    }
}
