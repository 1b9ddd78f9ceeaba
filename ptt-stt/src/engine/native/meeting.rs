//! For tests of threads that work together: a barrier that fails, instead of waiting for ever, where too few come.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Long past what a loaded machine needs to let every thread run.
const LONG: Duration = Duration::from_secs(30);

/// So many threads meet there, again and again.
pub struct Meeting {
    of: usize,
    came: Mutex<usize>,
    met: Condvar,
}

impl Meeting {
    pub fn new(of: usize) -> Self {
        Self { of, came: Mutex::new(0), met: Condvar::new() }
    }

    /// Waits for the others.
    ///
    /// # Panics
    /// When they do not come.
    pub fn wait(&self) {
        let mut came = self.came.lock().unwrap();
        *came += 1;
        self.met.notify_all();
        let all = came.div_ceil(self.of) * self.of;
        let (came, waited) = self.met.wait_timeout_while(came, LONG, |came| *came < all).unwrap();
        let came = *came;
        assert!(!waited.timed_out(), "{came} threads came, {all} were to");
    }
}
