//! A compositor with the newer clipboard protocol, made of one with the older: they differ in their names only. What goes
//! through this is changed where an interface is named, and nowhere else.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tempfile::TempDir;

const OLDER: (&str, u32) = ("zwlr_data_control_manager_v1", 2);
const NEWER: (&str, u32) = ("ext_data_control_manager_v1", 1);
/// The first object that a client makes; ours makes the registry first.
const REGISTRY: u32 = 2;

/// Listens until the program ends.
pub struct Renamed {
    _dir: TempDir,
    socket: String,
    used: Arc<AtomicBool>,
}

impl Renamed {
    pub fn start(compositor: String) -> Self {
        Self::between(compositor, OLDER, NEWER)
    }

    /// One without keyboards for programs, as KDE's.
    pub fn without_keyboards(compositor: String) -> Self {
        Self::between(compositor, ("zwp_virtual_keyboard_manager_v1", 1), ("nobody_knows_this_v1", 1))
    }

    fn between(compositor: String, old: (&'static str, u32), new: (&'static str, u32)) -> Self {
        let dir = TempDir::new().unwrap();
        let socket = dir.path().join("wayland-0");
        let listener = UnixListener::bind(&socket).unwrap();
        let used = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&used);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&compositor).unwrap());
                let (to_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let seen = Arc::clone(&seen);
                thread::spawn(move || forward(&server, &to_client, old, new, &AtomicBool::new(false)));
                thread::spawn(move || forward(&client, &to_server, new, old, &seen));
            }
        });
        Self { _dir: dir, socket: socket.to_str().unwrap().to_owned(), used }
    }

    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// Whether a client used the newer protocol.
    pub fn used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

/// Passes messages and descriptors on until one side goes.
fn forward(from: &UnixStream, to: &UnixStream, old: (&str, u32), new: (&str, u32), seen: &AtomicBool) {
    let (mut waiting, mut chunk) = (Vec::new(), [0; 4_096]);
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(28))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut chunk)];
        let Ok(read) = recvmsg(from, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) else { return };
        if read.bytes == 0 {
            let _ = to.shutdown(std::net::Shutdown::Both);
            return;
        }
        let fds: Vec<OwnedFd> = control
            .drain()
            .flat_map(|message| {
                let RecvAncillaryMessage::ScmRights(fds) = message else { return Vec::new() };
                fds.collect()
            })
            .collect();
        waiting.extend_from_slice(&chunk[..read.bytes]);
        let mut out = Vec::new();
        while let Some(message) = take_message(&mut waiting) {
            match renamed(&message, old.0, new) {
                Some(other) => {
                    seen.store(true, Ordering::Relaxed);
                    out.extend(other);
                }
                None => out.extend(message),
            }
        }
        if !pass(to, &out, &fds) {
            return;
        }
    }
}

/// Descriptors may arrive before the message they belong to, never after it.
fn pass(to: &UnixStream, mut bytes: &[u8], fds: &[OwnedFd]) -> bool {
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(28))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() {
        assert!(!bytes.is_empty() && control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    }
    while !bytes.is_empty() {
        let Ok(sent) = sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) else {
            return false;
        };
        bytes = &bytes[sent..];
        control.clear();
    }
    true
}

fn take_message(waiting: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = (word(waiting, 4)? >> 16) as usize;
    (waiting.len() >= length).then(|| waiting.drain(..length).collect())
}

/// `wl_registry.global` and `wl_registry.bind`, which begin alike: a number, an interface, a version.
fn renamed(message: &[u8], old: &str, (new, version): (&str, u32)) -> Option<Vec<u8>> {
    let second = word(message, 4)?;
    let length = word(message, 12)? as usize;
    let name = message.get(16..16 + length.checked_sub(1)?)?;
    if word(message, 0)? != REGISTRY || second & 0xffff != 0 || name != old.as_bytes() {
        return None;
    }
    let mut name = new.as_bytes().to_vec();
    name.push(0);
    let length = name.len() as u32;
    name.resize(name.len().next_multiple_of(4), 0);
    // After the name stand the version and, of `bind`, the new object.
    let after = &message[16 + (word(message, 12)? as usize).next_multiple_of(4) + 4..];
    let size = (20 + name.len() + after.len()) as u32;
    let head = [REGISTRY, size << 16, word(message, 8)?, length].map(u32::to_ne_bytes).concat();
    Some([&head, &name, &version.to_ne_bytes()[..], after].concat())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}
