//! The thread that has a source opened and listens to it: from the press to the controller's mailbox in one hop. It lives from
//! one `Listen` to the `Ignore`, whatever becomes of its sources, and hears all that time whether the user leaves.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ptt_messages::{Fault, KeyboardEvent, Moment, Port};
use tracing::{debug, info};

use crate::bus::Address;
use crate::chord::{ChordEvent, ChordTracker, Watched};
use crate::listener::{Heard, listen};
use crate::metrics::{EVENTS_TOTAL, source_in_use};
use crate::session::SessionWatch;
use crate::source::{Backend, KeySource};
use crate::wake::Stop;
use crate::{KeyboardError, panic_text, urgency};

/// Opens a source; called on a thread of its own.
pub type Opener = Arc<OpenerFn>;
pub type OpenerFn = dyn Fn(&Stop) -> Result<Box<dyn KeySource>, KeyboardError> + Send + Sync;

/// What the thread tells its actor. `run` is the number of the thread, so that a late report of an old one changes nothing.
#[derive(Debug)]
pub enum Report {
    /// A source is open.
    Opened { run: u64, backend: Backend },
    /// The source could not be opened, or broke after it had been open for `held`. The thread tells the listener itself and
    /// opens another one when it is told to try again.
    Failed { run: u64, fault: Fault, held: Duration },
}

/// Everything the thread needs.
pub struct KeyThread {
    pub run: u64,
    pub opener: Opener,
    pub watched: Watched,
    pub bounce: Duration,
    /// The bus that tells when the user leaves; `None` where nobody wants to know.
    pub session: Option<Address>,
    pub backend: Backend,
    pub events: Port<KeyboardEvent>,
    pub reports: Port<Report>,
    /// What the listener was told last: the same failure once more is no news.
    pub told: Option<Fault>,
}

/// A key thread that was started. It ends within milliseconds after [`Running::end`].
pub struct Running {
    signs: Signs,
    thread: JoinHandle<()>,
}

/// What the thread is told from outside.
#[derive(Clone)]
struct Signs {
    stop: Stop,
    /// Another source is to be opened. Comes with a nudge.
    again: Arc<AtomicBool>,
}

impl KeyThread {
    /// Starts it. It opens nothing before the thread `before` has ended: two sources at once would take keys from each other.
    pub fn start(self, before: Option<JoinHandle<()>>) -> Result<Running, KeyboardError> {
        let signs = Signs { stop: Stop::new()?, again: Arc::default() };
        let of_thread = signs.clone();
        let main = move || {
            if let Some(before) = before {
                // A panic of it has been printed.
                let _ = before.join();
            }
            self.main(&of_thread);
        };
        let thread = Builder::new().name("ptt-keys".to_owned()).spawn(main);
        let thread = thread.map_err(KeyboardError::os("start a thread"))?;
        Ok(Running { signs, thread })
    }

