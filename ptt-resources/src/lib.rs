//! Resources: who holds the microphone, whether the model is resident, what the process uses.
//!
//! What lives here: the exclusive lease of a take, the decision when the model is loaded and given back, the budgets of
//! the design and the process's own figures as gauges.
//! What does not: the microphone (ptt-audio), the model (ptt-stt), and what a take does when it is refused (the
//! controller). Nothing here opens a device.
#![forbid(unsafe_code)]

mod actor;
mod config;
mod error;
mod ledger;
pub mod metrics;
mod probe;

use ptt_messages::{Port, ResourceCommand, ResourceEvent};

pub use config::{Backend, Residency, ResourcesConfig};
pub use error::ResourcesError;
pub use ledger::{Decision, Ledger};
pub use probe::{Probe, ProcessProbe, ScriptedProbe, Usage};

/// Starts the actor on the current arbiter. With `model = "at_start"` its first event is `LoadModel`.
///
/// # Errors
/// [`ResourcesError::Probe`] when the configured probe cannot read anything at all.
pub fn spawn(
    config: &ResourcesConfig,
    events: Port<ResourceEvent>,
) -> Result<Port<ResourceCommand>, ResourcesError> {
    let probe: Option<Box<dyn Probe>> = match config.probe {
        Backend::Process => Some(Box::new(ProcessProbe::open()?)),
        Backend::Off => None,
    };
    Ok(spawn_with(config, probe, events))
}

/// As [`spawn`], with a probe of your own; `None` samples nothing.
pub fn spawn_with(
    config: &ResourcesConfig,
    probe: Option<Box<dyn Probe>>,
    events: Port<ResourceEvent>,
) -> Port<ResourceCommand> {
    metrics::describe();
    let manager = actor::ResourceManager::new(config, probe, events);
    Port::start(actor::NAME, 100, manager)
}
