//! `transcribe` reads all of a file, or says what it did not read and ends with 66; one file does
//! not keep the next from being done; and a file of an hour takes the memory of one of a minute.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ptt_app::wer::{Errors, normalise};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, DaemonBuilder, Finished, Process, Skip};

const SQUIRREL: &str = "Sadly, my dream of becoming a squirrel whisperer may never happen.";
const DUNES: &str = "The dunes are changed by the wind, but the desert never changes.";

fn cases() -> Result<PathBuf, Skip> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    if folder.is_dir() { Ok(folder) } else { Err(Skip(format!("no folder {}", folder.display()))) }
}

fn transcribe(config: &str, files: &[PathBuf]) -> Finished {
    let mut args = vec!["transcribe", "--json"];
    args.extend(files.iter().map(|file| file.to_str().unwrap()));
    DaemonBuilder::new().config(&hardware_free(&[], config)).run(&args)
}

fn lines(finished: &Finished) -> Vec<serde_json::Value> {
    finished.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn tone(file: &Path, seconds: u32) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 8,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec).unwrap();
    (0..seconds * 8_000).for_each(|n| writer.write_sample((n % 32) as i32 - 16).unwrap());
    writer.finalize().unwrap();
}

#[test]
fn odd_files_are_read_whole() {
    let (folder, model) = match cases().and_then(|folder| Ok((folder, rig::model("tiny.en")?))) {
        Ok(found) => found,
        Err(skip) => return skip.say("files of odd formats"),
    };
    let _alone = rig::heavy();
    let (both, other) = (format!("{SQUIRREL} {DUNES}"), format!("{DUNES} {SQUIRREL}"));
    let expected = [
        ("ogg_chained_same.ogg", Some(both.as_str())),
        ("mp3_stereo_then_mono.mp3", Some(&other)),
        ("wav-data-size-0.wav", None),
        ("opus.ogg", None),
    ];
    let files: Vec<PathBuf> = expected.iter().map(|(name, _)| folder.join(name)).collect();
    let finished = transcribe(&format!("stt.backend = 'native'\nstt.model = {model:?}"), &files);
    assert!(finished.status.success(), "{}", finished.err);
    let lines = lines(&finished);
    for ((name, said), line) in expected.iter().zip(&lines) {
        let text = line["text"].as_str().unwrap();
        rig::say(&format!("{name}: {text}"));
        match said {
            Some(said) => assert!(Errors::of(said, text).rate() < 0.15, "{name}: {text}"),
            None => assert!(normalise(text).split_whitespace().count() >= 5, "{name}: {text}"),
        }
        assert!(line.get("missing").is_none(), "{line}");
    }
    assert_eq!(lines.len(), files.len());
}

#[test]
fn stereo_that_cancels_out_is_no_silence() {
    let model = match rig::model("tiny.en") {
        Ok(model) => model,
        Err(skip) => return skip.say("stereo that cancels out"),
    };
    let _alone = rig::heavy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cancels.wav");
    let clip = ptt_audio::read_audio_file(&rig::bundled().file).unwrap();
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(&file, spec).unwrap();
    for sample in clip.samples() {
        writer.write_sample(*sample).unwrap();
        writer.write_sample(-sample).unwrap();
    }
    writer.finalize().unwrap();
    let finished = transcribe(&format!("stt.backend = 'native'\nstt.model = {model:?}"), &[file]);
    assert!(finished.status.success(), "{}", finished.err);
    assert_eq!(normalise(lines(&finished)[0]["text"].as_str().unwrap()), normalise(&rig::bundled().text));
}

#[test]
fn a_file_that_cannot_be_read_keeps_no_other_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let speech = rig::bundled().file;
    std::fs::write(at("notes.wav"), "these are my notes").unwrap();
    // Two files in one, the second of which is damaged.
    let mut twice = std::fs::read(&speech).unwrap();
    let mut second = twice.clone();
    second[20] = 77;
    twice.extend(second);
    std::fs::write(at("twice.wav"), twice).unwrap();
    let files = [at("none.wav"), speech.clone(), at("notes.wav"), at("twice.wav"), speech];
    let finished = transcribe("stt.canned_texts = ['said']", &files);
    assert_eq!(finished.status.code(), Some(66), "{finished:?}");
    let lines = lines(&finished);
    let texts: Vec<_> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["said"; 3], "{finished:?}");
    for told in ["none.wav", "notes.wav", "only a part of", "twice.wav"] {
        assert!(finished.err.contains(told), "{told:?} is not in {}", finished.err);
    }
    assert!(lines[1]["missing"][0].as_str().unwrap().contains("twice.wav"), "{}", lines[1]);
}

#[test]
fn an_hour_takes_the_memory_of_a_minute() {
    let _alone = rig::heavy();
    let folder = tempfile::tempdir().unwrap();
    let home = DaemonBuilder::new().config(&hardware_free(&[], "stt.canned_texts = ['said']"));
    let mut peaks = Vec::new();
    for seconds in [60, 3_600] {
        let file = folder.path().join("long.wav");
        tone(&file, seconds);
        let mut command = Command::new(rig::program());
        command.env("HOME", home.home()).env("XDG_CONFIG_HOME", home.home()).args(["transcribe", "--json"]);
        let mut process = Process::spawn(command.arg(&file)).unwrap();
        let mut peak = 0.0_f64;
        while process.alive() {
            peak = peak.max(peak_of(process.pid()).unwrap_or(0.0));
            std::thread::sleep(Duration::from_millis(2));
        }
        let finished = process.wait(Duration::from_secs(60)).unwrap();
        assert!(finished.status.success(), "{finished:?}");
        assert!((lines(&finished)[0]["audio_s"].as_f64().unwrap() - f64::from(seconds)).abs() < 0.1);
        rig::say(&format!("transcribe, {seconds} s of audio: peak of resident memory {peak:.1} MiB"));
        peaks.push(peak);
    }
    assert!(peaks[1] < peaks[0] + 8.0, "{peaks:?} MiB");
}

/// The most memory that a process had, in MiB.
fn peak_of(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1_024.0)
}
