//! The clipboard, taken for good or lent for one paste.
//!
//! What lives here: the handle that the delivering thread holds. The thread behind it, which owns the selections and
//! answers for them, is `owner.rs`; reading what another client owns is `save.rs`.

mod content;
mod owner;
mod save;

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::focus::Client;
use super::{NAME, open};
use crate::error::OutputError;
use owner::Owner;
use rustix::event::{EventfdFlags, eventfd};

/// How long the thread may take to save what there is and to own the clipboard.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the thread is asked for.
enum Order {
    /// Own the clipboard until somebody else does, and tell whether we do.
    Give { text: String, owned: Sender<bool> },
    /// Keep what there is, own the clipboard (and the primary selection), tell when `target` takes the
    /// text, however late, and give back what there was.
    Lend { text: String, primary: bool, target: Option<Client>, owned: Sender<bool>, served: Sender<()> },
}

/// The handle. The thread ends with it.
pub(super) struct Clipboard {
    /// `None` only while it is dropped.
    orders: Option<Sender<Order>>,
    wake: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Clipboard {
    /// Opens a connection of its own and starts the thread.
    ///
    /// # Errors
    /// [`OutputError::NoDisplay`], [`OutputError::DesktopLost`], [`OutputError::NoThread`].
    pub fn start(display: &str) -> Result<Self, OutputError> {
        let mut owner = Owner::new(open(display)?)?;
        let no_thread = |source| OutputError::NoThread { source };
        let wake =
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| no_thread(e.into()))?;
        let wake = Arc::new(wake);
        let (orders, inbox) = channel();
        let woken = Arc::clone(&wake);
        let thread = thread::Builder::new()
            .name("ptt-clipboard".to_owned())
            .spawn(move || {
                if let Err(error) = owner.run(&inbox, &woken) {
                    tracing::debug!(error = error.0, "the clipboard's connection broke");
                }
            })
            .map_err(no_thread)?;
        Ok(Self { orders: Some(orders), wake, thread })
    }

    /// Whether the thread runs.
    pub fn lives(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Leaves the text in the clipboard.
    ///
    /// # Errors
    /// [`OutputError::ClipboardBusy`], [`OutputError::DesktopLost`].
    pub fn give(&self, text: &str) -> Result<(), OutputError> {
        let (told, owned) = channel();
        self.order(Order::Give { text: text.to_owned(), owned: told })?;
        is_ours(&owned)
    }

    /// Puts the text into the clipboard for one paste by `target` (or by anybody, where that is not
    /// known): clipboard managers take it too, but have pasted nothing. What is there now comes back when
    /// the text was taken, however late that is.
    ///
    /// # Errors
    /// [`OutputError::ClipboardBusy`], [`OutputError::DesktopLost`].
    pub fn lend(&self, text: &str, primary: bool, target: Option<Client>) -> Result<Lent, OutputError> {
        let (told, owned) = channel();
        let (tell, served) = channel();
        self.order(Order::Lend { text: text.to_owned(), primary, target, owned: told, served: tell })?;
        is_ours(&owned)?;
        Ok(Lent(served))
    }

    fn order(&self, order: Order) -> Result<(), OutputError> {
        let sent = self.orders.as_ref().map(|orders| orders.send(order));
        self.wake();
        sent.and_then(Result::ok).ok_or_else(lost)
    }

    fn wake(&self) {
        // It fails only when it is already set as often as it can be: the thread wakes then.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Clipboard {
    fn drop(&mut self) {
        self.orders = None;
        self.wake();
    }
}

impl fmt::Debug for Clipboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clipboard").finish_non_exhaustive()
    }
}

/// Waits until the thread owns the clipboard.
fn is_ours(owned: &Receiver<bool>) -> Result<(), OutputError> {
    match owned.recv_timeout(PATIENCE) {
        Ok(true) => Ok(()),
        // Somebody else took it at the same moment, or it takes too long.
        Ok(false) | Err(RecvTimeoutError::Timeout) => Err(OutputError::ClipboardBusy { limit: PATIENCE }),
        Err(RecvTimeoutError::Disconnected) => Err(lost()),
    }
}

fn lost() -> OutputError {
    OutputError::DesktopLost { desktop: NAME, reason: "the clipboard's connection broke".to_owned() }
}

/// The clipboard with a text in it that waits for being pasted.
#[derive(Debug)]
pub(super) struct Lent(Receiver<()>);

impl Lent {
    /// Waits until the text is taken. If not, it stays and may still be.
    pub fn taken(self, limit: Duration) -> bool {
        self.0.recv_timeout(limit).is_ok()
    }
}

#[cfg(test)]
mod tests;
