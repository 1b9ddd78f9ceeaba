//! A keyboard whose chord is kept from everybody else, in a real kernel: what others see of it, and that it comes back however
//! the program ends.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use evdev::{Device, EventType, KeyCode};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, MockLogind, PrivateBus, Process, Stream, VirtualKeyboard};
use rustix::process::Signal;

use crate::kernel::in_the_rig;

/// What the log says when a keyboard is taken from everybody else, and when it is given back.
const TAKEN: &str = "is kept from the windows";
const GIVEN_BACK: &str = "given back";
const SOON: Duration = Duration::from_secs(20);
const CHORD: KeyCode = KeyCode::KEY_F21;
const A: KeyCode = KeyCode::KEY_A;
const CTRL: KeyCode = KeyCode::KEY_LEFTCTRL;
const SHIFT: KeyCode = KeyCode::KEY_LEFTSHIFT;
const ALT: KeyCode = KeyCode::KEY_LEFTALT;
const SPACE: KeyCode = KeyCode::KEY_SPACE;
const ESCAPE: KeyCode = KeyCode::KEY_ESC;
/// What stands between an Alt that goes down and up, where a chord has the left Ctrl.
const MASK: KeyCode = KeyCode::KEY_RIGHTCTRL;
const WAY_OUT: [KeyCode; 3] = [CTRL, SPACE, ESCAPE];
/// How long a keyboard is everybody's after the device that passes it on was made.
const SETTLES: Duration = Duration::from_secs(1);
/// How long the way out is held.
const OUT_LASTS: Duration = Duration::from_secs(1);

#[test]
fn a_swallowed_chord_reaches_nobody_and_the_keyboard_comes_back() {
    let test = "kernel_swallow::a_swallowed_chord_reaches_nobody_and_the_keyboard_comes_back";
    in_the_rig(test, &[], |home| {
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        for end in [Signal::KILL, Signal::TERM] {
            let begun = Instant::now();
            let mut program = listen(home);
            assert!(begun.elapsed() >= SETTLES, "it was taken before others could hear the new device");
            let others = others();
            for _ in 0..20 {
                keyboard.press(&[CHORD, A]).unwrap();
                keyboard.release(&[CHORD, A]).unwrap();
                expect(&others, &[(A, 1), (A, 0)]);
            }
            for line in ["F21 down", "chord pressed", "F21 up", "chord released"] {
                let line = format!("evdev     {line}");
                program.line(Stream::Out, SOON, |said| said.starts_with(&line).then_some(())).unwrap();
            }
            // It ends while a key is down that was passed on: the kernel, or the program, lets it go.
            keyboard.press(&[A]).unwrap();
            expect(&others, &[(A, 1)]);
            program.signal(end);
            let rest: Vec<_> = others.iter().collect();
            assert!(rest.iter().all(|event| *event == (A, 0)), "{rest:?}");
            program.wait(SOON).unwrap();
            keyboard.release(&[A]).unwrap();
            is_back(&mut keyboard);
        }
        // The way out works while the program goes on, and it goes on listening.
        let mut program = listen(home);
        let others = others();
        keyboard.press(&WAY_OUT).unwrap();
        await_given_back(&mut program);
        keyboard.release(&WAY_OUT).unwrap();
        expect(&others, &WAY_OUT.map(|key| (key, 1)));
        expect(&others, &WAY_OUT.map(|key| (key, 0)));
        is_back(&mut keyboard);
        keyboard.press(&[CHORD]).unwrap();
        program.line(Stream::Out, SOON, |said| said.contains("chord pressed").then_some(())).unwrap();
    });
}

