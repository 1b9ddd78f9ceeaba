//! From the kernel's time of an event to the daemon's key thread while the engine decodes, on the guest's one processor: the worst
//! case, because whoever computes there is in everybody's way. Without and with rtkit, in turns; and to a thread that does nothing
//! but read keys, which is what the guest and the machine below it allow.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use evdev::{Device, EventType, KeyCode};
use ptt_messages::{ControllerEvent, Moment, StateName};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, PrivateBus, RealtimeKit, VirtualKeyboard};

use crate::kernel::in_the_rig;

const SOON: Duration = Duration::from_secs(60);
const CHORD: [KeyCode; 2] = [KeyCode::KEY_F21, KeyCode::KEY_F22];
/// So many are judged, at least.
const EDGES: usize = 200;
/// Shorter than between any two edges of a hand.
const APART: Duration = Duration::from_millis(3);

#[test]
fn keys_are_detected_in_time_while_the_engine_decodes() {
    let test = "kernel_latency::keys_are_detected_in_time_while_the_engine_decodes";
    in_the_rig(test, &["tiny.en"], |_| {
        let bus = PrivateBus::start().unwrap_or_else(|skip| panic!("{skip}"));
        let rtkit = RealtimeKit::join(&bus);
        let mut plain = Probe::start("rig plain", None);
        let mut urgent = Probe::start("rig urgent", Some(&bus));
        assert_eq!(rtkit.given(), "ptt-keys realtime");
        let bare = read_bare(plain.keyboard.node());
        // How many takes that needs is the engine's affair.
        while plain.edges().min(urgent.edges()) < EDGES {
            plain.tap_while_it_decodes();
            urgent.tap_while_it_decodes();
        }
        let sent = plain.sent.clone();
        let took = plain.report("at ordinary priority");
        let urgent = urgent.report("at rtkit's realtime priority");
        // Unplugged, the keyboard ends its reader.
        drop(plain);
        report("to a thread that only reads, at the same priority", bare.join().unwrap(), &sent);
        // How long the tail is depends on who else computes; that it is shorter does not.
        assert!(urgent[1] < took[1], "{urgent:?} {took:?}");
        assert!(urgent[0] < Duration::from_millis(1), "{urgent:?}");
    });
}

/// A daemon with a keyboard of its own.
struct Probe {
    keyboard: VirtualKeyboard,
    daemon: Daemon,
    /// Whether the engine was at work, for each edge that was sent.
    sent: Vec<bool>,
}

impl Probe {
    fn start(name: &str, bus: Option<&PrivateBus>) -> Self {
        let model = rig::model("tiny.en").unwrap();
        let more = format!(
            "keyboard.backend = 'evdev'\nkeyboard.chord = 'F21+F22'\nkeyboard.devices = [{name:?}]\n\
             audio.wav_pace = 'fast'\nstt.backend = 'native'\nstt.model = {model:?}\n\
             controller.decode_deadline_s = 60\ncontroller.min_hold_ms = 0\nlog.filter = 'info,ptt_keyboard=trace'"
        );
        let keyboard = VirtualKeyboard::plug(name).unwrap();
        let builder = DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], &more));
        let daemon = builder.env(bus.map(PrivateBus::env).into_iter().flatten()).start();
        daemon.has("keyboard");
        daemon.has("model");
        Self { keyboard, daemon, sent: Vec::new() }
    }

    /// How many were sent while the engine was at work.
    fn edges(&self) -> usize {
        self.sent.iter().filter(|decoding| **decoding).count()
    }

    /// A take, and one key of the chord tapped until its text is there.
    fn tap_while_it_decodes(&mut self) {
        self.daemon.listening();
        self.keyboard.press(&CHORD).unwrap();
        self.daemon.recording();
        self.keyboard.release(&CHORD).unwrap();
        self.sent.extend([false; 4]);
        self.daemon.until("decoding", |event| {
            matches!(event, ControllerEvent::Transition { to: StateName::Processing, .. }).then_some(())
        });
        let is_end = |event: &ControllerEvent| matches!(event, ControllerEvent::Ended { .. }).then_some(());
        while self.daemon.within(APART, is_end).is_none() {
            self.keyboard.press(&CHORD[..1]).unwrap();
            std::thread::sleep(APART);
            self.keyboard.release(&CHORD[..1]).unwrap();
            self.sent.extend([true; 2]);
        }
    }

    /// Half and 99 of 100 of the edges took no longer than these.
    fn report(&self, how: &str) -> [Duration; 2] {
        let read = rig::await_some("the last edge in the log", SOON, || {
            let log = self.daemon.log();
            let moment = |line: &str, name: &str| {
                line.split_once(name)?.1.split(' ').next()?.parse().ok().map(Moment::from_nanos)
            };
            let edge = |line| Some(moment(line, "read_ns=")?.since(moment(line, "at_ns=")?));
            let took: Vec<Duration> = log.lines().filter_map(edge).collect();
            (took.len() >= self.sent.len()).then_some(took)
        });
        report(how, read, &self.sent)
    }
}

/// Half and 99 of 100 of the edges that were sent while the engine was at work took no longer than these.
fn report(how: &str, read: Vec<Duration>, sent: &[bool]) -> [Duration; 2] {
    assert_eq!(read.len(), sent.len(), "every edge was read once");
    let mut took: Vec<Duration> =
        read.into_iter().zip(sent).filter_map(|(took, decoding)| decoding.then_some(took)).collect();
    took.sort_unstable();
    let at = |percent| took[took.len() * percent / 100];
    rig::say(&format!(
        "kernel rig, {} edges {how} while the engine decodes: from the kernel to the key thread p50 {:.2?}, p90 {:.2?}, p99 \
         {:.2?}, max {:.2?}",
        took.len(),
        at(50),
        at(90),
        at(99),
        took[took.len() - 1],
    ));
    [at(50), at(99)]
}

/// A thread at rtkit's realtime priority that reads a keyboard until it is unplugged: how long each edge took.
fn read_bare(node: &Path) -> JoinHandle<Vec<Duration>> {
    let mut keyboard = Device::open(node).unwrap();
    let (tell, ready) = channel();
    let reader = std::thread::spawn(move || {
        let me = rustix::thread::gettid().as_raw_nonzero().to_string();
        assert!(Command::new("chrt").args(["--rr", "--pid", "1", &me]).status().unwrap().success());
        tell.send(()).unwrap();
        let mut took = Vec::new();
        while let Ok(events) = keyboard.fetch_events() {
            let now = SystemTime::now();
            let edges = events.filter(|event| event.event_type() == EventType::KEY);
            took.extend(edges.map(|edge| now.duration_since(edge.timestamp()).unwrap_or_default()));
        }
        took
    });
    ready.recv().unwrap();
    reader
}
