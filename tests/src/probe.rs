//! A probe stands behind any port and keeps what it was told, so that a test awaits the message and never the clock.

use std::fmt::Debug;
use std::time::Duration;

use actix::{Actor, ActorContext, Context, Handler};
use ptt_messages::{Port, Posted};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, error::TryRecvError, unbounded_channel};

/// How long a message may take before the test fails. Long enough for a loaded machine; on paused time it passes at once
/// when nothing else is left to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port that keeps what it is told, and the place to read it. Must be called inside an actix system.
#[must_use]
pub fn probe<T: Debug + Send + Unpin + 'static>(actor: &'static str) -> (Port<T>, Told<T>) {
    let (keep, read) = unbounded_channel();
    let mut context = Context::new();
    // Before anybody sends: a probe may be told a whole script before it runs.
    context.set_mailbox_capacity(10_000);
    let address = context.run(Probe { keep });
    (Port::to(actor, &address), Told { actor, read, patience: PATIENCE })
}

/// What a probe was told, in order.
#[derive(Debug)]
pub struct Told<T> {
    actor: &'static str,
    read: UnboundedReceiver<T>,
    patience: Duration,
}

impl<T: Debug> Told<T> {
    /// The same with another patience: longer than the longest deadline in the test, on paused time.
    #[must_use]
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The next message.
    ///
    /// # Panics
    /// When none comes in time, or the probe's last port is gone.
    pub async fn next(&mut self) -> T {
        self.within(self.patience).await.unwrap_or_else(|| {
            panic!("{} was told nothing within {:?}", self.actor, self.patience);
        })
    }

    /// The next message, or `None` when none comes within `limit` or the sender is gone.
    pub async fn within(&mut self, limit: Duration) -> Option<T> {
        tokio::time::timeout(limit, self.read.recv()).await.ok().flatten()
    }

    /// The first message that `pick` makes something of, and all that came before it. `what` names it in the failure.
    ///
    /// # Panics
    /// When it does not come in time; the failure lists what came instead.
    pub async fn until<U>(&mut self, what: &str, mut pick: impl FnMut(&T) -> Option<U>) -> (U, Vec<T>) {
        let mut before = Vec::new();
        let end = tokio::time::Instant::now() + self.patience;
        loop {
            let Ok(Some(message)) = tokio::time::timeout_at(end, self.read.recv()).await else {
                panic!("{} was not told {what} within {:?}, but {before:?}", self.actor, self.patience);
            };
            match pick(&message) {
                Some(found) => return (found, before),
                None => before.push(message),
            }
        }
    }

    /// The next message must be this one.
    ///
    /// # Panics
    /// When another one comes, or none in time.
    pub async fn expect(&mut self, expected: T)
    where
        T: PartialEq,
    {
        let told = self.next().await;
        assert_eq!(told, expected, "what {} was told", self.actor);
    }

    /// What is there now, without waiting.
    pub fn drain(&mut self) -> Vec<T> {
        let mut there = Vec::new();
        loop {
            match self.read.try_recv() {
                Ok(message) => there.push(message),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return there,
            }
        }
    }
}

struct Probe<T> {
    keep: UnboundedSender<T>,
}

impl<T: Unpin + 'static> Actor for Probe<T> {
    type Context = Context<Self>;
}

impl<T: Send + Unpin + 'static> Handler<Posted<T>> for Probe<T> {
    type Result = ();

    fn handle(&mut self, message: Posted<T>, ctx: &mut Self::Context) {
        // The test has looked away: nobody will read the rest.
        if self.keep.send(message.body).is_err() {
            ctx.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn messages_come_in_order_and_a_missing_one_fails_at_once_on_paused_time() {
        tokio::time::pause();
        let (port, mut told) = probe::<u32>("listener");
        for n in 0..5 {
            assert!(port.post(n));
        }
        told.expect(0).await;
        let (found, before) = told.until("a three", |n| (*n == 3).then_some(*n)).await;
        assert_eq!((found, before), (3, vec![1, 2]));
        told.expect(4).await;
        assert_eq!(told.within(Duration::from_secs(3_600)).await, None);
    }
}
