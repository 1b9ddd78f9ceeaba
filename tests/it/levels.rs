//! Quiet microphones, loud rooms and noise: what the detector finds at every level, and what of it becomes text.
//!
//! Each test prints its figures. With `PTT_LEVELS=all` they are those of all clips, levels and noises, in some minutes:
//! `PTT_LEVELS=all cargo test -p ptt-tests -- levels --nocapture`.

use std::path::PathBuf;
use std::time::Duration;

use ptt_app::wer::normalise;
use ptt_audio::{AudioConfig, Splitter, read_audio_file};
use ptt_messages::{Clip, ControllerEvent, Moment, Outcome, TakeId, Transcript};
use ptt_stt::context::ContextRule;
use ptt_stt::engine::{CancelFlag, DecodeRequest, Detection, Engine, NativeEngine, Threads};
use ptt_stt::model::CheckedModel;
use ptt_tests::rig::{self, DaemonBuilder, PrivatePulse, Spoken};
use ptt_tests::{Stage, hardware_free};

/// RMS of the loudest 50 ms; the issue of a quiet microphone begins at 0.01.
const LEVELS: [f32; 7] = [0.3, 0.1, 0.03, 0.01, 0.006, 0.004, 0.002];
/// Enough for a decode on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// Longer than a tap; a file is there at once, so nothing more needs to be held.
const HOLD: Duration = Duration::from_millis(210);
/// A sentence whose loudest 50 ms are at RMS 0.006.
const QUIET: (&str, &str) =
    ("../shared/cases/quiet-flash-of-fire.wav", "No doubt the impact had caused a flash of fire.");

fn all() -> bool {
    std::env::var_os("PTT_LEVELS").is_some_and(|value| value == "all")
}

fn read(clip: &Spoken) -> Clip {
    read_audio_file(&clip.file).unwrap()
}

/// Clips in which nothing is said, by name; none where the folder is not there.
fn noises() -> Vec<(String, Clip)> {
    let folder = rig::noise_folder();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "flac"));
    files.sort();
    let name = |file: &PathBuf| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), read_audio_file(file).unwrap())).collect()
}

/// Noises to mix speech with.
fn rooms() -> Vec<(&'static str, Vec<f32>)> {
    let named = |start: &str| -> Vec<f32> {
        let clips = noises().into_iter().filter(|(name, _)| name.starts_with(start));
        clips.flat_map(|(_, clip)| clip.samples().to_vec()).collect()
    };
    let rooms = [
        ("kitchen", named("dishes")),
        ("typing", named("keyboard")),
        ("music", rig::music()),
        ("rumble", rig::rumble()),
    ];
    rooms.into_iter().filter(|(_, noise)| !noise.is_empty()).collect()
}

/// What the detector makes of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Voice,
    /// The engine takes a second look.
    Something,
    Nothing,
}

fn found(clip: &Clip) -> Found {
    let mut splitter = Splitter::new(TakeId(1), &AudioConfig::default());
    let mut segments = splitter.push(clip.samples());
    segments.extend(splitter.finish());
    match segments.iter().rfind(|segment| segment.has_speech()) {
        Some(segment) if segment.certain => Found::Voice,
        Some(_) => Found::Something,
        None => Found::Nothing,
    }
}

/// Every fourth clip, or all of them.
fn some_speech() -> Vec<Clip> {
    rig::speech().iter().step_by(if all() { 1 } else { 4 }).map(read).collect()
}

fn count(clips: impl Iterator<Item = Clip>) -> (usize, usize) {
    let found: Vec<Found> = clips.map(|clip| found(&clip)).collect();
    let number = |what| found.iter().filter(|found| **found == what).count();
    (number(Found::Something), number(Found::Nothing))
}

