//! Fails a suite whose actor blocks the thread that all actors share.

use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

/// How long one handler may have the thread. What the machine's other processes took is not counted.
const LONGEST: Duration = Duration::from_millis(500);
const BEAT: Duration = Duration::from_millis(20);

/// Runs a suite and measures meanwhile whether its thread is free for other actors.
///
/// # Panics
/// When it was not for longer than a handler may take.
pub(super) async fn responsive<T>(role: &str, suite: impl Future<Output = T>) -> T {
    let mut suite = std::pin::pin!(suite);
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Beat::now();
    loop {
        let done = tokio::select! {
            done = &mut suite => Some(done),
            _ = beats.tick() => None,
        };
        let now = Beat::now();
        let blocked = now.blocked_since(last);
        assert!(
            blocked < LONGEST,
            "the {role} blocked the thread of all actors for {blocked:?}: a handler must not wait or compute"
        );
        last = now;
        if let Some(done) = done {
            return done;
        }
    }
}

/// A moment of this thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    at: Instant,
    /// How long the thread has waited for a processor since it was started.
    waited: Duration,
}

impl Beat {
    pub fn now() -> Self {
        Self { at: Instant::now(), waited: waited_for_a_processor().unwrap_or_default() }
    }

    /// How long the thread was held up since `before`, without the time it waited for a processor and
    /// without a beat.
    pub fn blocked_since(self, before: Self) -> Duration {
        let passed = self.at.saturating_duration_since(before.at);
        passed.saturating_sub(self.waited.saturating_sub(before.waited)).saturating_sub(BEAT)
    }
}

/// The second number of the kernel's `schedstat` of this thread.
fn waited_for_a_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_took_of_the_processor_is_not_counted() {
        let at = Instant::now();
        let beat =
            |ms, waited| Beat { at: at + Duration::from_millis(ms), waited: Duration::from_millis(waited) };
        for (from, to, blocked) in [
            (beat(0, 0), beat(20, 0), 0),
            (beat(0, 0), beat(1_020, 0), 1_000),
            (beat(0, 100), beat(1_020, 900), 200),
            (beat(0, 0), beat(1_020, 1_000), 0),
            (beat(20, 0), beat(0, 0), 0),
        ] {
            assert_eq!(to.blocked_since(from), Duration::from_millis(blocked), "{from:?} {to:?}");
        }
    }

    #[actix::test]
    async fn a_free_thread_passes_and_waiting_counts_for_nothing() {
        let value = responsive("test", async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            7
        });
        assert_eq!(value.await, 7);
    }
}
