//! Getting a session: who we are, what we want, and the user's answer.

use std::cell::Cell;

use tracing::{debug, info, warn};
use zbus::zvariant::{ObjectPath, OwnedObjectPath, Value};

use super::bus::{Bus, CLIPBOARD, Options, Properties, REMOTE_DESKTOP, Told};
use super::error::PortalError;
use super::{Wants, token};

/// By what the desktop knows the program: the name of the desktop file in `ptt-app/dist`.
pub(super) const APP_ID: &str = "ptt.Dictation";

/// The portal's bit for keyboards.
const KEYBOARD: u32 = 1;
/// Until the user takes it back.
const FOR_GOOD: u32 = 2;

/// A session that is allowed what was asked for.
pub(super) struct Session {
    pub bus: Bus,
    pub path: OwnedObjectPath,
}

impl Session {
    /// Asks for one, and waits for the user's answer however long that takes; `dialog` says once that this is waited for.
    ///
    /// # Errors
    /// See [`PortalError`].
    pub async fn ask(wants: Wants, dialog: &Cell<bool>) -> Result<Self, PortalError> {
        let mut bus = Bus::connect(APP_ID).await?;
        let path = create(&mut bus).await?;
        let file = ptt_dirs::state().map(|state| token::file(&state));
        let kept = file.as_deref().and_then(token::load);
        select(&mut bus, &path, kept.as_deref()).await?;
        if wants == Wants::KeysAndClipboard {
            let body = (&path, Options::new());
            bus.calls.call::<(), _>(CLIPBOARD, "RequestClipboard", &body).await?;
        }
        if kept.is_none() {
            info!("the desktop is asked whether ptt-app may press keys; allow it in its dialog");
        }
        dialog.set(true);
        let options = Options::from([("handle_token", Value::from("ptt_start"))]);
        let results = request(&mut bus, "Start", &(&path, "", options)).await?;
        if let Some(file) = file {
            let new = results.get("restore_token").and_then(|token| token.downcast_ref::<&str>().ok());
            if let Err(error) = token::store(&file, new) {
                warn!(
                    "the desktop will ask again at the next start: {} cannot be written: {error}",
                    file.display()
                );
            }
        }
        check(&results, wants)?;
        debug!(?wants, "the desktop lets us press keys");
        Ok(Self { bus, path })
    }
}

async fn create(bus: &mut Bus) -> Result<OwnedObjectPath, PortalError> {
    let options = Options::from([
        ("handle_token", Value::from("ptt_session")),
        ("session_handle_token", Value::from("ptt")),
    ]);
    let results = request(bus, "CreateSession", &options).await?;
    // The specification says it as a string.
    let handle = results.get("session_handle").and_then(|handle| {
        let text = handle.downcast_ref::<&str>().map(ToOwned::to_owned);
        text.or_else(|_| handle.downcast_ref::<ObjectPath<'_>>().map(|path| path.to_string())).ok()
    });
    handle
        .and_then(|handle| OwnedObjectPath::try_from(handle).ok())
        .ok_or_else(|| PortalError::Failed { what: "a session without a handle".to_owned() })
}

async fn select(bus: &mut Bus, session: &OwnedObjectPath, kept: Option<&str>) -> Result<(), PortalError> {
    let mut options = Options::from([
        ("handle_token", Value::from("ptt_devices")),
        ("types", Value::from(KEYBOARD)),
        ("persist_mode", Value::from(FOR_GOOD)),
    ]);
    if let Some(token) = kept {
        options.insert("restore_token", Value::from(token));
    }
    request(bus, "SelectDevices", &(session, options)).await.map(drop)
}

/// Whether the user's answer is what was asked for.
fn check(results: &Properties, wants: Wants) -> Result<(), PortalError> {
    let devices = results.get("devices").and_then(|devices| devices.downcast_ref::<u32>().ok());
    // Portals that do not say which, give all.
    if devices.is_some_and(|devices| devices & KEYBOARD == 0) {
        return Err(PortalError::Partly { what: "the keyboard" });
    }
    let clipboard = results.get("clipboard_enabled").and_then(|enabled| enabled.downcast_ref::<bool>().ok());
    if wants == Wants::KeysAndClipboard && clipboard != Some(true) {
        return Err(PortalError::Partly { what: "the clipboard" });
    }
    Ok(())
}

/// Makes a request and waits for what comes of it: the portal says first that it has it, then, when the user has decided,
/// the rest.
async fn request<B>(bus: &mut Bus, method: &str, body: &B) -> Result<Properties, PortalError>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    let asked: OwnedObjectPath = bus.calls.call(REMOTE_DESKTOP, method, body).await?;
    loop {
        match bus.told().await? {
            Told::Response { request, code, results } if request == asked => match code {
                0 => return Ok(results),
                1 => return Err(PortalError::Declined),
                code => return Err(PortalError::Failed { what: format!("response {code}") }),
            },
            Told::Closed => return Err(PortalError::Declined),
            Told::Response { .. } | Told::OwnerChanged { .. } | Told::Transfer { .. } | Told::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use zbus::zvariant::OwnedValue;

    use super::*;

    #[test]
    fn the_desktop_file_has_the_name_that_the_portal_is_told() {
        let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ptt-app/dist");
        assert!(dist.join(format!("{APP_ID}.desktop")).is_file());
    }

    #[test]
    fn a_yes_to_less_than_was_asked_for_is_none() {
        let answer = |devices: Option<u32>, clipboard: Option<bool>| {
            let devices = devices.map(|devices| ("devices".to_owned(), OwnedValue::from(devices)));
            let clipboard = clipboard.map(|c| ("clipboard_enabled".to_owned(), OwnedValue::from(c)));
            devices.into_iter().chain(clipboard).collect::<Properties>()
        };
        let keyboard = Err(PortalError::Partly { what: "the keyboard" });
        let board = Err(PortalError::Partly { what: "the clipboard" });
        for (results, wants, expected) in [
            (answer(Some(1), Some(true)), Wants::KeysAndClipboard, Ok(())),
            (answer(Some(7), Some(false)), Wants::Keys, Ok(())),
            (answer(None, None), Wants::Keys, Ok(())),
            (answer(Some(2), Some(true)), Wants::KeysAndClipboard, keyboard),
            (answer(Some(1), Some(false)), Wants::KeysAndClipboard, board.clone()),
            (answer(Some(1), None), Wants::KeysAndClipboard, board),
        ] {
            assert_eq!(check(&results, wants), expected, "{results:?} {wants:?}");
        }
    }
}
