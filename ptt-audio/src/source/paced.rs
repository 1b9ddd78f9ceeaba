//! A thread that delivers 10 ms blocks on an absolute schedule, as a sound card does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use ptt_messages::{Moment, SAMPLE_RATE_HZ};

use crate::clock::length;
use crate::error::AudioError;
use crate::ring::Feed;

/// Samples of a block: 10 ms at 16 kHz.
const BLOCK: usize = SAMPLE_RATE_HZ as usize / 100;

/// A running thread; it ends within 10 ms of being dropped.
#[derive(Debug)]
pub struct Paced(Arc<AtomicBool>);

impl Paced {
    /// Delivers 16 kHz mono through `feed` from now on. `fill` gets the moment of a block's first sample.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        mut feed: Feed,
        mut fill: impl FnMut(Moment, &mut [f32]) + Send + 'static,
    ) -> Result<Self, AudioError> {
        let ended = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&ended);
        let begin = Moment::now();
        let run = move || {
            let mut block = [0.0; BLOCK];
            let mut delivered = 0;
            while !watched.load(Relaxed) {
                let first = begin + length(delivered);
                delivered += BLOCK as u64;
                let due = begin + length(delivered);
                let wait = due.since(Moment::now());
                if wait > Duration::ZERO {
                    thread::sleep(wait);
                }
                fill(first, &mut block);
                feed.push(&block, Moment::now().since(first), |s| s);
            }
        };
        thread::Builder::new()
            .name("ptt-audio-play".to_owned())
            .spawn(run)
            .map_err(|e| AudioError::Thread { reason: e.to_string() })?;
        Ok(Self(ended))
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
