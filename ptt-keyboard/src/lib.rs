//! Chords: raw key edges in, presses and releases out.
//!
//! What lives here: the names of keys, the rules of a chord ([`chord`], pure), the sources of edges ([`source`]) with the thread
//! that reads them, and the actor that starts, stops and restarts that thread. What does not: what a press *means*. A tap, a
//! hold and a toggle are the controller's business.
//!
//! Nothing in this crate sees, keeps or logs a key that is neither in the chord nor the cancel key.
#![deny(unsafe_code)]

pub mod chord;
pub mod keys;
pub mod metrics;
pub mod source;

mod actor;
mod backoff;
mod config;
mod error;
mod key_thread;
mod listener;
mod wake;

use std::sync::Arc;

use ptt_messages::{KeyboardCommand, KeyboardEvent, Port};

pub use chord::{CancelKey, Chord, ChordEvent, ChordTracker};
pub use config::KeyboardConfig;
pub use error::KeyboardError;
pub use keys::{Key, KeyName, key_names};
pub use listener::{Heard, watch};
pub use source::driven::Driver;
pub use source::evdev::probe::{KeyDeviceInfo, list_devices};
pub use source::{Backend, KeySource};
pub use wake::Stop;

use actor::Keyboard;
use error::panic_text;
use key_thread::Opener;
use source::scripted::ScriptedSource;

/// The name of this actor in metrics.
pub const ACTOR: &str = "keyboard";

/// Starts the keyboard's actor on the current arbiter. It opens nothing until it is told to [`KeyboardCommand::Listen`].
///
/// # Errors
/// The configuration contradicts itself: the cancel key is part of the chord, or the script cannot be played.
pub fn spawn(
    config: &KeyboardConfig,
    events: Port<KeyboardEvent>,
) -> Result<Port<KeyboardCommand>, KeyboardError> {
    let watched = config.watched()?;
    if config.backend == Backend::Scripted {
        ScriptedSource::open(config, &watched, &Stop::new()?)?;
    }
    let config = config.clone();
    let (bounce, backend) = (config.bounce_ms.millis(), config.backend);
    let on = watched.clone();
    let opener: Opener = Arc::new(move |stop| source::open(&config, &on, stop));
    Ok(start(Keyboard::new(opener, watched, bounce, backend, events)))
}

/// As [`spawn`], with a key that the caller moves instead of a backend: for benchmarks and tests that run the whole daemon.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_driven(
    config: &KeyboardConfig,
    events: Port<KeyboardEvent>,
) -> Result<(Port<KeyboardCommand>, Driver), KeyboardError> {
    let watched = config.watched()?;
    let driver = Driver::new(watched.clone())?;
    let hand = driver.clone();
    let opener: Opener = Arc::new(move |stop| Ok(Box::new(hand.source(stop)) as Box<dyn KeySource>));
    let actor = Keyboard::new(opener, watched, config.bounce_ms.millis(), Backend::Scripted, events);
    Ok((start(actor), driver))
}

fn start(actor: Keyboard) -> Port<KeyboardCommand> {
    Port::start(ACTOR, 100, actor)
}
