//! No device at all: whoever writes to the program's control socket (a compositor's key binding, a foot pedal's script, a
//! shell) is the keyboard. The program posts those events to the controller itself, so there is nothing to read here.

use ptt_messages::Moment;

use super::{Backend, KeySource};
use crate::KeyboardError;
use crate::chord::Signal;
use crate::wake::Stop;

/// Sleeps until it is stopped.
#[derive(Debug)]
pub struct ControlSource {
    stop: Stop,
}

impl ControlSource {
    /// Opens nothing.
    #[must_use]
    pub fn new(stop: &Stop) -> Self {
        Self { stop: stop.clone() }
    }
}

impl KeySource for ControlSource {
    fn backend(&self) -> Backend {
        Backend::Control
    }

    fn wait(&mut self, until: Option<Moment>, _: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        self.stop.wait(until)
    }

    fn stamps_at_origin(&self) -> bool {
        false
    }
}
