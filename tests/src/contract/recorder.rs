//! The role *recorder*: from the press to the audio of a take.

use std::time::Duration;

use ptt_messages::{
    Component, Moment, Port, RecorderCommand, RecorderEvent, Segment, SegmentState, TakeId, TakeSummary,
};

use super::{assert_tells, promise, responsive};
use crate::{Told, probe};

/// How long the suite holds the key: longer than any start, shorter than a coffee.
const HOLD: Duration = Duration::from_millis(600);
/// Blocks, rounding and a busy machine; what a user would not hear.
const SLACK: Duration = Duration::from_millis(100);

/// Every promise of a recorder whose microphone works.
///
/// # Panics
/// When one is broken.
pub async fn recorder(spawn: impl Fn(Port<RecorderEvent>) -> Port<RecorderCommand>) {
    responsive("recorder", recorder_promises(spawn)).await;
}

async fn recorder_promises(spawn: impl Fn(Port<RecorderEvent>) -> Port<RecorderCommand>) {
    promise("recorder", "a take has all its audio, each sample once, and says how much lies around the key");
    let mut desk = Desk::with(&spawn);
    desk.tell(RecorderCommand::Open);
    for take in [TakeId(1), TakeId(2)] {
        desk.hold(take, HOLD).await;
    }

    promise("recorder", "a take can be started without `Open`, and after `Close`");
    let mut desk = Desk::with(&spawn);
    desk.hold(TakeId(1), HOLD).await;
    desk.tell(RecorderCommand::Close);
    desk.hold(TakeId(2), HOLD).await;

    promise("recorder", "an aborted take is cleared, and nothing is said about it after that");
    let mut desk = Desk::with(&spawn);
    desk.tell(RecorderCommand::Open);
    desk.start(TakeId(1), Moment::now()).await;
    desk.abort(TakeId(1)).await;
    let later = desk.hold(TakeId(2), HOLD).await;
    assert!(!later.iter().any(|event| about(event) == Some(TakeId(1))), "{later:?}");

    promise("recorder", "a take may be aborted before it has started");
    desk.tell(RecorderCommand::Start { take: TakeId(3), press: Moment::now() });
    desk.abort(TakeId(3)).await;
    desk.hold(TakeId(4), HOLD).await;

    promise("recorder", "`Abort` is answered also when there is no such take");
    desk.abort(TakeId(99)).await;

    promise("recorder", "`Stop` and `Abort` for another take leave the running one alone");
    let press = Moment::now();
    desk.start(TakeId(5), press).await;
    desk.tell(RecorderCommand::Stop { take: TakeId(2), release: Moment::now() });
    desk.abort(TakeId(4)).await;
    tokio::time::sleep(HOLD).await;
    desk.finish(TakeId(5), press).await;

    promise(
        "recorder",
        "a remembered press lies in the past, and the take begins then as far as there is audio",
    );
    let press = Moment::now() - Duration::from_millis(400);
    let first_sample = desk.start(TakeId(6), press).await;
    assert!(first_sample <= Moment::now(), "the future was recorded");
    desk.finish(TakeId(6), press).await;
}

/// Every promise of a recorder that cannot get at a microphone.
///
/// # Panics
/// When one is broken.
pub async fn recorder_without_a_microphone(spawn: impl Fn(Port<RecorderEvent>) -> Port<RecorderCommand>) {
    responsive("recorder", recorder_without_a_microphone_promises(spawn)).await;
}

async fn recorder_without_a_microphone_promises(
    spawn: impl Fn(Port<RecorderEvent>) -> Port<RecorderCommand>,
) {
    promise("recorder", "a take that cannot start is answered with what to do, every time");
    let mut desk = Desk::with(&spawn);
    desk.tell(RecorderCommand::Open);
    for take in [TakeId(1), TakeId(2)] {
        desk.tell(RecorderCommand::Start { take, press: Moment::now() });
        let (fault, before) = desk
            .told
            .until("StartFailed", |event| match event {
                RecorderEvent::StartFailed { take: of, fault } if *of == take => Some(fault.clone()),
                _ => None,
            })
            .await;
        assert_tells(&fault, Component::Recorder);
        assert!(!before.iter().any(|event| matches!(event, RecorderEvent::Started { .. })), "{before:?}");
    }
    desk.abort(TakeId(2)).await;
}

/// A recorder, and what it told.
struct Desk {
    commands: Port<RecorderCommand>,
    told: Told<RecorderEvent>,
}

impl Desk {
    fn with(spawn: &impl Fn(Port<RecorderEvent>) -> Port<RecorderCommand>) -> Self {
        let (events, told) = probe("the controller");
        Self { commands: spawn(events), told }
    }

    fn tell(&self, command: RecorderCommand) {
        assert!(self.commands.post(command), "the recorder takes commands");
    }

