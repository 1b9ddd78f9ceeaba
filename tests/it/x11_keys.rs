//! The chord on an X server: the shipped program and a private Xvfb whose keys XTEST moves.

use std::process::Command;
use std::time::Duration;

use evdev::KeyCode;
use ptt_messages::{ControllerEvent, Moment, Outcome, StateName};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, PrivateBus, Process, RealtimeKit, Screen, Stream};

const SOON: Duration = Duration::from_secs(30);
const DOWN: KeyCode = KeyCode::KEY_DOWN;
const RIGHT: KeyCode = KeyCode::KEY_RIGHT;
/// Longer than a tap, shorter than anybody's patience.
const HOLD: Duration = Duration::from_millis(200);
/// Shorter than between any two edges of a hand, and so long that the server's last one is history to the scheduler: who asks
/// for a core again within microseconds has to wait for the next tick.
const APART: Duration = Duration::from_millis(3);

#[test]
fn a_chord_on_x11_is_a_take_and_the_server_may_die() {
    let mut server = match Screen::start() {
        Ok(server) => server,
        Err(skip) => return skip.say("the chord on an X server"),
    };
    let config = hardware_free(&[&rig::bundled().file], "keyboard.backend = 'x11'\naudio.wav_pace = 'fast'");
    let mut daemon = DaemonBuilder::new().config(&config).env([("DISPLAY", server.display())]).start();
    daemon.has("keyboard");
    for (down, up) in
        [([DOWN, RIGHT], [RIGHT, DOWN]), ([RIGHT, DOWN], [RIGHT, DOWN]), ([DOWN, RIGHT], [DOWN, RIGHT])]
    {
        assert_eq!(hold(&mut daemon, &server, &down, HOLD, &up), Outcome::Text);
    }
    // The server repeats a held key 25 times a second after 0.66 s.
    let chord = [DOWN, RIGHT];
    assert_eq!(hold(&mut daemon, &server, &chord, Duration::from_millis(1_500), &chord), Outcome::Text);
    assert_eq!(takes(&daemon), 4, "each hold was one take");

    server.press(&chord);
    daemon.recording();
    std::thread::sleep(HOLD);
    server.kill();
    assert_eq!(daemon.ended().outcome, Outcome::Text, "what was said until then is not lost");
    server.restart();
    // Pressed until it is heard: nobody can say when the daemon tries again.
    rig::await_some("the chord on the new server", SOON, || {
        server.press(&chord);
        let seen = daemon.within(Duration::from_secs(1), rig::is_recording);
        std::thread::sleep(HOLD);
        server.release(&chord);
        seen
    });
    assert_eq!(daemon.ended().outcome, Outcome::Text);
    let metrics = daemon.scrape();
    assert_eq!(metrics.sum("ptt_keyboard_source", &[("backend", "x11")]), Some(1.0));
    assert!(daemon.stop().status.success());
}

/// From the sending through XTEST to the daemon's reading, edge by edge: one key of the chord is tapped while the engine works on
/// all processors. As on a desktop, the key thread has the priority that rtkit gives, and the server has none.
#[test]
fn keys_are_detected_in_time_while_the_engine_decodes() {
    let found = Screen::start().and_then(|server| Ok((server, rig::model("tiny.en")?, PrivateBus::start()?)));
    let (server, model, bus) = match found {
        Ok(found) => found,
        Err(skip) => return skip.say("key detection on an X server while the engine decodes"),
    };
    let _alone = rig::heavy();
    let more = format!(
        "keyboard.backend = 'x11'\naudio.wav_pace = 'fast'\nstt.backend = 'native'\nstt.model = {model:?}\n\
         controller.decode_deadline_s = 60\nlog.filter = 'info,ptt_keyboard=trace'"
    );
    let config = hardware_free(&[&rig::bundled().file], &more);
    let rtkit = RealtimeKit::join(&bus);
    let mut daemon =
        DaemonBuilder::new().config(&config).env([("DISPLAY", server.display())]).env(bus.env()).start();
    daemon.has("keyboard");
    daemon.has("model");
    // When each edge was sent, when the server had dealt with it, and whether the engine was at work then.
    let mut sent = Vec::new();
    let mut send = |edge: fn(&Screen, &[KeyCode]), key, decoding| {
        let began = Moment::now();
        edge(&server, &[key]);
        sent.push((began, Moment::now(), decoding));
    };
    let mut presses = 0;
    while presses < 200 {
        daemon.listening();
        for key in [DOWN, RIGHT] {
            send(Screen::press, key, false);
        }
        daemon.recording();
        std::thread::sleep(HOLD);
        for key in [DOWN, RIGHT] {
            send(Screen::release, key, false);
        }
        daemon.until("decoding", |event| {
            matches!(event, ControllerEvent::Transition { to: StateName::Processing, .. }).then_some(())
        });
        while daemon.within(APART, is_end).is_none() {
            send(Screen::press, DOWN, true);
            std::thread::sleep(APART);
            send(Screen::release, DOWN, true);
            presses += 1;
        }
    }
    let read: Vec<Moment> = rig::await_some("the last edge in the log", SOON, || {
        let log = daemon.log();
        let times =
            log.lines().filter_map(|line| line.split_once("read_ns=")?.1.split(' ').next()?.parse().ok());
        let read: Vec<Moment> = times.map(Moment::from_nanos).collect();
        (read.len() >= sent.len()).then_some(read)
    });
    assert_eq!(read.len(), sent.len(), "every edge was read once");
    let while_decoding = || read.iter().zip(&sent).filter(|(_, (.., decoding))| *decoding);
    let took = sorted(while_decoding().map(|(read, (sent, ..))| read.since(*sent)));
    // The server and this test wait for a processor as the daemon does.
    let server_took = sorted(while_decoding().map(|(_, (sent, dealt, _))| dealt.since(*sent)));
    let then_took = sorted(while_decoding().map(|(read, (_, dealt, _))| read.since(*dealt)));
    let at = |took: &[Duration], percent| took[took.len() * percent / 100];
    rig::say(&format!(
        "x11, {} edges while the engine decodes, {}: from XTEST to the key thread p50 {:.1?}, p99 {:.1?}; to the server's \
         answer p50 {:.1?}, p99 {:.1?}; read after that answer p50 {:.1?}, p99 {:.1?}",
        took.len(),
        rtkit.gave().unwrap_or_else(|| "ordinary priority".to_owned()),
        at(&took, 50),
        at(&took, 99),
        at(&server_took, 50),
        at(&server_took, 99),
        at(&then_took, 50),
        at(&then_took, 99),
    ));
    // The tail of a busy machine is not ours, and is printed.
    assert!(at(&took, 50) < Duration::from_millis(2), "{:?}", at(&took, 50));
}

