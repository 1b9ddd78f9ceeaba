//! What a bench prints: a line per take, the total of each way, and how the ways compare. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ptt_messages::{Outcome, TextPath};
use serde::{Serialize, Serializer};

use super::clips::{BenchClip, Kind};
use super::player::{Played, Way};
use crate::commands::measure::{StageRow, table};
use crate::commands::stats::{Percentiles, ms};
use crate::wer::Errors;

/// What is printed of one take.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) strategy: Way,
    pub(super) kind: Kind,
    /// Whether busy processes were beside it.
    pub(super) busy: bool,
    pub(super) audio_s: f64,
    pub(super) outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<TextPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) release_to_text_ms: Option<f64>,
    pub(super) encode_ms: f64,
    pub(super) decode_ms: f64,
    pub(super) background_s: f64,
    /// Processor time of the take, without what listening costs.
    pub(super) cpu_s: f64,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) edits: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) words: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<String>,
}

impl Line {
    /// `idle_share` is what listening costs, in processors.
    pub(super) fn of(clip: &BenchClip, way: Way, busy: bool, played: Played, idle_share: f64) -> Self {
        let Played { report, cpu, wall } = played;
        let errors = clip.reference.as_deref().map(|r| Errors::of(r, report.text.reveal()));
        let millis = |d: Duration| d.as_secs_f64() * 1e3;
        Self {
            id: clip.id.clone(),
            strategy: way,
            kind: clip.kind,
            busy,
            audio_s: clip.length.as_secs_f64(),
            outcome: report.outcome,
            path: report.path,
            release_to_text_ms: report.release_to_text.map(millis),
            encode_ms: millis(report.timing.encode),
            decode_ms: millis(report.timing.decode),
            background_s: report.timing.background.as_secs_f64(),
            cpu_s: (cpu.as_secs_f64() - idle_share * wall.as_secs_f64()).max(0.0),
            text: report.text.reveal().to_owned(),
            reference: clip.reference.clone(),
            edits: errors.map(|e| e.edits),
            words: errors.map(|e| e.words),
            fault: report.fault,
        }
    }

    pub(super) fn text(&self) -> String {
        let latency = self.release_to_text_ms.map_or_else(|| "-".into(), ms);
        let busy = if self.busy { "busy" } else { "" };
        let path = self.path.map_or(self.outcome.label(), TextPath::label);
        let errors = match (self.edits, self.words) {
            (Some(edits), Some(words)) => format!("{edits}/{words}"),
            _ => String::new(),
        };
        let (id, way, audio, text) = (&self.id, self.strategy.label(), self.audio_s, &self.text);
        format!("{id:<24}{audio:>6.1} s  {way:<6}{busy:<5}{latency:>7} ms  {path:<9}{errors:>7}  {text}")
    }

    fn errors(&self) -> Option<Errors> {
        Some(Errors { edits: self.edits?, words: self.words? })
    }
}

/// What is printed of several takes of one sort.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    takes: usize,
    with_text: usize,
    audio_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wer: Option<f64>,
    edits: usize,
    words: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    release_to_text: Option<Percentiles>,
    by_path: BTreeMap<&'static str, usize>,
    background_s: f64,
    cpu_s: f64,
    /// Delivered characters.
    characters: usize,
}

impl Summary {
    /// `None` without any take.
    fn of<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<Self> {
        let lines: Vec<&Line> = lines.collect();
        if lines.is_empty() {
            return None;
        }
        let mut by_path = BTreeMap::new();
        for line in &lines {
            *by_path.entry(line.path.map_or(line.outcome.label(), TextPath::label)).or_default() += 1;
        }
        let errors = BySource::of(lines.iter().filter_map(|l| Some((l.id.as_str(), l.errors()?)))).total();
        let latencies: Vec<Duration> = lines
            .iter()
            .filter_map(|l| l.release_to_text_ms)
            .map(|ms| Duration::from_secs_f64(ms / 1e3))
            .collect();
        Some(Self {
            takes: lines.len(),
            with_text: lines.iter().filter(|l| !l.text.is_empty()).count(),
            audio_s: lines.iter().map(|l| l.audio_s).sum(),
            wer: (errors.words > 0).then(|| errors.rate()),
            edits: errors.edits,
            words: errors.words,
            release_to_text: Percentiles::of(&latencies),
            by_path,
            background_s: lines.iter().map(|l| l.background_s).sum(),
            cpu_s: lines.iter().map(|l| l.cpu_s).sum(),
            characters: lines.iter().map(|l| l.text.chars().count()).sum(),
        })
    }

