//! `ptt-app devices`: microphones and keyboards, as the configuration wants them named.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{say, say_json};
use crate::config::Config;
use crate::exit_code::Failure;

/// Flags of `devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// One JSON object per device.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Device<'a> {
    Microphone { host: &'a str, name: &'a str, id: &'a str, is_default: bool, format: Option<&'a str> },
    Keyboard { name: &'a str, path: String, readable: bool, has_chord: bool },
}

pub(crate) fn run(args: &DevicesArgs, config: &Config) -> Result<ExitCode, Failure> {
    let microphones = ptt_audio::list_devices();
    let keyboards = ptt_keyboard::list_devices(&config.keyboard);
    if args.json {
        for m in &microphones {
            let format = m.format.as_deref();
            say_json(&Device::Microphone {
                host: &m.host,
                name: &m.name,
                id: &m.id,
                is_default: m.is_default,
                format,
            })?;
        }
        for k in &keyboards {
            let path = k.path.display().to_string();
            say_json(&Device::Keyboard {
                name: &k.name,
                path,
                readable: k.readable,
                has_chord: k.has_chord,
            })?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    say("microphones (audio.device; * is the sound system's default)")?;
    if microphones.is_empty() {
        say("  none: plug one in, or start the sound server")?;
    }
    for m in &microphones {
        let mark = if m.is_default { '*' } else { ' ' };
        say(format_args!(
            "{mark} {:<11} {}  ({})",
            m.host,
            m.name,
            m.format.as_deref().unwrap_or("format unknown")
        ))?;
    }
    say("\nkeyboards (keyboard.devices)")?;
    if keyboards.is_empty() {
        say("  none")?;
    }
    for k in &keyboards {
        let state = match (k.readable, k.has_chord) {
            (false, _) => "may not be read: join the group `input` and log in again",
            (true, true) => "has the chord's keys",
            (true, false) => "lacks keys of the chord",
        };
        say(format_args!("  {:<24} {}  ({state})", k.path.display(), k.name))?;
    }
    Ok(ExitCode::SUCCESS)
}
