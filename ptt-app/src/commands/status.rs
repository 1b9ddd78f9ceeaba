//! Commands that ask the running daemon: `press`, `release`, `toggle`, `cancel`, `enable`, `disable`, `retry`, `status`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Args;
use ptt_messages::ControllerEvent;

use super::{complain, may_say_texts, say, say_json};
use crate::board::Status;
use crate::control::{self, Request};
use crate::exit_code::{Exit, Failure};
use crate::profile::Profiles;
use crate::runtime_dir::runtime_dir;

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show every event from now on, and the text as it grows.
    #[arg(long)]
    pub follow: bool,
    /// One JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// Sends one request that needs no answer but "done". If there was nothing to do, says so and succeeds.
pub(crate) fn ask(request: Request) -> Result<ExitCode, Failure> {
    if let Some(note) = control::ask(&runtime_dir()?, &request)?.note {
        complain(&note);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let dir = runtime_dir()?;
    if args.follow {
        may_say_texts()?;
        return follow(&dir, args.json);
    }
    let status = control::ask(&dir, &Request::Status)?.status.unwrap_or_default();
    if args.json {
        say_json(&status)?;
    } else {
        say(described(&status))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(status: &Status) -> String {
    let mut lines = vec![format!("state      {}", status.state.label())];
    for (name, what) in
        [("keyboard", &status.keyboard), ("microphone", &status.microphone), ("model", &status.model)]
    {
        lines.push(format!("{name:<11}{}", what.as_deref().unwrap_or("-")));
    }
    if let Some(profile) = &status.profile {
        lines.push(format!("profile    {profile}"));
    }
    if !status.takes.is_empty() {
        let takes: Vec<String> = status.takes.iter().map(|(o, n)| format!("{n} {}", o.label())).collect();
        lines.push(format!("takes      {}", takes.join(", ")));
    }
    if let Some(last) = &status.last {
        lines.push(format!(
            "last text  take {}, {} characters, {:.0} ms after release ({})",
            last.take,
            last.chars,
            last.release_to_text_ms,
            last.path.label()
        ));
    }
    if let Some(hint) = &status.hint {
        lines.push(format!("hint       {hint}"));
    }
    if !status.languages.is_empty() {
        lines.push(format!("language   {}", status.languages.join(", ")));
    }
    if let Some(fault) = &status.fault {
        lines.push(format!("fault      {fault}"));
    }
    lines.join("\n")
}

fn follow(dir: &std::path::Path, json: bool) -> Result<ExitCode, Failure> {
    let colour = std::io::stdout().is_terminal();
    control::follow(dir, |reply, line| {
        if json {
            return say(line);
        }
        let profiles = reply.profiles.clone().unwrap_or_default();
        match serde_json::from_str(line).ok().and_then(|event| shown(&event, &profiles, colour)) {
            Some(text) => say(text),
            None => Ok(()),
        }
    })?;
    Err(Failure::new(Exit::Unavailable, "the daemon ended"))
}

/// One line for people, or none for what only programs want.
fn shown(event: &ControllerEvent, profiles: &Profiles, colour: bool) -> Option<String> {
    let dim = |text: &str| if colour { format!("\x1b[2m{text}\x1b[0m") } else { format!("[{text}]") };
    Some(match event {
        ControllerEvent::Transition { from, to, input, took, .. } => {
            format!("{} -> {}  ({input}, {:.2} ms)", from.label(), to.label(), took.as_secs_f64() * 1e3)
        }
        ControllerEvent::Partial { committed, tentative, .. } => {
            format!("  {} {}", committed.reveal(), dim(tentative.reveal())).trim_end().to_owned()
        }
        ControllerEvent::Text { text, path, release_to_text, .. } => format!(
            "  \"{}\"  ({:.0} ms after release, {})",
            text.reveal(),
            release_to_text.as_secs_f64() * 1e3,
            path.label()
        ),
        ControllerEvent::Profile { take, profile } => format!("take {take}: {}", profiles.name(*profile)),
        ControllerEvent::Ended { take, outcome } => format!("take {take}: {}", outcome.label()),
        ControllerEvent::Hint { hint, .. } => format!("hint: {hint}"),
        ControllerEvent::Fault { fault, .. } => format!("fault: {fault}"),
        ControllerEvent::Part { component, what } => {
            format!("{}: {}", component.label(), what.as_deref().unwrap_or("closed"))
        }
        ControllerEvent::Languages { take, languages } => format!("take {take}: in {}", languages.join(", ")),
        ControllerEvent::Discarded { take } => format!("take {take}: words were left out as noise"),
        ControllerEvent::Withdrawn { take } => format!("take {take}: withdrawn"),
        ControllerEvent::Stage { .. } | ControllerEvent::Delivered { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ptt_messages::{Outcome, StateName, TakeId, TextPath, Transcript};

    use super::*;
    use crate::board::LastText;

    #[test]
    fn a_status_reads_well() {
        let status = Status {
            state: StateName::WaitingForKey,
            keyboard: Some("evdev".into()),
            profile: Some("german".into()),
            takes: vec![(Outcome::Text, 2), (Outcome::Tap, 1)],
            last: Some(LastText {
                take: TakeId(3),
                path: TextPath::Ready,
                release_to_text_ms: 12.4,
                chars: 40,
            }),
            hint: Some("speak up".into()),
            fault: Some("no microphone".into()),
            ..Status::default()
        };
        assert_eq!(
            described(&status),
            "state      waiting_for_key\nkeyboard   evdev\nmicrophone -\nmodel      -\nprofile    german\ntakes      2 text, 1 tap\n\
             last text  take #3, 40 characters, 12 ms after release (ready)\nhint       speak up\nfault      no microphone"
        );
    }

    #[test]
    fn following_shows_the_text_as_it_grows() {
        let event = ControllerEvent::Partial {
            take: TakeId(1),
            committed: Transcript::new("Hello"),
            tentative: Transcript::new("world"),
        };
        let profiles = Profiles::default();
        assert_eq!(shown(&event, &profiles, false).unwrap(), "  Hello [world]");
        let stage = ControllerEvent::Stage {
            take: TakeId(1),
            stage: ptt_messages::Stage::Deliver,
            took: Duration::ZERO,
        };
        assert_eq!(shown(&stage, &profiles, false), None);
    }

    #[test]
    fn following_names_the_profile_of_a_take() {
        let profiles: Profiles = serde_json::from_str(r#"["default", "german"]"#).unwrap();
        let event = ControllerEvent::Profile { take: TakeId(4), profile: ptt_messages::Profile(1) };
        assert_eq!(shown(&event, &profiles, false).unwrap(), "take #4: german");
    }
}
