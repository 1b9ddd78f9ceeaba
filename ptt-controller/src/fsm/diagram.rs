//! The machine drawn from itself: every situation with every input through `step`, as edges, a table and a diagram.
//!
//! `docs/fsm.md` is what [`document`] returns; a test compares, and writes it with `UPDATE_EXPECT=1`.

use std::fmt::Write;
use std::time::Duration;

use ptt_messages::{
    Chime, Clip, Component, ControllerCommand, Fault, FaultKind, FeedbackEvent, KeyboardEvent, Moment,
    OutputEvent, Profile, RecorderEvent, Remarks, ResourceEvent, Segment, SegmentId, SegmentState, StateName,
    SttEvent, SttTiming, TakeId, TakeSummary, TextPath, Transcript,
};

use super::{Effect, Input, InputName, Machine, Policy, Timer, TimerKind};

/// A state in which the machine can be, reached by inputs alone, and what is particular about it.
struct Situation {
    state: StateName,
    when: &'static str,
    machine: Machine,
}

/// One line of the table.
#[derive(Clone, PartialEq, Eq)]
struct Row {
    input: InputName,
    when: &'static str,
    path: Vec<StateName>,
    effects: Vec<String>,
}

/// When the sampled takes are pressed, and when the sampled inputs happen.
const PRESSED: Moment = Moment::from_millis(10_000);
const NOW: Moment = Moment::from_millis(12_000);

/// Every transition there is.
#[must_use]
pub fn edges() -> Vec<(StateName, StateName, InputName)> {
    let mut edges: Vec<_> = situations().iter().flat_map(moves).collect();
    edges.sort_by_key(|(from, to, input)| (*from as u8, *to as u8, *input));
    edges.dedup();
    edges
}

/// The text of `docs/fsm.md`.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(HEAD);
    text.push_str("\n```mermaid\nstateDiagram-v2\n    [*] --> idle\n");
    for (from, to, inputs) in arrows() {
        line(&mut text, format_args!("    {} --> {}: {}", from.label(), to.label(), inputs.join(", ")));
    }
    text.push_str("```\n");
    text.push_str(&deadlines());

    let situations = situations();
    let tables: Vec<Vec<Row>> = situations.iter().map(rows).collect();
    let everywhere: Vec<Row> = tables
        .iter()
        .flatten()
        .filter(|row| tables.iter().all(|table| table.contains(row)))
        .fold(Vec::new(), |mut unique, row| {
            if !unique.contains(row) {
                unique.push(row.clone());
            }
            unique
        });
    text.push_str("\n## In every state\n\n| input | effects |\n|---|---|\n");
    for row in &everywhere {
        line(&mut text, format_args!("| {} | {} |", row.input.label(), row.effects.join(", ")));
    }
    for state in StateName::ALL {
        line(
            &mut text,
            format_args!("\n## {}\n\n| input | when | next | effects |\n|---|---|---|---|", state.label()),
        );
        let here: Vec<(&Situation, &Vec<Row>)> =
            situations.iter().zip(&tables).filter(|(situation, _)| situation.state == state).collect();
        let mut different: Vec<&Row> = Vec::new();
        for row in here.iter().flat_map(|(_, table)| table.iter()) {
            if !everywhere.contains(row) && !different.contains(&row) {
                different.push(row);
            }
        }
        // In the order of the names, which is that of a take.
        different.sort_by_key(|row| row.input);
        for row in different {
            let whens: Vec<&str> = here
                .iter()
                .filter(|(_, table)| table.contains(row))
                .map(|(situation, _)| situation.when)
                .collect();
            let mut when = if whens.len() == here.len() { String::new() } else { whens.join(" or ") };
            if !row.when.is_empty() {
                let comma = if when.is_empty() { "" } else { ", " };
                when = format!("{when}{comma}{}", row.when);
            }
            let path: Vec<&str> = row.path.iter().map(|state| state.label()).collect();
            // Latched, or remembered, or a setting for later.
            let effects = if row.effects.is_empty() { "noted".into() } else { row.effects.join(", ") };
            line(
                &mut text,
                format_args!("| {} | {when} | {} | {effects} |", row.input.label(), path.join(" → ")),
            );
        }
    }
    text
}

const HEAD: &str = "\
# The state machine