    async fn start(&mut self, take: TakeId, press: Moment) -> Moment {
        self.tell(RecorderCommand::Start { take, press });
        let started = self.told.until("Started", |event| match event {
            RecorderEvent::Started { take: of, first_sample } if *of == take => Some(*first_sample),
            RecorderEvent::StartFailed { fault, .. } => panic!("the suite needs a microphone: {fault}"),
            _ => None,
        });
        started.await.0
    }

    async fn abort(&mut self, take: TakeId) {
        self.tell(RecorderCommand::Abort { take });
        self.told.until("Cleared", |event| (*event == RecorderEvent::Cleared { take }).then_some(())).await;
    }

    /// A whole take; gives everything that was told during it.
    async fn hold(&mut self, take: TakeId, length: Duration) -> Vec<RecorderEvent> {
        let press = Moment::now();
        let first_sample = self.start(take, press).await;
        // The user holds the key; nothing is waited for.
        tokio::time::sleep(length).await;
        let (events, summary) = self.finish(take, press).await;
        // A microphone that was closed has no audio from before it was opened.
        let begin = first_sample.max(press);
        let held = Moment::now().since(press);
        assert!(!summary.cut_short, "{summary:?}");
        assert!(
            summary.length + SLACK >= length.saturating_sub(begin.since(press)),
            "{length:?}: {summary:?}"
        );
        assert!(summary.length <= held + summary.pre_roll + SLACK, "{held:?}: {summary:?}");
        if summary.pre_roll > Duration::ZERO {
            let heard_from = press - summary.pre_roll;
            let apart = heard_from.since(first_sample).max(first_sample.since(heard_from));
            assert!(apart < SLACK, "the pre-roll and the first sample disagree by {apart:?}");
        }
        events
    }

    async fn finish(&mut self, take: TakeId, press: Moment) -> (Vec<RecorderEvent>, TakeSummary) {
        let release = Moment::now();
        self.tell(RecorderCommand::Stop { take, release });
        let finished = self.told.until("Finished", |event| match event {
            RecorderEvent::Finished { tail, summary } if tail.id.take == take => {
                Some((tail.clone(), *summary))
            }
            _ => None,
        });
        let ((tail, summary), events) = finished.await;
        check_segments(take, &events, &tail, summary);
        assert!(summary.post_roll <= Moment::now().since(release) + SLACK, "{summary:?} after {:?}", press);
        (events, summary)
    }
}

/// Committed segments and the tail follow each other without a gap; what is open begins where the last commit ended.
fn check_segments(take: TakeId, events: &[RecorderEvent], tail: &Segment, summary: TakeSummary) {
    let (mut index, mut end, mut speech) = (0, 0, false);
    for event in events {
        let RecorderEvent::Heard(segment) = event else { continue };
        if segment.id.take != take {
            continue;
        }
        assert_eq!((segment.id.index, segment.start), (index, end), "{segment:?}");
        assert!(segment.speech_end >= segment.start && segment.speech_end <= segment.end(), "{segment:?}");
        match segment.state {
            SegmentState::Paused | SegmentState::Ending => {}
            SegmentState::Committed => {
                (index, end) = (index + 1, segment.end());
                speech |= segment.has_speech();
            }
            SegmentState::Tail => panic!("a tail comes with `Finished` and not with `Heard`"),
        }
    }
    assert_eq!((tail.id.index, tail.start, tail.state), (index, end, SegmentState::Tail));
    assert!(tail.speech_end >= tail.start && tail.speech_end <= tail.end(), "{tail:?}");
    assert_eq!(summary.has_speech, speech || tail.has_speech());
    let length = Duration::from_secs_f64(tail.end() as f64 / f64::from(ptt_messages::SAMPLE_RATE_HZ));
    assert!(length.abs_diff(summary.length) < Duration::from_millis(1), "{length:?} of audio: {summary:?}");
    assert!(summary.pre_roll <= summary.length && summary.post_roll <= summary.length, "{summary:?}");
    if summary.digital_silence {
        assert!(tail.clip.samples().iter().all(|s| *s == 0.0), "digital silence with a sound in it");
    }
}

/// The take an event is about.
fn about(event: &RecorderEvent) -> Option<TakeId> {
    match event {
        RecorderEvent::Opened { .. } | RecorderEvent::Lost(_) => None,
        RecorderEvent::Started { take, .. }
        | RecorderEvent::StartFailed { take, .. }
        | RecorderEvent::SpeechResumed { take, .. }
        | RecorderEvent::Failed { take, .. }
        | RecorderEvent::Cleared { take } => Some(*take),
        RecorderEvent::Heard(segment) => Some(segment.id.take),
        RecorderEvent::Finished { tail, .. } => Some(tail.id.take),
    }
}
