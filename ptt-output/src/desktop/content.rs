//! What a clipboard holds, in all its formats, by the names Wayland and the portal have for them. Pure.

use std::sync::Arc;

/// The formats in which a text is offered: by MIME type, and by the names X11 programs know.
const TEXT: [&str; 5] = ["text/plain;charset=utf-8", "text/plain", "UTF8_STRING", "STRING", "TEXT"];
/// What clipboard managers (KDE's Klipper was first) leave out of their history. wl-copy's `--sensitive` offers it too.
const PASSING: (&str, &[u8]) = ("x-kde-passwordManagerHint", b"secret");

/// A format and its content.
pub(super) type Format = (String, Arc<[u8]>);

/// Something for a selection, in all its formats.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Content(pub Vec<Format>);

impl Content {
    /// A text; one that is `passing` does not want to be remembered.
    pub fn text(text: &str, passing: bool) -> Self {
        let bytes: Arc<[u8]> = Arc::from(text.as_bytes());
        let mut formats: Vec<Format> =
            TEXT.iter().map(|&mime| (mime.to_owned(), Arc::clone(&bytes))).collect();
        if passing {
            formats.push((PASSING.0.to_owned(), Arc::from(PASSING.1)));
        }
        Self(formats)
    }

    /// The names of its formats.
    pub fn formats(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(mime, _)| mime.as_str())
    }

    /// Somebody asks for a format: its content, and whether having it means having taken the text.
    pub fn asked(&self, mime: &str) -> Option<(Arc<[u8]>, bool)> {
        let (_, bytes) = self.0.iter().find(|(known, _)| known == mime)?;
        Some((Arc::clone(bytes), mime != PASSING.0))
    }
}
