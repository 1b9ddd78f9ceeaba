//! The shipped program from the outside: exit codes, messages that say what to do, and how it ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ptt_app::Exit;
use ptt_app::wer::normalise;
use ptt_messages::Outcome;
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, Finished, Stream};

/// The bundled clip as the microphone, at once; texts to standard output.
fn config(more: &str) -> String {
    config_into("stdout", more)
}

fn config_into(sink: &str, more: &str) -> String {
    let more = format!("audio.wav_pace = 'fast'\noutput.sink = '{sink}'\n{more}");
    hardware_free(&[&rig::bundled().file], &more)
}

fn daemon(more: &str) -> Daemon {
    DaemonBuilder::new().config(&config(more)).start()
}

fn hold(daemon: &mut Daemon) -> Outcome {
    daemon.take(|_| std::thread::sleep(Duration::from_millis(300))).outcome
}

/// Ended with this code, and told all of this on standard error.
fn assert_ended(finished: &Finished, exit: Exit, told: &[&str]) {
    let Finished { status, err, .. } = finished;
    assert_eq!(status.code(), Some(i32::from(exit.code())), "{err}");
    for part in told {
        assert!(err.contains(part), "{part:?} is not in {err:?}");
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    assert_ended(&DaemonBuilder::new().run(&["run", "--fast"]), Exit::Usage, &["--fast"]);
    assert_ended(&DaemonBuilder::new().run(&["fly"]), Exit::Usage, &["fly"]);
    let help = DaemonBuilder::new().run(&["--help"]);
    assert!(help.status.success() && help.out.contains("transcribe") && help.out.contains("bench"));
}

#[test]
fn a_wrong_configuration_is_told_with_its_place_and_what_is_allowed() {
    for (toml, told) in [
        (
            "[audio]\npre_rol_ms = 300\n",
            &["line 2, column 1", "pre_rol_ms", "did you mean `pre_roll_ms`"][..],
        ),
        ("[audio]\npre_roll_ms = 99999\n", &["line 2, column 15", "allowed is 0 to 1000"]),
        ("[keyboard]\nchord = 'Dwon+Right'\n", &["line 2, column 9", "did you mean Down"]),
        ("[output]\nsink = 'printer'\n", &["line 2, column 8", "`stdout`", "`file`", "`command`"]),
        ("[adio]\n", &["line 1", "`audio`"]),
        ("[audio\n", &["line 1"]),
        ("[metrics]\nlisten = '0.0.0.0:9091'\n", &["allow_remote"]),
        ("[log]\nfilter = 'loud'\n", &["log.filter = \"loud\"", "neither a level", "\"info\""]),
        ("[keyboard]\nchord = 'SUPER, V'\n", &["line 2, column 9", "did you mean \"LeftMeta+V\"?"]),
    ] {
        for args in [&["run"][..], &["config", "check"]] {
            assert_ended(&DaemonBuilder::new().config(toml).run(args), Exit::Config, told);
        }
    }
    // What can be read and cannot work, all of it at once.
    let toml = "[output]\nsink = 'command'\n[keyboard]\nbackend = 'scripted'\n[[profile]]\nname = 'de'\noutput.sink = 'uinput'\n";
    let checked = DaemonBuilder::new().config(toml).run(&["config", "check"]);
    let problems =
        ["`output.command` names no program", "keyboard.script", "profile \"de\"", "uinput_layout"];
    assert_ended(&checked, Exit::Config, &problems);
    let set = DaemonBuilder::new().run(&["--set", "audio.pre_roll_ms=5000", "config", "check"]);
    assert_ended(&set, Exit::Config, &["--set audio.pre_roll_ms=5000", "allowed is 0 to 1000"]);
}

#[test]
fn the_written_configuration_is_good_and_not_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    let file = file.to_str().unwrap();
    let run = |args: &[&str]| DaemonBuilder::new().run(&[&["--config", file], args].concat());
    assert!(run(&["config", "init"]).status.success());
    assert!(run(&["--set", "stt.backend=canned", "config", "check"]).status.success());
    assert_ended(&run(&["config", "init"]), Exit::Failed, &["--force"]);
    let shown = run(&["--set", "keyboard.chord=F13", "config", "show"]);
    assert!(shown.out.contains("chord = \"F13\""), "{}", shown.out);
}

