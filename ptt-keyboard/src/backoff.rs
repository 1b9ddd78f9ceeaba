//! How long to wait before the next try, purely.

use std::time::Duration;

/// Half a second, doubled with every failure, at most five seconds; from the beginning again after a source that held.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

impl Default for Backoff {
    fn default() -> Self {
        Self { next: SHORTEST }
    }
}

impl Backoff {
    /// The pause after a failure of a source that had been open for `held`.
    pub fn after(&mut self, held: Duration) -> Duration {
        if held >= LONGEST {
            self.next = SHORTEST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_five_seconds_and_starts_again() {
        let mut backoff = Backoff::default();
        let held = [0, 0, 10, 0, 0, 0, 6_000, 4_999].map(Duration::from_millis);
        let pauses = held.map(|held| backoff.after(held).as_millis());
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 5_000, 5_000, 500, 1_000]);
    }
}
