//! The player's own thread: opens, plays, pauses, notices losses, and tells when a tone began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use metrics::{Gauge, gauge, histogram};
use ptt_messages::{Chime, Fault, FeedbackEvent, Moment, Port, TakeId};
use tracing::{debug, info};

use crate::backoff::Backoff;
use crate::error::FeedbackError;
use crate::metrics::{CHIME_DEVICE_SECONDS, CHIME_SECONDS, Fate, OUTPUT_OPEN, OUTPUT_RUNNING, label};
use crate::player::{Begun, Player, Ticket, Wake};
use crate::tones::LONGEST_MS;

/// A tone that begins later than this after it was asked for would answer something long past.
const STALE: Duration = Duration::from_millis(300);

/// How often a ticket is looked at while a tone is due. The time it tells is exact: the device writes it.
const LOOK: Duration = Duration::from_millis(1);

/// How many orders may wait for the thread while it opens a device.
const CAPACITY: usize = 16;

/// How long a tone may still sound after it began, blocks on their way included, before the output is closed or
/// paused.
const RING_OUT: Duration = Duration::from_millis(LONGEST_MS as u64 + 100);

/// The sending end. The thread ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Booth {
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
}

/// What must reach the thread even when it is too busy opening a device to take orders, and what shows that it is.
#[derive(Debug, Default)]
struct Shared {
    wanted: AtomicBool,
    over: AtomicBool,
    /// When the thread took up its present order, in nanoseconds; 0 while it waits for one.
    busy_since: AtomicU64,
}

#[derive(Debug)]
enum Order {
    /// Look around: what is wanted changed, or the player has news.
    Look,
    Play(Tone),
}

/// A tone that was asked for.
#[derive(Clone, Copy, Debug)]
struct Tone {
    take: TakeId,
    chime: Chime,
    since: Moment,
    sent: Moment,
}

/// Starts the thread and makes the player on it.
pub(crate) fn start(
    player: impl FnOnce(Wake) -> Box<dyn Player> + Send + 'static,
    idle_pause: Duration,
    events: Port<FeedbackEvent>,
) -> Result<Booth, FeedbackError> {
    let (orders, inbox) = sync_channel(CAPACITY);
    let shared = Arc::new(Shared::default());
    let booth = Booth { orders: orders.clone(), shared: Arc::clone(&shared) };
    let wake = Wake::new(move || {
        // A full queue wakes the thread as well.
        let _ = orders.try_send(Order::Look);
    });
    thread::Builder::new()
        .name("ptt-feedback".to_owned())
        .spawn(move || {
            let tell = move |event| {
                events.post_patiently(event);
            };
            Desk::new(player(wake), shared, idle_pause, Moment::now, tell).run(&inbox);
        })
        .map_err(|source| FeedbackError::NoThread { source })?;
    Ok(booth)
}

impl Booth {
    /// Whether the output should be open. Never lost.
    pub fn want(&self, open: bool) {
        self.shared.wanted.store(open, Ordering::Release);
        let _ = self.orders.try_send(Order::Look);
    }

    /// Whether the thread has not come back from the device for long: its server may answer neither to opening nor to
    /// pausing nor to playing on.
    pub fn is_stuck(&self, now: Moment) -> bool {
        let since = self.shared.busy_since.load(Ordering::Acquire);
        since != 0 && now.since(Moment::from_nanos(since)) > 2 * STALE
    }

    /// Asks for a tone; `false` when the thread takes no more.
    pub fn play(&self, take: TakeId, chime: Chime, since: Moment, sent: Moment) -> bool {
        self.orders.try_send(Order::Play(Tone { take, chime, since, sent })).is_ok()
    }
}

impl Drop for Booth {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        let _ = self.orders.try_send(Order::Look);
    }
}

/// What the thread does, apart from waiting. The clock and the way to tell are arguments, so that a test has its own.
struct Desk<Clock, Tell> {
    player: Box<dyn Player>,
    shared: Arc<Shared>,
    clock: Clock,
    tell: Tell,
    backoff: Backoff,
    /// Tones in the device's hands that have not begun, as far as we know.
    due: Vec<Due>,
    /// The present outage was told.
    told: bool,
    idle_pause: Option<Duration>,
    /// When the output was opened or the last tone was handed over.
    used: Moment,
    /// The output is open and was not paused since it was last used.
    running: bool,
    open_gauge: Gauge,
    running_gauge: Gauge,
}

struct Due {
    tone: Tone,
    ticket: Arc<Ticket>,
    handed: Moment,
    stale: Moment,
}