/// The chord and the key that cancels are the way out; only where they stay down it is meant.
#[test]
fn a_take_that_is_cancelled_is_not_the_way_out() {
    let test = "kernel_swallow::a_take_that_is_cancelled_is_not_the_way_out";
    in_the_rig(test, &[], |home| {
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let mut program = listen_for(home, &["keyboard.chord=LeftCtrl+Space", "keyboard.cancel=Escape"]);
        let others = others();
        for _ in 0..3 {
            keyboard.press(&WAY_OUT).unwrap();
            keyboard.release(&[ESCAPE, SPACE, CTRL]).unwrap();
            expect(&others, &[(CTRL, 1), (CTRL, 0), (ESCAPE, 1), (ESCAPE, 0)]);
        }
        rig::await_some("three that were cancelled", SOON, || {
            (program.text(Stream::Out).lines().filter(|line| line.ends_with("cancel")).count() == 3)
                .then_some(())
        });
        assert!(!program.text(Stream::Err).contains(GIVEN_BACK));
        // Also where the program reads only later that they stayed down.
        program.signal(Signal::STOP);
        keyboard.press(&WAY_OUT).unwrap();
        std::thread::sleep(OUT_LASTS);
        keyboard.release(&WAY_OUT).unwrap();
        program.signal(Signal::CONT);
        await_given_back(&mut program);
        expect(&others, &[(CTRL, 1), (CTRL, 0), (ESCAPE, 1), (ESCAPE, 0)]);
        is_back(&mut keyboard);
    });
}

/// Behind a lock, or another user's session, the keyboard is somebody else's.
#[test]
fn a_keyboard_is_everybodys_while_its_user_is_away() {
    let test = "kernel_swallow::a_keyboard_is_everybodys_while_its_user_is_away";
    in_the_rig(test, &[], |_| {
        let bus = match PrivateBus::start() {
            Ok(bus) => bus,
            Err(skip) => return skip.say(test),
        };
        let logind = MockLogind::join(&bus);
        let more = "keyboard.backend = 'evdev'\nkeyboard.chord = 'F21'\nkeyboard.swallow = true\nkeyboard.session = true";
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let config = hardware_free(&[&rig::bundled().file], more);
        let mut daemon = DaemonBuilder::new().config(&config).env(bus.env()).start();
        logind.watched();
        await_taken(daemon.process());
        let others = others();
        type Way<'a> = (&'a dyn Fn(), &'a dyn Fn());
        let ways: [Way<'_>; 2] = [
            (&|| logind.in_front(false), &|| logind.in_front(true)),
            (&|| logind.locked(true), &|| logind.locked(false)),
        ];
        for (n, (leave, come_back)) in ways.into_iter().enumerate() {
            // What was passed on is let go, and its user's hand lets go of it where everybody sees it.
            keyboard.press(&[A]).unwrap();
            leave();
            await_said(daemon.process(), GIVEN_BACK, n + 1);
            keyboard.release(&[A]).unwrap();
            expect(&others, &[(A, 1), (A, 0)]);
            is_back(&mut keyboard);
            // Back, and taken when nothing is down.
            keyboard.press(&[SHIFT]).unwrap();
            come_back();
            keyboard.release(&[SHIFT]).unwrap();
            await_said(daemon.process(), TAKEN, n + 2);
            keyboard.press(&[CHORD, A]).unwrap();
            keyboard.release(&[CHORD, A]).unwrap();
            expect(&others, &[(A, 1), (A, 0)]);
        }
    });
}

