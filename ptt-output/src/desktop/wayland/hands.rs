//! What the thread does: typing, pasting, and looking after what is ours in the clipboard.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use tracing::warn;

use super::client::Client;
use super::clipboard::{Clipboard, Held, Selection};
use super::control::{Device, Manager};
use super::keyboard::Keyboard;
use super::reading::Reading;
use super::toplevel::Toplevels;
use super::transfer::Transfers;
use crate::desktop::backlog::{LOOK, STILL_LIMIT};
use crate::desktop::content::{Content, FORMATS_LIMIT, LINGER, MANAGERS, READING_LIMIT};
use crate::desktop::portal::Portal;
use crate::desktop::{PasteChord, Window};
use crate::error::OutputError;

/// The keyboard, the clipboard and the focus, by one connection.
pub(super) struct Hands {
    pub client: Client,
    keyboard: Option<Keyboard>,
    /// Who presses the chord where the compositor has no keyboards for us.
    portal: Option<Portal>,
    /// Made by the first text that needs it, as is the next: who only types is told nothing of clipboard and windows.
    board: Option<Board>,
    /// Whether we are told of windows.
    watches: bool,
    owed: Option<Owed>,
}

/// What the compositor lets programs without a window do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Whether they may type.
    pub keyboard: bool,
    /// Whether they may use the clipboard.
    pub clipboard: bool,
    /// Whether they are told which window has the focus.
    pub windows: bool,
}

/// What the clipboard is reached by.
pub(super) struct Board {
    manager: Manager,
    device: Device,
}

/// Old contents that are to be given back.
pub(super) struct Owed {
    /// Those of the text that is to be pasted, then what is left of earlier ones.
    debts: Vec<Debt>,
    /// How many are of the text that is to be pasted.
    lent: usize,
    /// How often the texts were taken before anybody was asked to paste.
    before: u32,
    /// When to give back; `None` while nobody has taken a text.
    due: Option<Instant>,
}

struct Debt {
    selection: Selection,
    kept: Kept,
    /// The text that stands in its place.
    serial: u64,
}

/// What was in a selection.
enum Kept {
    Nothing,
    /// Ours, from before.
    Ours(Content),
    /// Somebody else's, collected under this number.
    Reading(u64),
}

impl Hands {
    /// Plugs the keyboard in, if the compositor has such.
    pub fn new(mut client: Client) -> Result<Self, OutputError> {
        let keyboard = Keyboard::new(&mut client)?;
        Ok(Self { client, keyboard, portal: None, board: None, watches: false, owed: None })
    }

    /// What the compositor lets us do.
    pub fn offers(&self) -> Offers {
        Offers {
            keyboard: self.keyboard.is_some(),
            clipboard: self.client.seat().is_some() && Manager::is_offered(&self.client),
            windows: Toplevels::are_told(&self.client),
        }
    }

    /// Has the portal press the chord.
    pub fn press_by(&mut self, portal: Portal) {
        self.portal = Some(portal);
    }

    /// Serves the clipboard until the bell rings.
    pub fn idle(&mut self) -> Result<(), OutputError> {
        loop {
            let due = self.owed.as_ref().and_then(|owed| owed.due);
            let untaken = self.owed.as_ref().filter(|owed| owed.due.is_none());
            self.client.wait(due, |world| {
                world.rung || untaken.is_some_and(|owed| owed.taken(&world.clipboard) != Some(owed.before))
            })?;
            if std::mem::take(&mut self.client.world.rung) {
                return Ok(());
            }
            match &mut self.owed {
                // Taken at last, or out of the clipboard.
                Some(owed) if owed.due.is_none() => owed.due = Some(Instant::now() + LINGER),
                Some(_) | None => self.give_back()?,
            }
        }
    }

    /// The focused window, where the compositor tells.
    pub fn focus(&mut self) -> Result<Option<Window>, OutputError> {
        if !self.watches {
            self.watches = true;
            Toplevels::watch(&mut self.client)?;
        }
        self.client.sync()?;
        Ok(self.client.world.toplevels.focused())
    }

    /// As [`Desktop::type_text`](crate::desktop::Desktop::type_text).
    pub fn type_text(&mut self, text: &str) -> Result<(), OutputError> {
        let keyboard = self.keyboard.as_mut().ok_or_else(Keyboard::not_offered)?;
        // A compositor that stands still would act late on what counts as failed by then.
        self.client.sync()?;
        keyboard.type_text(&mut self.client, text)
    }

