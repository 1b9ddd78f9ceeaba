//! The actor: commands and reports into the strategy, its effects to the worker and to whoever listens.

use std::time::Duration;

use actix::prelude::*;
use ptt_messages::{Moment, Port, Posted, SttCommand, SttEvent};

use crate::engine::CancelFlag;
use crate::strategy::{Effect, Input, JobId, Note, Strategy};
use crate::worker::{News, Opener, Order, Report, Worker};
use crate::{SttConfig, SttError, metrics};

const ACTOR: &str = "stt";
/// How much longer than its deadline an engine may take to notice it before it is given up.
const GRACE: Duration = Duration::from_millis(500);

pub(crate) struct SttActor {
    strategy: Strategy,
    events: Port<SttEvent>,
    reports: Port<Report>,
    open: Opener,
    nice: i32,
    worker: Worker,
    /// What the worker has, the running one first.
    jobs: Vec<(JobId, CancelFlag)>,
}

impl SttActor {
    pub(crate) fn spawn(
        config: &SttConfig,
        open: Opener,
        events: Port<SttEvent>,
    ) -> Result<Port<SttCommand>, SttError> {
        let context = Context::new();
        let address = context.address();
        let reports = Port::to(ACTOR, &address);
        let nice = i32::try_from(config.background_nice.get()).unwrap_or(0);
        let worker = Worker::start(1, open.clone(), nice, reports.clone())?;
        let strategy = Strategy::new(config.policy());
        context.run(Self { strategy, events, reports, open, nice, worker, jobs: Vec::new() });
        Ok(Port::to(ACTOR, &address))
    }

    fn step(&mut self, input: Input) {
        for effect in self.strategy.step(Moment::now(), input) {
            self.perform(effect);
        }
        ::metrics::gauge!(metrics::QUEUE_DEPTH).set(self.jobs.len() as f64);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Decode(assignment) => {
                let cancel = CancelFlag::default();
                self.jobs.push((assignment.job, cancel.clone()));
                self.worker.order(Order::Decode(assignment, cancel));
            }
            Effect::Cancel(job) => {
                if let Some((_, cancel)) = self.jobs.iter().find(|(known, _)| *known == job) {
                    cancel.set();
                }
            }
            Effect::Renew => self.renew(),
            Effect::Tell(event) => {
                self.events.post(event);
            }
            Effect::Note(note) => {
                if let Note::Missing(segments) = note {
                    tracing::warn!(segments, "a part of the take did not arrive; its text has a hole");
                }
                metrics::note(note);
            }
        }
    }

    fn renew(&mut self) {
        for (_, cancel) in self.jobs.drain(..) {
            cancel.set();
        }
        match Worker::start(self.worker.number + 1, self.open.clone(), self.nice, self.reports.clone()) {
            Ok(fresh) => self.worker = fresh,
            Err(error) => tracing::warn!(%error, "the old worker stays"),
        }
        ::metrics::gauge!(metrics::MODEL_RESIDENT).set(0.0);
        ::metrics::counter!(metrics::WORKER_RESTARTS_TOTAL).increment(1);
    }
}

impl Actor for SttActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(100);
    }
}

impl Handler<Posted<SttCommand>> for SttActor {
    type Result = ();

    fn handle(&mut self, message: Posted<SttCommand>, ctx: &mut Self::Context) {
        match message.open(ACTOR) {
            SttCommand::Load => self.worker.order(Order::Load),
            SttCommand::Unload => self.worker.order(Order::Unload),
            SttCommand::Hear(segment) => self.step(Input::Hear(segment)),
            SttCommand::SpeechResumed { take, index } => self.step(Input::SpeechResumed { take, index }),
            SttCommand::Transcribe { tail, attempt, deadline } => {
                let take = tail.id.take;
                self.step(Input::Transcribe { tail, attempt, deadline });
                ctx.run_later(deadline + GRACE, move |actor, _| actor.step(Input::Overdue { take, attempt }));
            }
            SttCommand::Abort { take } => self.step(Input::Abort { take }),
        }
    }
}

impl Handler<Posted<Report>> for SttActor {
    type Result = ();

    fn handle(&mut self, message: Posted<Report>, _: &mut Self::Context) {
        let Report { worker, news } = message.open(ACTOR);
        if worker != self.worker.number {
            // From a worker that was given up.
            return;
        }
        match news {
            News::Loaded(Ok(loaded)) => {
                ::metrics::gauge!(metrics::MODEL_RESIDENT).set(1.0);
                if !loaded.took.is_zero() {
                    ::metrics::histogram!(metrics::LOAD_SECONDS).record(loaded.took);
                    tracing::info!(model = loaded.model, took = ?loaded.took, "model loaded");
                }
                self.events.post(SttEvent::Ready { model: loaded.model, load: loaded.took });
            }
            News::Loaded(Err(fault)) => {
                self.events.post(SttEvent::Failed { take: None, fault });
            }
            News::Unloaded => {
                ::metrics::gauge!(metrics::MODEL_RESIDENT).set(0.0);
                self.events.post(SttEvent::Unloaded);
            }
            News::Done(done) => {
                self.jobs.retain(|(job, _)| *job != done.job);
                self.step(Input::Done(done));
            }
        }
    }
}
