//! What a scraper sees of the shipped program: real data for every step of a take, exact boundaries at the targets, and
//! nothing of what was said.

use std::collections::BTreeSet;
use std::time::Duration;

use ptt_messages::{Component, ControllerEvent, FaultKind, Outcome, Stage, StateName, TextPath};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, Metrics};

/// Words that occur in no log, no metric and no message of ours.
const SECRET: &str = "zanzibar pineapple";

fn daemon() -> Daemon {
    let more = format!(
        "audio.wav_pace = 'fast'\nstt.canned_texts = ['{SECRET}']\noutput.sink = 'stdout'\nlog.filter = 'trace'"
    );
    DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], &more)).start()
}

/// A whole take, its text delivered.
fn hold(daemon: &mut Daemon) -> Outcome {
    let outcome = daemon.take(|_| std::thread::sleep(Duration::from_millis(300))).outcome;
    daemon.until("a delivery", |event| matches!(event, ControllerEvent::Delivered { .. }).then_some(()));
    outcome
}

#[test]
fn every_transition_of_a_take_has_its_latency() {
    let mut daemon = daemon();
    for _ in 0..3 {
        assert_eq!(hold(&mut daemon), Outcome::Text);
    }
    let metrics = daemon.scrape();
    let way = [
        ("waiting_for_key", "key_pressed"),
        ("key_pressed", "recording"),
        ("recording", "recording_stopped"),
        ("recording_stopped", "processing"),
        ("processing", "idle"),
    ];
    for (from, to) in way {
        let counted = metrics.count("ptt_transition_seconds", &[("from", from), ("to", to)]);
        assert_eq!(counted, 3, "{from} to {to}");
    }
    assert!(metrics.count("ptt_transition_seconds", &[("from", "idle"), ("to", "waiting_for_key")]) >= 3);
    for (_, state) in &way[..4] {
        assert_eq!(metrics.count("ptt_state_seconds", &[("state", state)]), 3, "{state}");
    }
    assert_eq!(metrics.sum("ptt_takes_total", &[("outcome", "text")]), Some(3.0));
    assert_eq!(metrics.count("ptt_release_to_text_seconds", &[]), 3);
    for stage in ["recording_start", "state_transition", "thread_hop", "feedback", "ptt_response", "deliver"]
    {
        assert!(metrics.count("ptt_stage_seconds", &[("stage", stage)]) >= 3, "{stage}");
    }
    assert!(metrics.count("ptt_mailbox_wait_seconds", &[]) > 10);
}

#[test]
fn targets_stand_beside_the_measurements_and_are_exact_boundaries() {
    let mut daemon = daemon();
    assert_eq!(hold(&mut daemon), Outcome::Text);
    let metrics = daemon.scrape();
    let boundaries = metrics.boundaries("ptt_stage_seconds");
    for stage in Stage::ALL {
        let told = metrics.sum("ptt_latency_target_seconds", &[("stage", stage.label())]);
        assert_eq!(told, stage.target().map(|target| target.as_secs_f64()), "{stage:?}");
        if let Some(target) = told {
            assert!(boundaries.contains(&target), "{stage:?}: {target} is not in {boundaries:?}");
        }
    }
    for exact in [0.001, 0.005, 0.01, 0.02, 0.05, 0.1] {
        assert!(boundaries.contains(&exact), "{exact} is not in {boundaries:?}");
    }
}

#[test]
fn what_may_happen_is_there_as_zero_before_it_happens() {
    let daemon = daemon();
    let metrics = daemon.scrape();
    for outcome in Outcome::ALL {
        assert_eq!(metrics.sum("ptt_takes_total", &[("outcome", outcome.label())]), Some(0.0), "{outcome:?}");
    }
    for component in Component::ALL {
        for kind in FaultKind::ALL {
            let labels = [("component", component.label()), ("kind", kind.label())];
            assert!(metrics.sum("ptt_faults_total", &labels).is_some(), "{labels:?}");
        }
    }
}

#[test]
fn labels_come_from_closed_sets_and_nothing_that_was_said_is_anywhere() {
    let mut daemon = daemon();
    assert_eq!(hold(&mut daemon), Outcome::Text);
    let metrics = daemon.scrape();
    assert_closed(&metrics);
    let text = rig::http_get(daemon.metrics_address(), "/metrics").unwrap().1;
    let finished = daemon.stop();
    assert!(finished.out.contains(SECRET), "the text goes to stdout");
    for word in SECRET.split(' ') {
        assert!(!text.contains(word), "a word of the text is in the metrics");
        assert!(!finished.err.contains(word), "a word of the text is in the log");
    }
}

fn assert_closed(metrics: &Metrics) {
    let closed = |name: &str| -> Option<BTreeSet<&str>> {
        Some(match name {
            "from" | "to" | "state" => StateName::ALL.map(StateName::label).into(),
            "outcome" => Outcome::ALL.map(Outcome::label).into(),
            "stage" => Stage::ALL.map(Stage::label).into(),
            "component" => Component::ALL.map(Component::label).into(),
            "kind" => FaultKind::ALL.map(FaultKind::label).into(),
            "path" => TextPath::ALL.map(TextPath::label).into(),
            _ => return None,
        })
    };
    for (name, label, value) in metrics.labels() {
        assert_ne!(label, "quantile", "{name} has no buckets");
        match closed(label) {
            Some(allowed) => assert!(allowed.contains(value), "{name}: {label} = {value}"),
            // The others are short words of ours: no text, no path, no name of a device.
            None => assert!(
                label == "le"
                    || label == "version"
                    || value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
                "{name}: {label} = {value}"
            ),
        }
    }
}
