//! A key in the hand of the program itself: for benchmarks, tests and custom builds that have their own idea of a key.

use std::sync::Arc;

use ptt_messages::{Moment, Profile};

use super::{Backend, KeySource};
use crate::KeyboardError;
use crate::chord::{DeviceId, Edge, Signal, Watched};
use crate::wake::{Inbox, Stop};

/// Moves the keys. Usable from any thread; what is done while nobody listens is not seen.
#[derive(Clone, Debug)]
pub struct Driver {
    inbox: Arc<Inbox<Signal>>,
    watched: Watched,
}

/// What a [`Driver`] drives.
#[derive(Debug)]
pub(crate) struct DrivenSource {
    inbox: Arc<Inbox<Signal>>,
    stop: Stop,
}

/// The one device there is.
const HAND: DeviceId = DeviceId(0);

impl Driver {
    pub(crate) fn new(watched: Watched) -> Result<Self, KeyboardError> {
        Ok(Self { inbox: Arc::new(Inbox::new()?), watched })
    }

    pub(crate) fn source(&self, stop: &Stop) -> DrivenSource {
        // What was done while nobody listened is the past.
        drop(self.inbox.take());
        DrivenSource { inbox: Arc::clone(&self.inbox), stop: stop.clone() }
    }

    /// All keys of the default profile's chord down, now. Gives the time it stamped.
    pub fn press(&self) -> Moment {
        self.chord(Edge::Down)
    }

    /// All keys of the chord up, now. Gives the time it stamped.
    pub fn release(&self) -> Moment {
        self.chord(Edge::Up)
    }

    /// The cancel key down and up, now; nothing where the configuration has none.
    pub fn cancel(&self) {
        let at = Moment::now();
        if let Some(slot) = self.watched.cancel() {
            for edge in [Edge::Down, Edge::Up] {
                self.inbox.put(Signal::Key { device: HAND, slot, edge, at });
            }
        }
    }

    /// One gesture that starts or ends a take, now. Gives the time it stamped.
    pub fn toggle(&self) -> Moment {
        let at = Moment::now();
        self.inbox.put(Signal::Toggled { at, profile: Profile::DEFAULT });
        at
    }

    /// The device is pulled out, now.
    pub fn unplug(&self) {
        self.inbox.put(Signal::Lost { device: HAND, at: Moment::now() });
    }

    fn chord(&self, edge: Edge) -> Moment {
        let at = Moment::now();
        for slot in self.watched.chord().iter() {
            self.inbox.put(Signal::Key { device: HAND, slot, edge, at });
        }
        at
    }
}

impl KeySource for DrivenSource {
    fn backend(&self) -> Backend {
        Backend::Scripted
    }

    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        self.inbox.wait(&self.stop, until)?;
        signals.extend(self.inbox.take());
        Ok(())
    }

    fn stamps_at_origin(&self) -> bool {
        true
    }
}
