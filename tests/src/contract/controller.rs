//! The role *controller*: what a hold becomes, seen from the ports around it. Runs on paused time.

use std::time::Duration;

use ptt_controller::{Inbox, Ports};
use ptt_messages::{
    Chime, Clip, Component, ControllerCommand, ControllerEvent, Fault, FaultKind, FeedbackCommand,
    KeyboardCommand, KeyboardEvent, Moment, Outcome, OutputCommand, OutputEvent, RecorderCommand,
    RecorderEvent, ResourceCommand, ResourceEvent, SAMPLE_RATE_HZ, SegmentState, SttCommand, SttEvent,
    SttTiming, TakeId, TakeSummary, TextPath, Transcript,
};

use super::responsive::Beat;
use super::{promise, speech_segment};
use crate::{Told, probe};

/// Longer than any deadline of a controller; on paused time it passes at once.
const FOR_EVER: Duration = Duration::from_secs(24 * 3_600);

/// Every promise of a controller in mode hold with the stock patience. `spawn` is given the function that makes the
/// ports for its inbox. Pauses the clock of the current runtime.
///
/// # Panics
/// When one is broken.
pub async fn controller(spawn: impl Fn(&mut dyn FnMut(&Inbox) -> Ports) -> Inbox) {
    tokio::time::pause();
    let begun = Beat::now();

    promise("controller", "a hold becomes a delivered text, with a chime at each end");
    let mut desk = Desk::with(&spawn).await;
    let first = desk.hold().await;
    desk.text(first, "the first text").await;
    desk.output(first).await;
    let second = desk.hold().await;
    assert!(second > first, "takes count up");
    desk.text(second, "the second text").await;
    desk.output(second).await;

    promise("controller", "a tap and a cancelled take type nothing");
    let tap = desk.press().await;
    desk.started(tap);
    desk.inbox.keyboard.post(KeyboardEvent::Released { at: desk.now + Duration::from_millis(20) });
    desk.cleared(tap, Outcome::Tap).await;
    let cancelled = desk.hold().await;
    desk.inbox.keyboard.post(KeyboardEvent::Cancelled { at: desk.now });
    desk.stt.until("Abort", |c| (*c == SttCommand::Abort { take: cancelled }).then_some(())).await;
    desk.cleared(cancelled, Outcome::Cancelled).await;

    promise("controller", "what comes too late, from takes that are over, changes nothing");
    desk.complete(cancelled, "late words");
    desk.inbox.recorder.post(RecorderEvent::Started { take: tap, first_sample: desk.now });
    desk.inbox.output.post(OutputEvent::Delivered { take: TakeId(77), sink: "none".to_owned() });
    let next = desk.hold().await;
    desk.text(next, "the third text").await;
    desk.output(next).await;

    promise("controller", "a silent take types nothing");
    let silent = desk.record().await;
    let tail = speech_segment(silent, 0, SegmentState::Tail, 0, &Clip::empty());
    desk.inbox.recorder.post(RecorderEvent::Finished { tail, summary: TakeSummary::default() });
    desk.ended(silent, Outcome::Empty).await;

    promise("controller", "a microphone that does not start ends the take with a reason");
    let failed = desk.press().await;
    let fault = Fault::new(Component::Recorder, FaultKind::Gone, "no microphone; plug one in");
    desk.inbox.recorder.post(RecorderEvent::StartFailed { take: failed, fault: fault.clone() });
    desk.chime(Chime::Error, failed).await;
    desk.told_fault(&fault.message).await;
    desk.ended(failed, Outcome::NotStarted).await;

    promise("controller", "no state lasts for ever: a recorder that says nothing is given up");
    let stuck = desk.press().await;
    desk.ended(stuck, Outcome::NotStarted).await;

    promise("controller", "a forgotten key ends by itself");
    let forgotten = desk.press().await;
    desk.started(forgotten);
    desk.stopped(forgotten).await;
    desk.finished(forgotten).await;
    desk.text(forgotten, "a long text").await;
    desk.output(forgotten).await;

    promise("controller", "an engine that fails is tried once more, and then the audio is kept for `Retry`");
    let lost = desk.hold().await;
    let broken = Fault::new(Component::Stt, FaultKind::Broken, "the engine failed; try again");
    desk.inbox.stt.post(SttEvent::Failed { take: Some(lost), fault: broken.clone() });
    assert_eq!(desk.transcribe(lost).await, 2, "the second attempt");
    desk.inbox.stt.post(SttEvent::Failed { take: Some(lost), fault: broken });
    desk.chime(Chime::Error, lost).await;
    desk.ended(lost, Outcome::Salvaged).await;
    desk.inbox.commands.post(ControllerCommand::Retry);
    let again = desk.stt.until("Transcribe", |c| match c {
        SttCommand::Transcribe { tail, .. } => Some(tail.id.take),
        _ => None,
    });
    let again = again.await.0;
    desk.text(again, "the salvaged text").await;
    desk.output(again).await;

    promise("controller", "a text that is not out is kept for `Retry`");
    let undelivered = desk.hold().await;
    desk.text(undelivered, "kept").await;
    assert_eq!(desk.delivered(undelivered).await, "kept");
    let fault = Fault::new(Component::Output, FaultKind::Broken, "the sink failed; try again");
    desk.inbox.output.post(OutputEvent::Failed { take: undelivered, fault });
    desk.chime(Chime::Error, undelivered).await;
    desk.inbox.commands.post(ControllerCommand::Retry);
    let (text, _) = desk
        .output
        .until("Deliver", |command| match command {
            OutputCommand::Deliver { text, .. } => Some(text.reveal().to_owned()),
            OutputCommand::Aim { .. } | OutputCommand::Withdraw { .. } => None,
        })
        .await;
    assert_eq!(text, "kept");

    promise("controller", "a press during the decode is remembered with its time");
    let mut desk = Desk::with(&spawn).await;
    let busy = desk.hold().await;
    let press = desk.later(50);
    desk.inbox.keyboard.post(KeyboardEvent::Pressed { at: press, profile: ptt_messages::Profile::DEFAULT });
    let release = desk.later(800);
    desk.inbox.keyboard.post(KeyboardEvent::Released { at: release });
    desk.text(busy, "one").await;
    let take = desk.granted().await;
    assert_eq!(desk.start(take).await, press);
    desk.started(take);
    assert_eq!(desk.stopped(take).await, release);
    desk.finished(take).await;
    desk.text(take, "two").await;
    assert_eq!(desk.delivered(busy).await, "one");
    assert_eq!(desk.delivered(take).await, "two");

    promise("controller", "`Disable` lets a running take finish, and nothing starts after it");
    let mut desk = Desk::with(&spawn).await;
    let last = desk.record().await;
    desk.inbox.commands.post(ControllerCommand::Disable);
    desk.finished(last).await;
    desk.text(last, "the last text").await;
    desk.output(last).await;
    desk.keyboard.until("Ignore", |c| (*c == KeyboardCommand::Ignore).then_some(())).await;
    desk.inbox
        .keyboard
        .post(KeyboardEvent::Pressed { at: desk.now, profile: ptt_messages::Profile::DEFAULT });
    desk.inbox.commands.post(ControllerCommand::Enable);
    desk.keyboard.until("Listen", |c| (*c == KeyboardCommand::Listen).then_some(())).await;
    assert!(!desk.resources.drain().iter().any(|c| matches!(c, ResourceCommand::Acquire { .. })));

    promise("controller", "no handler blocks: on paused time all of this takes next to none");
    let blocked = Beat::now().blocked_since(begun);
    assert!(blocked < IN_ALL, "the controller blocked its thread for {blocked:?}");
}