#[test]
fn without_a_daemon_there_is_nobody_to_ask() {
    for command in ["press", "release", "toggle", "cancel", "enable", "disable", "retry", "status"] {
        assert_ended(&DaemonBuilder::new().run(&[command]), Exit::Unavailable, &["ptt-app run"]);
    }
}

#[test]
fn the_daemon_is_driven_and_watched_from_the_command_line() {
    let mut daemon = daemon("stt.canned_texts = ['by command line']");
    let ask = |daemon: &Daemon, args: &[&str]| DaemonBuilder::new().beside(daemon).run(args);
    assert!(ask(&daemon, &["press"]).status.success());
    daemon.recording();
    std::thread::sleep(Duration::from_millis(300));
    assert_ended(&ask(&daemon, &["press"]), Exit::Failed, &["recording already in progress"]);
    assert!(ask(&daemon, &["release"]).status.success());
    let report = daemon.ended();
    assert_eq!((report.outcome, report.text.as_str()), (Outcome::Text, "by command line"));
    let status = ask(&daemon, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["state"], "waiting_for_key");
    assert!(!status.to_string().contains("command line"), "a status holds no text");
    assert!(ask(&daemon, &["disable"]).status.success());
    daemon.until("idle", |event| match event {
        ptt_messages::ControllerEvent::Transition { to: ptt_messages::StateName::Idle, input, .. } => {
            (!input.contains("complete")).then_some(())
        }
        _ => None,
    });
    assert_ended(&ask(&daemon, &["press"]), Exit::Failed, &["ptt-app enable"]);
    assert!(ask(&daemon, &["enable"]).status.success());
}

#[test]
fn texts_go_to_standard_output_and_nothing_else_does() {
    let mut daemon = daemon("stt.canned_texts = ['one', 'two']");
    assert_eq!(hold(&mut daemon), Outcome::Text);
    assert_eq!(hold(&mut daemon), Outcome::Text);
    daemon
        .process()
        .line(Stream::Out, Duration::from_secs(20), |line| (line == "two").then_some(()))
        .unwrap();
    let finished = daemon.stop();
    assert_eq!(finished.out, "one\ntwo\n");
    assert!(finished.status.success());
}

#[test]
fn once_is_one_take_and_then_the_end() {
    let mut daemon = daemon("controller.once = true");
    daemon.ask("press").unwrap();
    daemon.recording();
    std::thread::sleep(Duration::from_millis(300));
    daemon.ask("release").unwrap();
    rig::await_some("the end", Duration::from_secs(20), || (!daemon.process().alive()).then_some(()));
    let finished = daemon.stop();
    assert!(finished.status.success() && finished.out.lines().count() == 1, "{finished:?}");
}

#[test]
fn once_a_text_that_does_not_get_out_stands_on_standard_output() {
    let keys = "controller.once = true\nkeyboard.backend = 'scripted'\nkeyboard.script = '+300ms down; +1500ms up'\n\
                stt.canned_texts = ['to nobody']\noutput.command = ['false']";
    let finished = DaemonBuilder::new().config(&config_into("command", keys)).run(&["run"]);
    assert_eq!(finished.status.code(), Some(Exit::Failed.code().into()), "{finished:?}");
    assert_eq!(finished.out.trim_end(), "to nobody");
    let clipboard = config_into("clipboard", "controller.once = true");
    assert_ended(&DaemonBuilder::new().config(&clipboard).run(&["run"]), Exit::Config, &["--once"]);
}

