//! The link to the microphone: opened and closed on throw-away threads, because a frozen sound server blocks either for
//! half a minute. At most one such thread runs at a time; while one hangs, nothing more is opened.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread::{self, Thread};

use crate::error::AudioError;
use crate::source::{CaptureSource, Opened};

/// Work for a throw-away thread.
pub type Work = Box<dyn FnOnce() + Send>;

/// Starts a thread of a name; tests run the work in place.
pub type Launch = fn(&'static str, Work) -> io::Result<()>;

/// Starts a detached thread.
///
/// # Errors
/// When the system has no room for one.
pub fn launch_thread(name: &'static str, work: Work) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// The link.
pub struct Link {
    source: Arc<dyn CaptureSource>,
    launch: Launch,
    wake: Thread,
    wanted: bool,
    state: State,
}

enum State {
    Closed,
    Opening(Receiver<Result<Opened, AudioError>>),
    Open(Opened),
    Closing(Receiver<()>),
}

impl Link {
    /// A closed link; `wake` is unparked when something has changed.
    #[must_use]
    pub fn new(source: Arc<dyn CaptureSource>, launch: Launch, wake: Thread) -> Self {
        Self { source, launch, wake, wanted: false, state: State::Closed }
    }

    /// Opens it, unless it is open or about to be; after what is still being closed.
    pub fn open(&mut self) {
        self.wanted = true;
    }

    /// Closes it. What is being opened is closed as soon as it is open.
    pub fn close(&mut self) {
        self.wanted = false;
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(opened) => self.dispose(opened),
            other @ (State::Closed | State::Opening(_) | State::Closing(_)) => other,
        };
    }

    /// What has become of the wish to open: `Some` once per wish.
    pub fn poll(&mut self) -> Option<Result<(), AudioError>> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Opening(answer) => match answer.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.state = State::Opening(answer);
                    None
                }
                Ok(Ok(opened)) if self.wanted => {
                    self.state = State::Open(opened);
                    Some(Ok(()))
                }
                Ok(Ok(unwanted)) => {
                    self.state = self.dispose(unwanted);
                    None
                }
                Ok(Err(error)) => std::mem::take(&mut self.wanted).then_some(Err(error)),
                Err(TryRecvError::Disconnected) => {
                    let reason = "opening the microphone panicked".to_owned();
                    std::mem::take(&mut self.wanted).then_some(Err(AudioError::Thread { reason }))
                }
            },
            State::Closing(done) => {
                if done.try_recv() == Err(TryRecvError::Empty) {
                    self.state = State::Closing(done);
                    return None;
                }
                self.poll()
            }
            State::Closed if self.wanted => {
                let error = self.start_opening().err()?;
                self.wanted = false;
                Some(Err(AudioError::Thread { reason: error.to_string() }))
            }
            same @ (State::Closed | State::Open(_)) => {
                self.state = same;
                None
            }
        }
    }

    /// The open source.
    pub fn opened(&mut self) -> Option<&mut Opened> {
        match &mut self.state {
            State::Open(opened) => Some(opened),
            State::Closed | State::Opening(_) | State::Closing(_) => None,
        }
    }

    fn start_opening(&mut self) -> io::Result<()> {
        let (tell, answer) = channel();
        let (source, wake) = (Arc::clone(&self.source), self.wake.clone());
        let work = move || {
            let _ = tell.send(source.open(&wake));
            wake.unpark();
        };
        (self.launch)("ptt-audio-open", Box::new(work))?;
        self.state = State::Opening(answer);
        Ok(())
    }

    fn dispose(&self, opened: Opened) -> State {
        let (tell, done) = channel();
        let wake = self.wake.clone();
        let work = move || {
            drop(opened);
            let _ = tell.send(());
            wake.unpark();
        };
        match (self.launch)("ptt-audio-close", Box::new(work)) {
            Ok(()) => State::Closing(done),
            Err(error) => {
                // The work was dropped with the thread that could not be, and the stream with it.
                tracing::warn!(%error, "no thread to close the microphone on");
                State::Closed
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Closed => "closed",
            State::Opening(_) => "opening",
            State::Open(_) => "open",
            State::Closing(_) => "closing",
        };
        f.debug_struct("Link").field("source", &self.source).field("state", &state).finish_non_exhaustive()
    }
}
