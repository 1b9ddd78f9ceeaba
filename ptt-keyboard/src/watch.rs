//! Showing a user what the daemon would hear: the listener's loop on sources of its own, without actor or retries.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};

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
    let job = |backend| -> (Backend, Job) {
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
        (backend, Box::new(listen))
    };
    let threads = start(backends.into_iter().map(job), stop, Builder::spawn)?;
    drop(tell);
    for (backend, heard) in heard {
        if hear(backend, heard).is_break() {
            stop.raise();
            break;
        }
    }
    join(threads);
    Ok(())
}

/// What listens through one backend until the [`Stop`] is raised.
type Job = Box<dyn FnOnce() + Send>;

/// Starts a thread for each, or none: where the system has no thread left, `stop` is raised and those that run are waited for.
fn start(
    jobs: impl Iterator<Item = (Backend, Job)>,
    stop: &Stop,
    spawn: impl Fn(Builder, Job) -> io::Result<JoinHandle<()>>,
) -> Result<Vec<JoinHandle<()>>, KeyboardError> {
    let mut threads = Vec::new();
    for (backend, job) in jobs {
        match spawn(Builder::new().name(format!("ptt-{}", backend.name())), job) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                stop.raise();
                join(threads);
                return Err(KeyboardError::os("start a thread")(error));
            }
        }
    }
    Ok(threads)
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A panic has been printed; the others go on.
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn where_one_thread_cannot_start_the_others_end() {
        let (stop, ended) = (Stop::new().unwrap(), Arc::new(AtomicBool::new(false)));
        let jobs = [Backend::Evdev, Backend::X11].map(|backend| -> (Backend, Job) {
            let (stop, ended) = (stop.clone(), Arc::clone(&ended));
            let listen = move || {
                stop.wait(None).unwrap();
                ended.store(true, Ordering::Relaxed);
            };
            (backend, Box::new(listen))
        });
        let left = Cell::new(1);
        let spawn = |builder: Builder, job| match left.replace(0) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => builder.spawn(job),
        };
        assert!(start(jobs.into_iter(), &stop, spawn).is_err());
        assert!(stop.raised() && ended.load(Ordering::Relaxed));
    }
}
