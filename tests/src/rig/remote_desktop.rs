//! A portal with remote control and a clipboard, and behind it a desktop with one window: what a test says and pastes there is
//! what a GNOME without a screen would do, its habits included.

use std::collections::{BTreeMap, HashMap};
use std::io::{PipeReader, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zbus::message::Header;
use zbus::zvariant::{self, OwnedObjectPath, Value};
use zbus::{Connection, fdo, interface};

use super::desktop::{Dialog, PORTAL, Peer, PrivateBus, Properties, Registry, lock, respond};

const SESSION: &str = "/org/freedesktop/portal/desktop/session/1_1/ptt";
const CLIPBOARD: &str = "org.freedesktop.portal.Clipboard";
const SOON: Duration = Duration::from_secs(60);

/// The kernel's codes of Shift, Control and Insert, and the keysym of V.
const SHIFT: i32 = 42;
const CONTROL: i32 = 29;
const INSERT: i32 = 110;
const V: i32 = 0x76;

/// In what a clipboard is, by formats.
pub type Formats = BTreeMap<String, Vec<u8>>;

/// What a program asked the portal for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The kinds of devices: 1 is a keyboard.
    pub types: u32,
    /// 2 is for good.
    pub persist_mode: u32,
    /// What the last session was remembered by.
    pub restore_token: Option<String>,
    /// Whether the clipboard too.
    pub clipboard: bool,
}

/// The portal; dropping it takes it off the bus.
#[derive(Debug)]
pub struct MockRemoteDesktop {
    peer: Peer,
    desk: Arc<Mutex<Desk>>,
    started: Receiver<Wanted>,
    windows: Receiver<String>,
}

/// What the user and the window do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Of the user.
    pub dialog: Dialog,
    /// Whether the window pastes by Ctrl+V (and by Shift+Insert): a terminal does not.
    pub pastes: bool,
}

/// The desktop.
#[derive(Debug)]
struct Desk {
    habits: Habits,
    client: String,
    wanted: Wanted,
    /// The request that waits for the user.
    open: Option<OwnedObjectPath>,
    tokens: u32,
    /// Which keys are down.
    down: Vec<i32>,
    /// How often the keys that paste were pressed.
    chords: usize,
    /// What somebody else has in the clipboard; `None` while it is the session's.
    theirs: Option<Formats>,
    /// What the session offers there.
    ours: Vec<String>,
    serial: u32,
    /// Who gets which transfer.
    asked: HashMap<u32, Sender<Vec<u8>>>,
    start: Sender<Wanted>,
    window: Sender<String>,
}

impl MockRemoteDesktop {
    /// Joins the bus, with something of another program's in the clipboard.
    #[must_use]
    pub fn join(bus: &PrivateBus, habits: Habits, theirs: Formats) -> Self {
        let (start, started) = channel();
        let (window, windows) = channel();
        let desk = Arc::new(Mutex::new(Desk {
            habits,
            client: String::new(),
            wanted: Wanted::default(),
            open: None,
            tokens: 0,
            down: Vec::new(),
            chords: 0,
            theirs: Some(theirs),
            ours: Vec::new(),
            serial: 0,
            asked: HashMap::new(),
            start,
            window,
        }));
        let shared = || Arc::clone(&desk);
        let peer = Peer::join(bus, "org.freedesktop.portal.Desktop", |builder| {
            builder
                .serve_at(PORTAL, Registry::default())?
                .serve_at(PORTAL, RemoteDesktop(shared()))?
                .serve_at(PORTAL, Clipboard(shared()))
        });
        Self { peer, desk, started, windows }
    }

    /// What the user and the window do from now on.
    pub fn behave(&self, habits: Habits) {
        lock(&self.desk).habits = habits;
    }

    /// Waits until somebody asks for a session, and says for what.
    ///
    /// # Panics
    /// When nobody does.
    #[must_use]
    pub fn asked(&self) -> Wanted {
        self.started.recv_timeout(SOON).expect("somebody starts a session")
    }

    /// Whether nobody asked (again) so far.
    #[must_use]
    pub fn was_not_asked(&self) -> bool {
        self.started.try_recv().is_err()
    }

    /// The user agrees after all.
    ///
    /// # Panics
    /// When no dialog is open.
    pub fn agree(&self) {
        let mut desk = lock(&self.desk);
        let request = desk.open.take().expect("a dialog is open");
        let (client, answer) = (desk.client.clone(), desk.yes());
        drop(desk);
        self.peer.emit(Some(&client), &request, "org.freedesktop.portal.Request", "Response", &answer);
    }

    /// The user ends the session from the panel.
    pub fn close(&self) {
        let client = lock(&self.desk).client.clone();
        self.peer.emit(Some(&client), SESSION, "org.freedesktop.portal.Session", "Closed", &());
    }

    /// Waits until something is pasted into the window.
    ///
    /// # Panics
    /// When nothing is.
    #[must_use]
    pub fn pasted(&self) -> String {
        self.windows.recv_timeout(SOON).expect("something is pasted")
    }

