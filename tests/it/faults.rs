//! What fails, fails in the open, loses nothing, and is gone with the next take.

use std::time::Duration;

use ptt_messages::{
    Clip, Component, ControllerCommand, ControllerEvent, Fault, FaultKind, KeyboardEvent, Moment, Outcome,
    Port, RecorderCommand, RecorderEvent, Segment, SegmentState, StateName, SttCommand, SttEvent, SttTiming,
    TakeId, TakeSummary, TextPath, Transcript,
};
use ptt_tests::{Stage, Told, contract, hardware_free, probe, rig};

const HOLD: Duration = Duration::from_millis(400);
/// An engine that hangs is given up soon.
const HURRY: &str = "controller.decode_deadline_s = 1\ncontroller.decode_deadline_factor = 1";

/// A stage that hears the bundled clip in each take, at once.
async fn stage(more: &str) -> Stage {
    let more = format!("audio.wav_pace = 'fast'\n{more}");
    Stage::with(&hardware_free(&[&rig::bundled().file], &more)).await
}

#[actix::test]
async fn an_engine_that_fails_is_tried_again_in_a_fresh_worker() {
    // A fresh engine begins its script again: the second take fails once.
    for step in ["fail", "panic", "hang"] {
        let more = format!("stt.canned_script = ['ok', '{step}']\n{HURRY}");
        let mut stage = stage(&more).await;
        assert_eq!(stage.hold(HOLD).await.0, Outcome::Text);
        let (outcome, text) = stage.hold(HOLD).await;
        assert_eq!((outcome, text.is_some()), (Outcome::Text, true), "{step}");
    }
}

#[actix::test]
async fn an_engine_that_fails_for_good_leaves_the_audio_and_the_daemon() {
    // Whoever panics or hangs is replaced by an engine that begins the script again; who failed goes on with it.
    for (step, again) in [("fail", Outcome::Text), ("panic", Outcome::Salvaged), ("hang", Outcome::Salvaged)]
    {
        let mut stage = stage(&format!("stt.canned_script = ['{step}']\n{HURRY}")).await;
        assert_eq!(stage.hold(HOLD).await.0, Outcome::Salvaged, "{step}");
        stage.app.inbox.commands.post(ControllerCommand::Retry);
        assert_eq!(stage.ended().await.0, again, "{step} again");
        stage.reached(StateName::WaitingForKey).await;
    }
}

#[actix::test]
async fn audio_that_was_salvaged_becomes_text_when_the_engine_works_again() {
    let (commands, mut told) = probe("the engine");
    let (give, take) = std::sync::mpsc::channel();
    let config = hardware_free(&[&rig::bundled().file], "audio.wav_pace = 'fast'");
    let mut stage = Stage::custom(&config, |app| {
        app.stt(move |_, events| {
            give.send(events).expect("the test waits for it");
            Ok::<_, std::convert::Infallible>(commands)
        })
    })
    .await;
    let events = take.recv().unwrap();
    stage.press();
    stage.reached(StateName::Recording).await;
    tokio::time::sleep(HOLD).await;
    stage.release();
    let mut audio = Vec::new();
    for _ in 0..2 {
        let tail = transcribe(&mut told).await;
        let fault = Fault::new(Component::Stt, FaultKind::Broken, "the engine failed; try again");
        events.post(SttEvent::Failed { take: Some(tail.id.take), fault });
        audio.push(tail.clip);
    }
    assert_eq!(stage.ended().await.0, Outcome::Salvaged);
    stage.app.inbox.commands.post(ControllerCommand::Retry);
    let tail = transcribe(&mut told).await;
    assert!(audio.iter().all(|clip| *clip == tail.clip), "each attempt has all the audio");
    let (text, path, timing) = (Transcript::new("not lost"), TextPath::Batch, SttTiming::default());
    events.post(SttEvent::Complete { take: tail.id.take, text, path, timing });
    let (outcome, text) = stage.ended().await;
    assert_eq!((outcome, text.as_ref().map(Transcript::reveal)), (Outcome::Text, Some("not lost")));
}

async fn transcribe(told: &mut Told<SttCommand>) -> Segment {
    let asked = told.until("Transcribe", |command| match command {
        SttCommand::Transcribe { tail, .. } => Some(tail.clone()),
        _ => None,
    });
    asked.await.0
}

#[actix::test]
async fn a_lost_microphone_leaves_the_text_of_what_was_heard() {
    let (mut stage, events, mut told) = with_a_recorder_by_hand().await;
    stage.press();
    let take = started(&events, &mut told).await;
    stage.reached(StateName::Recording).await;
    let message = "the microphone was unplugged; plug it in again";
    let fault = Fault::new(Component::Recorder, FaultKind::Gone, message);
    events.post(RecorderEvent::Failed { take, fault });
    let summary = TakeSummary { has_speech: true, cut_short: true, ..TakeSummary::default() };
    events.post(RecorderEvent::Finished {
        tail: contract::speech_segment(take, 0, SegmentState::Tail, 0, &noise()),
        summary,
    });
    assert_eq!(stage.fault().await, message);
    assert_eq!(stage.ended().await.0, Outcome::Text);
    stage.release();

    // A held key starts nothing; a fresh press does.
    stage.press();
    assert!(started(&events, &mut told).await > take);
}

