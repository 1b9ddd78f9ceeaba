//! When to try again to open an output that is not there. Pure.

use std::time::Duration;

use ptt_messages::Moment;

/// The pauses after the first, second, ... failure, in milliseconds. The last one holds for all that follow.
const PAUSES_MS: [u64; 7] = [100, 200, 500, 1_000, 2_000, 10_000, 30_000];

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: usize,
    not_before: Moment,
}

impl Backoff {
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    pub fn failed(&mut self, now: Moment) {
        let pause = PAUSES_MS[self.failures.min(PAUSES_MS.len() - 1)];
        self.not_before = now + Duration::from_millis(pause);
        self.failures += 1;
    }

    /// Whether something that needs the output now may try.
    pub fn allows(&self, now: Moment) -> bool {
        now >= self.not_before
    }

    /// When to try without being asked. A server that was restarted is back within seconds; one that is not there by
    /// the end of the list is asked again only when a chime is due.
    pub fn alarm(&self) -> Option<Moment> {
        (1..PAUSES_MS.len()).contains(&self.failures).then_some(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn often_at_first_then_only_when_asked() {
        let mut backoff = Backoff::default();
        let mut now = Moment::from_millis(1);
        assert!(backoff.allows(now) && backoff.alarm().is_none());
        let (last, alarms) = PAUSES_MS.split_last().unwrap();
        for pause in alarms {
            backoff.failed(now);
            assert!(!backoff.allows(now + Duration::from_millis(pause - 1)));
            now = backoff.alarm().unwrap();
            assert!(backoff.allows(now));
        }
        for _ in 0..3 {
            backoff.failed(now);
            assert_eq!(backoff.alarm(), None);
            assert!(!backoff.allows(now + Duration::from_millis(last - 1)));
            now = now + Duration::from_millis(*last);
            assert!(backoff.allows(now));
        }
        backoff.succeeded();
        assert!(backoff.allows(Moment::default()) && backoff.alarm().is_none());
    }
}
