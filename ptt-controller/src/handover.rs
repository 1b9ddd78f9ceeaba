//! How a controller is replaced by another one: the question whether it may be, and the place where
//! its memory waits for its successor. What that memory is stands in [`fsm`](crate::fsm).

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use crate::fsm::Handover;

/// Asks the controller to end its work. It answers in the order of its mailbox: whatever was sent
/// before this has had its effect, whatever is sent after a `true` has none.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// Receives `true` when the controller has ended its work, `false` when a take runs or waits, or
    /// a text is on its way: then nothing has changed.
    pub answer: SyncSender<bool>,
}

/// The place of a replaced controller's memory. A controller takes what is there when it starts, and
/// leaves its own when it ends, however it ends.
#[derive(Clone, Debug, Default)]
pub struct HandoverSlot(Arc<Mutex<Option<Handover>>>);

impl HandoverSlot {
    /// Takes the memory out; `None` before the first controller has ended.
    #[must_use]
    pub fn take(&self) -> Option<Handover> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Looks at the memory.
    pub fn read<T>(&self, look: impl FnOnce(&Handover) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Leaves a memory there.
    pub fn put(&self, handover: Handover) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    }
}
