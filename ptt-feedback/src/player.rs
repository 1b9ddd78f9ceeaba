//! What plays tones: one trait, the players behind it, and the ticket by which a device tells when it began.

mod rodio;
mod silent;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ptt_messages::{Chime, Moment};

pub use self::rodio::RodioPlayer;
pub use self::silent::SilentPlayer;

use crate::error::FeedbackError;

/// Plays tones. Lives on its own thread, so it may block.
pub trait Player {
    /// Opens the output, unless it is open. May take seconds.
    ///
    /// # Errors
    /// There is none, or none that works.
    fn open(&mut self) -> Result<(), FeedbackError>;

    /// Closes the output; what still sounds is cut off.
    fn close(&mut self);

    /// Whether the output is open.
    fn is_open(&self) -> bool;

    /// What made the open output useless since it was asked last. The player is closed then.
    fn lost(&mut self) -> Option<FeedbackError>;

    /// Lets the open output rest until the next tone. One that has nothing to gain from it need not.
    fn pause(&mut self) {}

    /// Hands the tone to the open output, which runs again if it was paused, and returns at once. A device that has not begun at `stale` does not play it.
    fn play(&mut self, chime: Chime, stale: Moment) -> Arc<Ticket>;
}

/// Wakes the player's thread, from any other, so that it asks [`Player::lost`].
#[derive(Clone)]
pub struct Wake(Arc<dyn Fn() + Send + Sync>);

impl Wake {
    /// Wakes by calling `wake`, which must not block.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Wakes it.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}

/// Where a device writes down when it began with a tone. One atomic, because the device's callback writes it.
#[derive(Debug, Default)]
pub struct Ticket(AtomicU64);

/// What a ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing yet.
    Waiting,
    /// The device took the block that holds the first sample.
    At(Moment),
    /// The device came to it too late and did not play it.
    TooLate,
}

const TOO_LATE: u64 = u64::MAX;

impl Ticket {
    /// A tone that begins at once.
    #[must_use]
    pub fn begun(at: Moment) -> Self {
        Self(AtomicU64::new(at.as_nanos()))
    }

    /// Writes down that the device comes to the tone at `now`; whether it may play it.
    pub fn begin(&self, now: Moment, stale: Moment) -> bool {
        let in_time = now <= stale;
        self.0.store(if in_time { now.as_nanos() } else { TOO_LATE }, Ordering::Release);
        in_time
    }

    /// Reads it.
    #[must_use]
    pub fn read(&self) -> Begun {
        match self.0.load(Ordering::Acquire) {
            0 => Begun::Waiting,
            TOO_LATE => Begun::TooLate,
            nanos => Begun::At(Moment::from_nanos(nanos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_tells_when_or_that_it_was_too_late() {
        let at = Moment::from_millis;
        let ticket = Ticket::default();
        assert_eq!(ticket.read(), Begun::Waiting);
        assert!(ticket.begin(at(5), at(5)));
        assert_eq!(ticket.read(), Begun::At(at(5)));
        let late = Ticket::default();
        assert!(!late.begin(at(6), at(5)));
        assert_eq!(late.read(), Begun::TooLate);
        assert_eq!(Ticket::begun(at(7)).read(), Begun::At(at(7)));
    }
}
