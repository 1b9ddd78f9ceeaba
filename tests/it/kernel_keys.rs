//! A thousand chords through a real kernel's input layer, in every order of keys, with keyboards that are pulled out and event
//! queues that run over: each is one press and one release. The latencies are printed beside those of inputbot.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use evdev::uinput::VirtualDevice;
use evdev::{
    AbsInfo, AbsoluteAxisCode, AttributeSet, EventType, InputEvent, KeyCode, RelativeAxisCode, UinputAbsSetup,
};
use ptt_keyboard::{ChordEvent, Heard, KeyboardConfig, Stop, watch};
use ptt_messages::Moment;
use ptt_tests::rig::{self, VirtualKeyboard};

use crate::kernel::in_the_rig;
use crate::section;

const PATIENCE: Duration = Duration::from_secs(20);
const CHORD: [KeyCode; 3] = [KeyCode::KEY_F21, KeyCode::KEY_F22, KeyCode::KEY_F23];
const CANCEL: KeyCode = KeyCode::KEY_F24;
const KEYPAD: [KeyCode; 2] = [KeyCode::KEY_KP2, KeyCode::KEY_KP6];
/// More than any device's queue holds.
const FLOOD: usize = 300;

#[test]
fn a_thousand_chords_are_a_thousand_presses_and_releases() {
    in_the_rig("kernel_keys::a_thousand_chords_are_a_thousand_presses_and_releases", &[], |_| {
        let mut dice = Dice::from_environment();
        rig::say(&format!("kernel rig, a thousand chords: PTT_SEED={}", dice.0));
        thousand(&mut dice);
        beside_inputbot(&mut dice);
    });
}

/// A chord over a mouse, a gamepad and a keyboard, while the mouse moves.
#[test]
fn buttons_of_mice_and_gamepads_are_keys() {
    in_the_rig("kernel_keys::buttons_of_mice_and_gamepads_are_keys", &[], |_| {
        let axes: AttributeSet<RelativeAxisCode> =
            [RelativeAxisCode::REL_X, RelativeAxisCode::REL_Y].into_iter().collect();
        let buttons = |codes: &[KeyCode]| codes.iter().copied().collect::<AttributeSet<KeyCode>>();
        let builder = |name| VirtualDevice::builder().unwrap().name(name);
        let mouse = buttons(&[KeyCode::BTN_LEFT, KeyCode::BTN_SIDE]);
        let mouse = builder("rig mouse").with_keys(&mouse).unwrap().with_relative_axes(&axes).unwrap();
        let stick = UinputAbsSetup::new(AbsoluteAxisCode::ABS_X, AbsInfo::new(0, -100, 100, 0, 0, 1));
        let pad = buttons(&[KeyCode::BTN_SOUTH, KeyCode::BTN_TRIGGER_HAPPY1]);
        let pad = builder("rig pad").with_keys(&pad).unwrap().with_absolute_axis(&stick).unwrap();
        let (mut mouse, mut pad) = (mouse.build().unwrap(), pad.build().unwrap());
        let mut keyboard = VirtualKeyboard::plug("rig keyboard").unwrap();
        for device in [&mut mouse, &mut pad] {
            rig::await_some("its node", PATIENCE, || {
                device.enumerate_dev_nodes_blocking().ok()?.flatten().find(|node| node.exists())
            });
        }
        let mut ear =
            Ear::on("backend = 'evdev'\nchord = 'LeftCtrl+MouseSide+PadSouth'\ncancel = 'TriggerHappy1'");
        let key = |code: KeyCode, down| InputEvent::new(EventType::KEY.0, code.code(), i32::from(down));
        for round in 0..50 {
            let moved = [
                InputEvent::new(EventType::RELATIVE.0, RelativeAxisCode::REL_X.0, 3),
                InputEvent::new(EventType::ABSOLUTE.0, AbsoluteAxisCode::ABS_X.0, (round % 7) as i32),
            ];
            keyboard.press(&[KeyCode::KEY_LEFTCTRL]).unwrap();
            pad.emit(&[moved[1], key(KeyCode::BTN_SOUTH, true)]).unwrap();
            mouse.emit(&[moved[0], key(KeyCode::BTN_SIDE, true)]).unwrap();
            ear.expect(round, true);
            mouse.emit(&[moved[0], key(KeyCode::BTN_SIDE, false)]).unwrap();
            ear.expect(round, false);
            pad.emit(&[key(KeyCode::BTN_SOUTH, false)]).unwrap();
            keyboard.release(&[KeyCode::KEY_LEFTCTRL]).unwrap();
            // No hand presses again within the moment in which the true state of three devices is read.
            ear.settles();
        }
        pad.emit(&[key(KeyCode::BTN_TRIGGER_HAPPY1, true)]).unwrap();
        assert!(ear.cancelled());
    });
}