/// Three chords, of which one is a part of another and one has a key of it: what each leaves to the others, and that the
/// keys come back when the program is killed while it is held.
#[test]
fn of_several_swallowed_chords_each_is_kept_and_every_other_key_passes() {
    let test = "kernel_swallow::of_several_swallowed_chords_each_is_kept_and_every_other_key_passes";
    in_the_rig(test, &[], |home| {
        const PARTS: [(&str, &[KeyCode]); 3] =
            [("", &[CTRL, SPACE]), (" (longer)", &[CTRL, SHIFT, SPACE]), (" (other)", &[ALT, SPACE])];
        std::fs::create_dir_all(home.join("ptt")).unwrap();
        let config = "keyboard.chord = 'LeftCtrl+Space'\n\
                      [[profile]]\nname = 'longer'\nchord = 'LeftCtrl+LeftShift+Space'\n\
                      [[profile]]\nname = 'other'\nchord = 'Space+LeftAlt'\n";
        std::fs::write(home.join("ptt/config.toml"), config).unwrap();
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let mut program = listen_for(home, &[]);
        let others = others();
        // Modifiers first, as hands do: they have been passed on, and are let go when the last key comes.
        for (name, chord) in PARTS {
            for _ in 0..20 {
                let before = &chord[..chord.len() - 1];
                keyboard.press(chord).unwrap();
                expect(&others, &left_of(before));
                // Every other key is as ever meanwhile, and a part of the chord that comes back is not.
                keyboard.press(&[A]).unwrap();
                keyboard.release(&[SPACE, A]).unwrap();
                keyboard.press(&[SPACE]).unwrap();
                expect(&others, &[(A, 1), (A, 0)]);
                keyboard.release(chord).unwrap();
            }
            let line = format!("evdev     chord pressed{name}");
            program.line(Stream::Out, SOON, |said| (said == line).then_some(())).unwrap();
        }
        // The other way round it is the last key that nobody sees.
        keyboard.press(&[SPACE, ALT]).unwrap();
        expect(&others, &[(SPACE, 1), (SPACE, 0)]);
        keyboard.release(&[SPACE, ALT]).unwrap();
        // What makes no chord passes whole: a key of it alone, two that are no chord, and the same after one.
        for keys in [&[SPACE][..], &[CTRL], &[ALT], &[CTRL, SHIFT, A], &[SHIFT, SPACE], &[CTRL, ALT]] {
            keyboard.press(keys).unwrap();
            keyboard.release(keys).unwrap();
            expect(&others, &[downs(keys), ups(keys)].concat());
        }
        // What was heard last may not have been said yet.
        let said = |program: &Process| program.text(Stream::Out).matches("chord pressed").count();
        rig::await_some("all presses", SOON, || (said(&program) >= 61).then_some(()));
        program.signal(Signal::TERM);
        let said = program.wait(SOON).unwrap().out;
        assert_eq!(others.iter().count(), 0, "nothing else was seen, nothing was left down");
        assert_eq!(said.matches("chord pressed").count(), 61, "one press for each");

        for (_, chord) in PARTS {
            let program = listen_for(home, &[]);
            let others = self::others();
            keyboard.press(chord).unwrap();
            let before = &chord[..chord.len() - 1];
            expect(&others, &left_of(before));
            program.signal(Signal::KILL);
            program.wait(SOON).unwrap();
            assert_eq!(others.iter().count(), 0, "{chord:?}");
            // Everybody sees the keyboard itself again, first of all that its keys go up.
            let seen = keys_of(Device::open(keyboard.node()).unwrap());
            keyboard.release(chord).unwrap();
            keyboard.press(chord).unwrap();
            keyboard.release(chord).unwrap();
            expect(&seen, &[ups(chord), downs(chord), ups(chord)].concat());
        }
    });
}

/// A key remapper, say: the program waits for its end, and hears the keyboard then.
#[test]
fn a_keyboard_that_another_program_has_is_taken_when_that_gives_it_back() {
    let test = "kernel_swallow::a_keyboard_that_another_program_has_is_taken_when_that_gives_it_back";
    in_the_rig(test, &[], |home| {
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let mut owner = Device::open(keyboard.node()).unwrap();
        owner.grab().unwrap();
        let mut program = start(home, &["keyboard.chord=F21"]);
        program.line(Stream::Err, SOON, |said| said.contains("another program has").then_some(())).unwrap();
        drop(owner);
        for _ in 0..2 {
            keyboard.press(&[CHORD]).unwrap();
            keyboard.release(&[CHORD]).unwrap();
            // The first time it is heard while the windows still see it.
            await_taken(&mut program);
        }
        let others = others();
        keyboard.press(&[CHORD, A]).unwrap();
        keyboard.release(&[CHORD, A]).unwrap();
        expect(&others, &[(A, 1), (A, 0)]);
        rig::await_some("three holds", SOON, || {
            (program.text(Stream::Out).matches("chord released").count() == 3).then_some(())
        });
        assert_eq!(program.text(Stream::Err).matches("another program has").count(), 1);
    });
}

