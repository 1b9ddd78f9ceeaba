//! The post-process command: a program of the user's that makes the text from the text, such as a spelling corrector or
//! a language model. It can improve a text, never lose one.

use std::borrow::Cow;
use std::time::Duration;

use metrics::{counter, histogram};
use ptt_messages::{Component, Fault, FaultKind, Moment};

use crate::config::OutputConfig;
use crate::error::OutputError;
use crate::metrics::{POST_FAILURES_TOTAL, POST_SECONDS};
use crate::process::{Program, ProgramError};

/// How much it may write: far more than anybody says in a take, far less than a machine's memory.
const MOST: usize = 1 << 20;

/// The configured command.
#[derive(Debug)]
pub(crate) struct Post {
    program: Program,
    /// The last run failed and the user was told.
    told: bool,
}

/// A text after the command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Posted<'t> {
    /// What the command made of it; the text itself where that failed.
    pub text: Cow<'t, str>,
    /// What the user has to be told: the first failure after a success. It holds nothing of the text.
    pub fault: Option<Fault>,
}

impl Post {
    /// The command, where there is one.
    ///
    /// # Errors
    /// [`OutputError::NoPostCommand`].
    pub fn open(config: &OutputConfig) -> Result<Option<Self>, OutputError> {
        if config.post_command.is_empty() {
            return Ok(None);
        }
        let program = Program::new(&config.post_command, config.post_limit_ms.millis());
        Ok(Some(Self { program: program.ok_or(OutputError::NoPostCommand)?, told: false }))
    }

    /// Runs the command on a text. Blanks and line breaks at its ends are not the command's business: it neither sees
    /// nor changes them, and its own, such as the line's end that most programs write, are dropped.
    pub fn pass<'t>(&mut self, text: &'t str) -> Posted<'t> {
        let core = text.trim();
        if core.is_empty() {
            return Posted { text: Cow::Borrowed(text), fault: None };
        }
        let began = Moment::now();
        let made = self.run(core);
        histogram!(POST_SECONDS).record(Moment::now().since(began));
        match made {
            Ok(made) => {
                self.told = false;
                let (before, after) = text.split_once(core).unwrap_or_default();
                Posted { text: Cow::Owned([before, made.trim(), after].concat()), fault: None }
            }
            Err(error) => {
                let fault = Fault::new(Component::Output, error.kind(), error.to_string());
                counter!(POST_FAILURES_TOTAL, "kind" => error.kind().label()).increment(1);
                let told = std::mem::replace(&mut self.told, true);
                Posted { text: Cow::Borrowed(text), fault: (!told).then_some(fault) }
            }
        }
    }

    fn run(&self, text: &str) -> Result<String, PostError> {
        let program = || self.program.name().to_owned();
        let failed = |status: &str| PostError::Failed { program: program(), status: status.to_owned() };
        let made = self.program.pass(text, MOST).map_err(|error| match error {
            ProgramError::Missing => PostError::Missing { program: program() },
            ProgramError::Failed(status) => failed(&status),
            ProgramError::Hangs => PostError::Hangs { program: program(), limit: self.program.limit() },
            ProgramError::System(source) => PostError::System { program: program(), source },
        })?;
        let made = String::from_utf8(made).map_err(|_| failed("its output is not UTF-8"))?;
        if made.trim().is_empty() { Err(failed("it gave nothing back")) } else { Ok(made) }
    }
}

/// Why a text goes out without the command's work. No message holds any of the text.
#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error(
        "texts go out as they are: the program `{program}` was not found; install it, or correct `output.post_command`"
    )]
    Missing { program: String },
    #[error(
        "texts go out as they are: `{program}` of `output.post_command` failed ({status}); run it by hand to see why"
    )]
    Failed { program: String, status: String },
    #[error(
        "texts go out as they are: `{program}` of `output.post_command` did not end within {limit:?} and was stopped; correct it, or raise `output.post_limit_ms`"
    )]
    Hangs { program: String, limit: Duration },
    #[error("texts go out as they are: cannot run `{program}` of `output.post_command`: {source}")]
    System { program: String, source: std::io::Error },
}

impl PostError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing { .. } => FaultKind::Misconfigured,
            Self::Failed { .. } => FaultKind::Broken,
            Self::Hangs { .. } => FaultKind::Timeout,
            Self::System { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                FaultKind::Denied
            }
            Self::System { .. } => FaultKind::Broken,
        }
    }
}

#[cfg(test)]
#[path = "post/tests.rs"]
mod tests;