/// What all promises together may take of the thread, in a build without optimisation.
const IN_ALL: Duration = Duration::from_secs(3);

/// A controller between probes.
struct Desk {
    inbox: Inbox,
    keyboard: Told<KeyboardCommand>,
    recorder: Told<RecorderCommand>,
    stt: Told<SttCommand>,
    feedback: Told<FeedbackCommand>,
    output: Told<OutputCommand>,
    resources: Told<ResourceCommand>,
    seen: Told<ControllerEvent>,
    /// The key's clock.
    now: Moment,
}

impl Desk {
    /// An enabled controller that listens.
    async fn with(spawn: &impl Fn(&mut dyn FnMut(&Inbox) -> Ports) -> Inbox) -> Self {
        let (keyboard, keyboard_told) = probe("keyboard");
        let (recorder, recorder_told) = probe("recorder");
        let (stt, stt_told) = probe("stt");
        let (feedback, feedback_told) = probe("feedback");
        let (output, output_told) = probe("output");
        let (resources, resources_told) = probe("resources");
        let (observer, seen) = probe("the observer");
        let mut ports =
            Some(Ports { keyboard, recorder, stt, feedback, output, resources, observers: vec![observer] });
        let inbox = spawn(&mut |_| ports.take().expect("ports are wired once"));
        let mut desk = Self {
            inbox,
            keyboard: keyboard_told.patient(FOR_EVER),
            recorder: recorder_told.patient(FOR_EVER),
            stt: stt_told.patient(FOR_EVER),
            feedback: feedback_told.patient(FOR_EVER),
            output: output_told.patient(FOR_EVER),
            resources: resources_told.patient(FOR_EVER),
            seen: seen.patient(FOR_EVER),
            now: Moment::now(),
        };
        desk.inbox.commands.post(ControllerCommand::Enable);
        desk.keyboard.until("Listen", |c| (*c == KeyboardCommand::Listen).then_some(())).await;
        desk.inbox.keyboard.post(KeyboardEvent::Listening { backend: "script".to_owned() });
        desk
    }