impl<Clock: Fn() -> Moment, Tell: Fn(FeedbackEvent)> Desk<Clock, Tell> {
    fn new(
        player: Box<dyn Player>,
        shared: Arc<Shared>,
        idle_pause: Duration,
        clock: Clock,
        tell: Tell,
    ) -> Self {
        Self {
            player,
            shared,
            clock,
            tell,
            backoff: Backoff::default(),
            due: Vec::new(),
            told: false,
            idle_pause: (!idle_pause.is_zero()).then_some(idle_pause.max(RING_OUT)),
            used: Moment::default(),
            running: false,
            open_gauge: gauge!(OUTPUT_OPEN),
            running_gauge: gauge!(OUTPUT_RUNNING),
        }
    }

    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let order = match self.patience() {
                None => inbox.recv().ok(),
                Some(patience) => match inbox.recv_timeout(patience) {
                    Ok(order) => Some(order),
                    Err(RecvTimeoutError::Timeout) => Some(Order::Look),
                    Err(RecvTimeoutError::Disconnected) => None,
                },
            };
            let Some(order) = order.filter(|_| !self.shared.over.load(Ordering::Acquire)) else { return };
            self.shared.busy_since.store((self.clock)().as_nanos(), Ordering::Release);
            match order {
                Order::Look => {}
                Order::Play(tone) => self.play(tone),
            }
            self.look();
            self.shared.busy_since.store(0, Ordering::Release);
        }
    }

    /// How long there is nothing to do without an order.
    fn patience(&self) -> Option<Duration> {
        if !self.due.is_empty() {
            return Some(LOOK);
        }
        let next = match (self.player.is_open(), self.wanted()) {
            (true, false) => Some(self.used + RING_OUT),
            (true, true) => self.pause_at(),
            (false, true) => self.backoff.alarm(),
            (false, false) => None,
        };
        next.map(|at| at.since((self.clock)()))
    }

    /// Whether the output should be open although nothing is to be played.
    fn wanted(&self) -> bool {
        self.shared.wanted.load(Ordering::Acquire)
    }

    /// When the running output is to be paused.
    fn pause_at(&self) -> Option<Moment> {
        self.idle_pause.filter(|_| self.running).map(|after| self.used + after)
    }

    fn play(&mut self, tone: Tone) {
        self.notice_loss();
        if !self.player.is_open() && self.backoff.allows((self.clock)()) {
            self.open();
        }
        let (handed, stale) = ((self.clock)(), tone.sent + STALE);
        if handed > stale {
            Fate::Late.count(tone.chime);
        } else if !self.player.is_open() {
            Fate::NoOutput.count(tone.chime);
        } else {
            let ticket = self.player.play(tone.chime, stale);
            self.used(handed);
            self.due.push(Due { tone, ticket, handed, stale });
        }
    }

    fn look(&mut self) {
        self.notice_loss();
        self.read_tickets();
        let now = (self.clock)();
        if !self.player.is_open() {
            if self.wanted() && self.backoff.allows(now) {
                self.open();
            }
        } else if !self.due.is_empty() {
            // What is not heard yet is neither cut off nor held back.
        } else if !self.wanted() {
            if now >= self.used + RING_OUT {
                self.player.close();
                self.open_gauge.set(0.0);
                self.runs(false);
            }
        } else if self.pause_at().is_some_and(|at| now >= at) {
            self.player.pause();
            self.runs(false);
        }
    }

    fn used(&mut self, now: Moment) {
        self.used = now;
        self.runs(true);
    }

    fn runs(&mut self, running: bool) {
        self.running = running;
        self.running_gauge.set(if running { 1.0 } else { 0.0 });
    }

    fn open(&mut self) {
        match self.player.open() {
            Ok(()) => {
                self.backoff.succeeded();
                self.told = false;
                // It runs for a while also without a tone: whether it works shows before the first one is due.
                self.used((self.clock)());
                self.open_gauge.set(1.0);
            }
            Err(error) => {
                // The clock is read anew: opening may have taken seconds.
                self.backoff.failed((self.clock)());
                self.out(&error);
            }
        }
    }

    fn notice_loss(&mut self) {
        if let Some(error) = self.player.lost() {
            self.open_gauge.set(0.0);
            self.runs(false);
            self.backoff.failed((self.clock)());
            self.out(&error);
            for due in self.due.drain(..) {
                Fate::NoOutput.count(due.tone.chime);
            }
        }
    }

    fn read_tickets(&mut self) {
        let now = (self.clock)();
        let mut stuck = false;
        let mut begun = Vec::new();
        self.due.retain(|due| match due.ticket.read() {
            Begun::At(at) => {
                begun.push((due.tone, due.handed, at));
                false
            }
            Begun::TooLate => {
                Fate::Late.count(due.tone.chime);
                false
            }
            // A while longer than the device itself is given, so that it has the last word.
            Begun::Waiting if now > due.stale + STALE => {
                Fate::Late.count(due.tone.chime);
                stuck = true;
                false
            }
            Begun::Waiting => true,
        });
        for (tone, handed, at) in begun {
            self.told = false;
            let Tone { take, chime, since, sent: _ } = tone;
            Fate::Played.count(chime);
            histogram!(CHIME_SECONDS, "chime" => label(chime)).record(at.since(since));
            histogram!(CHIME_DEVICE_SECONDS).record(at.since(handed));
            (self.tell)(FeedbackEvent::Played { take, chime, since, at });
        }
        if stuck {
            self.out(&FeedbackError::Stuck);
        }
    }

    /// Tells of an outage once.
    fn out(&mut self, error: &FeedbackError) {
        debug!(%error, "no chime");
        if !std::mem::replace(&mut self.told, true) {
            info!(%error, "chimes are not heard");
            (self.tell)(FeedbackEvent::Failed(Fault::from(error)));
        }
    }
}

#[cfg(test)]
#[path = "booth/tests.rs"]
mod tests;
