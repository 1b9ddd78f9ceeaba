//! The role *resources*: who holds the microphone and what is resident in memory.

use serde::{Deserialize, Serialize};

use crate::{Fault, TakeId};

/// What the resource manager is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceCommand {
    /// A take wants the microphone and the engine. Answered by `Granted` or `Refused`.
    Acquire { take: TakeId },
    /// The take needs them no more. Without an answer; giving back twice is harmless.
    Release { take: TakeId },
    /// The engine's model became resident (`true`) or its memory was given back (`false`).
    ModelResident(bool),
}

/// What the resource manager tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceEvent {
    /// The take has the microphone to itself.
    Granted { take: TakeId },
    /// Another take has it ("recording already in progress").
    Refused { take: TakeId, fault: Fault },
    /// The model should become resident now.
    LoadModel,
    /// The model was not used for long enough: its memory should be given back.
    UnloadModel,
}