#[test]
fn the_detector_finds_voices_at_every_level() {
    let clips = some_speech();
    let (doubted, missed) = count(clips.iter().cloned());
    rig::say(&format!("levels: {} clips as they are: {doubted} doubted, {missed} missed", clips.len()));
    for rms in LEVELS {
        let (more_doubted, more_missed) = count(clips.iter().map(|clip| rig::at_level(clip, rms)));
        rig::say(&format!("levels: RMS {rms}: {more_doubted} doubted, {more_missed} missed"));
        assert!(more_doubted + more_missed <= doubted + missed + 1, "RMS {rms}");
    }
}

#[test]
fn the_detector_finds_voices_in_noise() {
    let clips = some_speech();
    for (room, noise) in rooms() {
        for (snr_db, rms) in [(10.0, 0.1), (10.0, 0.006), (0.0, 0.1)] {
            let mixed = clips
                .iter()
                .enumerate()
                .map(|(n, clip)| rig::at_level(&rig::in_noise(clip, &noise, snr_db, n * 7_919), rms));
            let (doubted, missed) = count(mixed);
            rig::say(&format!(
                "levels: {room} at {snr_db} dB, RMS {rms}: {doubted} doubted, {missed} missed"
            ));
            assert!(missed == 0 && (snr_db < 10.0 || doubted <= 1), "{room} at {snr_db} dB, RMS {rms}");
        }
    }
}

/// A daemon without a process, one take per file.
struct Takes {
    stage: Stage,
    _folder: tempfile::TempDir,
}

impl Takes {
    async fn of(clips: &[Clip], model: &std::path::Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> =
            (0..clips.len()).map(|n| folder.path().join(format!("{n:04}.wav"))).collect();
        for (file, clip) in files.iter().zip(clips) {
            rig::write_wav(file, clip).unwrap();
        }
        let more = format!(
            "stt.backend = 'native'\nstt.model = {model:?}\nstt.strategy = 'live'\naudio.wav_pace = 'fast'"
        );
        let files: Vec<&std::path::Path> = files.iter().map(PathBuf::as_path).collect();
        Self { stage: Stage::with(&hardware_free(&files, &more)).await, _folder: folder }
    }

    /// The text of the next take; none where it is empty.
    async fn next(&mut self) -> Option<String> {
        let (outcome, text) = self.stage.hold(HOLD).await;
        assert!(matches!(outcome, Outcome::Text | Outcome::Empty), "{outcome:?}");
        text.map(|text| text.reveal().to_owned())
    }

    async fn all(clips: &[Clip], model: &std::path::Path) -> Vec<Option<String>> {
        let mut takes = Self::of(clips, model).await;
        let mut texts = Vec::new();
        for _ in clips {
            texts.push(takes.next().await);
        }
        texts
    }
}

/// The same engine's text of an untouched recording.
fn understood(engine: &mut NativeEngine, clip: &Clip) -> String {
    let request = DecodeRequest {
        frames: ContextRule::native().frames(clip.samples().len()),
        prompt: Transcript::default(),
        language: None,
        detection: Detection::default(),
        threads: Threads::new(2),
        deadline: Moment::now() + SOON,
    };
    let decoded = engine.decode(clip, &request, &CancelFlag::default()).unwrap();
    ptt_stt::clean::clean(&decoded).text.reveal().to_owned()
}

/// Words of a reference against a text, by the alignment with the fewest edits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Words {
    all: usize,
    /// In the text too.
    same: usize,
    /// With nothing in their place.
    lost: usize,
}

fn compared(reference: &str, text: &str) -> Words {
    let (reference, text) = (normalise(reference), normalise(text));
    let (reference, text): (Vec<&str>, Vec<&str>) =
        (reference.split_whitespace().collect(), text.split_whitespace().collect());
    // Edits, lost words and changed words of the reference so far against each beginning of the text.
    let mut row: Vec<(usize, usize, usize)> = (0..=text.len()).map(|n| (n, 0, 0)).collect();
    for (at, word) in reference.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = (at + 1, at + 1, 0);
        for (n, other) in text.iter().enumerate() {
            let above = row[n + 1];
            let changed = usize::from(word != other);
            let beside = (diagonal.0 + changed, diagonal.1, diagonal.2 + changed);
            let lost = (above.0 + 1, above.1 + 1, above.2);
            let added = (row[n].0 + 1, row[n].1, row[n].2);
            row[n + 1] = beside.min(lost).min(added);
            diagonal = above;
        }
    }
    let (_, lost, changed) = row[text.len()];
    Words { all: reference.len(), same: reference.len() - lost - changed, lost }
}

