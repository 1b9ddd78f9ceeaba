//! Numbers of the configuration that cannot be out of range once they are there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A whole number in `MIN..=MAX`, checked when it is read, so that the error carries the line and column of the file.
/// The unit stands in the key's name (`pre_roll_ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Within<const MIN: u64, const MAX: u64>(u64);

/// A number outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} is out of range, allowed is {min} to {max}")]
pub struct OutOfRange {
    /// What was given.
    pub found: i64,
    /// Smallest allowed value.
    pub min: u64,
    /// Largest allowed value.
    pub max: u64,
}

impl<const MIN: u64, const MAX: u64> Within<MIN, MAX> {
    /// A value known when compiling: a default.
    ///
    /// # Panics
    /// When the value is out of range; in a constant that stops the build.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        assert!(MIN <= value && value <= MAX, "a default is out of its own range");
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as milliseconds.
    #[must_use]
    pub const fn millis(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The number as seconds.
    #[must_use]
    pub const fn secs(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<i64> for Within<MIN, MAX> {
    type Error = OutOfRange;

    fn try_from(found: i64) -> Result<Self, OutOfRange> {
        match u64::try_from(found) {
            Ok(value) if (MIN..=MAX).contains(&value) => Ok(Self(value)),
            _ => Err(OutOfRange { found, min: MIN, max: MAX }),
        }
    }
}

impl<const MIN: u64, const MAX: u64> From<Within<MIN, MAX>> for i64 {
    fn from(within: Within<MIN, MAX>) -> Self {
        i64::try_from(within.0).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_range_gets_in() {
        type Roll = Within<0, 1_000>;
        for (given, expected) in [("0", true), ("1000", true), ("1001", false), ("-1", false), ("1.5", false)]
        {
            assert_eq!(serde_json::from_str::<Roll>(given).is_ok(), expected, "{given}");
        }
        let error = serde_json::from_str::<Roll>("4000").unwrap_err().to_string();
        assert!(error.contains("4000 is out of range, allowed is 0 to 1000"), "{error}");
        assert_eq!(Roll::new(300).millis(), Duration::from_millis(300));
    }
}
