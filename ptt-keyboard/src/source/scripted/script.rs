//! The language of key scripts, purely.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chord::Watched;
use crate::{Key, KeyboardError};

/// A list of steps; empty where the configuration has none. Written as one text with `;` or line ends between the steps
/// (`#` begins a comment), or as a list of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Script(Vec<Step>);

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long after the step before; less than a day.
    pub after: Duration,
    /// What.
    pub action: Action,
}

/// What happens in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A key of any chord goes down, or all of the default profile's.
    Down(Option<Key>),
    /// A key of any chord goes up, or all of the default profile's.
    Up(Option<Key>),
    /// The cancel key goes down and up.
    Cancel,
    /// One gesture that starts or ends a take.
    Toggle,
    /// The keyboard is pulled out.
    Unplug,
}

/// The two ways to write a script.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    List(Vec<String>),
}

impl Script {
    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether nothing happens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that the script moves keys of chords only, and has a cancel key where it uses it.
    ///
    /// # Errors
    /// [`KeyboardError::BadScript`].
    pub fn check(&self, watched: &Watched) -> Result<(), KeyboardError> {
        let chords = watched.in_chords();
        for (n, step) in self.0.iter().enumerate() {
            let reason = match step.action {
                Action::Down(Some(key)) | Action::Up(Some(key))
                    if !watched.slot(key.code()).is_some_and(|slot| chords.has(slot)) =>
                {
                    format!("{key} is not a key of a chord")
                }
                Action::Cancel if watched.cancel().is_none() => "keyboard.cancel names no key".to_owned(),
                Action::Down(_) | Action::Up(_) | Action::Cancel | Action::Toggle | Action::Unplug => {
                    continue;
                }
            };
            return Err(KeyboardError::BadScript { step: n + 1, text: step.to_string(), reason });
        }
        Ok(())
    }
}

impl FromStr for Script {
    type Err = KeyboardError;

    fn from_str(text: &str) -> Result<Self, KeyboardError> {
        let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(script, _)| script));
        let steps = lines.flat_map(|line| line.split(';')).map(str::trim).filter(|step| !step.is_empty());
        let read = steps.enumerate().map(|(n, text)| {
            step(text).map_err(|reason| KeyboardError::BadScript {
                step: n + 1,
                text: text.to_owned(),
                reason,
            })
        });
        read.collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<Written> for Script {
    type Error = KeyboardError;

    fn try_from(written: Written) -> Result<Self, KeyboardError> {
        match written {
            Written::Text(text) => text.parse(),
            Written::List(steps) => steps.join("\n").parse(),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            write!(f, "{}{step}", if n == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl From<Script> for String {
    fn from(script: Script) -> Self {
        script.to_string()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after.as_micros() {
            0 => {}
            us if us % 1_000 == 0 => write!(f, "+{}ms ", us / 1_000)?,
            us => write!(f, "+{us}us ")?,
        }
        match self.action {
            Action::Down(None) => f.write_str("down"),
            Action::Up(None) => f.write_str("up"),
            Action::Down(Some(key)) => write!(f, "down {key}"),
            Action::Up(Some(key)) => write!(f, "up {key}"),
            Action::Cancel => f.write_str("cancel"),
            Action::Toggle => f.write_str("toggle"),
            Action::Unplug => f.write_str("unplug"),
        }
    }
}

fn step(text: &str) -> Result<Step, String> {
    let mut words = text.split_whitespace().peekable();
    let after = match words.next_if(|word| word.starts_with('+')) {
        Some(word) => pause(&word[1..])?,
        None => Duration::ZERO,
    };
    let verb = words.next().ok_or("it says when but not what")?;
    let key = words.collect::<Vec<_>>().join(" ");
    let key =
        if key.is_empty() { None } else { Some(key.parse::<Key>().map_err(|error| error.to_string())?) };
    let action = match (verb.to_lowercase().as_str(), key) {
        ("down" | "press", key) => Action::Down(key),
        ("up" | "release", key) => Action::Up(key),
        ("cancel", None) => Action::Cancel,
        ("toggle", None) => Action::Toggle,
        ("unplug", None) => Action::Unplug,
        ("cancel" | "toggle" | "unplug", Some(_)) => return Err(format!("{verb} takes no key")),
        (other, _) => return Err(format!("{other:?} is nothing a key does")),
    };
    Ok(Step { after, action })
}

fn pause(text: &str) -> Result<Duration, String> {
    const DAY_US: f64 = 86_400e6;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_us = match &text[digits.len()..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return Err("after + comes a time with its unit: us, ms or s".to_owned()),
    };
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match digits.parse::<f64>() {
        // Whole microseconds, so that a script reads back what it writes.
        Ok(number) if plain && number * unit_us < DAY_US => {
            Ok(Duration::from_secs_f64((number * unit_us).round() / 1e6))
        }
        _ => Err(format!("{text:?} is not a time below a day")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_two_ways_to_write_it_are_one() {
        let text: Script = serde_json::from_str(r#""+100ms down; +2s up  # done\n cancel""#).unwrap();
        let list: Script = serde_json::from_str(r#"["+100ms press", "+2000ms release", "cancel"]"#).unwrap();
        assert_eq!(text, list);
        assert_eq!(text.to_string(), "+100ms down; +2000ms up; cancel");
        assert!(serde_json::from_str::<Script>(r#""""#).unwrap().is_empty());
    }

    #[test]
    fn a_bad_step_is_named() {
        for (script, part) in [
            ("down; +2 up", "step 2 of the script, \"+2 up\""),
            ("+2s", "not what"),
            ("+2s jump", "\"jump\" is nothing a key does"),
            ("+1e9s up", "is not a time"),
            ("+-1s up", "is not a time"),
            ("+NaNs up", "unit"),
            ("+99999s up", "below a day"),
            ("down Rigth", "did you mean Right"),
            ("toggle A", "takes no key"),
        ] {
            let error = script.parse::<Script>().unwrap_err().to_string();
            assert!(error.contains(part), "{script}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_script_reads_back_what_it_writes(
            steps in prop::collection::vec((0..86_400_000_000_u64, 0..7_u8), 0..20)
        ) {
            let right = "Right".parse().ok();
            let steps = steps.into_iter().map(|(us, action)| Step {
                after: Duration::from_micros(us),
                action: match action {
                    0 => Action::Down(None),
                    1 => Action::Up(None),
                    2 => Action::Cancel,
                    3 => Action::Toggle,
                    4 => Action::Unplug,
                    5 => Action::Down(right),
                    _ => Action::Up(right),
                },
            });
            let script = Script(steps.collect());
            prop_assert_eq!(script.to_string().parse::<Script>().unwrap(), script);
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = text.parse::<Script>();
        }
    }
}
