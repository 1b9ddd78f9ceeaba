//! Reading a selection that another client owns, in all its formats, within limits.
//!
//! The rule for what is too much: what the owner hands over within [`SAVE_LIMIT`] is kept, if all of it fits into
//! [`KEPT_LIMIT`] and each format into one request, by which it is given back; the rest is not. An owner that does not
//! answer is not waited for again in the same save.

use std::time::{Duration, Instant};

use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, GetPropertyReply, Property,
    Window as XWindow, WindowClass,
};

use super::content::{Content, Format};
use super::owner::Owner;
use crate::desktop::content::KEPT_LIMIT;
use crate::desktop::x11::Broken;
use crate::desktop::x11::link::Link;

/// How long all formats of one selection may take together.
const SAVE_LIMIT: Duration = Duration::from_millis(500);

/// What a request takes to set a property, beside the property's bytes.
const HEADER_BYTES: usize = 28;

/// What became of another client's selection.
pub(super) struct Saved {
    /// What was handed over; `None` where that is nothing.
    pub content: Option<Content>,
    /// How many formats were not. An owner that does not even tell its formats counts as one.
    pub missing: usize,
}

impl Owner {
    /// What the selection holds.
    pub(super) fn save(&mut self, selection: Atom) -> Result<Saved, Broken> {
        let end = Instant::now() + SAVE_LIMIT;
        if self.conn.get_selection_owner(selection)?.reply()?.owner == x11rb::NONE {
            return Ok(Saved { content: None, missing: 0 });
        }
        let (mut formats, mut left) = (Vec::new(), KEPT_LIMIT);
        let most = self.conn.maximum_request_bytes().saturating_sub(HEADER_BYTES);
        let Some(targets) = self.read(selection, self.atoms.TARGETS, most, end)? else {
            return Ok(Saved { content: None, missing: 1 });
        };
        let targets: Vec<Atom> = targets
            .bytes
            .chunks_exact(4)
            .map(|atom| u32::from_ne_bytes([atom[0], atom[1], atom[2], atom[3]]))
            .filter(|target| !self.atoms.is_no_content(*target))
            .collect();
        for target in &targets {
            if Instant::now() >= end {
                break;
            }
            if let Some(format) = self.read(selection, *target, most.min(left), end)? {
                left -= format.bytes.len();
                formats.push(format);
            }
        }
        let missing = targets.len() - formats.len();
        Ok(Saved { content: (!formats.is_empty()).then_some(Content { formats }), missing })
    }

    /// Asks with a window of its own: the owner may go on with what was given up, and that must not be taken for an
    /// answer to the next question.
    fn read(
        &mut self,
        selection: Atom,
        target: Atom,
        most: usize,
        end: Instant,
    ) -> Result<Option<Format>, Broken> {
        let window = window(&self.conn)?;
        let format = self.read_into(window, selection, target, most, end);
        self.conn.destroy_window(window)?;
        format
    }

    fn read_into(
        &mut self,
        window: XWindow,
        selection: Atom,
        target: Atom,
        most: usize,
        end: Instant,
    ) -> Result<Option<Format>, Broken> {
        let property = self.atoms.PTT_SELECTION;
        let now = self.now(end)?;
        self.conn.convert_selection(window, selection, target, property, now)?;
        self.conn.flush()?;
        let answer = self.await_event(end, |event| {
            let Event::SelectionNotify(e) = event else { return None };
            ((e.requestor, e.selection, e.target) == (window, selection, target)).then_some(e.property)
        })?;
        if answer.is_none_or(|property| property == x11rb::NONE) {
            return Ok(None);
        }
        let Some(got) = self.property(window, most)? else { return Ok(None) };
        if got.type_ != self.atoms.INCR {
            return Ok(Some(Format { target, kind: got.type_, bits: got.format, bytes: got.value }));
        }
        // In pieces: each is there when the property is new, the next comes when it is deleted (`property` did), the
        // last one is empty.
        let mut whole: Option<Format> = None;
        loop {
            let piece = self.await_event(end, |event| {
                let Event::PropertyNotify(e) = event else { return None };
                ((e.window, e.atom, e.state) == (window, property, Property::NEW_VALUE)).then_some(())
            })?;
            if piece.is_none() {
                return Ok(None);
            }
            let had = whole.as_ref().map_or(0, |whole| whole.bytes.len());
            let Some(piece) = self.property(window, most - had)? else { return Ok(None) };
            let (kind, bits) = (piece.type_, piece.format);
            let so_far = whole.get_or_insert_with(|| Format { target, kind, bits, bytes: Vec::new() });
            if piece.value.is_empty() {
                return Ok(whole);
            }
            // Bytes of mixed units are of no unit.
            if (kind, bits) != (so_far.kind, so_far.bits) {
                return Ok(None);
            }
            so_far.bytes.extend(piece.value);
        }
    }

    /// Takes the property that answers come in; `None` when it is larger than `most`, or not there.
    fn property(&self, window: XWindow, most: usize) -> Result<Option<GetPropertyReply>, Broken> {
        let units = u32::try_from(most / 4).unwrap_or(u32::MAX);
        let property = self.atoms.PTT_SELECTION;
        let got = self.conn.get_property(true, window, property, AtomEnum::ANY, 0, units)?.reply()?;
        Ok((got.bytes_after == 0 && got.type_ != x11rb::NONE).then_some(got))
    }
}

/// A window that is never seen, whose owner is told of its properties.
pub(super) fn window(conn: &Link) -> Result<XWindow, Broken> {
    let window = conn.generate_id()?;
    let root = conn.setup().roots[0].root;
    let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    let kind = WindowClass::INPUT_OUTPUT;
    conn.create_window(COPY_DEPTH_FROM_PARENT, window, root, 0, 0, 1, 1, 0, kind, 0, &aux)?;
    Ok(window)
}
