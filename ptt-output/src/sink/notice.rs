//! Telling the user that a text waits in the clipboard: a desktop notification, by the program that shows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ptt_messages::TakeId;
use tracing::debug;

use super::{CommandSink, Sink};
use crate::error::OutputError;

/// A notification server that takes longer is left alone.
const LIMIT: Duration = Duration::from_secs(5);

/// Shows notifications without anyone waiting for them, one at a time: the newest thing to know is that there is one.
#[derive(Debug, Default)]
pub(super) struct Notice {
    showing: Arc<AtomicBool>,
}

impl Notice {
    /// Says that the text is in the clipboard, and why. None of the text is in it.
    pub fn show(&self, why: &OutputError) {
        if self.showing.swap(true, Ordering::Relaxed) {
            return;
        }
        let body = format!("Paste it where you want it. Why: {why}");
        let argv = ["notify-send", "--app-name=ptt", "--", "Your text is in the clipboard", &body];
        let argv = argv.map(str::to_owned);
        let showing = Arc::clone(&self.showing);
        let shown = move || {
            let shown =
                CommandSink::open(&argv, LIMIT).and_then(|mut program| program.deliver(TakeId(0), ""));
            if let Err(error) = shown {
                debug!(%error, "no notification was shown");
            }
            showing.store(false, Ordering::Relaxed);
        };
        if let Err(error) = thread::Builder::new().name("ptt-notice".to_owned()).spawn(shown) {
            self.showing.store(false, Ordering::Relaxed);
            debug!(%error, "no notification was shown");
        }
    }
}
