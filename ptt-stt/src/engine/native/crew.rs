//! Work on several cores without barriers that spin: whoever is free takes the next piece, so that a core that others
//! use delays its own piece only.

use std::cell::RefCell;

use rayon::ThreadPool;
use rayon::prelude::*;

/// Fewer rows than this are not worth a piece of their own.
const LEAST_ROWS: usize = 24;
/// Pieces per thread: more even out what disturbs, fewer read the weights less often.
const PIECES: usize = 2;

/// The threads that work on one decode.
#[derive(Clone, Copy, Debug)]
pub struct Crew<'a> {
    /// `None` does everything on the thread that asks.
    pool: Option<&'a ThreadPool>,
    threads: usize,
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

impl<'a> Crew<'a> {
    /// `threads` of the pool's, or the thread that asks alone.
    #[must_use]
    pub fn new(pool: &'a ThreadPool, threads: usize) -> Self {
        Self { pool: (threads > 1).then_some(pool), threads }
    }

    /// Into how many rows `rows` are cut for the threads.
    #[must_use]
    pub fn rows_each(&self, rows: usize) -> usize {
        let pieces = if self.pool.is_some() { PIECES * self.threads } else { 1 };
        rows.div_ceil(pieces).max(LEAST_ROWS)
    }

    /// Does `work` on each of `items`.
    pub fn each<I>(&self, items: I, work: impl Fn(I::Item, &mut Memory) + Sync)
    where
        I: Iterator + Send,
        I::Item: Send,
    {
        let work = |item| MEMORY.with_borrow_mut(|memory| work(item, memory));
        match self.pool {
            None => items.for_each(work),
            Some(pool) => {
                let items: Vec<I::Item> = items.collect();
                pool.install(|| items.into_par_iter().with_max_len(1).for_each(work));
            }
        }
    }
}
