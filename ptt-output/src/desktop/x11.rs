//! X11: text by XTEST, the clipboard by selections. One connection for keys and focus, one for the clipboard.

mod clipboard;
mod focus;
mod keymap;
mod link;
mod typing;

use std::time::Duration;

use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};

use super::{Desktop, Listener, PasteChord, Window};
use crate::error::OutputError;
use clipboard::Clipboard;
use focus::Focus;
use link::Link;
use typing::Typist;

const NAME: &str = "x11";

/// A connection to an X server.
#[derive(Debug)]
pub struct X11 {
    display: String,
    conn: Link,
    focus: Focus,
    typist: Option<Typist>,
    clipboard: Option<Clipboard>,
}

impl X11 {
    /// Connects to the display, such as ":0".
    ///
    /// # Errors
    /// [`OutputError::NoDisplay`] with the reason.
    pub fn connect(display: &str) -> Result<Self, OutputError> {
        let conn = open(display)?;
        let focus = Focus::start(&conn)?;
        Ok(Self { display: display.to_owned(), conn, focus, typist: None, clipboard: None })
    }

    /// Typing, made when first needed: an X server without XTEST still has a clipboard.
    fn typist<'a>(slot: &'a mut Option<Typist>, conn: &Link) -> Result<&'a mut Typist, OutputError> {
        let typist = match slot.take() {
            Some(typist) => typist,
            None => Typist::start(conn)?,
        };
        Ok(slot.insert(typist))
    }

    /// The clipboard's thread; another one where it ended with its connection.
    fn clipboard<'a>(slot: &'a mut Option<Clipboard>, display: &str) -> Result<&'a Clipboard, OutputError> {
        let clipboard = match slot.take().filter(Clipboard::lives) {
            Some(clipboard) => clipboard,
            None => Clipboard::start(display)?,
        };
        Ok(slot.insert(clipboard))
    }
}

impl Desktop for X11 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn focus(&mut self) -> Result<Option<Window>, OutputError> {
        Ok(self.focus.window(&self.conn)?)
    }

    fn listener(&mut self) -> Result<Listener, OutputError> {
        Ok(self.focus.listener(&self.conn)?)
    }

    fn hands_free(&mut self, limit: Duration) -> Result<bool, OutputError> {
        Ok(self.focus.hands_free(&self.conn, limit)?)
    }

    fn type_text(&mut self, text: &str) -> Result<(), OutputError> {
        let keys = Self::typist(&mut self.typist, &self.conn)?.keys(&self.conn, text)?;
        // The server keeps what a program does not read: no window is disconnected by a long text.
        Ok(keys.press(&self.conn)?)
    }

    fn paste(&mut self, text: &str, chord: PasteChord, limit: Duration) -> Result<(), OutputError> {
        // Before the clipboard is touched: without a way to press the chord it stays as it is.
        let keys = Self::typist(&mut self.typist, &self.conn)?.chord(&self.conn, chord)?;
        let target = self.focus.client(&self.conn)?;
        let clipboard = Self::clipboard(&mut self.clipboard, &self.display)?;
        let lent = clipboard.lend(text, chord.may_paste_primary(), target)?;
        keys.press(&self.conn)?;
        if lent.taken(limit) { Ok(()) } else { Err(OutputError::NotTaken { limit }) }
    }

    fn copy(&mut self, text: &str) -> Result<(), OutputError> {
        Self::clipboard(&mut self.clipboard, &self.display)?.give(text)
    }

    fn rest(&mut self) {
        if let Some(typist) = &mut self.typist
            && let Err(error) = typist.rest(&self.conn)
        {
            tracing::debug!(%error, "the keymap was not put back");
        }
    }
}

fn open(display: &str) -> Result<Link, OutputError> {
    let no_display = |error: ConnectError| OutputError::NoDisplay {
        desktop: NAME,
        display: display.to_owned(),
        reason: error.to_string(),
    };
    link::connect(display).map_err(no_display)
}

/// A request that could not be made or was refused: the connection is of no use any more.
#[derive(Debug)]
struct Broken(String);

impl From<ConnectionError> for Broken {
    fn from(error: ConnectionError) -> Self {
        Self(error.to_string())
    }
}

impl From<ReplyError> for Broken {
    fn from(error: ReplyError) -> Self {
        Self(error.to_string())
    }
}

impl From<ReplyOrIdError> for Broken {
    fn from(error: ReplyOrIdError) -> Self {
        Self(error.to_string())
    }
}

impl From<Broken> for OutputError {
    fn from(Broken(reason): Broken) -> Self {
        Self::DesktopLost { desktop: NAME, reason }
    }
}

fn lacks(what: &'static str) -> OutputError {
    OutputError::NotOffered { desktop: NAME, what }
}