#[test]
fn who_gets_no_realtime_priority_gets_a_high_one() {
    let found = Screen::start().and_then(|server| Ok((server, PrivateBus::start()?)));
    let (server, bus) = match found {
        Ok(found) => found,
        Err(skip) => return skip.say("an rtkit that gives no realtime priority"),
    };
    let rtkit = RealtimeKit::without_realtime(&bus);
    let config = hardware_free(&[&rig::bundled().file], "keyboard.backend = 'x11'");
    let _daemon =
        DaemonBuilder::new().config(&config).env([("DISPLAY", server.display())]).env(bus.env()).start();
    assert_eq!(rtkit.given(), "ptt-keys high");
}

#[test]
fn keys_shows_what_each_backend_sees() {
    let server = match Screen::start() {
        Ok(server) => server,
        Err(skip) => return skip.say("`ptt-app keys` on an X server"),
    };
    let home = tempfile::tempdir().unwrap();
    let keys_command = |display: Option<&str>| {
        let mut command = Command::new(rig::program());
        command.arg("keys").env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
        command.env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY").envs(display.map(|at| ("DISPLAY", at)));
        Process::spawn(&mut command).unwrap()
    };
    let says = |process: &mut Process, line: &str| {
        process.line(Stream::Out, SOON, |said| said.starts_with(line).then_some(())).unwrap();
    };
    let mut shown = keys_command(Some(server.display()));
    says(&mut shown, "x11       listens");
    // Its table of arrows is another one.
    says(&mut shown, "inputbot  not usable: the backend inputbot cannot see Down, Right");
    server.press(&[RIGHT, KeyCode::KEY_Q, DOWN]);
    server.release(&[DOWN, KeyCode::KEY_Q, RIGHT]);
    for line in ["Right down", "Down down", "chord pressed", "Down up", "chord released", "Right up"] {
        says(&mut shown, &format!("x11       {line}"));
    }
    let ended = shown.stop().unwrap();
    assert!(ended.status.success(), "{}", ended.err);
    assert!(ended.out.contains("evdev     "), "{}", ended.out);
    assert!(!ended.out.contains('Q'), "what is not in the chord is not shown: {}", ended.out);

    let mut shown = keys_command(None);
    says(&mut shown, "x11       not usable: DISPLAY is not set");
    drop(shown);
}

fn hold(daemon: &mut Daemon, server: &Screen, down: &[KeyCode], time: Duration, up: &[KeyCode]) -> Outcome {
    daemon.listening();
    server.press(down);
    daemon.recording();
    std::thread::sleep(time);
    server.release(up);
    daemon.ended().outcome
}

fn sorted(took: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut took: Vec<Duration> = took.collect();
    took.sort_unstable();
    took
}

fn takes(daemon: &Daemon) -> usize {
    let begun = |event: &&ControllerEvent| {
        matches!(event, ControllerEvent::Transition { to: StateName::KeyPressed, .. })
    };
    daemon.seen().iter().filter(begun).count()
}

fn is_end(event: &ControllerEvent) -> Option<()> {
    matches!(event, ControllerEvent::Ended { .. }).then_some(())
}
