//! When was a sample heard, and which sample was heard when: the map between moments and sample numbers. Pure.
//!
//! Each block from the device is an anchor: its first sample's number, and the moment that sample was captured (the
//! callback's arrival less the age the sound system reports, at least the block's own length). Between two anchors the
//! map is a straight line at 16 kHz, so its error is that of one anchor: the jitter of one callback, at most one block
//! on a machine that keeps up. A callback that came late is found out by the next one that came in time, because
//! samples cannot be captured faster than the clock runs, and its anchor is corrected.

use std::collections::VecDeque;
use std::time::Duration;

use ptt_messages::{Moment, SAMPLE_RATE_HZ};

use crate::history::CAPACITY;
use crate::vad::samples_in;

/// Anchors closer than this add nothing.
const SPACING: u64 = SAMPLE_RATE_HZ as u64 / 200;

/// An anchor is corrected when it is later than possible by more than this; less is drift between two clocks.
const SLACK: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug)]
struct Anchor {
    number: u64,
    at: Moment,
}

/// A moment this far after the newest anchor is not placed yet: the device stalls, and whether it
/// kept or lost the audio meanwhile is known only when it goes on.
const OUTLOOK: Duration = Duration::from_millis(200);

/// The map for one stream.
#[derive(Debug, Default)]
pub struct SampleClock {
    anchors: VecDeque<Anchor>,
}

impl SampleClock {
    /// A new stream begins.
    pub fn restart(&mut self) {
        self.anchors.clear();
    }

    /// Sample `number` was captured at `at`. Numbers must not go down.
    pub fn note(&mut self, number: u64, at: Moment) {
        let mut bound = Anchor { number, at };
        for earlier in self.anchors.iter_mut().rev() {
            let latest = bound.at - length(bound.number - earlier.number);
            if earlier.at <= latest + SLACK {
                break;
            }
            earlier.at = latest;
            bound = *earlier;
        }
        if self.anchors.back().is_none_or(|last| number >= last.number + SPACING) {
            self.anchors.push_back(Anchor { number, at });
        }
        while self.anchors.len() > 1 && self.anchors[1].number + (CAPACITY as u64) < number {
            self.anchors.pop_front();
        }
    }

    /// The number of the sample heard at `moment`; one that is still to come when `moment` is after the last anchor.
    /// `None` before the first anchor.
    #[must_use]
    pub fn number_at(&self, moment: Moment) -> Option<u64> {
        let after = self.anchors.partition_point(|anchor| anchor.at <= moment);
        let Some(before) = after.checked_sub(1).map(|i| self.anchors[i]) else {
            let first = self.anchors.front()?;
            return Some(first.number.saturating_sub(samples_in(first.at.since(moment))));
        };
        let number = before.number + samples_in(moment.since(before.at));
        Some(self.anchors.get(after).map_or(number, |next| number.min(next.number)))
    }

    /// [`Self::number_at`] once audio that comes later cannot change it much; `None` while the
    /// device stalls.
    #[must_use]
    pub fn settled_number_at(&self, moment: Moment) -> Option<u64> {
        let newest = self.anchors.back()?;
        if moment.since(newest.at) > OUTLOOK { None } else { self.number_at(moment) }
    }

    /// When sample `number` was, or will be, heard. `None` before the first anchor.
    #[must_use]
    pub fn moment_of(&self, number: u64) -> Option<Moment> {
        let after = self.anchors.partition_point(|anchor| anchor.number <= number);
        match after.checked_sub(1).map(|i| self.anchors[i]) {
            Some(before) => Some(before.at + length(number - before.number)),
            None => self.anchors.front().map(|first| first.at - length(first.number - number)),
        }
    }
}

/// Finds audio that never came: a sound server that had no time drops it without a word.
///
/// Blocks come early or late by chance, but never earlier than they are spoken. So the earliest block of a second says
/// how far samples and clock are apart, and what that grows by from one second to the next is missing.
#[derive(Debug, Default)]
pub struct GapWatch {
    begin: Option<Moment>,
    second: Option<Moment>,
    earliest: Duration,
    before: Option<Duration>,
}

impl GapWatch {
    /// Of the blocks of so long the earliest counts. By the clock, because what waited while we did not run comes at once.
    const SECOND: Duration = Duration::from_secs(1);
    /// Two clocks drift apart by less than this in that time.
    const SMALLEST: Duration = Duration::from_millis(5);