/// What was typed before the keyboard was taken, and is read after that, has been seen by everybody.
#[test]
fn what_was_typed_before_the_keyboard_is_taken_is_not_typed_again() {
    let test = "kernel_swallow::what_was_typed_before_the_keyboard_is_taken_is_not_typed_again";
    in_the_rig(test, &[], |home| {
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        // While a key is down the keyboard is not taken.
        keyboard.press(&[CTRL]).unwrap();
        let mut program = start(home, &["keyboard.chord=F21"]);
        program.line(Stream::Err, SOON, |said| said.contains("listening to").then_some(())).unwrap();
        let others = others();
        program.signal(Signal::STOP);
        // When it goes on it is to take the keyboard before it has read all that follows.
        std::thread::sleep(SETTLES);
        keyboard.release(&[CTRL]).unwrap();
        // More than is read at once, and less than the kernel keeps.
        for _ in 0..12 {
            keyboard.press(&[A]).unwrap();
            keyboard.release(&[A]).unwrap();
        }
        program.signal(Signal::CONT);
        await_taken(&mut program);
        keyboard.press(&[SHIFT]).unwrap();
        keyboard.release(&[SHIFT]).unwrap();
        expect(&others, &[(SHIFT, 1), (SHIFT, 0)]);
    });
}

/// Taps end by their edges, not by looks at the true state that overtake them; a hole in the kernel's queue is counted, and leaves
/// no key down.
#[test]
fn a_swallowed_chord_counts_as_any_other() {
    let test = "kernel_swallow::a_swallowed_chord_counts_as_any_other";
    in_the_rig(test, &[], |_| {
        const TAPS: usize = 50;
        let more = "keyboard.backend = 'evdev'\nkeyboard.chord = 'F21'\nkeyboard.swallow = true";
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let mut daemon = DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], more)).start();
        daemon.has("keyboard");
        daemon.listening();
        await_taken(daemon.process());
        let others = others();
        for _ in 0..TAPS {
            keyboard.press(&[CHORD, A]).unwrap();
            keyboard.release(&[CHORD, A]).unwrap();
            expect(&others, &[(A, 1), (A, 0)]);
        }
        let counted = |daemon: &Daemon, name: &str| daemon.scrape().sum(name, &[]).unwrap_or(0.0);
        let released = [("edge", "released")];
        rig::await_some("the last release", SOON, || {
            let released = daemon.scrape().sum("ptt_keyboard_events_total", &released)?;
            (released >= TAPS as f64).then_some(())
        });
        // A key of this keyboard is up a moment before it says so, in a second write: a look may fall between the two.
        let lost = counted(&daemon, "ptt_keyboard_lost_releases_total");
        assert!(lost < 5.0, "{lost} of {TAPS} ordinary releases are lost ones");
        for more in 0..8 {
            let holes = counted(&daemon, "ptt_keyboard_resyncs_total");
            daemon.process().signal(Signal::STOP);
            // More than the kernel keeps, which begins anew with each hole.
            for _ in 0..100 + more {
                keyboard.press(&[A]).unwrap();
                keyboard.release(&[A]).unwrap();
            }
            daemon.process().signal(Signal::CONT);
            rig::await_some("the hole", SOON, || {
                (counted(&daemon, "ptt_keyboard_resyncs_total") > holes).then_some(())
            });
            keyboard.press(&[SHIFT]).unwrap();
            keyboard.release(&[SHIFT]).unwrap();
            let before = others.iter().take_while(|(key, _)| *key != SHIFT);
            assert!(before.last().is_none_or(|(_, value)| value == 0), "stuck after {more} more");
            expect(&others, &[(SHIFT, 0)]);
        }
    });
}

/// Where nothing tells of a device before it is opened, as in some containers: the program's own is none of its keyboards.
#[test]
fn without_sysfs_a_device_that_passes_keys_on_is_not_passed_on() {
    let test = "kernel_swallow::without_sysfs_a_device_that_passes_keys_on_is_not_passed_on";
    in_the_rig(test, &[], |home| {
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        let program = command(home, &["keyboard.chord=F21"]);
        let mut hidden = Command::new("unshare");
        hidden.args(["--mount", "sh", "-c", "mount -t tmpfs none /sys && exec \"$0\" \"$@\""]);
        hidden.arg(program.get_program()).args(program.get_args());
        hidden.env("HOME", home).env("XDG_CONFIG_HOME", home);
        let mut program = Process::spawn(&mut hidden).unwrap();
        await_taken(&mut program);
        let others = others();
        keyboard.press(&[CHORD, A]).unwrap();
        keyboard.release(&[CHORD, A]).unwrap();
        expect(&others, &[(A, 1), (A, 0)]);
        program.line(Stream::Out, SOON, |said| said.contains("chord released").then_some(())).unwrap();
        let log = program.text(Stream::Err);
        assert_eq!(log.matches("listening to").count(), 1, "{log}");
    });
}

