//! Where a text, and what belongs to the user, must not go: into the system journal, and into
//! whatever folder the program happens to be started in.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ptt_app::Exit;
use ptt_messages::{ControllerEvent, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, DaemonBuilder, Finished, Stream};

const SECRET: &str = "for no journal";
const KEYS: &str = "keyboard.backend = 'scripted'\nkeyboard.script = '+300ms down; +1500ms up'";

fn config(more: &str) -> String {
    let more = format!("audio.wav_pace = 'fast'\nstt.canned_texts = ['{SECRET}']\n{more}");
    hardware_free(&[&rig::bundled().file], &more)
}

/// The program as systemd starts it: its standard output is what `JOURNAL_STREAM` names.
fn in_a_unit(folder: &Path) -> PathBuf {
    let script = folder.join("unit");
    let text = format!(
        "#!/bin/sh\nJOURNAL_STREAM=$(stat -L -c %d:%i /proc/$$/fd/1)\nexport JOURNAL_STREAM\nexec '{}' \"$@\"\n",
        rig::program().display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn assert_refused(finished: &Finished) {
    assert_eq!(finished.status.code(), Some(i32::from(Exit::Config.code())), "{finished:?}");
    assert!(finished.err.contains("standard output is the system journal"), "{finished:?}");
    assert!(!finished.out.contains(SECRET) && !finished.err.contains(SECRET), "{finished:?}");
}

#[test]
fn in_a_unit_without_a_desktop_a_text_is_kept_and_the_error_says_what_to_configure() {
    let folder = tempfile::tempdir().unwrap();
    let unit = in_a_unit(folder.path());
    // Of the default sink.
    let mut table: toml::Table = toml::from_str(&config("log.filter = 'trace'")).unwrap();
    table["output"].as_table_mut().unwrap().remove("sink");
    let mut daemon = DaemonBuilder::of(&unit).config(&table.to_string()).start();
    assert_eq!(daemon.take(|_| std::thread::sleep(Duration::from_millis(300))).outcome, Outcome::Text);
    let message = daemon.until("a failed delivery", |event| match event {
        ControllerEvent::Fault { take: Some(_), fault } => Some(fault.message.clone()),
        _ => None,
    });
    for part in ["the system journal", "import-environment", "output.sink", "ptt-app retry"] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    let finished = daemon.stop();
    assert!(!finished.out.contains(SECRET) && !finished.err.contains(SECRET), "{finished:?}");
}

#[test]
fn in_a_unit_nothing_that_was_said_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = in_a_unit(folder.path());
    let run = |config: &str, args: &[&str]| DaemonBuilder::of(&unit).config(config).run(args);
    assert_refused(&run(&config("output.sink = 'stdout'"), &["run"]));
    assert_refused(&run(&config("output.sink = 'stdout'"), &["config", "check"]));
    let once = format!("controller.once = true\noutput.sink = 'auto'\n{KEYS}");
    assert_refused(&run(&config(&once), &["run"]));
    let clip = rig::bundled().file;
    assert_refused(&run(&config(""), &["transcribe", clip.to_str().unwrap()]));
    assert_refused(&run(&config(""), &["demo", "--takes", "1"]));
    assert_refused(&run(&config(""), &["bench", "--takes", "1"]));
    assert_refused(&run(&config(""), &["status", "--follow"]));
    // The last resort of `--once`.
    let lost = format!("controller.once = true\noutput.sink = 'command'\noutput.command = ['false']\n{KEYS}");
    let finished = run(&config(&lost), &["run"]);
    assert_eq!(finished.status.code(), Some(i32::from(Exit::Failed.code())), "{finished:?}");
    assert!(!finished.out.contains(SECRET) && !finished.err.contains(SECRET), "{finished:?}");
}

#[test]
fn without_a_desktop_a_text_goes_to_standard_output_and_with_once_always() {
    let auto = format!("controller.once = true\noutput.sink = 'auto'\n{KEYS}");
    let finished = DaemonBuilder::new().config(&config(&auto)).env([("DISPLAY", ":97")]).run(&["run"]);
    assert!(finished.status.success() && finished.out == format!("{SECRET}\n"), "{finished:?}");
    let mut daemon = DaemonBuilder::new().config(&config("output.sink = 'auto'")).start();
    assert_eq!(daemon.take(|_| std::thread::sleep(Duration::from_millis(300))).outcome, Outcome::Text);
    daemon
        .process()
        .line(Stream::Out, Duration::from_secs(20), |line| (line == SECRET).then_some(()))
        .unwrap();
}

/// A folder as others may prepare it: with a configuration and a model of theirs.
fn planted() -> DaemonBuilder {
    let builder = DaemonBuilder::new();
    let here = builder.home();
    for (file, text) in [
        (".config/ptt/config.toml", "keyboard.chord = 'F23'"),
        ("ptt/config.toml", "keyboard.chord = 'F23'"),
        (".local/share/ptt/models/ggml-planted.bin", ""),
        ("run/file", ""),
    ] {
        let file = here.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    builder
}

#[test]
fn nothing_of_the_user_is_looked_for_in_the_working_directory() {
    let tmp = tempfile::tempdir().unwrap();
    for (home, config, data, runtime) in [
        ("", "", "", ""),
        (".", ".config", ".local/share", "run"),
        ("", ".", ".local/share", "."),
        (".", "", "", ""),
    ] {
        let run = |args: &[&str]| {
            let folders = [
                ("HOME", home),
                ("XDG_CONFIG_HOME", config),
                ("XDG_DATA_HOME", data),
                ("XDG_RUNTIME_DIR", runtime),
                ("TMPDIR", tmp.path().to_str().unwrap()),
            ];
            planted().env(folders).run(args)
        };
        let shown = run(&["config", "show"]);
        assert!(shown.status.success() && shown.out.starts_with("# /"), "{home:?} {config:?}: {shown:?}");
        assert!(!shown.out.contains("F23"), "{home:?} {config:?}: {}", shown.out);
        let listed = run(&["models", "list"]);
        assert!(listed.out.starts_with("in /") && !listed.out.contains("planted"), "{data:?}: {listed:?}");
        let status = run(&["status"]);
        assert_eq!(status.status.code(), Some(i32::from(Exit::Unavailable.code())), "{status:?}");
    }
    let ours = tmp.path().join(format!("ptt-{}", rustix::process::getuid().as_raw()));
    assert!(ours.is_dir(), "without a runtime directory it is a folder for temporary files");
}