fn thousand(dice: &mut Dice) {
    let mut keyboard = VirtualKeyboard::plug("rig chords").unwrap();
    let mut ear =
        Ear::on("backend = 'evdev'\nchord = 'F21+F22+F23'\ncancel = 'F24'\ndevices = ['rig chords']");
    ear.wait_until_open(&mut keyboard);
    let (mut pulled, mut flooded) = (0, 0);
    for round in 0..1_000 {
        let (down, up) = (dice.order(), dice.order());
        match dice.below(32) {
            0 => {
                keyboard.press(&down).unwrap();
                ear.expect(round, true);
                keyboard.unplug();
                ear.expect(round, false);
                keyboard = VirtualKeyboard::plug("rig chords").unwrap();
                ear.wait_until_open(&mut keyboard);
                pulled += 1;
            }
            1 => {
                keyboard.press(&down).unwrap();
                ear.expect(round, true);
                let released_within = dice.below(2) == 0;
                ear.flood(&mut keyboard, released_within.then_some(&up));
                if !released_within {
                    keyboard.release(&up).unwrap();
                }
                ear.expect(round, false);
                flooded += 1;
            }
            // A press that the hand takes back before anybody has looked.
            2..8 => {
                keyboard.press(&down).unwrap();
                keyboard.release(&up).unwrap();
                ear.expect(round, true);
                ear.expect(round, false);
            }
            _ => {
                keyboard.press(&down[..2]).unwrap();
                let written = Moment::now();
                keyboard.press(&down[2..]).unwrap();
                let heard = ear.expect(round, true);
                ear.pressed.push(heard.since(written));
                keyboard.release(&up).unwrap();
                ear.expect(round, false);
            }
        }
    }
    assert!(ear.nothing_more(), "no stuck key, no press that nobody made");
    rig::say(&format!(
        "kernel rig, 1000 chords through evdev: {pulled} pulled out while held, {flooded} flooded"
    ));
    ear.report("evdev");
    assert!(pulled > 10 && flooded > 10);
}

/// Both hear the same thousand presses.
fn beside_inputbot(dice: &mut Dice) {
    let mut keyboard = VirtualKeyboard::plug("rig keypad").unwrap();
    let ear = |toml: &str| Ear::on(&format!("chord = 'KP2+KP6'\ncancel = ''\n{toml}"));
    let mut inputbot = ear("backend = 'inputbot'");
    rig::await_some("inputbot to see the keyboard", PATIENCE, || {
        keyboard.press(&KEYPAD).unwrap();
        let seen = inputbot.within(Duration::from_millis(300));
        keyboard.release(&KEYPAD).unwrap();
        seen
    });
    inputbot.expect(0, false);
    inputbot.all_up();
    let mut evdev = ear("backend = 'evdev'\ndevices = ['rig keypad']");
    for round in 1..=1_000 {
        // Not in step with its polling.
        std::thread::sleep(Duration::from_micros(dice.below(10_000)));
        keyboard.press(&KEYPAD[..1]).unwrap();
        let written = Moment::now();
        keyboard.press(&KEYPAD[1..]).unwrap();
        for ear in [&mut evdev, &mut inputbot] {
            let heard = ear.expect(round, true);
            ear.pressed.push(heard.since(written));
        }
        keyboard.release(&KEYPAD).unwrap();
        for ear in [&mut evdev, &mut inputbot] {
            ear.expect(round, false);
            ear.all_up();
        }
    }
    evdev.report("evdev beside inputbot");
    inputbot.report("inputbot");
    assert!(evdev.nothing_more() && inputbot.nothing_more());
}

