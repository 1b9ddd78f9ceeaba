//! The script language of the table tests: one line per input, `input | effects`, and one function that knows the API.
//!
//! An input may begin with `+2s` or `+150ms`: so much time passes first, and each timer that falls due in it is an input
//! of its own; a line with nothing else shows the effects of those. `#1` names a take. Keys go down and up when their
//! line says so. An effect that is missing or too many fails the test with its line. `replaced` is no input: the machine
//! makes room for one that begins with its memory and without its timers.

use std::time::Duration;

use ptt_messages::FaultKind;

use super::*;

/// Runs a script on a new machine.
#[track_caller]
pub(super) fn check(policy: &Policy, script: &str) -> Machine {
    let mut stage =
        Stage { machine: Machine::default(), now: Moment::from_millis(1_000), timers: Vec::new() };
    for (number, line) in script.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (input, expected) = line.split_once('|').unwrap_or((line, ""));
        let found = stage.line(policy, input.trim());
        let wanted: Vec<String> =
            expected.split(',').map(str::trim).filter(|e| !e.is_empty()).map(String::from).collect();
        assert_eq!(found, wanted, "line {number} of the script: {line}");
    }
    stage.machine
}

struct Stage {
    machine: Machine,
    now: Moment,
    timers: Vec<(Moment, Timer)>,
}

impl Stage {
    fn line(&mut self, policy: &Policy, input: &str) -> Vec<String> {
        let (wait, input) = match input.strip_prefix('+') {
            Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
            None => ("0ms", input),
        };
        let mut shown = self.pass(policy, duration(wait));
        if input.trim() == "replaced" {
            shown.extend(self.replace(policy));
        } else if !input.is_empty() {
            let input = parse(input.trim(), self.now);
            shown.extend(self.step(policy, input));
        }
        shown
    }

    fn replace(&mut self, policy: &Policy) -> Vec<String> {
        let (memory, last) = self.machine.hand_over();
        let (machine, first) = Machine::resume(policy, self.now, memory);
        self.machine = machine;
        self.timers.clear();
        self.arm(&first);
        last.iter().chain(&first).map(show).collect()
    }

    fn pass(&mut self, policy: &Policy, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut shown = Vec::new();
        loop {
            self.timers.sort_by_key(|(due, _)| *due);
            if self.timers.first().is_none_or(|(due, _)| *due > end) {
                break;
            }
            let (due, timer) = self.timers.remove(0);
            self.now = due;
            shown.extend(self.step(policy, Input::TimedOut(timer)));
        }
        self.now = end;
        shown
    }

    fn step(&mut self, policy: &Policy, input: Input) -> Vec<String> {
        let effects = self.machine.step(policy, self.now, input);
        self.arm(&effects);
        effects.iter().map(show).collect()
    }

    fn arm(&mut self, effects: &Effects) {
        for effect in effects {
            if let Effect::Arm(timer, after) = effect {
                self.timers.push((self.now + *after, *timer));
            }
        }
    }
}

/// The short form, with the times, attempts and words that tests are about.
fn show(effect: &Effect) -> String {
    let after = |at: Moment| at.since(Moment::from_millis(1_000)).as_millis();
    match effect {
        Effect::Recorder(RecorderCommand::Start { press, .. }) => format!("{effect}@{}", after(*press)),
        Effect::Recorder(RecorderCommand::Stop { release, .. }) => format!("{effect}@{}", after(*release)),
        Effect::Feedback(FeedbackCommand::Play { since, .. }) => format!("{effect}@{}", after(*since)),
        Effect::Output(OutputCommand::Deliver { text, .. }) => format!("{effect} '{}'", text.reveal()),
        other => other.to_string(),
    }
}

fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap());
    let number = number.parse().unwrap();
    match unit {
        "s" => Duration::from_secs(number),
        "ms" => Duration::from_millis(number),
        other => panic!("{other} is no unit of the script language"),
    }
}

