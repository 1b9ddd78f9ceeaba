//! `ptt-app bench`: clips played in real time as the microphone through the whole daemon, the chord held from the start
//! of each to its end, live and batch in turn; or, without clips, many short takes on the configured microphone to see
//! the latency budgets.

mod busy;
mod clips;
mod joined;
mod player;
mod report;
mod score;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use metrics_util::debugging::Snapshotter;
use ptt_resources::{Probe, ProcessProbe};

use self::busy::Neighbours;
use self::clips::{BenchClip, Kind};
use self::player::{Player, Seat, Way, idle_share};
use self::report::{Comparison, Line, Total};
use super::measure::StageSamples;
use super::{may_say_texts, models, say, say_json};
use crate::config::Config;
use crate::exit_code::{Exit, Failure};
use crate::{lifecycle, telemetry};

/// Flags of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Directory of clips (WAV, FLAC, OGG, MP3).
    #[arg(long, value_name = "DIR", required_unless_present_any = ["takes", "noise", "score"])]
    pub clips: Option<PathBuf>,
    /// Tab-separated `id<TAB>transcript`; the id is a clip's name without its ending. Default: DIR/refs.tsv if there.
    #[arg(long, value_name = "FILE")]
    pub refs: Option<PathBuf>,
    /// Which strategies play each clip, in turn. Both are also compared with batch at full context, where there are
    /// transcripts. Default: both; with --takes the configured one.
    #[arg(long)]
    pub strategy: Option<Strategies>,
    /// Use only so many clips, spread evenly over the directory.
    #[arg(long)]
    pub limit: Option<usize>,
    /// Play the clips also joined to takes of about so many seconds, with pauses between them.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=1_800))]
    pub joined: Option<u64>,
    /// Decides the pauses of joined takes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Play also these clips, in which nothing is said, and count what is delivered.
    #[arg(long, value_name = "DIR")]
    pub noise: Option<PathBuf>,
    /// Play each clip once more with so many busy processes beside it.
    #[arg(long, value_name = "PROCESSES", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub busy: Option<u8>,
    /// Wait for a line on standard input before each clip; its end ends the bench.
    #[arg(long)]
    pub step: bool,
    /// Without clips: so many takes of --hold-ms on the configured microphone.
    #[arg(long, conflicts_with_all = ["clips", "noise", "joined"])]
    pub takes: Option<usize>,
    /// How long such a take is held.
    #[arg(long, default_value_t = 300)]
    pub hold_ms: u64,
    /// Play nothing: score the texts of another program, `id<TAB>text` in this file, against the transcripts.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["takes", "noise", "joined", "busy", "step"])]
    pub score: Option<PathBuf>,
    /// One JSON object per take, one per strategy for its total, and one for how they compare.
    #[arg(long)]
    pub json: bool,
}

/// Which strategies are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Strategies {
    /// While the key is held.
    Live,
    /// After the release.
    Batch,
    /// Each, in turn.
    Both,
}