    /// Whether nothing (more) was pasted so far.
    #[must_use]
    pub fn nothing_pasted(&self) -> bool {
        self.windows.try_recv().is_err()
    }

    /// Which keys are down.
    #[must_use]
    pub fn keys_down(&self) -> Vec<i32> {
        lock(&self.desk).down.clone()
    }

    /// How often the keys that paste were pressed.
    #[must_use]
    pub fn chords(&self) -> usize {
        lock(&self.desk).chords
    }

    /// Another program takes the clipboard.
    pub fn copy(&self, theirs: Formats) {
        let mut desk = lock(&self.desk);
        let formats: Vec<String> = theirs.keys().cloned().collect();
        (desk.theirs, desk.ours) = (Some(theirs), Vec::new());
        let client = desk.client.clone();
        drop(desk);
        self.peer.emit(Some(&client), PORTAL, CLIPBOARD, "SelectionOwnerChanged", &owner(formats, false));
    }

    /// What is in the clipboard, as another program would read it.
    #[must_use]
    pub fn clipboard(&self) -> Formats {
        let mut desk = lock(&self.desk);
        if let Some(theirs) = &desk.theirs {
            return theirs.clone();
        }
        let (formats, client) = (desk.ours.clone(), desk.client.clone());
        let asked: Vec<_> = formats.into_iter().map(|format| (desk.ask(), format)).collect();
        drop(desk);
        let read = asked.into_iter().filter_map(|((serial, content), format)| {
            let body = (session(), format.as_str(), serial);
            self.peer.emit(Some(&client), PORTAL, CLIPBOARD, "SelectionTransfer", &body);
            // What changes hands meanwhile is not handed over.
            Some((format, content.recv_timeout(SOON).ok()?))
        });
        read.collect()
    }
}

impl Desk {
    /// The answer of a user who agrees.
    fn yes(&mut self) -> (u32, HashMap<&'static str, Value<'static>>) {
        self.tokens += 1;
        let results = HashMap::from([
            ("devices", Value::from(self.wanted.types)),
            ("clipboard_enabled", Value::from(self.wanted.clipboard)),
            ("restore_token", Value::from(self.token())),
        ]);
        (0, results)
    }

    fn token(&self) -> String {
        format!("token {}", self.tokens)
    }

    /// A number for a transfer, and where its content arrives.
    fn ask(&mut self) -> (u32, Receiver<Vec<u8>>) {
        self.serial += 1;
        let (tell, content) = channel();
        self.asked.insert(self.serial, tell);
        (self.serial, content)
    }
}

struct RemoteDesktop(Arc<Mutex<Desk>>);

struct Clipboard(Arc<Mutex<Desk>>);

#[interface(name = "org.freedesktop.portal.RemoteDesktop")]
impl RemoteDesktop {
    async fn create_session(
        &self,
        options: Properties,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> fdo::Result<OwnedObjectPath> {
        lock(&self.0).client = header.sender().map(ToString::to_string).unwrap_or_default();
        let results = HashMap::from([("session_handle", Value::from(SESSION))]);
        Ok(respond(bus, &header, &options, Some((0, results))).await?)
    }

    async fn select_devices(
        &self,
        _session: OwnedObjectPath,
        options: Properties,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> fdo::Result<OwnedObjectPath> {
        let number = |name: &str| options.get(name).and_then(|value| value.downcast_ref().ok()).unwrap_or(0);
        let token = options.get("restore_token").and_then(|token| token.downcast_ref::<&str>().ok());
        lock(&self.0).wanted = Wanted {
            types: number("types"),
            persist_mode: number("persist_mode"),
            restore_token: token.map(ToOwned::to_owned),
            clipboard: false,
        };
        Ok(respond(bus, &header, &options, Some((0, HashMap::new()))).await?)
    }

    async fn start(
        &self,
        _session: OwnedObjectPath,
        _parent_window: String,
        options: Properties,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] bus: &Connection,
    ) -> fdo::Result<OwnedObjectPath> {
        let (answer, waits) = {
            let mut desk = lock(&self.0);
            let known = desk.wanted.restore_token.as_ref().is_some_and(|token| *token == desk.token());
            let dialog = if known { Dialog::Accepted } else { desk.habits.dialog };
            // The test may have looked away.
            let _ = desk.start.send(desk.wanted.clone());
            match dialog {
                Dialog::Accepted => (Some(desk.yes()), false),
                Dialog::Declined => (Some((1, HashMap::new())), false),
                Dialog::Ignored => (None, true),
            }
        };
        let request = respond(bus, &header, &options, answer).await?;
        if waits {
            lock(&self.0).open = Some(request.clone());
        }
        Ok(request)
    }

    async fn notify_keyboard_keycode(
        &self,
        _session: OwnedObjectPath,
        _options: Properties,
        keycode: i32,
        state: u32,
        #[zbus(connection)] bus: &Connection,
    ) -> fdo::Result<()> {
        self.key(keycode, state, bus).await
    }

    async fn notify_keyboard_keysym(
        &self,
        _session: OwnedObjectPath,
        _options: Properties,
        keysym: i32,
        state: u32,
        #[zbus(connection)] bus: &Connection,
    ) -> fdo::Result<()> {
        self.key(keysym, state, bus).await
    }
}

impl RemoteDesktop {
    async fn key(&self, key: i32, state: u32, bus: &Connection) -> fdo::Result<()> {
        let paste = {
            let mut desk = lock(&self.0);
            if state == 0 {
                desk.down.retain(|down| *down != key);
                return Ok(());
            }
            desk.down.push(key);
            let chord = [&[CONTROL, V][..], &[SHIFT, INSERT]].contains(&&*desk.down);
            desk.chords += usize::from(chord);
            if !chord || !desk.habits.pastes {
                return Ok(());
            }
            let format = "text/plain;charset=utf-8";
            match &desk.theirs {
                Some(theirs) => {
                    let text = theirs.get(format).cloned().unwrap_or_default();
                    let _ = desk.window.send(String::from_utf8_lossy(&text).into_owned());
                    return Ok(());
                }
                None => desk.ask(),
            }
        };
        let (serial, content) = paste;
        let (window, client) = {
            let desk = lock(&self.0);
            (desk.window.clone(), desk.client.clone())
        };
        // The window reads when the owner writes.
        std::thread::spawn(move || {
            if let Ok(text) = content.recv() {
                let _ = window.send(String::from_utf8_lossy(&text).into_owned());
            }
        });
        let body = (session(), "text/plain;charset=utf-8", serial);
        Ok(bus.emit_signal(Some(client.as_str()), PORTAL, CLIPBOARD, "SelectionTransfer", &body).await?)
    }
}

#[interface(name = "org.freedesktop.portal.Clipboard")]
impl Clipboard {
    fn request_clipboard(&self, _session: OwnedObjectPath, _options: Properties) {
        lock(&self.0).wanted.clipboard = true;
    }

