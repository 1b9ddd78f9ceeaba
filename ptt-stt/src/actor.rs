//! The actor: commands and reports into the strategy, its effects to the worker and to whoever listens.

use std::time::Duration;

use actix::prelude::*;
use ptt_messages::{Moment, Port, Posted, SttCommand, SttEvent, TakeId};

use crate::engine::{CancelFlag, Threads};
use crate::strategy::{Effect, Input, JobId, Note, Strategy};
use crate::stuck::{MOST, StuckEngines};
use crate::worker::{News, Opener, Order, Report, Worker};
use crate::{Backend, SttConfig, SttError, metrics};

const ACTOR: &str = "stt";
/// How much longer than its deadline an engine may take to notice it before it is given up.
const GRACE: Duration = Duration::from_millis(500);

pub(crate) struct SttActor {
    strategy: Strategy,
    events: Port<SttEvent>,
    reports: Port<Report>,
    open: Opener,
    /// Whether decodes use idle cores only.
    idle_cores: bool,
    stuck: StuckEngines,
    /// Takes that each made an engine hang that still hangs.
    hung: Vec<TakeId>,
    /// How many engines may hang for another one to be loaded for the take that is served.
    tolerated: usize,
    worker: Worker,
    /// What the worker has, the running one first.
    jobs: Vec<(JobId, CancelFlag, Threads)>,
}

