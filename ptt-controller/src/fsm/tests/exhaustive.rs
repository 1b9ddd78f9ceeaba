//! Everything that can be reached, searched breadth first: times are "too short to be meant" and "long enough", deadlines
//! "armed" and "expired", takes "this one".

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use ptt_messages::StateName;

use super::script::parse;
use super::watch::Watch;
use super::*;

/// Every word of the script language that is an input.
const WORDS: [&str; 41] = [
    "enable",
    "disable",
    "retry",
    "press",
    "release",
    "toggle",
    "escape",
    "user_left",
    "keyboard_lost",
    "granted",
    "refused",
    "load",
    "unload",
    "microphone_lost",
    "started",
    "start_failed",
    "paused",
    "committed",
    "resumed",
    "recorder_failed",
    "finished",
    "no_speech",
    "zeros",
    "quiet",
    "cleared",
    "ready",
    "unloaded",
    "load_failed",
    "partial",
    "remarks",
    "remarks 'left'",
    "remarks 'incomplete'",
    "text 'x'",
    "text",
    "engine_failed",
    "engine_hopeless",
    "feedback_failed",
    "delivered",
    "output_failed",
    "withdrawn",
    "opened",
];

/// How many remembered presses the search follows: the third is to the second what the second is to the first.
const DEPTH: usize = 2;

/// What of a machine decides what it will do; the times and numbers in it are left out.
type Shape = (String, [bool; 9], Vec<(bool, bool)>, Vec<String>);

#[test]
fn every_state_that_can_be_reached_can_be_left_and_everything_drawn_can_happen() {
    let mut seen_moves: BTreeSet<String> = BTreeSet::new();
    let mut useful: BTreeSet<InputName> = BTreeSet::new();
    for (mode, once) in [
        (Mode::Hold, false),
        (Mode::Hold, true),
        (Mode::Toggle, false),
        (Mode::Auto, false),
        (Mode::DoubleTap, false),
    ] {
        let policy = Policy { mode, once, ..Policy::default() };
        let shapes = search(&policy, &mut seen_moves, &mut useful);
        assert!(shapes > 5_000, "{mode:?}: the search got nowhere: {shapes}");
    }
    let drawn: BTreeSet<String> = diagram::edges().into_iter().map(|edge| format!("{edge:?}")).collect();
    assert_eq!(seen_moves, drawn, "docs/fsm.md draws exactly what can happen");
    let silent: Vec<&InputName> = InputName::ALL.iter().filter(|name| !useful.contains(name)).collect();
    assert_eq!(silent, [&InputName::StillEnabled, &InputName::Listening, &InputName::Played]);
}

fn search(policy: &Policy, moves: &mut BTreeSet<String>, useful: &mut BTreeSet<InputName>) -> usize {
    let first = Watch::new(policy.clone());
    let mut seen = BTreeSet::from([shape(&first)]);
    let mut queue = VecDeque::from([first]);
    while let Some(watch) = queue.pop_front() {
        let mut alone = watch.clone();
        alone.leave_alone();
        for input in inputs(&watch) {
            let mut next = watch.clone();
            next.now = next.now + Duration::from_secs(1);
            let (name, before) = (input.name(), next.machine.clone());
            let effects = next.step(input);
            if !effects.is_empty() || next.machine != before {
                useful.insert(name);
            }
            for moved in next.moves.drain(..) {
                moves.insert(format!("{:?}", (moved.from, moved.to, moved.input)));
            }
            next.forget();
            if next.machine.remembered() <= DEPTH && seen.insert(shape(&next)) {
                queue.push_back(next);
            }
        }
    }
    seen.len()
}

fn inputs(watch: &Watch) -> Vec<Input> {
    let take = watch.machine.take().unwrap_or(watch.machine.last);
    let now = watch.now + Duration::from_secs(1);
    let mut inputs: Vec<Input> = WORDS
        .iter()
        .map(|word| match word.split_once(' ') {
            Some((word, text)) => parse(&format!("{word}{take} {text}"), now),
            None => parse(&format!("{word}{take}"), now),
        })
        .collect();
    let current = match &watch.machine.state {
        S::KeyPressed { take, .. } | S::Recording { take } => Some(&take.gesture),
        S::Idle
        | S::WaitingForKey
        | S::RecordingStopped { .. }
        | S::RecordingCancelled { .. }
        | S::Processing(_) => None,
    };
    let remembered = watch.machine.remembered.back().map(|take| &take.gesture);
    let open = [current, remembered].into_iter().flatten().find(|gesture| gesture.is_open());
    if let Some(gesture) = open {
        inputs.push(K::Released { at: gesture.pressed + Duration::from_millis(10) }.into());
    }
    if let Some(tapped) = watch.machine.tapped {
        inputs.push(K::Pressed { at: tapped.0 + Duration::from_millis(10), profile: tapped.1 }.into());
    }
    inputs.extend(watch.armed.iter().map(|(_, timer)| Input::TimedOut(*timer)));
    inputs
}

fn shape(watch: &Watch) -> Shape {
    let machine = &watch.machine;
    let gesture = |gesture: &Gesture| (gesture.is_open(), gesture.is_held());
    let state = match &machine.state {
        S::Idle | S::WaitingForKey => format!("{:?}", machine.state()),
        S::KeyPressed { take, granted } => format!("key_pressed {granted} {:?}", gesture(&take.gesture)),
        S::Recording { take } => format!("recording {:?} {}", gesture(&take.gesture), take.heard.is_empty()),
        S::RecordingStopped { take, .. } => format!("recording_stopped {}", take.heard.is_empty()),
        S::RecordingCancelled { outcome, .. } => format!("recording_cancelled {outcome:?}"),
        S::Processing(job) => {
            let Remarks { discarded, incomplete, .. } = &job.remarks;
            let (attempt, heard) = (job.attempt, !job.audio.heard.is_empty());
            format!("processing {attempt} {heard} {} {incomplete}", discarded.is_some())
        }
    };
    let kept = &machine.kept;
    let flags = [
        machine.enabled,
        machine.listening,
        machine.on_the_way.is_empty(),
        kept.texts.is_empty(),
        kept.salvaged.is_some(),
        kept.cancelled.is_some(),
        kept.discarded.is_some(),
        machine.state() == StateName::Idle,
        machine.tapped.is_some(),
    ];
    let remembered = machine.remembered.iter().map(|take| gesture(&take.gesture)).collect();
    let armed: BTreeSet<String> = watch.armed.iter().map(|(_, timer)| timer.kind.to_string()).collect();
    (state, flags, remembered, armed.into_iter().collect())
}
