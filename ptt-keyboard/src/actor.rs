//! The keyboard's actor: starts and stops the key thread, and has it try again when its source fails. Edges do not pass through it.

use std::thread::JoinHandle;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use ptt_messages::{Fault, FaultKind, KeyboardCommand, KeyboardEvent, Moment, Port, Posted};
use tracing::debug;

use crate::ACTOR;
use crate::backoff::Backoff;
use crate::bus::Address;
use crate::chord::Watched;
use crate::key_thread::{KeyThread, Opener, Report, Running};
use crate::metrics::source_in_use;
use crate::source::Backend;

/// How often a source that may not be read is tried: a udev rule gives the permission while the daemon runs.
const WHEN_DENIED: Duration = Duration::from_secs(30);
/// How long a key thread may take to end.
const TO_END: Duration = Duration::from_secs(1);

/// The actor.
pub struct Keyboard {
    opener: Opener,
    watched: Watched,
    bounce: Duration,
    backend: Backend,
    session: Option<Address>,
    events: Port<KeyboardEvent>,
    state: State,
    /// The thread that was told last to end: the next one waits for it.
    ending: Option<JoinHandle<()>>,
    backoff: Backoff,
    /// Number of the newest key thread.
    run: u64,
    /// The failure the listener was told last.
    told: Option<Fault>,
}

enum State {
    Ignoring,
    /// A key thread opens a source; `open` once it has one.
    Listening {
        thread: Running,
        open: Option<Backend>,
    },
    /// There is no source. It is tried `again`, where that helps; until then the thread, where one could be started, hears
    /// whether the user leaves.
    Waiting {
        thread: Option<Running>,
        again: Option<SpawnHandle>,
    },
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
            ending: None,
            backoff: Backoff::default(),
            run: 0,
            told: None,
        }
    }

    fn listen(&mut self, ctx: &mut Context<Self>) {
        self.run += 1;
        let thread = KeyThread {
            run: self.run,
            opener: self.opener.clone(),
            watched: self.watched.clone(),
            bounce: self.bounce,
            session: self.session,
            backend: self.backend,
            events: self.events.clone(),
            reports: Port::to(ACTOR, &ctx.address()),
            told: self.told.clone(),
        };
        match thread.start(self.ending.take()) {
            Ok(thread) => self.state = State::Listening { thread, open: None },
            Err(error) => {
                let fault = Fault::from(&error);
                if self.told.as_ref() != Some(&fault) {
                    self.events.post(KeyboardEvent::Failed(fault.clone()));
                }
                self.wait(None, fault, Duration::ZERO, ctx);
            }
        }
    }

    fn wait(&mut self, thread: Option<Running>, fault: Fault, held: Duration, ctx: &mut Context<Self>) {
        source_in_use(None);
        let pause = pause(fault.kind, held, &mut self.backoff);
        let again = pause.map(|pause| {
            debug!(?pause, "key source is tried again");
            ctx.run_later(pause, Self::try_again)
        });
        self.state = State::Waiting { thread, again };
        self.told = Some(fault);
    }

    fn try_again(&mut self, ctx: &mut Context<Self>) {
        match std::mem::replace(&mut self.state, State::Ignoring) {
            State::Waiting { thread: Some(thread), .. } => {
                thread.try_again();
                self.state = State::Listening { thread, open: None };
            }
            State::Waiting { thread: None, .. } => self.listen(ctx),
            other @ (State::Ignoring | State::Listening { .. }) => self.state = other,
        }
    }

    fn ignore(&mut self, ctx: &mut Context<Self>) {
        if let State::Waiting { again: Some(again), .. } = &self.state {
            ctx.cancel_future(*again);
        }
        self.end_thread();
        source_in_use(None);
    }

    fn end_thread(&mut self) {
        let thread = match std::mem::replace(&mut self.state, State::Ignoring) {
            State::Ignoring => None,
            State::Listening { thread, .. } => Some(thread),
            State::Waiting { thread, .. } => thread,
        };
        if let Some(thread) = thread {
            self.ending = Some(thread.end());
        }
    }
}

/// When a source that failed so, after it was open for `held`, is tried again; `None` is never.
fn pause(kind: FaultKind, held: Duration, backoff: &mut Backoff) -> Option<Duration> {
    match kind {
        FaultKind::Busy | FaultKind::Gone | FaultKind::Broken | FaultKind::Timeout => {
            Some(backoff.after(held))
        }
        FaultKind::Denied => Some(WHEN_DENIED),
        FaultKind::Misconfigured => None,
    }
}

impl Actor for Keyboard {
    type Context = Context<Self>;
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.end_thread();
        let Some(ending) = self.ending.take() else { return };
        // The program may start again with another configuration, whose keyboard is not to find this one's devices taken. One
        // that hangs does not keep it from ending.
        let begun = Moment::now();
        while !ending.is_finished() && Moment::now().since(begun) < TO_END {
            std::thread::sleep(Duration::from_millis(1));
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
            (KeyboardCommand::Listen, State::Ignoring | State::Waiting { .. }) => {
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
        match message.open(ACTOR) {
            // Of a thread that has been stopped since.
            Report::Opened { run, .. } | Report::Failed { run, .. } if run != self.run => {}
            Report::Opened { backend, .. } => {
                if let State::Listening { open, .. } = &mut self.state {
                    (*open, self.told) = (Some(backend), None);
                }
            }
            Report::Failed { fault, held, .. } => match std::mem::replace(&mut self.state, State::Ignoring) {
                State::Listening { thread, .. } => self.wait(Some(thread), fault, held, ctx),
                other @ (State::Ignoring | State::Waiting { .. }) => self.state = other,
            },
        }
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
