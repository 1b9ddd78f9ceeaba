//! The push-to-talk state machine and the actor around it.
//!
//! What lives here: [`fsm`], which decides and does nothing else, and a thin actor that turns messages into its inputs
//! and its effects into messages, and measures both. What does not: keys, audio, engines, sinks. They are behind
//! [`Ports`].
#![forbid(unsafe_code)]

mod actor;
mod config;
mod error;
pub mod fsm;
mod handover;
pub mod metrics;
mod ports;
mod stopwatch;

use actix::{AsyncContext, Context};

pub use config::ControllerConfig;
pub use error::ControllerError;
pub use fsm::{Handover, KeptItems, Mode};
pub use handover::{HandOver, HandoverSlot};
pub use ports::{Inbox, Ports};

/// Starts the controller on the current arbiter. `wire` is given the controller's ports and starts the other roles.
/// The machine is idle until it is told [`ptt_messages::ControllerCommand::Enable`].
///
/// # Errors
/// Those of `wire`; nothing runs then.
pub fn spawn<E>(
    config: &ControllerConfig,
    wire: impl FnOnce(&Inbox) -> Result<Ports, E>,
) -> Result<Inbox, E> {
    spawn_after(config, HandoverSlot::default(), wire)
}

/// As [`spawn`], with the memory of the controller before this one, which is in `slot`. What cannot
/// be wired leaves it there.
///
/// # Errors
/// Those of `wire`; nothing runs then.
pub fn spawn_after<E>(
    config: &ControllerConfig,
    slot: HandoverSlot,
    wire: impl FnOnce(&Inbox) -> Result<Ports, E>,
) -> Result<Inbox, E> {
    metrics::describe();
    // The others need our address and we need theirs: the context has the one before the actor exists.
    let mut ctx = Context::<actor::Controller>::new();
    // Before anybody can have sent anything.
    ctx.set_mailbox_capacity(actor::MAILBOX);
    let inbox = Inbox::of(&ctx.address());
    let ports = wire(&inbox)?;
    ctx.run(actor::Controller::new(config.into(), ports, slot));
    Ok(inbox)
}
