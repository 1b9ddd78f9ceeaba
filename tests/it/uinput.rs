//! Texts by a keyboard of `/dev/uinput`, in a real kernel: what libxkbcommon makes of its keys, as compositors do, is the text.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use evdev::{Device, EventType, InputEvent, KeyCode, LedCode};
use ptt_messages::{Outcome, TakeId};
use ptt_output::OutputError;
use ptt_output::desktop::Desktop;
use ptt_output::desktop::uinput::{DEVICE_NAME, LayoutName, Uinput};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, DaemonBuilder, Process, Stream, VirtualKeyboard, await_some};

use crate::kernel::in_the_rig;

const SOON: Duration = Duration::from_secs(60);
const CTRL: &[KeyCode] = &[KeyCode::KEY_LEFTCTRL];
const MODIFIERS: [KeyCode; 8] = [
    KeyCode::KEY_LEFTCTRL,
    KeyCode::KEY_RIGHTCTRL,
    KeyCode::KEY_LEFTSHIFT,
    KeyCode::KEY_RIGHTSHIFT,
    KeyCode::KEY_LEFTALT,
    KeyCode::KEY_RIGHTALT,
    KeyCode::KEY_LEFTMETA,
    KeyCode::KEY_RIGHTMETA,
];
const DEVICE: &str = "/dev/uinput";
const NOBODY: u32 = 65_534;

/// A keyboard with a light for Caps Lock. It goes with its standard input.
const LIT_KEYBOARD: &str = r"
import fcntl, os, struct, sys
fd = os.open('/dev/uinput', os.O_RDWR)
for kind, bit in ((100, 1), (101, 29), (100, 0x11), (105, 1)):
    fcntl.ioctl(fd, 0x40045500 | kind, bit)
os.write(fd, struct.pack('80sHHHHI1024s', b'lit keyboard', 3, 1, 1, 1, 0, b''))
fcntl.ioctl(fd, 0x5501)
print('there', flush=True)
while True: os.read(fd, 24)
";

#[test]
fn what_is_typed_is_read_as_it_was_meant() {
    in_the_rig("uinput::what_is_typed_is_read_as_it_was_meant", &[], |_| {
        if let Err(skip) = rig::needs(&[("xkbcli", "libxkbcommon-tools")]) {
            return skip.say("texts by /dev/uinput");
        }
        for (layout, text) in [
            ("de", "Größe: Übung, y & z @ 5 € <a|b> {[\\]} ~ z.B.\n"),
            ("fr", "ça va? L'été à 10 h, où est le n° 3; c'est tout!\n"),
        ] {
            let mut keyboard = plug(layout);
            let reader = Reader::of(layout);
            keyboard.type_text(text).unwrap();
            reader.expect(text);
        }
        late_reader();
        let mut keyboard = plug("us");
        let reader = Reader::of("us");
        let text = "The quick (brown) fox: ~/y & z@{}[]|\\ 100%! \"It's\" <a>\n";
        keyboard.type_text(text).unwrap();
        reader.expect(text);
        speed(&mut keyboard, &reader);
        caps_lock(&mut keyboard);
        modifiers(keyboard);
        fs::rename(DEVICE, "/dev/uinput.away").unwrap();
        let error = Uinput::plug(&name("us")).unwrap_err();
        assert!(error.to_string().contains("modprobe uinput"), "{error}");
        fs::rename("/dev/uinput.away", DEVICE).unwrap();
    });
}

