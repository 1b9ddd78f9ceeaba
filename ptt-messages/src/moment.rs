//! Time on one clock for the whole machine, so that a kernel's timestamp, a thread's and a child process's compare.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds on `CLOCK_MONOTONIC`: the clock of evdev (after `EVIOCSCLOCKID`), of ALSA and of `std::time::Instant`.
///
/// Plain data: pure code takes a `Moment` as an argument and tests make one with [`Moment::from_nanos`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(u64);

impl Moment {
    /// Reads the clock: about 20 ns through the vDSO.
    #[must_use]
    pub fn now() -> Self {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // The monotonic clock starts at boot and is never negative.
        Self(t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs())
    }

    /// A moment from nanoseconds on `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A moment from milliseconds on `CLOCK_MONOTONIC`; reads well in tables of tests.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// Nanoseconds on `CLOCK_MONOTONIC`.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero where it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    /// Stops at the clock's zero.
    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(earlier.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let at = Moment::from_millis(5);
        assert_eq!(at - Duration::from_secs(1), Moment::default());
        assert_eq!(at.since(at + Duration::from_millis(1)), Duration::ZERO);
        assert_eq!((at + Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!((at + Duration::from_millis(7)).since(at), Duration::from_millis(7));
    }

    #[test]
    fn the_clock_goes_forward() {
        let first = Moment::now();
        assert!(Moment::now() >= first);
        assert!(first > Moment::default());
    }
}