#[test]
fn a_new_configuration_is_taken_and_one_that_does_not_start_is_not() {
    let mut daemon = daemon("stt.canned_texts = ['old']");
    let file = daemon.home().join("ptt/config.toml");
    let reload = |daemon: &mut Daemon, config: &str, says: &str| {
        std::fs::write(&file, config).unwrap();
        let before = daemon.log().matches(says).count();
        daemon.process().signal(rustix::process::Signal::HUP);
        rig::await_some(says, Duration::from_secs(20), || {
            (daemon.log().matches(says).count() > before).then_some(())
        });
    };
    let again = "starting again with the new configuration";
    let text = |daemon: &mut Daemon, expected: &str| {
        daemon.listening();
        daemon.ask("press").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        daemon.ask("release").unwrap();
        let line = |line: &str| (line == expected).then_some(());
        daemon.process().line(Stream::Out, Duration::from_secs(20), line).unwrap();
    };
    text(&mut daemon, "old");
    reload(&mut daemon, &config("stt.canned_texts = ['new']"), again);
    text(&mut daemon, "new");
    let nowhere = config("keyboard.backend = 'scripted'\nkeyboard.script_file = '/no/such/script'");
    reload(&mut daemon, &nowhere, "the new configuration does not start; the old one stays");
    text(&mut daemon, "new");
    reload(&mut daemon, &config("stt.canned_texts = ['newest']"), again);
    text(&mut daemon, "newest");
    reload(&mut daemon, "no.such = 1", "the configuration is wrong; the old one stays");
    text(&mut daemon, "newest");
}

#[test]
fn a_press_ends_a_take_that_goes_on_by_itself() {
    for (mode, again) in [("toggle", false), ("auto", false), ("double_tap", true)] {
        let mut daemon = daemon(&format!("controller.mode = '{mode}'"));
        daemon.listening();
        let tap = |daemon: &Daemon| {
            daemon.ask("press").unwrap();
            daemon.ask("release").unwrap();
        };
        tap(&daemon);
        if again {
            tap(&daemon);
        }
        daemon.recording();
        std::thread::sleep(Duration::from_millis(300));
        tap(&daemon);
        assert_eq!(daemon.ended().outcome, Outcome::Text, "{mode}");
    }
}

#[test]
fn who_follows_keeps_nobody_out_and_who_has_gone_takes_no_place() {
    let daemon = daemon("");
    let follow = || {
        let mut stream = UnixStream::connect(daemon.home().join("ptt/control.sock")).unwrap();
        stream.write_all(b"{\"do\":\"follow\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        line.contains("\"ok\":true").then_some(stream)
    };
    let followers: Vec<_> = (0..99).map_while(|_| follow()).collect();
    // The harness is one more.
    assert_eq!(followers.len(), 31);
    daemon.ask("status").unwrap();
    drop(followers);
    rig::await_some("a place", Duration::from_secs(20), || follow().map(|_| ()));
}

/// As `transcribe <(another program)`: what is read to look at it is gone.
#[test]
fn a_pipe_is_transcribed() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let (to, audio) = (pipe.clone(), std::fs::read(rig::bundled().file).unwrap());
    let writer = std::thread::spawn(move || std::fs::write(to, audio));
    let config = config("stt.canned_texts = ['through a pipe']");
    let finished = DaemonBuilder::new().config(&config).run(&["transcribe", pipe.to_str().unwrap()]);
    assert!(finished.status.success() && finished.out == "through a pipe\n", "{finished:?}");
    writer.join().unwrap().unwrap();
}

