//! Bounds how many engines are left behind: threads in the middle of a load or a decode that nobody
//! waits for any more, each with its model in memory. They cannot be ended from outside; what can
//! be refused is a further model beside them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metrics;

/// So many engines may be left behind at most for another one to be loaded: with that one, two
/// models are in memory.
pub(crate) const MOST: usize = 1;

/// The engines of this process that were left behind. Clones share the number.
#[derive(Clone, Debug, Default)]
pub(crate) struct StuckEngines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    number: Mutex<usize>,
    fewer: Condvar,
}

impl StuckEngines {
    /// Waits until no more engines than `tolerated` are left behind, for at most `patience`: one
    /// that was left behind a moment ago mostly ends at once.
    ///
    /// # Errors
    /// The number of engines left behind, when they do not end.
    pub(crate) fn wait_for_room(&self, tolerated: usize, patience: Duration) -> Result<(), usize> {
        let waited = self.0.fewer.wait_timeout_while(self.number(), patience, |number| *number > tolerated);
        let (number, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *number > tolerated { Err(*number) } else { Ok(()) }
    }

    /// Whether none is left behind.
    pub(crate) fn is_empty(&self) -> bool {
        *self.number() == 0
    }

    fn number(&self) -> MutexGuard<'_, usize> {
        self.0.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut usize)) {
        let mut number = self.number();
        change(&mut number);
        metrics::stuck_engines(*number);
        drop(number);
        self.0.fewer.notify_all();
    }
}

/// Whether a thread's work is waited for, known to the thread and to the handle on it.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    stage: Arc<Mutex<Stage>>,
    stuck: StuckEngines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The thread waits for orders.
    Waiting,
    /// It works.
    Working,
    /// It works, and its handle is gone: it is counted.
    LeftBehind,
    /// Its handle is gone, and it may end.
    Over,
}

impl Life {
    pub(crate) fn new(stuck: &StuckEngines) -> Self {
        Self { stage: Arc::new(Mutex::new(Stage::Waiting)), stuck: stuck.clone() }
    }

    /// The engines that this thread's is counted with.
    pub(crate) const fn stuck(&self) -> &StuckEngines {
        &self.stuck
    }

    /// The thread begins to work. `false` when nobody waits for it any more.
    #[must_use]
    pub(crate) fn begins(&self) -> bool {
        self.step(|stage| if stage == Stage::Waiting { Stage::Working } else { stage }) == Stage::Working
    }

    /// The thread has done its work.
    pub(crate) fn ends(&self) {
        self.step(|stage| if stage == Stage::Working { Stage::Waiting } else { stage });
    }

    /// The handle is gone.
    pub(crate) fn leave(&self) {
        let stage = self.step(|stage| match stage {
            Stage::Waiting => Stage::Over,
            Stage::Working => Stage::LeftBehind,
            Stage::LeftBehind | Stage::Over => stage,
        });
        if stage == Stage::LeftBehind {
            self.stuck.change(|number| *number += 1);
        }
    }

    /// The thread has ended, and its engine is dropped.
    pub(crate) fn over(&self) {
        let mut stage = self.stage();
        if std::mem::replace(&mut *stage, Stage::Over) == Stage::LeftBehind {
            drop(stage);
            self.stuck.change(|number| *number -= 1);
        }
    }

    fn step(&self, next: impl FnOnce(Stage) -> Stage) -> Stage {
        let mut stage = self.stage();
        *stage = next(*stage);
        *stage
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_left_at_work_counts_and_only_until_it_ends() {
        let stuck = StuckEngines::default();
        let room = || stuck.wait_for_room(MOST, Duration::ZERO);
        let idle = Life::new(&stuck);
        assert!(idle.begins());
        idle.ends();
        idle.leave();
        assert!(!idle.begins(), "nobody waits for what it would do");
        idle.over();
        let busy: Vec<Life> = (0..3).map(|_| Life::new(&stuck)).collect();
        for (life, expected) in busy.iter().zip([Ok(()), Err(2), Err(3)]) {
            assert!(life.begins());
            life.leave();
            assert_eq!(room(), expected);
        }
        assert_eq!(stuck.wait_for_room(3, Duration::ZERO), Ok(()));
        for (life, expected) in busy.iter().zip([Err(2), Ok(()), Ok(())]) {
            life.ends();
            assert!(!life.begins());
            life.over();
            assert_eq!(room(), expected);
        }
        assert!(stuck.is_empty());
    }
}
