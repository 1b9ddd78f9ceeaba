//! From configuration to exit code: the system, the signals, the end. How a daemon makes room for
//! the next one or ends stands in [`supervisor`].

mod supervisor;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{System, SystemRunner};
use ptt_controller::HandoverSlot;
use ptt_messages::{ControllerCommand, Moment, StateName};
use tracing::{error, info, warn};

use self::supervisor::{Current, Supervisor};
use crate::board::Board;
use crate::builder::{App, AppBuilder};
use crate::config::Config;
use crate::control::{Doors, Gate, Server};
use crate::exit_code::{Exit, Failure};
use crate::profile::Profiles;
use crate::runtime_dir::{DaemonLock, runtime_dir};
use crate::{preflight, telemetry};

/// How long requests wait for a daemon to listen after its start; it takes some milliseconds.
const TO_LISTEN: Duration = Duration::from_secs(2);

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
    let first = build(config.clone());
    first.check()?;
    telemetry::start_metrics(&config.metrics);
    let stock = first.stock;
    let checked: Reload = Arc::new(move || {
        let config = reload()?;
        preflight::check(&config, stock)?;
        Ok(config)
    });
    let gate = Arc::new(Gate::default());
    let supervisor = Supervisor::start(Arc::clone(&gate), checked)?;
    // Dropped before the lock: the socket is this daemon's as long as it is there.
    let server = Server::start(&dir, Arc::clone(&gate))?;
    let mut memory = HandoverSlot::default();
    let ended = one_after_the_other(first, config, &build, &supervisor, &mut memory);
    gate.end();
    drop(server);
    supervisor.close();
    tell_what_is_lost(&memory);
    ended
}

/// Runs a daemon, and the next one each time there is a new configuration. `memory` is what the last
/// one remembers.
fn one_after_the_other(
    first: AppBuilder,
    mut config: Config,
    build: &impl Fn(Config) -> AppBuilder,
    supervisor: &Arc<Supervisor>,
    memory: &mut HandoverSlot,
) -> Result<ExitCode, Failure> {
    let mut profiles = Profiles::of(&config);
    let mut board = Arc::new(Board::new(profiles.clone()));
    let (mut builder, mut old, mut once) = (first, None, false);
    loop {
        if config.controller.once && !std::mem::replace(&mut once, true) {
            end_after_one_take(&board, supervisor)?;
        }
        builder.board = Some(Arc::clone(&board));
        let slot = builder.handover.clone();
        if let Some(handover) = memory.take() {
            slot.put(handover);
        }
        *memory = slot;
        match Running::start(builder, supervisor, memory) {
            Ok(running) => {
                let code = running.until_its_end(supervisor)?;
                let Some(new) = supervisor.next() else { return Ok(code) };
                info!("starting again with the new configuration");
                if (&new.log, &new.metrics) != (&config.log, &config.metrics) {
                    warn!("sections [log] and [metrics] count only from the next start of the program");
                }
                old = Some(std::mem::replace(&mut config, new));
            }
            Err(failure) => {
                // A configuration can be good and name what is not there.
                let Some(old) = old.take() else { return Err(failure) };
                warn!(%failure, "the new configuration does not start; the old one stays");
                config = old;
            }
        }
        let named = Profiles::of(&config);
        renumber(memory, &profiles, &named);
        board = Arc::new(board.successor(named.clone()));
        profiles = named;
        builder = build(config.clone());
    }
}

/// What is remembered belongs to profiles by their names; one that is gone leaves it to the default one.
fn renumber(memory: &HandoverSlot, old: &Profiles, new: &Profiles) {
    if let Some(mut handover) = memory.take() {
        handover.renumber(|profile| new.find(&old.name(profile)).unwrap_or_default());
        memory.put(handover);
    }
}

/// However the daemon ends: what only `retry` could have brought back is gone with it.
fn tell_what_is_lost(memory: &HandoverSlot) {
    let Some(kept) = memory.read(|handover| handover.kept(Moment::now())) else { return };
    if !kept.is_empty() {
        warn!(
            texts = kept.texts,
            recordings = kept.recordings,
            "ending with {kept} kept for `ptt-app retry`, which are lost"
        );
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
}

impl Running {
    fn start(
        builder: AppBuilder,
        supervisor: &Arc<Supervisor>,
        memory: &HandoverSlot,
    ) -> Result<Self, Failure> {
        // One that the user has switched off stays so under a new configuration.
        let enabled = memory.read(ptt_controller::Handover::is_enabled).unwrap_or(true);
        let system = System::new();
        let app = system.block_on(async { builder.spawn() })?;
        let stopper = system.block_on(async { System::current() });
        let doors = Doors {
            keys: app.inbox.keyboard.clone(),
            commands: app.inbox.commands.clone(),
            board: Arc::clone(&app.board),
        };
        if enabled {
            app.inbox.commands.post(ControllerCommand::Enable);
            system.block_on(to_listen(&app.board));
        }
        supervisor.gate.open(doors);
        supervisor.runs(Current { app, system: stopper });
        Ok(Self { system })
    }

    fn until_its_end(self, supervisor: &Supervisor) -> Result<ExitCode, Failure> {
        let ended = self.system.run_with_code();
        supervisor.runs_no_more();
        let code = ended.map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
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

/// Lets the actors run until the daemon listens: a press that waited for it is not to be refused.
async fn to_listen(board: &Board) {
    let until = Instant::now() + TO_LISTEN;
    while board.status().state == StateName::Idle && Instant::now() < until {
        actix::clock::sleep(Duration::from_millis(1)).await;
    }
}

/// `--once`: one take that was more than a tap, then the end.
fn end_after_one_take(board: &Board, supervisor: &Arc<Supervisor>) -> Result<(), Failure> {
    let events = board.follow();
    let supervisor = Arc::clone(supervisor);
    std::thread::Builder::new()
        .name("ptt-once".into())
        .spawn(move || {
            if let Some(code) = crate::commands::outcome_of_one_take(&events) {
                supervisor.stop(code);
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