    fn main(mut self, signs: &Signs) {
        // Outlives each source: a take of the control socket ends with its user too, whatever became of the keys.
        let session = self.session.and_then(|bus| SessionWatch::start(bus, &signs.stop));
        let mut user = User { session, tracker: ChordTracker::new(&self.watched, self.bounce) };
        loop {
            let mut open_since = None;
            let end =
                catch_unwind(AssertUnwindSafe(|| self.open_and_listen(signs, &mut user, &mut open_since)));
            let error = match end {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panic) => {
                    KeyboardError::Panicked { backend: self.backend.name(), message: panic_text(panic) }
                }
            };
            if signs.stop.raised() {
                return;
            }
            if self.fail(&error, open_since, &mut user.tracker).is_break()
                || self.wait(&signs.stop, &signs.again, &mut user).is_break()
            {
                return;
            }
        }
    }

    fn fail(
        &mut self,
        error: &KeyboardError,
        open_since: Option<Moment>,
        tracker: &mut ChordTracker,
    ) -> ControlFlow<()> {
        // A source that is gone holds nothing.
        let mut events = Vec::new();
        tracker.lose_all(Moment::now(), &mut events);
        events.into_iter().try_for_each(|event| self.tell(event))?;
        let fault = Fault::from(error);
        let held = open_since.map_or(Duration::ZERO, |since| Moment::now().since(since));
        let news = open_since.is_some() || self.told.as_ref() != Some(&fault);
        self.told = Some(fault.clone());
        // The actor first: who answers the failure with `Listen` at once must find it ready.
        self.reports.post_patiently(Report::Failed { run: self.run, fault: fault.clone(), held });
        if news {
            debug!(%fault, "told");
            self.events.post_patiently(KeyboardEvent::Failed(fault));
        }
        ControlFlow::Continue(())
    }

    fn open_and_listen(
        &self,
        signs: &Signs,
        user: &mut User,
        open_since: &mut Option<Moment>,
    ) -> Result<(), KeyboardError> {
        let stop = &signs.stop;
        let mut source = self.open(stop, user)?;
        if stop.raised() {
            return Ok(());
        }
        let backend = source.backend();
        *open_since = Some(Moment::now());
        source_in_use(Some(backend));
        info!(backend = backend.name(), "listening for the chord");
        self.reports.post_patiently(Report::Opened { run: self.run, backend });
        self.events.post_patiently(KeyboardEvent::Listening { backend: backend.name().to_owned() });
        match backend {
            Backend::Evdev | Backend::X11 => urgency::ask(Address::System, stop),
            // Their keys come from other threads, or there are none.
            Backend::Auto | Backend::Inputbot | Backend::Portal | Backend::Control | Backend::Scripted => {}
        }
        let User { session, tracker } = user;
        listen(&mut *source, session.as_ref(), tracker, &self.watched, stop, &mut |heard| match heard {
            Heard::Chord(event) => self.tell(event),
            Heard::Listening(_) | Heard::Key { .. } => ControlFlow::Continue(()),
        })
    }

    /// Opens a source on another thread: a portal's dialog may stay open for days, and its user may leave meanwhile.
    fn open(&self, stop: &Stop, user: &mut User) -> Result<Box<dyn KeySource>, KeyboardError> {
        let opened = AtomicBool::new(false);
        let open = || {
            let end = catch_unwind(AssertUnwindSafe(|| (self.opener)(stop)));
            opened.store(true, Ordering::Release);
            stop.nudge();
            end
        };
        std::thread::scope(|scope| {
            let opening = Builder::new().name("ptt-open".to_owned()).spawn_scoped(scope, open);
            let opening = opening.map_err(KeyboardError::os("start a thread"))?;
            if self.wait(stop, &opened, user).is_break() {
                // Nobody would hear it.
                stop.raise();
            }
            match opening.join() {
                Ok(Ok(source)) => source,
                Ok(Err(panic)) | Err(panic) => resume_unwind(panic),
            }
        })
    }

    /// Tells when the user leaves, until `over` is set with a nudge. Breaks when the thread is to end.
    fn wait(&self, stop: &Stop, over: &AtomicBool, user: &mut User) -> ControlFlow<()> {
        let mut events = Vec::new();
        loop {
            if stop.wait(None).is_err() || stop.raised() {
                return ControlFlow::Break(());
            }
            stop.heed();
            for signal in user.session.iter().flat_map(SessionWatch::told) {
                user.tracker.step(signal, &mut events);
            }
            events.drain(..).try_for_each(|event| self.tell(event))?;
            if over.swap(false, Ordering::AcqRel) {
                return ControlFlow::Continue(());
            }
        }
    }

    fn tell(&self, event: ChordEvent) -> ControlFlow<()> {
        let (edge, message) = match event {
            ChordEvent::Pressed { at, profile } => ("pressed", KeyboardEvent::Pressed { at, profile }),
            ChordEvent::Released { at } => ("released", KeyboardEvent::Released { at }),
            ChordEvent::Cancelled { at } => ("cancelled", KeyboardEvent::Cancelled { at }),
            ChordEvent::Toggled { at, profile } => ("toggled", KeyboardEvent::Toggled { at, profile }),
            ChordEvent::UserLeft { at } => ("user_left", KeyboardEvent::UserLeft { at }),
        };
        self.events.post_patiently(message);
        metrics::counter!(EVENTS_TOTAL, "edge" => edge).increment(1);
        if self.events.connected() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// What is known of the user, from one source to the next.
struct User {
    session: Option<SessionWatch>,
    tracker: ChordTracker,
}

impl Running {
    /// Has it open a source once more, after it failed.
    pub fn try_again(&self) {
        self.signs.again.store(true, Ordering::Release);
        self.signs.stop.nudge();
    }

    /// Tells it to end.
    pub fn end(self) -> JoinHandle<()> {
        self.signs.stop.raise();
        self.thread
    }
}