/// The program, when it has taken the keyboard for one chord.
fn listen(home: &Path) -> Process {
    listen_for(home, &["keyboard.chord=F21"])
}

/// The program, when it has taken the keyboard for the chords of its configuration.
fn listen_for(home: &Path, sets: &[&str]) -> Process {
    let mut program = start(home, sets);
    await_taken(&mut program);
    program
}

fn start(home: &Path, sets: &[&str]) -> Process {
    Process::spawn(&mut command(home, sets)).unwrap()
}

fn command(home: &Path, sets: &[&str]) -> Command {
    let mut command = Command::new(rig::program());
    for set in ["keyboard.backend=evdev", "keyboard.cancel=", "keyboard.swallow=true"].iter().chain(sets) {
        command.args(["--set", set]);
    }
    command.arg("keys").env("HOME", home).env("XDG_CONFIG_HOME", home);
    command
}

fn await_taken(program: &mut Process) {
    program.line(Stream::Err, SOON, |said| said.contains(TAKEN).then_some(())).unwrap();
}

fn await_given_back(program: &mut Process) {
    program.line(Stream::Err, SOON, |said| said.contains(GIVEN_BACK).then_some(())).unwrap();
}

/// Waits until its log has this so often.
fn await_said(program: &Process, part: &str, times: usize) {
    rig::await_some(part, SOON, || (program.text(Stream::Err).matches(part).count() >= times).then_some(()));
}

/// What everybody else sees: keys of the device that passes ours on, until it is gone.
fn others() -> Receiver<(KeyCode, i32)> {
    let twin = rig::await_some("the device that passes the keys on", SOON, || {
        evdev::enumerate()
            .map(|(_, device)| device)
            .find(|device| device.name() == Some("ptt passes on rig keyboard"))
    });
    keys_of(twin)
}

fn keys_of(mut device: Device) -> Receiver<(KeyCode, i32)> {
    let (tell, seen) = channel();
    std::thread::spawn(move || {
        while let Ok(events) = device.fetch_events() {
            for event in events.filter(|event| event.event_type() == EventType::KEY && event.value() != 2) {
                if tell.send((KeyCode(event.code()), event.value())).is_err() {
                    return;
                }
            }
        }
    });
    seen
}

/// What the others see of the keys that went down before the one that makes a chord whole.
fn left_of(before: &[KeyCode]) -> Vec<(KeyCode, i32)> {
    let mask: &[KeyCode] = if before.contains(&ALT) { &[MASK] } else { &[] };
    [downs(before), downs(mask), ups(mask), ups(before)].concat()
}

fn downs(keys: &[KeyCode]) -> Vec<(KeyCode, i32)> {
    keys.iter().map(|key| (*key, 1)).collect()
}

fn ups(keys: &[KeyCode]) -> Vec<(KeyCode, i32)> {
    keys.iter().map(|key| (*key, 0)).collect()
}

fn expect(seen: &Receiver<(KeyCode, i32)>, events: &[(KeyCode, i32)]) {
    for event in events {
        assert_eq!(seen.recv_timeout(SOON).as_ref(), Ok(event));
    }
}

/// Everybody sees the keyboard itself again.
fn is_back(keyboard: &mut VirtualKeyboard) {
    let seen = keys_of(Device::open(keyboard.node()).unwrap());
    keyboard.press(&[CHORD]).unwrap();
    keyboard.release(&[CHORD]).unwrap();
    expect(&seen, &[(CHORD, 1), (CHORD, 0)]);
}
