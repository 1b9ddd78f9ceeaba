//! The shape of the workspace: who may depend on whom, what may be named where. Reads files, runs nothing of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use ptt_tests::rig::workspace;

const ACTORS: [&str; 7] =
    ["ptt-audio", "ptt-controller", "ptt-feedback", "ptt-keyboard", "ptt-output", "ptt-resources", "ptt-stt"];

/// Those whose threads ask the kernel for a slice of a core.
const SLICED: [&str; 2] = ["ptt-keyboard", "ptt-stt"];

/// Those that look for something in a directory of the user's.
const AT_HOME: [&str; 5] = ["ptt-keyboard", "ptt-audio", "ptt-stt", "ptt-output", "ptt-app"];

/// Longer ones hold more than one subject.
const LINES: usize = 600;

#[test]
fn arrows_go_from_messages_to_actors_to_the_app_to_the_tests_and_nowhere_else() {
    let messages = BTreeSet::from(["ptt-messages"]);
    let mut allowed =
        BTreeMap::from(["ptt-messages", "ptt-slice", "ptt-dirs"].map(|base| (base, BTreeSet::new())));
    allowed.extend(ACTORS.map(|actor| (actor, messages.clone())));
    for actor in SLICED {
        allowed.entry(actor).or_default().insert("ptt-slice");
    }
    for package in AT_HOME {
        allowed.entry(package).or_default().insert("ptt-dirs");
    }
    let below_app: BTreeSet<&str> = ACTORS.into_iter().chain(messages).collect();
    allowed.entry("ptt-app").or_default().extend(below_app.clone());
    allowed.insert("ptt-tests", below_app.into_iter().chain(["ptt-app"]).collect());

    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let found: BTreeMap<&str, BTreeSet<&str>> = packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            // Ours have a path; dev- and build-dependencies count like the others.
            let ours = dependencies.filter(|d| d["path"].is_string()).map(|d| d["name"].as_str().unwrap());
            (package["name"].as_str().unwrap(), ours.collect())
        })
        .collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), allowed.keys().collect::<Vec<_>>(), "members");
    for (package, dependencies) in &found {
        let wrong: Vec<_> = dependencies.difference(&allowed[package]).collect();
        assert!(wrong.is_empty(), "{package} may not depend on {wrong:?}");
    }
}

#[test]
fn the_vocabulary_stays_light() {
    let metadata = metadata();
    let messages =
        metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "ptt-messages").unwrap();
    let names: BTreeSet<&str> = messages["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["kind"].is_null())
        .map(|d| d["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["actix", "metrics", "rustix", "serde", "thiserror"]));
}

#[test]
fn the_state_machine_imports_neither_an_actor_nor_a_clock() {
    let fsm = |file: &Path| file.starts_with(workspace().join("ptt-controller/src/fsm"));
    let alone = workspace().join("ptt-controller/src/fsm.rs");
    let forbidden =
        ["actix", "tokio", "tracing", "Instant", "SystemTime", "Moment::now", "std::thread", "std::fs"];
    let files: Vec<_> = sources().into_iter().filter(|s| fsm(&s.path) || s.path == alone).collect();
    assert!(files.len() > 1, "the state machine is not where this test looks");
    // Its tests may write the generated document.
    for source in files.iter().filter(|s| !s.is_test()) {
        for (number, line) in source.code() {
            let named: Vec<_> = forbidden.iter().filter(|name| line.contains(**name)).collect();
            assert!(named.is_empty(), "{}:{number} names {named:?}", source.path.display());
        }
    }
}

#[test]
fn only_the_wiring_knows_addresses() {
    // In an actor's crate no other actor can be named: it depends on none.
    let wiring = workspace().join("ptt-app/src/wiring.rs");
    let app = workspace().join("ptt-app/src");
    for source in sources().iter().filter(|s| s.path.starts_with(&app) && s.path != wiring) {
        for (number, line) in source.code() {
            let names = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "Addr");
            assert!(!names, "{}:{number} names an Addr; hand it a Port", source.path.display());
        }
    }
}

#[test]
fn every_file_says_what_lives_in_it_and_holds_one_subject() {
    for source in sources() {
        let place = source.path.display();
        // A module of tests beside its subject needs no head of its own.
        let headed = source.text.starts_with("//!") || source.is_test();
        assert!(headed, "{place} has no //! head");
        let lines = source.text.lines().count();
        assert!(lines <= LINES, "{place} has {lines} lines; more than {LINES} is more than one subject");
    }
}

#[test]
fn the_directories_of_the_user_are_asked_of_one_crate() {
    let readers = ["var_os(\"XDG_", "var(\"XDG_", "var_os(\"HOME", "var(\"HOME", "home_dir()", "temp_dir()"];
    for source in sources() {
        let place = source.path.display().to_string();
        if place.contains("/ptt-dirs/") || place.contains("/tests/") || source.is_test() {
            continue;
        }
        for (number, line) in source.code() {
            let found = readers.iter().find(|reader| line.contains(**reader));
            assert!(
                found.is_none(),
                "{place}:{number} has {found:?}; ask ptt-dirs, which ignores relative paths"
            );
        }
    }
}

#[test]
fn nothing_of_this_machine_is_in_the_files() {
    let root = workspace().canonicalize().unwrap();
    let home = std::env::var("HOME").unwrap_or_default();
    let mut paths = vec![format!("{}/", root.display())];
    // A home of `/` or none at all says nothing.
    if home.len() > 1 {
        paths.push(format!("{}/", home.trim_end_matches('/')));
    }
    for file in tracked() {
        let Ok(text) = std::fs::read_to_string(workspace().join(&file)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            let found = paths.iter().find(|path| names_path(line, path));
            assert!(found.is_none(), "{}:{number} names {found:?}", file.display());
        }
    }
}

/// Whether the absolute `path` stands in the line, and not as the end of a relative one.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '~' | '}'))
    })
}

#[test]
fn a_relative_path_is_not_this_machines() {
    assert!(names_path("see /home/me/x", "/home/me/"));
    assert!(names_path("\"/home/me/x\"", "/home/me/"));
    assert!(!names_path("see ../home/me/x", "/home/me/"));
    assert!(!names_path("$X}/home/me/x", "/home/me/"));
}

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Lines with their numbers, up to the tests, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..)
            .zip(self.text.lines())
            .take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number, line.split(" // ").next().unwrap_or(line)))
    }

    fn is_test(&self) -> bool {
        let parts = || self.path.iter().filter_map(|part| part.to_str());
        parts().any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
            && parts().any(|part| part == "src")
    }
}

/// Every source file of the members.
fn sources() -> Vec<Source> {
    let metadata = metadata();
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_path_buf();
        for part in ["src", "it", "examples", "benches"] {
            collect(&folder.join(part), &mut found);
        }
    }
    assert!(found.len() > 50, "the sources are not where this test looks");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source { path, text });
        }
    }
}

/// What git knows of, or would with the next `git add`; without git every file.
fn tracked() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(workspace())
        .output();
    match listed {
        Ok(listed) if listed.status.success() => String::from_utf8_lossy(&listed.stdout)
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .collect(),
        Ok(_) | Err(_) => sources().into_iter().map(|source| source.path).collect(),
    }
}

fn metadata() -> serde_json::Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let told = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice(&told.stdout).unwrap()
}
