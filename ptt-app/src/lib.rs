//! Push-to-talk dictation put together: configuration, command line, control socket, metrics, and [`AppBuilder`], with
//! which a custom build swaps an actor.
//!
//! What lives here: everything about the process. What does not: anything about keys, audio, speech or texts, which the
//! actor crates know; only [`wiring`] knows them all.
#![forbid(unsafe_code)]

pub mod board;
mod builder;
pub mod cli;
mod commands;
pub mod config;
pub mod control;
pub mod exit_code;
pub mod lifecycle;
pub mod log_filter;
mod preflight;
pub mod profile;
pub mod runtime_dir;
pub mod telemetry;
pub mod wer;
mod wiring;

pub use builder::{App, AppBuilder, ControllerSlot, Slot, SlotError};
pub use config::Config;
pub use exit_code::{Exit, Failure};
