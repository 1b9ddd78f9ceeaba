//! What can go wrong with resources, and what to do about it.

use std::io;
use std::time::Duration;

use ptt_messages::{Component, Fault, FaultKind, TakeId};

/// Why a resource is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ResourcesError {
    /// Another take has the microphone.
    #[error(
        "recording already in progress (take {holder}, for {:.1} s); let it finish, or cancel it with `ptt-app cancel`",
        held.as_secs_f64()
    )]
    InUse {
        /// The take that has it.
        holder: TakeId,
        /// For how long.
        held: Duration,
    },
    /// The process's own figures cannot be read.
    #[error("cannot read {path}: {source}; mount /proc, or set `resources.probe = \"off\"`")]
    Probe {
        /// What was read.
        path: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl ResourcesError {
    /// What may help.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::InUse { .. } => FaultKind::Busy,
            Self::Probe { .. } => FaultKind::Gone,
        }
    }
}

impl From<&ResourcesError> for Fault {
    fn from(error: &ResourcesError) -> Self {
        Self::new(Component::Resources, error.kind(), error.to_string())
    }
}