    /// The stream's `samples`-th sample (at 16 kHz) was captured at `at`. Returns how much audio is missing, when that
    /// has just become clear.
    pub fn note(&mut self, samples: u64, at: Moment) -> Option<Duration> {
        let begin = *self.begin.get_or_insert(at);
        // A second of reserve, because the first block may be a late one.
        let apart = (at + Duration::from_secs(1)).since(begin + length(samples));
        let Some(second) = self.second else {
            (self.second, self.earliest) = (Some(at), apart);
            return None;
        };
        self.earliest = self.earliest.min(apart);
        if at.since(second) < Self::SECOND {
            return None;
        }
        self.second = None;
        let grown = self.before.map_or(Duration::ZERO, |before| self.earliest.saturating_sub(before));
        self.before = Some(self.earliest);
        (grown >= Self::SMALLEST).then_some(grown)
    }
}

/// How long `samples` play.
#[must_use]
pub const fn length(samples: u64) -> Duration {
    Duration::from_nanos(samples * (1_000_000_000 / SAMPLE_RATE_HZ as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn the_map_goes_both_ways() {
        let mut clock = SampleClock::default();
        assert_eq!(clock.number_at(at(5)), None);
        for block in 0..100 {
            clock.note(1_000 + block * 160, at(5_000 + block * 10));
        }
        for (millis, number) in
            [(5_000, 1_000), (5_005, 1_080), (5_990, 16_840), (7_000, 33_000), (4_990, 840)]
        {
            assert_eq!(clock.number_at(at(millis)), Some(number), "{millis}");
            assert_eq!(clock.moment_of(number), Some(at(millis)), "{millis}");
        }
    }

    #[test]
    fn blocks_that_came_late_in_a_burst_are_put_in_their_place() {
        let mut clock = SampleClock::default();
        for block in 0..20 {
            // The thread that delivers was asleep from 5.1 to 5.2 s.
            let arrival = if (10..20).contains(&block) { 5_200 } else { 5_000 + block * 10 };
            clock.note(block * 160, at(arrival));
        }
        clock.note(20 * 160, at(5_200));
        for block in 0..20 {
            let number = clock.number_at(at(5_000 + block * 10)).unwrap();
            assert!(number.abs_diff(block * 160) <= 16, "{block}: {number}");
        }
    }

    #[test]
    fn a_gap_is_not_bridged() {
        let mut clock = SampleClock::default();
        clock.note(0, at(1_000));
        clock.note(160, at(1_010));
        clock.note(320, at(9_000));
        assert_eq!(clock.number_at(at(4_000)), Some(320), "what was lost is not owed");
        assert_eq!(clock.number_at(at(1_005)), Some(80));
    }

    #[test]
    fn a_moment_in_a_stall_is_placed_when_the_device_goes_on() {
        for (kept, expected) in [(true, 160 + 16_000), (false, 160)] {
            let mut clock = SampleClock::default();
            assert_eq!(clock.settled_number_at(at(1_000)), None);
            clock.note(0, at(1_000));
            assert_eq!(clock.settled_number_at(at(1_010)), Some(160));
            // Nothing comes from 1.01 to 3.01 s, and the key moves at 2.01 s.
            assert_eq!(clock.settled_number_at(at(2_010)), None);
            if kept {
                for block in 0..200 {
                    clock.note(160 + block * 160, at(1_010 + block * 10));
                }
            } else {
                clock.note(160, at(3_010));
            }
            assert_eq!(clock.settled_number_at(at(2_010)), Some(expected), "{kept}");
        }
    }

    #[test]
    fn the_map_stays_small() {
        let mut clock = SampleClock::default();
        for block in 0..100_000u64 {
            clock.note(block * 21, at(1_000) + length(block * 21));
        }
        assert!(clock.anchors.len() <= CAPACITY / SPACING as usize + 2, "{}", clock.anchors.len());
    }

    #[test]
    fn what_never_came_is_missed_and_what_came_late_is_not() {
        let mut watch = GapWatch::default();
        let mut missed = Vec::new();
        for block in 0..1_000u64 {
            let dropped = if block >= 450 { 110 } else { 0 };
            let late = if block % 7 == 0 { 40 } else { block % 3 };
            missed.extend(watch.note(block * 160, at(5_000 + block * 10 + dropped + late)));
        }
        assert_eq!(missed, [Duration::from_millis(110)]);
    }

    #[test]
    fn what_waited_while_we_stood_still_is_not_missed() {
        let mut watch = GapWatch::default();
        for block in 0..3_000u64 {
            // Crumbs of 2 ms; from 7 to 10 s nobody took them.
            let arrival = 5_000 + block * 2;
            let arrival = if (7_000..10_000).contains(&arrival) { 10_000 } else { arrival };
            assert_eq!(watch.note(block * 32, at(arrival)), None, "{block}");
        }
    }
}
