//! Threads that help with one piece of work after the other, and sleep in between.
//!
//! Who calls them works too, and waits at the end only for a helper who is in the middle of something: one who does not get a core
//! takes nothing and delays nobody. Nobody spins and nobody yields: a thread that yields beside other programs loses its turn, and
//! a whole slice of its core with it (Linux 6.17 and later).
#![expect(unsafe_code, reason = "helpers that live longer than what they borrow")]

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// The helpers; dropping it ends them.
pub struct Pool {
    desk: Arc<Desk>,
    helpers: Vec<JoinHandle<()>>,
}

struct Desk {
    notice: Mutex<Notice>,
    /// There is work, or the end.
    called: Condvar,
    /// The last helper has left the work.
    left: Condvar,
}

/// What the helpers are told.
#[derive(Default)]
struct Notice {
    work: Option<Work>,
    /// How many may still take part in it.
    places: usize,
    /// How many do.
    inside: usize,
    panic: Option<Box<dyn Any + Send>>,
    closing: bool,
}

/// Work of [`Pool::share`], which waits for all who are inside.
#[derive(Clone, Copy)]
struct Work(*const (dyn Fn() + Sync));

// SAFETY: what it points to is `Sync`, so that any thread may use it.
unsafe impl Send for Work {}

impl Pool {
    /// For work on so many threads, one of which is who calls.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(threads: usize) -> io::Result<Self> {
        let desk = Arc::new(Desk { notice: Mutex::default(), called: Condvar::new(), left: Condvar::new() });
        let mut pool = Self { desk, helpers: Vec::new() };
        for number in 1..threads {
            let desk = pool.desk.clone();
            let run = move || desk.help();
            pool.helpers.push(Builder::new().name(format!("ptt-stt-core-{number}")).spawn(run)?);
        }
        Ok(pool)
    }

    /// On how many threads it works at most.
    pub fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Does the same work on the calling thread and on up to `helpers` others: each of them takes from it until nothing is left. Comes
    /// back when all who took part are done. While it works for another caller, the calling thread is alone.
    ///
    /// # Panics
    /// When one of them does.
    pub fn share(&self, helpers: usize, work: &(dyn Fn() + Sync)) {
        let mut notice = self.desk.notice();
        if notice.work.is_some() {
            drop(notice);
            return work();
        }
        notice.places = helpers.min(self.helpers.len());
        notice.panic = None;
        let lent: *const (dyn Fn() + Sync + '_) = work;
        // SAFETY: only the lifetime changes. However this function is left, `Lent` is dropped before the borrow of `work` ends, and
        // its drop waits until no helper is inside the work and lets none in any more, so that nobody uses the pointer after it.
        notice.work = Some(Work(unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync)>(lent)
        }));
        for _ in 0..notice.places {
            self.desk.called.notify_one();
        }
        drop(notice);
        let lent = Lent(&self.desk);
        work();
        drop(lent);
        let panic = self.desk.notice().panic.take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Takes the work back when it is dropped.
struct Lent<'a>(&'a Desk);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut notice = self.0.notice();
        notice.places = 0;
        while notice.inside > 0 {
            notice = self.0.left.wait(notice).unwrap_or_else(PoisonError::into_inner);
        }
        notice.work = None;
    }
}

impl Desk {
    /// Nothing panics while it is locked.
    fn notice(&self) -> MutexGuard<'_, Notice> {
        self.notice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn help(&self) {
        let mut notice = self.notice();
        loop {
            match notice.work {
                _ if notice.closing => return,
                Some(work) if notice.places > 0 => {
                    notice.places -= 1;
                    notice.inside += 1;
                    drop(notice);
                    // SAFETY: the caller of `share` waits until nobody is inside.
                    let done = catch_unwind(AssertUnwindSafe(|| unsafe { (*work.0)() }));
                    notice = self.notice();
                    notice.inside -= 1;
                    if let Err(panic) = done {
                        notice.panic = Some(panic);
                    }
                    if notice.inside == 0 {
                        self.left.notify_all();
                    }
                }
                _ => notice = self.called.wait(notice).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.desk.notice().closing = true;
        self.desk.called.notify_all();
        for helper in self.helpers.drain(..) {
            let _ = helper.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::meeting::Meeting;
    use super::*;

    #[test]
    fn all_work_at_once_and_again_and_again() {
        let pool = Pool::new(3).unwrap();
        for _ in 0..100 {
            let (meet, worked) = (Meeting::new(3), AtomicUsize::new(0));
            pool.share(2, &|| {
                meet.wait();
                worked.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(worked.into_inner(), 3);
        }
    }

    #[test]
    fn no_more_help_than_is_asked_for() {
        let pool = Pool::new(4).unwrap();
        for helpers in [0, 1, 9] {
            let worked = AtomicUsize::new(0);
            for _ in 0..50 {
                pool.share(helpers, &|| {
                    worked.fetch_add(1, Ordering::SeqCst);
                });
            }
            let worked = worked.into_inner();
            assert!((50..=50 * (1 + helpers.min(3))).contains(&worked), "{helpers} {worked}");
        }
    }

    #[test]
    fn a_second_caller_works_alone() {
        let pool = Pool::new(2).unwrap();
        let at_work = Meeting::new(3);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pool.share(1, &|| {
                    at_work.wait();
                    at_work.wait();
                });
            });
            at_work.wait();
            // The only helper is busy with the other one's work.
            let alone = AtomicUsize::new(0);
            pool.share(1, &|| {
                alone.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(alone.into_inner(), 1);
            at_work.wait();
        });
    }

    #[test]
    fn a_panic_comes_out_when_all_are_done() {
        let pool = Pool::new(2).unwrap();
        for who in ["caller", "helper"] {
            let meet = Meeting::new(2);
            let caller = std::thread::current().id();
            let done = catch_unwind(AssertUnwindSafe(|| {
                pool.share(1, &|| {
                    meet.wait();
                    assert_eq!(
                        std::thread::current().id() == caller,
                        who == "helper",
                        "a panic of the test's"
                    );
                });
            }));
            assert!(done.is_err(), "{who}");
        }
        let meet = Meeting::new(2);
        pool.share(1, &|| {
            meet.wait();
        });
    }
}
