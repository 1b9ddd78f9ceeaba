//! A program started for each text: its arguments as they stand in the configuration, the text on its standard input.

use std::time::Duration;

use ptt_messages::TakeId;

use super::Sink;
use crate::error::OutputError;
use crate::process::{Program, ProgramError};

/// Starts the program, waits for its end, and ends it with all it started when it takes too long.
#[derive(Debug)]
pub struct CommandSink {
    program: Program,
}

impl CommandSink {
    /// `argv` is the program and its arguments.
    ///
    /// # Errors
    /// [`OutputError::NoCommand`] when there is no program in it.
    pub fn open(argv: &[String], limit: Duration) -> Result<Self, OutputError> {
        let program = Program::new(argv, limit).ok_or(OutputError::NoCommand)?;
        Ok(Self { program })
    }
}

impl Sink for CommandSink {
    fn name(&self) -> &'static str {
        "command"
    }

    fn deliver(&mut self, _: TakeId, text: &str) -> Result<(), OutputError> {
        let program = || self.program.name().to_owned();
        self.program.feed(text).map_err(|error| match error {
            ProgramError::Missing => OutputError::NoProgram { program: program() },
            ProgramError::Failed(status) => OutputError::CommandFailed { program: program(), status },
            ProgramError::Hangs => {
                OutputError::CommandHangs { program: program(), limit: self.program.limit() }
            }
            ProgramError::System(source) => {
                OutputError::from_io(format!("the output command `{}`", program()), source)
            }
        })
    }
}

#[cfg(test)]
#[path = "command/tests.rs"]
mod tests;