/// The program types what it heard, and what it types does not begin the next take.
#[test]
fn the_program_does_not_hear_what_it_types() {
    in_the_rig("uinput::the_program_does_not_hear_what_it_types", &[], |_| {
        if let Err(skip) = rig::needs(&[("xkbcli", "libxkbcommon-tools")]) {
            return skip.say("the program's own keys");
        }
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let more = "keyboard.backend = 'evdev'\nkeyboard.chord = 'B'\noutput.sink = 'auto'\n\
                    output.uinput_layout = 'us'\nstt.canned_texts = ['A bob.']\naudio.wav_pace = 'fast'";
        let mut daemon = DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], more)).start();
        daemon.has("keyboard");
        let reader = Reader::of("us");
        for take in 1..=3 {
            daemon.listening();
            keyboard.press(&[KeyCode::KEY_B]).unwrap();
            daemon.recording();
            // So long somebody speaks.
            std::thread::sleep(Duration::from_millis(300));
            keyboard.release(&[KeyCode::KEY_B]).unwrap();
            let report = daemon.ended();
            assert_eq!((report.take, report.outcome), (TakeId(take), Outcome::Text), "{}", daemon.log());
            reader.expect(&"bA bob. ".repeat(take as usize));
        }
        assert!(daemon.stop().status.success());

        for (mode, said) in [(0o600, "may not write /dev/uinput"), (0o666, "may not read the keyboard")] {
            fs::set_permissions(DEVICE, fs::Permissions::from_mode(mode)).unwrap();
            let more = "keyboard.backend = 'scripted'\nkeyboard.script = '+300ms down; +500ms up'\n\
                        output.sink = 'uinput'\noutput.uinput_layout = 'us'";
            let home = tempfile::tempdir().unwrap();
            let mut program = as_nobody(home.path(), &hardware_free(&[&rig::bundled().file], more));
            for line in [said, "`ptt-app retry`"] {
                program.line(Stream::Err, SOON, |log| log.contains(line).then_some(())).unwrap();
            }
            program.stop().unwrap();
        }
    });
}

/// One that takes its time to open a new keyboard misses nothing.
fn late_reader() {
    let mut keyboard = plug("us");
    let reading = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(300));
        let found = evdev::enumerate().find(|(_, device)| device.name() == Some(DEVICE_NAME));
        let (_, mut device) = found.expect("it is there");
        device.fetch_events().unwrap().next().map(|event| (event.code(), event.value()))
    });
    keyboard.type_text("xyz").unwrap();
    assert_eq!(reading.join().unwrap(), Some((KeyCode::KEY_X.code(), 1)));
}

/// Of three texts, each in the reader's hands before the next one begins.
fn speed(keyboard: &mut Uinput, reader: &Reader) {
    let before = reader.text();
    let text = "The quick brown fox jumps over the lazy dog, 1 2 3. ".repeat(4)[..200].to_owned();
    let mut took = Vec::new();
    for count in 1..=3 {
        let began = Instant::now();
        keyboard.type_text(&text).unwrap();
        took.push(began.elapsed());
        reader.expect(&(before.clone() + &text.repeat(count)));
    }
    took.sort_unstable();
    rig::say(&format!(
        "kernel rig, uinput: 200 characters typed in {} ms (best of {})",
        took[0].as_millis(),
        took.len()
    ));
}

/// Nothing is typed while the user holds a modifier, not even in the middle of a text.
fn modifiers(mut keyboard: Uinput) {
    let mut user = VirtualKeyboard::plug("user's keyboard").unwrap();
    let reader = Reader::of("us");
    // The keyboards that are looked at are those of the last few seconds.
    keyboard.rest();
    keyboard.type_text("before ").unwrap();
    reader.expect("before ");
    for modifier in MODIFIERS {
        user.press(&[modifier]).unwrap();
        assert!(!keyboard.hands_free(Duration::from_millis(20)).unwrap(), "{modifier:?}");
        user.release(&[modifier]).unwrap();
        assert!(keyboard.hands_free(Duration::ZERO).unwrap(), "{modifier:?}");
    }
    user.press(CTRL).unwrap();
    let error = keyboard.type_text("shortcuts").unwrap_err();
    assert!(matches!(error, OutputError::ModifiersHeld { .. }), "{error}");
    user.release(CTRL).unwrap();
    assert!(keyboard.hands_free(Duration::ZERO).unwrap());

    let long = "word ".repeat(50);
    let typing = std::thread::spawn({
        let long = long.clone();
        move || keyboard.type_text(&long).map(|()| keyboard)
    });
    reader.until(|text| text.contains("word word"));
    user.press(CTRL).unwrap();
    // What was on its way is read; then it stands still.
    let mut stood = reader.text();
    await_some("the typing to stand still", SOON, || {
        std::thread::sleep(Duration::from_millis(100));
        let now = reader.text();
        (std::mem::replace(&mut stood, now.clone()) == now).then_some(())
    });
    assert!(stood.len() < long.len() / 2, "{}", stood.len());
    user.release(CTRL).unwrap();
    let mut keyboard = typing.join().unwrap().unwrap();
    reader.expect(&format!("before {long}"));

    // Held for too long in the middle, it is not gone on with, and the text is kept. The keyboard stays.
    let typing = std::thread::spawn(move || (keyboard.type_text(&long).unwrap_err(), keyboard));
    reader.until(|text| text.len() > 300);
    user.press(CTRL).unwrap();
    let (error, mut keyboard) = typing.join().unwrap();
    user.release(CTRL).unwrap();
    assert!(matches!(error, OutputError::HeldMidway { .. }), "{error}");
    keyboard.type_text("after.").unwrap();
    reader.until(|text| text.ends_with("after."));
}

