//! The one table of exit codes. After sysexits.h where it has a fitting one, so that scripts can tell causes apart.

use std::process::ExitCode;

/// Why the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done.
    Ok = 0,
    /// It was not done; the message says why.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A file that was asked for is missing or not what it should be: an audio clip, a model.
    NoInput = 66,
    /// What is needed does not run or is not there: the daemon for `status`, a microphone.
    Unavailable = 69,
    /// A bug: an actor panicked. The service manager should start the daemon again.
    Panicked = 70,
    /// Another daemon of this user runs.
    AlreadyRunning = 75,
    /// The configuration is wrong.
    Config = 78,
}

impl Exit {
    /// Every code with what it means, for `--help` and the documentation.
    pub const TABLE: [(Self, &'static str); 8] = [
        (Self::Ok, "done"),
        (Self::Failed, "not done; the message says why"),
        (Self::Usage, "wrong command line"),
        (Self::NoInput, "an input file or model is missing or damaged"),
        (Self::Unavailable, "the daemon, a device or a server is not there"),
        (Self::Panicked, "internal error: start it again and report it"),
        (Self::AlreadyRunning, "another daemon of this user runs"),
        (Self::Config, "the configuration is wrong"),
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error with the code the process ends with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What to print, after `ptt-app: `.
    pub message: String,
}

impl Failure {
    /// A failure with its code and what to tell the user.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<ptt_messages::Fault> for Failure {
    fn from(fault: ptt_messages::Fault) -> Self {
        use ptt_messages::FaultKind as K;
        let exit = match fault.kind {
            K::Misconfigured => Exit::Config,
            K::Gone | K::Busy | K::Denied => Exit::Unavailable,
            K::Broken | K::Timeout => Exit::Failed,
        };
        Self::new(exit, fault.message)
    }
}
