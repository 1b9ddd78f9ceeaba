//! Contents on their way through the portal's pipes, with limits of size and time.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};
use zbus::zvariant::{self, OwnedObjectPath};

use super::bus::{CLIPBOARD, Calls};
use super::error::PortalError;
use crate::desktop::content::{Content, FORMATS_LIMIT, Format, KEPT_LIMIT, READING_LIMIT, SENDING_LIMIT};

/// What is looked for in a clipboard of which the portal has not told the formats.
const PROBED: [&str; 6] =
    ["text/plain;charset=utf-8", "text/plain", "UTF8_STRING", "text/html", "text/uri-list", "image/png"];

/// Hands one format over to who asked for it; `None` is not to be had. Returns whether it went whole.
pub(super) async fn send(
    calls: Calls,
    session: OwnedObjectPath,
    serial: u32,
    bytes: Option<Arc<[u8]>>,
) -> bool {
    let sent = match bytes {
        Some(bytes) => write(&calls, &session, serial, &bytes).await,
        None => Err(PortalError::Failed { what: "a format that was not offered".to_owned() }),
    };
    if let Err(error) = &sent {
        debug!(%error, "the clipboard was asked and did not give");
    }
    // KWin's portal keeps the pipe open until it hears this.
    let body = (&session, serial, sent.is_ok());
    let done: Result<(), _> = calls.call(CLIPBOARD, "SelectionWriteDone", &body).await;
    if let Err(error) = done {
        debug!(%error, "the portal does not take a transfer's end");
    }
    sent.is_ok()
}

async fn write(
    calls: &Calls,
    session: &OwnedObjectPath,
    serial: u32,
    bytes: &[u8],
) -> Result<(), PortalError> {
    let pipe: zvariant::OwnedFd = calls.call(CLIPBOARD, "SelectionWrite", &(session, serial)).await?;
    let failed = |error: std::io::Error| PortalError::Failed { what: error.to_string() };
    let mut pipe = Sender::from_owned_fd(OwnedFd::from(pipe)).map_err(failed)?;
    match timeout(SENDING_LIMIT, pipe.write_all(bytes)).await {
        Ok(written) => written.map_err(failed),
        Err(_) => Err(PortalError::Failed { what: "its reader stands still".to_owned() }),
    }
}

/// What somebody else has in the clipboard, as far as it comes in time: one format after the other, as mutter has it.
pub(super) async fn read(calls: &Calls, session: &OwnedObjectPath, theirs: Option<&[String]>) -> Content {
    let probed = || PROBED.map(ToOwned::to_owned).to_vec();
    let formats = theirs.map_or_else(probed, <[String]>::to_vec);
    let until = Instant::now() + READING_LIMIT;
    let (mut kept, mut left, mut missing): (Vec<Format>, _, _) = (Vec::new(), KEPT_LIMIT, 0);
    for format in formats.into_iter().take(FORMATS_LIMIT) {
        match timeout_at(until, read_one(calls, session, &format, left)).await {
            // A format that is not there reads as an empty one.
            Ok(Some(bytes)) if bytes.is_empty() && theirs.is_none() => {}
            Ok(Some(bytes)) => {
                left -= bytes.len();
                kept.push((format, Arc::from(bytes)));
            }
            Ok(None) | Err(_) => missing += 1,
        }
    }
    if missing > 0 && theirs.is_some() {
        warn!(missing, "the clipboard's last owner did not hand over all formats; they are lost");
    }
    Content(kept)
}

async fn read_one(calls: &Calls, session: &OwnedObjectPath, format: &str, left: usize) -> Option<Vec<u8>> {
    let pipe =
        calls.call::<zvariant::OwnedFd, _>(CLIPBOARD, "SelectionRead", &(session, format)).await.ok()?;
    let pipe = Receiver::from_owned_fd(OwnedFd::from(pipe)).ok()?;
    let mut bytes = Vec::new();
    pipe.take(left as u64 + 1).read_to_end(&mut bytes).await.ok()?;
    (bytes.len() <= left).then_some(bytes)
}
