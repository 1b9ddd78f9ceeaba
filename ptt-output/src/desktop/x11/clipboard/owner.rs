//! The clipboard's thread: owns the selections, answers who asks, and gives back what was there before.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::warn;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, EventMask, PropMode, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent,
    SelectionRequestEvent, Timestamp, Window as XWindow,
};
use x11rb::wrapper::ConnectionExt as _;

use super::Order;
use super::content::{Atoms, Content};
use super::save::{Saved, window};
use crate::desktop::content::LINGER;
use crate::desktop::x11::Broken;
use crate::desktop::x11::focus::Client;
use crate::desktop::x11::link::Link;

/// Where nothing is to be waited for but events.
const LONG: Duration = Duration::from_secs(3_600);

pub(super) struct Owner {
    pub(super) conn: Link,
    pub(super) window: XWindow,
    pub(super) atoms: Atoms,
    /// The clipboard and the primary selection.
    pub(super) selections: [Selection; 2],
    /// Who is to take the text that is lent.
    taker: Option<Taker>,
    /// When what was kept is given back.
    pub(super) due: Option<Instant>,
}

/// Who is to take a text.
struct Taker {
    /// `None` where it is not known: then anybody may be.
    target: Option<Client>,
    /// Who wants to know, and may be gone by then.
    served: Sender<()>,
}

pub(super) struct Selection {
    name: Atom,
    /// What we hold it with, while we do.
    pub(super) held: Option<Held>,
}

pub(super) struct Held {
    pub(super) content: Content,
    /// When we took it, in the server's time.
    pub(super) since: Timestamp,
    /// While it is lent: what was there before; `None` where there was nothing.
    pub(super) before: Option<Option<Content>>,
}

impl Owner {
    /// Readies a window for owning on this connection.
    pub fn new(conn: Link) -> Result<Self, Broken> {
        let atoms = Atoms::new(&conn)?.reply()?;
        let window = window(&conn)?;
        let selection = |name| Selection { name, held: None };
        let selections = [selection(atoms.CLIPBOARD), selection(AtomEnum::PRIMARY.into())];
        Ok(Self { conn, window, atoms, selections, taker: None, due: None })
    }

