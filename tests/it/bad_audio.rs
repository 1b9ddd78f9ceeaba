//! Audio that no microphone should give and every microphone does: each take becomes the right text or none, in bounded
//! time, without a word that is doubled, looped or made up; live and batch, in both engines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ptt_app::wer::{Errors, normalise};
use ptt_messages::{Outcome, SAMPLE_RATE_HZ};
use ptt_tests::rig::{self, DaemonBuilder, Skip, Spoken};
use ptt_tests::{Stage, hardware_free};

use Expected::{AtMostWords, Exactly, Like, Nothing};

/// The files are there at once; longer than a tap.
const HOLD: Duration = Duration::from_millis(200);
/// For ten minutes of audio on a loaded machine. Whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// All of a file is heard before its take is confirmed, and a loaded machine takes its time.
const DEADLINES: &str = "controller.start_deadline_ms = 60000\ncontroller.stop_deadline_ms = 60000\ncontroller.decode_deadline_s = 60";

#[actix::test]
async fn numbers_that_are_none_are_left_out() {
    let said = rig::bundled();
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30];
    let mut holes = samples(&said);
    holes.iter_mut().skip(500).step_by(1_000).zip(bad.into_iter().cycle()).for_each(|(s, bad)| *s = bad);
    let mut room = Room::default();
    room.hear("holes", &holes, Exactly(said.text));
    room.hear("nothing else", &[f32::NAN; 32_000], Nothing);
    room.enter("numbers that are none").await;
}

#[actix::test]
async fn clipped_speech_is_understood() {
    let said = rig::bundled();
    let clipped: Vec<f32> = samples(&said).iter().map(|s| (s * 12.0).clamp(-1.0, 1.0)).collect();
    let mut room = Room::default();
    room.hear("clipped", &clipped, Exactly(said.text));
    room.enter("clipped speech").await;
}

#[actix::test]
async fn next_to_nothing_is_nothing() {
    let speech = samples(&rig::bundled());
    let loud = speech.iter().position(|s| s.abs() > 0.2).unwrap();
    let mut room = Room::default();
    room.hear("0 samples", &[], Nothing);
    room.hear("1 sample", &[0.5], Nothing);
    room.hear("50 ms", &speech[loud..loud + 800], Nothing);
    room.enter("takes of next to nothing").await;
}

#[actix::test]
async fn half_a_minute_without_a_pause_has_every_word_once() {
    let (mut speech, mut text) = (Vec::new(), Vec::new());
    let clips = rig::easy_speech();
    if clips.len() < 2 {
        // The engine cannot know that a sentence that comes twelve times is no loop.
        let why = "one clip of speech here, and one sentence again and again is a loop; PTT_SPEECH names where more are";
        return Skip(why.into()).say("31 s without a pause");
    }
    for said in clips.iter().cycle() {
        if speech.len() > 31 * SAMPLE_RATE_HZ as usize {
            break;
        }
        speech.extend(without_its_ends(&samples(said)));
        text.push(said.text.clone());
    }
    let mut room = Room::default();
    room.hear("31 s", &speech, Like(text.join(" ")));
    room.enter("31 s without a pause").await;
}

#[actix::test]
async fn ten_minutes_have_every_sentence_once() {
    // A sentence every 25 s: the audio is ten minutes, what there is to decode is not.
    let (mut audio, mut text) = (Vec::new(), Vec::new());
    for said in rig::easy_speech().iter().cycle().take(24) {
        audio.extend(samples(said));
        audio.resize(audio.len().next_multiple_of(25 * SAMPLE_RATE_HZ as usize), 0.0);
        text.push(said.text.clone());
    }
    let mut room = Room::default();
    room.hear("10 min", &in_a_room(&audio), Like(text.join(" ")));
    room.enter("a take of ten minutes").await;
}

#[actix::test]
async fn silence_around_speech_adds_nothing() {
    let said = rig::bundled();
    let (speech, silence) = (samples(&said), |seconds: usize| vec![0.0; seconds * 16_000]);
    let mut room = Room::default();
    for (name, audio) in [
        ("silence, then speech", [silence(20), speech.clone()].concat()),
        ("speech, then silence", [speech, silence(60)].concat()),
    ] {
        room.hear(name, &audio, Exactly(said.text.clone()));
        room.hear(&format!("{name}, in a room"), &in_a_room(&audio), Exactly(said.text.clone()));
    }
    room.enter("silence around speech").await;
}

#[actix::test]
async fn two_languages_in_one_take_neither_loop_nor_hang() {
    let name = "two languages in one take";
    let foreign = rig::foreign_speech();
    if foreign.is_empty() {
        return Skip("no clips of other languages here; PTT_SPEECH names where they are".into()).say(name);
    }
    let (english, pause) = (samples(&rig::bundled()), vec![0.0; 8_000]);
    let mut room = Room::default();
    for said in foreign.iter().step_by(foreign.len().div_ceil(3)) {
        let other = samples(said);
        let (first, second) =
            ([&other[..], &pause, &english].concat(), [&english[..], &pause, &other].concat());
        // An English model makes of another language what it likes, as fast as people speak: up to six words
        // a second. A loop has many more.
        let most = 6 * first.len() / SAMPLE_RATE_HZ as usize;
        room.hear(&format!("{}, English", said.id), &first, AtMostWords(most));
        room.hear(&format!("English, {}", said.id), &second, AtMostWords(most));
    }
    room.enter(name).await;
}

