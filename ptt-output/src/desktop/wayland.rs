//! Wayland: a keyboard of our own for typing, the clipboard by data control, and the focus where the compositor tells.
//!
//! A thread of its own owns the connection, because what is ours in the clipboard is served all the time. What it does
//! is in [`hands`]; this is the way to it.

mod client;
mod clipboard;
mod control;
mod hands;
mod keyboard;
mod keymap;
mod place;
mod reading;
mod toplevel;
mod transfer;

use std::env;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use self::client::Client;
use self::hands::Hands;
pub use self::hands::Offers;
use super::portal::Portal;
use super::{Desktop, Listener, PasteChord, Window};
use crate::error::OutputError;

/// For messages.
const NAME: &str = "wayland";

/// The newest display in the runtime directory: what a daemon has to look for that the service manager started without
/// `WAYLAND_DISPLAY`.
#[must_use]
pub fn found() -> Option<String> {
    place::newest(&ptt_dirs::runtime()?)
}

/// The socket of the display that the environment names, else of the newest.
pub(super) fn server() -> Option<PathBuf> {
    let named = env::var("WAYLAND_DISPLAY").ok().filter(|name| !name.is_empty());
    place::socket(&named.or_else(found)?, ptt_dirs::runtime().as_deref())
}

/// A connection to a compositor.
#[derive(Debug)]
pub struct Wayland {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    bell: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    offers: Offers,
}

/// What the thread is asked to do.
enum Job {
    Focus,
    PressBy(Portal),
    Type(String),
    Paste(String, PasteChord, Duration),
    Copy(String),
    Rest,
    End,
}

/// The focused window, to who asked for it.
type Answer = Result<Option<Window>, OutputError>;

impl Wayland {
    /// Connects to the display of that name (or absolute path).
    ///
    /// # Errors
    /// [`OutputError::NoDisplay`] when no compositor listens there; [`OutputError::DesktopLost`].
    pub fn connect(display: &str) -> Result<Self, OutputError> {
        let no_display =
            |reason: String| OutputError::NoDisplay { desktop: NAME, display: display.to_owned(), reason };
        let socket = place::socket(display, ptt_dirs::runtime().as_deref())
            .ok_or_else(|| no_display("XDG_RUNTIME_DIR names no folder".to_owned()))?;
        let stream = UnixStream::connect(socket).map_err(|error| no_display(error.to_string()))?;
        let system = |error: rustix::io::Errno| OutputError::from_io("an event descriptor", error.into());
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(system)?);
        let hands = Hands::new(Client::new(stream, Arc::clone(&bell))?)?;
        let offers = hands.offers();
        let (jobs, inbox) = channel();
        let (outbox, answers) = channel();
        let thread = thread::Builder::new()
            .name("ptt-wayland".to_owned())
            .spawn(move || serve(hands, &inbox, &outbox))
            .map_err(|source| OutputError::NoThread { source })?;
        Ok(Self { jobs, answers, bell, thread: Some(thread), offers })
    }

    /// What the compositor lets us do.
    #[must_use]
    pub const fn offers(&self) -> Offers {
        self.offers
    }

    /// Has the portal press the keys that paste, for a compositor that lets no program type.
    ///
    /// # Errors
    /// [`OutputError::DesktopLost`].
    pub fn press_by(&self, portal: Portal) -> Result<(), OutputError> {
        self.ask(Job::PressBy(portal)).map(|_| ())
    }

    /// Has the thread do a job. Every job ends within its own limits.
    fn ask(&self, job: Job) -> Answer {
        self.send(job);
        self.answers.recv().unwrap_or(Err(OutputError::Stopped))
    }

    fn send(&self, job: Job) {
        // When the thread is gone, so are the answers.
        let _ = self.jobs.send(job);
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl Desktop for Wayland {
    fn name(&self) -> &'static str {
        NAME
    }

    fn focus(&mut self) -> Result<Option<Window>, OutputError> {
        self.ask(Job::Focus)
    }

    fn tells_windows(&self) -> bool {
        self.offers.windows
    }

    /// Windows are told; surfaces of the layer shell, which may have the keyboard too, are not.
    fn listener(&mut self) -> Result<Listener, OutputError> {
        let untold = self.offers.windows && self.focus()?.is_none();
        Ok(if untold { Listener::Untold } else { Listener::Window })
    }

    /// Wayland tells nobody but the focused program which keys are held. What we type does not depend on it: our keyboard
    /// has modifiers of its own.
    fn hands_free(&mut self, _limit: Duration) -> Result<bool, OutputError> {
        Ok(true)
    }

    fn type_text(&mut self, text: &str) -> Result<(), OutputError> {
        self.ask(Job::Type(text.to_owned())).map(|_| ())
    }

    fn paste(&mut self, text: &str, chord: PasteChord, limit: Duration) -> Result<(), OutputError> {
        self.ask(Job::Paste(text.to_owned(), chord, limit)).map(|_| ())
    }

    fn copy(&mut self, text: &str) -> Result<(), OutputError> {
        self.ask(Job::Copy(text.to_owned())).map(|_| ())
    }

    fn rest(&mut self) {
        if let Err(error) = self.ask(Job::Rest) {
            tracing::debug!(%error, "the layout was not released");
        }
    }
}

impl Drop for Wayland {
    fn drop(&mut self) {
        self.send(Job::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves the clipboard and does jobs. After an error of the connection it does no more than tell who asks next.
fn serve(mut hands: Hands, inbox: &Receiver<Job>, outbox: &Sender<Answer>) {
    loop {
        let heard = hands.idle();
        let Ok(job) = inbox.recv() else { return };
        let answer = match (job, heard) {
            (Job::End, _) => {
                // What is not given back now is gone with the connection anyway.
                let _ = hands.give_back();
                return;
            }
            (_, Err(error)) => Err(error),
            (Job::Focus, Ok(())) => hands.focus(),
            (Job::PressBy(portal), Ok(())) => {
                hands.press_by(portal);
                Ok(None)
            }
            (Job::Type(text), Ok(())) => hands.type_text(&text).map(|()| None),
            (Job::Paste(text, chord, limit), Ok(())) => hands.paste(&text, chord, limit).map(|()| None),
            (Job::Copy(text), Ok(())) => hands.copy(&text).map(|()| None),
            (Job::Rest, Ok(())) => {
                hands.rest();
                Ok(None)
            }
        };
        if outbox.send(answer).is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[path = "wayland/tests.rs"]
mod tests;
