//! The role *recorder* on the stock sources that need no microphone.

use std::path::Path;

use ptt_audio::{AudioConfig, read_audio_file, spawn};
use ptt_messages::{Clip, Moment, RecorderCommand, RecorderEvent, SAMPLE_RATE_HZ, TakeId};
use ptt_tests::{contract, probe, rig};

use crate::section;

#[actix::test]
async fn files_keep_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let file = ramp_file(folder.path(), 0.3);
    let config: AudioConfig = section(&format!("backend = 'wav'\nwav = [{file:?}]"));
    contract::recorder(|events| spawn(&config, events).unwrap()).await;
}

#[actix::test]
async fn silence_keeps_every_promise() {
    for microphone in ["always", "on_press", "idle_close"] {
        let config: AudioConfig =
            section(&format!("backend = 'silence'\nsilence = 'room'\nmicrophone = '{microphone}'"));
        contract::recorder(|events| spawn(&config, events).unwrap()).await;
    }
}

#[actix::test]
async fn a_missing_microphone_keeps_its_promises() {
    let config: AudioConfig = section("device = 'a microphone that nobody has'");
    contract::recorder_without_a_microphone(|events| spawn(&config, events).unwrap()).await;
}

#[actix::test]
async fn every_sample_of_a_file_is_in_its_take() {
    let folder = tempfile::tempdir().unwrap();
    let file = ramp_file(folder.path(), 2.0);
    let played = read_audio_file(&file).unwrap();
    let config: AudioConfig =
        section(&format!("backend = 'wav'\nwav = [{file:?}]\nwav_pace = 'fast'\npre_roll_ms = 300"));
    let (events, mut told) = probe("the controller");
    let recorder = spawn(&config, events).unwrap();
    for take in [TakeId(1), TakeId(2)] {
        recorder.post(RecorderCommand::Start { take, press: Moment::now() });
        told.until("Started", |event| matches!(event, RecorderEvent::Started { .. }).then_some(())).await;
        recorder.post(RecorderCommand::Stop { take, release: Moment::now() });
        let finished = told.until("Finished", |event| match event {
            RecorderEvent::Finished { tail, summary } => Some((tail.clone(), *summary)),
            _ => None,
        });
        let ((tail, summary), before) = finished.await;
        let committed = before.iter().filter(|event| matches!(event, RecorderEvent::Heard(_))).count();
        assert_eq!(committed, 0, "a take this short has no closed segment");
        let pre_roll = (summary.pre_roll.as_secs_f64() * f64::from(SAMPLE_RATE_HZ)).round() as usize;
        assert!(tail.clip.samples()[..pre_roll].iter().all(|s| *s == 0.0), "the pre-roll is silence");
        assert_eq!(&tail.clip.samples()[pre_roll..], played.samples(), "take {take}");
    }
}

/// Every sample another one, so that a lost or doubled one shows; quiet enough to be no speech.
fn ramp_file(folder: &Path, seconds: f32) -> std::path::PathBuf {
    let length = (seconds * SAMPLE_RATE_HZ as f32) as usize;
    let samples: Vec<f32> = (0..length).map(|n| 0.001 + 0.01 * n as f32 / length as f32).collect();
    let file = folder.join("ramp.wav");
    rig::write_wav(&file, &Clip::new(samples).unwrap()).unwrap();
    assert_eq!(read_audio_file(&file).unwrap().samples().len(), length);
    file
}