    /// Until the handle is dropped or the connection breaks.
    pub fn run(&mut self, orders: &Receiver<Order>, wake: &OwnedFd) -> Result<(), Broken> {
        loop {
            // Whatever is sent or asked for below may bring events along that no wait would tell of any more: so this comes
            // again after all of it, and nothing stands between this and the wait.
            while let Some(event) = self.conn.poll_for_event()? {
                self.handle(&event)?;
            }
            match orders.try_recv() {
                Ok(order) => {
                    self.obey(order)?;
                    continue;
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {}
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.due = None;
                self.give_back()?;
                continue;
            }
            let left = self.due.map_or(LONG, |due| due.saturating_duration_since(Instant::now()));
            wait(&[self.conn.stream(), wake], left)?;
            let _ = rustix::io::read(wake, &mut [0; 8]);
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), Broken> {
        match order {
            Order::Give { text, owned } => {
                let content = Content::text(&self.atoms, &text, false);
                let since = self.now(Instant::now() + LONG)?;
                (self.taker, self.due) = (None, None);
                // Nothing comes back any more, save to a primary selection that is still lent.
                self.give_back()?;
                let ours = self.own(0, Held { content, since, before: None })?;
                let _ = owned.send(ours);
            }
            Order::Lend { text, primary, target, owned, served } => {
                self.due = None;
                let content = Content::text(&self.atoms, &text, true);
                let mut before = Vec::new();
                for at in 0..if primary { 2 } else { 1 } {
                    before.push(self.keep(at)?);
                }
                let since = self.now(Instant::now() + LONG)?;
                let ours = self.lend(&content, before, since)?;
                self.taker = ours.then_some(Taker { target, served });
                let _ = owned.send(ours);
            }
        }
        Ok(())
    }

    /// What is to be given back to the selection after a paste.
    fn keep(&mut self, at: usize) -> Result<Option<Content>, Broken> {
        let selection = &mut self.selections[at];
        match selection.held.take() {
            Some(Held { before: Some(before), .. }) => Ok(before),
            Some(Held { content, before: None, .. }) => Ok(Some(content)),
            None => {
                let name = selection.name;
                let Saved { content, missing } = self.save(name)?;
                // It is pasted also where all is missing: not to would save nothing, as the text would go to the clipboard
                // instead, and stay there.
                if missing > 0 {
                    warn!(missing, "the clipboard's last owner did not hand over all formats; they are lost");
                }
                Ok(content)
            }
        }
    }

    /// Takes as many selections as there are contents `before`, and says whether all are ours. If not, nobody may be asked to
    /// paste, and what was taken is given back.
    pub(super) fn lend(
        &mut self,
        content: &Content,
        before: Vec<Option<Content>>,
        since: Timestamp,
    ) -> Result<bool, Broken> {
        let mut ours = true;
        for (at, before) in before.into_iter().enumerate() {
            ours &= self.own(at, Held { content: content.clone(), since, before: Some(before) })?;
        }
        if !ours {
            self.give_back()?;
        }
        Ok(ours)
    }

    /// Gives back what is lent. The time makes it harmless where somebody else has taken the selection meanwhile, even
    /// if we have not heard of it yet: the server ignores it.
    fn give_back(&mut self) -> Result<(), Broken> {
        for at in 0..self.selections.len() {
            let selection = &mut self.selections[at];
            match selection.held.take() {
                Some(Held { before: Some(Some(content)), since, .. }) => {
                    self.own(at, Held { content, since, before: None })?;
                }
                Some(Held { before: Some(None), since, .. }) => {
                    self.conn.set_selection_owner(x11rb::NONE, selection.name, since)?;
                }
                other @ (Some(Held { before: None, .. }) | None) => selection.held = other,
            }
        }
        self.conn.flush()?;
        Ok(())
    }

    /// Takes the selection, and says whether it is ours: it is not where somebody else has taken it later than `held` says.
    pub(super) fn own(&mut self, at: usize, held: Held) -> Result<bool, Broken> {
        let selection = &mut self.selections[at];
        self.conn.set_selection_owner(self.window, selection.name, held.since)?;
        let owner = self.conn.get_selection_owner(selection.name)?.reply()?.owner;
        selection.held = (owner == self.window).then_some(held);
        Ok(owner == self.window)
    }

    fn handle(&mut self, event: &Event) -> Result<(), Broken> {
        if let Event::SelectionRequest(request) = event {
            return self.answer(request);
        }
        if let Event::SelectionClear(clear) = event
            && let Some(selection) = self.selections.iter_mut().find(|mine| mine.name == clear.selection)
        {
            // One that is older than our hold is about the time before it.
            selection.held.take_if(|held| !is_before(clear.time, held.since));
        }
        Ok(())
    }

    fn answer(&mut self, request: &SelectionRequestEvent) -> Result<(), Broken> {
        let SelectionRequestEvent { requestor, selection, target, time, .. } = *request;
        // Old clients name no property.
        let property = if request.property == x11rb::NONE { target } else { request.property };
        let held =
            self.selections.iter().find(|mine| mine.name == selection).and_then(|mine| mine.held.as_ref());
        let answered = held
            .is_some_and(|held| self.write(held, requestor, property, target).is_ok_and(|written| written));
        let notify = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time,
            requestor,
            selection,
            target,
            property: if answered { property } else { x11rb::NONE },
        };
        // The requestor may be gone: that is its own affair.
        self.conn.send_event(false, requestor, EventMask::NO_EVENT, notify)?.ignore_error();
        self.conn.flush()?;
        if answered
            && self.atoms.is_text(target)
            && let Some(taker) = self.taker.take_if(|taker| taker.is(requestor))
        {
            self.due = Some(Instant::now() + LINGER);
            let _ = taker.served.send(());
        }
        Ok(())
    }

    /// Puts the answer into the requestor's property; `false` where there is none.
    fn write(&self, held: &Held, requestor: XWindow, property: Atom, target: Atom) -> Result<bool, Broken> {
        let mode = PropMode::REPLACE;
        let written = if target == self.atoms.TARGETS {
            let mut targets = vec![self.atoms.TARGETS, self.atoms.TIMESTAMP];
            targets.extend(held.content.formats.iter().map(|format| format.target));
            self.conn.change_property32(mode, requestor, property, AtomEnum::ATOM, &targets)?
        } else if target == self.atoms.TIMESTAMP {
            self.conn.change_property32(mode, requestor, property, AtomEnum::INTEGER, &[held.since])?
        } else if let Some(format) = held.content.format(target) {
            let units = format.bytes.len() / usize::from(format.bits / 8).max(1);
            let units = u32::try_from(units).unwrap_or(0);
            self.conn.change_property(
                mode,
                requestor,
                property,
                format.kind,
                format.bits,
                units,
                &format.bytes,
            )?
        } else {
            return Ok(false);
        };
        Ok(written.check().is_ok())
    }

    /// The server's time.
    pub(super) fn now(&mut self, end: Instant) -> Result<Timestamp, Broken> {
        let (window, atom) = (self.window, self.atoms.PTT_TIME);
        self.conn.change_property8(PropMode::APPEND, window, atom, AtomEnum::STRING, &[])?;
        self.conn.flush()?;
        let time = self.await_event(end, |event| {
            let Event::PropertyNotify(e) = event else { return None };
            ((e.window, e.atom) == (window, atom)).then_some(e.time)
        })?;
        Ok(time.unwrap_or(x11rb::CURRENT_TIME))
    }

    /// The first event that `pick` makes something of; `None` at the end of the wait. All others are answered as usual.
    pub(super) fn await_event<T>(
        &mut self,
        end: Instant,
        pick: impl Fn(&Event) -> Option<T>,
    ) -> Result<Option<T>, Broken> {
        loop {
            while let Some(event) = self.conn.poll_for_event()? {
                if let Some(picked) = pick(&event) {
                    return Ok(Some(picked));
                }
                self.handle(&event)?;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            wait(&[self.conn.stream()], left)?;
        }
    }
}

impl Taker {
    fn is(&self, requestor: XWindow) -> bool {
        self.target.is_none_or(|target| target.owns(requestor))
    }
}

/// Whether `time` is before `other`. The server counts milliseconds in 32 bits and begins again after 50 days, so half of them
/// are before.
pub(super) const fn is_before(time: Timestamp, other: Timestamp) -> bool {
    time.wrapping_sub(other) >= 1 << 31
}

/// Until one of them is readable or the time is over.
fn wait(on: &[&dyn std::os::fd::AsFd], limit: Duration) -> Result<(), Broken> {
    let mut fds: Vec<PollFd<'_>> =
        on.iter().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
    let limit = Timespec::try_from(limit).map_err(|error| Broken(error.to_string()))?;
    match poll(&mut fds, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Broken(error.to_string())),
    }
}