#[test]
fn a_variable_that_is_no_text_harms_nobody() {
    let strange = std::ffi::OsStr::from_bytes(b"/caf\xe9");
    let check = ["--set", "stt.backend=canned", "config", "check"];
    let checked = DaemonBuilder::new().env([("PWD", strange), ("PTT_X", strange)]).run(&check);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_log_that_nobody_takes_costs_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("full");
    let text = format!("#!/bin/sh\nexec '{}' \"$@\" 2>/dev/full\n", rig::program().display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let keys = "controller.once = true\nlog.filter = 'debug'\nkeyboard.backend = 'scripted'\n\
                keyboard.script = '+300ms down; +1500ms up'";
    let finished = DaemonBuilder::of(&script).config(&config(keys)).run(&["run"]);
    assert!(finished.status.success() && finished.out.lines().count() == 1, "{finished:?}");
}

#[test]
fn there_is_one_daemon_per_user_and_it_is_named() {
    let mut daemon = daemon("");
    let pid = daemon.process().pid().to_string();
    let second = DaemonBuilder::new().beside(&daemon).run(&["--set", "metrics.enabled=false", "run"]);
    assert_ended(&second, Exit::AlreadyRunning, &[&pid]);
    assert_eq!(hold(&mut daemon), Outcome::Text, "the first one goes on");
}

#[test]
fn a_taken_metrics_port_is_a_warning() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut daemon = DaemonBuilder::new().config(&config("")).metrics(address).start();
    assert_eq!(hold(&mut daemon), Outcome::Text);
    let finished = daemon.stop();
    assert!(
        finished.err.contains(&address.to_string()) && finished.err.contains("metrics.listen"),
        "{}",
        finished.err
    );
    assert!(finished.status.success());
}

#[test]
fn sigterm_ends_it_cleanly_also_in_a_take() {
    for in_a_take in [false, true] {
        let config = hardware_free(&[&rig::bundled().file], "");
        let mut daemon = DaemonBuilder::new().config(&config).start();
        let socket = daemon.home().join("ptt/control.sock");
        if in_a_take {
            daemon.ask("press").unwrap();
            daemon.until("recording", |event| match event {
                ptt_messages::ControllerEvent::Transition {
                    to: ptt_messages::StateName::Recording, ..
                } => Some(()),
                _ => None,
            });
        }
        let home = daemon.home().to_path_buf();
        assert!(socket.exists() && home.exists());
        daemon.process().signal(rustix::process::Signal::TERM);
        rig::await_some("the end", Duration::from_secs(20), || (!daemon.process().alive()).then_some(()));
        assert!(!socket.exists(), "the socket is left behind");
        let finished = daemon.stop();
        assert!(finished.status.success(), "in a take: {in_a_take}\n{}", finished.err);
    }
}

#[test]
fn sigterm_while_somebody_speaks_puts_out_what_was_said() {
    for mode in ["hold", "toggle", "auto"] {
        let more = format!(
            "controller.mode = '{mode}'\noutput.sink = 'stdout'\nstt.canned_texts = ['so far']\nstt.canned_delay_ms = 500"
        );
        let mut daemon = DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], &more)).start();
        daemon.ask("press").unwrap();
        daemon.recording();
        // Until some of the clip was heard, which is played as fast as it is spoken.
        std::thread::sleep(Duration::from_millis(1_500));
        let asked = std::time::Instant::now();
        let finished = daemon.stop();
        assert_eq!(finished.out, "so far\n", "{mode}\n{}", finished.err);
        assert!(
            finished.status.success() && asked.elapsed() < Duration::from_secs(4),
            "{:?}",
            asked.elapsed()
        );
    }
}

#[test]
fn a_model_that_is_none_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("ggml-page.bin");
    std::fs::write(&page, "<!DOCTYPE html><html>not found</html>").unwrap();
    let clip = rig::bundled().file;
    let transcribe = |model: &Path| {
        let set = format!("stt.model={}", model.display());
        DaemonBuilder::new().run(&["--set", &set, "transcribe", clip.to_str().unwrap()])
    };
    assert_ended(
        &transcribe(&folder.path().join("ggml-none.bin")),
        Exit::NoInput,
        &["ggml-none.bin", "ptt-app models"],
    );
    assert_ended(&transcribe(&page), Exit::NoInput, &["ggml-page.bin"]);
    let missing = DaemonBuilder::new().run(&["transcribe", clip.to_str().unwrap()]);
    assert_ended(&missing, Exit::NoInput, &["tiny.en", "ptt-app models"]);

    let model = match rig::model("tiny.en") {
        Ok(model) => model,
        Err(skip) => return skip.say("damaged models"),
    };
    let whole = std::fs::read(model).unwrap();
    let truncated = folder.path().join("ggml-truncated.bin");
    std::fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
    assert_ended(&transcribe(&truncated), Exit::NoInput, &["ggml-truncated.bin"]);
}