/// What the daemon's key thread hears, on a thread that the test can hold up.
struct Ear {
    heard: Receiver<(Heard, Moment)>,
    /// While the test holds it nothing is read from the devices.
    gate: Arc<Mutex<()>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    /// From the write of the last key to the press of the chord.
    pressed: Vec<Duration>,
    /// From the kernel's time to the thread.
    detected: Vec<Duration>,
}

impl Ear {
    fn on(toml: &str) -> Self {
        let config: KeyboardConfig = section(toml);
        let (stop, gate) = (Stop::new().unwrap(), Arc::new(Mutex::new(())));
        let (tell, heard) = channel();
        let (on, through) = (stop.clone(), Arc::clone(&gate));
        let thread = std::thread::spawn(move || {
            let end = watch(&config, &on, |heard| {
                let at = Moment::now();
                drop(through.lock());
                tell.send((heard, at)).map_or(ControlFlow::Break(()), ControlFlow::Continue)
            });
            end.unwrap();
        });
        let ear = Self { heard, gate, stop, thread: Some(thread), pressed: Vec::new(), detected: Vec::new() };
        assert!(matches!(ear.heard.recv_timeout(PATIENCE), Ok((Heard::Listening(_), _))));
        ear
    }

    /// The next press or release must be this one. Gives when it was heard.
    fn expect(&mut self, round: u64, press: bool) -> Moment {
        loop {
            let (heard, at) = self.heard.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("round {round}: no {} within {PATIENCE:?}", if press { "press" } else { "release" })
            });
            match heard {
                Heard::Chord(ChordEvent::Pressed { .. }) if press => return at,
                Heard::Chord(ChordEvent::Released { .. }) if !press => return at,
                Heard::Chord(ChordEvent::Pressed { .. } | ChordEvent::Released { .. }) => {
                    panic!("round {round}: {heard:?} out of turn")
                }
                Heard::Key { took, .. } => self.detected.extend(took),
                _ => {}
            }
        }
    }

    /// Both keys of the keypad have gone up: one that polls has not seen the second when it tells of the first.
    fn all_up(&mut self) {
        let mut up = 0;
        while up < KEYPAD.len() {
            let (heard, _) = self.heard.recv_timeout(PATIENCE).expect("every key goes up");
            if let Heard::Key { down: false, took, .. } = heard {
                self.detected.extend(took);
                up += 1;
            }
        }
    }

    /// Keys go up and nothing comes of it. Of how many is told is not certain: an edge that was still in the kernel's queue
    /// when the true state was read is not told again.
    fn settles(&mut self) {
        const QUIET: Duration = Duration::from_millis(100);
        while let Ok((heard, _)) = self.heard.recv_timeout(QUIET) {
            assert!(matches!(heard, Heard::Key { down: false, .. }), "{heard:?}");
        }
    }

    /// A press of the chord within `limit`.
    fn within(&mut self, limit: Duration) -> Option<()> {
        let end = Moment::now() + limit;
        loop {
            let left = end.since(Moment::now());
            if let (Heard::Chord(ChordEvent::Pressed { .. }), _) = self.heard.recv_timeout(left).ok()? {
                return Some(());
            }
        }
    }

    /// Fills the device's queue while nobody reads it, and lets the chord go somewhere in between. Nothing of what follows
    /// counts for the latencies.
    fn flood(&mut self, keyboard: &mut VirtualKeyboard, release: Option<&[KeyCode; 3]>) {
        let gate = Arc::clone(&self.gate);
        let shut = gate.lock().unwrap();
        for n in 0..FLOOD {
            keyboard.press(&[CANCEL]).unwrap();
            keyboard.release(&[CANCEL]).unwrap();
            if let Some(up) = release.filter(|_| n == FLOOD / 2) {
                keyboard.release(up).unwrap();
            }
        }
        drop(shut);
        let kept = self.detected.len();
        // The listener is through the hole when it hears the cancel key tapped after it.
        let mut cancels = 0;
        keyboard.press(&[CANCEL]).unwrap();
        keyboard.release(&[CANCEL]).unwrap();
        let mut chord = Vec::new();
        while let Ok((heard, at)) = self.heard.recv_timeout(Duration::from_millis(100)) {
            match heard {
                Heard::Chord(ChordEvent::Cancelled { .. }) => cancels += 1,
                Heard::Chord(_) => chord.push((heard, at)),
                _ => {}
            }
        }
        assert!(cancels < FLOOD, "the queue ran over");
        self.detected.truncate(kept);
        self.give_back(chord);
    }

    /// Events that were read too early are heard again.
    fn give_back(&mut self, events: Vec<(Heard, Moment)>) {
        if events.is_empty() {
            return;
        }
        let (tell, heard) = channel();
        events.into_iter().for_each(|event| tell.send(event).unwrap());
        let rest = std::mem::replace(&mut self.heard, heard);
        std::thread::spawn(move || rest.into_iter().try_for_each(|event| tell.send(event)));
    }

    /// Taps a key of the chord until one of the taps is heard: what is left of an earlier keyboard is older.
    fn wait_until_open(&mut self, keyboard: &mut VirtualKeyboard) {
        rig::await_some("the new keyboard", PATIENCE, || {
            let begun = Moment::now();
            keyboard.press(&CHORD[..1]).unwrap();
            let end = begun + Duration::from_millis(20);
            let mut open = false;
            while let Ok((heard, _)) = self.heard.recv_timeout(end.since(Moment::now())) {
                open |= matches!(heard, Heard::Key { at, .. } if at >= begun);
            }
            keyboard.release(&CHORD[..1]).unwrap();
            open.then_some(())
        });
    }

    fn cancelled(&mut self) -> bool {
        while let Ok((heard, _)) = self.heard.recv_timeout(PATIENCE) {
            if matches!(heard, Heard::Chord(ChordEvent::Cancelled { .. })) {
                return true;
            }
        }
        false
    }

    fn nothing_more(&mut self) -> bool {
        while let Ok((heard, _)) = self.heard.recv_timeout(Duration::from_millis(300)) {
            if matches!(heard, Heard::Chord(ChordEvent::Pressed { .. } | ChordEvent::Released { .. })) {
                return false;
            }
        }
        true
    }

    fn report(&mut self, what: &str) {
        for (name, of) in [("write to press", &mut self.pressed), ("kernel to thread", &mut self.detected)] {
            of.sort();
            if let Some(last) = of.len().checked_sub(1) {
                let at = |part: f64| of[((of.len() as f64 * part) as usize).min(last)];
                rig::say(&format!(
                    "kernel rig, {what}, {name}, n={}: p50 {:?} p99 {:?} max {:?}",
                    of.len(),
                    at(0.5),
                    at(0.99),
                    of[last]
                ));
            }
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

/// Xorshift: the same seed, the same thousand.
struct Dice(u64);

impl Dice {
    fn from_environment() -> Self {
        let chosen = std::env::var("PTT_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(chosen.unwrap_or_else(|| Moment::now().as_nanos()).max(1))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn order(&mut self) -> [KeyCode; 3] {
        let mut keys = CHORD;
        for last in (1..keys.len()).rev() {
            keys.swap(last, self.below(last as u64 + 1) as usize);
        }
        keys
    }
}
