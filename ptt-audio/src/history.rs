//! The last 30 s of 16 kHz audio, in memory only. Takes are ranges of it, so nothing is copied until a clip is made.

use ptt_messages::{Clip, SAMPLE_RATE_HZ};

/// Samples that are kept: 30 s, 1.9 MB.
pub const CAPACITY: usize = 30 * SAMPLE_RATE_HZ as usize;

/// A ring of samples, each known by its number since the recorder was made.
#[derive(Debug)]
pub struct History {
    ring: Box<[f32]>,
    end: u64,
    floor: u64,
}

impl Default for History {
    fn default() -> Self {
        let mut ring = vec![0.0; CAPACITY].into_boxed_slice();
        // Zeroed memory is mapped at the first write; that write is to be now, not in a take.
        ring.fill(f32::MIN_POSITIVE);
        ring.fill(0.0);
        std::hint::black_box(&mut ring);
        Self { ring, end: 0, floor: 0 }
    }
}

impl History {
    /// The number of the sample that comes next.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The number of the oldest sample that belongs to the present stream and is still there.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.floor.max(self.end.saturating_sub(CAPACITY as u64))
    }

    /// A new stream begins: what was heard before is no pre-roll of what comes.
    pub const fn restart(&mut self) {
        self.floor = self.end;
    }

    /// Appends samples; the oldest go.
    pub fn push(&mut self, samples: &[f32]) {
        for piece in samples.chunks(CAPACITY) {
            let at = self.slot(self.end);
            let first = piece.len().min(CAPACITY - at);
            self.ring[at..at + first].copy_from_slice(&piece[..first]);
            self.ring[..piece.len() - first].copy_from_slice(&piece[first..]);
            self.end += piece.len() as u64;
        }
    }

    /// Fills `out` with the samples from number `from` on. They must be there.
    pub fn read(&self, from: u64, out: &mut [f32]) {
        debug_assert!(from + out.len() as u64 <= self.end && from + CAPACITY as u64 >= self.end);
        let at = self.slot(from);
        let first = out.len().min(CAPACITY - at);
        let (head, tail) = out.split_at_mut(first);
        head.copy_from_slice(&self.ring[at..at + first]);
        tail.copy_from_slice(&self.ring[..tail.len()]);
    }

    /// The samples of `from..to` as a clip.
    #[must_use]
    pub fn clip(&self, from: u64, to: u64) -> Clip {
        let mut samples = vec![0.0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
        self.read(from, &mut samples);
        Clip::new(samples).expect("only what the intake has sanitised gets into the history")
    }

    /// Overwrites everything: what was said does not stay in memory while nobody may ask for it.
    pub fn wipe(&mut self) {
        self.ring.fill(0.0);
        self.floor = self.end;
    }

    fn slot(&self, number: u64) -> usize {
        usize::try_from(number % CAPACITY as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_went_in_comes_out(blocks in prop::collection::vec(1usize..150_000, 1..12)) {
            let mut history = History::default();
            let value = |n: u64| (n % 9_973) as f32 / 10_000.0;
            for length in blocks {
                let from = history.end();
                let block: Vec<_> = (from..from + length as u64).map(value).collect();
                history.push(&block);
            }
            let clip = history.clip(history.oldest(), history.end());
            prop_assert_eq!(clip.samples().len() as u64, history.end().min(CAPACITY as u64));
            for (n, s) in (history.oldest()..).zip(clip.samples()) {
                prop_assert_eq!(*s, value(n));
            }
        }
    }

    #[test]
    fn a_new_stream_and_a_wipe_leave_no_pre_roll() {
        let mut history = History::default();
        history.push(&[0.5; 1_000]);
        history.restart();
        assert_eq!((history.oldest(), history.end()), (1_000, 1_000));
        history.push(&[0.25; 10]);
        history.wipe();
        assert_eq!(history.oldest(), 1_010);
        assert!(history.ring.iter().all(|s| *s == 0.0));
    }
}
