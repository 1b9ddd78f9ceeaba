//! `scripts/setup-packages` with an apt-get of the tests' own: which packages it asks for, and that
//! it never lets one be removed.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use ptt_tests::rig::{needs, workspace};

/// Logs its arguments; refuses what is named in `CONFLICTS`, as apt-get does where something would
/// have to be removed.
const APT_GET: &str = r#"#!/bin/sh
echo "$*" >>"$LOG"
for package in $CONFLICTS; do
    case " $* " in *" $package "*) exit 100 ;; esac
done
"#;
/// Knows the packages in `INSTALLED`.
const DPKG_QUERY: &str = r#"#!/bin/sh
for package; do :; done
case " $INSTALLED " in *" $package "*) printf installed ;; *) exit 1 ;; esac
"#;
const SUDO: &str = "#!/bin/sh\n[ \"$1\" = -n ] && shift\nexec \"$@\"\n";

struct Run {
    success: bool,
    said: String,
    /// The arguments of each call of apt-get.
    calls: Vec<String>,
}

impl Run {
    /// The packages that were installed, not only tried.
    fn installed(&self) -> Vec<&str> {
        let mut done = self.calls.iter().filter(|call| call.starts_with("install -y"));
        let last = done.next_back().map(String::as_str).unwrap_or_default();
        last.split(' ').skip(1).filter(|word| !word.starts_with('-')).collect()
    }
}

fn setup_packages(list: &str, installed: &str, conflicts: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    for (name, script) in [("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY), ("sudo", SUDO)] {
        let file = folder.path().join(name);
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let log = folder.path().join("log");
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(workspace().join("scripts/setup-packages"))
        .args(list.split_whitespace())
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .envs([("INSTALLED", installed), ("CONFLICTS", conflicts)])
        .env("LOG", &log)
        .output()
        .unwrap();
    let calls = std::fs::read_to_string(&log).unwrap_or_default();
    Run {
        success: output.status.success(),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
        calls: calls.lines().map(str::to_owned).collect(),
    }
}

#[test]
fn no_package_is_ever_removed() {
    for (list, installed, conflicts) in [
        ("", "", ""),
        ("build", "make cmake", ""),
        ("test", "", ""),
        ("test", "", "pulseaudio"),
        ("build", "", "cmake"),
    ] {
        let run = setup_packages(list, installed, conflicts);
        let installs: Vec<_> = run.calls.iter().filter(|call| call.contains("install")).collect();
        assert!(!installs.is_empty(), "{list} {conflicts}");
        for call in installs {
            assert!(call.contains(" --no-remove "), "{list} {conflicts}: {call}");
        }
    }
}

#[test]
fn building_asks_for_no_package_of_the_tests() {
    let run = setup_packages("build", "make", "");
    assert!(run.success, "{}", run.said);
    let installed = run.installed();
    assert!(installed.contains(&"libasound2-dev") && !installed.contains(&"make"), "{installed:?}");
    for package in ["pulseaudio", "pulseaudio-utils", "xvfb", "sway", "weston"] {
        assert!(!installed.contains(&package), "{installed:?}");
    }
    assert_eq!(setup_packages("", "make", "").calls, run.calls, "building is the default");
}

#[test]
fn a_desktop_keeps_its_sound_server() {
    let run = setup_packages("test", "pipewire-pulse", "pulseaudio");
    assert!(run.success && run.said.is_empty(), "{}", run.said);
    let installed = run.installed();
    assert!(installed.contains(&"xvfb") && installed.contains(&"pulseaudio-utils"), "{installed:?}");
    assert!(!installed.contains(&"pulseaudio"), "{installed:?}");
}

#[test]
fn a_test_package_that_cannot_be_had_is_named_and_the_others_are_installed() {
    let run = setup_packages("test", "", "pulseaudio weston");
    assert!(run.success, "{}", run.said);
    let installed = run.installed();
    for package in ["cmake", "xvfb", "sway", "libxkbcommon-tools"] {
        assert!(installed.contains(&package), "{installed:?}");
    }
    assert!(!installed.iter().any(|package| ["pulseaudio", "weston"].contains(package)), "{installed:?}");
    assert!(run.said.contains("    pulseaudio weston (tests that need them are skipped)"), "{}", run.said);
}

#[test]
fn a_missing_package_of_the_build_is_an_error_and_a_wrong_word_too() {
    let run = setup_packages("build", "", "cmake");
    assert!(!run.success && run.installed().contains(&"cmake"), "{}", run.said);
    let run = setup_packages("demo", "", "");
    assert!(!run.success && run.calls.is_empty() && run.said.contains("[build|test]"), "{}", run.said);
}

#[test]
fn the_demo_needs_the_packages_of_the_build_only() {
    if let Err(skip) = needs(&[("make", "make")]) {
        return skip.say("the packages of make demo");
    }
    let plan = |target: &str| {
        let make = Command::new("make").args(["-n", target]).current_dir(workspace()).output().unwrap();
        assert!(make.status.success(), "{}", String::from_utf8_lossy(&make.stderr));
        String::from_utf8(make.stdout).unwrap()
    };
    for target in ["demo", "setup", "lint"] {
        let plan = plan(target);
        assert!(plan.contains("setup-packages build") && !plan.contains("setup-packages test"), "{plan}");
    }
    assert!(plan("test").contains("setup-packages test"));
}