#[test]
fn words_are_lost_only_with_nothing_in_their_place() {
    for (reference, text, same, lost) in [
        ("one two three", "one two three", 3, 0),
        ("one two three", "one too three", 2, 0),
        ("one two three", "one three", 2, 1),
        ("one two three", "", 0, 3),
        ("one two", "and one two three", 2, 0),
    ] {
        // Not numbers, which are written in other ways.
        let words = |text: &str| text.replace("one", "a").replace("two", "b").replace("three", "c");
        let found = compared(&words(reference), &words(text));
        assert_eq!((found.same, found.lost), (same, lost), "{reference} | {text}");
    }
}

#[actix::test]
async fn words_survive_a_quiet_microphone_and_a_loud_room() {
    let _alone = rig::heavy();
    let model = match rig::model("tiny.en") {
        Ok(model) => model,
        Err(skip) => return skip.say("words at low levels"),
    };
    let spoken = rig::speech();
    let step = if all() { 4 } else { 24 }.min(spoken.len());
    let clips: Vec<Clip> = spoken.iter().skip(step / 2).step_by(step).map(read).collect();
    let checked = CheckedModel::open(&model).unwrap();
    let mut engine = NativeEngine::load(&checked, "en", 2).unwrap();
    let references: Vec<String> = clips.iter().map(|clip| understood(&mut engine, clip)).collect();
    let mut variants: Vec<(String, Vec<Clip>)> = vec![("as they are".to_owned(), clips.clone())];
    let levels: &[f32] = if all() { &LEVELS } else { &[0.006] };
    for rms in levels {
        let quiet = clips.iter().map(|clip| rig::at_level(clip, *rms)).collect();
        variants.push((format!("RMS {rms}"), quiet));
    }
    for (room, noise) in rooms() {
        for snr_db in if all() { &[20.0, 10.0, 0.0][..] } else { &[10.0] } {
            let mixed = clips.iter().enumerate();
            let mixed = mixed.map(|(n, clip)| rig::in_noise(clip, &noise, *snr_db, n * 7_919)).collect();
            variants.push((format!("{room} at {snr_db} dB"), mixed));
        }
    }
    for (variant, clips) in variants {
        let texts = Takes::all(&clips, &model).await;
        let empty = texts.iter().filter(|text| text.is_none()).count();
        let mut sum = Words::default();
        for (reference, text) in references.iter().zip(&texts) {
            let words = compared(reference, text.as_deref().unwrap_or_default());
            sum.all += words.all;
            sum.same += words.same;
            sum.lost += words.lost;
        }
        let percent = |words: usize| 100.0 * words as f64 / sum.all as f64;
        let survive = percent(sum.all - sum.lost);
        rig::say(&format!(
            "levels: {variant}: {survive:.1} % of {} words survive, {:.1} % are the same; {empty} of {} takes are empty",
            sum.all,
            percent(sum.same),
            clips.len()
        ));
        if !variant.ends_with(" 0 dB") {
            assert!(survive >= 97.0 && empty == 0, "{variant}");
        }
    }
}

