//! The identity of a take.

use serde::{Deserialize, Serialize};

/// One hold of the key, from the press to the text. Counts up from 1 for the life of a daemon.
///
/// Every asynchronous message about a take carries its id, so that a late answer to take *n* can change nothing in
/// take *n + 1*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TakeId(pub u64);

impl TakeId {
    /// The id of the take after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for TakeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}
