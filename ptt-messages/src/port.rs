//! The one way actors send: bounded, counted, timed.

use actix::dev::ToEnvelope;
use actix::prelude::SendError;
use actix::{Actor, Addr, Context, Handler, Message, Recipient};

use crate::Moment;
use crate::stage::{MAILBOX_WAIT_SECONDS, MESSAGES_LOST_TOTAL, Stage};

/// A message with the moment it was sent, so that waiting is measured apart from working.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted<T> {
    /// When it was sent.
    pub sent: Moment,
    /// What was sent.
    pub body: T,
}

impl<T: Send + 'static> Message for Posted<T> {
    type Result = ();
}

impl<T> Posted<T> {
    /// A message sent now.
    #[must_use]
    pub fn now(body: T) -> Self {
        Self { sent: Moment::now(), body }
    }

    /// Takes the message out, in the handler of `actor`, and records how long it waited.
    #[must_use]
    pub fn open(self, actor: &'static str) -> T {
        let waited = Moment::now().since(self.sent);
        metrics::histogram!(MAILBOX_WAIT_SECONDS, "actor" => actor).record(waited);
        Stage::ThreadHop.record(waited);
        self.body
    }
}

/// Where messages of one kind go. Cheap to clone, usable from any thread, and never blocks.
///
/// The receiving mailbox is bounded: sending into a full one fails and gives the message back, so that the sender
/// decides what may be lost (never a release, a cancel or the loss of a device).
pub struct Port<T: Send + 'static> {
    to: Recipient<Posted<T>>,
    actor: &'static str,
}

/// The message that could not be sent, and why.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered<T> {
    /// The mailbox is full: it may have room shortly.
    #[error("the mailbox is full")]
    Full(T),
    /// The actor is gone: it never will.
    #[error("the actor has stopped")]
    Closed(T),
}

impl<T: Send + Unpin + 'static> Port<T> {
    /// A port to `actor`, whose name becomes a label.
    pub fn new(actor: &'static str, to: Recipient<Posted<T>>) -> Self {
        Self { to, actor }
    }

    /// A port to the actor at `address`.
    pub fn to<A>(actor: &'static str, address: &Addr<A>) -> Self
    where
        A: Actor + Handler<Posted<T>>,
        A::Context: ToEnvelope<A, Posted<T>>,
    {
        Self::new(actor, address.clone().recipient())
    }

    /// Starts an actor on the current arbiter and gives the port to it. Its mailbox has `places` from the first message on;
    /// set in [`Actor::started`] they would be 16 until it runs for the first time.
    pub fn start<A>(name: &'static str, places: usize, actor: A) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Posted<T>>,
    {
        let address = A::create(|ctx| {
            ctx.set_mailbox_capacity(places);
            actor
        });
        Self::to(name, &address)
    }

    /// Sends, or gives the message back.
    ///
    /// # Errors
    /// [`Undelivered::Full`] when the mailbox has no room, [`Undelivered::Closed`] when the actor is gone.
    pub fn try_post(&self, body: T) -> Result<(), Undelivered<T>> {
        match self.to.try_send(Posted::now(body)) {
            Ok(()) => Ok(()),
            Err(SendError::Full(back)) => Err(Undelivered::Full(back.body)),
            Err(SendError::Closed(back)) => Err(Undelivered::Closed(back.body)),
        }
    }

    /// Sends, or counts the message as lost and says so. For messages that a full mailbox may swallow, and for those
    /// that cannot fill one (at most a few per take).
    pub fn post(&self, body: T) -> bool {
        let reason = match self.try_post(body) {
            Ok(()) => return true,
            Err(Undelivered::Full(_)) => "full",
            Err(Undelivered::Closed(_)) => "closed",
        };
        metrics::counter!(MESSAGES_LOST_TOTAL, "actor" => self.actor, "reason" => reason).increment(1);
        false
    }

    /// Sends from a device's own thread and waits up to a second in total while the mailbox is full: for edges, faults
    /// and results that must not be lost. Never call it in a handler or an audio callback.
    pub fn post_patiently(&self, body: T) -> bool {
        const PATIENCE: u32 = 1_000;
        let mut body = body;
        for _ in 0..PATIENCE {
            match self.try_post(body) {
                Ok(()) => return true,
                Err(Undelivered::Closed(_)) => break,
                Err(Undelivered::Full(back)) => body = back,
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        metrics::counter!(MESSAGES_LOST_TOTAL, "actor" => self.actor, "reason" => "closed").increment(1);
        false
    }

    /// Whether the actor still lives.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.to.connected()
    }
}

impl<T: Send + 'static> Clone for Port<T> {
    fn clone(&self) -> Self {
        Self { to: self.to.clone(), actor: self.actor }
    }
}

impl<T: Send + 'static> std::fmt::Debug for Port<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("actor", &self.actor).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Idler;

    impl Actor for Idler {
        type Context = Context<Self>;
    }

    impl Handler<Posted<usize>> for Idler {
        type Result = ();

        fn handle(&mut self, _: Posted<usize>, _: &mut Context<Self>) {}
    }

    #[actix::test]
    async fn a_mailbox_has_its_places_before_its_actor_runs() {
        let port = Port::start("idler", 100, Idler);
        // Nothing is awaited in between: the actor cannot run.
        let taken = (0..200).take_while(|n| port.try_post(*n).is_ok()).count();
        assert!((100..=102).contains(&taken), "{taken}");
    }
}