fn caps_lock(keyboard: &mut Uinput) {
    let mut python = Command::new("python3");
    let mut python = Process::spawn(python.args(["-c", LIT_KEYBOARD])).unwrap();
    python.line(Stream::Out, SOON, |line| line.contains("there").then_some(())).unwrap();
    let mut lit: Device = await_some("the keyboard with a light", SOON, || {
        evdev::enumerate().map(|(_, device)| device).find(|device| device.name() == Some("lit keyboard"))
    });
    keyboard.rest();
    let light = |on| InputEvent::new(EventType::LED.0, LedCode::LED_CAPSL.0, on);
    lit.send_events(&[light(1)]).unwrap();
    let error = keyboard.type_text("text").unwrap_err();
    assert!(matches!(error, OutputError::CapsLock), "{error}");
    lit.send_events(&[light(0)]).unwrap();
    keyboard.type_text("text").unwrap();
}

/// libxkbcommon reading all keyboards.
struct Reader(Process);

impl Reader {
    fn of(layout: &str) -> Self {
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "xkbcli", "interactive-evdev", "--layout", layout]);
        let reader = Process::spawn(&mut command).unwrap();
        let keyboards = await_some("the made keyboard", SOON, || {
            let names: Vec<_> =
                evdev::enumerate().map(|(_, device)| device.name().map(str::to_owned)).collect();
            names.iter().any(|name| name.as_deref() == Some(DEVICE_NAME)).then_some(names.len())
        });
        let files = format!("/proc/{}/fd", reader.pid());
        await_some("the reader", SOON, || {
            let files =
                fs::read_dir(&files).ok()?.flatten().filter_map(|file| fs::read_link(file.path()).ok());
            (files.filter(|file| file.to_string_lossy().starts_with("/dev/input/event")).count() == keyboards)
                .then_some(())
        });
        Self(reader)
    }

    /// Everything that was typed since it began.
    fn text(&self) -> String {
        self.0.text(Stream::Out).lines().filter_map(typed).collect()
    }

    fn until(&self, is: impl Fn(&str) -> bool) {
        await_some("a text", SOON, || is(&self.text()).then_some(()));
    }

    fn expect(&self, text: &str) {
        let end = Instant::now() + SOON;
        while self.text().len() < text.len() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.text(), text);
    }
}

/// The character of a line such as `keysyms [ a ] unicode [ a ] layout ...`.
fn typed(line: &str) -> Option<char> {
    let field = |name: &str| {
        let (_, rest) = line.split_once(&format!("{name} [ "))?;
        Some(rest.split_once(" ]")?.0.trim())
    };
    match field("keysyms")? {
        "space" => Some(' '),
        "Return" => Some('\n'),
        "bracketright" => Some(']'),
        _ => field("unicode")?.chars().next(),
    }
}

fn name(layout: &str) -> LayoutName {
    layout.to_owned().try_into().unwrap()
}

fn plug(layout: &str) -> Uinput {
    Uinput::plug(&name(layout)).unwrap()
}

/// The program in a home of its own, as a user who may do nothing.
fn as_nobody(home: &Path, config: &str) -> Process {
    fs::create_dir_all(home.join("ptt")).unwrap();
    fs::write(home.join("ptt/config.toml"), config).unwrap();
    for folder in [home, &home.join("ptt")] {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    // Where it is built nobody may look.
    let program = home.join("ptt-app");
    fs::copy(rig::program(), &program).unwrap();
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).current_dir(home).env("HOME", home);
    for folder in ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"]
    {
        command.env(folder, home);
    }
    Process::spawn(command.args(["--set", "metrics.listen=127.0.0.1:0", "run"])).unwrap()
}
