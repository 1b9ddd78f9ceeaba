//! What a command that runs a daemon inside itself measures: the raw values of the daemon's own metrics, and the events
//! of its takes. Shared by `demo` and `bench`.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use metrics_util::debugging::{DebugValue, Snapshotter};
use ptt_messages::{
    ControllerEvent, Outcome, Stage, SttTiming, TakeId, TextPath, Transcript, stage::STAGE_SECONDS,
};
use serde::Serialize;

use super::stats::{Percentiles, ms};
use crate::exit_code::{Exit, Failure};

/// One take, from the events of the controller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TakeReport {
    pub(crate) take: TakeId,
    pub(crate) outcome: Outcome,
    pub(crate) text: Transcript,
    pub(crate) path: Option<TextPath>,
    pub(crate) release_to_text: Option<Duration>,
    pub(crate) timing: SttTiming,
    pub(crate) fault: Option<String>,
}

/// Waits for the next take to end (taps count), handing every event to `seen` on the way.
pub(crate) fn next_take(
    events: &Receiver<ControllerEvent>,
    patience: Duration,
    mut seen: impl FnMut(&ControllerEvent) -> Result<(), Failure>,
) -> Result<TakeReport, Failure> {
    let until = Instant::now() + patience;
    let mut fault = None;
    let mut said = None;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let event = events.recv_timeout(left).map_err(|e| match e {
            RecvTimeoutError::Timeout => {
                Failure::new(Exit::Failed, format!("no take ended within {patience:?}"))
            }
            RecvTimeoutError::Disconnected => Failure::new(Exit::Failed, "the daemon ended"),
        })?;
        seen(&event)?;
        match event {
            ControllerEvent::Text { text, path, release_to_text, timing, .. } => {
                said = Some((text, path, release_to_text, timing));
            }
            ControllerEvent::Fault { fault: found, .. } => fault = Some(found.message),
            ControllerEvent::Ended { take, outcome } => {
                let (text, path, release_to_text, timing) = match said {
                    Some((text, path, took, timing)) => (text, Some(path), Some(took), timing),
                    None => (Transcript::default(), None, None, SttTiming::default()),
                };
                return Ok(TakeReport { take, outcome, text, path, release_to_text, timing, fault });
            }
            ControllerEvent::Transition { .. }
            | ControllerEvent::Profile { .. }
            | ControllerEvent::Stage { .. }
            | ControllerEvent::Partial { .. }
            | ControllerEvent::Hint { .. }
            | ControllerEvent::Languages { .. }
            | ControllerEvent::Discarded { .. }
            | ControllerEvent::Part { .. }
            | ControllerEvent::Delivered { .. }
            | ControllerEvent::Withdrawn { .. } => {}
        }
    }
}

/// One row of the table of stages.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StageRow {
    pub(crate) stage: Stage,
    #[serde(flatten)]
    pub(crate) measured: Percentiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_ms: Option<f64>,
}

impl StageRow {
    fn meets(&self) -> Option<bool> {
        self.target_ms.map(|target| self.measured.p99_ms < target)
    }
}

/// What was measured of every stage, taken out of the daemon's metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageSamples(HashMap<Stage, Vec<Duration>>);

impl StageSamples {
    /// Adds what was measured since anybody last took something out of `kept`.
    pub(crate) fn take_from(&mut self, kept: &Snapshotter) {
        for (key, _, _, value) in kept.snapshot().into_vec() {
            let key = key.key();
            let label = key.labels().find(|l| l.key() == "stage").map(metrics::Label::value);
            let stage = Stage::ALL.into_iter().find(|stage| label == Some(stage.label()));
            let (Some(stage), DebugValue::Histogram(seconds)) = (stage, value) else { continue };
            if key.name() == STAGE_SECONDS {
                let durations = seconds.iter().map(|s| Duration::from_secs_f64(s.into_inner().max(0.0)));
                self.0.entry(stage).or_default().extend(durations);
            }
        }
    }

    /// A row for every stage that was measured.
    pub(crate) fn rows(&self) -> Vec<StageRow> {
        let row = |stage: Stage| {
            let target_ms = stage.target().map(|t| t.as_secs_f64() * 1e3);
            Some(StageRow { stage, measured: Percentiles::of(self.0.get(&stage)?)?, target_ms })
        };
        Stage::ALL.into_iter().filter_map(row).collect()
    }
}

/// Reads every stage that was measured since the last call; reading takes the values out.
pub(crate) fn stages(kept: &Snapshotter) -> Vec<StageRow> {
    let mut samples = StageSamples::default();
    samples.take_from(kept);
    samples.rows()
}

/// The table of stages as text, each beside its design target.
pub(crate) fn table(rows: &[StageRow]) -> String {
    let mut lines = vec![format!(
        "{:<18}{:>7}{:>10}{:>10}{:>10}{:>10}  {}",
        "stage", "n", "p50", "p95", "p99", "max", "target"
    )];
    for row in rows {
        let m = &row.measured;
        let verdict = match (row.target_ms, row.meets()) {
            (Some(target), Some(true)) => format!("< {target:.0} ms  met"),
            (Some(target), _) => format!("< {target:.0} ms  MISSED"),
            (None, _) => "-".into(),
        };
        lines.push(format!(
            "{:<18}{:>7}{:>10}{:>10}{:>10}{:>10}  {verdict}",
            row.stage.label(),
            m.n,
            ms(m.p50_ms),
            ms(m.p95_ms),
            ms(m.p99_ms),
            ms(m.max_ms)
        ));
    }
    lines.push("(milliseconds; the target is for the 99th percentile)".into());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_is_said_aloud() {
        let row = |p99_ms| StageRow {
            stage: Stage::KeyDetection,
            measured: Percentiles { n: 200, p50_ms: 0.1, p95_ms: 1.0, p99_ms, max_ms: 30.0 },
            target_ms: Some(10.0),
        };
        assert!(table(&[row(9.9)]).contains("< 10 ms  met"));
        assert!(table(&[row(10.0)]).contains("MISSED"));
    }

    #[test]
    fn a_take_is_read_from_its_events() {
        let (sender, events) = std::sync::mpsc::channel();
        let take = TakeId(4);
        for event in [
            ControllerEvent::Text {
                take,
                text: Transcript::new("hello"),
                path: TextPath::Ready,
                release_to_text: Duration::from_millis(3),
                timing: SttTiming::default(),
            },
            ControllerEvent::Ended { take, outcome: Outcome::Text },
        ] {
            sender.send(event).unwrap();
        }
        let mut seen = 0;
        let report = next_take(&events, Duration::from_secs(1), |_| {
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(
            (report.outcome, report.path, report.text.reveal(), seen),
            (Outcome::Text, Some(TextPath::Ready), "hello", 2)
        );
        drop(sender);
        assert!(next_take(&events, Duration::from_secs(1), |_| Ok(())).is_err());
    }
}
