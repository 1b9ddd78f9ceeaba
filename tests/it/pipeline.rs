//! All real actors together, wired as the program wires them, on backends that need no hardware.

use std::path::PathBuf;
use std::time::Duration;

use ptt_app::wer::normalise;
use ptt_messages::{ControllerCommand, ControllerEvent, KeyboardEvent, Moment, Outcome, StateName, TakeId};
use ptt_tests::rig;
use ptt_tests::{Stage, hardware_free};

/// Longer than the bundled clip, which is three seconds; it is played in real time.
pub const WHOLE: Duration = Duration::from_millis(3_200);
/// Long enough for the voice-activity detector to hear its first words.
const HOLD: Duration = Duration::from_millis(1_000);

/// A stage that hears the bundled clip in each take and puts its texts into a file.
async fn stage(more: &str) -> (Stage, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts.txt");
    let more = format!("output.sink = 'file'\noutput.file_path = {file:?}\n{more}");
    (Stage::with(&hardware_free(&[&rig::bundled().file], &more)).await, file, folder)
}

fn texts(file: &PathBuf) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

#[actix::test]
async fn takes_come_out_in_order() {
    let more = "stt.canned_texts = ['one', 'two', 'three']\naudio.wav_pace = 'fast'";
    let (mut stage, file, _folder) = stage(more).await;
    for text in ["one", "two", "three"] {
        let (outcome, found) = stage.hold(Duration::from_millis(300)).await;
        assert_eq!((outcome, found.as_ref().map(|t| t.reveal())), (Outcome::Text, Some(text)));
        stage.delivered().await;
    }
    assert_eq!(texts(&file), "one\ntwo\nthree\n");
}

#[actix::test]
async fn a_press_during_the_decode_is_the_next_take() {
    let more = "stt.canned_texts = ['one', 'two']\nstt.canned_delay_ms = 800";
    let (mut stage, file, _folder) = stage(more).await;
    stage.press();
    tokio::time::sleep(HOLD).await;
    stage.release();
    stage.reached(StateName::Processing).await;
    let press = stage.press();
    let (first, _) = stage.ended().await;
    assert_eq!(first, Outcome::Text);
    assert_eq!(stage.reached(StateName::Recording).await, Some(TakeId(2)));
    tokio::time::sleep(HOLD.saturating_sub(Moment::now().since(press))).await;
    stage.release();
    let (second, _) = stage.ended().await;
    assert_eq!(second, Outcome::Text);
    stage.delivered().await;
    assert_eq!(texts(&file), "one\ntwo\n");
}

#[actix::test]
async fn taps_cancelled_takes_and_silence_type_nothing() {
    let (mut stage, file, _folder) = stage("").await;
    let at = stage.press();
    stage.app.inbox.keyboard.post(KeyboardEvent::Released { at: at + Duration::from_millis(10) });
    assert_eq!(stage.ended().await.0, Outcome::Tap);
    stage.press();
    stage.reached(StateName::Recording).await;
    stage.app.inbox.keyboard.post(KeyboardEvent::Cancelled { at: Moment::now() });
    assert_eq!(stage.ended().await.0, Outcome::Cancelled);
    assert_eq!(texts(&file), "");

    let silent = hardware_free(&[], "audio.backend = 'silence'\naudio.silence = 'room'");
    let mut stage = Stage::with(&silent).await;
    assert_eq!(stage.hold(Duration::from_millis(400)).await.0, Outcome::Empty);
}

#[actix::test]
async fn a_dead_microphone_is_told() {
    let mut stage = Stage::with(&hardware_free(&[], "audio.backend = 'silence'")).await;
    stage.press();
    // A second of zeros is told; less may be a microphone that wakes up.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stage.release();
    assert!(stage.fault().await.contains("only silence"));
}

#[actix::test]
async fn a_toggle_needs_no_hold() {
    let (mut stage, file, _folder) = stage("controller.mode = 'toggle'").await;
    stage.press();
    stage.release();
    stage.reached(StateName::Recording).await;
    tokio::time::sleep(HOLD).await;
    stage.press();
    stage.release();
    assert_eq!(stage.ended().await.0, Outcome::Text);
    stage.delivered().await;
    assert_eq!(texts(&file).lines().count(), 1);
}

#[actix::test]
async fn a_script_drives_everything_and_once_is_enough() {
    let more = "controller.once = true\nkeyboard.backend = 'scripted'\nkeyboard.script = '+300ms down; +1500ms up'\n\
        keyboard.script_repeat = 5\nkeyboard.script_gap_ms = 5000";
    let (mut stage, file, _folder) = stage(more).await;
    assert_eq!(stage.ended().await.0, Outcome::Text);
    stage.reached(StateName::Idle).await;
    stage.delivered().await;
    assert_eq!(texts(&file).lines().count(), 1);
}

#[actix::test]
async fn a_disabled_stage_hears_no_key() {
    let (mut stage, _file, _folder) = stage("").await;
    stage.app.inbox.commands.post(ControllerCommand::Disable);
    stage.reached(StateName::Idle).await;
    stage.press();
    stage.app.inbox.commands.post(ControllerCommand::Enable);
    stage.reached(StateName::WaitingForKey).await;
    assert_eq!(stage.hold(HOLD).await.0, Outcome::Text);
}

#[actix::test]
async fn a_segment_that_is_closed_while_the_key_is_held_is_decoded_meanwhile() {
    let more = "stt.strategy = 'live'\naudio.commit_min_s = 1\nstt.canned_texts = ['some words']";
    let (mut stage, _file, _folder) = stage(more).await;
    stage.press();
    // The clip ends, silence follows, and the segment is closed: the text grows while the key is down.
    stage
        .seen
        .until("a text that grows", |event| match event {
            ControllerEvent::Partial { committed, tentative, .. } => {
                (!committed.is_empty() || !tentative.is_empty()).then_some(())
            }
            _ => None,
        })
        .await;
    stage.release();
    assert_eq!(stage.ended().await.0, Outcome::Text);
}

#[actix::test]
async fn real_speech_is_recognised_whole_by_the_real_engines() {
    let _alone = rig::heavy();
    let model = match rig::model("tiny.en") {
        Ok(model) => model,
        Err(skip) => return skip.say("real speech through all actors"),
    };
    for (engine, strategy) in
        [("native", "batch"), ("native", "live"), ("whisper", "batch"), ("whisper", "live")]
    {
        let more = format!("stt.backend = '{engine}'\nstt.model = {model:?}\nstt.strategy = '{strategy}'");
        let clip = rig::bundled();
        let mut stage = Stage::with(&hardware_free(&[&clip.file], &more)).await;
        let (outcome, text) = stage.hold(WHOLE).await;
        let text = text.map_or_else(String::new, |text| text.reveal().to_owned());
        assert_eq!(
            (outcome, normalise(&text)),
            (Outcome::Text, normalise(&clip.text)),
            "{engine}, {strategy}"
        );
    }
}

/// The first and the last word are the ones that other programs lose.
pub fn assert_edges(said: &str, heard: &str) {
    let (said, heard) = (normalise(said), normalise(heard));
    let first = |text: &str| text.split_whitespace().next().map(str::to_owned);
    let last = |text: &str| text.split_whitespace().next_back().map(str::to_owned);
    assert_eq!((first(&heard), last(&heard)), (first(&said), last(&said)), "{said:?} was heard as {heard:?}");
}
