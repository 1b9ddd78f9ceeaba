//! One module per command. What is printed to stdout is what was asked for; everything else goes to stderr.

pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod devices;
mod driver;
pub(crate) mod keys;
mod measure;
pub(crate) mod models;
pub(crate) mod run;
mod stats;
pub(crate) mod status;
pub(crate) mod transcribe;

use std::io::Write;
use std::sync::mpsc::Receiver;

use ptt_messages::{ControllerEvent, Outcome};

use crate::exit_code::{Exit, Failure};

/// Writes one line of a command's answer.
fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    write_answer(format_args!("{line}\n"))
}

/// Writes a command's answer as it is. A closed pipe ends the command quietly, as with every Unix
/// filter.
pub(crate) fn write_answer(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|e| {
        if e.kind() == std::io::ErrorKind::BrokenPipe {
            Failure::new(Exit::Ok, String::new())
        } else {
            Failure::new(Exit::Failed, format!("cannot write to standard output: {e}"))
        }
    })
}

/// Refuses a command that would print what was said into the system journal.
fn may_say_texts() -> Result<(), Failure> {
    if !ptt_output::is_journal() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Config,
        "standard output is the system journal, which would keep what was said; send it elsewhere, such as by \
         StandardOutput=file:PATH in the unit, or `systemd-run --pipe`",
    ))
}

/// Writes a line for the user to standard error, which may be closed.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "ptt-app: {message}");
}

fn say_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    say(serde_json::to_string(value).expect("answers are plain values"))
}

/// Waits for the first take that was more than a tap to end, and for its text to be out; one that does not get out goes to
/// standard output, because nobody can ask for it again. `None` when the daemon ended before that.
pub(crate) fn outcome_of_one_take(events: &Receiver<ControllerEvent>) -> Option<Exit> {
    let (mut text_of, mut newest) = (None, None);
    for event in events {
        match event {
            ControllerEvent::Ended { outcome: Outcome::Tap, .. } => {}
            ControllerEvent::Ended { take, outcome: Outcome::Text } => text_of = Some(take),
            ControllerEvent::Text { text, .. } => newest = Some(text),
            ControllerEvent::Ended { outcome: Outcome::Empty | Outcome::Cancelled, .. } => {
                return Some(Exit::Ok);
            }
            ControllerEvent::Ended { outcome: Outcome::Salvaged | Outcome::NotStarted, .. } => {
                return Some(Exit::Failed);
            }
            ControllerEvent::Delivered { take, .. } if text_of == Some(take) => return Some(Exit::Ok),
            ControllerEvent::Withdrawn { take } if text_of == Some(take) => return Some(Exit::Ok),
            ControllerEvent::Fault { take, .. } if text_of.is_some() && take == text_of => {
                // Standard output may be the very thing that failed.
                let _ = newest.map(|text| may_say_texts().and_then(|()| say(text.reveal())));
                return Some(Exit::Failed);
            }
            ControllerEvent::Transition { .. }
            | ControllerEvent::Profile { .. }
            | ControllerEvent::Stage { .. }
            | ControllerEvent::Partial { .. }
            | ControllerEvent::Hint { .. }
            | ControllerEvent::Languages { .. }
            | ControllerEvent::Discarded { .. }
            | ControllerEvent::Part { .. }
            | ControllerEvent::Delivered { .. }
            | ControllerEvent::Withdrawn { .. }
            | ControllerEvent::Fault { .. } => {}
        }
    }
    None
}
