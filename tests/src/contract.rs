//! The promises of each role, as `ptt-messages` documents them: what a crate that replaces one of ours must keep.
//!
//! A suite takes a function that starts the actor, wired to the port of its events, and checks one promise after the
//! other, each on a fresh actor. It runs inside an actix system (`#[actix::test]`). Suites of roles that own threads take
//! real time; the controller's runs on paused time. A broken promise panics, under the promise's heading, and an answer that
//! does not come is one too: every wait has a limit. All suites also watch that no handler blocks the thread.

mod controller;
mod feedback;
mod keyboard;
mod output;
mod recorder;
mod resources;
mod responsive;
mod stt;

pub use controller::controller;
pub use feedback::feedback;
pub use keyboard::{keyboard, keyboard_within};
pub use output::{output, output_that_fails};
pub use recorder::{recorder, recorder_without_a_microphone};
pub use resources::resources;
pub use stt::{speech_segment, stt, stt_within};

use ptt_messages::{Component, Fault};

use responsive::responsive;

/// Heads what follows in the output of a failed test.
#[expect(clippy::print_stdout, reason = "the test runner shows it when the promise is broken")]
fn promise(role: &str, what: &str) {
    println!("promise of the {role}: {what}");
}

/// A fault must say where it comes from and something to the user.
fn assert_tells(fault: &Fault, from: Component) {
    assert_eq!(fault.component, from, "{fault:?}");
    assert!(fault.message.len() > 10 && !fault.message.contains('\n'), "one line for the user: {fault:?}");
}
