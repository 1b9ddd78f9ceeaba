//! The real boundary: real speech through a real sound server and the real engine, heard whole; real chimes; and what
//! happens when the microphone or the server goes away.

use std::time::Duration;

use ptt_app::wer::Errors;
use ptt_messages::{ControllerEvent, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, PrivatePulse};

use crate::pipeline::assert_edges;

const SOON: Duration = Duration::from_secs(60);

/// A daemon on the private server with a real microphone.
fn daemon(pulse: &PrivatePulse, more: &str) -> Daemon {
    let more = format!("audio.backend = 'cpal'\naudio.host = 'pulseaudio'\n{more}");
    let daemon = DaemonBuilder::new().config(&hardware_free(&[], &more)).env(pulse.env()).start();
    daemon.has("microphone");
    daemon
}

#[test]
fn speech_is_heard_whole_and_chimes_are_played() {
    let _alone = rig::heavy();
    let (pulse, model) = match PrivatePulse::start().and_then(|pulse| Ok((pulse, rig::model("tiny.en")?))) {
        Ok(found) => found,
        Err(skip) => return skip.say("speech through PulseAudio"),
    };
    let chimes = pulse.record_out().unwrap();
    let more = format!(
        "stt.backend = 'whisper'\nstt.model = {model:?}\nstt.strategy = 'live'\nfeedback.backend = 'rodio'"
    );
    let mut daemon = daemon(&pulse, &more);
    let mut total = Errors::default();
    let clips = rig::easy_speech();
    for clip in &clips {
        // The user begins to speak and then presses: the first word is older than the key.
        let ear = pulse.listen().unwrap();
        let speaking = pulse.speak(&clip.file).unwrap();
        ear.await_sound().unwrap();
        let report = daemon.take(|_| {
            speaking.wait(SOON).unwrap();
        });
        assert_eq!(report.outcome, Outcome::Text, "{}\n{}", clip.id, daemon.log());
        assert_edges(&clip.text, &report.text);
        total += Errors::of(&clip.text, &report.text);
        let took = report.release_to_text.unwrap_or_default();
        rig::say(&format!("PulseAudio, tiny.en, {}: release to text {took:?} ({:?})", clip.id, report.path));
    }
    rig::say(&format!(
        "PulseAudio, tiny.en: {} errors in {} words of {} clips",
        total.edits,
        total.words,
        clips.len()
    ));
    assert!(total.rate() < 0.15, "{total:?}");

    let metrics = daemon.scrape();
    for stage in ["feedback", "recording_start", "ptt_response"] {
        let p99 = metrics.quantile("ptt_stage_seconds", &[("stage", stage)], 0.99);
        rig::say(&format!("PulseAudio, {stage} p99 in seconds: {p99:?}"));
    }
    let started = metrics.count("ptt_stage_seconds", &[("stage", "recording_start")]);
    assert_eq!(started, clips.len() as u64);
    let played = metrics.sum("ptt_chimes_total", &[("result", "played")]).unwrap_or(0.0) as usize;
    assert!(daemon.stop().status.success());
    let (heard, rate_hz) = chimes.finish().unwrap();
    // A chime that would be late is dropped, so a busy machine plays fewer.
    let bursts = bursts(&heard, rate_hz);
    rig::say(&format!("PulseAudio, {played} chimes played, {bursts} heard"));
    assert!(bursts > 0, "no chime is heard");
}

#[test]
fn a_microphone_that_is_unplugged_in_a_take_leaves_its_text_and_comes_back() {
    let _alone = rig::heavy();
    let mut pulse = match PrivatePulse::start() {
        Ok(pulse) => pulse,
        Err(skip) => return skip.say("a microphone that is unplugged"),
    };
    let mut daemon = daemon(&pulse, "");
    let clip = rig::bundled().file;
    daemon.ask("press").unwrap();
    daemon.recording();
    pulse.speak(&clip).unwrap().wait(SOON).unwrap();
    pulse.unplug_microphone().unwrap();
    assert_eq!(daemon.ended().outcome, Outcome::Text, "what was heard is kept");
    daemon.ask("release").unwrap();
    assert!(
        daemon.seen().iter().any(|event| matches!(event, ControllerEvent::Fault { .. })),
        "and it is told"
    );

    pulse.plug_microphone().unwrap();
    after_that(&mut daemon, &pulse);
}

#[test]
fn a_server_that_dies_or_freezes_ends_the_take_and_the_next_one_works() {
    let _alone = rig::heavy();
    let mut pulse = match PrivatePulse::start() {
        Ok(pulse) => pulse,
        Err(skip) => return skip.say("a sound server that dies"),
    };
    let mut daemon = daemon(&pulse, "");
    let clip = rig::bundled().file;
    for frozen in [false, true] {
        daemon.ask("press").unwrap();
        daemon.recording();
        pulse.speak(&clip).unwrap().wait(SOON).unwrap();
        if frozen {
            pulse.freeze()
        } else {
            pulse.kill()
        }
        assert_eq!(daemon.ended().outcome, Outcome::Text, "what was heard is kept (frozen: {frozen})");
        daemon.ask("release").unwrap();
        if frozen {
            pulse.thaw()
        } else {
            pulse.restart().unwrap()
        }
        after_that(&mut daemon, &pulse);
    }
}

/// The microphone is back: soon a take works again. A press before it is may fail, with a reason.
fn after_that(daemon: &mut Daemon, pulse: &PrivatePulse) {
    let clip = rig::bundled().file;
    rig::await_some("a take that works", SOON, || {
        let report = daemon.take(|_| {
            pulse.speak(&clip).unwrap().wait(SOON).unwrap();
        });
        (report.outcome == Outcome::Text).then_some(())
    });
}

/// How often it becomes loud after a tenth of a second of quiet.
fn bursts(samples: &[f32], rate_hz: u32) -> usize {
    let mut quiet = rate_hz / 10;
    let mut bursts = 0;
    for sample in samples {
        if sample.abs() < 0.005 {
            quiet += 1;
        } else {
            bursts += usize::from(quiet >= rate_hz / 10);
            quiet = 0;
        }
    }
    bursts
}
