//! `ptt-app keys`: what the keyboard sees of the chord, live; so a user can prove a backend without the rest.

use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;
use ptt_keyboard::{ChordEvent, Heard, Stop, key_names, watch};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::say;
use crate::config::Config;
use crate::exit_code::{Exit, Failure};
use crate::telemetry;

/// Flags of `keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// List every name that a chord may use instead.
    #[arg(long)]
    pub names: bool,
}

pub(crate) fn run(args: &KeysArgs, config: &Config) -> Result<ExitCode, Failure> {
    if args.names {
        for name in key_names() {
            say(match name.also {
                [] => name.name.to_owned(),
                also => format!("{} ({})", name.name, also.join(", ")),
            })?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::start_log(&config.log)?;
    let keyboard = &config.keyboard;
    let failed = |e: ptt_keyboard::KeyboardError| Failure::from(ptt_messages::Fault::from(&e));
    let stop = Stop::new().map_err(failed)?;
    stop_on_signals(&stop)?;
    let mut broken = None;
    watch(keyboard, &stop, |heard| {
        let line = match heard {
            Heard::Listening(backend) => {
                format!(
                    "listening to {}: press {} (Ctrl+C ends)",
                    format!("{backend:?}").to_lowercase(),
                    keyboard.chord
                )
            }
            Heard::Key { key, down, took, .. } => {
                let took = took.map_or_else(String::new, |t| format!("  ({:.2} ms)", t.as_secs_f64() * 1e3));
                format!("  {key} {}{took}", if down { "down" } else { "up" })
            }
            Heard::Chord(ChordEvent::Pressed { .. }) => "chord pressed".into(),
            Heard::Chord(ChordEvent::Released { .. }) => "chord released".into(),
            Heard::Chord(ChordEvent::Cancelled { .. }) => "cancel".into(),
            Heard::Chord(ChordEvent::Toggled { .. }) => "toggle".into(),
        };
        match say(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                broken = Some(failure);
                ControlFlow::Break(())
            }
        }
    })
    .map_err(failed)?;
    broken.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn stop_on_signals(stop: &Stop) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(Exit::Failed, format!("cannot watch signals: {e}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("ptt-signals".into())
        .spawn(move || {
            if signals.forever().next().is_some() {
                stop.raise();
            }
        })
        .map(|_| ())
        .map_err(failed)
}