#[actix::test]
async fn noise_is_no_text_at_any_level() {
    let _alone = rig::heavy();
    let model = match rig::model("tiny.en") {
        Ok(model) => model,
        Err(skip) => return skip.say("noise at any level"),
    };
    let gains: &[f32] = if all() { &[0.1, 1.0, 10.0] } else { &[1.0] };
    let clips: Vec<(String, Clip)> = noises()
        .iter()
        .flat_map(|(name, clip)| {
            gains.iter().map(move |gain| (format!("{name} x {gain}"), rig::amplified(clip, *gain)))
        })
        .collect();
    if clips.is_empty() {
        return rig::Skip("no noise beside the speech; set PTT_SPEECH".to_owned()).say("noise at any level");
    }
    let audio: Vec<Clip> = clips.iter().map(|(_, clip)| clip.clone()).collect();
    let texts = Takes::all(&audio, &model).await;
    let typed: Vec<(&String, usize)> = clips
        .iter()
        .zip(&texts)
        .filter_map(|((name, _), text)| text.as_ref().map(|text| (name, text.chars().count())))
        .collect();
    rig::say(&format!("levels: {} takes of noise, {} with text: {typed:?}", clips.len(), typed.len()));
    assert!(typed.is_empty(), "{typed:?}");
}

#[actix::test]
async fn a_quiet_sentence_is_typed_and_the_microphone_hinted_at_once() {
    let _alone = rig::heavy();
    let file = rig::workspace().join(QUIET.0);
    let model = match rig::model("tiny.en") {
        Ok(model) if file.is_file() => model,
        Ok(_) => return rig::Skip(format!("no {}", QUIET.0)).say("a quiet sentence"),
        Err(skip) => return skip.say("a quiet sentence"),
    };
    let clip = read_audio_file(&file).unwrap();
    let mut takes = Takes::of(&[clip], &model).await;
    let mut hints = Vec::new();
    for _ in 0..2 {
        takes.stage.press();
        tokio::time::sleep(HOLD).await;
        takes.stage.release();
        let ended = takes.stage.seen.until("the end of a take", |event| match event {
            ControllerEvent::Ended { outcome, .. } => Some(*outcome),
            _ => None,
        });
        let (outcome, before) = ended.await;
        assert_eq!(outcome, Outcome::Text);
        for event in before {
            match event {
                ControllerEvent::Hint { hint, .. } => hints.push(hint),
                ControllerEvent::Text { text, .. } => {
                    assert_eq!(normalise(text.reveal()), normalise(QUIET.1))
                }
                _ => {}
            }
        }
    }
    assert_eq!(hints.len(), 1, "{hints:?}");
    assert!(hints[0].contains("very quiet") && hints[0].contains("volume"), "{hints:?}");

    let set = format!("stt.model={}", model.display());
    let args = ["--set", &set, "transcribe", file.to_str().unwrap()];
    let finished = DaemonBuilder::new().run(&args);
    assert_eq!(normalise(&finished.out), normalise(QUIET.1), "{}", finished.err);
}

#[test]
fn a_quiet_microphone_of_the_sound_server_is_heard() {
    let _alone = rig::heavy();
    let (pulse, model) = match PrivatePulse::start().and_then(|pulse| Ok((pulse, rig::model("tiny.en")?))) {
        Ok(found) => found,
        Err(skip) => return skip.say("a quiet microphone through PulseAudio"),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quiet.wav");
    let clip = rig::bundled();
    rig::write_wav(&file, &rig::at_level(&read(&clip), 0.006)).unwrap();
    let more = format!(
        "audio.backend = 'cpal'\naudio.host = 'pulseaudio'\nstt.backend = 'native'\nstt.model = {model:?}\n\
         stt.strategy = 'live'"
    );
    let mut daemon = DaemonBuilder::new().config(&hardware_free(&[], &more)).env(pulse.env()).start();
    daemon.has("microphone");
    let report = daemon.take(|daemon| {
        daemon.recording();
        pulse.speak(&file).unwrap().wait(SOON).unwrap();
    });
    assert_eq!(report.outcome, Outcome::Text, "{}", daemon.log());
    assert_eq!(normalise(&report.text), normalise(&clip.text));
    let status = daemon.ask("status").unwrap();
    assert!(status["status"]["hint"].as_str().is_some_and(|hint| hint.contains("very quiet")), "{status}");
    assert!(daemon.log().contains("very quiet"), "{}", daemon.log());
}
