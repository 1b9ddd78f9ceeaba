//! When a keyboard may be taken from everybody else, purely: not before they can hear the device that passes it on, not while
//! its user is away, and no more once its user wanted it back.

use std::time::Duration;

use ptt_messages::Moment;

use crate::wake::earlier;

/// How long udev and a desktop may need until they read a device that is new. What is passed on before that is lost.
const SETTLES: Duration = Duration::from_secs(1);

/// How long the way out must be held: with the chord Left Ctrl+Space, a take that Escape throws away has its keys down too.
const OUT_LASTS: Duration = Duration::from_secs(1);

/// Whose a keyboard is.
#[derive(Debug)]
pub struct Claim {
    /// When the others can hear what is passed on.
    not_before: Moment,
    /// Since when the keys of the way out are down.
    out_since: Option<Moment>,
    /// They were down for long enough.
    given_up: bool,
}

impl Claim {
    /// For a keyboard whose other device has been made by `now`.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self { not_before: now + SETTLES, out_since: None, given_up: false }
    }

    /// Whether the keys of the way out are down since `at`, or still.
    pub fn way_out(&mut self, down: bool, at: Moment) {
        self.given_up |= self.is_out(at);
        self.out_since = down.then(|| self.out_since.unwrap_or(at));
    }

    /// Whether the keyboard may be ours. What the keys did up to `now` must have been told before.
    pub fn stands(&mut self, now: Moment, away: bool) -> bool {
        self.given_up |= self.is_out(now);
        !self.given_up && !away && self.not_before <= now
    }

    /// Whether its user wanted it back.
    #[must_use]
    pub const fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// When [`Claim::stands`] may change without an event.
    #[must_use]
    pub fn due(&self, now: Moment) -> Option<Moment> {
        let settled = Some(self.not_before).filter(|at| *at > now);
        earlier(settled, self.out_since.map(|since| since + OUT_LASTS))
    }

    fn is_out(&self, now: Moment) -> bool {
        self.out_since.is_some_and(|since| now.since(since) >= OUT_LASTS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sieve::Sieve;
    use super::*;

    const CTRL: u16 = 29;
    const SPACE: u16 = 57;
    const ESCAPE: u16 = 1;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(10_000 + ms)
    }

    #[test]
    fn it_is_not_taken_before_others_hear_the_new_device() {
        let mut claim = Claim::new(at(0));
        for (ms, stands, due) in
            [(0, false, Some(at(1_000))), (999, false, Some(at(1_000))), (1_000, true, None)]
        {
            assert_eq!((claim.stands(at(ms), false), claim.due(at(ms))), (stands, due), "{ms}");
        }
    }

    #[test]
    fn it_is_everybodys_while_its_user_is_away() {
        let mut claim = Claim::new(at(0));
        for (ms, away, stands) in
            [(1_000, true, false), (2_000, false, true), (3_000, true, false), (3_001, false, true)]
        {
            assert_eq!((claim.stands(at(ms), away), claim.is_given_up()), (stands, false), "{ms}");
        }
    }

    /// The chord Left Ctrl+Space with the cancel key Escape: the same three keys.
    #[test]
    fn a_take_that_is_cancelled_is_no_way_out_and_keys_that_stay_down_are_one() {
        let (mut claim, mut sieve) = (Claim::new(at(0)), Sieve::new(vec![vec![CTRL, SPACE]]));
        let mut step = |claim: &mut Claim, key: (u16, i32), ms: u64| {
            sieve.step(key, &mut Vec::new());
            claim.way_out(sieve.wants_out(), at(ms));
        };
        for ms in [2_000, 4_000] {
            [CTRL, SPACE, ESCAPE].into_iter().for_each(|key| step(&mut claim, (key, 1), ms));
            assert_eq!(claim.due(at(ms)), Some(at(ms + 1_000)), "no key that repeats is needed");
            step(&mut claim, (ESCAPE, 2), ms + 500);
            step(&mut claim, (ESCAPE, 0), ms + 999);
            assert_eq!((claim.stands(at(ms + 1_999), false), claim.due(at(ms + 1_999))), (true, None));
            [CTRL, SPACE].into_iter().for_each(|key| step(&mut claim, (key, 0), ms + 1_999));
        }
        [CTRL, SPACE, ESCAPE].into_iter().for_each(|key| step(&mut claim, (key, 1), 6_000));
        assert!(claim.stands(at(6_999), false));
        assert!(!claim.stands(at(7_000), false));
        [CTRL, SPACE, ESCAPE].into_iter().for_each(|key| step(&mut claim, (key, 0), 7_500));
        assert!(!claim.stands(at(60_000), false), "for good");
    }

    /// Who reads late sees by the kernel's times how long it was.
    #[test]
    fn a_way_out_that_is_read_late_counts_as_long_as_it_was() {
        for (ms, stands) in [(999, true), (1_000, false)] {
            let mut claim = Claim::new(at(0));
            claim.way_out(true, at(2_000));
            claim.way_out(false, at(2_000 + ms));
            assert_eq!(claim.stands(at(9_000), false), stands, "{ms}");
        }
    }
}
