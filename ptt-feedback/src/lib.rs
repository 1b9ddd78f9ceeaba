//! What the user hears: a short tone when a take begins, ends, is thrown away, is delivered, or fails.
//!
//! What lives here: the tones, made from numbers, and the players that put them out, on a thread of their own because
//! opening a sound device may take seconds.
//! What does not: when a tone is due (the controller), and whether it came in time (the controller again, from
//! `Played`). No take ever waits for this crate.
#![forbid(unsafe_code)]

mod actor;
mod backoff;
mod booth;
mod config;
mod error;
pub mod metrics;
mod player;
pub mod tones;

use ptt_messages::{FeedbackCommand, FeedbackEvent, Port};

pub use config::{Backend, FeedbackConfig};
pub use error::FeedbackError;
pub use player::{Begun, Player, RodioPlayer, SilentPlayer, Ticket, Wake};

/// Starts the actor on the current arbiter and the player's thread. No device is opened before `Open` or `Play`, so a
/// missing one is no error here: it is told by `Failed`.
///
/// # Errors
/// [`FeedbackError::NoThread`].
pub fn spawn(
    config: &FeedbackConfig,
    events: Port<FeedbackEvent>,
) -> Result<Port<FeedbackCommand>, FeedbackError> {
    let own = config.clone();
    spawn_with(config, events, move |wake| match own.backend {
        Backend::Rodio => Box::new(RodioPlayer::new(&own, wake)),
        Backend::Silent => Box::new(SilentPlayer::default()),
    })
}

/// As [`spawn`], with a player of your own, made on its thread. It calls [`Wake`] when it lost its device. Of the
/// configuration only `enabled` and `idle_pause_s` are used.
///
/// # Errors
/// [`FeedbackError::NoThread`].
pub fn spawn_with(
    config: &FeedbackConfig,
    events: Port<FeedbackEvent>,
    player: impl FnOnce(Wake) -> Box<dyn Player> + Send + 'static,
) -> Result<Port<FeedbackCommand>, FeedbackError> {
    metrics::describe();
    let booth = match config.enabled {
        true => Some(booth::start(player, config.idle_pause_s.secs(), events.clone())?),
        false => None,
    };
    Ok(Port::start(actor::NAME, 100, actor::Feedback::new(booth, events)))
}
