//! What a clipboard holds, in all its formats, by the names Wayland and the portal have for them, and how much of it is waited
//! for and kept. Pure.

use std::sync::Arc;
use std::time::Duration;

/// How long a text that was pasted stays, on X11 too: some programs ask more than once for one paste, the
/// first to take it may have been a clipboard manager, and GTK 3 drops what it has read of a selection
/// that changes before it has come to the end.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// How long clipboard managers have to take the text before the chord is pressed; one that comes later is taken for the window.
pub(super) const MANAGERS: Duration = Duration::from_millis(20);
/// How long the old owner has to hand over the clipboard's content before the text is pasted.
pub(super) const READING_LIMIT: Duration = Duration::from_millis(300);
/// How long a reader may take for one format. One that stands still keeps a descriptor and nothing else.
pub(super) const SENDING_LIMIT: Duration = Duration::from_secs(30);
/// How much of one selection is kept, all formats together; what is larger is not given back.
pub(super) const KEPT_LIMIT: usize = 64 << 20;
/// More formats than this are not kept; nobody offers so many.
pub(super) const FORMATS_LIMIT: usize = 64;

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
