//! An X server of the test's own (Xvfb), a terminal whose lines are read back, a hand on the keyboard (XTEST), and other
//! programs that own the clipboard. There is no window manager: the test gives the keyboard to a window itself.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use evdev::KeyCode;
use rustix::process::Signal;
use tempfile::TempDir;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask, InputFocus,
    KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MapState, PropMode, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent,
    Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use super::{Process, Skip, Stream, await_some, needs};

const SOON: Duration = Duration::from_secs(60);

/// A private X server.
#[derive(Debug)]
pub struct Screen {
    conn: RustConnection,
    server: Process,
    display: String,
}

impl Screen {
    /// Starts a server on a display of its own.
    ///
    /// # Errors
    /// [`Skip`] when a package is not there.
    ///
    /// # Panics
    /// When they are, and the server does not come up.
    pub fn start() -> Result<Self, Skip> {
        Self::start_with(&[])
    }

    /// The same with further arguments for the server.
    ///
    /// # Errors
    /// As [`Self::start`].
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_with(arguments: &[&str]) -> Result<Self, Skip> {
        // Chosen here and not by the server, which takes the lowest: one that is killed and started again must find its own free.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = 1_000 + 100 * (std::process::id() % 500) + STARTED.fetch_add(1, Ordering::Relaxed);
        Self::up(&format!(":{number}"), arguments)
    }

    fn up(display: &str, arguments: &[&str]) -> Result<Self, Skip> {
        needs(&[("Xvfb", "xvfb"), ("xterm", "xterm"), ("setxkbmap", "x11-xkb-utils")])?;
        let mut command = Command::new("Xvfb");
        command.args([display, "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"]);
        command.args(arguments);
        let mut server = Process::spawn(&mut command).expect("Xvfb can be started");
        // It writes its number when it is ready.
        let number = server.line(Stream::Out, SOON, |line| line.trim().parse::<u32>().ok());
        number.expect("Xvfb tells its display");
        let (conn, _) = x11rb::connect(Some(display)).expect("the server lets its own test in");
        Ok(Self { conn, server, display: display.to_owned() })
    }