#[actix::test]
async fn a_recorder_that_says_nothing_is_given_up_in_every_state() {
    let (mut stage, events, mut told) = with_a_recorder_by_hand().await;
    stage.press();
    assert_eq!(stage.ended().await.0, Outcome::NotStarted);
    stage.release();
    told.drain();
    stage.press();
    started(&events, &mut told).await;
    stage.reached(StateName::Recording).await;
    tokio::time::sleep(HOLD).await;
    stage.release();
    assert_eq!(stage.ended().await.0, Outcome::Salvaged);
    stage.press();
    started(&events, &mut told).await;
    stage.reached(StateName::Recording).await;
    stage.app.inbox.keyboard.post(KeyboardEvent::Cancelled { at: Moment::now() });
    assert_eq!(stage.ended().await.0, Outcome::Cancelled);
    stage.reached(StateName::WaitingForKey).await;
}

#[actix::test]
async fn a_keyboard_that_is_unplugged_while_held_ends_the_take() {
    let more = "keyboard.backend = 'scripted'\nkeyboard.script = '+300ms down; +800ms unplug'";
    let mut stage = stage(more).await;
    assert_eq!(stage.ended().await.0, Outcome::Text);
    stage.reached(StateName::WaitingForKey).await;
}

#[actix::test]
async fn a_text_that_is_not_out_can_be_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let (ready, out) = (folder.path().join("ready"), folder.path().join("out"));
    // Fails without the file `ready`, hangs with an empty one, works when there is something in it.
    let command = r#"test -e "$1" || exit 3; test -s "$1" || exec sleep 60; cat >> "$2""#;
    let more = format!(
        "output.sink = 'command'\noutput.command_limit_ms = 3000\nstt.canned_texts = ['not to be lost']\n\
         output.command = ['sh', '-c', '{command}', 'sh', {ready:?}, {out:?}]"
    );
    let mut stage = stage(&more).await;
    assert_eq!(stage.hold(HOLD).await.0, Outcome::Text);
    let message = stage.fault().await;
    assert!(message.contains("retry") && !message.contains("lost"), "{message}");

    std::fs::write(&ready, "").unwrap();
    stage.app.inbox.commands.post(ControllerCommand::Retry);
    let message = stage.fault().await;
    assert!(message.contains("retry"), "{message}");

    std::fs::write(&ready, "now").unwrap();
    stage.app.inbox.commands.post(ControllerCommand::Retry);
    stage.delivered().await;
    assert_eq!(std::fs::read_to_string(&out).unwrap().trim(), "not to be lost");
}

#[actix::test]
async fn without_a_microphone_every_press_says_what_to_do() {
    let more = "audio.backend = 'cpal'\naudio.device = 'a microphone that nobody has'";
    let mut stage = Stage::with(&hardware_free(&[], more)).await;
    for _ in 0..2 {
        stage.press();
        let started = stage.seen.until("the end of a take", |event| match event {
            ControllerEvent::Ended { outcome, .. } => Some(*outcome),
            _ => None,
        });
        let (outcome, before) = started.await;
        assert_eq!(outcome, Outcome::NotStarted);
        let told = before.iter().any(|event| {
            matches!(event, ControllerEvent::Fault { fault, .. } if fault.component == Component::Recorder)
        });
        assert!(told, "{before:?}");
        stage.release();
    }
}

#[actix::test]
async fn a_model_that_is_not_there_is_told_and_the_audio_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let more = format!(
        "stt.backend = 'native'\nstt.model = {:?}\naudio.wav_pace = 'fast'",
        folder.path().join("ggml-none.bin")
    );
    let mut stage = Stage::with(&hardware_free(&[&rig::bundled().file], &more)).await;
    assert_eq!(stage.hold(HOLD).await.0, Outcome::Salvaged);
}

/// A stage whose recorder is the test: the port of its events, and what it is told.
async fn with_a_recorder_by_hand() -> (Stage, Port<RecorderEvent>, Told<RecorderCommand>) {
    let (commands, told) = probe("the recorder");
    let (give, take) = std::sync::mpsc::channel();
    let more = "controller.start_deadline_ms = 500\ncontroller.stop_deadline_ms = 700\n\
                controller.cancel_deadline_ms = 300\naudio.post_roll_ms = 100";
    let config = hardware_free(&[], more);
    let stage = Stage::custom(&config, |app| {
        app.recorder(move |_, events| {
            give.send(events).expect("the test waits for it");
            Ok::<_, std::convert::Infallible>(commands)
        })
    });
    let stage = stage.await;
    (stage, take.recv().unwrap(), told)
}

/// Answers the next `Start`.
async fn started(events: &Port<RecorderEvent>, told: &mut Told<RecorderCommand>) -> TakeId {
    let start = told.until("Start", |command| match command {
        RecorderCommand::Start { take, press } => Some((*take, *press)),
        _ => None,
    });
    let (take, press) = start.await.0;
    events.post(RecorderEvent::Started { take, first_sample: press });
    take
}

fn noise() -> Clip {
    Clip::new((0..16_000).map(|n| if n % 7 < 3 { 0.1 } else { -0.1 }).collect::<Vec<f32>>()).unwrap()
}
