//! A notification service (`org.freedesktop.Notifications`) on a bus of the test's own.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use zbus::interface;
use zbus::zvariant::OwnedValue;

use super::PrivateBus;
use super::desktop::Peer;

const SOON: Duration = Duration::from_secs(20);

/// The service; dropping it takes it off the bus.
#[derive(Debug)]
pub struct MockNotifications {
    _peer: Peer,
    shown: Receiver<Notification>,
}

/// What a program wants to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Who shows it.
    pub app: String,
    /// The number of the one that it replaces; 0 for none.
    pub replaces: u32,
    /// Its first line.
    pub summary: String,
    /// The rest, which may be markup.
    pub body: String,
}

impl MockNotifications {
    /// Joins the bus. The number of its first notification is 7.
    #[must_use]
    pub fn join(bus: &PrivateBus) -> Self {
        let (tell, shown) = channel();
        let service = Service { tell, last: 6 };
        let peer = Peer::join(bus, "org.freedesktop.Notifications", |builder| {
            builder.serve_at("/org/freedesktop/Notifications", service)
        });
        Self { _peer: peer, shown }
    }

    /// Waits for the next one; `None` when nobody shows one.
    #[must_use]
    pub fn shown(&self) -> Option<Notification> {
        self.shown.recv_timeout(SOON).ok()
    }
}

struct Service {
    tell: Sender<Notification>,
    last: u32,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Service {
    fn get_capabilities(&self) -> Vec<&str> {
        vec!["body", "body-markup"]
    }

    #[expect(clippy::too_many_arguments, reason = "the interface has them")]
    fn notify(
        &mut self,
        app: String,
        replaces: u32,
        _icon: &str,
        summary: String,
        body: String,
        _actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _timeout: i32,
    ) -> u32 {
        // The test may be over.
        let _ = self.tell.send(Notification { app, replaces, summary, body });
        self.last += 1;
        self.last
    }
}
