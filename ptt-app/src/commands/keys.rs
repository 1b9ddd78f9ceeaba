//! `ptt-app keys`: what each backend sees of the chord, live; so a user can prove one without the rest, and choose.

use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;
use ptt_keyboard::{Backend, ChordEvent, Heard, KeyboardError, Stop, advice, key_names, watch_all};
use ptt_messages::Profile;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::say;
use crate::config::Config;
use crate::exit_code::{Exit, Failure};
use crate::profile::Profiles;
use crate::telemetry;

/// Flags of `keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// List every name that a chord may use instead, with the kernel's code. A name is a place on a US keyboard.
    #[arg(long)]
    pub names: bool,
}

pub(crate) fn run(args: &KeysArgs, config: &Config) -> Result<ExitCode, Failure> {
    if args.names {
        for name in key_names() {
            let also = match name.also {
                [] => String::new(),
                also => format!(" ({})", also.join(", ")),
            };
            say(format_args!("{:<16}{:>4}{also}", name.name, name.code))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::start_log(&config.log)?;
    let keyboard = &config.keyboard;
    let failed = |e: &KeyboardError| Failure::from(ptt_messages::Fault::from(e));
    let stop = Stop::new().map_err(|e| failed(&e))?;
    stop_on_signals(&stop)?;
    let others = keyboard.profiles.iter().map(|profile| format!(", {} ({})", profile.chord, profile.name));
    say(format_args!("press {}{} (Ctrl+C ends)", keyboard.chord, others.collect::<String>()))?;
    // All backends are watched; the two that `auto` takes first can swallow.
    let backend = if keyboard.backend == Backend::Auto { Backend::Evdev } else { keyboard.backend };
    for line in advice::advice(&keyboard.chord, &keyboard.profiles, keyboard.swallow, backend) {
        say(line)?;
    }
    let profiles = Profiles::of(config);
    let (mut works, mut unusable, mut broken) = (false, None, None);
    watch_all(keyboard, &stop, |backend, heard| {
        let line = match heard {
            Ok(heard) => {
                works = true;
                what(heard, &profiles)
            }
            Err(error) => {
                let line = format!("not usable: {error}");
                unusable = Some(error);
                line
            }
        };
        match say(format_args!("{:<9} {line}", backend.name())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                broken = Some(failure);
                ControlFlow::Break(())
            }
        }
    })
    .map_err(|e| failed(&e))?;
    match (broken, unusable) {
        (Some(failure), _) => Err(failure),
        // Several backends may have several reasons; the last is as good as any, and all have been said.
        (None, Some(error)) if !works => Err(failed(&error)),
        (None, _) => Ok(ExitCode::SUCCESS),
    }
}

/// What a backend heard, in words.
fn what(heard: Heard, profiles: &Profiles) -> String {
    let of = |profile: Profile| {
        if profile.is_default() { String::new() } else { format!(" ({})", profiles.name(profile)) }
    };
    match heard {
        Heard::Listening(_) => "listens".to_owned(),
        Heard::Key { key, down, took, .. } => {
            let took = took.map_or_else(String::new, |t| format!("  ({:.2} ms)", t.as_secs_f64() * 1e3));
            format!("{key} {}{took}", if down { "down" } else { "up" })
        }
        Heard::Chord(ChordEvent::Pressed { profile, .. }) => format!("chord pressed{}", of(profile)),
        Heard::Chord(ChordEvent::Released { .. }) => "chord released".to_owned(),
        Heard::Chord(ChordEvent::Cancelled { .. }) => "cancel".to_owned(),
        Heard::Chord(ChordEvent::Toggled { profile, .. }) => format!("toggle{}", of(profile)),
        Heard::Chord(ChordEvent::UserLeft { .. }) => "the user left".to_owned(),
    }
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
