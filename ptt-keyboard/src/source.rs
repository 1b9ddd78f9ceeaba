//! Where edges come from: one trait, its backends, and the choice between them.
//!
//! A source is opened beside the key thread and driven on it ([`crate::listener`]); it may block in [`KeySource::wait`] and
//! nowhere else.
//! Another one is another implementation of the trait, a variant of [`Backend`], a line in `open_one` and, where it works
//! without asking, a place in [`AUTO`].

pub mod control;
pub mod driven;
pub mod evdev;
pub mod inputbot;
pub mod portal;
pub mod scripted;
pub mod x11;

use ptt_messages::Moment;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::chord::{Signal, Watched};
use crate::wake::Stop;
use crate::{KeyboardConfig, KeyboardError};

/// A source of edges of the watched keys.
pub trait KeySource: Send {
    /// Which backend it is.
    fn backend(&self) -> Backend;

    /// Sleeps until something happens, `until` has come or the [`Stop`] it was opened with is raised; then adds what
    /// happened, in the order of the times where one device is concerned. Returning with nothing is always allowed.
    ///
    /// # Errors
    /// The source is of no use any more and is to be dropped.
    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError>;

    /// Adds what happened and then which keys are really down, for every device that can be asked; where a thread of its own
    /// reads a device, the answer comes with a later [`KeySource::wait`]. The safety net for a release that was lost; sources
    /// that cannot lose one leave it.
    ///
    /// # Errors
    /// As [`KeySource::wait`].
    fn actual(&mut self, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        let _ = signals;
        Ok(())
    }

    /// Whether it has no device yet and waits for one, or has not all that are needed and knows where the others are.
    fn waits_for_device(&self) -> bool {
        false
    }

    /// The user has left, or is back: a source that keeps keys from everybody else must not do so while somebody else may be
    /// typing.
    fn user_is_away(&mut self, away: bool) {
        let _ = away;
    }

    /// Whether the times of its edges are those of their origin (the kernel, the script), so that the age of an edge is the
    /// latency of its detection. Otherwise they are the times we noticed.
    fn stamps_at_origin(&self) -> bool;
}

/// The backends by their names in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// The first of [`AUTO`] that opens.
    #[default]
    Auto,
    /// The kernel's input devices, read directly.
    Evdev,
    /// An X server's raw events.
    X11,
    /// The crate `inputbot`: libinput, polled.
    Inputbot,
    /// The desktop's global shortcuts, by its portal. Asks the user.
    Portal,
    /// No device: the program's control socket is the key.
    Control,
    /// A script in the configuration.
    Scripted,
}

/// What `auto` tries, in this order. The last one opens always. The portal is asked under Wayland only, and only when nothing
/// before it works: its dialog is the price of a key there, and nobody else has to see it.
pub const AUTO: [Backend; 5] =
    [Backend::Evdev, Backend::X11, Backend::Inputbot, Backend::Portal, Backend::Control];

impl Backend {
    /// All of them, for help texts and metrics that start at zero.
    pub const ALL: [Self; 7] =
        [Self::Auto, Self::Evdev, Self::X11, Self::Inputbot, Self::Portal, Self::Control, Self::Scripted];

    /// The name in the configuration; also the value of a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Evdev => "evdev",
            Self::X11 => "x11",
            Self::Inputbot => "inputbot",
            Self::Portal => "portal",
            Self::Control => "control",
            Self::Scripted => "scripted",
        }
    }

    /// Why `swallow` has no effect, where the backend can keep no chord from the windows.
    const fn why_it_cannot_swallow(self) -> Option<&'static str> {
        match self {
            Self::Auto | Self::Evdev | Self::X11 => None,
            Self::Inputbot => Some("its library only listens"),
            Self::Portal => Some("the desktop does so with its shortcuts by itself"),
            Self::Control => Some("it has no keys; a compositor's key binding swallows by itself"),
            Self::Scripted => Some("it has no keys"),
        }
    }
}

