//! The delivering thread and the bounded queue before it: one text after the other, in the order of the commands. A text
//! can be withdrawn until its sink begins with it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use ptt_messages::{Moment, OutputEvent, Port, Profile, TakeId, Transcript};
use tracing::{debug, warn};

use crate::error::OutputError;
use crate::metrics::{
    self as names, DELIVERED_TOTAL, DELIVERY_FAILURES_TOTAL, DELIVERY_SECONDS, FILTERED_TOTAL, QUEUE_LENGTH,
};
use crate::post::Post;
use crate::shape::Shaper;
use crate::sink::{AIMS, Sink};
use crate::ticket::Ticket;
use crate::{OutputConfig, Trailing};

/// How many texts may wait. A person makes one in a few seconds; this many means that the sink stands still.
const CAPACITY: usize = 16;

/// How long after a text its sink may rest.
const REST: Duration = Duration::from_secs(4);

/// What the thread is to do.
#[derive(Debug)]
enum Task {
    Aim(TakeId, Profile),
    /// `aimed`: what was aimed at for it counts, because it was not asked for before.
    Deliver {
        job: Job,
        ticket: Ticket,
        aimed: bool,
    },
}

/// A text that waits for the sink.
#[derive(Debug)]
pub(crate) struct Job {
    pub take: TakeId,
    pub profile: Profile,
    pub text: Transcript,
    pub sent: Moment,
}

/// How long the program's end waits for the last text and for what the sinks put back after it.
const FAREWELL: Duration = Duration::from_secs(1);

/// The sending end. The thread ends, after delivering what waits, when this is dropped.
#[derive(Debug)]
pub(crate) struct Queue {
    tasks: SyncSender<Task>,
    /// Closed by the thread when it ends.
    ended: Receiver<()>,
    waiting: Arc<AtomicUsize>,
    /// Of the texts that may still be withdrawn.
    tickets: VecDeque<(TakeId, Ticket)>,
    /// The takes that were aimed for and whose text was not asked for yet.
    aimed: VecDeque<TakeId>,
    length: Gauge,
}

impl Queue {
    /// `lines`: those of the profiles, the default one's first.
    pub fn start(lines: Vec<Line>, events: Port<OutputEvent>) -> Result<Self, OutputError> {
        let (tasks, inbox) = sync_channel(CAPACITY);
        let waiting = Arc::new(AtomicUsize::new(0));
        let thread = Thread { length: gauge!(QUEUE_LENGTH), waiting: Arc::clone(&waiting), lines, events };
        let (ends, ended) = sync_channel(0);
        let run = move || {
            thread.run(&inbox);
            drop(ends);
        };
        thread::Builder::new()
            .name("ptt-output".to_owned())
            .spawn(run)
            .map_err(|source| OutputError::NoThread { source })?;
        Ok(Self {
            tasks,
            ended,
            waiting,
            tickets: VecDeque::new(),
            aimed: VecDeque::new(),
            length: gauge!(QUEUE_LENGTH),
        })
    }

    /// Has the sink aim. Never blocks; where the thread stands still, the text goes out without an aim.
    pub fn aim(&mut self, take: TakeId, profile: Profile) {
        if self.tasks.try_send(Task::Aim(take, profile)).is_ok() {
            if self.aimed.len() == AIMS {
                self.aimed.pop_front();
            }
            self.aimed.push_back(take);
        }
    }

    /// Hands a text over. Never blocks.
    pub fn push(&mut self, job: Job) -> Result<(), OutputError> {
        // Counted before it is sent: the thread may be done with it before `try_send` returns.
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        let (take, ticket) = (job.take, Ticket::default());
        let at = self.aimed.iter().position(|aimed| *aimed == take);
        let aimed = at.and_then(|at| self.aimed.remove(at)).is_some();
        let refused = match self.tasks.try_send(Task::Deliver { job, ticket: ticket.clone(), aimed }) {
            Ok(()) => {
                self.tickets.retain(|(_, ticket)| ticket.waits());
                self.tickets.push_back((take, ticket));
                self.length.set(waiting as f64);
                return Ok(());
            }
            Err(TrySendError::Full(_)) => OutputError::QueueFull { waiting: CAPACITY },
            Err(TrySendError::Disconnected(_)) => OutputError::Stopped,
        };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Err(refused)
    }

    /// Withdraws a text; whether it still waited. Then the thread says nothing about it.
    #[must_use]
    pub fn withdraw(&self, take: TakeId) -> bool {
        self.tickets.iter().any(|(of, ticket)| *of == take && ticket.withdraw())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Hung up on, the thread ends; it sends nothing before that.
        self.tasks = sync_channel(0).0;
        let _ = self.ended.recv_timeout(FAREWELL);
    }
}