    /// Ends it as a crash does.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(&mut self) {
        self.server.signal(Signal::KILL);
        await_some("the server's end", SOON, || (!self.server.alive()).then_some(()));
    }

    /// Starts it again on the same display, after [`Self::kill`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        *self = Self::up(&self.display, &[]).expect("the packages were there a moment ago");
    }

    /// Its name, such as ":1".
    #[must_use]
    pub fn display(&self) -> &str {
        &self.display
    }

    /// Its process.
    pub fn server(&mut self) -> &mut Process {
        &mut self.server
    }

    /// Chooses a keyboard layout, such as "de" or "us,ru".
    ///
    /// # Panics
    /// When it cannot be chosen.
    pub fn layout(&self, layout: &str) {
        let mut command = Command::new("setxkbmap");
        command.args(["-display", &self.display, "-layout", layout]);
        let done =
            Process::spawn(&mut command).and_then(|process| process.wait(SOON)).expect("setxkbmap ends");
        assert!(done.status.success(), "{done:?}");
    }

    /// What every key means, as programs are told.
    ///
    /// # Panics
    /// When the server is gone.
    #[must_use]
    pub fn keymap(&self) -> Vec<Vec<u32>> {
        let (first, last) = (self.conn.setup().min_keycode, self.conn.setup().max_keycode);
        let map = self.conn.get_keyboard_mapping(first, last - first + 1).expect("the server runs");
        let map = map.reply().expect("the server runs");
        let width = usize::from(map.keysyms_per_keycode).max(1);
        map.keysyms.chunks(width).map(<[u32]>::to_vec).collect()
    }

    /// Presses the keys in this order, by XTEST: to every client it is a hand on a keyboard. Returns when the server has them.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn press(&self, keys: &[KeyCode]) {
        self.fake(KEY_PRESS_EVENT, keys);
    }

    /// Lets the keys go in this order.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn release(&self, keys: &[KeyCode]) {
        self.fake(KEY_RELEASE_EVENT, keys);
    }

    /// Presses a key and lets it go.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn tap(&self, key: KeyCode) {
        self.press(&[key]);
        self.release(&[key]);
    }

    /// A window that has the keyboard, and each press of a key as it gets it, also the repeated ones of a held key.
    ///
    /// # Panics
    /// When the server is gone.
    #[must_use]
    pub fn presses(&self) -> Receiver<()> {
        let (conn, _) = x11rb::connect(Some(&self.display)).expect("the server runs");
        let window = window(&conn);
        let aux = ChangeWindowAttributesAux::new().event_mask(EventMask::KEY_PRESS);
        conn.change_window_attributes(window, &aux).expect("the server runs");
        conn.map_window(window).expect("the server runs").check().expect("the window is ours");
        self.focus(window);
        let (tell, presses) = channel();
        // Ends with the server, or when nobody listens any more.
        std::thread::spawn(move || {
            while let Ok(event) = conn.wait_for_event() {
                if matches!(event, Event::KeyPress(_)) && tell.send(()).is_err() {
                    return;
                }
            }
        });
        presses
    }

    /// Whether Caps Lock is on.
    ///
    /// # Panics
    /// When the server is gone.
    #[must_use]
    pub fn caps_lock(&self) -> bool {
        let root = self.conn.setup().roots[0].root;
        let state = self.conn.query_pointer(root).expect("the server runs").reply().expect("the server runs");
        u16::from(state.mask) & 2 != 0
    }

    /// Gives the keyboard to a window.
    ///
    /// # Panics
    /// When there is no such window.
    pub fn focus(&self, window: Window) {
        let focus = self.conn.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME);
        focus.expect("the server runs").check().expect("the window can have the keyboard");
    }

    /// Moves the pointer to this place.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn point(&self, (x, y): (i16, i16)) {
        let root = self.conn.setup().roots[0].root;
        self.conn.warp_pointer(x11rb::NONE, root, 0, 0, 0, 0, x, y).expect("the server runs");
        self.sync();
    }

    /// A window that pastes nothing.
    ///
    /// # Panics
    /// When the server is gone.
    #[must_use]
    pub fn dull_window(&self) -> Window {
        let window = window(&self.conn);
        self.conn.map_window(window).expect("the server runs");
        self.sync();
        window
    }

    /// A terminal that has the keyboard and writes what is typed into a file; `class` tells it from others.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn terminal(&self, class: &str) -> Terminal {
        let folder = TempDir::with_prefix("ptt-term-").expect("a temporary folder can be made");
        let mut command = Command::new("xterm");
        command
            .current_dir(folder.path())
            .env("DISPLAY", &self.display)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", folder.path())
            .args(["-u8", "-class", class, "-e", "sh", "-c", "stty -echo; > ready; exec cat > lines"]);
        let process = Process::spawn(&mut command).expect("xterm can be started");
        await_some("the terminal's shell", SOON, || folder.path().join("ready").exists().then_some(()));
        let window = await_some("the terminal's window", SOON, || self.find(class));
        self.focus(window);
        Terminal { window, process, folder }
    }

    /// What another program gets when it pastes: the clipboard in one format.
    ///
    /// # Panics
    /// When the server is gone, or the owner does not answer.
    #[must_use]
    pub fn clipboard(&self, target: &str) -> Option<Vec<u8>> {
        self.selection("CLIPBOARD", target)
    }

    /// The same for any selection.
    ///
    /// # Panics
    /// As [`Self::clipboard`].
    #[must_use]
    pub fn selection(&self, selection: &str, target: &str) -> Option<Vec<u8>> {
        let (conn, _) = x11rb::connect(Some(&self.display)).expect("the server runs");
        let window = window(&conn);
        let [selection, target, property] = [selection, target, "ANSWER"].map(|name| atom(&conn, name));
        conn.convert_selection(window, selection, target, property, x11rb::CURRENT_TIME)
            .expect("the server runs");
        conn.flush().expect("the server runs");
        let answer =
            await_some("the clipboard's owner", SOON, || match conn.poll_for_event().expect("it runs") {
                Some(Event::SelectionNotify(answer)) => Some(answer.property),
                _ => None,
            });
        if answer == x11rb::NONE {
            return None;
        }
        let got =
            conn.get_property(true, window, property, AtomEnum::ANY, 0, 1 << 22).expect("the server runs");
        Some(got.reply().expect("the server runs").value)
    }

    fn fake(&self, kind: u8, keys: &[KeyCode]) {
        for key in keys {
            // X11 counts keys from 8.
            let number = u8::try_from(key.code() + 8).expect("the key has a number on X11");
            self.conn
                .xtest_fake_input(kind, number, x11rb::CURRENT_TIME, x11rb::NONE, 0, 0, 0)
                .expect("the server runs");
            self.conn.flush().expect("the server runs");
        }
        self.sync();
    }

    /// Gives the keyboard to the window of this class, once it is shown.
    pub(super) fn focus_on(&self, class: &str) {
        self.focus(await_some("the window", SOON, || self.find(class)));
    }

    fn find(&self, class: &str) -> Option<Window> {
        let root = self.conn.setup().roots[0].root;
        let windows = self.conn.query_tree(root).ok()?.reply().ok()?.children;
        windows.into_iter().find(|window| {
            let get = self.conn.get_property(false, *window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 64);
            let found = get.ok().and_then(|get| get.reply().ok());
            let shown = self.conn.get_window_attributes(*window).ok().and_then(|get| get.reply().ok());
            found.is_some_and(|found| found.value.split(|b| *b == 0).any(|part| part == class.as_bytes()))
                && shown.is_some_and(|shown| shown.map_state == MapState::VIEWABLE)
        })
    }

    fn sync(&self) {
        self.conn.get_input_focus().expect("the server runs").reply().expect("the server runs");
    }
}

