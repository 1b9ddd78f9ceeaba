//! What tests of real sources share: an ear that hears what the daemon's key thread would, and a hand to move keys with.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ptt_messages::Moment;

use super::KeySource;
use crate::chord::{ChordEvent, ChordTracker, Watched};
use crate::listener::{Heard, listen};
use crate::wake::Stop;
use crate::{KeyboardConfig, KeyboardError, source};

const PATIENCE: Duration = Duration::from_secs(5);

/// The listener's loop on a thread of its own. Dropping it ends it, within 100 ms.
pub struct Ear {
    heard: Receiver<(Heard, Moment)>,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), KeyboardError>>>,
}

/// From the move to the listener's call.
pub struct Latencies {
    pub press: Vec<Duration>,
    pub release: Vec<Duration>,
    /// From the edge's own time to ours, edges of the chord.
    pub detection: Vec<Duration>,
}

/// What moves the keys.
pub trait Hand {
    /// Moves each key by itself, in this order. Gives the time just before the last one.
    fn set(&mut self, keys: &[&str], down: bool) -> Moment;

    fn tap(&mut self, key: &str) {
        self.set(&[key], true);
        self.set(&[key], false);
    }

    fn tap_slowly(&mut self, key: &str) {
        self.set(&[key], true);
        std::thread::sleep(Duration::from_millis(40));
        self.set(&[key], false);
    }
}

impl Ear {
    /// On the configured source.
    pub fn on(config: &KeyboardConfig) -> Self {
        Self::through(config, source::open)
    }

    /// On the source that `open` gives.
    pub fn through(
        config: &KeyboardConfig,
        open: impl FnOnce(&KeyboardConfig, &Watched, &Stop) -> Result<Box<dyn KeySource>, KeyboardError>
        + Send
        + 'static,
    ) -> Self {
        let stop = Stop::new().unwrap();
        let (tell, heard) = channel();
        let (config, on) = (config.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let watched = config.watched()?;
            let mut source = open(&config, &watched, &on)?;
            let mut tracker = ChordTracker::new(&watched, config.bounce_ms.millis());
            tell.send((Heard::Listening(source.backend()), Moment::now())).unwrap();
            listen(&mut *source, None, &mut tracker, &watched, &on, &mut |heard| match tell
                .send((heard, Moment::now()))
            {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
        let ear = Self { heard, stop, thread: Some(thread) };
        assert!(matches!(ear.heard.recv_timeout(PATIENCE), Ok((Heard::Listening(_), _))));
        ear
    }

    /// Why the source ended by itself.
    pub fn broke(mut self) -> KeyboardError {
        self.thread.take().unwrap().join().unwrap().unwrap_err()
    }

    pub fn next(&self) -> ChordEvent {
        self.next_with(&mut Vec::new()).0
    }

    pub fn next_with(&self, detection: &mut Vec<Duration>) -> (ChordEvent, Moment) {
        loop {
            match self.heard.recv_timeout(PATIENCE).expect("the chord does something within 5 s") {
                (Heard::Chord(event), at) => return (event, at),
                (Heard::Key { took, .. }, _) => detection.extend(took),
                (Heard::Listening(_), _) => {}
            }
        }
    }

    /// Waits until `keys` keys have gone up: a source that polls may not have seen the last ones yet.
    pub fn all_up(&self, keys: usize, detection: &mut Vec<Duration>) {
        let mut up = 0;
        while up < keys {
            if let (Heard::Key { down, took, .. }, _) =
                self.heard.recv_timeout(PATIENCE).expect("every key goes up")
            {
                up += usize::from(!down);
                detection.extend(took);
            }
        }
    }

    /// Whether the chord does nothing for a while.
    pub fn quiet(&self) -> bool {
        loop {
            match self.heard.recv_timeout(Duration::from_millis(250)) {
                Ok((Heard::Chord(event), _)) => {
                    println!("{event:?}");
                    return false;
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Taps a key of the chord until an edge of it is heard.
    pub fn wait_until_open(&self, hand: &mut impl Hand, key: &str) {
        let begun = Moment::now();
        while Moment::now().since(begun) < PATIENCE {
            hand.tap_slowly(key);
            if let Ok((Heard::Key { down: false, .. }, _)) =
                self.heard.recv_timeout(Duration::from_millis(60))
            {
                return;
            }
            while let Ok((heard, _)) = self.heard.recv_timeout(Duration::from_millis(40)) {
                if matches!(heard, Heard::Key { down: false, .. }) {
                    println!("a new device was open after {:?}", Moment::now().since(begun));
                    return;
                }
            }
        }
        panic!("the device was not opened");
    }

    pub fn hold_often(&self, hand: &mut impl Hand, keys: &[&str], times: u32) -> Latencies {
        let mut all = Latencies { press: Vec::new(), release: Vec::new(), detection: Vec::new() };
        for n in 0..times {
            // Not in step with anybody's polling.
            std::thread::sleep(Duration::from_micros(u64::from(n * 7_919 % 20_000)));
            let (last, first) = (keys[keys.len() - 1], keys[0]);
            hand.set(&keys[..keys.len() - 1], true);
            let written = hand.set(&[last], true);
            let (event, heard) = self.next_with(&mut all.detection);
            assert!(matches!(event, ChordEvent::Pressed { .. }), "{n}: {event:?}");
            all.press.push(heard.since(written));
            std::thread::sleep(Duration::from_micros(u64::from(n * 104_729 % 20_000)));
            let written = hand.set(&[first], false);
            let (event, heard) = self.next_with(&mut all.detection);
            assert!(matches!(event, ChordEvent::Released { .. }), "{n}: {event:?}");
            all.release.push(heard.since(written));
            hand.set(&keys[1..], false);
            self.all_up(keys.len(), &mut all.detection);
        }
        all
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let begun = Moment::now();
        self.stop.raise();
        let Some(thread) = self.thread.take() else { return };
        let ended = thread.join();
        let took = Moment::now().since(begun);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
            assert!(took < Duration::from_millis(100), "stopping took {took:?}");
        }
    }
}

pub fn percentile(of: &[Duration], part: f64) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    sorted[((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len()) - 1]
}

pub fn report(what: &str, all: &Latencies) {
    for (edge, of) in [("press", &all.press), ("release", &all.release), ("origin to thread", &all.detection)]
    {
        if !of.is_empty() {
            let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|part| percentile(of, part));
            println!("{what}, {edge}, n={}: p50 {p50:?} p95 {p95:?} p99 {p99:?} max {max:?}", of.len());
        }
    }
}