    fn later(&mut self, millis: u64) -> Moment {
        self.now = self.now + Duration::from_millis(millis);
        self.now
    }

    /// A press, up to the recorder's `Start`.
    async fn press(&mut self) -> TakeId {
        let at = self.later(1_000);
        self.inbox.keyboard.post(KeyboardEvent::Pressed { at, profile: ptt_messages::Profile::DEFAULT });
        let take = self.granted().await;
        assert_eq!(self.start(take).await, at, "the take begins at the press");
        self.chime(Chime::Start, take).await;
        take
    }

    /// The lease, as the resource manager gives it.
    async fn granted(&mut self) -> TakeId {
        let acquired = self.resources.until("Acquire", |c| match c {
            ResourceCommand::Acquire { take } => Some(*take),
            ResourceCommand::Release { .. } | ResourceCommand::ModelResident(_) => None,
        });
        let take = acquired.await.0;
        self.inbox.resources.post(ResourceEvent::Granted { take });
        take
    }

    async fn start(&mut self, take: TakeId) -> Moment {
        let started = self.recorder.until("Start", |c| match c {
            RecorderCommand::Start { take: of, press } if *of == take => Some(*press),
            _ => None,
        });
        started.await.0
    }

    fn started(&self, take: TakeId) {
        self.inbox.recorder.post(RecorderEvent::Started { take, first_sample: self.now });
    }

    async fn stopped(&mut self, take: TakeId) -> Moment {
        let stopped = self.recorder.until("Stop", |c| match c {
            RecorderCommand::Stop { take: of, release } if *of == take => Some(*release),
            _ => None,
        });
        stopped.await.0
    }

    /// A hold of a second, up to the recorder's `Stop`.
    async fn record(&mut self) -> TakeId {
        let take = self.press().await;
        self.started(take);
        let release = self.later(1_000);
        self.inbox.keyboard.post(KeyboardEvent::Released { at: release });
        assert_eq!(self.stopped(take).await, release, "the take ends at the release");
        take
    }

