//! The connection to the compositor: what it offers, and waiting for its events with a time limit.
//!
//! What events change stands in [`World`], where the modules of their protocols put it.

use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use wayland_client::backend::WaylandError;
use wayland_client::protocol::wl_callback::{self, WlCallback};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_seat::{self, WlSeat};
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle, WEnum};

use super::NAME;
use super::clipboard::Clipboard;
use super::toplevel::Toplevels;
use super::transfer::Transfers;
use crate::desktop::backlog::{Backlog, Watch};
use crate::error::OutputError;

/// How long a compositor may take to answer. One that does not is stopped or overloaded, and a user waits.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A connection, its events and what they have changed.
pub(super) struct Client {
    connection: Connection,
    queue: EventQueue<World>,
    registry: WlRegistry,
    seat: Option<WlSeat>,
    bell: Arc<OwnedFd>,
    /// What the compositor's programs have not read, where the kernel tells.
    pub backlog: Option<Backlog>,
    pub world: World,
}

/// What events have changed.
#[derive(Default)]
pub(super) struct World {
    globals: Vec<Global>,
    /// The highest number that came back.
    answered: u32,
    /// Whether the seat has a keyboard, ours included.
    pub has_keyboard: bool,
    /// Whether the bell rang.
    pub rung: bool,
    pub clipboard: Clipboard,
    pub transfers: Transfers,
    pub toplevels: Toplevels,
}

#[derive(Debug)]
struct Global {
    name: u32,
    interface: String,
    version: u32,
}

impl Client {
    /// Talks to the compositor at the other end of `stream`. What is written to `bell` ends a wait for it.
    pub fn new(stream: UnixStream, bell: Arc<OwnedFd>) -> Result<Self, OutputError> {
        let connection = Connection::from_socket(stream).map_err(lost)?;
        let queue = connection.new_event_queue();
        let registry = connection.display().get_registry(&queue.handle(), ());
        let backlog = None;
        let world = World::default();
        let mut client = Self { connection, queue, registry, seat: None, bell, backlog, world };
        client.sync()?;
        client.seat = client.bind(1..=5, ());
        // The seat says what it has.
        client.sync()?;
        Ok(client)
    }

    /// The seat, where there is one.
    pub fn seat(&self) -> Option<&WlSeat> {
        self.seat.as_ref()
    }

    /// Begins to watch what programs have not read.
    pub fn watch(&mut self) -> Option<Watch> {
        // Asked anew where there was no other program yet.
        if self.backlog.is_none() {
            self.backlog = Backlog::new(self.connection.as_fd());
        }
        self.backlog.as_ref()?.watch()
    }

    pub fn queue(&self) -> QueueHandle<World> {
        self.queue.handle()
    }

    /// Whether the compositor offers objects of a kind.
    pub fn has<I: Proxy>(&self) -> bool {
        self.world.globals.iter().any(|global| global.interface == I::interface().name)
    }

    /// An object of a kind that the compositor offers, in the highest of these versions that both know.
    pub fn bind<I, U>(&self, versions: std::ops::RangeInclusive<u32>, data: U) -> Option<I>
    where
        I: Proxy + 'static,
        U: Send + Sync + 'static,
        World: Dispatch<I, U>,
    {
        let wanted = I::interface().name;
        let global = self.world.globals.iter().find(|global| global.interface == wanted)?;
        let version = global.version.min(*versions.end());
        versions
            .contains(&version)
            .then(|| self.registry.bind(global.name, version, &self.queue.handle(), data))
    }

    /// Sends what was requested and waits until the compositor has acted on all of it.
    pub fn sync(&mut self) -> Result<(), OutputError> {
        let number = self.world.answered.wrapping_add(1);
        self.connection.display().sync(&self.queue.handle(), number);
        let until = Instant::now() + ANSWER_LIMIT;
        if self.wait(Some(until), |world| world.answered == number)? {
            Ok(())
        } else {
            Err(lost(format_args!("it did not answer within {ANSWER_LIMIT:?}")))
        }
    }

    /// Handles events until `done` says so, or until the time comes: `false` then.
    pub fn wait(
        &mut self,
        until: Option<Instant>,
        mut done: impl FnMut(&World) -> bool,
    ) -> Result<bool, OutputError> {
        loop {
            self.queue.dispatch_pending(&mut self.world).map_err(lost)?;
            let now = Instant::now();
            for serial in self.world.transfers.advance(now) {
                self.world.clipboard.sent(serial);
            }
            if done(&self.world) {
                return Ok(true);
            }
            if until.is_some_and(|until| until <= now) {
                return Ok(false);
            }
            let due = until.into_iter().chain(self.world.transfers.due(now)).min();
            self.poll(due.map(|due| due.saturating_duration_since(now)))?;
        }
    }

    /// Sends what waits, and sleeps until something is there to be read, written or heard.
    fn poll(&mut self, timeout: Option<Duration>) -> Result<(), OutputError> {
        let mut of_compositor = PollFlags::IN;
        match self.connection.flush() {
            Ok(()) => {}
            Err(WaylandError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                of_compositor |= PollFlags::OUT;
            }
            Err(error) => return Err(lost(error)),
        }
        let Some(guard) = self.queue.prepare_read() else {
            return Ok(());
        };
        let connection = self.connection.as_fd();
        let mut fds = vec![PollFd::new(&connection, of_compositor), PollFd::new(&self.bell, PollFlags::IN)];
        self.world.transfers.poll_fds(&mut fds);
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(lost(error)),
        }
        let is_ready = |at: usize| !(fds[at].revents() - PollFlags::OUT).is_empty();
        let (to_read, rung) = (is_ready(0), is_ready(1));
        if rung {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.bell, &mut count);
            self.world.rung = true;
        }
        if to_read {
            match guard.read() {
                Ok(_) => {}
                Err(WaylandError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }
}

/// The connection is of no use any more.
fn lost(reason: impl Display) -> OutputError {
    OutputError::DesktopLost { desktop: NAME, reason: reason.to_string() }
}

impl Dispatch<WlRegistry, ()> for World {
    fn event(
        world: &mut Self,
        _: &WlRegistry,
        event: wl_registry::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            wl_registry::Event::Global { name, interface, version } => {
                world.globals.push(Global { name, interface, version });
            }
            wl_registry::Event::GlobalRemove { name } => world.globals.retain(|global| global.name != name),
            _ => {}
        }
    }
}

impl Dispatch<WlCallback, u32> for World {
    fn event(
        world: &mut Self,
        _: &WlCallback,
        _: wl_callback::Event,
        &number: &u32,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        world.answered = number;
    }
}

impl Dispatch<WlSeat, ()> for World {
    fn event(
        world: &mut Self,
        _: &WlSeat,
        event: wl_seat::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_seat::Event::Capabilities { capabilities: WEnum::Value(has) } = event {
            world.has_keyboard = has.contains(wl_seat::Capability::Keyboard);
        }
    }
}
