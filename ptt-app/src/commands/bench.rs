//! `ptt-app bench`: clips played in real time as the microphone through the whole daemon, the chord held from the start
//! of each to its end; or, without clips, many short takes on the configured microphone to see the latency budgets.

mod clips;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ptt_keyboard::Driver;
use ptt_messages::ControllerCommand;
use ptt_resources::{Probe, ProcessProbe, Usage};
use serde::Serialize;

use self::clips::BenchClip;
use super::driver::{driven, press_for, wait_until_ready};
use super::measure::{StageRow, TakeReport, next_take, stages, table};
use super::stats::{Percentiles, ms};
use super::{models, say, say_json};
use crate::builder::{App, AppBuilder};
use crate::config::Config;
use crate::exit_code::{Exit, Failure};
use crate::wer::Errors;
use crate::{lifecycle, telemetry};

/// Flags of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Directory of clips (WAV, FLAC, OGG, MP3).
    #[arg(long, value_name = "DIR", required_unless_present = "takes")]
    pub clips: Option<std::path::PathBuf>,
    /// Tab-separated `id<TAB>transcript`; the id is a clip's name without its ending. Default: DIR/refs.tsv if there.
    #[arg(long, value_name = "FILE")]
    pub refs: Option<std::path::PathBuf>,
    /// `live` or `batch` instead of the configured strategy.
    #[arg(long)]
    pub strategy: Option<String>,
    /// Use only so many clips, spread evenly over the directory.
    #[arg(long)]
    pub limit: Option<usize>,
    /// Without clips: so many takes of --hold-ms on the configured microphone.
    #[arg(long, conflicts_with = "clips")]
    pub takes: Option<usize>,
    /// How long such a take is held.
    #[arg(long, default_value_t = 300)]
    pub hold_ms: u64,
    /// One JSON object per clip and one for the total.
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn run(args: &BenchArgs, config: Config) -> Result<ExitCode, Failure> {
    telemetry::start_quiet_log(&config.log)?;
    models::check(&config.stt)?;
    let mut sets: Vec<String> = vec!["controller.mode=hold".into(), "controller.once=false".into()];
    sets.extend(args.strategy.iter().map(|s| format!("stt.strategy={s}")));
    let plan = match &args.clips {
        Some(dir) => {
            let clips = clips::find(dir, args.refs.as_deref(), args.limit)?;
            let files: Vec<_> = clips.iter().map(|c| c.path.display().to_string()).collect();
            sets.push("audio.backend=wav".into());
            sets.push("audio.wav_pace=real_time".into());
            sets.push(format!("audio.wav={files:?}"));
            clips
        }
        None => vec![BenchClip::unnamed(Duration::from_millis(args.hold_ms)); args.takes.unwrap_or(1)],
    };
    let config = config.overridden(&sets)?;
    let kept = telemetry::start_metrics_and_keep(&config.metrics);
    let strategy = config.stt.strategy;
    let (builder, hand) = driven(AppBuilder::new(config));
    let (json, cpu_before) = (args.json, used()?.cpu);
    let lines = lifecycle::run_beside(builder, move |app| {
        let key = hand.get().ok_or_else(|| Failure::new(Exit::Failed, "the keyboard was not started"))?;
        play(&app, key, &plan, json)
    })?;
    let usage = used()?;
    let total =
        Total::of(&lines, stages(&kept), Usage { cpu: usage.cpu.saturating_sub(cpu_before), ..usage });
    if args.json {
        say_json(&serde_json::json!({ "total": total, "strategy": strategy }))?;
    } else {
        say(total.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn used() -> Result<Usage, Failure> {
    let read = ProcessProbe::open().and_then(|mut probe| probe.sample());
    read.map_err(|e| Failure::new(Exit::Failed, e.to_string()))
}

/// What is printed of one clip.
#[derive(Clone, Debug, Serialize)]
struct Line {
    id: String,
    audio_s: f64,
    outcome: ptt_messages::Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<ptt_messages::TextPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_to_text_ms: Option<f64>,
    encode_ms: f64,
    decode_ms: f64,
    background_s: f64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edits: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

fn play(app: &App, key: &Driver, plan: &[BenchClip], json: bool) -> Result<Vec<Line>, Failure> {
    let events = app.board.follow();
    app.inbox.commands.post_patiently(ControllerCommand::Enable);
    wait_until_ready(app)?;
    let mut lines = Vec::new();
    for clip in plan {
        press_for(key, clip.length);
        let report = next_take(&events, Duration::from_secs(120), |_| Ok(()))?;
        let line = Line::of(clip, report);
        if json {
            say_json(&line)?;
        } else if !clip.id.is_empty() {
            say(line.text())?;
        }
        lines.push(line);
        wait_until_ready(app)?;
    }
    Ok(lines)
}

impl Line {
    fn of(clip: &BenchClip, report: TakeReport) -> Self {
        let errors = clip.reference.as_deref().map(|r| Errors::of(r, report.text.reveal()));
        let millis = |d: Duration| d.as_secs_f64() * 1e3;
        Self {
            id: clip.id.clone(),
            audio_s: clip.length.as_secs_f64(),
            outcome: report.outcome,
            path: report.path,
            release_to_text_ms: report.release_to_text.map(millis),
            encode_ms: millis(report.timing.encode),
            decode_ms: millis(report.timing.decode),
            background_s: report.timing.background.as_secs_f64(),
            text: report.text.reveal().to_owned(),
            reference: clip.reference.clone(),
            edits: errors.map(|e| e.edits),
            words: errors.map(|e| e.words),
            fault: report.fault,
        }
    }

    fn text(&self) -> String {
        let latency = self.release_to_text_ms.map_or_else(|| "-".into(), ms);
        let path = self.path.map_or(self.outcome.label(), ptt_messages::TextPath::label);
        let errors = match (self.edits, self.words) {
            (Some(edits), Some(words)) => format!("{edits}/{words}"),
            _ => String::new(),
        };
        format!(
            "{:<24}{:>6.1} s{:>8} ms  {:<9}{:>7}  {}",
            self.id, self.audio_s, latency, path, errors, self.text
        )
    }
}

/// What is printed at the end.
#[derive(Clone, Debug, Serialize)]
struct Total {
    takes: usize,
    with_text: usize,
    audio_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wer: Option<f64>,
    edits: usize,
    words: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_to_text: Option<Percentiles>,
    by_path: std::collections::BTreeMap<&'static str, usize>,
    by_source: std::collections::BTreeMap<String, f64>,
    background_s: f64,
    cpu_s: f64,
    rss_mib: f64,
    stages: Vec<StageRow>,
}

impl Total {
    fn of(lines: &[Line], stages: Vec<StageRow>, usage: Usage) -> Self {
        let mut errors = Errors::default();
        let mut by_source: std::collections::BTreeMap<String, Errors> = std::collections::BTreeMap::new();
        let mut by_path = std::collections::BTreeMap::new();
        for line in lines {
            if let (Some(edits), Some(words)) = (line.edits, line.words) {
                errors += Errors { edits, words };
                let source = line.id.split(['-', '_']).next().unwrap_or_default().to_owned();
                *by_source.entry(source).or_default() += Errors { edits, words };
            }
            *by_path
                .entry(line.path.map_or(line.outcome.label(), ptt_messages::TextPath::label))
                .or_default() += 1;
        }
        let latencies: Vec<Duration> = lines
            .iter()
            .filter_map(|l| l.release_to_text_ms)
            .map(|ms| Duration::from_secs_f64(ms / 1e3))
            .collect();
        Self {
            takes: lines.len(),
            with_text: lines.iter().filter(|l| !l.text.is_empty()).count(),
            audio_s: lines.iter().map(|l| l.audio_s).sum(),
            wer: (errors.words > 0).then(|| errors.rate()),
            edits: errors.edits,
            words: errors.words,
            release_to_text: Percentiles::of(&latencies),
            by_path,
            by_source: by_source.into_iter().map(|(source, e)| (source, e.rate())).collect(),
            background_s: lines.iter().map(|l| l.background_s).sum(),
            cpu_s: usage.cpu.as_secs_f64(),
            rss_mib: usage.rss_bytes as f64 / f64::from(1 << 20),
            stages,
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![String::new()];
        if let Some(wer) = self.wer {
            lines.push(format!("WER {:.2} % ({} edits in {} words)", wer * 100.0, self.edits, self.words));
            let sources: Vec<String> =
                self.by_source.iter().map(|(s, w)| format!("{s} {:.1} %", w * 100.0)).collect();
            lines.push(format!("  by source: {}", sources.join(", ")));
        }
        if let Some(p) = &self.release_to_text {
            lines.push(format!(
                "release to text: p50 {} ms, p95 {} ms, p99 {} ms, max {} ms",
                ms(p.p50_ms),
                ms(p.p95_ms),
                ms(p.p99_ms),
                ms(p.max_ms)
            ));
        }
        let paths: Vec<String> = self.by_path.iter().map(|(path, n)| format!("{n} {path}")).collect();
        lines.push(format!("takes: {} ({}), {:.1} s of audio", self.takes, paths.join(", "), self.audio_s));
        lines.push(format!(
            "processor: {:.1} s, of it {:.1} s in the background while keys were held; memory {:.0} MiB",
            self.cpu_s, self.background_s, self.rss_mib
        ));
        lines.push(String::new());
        lines.push(table(&self.stages));
        lines.join("\n")
    }
}
