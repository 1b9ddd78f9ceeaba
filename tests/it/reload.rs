//! A new configuration while the program runs: what `retry` can bring back stays, a bad one changes
//! nothing, and whoever asks for something meanwhile gets it.

use std::time::Duration;

use ptt_app::Exit;
use ptt_messages::{ControllerEvent, Outcome, StateName};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, Stream};
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(20);
const AGAIN: &str = "starting again with the new configuration";
const STAYS: &str = "the configuration is wrong; the old one stays";

/// The bundled clip at once; texts to standard output unless `more` names a sink.
fn config(more: &str) -> String {
    spoken(&format!("audio.wav_pace = 'fast'\n{more}"))
}

/// The same as fast as it is spoken: a take lasts until its key goes up.
fn spoken(more: &str) -> String {
    let sink = if more.contains("output.sink") { "" } else { "output.sink = 'stdout'\n" };
    hardware_free(&[&rig::bundled().file], &format!("{sink}{more}"))
}

fn write(daemon: &Daemon, config: &str) {
    std::fs::write(daemon.home().join("ptt/config.toml"), config).unwrap();
}

/// Writes a configuration, has it read, and waits until the log says so.
fn reload(daemon: &mut Daemon, config: &str, says: &str) {
    write(daemon, config);
    let before = daemon.log().matches(says).count();
    daemon.process().signal(Signal::HUP);
    rig::await_some(says, SOON, || (daemon.log().matches(says).count() > before).then_some(()));
}

fn hold(daemon: &mut Daemon) -> Outcome {
    daemon.take(|_| std::thread::sleep(Duration::from_millis(300))).outcome
}

fn line(daemon: &mut Daemon, expected: &str) {
    daemon.process().line(Stream::Out, SOON, |line| (line == expected).then_some(())).unwrap();
}

fn undelivered(event: &ControllerEvent) -> Option<()> {
    matches!(event, ControllerEvent::Fault { take: Some(_), .. }).then_some(())
}

#[test]
fn an_undelivered_text_and_its_count_outlive_a_reload() {
    let failing = "output.sink = 'command'\noutput.command = ['false']\nstt.canned_texts = ['kept words']";
    let mut daemon = DaemonBuilder::new().config(&config(failing)).start();
    assert_eq!(hold(&mut daemon), Outcome::Text);
    daemon.until("a failed delivery", undelivered);
    reload(&mut daemon, &config("stt.canned_texts = ['other words']"), AGAIN);
    daemon.listening();
    let status = daemon.ask("status").unwrap();
    assert_eq!(status["status"]["takes"], serde_json::json!([["text", 1]]), "takes are counted on");
    daemon.ask("retry").unwrap();
    line(&mut daemon, "kept words");
    assert_eq!(hold(&mut daemon), Outcome::Text);
    line(&mut daemon, "other words");
    let finished = daemon.stop();
    assert!(!finished.err.contains("are lost"), "nothing is kept any more\n{}", finished.err);
}

#[test]
fn kept_audio_outlives_a_reload() {
    let mut daemon = DaemonBuilder::new().config(&config("stt.canned_script = ['panic']")).start();
    assert_eq!(hold(&mut daemon), Outcome::Salvaged);
    reload(&mut daemon, &config("stt.canned_texts = ['from the kept audio']"), AGAIN);
    daemon.listening();
    daemon.ask("retry").unwrap();
    assert_eq!(daemon.ended().text, "from the kept audio");
}

