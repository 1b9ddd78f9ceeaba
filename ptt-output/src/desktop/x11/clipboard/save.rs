//! Reading a selection that another client owns, in all its formats, within limits.
//!
//! The rule for what is too much: what the owner hands over within [`SAVE_LIMIT`] and fits into [`MOST_BYTES`] is kept,
//! the rest is not. An owner that does not answer is not waited for again in the same save.

use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{Atom, AtomEnum, ConnectionExt as _, GetPropertyReply, Property};

use super::content::{Content, Format};
use super::owner::Owner;
use crate::desktop::x11::Broken;

/// How long all formats of one selection may take together.
pub(super) const SAVE_LIMIT: Duration = Duration::from_millis(500);

/// How many bytes are kept of one selection.
const MOST_BYTES: usize = 8 << 20;

impl Owner {
    /// What the selection holds; `None` where nobody owns it or its owner hands nothing over.
    pub(super) fn save(&mut self, selection: Atom) -> Result<Option<Content>, Broken> {
        let end = Instant::now() + SAVE_LIMIT;
        let Some(targets) = self.read(selection, self.atoms.TARGETS, MOST_BYTES, end)? else {
            return Ok(None);
        };
        let targets: Vec<Atom> = targets
            .bytes
            .chunks_exact(4)
            .map(|atom| u32::from_ne_bytes([atom[0], atom[1], atom[2], atom[3]]))
            .filter(|target| !self.atoms.is_no_content(*target))
            .collect();
        let (mut formats, mut left) = (Vec::new(), MOST_BYTES);
        for target in targets {
            if Instant::now() >= end {
                break;
            }
            if let Some(format) = self.read(selection, target, left, end)? {
                left -= format.bytes.len();
                formats.push(format);
            }
        }
        Ok((!formats.is_empty()).then_some(Content { formats }))
    }

    fn read(
        &mut self,
        selection: Atom,
        target: Atom,
        most: usize,
        end: Instant,
    ) -> Result<Option<Format>, Broken> {
        let (window, property) = (self.window, self.atoms.PTT_SELECTION);
        self.conn.delete_property(window, property)?;
        let now = self.now(end)?;
        self.conn.convert_selection(window, selection, target, property, now)?;
        self.conn.flush()?;
        let answer = self.await_event(end, |event| {
            let Event::SelectionNotify(e) = event else { return None };
            // One with another time answers an older question, which was given up.
            ((e.selection, e.target, e.time) == (selection, target, now)).then_some(e.property)
        })?;
        if answer.is_none_or(|property| property == x11rb::NONE) {
            return Ok(None);
        }
        let Some(got) = self.property(most)? else { return Ok(None) };
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
            let Some(piece) = self.property(most - had)? else { return Ok(None) };
            if piece.value.is_empty() {
                return Ok(whole);
            }
            let (kind, bits) = (piece.type_, piece.format);
            whole
                .get_or_insert_with(|| Format { target, kind, bits, bytes: Vec::new() })
                .bytes
                .extend(piece.value);
        }
    }

    /// Takes the property that answers come in; `None` when it is larger than `most`.
    fn property(&self, most: usize) -> Result<Option<GetPropertyReply>, Broken> {
        let units = u32::try_from(most / 4).unwrap_or(u32::MAX);
        let (window, property) = (self.window, self.atoms.PTT_SELECTION);
        let got = self.conn.get_property(true, window, property, AtomEnum::ANY, 0, units)?.reply()?;
        self.conn.flush()?;
        Ok((got.bytes_after == 0).then_some(got))
    }
}
