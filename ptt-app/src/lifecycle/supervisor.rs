//! Who ends a daemon, and why: the signals, and the thread that replaces the daemon when it has a new
//! configuration. They live as long as the process, so that no signal is lost between two daemons.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use actix::System;
use ptt_controller::HandOver;
use ptt_messages::{ControllerCommand, KeyboardEvent, Moment, Profile, StateName};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use tracing::{error, info, warn};

use super::Reload;
use crate::board::Status;
use crate::builder::App;
use crate::config::Config;
use crate::control::Gate;
use crate::exit_code::{Exit, Failure};

/// How long a running take may still take when the daemon is asked to end; less than `TimeoutStopSec` of its unit.
const FAREWELL: Duration = Duration::from_secs(4);
/// How long a text on its way may hold up a new configuration; then it is kept for `retry`. A take
/// holds it up for as long as it lasts.
const DELIVERY: Duration = Duration::from_secs(120);
/// How long the controller may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// After a press that came at the last moment.
const ONCE_MORE: Duration = Duration::from_millis(20);
/// How soon it is noticed that the daemon ends meanwhile.
const GLANCE: Duration = Duration::from_millis(500);

/// What the daemons of this process, one after the other, have in common.
pub(super) struct Supervisor {
    pub gate: Arc<Gate>,
    state: Mutex<State>,
    ending: AtomicBool,
    signals: Handle,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// The configuration of the daemon that is to follow.
    next: Option<Config>,
}

/// The daemon that runs now.
#[derive(Clone)]
pub(super) struct Current {
    pub app: App,
    pub system: System,
}

impl Supervisor {
    /// Watches the signals from now on. `reload` gives a checked configuration.
    pub fn start(gate: Arc<Gate>, reload: Reload) -> Result<Arc<Self>, Failure> {
        let failed = |e: std::io::Error| Failure::new(Exit::Failed, format!("cannot watch signals: {e}"));
        let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(failed)?;
        let supervisor = Arc::new(Self {
            gate,
            state: Mutex::default(),
            ending: AtomicBool::new(false),
            signals: signals.handle(),
        });
        let (ask, asked) = channel();
        let (own, others) = (Arc::clone(&supervisor), Arc::clone(&supervisor));
        thread::Builder::new()
            .name("ptt-signals".into())
            .spawn(move || own.watch(signals, &ask))
            .map_err(failed)?;
        // Apart from the signals: a model that is read for minutes must not hold up an end.
        thread::Builder::new()
            .name("ptt-reload".into())
            .spawn(move || others.reload(&asked, &reload))
            .map_err(failed)?;
        Ok(supervisor)
    }

    /// This daemon runs from now on.
    pub fn runs(&self, current: Current) {
        self.lock().current = Some(current);
        // Asked to end while it started.
        if self.ending.load(Ordering::Acquire) {
            self.end();
        }
    }

    /// No daemon runs.
    pub fn runs_no_more(&self) {
        self.gate.remove();
        self.lock().current = None;
    }

    /// The configuration of the daemon that is to follow the one that ended; `None` for the end.
    pub fn next(&self) -> Option<Config> {
        self.lock().next.take().filter(|_| !self.ending.load(Ordering::Acquire))
    }

    /// Ends the running daemon with this code.
    pub fn stop(&self, code: Exit) {
        if let Some(current) = &self.lock().current {
            current.system.stop_with_code(i32::from(code.code()));
        }
    }

    /// Ends the threads.
    pub fn close(&self) {
        self.signals.close();
    }

    fn watch(&self, mut signals: Signals, ask: &Sender<()>) {
        for signal in &mut signals {
            if signal == SIGHUP {
                // The thread may have ended with the process.
                let _ = ask.send(());
            } else if self.ending.swap(true, Ordering::AcqRel) {
                // Asked twice: now.
                if self.lock().current.is_none() {
                    std::process::exit(i32::from(Exit::Failed.code()));
                }
                self.stop(Exit::Failed);
            } else {
                info!("ending");
                self.end();
            }
        }
    }

    /// Whoever speaks stops here, and what was said so far becomes text. Anything else begins no take
    /// by this: the daemon no longer listens when it comes.
    fn end(&self) {
        let Some(Current { app, system }) = self.lock().current.clone() else { return };
        let farewell = move || {
            let at = Moment::now();
            app.inbox.commands.post_patiently(ControllerCommand::Disable);
            app.inbox.keyboard.post_patiently(KeyboardEvent::Toggled { at, profile: Profile::DEFAULT });
            if !app.board.wait_until(FAREWELL, |s| s.state == StateName::Idle && s.undelivered.is_empty()) {
                warn!("a take did not end in time, or its text did not get out, and is lost");
            }
            system.stop();
        };
        // So that a second signal is seen.
        if let Err(error) = thread::Builder::new().name("ptt-farewell".into()).spawn(farewell) {
            error!(%error, "cannot wait for the running take");
        }
    }

    /// Replaces the daemon each time it is asked for. The newest configuration counts, also while an
    /// older one waits for its turn.
    fn reload(&self, asked: &Receiver<()>, load: &Reload) {
        let mut again = asked.recv().is_ok();
        while again {
            while asked.try_recv().is_ok() {}
            again = match load() {
                Ok(config) => {
                    info!("SIGHUP: the new configuration is good; it starts when no take runs");
                    self.replace(config, asked)
                }
                Err(error) => {
                    warn!(%error, "SIGHUP: the configuration is wrong; the old one stays");
                    false
                }
            } || asked.recv().is_ok();
        }
    }

    /// Ends the running daemon for another one as soon as that interrupts nothing. Returns whether it
    /// was asked for once more instead.
    fn replace(&self, config: Config, asked: &Receiver<()>) -> bool {
        let mut undelivered_since = None;
        while !self.ending.load(Ordering::Acquire) {
            if asked.try_recv().is_ok() {
                return true;
            }
            let Some(Current { app, system }) = self.lock().current.clone() else {
                // It starts.
                thread::sleep(ONCE_MORE);
                continue;
            };
            let calm = app.board.wait_until(GLANCE, |s| is_between_takes(s) && s.undelivered.is_empty());
            if !calm {
                let only_a_text = is_between_takes(&app.board.status());
                let since = undelivered_since.filter(|_| only_a_text).unwrap_or_else(Instant::now);
                undelivered_since = Some(since);
                if since.elapsed() < DELIVERY {
                    continue;
                }
                warn!("a text is on its way for {DELIVERY:?}; it is kept for `ptt-app retry`");
            }
            let closed = self.gate.close(ANSWER);
            if calm && !(closed && has_handed_over(&app)) {
                self.gate.reopen();
                thread::sleep(ONCE_MORE);
                continue;
            }
            let mut state = self.lock();
            state.next = Some(config);
            // Nobody is to ask it any more.
            state.current = None;
            drop(state);
            system.stop();
            return false;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn is_between_takes(status: &Status) -> bool {
    matches!(status.state, StateName::Idle | StateName::WaitingForKey)
}

/// Whether the controller has ended its work. A press that came just before is a take, and it has not.
fn has_handed_over(app: &App) -> bool {
    let (answer, answered) = sync_channel(1);
    app.inbox.hand_over.post_patiently(HandOver { answer }) && answered.recv_timeout(ANSWER).unwrap_or(false)
}
