//! The role *speech to text* on both stock engines.

use ptt_app::wer::normalise;
use ptt_audio::read_audio_file;
use ptt_messages::{Clip, SegmentState, SttCommand, SttEvent, TakeId};
use ptt_stt::{SttConfig, spawn};
use ptt_tests::{contract, probe, rig};

use crate::section;

#[actix::test]
async fn the_canned_engine_keeps_every_promise() {
    let clip = Clip::new(vec![0.1; 32_000]).unwrap();
    for strategy in ["live", "batch"] {
        let config: SttConfig =
            section(&format!("backend = 'canned'\nstrategy = '{strategy}'\ncanned_delay_ms = 30"));
        contract::stt(|events| spawn(&config, events).unwrap(), &clip).await;
    }
}

#[actix::test]
async fn whisper_keeps_every_promise_and_understands_speech() {
    let _alone = rig::heavy();
    let model = match rig::model("tiny.en") {
        Ok(model) => model,
        Err(skip) => return skip.say("whisper's promises"),
    };
    let spoken = rig::bundled();
    let clip = read_audio_file(&spoken.file).unwrap();
    let config: SttConfig = section(&format!("model = {model:?}"));
    contract::stt(|events| spawn(&config, events).unwrap(), &clip).await;

    let (events, mut told) = probe("the controller");
    let engine = spawn(&config, events).unwrap();
    let tail = contract::speech_segment(TakeId(1), 0, SegmentState::Tail, 0, &clip);
    let deadline = std::time::Duration::from_secs(60);
    engine.post(SttCommand::Transcribe {
        tail,
        profile: ptt_messages::Profile::DEFAULT,
        attempt: 1,
        deadline,
    });
    let completed = told.until("a text", |event| match event {
        SttEvent::Complete { text, .. } => Some(text.reveal().to_owned()),
        _ => None,
    });
    let (text, _) = completed.await;
    assert_eq!(normalise(&text), normalise(&spoken.text));
}
