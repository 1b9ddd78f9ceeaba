//! Work on several cores without barriers that spin: whoever is free takes the next piece, so that a core that others
//! use delays its own piece only.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use super::pool::Pool;
use crate::engine::Threads;

/// Fewer rows than this are not worth a piece of their own.
const LEAST_ROWS: usize = 24;
/// More rows than this (10 ms of work) are cut, so that a decode can be stopped between the pieces.
const MOST_ROWS: usize = 48;
/// Pieces per thread, at least: more even out what disturbs, fewer read the weights less often.
const PIECES: usize = 2;

/// The threads that work on one decode.
#[derive(Clone, Copy)]
pub struct Crew<'a> {
    pool: &'a Pool,
    threads: &'a Threads,
    over: &'a (dyn Fn() -> bool + Sync),
}

/// Memory that pieces of work use again, one per thread.
#[derive(Debug, Default)]
pub struct Memory {
    /// For [`super::matrix::add_product`].
    pub strips: Vec<f32>,
    /// For what is between two steps.
    pub buffers: [Vec<f32>; 3],
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Frees what the calling thread keeps to work in.
pub fn forget_memory() {
    MEMORY.take();
}

impl<'a> Crew<'a> {
    /// As many of the pool's as `threads` says at the time, or the thread that asks alone. When `over` says so, nobody waits
    /// for what they do.
    pub fn new(pool: &'a Pool, threads: &'a Threads, over: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { pool, threads, over }
    }

    fn threads(&self) -> usize {
        self.threads.get().min(self.pool.threads())
    }

    /// Whether nobody waits for the work any more: what was done of it is of no use.
    #[must_use]
    pub fn over(&self) -> bool {
        (self.over)()
    }

    /// Into how many rows `rows` are cut for the threads: as many pieces for each.
    #[must_use]
    pub fn rows_each(&self, rows: usize) -> usize {
        let threads = self.threads();
        let rounds = rows.div_ceil(MOST_ROWS * threads).max(if threads > 1 { PIECES } else { 1 });
        rows.div_ceil(rounds * threads).clamp(LEAST_ROWS, MOST_ROWS)
    }

    /// Does `work` on each of `items`, or on none of the rest when it is over. When there are more threads meanwhile, the rest
    /// is theirs.
    pub fn each<I>(&self, items: I, work: impl Fn(I::Item, &mut Memory) + Sync)
    where
        I: Iterator + Send,
        I::Item: Send,
    {
        let work = |item| {
            if !self.over() {
                MEMORY.with_borrow_mut(|memory| work(item, memory));
            }
        };
        let items = Mutex::new(items);
        let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
        while self.threads() == 1 {
            let Some(item) = next() else { return };
            work(item);
        }
        self.pool.share(self.threads() - 1, &|| {
            while let Some(item) = next() {
                work(item);
            }
        });
    }
}

impl std::fmt::Debug for Crew<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").field("threads", &self.threads).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::meeting::Meeting;
    use super::*;

    #[test]
    fn every_thread_has_as_many_pieces() {
        let pool = Pool::new(2).unwrap();
        for (threads, rows, each) in [
            (1, 20, 24),
            (1, 48, 48),
            (1, 96, 48),
            (1, 97, 33),
            (1, 100, 34),
            (2, 96, 24),
            (2, 100, 25),
            (2, 193, 33),
            (2, 312, 39),
            (2, 1_500, 47),
            (9, 312, 39),
        ] {
            let threads = Threads::new(threads);
            let crew = Crew::new(&pool, &threads, &|| false);
            assert_eq!(crew.rows_each(rows), each, "{threads:?} {rows}");
        }
    }

    #[test]
    fn the_rest_is_for_those_who_come_later() {
        let pool = Pool::new(2).unwrap();
        let threads = Threads::new(1);
        let crew = Crew::new(&pool, &threads, &|| false);
        let asks = std::thread::current().id();
        let meet = Meeting::new(2);
        let mut done = [None; 10];
        crew.each(done.iter_mut().enumerate(), |(n, done), _| {
            if n >= 8 {
                // These two are done at once, by two.
                meet.wait();
            }
            *done = Some(std::thread::current().id());
            if n == 3 {
                threads.grow(2);
            }
        });
        let done = done.map(Option::unwrap);
        assert!(done[..4].iter().all(|thread| *thread == asks));
        assert_eq!(done[8..].iter().filter(|thread| **thread == asks).count(), 1);
    }
}
