//! `ptt-app demo`: a whole take without any hardware. Bundled speech is the microphone, the program holds the chord, the
//! engine is the real one; every transition is printed with its latency.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ptt_keyboard::Driver;
use ptt_messages::{ControllerCommand, ControllerEvent, Moment, Outcome, TextPath};

use super::driver::{driven, press_for, wait_until_ready};
use super::measure::{TakeReport, next_take, stages, table};
use super::stats::ms;
use super::{may_say_texts, models, say};
use crate::builder::{App, AppBuilder};
use crate::config::Config;
use crate::exit_code::{Exit, Failure};
use crate::{lifecycle, telemetry};

/// "The quick brown fox jumps over the lazy dog", 2.9 s; from the Python package pytest-audioeval 0.1.3 (MIT).
const CLIP: &[u8] = include_bytes!("../../assets/quick_brown_fox.wav");

/// Before each press: a person breathes.
const BETWEEN: Duration = Duration::from_millis(500);

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many takes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub takes: u32,
}

pub(crate) fn run(args: &DemoArgs, config: Config) -> Result<ExitCode, Failure> {
    telemetry::start_quiet_log(&config.log)?;
    may_say_texts()?;
    models::check(&config.stt)?;
    let clip_file = write_clip()?;
    let clip = ptt_audio::read_audio_file(clip_file.path()).map_err(|e| Failure::from(e.fault()))?;
    let hold = clip.duration() + Duration::from_millis(100);
    let config = config.overridden(&[
        "audio.backend=wav".into(),
        format!("audio.wav=[{:?}]", clip_file.path()),
        "audio.wav_pace=real_time".into(),
        "controller.mode=hold".into(),
        "controller.once=false".into(),
    ])?;
    say(format_args!(
        "ptt-app demo: bundled speech is the microphone, the program holds the chord, the engine is {} ({})\n",
        config.stt.model,
        if args.takes == 1 { "one take".into() } else { format!("{} takes", args.takes) }
    ))?;
    let kept = telemetry::start_metrics_and_keep(&config.metrics);
    let takes = args.takes;
    // The text goes to the table below; the configured sink (perhaps a window) is left alone.
    let (builder, hand) = driven(AppBuilder::new(config));
    let reports = lifecycle::run_beside(builder, move |app| {
        let key = hand.get().ok_or_else(|| Failure::new(Exit::Failed, "the keyboard was not started"))?;
        play(&app, key, takes, hold)
    })?;
    report(&reports, &table(&stages(&kept)))
}

fn play(app: &App, key: &Driver, takes: u32, hold: Duration) -> Result<Vec<TakeReport>, Failure> {
    let events = app.board.follow();
    let began = Moment::now();
    app.inbox.commands.post_patiently(ControllerCommand::Enable);
    wait_until_ready(app)?;
    let mut reports = Vec::new();
    for _ in 0..takes {
        std::thread::sleep(BETWEEN);
        press_for(key, hold);
        let report = next_take(&events, Duration::from_secs(60), |event| match shown(event, began) {
            Some(line) => say(line),
            None => Ok(()),
        })?;
        wait_until_ready(app)?;
        say("")?;
        reports.push(report);
    }
    Ok(reports)
}

fn shown(event: &ControllerEvent, began: Moment) -> Option<String> {
    match event {
        ControllerEvent::Transition { from, to, input, at, took, .. } => Some(format!(
            "{:>8.3} s  {:>18} -> {:<18} {:<18} {:>8} ms",
            at.since(began).as_secs_f64(),
            from.label(),
            to.label(),
            input,
            ms(took.as_secs_f64() * 1e3)
        )),
        ControllerEvent::Text { text, path, release_to_text, .. } => Some(format!(
            "{:>12}text: \"{}\"\n{:>12}{} ms from release to text ({})",
            "",
            text.reveal(),
            "",
            ms(release_to_text.as_secs_f64() * 1e3),
            explained(*path)
        )),
        ControllerEvent::Fault { fault, .. } => Some(format!("{:>12}fault: {fault}", "")),
        ControllerEvent::Hint { hint, .. } => Some(format!("{:>12}hint: {hint}", "")),
        ControllerEvent::Stage { .. }
        | ControllerEvent::Profile { .. }
        | ControllerEvent::Partial { .. }
        | ControllerEvent::Languages { .. }
        | ControllerEvent::Discarded { .. }
        | ControllerEvent::Part { .. }
        | ControllerEvent::Ended { .. }
        | ControllerEvent::Delivered { .. }
        | ControllerEvent::Withdrawn { .. } => None,
    }
}

fn explained(path: TextPath) -> &'static str {
    match path {
        TextPath::Ready => "ready: decoded while the key was held",
        TextPath::Tail => "tail: only what followed the last pause was decoded",
        TextPath::Fallback => "fallback: decoded twice, the first result was suspect",
        TextPath::Batch => "batch: everything was decoded after the release",
        TextPath::NoSpeech => "no speech was heard",
    }
}

fn report(reports: &[TakeReport], table: &str) -> Result<ExitCode, Failure> {
    say(table)?;
    match reports.iter().find(|r| r.outcome != Outcome::Text) {
        None => Ok(ExitCode::SUCCESS),
        Some(failed) => Err(Failure::new(
            Exit::Failed,
            format!(
                "take {} ended as \"{}\"{}",
                failed.take,
                failed.outcome.label(),
                failed.fault.as_ref().map_or_else(String::new, |f| format!(": {f}"))
            ),
        )),
    }
}

fn write_clip() -> Result<TempClip, Failure> {
    let path = ptt_dirs::temporary().join(format!("ptt-demo-{}.wav", std::process::id()));
    std::fs::write(&path, CLIP)
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot write {}: {e}", path.display())))?;
    Ok(TempClip(path))
}

/// Removed when the demo ends.
struct TempClip(std::path::PathBuf);

impl TempClip {
    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for TempClip {
    fn drop(&mut self) {
        // Left behind in the temporary folder at worst.
        let _ = std::fs::remove_file(&self.0);
    }
}
