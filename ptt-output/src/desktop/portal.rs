//! The desktop's portal, `org.freedesktop.portal.RemoteDesktop`: hands on a Wayland desktop that lets no program type by
//! itself (GNOME, KDE), once the user has said so in a dialog.
//!
//! * It pastes and never types. The portal has keys by keysym, but mutter drops, without a word, every keysym that the
//!   current layout lacks or has on its fourth level, KWin's portal those the layout lacks, and neither tells a program
//!   which layout that is: no text could be known to arrive whole. A paste is right in every script and layout.
//! * Keys of a chord that are the same in every layout go by their code, letters by keysym: in a layout without that letter
//!   nothing is pressed, which is better than another shortcut.
//! * The clipboard is the portal's too, where the compositor has no data control (GNOME). It knows no primary selection,
//!   which terminals paste by Shift+Insert: what the mouse has marked, another text. So the chord is Ctrl+V unless the user
//!   names one.
//! * The user is asked once, when the program starts; the answer is kept by a token ([`token`]). Until then, and after a
//!   no, every call fails at once.
//!
//! What lives here: the way to the thread that owns the connection. What it does is in [`serve`].

mod bus;
mod clipboard;
mod error;
mod hands;
mod keys;
mod serve;
mod session;
mod token;
mod transfer;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

pub use self::error::PortalError;
use super::{Desktop, PasteChord, Window};
use crate::error::OutputError;

/// For messages.
const NAME: &str = "portal";

/// What the user is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// To press keys.
    Keys,
    /// That, and the clipboard.
    KeysAndClipboard,
}

/// A session of the portal, or the waiting for one. Clones are the same one; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Portal(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    /// `None` only while it is dropped.
    jobs: Option<UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is asked to do, and where it says how that went.
struct Job {
    work: Work,
    reply: oneshot::Sender<Result<(), OutputError>>,
}

enum Work {
    /// Nothing: whether it could.
    Ready,
    Press(PasteChord),
    Paste(String, PasteChord, Duration),
    Copy(String),
}

impl Portal {
    /// Asks for a session, which may open a dialog. Does not wait for the answer.
    ///
    /// # Errors
    /// [`OutputError::NoThread`].
    pub fn ask(wants: Wants) -> Result<Self, OutputError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|source| OutputError::NoThread { source })?;
        let (jobs, inbox) = unbounded_channel();
        let thread = thread::Builder::new()
            .name("ptt-portal".to_owned())
            .spawn(move || runtime.block_on(serve::serve(wants, inbox)))
            .map_err(|source| OutputError::NoThread { source })?;
        Ok(Self(Arc::new(Handle { jobs: Some(jobs), thread: Some(thread) })))
    }

    /// One whose keys are pressed by `press`; nothing is to be pressed where it is asked whether it could.
    #[cfg(test)]
    pub fn played(
        mut press: impl FnMut(Option<PasteChord>) -> Result<(), OutputError> + Send + 'static,
    ) -> Self {
        let (jobs, mut inbox) = unbounded_channel::<Job>();
        let thread = thread::spawn(move || {
            while let Some(Job { work, reply }) = inbox.blocking_recv() {
                let _ = reply.send(match work {
                    Work::Ready => press(None),
                    Work::Press(chord) => press(Some(chord)),
                    Work::Paste(..) | Work::Copy(_) => Err(OutputError::Stopped),
                });
            }
        });
        Self(Arc::new(Handle { jobs: Some(jobs), thread: Some(thread) }))
    }

    /// Whether keys can be pressed now.
    ///
    /// # Errors
    /// [`OutputError::Portal`]: why not.
    pub fn ready(&self) -> Result<(), OutputError> {
        self.have(Work::Ready)
    }

    /// Presses the keys that paste.
    ///
    /// # Errors
    /// [`OutputError::Portal`] before any key; [`OutputError::PortalLost`] when they may have been pressed.
    pub fn press(&self, chord: PasteChord) -> Result<(), OutputError> {
        self.have(Work::Press(chord))
    }

    /// Has the thread work. All work ends within its own limits.
    fn have(&self, work: Work) -> Result<(), OutputError> {
        let (reply, answer) = oneshot::channel();
        // When the thread is gone, so is its end of the answer.
        if let Some(jobs) = &self.0.jobs {
            let _ = jobs.send(Job { work, reply });
        }
        answer.blocking_recv().unwrap_or(Err(OutputError::Stopped))
    }
}

impl Desktop for Portal {
    fn name(&self) -> &'static str {
        NAME
    }

    /// No portal tells.
    fn focus(&mut self) -> Result<Option<Window>, OutputError> {
        Ok(None)
    }

    fn tells_windows(&self) -> bool {
        false
    }

    /// No portal tells.
    fn hands_free(&mut self, _limit: Duration) -> Result<bool, OutputError> {
        Ok(true)
    }

    fn paste_chord(&self) -> PasteChord {
        PasteChord::CTRL_V
    }

    fn type_text(&mut self, _text: &str) -> Result<(), OutputError> {
        Err(OutputError::NotOffered {
            desktop: NAME,
            what: "keys for every character, so it only pastes; use `output.sink = \"auto\"` or \"paste\"",
        })
    }

    fn paste(&mut self, text: &str, chord: PasteChord, limit: Duration) -> Result<(), OutputError> {
        self.have(Work::Paste(text.to_owned(), chord, limit))
    }

    fn copy(&mut self, text: &str) -> Result<(), OutputError> {
        self.have(Work::Copy(text.to_owned()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
