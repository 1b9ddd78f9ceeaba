//! What can be wrong with a model, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use ptt_messages::{Component, Fault, FaultKind};

/// A model cannot be found, fetched, converted or trusted.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No such file.
    #[error(
        "no model at {}; fetch it with `ptt-app models pull {name}`, or convert a CTranslate2 directory with \
         `ptt-app models import DIR`",
        path.display()
    )]
    Missing { name: String, path: PathBuf },

    /// A name that cannot be a file's name.
    #[error("`{name}` is no model's name; use letters, digits, `.`, `_` and `-`, as in `tiny.en`")]
    BadName { name: String },

    /// Not a SHA-256.
    #[error("`{given}` is no SHA-256; give its 64 hexadecimal digits")]
    BadHash { given: String },

    /// Not in the catalogue, so its hash is not known.
    #[error(
        "the SHA-256 of `{name}` is not known here; give it with --sha256, or choose one of these: {known}"
    )]
    Unpinned { name: String, known: String },

    /// Another kind of file.
    #[error("{} is {found}, not a ggml Whisper model; {advice}", path.display())]
    NotAModel { path: PathBuf, found: &'static str, advice: &'static str },

    /// A named pipe, a directory, a socket or a device.
    #[error(
        "{} is {found}, not a regular file; name the ggml file itself, or convert a CTranslate2 directory with \
         `ptt-app models import DIR`",
        path.display()
    )]
    NotAFile { path: PathBuf, found: &'static str },

    /// The token texts are not those that Whisper was trained with.
    #[error(
        "{} has another vocabulary than Whisper's, so that its texts would be wrong; fetch or import the model again, \
         or choose one that keeps the published vocabulary",
        path.display()
    )]
    OtherVocabulary { path: PathBuf },

    /// Sound, but not for the engine that is configured.
    #[error("whisper.cpp cannot read {}: {what}; set `stt.backend` to `native`", path.display())]
    OtherEngine { path: PathBuf, what: String },

    /// The file ends early.
    #[error(
        "{} is cut short: {expected} bytes are needed, {found} are there; fetch or import the model again",
        path.display()
    )]
    Truncated { path: PathBuf, expected: u64, found: u64 },

    /// The file's structure is not a model's.
    #[error("{} is damaged at byte {at}: {what}; fetch or import the model again", path.display())]
    Malformed { path: PathBuf, at: u64, what: String },

    /// The bytes are not the ones that were published or written.
    #[error(
        "{} is damaged: its SHA-256 is {found}, expected {expected}; fetch or import the model again",
        path.display()
    )]
    Damaged { path: PathBuf, expected: String, found: String },

    /// The record beside a model is not one.
    #[error(
        "{} is not a model's record ({what}); delete it if you know the model beside it to be right, else fetch or \
         import the model again",
        path.display()
    )]
    BadRecord { path: PathBuf, what: String },

    /// Others may write the file.
    #[error("{} may be changed by every user; run `chmod o-w` on it", path.display())]
    Exposed { path: PathBuf },

    /// A directory that is not what `import` reads.
    #[error("{} is no CTranslate2 Whisper directory: {what}", path.display())]
    NotImportable { path: PathBuf, what: String },

    /// A model of sizes that no published one has.
    #[error("this model has sizes that no published one has ({sizes}); give it a name with --name")]
    Unnamed { sizes: String },

    /// It is there already.
    #[error("{} is there already; replace it with --force, or choose another --name", path.display())]
    Exists { path: PathBuf },

    /// Another process fetches or imports the same model.
    #[error("another process is writing {}; wait for it to end", path.display())]
    Busy { path: PathBuf },

    /// No room for it.
    #[error("{} needs {needed} bytes and the disk has {free} free; make room and try again", path.display())]
    NoSpace { path: PathBuf, needed: u64, free: u64 },

    /// A download that could be read and changed on its way.
    #[error("{url} is not https; models are fetched over https only (http to this machine excepted)")]
    Insecure { url: String },

    /// The server said no.
    #[error("{url} answers {status}; check the model's name, or give another --url")]
    Refused { url: String, status: u16 },

    /// The server's answer is not the file that was asked for.
    #[error("{url} sends something else than the model: {what}; try again later, or give another --url")]
    WrongAnswer { url: String, what: String },

    /// No bytes for too long.
    #[error("{url} sent nothing for {seconds} s; the same command goes on where it stopped")]
    Stalled { url: String, seconds: u64 },

    /// The connection failed.
    #[error("{url} cannot be reached: {reason}; the same command goes on where it stopped")]
    Network { url: String, reason: String },

    /// The operating system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl ModelError {
    /// What may help.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Missing { .. } | Self::Network { .. } | Self::WrongAnswer { .. } => FaultKind::Gone,
            Self::Busy { .. } => FaultKind::Busy,
            Self::Stalled { .. } => FaultKind::Timeout,
            Self::Exposed { .. } => FaultKind::Denied,
            Self::BadName { .. }
            | Self::BadHash { .. }
            | Self::Unpinned { .. }
            | Self::NotAModel { .. }
            | Self::NotAFile { .. }
            | Self::OtherVocabulary { .. }
            | Self::OtherEngine { .. }
            | Self::Truncated { .. }
            | Self::Malformed { .. }
            | Self::Damaged { .. }
            | Self::BadRecord { .. }
            | Self::NotImportable { .. }
            | Self::Unnamed { .. }
            | Self::Exists { .. }
            | Self::NoSpace { .. }
            | Self::Insecure { .. }
            | Self::Refused { .. } => FaultKind::Misconfigured,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => FaultKind::Denied,
            Self::Io { .. } => FaultKind::Broken,
        }
    }

    /// As a value for the state machine.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::new(Component::Stt, self.kind(), self.to_string())
    }

    /// For `map_err`: what was tried with which file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
