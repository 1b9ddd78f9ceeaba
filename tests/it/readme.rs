//! The instructions of README.md, carried out as far as a machine without a desktop can.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use ptt_keyboard::Key;
use ptt_tests::rig::{self, Skip, Sway, needs, workspace};
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{wl_registry::WlRegistry, wl_seat::WlSeat};
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, delegate_noop};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::{
    zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1,
    zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1,
};

/// What XKB calls the kernel's code of a key.
const XKB_OFFSET: u16 = 8;
/// `nobody`, under which the rig runs sway.
const NOBODY: u32 = 65_534;

fn read(file: &str) -> String {
    std::fs::read_to_string(workspace().join(file)).unwrap()
}

/// The first code block of the README that has this in it.
fn block(part: &str) -> String {
    let readme = read("README.md");
    let blocks = readme.split("\n```").skip(1).step_by(2);
    let found = blocks.map(|block| block.split_once('\n').unwrap().1).find(|block| block.contains(part));
    found.unwrap_or_else(|| panic!("no code block with {part:?}")).to_owned()
}

/// The lines of a block under a heading that begins so.
fn under(block: &str, heading: &str) -> Vec<String> {
    let lines = block.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Carries out a block in a home where nothing is.
fn carry_out(script: &str, home: &Path) -> Output {
    let mut shell = Command::new("bash");
    shell.args(["-euc", script]).current_dir(workspace()).env_remove("XDG_DATA_HOME").env("HOME", home);
    shell.output().unwrap()
}

#[test]
fn the_portal_knows_the_program_after_the_instructions_in_a_new_home() {
    let home = tempfile::tempdir().unwrap();
    let output = carry_out(&block("> \"$apps/ptt.Dictation.desktop\""), home.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = home.path().join(".local/share/applications/ptt.Dictation.desktop");
    let text = std::fs::read_to_string(file).unwrap();
    let exec = text.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap();
    assert!(exec.starts_with('/') && exec.ends_with("/ptt-app run"), "{exec}");
}

#[test]
fn the_service_is_installed_after_the_instructions_in_a_new_home() {
    let home = tempfile::tempdir().unwrap();
    let block = block("systemctl --user enable --now ptt");
    let without_systemd: String =
        block.lines().filter(|line| !line.starts_with("systemctl")).map(|line| format!("{line}\n")).collect();
    let output = carry_out(&without_systemd, home.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(home.path().join(".config/systemd/user/ptt.service").is_file());
}

#[test]
fn every_installation_takes_the_versions_that_were_tested() {
    for file in ["README.md", "CONTRIBUTING.md", "docs/ARCHITECTURE.md", "ptt-audio/src/error.rs"] {
        for line in read(file).lines().filter(|line| line.contains("cargo install")) {
            assert!(line.contains("cargo install --locked"), "{file}: {line}");
        }
    }
}

/// A feature that a message or the README names is one of the program, not only of a crate in it.
#[test]
fn a_feature_that_is_named_exists() {
    let manifest: toml::Table = toml::from_str(&read("ptt-app/Cargo.toml")).unwrap();
    let features = manifest["features"].as_table().unwrap();
    let readme = read("README.md");
    let named: Vec<&str> = readme.split("--features ").skip(1).map(name).collect();
    assert!(named.contains(&"pipewire"), "{named:?}");
    for feature in named {
        assert!(features.contains_key(feature), "{feature}");
    }
}

fn name(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').next().unwrap_or_default()
}

/// The number of the key that the README binds, as XKB counts.
fn bound() -> u16 {
    "F14".parse::<Key>().unwrap().code() + XKB_OFFSET
}

/// `bindsym F13` never fires: XKB has no key with that symbol.
#[test]
fn no_function_key_above_f12_is_bound_by_its_name() {
    let block = block("ptt-app press");
    for line in block.lines().filter(|line| line.starts_with("bind")) {
        let code = bound().to_string();
        assert!(line.starts_with("bindcode ") || line.contains("code:"), "{line}");
        assert!(line.contains(&code), "{line} lacks {code}");
    }
    for (heading, lines) in [("# Sway", 2), ("# Hyprland", 2), ("# i3", 2), ("# GNOME", 5)] {
        assert_eq!(under(&block, heading).len(), lines, "{heading}");
    }
}

/// The name that the README gives for GNOME is that of the same key.
#[test]
fn the_symbol_that_is_named_is_the_keys() {
    if let Err(skip) = needs(&[("xkbcli", "libxkbcommon-tools")]) {
        return skip.say("the symbol of the key that the README binds");
    }
    let gnome = under(&block("ptt-app press"), "# GNOME").join("\n");
    let symbol = gnome.split("binding '").nth(1).unwrap().split('\'').next().unwrap();
    let keymap = keymap();
    let place = keymap.lines().find_map(|line| {
        let (place, number) = line.trim().trim_end_matches(';').split_once('=')?;
        (number.trim() == bound().to_string()).then(|| place.trim().to_owned())
    });
    let key = format!("key {}", place.expect("XKB has a place for it"));
    let line = keymap.lines().find(|line| line.trim().starts_with(&key)).unwrap();
    assert!(line.contains(symbol), "{line} lacks {symbol}");
}

fn keymap() -> String {
    let run = Command::new("xkbcli").args(["compile-keymap", "--layout", "us"]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn the_bindings_for_sway_press_and_release() {
    let folder = tempfile::tempdir().unwrap();
    let (program, log) = (folder.path().join("ptt-app"), folder.path().join("log"));
    std::fs::write(&program, format!("#!/bin/sh\necho \"$1\" >>{}\n", log.display())).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    if rustix::process::getuid().is_root() {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut lines = under(&block("ptt-app press"), "# Sway");
    // The proof that the name would not do.
    lines.push("bindsym --no-repeat F14 exec ptt-app by-name".to_owned());
    let lines = lines.join("\n").replace("ptt-app", program.to_str().unwrap());
    let started =
        needs(&[("xkbcli", "libxkbcommon-tools")]).and_then(|()| Sway::start_with(|_| lines).map_err(Skip));
    let sway = match started {
        Ok(sway) => sway,
        Err(skip) => return skip.say("the README's bindings in sway"),
    };
    let keyboard = VirtualKeyboard::plug_into(&sway);
    let called = || std::fs::read_to_string(&log).unwrap_or_default();
    let soon = std::time::Duration::from_secs(20);
    for _ in 0..2 {
        for (state, last) in [(1, "press\n"), (0, "release\n")] {
            let before = called();
            keyboard.key(bound() - XKB_OFFSET, state);
            rig::await_some("the binding", soon, || (called().len() > before.len()).then_some(()));
            rig::await_some("a whole line", soon, || called().ends_with('\n').then_some(()));
            assert_eq!(called(), before + last);
        }
    }
}

/// A keyboard with the layout `us`, as a real one has it.
struct VirtualKeyboard {
    connection: Connection,
    keyboard: ZwpVirtualKeyboardV1,
    queue: std::cell::RefCell<EventQueue<Ignored>>,
}

struct Ignored;

impl Dispatch<WlRegistry, GlobalListContents> for Ignored {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: <WlRegistry as wayland_client::Proxy>::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(Ignored: ignore WlSeat);
delegate_noop!(Ignored: ignore ZwpVirtualKeyboardManagerV1);
delegate_noop!(Ignored: ignore ZwpVirtualKeyboardV1);

impl VirtualKeyboard {
    fn plug_into(sway: &Sway) -> Self {
        use std::io::{Seek, Write};
        use std::os::fd::AsFd;

        let socket = UnixStream::connect(sway.socket()).unwrap();
        let connection = Connection::from_socket(socket).unwrap();
        let (globals, mut queue) = registry_queue_init::<Ignored>(&connection).unwrap();
        let handle = queue.handle();
        let seat: WlSeat = globals.bind(&handle, 1..=1, ()).unwrap();
        let manager: ZwpVirtualKeyboardManagerV1 = globals.bind(&handle, 1..=1, ()).unwrap();
        let keyboard = manager.create_virtual_keyboard(&seat, &handle, ());
        let (mut file, keymap) = (tempfile::tempfile().unwrap(), keymap() + "\0");
        file.write_all(keymap.as_bytes()).unwrap();
        file.rewind().unwrap();
        keyboard.keymap(1, file.as_fd(), u32::try_from(keymap.len()).unwrap());
        queue.roundtrip(&mut Ignored).unwrap();
        Self { connection, keyboard, queue: queue.into() }
    }

    fn key(&self, code: u16, state: u32) {
        self.keyboard.key(0, u32::from(code), state);
        self.connection.flush().unwrap();
        self.queue.borrow_mut().roundtrip(&mut Ignored).unwrap();
    }
}