<!-- Read off `Machine::step` by a test of ptt-controller; `UPDATE_EXPECT=1 cargo test -p ptt-controller` writes it. -->

Seven states; every input that does something in one of them, with what follows. What is not listed changes nothing, and
neither does an answer that carries the id of another take. A row with an empty `next` stays in its state; a path is
walked in one step. Settings are the default ones (mode `hold`); a take in mode `toggle` or `double_tap`, or in mode
`auto` after a short tap, is the one that is *toggled*. In mode `double_tap` a first tap is only noted.
The effects are those of the default profile. A take of another one says so as it begins (`profile#1/2`), and its engine and its
output are told each time (`stt:hear#1/2`); a press of any chord ends a toggled take.

`idle → waiting_for_key` by `still_enabled` is the end of every take: the machine listens again at once. After
`disable_ptt`, and after the first text with `once`, it stays in `idle`, and the keyboard, the recorder and the chimes
are closed. When a press was remembered, the next take begins in the same step:
`idle → waiting_for_key → key_pressed`. The output answers in any state; what that does is shown in `waiting_for_key`.
";

fn deadlines() -> String {
    let policy = Policy::default();
    let mut text = String::from(
        "\n## Deadlines\n\nNo other state can be stuck: each of these has an armed timer that leads out of it.\n\n\
         | state | deadline | setting |\n|---|---|---|\n",
    );
    for (state, deadline, setting) in [
        (StateName::KeyPressed, format!("{:?}", policy.start_deadline), "start_deadline_ms"),
        (StateName::Recording, format!("{:?}", policy.max_take), "max_take_s"),
        (StateName::RecordingStopped, format!("{:?}", policy.stop_deadline), "stop_deadline_ms"),
        (StateName::RecordingCancelled, format!("{:?}", policy.cancel_deadline), "cancel_deadline_ms"),
        (
            StateName::Processing,
            format!(
                "{:?}, or {} x the take where that is longer, for each of {} attempts; {:?} of grace",
                policy.decode_deadline,
                policy.decode_factor,
                policy.retries + 1,
                super::policy::ENGINE_GRACE
            ),
            "decode_deadline_s, decode_deadline_factor, retries",
        ),
    ] {
        line(&mut text, format_args!("| {} | {deadline} | `{setting}` |", state.label()));
    }
    text
}

