//! What the desktop's activations mean, purely: presses and releases where it tells both, toggles where it tells presses only.

use std::time::Duration;

use ptt_messages::Moment;

/// How far back a time of the desktop is believed to be one on our clock.
const BELIEVED_MS: u32 = 500;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The chord went down.
    Down,
    /// The chord went up.
    Up,
    /// One whole gesture.
    Toggle,
    /// One whole gesture, which also ends the hold that the press before it began: this desktop tells no release.
    FirstToggle,
}

/// Which of the two kinds of desktop this is. Until there was a release nobody knows; two presses without one between them
/// settle it, and a release that comes after all settles it for good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gesture {
    held: bool,
    tells_releases: Option<bool>,
}

impl Gesture {
    /// The shortcut was activated.
    pub fn activated(&mut self) -> Act {
        let unreleased = std::mem::replace(&mut self.held, true);
        match self.tells_releases {
            // A second press of a desktop that tells releases is one whose release was lost; the tracker knows what to do.
            Some(true) => Act::Down,
            None if !unreleased => Act::Down,
            None => {
                self.tells_releases = Some(false);
                Act::FirstToggle
            }
            Some(false) => Act::Toggle,
        }
    }

    /// The shortcut was deactivated.
    pub fn deactivated(&mut self) -> Act {
        (self.held, self.tells_releases) = (false, Some(true));
        Act::Up
    }
}

/// When it happened, by a time of the desktop: "milliseconds with an undefined base". Some send the (low 32 bits of the)
/// monotonic clock, which is ours, some seconds, some nothing: it is believed only where it is of the last moments.
#[must_use]
pub fn moment_of(timestamp: u64, now: Moment) -> Moment {
    // The low halves: the base is undefined, so only the difference counts.
    let age = ((now.as_nanos() / 1_000_000) as u32).wrapping_sub(timestamp as u32);
    if timestamp != 0 && age <= BELIEVED_MS { now - Duration::from_millis(age.into()) } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desktop_without_releases_is_found_out_by_its_second_press() {
        // `+` activated, `-` deactivated; D down, U up, T toggle, F toggle that ends the hold.
        for (why, script, expected) in [
            ("with releases", "+-+-+", "DUDUD"),
            ("a release was lost later", "+-++-", "DUDDU"),
            ("without", "++++", "DFTT"),
            ("it tells releases after all", "++-+-", "DFUDU"),
            ("a release out of nowhere", "-+-", "UDU"),
        ] {
            let mut gesture = Gesture::default();
            let acts: String = script
                .chars()
                .map(|c| match if c == '+' { gesture.activated() } else { gesture.deactivated() } {
                    Act::Down => 'D',
                    Act::Up => 'U',
                    Act::Toggle => 'T',
                    Act::FirstToggle => 'F',
                })
                .collect();
            assert_eq!(acts, expected, "{why}: {script}");
        }
    }

    #[test]
    fn only_a_time_of_the_last_moments_is_believed() {
        let ms = Moment::from_millis;
        let two_months = 60 * 24 * 3_600 * 1_000;
        for (timestamp, now, expected) in [
            (990, 1_000, 990),
            (two_months - 30, two_months, two_months - 30),
            // The low half of it.
            ((two_months - 30) % (1 << 32), two_months, two_months - 30),
            (1_001, 1_000, 1_000),
            (0, 100, 100),
            (1, 1_000, 1_000),
            (1_760_000_000_123, 1_000, 1_000),
        ] {
            assert_eq!(moment_of(timestamp, ms(now)), ms(expected), "{timestamp} at {now}");
        }
    }
}
