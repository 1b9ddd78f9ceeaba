//! Which of the configured profiles a take belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a profile: a chord with the language, vocabulary and output of its takes. 0 is the configuration's main
/// part; the others count from 1 in the order of `[[profile]]`. Fixed for a take when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profile(pub u8);

impl Profile {
    /// The main part of the configuration.
    pub const DEFAULT: Self = Self(0);
    /// What people call it.
    pub const DEFAULT_NAME: &'static str = "default";
    /// How many there may be, the default one included.
    pub const MOST: usize = 32;

    /// The place of what belongs to it in a list of all profiles.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether it is the main part of the configuration.
    #[must_use]
    pub const fn is_default(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_default() { f.write_str(Self::DEFAULT_NAME) } else { write!(f, "profile {}", self.0) }
    }
}