fn arrows() -> Vec<(StateName, StateName, Vec<&'static str>)> {
    let mut arrows: Vec<(StateName, StateName, Vec<&'static str>)> = Vec::new();
    for (from, to, input) in edges() {
        match arrows.iter_mut().find(|arrow| (arrow.0, arrow.1) == (from, to)) {
            Some((_, _, inputs)) => inputs.push(input.label()),
            None => arrows.push((from, to, vec![input.label()])),
        }
    }
    arrows
}

fn moves(situation: &Situation) -> Vec<(StateName, StateName, InputName)> {
    let mut moves = Vec::new();
    for (input, _) in inputs() {
        for effect in situation.machine.clone().step(&Policy::default(), NOW, input) {
            if let Effect::Moved(moved) = effect {
                moves.push((moved.from, moved.to, moved.input));
            }
        }
    }
    moves
}

fn rows(situation: &Situation) -> Vec<Row> {
    let mut rows = Vec::new();
    for (input, when) in inputs() {
        let (name, mut machine) = (input.name(), situation.machine.clone());
        let effects = machine.step(&Policy::default(), NOW, input);
        if effects.is_empty() && machine == situation.machine {
            continue;
        }
        let mut row = Row { input: name, when, path: Vec::new(), effects: Vec::new() };
        for effect in &effects {
            if let Effect::Moved(moved) = effect {
                row.path.push(moved.to);
            } else {
                // The take's number is the sample's.
                let shown = effect.to_string();
                row.effects.push(format!("`{}`", shown.split('#').next().unwrap_or(&shown)));
            }
        }
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing into a String does not fail");
}

/// Every state, in each condition that changes what an input does.
fn situations() -> Vec<Situation> {
    let take = TakeId(1);
    let enable: Input = ControllerCommand::Enable.into();
    let down: Input = KeyboardEvent::Pressed { at: PRESSED, profile: Profile::DEFAULT }.into();
    let up: Input = KeyboardEvent::Released { at: PRESSED + Duration::from_secs(1) }.into();
    let again: Input =
        KeyboardEvent::Pressed { at: PRESSED + Duration::from_millis(1_500), profile: Profile::DEFAULT }
            .into();
    let toggle: Input = KeyboardEvent::Toggled { at: PRESSED, profile: Profile::DEFAULT }.into();
    let escape: Input = KeyboardEvent::Cancelled { at: NOW }.into();
    let granted: Input = ResourceEvent::Granted { take }.into();
    let started: Input = RecorderEvent::Started { take, first_sample: PRESSED }.into();
    let failed: Input = SttEvent::Failed { take: Some(take), fault: fault() }.into();
    let undelivered: Input = OutputEvent::Failed { take, fault: fault() }.into();

    let with = |reached: &[Input], more: &Input| [reached, std::slice::from_ref(more)].concat();
    let pressed = [enable.clone(), down];
    let lent = with(&pressed, &granted);
    let recording = with(&lent, &started);
    let stopped = with(&recording, &up);
    let processing = with(&stopped, &finished(take, true));
    let last_attempt = with(&processing, &failed);
    let salvaged = with(&last_attempt, &failed);
    let handed_out = with(&processing, &complete(take, "hello"));
    let disable = ControllerCommand::Disable.into();
    let waiting = StateName::WaitingForKey;
    let table: Vec<(StateName, &'static str, Vec<Input>)> = vec![
        (StateName::Idle, "nothing kept", vec![]),
        (StateName::Idle, "audio kept", with(&salvaged, &disable)),
        (waiting, "nothing kept", vec![enable.clone()]),
        (waiting, "audio kept", salvaged),
        (waiting, "a text on its way", handed_out.clone()),
        (waiting, "a text that is being withdrawn", with(&handed_out, &escape)),
        (waiting, "an undelivered text", with(&handed_out, &undelivered)),
        (StateName::KeyPressed, "not granted yet", pressed.to_vec()),
        (StateName::KeyPressed, "granted", lent.clone()),
        (StateName::KeyPressed, "granted and released", with(&lent, &up)),
        (StateName::Recording, "held", recording),
        (StateName::Recording, "toggled", vec![enable, toggle, granted, started]),
        (StateName::RecordingStopped, "nothing remembered", stopped.clone()),
        (StateName::RecordingStopped, "a press remembered", with(&stopped, &again)),
        (StateName::RecordingCancelled, "", with(&pressed, &escape)),
        (StateName::Processing, "first attempt", processing.clone()),
        (StateName::Processing, "last attempt", last_attempt),
        (StateName::Processing, "a press remembered", with(&processing, &again)),
    ];
    table
        .into_iter()
        .map(|(state, when, inputs)| Situation { state, when, machine: reached(inputs) })
        .collect()
}

fn reached(inputs: Vec<Input>) -> Machine {
    let mut machine = Machine::default();
    for input in inputs {
        // What was done on the way does not matter here.
        let _ = machine.step(&Policy::default(), NOW, input);
    }
    machine
}

/// Every input about the sampled take, and what is particular about it.
fn inputs() -> Vec<(Input, &'static str)> {
    let take = TakeId(1);
    let short = PRESSED + Duration::from_millis(100);
    let timer = |kind| Input::TimedOut(Timer { take, kind });
    let pause = Segment { id: SegmentId { take, index: 0 }, ..tail(take) };
    let plain: Vec<Input> = vec![
        ControllerCommand::Enable.into(),
        ControllerCommand::Disable.into(),
        ControllerCommand::Retry.into(),
        KeyboardEvent::Listening { backend: "scripted".into() }.into(),
        KeyboardEvent::Pressed { at: NOW, profile: Profile::DEFAULT }.into(),
        KeyboardEvent::Released { at: NOW }.into(),
        KeyboardEvent::Toggled { at: NOW, profile: Profile::DEFAULT }.into(),
        KeyboardEvent::Cancelled { at: NOW }.into(),
        KeyboardEvent::UserLeft { at: NOW }.into(),
        KeyboardEvent::Failed(fault()).into(),
        ResourceEvent::Granted { take }.into(),
        ResourceEvent::Refused { take, fault: fault() }.into(),
        RecorderEvent::Started { take, first_sample: PRESSED }.into(),
        timer(TimerKind::Start),
        RecorderEvent::StartFailed { take, fault: fault() }.into(),
        timer(TimerKind::MaxTake),
        RecorderEvent::Heard(Segment { state: SegmentState::Paused, ..pause.clone() }).into(),
        RecorderEvent::Heard(Segment { state: SegmentState::Committed, ..pause }).into(),
        RecorderEvent::SpeechResumed { take, index: 0 }.into(),
        RecorderEvent::Failed { take, fault: fault() }.into(),
        finished(take, true),
        finished(take, false),
        timer(TimerKind::Stop),
        RecorderEvent::Cleared { take }.into(),
        timer(TimerKind::Cancel),
        SttEvent::Partial { take, committed: Transcript::default(), tentative: Transcript::default() }.into(),
        SttEvent::Remarks { take, remarks: Remarks::default() }.into(),
        SttEvent::Failed { take: Some(take), fault: fault() }.into(),
        timer(TimerKind::Decode { attempt: 1 }),
        timer(TimerKind::Decode { attempt: 2 }),
        OutputEvent::Delivered { take, sink: "stdout".into() }.into(),
        OutputEvent::Failed { take, fault: fault() }.into(),
        OutputEvent::Withdrawn { take }.into(),
        timer(TimerKind::Undo),
        ResourceEvent::LoadModel.into(),
        ResourceEvent::UnloadModel.into(),
        SttEvent::Ready { model: "tiny.en".into(), load: Duration::ZERO }.into(),
        SttEvent::Unloaded.into(),
        SttEvent::Failed { take: None, fault: fault() }.into(),
        RecorderEvent::Opened { device: "default".into(), rate_hz: 48_000, channels: 1 }.into(),
        RecorderEvent::Lost(fault()).into(),
        FeedbackEvent::Played { take, chime: Chime::Start, since: PRESSED, at: NOW }.into(),
        FeedbackEvent::Failed(fault()).into(),
    ];
    let mut inputs: Vec<(Input, &'static str)> = plain.into_iter().map(|input| (input, "")).collect();
    inputs.extend([
        (KeyboardEvent::Released { at: short }.into(), "a tap, shorter than `min_hold_ms`"),
        (complete(take, "hello"), "a text"),
        (complete(take, ""), "an empty text"),
        (zeros(take), "every sample is zero"),
    ]);
    inputs
}

fn fault() -> Fault {
    Fault::new(Component::Controller, FaultKind::Broken, "a sample; nothing to do")
}

fn tail(take: TakeId) -> Segment {
    let id = SegmentId { take, index: 1 };
    Segment { id, state: SegmentState::Tail, start: 0, speech_end: 0, certain: true, clip: Clip::empty() }
}

fn finished(take: TakeId, has_speech: bool) -> Input {
    let summary = TakeSummary { has_speech, length: Duration::from_secs(2), ..TakeSummary::default() };
    RecorderEvent::Finished { tail: tail(take), summary }.into()
}

fn zeros(take: TakeId) -> Input {
    let summary =
        TakeSummary { digital_silence: true, length: Duration::from_secs(2), ..TakeSummary::default() };
    RecorderEvent::Finished { tail: tail(take), summary }.into()
}

fn complete(take: TakeId, text: &str) -> Input {
    let (text, path, timing) = (Transcript::new(text), TextPath::Tail, SttTiming::default());
    SttEvent::Complete { take, text, path, timing }.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_situation_is_the_state_it_says_and_every_state_and_input_is_drawn() {
        let situations = situations();
        for situation in &situations {
            assert_eq!(situation.machine.state(), situation.state, "{}", situation.when);
        }
        assert!(StateName::ALL.iter().all(|state| situations.iter().any(|s| s.state == *state)));
        let names: BTreeSet<InputName> = inputs().iter().map(|(input, _)| input.name()).collect();
        let missing: Vec<&InputName> = InputName::ALL.iter().filter(|name| !names.contains(name)).collect();
        assert_eq!(missing, [&InputName::StillEnabled], "it is no message: the machine says it to itself");
    }

    #[test]
    fn the_document_is_what_the_machine_does() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fsm.md");
        let document = document();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, &document).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == document,
            "docs/fsm.md is not what the machine does: run this test with UPDATE_EXPECT=1"
        );
    }
}