fn window(conn: &RustConnection) -> Window {
    let window = conn.generate_id().expect("numbers are left");
    let root = conn.setup().roots[0].root;
    let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
    conn.create_window(0, window, root, 0, 0, 9, 9, 0, WindowClass::INPUT_OUTPUT, 0, &aux).expect("it runs");
    window
}

fn atom(conn: &RustConnection, name: &str) -> Atom {
    conn.intern_atom(false, name.as_bytes()).expect("the server runs").reply().expect("the server runs").atom
}

/// A terminal in which `cat` writes what is typed into a file.
#[derive(Debug)]
pub struct Terminal {
    window: Window,
    process: Process,
    folder: TempDir,
}

impl Terminal {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its window.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The file with what was typed so far.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("lines")
    }

    /// What was typed so far, up to the last Return.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = std::fs::read(self.file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines, once there are so many.
    ///
    /// # Panics
    /// When there are fewer after a while.
    #[must_use]
    pub fn lines(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + SOON;
        loop {
            let text = self.text();
            if text.matches('\n').count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            assert!(Instant::now() < end, "{count} lines were to come, these are there:\n{text}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Another program that owns a selection.
#[derive(Debug)]
pub struct Holder {
    stop: Arc<AtomicBool>,
    lost: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    /// Owns the selection with these formats. With none it never answers.
    ///
    /// # Panics
    /// When the server is gone.
    #[must_use]
    pub fn new(screen: &Screen, selection: &str, formats: &[(&str, &[u8])]) -> Self {
        let (conn, _) = x11rb::connect(Some(&screen.display)).expect("the server runs");
        let window = window(&conn);
        let [selection, targets] = [selection, "TARGETS"].map(|name| atom(&conn, name));
        let formats: HashMap<Atom, Vec<u8>> =
            formats.iter().map(|(name, bytes)| (atom(&conn, name), bytes.to_vec())).collect();
        conn.set_selection_owner(window, selection, x11rb::CURRENT_TIME).expect("the server runs");
        conn.get_input_focus().expect("the server runs").reply().expect("the server runs");
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, lost) = channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok(event) = conn.poll_for_event() else { return };
                match event {
                    Some(Event::SelectionRequest(asked)) if !formats.is_empty() => {
                        let mode = PropMode::REPLACE;
                        let property = if asked.target == targets {
                            let names: Vec<Atom> = formats.keys().copied().collect();
                            let put = conn.change_property32(
                                mode,
                                asked.requestor,
                                asked.property,
                                AtomEnum::ATOM,
                                &names,
                            );
                            put.map_or(x11rb::NONE, |_| asked.property)
                        } else if let Some(bytes) = formats.get(&asked.target) {
                            let put = conn.change_property8(
                                mode,
                                asked.requestor,
                                asked.property,
                                asked.target,
                                bytes,
                            );
                            put.map_or(x11rb::NONE, |_| asked.property)
                        } else {
                            x11rb::NONE
                        };
                        let answer = SelectionNotifyEvent {
                            response_type: SELECTION_NOTIFY_EVENT,
                            sequence: 0,
                            time: asked.time,
                            requestor: asked.requestor,
                            selection: asked.selection,
                            target: asked.target,
                            property,
                        };
                        let _ = conn.send_event(false, asked.requestor, EventMask::NO_EVENT, answer);
                        let _ = conn.flush();
                    }
                    Some(Event::SelectionClear(_)) => _ = tell.send(()),
                    Some(_) => {}
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Self { stop, lost, thread: Some(thread) }
    }

    /// Whether it has lost the selection to somebody else.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.lost.try_recv().is_ok()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
