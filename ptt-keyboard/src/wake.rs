//! Waiting without polling: event descriptors that end a wait, and one way to wait for descriptors until a moment.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ptt_messages::Moment;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use tokio::sync::Notify;

use crate::KeyboardError;

/// Ends a source's wait: for good when it is raised, once when it is nudged. Cheap to clone; once raised it stays raised.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Bell>);

#[derive(Debug)]
struct Bell {
    fd: OwnedFd,
    raised: AtomicBool,
    /// The same for a wait that is a future.
    rung: Notify,
}

impl Stop {
    /// One that is not raised.
    ///
    /// # Errors
    /// [`KeyboardError::Os`] when the process has no descriptor left.
    pub fn new() -> Result<Self, KeyboardError> {
        new_eventfd()
            .map(|fd| Self(Arc::new(Bell { fd, raised: AtomicBool::new(false), rung: Notify::new() })))
    }

    /// Ends every wait on it, now and later.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.nudge();
    }

    /// Whether it was raised.
    #[must_use]
    pub fn raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Ends the wait on it that is going on, or the next one: there is something to do beside the source.
    pub(crate) fn nudge(&self) {
        ring(&self.0.fd);
        self.0.rung.notify_one();
    }

    /// Ends when it is raised or nudged, or was since the last time. Only for the one thread that waits on it.
    pub(crate) async fn rung(&self) {
        self.0.rung.notified().await;
    }

    /// Takes the nudges there were. Only for the one thread that waits on it.
    pub(crate) fn heed(&self) {
        // An empty bell answers "try again", which is as good.
        let _ = rustix::io::read(&self.0.fd, &mut [0; 8]);
        if self.raised() {
            ring(&self.0.fd);
        }
    }

    /// Sleeps until it is raised or `until` has come.
    pub(crate) fn wait(&self, until: Option<Moment>) -> Result<(), KeyboardError> {
        poll_until(&mut [PollFd::new(&self.0.fd, PollFlags::IN)], until)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// A queue between threads whose reader waits on a descriptor.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    queue: Mutex<VecDeque<T>>,
    bell: OwnedFd,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Result<Self, KeyboardError> {
        Ok(Self { queue: Mutex::new(VecDeque::new()), bell: new_eventfd()? })
    }

    pub(crate) fn put(&self, item: T) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(item);
        ring(&self.bell);
    }

    /// Readable when there is something.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Takes all there is.
    pub(crate) fn take(&self) -> VecDeque<T> {
        // An empty bell answers "try again", which is as good.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sleeps until there is something, `stop` is raised or `until` has come.
    pub(crate) fn wait(&self, stop: &Stop, until: Option<Moment>) -> Result<(), KeyboardError> {
        let bell = PollFd::new(&self.bell, PollFlags::IN);
        poll_until(&mut [PollFd::from_borrowed_fd(stop.fd(), PollFlags::IN), bell], until)
    }
}

/// Waits until one of `fds` is ready or `until` has come; a signal does not shorten it.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], until: Option<Moment>) -> Result<(), KeyboardError> {
    loop {
        let left = until.map(|until| timespec(until.since(Moment::now())));
        match poll(fds, left.as_ref()) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(KeyboardError::os("wait for input devices")(errno)),
        }
    }
}

/// The earlier of two moments, where `None` is never.
pub(crate) fn earlier(a: Option<Moment>, b: Option<Moment>) -> Option<Moment> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

fn new_eventfd() -> Result<OwnedFd, KeyboardError> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(KeyboardError::os("make an event descriptor"))
}

fn ring(fd: &OwnedFd) {
    // It can only fail when it has been rung 2^64 - 1 times already: it is ringing.
    let _ = rustix::io::write(fd, &1_u64.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_end_in_time_and_on_stop() {
        let stop = Stop::new().unwrap();
        let begun = Moment::now();
        stop.wait(Some(begun + Duration::from_millis(5))).unwrap();
        assert!(Moment::now().since(begun) >= Duration::from_millis(5));
        assert!(!stop.raised());
        let other = stop.clone();
        let thread = std::thread::spawn(move || other.wait(None));
        stop.raise();
        thread.join().unwrap().unwrap();
        assert!(stop.raised() && stop.raised());
        stop.wait(None).unwrap();
        stop.heed();
        stop.wait(None).unwrap();
    }

    #[test]
    fn a_nudge_ends_one_wait() {
        let stop = Stop::new().unwrap();
        stop.nudge();
        stop.wait(None).unwrap();
        assert!(!stop.raised());
        stop.heed();
        let until = Moment::now() + Duration::from_millis(5);
        stop.wait(Some(until)).unwrap();
        assert!(Moment::now() >= until, "it was heeded");
    }

    #[test]
    fn an_inbox_gives_all_in_order_and_rings_again() {
        let (inbox, stop) = (Inbox::new().unwrap(), Stop::new().unwrap());
        inbox.put(1);
        inbox.put(2);
        inbox.wait(&stop, None).unwrap();
        assert_eq!(inbox.take(), [1, 2]);
        assert!(inbox.take().is_empty());
        inbox.put(3);
        inbox.wait(&stop, None).unwrap();
        assert_eq!(inbox.take(), [3]);
    }
}