    fn text(&self, by_source: Option<&BySource>) -> String {
        let mut lines = Vec::new();
        if let Some(wer) = self.wer {
            lines.push(format!("WER {} ({} edits in {} words)", percent(wer), self.edits, self.words));
            lines.extend(by_source.map(ToString::to_string));
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
            "processor: {:.1} s, of it {:.1} s in the background while keys were held",
            self.cpu_s, self.background_s
        ));
        lines.join("\n")
    }
}

/// What is printed of one way at the end.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Total {
    /// Of the single clips, with nothing beside them.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    clips: Option<Summary>,
    by_source: BySource,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<Summary>,
    /// Of the single clips again, with busy processes beside them.
    #[serde(skip_serializing_if = "Option::is_none")]
    busy: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<Summary>,
    rss_mib: f64,
    stages: Vec<StageRow>,
}

impl Total {
    pub(super) fn of(lines: &[Line], way: Way, stages: Vec<StageRow>, rss_bytes: u64) -> Self {
        let of = |kind, busy| move |l: &&Line| l.strategy == way && l.kind == kind && l.busy == busy;
        let sort = |kind, busy| Summary::of(lines.iter().filter(of(kind, busy)));
        let clips = lines.iter().filter(of(Kind::Clip, false));
        Self {
            clips: sort(Kind::Clip, false),
            by_source: BySource::of(clips.filter_map(|l| Some((l.id.as_str(), l.errors()?)))),
            joined: sort(Kind::Joined, false),
            busy: sort(Kind::Clip, true),
            noise: Summary::of(lines.iter().filter(|l| l.strategy == way && l.kind == Kind::Noise)),
            rss_mib: rss_bytes as f64 / f64::from(1 << 20),
            stages,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(clips) = &self.clips {
            lines.push(clips.text(Some(&self.by_source)));
        }
        for (title, summary) in [("joined takes", &self.joined), ("beside busy processes", &self.busy)] {
            if let Some(summary) = summary {
                lines.push(format!("{title}\n  {}", summary.text(None).replace('\n', "\n  ")));
            }
        }
        if let Some(noise) = &self.noise {
            let (characters, takes) = (noise.characters, noise.takes);
            lines.push(format!("nothing said: {characters} characters delivered in {takes} takes"));
        }
        lines.push(format!("memory of the process: {:.0} MiB", self.rss_mib));
        if !self.stages.is_empty() {
            lines.push(format!("\n{}", table(&self.stages)));
        }
        lines.join("\n")
    }
}

/// How the ways compare. Every ratio is of two figures of this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    /// How many times as fast as `batch` the text is there with `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_over_live: Option<Ratios>,
    /// How many times the processor time of `batch` `live` takes: over all, and take by take.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_live_over_batch: Option<CpuRatios>,
    /// Points of WER above `full_context`.
    wer_points_over_full_context: BTreeMap<Way, f64>,
    joined_wer_points_over_full_context: BTreeMap<Way, f64>,
    /// p50 of joined takes over that of single clips.
    joined_over_clips_p50: BTreeMap<Way, f64>,
    /// p50 beside busy processes over that with nothing beside.
    busy_over_quiet_p50: BTreeMap<Way, f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Ratios {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct CpuRatios {
    all: f64,
    p50: f64,
    p95: f64,
    max: f64,
}

impl Comparison {
    pub(super) fn of(lines: &[Line], totals: &BTreeMap<Way, Total>) -> Self {
        let clips = |way| totals.get(&way).and_then(|t| t.clips.as_ref());
        let latency = |way| clips(way).and_then(|c| c.release_to_text);
        let full = totals.get(&Way::FullContext);
        let over_full = |pick: fn(&Total) -> &Option<Summary>| {
            let wer = |total: &Total| pick(total).as_ref().and_then(|s| s.wer);
            let points = |(way, total): (&Way, &Total)| {
                (*way != Way::FullContext).then_some(())?;
                Some((*way, (wer(total)? - wer(full?)?) * 100.0))
            };
            totals.iter().filter_map(points).collect()
        };
        let over_clips = |pick: fn(&Total) -> &Option<Summary>| {
            let ratio = |(way, total): (&Way, &Total)| {
                let other = pick(total).as_ref()?.release_to_text?;
                Some((*way, other.p50_ms / latency(*way)?.p50_ms))
            };
            totals.iter().filter_map(ratio).collect()
        };
        Self {
            batch_over_live: latency(Way::Live).zip(latency(Way::Batch)).map(|(live, batch)| Ratios {
                p50: batch.p50_ms / live.p50_ms,
                p95: batch.p95_ms / live.p95_ms,
                p99: batch.p99_ms / live.p99_ms,
                max: batch.max_ms / live.max_ms,
            }),
            cpu_live_over_batch: CpuRatios::of(lines),
            wer_points_over_full_context: over_full(|t| &t.clips),
            joined_wer_points_over_full_context: over_full(|t| &t.joined),
            joined_over_clips_p50: over_clips(|t| &t.joined),
            busy_over_quiet_p50: over_clips(|t| &t.busy),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(r) = self.batch_over_live {
            lines.push(format!(
                "live against batch, release to text: p50 {:.1} x, p95 {:.1} x, p99 {:.1} x, max {:.1} x as fast",
                r.p50, r.p95, r.p99, r.max
            ));
        }
        if let Some(r) = self.cpu_live_over_batch {
            lines.push(format!(
                "live against batch, processor time: {:.2} x over all; take by take p50 {:.2} x, p95 {:.2} x, max {:.2} x",
                r.all, r.p50, r.p95, r.max
            ));
        }
        let mut list = |what: &str, unit: &str, figures: &BTreeMap<Way, f64>, signed: bool| {
            let one = |(way, figure): (&Way, &f64)| match signed {
                true => format!("{} {figure:+.2}{unit}", way.label()),
                false => format!("{} {figure:.2}{unit}", way.label()),
            };
            if !figures.is_empty() {
                lines.push(format!("{what}: {}", figures.iter().map(one).collect::<Vec<_>>().join(", ")));
            }
        };
        let (points, joined) =
            (&self.wer_points_over_full_context, &self.joined_wer_points_over_full_context);
        list("WER against batch at full context", " points", points, true);
        list("WER of joined takes against the same", " points", joined, true);
        list("p50 of joined takes against single clips", " x", &self.joined_over_clips_p50, false);
        list("p50 beside busy processes against quiet", " x", &self.busy_over_quiet_p50, false);
        lines.join("\n")
    }
}

impl CpuRatios {
    fn of(lines: &[Line]) -> Option<Self> {
        let batch: BTreeMap<(&str, bool), f64> = lines
            .iter()
            .filter(|l| l.strategy == Way::Batch && l.cpu_s > 0.0)
            .map(|l| ((l.id.as_str(), l.busy), l.cpu_s))
            .collect();
        // Takes without words cost neither way anything.
        let pairs: Vec<(f64, f64)> = lines
            .iter()
            .filter(|l| l.strategy == Way::Live && l.kind != Kind::Noise)
            .filter_map(|l| Some((l.cpu_s, *batch.get(&(l.id.as_str(), l.busy))?)))
            .collect();
        let mut ratios: Vec<f64> = pairs.iter().map(|(live, batch)| live / batch).collect();
        ratios.sort_by(f64::total_cmp);
        let rank = |percent: usize| ratios.get((ratios.len() * percent).div_ceil(100).max(1) - 1).copied();
        let all = pairs.iter().map(|p| p.0).sum::<f64>() / pairs.iter().map(|p| p.1).sum::<f64>();
        Some(Self { all, p50: rank(50)?, p95: rank(95)?, max: rank(100)? })
    }
}

/// Errors by where clips are from, which their names begin with.
#[derive(Clone, Debug, Default)]
pub(super) struct BySource(BTreeMap<String, Errors>);

impl BySource {
    pub(super) fn of<'a>(errors: impl Iterator<Item = (&'a str, Errors)>) -> Self {
        let mut by_source: BTreeMap<String, Errors> = BTreeMap::new();
        for (id, errors) in errors {
            let source = id.split(['-', '_']).next().unwrap_or_default().to_owned();
            *by_source.entry(source).or_default() += errors;
        }
        Self(by_source)
    }

    pub(super) fn total(&self) -> Errors {
        let mut total = Errors::default();
        self.0.values().for_each(|errors| total += *errors);
        total
    }
}

impl fmt::Display for BySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<String> = self.0.iter().map(|(s, e)| format!("{s} {}", percent(e.rate()))).collect();
        write!(f, "  by source: {}", sources.join(", "))
    }
}

impl Serialize for BySource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(source, errors)| (source, errors.rate())))
    }
}

pub(super) fn percent(rate: f64) -> String {
    format!("{:.2} %", rate * 100.0)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
