//! Showing a user what the daemon would hear: the listener's loop on sources of its own, without actor or retries.

use std::ops::ControlFlow;
use std::sync::mpsc::channel;

use crate::chord::ChordTracker;
use crate::listener::{Heard, listen};
use crate::source::{self, AUTO, Backend};
use crate::wake::Stop;
use crate::{KeyboardConfig, KeyboardError};

/// Opens the configured source and tells what it hears, on the calling thread, until `hear` breaks, `stop` is raised or the source
/// fails. For showing a user what the daemon would hear.
///
/// # Errors
/// The source could not be opened, or broke.
pub fn watch(
    config: &KeyboardConfig,
    stop: &Stop,
    mut hear: impl FnMut(Heard) -> ControlFlow<()>,
) -> Result<(), KeyboardError> {
    let watched = config.watched()?;
    let mut source = source::open(config, &watched, stop)?;
    let mut tracker = ChordTracker::new(&watched, config.bounce_ms.millis());
    if hear(Heard::Listening(source.backend())).is_break() {
        return Ok(());
    }
    listen(&mut *source, None, &mut tracker, &watched, stop, &mut hear)
}

/// As [`watch`] through every backend at once that reads keys, where the configuration leaves the choice open; else through the
/// chosen one. A backend that cannot be used tells why and is silent then. Ends when all of them have, `hear` breaks or `stop`
/// is raised.
///
/// # Errors
/// The chord and the cancel key contradict each other, or the system has no thread left.
pub fn watch_all(
    config: &KeyboardConfig,
    stop: &Stop,
    mut hear: impl FnMut(Backend, Result<Heard, KeyboardError>) -> ControlFlow<()>,
) -> Result<(), KeyboardError> {
    config.watched()?;
    let backends: Vec<Backend> = if config.backend == Backend::Auto {
        // The portal would open its dialog: it is watched only where it is chosen.
        AUTO.into_iter().filter(|backend| !matches!(backend, Backend::Portal | Backend::Control)).collect()
    } else {
        vec![config.backend]
    };
    let (tell, heard) = channel();
    let mut threads = Vec::new();
    for backend in backends {
        let config = KeyboardConfig { backend, ..config.clone() };
        let (tell, stop) = (tell.clone(), stop.clone());
        let listen = move || {
            let end = watch(&config, &stop, |heard| match tell.send((backend, Ok(heard))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            });
            // Nobody listens any more when this cannot be told.
            let _ = end.map_err(|error| tell.send((backend, Err(error))));
        };
        let thread = std::thread::Builder::new().name(format!("ptt-{}", backend.name())).spawn(listen);
        threads.push(thread.map_err(KeyboardError::os("start a thread"))?);
    }
    drop(tell);
    for (backend, heard) in heard {
        if hear(backend, heard).is_break() {
            stop.raise();
            break;
        }
    }
    for thread in threads {
        // A panic has been printed; the others go on.
        let _ = thread.join();
    }
    Ok(())
}