#[test]
fn a_kept_text_belongs_to_its_profile_by_name() {
    let to = |command: &str, profiles: &str| {
        config(&format!(
            "output.sink = 'command'\noutput.command = [{command}]\nstt.canned_texts = ['words']\n{profiles}"
        ))
    };
    let german = "[[profile]]\nname = 'german'\n[profile.output]\nsink = 'command'\n";
    let before = to("'true'", &format!("{german}command = ['false']"));
    let mut daemon = DaemonBuilder::new().config(&before).start();
    let press = |daemon: &Daemon, name: &str| {
        let args = ["press", "--profile", name];
        assert!(DaemonBuilder::new().beside(daemon).run(&args).status.success());
    };
    press(&daemon, "german");
    daemon.recording();
    std::thread::sleep(Duration::from_millis(300));
    daemon.ask("release").unwrap();
    daemon.until("a failed delivery", undelivered);
    let out = daemon.home().join("out");
    let cat = format!("command = ['sh', '-c', 'cat > \"$1\"', 'sh', {out:?}]");
    // Its number is another one now.
    let after = to("'false'", &format!("[[profile]]\nname = 'other'\n{german}{cat}"));
    reload(&mut daemon, &after, AGAIN);
    daemon.listening();
    daemon.ask("retry").unwrap();
    rig::await_some("the text", SOON, || {
        std::fs::read_to_string(&out).ok().filter(|text| text.trim() == "words").map(|_| ())
    });
}

#[test]
fn the_end_says_how_much_is_lost_with_it() {
    let failing = "output.sink = 'command'\noutput.command = ['false']\nstt.canned_texts = ['secret words']";
    let mut daemon = DaemonBuilder::new().config(&config(failing)).start();
    for _ in 0..2 {
        assert_eq!(hold(&mut daemon), Outcome::Text);
        daemon.until("a failed delivery", undelivered);
    }
    let finished = daemon.stop();
    assert!(finished.status.success());
    assert!(finished.err.contains("2 texts, 0 recordings kept for `ptt-app retry`"), "{}", finished.err);
    assert!(!finished.err.contains("secret words"));
    let mut daemon = DaemonBuilder::new().config(&config("stt.canned_script = ['panic']")).start();
    assert_eq!(hold(&mut daemon), Outcome::Salvaged);
    let finished = daemon.stop();
    assert!(finished.err.contains("0 texts, 1 recording kept"), "{}", finished.err);
}

#[test]
fn a_configuration_that_cannot_work_changes_nothing() {
    let mut daemon = DaemonBuilder::new().config(&config("stt.canned_texts = ['as before']")).start();
    daemon.has("model");
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("ggml-page.bin");
    std::fs::write(&page, "<!DOCTYPE html><html>not found</html>").unwrap();
    let none = folder.path().join("ggml-none.bin");
    let model = |path: &std::path::Path| format!("stt.backend = 'native'\nstt.model = {path:?}");
    for (bad, named) in [
        (model(&none), "ggml-none.bin"),
        (model(&page), "ggml-page.bin"),
        ("output.sink = 'command'".to_owned(), "output.command"),
        ("output.sink = 'file'\noutput.file_path = '/no/such/folder/file'".to_owned(), "/no/such/folder"),
        ("output.post_command = ['']".to_owned(), "output.post_command"),
        ("log.filter = 'info,='".to_owned(), "log.filter"),
    ] {
        reload(&mut daemon, &config(&bad), STAYS);
        assert!(daemon.log().lines().any(|line| line.contains(STAYS) && line.contains(named)), "{named}");
        assert!(
            !daemon.ask("status").unwrap()["status"]["model"].is_null(),
            "{named}: the model is resident"
        );
        assert_eq!(hold(&mut daemon), Outcome::Text, "{named}");
        line(&mut daemon, "as before");
    }
    assert!(!daemon.log().contains(AGAIN));
}

