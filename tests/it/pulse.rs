//! The real boundary: real speech through a real sound server and the real engine, heard whole; real chimes; and what
//! happens when the microphone or the server goes away.

use std::time::{Duration, Instant};

use ptt_app::wer::Errors;
use ptt_messages::{Clip, ControllerEvent, Outcome, SAMPLE_RATE_HZ};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, PrivatePulse};
use rustix::process::Signal;

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
        "stt.backend = 'native'\nstt.model = {model:?}\nstt.strategy = 'live'\nfeedback.backend = 'rodio'"
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
    assert!(faults(&daemon), "and it is told");

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

#[test]
fn a_named_microphone_that_vanishes_is_not_replaced_by_another_one() {
    let _alone = rig::heavy();
    let mut pulse = match PrivatePulse::start() {
        Ok(pulse) => pulse,
        Err(skip) => return skip.say("a microphone that vanishes beside another one"),
    };
    let mut daemon = daemon(&pulse, "audio.device = 'mic.monitor'");
    daemon.ask("press").unwrap();
    daemon.recording();
    pulse.speak(&rig::bundled().file).unwrap().wait(SOON).unwrap();
    pulse.unplug_microphone().unwrap();
    assert_eq!(daemon.ended().outcome, Outcome::Text, "what was heard is kept");
    daemon.ask("release").unwrap();
    // The monitor of `out` is a source too, and the server would like to put it in place of ours.
    daemon.listening();
    daemon.ask("press").unwrap();
    assert_eq!(daemon.ended().outcome, Outcome::NotStarted);
    daemon.ask("release").unwrap();
    assert!(daemon.log().contains("no microphone is called"), "{}", daemon.log());
    assert!(!daemon.log().contains(&format!("device={OUT:?}")), "{}", daemon.log());
    pulse.plug_microphone().unwrap();
    after_that(&mut daemon, &pulse);
    assert_eq!(microphone(&daemon).as_deref(), Some(MIC));
}

#[test]
fn the_default_microphone_is_the_one_that_the_user_chooses() {
    let _alone = rig::heavy();
    let mut pulse = match PrivatePulse::start() {
        Ok(pulse) => pulse,
        Err(skip) => return skip.say("another default microphone"),
    };
    let _awake = pulse.keep_awake("out").unwrap();
    let mut daemon = daemon(&pulse, "");
    assert_eq!(microphone(&daemon).as_deref(), Some(MIC));
    for (source, name) in [("out.monitor", OUT), ("mic.monitor", MIC)] {
        pulse.choose_microphone(source).unwrap();
        rig::await_some(name, SOON, || (microphone(&daemon)? == name).then_some(()));
    }
    // Vanishing in a take is a fault, although there is another one to move to.
    daemon.ask("press").unwrap();
    daemon.recording();
    assert!(!faults(&daemon), "what the user wants is none");
    pulse.speak(&rig::bundled().file).unwrap().wait(SOON).unwrap();
    pulse.unplug_microphone().unwrap();
    assert_eq!(daemon.ended().outcome, Outcome::Text, "what was heard is kept");
    daemon.ask("release").unwrap();
    assert!(faults(&daemon));
    rig::await_some("the other one", SOON, || (microphone(&daemon)? == OUT).then_some(()));
    let moved = daemon.scrape().sum("ptt_audio_moved_total", &[]);
    assert_eq!(moved, Some(3.0));
}

#[test]
fn what_is_said_while_the_daemon_stands_still_is_heard_when_it_goes_on() {
    let _alone = rig::heavy();
    let pulse = match PrivatePulse::start() {
        Ok(pulse) => pulse,
        Err(skip) => return skip.say("a daemon that stands still"),
    };
    let mut daemon = daemon(&pulse, "");
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second.wav");
    let clip = ptt_audio::read_audio_file(&rig::bundled().file).unwrap();
    rig::write_wav(&second, &Clip::new(clip.samples()[..SAMPLE_RATE_HZ as usize].to_vec()).unwrap()).unwrap();
    daemon.ask("press").unwrap();
    daemon.recording();
    let begin = Instant::now();
    daemon.process().signal(Signal::STOP);
    pulse.speak(&second).unwrap().wait(SOON).unwrap();
    daemon.process().signal(Signal::CONT);
    let stood = begin.elapsed();
    daemon.ask("release").unwrap();
    assert_eq!(daemon.ended().outcome, Outcome::Text);
    let metrics = daemon.scrape();
    let heard = metrics.sum("ptt_take_audio_seconds_sum", &[]).unwrap_or_default();
    rig::say(&format!("PulseAudio, the daemon stood still for {stood:?}: {heard:.3} s were heard"));
    assert!(heard >= stood.as_secs_f64(), "{heard} s of {stood:?}\n{}", daemon.log());
    for lost in ["dropped_samples", "xruns", "missing_samples", "lost"] {
        assert_eq!(metrics.sum(&format!("ptt_audio_{lost}_total"), &[]).unwrap_or_default(), 0.0, "{lost}");
    }
}

#[test]
fn a_server_that_stands_still_for_a_moment_does_not_end_the_take() {
    let _alone = rig::heavy();
    let pulse = match PrivatePulse::start() {
        Ok(pulse) => pulse,
        Err(skip) => return skip.say("a sound server that stands still"),
    };
    let mut daemon = daemon(&pulse, "audio.starve_ms = 10000\ncontroller.stop_deadline_ms = 20000");
    let clip = rig::bundled().file;
    let report = daemon.take(|daemon| {
        daemon.recording();
        pulse.speak(&clip).unwrap().wait(SOON).unwrap();
        pulse.freeze();
        // Long enough for blocks to be missed: two questions to the daemon.
        daemon.has("microphone");
        pulse.thaw();
        pulse.speak(&clip).unwrap().wait(SOON).unwrap();
    });
    assert_eq!(report.outcome, Outcome::Text);
    assert!(!faults(&daemon), "{}", daemon.log());
}

#[test]
fn a_server_is_used_without_a_cookie() {
    let _alone = rig::heavy();
    let pulse = match PrivatePulse::start() {
        Ok(pulse) => pulse,
        Err(skip) => return skip.say("no cookie"),
    };
    let config = hardware_free(&[], "audio.backend = 'cpal'\naudio.host = 'pulseaudio'");
    let daemon =
        DaemonBuilder::new().config(&config).env(pulse.env()).env([("PULSE_COOKIE", "/nowhere")]).start();
    daemon.has("microphone");
    assert_eq!(microphone(&daemon).as_deref(), Some(MIC));
}

/// What people call the sources of the private server.
const MIC: &str = "Monitor of Mic";
const OUT: &str = "Monitor of Null Output";

/// The microphone that is open.
fn microphone(daemon: &Daemon) -> Option<String> {
    daemon.ask("status").ok()?["status"]["microphone"].as_str().map(str::to_owned)
}

/// Whether the daemon told of a fault before the last thing that was waited for.
fn faults(daemon: &Daemon) -> bool {
    daemon.seen().iter().any(|event| matches!(event, ControllerEvent::Fault { .. }))
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
