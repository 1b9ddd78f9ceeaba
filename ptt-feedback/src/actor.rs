//! The actor: command -> the player's thread. It never waits for it.

use actix::{Actor, Context, Handler};
use ptt_messages::{Fault, FeedbackCommand, FeedbackEvent, Port, Posted};

use crate::booth::Booth;
use crate::error::FeedbackError;
use crate::metrics::Fate;

/// The label `actor` of this crate's mailbox.
pub(crate) const NAME: &str = "feedback";

/// Passes commands on; without a booth, because chimes are switched off, it swallows them.
pub(crate) struct Feedback {
    booth: Option<Booth>,
    events: Port<FeedbackEvent>,
    /// The thread was stuck at the last tone, and that was told.
    stuck: bool,
}

impl Feedback {
    pub fn new(booth: Option<Booth>, events: Port<FeedbackEvent>) -> Self {
        Self { booth, events, stuck: false }
    }
}

impl Actor for Feedback {
    type Context = Context<Self>;
}

impl Handler<Posted<FeedbackCommand>> for Feedback {
    type Result = ();

    fn handle(&mut self, message: Posted<FeedbackCommand>, _: &mut Context<Self>) {
        let sent = message.sent;
        let command = message.open(NAME);
        let Some(booth) = &self.booth else { return };
        match command {
            FeedbackCommand::Open => booth.want(true),
            FeedbackCommand::Close => booth.want(false),
            FeedbackCommand::Play { take, chime, since } => {
                let taken = booth.play(take, chime, since, sent);
                if !taken {
                    Fate::Late.count(chime);
                }
                let stuck = !taken || booth.is_stuck(sent);
                if stuck && !self.stuck {
                    self.events.post(FeedbackEvent::Failed(Fault::from(&FeedbackError::Stuck)));
                }
                self.stuck = stuck;
            }
        }
    }
}

#[cfg(test)]
#[path = "actor/tests.rs"]
mod tests;