#[test]
fn without_a_usable_model_the_program_ends_and_the_check_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("ggml-none.bin");
    let native = config(&format!("stt.backend = 'native'\nstt.model = {none:?}"));
    for args in [&["run"][..], &["config", "check"]] {
        let finished = DaemonBuilder::new().config(&native).run(args);
        assert_eq!(finished.status.code(), Some(i32::from(Exit::NoInput.code())), "{finished:?}");
        assert!(
            finished.err.contains("ggml-none.bin") && finished.err.contains("ptt-app models"),
            "{finished:?}"
        );
    }
    // What another actor makes of the section is not ours to say.
    let file = rig::foot_pedal();
    let checked = DaemonBuilder::of(&file).config(&config("")).run(&["config", "check"]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn push_to_talk_that_was_switched_off_stays_off() {
    let mut daemon = DaemonBuilder::new().config(&config("")).start();
    daemon.ask("disable").unwrap();
    rig::await_some("idle", SOON, || (daemon.ask("status").ok()?["status"]["state"] == "idle").then_some(()));
    reload(&mut daemon, &config("stt.canned_texts = ['new']"), AGAIN);
    let refused = daemon.ask("press").unwrap_err().to_string();
    assert!(refused.contains("ptt-app enable"), "{refused}");
    daemon.ask("enable").unwrap();
    daemon.listening();
    assert_eq!(hold(&mut daemon), Outcome::Text);
}

#[test]
fn a_reload_waits_for_the_take_that_runs_and_its_text() {
    let slow = "stt.canned_texts = ['old']\nstt.canned_delay_ms = 500";
    let mut daemon = DaemonBuilder::new().config(&spoken(slow)).start();
    daemon.ask("press").unwrap();
    daemon.recording();
    write(&daemon, &config("stt.canned_texts = ['new']"));
    daemon.process().signal(Signal::HUP);
    let good = "the new configuration is good";
    rig::await_some(good, SOON, || daemon.log().contains(good).then_some(()));
    std::thread::sleep(Duration::from_millis(1_200));
    // The one that runs is asked, as before.
    assert_eq!(daemon.ask("status").unwrap()["status"]["state"], "recording");
    daemon.ask("release").unwrap();
    assert_eq!(daemon.ended().text, "old");
    rig::await_some(AGAIN, SOON, || daemon.log().contains(AGAIN).then_some(()));
    daemon.listening();
    assert_eq!(hold(&mut daemon), Outcome::Text);
    line(&mut daemon, "new");
    let finished = daemon.stop();
    assert_eq!(finished.out, "old\nnew\n");
}

/// Presses in the 15 ms around the moment at which one daemon makes room for the next.
#[test]
fn a_press_beside_a_reload_is_a_take_every_time() {
    let mut daemon = DaemonBuilder::new().config(&spoken("")).start();
    for round in 0..25_u64 {
        daemon.listening();
        daemon.process().signal(Signal::HUP);
        std::thread::sleep(Duration::from_micros(600 * round));
        daemon.ask("press").unwrap_or_else(|error| panic!("press {round}: {error}\n{}", daemon.log()));
        daemon.recording();
        daemon.ask("cancel").unwrap();
        assert_eq!(daemon.ended().outcome, Outcome::Cancelled, "{round}");
    }
    let again = daemon.log().matches(AGAIN).count();
    assert!(again >= 10, "only {again} reloads in 25 rounds");
}

/// Both wait for the next daemon, over two connections.
#[test]
fn a_release_that_follows_its_press_in_a_reload_ends_its_take() {
    let toggle = "controller.mode = 'auto'\nstt.canned_texts = ['a tap']";
    let mut daemon = DaemonBuilder::new().config(&spoken(toggle)).start();
    for round in 0..10 {
        daemon.listening();
        daemon.process().signal(Signal::HUP);
        daemon.ask("press").unwrap();
        daemon.ask("release").unwrap();
        daemon.recording();
        // In this mode a tap goes on: a release that had come before its press would have been none.
        daemon.ask("press").unwrap();
        daemon.ask("release").unwrap();
        let stopped = daemon.until("the end of the recording", |event| match event {
            ControllerEvent::Transition { from: StateName::Recording, to, .. } => Some(*to),
            _ => None,
        });
        assert_eq!(stopped, StateName::RecordingStopped, "{round}");
        daemon.ended();
    }
}
