//! Speech to text: the role that hears segments of a take while it is spoken and gives the text when it is over.
//!
//! Here are the engines ([`engine`]), the thread that has one (`worker`), the decisions what to decode when
//! ([`strategy`]) with the pure parts they stand on ([`context`], [`check`], [`clean`], [`gain`], [`join`], [`second_look`],
//! [`trim`]), and the
//! models ([`model`]). Not here: microphones, voice activity, keys, and where a text goes.
//!
//! Texts never leave this crate but in [`ptt_messages::Transcript`]: no log, metric or error holds a word of them.

mod actor;
pub mod check;
pub mod clean;
mod config;
pub mod context;
pub mod cores;
pub mod engine;
mod error;
pub mod gain;
pub mod join;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod second_look;
pub mod strategy;
mod stuck;
pub mod trim;
mod worker;

use std::sync::{Arc, LazyLock};

use ptt_messages::{Port, SttCommand, SttEvent};

pub use config::{ProfileSpeech, SttConfig};
pub use engine::Backend;
pub use error::SttError;
pub use strategy::StrategyKind;
use stuck::StuckEngines;

/// Starts the actor on the current arbiter, and its worker thread. The model is loaded at the first
/// [`SttCommand::Load`], or at the first decode.
///
/// # Errors
/// When the worker's thread cannot be started, or a language cannot go with the model.
pub fn spawn(config: &SttConfig, events: Port<SttEvent>) -> Result<Port<SttCommand>, SttError> {
    engine::check_languages(config)?;
    metrics::describe();
    let for_engine = config.clone();
    // Of the process and not of this actor: a daemon that is configured anew has another one.
    static STUCK: LazyLock<StuckEngines> = LazyLock::new(StuckEngines::default);
    actor::SttActor::spawn(config, Arc::new(move || engine::open(&for_engine)), STUCK.clone(), events)
}