pub(crate) fn run(args: &BenchArgs, config: Config) -> Result<ExitCode, Failure> {
    if let Some(texts) = &args.score {
        let beside = args.clips.as_ref().map(|dir| dir.join("refs.tsv"));
        let references = args.refs.clone().or(beside);
        let references = references
            .ok_or_else(|| Failure::new(Exit::Usage, "--score needs the transcripts: give --refs FILE"))?;
        score::run(texts, &references, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::start_quiet_log(&config.log)?;
    may_say_texts()?;
    models::check(&config.stt)?;
    // A take of any length is a bench's, and each ends by its release.
    let config = config.overridden(&[
        "controller.mode=hold".into(),
        "controller.once=false".into(),
        "controller.max_take_s=3600".into(),
    ])?;
    let folder = tempfile::Builder::new().prefix("ptt-bench-").tempdir();
    let folder =
        folder.map_err(|e| Failure::new(Exit::Failed, format!("cannot make a temporary folder: {e}")))?;
    let plan = plan(args, folder.path())?;
    let kept = telemetry::start_metrics_and_keep(&config.metrics);
    let ways = ways(args, &config, &plan);
    let mut seats = Vec::new();
    let mut builders = Vec::new();
    for way in &ways {
        let (seat, builder) = Seat::new(*way, &config, &plan, args.busy.is_some())?;
        seats.push(seat);
        builders.push(builder);
    }
    let course = Course { plan, busy: args.busy, step: args.step, json: args.json };
    let (lines, mut stages) = lifecycle::run_beside_all(builders, move |apps| {
        let players = seats.into_iter().zip(apps).map(|(seat, app)| seat.taken_by(app));
        course.run(&players.collect::<Result<Vec<_>, _>>()?, &kept)
    })?;
    let usage = ProcessProbe::open().and_then(|mut probe| probe.sample());
    let rss = usage.map_err(|e| Failure::new(Exit::Failed, e.to_string()))?.rss_bytes;
    // Where nothing is heard in time, no stage means anything.
    stages.remove(&Way::FullContext);
    let totals: BTreeMap<Way, Total> = ways
        .into_iter()
        .map(|way| (way, Total::of(&lines, way, stages.remove(&way).unwrap_or_default().rows(), rss)))
        .collect();
    conclude(&lines, &totals, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The clips in the order in which they are played; a joined take follows the last of its clips.
fn plan(args: &BenchArgs, folder: &std::path::Path) -> Result<Vec<BenchClip>, Failure> {
    let mut plan = match (&args.clips, args.takes) {
        (Some(dir), _) => clips::find(dir, args.refs.as_deref(), args.limit)?,
        (None, Some(takes)) => vec![BenchClip::unnamed(Duration::from_millis(args.hold_ms)); takes],
        (None, None) => Vec::new(),
    };
    if let Some(target) = args.joined {
        let spoken: Vec<BenchClip> = plan.iter().filter(|clip| clip.kind == Kind::Clip).cloned().collect();
        let joined = joined::write(&spoken, Duration::from_secs(target), args.seed, folder)?;
        if joined.is_empty() {
            let what = format!("the clips are too short to make a take of {target} s of them");
            return Err(Failure::new(Exit::NoInput, what));
        }
        for (last, clip, joint) in joined {
            if !args.json {
                say(format_args!("{}: {}", clip.id, joint.text(&spoken)))?;
            }
            let after = plan.iter().position(|c| c.path == spoken[last].path).map_or(plan.len(), |n| n + 1);
            plan.insert(after, clip);
        }
    }
    if let Some(dir) = &args.noise {
        plan.extend(clips::find_noise(dir)?);
    }
    Ok(plan)
}

fn ways(args: &BenchArgs, config: &Config, plan: &[BenchClip]) -> Vec<Way> {
    let both = || {
        let mut ways = vec![Way::Live, Way::Batch];
        if plan.iter().any(|clip| clip.kind == Kind::Clip && clip.reference.is_some()) {
            ways.push(Way::FullContext);
        }
        ways
    };
    match args.strategy {
        Some(Strategies::Live) => vec![Way::Live],
        Some(Strategies::Batch) => vec![Way::Batch],
        Some(Strategies::Both) => both(),
        None if args.takes.is_some() => vec![config.stt.strategy.into()],
        None => both(),
    }
}

/// What is played and how.
struct Course {
    plan: Vec<BenchClip>,
    busy: Option<u8>,
    step: bool,
    json: bool,
}

impl Course {
    fn run(
        &self,
        players: &[Player],
        kept: &Snapshotter,
    ) -> Result<(Vec<Line>, BTreeMap<Way, StageSamples>), Failure> {
        let mut lines = Vec::new();
        let mut stages: BTreeMap<Way, StageSamples> = BTreeMap::new();
        let idle = idle_share();
        // What starting measured is of no take.
        StageSamples::default().take_from(kept);
        for (n, clip) in self.plan.iter().enumerate() {
            if self.step && !told_to_go_on()? {
                break;
            }
            for busy in [None, self.busy].into_iter().take(1 + usize::from(self.busy.is_some())) {
                let _neighbours = Neighbours::start(busy.unwrap_or(0).into())?;
                for at in 0..players.len() {
                    // Another one begins with each clip, so that none always follows the same.
                    let player = &players[(at + n) % players.len()];
                    let rounds = player.way.rounds(clip, self.busy.is_some());
                    if usize::from(busy.is_some()) >= rounds {
                        continue;
                    }
                    let played = player.play(clip)?;
                    stages.entry(player.way).or_default().take_from(kept);
                    let line = Line::of(clip, player.way, busy.is_some(), played, idle);
                    if self.json {
                        say_json(&line)?;
                    } else if !clip.id.is_empty() {
                        say(line.text())?;
                    }
                    lines.push(line);
                }
            }
        }
        Ok((lines, stages))
    }
}

/// Waits for a line on standard input; `false` at its end.
fn told_to_go_on() -> Result<bool, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map(|bytes| bytes > 0)
        .map_err(|e| Failure::new(Exit::Failed, format!("cannot read standard input: {e}")))
}

fn conclude(lines: &[Line], totals: &BTreeMap<Way, Total>, json: bool) -> Result<(), Failure> {
    let comparison = Comparison::of(lines, totals);
    for (way, total) in totals {
        if json {
            say_json(&serde_json::json!({ "total": total, "strategy": way }))?;
        } else if totals.len() > 1 {
            say(format_args!("\n== {}\n{}", way.label(), total.text()))?;
        } else {
            say(format_args!("\n{}", total.text()))?;
        }
    }
    match (json, comparison.text()) {
        (_, text) if text.is_empty() => Ok(()),
        (true, _) => say_json(&serde_json::json!({ "comparison": comparison })),
        (false, text) => say(format_args!("\n{text}")),
    }
}
