//! The same with a real kernel: a uinput keyboard holds the chord, speech is played into the ALSA loopback, and the running
//! daemon puts the text out. The guest has one processor, so nothing here is about speed.

use std::path::Path;
use std::time::Duration;

use evdev::KeyCode;
use ptt_app::wer::Errors;
use ptt_messages::Outcome;
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, KernelRig, Spoken, VirtualKeyboard};

use crate::pipeline::assert_edges;

const SOON: Duration = Duration::from_secs(60);
const ARROWS: [KeyCode; 2] = [KeyCode::KEY_DOWN, KeyCode::KEY_RIGHT];
const KEYPAD: [KeyCode; 2] = [KeyCode::KEY_KP2, KeyCode::KEY_KP6];

#[test]
fn a_held_chord_becomes_text_through_evdev_and_alsa() {
    in_the_rig("kernel::a_held_chord_becomes_text_through_evdev_and_alsa", &["tiny.en"], |folder| {
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let mut daemon = daemon("evdev", "Down+Right");
        let mut total = Errors::default();
        for clip in rig::easy_speech() {
            let text = hold(&mut daemon, &mut keyboard, &ARROWS, &clip, folder);
            assert_edges(&clip.text, &text);
            total += Errors::of(&clip.text, &text);
        }
        assert!(total.rate() < 0.15, "{total:?}");
        let metrics = daemon.scrape();
        let p99 = metrics.quantile("ptt_stage_seconds", &[("stage", "key_detection")], 0.99);
        rig::say(&format!("kernel rig, evdev: {total:?}, key detection p99 in seconds {p99:?}"));
        assert!(metrics.count("ptt_stage_seconds", &[("stage", "key_detection")]) >= 2);

        // Pulled out while held: that is a release, once, and what was said is not lost.
        let clip = rig::bundled();
        keyboard.press(&ARROWS).unwrap();
        daemon.recording();
        speak(&clip, folder);
        keyboard.unplug();
        let report = daemon.ended();
        assert_eq!(report.outcome, Outcome::Text);
        assert_edges(&clip.text, &report.text);

        // Plugged in again it is found by itself.
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        rig::await_some("the new keyboard", SOON, || {
            // What is pressed before the daemon opened the keyboard is not seen.
            keyboard.press(&ARROWS).unwrap();
            let seen = daemon.within(Duration::from_secs(2), rig::is_recording);
            if seen.is_none() {
                keyboard.release(&ARROWS).unwrap();
            }
            seen
        });
        speak(&clip, folder);
        keyboard.release(&ARROWS).unwrap();
        assert_edges(&clip.text, &daemon.ended().text);
        assert!(daemon.stop().status.success());
    });
}

#[test]
fn a_held_chord_becomes_text_through_inputbot() {
    in_the_rig("kernel::a_held_chord_becomes_text_through_inputbot", &["tiny.en"], |folder| {
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let mut daemon = daemon("inputbot", "KP2+KP6");
        let clip = rig::bundled();
        for _ in 0..2 {
            let text = hold(&mut daemon, &mut keyboard, &KEYPAD, &clip, folder);
            assert_edges(&clip.text, &text);
        }
        assert!(daemon.stop().status.success());
    });
}

/// Runs `guest` under the rig's kernel, where these models are there: this very test, by its path, once more, inside.
pub fn in_the_rig(test: &str, models: &[&str], guest: impl FnOnce(&Path)) {
    if let Some(folder) = KernelRig::guest() {
        return guest(&folder);
    }
    let _alone = rig::heavy();
    let found = KernelRig::find()
        .and_then(|rig| models.iter().try_for_each(|name| rig::model(name).map(drop)).map(|()| rig));
    let rig = match found {
        Ok(rig) => rig,
        Err(skip) => return skip.say(&format!("the kernel rig: {test}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let finished = rig.run_test(test, folder.path(), Duration::from_secs(900)).unwrap();
    // The test runner inside begins a line that the first figure ends.
    let figures = finished.out.lines().filter_map(|line| line.find("kernel rig,").map(|at| &line[at..]));
    figures.for_each(rig::say);
    assert!(
        finished.status.success() && finished.out.contains("1 passed"),
        "{}\n{}",
        finished.out,
        finished.err
    );
}

/// Long blocks: the guest stands still while the machine around it is busy, and its loopback, which moves by ticks of 10 ms,
/// delivers nothing at all into blocks as short as that.
fn daemon(keyboard: &str, chord: &str) -> Daemon {
    let model = rig::model("tiny.en").unwrap();
    let more = format!(
        "keyboard.backend = '{keyboard}'\nkeyboard.chord = '{chord}'\naudio.backend = 'cpal'\naudio.host = 'alsa'\n\
         audio.device = 'plughw:CARD=Loopback,DEV=1'\naudio.block_ms = 100\nstt.backend = 'native'\nstt.model = {model:?}\n\
         stt.strategy = 'live'\ncontroller.decode_deadline_s = 60"
    );
    let daemon = DaemonBuilder::new().config(&hardware_free(&[], &more)).start();
    daemon.has("keyboard");
    daemon.has("microphone");
    // Loading and hearing at once is more than the one processor can do.
    daemon.has("model");
    daemon
}

/// Holds the chord while the clip is spoken.
fn hold(
    daemon: &mut Daemon,
    keyboard: &mut VirtualKeyboard,
    chord: &[KeyCode],
    clip: &Spoken,
    folder: &Path,
) -> String {
    keyboard.press(chord).unwrap();
    daemon.recording();
    speak(clip, folder);
    keyboard.release(chord).unwrap();
    let report = daemon.ended();
    assert_eq!(report.outcome, Outcome::Text, "{}\n{}", clip.id, daemon.log());
    rig::say(&format!("kernel rig, {}: release to text {:?}", clip.id, report.release_to_text));
    report.text
}

/// `aplay` reads no FLAC.
fn speak(clip: &Spoken, folder: &Path) {
    let file = folder.join(format!("{}.wav", clip.id));
    rig::write_wav(&file, &ptt_audio::read_audio_file(&clip.file).unwrap()).unwrap();
    let played = rig::play_into_loopback(&file).unwrap().wait(SOON).unwrap();
    assert!(played.status.success(), "{}", played.err);
}
