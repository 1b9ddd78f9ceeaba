//! The end of the line: one trait, and the sinks behind it.

mod auto;
mod command;
mod desk;
mod file;
mod notice;
mod patient;
mod stdout;

use ptt_messages::TakeId;

use auto::AutoSink;
pub use command::CommandSink;
pub(crate) use desk::Connections;
pub use desk::DeskSink;
pub use file::FileSink;
pub use stdout::StdoutSink;

use crate::config::{Backend, OutputConfig};
use crate::error::OutputError;

/// So many takes can be between their release and their text.
pub(crate) const AIMS: usize = 16;

/// Where texts end up. Lives on the delivering thread, so it may block, within its own time limit.
pub trait Sink: Send {
    /// Its name in the configuration; also the label `sink`.
    fn name(&self) -> &'static str;

    /// What follows a text where `output.trailing` is "auto".
    fn ending(&self) -> &'static str {
        "\n"
    }

    /// The key of this take went up: a sink that puts texts into windows notes which one has the keyboard.
    fn aim(&mut self, _: TakeId) {}

    /// The text of this take is asked for again: that is meant for the window that has the keyboard then, and what was noted by
    /// [`Self::aim`] is to be forgotten.
    fn unaim(&mut self, _: TakeId) {}

    /// Waits for what stands in the way of the next text, such as modifiers that the user holds, within the sink's own time
    /// limit and for as long as the text is `wanted`: until the end of this it can be withdrawn. Comes before each
    /// [`Self::deliver`].
    ///
    /// # Errors
    /// The text cannot be put out.
    fn wait(&mut self, _wanted: &dyn Fn() -> bool) -> Result<(), OutputError> {
        Ok(())
    }

    /// Puts a filtered text out, whole, with what follows it (see [`Trailing`](crate::Trailing)).
    ///
    /// # Errors
    /// The text, or a part of it, is not out. The message holds none of it.
    fn deliver(&mut self, take: TakeId, text: &str) -> Result<(), OutputError>;

    /// Nothing was to be delivered for a few seconds, or nothing will be any more.
    fn rest(&mut self) {}
}

/// The configured sink.
///
/// # Errors
/// What is wrong with it and can be seen before the first text.
pub(crate) fn open(
    config: &OutputConfig,
    connections: &mut Connections,
) -> Result<Box<dyn Sink>, OutputError> {
    let limit = config.limit_ms.millis();
    Ok(match config.sink {
        Backend::Stdout => Box::new(StdoutSink::open(limit)?),
        Backend::File => {
            Box::new(FileSink::open(&config.file_path, config.file_mode, config.file_sync, limit)?)
        }
        Backend::Command => Box::new(CommandSink::open(&config.command, config.command_limit_ms.millis())?),
        Backend::Type | Backend::Paste | Backend::Uinput | Backend::Clipboard => {
            Box::new(DeskSink::open(config, connections)?)
        }
        Backend::Auto => Box::new(AutoSink::open(config, connections, limit)?),
    })
}

/// What is wrong with the configured sink and can be seen without opening it.
///
/// # Errors
/// As [`open`].
pub(crate) fn check(config: &OutputConfig) -> Result<(), OutputError> {
    let limit = config.limit_ms.millis();
    match config.sink {
        Backend::Stdout => StdoutSink::open(limit).map(|_| ()),
        Backend::File => {
            FileSink::open(&config.file_path, config.file_mode, config.file_sync, limit).map(|_| ())
        }
        Backend::Command => CommandSink::open(&config.command, config.command_limit_ms.millis()).map(|_| ()),
        Backend::Type | Backend::Paste | Backend::Uinput | Backend::Clipboard | Backend::Auto => {
            DeskSink::check(config)
        }
    }
}
