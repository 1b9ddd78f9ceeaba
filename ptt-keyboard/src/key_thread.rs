//! The thread that opens a source and listens to it: from the press to the controller's mailbox in one hop.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
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

/// Opens a source; called on the key thread.
pub type Opener = Arc<OpenerFn>;
pub type OpenerFn = dyn Fn(&Stop) -> Result<Box<dyn KeySource>, KeyboardError> + Send + Sync;

/// What the thread tells its actor. `run` is the number of the thread, so that a late report of an old one changes nothing.
#[derive(Debug)]
pub enum Report {
    /// A source is open.
    Opened { run: u64, backend: Backend },
    /// The thread ends with this fault and tells the listener itself. The source had been open for `held`.
    Ended { run: u64, fault: Fault, held: Duration },
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
    pub stop: Stop,
    /// What the listener was told last: the same failure once more is no news.
    pub told: Option<Fault>,
}

impl KeyThread {
    /// Starts it. It ends within milliseconds after `stop` was raised, and by itself when its source fails.
    pub fn start(self) -> Result<(), KeyboardError> {
        let thread = std::thread::Builder::new().name("ptt-keys".to_owned()).spawn(move || self.main());
        thread.map(drop).map_err(KeyboardError::os("start a thread"))
    }

    fn main(self) {
        let mut tracker = ChordTracker::new(&self.watched, self.bounce);
        let mut open_since = None;
        let end = catch_unwind(AssertUnwindSafe(|| self.open_and_listen(&mut tracker, &mut open_since)));
        let error = match end {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(panic) => {
                KeyboardError::Panicked { backend: self.backend.name(), message: panic_text(panic) }
            }
        };
        if self.stop.raised() {
            return;
        }
        // A source that is gone holds nothing.
        let mut events = Vec::new();
        tracker.lose_all(Moment::now(), &mut events);
        if events.into_iter().try_for_each(|event| self.tell(event)).is_break() {
            return;
        }
        let fault = Fault::from(&error);
        let held = open_since.map_or(Duration::ZERO, |since| Moment::now().since(since));
        let news = open_since.is_some() || self.told.as_ref() != Some(&fault);
        // The actor first: who answers the failure with `Listen` at once must find it ready.
        self.reports.post_patiently(Report::Ended { run: self.run, fault: fault.clone(), held });
        if news {
            debug!(%fault, "told");
            self.events.post_patiently(KeyboardEvent::Failed(fault));
        }
    }

    fn open_and_listen(
        &self,
        tracker: &mut ChordTracker,
        open_since: &mut Option<Moment>,
    ) -> Result<(), KeyboardError> {
        let mut source = (self.opener)(&self.stop)?;
        if self.stop.raised() {
            return Ok(());
        }
        let backend = source.backend();
        *open_since = Some(Moment::now());
        source_in_use(Some(backend));
        info!(backend = backend.name(), "listening for the chord");
        self.reports.post_patiently(Report::Opened { run: self.run, backend });
        self.events.post_patiently(KeyboardEvent::Listening { backend: backend.name().to_owned() });
        match backend {
            Backend::Evdev | Backend::X11 => urgency::ask(Address::System, &self.stop),
            // Their keys come from other threads, or there are none.
            Backend::Auto | Backend::Inputbot | Backend::Portal | Backend::Control | Backend::Scripted => {}
        }
        let session = self.session.and_then(|bus| SessionWatch::start(bus, &self.stop));
        listen(&mut *source, session.as_ref(), tracker, &self.watched, &self.stop, &mut |heard| match heard {
            Heard::Chord(event) => self.tell(event),
            Heard::Listening(_) | Heard::Key { .. } => ControlFlow::Continue(()),
        })
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