impl SttActor {
    pub(crate) fn spawn(
        config: &SttConfig,
        open: Opener,
        stuck: StuckEngines,
        events: Port<SttEvent>,
    ) -> Result<Port<SttCommand>, SttError> {
        let mut context = Context::new();
        // Before anybody can have sent anything.
        context.set_mailbox_capacity(100);
        let address = context.address();
        let reports = Port::to(ACTOR, &address);
        // The threads of our own engine do not wait for each other by spinning.
        let idle_cores = config.threads.get() == 0 && config.backend == Backend::Whisper;
        let worker = Worker::start(1, open.clone(), idle_cores, &stuck, reports.clone())?;
        let strategy = Strategy::new(config.policy());
        context.run(Self {
            strategy,
            events,
            reports,
            open,
            idle_cores,
            stuck,
            hung: Vec::new(),
            tolerated: MOST,
            worker,
            jobs: Vec::new(),
        });
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
                let (cancel, threads) = (CancelFlag::default(), Threads::new(assignment.threads));
                self.jobs.push((assignment.job, cancel.clone(), threads.clone()));
                self.worker.order(Order::Decode(assignment, cancel, threads, self.tolerated));
            }
            Effect::Hurry(job, number) => {
                if let Some((.., threads)) = self.jobs.iter().find(|(known, ..)| *known == job) {
                    threads.grow(number);
                }
            }
            Effect::Cancel(job) => {
                if let Some((_, cancel, _)) = self.jobs.iter().find(|(known, ..)| *known == job) {
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

    /// A take that made an engine hang gets no other one while that still hangs: it would hang as well, and no engine would be
    /// left for other takes.
    fn serve(&mut self, take: TakeId) {
        if self.stuck.is_empty() {
            self.hung.clear();
        }
        self.tolerated = if self.hung.contains(&take) { 0 } else { MOST };
    }

    fn overdue(&mut self, take: TakeId, attempt: u32) {
        let worker = self.worker.number;
        self.step(Input::Overdue { take, attempt });
        if self.worker.number != worker {
            self.hung.push(take);
        }
    }

    fn renew(&mut self) {
        for (_, cancel, _) in self.jobs.drain(..) {
            cancel.set();
        }
        if self.worker.loads(Moment::now()) {
            // A fresh one would load as well, from the beginning and beside it.
            return;
        }
        let (number, open) = (self.worker.number + 1, self.open.clone());
        match Worker::start(number, open, self.idle_cores, &self.stuck, self.reports.clone()) {
            Ok(fresh) => {
                tracing::warn!(
                    worker = self.worker.number,
                    "the engine did not end in time; it is left behind"
                );
                self.worker = fresh;
                ::metrics::gauge!(metrics::MODEL_RESIDENT).set(0.0);
                ::metrics::counter!(metrics::WORKER_RESTARTS_TOTAL).increment(1);
            }
            Err(error) => tracing::warn!(%error, "the old worker stays"),
        }
    }
}

impl Actor for SttActor {
    type Context = Context<Self>;
}

impl Handler<Posted<SttCommand>> for SttActor {
    type Result = ();

    fn handle(&mut self, message: Posted<SttCommand>, ctx: &mut Self::Context) {
        match message.open(ACTOR) {
            SttCommand::Load => self.worker.order(Order::Load),
            SttCommand::Unload => self.worker.order(Order::Unload),
            SttCommand::Hear { segment, profile } => {
                self.serve(segment.id.take);
                self.step(Input::Hear(segment, profile));
            }
            SttCommand::SpeechResumed { take, index } => self.step(Input::SpeechResumed { take, index }),
            SttCommand::Transcribe { tail, profile, attempt, deadline } => {
                let take = tail.id.take;
                self.serve(take);
                self.step(Input::Transcribe { tail, profile, attempt, deadline });
                ctx.run_later(deadline + GRACE, move |actor, _| actor.overdue(take, attempt));
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
                self.jobs.retain(|(job, ..)| *job != done.job);
                self.step(Input::Done(done));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, Condvar, Mutex};

    use ptt_messages::{
        Clip, FaultKind, Profile, Segment, SegmentId, SegmentState, TextPath, Transcript, Within,
    };
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::Backend;
    use crate::engine::CannedStep::{self, Fail, Hang, Panic};
    use crate::engine::{DecodeRequest, Decoded, Engine};

    /// Forwards what it is told.
    struct Probe(UnboundedSender<SttEvent>);

    impl Actor for Probe {
        type Context = Context<Self>;
    }

    impl Handler<Posted<SttEvent>> for Probe {
        type Result = ();

        fn handle(&mut self, message: Posted<SttEvent>, _: &mut Self::Context) {
            let _ = self.0.send(message.body);
        }
    }

    /// The actor with a canned engine; the worker's thread is real, so these tests await messages on the real clock.
    fn spawn(script: &[CannedStep], delay_ms: i64) -> (Port<SttCommand>, UnboundedReceiver<SttEvent>) {
        let (sender, told) = unbounded_channel();
        let events = Port::to("probe", &Probe(sender).start());
        let config = SttConfig {
            backend: Backend::Canned,
            canned_texts: vec!["One.".to_owned(), "Two.".to_owned()],
            canned_script: script.to_vec(),
            canned_delay_ms: Within::try_from(delay_ms).unwrap(),
            ..SttConfig::default()
        };
        (crate::spawn(&config, events).unwrap(), told)
    }

    fn segment(take: u64, index: u32, state: SegmentState) -> Segment {
        let start = u64::from(index) * 32_000;
        let id = SegmentId { take: TakeId(take), index };
        let clip = Clip::new(vec![0.2; 32_000]).unwrap();
        Segment { id, state, start, speech_end: start + 32_000, certain: true, clip }
    }

    fn transcribe(take: u64, index: u32, attempt: u32, deadline_ms: u64) -> SttCommand {
        let tail = segment(take, index, SegmentState::Tail);
        SttCommand::Transcribe {
            tail,
            profile: Profile::DEFAULT,
            attempt,
            deadline: Duration::from_millis(deadline_ms),
        }
    }

    async fn text(told: &mut UnboundedReceiver<SttEvent>) -> (u64, String, TextPath) {
        loop {
            match told.recv().await.expect("the actor lives") {
                SttEvent::Complete { take, text, path, .. } => {
                    return (take.0, text.reveal().to_owned(), path);
                }
                SttEvent::Ready { .. } | SttEvent::Partial { .. } | SttEvent::Remarks { .. } => {}
                other @ (SttEvent::Unloaded | SttEvent::Failed { .. }) => panic!("{other:?}"),
            }
        }
    }

    async fn fault(told: &mut UnboundedReceiver<SttEvent>) -> FaultKind {
        loop {
            if let SttEvent::Failed { fault, .. } = told.recv().await.expect("the actor lives") {
                return fault.kind;
            }
        }
    }

    #[actix::test]
    async fn loading_is_answered_every_time() {
        let (stt, mut told) = spawn(&[], 0);
        stt.post(SttCommand::Load);
        assert!(matches!(told.recv().await, Some(SttEvent::Ready { model, .. }) if model == "canned"));
        stt.post(SttCommand::Load);
        assert!(matches!(told.recv().await, Some(SttEvent::Ready { load: Duration::ZERO, .. })));
        stt.post(SttCommand::Unload);
        assert_eq!(told.recv().await, Some(SttEvent::Unloaded));
        stt.post(transcribe(1, 0, 1, 5_000));
        assert!(matches!(told.recv().await, Some(SttEvent::Ready { .. })));
        assert_eq!(text(&mut told).await, (1, "One.".to_owned(), TextPath::Tail));
    }

    #[actix::test]
    async fn a_take_is_heard_and_completed() {
        let (stt, mut told) = spawn(&[], 0);
        stt.post(SttCommand::Hear {
            segment: segment(1, 0, SegmentState::Committed),
            profile: Profile::DEFAULT,
        });
        stt.post(transcribe(1, 1, 1, 5_000));
        assert_eq!(text(&mut told).await, (1, "One. Two.".to_owned(), TextPath::Tail));
    }

    #[actix::test]
    async fn a_failing_and_a_panicking_engine_are_survived() {
        for step in [Fail, Panic] {
            let (stt, mut told) = spawn(&[step], 0);
            stt.post(transcribe(1, 0, 1, 5_000));
            assert_eq!(fault(&mut told).await, FaultKind::Broken);
            // A fresh canned engine begins its script again; the old one goes on with it.
            stt.post(transcribe(2, 0, 1, 5_000));
            match step {
                Panic => assert_eq!(fault(&mut told).await, FaultKind::Broken),
                CannedStep::Ok | Fail | Hang | CannedStep::Stuck => {
                    assert_eq!(text(&mut told).await, (2, "One.".to_owned(), TextPath::Tail));
                }
            }
        }
    }

    #[actix::test]
    async fn a_hanging_engine_is_given_up_and_a_slow_one_times_out() {
        let (stt, mut told) = spawn(&[Hang], 0);
        stt.post(transcribe(1, 0, 1, 10));
        assert_eq!(fault(&mut told).await, FaultKind::Timeout);
        let (stt, mut told) = spawn(&[], 60_000);
        stt.post(transcribe(1, 0, 1, 10));
        assert_eq!(fault(&mut told).await, FaultKind::Timeout);
    }

    #[actix::test]
    async fn a_press_before_the_model_is_there_has_its_text_after_one_load() {
        let (sender, mut told) = unbounded_channel();
        let events = Port::to("probe", &Probe(sender).start());
        let config = SttConfig { backend: Backend::Canned, ..SttConfig::default() };
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let (held, loads) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
        let (counted, canned) = (Arc::clone(&loads), config.clone());
        let open: Opener = Arc::new(move || {
            counted.fetch_add(1, SeqCst);
            let _ = held.lock().unwrap().recv();
            crate::engine::open(&canned)
        });
        let stt = SttActor::spawn(&config, open, StuckEngines::default(), events).unwrap();
        stt.post(transcribe(1, 0, 1, 10));
        assert_eq!(fault(&mut told).await, FaultKind::Timeout);
        stt.post(transcribe(1, 0, 2, 60_000));
        drop(let_go);
        assert_eq!(text(&mut told).await, (1, "This is a canned text.".to_owned(), TextPath::Tail));
        assert_eq!(loads.load(SeqCst), 1);
    }

    #[actix::test]
    async fn an_aborted_take_is_silent_and_frees_the_engine() {
        let (stt, mut told) = spawn(&[Hang], 0);
        stt.post(transcribe(1, 0, 1, 60_000));
        // The decode that had to load is under way: it takes the script's first step.
        assert!(matches!(told.recv().await, Some(SttEvent::Ready { .. })));
        stt.post(SttCommand::Abort { take: TakeId(1) });
        stt.post(transcribe(2, 0, 1, 60_000));
        assert_eq!(text(&mut told).await, (2, "One.".to_owned(), TextPath::Tail));
    }

    /// Ends no decode before its gate is open, whatever it is told.
    struct Deaf(Arc<(Mutex<bool>, Condvar)>);

    impl Engine for Deaf {
        fn name(&self) -> &'static str {
            "deaf"
        }

        fn decode(&mut self, _: &Clip, _: &DecodeRequest, _: &CancelFlag) -> Result<Decoded, SttError> {
            let (open, opened) = &*self.0;
            drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            Ok(Decoded { text: Transcript::new("At last."), ..Decoded::default() })
        }
    }

    #[actix::test]
    async fn few_engines_are_left_behind_and_a_take_is_none_of_many_that_hang() {
        let (sender, mut told) = unbounded_channel();
        let events = Port::to("probe", &Probe(sender).start());
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let loads = Arc::new(AtomicUsize::new(0));
        let (for_engines, counted) = (Arc::clone(&gate), Arc::clone(&loads));
        let open: Opener = Arc::new(move || {
            counted.fetch_add(1, SeqCst);
            Ok(Box::new(Deaf(Arc::clone(&for_engines))))
        });
        let stuck = StuckEngines::default();
        let config = SttConfig { backend: Backend::Canned, ..SttConfig::default() };
        let stt = SttActor::spawn(&config, open, stuck.clone(), events).unwrap();
        stt.post(transcribe(1, 0, 1, 10));
        assert_eq!(fault(&mut told).await, FaultKind::Timeout);
        // The same audio hangs again: it gets no other engine, another take does.
        stt.post(transcribe(1, 0, 2, 60_000));
        assert_eq!((fault(&mut told).await, loads.load(SeqCst)), (FaultKind::Broken, 1));
        stt.post(transcribe(2, 0, 1, 10));
        assert_eq!((fault(&mut told).await, loads.load(SeqCst)), (FaultKind::Timeout, 2));
        for take in 3..6 {
            stt.post(transcribe(take, 0, 1, 60_000));
            let refused = loop {
                if let SttEvent::Failed { fault, .. } = told.recv().await.expect("the actor lives") {
                    break fault;
                }
            };
            assert_eq!(refused.kind, FaultKind::Broken);
            assert!(refused.message.contains("2 left behind"), "{refused}");
        }
        stt.post(SttCommand::Load);
        assert_eq!((fault(&mut told).await, loads.load(SeqCst)), (FaultKind::Broken, 2));
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        stuck.wait_for_room(0, Duration::from_secs(10)).unwrap();
        stt.post(transcribe(1, 0, 3, 60_000));
        assert_eq!(text(&mut told).await, (1, "At last.".to_owned(), TextPath::Tail));
        assert_eq!(loads.load(SeqCst), 3);
    }

    #[actix::test]
    async fn a_model_that_is_not_there_is_named() {
        let (sender, mut told) = unbounded_channel();
        let events = Port::to("probe", &Probe(sender).start());
        let config = SttConfig { model: "/nowhere/ggml-none.bin".to_owned(), ..SttConfig::default() };
        let stt = crate::spawn(&config, events).unwrap();
        stt.post(SttCommand::Load);
        let Some(SttEvent::Failed { take: None, fault }) = told.recv().await else {
            panic!("it cannot load")
        };
        assert!(!fault.kind.worth_retrying() || fault.kind == FaultKind::Gone, "{fault}");
        assert!(fault.message.contains("/nowhere/ggml-none.bin"), "{fault}");
    }
}
