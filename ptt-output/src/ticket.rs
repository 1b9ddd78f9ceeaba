//! Who was first: the thread that puts a text out, or the wish that it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const WAITS: u8 = 0;
const GOES: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Of one text; a clone is the same ticket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticket(Arc<AtomicU8>);

impl Ticket {
    /// From here on the text goes out; `false` where it was withdrawn.
    #[must_use]
    pub fn go(&self) -> bool {
        self.leave(GOES)
    }

    /// From here on the text does not go out; `false` where it does already, or was withdrawn before.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        self.leave(WITHDRAWN)
    }

    /// Whether neither has happened.
    pub fn waits(&self) -> bool {
        self.0.load(Ordering::Acquire) == WAITS
    }

    fn leave(&self, to: u8) -> bool {
        self.0.compare_exchange(WAITS, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_wins() {
        let ticket = Ticket::default();
        assert!(ticket.waits());
        assert!(ticket.go() && !ticket.withdraw() && !ticket.waits());
        let ticket = Ticket::default();
        assert!(ticket.withdraw() && !ticket.go() && !ticket.withdraw() && !ticket.waits());
    }
}
