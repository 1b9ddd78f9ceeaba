//! An X server of the tests' own, and another program that owns the clipboard on it.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask, PropMode,
    Property, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, SelectionRequestEvent, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// Long past anything that should happen.
pub const LONG: Duration = Duration::from_secs(20);

/// An X server. Ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub display: String,
}

impl Server {
    /// Starts one whose requests hold at most 4 MiB (a mebi of four bytes each), or says why `test` is skipped.
    pub fn start(test: &str) -> Option<Self> {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "320x240x24", "-nolisten", "tcp"]);
        command.args(["-maxbigreqsize", "1"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            assert!(env::var_os("PTT_REQUIRE_RIGS").is_none(), "{test} may not be skipped: there is no Xvfb");
            let line = format!("SKIPPED {test}: no Xvfb here; install the package `xvfb`");
            let _ = writeln!(std::io::stderr().lock(), "{line}");
            return None;
        };
        // It writes its number when it is ready.
        let mut number = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Some(Self { child, display: format!(":{}", number.trim()) })
    }

    pub fn connect(&self) -> RustConnection {
        x11rb::connect(Some(&self.display)).unwrap().0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

pub fn window(conn: &RustConnection) -> Window {
    let window = conn.generate_id().unwrap();
    let (root, kind) = (conn.setup().roots[0].root, WindowClass::INPUT_OUTPUT);
    let aux = CreateWindowAux::new();
    conn.create_window(COPY_DEPTH_FROM_PARENT, window, root, 0, 0, 1, 1, 0, kind, 0, &aux).unwrap();
    conn.flush().unwrap();
    window
}

pub fn atom(conn: &impl Connection, name: &str) -> Atom {
    conn.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom
}

/// Takes the selection now.
pub fn take(conn: &RustConnection, window: Window, selection: Atom) {
    conn.set_selection_owner(window, selection, x11rb::CURRENT_TIME).unwrap();
    assert_eq!(conn.get_selection_owner(selection).unwrap().reply().unwrap().owner, window);
}

/// The first event that `pick` makes something of.
pub fn await_event<T>(conn: &RustConnection, pick: impl Fn(Event) -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        while let Some(event) = conn.poll_for_event().unwrap() {
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "waited {LONG:?} for an event");
        let limit = Timespec::try_from(left).unwrap();
        poll(&mut [PollFd::new(conn.stream(), PollFlags::IN)], Some(&limit)).unwrap();
    }
}

/// How a format is handed over.
#[derive(Clone, Copy, Debug)]
pub enum How {
    Whole,
    /// By INCR, so many bytes at a time.
    Pieces(usize),
    /// The same, the first one in units of 32 bits and the others of 8.
    Mixed(usize),
    /// It is said to be there, and is not.
    Not,
}

/// One format of a holder.
pub struct Has(pub &'static str, pub Vec<u8>, pub How);

/// Has another program own the clipboard until the server ends. Like GTK it finishes one transfer to a window before the
/// next, also when nobody wants it any more.
pub fn hold(server: &Server, formats: Vec<Has>) {
    let conn = server.connect();
    let formats = formats.into_iter().map(|Has(name, bytes, how)| (atom(&conn, name), bytes, how)).collect();
    let [incr, targets, clipboard] = ["INCR", "TARGETS", "CLIPBOARD"].map(|name| atom(&conn, name));
    let window = window(&conn);
    take(&conn, window, clipboard);
    let mut holder = Holder { conn, incr, targets, formats, transfers: Vec::new() };
    thread::spawn(move || {
        while let Ok(event) = holder.conn.wait_for_event() {
            if let Event::SelectionRequest(asked) = &event {
                holder.answer(asked);
            }
            if let Event::PropertyNotify(e) = &event
                && e.state == Property::DELETE
            {
                holder.go_on(e.window, e.atom);
            }
            if holder.conn.flush().is_err() {
                break;
            }
        }
    });
}

struct Holder {
    conn: RustConnection,
    incr: Atom,
    targets: Atom,
    formats: Vec<(Atom, Vec<u8>, How)>,
    transfers: Vec<Transfer>,
}

struct Transfer {
    to: (Window, Atom),
    kind: Atom,
    bytes: Vec<u8>,
    at: usize,
    how: How,
}

impl Holder {
    fn answer(&mut self, asked: &SelectionRequestEvent) {
        let SelectionRequestEvent { requestor, property, target, selection, time, .. } = *asked;
        let mode = PropMode::REPLACE;
        let mut answer = property;
        if target == self.targets {
            let names: Vec<Atom> = self.formats.iter().map(|(name, _, _)| *name).collect();
            self.conn.change_property32(mode, requestor, property, AtomEnum::ATOM, &names).unwrap();
        } else if let Some((_, bytes, how)) = self.formats.iter().find(|(name, _, _)| *name == target) {
            match how {
                How::Whole => drop(self.conn.change_property8(mode, requestor, property, target, bytes)),
                How::Not => {}
                How::Pieces(_) | How::Mixed(_) => {
                    let aux = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
                    self.conn.change_window_attributes(requestor, &aux).unwrap();
                    self.conn.change_property32(mode, requestor, property, self.incr, &[0]).unwrap();
                    let to = (requestor, property);
                    let bytes = bytes.clone();
                    self.transfers.push(Transfer { to, kind: target, bytes, at: 0, how: *how });
                }
            }
        } else {
            answer = x11rb::NONE;
        }
        let notify = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time,
            requestor,
            selection,
            target,
            property: answer,
        };
        self.conn.send_event(false, requestor, EventMask::NO_EVENT, notify).unwrap();
    }

    fn go_on(&mut self, window: Window, property: Atom) {
        let Some(which) = self.transfers.iter().position(|t| t.to == (window, property)) else { return };
        let transfer = &mut self.transfers[which];
        let (length, first_bits) = match transfer.how {
            How::Pieces(length) => (length, 8),
            How::Mixed(length) => (length, 32),
            How::Whole | How::Not => unreachable!("it is no transfer"),
        };
        let bits = if transfer.at == 0 { first_bits } else { 8 };
        let end = transfer.bytes.len().min(transfer.at + length);
        let piece = &transfer.bytes[transfer.at..end];
        let units = u32::try_from(piece.len() * 8 / usize::from(bits)).unwrap();
        let (mode, kind) = (PropMode::REPLACE, transfer.kind);
        self.conn.change_property(mode, window, property, kind, bits, units, piece).unwrap();
        transfer.at = end;
        if piece.is_empty() {
            self.transfers.remove(which);
        }
    }
}
