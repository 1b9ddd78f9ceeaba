//! The way from the device's thread to ours: one ring for samples, one for what is known of each block, and counters.
//! The device's side copies, counts and wakes; it neither allocates nor locks nor waits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::thread::Thread;
use std::time::Duration;

use ptt_messages::{FaultKind, Moment};
use rtrb::{Consumer, Producer, RingBuffer};

/// Audio that waits while our thread does not run.
const SECONDS: usize = 4;

/// Bound on its memory: 16 MB, which many channels at a high rate would pass.
const MOST_SAMPLES: usize = 4 << 20;

/// Blocks that wait; devices' blocks are 1 ms and longer.
const MOST_BLOCKS: usize = 4_096;

/// Our thread is woken at most this often, so for every block of 10 ms and for several shorter ones together.
const WAKES_PER_S: usize = 110;

/// No sound system delivers audio older than this; what says so is wrong.
const OLDEST: Duration = Duration::from_millis(500);

/// A block of whole frames in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Its number of frames.
    pub frames: u32,
    /// When its first sample was captured, as far as the sound system knows.
    pub captured: Moment,
    /// When it arrived.
    pub arrived: Moment,
}

/// What the device's threads count and flag.
#[derive(Debug, Default)]
pub struct Tally {
    /// Samples that found no room.
    pub dropped: AtomicU64,
    /// Overruns the sound system told of.
    pub xruns: AtomicU64,
    /// Times the sound system moved the stream to another device.
    pub moved: AtomicU64,
    elsewhere: AtomicBool,
    lost: AtomicU8,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The device is not there any more.
    Gone = 1,
    /// The connection to the sound server is.
    ServerGone,
    /// Its format changed.
    Changed,
    /// The sound system failed.
    Broken,
}

impl Loss {
    const ALL: [Self; 4] = [Self::Gone, Self::ServerGone, Self::Changed, Self::Broken];

    /// For people.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Gone => "the device was removed",
            Self::ServerGone => "the connection to the sound server broke",
            Self::Changed => "its format changed",
            Self::Broken => "the sound system reported an error",
        }
    }

    /// For the machine.
    #[must_use]
    pub const fn kind(self) -> FaultKind {
        match self {
            Self::Gone | Self::ServerGone => FaultKind::Gone,
            Self::Changed | Self::Broken => FaultKind::Broken,
        }
    }
}

impl Tally {
    /// Flags the stream as ended. The first reason stays.
    pub fn lose(&self, loss: Loss) {
        let _ = self.lost.compare_exchange(0, loss as u8, Relaxed, Relaxed);
    }

    /// The sound system moved the stream to another device; audio goes on in the same format.
    pub fn move_on(&self) {
        self.moved.fetch_add(1, Relaxed);
        self.elsewhere.store(true, Relaxed);
    }

    /// Whether the stream is on another device than the one it was opened on.
    #[must_use]
    pub fn elsewhere(&self) -> bool {
        self.elsewhere.load(Relaxed)
    }

    /// Whether and why the stream has ended.
    #[must_use]
    pub fn lost(&self) -> Option<Loss> {
        let code = self.lost.load(Relaxed);
        Loss::ALL.into_iter().find(|loss| *loss as u8 == code)
    }
}

/// The device's side.
pub struct Feed {
    samples: Producer<f32>,
    blocks: Producer<Block>,
    tally: Arc<Tally>,
    wake: Thread,
    rate_hz: u32,
    channels: usize,
    /// Frames our thread was not woken for yet.
    unheard: usize,
}

/// Our side.
pub struct Drain {
    samples: Consumer<f32>,
    blocks: Consumer<Block>,
    tally: Arc<Tally>,
    channels: usize,
    scratch: Vec<f32>,
}

/// A ring for a stream of `channels` at `rate_hz`; `wake` is unparked for each 10 ms.
#[must_use]
pub fn hand_over(rate_hz: u32, channels: u16, wake: Thread) -> (Feed, Drain) {
    let channels = usize::from(channels.max(1));
    let wanted = SECONDS * rate_hz as usize * channels;
    let (mut sample_in, samples_out) = RingBuffer::new(wanted.min(MOST_SAMPLES) / channels * channels);
    // Memory is mapped at the first write, which must not be in the callback.
    if let Ok(mut chunk) = sample_in.write_chunk(sample_in.slots()) {
        chunk.as_mut_slices().0.fill(0.0);
    }
    let (block_in, blocks_out) = RingBuffer::new(MOST_BLOCKS);
    let tally = Arc::new(Tally::default());
    let feed = Feed {
        samples: sample_in,
        blocks: block_in,
        tally: Arc::clone(&tally),
        wake,
        rate_hz,
        channels,
        unheard: 0,
    };
    let drain = Drain {
        samples: samples_out,
        blocks: blocks_out,
        tally,
        channels,
        scratch: Vec::with_capacity(4_096),
    };
    (feed, drain)
}

impl Feed {
    /// Hands over a block of interleaved samples. `age` is how long ago its first sample was captured, where that is
    /// known. Runs on the device's thread.
    pub fn push<T: Copy>(&mut self, data: &[T], age: Duration, to_f32: impl Fn(T) -> f32) {
        self.push_at(Moment::now(), data, age, to_f32);
    }

    /// [`Feed::push`] of a block that arrived at `arrived`.
    pub fn push_at<T: Copy>(
        &mut self,
        arrived: Moment,
        data: &[T],
        age: Duration,
        to_f32: impl Fn(T) -> f32,
    ) {
        let age = age.clamp(self.length(data.len()).min(OLDEST), OLDEST);
        self.store(arrived, arrived - age, data, to_f32);
        self.tell();
    }

