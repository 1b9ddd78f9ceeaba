//! What a selection holds, in all its formats. Pure.

use x11rb::protocol::xproto::{Atom, AtomEnum};

x11rb::atom_manager! {
    /// The names that selections are talked about in.
    pub(super) Atoms: AtomsCookie {
        CLIPBOARD,
        TARGETS,
        TIMESTAMP,
        MULTIPLE,
        SAVE_TARGETS,
        DELETE,
        INSERT_SELECTION,
        INSERT_PROPERTY,
        INCR,
        UTF8_STRING,
        TEXT,
        PLAIN: b"text/plain",
        PLAIN_UTF8: b"text/plain;charset=utf-8",
        PASSWORD_HINT: b"x-kde-passwordManagerHint",
        PTT_SELECTION,
        PTT_TIME,
    }
}

/// One format of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// What it is asked for by.
    pub target: Atom,
    /// The type of the property it is answered in.
    pub kind: Atom,
    /// Bits per unit of the property: 8, 16 or 32.
    pub bits: u8,
    /// The bytes, in this machine's order.
    pub bytes: Vec<u8>,
}

/// A selection's content.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// In the order of preference.
    pub formats: Vec<Format>,
}

impl Content {
    /// A text. `fleeting` asks clipboard managers not to keep it.
    pub fn text(atoms: &Atoms, text: &str, fleeting: bool) -> Self {
        let format = |target, kind, bytes: &[u8]| Format { target, kind, bits: 8, bytes: bytes.to_vec() };
        let utf8 = text.as_bytes();
        let mut formats = vec![
            format(atoms.UTF8_STRING, atoms.UTF8_STRING, utf8),
            format(atoms.PLAIN_UTF8, atoms.PLAIN_UTF8, utf8),
            format(atoms.PLAIN, atoms.PLAIN, utf8),
            format(atoms.TEXT, atoms.UTF8_STRING, utf8),
        ];
        // STRING is Latin-1 by definition.
        let latin: Result<Vec<u8>, _> = text.chars().map(|c| u8::try_from(u32::from(c))).collect();
        if let Ok(latin) = latin {
            formats.push(format(AtomEnum::STRING.into(), AtomEnum::STRING.into(), &latin));
        }
        if fleeting {
            formats.push(format(atoms.PASSWORD_HINT, AtomEnum::STRING.into(), b"secret"));
        }
        Self { formats }
    }

    /// The format that is asked for.
    pub fn format(&self, target: Atom) -> Option<&Format> {
        self.formats.iter().find(|format| format.target == target)
    }
}

impl Atoms {
    /// Whether who asks for this wants to paste a text, and not only to know about it.
    pub fn is_text(&self, target: Atom) -> bool {
        let texts = [self.UTF8_STRING, self.PLAIN_UTF8, self.PLAIN, self.TEXT, AtomEnum::STRING.into()];
        texts.contains(&target)
    }

    /// Whether asking an owner for this gives no content, or does something to it.
    pub fn is_no_content(&self, target: Atom) -> bool {
        [
            self.TARGETS,
            self.TIMESTAMP,
            self.MULTIPLE,
            self.SAVE_TARGETS,
            self.DELETE,
            self.INSERT_SELECTION,
            self.INSERT_PROPERTY,
        ]
        .contains(&target)
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never what is in it.
        write!(f, "Content({} formats)", self.formats.len())
    }
}
