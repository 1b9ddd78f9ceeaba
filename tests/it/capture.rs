//! A take outlives what happens to its microphone: a sound server that stands still, and another
//! microphone that the user chooses. Real speech before and after shows that nothing of it is lost.

use std::time::Duration;

use ptt_app::wer::Errors;
use ptt_messages::{ControllerEvent, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, PrivatePulse, Skip, Spoken};

const SOON: Duration = Duration::from_secs(60);
/// How people call the monitor of the sink `out`.
const OUT: &str = "Monitor of Null Output";

fn parts() -> Result<(PrivatePulse, Daemon), Skip> {
    let (pulse, model) = (PrivatePulse::start()?, rig::model("tiny.en")?);
    let more = format!(
        "audio.backend = 'cpal'\naudio.host = 'pulseaudio'\nstt.backend = 'native'\n\
         stt.model = {model:?}\nstt.strategy = 'live'"
    );
    let daemon = DaemonBuilder::new().config(&hardware_free(&[], &more)).env(pulse.env()).start();
    daemon.has("microphone");
    daemon.has("model");
    Ok((pulse, daemon))
}

/// So many sentences, the shortest of those that are understood best.
fn sentences(wanted: usize) -> Vec<Spoken> {
    let mut clips = rig::easy_speech();
    clips.sort_by_key(|clip| clip.text.len());
    clips.into_iter().cycle().take(wanted).collect()
}

fn assert_heard(clips: &[Spoken], daemon: &Daemon, report: &rig::TakeReport) {
    let said: Vec<&str> = clips.iter().map(|clip| clip.text.as_str()).collect();
    let said = said.join(" ");
    assert_eq!(report.outcome, Outcome::Text, "{}", daemon.log());
    let errors = Errors::of(&said, &report.text);
    assert!(errors.rate() < 0.15, "{errors:?}: {said:?} was heard as {:?}", report.text);
    let fault = daemon.seen().iter().find(|event| matches!(event, ControllerEvent::Fault { .. }));
    assert!(fault.is_none(), "{fault:?}");
}

#[test]
fn what_is_said_after_a_stall_is_in_the_take() {
    let _alone = rig::heavy();
    let (pulse, mut daemon) = match parts() {
        Ok(found) => found,
        Err(skip) => return skip.say("a sound server that stalls in a take"),
    };
    let clips = sentences(3);
    let report = daemon.take(|daemon| {
        daemon.recording();
        for (clip, stall_ms) in clips.iter().zip([700, 3_000, 0]) {
            pulse.speak(&clip.file).unwrap().wait(SOON).unwrap();
            pulse.freeze();
            std::thread::sleep(Duration::from_millis(stall_ms));
            pulse.thaw();
        }
    });
    assert_heard(&clips, &daemon, &report);
    let took = report.release_to_text.unwrap_or_default();
    rig::say(&format!("PulseAudio, stalls of 0.7 and 3 s: release to text {took:?}"));
}

#[test]
fn a_take_goes_on_with_the_microphone_that_is_chosen_in_it() {
    let _alone = rig::heavy();
    let (pulse, mut daemon) = match parts() {
        Ok(found) => found,
        Err(skip) => return skip.say("another microphone in a take"),
    };
    let _awake = pulse.keep_awake("out").unwrap();
    let clips = sentences(2);
    let report = daemon.take(|daemon| {
        daemon.recording();
        pulse.speak(&clips[0].file).unwrap().wait(SOON).unwrap();
        pulse.choose_microphone("out.monitor").unwrap();
        rig::await_some("the other microphone", SOON, || {
            (daemon.scrape().sum("ptt_audio_moved_total", &[]) == Some(1.0)).then_some(())
        });
        pulse.speak_into("out", &clips[1].file).unwrap().wait(SOON).unwrap();
    });
    assert_heard(&clips, &daemon, &report);
    rig::await_some("its name", SOON, || {
        (daemon.ask("status").ok()?["status"]["microphone"] == OUT).then_some(())
    });
}

#[test]
fn a_release_in_a_stall_loses_nothing_and_is_no_fault() {
    let _alone = rig::heavy();
    let (pulse, mut daemon) = match parts() {
        Ok(found) => found,
        Err(skip) => return skip.say("a release while the sound server stalls"),
    };
    let clips = sentences(2);
    for clip in &clips {
        let report = daemon.take(|daemon| {
            daemon.recording();
            pulse.speak(&clip.file).unwrap().wait(SOON).unwrap();
            pulse.freeze();
            std::thread::sleep(Duration::from_millis(300));
            daemon.ask("release").unwrap();
            std::thread::sleep(Duration::from_millis(1_000));
            pulse.thaw();
        });
        assert_heard(std::slice::from_ref(clip), &daemon, &report);
    }
    // A press in a stall is heard from then on.
    pulse.freeze();
    std::thread::sleep(Duration::from_millis(1_500));
    let report = daemon.take(|daemon| {
        daemon.recording();
        pulse.thaw();
        pulse.speak(&clips[0].file).unwrap().wait(SOON).unwrap();
    });
    assert_heard(&clips[..1], &daemon, &report);
}
