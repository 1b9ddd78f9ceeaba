//! rtkit without polkit: a service on the private bus that gives a thread realtime priority as rtkit does, with rtkit's condition.
//! Needs to be root of a whole kernel, so it is of use in the kernel rig only.

use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use zbus::fdo::{Error, Result};
use zbus::interface;

use super::PrivateBus;
use super::desktop::Peer;

const SOON: Duration = Duration::from_secs(20);
/// rtkit's own limits.
const LONGEST_RUN_US: u64 = 200_000;
const HIGHEST_PRIORITY: u32 = 20;

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
        let (tell, given) = channel();
        let peer = Peer::join(bus, "org.freedesktop.RealtimeKit1", |builder| {
            builder.serve_at("/org/freedesktop/RealtimeKit1", Service { tell })
        });
        Self { _peer: peer, given }
    }

    /// Waits until it has given a thread its priority: the thread's name.
    ///
    /// # Panics
    /// When nobody asks.
    #[must_use]
    pub fn given(&self) -> String {
        self.given.recv_timeout(SOON).expect("somebody asks for realtime priority")
    }
}

struct Service {
    tell: Sender<String>,
}

#[interface(name = "org.freedesktop.RealtimeKit1")]
impl Service {
    #[expect(clippy::needless_pass_by_value, reason = "zbus calls it")]
    fn make_thread_realtime(&self, thread: u64, priority: u32) -> Result<()> {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{thread}/{file}"))
                .map_err(|e| Error::Failed(e.to_string()))
        };
        let limits = read("limits")?;
        let line = limits.lines().find(|line| line.starts_with("Max realtime timeout"));
        // Name, soft limit, hard limit, unit.
        let hard = line.and_then(|line| line.split_whitespace().nth(4)?.parse::<u64>().ok());
        if priority > HIGHEST_PRIORITY || hard.is_none_or(|us| us > LONGEST_RUN_US) {
            return Err(Error::AccessDenied("Operation not permitted".to_owned()));
        }
        let (priority, id) = (priority.to_string(), thread.to_string());
        let given = Command::new("chrt").args(["--rr", "--reset-on-fork", "--pid", &priority, &id]).output();
        if !given.is_ok_and(|done| done.status.success()) {
            return Err(Error::Failed("chrt".to_owned()));
        }
        // Nobody may be waiting for it.
        let _ = self.tell.send(read("comm")?.trim().to_owned());
        Ok(())
    }
}
