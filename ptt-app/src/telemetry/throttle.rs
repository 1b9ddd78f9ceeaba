//! A limit on how often one line is logged, so that whoever causes it cannot fill the disk. Pure.

use std::time::{Duration, Instant};

/// Lines are at least this far apart.
const INTERVAL: Duration = Duration::from_secs(60);

/// Counts the events between two lines.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    logged: Option<Instant>,
    withheld: u64,
}

impl Throttle {
    /// Notes an event at `now`. Returns how many events a line stands for, where one may be logged.
    pub(super) fn note(&mut self, now: Instant) -> Option<u64> {
        self.withheld += 1;
        if self.logged.is_some_and(|logged| now.duration_since(logged) < INTERVAL) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_tells_how_many_it_stands_for() {
        let began = Instant::now();
        let mut throttle = Throttle::default();
        let lines: Vec<(u64, u64)> = (0..=120_000)
            .filter_map(|ms| throttle.note(began + Duration::from_millis(ms)).map(|n| (ms, n)))
            .collect();
        assert_eq!(lines, [(0, 1), (60_000, 60_000), (120_000, 60_000)]);
    }
}
