//! The one thread that has the engine. Orders in, reports out; what to order is decided in [`crate::strategy`].
//!
//! An engine that panics is dropped and made anew for the next decode. One that does not come back is given up together
//! with its thread: dropping a [`Worker`] ends the thread when its decode ends, and not before. How many may be left behind
//! like that is bounded in [`crate::stuck`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use ptt_messages::{Fault, Moment, Port};
use rustix::time::{ClockId, clock_gettime};

use crate::SttError;
use crate::cores;
use crate::engine::{CancelFlag, DecodeRequest, Decoded, Engine, Threads};
use crate::memory;
use crate::metrics;
use crate::strategy::{Assignment, Done, Failure};
use crate::stuck::{self, Life, StuckEngines};

/// How long a load may take before it is thought to hang: a large model from a slow disk takes a minute.
const LOAD_PATIENCE: Duration = Duration::from_secs(180);

/// How long a load waits for engines that were left behind to end, where another one may hang: they end within a piece of their
/// work, if they end at all.
const STUCK_PATIENCE: Duration = Duration::from_millis(500);
/// How long, where none may: on a busy machine the engine of the attempt before was perhaps only slow.
const REPEAT_PATIENCE: Duration = Duration::from_secs(5);
/// How often a load that waits looks whether anybody waits for it.
const LOOK: Duration = Duration::from_millis(50);

/// Makes an engine: loaded and warm.
pub(crate) type Opener = Arc<dyn Fn() -> Result<Box<dyn Engine>, SttError> + Send + Sync>;

#[derive(Debug)]
pub(crate) enum Order {
    Load,
    Unload,
    /// With the number of engines that may hang for another one to be loaded for it.
    Decode(Assignment, CancelFlag, Threads, usize),
}

/// What a worker tells, with the number of the worker.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) worker: u64,
    pub(crate) news: News,
}

#[derive(Debug)]
pub(crate) enum News {
    /// The answer to `Load`, and when a decode had to load first.
    Loaded(Result<Loaded, Fault>),
    Unloaded,
    Done(Done),
}

#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) model: String,
    /// Zero when it was there already.
    pub(crate) took: Duration,
}

/// A handle on the thread.
#[derive(Debug)]
pub(crate) struct Worker {
    orders: Sender<Order>,
    pub(crate) number: u64,
    load: Load,
    life: Life,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.life.leave();
    }
}

impl Worker {
    /// Starts a thread that has no engine yet, whose decodes may use idle cores only. While too many engines are left behind, it
    /// loads none.
    pub(crate) fn start(
        number: u64,
        open: Opener,
        idle_cores: bool,
        stuck: &StuckEngines,
        reports: Port<Report>,
    ) -> Result<Self, SttError> {
        let (orders, inbox) = mpsc::channel();
        let (load, life) = (Load::default(), Life::new(stuck));
        let (for_desk, alive) = (load.clone(), life.clone());
        let desk = Desk { number, open, idle_cores, reports, load: for_desk, life: alive, engine: None };
        thread::Builder::new()
            .name(format!("ptt-stt-{number}"))
            .spawn(move || desk.work(&inbox))
            .map_err(SttError::Thread)?;
        Ok(Self { orders, number, load, life })
    }

    /// Gives an order. The thread ends only with this handle, so it arrives.
    pub(crate) fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!(worker = self.number, "the engine's thread is gone");
        }
    }

    /// Whether it is in the midst of loading, and not so long that this will hardly end.
    pub(crate) fn loads(&self, now: Moment) -> bool {
        self.load.runs(now)
    }
}

/// Since when a load runs, for both sides: nanoseconds, or zero when none does.
#[derive(Clone, Debug, Default)]
struct Load(Arc<AtomicU64>);

impl Load {
    fn begins(&self, at: Moment) {
        self.0.store(at.as_nanos(), Ordering::Relaxed);
    }

    fn ends(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn runs(&self, now: Moment) -> bool {
        let since = self.0.load(Ordering::Relaxed);
        since != 0 && now.since(Moment::from_nanos(since)) < LOAD_PATIENCE
    }
}

/// For whom an engine is loaded.
struct Claim {
    /// How many engines may hang.
    tolerated: usize,
    /// When it is of no use any more.
    until: Moment,
    cancel: CancelFlag,
}

impl Claim {
    /// Of the next take, whichever it is.
    fn of_nobody() -> Self {
        let until = Moment::now() + STUCK_PATIENCE;
        Self { tolerated: stuck::MOST, until, cancel: CancelFlag::default() }
    }
}

struct Desk {
    number: u64,
    open: Opener,
    idle_cores: bool,
    reports: Port<Report>,
    load: Load,
    life: Life,
    engine: Option<Box<dyn Engine>>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.unload();
        self.life.over();
    }
}

impl Desk {
    fn work(mut self, inbox: &Receiver<Order>) {
        // Before the engine is loaded, whose threads are this one's children.
        if let Err(error) = ptt_slice::ask(None, ptt_slice::LONGEST) {
            tracing::debug!(%error, "the engine's threads have ordinary slices");
        }
        for order in inbox {
            if !self.life.begins() {
                return;
            }
            let news = match order {
                Order::Load => {
                    News::Loaded(self.load(&Claim::of_nobody()).map_err(|error| Fault::from(&error)))
                }
                Order::Unload => {
                    self.unload();
                    News::Unloaded
                }
                Order::Decode(job, cancel, threads, tolerated) => {
                    News::Done(self.decode(job, &cancel, threads, tolerated))
                }
            };
            self.life.ends();
            self.report(news);
        }
    }

