//! The X server's time as ours, purely. On Linux the server counts the milliseconds of `CLOCK_MONOTONIC` too, in 32 bits; one
//! that runs elsewhere does not, which a look at its clock tells.

use std::time::Duration;

use ptt_messages::Moment;

/// What the times of a server are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// They are ours, whole milliseconds: a moment comes out at most one (with a coarse clock some) too early.
    Ours,
    /// They are not: an edge is timed when it is read.
    Foreign,
}

/// A coarse clock goes in steps of the kernel's tick.
const TICK_MS: i32 = 10;

impl Clock {
    /// Judges a server that said it was `server` between our `asked` and `answered`.
    #[must_use]
    pub fn judge(server: u32, asked: Moment, answered: Moment) -> Self {
        let after_asking = server.wrapping_sub(millis(asked)).cast_signed();
        let before_answer = millis(answered).wrapping_sub(server).cast_signed();
        if after_asking >= -TICK_MS && before_answer >= 0 { Self::Ours } else { Self::Foreign }
    }

    /// When something happened that carries the server's time and was read at `seen`. Never later than that.
    #[must_use]
    pub fn moment(self, server: u32, seen: Moment) -> Moment {
        let age = millis(seen).wrapping_sub(server).cast_signed();
        match self {
            Self::Ours if age >= 0 => {
                let into_its_millisecond = Duration::from_nanos(seen.as_nanos() % 1_000_000);
                seen - into_its_millisecond - Duration::from_millis(u64::from(age.unsigned_abs()))
            }
            Self::Ours | Self::Foreign => seen,
        }
    }
}

/// Milliseconds as the server counts them.
fn millis(at: Moment) -> u32 {
    // The low half is the point: it wraps as the server's does.
    (at.as_nanos() / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRAP: u64 = 1 << 32;

    #[test]
    fn a_server_whose_clock_lies_between_is_on_ours() {
        for (server, asked, answered, expected) in [
            (5_000, 5_000, 5_000, Clock::Ours),
            (5_001, 5_000, 5_003, Clock::Ours),
            (4_996, 5_000, 5_003, Clock::Ours),
            (5_004, 5_000, 5_003, Clock::Foreign),
            (4_900, 5_000, 5_003, Clock::Foreign),
            (99, WRAP + 98, WRAP + 100, Clock::Ours),
            (2, WRAP - 1, WRAP + 3, Clock::Ours),
        ] {
            let (asked, answered) = (Moment::from_millis(asked), Moment::from_millis(answered));
            assert_eq!(Clock::judge(server, asked, answered), expected, "{server} {asked:?}");
        }
    }

    #[test]
    fn moments_are_whole_milliseconds_of_the_past() {
        let seen = Moment::from_nanos((WRAP + 5) * 1_000_000 + 700_000);
        for (server, expected) in [
            (5, Moment::from_millis(WRAP + 5)),
            (3, Moment::from_millis(WRAP + 3)),
            (u32::MAX, Moment::from_millis(WRAP - 1)),
            (6, seen),
        ] {
            assert_eq!(Clock::Ours.moment(server, seen), expected, "{server}");
            assert_eq!(Clock::Foreign.moment(server, seen), seen);
        }
    }
}