    /// As [`Desktop::rest`](crate::desktop::Desktop::rest).
    pub fn rest(&mut self) {
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.rest();
        }
    }

    /// As [`Desktop::paste`](crate::desktop::Desktop::paste).
    pub fn paste(&mut self, text: &str, chord: PasteChord, limit: Duration) -> Result<(), OutputError> {
        match (&mut self.keyboard, &self.portal) {
            (Some(keyboard), _) => keyboard.be_noticed(&mut self.client)?,
            // Before the clipboard is touched: without a way to press the chord it stays as it is.
            (None, Some(portal)) => portal.ready()?,
            (None, None) => return Err(Keyboard::not_offered()),
        }
        let owed = self.lend(text, chord)?;
        self.have_pasted(owed, chord, limit)
    }

    /// Puts the text where the chord pastes from, and keeps what is there.
    pub fn lend(&mut self, text: &str, chord: PasteChord) -> Result<Owed, OutputError> {
        let with_primary = self.board()?.manager.has_primary() && chord.may_paste_primary();
        let selections = Selection::ALL.into_iter().filter(|&s| s == Selection::Clipboard || with_primary);
        // It says what is in the clipboard now.
        self.client.sync()?;
        let mut old = self.owed.take().map(|owed| owed.debts).unwrap_or_default();
        let mut kept = Vec::new();
        for selection in selections {
            kept.push((selection, self.keep(selection, &mut old)?));
        }
        // What comes later, while the text is being taken, is kept too.
        let until = Instant::now() + READING_LIMIT;
        self.client.wait(Some(until), |world| {
            kept.iter().all(|(_, kept)| match kept {
                Kept::Reading(number) => world.transfers.read_all(*number),
                Kept::Nothing | Kept::Ours(_) => true,
            })
        })?;

        let content = Content::text(text, true);
        let mut debts = Vec::new();
        for (selection, kept) in kept {
            let serial = self.hold(selection, content.clone())?;
            debts.push(Debt { selection, kept, serial });
        }
        let lent = debts.len();
        debts.extend(old);
        Ok(Owed { debts, lent, before: 0, due: None })
    }

    /// Presses the chord, if what it pastes is the text, and waits until somebody takes it.
    pub fn have_pasted(&mut self, owed: Owed, chord: PasteChord, limit: Duration) -> Result<(), OutputError> {
        let owed = self.owed.insert(owed);
        // Some take a text in several formats, one after the other, so the first is no sign that all have.
        self.client.wait(Some(Instant::now() + MANAGERS), |_| false)?;
        // It says who else has taken the clipboard meanwhile.
        self.client.sync()?;
        let clipboard = &self.client.world.clipboard;
        if !owed.debts.iter().take(owed.lent).all(|debt| debt.stands_in(clipboard).is_some()) {
            return Err(OutputError::ClipboardBusy { limit });
        }
        owed.before = owed.taken(clipboard).unwrap_or(0);
        let mut reading = match &self.keyboard {
            Some(keyboard) => keyboard.take_seat(&mut self.client)?,
            None => Reading::begin(&mut self.client),
        };
        let pressed = match (&mut self.keyboard, &self.portal) {
            (Some(keyboard), _) => keyboard.press_chord(&mut self.client, chord),
            (None, Some(portal)) => portal.press(chord),
            (None, None) => Err(Keyboard::not_offered()),
        };
        if let Err(error) = pressed {
            owed.due = Some(Instant::now() + LINGER);
            return Err(error);
        }
        let begun = Instant::now();
        let (mut until, end) = (begun + limit, begun + limit.max(STILL_LIMIT));
        loop {
            self.client.wait(Some(until), |world| owed.taken(&world.clipboard) != Some(owed.before))?;
            let Some(taken) = owed.taken(&self.client.world.clipboard) else {
                return Err(OutputError::ClipboardBusy { limit });
            };
            // What is taken before the window has read the chord is taken by somebody else.
            let is_read = reading.look(&mut self.client)?.bytes == 0;
            if taken > owed.before && is_read {
                owed.due = Some(Instant::now() + LINGER);
                return Ok(());
            }
            let now = Instant::now();
            if end <= now || until <= now && is_read {
                owed.before = taken;
                return Err(OutputError::NotTaken { limit });
            }
            // The limit is one for a window that reads.
            if until <= now {
                until = end.min(now + limit);
            }
            if taken > owed.before {
                self.client.wait(Some(now + LOOK), |_| false)?;
            }
        }
    }

    /// As [`Desktop::copy`](crate::desktop::Desktop::copy).
    pub fn copy(&mut self, text: &str) -> Result<(), OutputError> {
        self.board()?;
        // What was in the clipboard is not owed any more; what was marked still is.
        let debts = self.owed.iter_mut().flat_map(|owed| &mut owed.debts);
        for debt in debts.filter(|debt| debt.selection == Selection::Clipboard) {
            debt.settle(&mut self.client.world.transfers);
        }
        self.hold(Selection::Clipboard, Content::text(text, false))?;
        self.client.sync()
    }

    /// Gives the old content back where the text that replaced it still is.
    pub fn give_back(&mut self) -> Result<(), OutputError> {
        let Some(owed) = self.owed.take() else { return Ok(()) };
        self.client.sync()?;
        for mut debt in owed.debts {
            let content = debt.settle(&mut self.client.world.transfers);
            if debt.stands_in(&self.client.world.clipboard).is_none() {
                continue;
            }
            if content.0.is_empty() {
                self.board()?.device.set(debt.selection, None);
                self.client.world.clipboard.hold(debt.selection, None);
            } else {
                self.hold(debt.selection, content)?;
            }
        }
        self.client.sync()
    }

    /// Makes sure of what is in the selection now. Of a text that is only passing, it is what was there before.
    fn keep(&mut self, selection: Selection, old: &mut Vec<Debt>) -> Result<Kept, OutputError> {
        let world = &mut self.client.world;
        let debt = old.iter().position(|debt| debt.selection == selection).map(|at| old.swap_remove(at));
        if let Some(held) = world.clipboard.held(selection) {
            return Ok(match debt {
                Some(debt) if debt.serial == held.serial => debt.kept,
                Some(_) | None => Kept::Ours(held.content.clone()),
            });
        }
        if let Some(mut debt) = debt {
            debt.settle(&mut world.transfers);
        }
        let formats = match world.clipboard.offer(selection) {
            Some(offer) => offer.formats(),
            None => return Ok(Kept::Nothing),
        };
        let number = world.clipboard.number();
        for mime in formats.into_iter().take(FORMATS_LIMIT) {
            let (reader, writer) =
                io::pipe().map_err(|error| OutputError::from_io("the clipboard's content", error))?;
            if let Some(offer) = world.clipboard.offer(selection) {
                offer.receive(mime.clone(), writer.as_fd());
                world.transfers.receive(number, mime, reader.into());
            }
        }
        Ok(Kept::Reading(number))
    }

    /// Puts `content` in the selection and returns its number.
    pub fn hold(&mut self, selection: Selection, content: Content) -> Result<u64, OutputError> {
        let queue = self.client.queue();
        let serial = self.client.world.clipboard.number();
        let Board { manager, device } = self.board()?;
        let source = manager.source(serial, content.0.iter().map(|(mime, _)| mime.as_str()), &queue);
        device.set(selection, Some(&source));
        self.client.world.clipboard.hold(selection, Some(Held { serial, content, taken: 0, source }));
        Ok(serial)
    }

    /// The clipboard, if the compositor has it for us.
    pub fn board(&mut self) -> Result<&Board, OutputError> {
        if self.board.is_none() {
            let manager = Manager::bind(&self.client);
            let (Some(manager), Some(seat)) = (manager, self.client.seat()) else {
                return Err(Manager::not_offered());
            };
            let device = manager.device(seat, &self.client.queue());
            self.board = Some(Board { manager, device });
        }
        Ok(self.board.as_ref().expect("was made above"))
    }
}

impl Owed {
    /// How often the texts were taken; `None` when none is in its place any more.
    fn taken(&self, clipboard: &Clipboard) -> Option<u32> {
        let in_place = self.debts.iter().filter_map(|debt| debt.stands_in(clipboard));
        in_place.map(|held| held.taken).reduce(|a, b| a + b)
    }
}

impl Debt {
    /// Its text, where that is in place.
    fn stands_in<'c>(&self, clipboard: &'c Clipboard) -> Option<&'c Held> {
        clipboard.held(self.selection).filter(|held| held.serial == self.serial)
    }

    /// What there is to give back. Nothing more is read of it.
    fn settle(&mut self, transfers: &mut Transfers) -> Content {
        match std::mem::replace(&mut self.kept, Kept::Nothing) {
            Kept::Nothing => Content::default(),
            Kept::Ours(content) => content,
            Kept::Reading(number) => {
                let (formats, missing) = transfers.take(number);
                if missing > 0 {
                    warn!(missing, "the clipboard's last owner did not hand over all formats; they are lost");
                }
                Content(formats)
            }
        }
    }
}
