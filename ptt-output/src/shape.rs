//! What becomes of a transcript before it goes out. Pure: time is an argument, and running the post-process command
//! (`post.rs`) is the caller's.
//!
//! The order is fixed, because each step works on what those before it made:
//!
//! 1. the filter: a transcript is one line without control characters ([`filter`])
//! 2. replacement rules, in the order of the configuration: they may write what a spoken command is called, so that
//!    other words for it, or another language's, are a rule
//! 3. spoken commands
//! 4. the post-process command, which sees what the two before it made
//! 5. the join with the text before, as its first letter is what counts and the command may have changed it
//! 6. the filter again: rules and the command are no way around it. Line breaks stay now, as only rules, spoken commands
//!    and the post-process command can have made them
//! 7. what follows each text ([`Trailing::after`](crate::Trailing::after))
//!
//! With nothing configured, steps 2 to 5 change nothing but a first letter, and only where texts run on.

mod join;
mod replace;
mod sentence;
mod spoken;

use std::borrow::Cow;

use ptt_messages::Moment;

use crate::config::OutputConfig;
use crate::filter::{filter, filter_lines};

/// The configured steps, and what they have to remember.
#[derive(Debug)]
pub(crate) struct Shaper {
    rules: replace::Rules,
    commands: spoken::Commands,
    join: join::Join,
}

/// A text, and whether the filter had anything to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shaped {
    pub text: String,
    pub filtered: bool,
}

impl Shaper {
    pub fn new(config: &OutputConfig) -> Self {
        Self {
            rules: replace::Rules::new(&config.replace),
            commands: spoken::Commands::new(&config.spoken_commands),
            join: join::Join::new(config.join.then(|| config.join_s.secs())),
        }
    }

    /// Steps 1 to 3.
    pub fn draft(&self, transcript: &str) -> Shaped {
        let line = filter(transcript);
        let replaced = self.rules.apply(&line);
        let text = self.commands.obey(&replaced).into_owned();
        Shaped { text, filtered: matches!(line, Cow::Owned(_)) }
    }

    /// Steps 5 to 7. Nothing stays nothing, whatever follows texts.
    pub fn finish(&self, text: &str, ending: &str, now: Moment) -> Shaped {
        let joined = self.join.apply(text, now);
        let clean = filter_lines(&joined);
        let filtered = matches!(clean, Cow::Owned(_));
        let mut text = clean.into_owned();
        if !(text.is_empty() || text.ends_with('\n')) {
            text.push_str(ending);
        }
        Shaped { text, filtered }
    }

    /// Remembers a finished text that is out.
    pub fn delivered(&mut self, text: &str, now: Moment) {
        self.join.remember(text, now);
    }
}

#[cfg(test)]
#[path = "shape/tests.rs"]
mod tests;
