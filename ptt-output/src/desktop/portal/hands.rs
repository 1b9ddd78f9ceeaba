//! What a session does: pressing the chord, pasting, and looking after what is ours in the clipboard.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::debug;
use zbus::zvariant::Value;

use super::bus::{CLIPBOARD, Options, REMOTE_DESKTOP, Told};
use super::clipboard::Clipboard;
use super::error::PortalError;
use super::keys::{Key, Stroke, strokes};
use super::session::Session;
use super::transfer;
use crate::desktop::PasteChord;
use crate::desktop::content::{Content, MANAGERS};
use crate::error::OutputError;

/// A session at work.
pub(super) struct Hands {
    session: Session,
    clipboard: Clipboard,
    /// What is being handed over, and by which number it counts as taken.
    sending: JoinSet<Option<u64>>,
}

/// The session is of no use any more.
#[derive(Debug)]
pub(super) struct Broken {
    pub error: PortalError,
    /// Whether the keys may have been pressed.
    pressed: bool,
}

impl Hands {
    pub fn new(session: Session) -> Self {
        Self { session, clipboard: Clipboard::default(), sending: JoinSet::new() }
    }

    /// Serves the clipboard until it is told something or `until` comes. Can be dropped and called again.
    pub async fn serve(&mut self, until: Option<Instant>) -> Result<(), PortalError> {
        let due = until.into_iter().chain(self.clipboard.due()).min();
        tokio::select! {
            told = self.session.bus.told() => self.hear(told?)?,
            Some(sent) = self.sending.join_next() => {
                if let Ok(Some(serial)) = sent {
                    self.clipboard.sent(serial, Instant::now());
                }
            }
            () = sleep_until(due) => {}
        }
        Ok(())
    }

    /// Gives back what was in the clipboard, if that is due.
    pub async fn look_after(&mut self) -> Result<(), PortalError> {
        if self.clipboard.due().is_some_and(|due| due <= Instant::now()) {
            self.give_back().await?;
        }
        Ok(())
    }

    /// Gives back what was in the clipboard, where a text that was lent still is.
    pub async fn give_back(&mut self) -> Result<(), PortalError> {
        let Some(before) = self.clipboard.settle() else { return Ok(()) };
        self.hold(before, None).await
    }

    /// As [`Desktop::copy`](crate::desktop::Desktop::copy).
    pub async fn copy(&mut self, text: &str) -> Result<(), Broken> {
        Ok(self.hold(Content::text(text, false), None).await?)
    }

    /// As [`Desktop::paste`](crate::desktop::Desktop::paste).
    pub async fn paste(
        &mut self,
        text: &str,
        chord: PasteChord,
        limit: Duration,
    ) -> Result<Result<(), OutputError>, Broken> {
        let before = match self.clipboard.kept() {
            Some(kept) => kept,
            None => {
                let Session { bus, path } = &self.session;
                transfer::read(&bus.calls, path, self.clipboard.theirs.as_deref()).await
            }
        };
        self.hold(Content::text(text, true), Some(before)).await?;
        self.until(MANAGERS, |_| false).await?;
        if !self.clipboard.pressed() {
            return Ok(Err(OutputError::ClipboardBusy { limit }));
        }
        self.press(chord).await?;
        let is_over = |clipboard: &Clipboard| clipboard.due().is_some() || clipboard.taken().is_none();
        self.until(limit, is_over).await.map_err(Broken::late)?;
        Ok(match (self.clipboard.due(), self.clipboard.taken()) {
            (Some(_), _) => Ok(()),
            (None, Some(_)) => Err(OutputError::NotTaken { limit }),
            (None, None) => Err(OutputError::ClipboardBusy { limit }),
        })
    }

    /// Presses the chord, one key after the other: the portal answers calls by several threads, and only an answer says
    /// that its key is on the way.
    pub async fn press(&mut self, chord: PasteChord) -> Result<(), Broken> {
        let Session { bus, path } = &self.session;
        let send = async |stroke: Stroke| {
            let (method, key) = match stroke.key {
                Key::Code(code) => ("NotifyKeyboardKeycode", code),
                Key::Sym(keysym) => ("NotifyKeyboardKeysym", keysym),
            };
            let body = (path, Options::new(), key, u32::from(stroke.down));
            bus.calls.call(REMOTE_DESKTOP, method, &body).await
        };
        press_by(send, &strokes(chord)).await
    }

