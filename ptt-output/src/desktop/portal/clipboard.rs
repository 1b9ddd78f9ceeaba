//! What is in the clipboard: whose it is, and what of it is ours. Pure; requests are made by [`super::hands`].

use std::sync::Arc;
use std::time::Instant;

use crate::desktop::content::{Content, LINGER};

/// The clipboard as far as we know it.
#[derive(Default)]
pub(super) struct Clipboard {
    /// The formats somebody else offers; `None` until the portal tells. GNOME's tells with the first change only.
    pub theirs: Option<Vec<String>>,
    held: Option<Held>,
    serial: u64,
}

/// What we have put into it last.
struct Held {
    serial: u64,
    content: Content,
    /// Whether it is still there.
    ours: bool,
    /// How often somebody took it whole, the hint to clipboard managers apart.
    taken: u32,
    lent: Option<Lent>,
}

/// It is there for one paste.
struct Lent {
    /// What was there before.
    before: Content,
    /// How often it had been taken when the chord was pressed: clipboard managers take it at once (mutter has one built in).
    pressed: Option<u32>,
    /// When `before` is given back; `None` until it is taken.
    due: Option<Instant>,
}

impl Clipboard {
    /// Puts `content` into it; with `before` for one paste.
    pub fn hold(&mut self, content: Content, before: Option<Content>) {
        self.serial += 1;
        let lent = before.map(|before| Lent { before, pressed: None, due: None });
        // It counts as there until another owner is told of: not every portal tells of our own.
        self.held = Some(Held { serial: self.serial, content, ours: true, taken: 0, lent });
    }

    /// The chord is to go out: whether the text is still there to be pasted.
    #[must_use]
    pub fn pressed(&mut self) -> bool {
        let Some(Held { ours: true, taken, lent: Some(lent), .. }) = &mut self.held else { return false };
        lent.pressed = Some(*taken);
        true
    }

    /// The portal tells of an owner.
    pub fn changed(&mut self, formats: Vec<String>, ours: bool) {
        if !ours {
            self.theirs = Some(formats);
        }
        if let Some(held) = &mut self.held {
            held.ours = ours;
        }
    }

    /// Somebody asks for a format of what we have there: its content, and the number to count it by once it is sent, if it
    /// counts.
    pub fn asked(&self, format: &str) -> Option<(Arc<[u8]>, Option<u64>)> {
        let held = self.held.as_ref()?;
        let (bytes, counts) = held.content.asked(format)?;
        Some((bytes, counts.then_some(held.serial)))
    }

    /// Somebody has it whole.
    pub fn sent(&mut self, serial: u64, now: Instant) {
        let Some(held) = self.held.as_mut().filter(|held| held.serial == serial) else { return };
        held.taken += 1;
        if let Some(lent) = &mut held.lent
            && lent.pressed.is_some_and(|before| held.taken > before)
        {
            lent.due.get_or_insert(now + LINGER);
        }
    }

    /// How often what is there was taken; `None` when it is not ours.
    pub fn taken(&self) -> Option<u32> {
        self.held.as_ref().filter(|held| held.ours).map(|held| held.taken)
    }

    /// When something is to be given back.
    pub fn due(&self) -> Option<Instant> {
        self.held.as_ref()?.lent.as_ref()?.due
    }

    /// What a text that goes in now replaces, where that is ours: of a text that is only passing, what was there before it.
    pub fn kept(&self) -> Option<Content> {
        let held = self.held.as_ref().filter(|held| held.ours)?;
        Some(held.lent.as_ref().map_or_else(|| held.content.clone(), |lent| lent.before.clone()))
    }

    /// Ends the lending: what is to be given back, if the text is still there.
    pub fn settle(&mut self) -> Option<Content> {
        let held = self.held.as_mut()?;
        let lent = held.lent.take()?;
        held.ours.then_some(lent.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(content: Option<Content>) -> Option<Vec<String>> {
        content.map(|content| content.formats().map(ToOwned::to_owned).collect())
    }

    fn picture() -> Content {
        Content(vec![("image/png".to_owned(), Arc::from(&b"png"[..]))])
    }

    #[test]
    fn only_what_is_taken_after_the_chord_is_pasted_and_then_the_old_comes_back() {
        let (mut board, now) = (Clipboard::default(), Instant::now());
        assert_eq!((board.taken(), board.kept().is_none()), (None, true));
        board.hold(Content::text("text", true), Some(picture()));
        let (bytes, serial) = board.asked("UTF8_STRING").unwrap();
        assert_eq!(&*bytes, b"text");
        let (_, hint) = board.asked("x-kde-passwordManagerHint").unwrap();
        assert_eq!((hint, board.asked("image/png").is_none()), (None, true));
        board.sent(serial.unwrap(), now);
        assert_eq!((board.taken(), board.due()), (Some(1), None), "a clipboard manager");
        assert!(board.pressed());
        board.sent(serial.unwrap() + 1, now);
        assert_eq!(board.due(), None, "not this text");
        board.sent(serial.unwrap(), now);
        board.sent(serial.unwrap(), now + LINGER);
        assert_eq!(board.due(), Some(now + LINGER));
        assert_eq!(names(board.settle()), Some(vec!["image/png".to_owned()]));
        assert_eq!((board.due(), board.settle().is_none()), (None, true), "once");
    }

    #[test]
    fn what_somebody_else_has_put_there_stays() {
        let mut board = Clipboard::default();
        board.hold(Content::text("text", true), Some(picture()));
        board.changed(vec!["text/html".to_owned()], false);
        assert!(!board.pressed(), "the chord would paste what is theirs");
        assert_eq!((board.taken(), board.kept().is_none(), board.settle().is_none()), (None, true, true));
        assert_eq!(board.theirs.as_deref(), Some(&["text/html".to_owned()][..]));
    }

    #[test]
    fn a_text_over_a_text_keeps_what_was_before_both() {
        let mut board = Clipboard::default();
        board.hold(Content::text("one", true), Some(picture()));
        board.changed(Vec::new(), true);
        let kept = board.kept();
        board.hold(Content::text("two", true), kept);
        assert_eq!(names(board.kept()), Some(vec!["image/png".to_owned()]));
        board.hold(Content::text("for good", false), None);
        assert_eq!(board.kept().map(|kept| kept == Content::text("for good", false)), Some(true));
    }
}