    fn unload(&mut self) {
        if self.engine.take().is_some() {
            memory::give_back();
        }
    }

    fn report(&self, news: News) {
        self.reports.post_patiently(Report { worker: self.number, news });
    }

    fn load(&mut self, claim: &Claim) -> Result<Loaded, SttError> {
        if let Some(engine) = &self.engine {
            return Ok(Loaded { model: engine.name().to_owned(), took: Duration::ZERO });
        }
        self.wait_for_room(claim)?;
        let began = Moment::now();
        self.load.begins(began);
        let opened = catch_unwind(AssertUnwindSafe(|| (self.open)())).unwrap_or(Err(SttError::Crashed));
        self.load.ends();
        let engine = opened?;
        let model = engine.name().to_owned();
        self.engine = Some(engine);
        Ok(Loaded { model, took: Moment::now().since(began) })
    }

    fn wait_for_room(&self, claim: &Claim) -> Result<(), SttError> {
        let patience = if claim.tolerated < stuck::MOST { REPEAT_PATIENCE } else { STUCK_PATIENCE };
        let end = claim.until.min(Moment::now() + patience);
        loop {
            match self.life.stuck().wait_for_room(claim.tolerated, LOOK) {
                Ok(()) => return Ok(()),
                Err(_) if claim.cancel.is_set() => return Err(SttError::Cancelled),
                Err(number) if Moment::now() >= end => return Err(SttError::Stuck { number }),
                Err(_) => {}
            }
        }
    }

    fn decode(&mut self, job: Assignment, cancel: &CancelFlag, threads: Threads, tolerated: usize) -> Done {
        let began = Moment::now();
        let mut cpu = Duration::ZERO;
        let threads = if self.idle_cores { Threads::new(cores::idle(job.threads)) } else { threads };
        let claim = Claim { tolerated, until: job.deadline, cancel: cancel.clone() };
        let result = match cancel.is_set() {
            true => Err(SttError::Cancelled),
            false => self.with_engine(&claim, |engine| {
                let (result, spent) = timed(engine, &job, threads, cancel);
                cpu = spent;
                result
            }),
        };
        let wall = Moment::now().since(began);
        match &result {
            Ok(decoded) => {
                metrics::decode(job.background, job.clip.duration(), decoded.encode, wall);
                tracing::debug!(
                    job = job.job.0, background = job.background, audio = ?job.clip.duration(), frames = job.frames,
                    ?wall, encode = ?decoded.encode, tokens = decoded.tokens, "decoded"
                );
            }
            Err(SttError::Cancelled) => tracing::debug!(job = job.job.0, ?wall, "decode cancelled"),
            Err(error) => tracing::warn!(job = job.job.0, ?wall, %error, "decode failed"),
        }
        let result = result.map_err(|error| {
            if matches!(error, SttError::Cancelled) {
                Failure::Cancelled
            } else {
                Failure::Failed((&error).into())
            }
        });
        Done { job: job.job, began, cpu, result }
    }

    /// Loads an engine if there is none. It is out of its slot while it works, so that a panic leaves none behind.
    fn with_engine(
        &mut self,
        claim: &Claim,
        work: impl FnOnce(&mut dyn Engine) -> Result<Decoded, SttError>,
    ) -> Result<Decoded, SttError> {
        if self.engine.is_none() {
            let loaded = self.load(claim)?;
            self.report(News::Loaded(Ok(loaded)));
        }
        let mut engine = self.engine.take().expect("it was loaded above");
        match catch_unwind(AssertUnwindSafe(|| work(engine.as_mut()))) {
            Ok(result) => {
                self.engine = Some(engine);
                result
            }
            Err(_) => {
                memory::give_back();
                Err(SttError::Crashed)
            }
        }
    }
}

/// Decodes and measures processor time.
fn timed(
    engine: &mut dyn Engine,
    job: &Assignment,
    threads: Threads,
    cancel: &CancelFlag,
) -> (Result<Decoded, SttError>, Duration) {
    let request = DecodeRequest {
        frames: job.frames,
        prompt: job.prompt.clone(),
        language: job.language.clone(),
        detection: job.detection.clone(),
        threads: threads.clone(),
        deadline: job.deadline,
    };
    // The other compute threads are the engine's own. While they work, little else in this process does.
    let (thread, process) = (time_of(ClockId::ThreadCPUTime), time_of(ClockId::ProcessCPUTime));
    let result = engine.decode(&job.clip, &request, cancel);
    let (clock, before) = match threads.get() {
        1 => (ClockId::ThreadCPUTime, thread),
        _ => (ClockId::ProcessCPUTime, process),
    };
    (result, time_of(clock).saturating_sub(before))
}

fn time_of(clock: ClockId) -> Duration {
    let t = clock_gettime(clock);
    Duration::new(t.tv_sec.unsigned_abs(), u32::try_from(t.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_waited_for_and_not_for_ever() {
        let (load, at) = (Load::default(), Moment::from_millis);
        assert!(!load.runs(at(0)));
        load.begins(at(1_000));
        assert!(load.runs(at(1_000)) && load.runs(at(180_999)));
        assert!(!load.runs(at(181_000)), "it hangs");
        load.ends();
        assert!(!load.runs(at(1_000)));
    }
}
