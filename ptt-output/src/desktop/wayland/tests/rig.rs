//! The real compositor of the integration tests' rig, and connections to it.

use std::env;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use super::super::Wayland;
use super::super::client::Client;
pub use sway::{LONG, Sway, await_some};

// One file for both: the package of the rigs is made of this one, so that this one cannot be made with it.
#[path = "../../../../../tests/src/rig/sway.rs"]
mod sway;

/// Starts a compositor, or says why `test` is skipped.
pub fn start(test: &str) -> Option<Sway> {
    Sway::start()
        .inspect_err(|why| {
            assert!(env::var_os("PTT_REQUIRE_RIGS").is_none(), "{test} may not be skipped: {why}");
            say(&format!("SKIPPED {test}: {why}"));
        })
        .ok()
}

pub fn connect(sway: &Sway) -> Wayland {
    Wayland::connect(&sway.socket()).unwrap()
}

/// A connection without a thread: nothing happens but in calls.
pub fn client(socket: &str) -> Client {
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    Client::new(UnixStream::connect(socket).unwrap(), Arc::new(bell)).unwrap()
}

/// Prints a line past the test runner's capture.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
