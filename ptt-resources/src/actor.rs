//! The actor: message -> ledger, decision -> event. Nothing is decided here.

use std::time::Duration;

use actix::clock::Instant;
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, SpawnHandle};
use ptt_messages::{Fault, Moment, Port, Posted, ResourceCommand, ResourceEvent};
use tracing::{debug, info, warn};

use crate::ResourcesError;
use crate::config::ResourcesConfig;
use crate::ledger::{Decision, Ledger};
use crate::metrics::Meters;
use crate::probe::{Probe, Usage};

/// The label `actor` of this crate's mailbox.
pub(crate) const NAME: &str = "resources";

/// Keeps the ledger, its one timer and the probe's.
pub(crate) struct ResourceManager {
    clock: Clock,
    ledger: Ledger,
    idle_timer: Option<SpawnHandle>,
    probe: Option<Box<dyn Probe>>,
    probe_every: Duration,
    last: Option<(Moment, Usage)>,
    meters: Meters,
    events: Port<ResourceEvent>,
}

impl ResourceManager {
    pub fn new(config: &ResourcesConfig, probe: Option<Box<dyn Probe>>, events: Port<ResourceEvent>) -> Self {
        let clock = Clock::start();
        Self {
            ledger: Ledger::new(config.model, config.model_idle_s.secs(), clock.now()),
            clock,
            idle_timer: None,
            probe,
            probe_every: config.probe_s.secs(),
            last: None,
            meters: Meters::new(),
            events,
        }
    }

    fn perform(&self, decision: Decision) {
        self.events.post(match decision {
            Decision::Grant(take) => {
                self.meters.lease_held.set(1.0);
                ResourceEvent::Granted { take }
            }
            Decision::Refuse { take, holder, held } => {
                self.meters.refusals.increment(1);
                let error = ResourcesError::InUse { holder, held };
                debug!(%take, %error, "refused");
                ResourceEvent::Refused { take, fault: Fault::from(&error) }
            }
            Decision::LoadModel => ResourceEvent::LoadModel,
            Decision::UnloadModel => {
                info!("the model was idle for long enough; its memory is given back");
                self.meters.idle_unloads.increment(1);
                ResourceEvent::UnloadModel
            }
        });
    }

    /// One timer at most, for the ledger's next due moment.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(old) = self.idle_timer.take() {
            ctx.cancel_future(old);
        }
        let Some(due) = self.ledger.due() else { return };
        let wait = due.since(self.clock.now());
        self.idle_timer = Some(ctx.run_later(wait, |manager, ctx| {
            if let Some(decision) = manager.ledger.poll(manager.clock.now()) {
                manager.perform(decision);
            }
            manager.arm(ctx);
        }));
    }

    fn sample(&mut self, ctx: &mut Context<Self>) {
        let Some(probe) = &mut self.probe else { return };
        let now = self.clock.now();
        match probe.sample() {
            Ok(usage) => {
                self.meters.usage(&usage);
                if let Some((then, before)) = self.last.replace((now, usage)) {
                    self.meters.cpu_ratio(usage.cpu.saturating_sub(before.cpu), now.since(then));
                }
            }
            Err(error) => {
                warn!(%error, "the figures of the process are no longer updated");
                self.probe = None;
                return;
            }
        }
        ctx.run_later(self.probe_every, Self::sample);
    }
}

impl Actor for ResourceManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(decision) = self.ledger.start() {
            self.perform(decision);
        }
        self.sample(ctx);
    }
}

impl Handler<Posted<ResourceCommand>> for ResourceManager {
    type Result = ();

    fn handle(&mut self, message: Posted<ResourceCommand>, ctx: &mut Context<Self>) {
        let command = message.open(NAME);
        let now = self.clock.now();
        match command {
            ResourceCommand::Acquire { take } => {
                for decision in self.ledger.acquire(take, now) {
                    self.perform(decision);
                }
            }
            ResourceCommand::Release { take } => {
                if let Some(held) = self.ledger.release(take, now) {
                    self.meters.lease_held.set(0.0);
                    self.meters.lease_seconds.record(held);
                }
            }
            ResourceCommand::ModelResident(resident) => {
                self.ledger.model_resident(resident, now);
                self.meters.model_resident.set(f64::from(u8::from(resident)));
            }
        }
        self.arm(ctx);
        if !self.events.connected() {
            ctx.stop();
        }
    }
}

/// The runtime's clock on the scale of [`Moment`], so that a test that pauses the runtime's time pauses this too.
#[derive(Debug)]
struct Clock {
    zero: Moment,
    started: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { zero: Moment::now(), started: Instant::now() }
    }

    fn now(&self) -> Moment {
        self.zero + self.started.elapsed()
    }
}

#[cfg(test)]
#[path = "actor/tests.rs"]
mod tests;