/// Opens the backend that the configuration chooses. May block: not for an actor's thread.
///
/// # Errors
/// Why the chosen backend cannot be used. `auto` logs a line for each backend it skips and ends with `control`, which cannot
/// fail; it does not come back to a skipped one until it is opened again. An `evdev` without a keyboard, which waits for one,
/// is what `auto` takes only when nothing else has one.
pub fn open(
    config: &KeyboardConfig,
    watched: &Watched,
    stop: &Stop,
) -> Result<Box<dyn KeySource>, KeyboardError> {
    if config.backend != Backend::Auto {
        return open_one(config.backend, config, watched, stop);
    }
    let [readers @ .., last] = AUTO;
    let mut waiting = None;
    for backend in readers {
        if backend == Backend::Portal && !portal::is_the_way() {
            continue;
        }
        let hidden = backend == Backend::X11 && is_wayland();
        let opened = if hidden {
            Err(x11::X11Error::UnderWayland.into())
        } else {
            open_one(backend, config, watched, stop)
        };
        match opened {
            Ok(source) if source.waits_for_device() => waiting = Some(source),
            Ok(source) => return Ok(chosen(source)),
            Err(reason) => warn!(backend = backend.name(), %reason, "key source skipped"),
        }
    }
    if let Some(source) = waiting {
        return Ok(chosen(source));
    }
    info!("no keyboard can be read: the control socket is the key (ptt-app press, release, toggle)");
    open_one(last, &KeyboardConfig { swallow: false, ..config.clone() }, watched, stop)
}

/// Whether the environment names a Wayland compositor.
fn is_wayland() -> bool {
    std::env::var_os("WAYLAND_DISPLAY").is_some_and(|display| !display.is_empty())
}

fn chosen(source: Box<dyn KeySource>) -> Box<dyn KeySource> {
    info!(backend = source.backend().name(), "key source chosen");
    source
}

fn open_one(
    backend: Backend,
    config: &KeyboardConfig,
    watched: &Watched,
    stop: &Stop,
) -> Result<Box<dyn KeySource>, KeyboardError> {
    let source: Box<dyn KeySource> = match backend {
        Backend::Auto => return open(config, watched, stop),
        Backend::Evdev => Box::new(evdev::EvdevSource::open(config, watched, stop)?),
        Backend::X11 => Box::new(x11::X11Source::open(config, watched, stop)?),
        Backend::Inputbot => Box::new(inputbot::InputbotSource::open(config, watched, stop)?),
        Backend::Portal => Box::new(portal::PortalSource::open(watched, stop)?),
        Backend::Control => Box::new(control::ControlSource::new(stop)),
        Backend::Scripted => Box::new(scripted::ScriptedSource::open(config, watched, stop)?),
    };
    if let Some(reason) = backend.why_it_cannot_swallow().filter(|_| config.swallow) {
        warn!(backend = backend.name(), reason, "keyboard.swallow has no effect");
    }
    Ok(source)
}

#[cfg(test)]
mod ear;
#[cfg(test)]
mod kernel_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration() {
        for backend in Backend::ALL {
            assert_eq!(serde_json::to_string(&backend).unwrap(), format!("\"{}\"", backend.name()));
        }
        let error = serde_json::from_str::<Backend>("\"x12\"").unwrap_err().to_string();
        assert!(error.contains("`evdev`") && error.contains("`control`"), "{error}");
    }

    /// A chord that reaches the windows is better than none.
    #[test]
    fn swallow_never_leaves_the_program_without_a_keyboard() {
        let script = "script = '+10ms down'\nswallow = true\nbackend =";
        for backend in ["control", "scripted"] {
            let config: KeyboardConfig = toml::from_str(&format!("{script} '{backend}'")).unwrap();
            let stop = Stop::new().unwrap();
            let source = open(&config, &config.watched().unwrap(), &stop).unwrap();
            assert_eq!(source.backend().name(), backend);
        }
    }

    #[test]
    fn the_last_of_auto_cannot_fail() {
        let (config, stop) = (KeyboardConfig::default(), Stop::new().unwrap());
        let source = open_one(AUTO[AUTO.len() - 1], &config, &config.watched().unwrap(), &stop).unwrap();
        assert_eq!(source.backend(), Backend::Control);
    }
}
