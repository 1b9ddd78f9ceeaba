//! The rate at which keys may be sent to a window of which it is not known how fast it reads. Pure.

use std::time::{Duration, Instant};

/// A burst, then a steady rate.
#[derive(Debug)]
pub(super) struct Pace {
    /// Of one key at the steady rate.
    interval: Duration,
    /// What the burst would take at the steady rate.
    burst: Duration,
    /// When all that was sent would have been read at the steady rate.
    read: Option<Instant>,
}

impl Pace {
    /// `burst` keys at once, then `per_second`.
    pub const fn new(burst: u32, per_second: u32) -> Self {
        let interval = Duration::from_nanos(1_000_000_000 / per_second as u64);
        Self { interval, burst: interval.saturating_mul(burst), read: None }
    }

    /// Counts `keys` that are to be sent, and returns when they may be.
    pub fn send(&mut self, keys: usize, now: Instant) -> Instant {
        let count = u32::try_from(keys).unwrap_or(u32::MAX);
        let read = self.read.unwrap_or(now).max(now) + self.interval.saturating_mul(count);
        self.read = Some(read);
        read.checked_sub(self.burst).map_or(now, |due| due.max(now))
    }

    /// Whether `keys` more may be sent without a pause.
    pub fn fits(&self, keys: usize, now: Instant) -> bool {
        let count = u32::try_from(keys).unwrap_or(u32::MAX);
        let unread = self.read.unwrap_or(now).saturating_duration_since(now);
        unread + self.interval.saturating_mul(count) <= self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_steady_rate() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut pace = Pace::new(100, 50);
        assert!(pace.fits(100, begun) && !pace.fits(101, begun));
        assert_eq!(pace.send(60, begun), begun);
        assert_eq!(pace.send(40, begun), begun);
        assert!(!pace.fits(1, begun));
        assert_eq!(pace.send(50, begun), at(1_000));
        assert_eq!(pace.send(50, at(1_000)), at(2_000));
        // All is read after four seconds: 200 keys at 50 per second.
        assert!(pace.fits(100, at(4_000)));
        assert_eq!(pace.send(100, at(4_000)), at(4_000));
    }
}
