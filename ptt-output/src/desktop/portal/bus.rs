//! The portal on the session bus: calls with a time limit, and its signals in their order.
//!
//! `zbus` with its feature `tokio`, on the runtime of the thread that all of this runs on. What is said is
//! [`super::session`]'s and [`super::hands`]'s affair.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{Select, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::debug;
use zbus::message::Type;
use zbus::zvariant::{Array, DynamicType, OwnedObjectPath, OwnedValue, Structure, Value};
use zbus::{Connection, MatchRule, Message, MessageStream};

use super::error::PortalError;

const PORTAL: &str = "org.freedesktop.portal.Desktop";
const ROOT: &str = "/org/freedesktop/portal/desktop";
pub(super) const REMOTE_DESKTOP: &str = "org.freedesktop.portal.RemoteDesktop";
pub(super) const CLIPBOARD: &str = "org.freedesktop.portal.Clipboard";
pub(super) const REGISTRY: &str = "org.freedesktop.host.portal.Registry";

/// How long the portal may take to answer a call. None of ours waits for the user: dialogs answer with a signal.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a portal that was gone is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// So many signals may wait while a call is answered.
const SIGNALS: usize = 256;

/// A dictionary as D-Bus methods like it for options.
pub(super) type Options<'a> = HashMap<&'a str, Value<'a>>;
/// The same as it is received.
pub(super) type Properties = HashMap<String, OwnedValue>;

/// A connection to the portal that has the name now.
pub(super) struct Bus {
    pub calls: Calls,
    signals: Select<MessageStream, MessageStream>,
}

/// The half that calls.
#[derive(Clone)]
pub(super) struct Calls(Connection);

/// Something the portal tells.
#[derive(Debug)]
pub(super) enum Told {
    /// What came of a request.
    Response { request: OwnedObjectPath, code: u32, results: Properties },
    /// What is in the clipboard now, and whether the session put it there.
    OwnerChanged { formats: Vec<String>, ours: bool },
    /// Somebody wants what the session has in the clipboard.
    Transfer { format: String, serial: u32 },
    /// The session is over.
    Closed,
    /// Nothing of ours.
    Other,
}

impl Bus {
    /// Connects, says who we are, and listens.
    ///
    /// # Errors
    /// [`PortalError::NoBus`], [`PortalError::NoPortal`].
    pub async fn connect(app_id: &str) -> Result<Self, PortalError> {
        let connection = connection().await?;
        let calls = Calls(connection);
        // Newer portals want to know before anything else, and older ones do not know the question.
        let said: Result<(), _> = calls.call(REGISTRY, "Register", &(app_id, Options::new())).await;
        if let Err(reason) = said {
            debug!(%reason, "the portal does not take our name");
        }
        let owner = calls.owner().await?;
        let rule = MatchRule::builder().msg_type(Type::Signal);
        let listened = async {
            let of_portal = rule.sender(owner.as_str())?.build();
            let of_portal = MessageStream::for_match_rule(of_portal, &calls.0, Some(SIGNALS)).await?;
            Ok(select(of_portal, owners(&calls.0).await?))
        };
        let signals = listened.await.map_err(|error: zbus::Error| gone(&error))?;
        Ok(Self { calls, signals })
    }

    /// The next thing the portal tells.
    ///
    /// # Errors
    /// [`PortalError::Gone`].
    pub async fn told(&mut self) -> Result<Told, PortalError> {
        match self.signals.next().await {
            Some(Ok(message)) => told(&message),
            Some(Err(error)) => Err(gone(&error)),
            None => Err(PortalError::Gone { reason: "the bus hung up".to_owned() }),
        }
    }
}

impl Calls {
    /// Calls a method of the portal and reads its answer.
    ///
    /// # Errors
    /// Those of [`PortalError`] that say what may help.
    pub async fn call<A, B>(&self, interface: &'static str, method: &str, body: &B) -> Result<A, PortalError>
    where
        A: DeserializeOwned + zbus::zvariant::Type,
        B: Serialize + DynamicType,
    {
        let answer = self.0.call_method(Some(PORTAL), ROOT, Some(interface), method, body).await;
        let answer = answer.map_err(|error| refusal(error, interface))?;
        answer.body().deserialize().map_err(|error| PortalError::Failed { what: error.to_string() })
    }

    /// The unique name of who is the portal now.
    async fn owner(&self) -> Result<String, PortalError> {
        let bus = "org.freedesktop.DBus";
        let answer =
            self.0.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "GetNameOwner", &PORTAL);
        let no_portal = |error: zbus::Error| PortalError::NoPortal { reason: reason(&error) };
        answer.await.map_err(no_portal)?.body().deserialize().map_err(no_portal)
    }
}