/// What became of a text that did not fail.
enum Put {
    Out,
    Withdrawn,
}

/// The way of one profile's texts: what becomes of them, and where they go.
pub(crate) struct Line {
    sink: Box<dyn Sink>,
    shaper: Shaper,
    post: Option<Post>,
    trailing: Trailing,
    seconds: Histogram,
    delivered: Counter,
    filtered: Counter,
}

impl Line {
    /// Into this sink, shaped as the configuration says.
    ///
    /// # Errors
    /// [`OutputError::NoPostCommand`].
    pub fn open(config: &OutputConfig, sink: Box<dyn Sink>) -> Result<Self, OutputError> {
        names::describe(sink.name());
        Ok(Self {
            seconds: histogram!(DELIVERY_SECONDS, "sink" => sink.name()),
            delivered: counter!(DELIVERED_TOTAL, "sink" => sink.name()),
            filtered: counter!(FILTERED_TOTAL),
            sink,
            shaper: Shaper::new(config),
            post: Post::open(config)?,
            trailing: config.trailing,
        })
    }

    /// A text of which nothing is left is delivered by writing nothing.
    fn deliver(&mut self, job: &Job, ticket: &Ticket) -> Result<Put, OutputError> {
        if !ticket.waits() {
            return Ok(Put::Withdrawn);
        }
        let draft = self.shaper.draft(job.text.reveal());
        let posted = self.post(&draft.text);
        let now = Moment::now();
        let ending = self.trailing.after(self.sink.ending());
        let finished = self.shaper.finish(&posted, ending, now);
        let waited = if finished.text.is_empty() { Ok(()) } else { self.sink.wait(&|| ticket.waits()) };
        // Before the error: what was withdrawn meanwhile has been answered.
        if !ticket.go() {
            return Ok(Put::Withdrawn);
        }
        waited?;
        if draft.filtered || finished.filtered {
            self.filtered.increment(1);
        }
        if finished.text.is_empty() {
            return Ok(Put::Out);
        }
        self.sink.deliver(job.take, &finished.text)?;
        self.shaper.delivered(&finished.text, now);
        Ok(Put::Out)
    }

    /// What the post-process command makes of a text, where there is one and it does.
    fn post<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let Some(post) = &mut self.post else { return Cow::Borrowed(text) };
        let posted = post.pass(text);
        if let Some(fault) = posted.fault {
            warn!(%fault, "the post-process command failed");
        }
        posted.text
    }
}

/// What the thread owns.
struct Thread {
    /// Never empty.
    lines: Vec<Line>,
    events: Port<OutputEvent>,
    waiting: Arc<AtomicUsize>,
    length: Gauge,
}

impl Thread {
    fn run(mut self, inbox: &Receiver<Task>) {
        let mut tired = false;
        loop {
            let task = if tired { inbox.recv_timeout(REST) } else { inbox.recv().map_err(Into::into) };
            match task {
                Ok(Task::Aim(take, profile)) => self.line(profile).sink.aim(take),
                Ok(Task::Deliver { job, ticket, aimed }) => {
                    if !aimed {
                        self.line(job.profile).sink.unaim(job.take);
                    }
                    self.job(&job, &ticket);
                    tired = true;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.lines.iter_mut().for_each(|line| line.sink.rest());
                    tired = false;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.lines.iter_mut().for_each(|line| line.sink.rest());
    }

    /// The line of a profile; the default one's where there is no such profile, or one sink for all.
    fn line(&mut self, profile: Profile) -> &mut Line {
        let at = if profile.index() < self.lines.len() { profile.index() } else { 0 };
        &mut self.lines[at]
    }

    fn job(&mut self, job: &Job, ticket: &Ticket) {
        let line = self.line(job.profile);
        let outcome = line.deliver(job, ticket);
        let (sink, took) = (line.sink.name(), Moment::now().since(job.sent));
        let event = match outcome {
            Ok(Put::Withdrawn) => {
                debug!(take = %job.take, sink, "withdrawn");
                None
            }
            Ok(Put::Out) => {
                line.delivered.increment(1);
                Some(OutputEvent::Delivered { take: job.take, sink: sink.to_owned() })
            }
            Err(error) => {
                debug!(take = %job.take, sink, %error, "not delivered");
                let kind = error.kind().label();
                counter!(DELIVERY_FAILURES_TOTAL, "sink" => sink, "kind" => kind).increment(1);
                Some(OutputEvent::Failed { take: job.take, fault: error.undelivered() })
            }
        };
        if event.is_some() {
            line.seconds.record(took);
        }
        self.length.set((self.waiting.fetch_sub(1, Ordering::Relaxed) - 1) as f64);
        if let Some(event) = event {
            self.events.post_patiently(event);
        }
    }
}
