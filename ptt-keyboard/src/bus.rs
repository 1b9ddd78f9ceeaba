//! D-Bus on the thread that uses it: a connection, its signals in order, and calls that end when the thread is to stop.
//!
//! Plain `zbus` with its feature `tokio`, on a runtime that lives inside these calls: no thread of its own, no executor beside
//! the one of the caller, and between calls the process sleeps in one `epoll`. (`zbus::blocking` would start a pool of threads
//! for the whole process.) What is said on a bus is its users' affair: [`crate::source::portal`], [`crate::session`].

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use ptt_messages::Moment;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use zbus::message::Type;
use zbus::zvariant::{DynamicType, OwnedValue, Value};
use zbus::{Connection, Message, MessageStream};

use crate::wake::Stop;

/// How long a peer may take to answer a call. None of ours waits for the user: dialogs answer with a signal.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// That of the user's session.
    Session,
    /// That of the machine.
    System,
}

/// A dictionary as D-Bus methods like it for options.
pub type Options<'a> = HashMap<&'a str, Value<'a>>;
/// The same as it is received.
pub type Properties = HashMap<String, OwnedValue>;

/// A connection.
#[derive(Debug)]
pub struct Bus {
    runtime: Runtime,
    stop: Stop,
    /// Always there but in `drop`, which needs the runtime.
    link: Option<Link>,
}

#[derive(Debug)]
struct Link {
    connection: Connection,
    signals: MessageStream,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The [`Stop`] was raised meanwhile.
    #[error("it is to stop")]
    Stopped,
    /// The bus is not there, or hung up.
    #[error("{0}")]
    Gone(String),
    /// The peer, or the bus in its place, answered with an error.
    #[error("{name}: {text}")]
    Refused {
        /// The error's name, such as `org.freedesktop.DBus.Error.ServiceUnknown`.
        name: String,
        /// What it says.
        text: String,
    },
    /// What came is not what the interface promises.
    #[error("an answer of another form: {0}")]
    Garbled(String),
}

impl Bus {
    /// Connects.
    ///
    /// # Errors
    /// [`BusError::Gone`] with the reason, or [`BusError::Stopped`].
    pub fn connect(address: Address, stop: &Stop) -> Result<Self, BusError> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|e| BusError::Gone(e.to_string()))?;
        let mut bus = Self { runtime, stop: stop.clone(), link: None };
        bus.link = Some(bus.runtime.block_on(connect(address, stop))?);
        Ok(bus)
    }

    /// Calls a method and reads its answer.
    ///
    /// # Errors
    /// See [`BusError`].
    pub fn call<A, B>(&self, [to, path, interface, method]: [&str; 4], body: &B) -> Result<A, BusError>
    where
        A: DeserializeOwned + zbus::zvariant::Type,
        B: Serialize + DynamicType,
    {
        let link = self.link();
        let call = link.connection.call_method(Some(to), path, Some(interface), method, body);
        let answer = self.runtime.block_on(unless_stopped(&self.stop, call))?;
        Ok(answer.map_err(BusError::of)?.body().deserialize()?)
    }

    /// Whether the [`Stop`] is raised.
    pub fn is_to_stop(&self) -> bool {
        self.stop.raised()
    }

    /// Lets signals come that match `rule`, beside those that are sent to us alone.
    ///
    /// # Errors
    /// See [`BusError`].
    pub fn subscribe(&self, rule: &str) -> Result<(), BusError> {
        let bus = "org.freedesktop.DBus";
        self.call([bus, "/org/freedesktop/DBus", bus, "AddMatch"], &rule)
    }

    /// Sleeps until a signal comes, `until` has come, or the [`Stop`] is raised or nudged; `None` is one of the latter.
    ///
    /// # Errors
    /// [`BusError::Gone`].
    pub fn signal(&mut self, until: Option<Moment>) -> Result<Option<Message>, BusError> {
        let Some(link) = &mut self.link else { return Err(BusError::Stopped) };
        let stop = &self.stop;
        self.runtime.block_on(async {
            let left = until.map_or(Duration::MAX, |until| until.since(Moment::now()));
            let mut due = pin!(tokio::time::sleep(left));
            loop {
                if stop.raised() {
                    return Ok(None);
                }
                tokio::select! {
                    message = link.signals.next() => match message {
                        Some(Ok(message)) if message.message_type() == Type::Signal => return Ok(Some(message)),
                        // Answers to our own calls; their callers have them.
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Err(BusError::of(error)),
                        None => return Err(BusError::Gone("it hung up".to_owned())),
                    },
                    () = stop.rung() => return Ok(None),
                    () = &mut due => return Ok(None),
                }
            }
        })
    }

    fn link(&self) -> &Link {
        self.link.as_ref().expect("only drop takes it")
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _runtime = self.runtime.enter();
        self.link = None;
    }
}

impl BusError {
    /// Whether the error's name ends in one of these: there is nobody who could answer.
    pub fn is(&self, names: &[&str]) -> bool {
        match self {
            Self::Refused { name, .. } => names.iter().any(|known| name.ends_with(known)),
            Self::Stopped | Self::Gone(_) | Self::Garbled(_) => false,
        }
    }

    fn of(error: zbus::Error) -> Self {
        if let zbus::Error::MethodError(name, text, _) = error {
            Self::Refused { name: name.to_string(), text: text.unwrap_or_default() }
        } else {
            Self::Gone(error.to_string())
        }
    }
}

/// Of reading a body.
impl From<zbus::Error> for BusError {
    fn from(error: zbus::Error) -> Self {
        Self::Garbled(error.to_string())
    }
}

async fn connect(address: Address, stop: &Stop) -> Result<Link, BusError> {
    let builder = match address {
        Address::Session => match ptt_dirs::session_bus() {
            Some(address) => zbus::connection::Builder::address(address.as_str()),
            None => zbus::connection::Builder::session(),
        },
        Address::System => zbus::connection::Builder::system(),
    };
    let builder = builder.map_err(BusError::of)?.method_timeout(PATIENCE);
    let built = tokio::time::timeout(PATIENCE, builder.build());
    let connection = unless_stopped(stop, built).await?;
    let connection = connection.map_err(|_| BusError::Gone("it does not answer".to_owned()))?;
    let connection = connection.map_err(BusError::of)?;
    Ok(Link { signals: MessageStream::from(&connection), connection })
}

async fn unless_stopped<T>(stop: &Stop, work: impl Future<Output = T>) -> Result<T, BusError> {
    let mut work = pin!(work);
    loop {
        if stop.raised() {
            return Err(BusError::Stopped);
        }
        tokio::select! {
            done = &mut work => return Ok(done),
            () = stop.rung() => {}
        }
    }
}
