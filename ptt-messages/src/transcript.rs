//! What was said, kept out of logs by its type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The text of a take or of a part of it. Its `Debug` shows the length only and it has no `Display`:
/// the one way to the words is [`Transcript::reveal`], which only sinks and tests call.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Transcript(String);

impl Transcript {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The words themselves. Never for a log, a metric or an error message.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Number of Unicode scalar values.
    #[must_use]
    pub fn chars(&self) -> usize {
        self.0.chars().count()
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transcript({} chars)", self.chars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_words() {
        assert_eq!(format!("{:?}", Transcript::new("täglich")), "Transcript(7 chars)");
    }
}
