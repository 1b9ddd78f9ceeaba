//! A desktop's services without a desktop: a `dbus-daemon` of the test's own, which is session bus and system bus at once, and on
//! it a portal and a logind that do what the test says.

use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use ptt_messages::Moment;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zbus::connection::Builder;
use zbus::message::Header;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, interface};

use super::{Process, Skip, Stream, needs};

const SOON: Duration = Duration::from_secs(20);

/// No service is started by it: its peers are the test's own.
const BUS_CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=FOLDER/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A bus; dropping it ends it.
#[derive(Debug)]
pub struct PrivateBus {
    // Dropped in this order: the server, then its folder.
    _server: Process,
    folder: TempDir,
}

impl PrivateBus {
    /// Starts it.
    ///
    /// # Errors
    /// [`Skip`] when the package is not there.
    ///
    /// # Panics
    /// When it is, and the bus does not come up.
    pub fn start() -> Result<Self, Skip> {
        needs(&[("dbus-daemon", "dbus")])?;
        Ok(Self::up().unwrap_or_else(|error| panic!("the private bus does not come up: {error:#}")))
    }

    fn up() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("ptt-bus-")?;
        let config = folder.path().join("bus.conf");
        std::fs::write(&config, BUS_CONFIG.replace("FOLDER", &folder.path().display().to_string()))?;
        let mut server = Process::spawn(
            Command::new("dbus-daemon")
                .arg("--config-file")
                .arg(config)
                .args(["--nofork", "--print-address"]),
        )?;
        server.line(Stream::Out, SOON, |line| line.starts_with("unix:").then_some(()))?;
        Ok(Self { _server: server, folder })
    }

    /// What a program must have in its environment for this to be its session bus and its system bus.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 2] {
        [("DBUS_SESSION_BUS_ADDRESS", self.address()), ("DBUS_SYSTEM_BUS_ADDRESS", self.address())]
    }

    fn address(&self) -> String {
        format!("unix:path={}/bus", self.folder.path().display())
    }
}

/// What the user does with the portal's dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialog {
    /// Agrees.
    Accepted,
    /// Closes it.
    Declined,
    /// Leaves it open.
    Ignored,
}

/// A portal with global shortcuts; dropping it takes it off the bus.
#[derive(Debug)]
pub struct MockPortal {
    peer: Peer,
    client: Arc<Mutex<Client>>,
    bound: Receiver<Vec<(String, Option<String>)>>,
}

/// Whom the portal serves.
#[derive(Debug, Default)]
struct Client {
    address: String,
    app_id: Option<String>,
}

impl MockPortal {
    /// Joins the bus. With `needs_name` it serves only programs that said which one they are, as newer portals do.
    #[must_use]
    pub fn join(bus: &PrivateBus, dialog: Dialog, needs_name: bool) -> Self {
        let client = Arc::new(Mutex::new(Client::default()));
        let (tell, bound) = channel();
        let shortcuts = Shortcuts { client: Arc::clone(&client), dialog, needs_name, tell };
        let registry = Registry { client: Arc::clone(&client) };
        let peer = Peer::join(bus, "org.freedesktop.portal.Desktop", |builder| {
            builder.serve_at(PORTAL, shortcuts)?.serve_at(PORTAL, registry)
        });
        Self { peer, client, bound }
    }

    /// A portal of a desktop without shortcuts.
    #[must_use]
    pub fn without_shortcuts(bus: &PrivateBus) -> Self {
        let client = Arc::new(Mutex::new(Client::default()));
        let registry = Registry { client: Arc::clone(&client) };
        let peer =
            Peer::join(bus, "org.freedesktop.portal.Desktop", |builder| builder.serve_at(PORTAL, registry));
        Self { peer, client, bound: channel().1 }
    }

    /// Waits until somebody asks for shortcuts: their names and the keys that are proposed for them.
    ///
    /// # Panics
    /// When nobody does.
    #[must_use]
    pub fn asked(&self) -> Vec<(String, Option<String>)> {
        self.bound.recv_timeout(SOON).expect("somebody binds shortcuts")
    }

    /// Whether nobody asked (again) so far.
    #[must_use]
    pub fn was_not_asked(&self) -> bool {
        self.bound.try_recv().is_err()
    }

    /// The name by which the program made itself known.
    #[must_use]
    pub fn app_id(&self) -> Option<String> {
        lock(&self.client).app_id.clone()
    }

    /// The user presses a shortcut.
    pub fn press(&self, shortcut: &str) {
        self.tell("Activated", shortcut);
    }

    /// The user lets a shortcut go.
    pub fn release(&self, shortcut: &str) {
        self.tell("Deactivated", shortcut);
    }

