//! rtkit without polkit: a service on the private bus that gives a thread a priority as rtkit does, with rtkit's limits.
//! Who is not root, or not of a whole kernel, gets none from it.

use std::fs::read_to_string;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use zbus::fdo::{Error, Result};
use zbus::interface;

use super::PrivateBus;
use super::desktop::Peer;

const SOON: Duration = Duration::from_secs(20);
/// rtkit's own limits.
const LOWEST_NICE: i32 = -15;
const HIGHEST_REALTIME: u32 = 20;
const LONGEST_RUN_US: u64 = 200_000;

/// The service; dropping it takes it off the bus. What it gave stays.
#[derive(Debug)]
pub struct RealtimeKit {
    _peer: Peer,
    given: Receiver<String>,
}

impl RealtimeKit {
    /// Joins the bus.
    #[must_use]
    pub fn join(bus: &PrivateBus) -> Self {
        Self::serve(bus, true)
    }

    /// Joins the bus, refuses realtime priorities and only notes who is given a high one: for machines where nobody may give any.
    #[must_use]
    pub fn without_realtime(bus: &PrivateBus) -> Self {
        Self::serve(bus, false)
    }

    fn serve(bus: &PrivateBus, realtime: bool) -> Self {
        let (tell, given) = channel();
        let peer = Peer::join(bus, "org.freedesktop.RealtimeKit1", |builder| {
            builder.serve_at("/org/freedesktop/RealtimeKit1", Service { tell, realtime })
        });
        Self { _peer: peer, given }
    }

    /// Waits until it has given a thread its priority: the thread's name, and "realtime" or "high".
    ///
    /// # Panics
    /// When nobody asks.
    #[must_use]
    pub fn given(&self) -> String {
        self.given.recv_timeout(SOON).expect("somebody asks for a high priority")
    }

    /// The same, when it has done so by now.
    #[must_use]
    pub fn gave(&self) -> Option<String> {
        self.given.try_recv().ok()
    }
}

struct Service {
    tell: Sender<String>,
    realtime: bool,
}

#[interface(name = "org.freedesktop.RealtimeKit1")]
impl Service {
    #[zbus(property, name = "RTTimeUSecMax")]
    fn longest_run_us(&self) -> i64 {
        LONGEST_RUN_US.cast_signed()
    }

    fn make_thread_realtime(&self, thread: u64, priority: u32) -> Result<()> {
        if !self.realtime || priority > HIGHEST_REALTIME || !runs_are_bounded(thread) {
            return Err(denied());
        }
        run("chrt", &["--rr", "--reset-on-fork", "--pid", &priority.to_string(), &thread.to_string()])?;
        self.tell(thread, "realtime")
    }

    fn make_thread_high_priority(&self, thread: u64, nice: i32) -> Result<()> {
        if nice < LOWEST_NICE {
            return Err(denied());
        }
        if self.realtime {
            let (nice, id) = (nice.to_string(), thread.to_string());
            run("chrt", &["--other", "--reset-on-fork", "--pid", "0", &id])?;
            run("renice", &["-n", &nice, "-p", &id])?;
        }
        self.tell(thread, "high")
    }
}

impl Service {
    fn tell(&self, thread: u64, priority: &str) -> Result<()> {
        let name = read_to_string(format!("/proc/{thread}/comm")).map_err(failed)?;
        // Nobody may be waiting for it.
        let _ = self.tell.send(format!("{} {priority}", name.trim()));
        Ok(())
    }
}

/// Whether the kernel ends the thread's process when it computes for longer than rtkit allows.
fn runs_are_bounded(thread: u64) -> bool {
    let limits = read_to_string(format!("/proc/{thread}/limits")).unwrap_or_default();
    let hard =
        limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout")?.split_whitespace().nth(1));
    hard.and_then(|hard| hard.parse().ok()).is_some_and(|hard: u64| hard <= LONGEST_RUN_US)
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    match Command::new(program).args(args).output() {
        Ok(done) if done.status.success() => Ok(()),
        _ => Err(Error::Failed(program.to_owned())),
    }
}

fn denied() -> Error {
    Error::AccessDenied("Operation not permitted".to_owned())
}

fn failed(error: std::io::Error) -> Error {
    Error::Failed(error.to_string())
}
