//! The rigs themselves: a rig that does not do what it says would make every test on it worthless.

use std::process::Command;
use std::time::Duration;

use evdev::{EventSummary, KeyCode};
use ptt_messages::{Clip, SAMPLE_RATE_HZ};
use ptt_tests::rig::{self, KernelRig, PrivatePulse, Process, VirtualKeyboard};

const SOON: Duration = Duration::from_secs(30);
const TONE_HZ: f32 = 500.0;

#[test]
fn what_is_played_into_the_private_microphone_is_heard_whole() {
    let _alone = rig::heavy();
    let pulse = match PrivatePulse::start() {
        Ok(pulse) => pulse,
        Err(skip) => return skip.say("the private PulseAudio"),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tone.wav");
    rig::write_wav(&file, &tone(1.0)).unwrap();
    let recording = pulse.record_mic().unwrap();
    let played = pulse.speak(&file).unwrap().wait(SOON).unwrap();
    assert!(played.status.success(), "{}", played.err);
    let (heard, rate_hz) = recording.finish().unwrap();
    assert_tone(&heard, rate_hz);
}

#[test]
fn the_kernel_rig_has_a_keyboard_and_a_sound_card() {
    let _alone = rig::heavy();
    if let Some(folder) = KernelRig::guest() {
        return in_the_guest(&folder);
    }
    let rig = match KernelRig::find() {
        Ok(rig) => rig,
        Err(skip) => return skip.say("the kernel rig"),
    };
    let folder = tempfile::tempdir().unwrap();
    let name = "rigs::the_kernel_rig_has_a_keyboard_and_a_sound_card";
    let finished = rig.run_test(name, folder.path(), Duration::from_secs(120)).unwrap();
    assert!(finished.status.success() && finished.out.contains("1 passed"), "{}", finished.out);
}

fn in_the_guest(folder: &std::path::Path) {
    let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
    let mut reader = evdev::Device::open(keyboard.node()).unwrap();
    let chord = [KeyCode::KEY_DOWN, KeyCode::KEY_RIGHT];
    keyboard.press(&chord).unwrap();
    keyboard.release(&chord).unwrap();
    let mut edges = Vec::new();
    while edges.len() < 4 {
        for event in reader.fetch_events().unwrap() {
            if let EventSummary::Key(_, key, value) = event.destructure() {
                edges.push((key, value));
            }
        }
    }
    let [down, right] = chord;
    assert_eq!(edges, [(down, 1), (right, 1), (down, 0), (right, 0)]);

    let (spoken, heard) = (folder.join("spoken.wav"), folder.join("heard.wav"));
    rig::write_wav(&spoken, &tone(1.0)).unwrap();
    let format = ["-r", "16000", "-c", "1", "-f", "S16_LE"];
    let capture = Process::spawn(
        Command::new("arecord").args(["-D", "plughw:Loopback,1", "-d", "3"]).args(format).arg(&heard),
    )
    .unwrap();
    rig::await_some("the capture", SOON, || heard.metadata().ok().filter(|file| file.len() > 0));
    rig::play_into_loopback(&spoken).unwrap().wait(SOON).unwrap();
    assert!(capture.wait(SOON).unwrap().status.success());
    let samples: Vec<f32> = hound::WavReader::open(&heard)
        .unwrap()
        .into_samples::<i16>()
        .map(|sample| f32::from(sample.unwrap()) / 32_768.0)
        .collect();
    assert_tone(&samples, SAMPLE_RATE_HZ);
}

fn tone(seconds: f32) -> Clip {
    let samples = (0..(seconds * SAMPLE_RATE_HZ as f32) as usize)
        .map(|n| 0.5 * (std::f32::consts::TAU * TONE_HZ * n as f32 / SAMPLE_RATE_HZ as f32).sin());
    Clip::new(samples.collect::<Vec<_>>()).unwrap()
}

/// One second of it, give or take a block, and of nothing else.
fn assert_tone(samples: &[f32], rate_hz: u32) {
    let loud = |s: &&f32| s.abs() > 0.05;
    let first = samples.iter().position(|s| loud(&s)).expect("something is heard");
    let last = samples.iter().rposition(|s| loud(&s)).expect("something is heard");
    let seconds = (last - first) as f32 / rate_hz as f32;
    assert!((0.97..1.03).contains(&seconds), "{seconds} s of one second were heard");
    let crossings = samples[first..last].windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
    let hz = crossings as f32 / seconds;
    assert!((TONE_HZ * 0.98..TONE_HZ * 1.02).contains(&hz), "{hz} Hz were heard");
}
