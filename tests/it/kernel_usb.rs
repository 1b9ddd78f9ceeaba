//! A USB keyboard in a real kernel: what a boot keyboard's reports make of the chord, through the kernel's USB and HID drivers.

use std::time::Duration;

use ptt_messages::{ControllerEvent, Outcome, StateName};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, BootReport, Daemon, DaemonBuilder, UsbKeyboard};

use crate::kernel::in_the_rig;

const SOON: Duration = Duration::from_secs(20);
/// Usages of the HID tables.
const DOWN: u8 = 0x51;
const RIGHT: u8 = 0x4f;
const A: u8 = 0x04;
const B: u8 = 0x05;
const C: u8 = 0x06;
const D: u8 = 0x07;
/// Bits of the modifiers.
const LEFT_SHIFT: u8 = 0x02;
const RIGHT_ALT: u8 = 0x40;
const TEXT: &str = "said while it was held";

#[test]
fn every_way_to_report_a_hold_is_one_take() {
    in_the_rig("kernel_usb::every_way_to_report_a_hold_is_one_take", &[], |folder| {
        let texts = folder.join("texts");
        let more = format!(
            "keyboard.backend = 'evdev'\naudio.wav_pace = 'fast'\nstt.canned_texts = ['{TEXT}']\n\
             controller.min_hold_ms = 0\noutput.file_path = {texts:?}"
        );
        let mut keyboard = UsbKeyboard::plug().unwrap();
        let mut daemon = DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], &more)).start();
        daemon.has("keyboard");
        let of = BootReport::of;
        let ways: [(&str, &[BootReport], &[BootReport]); 8] = [
            ("key by key", &[of(&[DOWN]), of(&[DOWN, RIGHT])], &[of(&[RIGHT]), BootReport::UP]),
            ("both in one report, up in one", &[of(&[RIGHT, DOWN])], &[BootReport::UP]),
            (
                "the last of six, in places that change",
                &[of(&[A, B, C, D, DOWN, RIGHT]), of(&[RIGHT, D, B, A, DOWN, C]), of(&[DOWN, RIGHT])],
                &[of(&[DOWN, A, B, C, D])],
            ),
            ("all six up at once", &[of(&[A, B, C, D, RIGHT, DOWN])], &[BootReport::UP]),
            (
                "modifiers come and go",
                &[
                    of(&[DOWN]).with(LEFT_SHIFT),
                    of(&[DOWN, RIGHT]).with(LEFT_SHIFT),
                    of(&[DOWN, RIGHT]).with(RIGHT_ALT | LEFT_SHIFT),
                    of(&[DOWN, RIGHT]),
                ],
                &[of(&[DOWN]).with(RIGHT_ALT), BootReport::UP],
            ),
            (
                "more keys than it can tell, and fewer again",
                &[of(&[DOWN, RIGHT, A, B, C, D]), BootReport::TOO_MANY, of(&[DOWN, RIGHT, A, B])],
                &[of(&[A, B]), BootReport::UP],
            ),
            (
                "up while it could not tell",
                &[of(&[DOWN, RIGHT, A, B, C, D]), BootReport::TOO_MANY.with(LEFT_SHIFT)],
                &[BootReport::UP],
            ),
            ("the same report over and over", &[of(&[DOWN, RIGHT]); 40], &[BootReport::UP; 3]),
        ];
        for (why, down, up) in ways {
            down.iter().for_each(|report| keyboard.send(*report).unwrap());
            daemon.recording();
            // The host has fetched all that holds it, and nothing was let go.
            still_holds(&keyboard, why);
            up.iter().for_each(|report| keyboard.send(*report).unwrap());
            ended(&mut daemon, why);
            keyboard.send(BootReport::UP).unwrap();
        }
        // Pulled out while held, and by itself again when it is back.
        for round in 0..2 {
            keyboard.send(of(&[DOWN, RIGHT, A])).unwrap();
            daemon.recording();
            keyboard.unplug();
            ended(&mut daemon, "pulled out");
            keyboard = UsbKeyboard::plug().unwrap();
            rig::await_some("the keyboard to be heard again", SOON, || {
                // What is pressed before the daemon opened the keyboard is not seen.
                keyboard.send(of(&[DOWN, RIGHT])).unwrap();
                let seen = daemon.within(Duration::from_secs(1), rig::is_recording);
                keyboard.send(BootReport::UP).unwrap();
                seen
            });
            ended(&mut daemon, &format!("plugged in again {round}"));
        }
        assert!(daemon.within(Duration::from_millis(300), rig::is_recording).is_none(), "no key is stuck");
        let takes = ways.len() + 4;
        let begun = |event: &&ControllerEvent| {
            matches!(event, ControllerEvent::Transition { to: StateName::KeyPressed, .. })
        };
        assert_eq!(daemon.seen().iter().filter(begun).count(), takes, "each hold was one take");
        assert!(daemon.stop().status.success());
        let written = std::fs::read_to_string(texts).unwrap();
        assert_eq!(written.lines().collect::<Vec<_>>(), vec![TEXT; takes]);
        rig::say(&format!("kernel rig, USB boot keyboard: {takes} holds, {takes} texts"));
    });
}

/// The kernel has the chord down.
fn still_holds(keyboard: &UsbKeyboard, why: &str) {
    let device = evdev::Device::open(keyboard.node()).unwrap();
    let down = device.get_key_state().unwrap();
    let chord = [evdev::KeyCode::KEY_DOWN, evdev::KeyCode::KEY_RIGHT];
    assert!(chord.iter().all(|key| down.contains(*key)), "{why}: {down:?}");
}

fn ended(daemon: &mut Daemon, why: &str) {
    let report = daemon.ended();
    assert_eq!((report.outcome, report.text.as_str()), (Outcome::Text, TEXT), "{why}\n{}", daemon.log());
    // A take ends a moment before the daemon listens again.
    daemon.listening();
}
