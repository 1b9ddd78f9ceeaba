//! Where texts go.
//!
//! What lives here: what becomes of a text on its way (`shape.rs` has the order: filter, replacements, spoken commands,
//! post-process command), the sinks, the hands they have on a desktop,
//! and the thread that delivers takes one after the other.
//! What does not: keeping an undelivered text for `retry` (the controller does), and making the text (ptt-stt).
//!
//! A new sink is a [`Sink`], a variant of [`Backend`] and a line in `sink::open`.
#![forbid(unsafe_code)]

mod actor;
mod config;
pub mod desktop;
mod error;
mod filter;
pub mod metrics;
mod post;
mod problems;
mod process;
mod queue;
mod rule;
mod shape;
mod sink;
mod standard_output;
mod ticket;

use std::iter;

use ptt_messages::{OutputCommand, OutputEvent, Port};
use tracing::warn;

use queue::{Line, Queue};

pub use config::{
    Backend, BadPhrase, Newline, OutputConfig, Phrase, Replacement, Spoken, Trailing, WriteMode,
};
pub use error::OutputError;
pub use filter::filter;
pub use problems::problems;
pub use rule::{App, Rule, Way};
pub use sink::{CommandSink, DeskSink, FileSink, Sink, StdoutSink};
pub use standard_output::is_journal;

/// Starts the actor on the current arbiter and its delivering thread.
///
/// # Errors
/// What is wrong with the configured sink and can be seen before the first text: no command, a file in a directory
/// that is not there.
pub fn spawn(config: &OutputConfig, events: Port<OutputEvent>) -> Result<Port<OutputCommand>, OutputError> {
    let outputs = || iter::once(config).chain(&config.profiles);
    // A rule of everybody's may be one profile's only.
    let mut idle = outputs().map(|line| rule::idle(line.sink, &line.rules));
    if let Some(Some(why)) = idle.next()
        && idle.all(|other| other.is_some())
    {
        warn!("`output.rules` have no effect: {why}");
    }
    let mut connections = sink::Connections::of(outputs());
    let lines = outputs().map(|output| Line::open(output, sink::open(output, &mut connections)?));
    start(lines.collect::<Result<_, _>>()?, events)
}

/// What is wrong with the configured sinks and can be seen without starting anything.
///
/// # Errors
/// Those of [`spawn`] that do not depend on a desktop.
pub fn check(config: &OutputConfig) -> Result<(), OutputError> {
    iter::once(config).chain(&config.profiles).try_for_each(|output| {
        sink::check(output)?;
        post::Post::open(output).map(|_| ())
    })
}

/// As [`spawn`], with a sink of your own for the texts of all profiles; of the configuration only what becomes of a text
/// before it is used.
///
/// # Errors
/// [`OutputError::NoThread`], [`OutputError::NoPostCommand`].
pub fn spawn_with(
    config: &OutputConfig,
    sink: Box<dyn Sink>,
    events: Port<OutputEvent>,
) -> Result<Port<OutputCommand>, OutputError> {
    start(vec![Line::open(config, sink)?], events)
}

fn start(lines: Vec<Line>, events: Port<OutputEvent>) -> Result<Port<OutputCommand>, OutputError> {
    let queue = Queue::start(lines, events.clone())?;
    Ok(Port::start(actor::NAME, 100, actor::Deliverer::new(queue, events)))
}
