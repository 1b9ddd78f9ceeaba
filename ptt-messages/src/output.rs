//! The role *output*: where texts go.

use serde::{Deserialize, Serialize};

use crate::{Fault, Profile, TakeId, Transcript};

/// What a sink is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputCommand {
    /// The key of this take went up: note which window has the keyboard now, if texts go into windows. Not answered.
    Aim { take: TakeId, profile: Profile },
    /// Put the text out, to where the profile's texts go. Takes are delivered in the order of these commands. Answered by `Delivered` or `Failed`.
    Deliver { take: TakeId, profile: Profile, text: Transcript },
}

/// What a sink tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputEvent {
    /// The text is out; `sink` is its name in the configuration.
    Delivered { take: TakeId, sink: String },
    /// The text is not out. It is kept and can be asked for again.
    Failed { take: TakeId, fault: Fault },
}