    /// The desktop closes the session.
    pub fn close(&self) {
        let client = lock(&self.client).address.clone();
        self.peer.emit(Some(&client), PORTAL_SESSION, "org.freedesktop.portal.Session", "Closed", &());
    }

    fn tell(&self, what: &str, shortcut: &str) {
        let client = lock(&self.client).address.clone();
        let session = OwnedObjectPath::try_from(PORTAL_SESSION).expect("it is a path");
        // As GNOME says it: the low half of the clock's milliseconds.
        let timestamp = Moment::now().as_nanos() / 1_000_000 % (1 << 32);
        let body = (session, shortcut, timestamp, HashMap::<&str, Value<'_>>::new());
        self.peer.emit(Some(&client), PORTAL, "org.freedesktop.portal.GlobalShortcuts", what, &body);
    }
}

pub(super) const PORTAL: &str = "/org/freedesktop/portal/desktop";
const PORTAL_SESSION: &str = "/org/freedesktop/portal/desktop/session/1_1/ptt";

struct Shortcuts {
    client: Arc<Mutex<Client>>,
    dialog: Dialog,
    needs_name: bool,
    tell: Sender<Vec<(String, Option<String>)>>,
}

#[derive(Default)]
pub(super) struct Registry {
    client: Arc<Mutex<Client>>,
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.portal.Error")]
enum PortalRefusal {
    #[zbus(error)]
    Bus(zbus::Error),
    NotAllowed(String),
}

pub(super) type Properties = HashMap<String, OwnedValue>;

#[interface(name = "org.freedesktop.host.portal.Registry")]
impl Registry {
    fn register(&self, app_id: String, _options: Properties) {
        lock(&self.client).app_id = Some(app_id);
    }
}

#[interface(name = "org.freedesktop.portal.GlobalShortcuts")]
impl Shortcuts {
    async fn create_session(
        &self,
        options: Properties,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<OwnedObjectPath, PortalRefusal> {
        {
            let mut client = lock(&self.client);
            if self.needs_name && client.app_id.is_none() {
                return Err(PortalRefusal::NotAllowed("An app id is required".to_owned()));
            }
            client.address = header.sender().map(ToString::to_string).unwrap_or_default();
        }
        let results = HashMap::from([("session_handle", Value::from(PORTAL_SESSION))]);
        Ok(respond(bus, &header, &options, Some((0, results))).await?)
    }

    async fn bind_shortcuts(
        &self,
        session: OwnedObjectPath,
        shortcuts: Vec<(String, Properties)>,
        _parent_window: String,
        options: Properties,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> Result<OwnedObjectPath, PortalRefusal> {
        assert_eq!(session.as_str(), PORTAL_SESSION);
        let trigger = |of: &Properties| {
            let proposed = of.get("preferred_trigger")?;
            proposed.downcast_ref::<&str>().ok().map(ToOwned::to_owned)
        };
        let asked = shortcuts.iter().map(|(id, of)| (id.clone(), trigger(of))).collect();
        let bound: Vec<_> = shortcuts
            .iter()
            .map(|(id, _)| (id.as_str(), HashMap::from([("trigger_description", Value::from("Super+T"))])))
            .collect();
        let results = HashMap::from([("shortcuts", Value::from(bound))]);
        let answer = match self.dialog {
            Dialog::Accepted => Some((0_u32, results)),
            Dialog::Declined => Some((1, HashMap::new())),
            Dialog::Ignored => None,
        };
        let request = respond(bus, &header, &options, answer).await?;
        // The test may have looked away.
        let _ = self.tell.send(asked);
        Ok(request)
    }
}

/// Answers a request. A portal may do so before its caller even knows that it has it.
pub(super) async fn respond(
    bus: &Connection,
    header: &Header<'_>,
    options: &Properties,
    answer: Option<(u32, HashMap<&str, Value<'_>>)>,
) -> zbus::Result<OwnedObjectPath> {
    let sender = header.sender().map(ToString::to_string).unwrap_or_default();
    let token =
        options.get("handle_token").and_then(|token| token.downcast_ref::<&str>().ok()).unwrap_or("t");
    let request = format!("{PORTAL}/request/{}/{token}", sender.trim_start_matches(':').replace('.', "_"));
    if let Some(answer) = answer {
        let interface = "org.freedesktop.portal.Request";
        bus.emit_signal(Some(sender.as_str()), request.as_str(), interface, "Response", &answer).await?;
    }
    Ok(OwnedObjectPath::try_from(request)?)
}

/// A logind with one session, which is everybody's, until there is a newer one.
#[derive(Debug)]
pub struct MockLogind {
    peer: Peer,
    newest: Arc<AtomicU8>,
    watched: Receiver<()>,
}

const LOGIND: &str = "/org/freedesktop/login1";
/// The name of the first session.
const FIRST: u8 = 2;

fn session_path(name: u8) -> OwnedObjectPath {
    // A path may not begin with a digit, so logind writes the first one as its code.
    OwnedObjectPath::try_from(format!("{LOGIND}/session/_3{name}")).expect("it is a path")
}

impl MockLogind {
    /// Joins the bus; its session is in front and not locked.
    #[must_use]
    pub fn join(bus: &PrivateBus) -> Self {
        let ((tell, watched), newest) = (channel(), Arc::new(AtomicU8::new(FIRST)));
        let peer = Peer::join(bus, "org.freedesktop.login1", |builder| {
            builder.serve_at(LOGIND, LoginManager { newest: Arc::clone(&newest), tell })?.serve_at(
                "/org/freedesktop/login1/session/auto",
                LoginSession { newest: Arc::clone(&newest) },
            )
        });
        Self { peer, newest, watched }
    }

    /// Waits until somebody watches the session: what is told from then on is heard.
    ///
    /// # Panics
    /// When nobody does.
    pub fn watched(&self) {
        self.watched.recv_timeout(SOON).expect("somebody asks for the session");
    }

    /// The machine goes to sleep, or has woken up.
    pub fn sleep(&self, begins: bool) {
        self.peer.emit(None, LOGIND, "org.freedesktop.login1.Manager", "PrepareForSleep", &begins);
    }

    /// Somebody asks for the lock.
    pub fn lock(&self) {
        self.peer.emit(None, self.session().as_str(), "org.freedesktop.login1.Session", "Lock", &());
    }

    /// The locker says that it locked, or unlocked.
    pub fn locked(&self, locked: bool) {
        self.changed("LockedHint", locked);
    }

    /// The session comes to the front, or goes behind another one.
    pub fn in_front(&self, in_front: bool) {
        self.changed("Active", in_front);
    }

    /// Tells of its session as of a new one.
    pub fn new_session(&self) {
        let name = self.newest.load(Ordering::SeqCst);
        let body = (name.to_string(), session_path(name));
        self.peer.emit(None, LOGIND, "org.freedesktop.login1.Manager", "SessionNew", &body);
    }

    /// The user logs in once more: that session is the one to watch from now on.
    pub fn another_session(&self) {
        self.newest.fetch_add(1, Ordering::SeqCst);
        self.new_session();
    }

    fn session(&self) -> OwnedObjectPath {
        session_path(self.newest.load(Ordering::SeqCst))
    }

    fn changed(&self, property: &str, value: bool) {
        let body = (
            "org.freedesktop.login1.Session",
            HashMap::from([(property, Value::from(value))]),
            Vec::<String>::new(),
        );
        let session = self.session();
        self.peer.emit(None, session.as_str(), "org.freedesktop.DBus.Properties", "PropertiesChanged", &body);
    }
}

struct LoginManager {
    newest: Arc<AtomicU8>,
    tell: Sender<()>,
}

struct LoginSession {
    newest: Arc<AtomicU8>,
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl LoginManager {
    fn get_session(&self, id: &str) -> OwnedObjectPath {
        let newest = self.newest.load(Ordering::SeqCst);
        assert_eq!(id, newest.to_string());
        // The test may have looked away.
        let _ = self.tell.send(());
        session_path(newest)
    }
}

#[interface(name = "org.freedesktop.login1.Session")]
impl LoginSession {
    #[zbus(property)]
    fn id(&self) -> String {
        self.newest.load(Ordering::SeqCst).to_string()
    }

    #[zbus(property)]
    fn active(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn locked_hint(&self) -> bool {
        false
    }
}

/// A connection that plays a service, with a thread of its own to answer from.
#[derive(Debug)]
pub(super) struct Peer {
    // Dropped in this order: nobody answers any more when the runtime is gone.
    connection: Option<Connection>,
    runtime: Runtime,
}

impl Peer {
    pub fn join<'a>(
        bus: &PrivateBus,
        name: &'a str,
        serve: impl FnOnce(Builder<'a>) -> zbus::Result<Builder<'a>>,
    ) -> Self {
        let joined = || -> anyhow::Result<Self> {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let builder = Builder::address(bus.address().as_str())?.name(name)?;
            let connection = runtime.block_on(serve(builder)?.build()).context("joining the private bus")?;
            Ok(Self { connection: Some(connection), runtime })
        };
        joined().unwrap_or_else(|error| panic!("{name} does not come up: {error:#}"))
    }

    pub fn emit<B>(&self, to: Option<&str>, path: &str, interface: &str, member: &str, body: &B)
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        let connection = self.connection.as_ref().expect("only drop takes it");
        let sent = self.runtime.block_on(connection.emit_signal(to, path, interface, member, body));
        sent.unwrap_or_else(|error| panic!("{member} cannot be sent: {error}"));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _runtime = self.runtime.enter();
        self.connection = None;
    }
}

pub(super) fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
