//! The keyboard's actor: starts and stops the key thread, and tries again when its source fails. Edges do not pass through it.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use ptt_messages::{Fault, FaultKind, KeyboardCommand, KeyboardEvent, Port, Posted};
use tracing::debug;

use crate::ACTOR;
use crate::backoff::Backoff;
use crate::bus::Address;
use crate::chord::Watched;
use crate::key_thread::{KeyThread, Opener, Report};
use crate::metrics::source_in_use;
use crate::source::Backend;
use crate::wake::Stop;

/// How often a source that may not be read is tried: a udev rule gives the permission while the daemon runs.
const WHEN_DENIED: Duration = Duration::from_secs(30);

/// The actor.
pub struct Keyboard {
    opener: Opener,
    watched: Watched,
    bounce: Duration,
    backend: Backend,
    session: Option<Address>,
    events: Port<KeyboardEvent>,
    state: State,
    backoff: Backoff,
    /// Number of the newest key thread.
    run: u64,
    /// The failure the listener was told last.
    told: Option<Fault>,
}

enum State {
    Ignoring,
    /// A key thread runs; `open` once it has a source.
    Listening {
        stop: Stop,
        open: Option<Backend>,
    },
    /// The source failed and is tried again.
    Waiting(SpawnHandle),
}

impl Keyboard {
    pub fn new(
        opener: Opener,
        watched: Watched,
        bounce: Duration,
        backend: Backend,
        session: Option<Address>,
        events: Port<KeyboardEvent>,
    ) -> Self {
        Self {
            opener,
            watched,
            bounce,
            backend,
            session,
            events,
            state: State::Ignoring,
            backoff: Backoff::default(),
            run: 0,
            told: None,
        }
    }

    fn listen(&mut self, ctx: &mut Context<Self>) {
        self.run += 1;
        let started = Stop::new().and_then(|stop| {
            let thread = KeyThread {
                run: self.run,
                opener: self.opener.clone(),
                watched: self.watched.clone(),
                bounce: self.bounce,
                session: self.session,
                backend: self.backend,
                events: self.events.clone(),
                reports: Port::to(ACTOR, &ctx.address()),
                stop: stop.clone(),
                told: self.told.clone(),
            };
            thread.start().map(|()| stop)
        });
        match started {
            Ok(stop) => self.state = State::Listening { stop, open: None },
            Err(error) => {
                let fault = Fault::from(&error);
                if self.told.as_ref() != Some(&fault) {
                    self.events.post(KeyboardEvent::Failed(fault.clone()));
                }
                self.try_later(fault, Duration::ZERO, ctx);
            }
        }
    }

    fn try_later(&mut self, fault: Fault, held: Duration, ctx: &mut Context<Self>) {
        source_in_use(None);
        let pause = match fault.kind {
            FaultKind::Busy | FaultKind::Gone | FaultKind::Broken | FaultKind::Timeout => {
                Some(self.backoff.after(held))
            }
            FaultKind::Denied => Some(WHEN_DENIED),
            FaultKind::Misconfigured => None,
        };
        self.state = match pause {
            Some(pause) => {
                debug!(?pause, "key source is tried again");
                State::Waiting(ctx.run_later(pause, |keyboard, ctx| keyboard.listen(ctx)))
            }
            None => State::Ignoring,
        };
        self.told = Some(fault);
    }

    fn ignore(&mut self, ctx: &mut Context<Self>) {
        match std::mem::replace(&mut self.state, State::Ignoring) {
            State::Ignoring => {}
            State::Listening { stop, .. } => stop.raise(),
            State::Waiting(again) => {
                ctx.cancel_future(again);
            }
        }
        source_in_use(None);
    }
}

impl Actor for Keyboard {
    type Context = Context<Self>;
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let State::Listening { stop, .. } = &self.state {
            stop.raise();
        }
    }
}

impl Handler<Posted<KeyboardCommand>> for Keyboard {
    type Result = ();

    fn handle(&mut self, message: Posted<KeyboardCommand>, ctx: &mut Context<Self>) {
        let command = message.open(ACTOR);
        match (command, &self.state) {
            (KeyboardCommand::Listen, State::Listening { open: Some(backend), .. }) => {
                self.events.post(KeyboardEvent::Listening { backend: backend.name().to_owned() });
            }
            // It is being opened: the answer comes from its thread.
            (KeyboardCommand::Listen, State::Listening { open: None, .. }) => {}
            (KeyboardCommand::Listen, State::Ignoring | State::Waiting(_)) => {
                self.ignore(ctx);
                (self.backoff, self.told) = (Backoff::default(), None);
                self.listen(ctx);
            }
            (KeyboardCommand::Ignore, _) => self.ignore(ctx),
        }
    }
}

impl Handler<Posted<Report>> for Keyboard {
    type Result = ();

    fn handle(&mut self, message: Posted<Report>, ctx: &mut Context<Self>) {
        match (message.open(ACTOR), &mut self.state) {
            (Report::Opened { run, backend }, State::Listening { open, .. }) if run == self.run => {
                (*open, self.told) = (Some(backend), None);
            }
            (Report::Ended { run, fault, held }, State::Listening { .. }) if run == self.run => {
                self.try_later(fault, held, ctx);
            }
            // Of a thread that has been stopped since.
            (Report::Opened { .. } | Report::Ended { .. }, _) => {}
        }
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
