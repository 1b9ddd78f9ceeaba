//! From configuration to exit code: the system, the signals, the end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{System, SystemRunner};
use ptt_messages::{ControllerCommand, KeyboardEvent, Moment, Profile, StateName};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use tracing::{error, info, warn};

use crate::board::Board;
use crate::builder::{App, AppBuilder};
use crate::config::Config;
use crate::control::{Doors, Server};
use crate::exit_code::{Exit, Failure};
use crate::runtime_dir::{DaemonLock, runtime_dir};
use crate::telemetry;

/// How long a running take may still take when the daemon is asked to end; less than `TimeoutStopSec` of its unit.
const FAREWELL: Duration = Duration::from_secs(4);
/// How long a running take may hold up a new configuration.
const RELOAD_PATIENCE: Duration = Duration::from_secs(120);

/// Reads the configuration again, for SIGHUP.
pub type Reload = Arc<dyn Fn() -> Result<Config, Failure> + Send + Sync>;

/// Runs the daemon until it is asked to end. `build` turns a configuration into a builder, with a custom build's actors
/// in it; it is called again after SIGHUP.
///
/// # Errors
/// Why it could not start, or what ended it.
pub fn run(
    config: Config,
    reload: Reload,
    build: impl Fn(Config) -> AppBuilder,
) -> Result<ExitCode, Failure> {
    telemetry::start_log(&config.log)?;
    log_panics();
    let dir = runtime_dir()?;
    let _lock = DaemonLock::take(&dir)?;
    telemetry::start_metrics(&config.metrics);
    let (mut config, mut old) = (config, None);
    loop {
        let again = Arc::new(Next::default());
        let running = match Running::start(&dir, build(config.clone()), &reload, &again) {
            Ok(running) => running,
            Err(failure) => {
                // A configuration can be good and name what is not there.
                let Some(old) = old.take() else { return Err(failure) };
                warn!(%failure, "the new configuration does not start; the old one stays");
                config = old;
                continue;
            }
        };
        let code = running.until_its_end()?;
        let Some(new) = again.take() else { return Ok(code) };
        info!("starting again with the new configuration");
        if (&new.log, &new.metrics) != (&config.log, &config.metrics) {
            warn!("sections [log] and [metrics] count only from the next start of the program");
        }
        old = Some(std::mem::replace(&mut config, new));
    }
}

/// Starts the actors of `builder` on a system of their own and runs `then` on another thread beside them, until it
/// returns. For commands that need a whole daemon inside themselves.
///
/// # Errors
/// Why an actor could not be started, or what `then` returns.
pub fn run_beside<T: Send + 'static>(
    builder: AppBuilder,
    then: impl FnOnce(App) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    run_beside_all(vec![builder], |mut apps| then(apps.remove(0)))
}

/// The same with several daemons on one system, in the order of their builders: for comparisons.
///
/// # Errors
/// As [`run_beside`].
pub fn run_beside_all<T: Send + 'static>(
    builders: Vec<AppBuilder>,
    then: impl FnOnce(Vec<App>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let system = System::new();
    let spawned: Result<Vec<App>, Failure> =
        system.block_on(async { builders.into_iter().map(AppBuilder::spawn).collect() });
    let apps = spawned?;
    let handle = system.block_on(async { System::current() });
    let worker = std::thread::Builder::new()
        .name("ptt-command".into())
        .spawn(move || {
            let done = then(apps);
            handle.stop();
            done
        })
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot start a thread: {e}")))?;
    let code = system.run_with_code().map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
    if code == i32::from(Exit::Panicked.code()) {
        return Err(Failure::new(Exit::Panicked, "internal error: an actor died; see the log above"));
    }
    worker
        .join()
        .unwrap_or_else(|_| Err(Failure::new(Exit::Panicked, "internal error: the command panicked")))
}

/// A daemon whose parts have all started.
struct Running {
    system: SystemRunner,
    server: Server,
    signals: Handle,
}

impl Running {
    fn start(dir: &Path, builder: AppBuilder, reload: &Reload, again: &Arc<Next>) -> Result<Self, Failure> {
        let once = builder.config.controller.once;
        let system = System::new();
        let app = system.block_on(async { builder.spawn() })?;
        let doors = Doors {
            keys: app.inbox.keyboard.clone(),
            commands: app.inbox.commands.clone(),
            board: Arc::clone(&app.board),
        };
        let server = Server::start(dir, doors)?;
        let stopper = system.block_on(async { System::current() });
        let signals = watch_signals(&app, &stopper, Arc::clone(reload), Arc::clone(again))?;
        if once {
            end_after_one_take(&app.board, &stopper)?;
        }
        app.inbox.commands.post(ControllerCommand::Enable);
        Ok(Self { system, server, signals })
    }