    /// Hands over a block whose first sample was captured at `captured`, for certain. It may be one of several that came
    /// at once; [`Feed::tell`] comes after the last.
    pub fn store<T: Copy>(
        &mut self,
        arrived: Moment,
        captured: Moment,
        data: &[T],
        to_f32: impl Fn(T) -> f32,
    ) {
        let whole = data.len() / self.channels * self.channels;
        let room =
            if self.blocks.is_full() { 0 } else { self.samples.slots() / self.channels * self.channels };
        let taken = whole.min(room);
        if let Some(data) = data.get(..taken)
            && taken > 0
            && let Ok(chunk) = self.samples.write_chunk_uninit(taken)
        {
            chunk.fill_from_iter(data.iter().map(|s| to_f32(*s)));
            let frames = (taken / self.channels) as u32;
            let _ = self.blocks.push(Block { frames, captured, arrived });
        }
        if taken < whole {
            self.tally.dropped.fetch_add((whole - taken) as u64, Relaxed);
        }
        self.unheard += whole / self.channels;
    }

    /// Wakes our thread, if it is worth it: a sound server may deliver in crumbs of 2 ms.
    pub fn tell(&mut self) {
        if self.unheard >= self.rate_hz as usize / WAKES_PER_S {
            self.unheard = 0;
            self.wake.unpark();
        }
    }

    /// How long so many samples play.
    #[must_use]
    pub fn length(&self, samples: usize) -> Duration {
        let frames = (samples / self.channels) as u64;
        Duration::from_nanos(frames * 1_000_000_000 / u64::from(self.rate_hz.max(1)))
    }

    /// The counters, for the device's other callbacks.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Our thread, for the device's other callbacks.
    #[must_use]
    pub fn wake(&self) -> Thread {
        self.wake.clone()
    }
}

impl Drain {
    /// The next block and its samples, interleaved.
    pub fn next(&mut self) -> Option<(Block, &[f32])> {
        let block = self.blocks.pop().ok()?;
        let wanted = block.frames as usize * self.channels;
        self.scratch.clear();
        if let Ok(chunk) = self.samples.read_chunk(wanted) {
            let (head, tail) = chunk.as_slices();
            self.scratch.extend_from_slice(head);
            self.scratch.extend_from_slice(tail);
            chunk.commit_all();
        }
        Some((block, &self.scratch))
    }

    /// How full the ring is, 0.0 to 1.0.
    #[must_use]
    pub fn fill(&self) -> f64 {
        self.samples.slots() as f64 / self.samples.buffer().capacity().max(1) as f64
    }

    /// What the device's threads counted.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("fill", &self.fill()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use assert_no_alloc::{AllocDisabler, assert_no_alloc};
    use proptest::prelude::*;

    use super::*;

    // Every allocation in `assert_no_alloc` ends the test binary.
    #[global_allocator]
    static ALLOCATOR: AllocDisabler = AllocDisabler;

    #[test]
    fn the_callback_neither_allocates_nor_frees() {
        let (mut feed, mut drain) = hand_over(48_000, 2, std::thread::current());
        let block = [7_i16; 960];
        let mut frames = 0;
        for round in 0..10_000 {
            assert_no_alloc(|| feed.push(&block, Duration::from_millis(12), |s| f32::from(s) / 32_768.0));
            // For a while nobody reads: a full ring must not allocate either.
            while round > 1_000
                && let Some((_, samples)) = drain.next()
            {
                frames += samples.len() / 2;
            }
        }
        let dropped = drain.tally().dropped.load(Relaxed) as usize;
        assert!(dropped > 0);
        assert_eq!(frames * 2 + dropped, 10_000 * 960, "what did not fit was counted");
    }

    #[test]
    fn a_block_knows_when_it_was_captured() {
        let (mut feed, mut drain) = hand_over(16_000, 1, std::thread::current());
        let at = Moment::from_millis(5_000);
        for (age_ms, expected_ms) in [(0, 10), (10, 10), (35, 35), (9_000, 500)] {
            feed.push_at(at, &[0.0; 160], Duration::from_millis(age_ms), |s| s);
            let (block, _) = drain.next().unwrap();
            assert_eq!(at.since(block.captured), Duration::from_millis(expected_ms), "{age_ms}");
        }
    }

    #[test]
    fn the_first_loss_stays() {
        let tally = Tally::default();
        assert_eq!(tally.lost(), None);
        tally.lose(Loss::ServerGone);
        tally.lose(Loss::Broken);
        assert_eq!(tally.lost(), Some(Loss::ServerGone));
    }

    proptest! {
        #[test]
        fn samples_come_out_in_order(channels in 1u16..9, sizes in prop::collection::vec(0usize..600, 1..60)) {
            let (mut feed, mut drain) = hand_over(8_000, channels, std::thread::current());
            let mut sent = 0u32;
            let mut got = 0u32;
            for (turn, size) in sizes.into_iter().enumerate() {
                let block: Vec<u32> = (0..size as u32 * u32::from(channels)).map(|n| sent + n).collect();
                sent += block.len() as u32;
                feed.push(&block, Duration::ZERO, |s| s as f32);
                while turn % 3 == 2 && let Some((block, samples)) = drain.next() {
                    prop_assert_eq!(samples.len(), block.frames as usize * usize::from(channels));
                    for s in samples {
                        prop_assert_eq!(*s, got as f32);
                        got += 1;
                    }
                }
            }
            prop_assert_eq!(drain.tally().dropped.load(Relaxed), 0);
        }
    }
}
