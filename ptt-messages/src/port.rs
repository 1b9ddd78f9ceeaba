//! The one way actors send: bounded, counted, timed.

use actix::dev::ToEnvelope;
use actix::prelude::SendError;
use actix::{Actor, Addr, Context, Handler, Message, Recipient};

use crate::Moment;
use crate::stage::{MAILBOX_OVERFULL_TOTAL, MAILBOX_WAIT_SECONDS, MESSAGES_LOST_TOTAL, Stage};

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
/// The receiving mailbox is bounded, and the sender says with the method what that means: [`Self::post_patiently`]
/// waits, [`Self::post`] goes past the bound, and only [`Self::offer`] loses the message.
pub struct Port<T: Send + 'static> {
    to: Recipient<Posted<T>>,
    actor: &'static str,
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

    /// Sends, into a full mailbox too: for a handler, which cannot wait and whose message must not be lost. How far a
    /// mailbox is overfilled is bounded by what a take's audio can cause; each such message is counted. False when the
    /// actor is gone.
    pub fn post(&self, body: T) -> bool {
        match self.to.try_send(Posted::now(body)) {
            Ok(()) => true,
            Err(SendError::Full(message)) => self.overfill(message),
            Err(SendError::Closed(_)) => self.lose("closed"),
        }
    }

    /// Sends, or counts the message as lost where the mailbox is full: for those who watch and may not keep up.
    pub fn offer(&self, body: T) -> bool {
        match self.to.try_send(Posted::now(body)) {
            Ok(()) => true,
            Err(SendError::Full(_)) => self.lose("full"),
            Err(SendError::Closed(_)) => self.lose("closed"),
        }
    }

    /// Sends from a device's own thread. Waits up to a second in total while the mailbox is full, then sends all the same:
    /// the thread slows down to what the actor can take, and nothing is lost. False when the actor is gone. Never call it
    /// in a handler or an audio callback.
    pub fn post_patiently(&self, body: T) -> bool {
        const PATIENCE: u32 = 1_000;
        let mut message = Posted::now(body);
        for _ in 0..PATIENCE {
            match self.to.try_send(message) {
                Ok(()) => return true,
                Err(SendError::Closed(_)) => return self.lose("closed"),
                Err(SendError::Full(back)) => message = back,
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        self.overfill(message)
    }

    fn overfill(&self, message: Posted<T>) -> bool {
        metrics::counter!(MAILBOX_OVERFULL_TOTAL, "actor" => self.actor).increment(1);
        self.to.do_send(message);
        true
    }

    fn lose(&self, reason: &'static str) -> bool {
        metrics::counter!(MESSAGES_LOST_TOTAL, "actor" => self.actor, "reason" => reason).increment(1);
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
    use actix::ActorContext;

    use super::*;

    /// Counts what it was sent.
    struct Counter(tokio::sync::mpsc::UnboundedSender<usize>);

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    impl Handler<Posted<usize>> for Counter {
        type Result = ();

        fn handle(&mut self, message: Posted<usize>, _: &mut Context<Self>) {
            let _ = self.0.send(message.body);
        }
    }

    fn counter(places: usize) -> (Port<usize>, tokio::sync::mpsc::UnboundedReceiver<usize>) {
        let (sender, seen) = tokio::sync::mpsc::unbounded_channel();
        (Port::start("counter", places, Counter(sender)), seen)
    }

    #[actix::test]
    async fn a_mailbox_has_its_places_before_its_actor_runs() {
        let (port, _seen) = counter(100);
        // Nothing is awaited in between: the actor cannot run.
        let taken = (0..200).take_while(|n| port.offer(*n)).count();
        assert!((100..=102).contains(&taken), "{taken}");
    }

    #[actix::test]
    async fn what_is_posted_into_a_full_mailbox_arrives_in_order_and_what_is_offered_is_lost() {
        let (port, mut seen) = counter(4);
        assert!((0..50).all(|n| port.post(n)));
        assert!(!port.offer(50));
        for n in 0..50 {
            assert_eq!(seen.recv().await, Some(n));
        }
        assert!(port.offer(51), "there is room again");
        assert_eq!(seen.recv().await, Some(51));
    }

    #[actix::test]
    async fn a_thread_waits_for_room_and_then_no_longer() {
        let (port, mut seen) = counter(1);
        while port.offer(0) {}
        let full = port.clone();
        // The actor's thread is held up for as long as the other one has patience.
        assert!(std::thread::spawn(move || full.post_patiently(1)).join().unwrap());
        while seen.recv().await != Some(1) {}
    }

    #[actix::test]
    async fn nothing_arrives_where_nobody_is() {
        struct Stopped;
        impl Actor for Stopped {
            type Context = Context<Self>;

            fn started(&mut self, ctx: &mut Self::Context) {
                ctx.stop();
            }
        }
        impl Handler<Posted<usize>> for Stopped {
            type Result = ();

            fn handle(&mut self, _: Posted<usize>, _: &mut Context<Self>) {}
        }
        let gone = Port::start("gone", 1, Stopped);
        while gone.connected() {
            tokio::task::yield_now().await;
        }
        assert!(!gone.post(1) && !gone.offer(1) && !gone.post_patiently(1));
    }
}