/// The recorder's and the controller's memory: the engine is the canned one, which keeps nothing. A file that is there at
/// once is in memory several times, so it is growth that is looked for: a take's audio that stays is 37 MiB.
#[test]
fn memory_does_not_grow_with_takes_of_ten_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.wav");
    let speech = samples(&rig::bundled());
    let long: Vec<f32> = speech.iter().copied().cycle().take(600 * SAMPLE_RATE_HZ as usize).collect();
    write(&file, &long);
    let more = format!("audio.wav_pace = 'fast'\nstt.strategy = 'live'\n{DEADLINES}");
    let mut daemon = DaemonBuilder::new().config(&hardware_free(&[&file], &more)).start();
    let mut resident_mib = Vec::new();
    for _ in 0..4 {
        let report = daemon.take(|_| std::thread::sleep(HOLD));
        assert_eq!(report.outcome, Outcome::Text);
        resident_mib.push(resident(daemon.process().pid()));
    }
    rig::say(&format!("after each of four takes of ten minutes: {resident_mib:.0?} MiB"));
    assert!(resident_mib[3] < resident_mib[0] + 74.0, "{resident_mib:?}");
}

/// What may come of a take.
enum Expected {
    /// These words.
    Exactly(String),
    /// These words but for a few that the smallest model gets wrong; none doubled.
    Like(String),
    /// No text.
    Nothing,
    /// Some text or none; no loop.
    AtMostWords(usize),
}

/// Takes, and what may come of them.
struct Room {
    folder: tempfile::TempDir,
    takes: Vec<(String, PathBuf, Expected)>,
}

impl Default for Room {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), takes: Vec::new() }
    }
}

impl Room {
    fn hear(&mut self, name: &str, audio: &[f32], expected: Expected) {
        let file = self.folder.path().join(format!("{}.wav", self.takes.len()));
        write(&file, audio);
        self.takes.push((name.to_owned(), file, expected));
    }

    /// Every take through all actors and the real engines.
    async fn enter(self, test: &str) {
        let _alone = rig::heavy();
        let model = match rig::model("tiny.en") {
            Ok(model) => model,
            Err(skip) => return skip.say(test),
        };
        let files: Vec<&Path> = self.takes.iter().map(|(_, file, _)| file.as_path()).collect();
        for (engine, strategy) in [("native", "live"), ("native", "batch"), ("whisper", "live")] {
            let more = format!(
                "stt.backend = '{engine}'\nstt.model = {model:?}\nstt.strategy = '{strategy}'\n\
                 audio.wav_pace = 'fast'\n{DEADLINES}"
            );
            let stage = Stage::with(&hardware_free(&files, &more)).await;
            let mut stage = Stage { seen: stage.seen.patient(PATIENCE), ..stage };
            for (name, _, expected) in &self.takes {
                let (outcome, text) = stage.hold(HOLD).await;
                let text = text.map_or_else(String::new, |text| text.reveal().to_owned());
                let ended = if text.is_empty() { Outcome::Empty } else { Outcome::Text };
                assert_eq!(outcome, ended, "{name}, {engine}, {strategy}: {text:?}");
                if let Err(wrong) = expected.check(&text) {
                    panic!("{name}, {engine}, {strategy}: {wrong} in {text:?}");
                }
            }
        }
    }
}

impl Expected {
    fn check(&self, heard: &str) -> Result<(), String> {
        match self {
            Exactly(said) if normalise(heard) == normalise(said) => Ok(()),
            Exactly(said) => Err(format!("{said:?} is not what is")),
            Like(said) => {
                let errors = Errors::of(said, heard);
                if errors.rate() > 0.1 {
                    return Err(format!("{} errors against {said:?}", errors.edits));
                }
                in_a_row(heard, 2).filter(|twice| !normalise(said).contains(twice)).map_or(Ok(()), Err)
            }
            Nothing if heard.is_empty() => Ok(()),
            Nothing => Err("something is".into()),
            AtMostWords(most) => {
                let words = normalise(heard).split_whitespace().count();
                if words > *most {
                    Err(format!("{words} words are"))
                } else {
                    // An English model may hear a foreign phrase as the same words twice; three times is a loop.
                    in_a_row(heard, 3).map_or(Ok(()), Err)
                }
            }
        }
    }
}

/// The first run of a few words that stands there so many times in a row; whole sentences may.
fn in_a_row(text: &str, times: usize) -> Option<String> {
    let text = normalise(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut runs = (1..=8).flat_map(|length| words.windows(times * length).map(move |run| (length, run)));
    runs.find(|(length, run)| run.chunks(*length).all(|part| part == &run[..*length]))
        .map(|(_, run)| run.join(" "))
}

#[test]
fn words_that_come_again_are_found() {
    assert_eq!(in_a_row("Down the, down the road.", 2), Some("down the down the".to_owned()));
    assert_eq!(in_a_row("Down the, down the road.", 3), None);
    assert_eq!(in_a_row("So so so.", 3), Some("so so so".to_owned()));
    assert_eq!(in_a_row("It was what was said", 2), None);
}

fn samples(spoken: &Spoken) -> Vec<f32> {
    ptt_audio::read_audio_file(&spoken.file).unwrap().samples().to_vec()
}

/// From its first to its last loud sample.
fn without_its_ends(speech: &[f32]) -> &[f32] {
    let loud = |s: &f32| s.abs() > 0.05;
    let (first, last) = (speech.iter().position(loud), speech.iter().rposition(loud));
    &speech[first.unwrap()..=last.unwrap()]
}

/// The same with noise at -70 dBFS.
fn in_a_room(audio: &[f32]) -> Vec<f32> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(state) / f64::from(u32::MAX) - 0.5) as f32 * 0.001
    };
    audio.iter().map(|sample| (sample + noise()).clamp(-1.0, 1.0)).collect()
}

/// As floats, so that anything can be written.
fn write(file: &Path, audio: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE_HZ,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(file, spec).unwrap();
    audio.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
}

/// Memory of a process, in MiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0
}
