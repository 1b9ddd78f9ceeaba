//! The take that the recorder has, or is asked for.

use ptt_messages::{Moment, TakeId};

use crate::source::wav::Pieces;
use crate::take::Take;

/// A take that runs.
pub struct Running {
    pub take: Take,
    pub at_once: bool,
    /// Of a take that is heard at once: what of it is still to be heard.
    pub pieces: Option<Pieces>,
    /// When `Stop` came.
    pub stopped: Option<Moment>,
    /// The press and the release, while the microphone stalls and their samples are not known.
    pub press: Option<Moment>,
    pub release: Option<Moment>,
}

impl Running {
    /// A take that is heard as it is spoken.
    pub const fn new(take: Take) -> Self {
        Self { take, at_once: false, pieces: None, stopped: None, press: None, release: None }
    }
}

/// A take that waits for its microphone.
pub struct Waiting {
    pub take: TakeId,
    pub press: Moment,
    pub until: Moment,
}