    fn until_its_end(self) -> Result<ExitCode, Failure> {
        let code = self.system.run_with_code().map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
        self.signals.close();
        drop(self.server);
        match u8::try_from(code) {
            Ok(0) => Ok(ExitCode::SUCCESS),
            Ok(code) if code == Exit::Panicked.code() => {
                Err(Failure::new(Exit::Panicked, "internal error: an actor died; see the log above"))
            }
            Ok(code) => Ok(ExitCode::from(code)),
            Err(_) => Err(Failure::new(Exit::Failed, "the actor system ended by itself")),
        }
    }
}

/// The configuration to start again with, if that is why the system stopped.
#[derive(Debug, Default)]
struct Next(std::sync::Mutex<Option<Config>>);

impl Next {
    fn put(&self, config: Config) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(config);
    }

    fn take(&self) -> Option<Config> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

fn watch_signals(app: &App, system: &System, reload: Reload, again: Arc<Next>) -> Result<Handle, Failure> {
    let failed = |e: std::io::Error| Failure::new(Exit::Failed, format!("cannot watch signals: {e}"));
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(failed)?;
    let handle = signals.handle();
    let (app, system) = (app.clone(), system.clone());
    let ending = Arc::new(AtomicBool::new(false));
    std::thread::Builder::new()
        .name("ptt-signals".into())
        .spawn(move || {
            for signal in &mut signals {
                if signal == SIGHUP {
                    match reload() {
                        Ok(config) => {
                            info!("SIGHUP: the new configuration is good; it starts when no take runs");
                            again.put(config);
                            stop_when_idle(&app, &system, RELOAD_PATIENCE);
                        }
                        Err(error) => warn!(%error, "SIGHUP: the configuration is wrong; the old one stays"),
                    }
                } else if ending.swap(true, Ordering::AcqRel) {
                    // Asked twice: now.
                    system.stop_with_code(i32::from(Exit::Failed.code()));
                } else {
                    info!("ending");
                    again.take();
                    // Whoever speaks stops here, and what was said so far becomes text. Anything else begins no take
                    // by this: the daemon no longer listens when it comes.
                    let at = Moment::now();
                    app.inbox.commands.post_patiently(ControllerCommand::Disable);
                    app.inbox
                        .keyboard
                        .post_patiently(KeyboardEvent::Toggled { at, profile: Profile::DEFAULT });
                    stop_when_idle(&app, &system, FAREWELL);
                }
            }
        })
        .map_err(failed)?;
    Ok(handle)
}

/// Lets a running take finish and its text get out, but not for longer than `patience`; on a thread of its own, so that
/// a second signal is seen.
fn stop_when_idle(app: &App, system: &System, patience: Duration) {
    let (app, system) = (app.clone(), system.clone());
    let stop = move || {
        app.inbox.commands.post_patiently(ControllerCommand::Disable);
        if !app.board.wait_until(patience, |s| s.state == StateName::Idle && s.undelivered.is_empty()) {
            warn!("a take did not end in time, or its text did not get out, and is lost");
        }
        system.stop();
    };
    if let Err(error) = std::thread::Builder::new().name("ptt-farewell".into()).spawn(stop) {
        error!(%error, "cannot wait for the running take");
    }
}

/// `--once`: one take that was more than a tap, then the end.
fn end_after_one_take(board: &Arc<Board>, system: &System) -> Result<(), Failure> {
    let events = board.follow();
    let system = system.clone();
    std::thread::Builder::new()
        .name("ptt-once".into())
        .spawn(move || {
            if let Some(code) = crate::commands::outcome_of_one_take(&events) {
                system.stop_with_code(i32::from(code.code()));
            }
        })
        .map(|_| ())
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot start a thread: {e}")))
}

/// A panic is a bug: it goes to the log with its place. What follows from it is decided elsewhere (the engine's worker
/// catches its own, [`crate::wiring`] ends the process for an actor's).
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        // The payload could hold anything, a text included: the place is what a report needs.
        error!(place, thread = std::thread::current().name(), "panic");
    }));
}
