//! The role *keyboard*: edges of the push-to-talk chord.

use serde::{Deserialize, Serialize};

use crate::{Fault, Moment, Profile};

/// What a keyboard is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyboardCommand {
    /// Open a source and report edges. Answered by `Listening` or `Failed`.
    Listen,
    /// Report nothing more and give the devices back.
    Ignore,
}

/// What a keyboard tells. Times are those of the kernel or the server, not of the reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyboardEvent {
    /// A source is open; `backend` is its name in the configuration.
    Listening { backend: String },
    /// The last missing key of this profile's chord went down.
    Pressed { at: Moment, profile: Profile },
    /// The first key of the held chord went up, or the device that held it is gone.
    Released { at: Moment },
    /// One event for a whole gesture: starts a take of this profile when none runs, ends any when one does.
    Toggled { at: Moment, profile: Profile },
    /// The cancel key (Escape) went down.
    Cancelled { at: Moment },
    /// The user left the keyboard: the machine sleeps, the session is locked or in the background. Ends a take however it was
    /// begun, and keeps it; nothing begins before `Pressed` or `Toggled`.
    UserLeft { at: Moment },
    /// No source is open (any more). The actor goes on trying where the kind is worth it.
    Failed(Fault),
}
