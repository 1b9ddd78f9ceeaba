//! A compositor that has nothing to offer: it answers what every client asks, in the wire's own bytes.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use tempfile::TempDir;

/// Listens until the program ends.
pub struct Mute {
    _dir: TempDir,
    socket: String,
}

impl Mute {
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let socket = dir.path().join("wayland-0");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap())));
        Self { _dir: dir, socket: socket.to_str().unwrap().to_owned() }
    }

    pub fn socket(&self) -> &str {
        &self.socket
    }
}

/// Until the client goes.
fn answer(mut stream: UnixStream) {
    let mut head = [0; 8];
    while stream.read_exact(&mut head).is_ok() {
        let [object, second] = [0, 4].map(|at| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap()));
        let mut arguments = vec![0; (second >> 16) as usize - 8];
        stream.read_exact(&mut arguments).unwrap();
        // `wl_display.sync` makes a callback, which is done; the registry stays empty.
        if (object, second & 0xffff) == (1, 0) {
            let callback = u32::from_ne_bytes(arguments[..4].try_into().unwrap());
            let done: Vec<u8> = [callback, 12 << 16, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
            stream.write_all(&done).unwrap();
        }
    }
}
