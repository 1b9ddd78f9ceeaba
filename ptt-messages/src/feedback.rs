//! The role *feedback*: what the user hears.

use serde::{Deserialize, Serialize};

use crate::{Fault, Moment, TakeId};

/// A tone with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chime {
    /// A take began.
    Start,
    /// The key came up; the text is on its way.
    Stop,
    /// The take was thrown away.
    Cancelled,
    /// The text was delivered.
    Done,
    /// Something failed.
    Error,
}

impl Chime {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Start, Self::Stop, Self::Cancelled, Self::Done, Self::Error];
}

/// What a feedback player is told. Best effort: it never holds up a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeedbackCommand {
    /// Open the output, so that the first chime is as quick as the later ones.
    Open,
    /// Close the output.
    Close,
    /// Play a tone; `since` is the moment of what it answers (the press for `Start`), the zero of its latency.
    Play { take: TakeId, chime: Chime, since: Moment },
}

/// What a feedback player tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeedbackEvent {
    /// The device took the block that holds the first sample of the tone at `at`.
    Played { take: TakeId, chime: Chime, since: Moment, at: Moment },
    /// No output: chimes are not heard until it is back.
    Failed(Fault),
}