pub(super) fn parse(input: &str, at: Moment) -> Input {
    let (input, text) = input.split_once(" '").map_or((input, ""), |(i, t)| (i, t.trim_end_matches('\'')));
    let (word, take) = input.split_once('#').unwrap_or((input, "0"));
    let take = TakeId(take.parse().unwrap());
    let broken = |component| fault(component, FaultKind::Broken);
    match word {
        "enable" => C::Enable.into(),
        "disable" => C::Disable.into(),
        "retry" => C::Retry.into(),
        "listening" => K::Listening { backend: "scripted".into() }.into(),
        "press" => K::Pressed { at, profile: Profile::DEFAULT }.into(),
        "press_other" => K::Pressed { at, profile: Profile(1) }.into(),
        "toggle_other" => K::Toggled { at, profile: Profile(1) }.into(),
        "release" => K::Released { at }.into(),
        "toggle" => K::Toggled { at, profile: Profile::DEFAULT }.into(),
        "escape" => K::Cancelled { at }.into(),
        "stale_escape" => K::Cancelled { at: Moment::from_millis(1) }.into(),
        "user_left" => K::UserLeft { at }.into(),
        "keyboard_lost" => K::Failed(fault(Component::Keyboard, FaultKind::Gone)).into(),
        "granted" => Res::Granted { take }.into(),
        "refused" => Res::Refused { take, fault: fault(Component::Resources, FaultKind::Busy) }.into(),
        "load" => Res::LoadModel.into(),
        "unload" => Res::UnloadModel.into(),
        "opened" => Rec::Opened { device: "null".into(), rate_hz: 48_000, channels: 1 }.into(),
        "microphone_lost" => Rec::Lost(fault(Component::Recorder, FaultKind::Gone)).into(),
        "started" => started(take).into(),
        "start_failed" => {
            Rec::StartFailed { take, fault: fault(Component::Recorder, FaultKind::Denied) }.into()
        }
        "paused" => Rec::Heard(segment(take, 0, SegmentState::Paused)).into(),
        "committed" => Rec::Heard(segment(take, 0, SegmentState::Committed)).into(),
        "resumed" => Rec::SpeechResumed { take, index: 0 }.into(),
        "recorder_failed" => Rec::Failed { take, fault: broken(Component::Recorder) }.into(),
        "finished" => finished(take, true).into(),
        "quiet" => {
            let Rec::Finished { tail, summary } = finished(take, true) else { unreachable!() };
            Rec::Finished { tail, summary: TakeSummary { quiet: true, ..summary } }.into()
        }
        "no_speech" => finished(take, false).into(),
        "zeros" => {
            let Rec::Finished { tail, summary } = finished(take, false) else { unreachable!() };
            Rec::Finished { tail, summary: TakeSummary { digital_silence: true, ..summary } }.into()
        }
        "short_zeros" => {
            let Rec::Finished { tail, .. } = finished(take, false) else { unreachable!() };
            let length = policy::DEAD_AFTER - Duration::from_millis(1);
            Rec::Finished {
                tail,
                summary: TakeSummary { digital_silence: true, length, ..TakeSummary::default() },
            }
            .into()
        }
        "cleared" => Rec::Cleared { take }.into(),
        "ready" => Stt::Ready { model: "tiny.en".into(), load: Duration::ZERO }.into(),
        "remarks" => {
            let remarks = Remarks {
                languages: vec!["de".to_owned()],
                discarded: text.contains("left").then(|| Transcript::new("left out")),
                incomplete: text.contains("incomplete"),
            };
            Stt::Remarks { take, remarks }.into()
        }
        "unloaded" => Stt::Unloaded.into(),
        "load_failed" => {
            Stt::Failed { take: None, fault: fault(Component::Stt, FaultKind::Misconfigured) }.into()
        }
        "partial" => {
            Stt::Partial { take, committed: Transcript::new(text), tentative: Transcript::default() }.into()
        }
        "text" => complete(take, text).into(),
        "engine_failed" => engine_failed(take, FaultKind::Broken).into(),
        "engine_hopeless" => engine_failed(take, FaultKind::Misconfigured).into(),
        "played" => F::Played { take, chime: Chime::Start, since: at, at }.into(),
        "feedback_failed" => F::Failed(fault(Component::Feedback, FaultKind::Gone)).into(),
        "delivered" => O::Delivered { take, sink: "stdout".into() }.into(),
        "withdrawn" => O::Withdrawn { take }.into(),
        "output_failed" => O::Failed { take, fault: broken(Component::Output) }.into(),
        other => panic!("{other} is no word of the script language"),
    }
}