#[test]
fn files_of_odd_formats_are_transcribed_and_others_are_refused() {
    let model = match rig::model("tiny.en") {
        Ok(model) => model,
        Err(skip) => return skip.say("transcribing files"),
    };
    let _alone = rig::heavy();
    let folder = tempfile::tempdir().unwrap();
    let clip = ptt_audio::read_audio_file(&rig::bundled().file).unwrap();
    let mut files = Vec::new();
    for (name, channels, rate_hz, bits, format) in [
        ("8bit", 1, 8_000, 8, hound::SampleFormat::Int),
        ("24bit_stereo", 2, 44_100, 24, hound::SampleFormat::Int),
        ("float_6ch", 6, 48_000, 32, hound::SampleFormat::Float),
    ] {
        let file = folder.path().join(format!("{name}.wav"));
        let spec =
            hound::WavSpec { channels, sample_rate: rate_hz, bits_per_sample: bits, sample_format: format };
        let mut writer = hound::WavWriter::create(&file, spec).unwrap();
        let length = clip.samples().len() as u64 * u64::from(rate_hz) / 16_000;
        for n in 0..length {
            let sample = clip.samples()[(n * 16_000 / u64::from(rate_hz)) as usize];
            for _ in 0..channels {
                match format {
                    hound::SampleFormat::Float => writer.write_sample(sample).unwrap(),
                    hound::SampleFormat::Int => {
                        writer.write_sample((sample * ((1_i64 << (bits - 1)) - 1) as f32) as i32).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
        files.push(file);
    }
    let run = |files: &[&Path]| {
        let set = format!("stt.model={}", model.display());
        let mut args = vec!["--set", &set, "transcribe", "--json"];
        args.extend(files.iter().map(|file| file.to_str().unwrap()));
        DaemonBuilder::new().run(&args)
    };
    let paths: Vec<&Path> = files.iter().map(|file| file.as_path()).collect();
    let finished = run(&paths);
    assert!(finished.status.success(), "{}", finished.err);
    let lines: Vec<serde_json::Value> =
        finished.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), files.len());
    for line in &lines {
        assert_eq!(normalise(line["text"].as_str().unwrap()), normalise(&rig::bundled().text), "{line}");
        assert!((line["audio_s"].as_f64().unwrap() - clip.duration().as_secs_f64()).abs() < 0.05, "{line}");
        assert!(line["wall_s"].is_number() && line["segments"].is_array(), "{line}");
    }

    let text = folder.path().join("notes.wav");
    std::fs::write(&text, "these are my notes").unwrap();
    assert_ended(&run(&[&text]), Exit::NoInput, &["notes.wav"]);
    assert_ended(&run(&[&folder.path().join("none.wav")]), Exit::NoInput, &["none.wav"]);
}

#[test]
fn a_custom_build_swaps_the_keyboard() {
    let pedal = rig::foot_pedal();
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("pedal");
    rustix::fs::mknodat(rustix::fs::CWD, &port, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let config = config(&format!("custom.pedal = {port:?}\nstt.canned_texts = ['by foot']"));
    let mut daemon = DaemonBuilder::of(&pedal).config(&config).start();
    let mut pedal = std::fs::OpenOptions::new().write(true).open(&port).unwrap();
    use std::io::Write;
    writeln!(pedal, "down").unwrap();
    std::thread::sleep(Duration::from_millis(400));
    writeln!(pedal, "up").unwrap();
    assert_eq!(daemon.ended().text, "by foot");
}
