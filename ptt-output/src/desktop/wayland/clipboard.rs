//! What is in the two selections: whose it is, and what of it is ours. Requests to the compositor are made by
//! [`super::hands`]; here is what its events have changed.

use std::sync::Arc;

use super::control::{Offer, Source};
use crate::desktop::content::Content;

/// The clipboard, and what the mouse has marked (the primary selection), which the middle button and, in terminals,
/// Shift+Insert paste.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Clipboard,
    Primary,
}

impl Selection {
    pub const ALL: [Self; 2] = [Self::Clipboard, Self::Primary];
}

/// What is ours in a selection.
pub(super) struct Held {
    /// Ours are numbered.
    pub serial: u64,
    pub content: Content,
    /// How often somebody took it whole, the hint to clipboard managers apart.
    pub taken: u32,
    #[expect(dead_code, reason = "it is in the selection for as long as this is held")]
    pub source: Source,
}

/// Both selections.
#[derive(Default)]
pub(super) struct Clipboard {
    offers: [Option<Offer>; 2],
    held: [Option<Held>; 2],
    serial: u64,
}

impl Clipboard {
    /// A number for a source or a reading.
    pub fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// What is offered in the selection.
    pub fn offer(&self, selection: Selection) -> Option<&Offer> {
        self.offers[selection as usize].as_ref()
    }

    /// What of ours is in the selection.
    pub fn held(&self, selection: Selection) -> Option<&Held> {
        self.held[selection as usize].as_ref()
    }

    /// We have put something into the selection, or emptied it.
    pub fn hold(&mut self, selection: Selection, held: Option<Held>) {
        self.held[selection as usize] = held;
    }

    /// The compositor says what is in a selection now.
    pub fn offered(&mut self, selection: Selection, offer: Option<Offer>) {
        self.offers[selection as usize] = offer;
    }

    /// Somebody asks for a format of ours: its content, and whether having it means having taken the text.
    pub fn asked(&self, serial: u64, mime: &str) -> Option<(Arc<[u8]>, bool)> {
        let held = self.held.iter().flatten().find(|held| held.serial == serial)?;
        held.content.asked(mime)
    }

    /// Somebody has it whole.
    pub fn sent(&mut self, serial: u64) {
        if let Some(held) = self.held.iter_mut().flatten().find(|held| held.serial == serial) {
            held.taken += 1;
        }
    }

    /// Somebody else has taken the selection.
    pub fn cancelled(&mut self, serial: u64) {
        for held in &mut self.held {
            held.take_if(|held| held.serial == serial);
        }
    }
}
