//! rtkit without polkit: a service on the private bus that gives a thread a high priority as rtkit does, with rtkit's limit.
//! Who is not root, or not of a whole kernel, gets none from it.

use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use zbus::fdo::{Error, Result};
use zbus::interface;

use super::PrivateBus;
use super::desktop::Peer;

const SOON: Duration = Duration::from_secs(20);
/// rtkit's own limit.
const LOWEST_NICE: i32 = -15;

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
        self.given.recv_timeout(SOON).expect("somebody asks for a high priority")
    }

    /// Whether it has given a thread its priority by now.
    #[must_use]
    pub fn gave(&self) -> bool {
        self.given.try_recv().is_ok()
    }
}

struct Service {
    tell: Sender<String>,
}

#[interface(name = "org.freedesktop.RealtimeKit1")]
impl Service {
    fn make_thread_high_priority(&self, thread: u64, nice: i32) -> Result<()> {
        if nice < LOWEST_NICE {
            return Err(Error::AccessDenied("Operation not permitted".to_owned()));
        }
        let (nice, id) = (nice.to_string(), thread.to_string());
        let run = |program: &str, args: &[&str]| match Command::new(program).args(args).output() {
            Ok(done) if done.status.success() => Ok(()),
            _ => Err(Error::Failed(program.to_owned())),
        };
        run("chrt", &["--other", "--reset-on-fork", "--pid", "0", &id])?;
        run("renice", &["-n", &nice, "-p", &id])?;
        let name = std::fs::read_to_string(format!("/proc/{thread}/comm"))
            .map_err(|error| Error::Failed(error.to_string()))?;
        // Nobody may be waiting for it.
        let _ = self.tell.send(name.trim().to_owned());
        Ok(())
    }
}
