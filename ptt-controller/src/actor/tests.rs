//! The actor on paused time, between probes.

use std::convert::Infallible;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use ptt_messages::{
    Chime, Clip, ControllerCommand, FeedbackCommand, FeedbackEvent, KeyboardCommand, OutputCommand,
    OutputEvent, Port, Profile, RecorderCommand, RecorderEvent, ResourceCommand, ResourceEvent, Segment,
    SegmentId, SegmentState, SttCommand, SttEvent, SttTiming, TakeId, TakeSummary, TextPath, Transcript,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::{ControllerConfig, Inbox, metrics as names, spawn};

const TAKE: TakeId = TakeId(1);

#[actix::test]
async fn a_hold_becomes_a_text_and_every_step_of_it_a_measurement() {
    tokio::time::pause();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _measuring = metrics::set_default_local_recorder(&recorder);
    let mut desk = Desk::new(&ControllerConfig::default());
    let press = Moment::now() - Duration::from_secs(2);
    let release = press + Duration::from_secs(1);

    desk.recording(press).await;
    let (at, since) = (press + Duration::from_millis(12), press);
    desk.inbox.feedback.post(FeedbackEvent::Played { take: TAKE, chime: Chime::Start, since, at });
    desk.inbox.keyboard.post(KeyboardEvent::Released { at: release });
    assert_eq!(desk.recorder.recv().await, Some(RecorderCommand::Stop { take: TAKE, release }));
    desk.inbox.recorder.post(finished());
    let transcribe = desk.stt.recv().await;
    assert!(matches!(transcribe, Some(SttCommand::Transcribe { attempt: 1, .. })), "{transcribe:?}");
    desk.inbox.stt.post(complete());
    let text = Transcript::new("hello");
    assert_eq!(desk.output.recv().await, Some(OutputCommand::Aim { take: TAKE, profile: Profile::DEFAULT }));
    assert_eq!(
        desk.output.recv().await,
        Some(OutputCommand::Deliver { take: TAKE, profile: Profile::DEFAULT, text })
    );
    desk.inbox.output.post(OutputEvent::Delivered { take: TAKE, sink: "stdout".into() });
    desk.until(|event| matches!(event, ControllerEvent::Delivered { take: TAKE, .. })).await;
    let measured = |stage| move |event: &ControllerEvent| matches!(event, ControllerEvent::Stage { stage: of, .. } if *of == stage);
    desk.until(measured(Stage::Deliver)).await;

    let path: Vec<(&str, &str, &str)> = desk
        .events
        .iter()
        .filter_map(|event| match event {
            ControllerEvent::Transition { from, to, input, .. } => {
                Some((from.label(), to.label(), input.as_str()))
            }
            ControllerEvent::Stage { .. }
            | ControllerEvent::Part { .. }
            | ControllerEvent::Partial { .. }
            | ControllerEvent::Languages { .. }
            | ControllerEvent::Discarded { .. }
            | ControllerEvent::Text { .. }
            | ControllerEvent::Ended { .. }
            | ControllerEvent::Delivered { .. }
            | ControllerEvent::Withdrawn { .. }
            | ControllerEvent::Fault { .. }
            | ControllerEvent::Hint { .. }
            | ControllerEvent::Profile { .. } => None,
        })
        .collect();
    let expected = [
        ("idle", "waiting_for_key", "enable_ptt"),
        ("waiting_for_key", "key_pressed", "key_down"),
        ("key_pressed", "recording", "recording_started"),
        ("recording", "recording_stopped", "key_up"),
        ("recording_stopped", "processing", "audio_ready"),
        ("processing", "idle", "complete"),
        ("idle", "waiting_for_key", "still_enabled"),
    ];
    assert_eq!(path, expected);
    for stage in Stage::ALL {
        if !matches!(stage, Stage::KeyDetection | Stage::ThreadHop) {
            assert!(desk.events.iter().any(measured(stage)), "{stage:?} is told");
        }
    }
    let metrics = Metrics::of(&snapshotter);
    for (from, to, input) in expected {
        let labels = [("from", from), ("to", to), ("input", input)];
        assert_eq!(metrics.samples(names::TRANSITION_SECONDS, &labels).len(), 1, "{from} to {to}");
    }
    assert_eq!(metrics.samples(names::RELEASE_TO_TEXT_SECONDS, &[("path", "tail")]).len(), 1);
    assert_eq!(metrics.samples(names::TAKE_SECONDS, &[]), [1.3]);
    assert_eq!(metrics.count(names::TAKES_TOTAL, &[("outcome", "text")]), 1);
    for (stage, seconds) in [("feedback", 0.012), ("post_roll", 0.2), ("encode", 0.07), ("decode", 0.02)] {
        assert_eq!(metrics.samples(stage::STAGE_SECONDS, &[("stage", stage)]), [seconds], "{stage}");
    }
    // The key's timestamp is two seconds old: that is what its transition took, not the step.
    assert!(metrics.samples(names::TRANSITION_SECONDS, &[("input", "key_down")])[0] >= 2.0);
    assert!(metrics.samples(stage::STAGE_SECONDS, &[("stage", "state_transition")])[0] < 1.0);
}

#[actix::test]
async fn a_deadline_ends_a_take_whose_recorder_says_nothing() {
    tokio::time::pause();
    let mut desk = Desk::new(&ControllerConfig::default());
    desk.press(Moment::now()).await;
    let start = desk.recorder.recv().await;
    assert!(matches!(start, Some(RecorderCommand::Start { take: TAKE, .. })), "{start:?}");
    assert_eq!(desk.recorder.recv().await, Some(RecorderCommand::Abort { take: TAKE }));
    desk.until(|event| matches!(event, ControllerEvent::Ended { take: TAKE, outcome: Outcome::NotStarted }))
        .await;
    assert!(desk.events.iter().any(|event| matches!(event, ControllerEvent::Fault { take: Some(TAKE), .. })));
}

#[actix::test]
async fn a_forgotten_key_stops_by_itself() {
    tokio::time::pause();
    let mut desk = Desk::new(&ControllerConfig::default());
    desk.recording(Moment::now()).await;
    let stop = desk.recorder.recv().await;
    assert!(matches!(stop, Some(RecorderCommand::Stop { take: TAKE, .. })), "{stop:?}");
}

#[actix::test]
async fn an_observer_that_is_gone_holds_nothing_up() {
    tokio::time::pause();
    let mut desk = Desk::new(&ControllerConfig::default());
    desk.seen.close();
    desk.recording(Moment::now()).await;
}

#[actix::test]
async fn what_cannot_be_wired_is_told_and_runs_nothing() {
    let wired: Result<Inbox, &str> = spawn(&ControllerConfig::default(), |_| Err("no microphone"));
    assert_eq!(wired.err(), Some("no microphone"));
}

/// A controller with a probe behind every port.
struct Desk {
    inbox: Inbox,
    keyboard: UnboundedReceiver<KeyboardCommand>,
    recorder: UnboundedReceiver<RecorderCommand>,
    stt: UnboundedReceiver<SttCommand>,
    feedback: UnboundedReceiver<FeedbackCommand>,
    output: UnboundedReceiver<OutputCommand>,
    resources: UnboundedReceiver<ResourceCommand>,
    seen: UnboundedReceiver<ControllerEvent>,
    /// What was seen so far.
    events: Vec<ControllerEvent>,
}

impl Desk {
    fn new(config: &ControllerConfig) -> Self {
        let (keyboard, keyboard_told) = probe();
        let (recorder, recorder_told) = probe();
        let (stt, stt_told) = probe();
        let (feedback, feedback_told) = probe();
        let (output, output_told) = probe();
        let (resources, resources_told) = probe();
        let (observer, seen) = probe();
        let observers = vec![observer];
        let ports = Ports { keyboard, recorder, stt, feedback, output, resources, observers };
        let Ok(inbox) = spawn(config, |_| Ok::<_, Infallible>(ports));
        Self {
            inbox,
            keyboard: keyboard_told,
            recorder: recorder_told,
            stt: stt_told,
            feedback: feedback_told,
            output: output_told,
            resources: resources_told,
            seen,
            events: Vec::new(),
        }
    }

    /// Up to the lease given.
    async fn press(&mut self, at: Moment) {
        self.inbox.commands.post(ControllerCommand::Enable);
        assert_eq!(self.keyboard.recv().await, Some(KeyboardCommand::Listen));
        assert_eq!(self.recorder.recv().await, Some(RecorderCommand::Open));
        assert_eq!(self.feedback.recv().await, Some(FeedbackCommand::Open));
        self.inbox.keyboard.post(KeyboardEvent::Pressed { at, profile: Profile::DEFAULT });
        assert_eq!(self.resources.recv().await, Some(ResourceCommand::Acquire { take: TAKE }));
        let chime = FeedbackCommand::Play { take: TAKE, chime: Chime::Start, since: at };
        assert_eq!(self.feedback.recv().await, Some(chime));
        assert_eq!(self.stt.recv().await, Some(SttCommand::Load));
        self.inbox.resources.post(ResourceEvent::Granted { take: TAKE });
    }

    /// Up to the recording's confirmation.
    async fn recording(&mut self, press: Moment) {
        self.press(press).await;
        assert_eq!(self.recorder.recv().await, Some(RecorderCommand::Start { take: TAKE, press }));
        self.inbox.recorder.post(RecorderEvent::Started { take: TAKE, first_sample: press });
    }

    async fn until(&mut self, wanted: impl Fn(&ControllerEvent) -> bool) {
        while let Some(event) = self.seen.recv().await {
            let found = wanted(&event);
            self.events.push(event);
            if found {
                return;
            }
        }
        panic!("the controller is gone");
    }
}

fn finished() -> RecorderEvent {
    let id = SegmentId { take: TAKE, index: 0 };
    let tail = Segment {
        id,
        state: SegmentState::Tail,
        start: 0,
        speech_end: 0,
        certain: true,
        clip: Clip::empty(),
    };
    let summary = TakeSummary {
        has_speech: true,
        length: Duration::from_millis(1_300),
        post_roll: Duration::from_millis(200),
        ..TakeSummary::default()
    };
    RecorderEvent::Finished { tail, summary }
}

fn complete() -> SttEvent {
    let timing = SttTiming {
        encode: Duration::from_millis(70),
        decode: Duration::from_millis(20),
        ..SttTiming::default()
    };
    SttEvent::Complete { take: TAKE, text: Transcript::new("hello"), path: TextPath::Tail, timing }
}

/// Stands behind a port and keeps what it was told.
struct Probe<T>(UnboundedSender<T>);

fn probe<T: Send + Unpin + 'static>() -> (Port<T>, UnboundedReceiver<T>) {
    let (to, told) = unbounded_channel();
    (Port::to("probe", &Probe(to).start()), told)
}