    /// The recorder's answer, up to the engine's `Transcribe`.
    async fn finished(&mut self, take: TakeId) {
        let clip = Clip::new(vec![0.1; SAMPLE_RATE_HZ as usize]).expect("a constant is a sample");
        let tail = speech_segment(take, 0, SegmentState::Tail, 0, &clip);
        let summary = TakeSummary { has_speech: true, length: clip.duration(), ..TakeSummary::default() };
        self.inbox.recorder.post(RecorderEvent::Finished { tail, summary });
        assert_eq!(self.transcribe(take).await, 1, "the first attempt");
    }

    /// A whole hold, up to the engine's `Transcribe`.
    async fn hold(&mut self) -> TakeId {
        let take = self.record().await;
        self.finished(take).await;
        take
    }

    async fn transcribe(&mut self, take: TakeId) -> u32 {
        let asked = self.stt.until("Transcribe", |c| match c {
            SttCommand::Transcribe { tail, profile: ptt_messages::Profile::DEFAULT, attempt, .. }
                if tail.id.take == take =>
            {
                Some(*attempt)
            }
            _ => None,
        });
        asked.await.0
    }

    fn complete(&self, take: TakeId, text: &str) {
        let (text, path, timing) = (Transcript::new(text), TextPath::Batch, SttTiming::default());
        self.inbox.stt.post(SttEvent::Complete { take, text, path, timing });
    }

    /// The engine's text, up to the end of the take.
    async fn text(&mut self, take: TakeId, text: &str) {
        self.complete(take, text);
        self.ended(take, Outcome::Text).await;
        self.chime(Chime::Done, take).await;
    }

    async fn delivered(&mut self, take: TakeId) -> String {
        loop {
            match self.output.next().await {
                OutputCommand::Aim { .. } | OutputCommand::Withdraw { .. } => {}
                OutputCommand::Deliver { take: of, text, .. } => {
                    assert_eq!(of, take, "texts come out in the order of the takes, and nothing else does");
                    return text.reveal().to_owned();
                }
            }
        }
    }

    /// The sink's answer.
    async fn output(&mut self, take: TakeId) {
        self.delivered(take).await;
        self.inbox.output.post(OutputEvent::Delivered { take, sink: "probe".to_owned() });
        let delivered = ControllerEvent::Delivered { take, sink: "probe".to_owned() };
        self.seen.until("Delivered", |event| (*event == delivered).then_some(())).await;
    }

    /// The recorder's answer to an abort, up to the end of the take.
    async fn cleared(&mut self, take: TakeId, outcome: Outcome) {
        self.recorder.until("Abort", |c| (*c == RecorderCommand::Abort { take }).then_some(())).await;
        self.inbox.recorder.post(RecorderEvent::Cleared { take });
        self.ended(take, outcome).await;
    }

    /// The end of the take, and the lease given back.
    async fn ended(&mut self, take: TakeId, outcome: Outcome) {
        let end = self.seen.until("Ended", |event| match event {
            ControllerEvent::Ended { take: of, outcome } => Some((*of, *outcome)),
            _ => None,
        });
        assert_eq!(end.await.0, (take, outcome), "every take ends once");
        let release = ResourceCommand::Release { take };
        self.resources.until("Release", |c| (*c == release).then_some(())).await;
    }

    async fn told_fault(&mut self, message: &str) {
        self.seen
            .until("the fault", |event| match event {
                ControllerEvent::Fault { fault, .. } if fault.message == message => Some(()),
                _ => None,
            })
            .await;
    }

    async fn chime(&mut self, wanted: Chime, take: TakeId) {
        self.feedback
            .until("a chime", |c| match c {
                FeedbackCommand::Play { take: of, chime, .. } if *of == take && *chime == wanted => Some(()),
                _ => None,
            })
            .await;
    }
}
