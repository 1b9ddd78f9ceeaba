//! The role *output*: where texts go.

use serde::{Deserialize, Serialize};

use crate::{Fault, Profile, TakeId, Transcript};

/// What a sink is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputCommand {
    /// The key of this take went up: note which window has the keyboard now, if texts go into windows. Not answered.
    Aim { take: TakeId, profile: Profile },
    /// Put the text out, to where the profile's texts go. Takes are delivered in the order of these commands. Answered once,
    /// by any event.
    Deliver { take: TakeId, profile: Profile, text: Transcript },
    /// Do not put the text of this take out, if nothing of it is out yet. The answer to its `Deliver` tells whether that
    /// came in time; there is no other one.
    Withdraw { take: TakeId },
}

/// What a sink tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputEvent {
    /// The text is out; `sink` is its name in the configuration.
    Delivered { take: TakeId, sink: String },
    /// The text is not out. It is kept and can be asked for again.
    Failed { take: TakeId, fault: Fault },
    /// Nothing of the text is out, and nothing will be.
    Withdrawn { take: TakeId },
}