    /// Serves the clipboard until `done` says so, or for so long.
    async fn until(&mut self, limit: Duration, done: impl Fn(&Clipboard) -> bool) -> Result<(), PortalError> {
        let end = Instant::now() + limit;
        while !done(&self.clipboard) && Instant::now() < end {
            self.serve(Some(end)).await?;
        }
        Ok(())
    }

    /// Puts `content` into the clipboard; nothing empties it.
    async fn hold(&mut self, content: Content, before: Option<Content>) -> Result<(), PortalError> {
        let formats: Vec<&str> = content.formats().collect();
        let mut options = Options::new();
        if !formats.is_empty() {
            options.insert("mime_types", Value::from(formats));
        }
        let Session { bus, path } = &self.session;
        bus.calls.call::<(), _>(CLIPBOARD, "SetSelection", &(path, options)).await?;
        self.clipboard.hold(content, before);
        Ok(())
    }

    fn hear(&mut self, told: Told) -> Result<(), PortalError> {
        match told {
            Told::OwnerChanged { formats, ours } => self.clipboard.changed(formats, ours),
            Told::Transfer { format, serial } => {
                let (bytes, counts) = self.clipboard.asked(&format).unzip();
                debug!(format, "somebody asks for what is in the clipboard");
                let (calls, session) = (self.session.bus.calls.clone(), self.session.path.clone());
                self.sending.spawn(async move {
                    let whole = transfer::send(calls, session, serial, bytes).await;
                    counts.flatten().filter(|_| whole)
                });
            }
            Told::Closed => return Err(PortalError::TakenBack),
            Told::Response { .. } | Told::Other => {}
        }
        Ok(())
    }
}

impl Broken {
    /// One that came after the keys.
    fn late(error: PortalError) -> Self {
        Self { error, pressed: true }
    }

    /// What the delivery is told.
    pub fn told(&self) -> OutputError {
        if self.pressed { OutputError::PortalLost(self.error.clone()) } else { self.error.clone().into() }
    }
}

impl From<PortalError> for Broken {
    fn from(error: PortalError) -> Self {
        Self { error, pressed: false }
    }
}

/// Has `send` press keys, each first down and then, the other way round, up. After one that may not be down no other goes down:
/// without it they mean something else. What may be down comes up all the same.
async fn press_by(
    mut send: impl AsyncFnMut(Stroke) -> Result<(), PortalError>,
    strokes: &[Stroke],
) -> Result<(), Broken> {
    let (downs, ups) = strokes.split_at(strokes.len() / 2);
    let (mut sent, mut failed) = (0, None);
    while let (Some(&down), None) = (downs.get(sent), &failed) {
        failed = send(down).await.err();
        sent += 1;
    }
    for &up in &ups[downs.len() - sent..] {
        let error = send(up).await.err();
        failed = failed.or(error);
    }
    // Of the keys that go down the last one pastes.
    failed.map_or(Ok(()), |error| Err(Broken { error, pressed: sent == downs.len() }))
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn after_a_key_that_fails_no_other_goes_down_and_what_may_be_down_comes_up() {
        let chord = strokes("Ctrl+Shift+V".parse().unwrap());
        for (failing, expected, pressed) in [
            (None, &[0, 1, 2, 3, 4, 5][..], None),
            (Some(0), &[0, 5], Some(false)),
            (Some(1), &[0, 1, 4, 5], Some(false)),
            (Some(2), &[0, 1, 2, 3, 4, 5], Some(true)),
            (Some(4), &[0, 1, 2, 3, 4, 5], Some(true)),
        ] {
            let mut sent = Vec::new();
            let send = async |stroke| {
                let at = chord.iter().position(|&known| known == stroke).unwrap();
                sent.push(at);
                if failing == Some(at) { Err(PortalError::TakenBack) } else { Ok(()) }
            };
            let outcome = press_by(send, &chord).now_or_never().unwrap();
            assert_eq!((sent.as_slice(), outcome.err().map(|broken| broken.pressed)), (expected, pressed));
        }
    }
}
