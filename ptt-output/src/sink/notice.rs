//! Tells the user that a text waits in the clipboard: a notification of the desktop
//! (`org.freedesktop.Notifications`, D-Bus). None of the text is in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tracing::debug;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::zvariant::Value;

use crate::error::OutputError;

/// A notification server that takes longer is left alone.
const LIMIT: Duration = Duration::from_secs(5);
const SERVER: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const SUMMARY: &str = "Your text is in the clipboard";
/// Lets the server decide how long it is shown.
const DEFAULT_TIMEOUT: i32 = -1;

/// Shows notifications without anyone waiting for them, one at a time: a newer one replaces an older.
#[derive(Debug, Default)]
pub(super) struct Notice(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    showing: AtomicBool,
    /// The server's number of the last one; 0 before the first.
    last: AtomicU32,
}

impl Notice {
    /// Says that the text is in the clipboard, and why.
    pub fn show(&self, why: &OutputError) {
        if self.0.showing.swap(true, Ordering::Relaxed) {
            return;
        }
        let body = format!("Paste it where you want it. Why: {why}");
        let shared = Arc::clone(&self.0);
        let shown = move || {
            match notify(&body, shared.last.load(Ordering::Relaxed)) {
                Ok(id) => shared.last.store(id, Ordering::Relaxed),
                Err(error) => debug!(%error, "no notification was shown"),
            }
            shared.showing.store(false, Ordering::Relaxed);
        };
        if let Err(error) = thread::Builder::new().name("ptt-notice".to_owned()).spawn(shown) {
            self.0.showing.store(false, Ordering::Relaxed);
            debug!(%error, "no notification was shown");
        }
    }
}

/// Shows a notification in place of the one with the number `replaces`, and returns its number.
fn notify(body: &str, replaces: u32) -> zbus::Result<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let connection = connect().await?;
        let call = async {
            let body = escaped_for(&connection, body).await?;
            let hints = HashMap::<&str, Value<'_>>::new();
            let actions = Vec::<&str>::new();
            let arguments = ("ptt", replaces, "", SUMMARY, body, actions, hints, DEFAULT_TIMEOUT);
            let answer = connection.call_method(Some(SERVER), PATH, Some(SERVER), "Notify", &arguments);
            answer.await?.body().deserialize()
        };
        call.await
    })
}

async fn connect() -> zbus::Result<Connection> {
    let connecting = Builder::session()?.method_timeout(LIMIT).build();
    let late = |_| zbus::Error::Failure("the bus does not answer".to_owned());
    tokio::time::timeout(LIMIT, connecting).await.map_err(late)?
}

/// The body as this server reads it: some take it for markup.
async fn escaped_for(connection: &Connection, body: &str) -> zbus::Result<String> {
    let answer = connection.call_method(Some(SERVER), PATH, Some(SERVER), "GetCapabilities", &());
    let capabilities: Vec<String> = answer.await?.body().deserialize()?;
    let has_markup = capabilities.iter().any(|capability| capability == "body-markup");
    Ok(if has_markup { escape(body) } else { body.to_owned() })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_stays_text() {
        assert_eq!(escape("<b> & \"c\""), "&lt;b&gt; &amp; \"c\"");
    }
}
