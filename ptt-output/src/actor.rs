//! The actor: command -> queue. The answers come from the delivering thread.

use actix::{Actor, Context, Handler};
use ptt_messages::{OutputCommand, OutputEvent, Port, Posted};

use crate::queue::{Job, Queue};

/// The label `actor` of this crate's mailbox.
pub(crate) const NAME: &str = "output";

/// Passes texts on to the thread and answers for those it cannot.
pub(crate) struct Deliverer {
    queue: Queue,
    events: Port<OutputEvent>,
}

impl Deliverer {
    pub fn new(queue: Queue, events: Port<OutputEvent>) -> Self {
        Self { queue, events }
    }
}

impl Actor for Deliverer {
    type Context = Context<Self>;
}

impl Handler<Posted<OutputCommand>> for Deliverer {
    type Result = ();

    fn handle(&mut self, message: Posted<OutputCommand>, _: &mut Context<Self>) {
        let sent = message.sent;
        match message.open(NAME) {
            OutputCommand::Aim { take, profile } => self.queue.aim(take, profile),
            OutputCommand::Withdraw { take } => {
                if self.queue.withdraw(take) {
                    self.events.post(OutputEvent::Withdrawn { take });
                }
            }
            OutputCommand::Deliver { take, profile, text } => {
                if let Err(error) = self.queue.push(Job { take, profile, text, sent }) {
                    self.events.post(OutputEvent::Failed { take, fault: error.undelivered() });
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "actor/tests.rs"]
mod tests;