impl<T: Unpin + 'static> Actor for Probe<T> {
    type Context = Context<Self>;
}

impl<T: Send + Unpin + 'static> Handler<Posted<T>> for Probe<T> {
    type Result = ();

    fn handle(&mut self, message: Posted<T>, _: &mut Self::Context) {
        _ = self.0.send(message.body);
    }
}

/// What was recorded, by name and labels.
struct Metrics(Vec<(String, Labels, DebugValue)>);

type Labels = Vec<(String, String)>;

impl Metrics {
    fn of(snapshotter: &Snapshotter) -> Self {
        let metrics = snapshotter.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
            let (_, key) = key.into_parts();
            let labels =
                key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
            (key.name().to_owned(), labels, value)
        });
        Self(metrics.collect())
    }

    fn find<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a DebugValue> {
        self.0.iter().filter_map(move |(of, all, value)| {
            let fits = labels.iter().all(|(key, value)| all.iter().any(|(k, v)| k == key && v == value));
            (of == name && fits).then_some(value)
        })
    }

    fn samples(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        self.find(name, labels)
            .flat_map(|value| match value {
                DebugValue::Histogram(samples) => samples.iter().map(|sample| sample.into_inner()).collect(),
                DebugValue::Counter(_) | DebugValue::Gauge(_) => Vec::new(),
            })
            .collect()
    }

    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.find(name, labels)
            .map(|value| match value {
                DebugValue::Counter(count) => *count,
                DebugValue::Gauge(_) | DebugValue::Histogram(_) => 0,
            })
            .sum()
    }
}
