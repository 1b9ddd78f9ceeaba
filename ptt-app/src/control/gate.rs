//! The gate between clients and the daemon. The control socket is older than a daemon and outlives it
//! when the configuration is read again: while there is no daemon, requests wait here, and go in in
//! the order in which they came.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Doors;

/// The way from a client's thread to the daemon that runs now.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Those of the running daemon; `None` before the first one and between two.
    doors: Option<Doors>,
    /// Whether requests have to wait although a daemon runs.
    closed: bool,
    /// No daemon will follow.
    ended: bool,
    /// Numbers of the requests that wait, oldest first. The first one may be inside: the others follow
    /// when it has left.
    queue: VecDeque<u64>,
    newest: u64,
    /// How many requests are with the daemon.
    inside: usize,
}

/// A request's stay with the running daemon. While one lives, that daemon is not replaced: it must be
/// dropped as soon as the request is in a mailbox.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    doors: Doors,
    /// Its number in the queue, where it had to wait.
    number: Option<u64>,
}

impl Gate {
    /// Lets the requests in, to this daemon.
    pub fn open(&self, doors: Doors) {
        let mut state = self.lock();
        state.doors = Some(doors);
        state.closed = false;
        self.changed.notify_all();
    }

    /// Lets the requests in to the daemon that was there before [`Self::close`].
    pub fn reopen(&self) {
        self.lock().closed = false;
        self.changed.notify_all();
    }

    /// Has new requests wait, and waits at most `patience` until none is inside. Returns whether none is.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        state.closed = true;
        while state.inside > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The daemon is gone; requests wait for the next one.
    pub fn remove(&self) {
        let mut state = self.lock();
        state.doors = None;
        state.closed = true;
    }

    /// Refuses whoever waits and whoever comes: there will be no daemon any more.
    pub fn end(&self) {
        let mut state = self.lock();
        state.doors = None;
        state.ended = true;
        self.changed.notify_all();
    }

    /// Lets one request in, behind those that came before it. `None` when there was no daemon until
    /// then, or will be none.
    #[must_use]
    pub fn enter(self: &Arc<Self>, until: Instant) -> Option<Pass> {
        let mut state = self.lock();
        let number = state.join();
        while !state.admits(number) {
            let left = until.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                state.leave(number);
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let doors = state.doors.clone()?;
        state.inside += 1;
        Some(Pass { gate: Arc::clone(self), doors, number })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Stands in the queue where there is one or where the gate is closed.
    fn join(&mut self) -> Option<u64> {
        if self.is_open() && self.queue.is_empty() {
            return None;
        }
        self.newest += 1;
        self.queue.push_back(self.newest);
        Some(self.newest)
    }

    const fn is_open(&self) -> bool {
        !self.closed && self.doors.is_some()
    }

    fn admits(&self, number: Option<u64>) -> bool {
        self.is_open() && number.is_none_or(|number| self.queue.front() == Some(&number))
    }

    fn leave(&mut self, number: Option<u64>) {
        self.queue.retain(|other| Some(*other) != number);
    }
}

impl Deref for Pass {
    type Target = Doors;

    fn deref(&self) -> &Doors {
        &self.doors
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.inside -= 1;
        // Only now the next of the queue may follow: their messages are to arrive in their order.
        state.leave(self.number);
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use actix::{Actor, Context, Handler};
    use ptt_messages::{Port, Posted};

    use super::*;
    use crate::board::Board;

    struct Deaf;

    impl Actor for Deaf {
        type Context = Context<Self>;
    }

    impl<T: Send + 'static> Handler<Posted<T>> for Deaf {
        type Result = ();

        fn handle(&mut self, _: Posted<T>, _: &mut Context<Self>) {}
    }

    /// Those of some daemon, told from another one's by its board.
    fn doors() -> Doors {
        let deaf = Deaf.start();
        Doors {
            keys: Port::to("deaf", &deaf),
            commands: Port::to("deaf", &deaf),
            board: Arc::new(Board::default()),
        }
    }

    fn is_of(pass: &Pass, doors: &Doors) -> bool {
        Arc::ptr_eq(&pass.board, &doors.board)
    }

    fn in_time() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[actix::test]
    async fn a_request_that_comes_between_two_daemons_waits_for_the_second() {
        let gate = Arc::new(Gate::default());
        let (first, second) = (doors(), doors());
        gate.open(first.clone());
        assert!(is_of(&gate.enter(in_time()).unwrap(), &first));
        assert!(gate.close(Duration::ZERO), "the pass above is gone");
        assert!(gate.enter(Instant::now()).is_none(), "it does not wait for ever");
        gate.remove();
        let other = Arc::clone(&gate);
        let request = thread::spawn(move || other.enter(in_time()));
        while gate.lock().queue.is_empty() {
            thread::yield_now();
        }
        gate.open(second.clone());
        assert!(is_of(&request.join().unwrap().unwrap(), &second));
    }

    #[actix::test]
    async fn a_daemon_is_not_replaced_while_a_request_is_with_it() {
        let gate = Arc::new(Gate::default());
        gate.open(doors());
        let inside = gate.enter(in_time()).unwrap();
        assert!(!gate.close(Duration::from_millis(10)));
        gate.reopen();
        assert!(gate.enter(in_time()).is_some(), "as if nothing had been");
        drop(inside);
        assert!(gate.close(Duration::ZERO));
    }

    /// A press and its release come over two connections, and so do many of them.
    #[actix::test]
    async fn those_who_wait_go_in_one_after_the_other_in_the_order_in_which_they_came() {
        let gate = Arc::new(Gate::default());
        let (tell, told) = channel();
        let waiting: Vec<_> = (0..20)
            .map(|n| {
                let (other, tell) = (Arc::clone(&gate), tell.clone());
                let request = thread::spawn(move || {
                    let pass = other.enter(in_time()).unwrap();
                    // Whoever is behind must not overtake it here.
                    thread::yield_now();
                    tell.send(n).unwrap();
                    drop(pass);
                });
                while gate.lock().queue.len() <= n {
                    thread::yield_now();
                }
                request
            })
            .collect();
        gate.open(doors());
        waiting.into_iter().for_each(|request| request.join().unwrap());
        assert_eq!(told.try_iter().collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
        assert!(gate.lock().queue.is_empty());
    }

    #[actix::test]
    async fn the_end_sends_everybody_away() {
        let gate = Arc::new(Gate::default());
        let other = Arc::clone(&gate);
        let request = thread::spawn(move || other.enter(in_time()));
        while gate.lock().queue.is_empty() {
            thread::yield_now();
        }
        gate.end();
        assert!(request.join().unwrap().is_none() && gate.enter(in_time()).is_none());
    }
}