/// Waits until somebody becomes the portal, or, with `look`, is it already; for ever without a bus.
pub(super) async fn comes_back(look: bool) {
    if let Ok(connection) = connection().await
        && let Ok(mut owners) = owners(&connection).await
    {
        if look {
            // Not at once: whoever fails at once would be asked without end.
            tokio::time::sleep(PAUSE).await;
            if Calls(connection.clone()).owner().await.is_ok() {
                return;
            }
        }
        while let Some(Ok(message)) = owners.next().await {
            let body = message.body();
            if body.deserialize::<(&str, &str, &str)>().is_ok_and(|(_, _, new)| !new.is_empty()) {
                return;
            }
        }
    }
    std::future::pending().await
}

async fn connection() -> Result<Connection, PortalError> {
    let no_bus = |error: zbus::Error| PortalError::NoBus { reason: error.to_string() };
    let builder = match ptt_dirs::session_bus() {
        Some(address) => zbus::connection::Builder::address(address.as_str()),
        None => zbus::connection::Builder::session(),
    };
    let builder = builder.map_err(no_bus)?.method_timeout(PATIENCE);
    match tokio::time::timeout(PATIENCE, builder.build()).await {
        Ok(built) => built.map_err(no_bus),
        Err(_) => Err(PortalError::NoBus { reason: "it does not answer".to_owned() }),
    }
}

/// The bus's news of who is the portal.
async fn owners(connection: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.DBus")?
        .member("NameOwnerChanged")?
        .add_arg(PORTAL)?
        .build();
    MessageStream::for_match_rule(rule, connection, None).await
}

fn told(message: &Message) -> Result<Told, PortalError> {
    let header = message.header();
    let body = message.body();
    let (Some(interface), Some(member)) = (header.interface(), header.member()) else {
        return Ok(Told::Other);
    };
    let told = match (interface.as_str(), member.as_str()) {
        ("org.freedesktop.portal.Request", "Response") => header
            .path()
            .cloned()
            .zip(body.deserialize().ok())
            .map(|(request, (code, results))| Told::Response { request: request.into(), code, results }),
        (CLIPBOARD, "SelectionOwnerChanged") => {
            body.deserialize::<(OwnedObjectPath, Properties)>().ok().map(|(_, options)| Told::OwnerChanged {
                formats: options.get("mime_types").map(|value| strings(value)).unwrap_or_default(),
                ours: options
                    .get("session_is_owner")
                    .and_then(|ours| ours.downcast_ref().ok())
                    .unwrap_or(false),
            })
        }
        (CLIPBOARD, "SelectionTransfer") => body
            .deserialize::<(OwnedObjectPath, String, u32)>()
            .ok()
            .map(|(_, format, serial)| Told::Transfer { format, serial }),
        ("org.freedesktop.portal.Session", "Closed") => Some(Told::Closed),
        // Another owner at once is a portal that does not know us.
        ("org.freedesktop.DBus", "NameOwnerChanged") => {
            return Err(PortalError::Gone { reason: "it left the bus".to_owned() });
        }
        _ => None,
    };
    Ok(told.unwrap_or(Told::Other))
}

/// `as`, as the interface has it, or `(as)`, as GNOME up to 48 sends it.
fn strings(value: &Value<'_>) -> Vec<String> {
    if let Ok(wrapped) = value.downcast_ref::<Structure<'_>>() {
        return wrapped.fields().first().map(strings).unwrap_or_default();
    }
    let Ok(array) = value.downcast_ref::<Array<'_>>() else { return Vec::new() };
    array.iter().filter_map(|item| item.downcast_ref::<&str>().ok().map(ToOwned::to_owned)).collect()
}

fn refusal(error: zbus::Error, interface: &'static str) -> PortalError {
    let zbus::Error::MethodError(name, text, _) = &error else { return gone(&error) };
    let is = |known: &[&str]| known.iter().any(|known| name.ends_with(known));
    if is(&["ServiceUnknown", "NameHasNoOwner", "Spawn.ServiceNotFound", "NoReply"]) {
        PortalError::NoPortal { reason: reason(&error) }
    } else if is(&["UnknownMethod", "UnknownInterface", "UnknownObject"]) {
        PortalError::NotThere { interface }
    } else if is(&["portal.Error.NotAllowed"]) {
        PortalError::Unnamed
    } else {
        PortalError::Failed { what: text.clone().unwrap_or_else(|| name.to_string()) }
    }
}

fn gone(error: &zbus::Error) -> PortalError {
    PortalError::Gone { reason: error.to_string() }
}

fn reason(error: &zbus::Error) -> String {
    if let zbus::Error::MethodError(_, Some(text), _) = error { text.clone() } else { error.to_string() }
}
