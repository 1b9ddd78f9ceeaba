//! What the engine makes of repetitions, of noise, and of takes in several languages: real engines,
//! real and synthetic speech.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ptt_app::wer::normalise;
use ptt_audio::read_audio_file;
use ptt_messages::{Clip, Port, Profile, Remarks, SegmentState, SttCommand, SttEvent, TakeId, TextPath};
use ptt_stt::{SttConfig, spawn};
use ptt_tests::{Told, contract, probe, rig};

use crate::section;

struct Engine {
    commands: Port<SttCommand>,
    told: Told<SttEvent>,
    take: TakeId,
}

struct Answer {
    text: String,
    path: TextPath,
    remarks: Remarks,
}

impl Engine {
    /// `None`, with a line that says so, where the model is not installed.
    fn with(model: &str, keys: &str) -> Option<Self> {
        let path = match rig::model(model) {
            Ok(path) => path,
            Err(skip) => {
                skip.say("what the engine makes of speech");
                return None;
            }
        };
        let config: SttConfig = section(&format!("model = {path:?}\n{keys}"));
        let (events, told) = probe("the controller");
        let told = told.patient(Duration::from_secs(120));
        Some(Self { commands: spawn(&config, events).unwrap(), told, take: TakeId(0) })
    }

    /// A take that is all speech.
    async fn hears(&mut self, clip: &Clip) -> Answer {
        self.take = self.take.next();
        let tail = contract::speech_segment(self.take, 0, SegmentState::Tail, 0, clip);
        let deadline = Duration::from_secs(60);
        let (profile, attempt) = (Profile::DEFAULT, 1);
        self.commands.post(SttCommand::Transcribe { tail, profile, attempt, deadline });
        let mut remarks = Remarks::default();
        let complete = self.told.until("a text", |event| match event {
            SttEvent::Remarks { remarks: told, .. } => {
                remarks = told.clone();
                None
            }
            SttEvent::Complete { text, path, .. } => Some((text.reveal().to_owned(), *path)),
            _ => None,
        });
        let ((text, path), _) = complete.await;
        Answer { text: normalise(&text), path, remarks }
    }
}

fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    let there = path.exists();
    if !there {
        rig::Skip(format!("{} is not there", path.display())).say("what the engine makes of speech");
    }
    there.then_some(path)
}

fn repeated(clip: &Clip, times: usize) -> Clip {
    let once = clip.samples().iter().copied().chain(std::iter::repeat_n(0.0, 2_400));
    let once: Vec<f32> = once.collect();
    Clip::new(once.repeat(times)).unwrap()
}

#[actix::test]
async fn what_follows_a_repetition_is_not_lost() {
    let _alone = rig::heavy();
    for keys in ["strategy = 'live'", "strategy = 'batch'"] {
        let Some(mut engine) = Engine::with("tiny.en", keys) else { return };
        for file in ["cases/f_no_rms.wav", "cases/rep_no.wav"] {
            let Some(file) = shared(file) else { return };
            let answer = engine.hears(&read_audio_file(&file).unwrap()).await;
            assert!(answer.text.contains("do not do that"), "{keys}: {}", answer.text);
            assert!(!answer.remarks.incomplete, "{keys}");
        }
    }
}

#[actix::test]
async fn who_says_a_sentence_several_times_is_written_as_often() {
    let _alone = rig::heavy();
    for keys in ["strategy = 'live'", "strategy = 'batch'"] {
        let Some(mut engine) = Engine::with("tiny.en", keys) else { return };
        let spoken = rig::bundled();
        let clip = read_audio_file(&spoken.file).unwrap();
        for times in [2, 3, 4, 5] {
            let answer = engine.hears(&repeated(&clip, times)).await;
            assert_eq!(answer.text, vec![normalise(&spoken.text); times].join(" "), "{keys} {times}");
            assert!(!answer.remarks.incomplete, "{keys} {times}");
        }
    }
}

#[actix::test]
async fn a_sentence_that_is_said_twice_is_decoded_once() {
    let _alone = rig::heavy();
    let Some(mut engine) = Engine::with("tiny.en", "") else { return };
    let clip = read_audio_file(&rig::bundled().file).unwrap();
    let answer = engine.hears(&repeated(&clip, 2)).await;
    assert_eq!(answer.path, TextPath::Tail, "a second decode would make it a fallback");
}

#[actix::test]
async fn no_noise_becomes_a_text() {
    let _alone = rig::heavy();
    let Some(folder) = shared("speech/noise") else { return };
    let Some(mut engine) = Engine::with("tiny.en", "") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|ending| ending == "flac") {
            let answer = engine.hears(&read_audio_file(&file).unwrap()).await;
            assert_eq!(answer.text, "", "{}", file.display());
            assert!(!answer.remarks.incomplete, "{}", file.display());
        }
    }
}

#[actix::test]
async fn every_take_is_written_in_its_own_language() {
    let _alone = rig::heavy();
    let keys = "language = 'auto'\nlanguages = ['en', 'de']";
    let Some(mut engine) = Engine::with("base", keys) else { return };
    let Some(german) = shared("speech/other-languages/cv6-de-17332094.flac") else { return };
    let (german, english) =
        (read_audio_file(&german).unwrap(), read_audio_file(&rig::bundled().file).unwrap());
    let alone = engine.hears(&german).await;
    assert_eq!(alone.remarks.languages, ["de"]);
    let after = engine.hears(&english).await;
    assert_eq!(after.remarks.languages, ["en"]);
    assert_eq!(after.text, normalise(&rig::bundled().text));
    let again = engine.hears(&german).await;
    assert_eq!((again.remarks.languages, again.text), (alone.remarks.languages, alone.text));
    let Some(both) = shared("cases/en_de.flac") else { return };
    let both = engine.hears(&read_audio_file(&both).unwrap()).await;
    assert_eq!(both.remarks.languages, ["en", "de"]);
}
