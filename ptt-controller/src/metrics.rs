//! The controller's metrics: transitions, states, takes.
//!
//! The stages it measures are described in `ptt_messages::stage`, the faults it counts too.

use std::collections::HashMap;
use std::time::Duration;

use metrics::{
    Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use ptt_messages::{Outcome, StateName, TextPath};

use crate::fsm::{InputName, Move, diagram};

/// Histogram of the time from an input's cause (a key's timestamp, a message's sending) to the effects sent; labels
/// `from`, `to`, `input`.
pub const TRANSITION_SECONDS: &str = "ptt_transition_seconds";
/// Histogram of the time spent in a state; label `state`.
pub const STATE_SECONDS: &str = "ptt_state_seconds";
/// Gauge, 1 for the state the machine is in; label `state`.
pub const STATE: &str = "ptt_state";
/// Histogram of the time from the key's release to the text; label `path`.
pub const RELEASE_TO_TEXT_SECONDS: &str = "ptt_release_to_text_seconds";
/// Counter of takes; label `outcome`.
pub const TAKES_TOTAL: &str = "ptt_takes_total";
/// Histogram of the length of takes.
pub const TAKE_SECONDS: &str = "ptt_take_seconds";
/// Gauge of the presses that wait for the take before theirs.
pub const REMEMBERED_PRESSES: &str = "ptt_remembered_presses";
/// Gauge of the most presses that ever waited.
pub const REMEMBERED_PRESSES_MAX: &str = "ptt_remembered_presses_max";

/// Describes the metrics named here and exports them before the first take.
pub fn describe() {
    describe_histogram!(
        TRANSITION_SECONDS,
        Unit::Seconds,
        "From an input's cause to the effects of its transition sent"
    );
    describe_histogram!(STATE_SECONDS, Unit::Seconds, "Time spent in a state");
    describe_gauge!(STATE, Unit::Count, "1 for the state the machine is in");
    describe_histogram!(
        RELEASE_TO_TEXT_SECONDS,
        Unit::Seconds,
        "From the key's release, or from the command to try again, to the text"
    );
    describe_counter!(TAKES_TOTAL, Unit::Count, "Takes by how they ended");
    describe_histogram!(TAKE_SECONDS, Unit::Seconds, "Length of takes, pre-roll and post-roll included");
    describe_gauge!(REMEMBERED_PRESSES, Unit::Count, "Presses that wait for the take before theirs");
    describe_gauge!(REMEMBERED_PRESSES_MAX, Unit::Count, "The most presses that ever waited");
    for outcome in Outcome::ALL {
        counter!(TAKES_TOTAL, "outcome" => outcome.label()).absolute(0);
    }
    // Made here, and thereby exported.
    let _ = Meters::new();
}

/// The handles of what is measured in every step.
pub(crate) struct Meters {
    transitions: HashMap<(StateName, StateName, InputName), Histogram>,
    states: HashMap<StateName, (Histogram, Gauge)>,
    paths: HashMap<TextPath, Histogram>,
    take: Histogram,
    remembered: Gauge,
    most_remembered: Gauge,
    most: usize,
}

impl Meters {
    pub fn new() -> Self {
        let transitions = diagram::edges();
        Self {
            transitions: transitions.into_iter().map(|edge| (edge, transition(edge))).collect(),
            states: StateName::ALL
                .into_iter()
                .map(|state| {
                    let label = state.label();
                    (state, (histogram!(STATE_SECONDS, "state" => label), gauge!(STATE, "state" => label)))
                })
                .collect(),
            paths: TextPath::ALL
                .into_iter()
                .map(|path| (path, histogram!(RELEASE_TO_TEXT_SECONDS, "path" => path.label())))
                .collect(),
            take: histogram!(TAKE_SECONDS),
            remembered: gauge!(REMEMBERED_PRESSES),
            most_remembered: gauge!(REMEMBERED_PRESSES_MAX),
            most: 0,
        }
    }

    pub fn transition(&mut self, moved: Move, took: Duration) {
        let edge = (moved.from, moved.to, moved.input);
        self.transitions.entry(edge).or_insert_with(|| transition(edge)).record(took);
    }

    pub fn state(&self, left: StateName, after: Duration, entered: StateName) {
        if let Some((seconds, now)) = self.states.get(&left) {
            seconds.record(after);
            now.set(0.0);
        }
        self.enter(entered);
    }

    pub fn enter(&self, state: StateName) {
        if let Some((_, now)) = self.states.get(&state) {
            now.set(1.0);
        }
    }

    pub fn text(&self, path: TextPath, release_to_text: Duration) {
        if let Some(seconds) = self.paths.get(&path) {
            seconds.record(release_to_text);
        }
    }

    pub fn length(&self, length: Duration) {
        self.take.record(length);
    }

    pub fn remembered(&mut self, presses: usize) {
        // A handful at most: exact in f64.
        let count = |presses: usize| f64::from(u32::try_from(presses).unwrap_or(u32::MAX));
        self.remembered.set(count(presses));
        if presses > self.most {
            self.most = presses;
            self.most_remembered.set(count(presses));
        }
    }
}

pub(crate) fn count_take(outcome: Outcome) {
    counter!(TAKES_TOTAL, "outcome" => outcome.label()).increment(1);
}

fn transition((from, to, input): (StateName, StateName, InputName)) -> Histogram {
    histogram!(TRANSITION_SECONDS, "from" => from.label(), "to" => to.label(), "input" => input.label())
}