    async fn set_selection(
        &self,
        _session: OwnedObjectPath,
        options: Properties,
        #[zbus(connection)] bus: &Connection,
    ) -> fdo::Result<()> {
        let formats = options.get("mime_types").and_then(|formats| formats.try_clone().ok());
        let formats: Vec<String> = formats.and_then(|formats| formats.try_into().ok()).unwrap_or_default();
        let (client, serial) = {
            let mut desk = lock(&self.0);
            desk.theirs = formats.is_empty().then(Formats::new);
            desk.ours.clone_from(&formats);
            desk.asked.clear();
            // Mutter keeps a copy of every text, for when its owner ends.
            let serial = formats.first().map(|_| desk.ask().0);
            (desk.client.clone(), serial)
        };
        let client = Some(client.as_str());
        bus.emit_signal(client, PORTAL, CLIPBOARD, "SelectionOwnerChanged", &owner(formats.clone(), true))
            .await?;
        if let Some(serial) = serial {
            let body = (session(), formats[0].as_str(), serial);
            bus.emit_signal(client, PORTAL, CLIPBOARD, "SelectionTransfer", &body).await?;
        }
        Ok(())
    }

    fn selection_write(&self, _session: OwnedObjectPath, serial: u32) -> fdo::Result<zvariant::OwnedFd> {
        let asked = lock(&self.0).asked.remove(&serial);
        let asked = asked.ok_or_else(|| fdo::Error::Failed(format!("nobody asked by {serial}")))?;
        let (mut reader, writer) = pipe().map_err(|error| fdo::Error::Failed(error.to_string()))?;
        std::thread::spawn(move || {
            let mut content = Vec::new();
            if reader.read_to_end(&mut content).is_ok() {
                // Who asked may have gone.
                let _ = asked.send(content);
            }
        });
        Ok(OwnedFd::from(writer).into())
    }

    fn selection_write_done(&self, _session: OwnedObjectPath, serial: u32, _success: bool) {
        lock(&self.0).asked.remove(&serial);
    }

    /// What is not there reads as nothing.
    fn selection_read(&self, _session: OwnedObjectPath, format: String) -> fdo::Result<zvariant::OwnedFd> {
        let desk = lock(&self.0);
        let theirs = desk.theirs.as_ref().ok_or_else(|| fdo::Error::Failed("it is your own".to_owned()))?;
        let content = theirs.get(&format).cloned().unwrap_or_default();
        let reader = filled(content).map_err(|error| fdo::Error::Failed(error.to_string()))?;
        Ok(OwnedFd::from(reader).into())
    }
}

/// A pipe that somebody writes `content` into.
fn filled(content: Vec<u8>) -> std::io::Result<PipeReader> {
    let (reader, mut writer) = pipe()?;
    std::thread::spawn(move || writer.write_all(&content));
    Ok(reader)
}

/// What a change of the owner says, as GNOME up to 48 does: the formats in a structure of their own.
fn owner(formats: Vec<String>, ours: bool) -> (OwnedObjectPath, HashMap<&'static str, Value<'static>>) {
    let options =
        HashMap::from([("mime_types", Value::from((formats,))), ("session_is_owner", Value::from(ours))]);
    (session(), options)
}

fn session() -> OwnedObjectPath {
    OwnedObjectPath::try_from(SESSION).expect("it is a path")
}
