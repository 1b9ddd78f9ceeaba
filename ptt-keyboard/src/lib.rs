//! Chords: raw key edges in, presses and releases out.
//!
//! What lives here: the names of keys, the rules of a chord ([`chord`], pure), the sources of edges ([`source`]) with the thread
//! that reads them, the watch for a user who leaves ([`session`]), the request that these threads come before others ([`urgency`]),
//! and the actor that starts, stops and restarts all that. What does not: what a press *means*. A tap, a hold and a toggle are
//! the controller's business.
//!
//! Nothing in this crate keeps or logs a key that is neither in a chord nor the cancel key. The kernel (evdev) does not even
//! tell it one; an X server tells the numbers of all keys, and all but these are dropped where they are read; with `swallow` the
//! keys of an evdev keyboard are passed on as they come. The exception is the library behind [`source::inputbot`]: it has a table of
//! all keys that were ever pressed and whether they are down.
#![deny(unsafe_code)]

pub mod advice;
pub mod chord;
pub mod keys;
pub mod metrics;
pub mod source;

mod actor;
mod backoff;
mod bus;
mod config;
mod error;
mod key_thread;
mod listener;
mod session;
mod urgency;
mod wake;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use ptt_messages::{KeyboardCommand, KeyboardEvent, Port};
use tracing::warn;

pub use chord::{CancelKey, Chord, ChordEvent, ChordTracker, ProfileChord};
pub use config::KeyboardConfig;
pub use error::KeyboardError;
pub use keys::{Key, KeyName, key_names};
pub use listener::Heard;
pub use source::driven::Driver;
pub use source::evdev::probe::{KeyDeviceInfo, list_devices};
pub use source::{Backend, KeySource};
pub use wake::Stop;
pub use watch::{watch, watch_all};

use actor::Keyboard;
use bus::Address;
use error::panic_text;
use key_thread::Opener;
use source::scripted::ScriptedSource;

/// The name of this actor in metrics.
pub const ACTOR: &str = "keyboard";

/// Whether the chosen backend can see the configured keys. Opens no device.
///
/// # Errors
/// As [`spawn`], and a key that the backend has no word for.
pub fn check(config: &KeyboardConfig) -> Result<(), KeyboardError> {
    let watched = config.watched()?;
    match config.backend {
        Backend::Scripted => ScriptedSource::open(config, &watched, &Stop::new()?).map(drop),
        Backend::X11 => source::x11::check(&watched),
        Backend::Inputbot => source::inputbot::check(&watched),
        // evdev sees every key, `auto` looks on, and the others have keys of their own.
        Backend::Auto | Backend::Evdev | Backend::Portal | Backend::Control => Ok(()),
    }
}

/// Starts the keyboard's actor on the current arbiter. It opens nothing until it is told to [`KeyboardCommand::Listen`].
///
/// # Errors
/// The configuration contradicts itself: the cancel key is part of a chord, two chords are one, or the script cannot be played.
pub fn spawn(
    config: &KeyboardConfig,
    events: Port<KeyboardEvent>,
) -> Result<Port<KeyboardCommand>, KeyboardError> {
    metrics::describe();
    let watched = config.watched()?;
    if config.backend == Backend::Scripted {
        ScriptedSource::open(config, &watched, &Stop::new()?)?;
    }
    let config = config.clone();
    let (bounce, backend, session) = (config.bounce_ms.millis(), config.backend, logind(&config));
    let on = watched.clone();
    // An X server that `auto` has found is waited for when it goes: it comes back, and the next best thing would stay.
    let found = OnceLock::new();
    // Once, however often a source is opened.
    let advised = AtomicBool::new(false);
    let opener: Opener = Arc::new(move |stop| {
        let backend = *found.get().unwrap_or(&config.backend);
        let source = source::open(&KeyboardConfig { backend, ..config.clone() }, &on, stop)?;
        let backend = source.backend();
        if backend == Backend::X11 {
            let _ = found.set(backend);
        }
        if !advised.swap(true, Ordering::Relaxed) {
            for line in advice::advice(&config.chord, &config.profiles, config.swallow, backend) {
                warn!("{line}");
            }
        }
        Ok(source)
    });
    Ok(start(Keyboard::new(opener, watched, bounce, backend, session, events)))
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
    let bounce = config.bounce_ms.millis();
    let actor = Keyboard::new(opener, watched, bounce, Backend::Scripted, logind(config), events);
    Ok((start(actor), driver))
}

/// Where the user's going away is told, if it is wanted.
fn logind(config: &KeyboardConfig) -> Option<Address> {
    config.session.then_some(Address::System)
}

fn start(actor: Keyboard) -> Port<KeyboardCommand> {
    Port::start(ACTOR, 100, actor)
}
