//! Everything real but the hand: the chord is held on a real X server by XTEST, speech comes through a real PulseAudio, the
//! engine recognises it, and the text is read back from a real terminal.
//!
//! Two desktops run side by side, because a take takes as long as what is said in it.

use std::time::{Duration, Instant};

use evdev::KeyCode;
use ptt_app::wer::Errors;
use ptt_messages::{Component, ControllerEvent, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, PrivatePulse, Screen, Spoken, TakeReport, Terminal};

const SOON: Duration = Duration::from_secs(60);
const TAKES: usize = 25;
/// The chord and the cancel key: keys that type nothing into a terminal.
const TALK: &[KeyCode] = &[KeyCode::KEY_PAUSE];
const CANCEL: KeyCode = KeyCode::KEY_SCROLLLOCK;
const CTRL: &[KeyCode] = &[KeyCode::KEY_LEFTCTRL];
/// What the rule writes for "the".
const FOREIGN: &str = "é ü ß ñ 你好 🎤 Ω";
/// The shortest clips, "the" among their words.
const SHORT: [&str; 6] = ["cvo-005", "cvo-004", "cvo-002", "cvo-036", "cv6-523969", "cv6-111554"];

/// A server, a terminal on it, and a daemon that has both as its desktop.
struct Desk {
    screen: Screen,
    terminal: Terminal,
    daemon: Daemon,
    /// What the terminal has to hold.
    lines: Vec<String>,
}

impl Desk {
    fn new(screen: Screen, env: &[(&str, String)], more: &str) -> Self {
        let terminal = screen.terminal("Speech");
        let more = format!(
            "keyboard.backend = 'x11'\nkeyboard.chord = 'Pause'\nkeyboard.cancel = 'ScrollLock'\n\
             output.sink = 'auto'\noutput.notify = false\noutput.trailing = 'newline'\noutput.newline = 'enter'\n\
             output.wait_for_modifiers_ms = 60000\n{more}"
        );
        let display = ("DISPLAY", screen.display().to_owned());
        let env = env.iter().cloned().chain([display]);
        let config = hardware_free(&[&rig::bundled().file], &more);
        let daemon = DaemonBuilder::new().config(&config).env(env).start();
        daemon.has("keyboard");
        Self { screen, terminal, daemon, lines: Vec::new() }
    }

    /// Holds the chord while `hold` runs. The take goes on.
    fn hold(&mut self, hold: impl FnOnce(&mut Self)) {
        self.daemon.listening();
        self.screen.press(TALK);
        self.daemon.recording();
        hold(self);
        self.screen.release(TALK);
    }

    /// The take's end; its text is due in the terminal from now on.
    fn text(&mut self) -> TakeReport {
        let report = self.daemon.ended();
        assert_eq!(report.outcome, Outcome::Text, "{}", self.daemon.log());
        self.lines.push(ruled(&report.text));
        report
    }

    fn assert_lines(&self) {
        assert_eq!(self.terminal.lines(self.lines.len()), self.lines, "{}", self.daemon.log());
    }

    /// The server dies as in a crash and comes back, with a new terminal.
    fn restart(&mut self) {
        self.screen.restart();
        self.terminal = self.screen.terminal("Speech");
        self.lines.clear();
    }
}

/// The rule, word by word.
fn ruled(text: &str) -> String {
    let word =
        |word: &str| if word.eq_ignore_ascii_case("the") { FOREIGN.to_owned() } else { word.to_owned() };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn fifty_spoken_takes_stand_in_the_window() {
    let _alone = rig::heavy();
    let found = rig::model("tiny.en").and_then(|model| {
        Ok((model, [Screen::start()?, Screen::start()?], [PrivatePulse::start()?, PrivatePulse::start()?]))
    });
    let (model, screens, pulses) = match found {
        Ok(found) => found,
        Err(skip) => return skip.say("fifty spoken takes into a window"),
    };
    let began = Instant::now();
    let mut clips = rig::speech();
    clips.retain(|clip| SHORT.contains(&clip.id.as_str()));
    if clips.is_empty() {
        clips.push(rig::bundled());
    }
    let more = format!(
        "keyboard.swallow = true\naudio.backend = 'cpal'\naudio.host = 'pulseaudio'\nstt.backend = 'native'\nstt.model = {model:?}\n\
         stt.strategy = 'live'\noutput.replace = [{{ from = 'the', to = {FOREIGN:?} }}]"
    );
    let errors = from_files(&clips, &more);
    let extra: usize = std::thread::scope(|scope| {
        let (clips, errors, more) = (&clips, &errors, &more);
        let sides: Vec<_> = screens
            .into_iter()
            .zip(pulses)
            .enumerate()
            .map(|(number, (screen, pulse))| {
                scope.spawn(move || {
                    let mut desk = Desk::new(screen, &pulse.env(), more);
                    desk.daemon.has("microphone");
                    desk.daemon.has("model");
                    (0..TAKES)
                        .map(|take| spoken(&mut desk, &pulse, number, take, clips, errors))
                        .sum::<usize>()
                })
            })
            .collect();
        sides.into_iter().map(|side| side.join().unwrap()).sum()
    });
    rig::say(&format!(
        "x11, PulseAudio, tiny.en: {} spoken takes, 0 wrong or lost, {extra} words other than from the file, in {:.0?}",
        2 * TAKES,
        began.elapsed()
    ));
}

/// How many words are wrong in what `transcribe` makes of each clip.
fn from_files(clips: &[Spoken], more: &str) -> Vec<usize> {
    let mut args = vec!["transcribe".to_owned(), "--json".to_owned()];
    args.extend(clips.iter().map(|clip| clip.file.display().to_string()));
    let done = DaemonBuilder::new().config(&hardware_free(&[], more)).run(&args);
    assert!(done.status.success(), "{}", done.err);
    let texts = done.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    texts
        .zip(clips)
        .map(|(said, clip)| Errors::of(&clip.text, said["text"].as_str().unwrap()).edits)
        .collect()
}

/// One take, with what is particular about it. Gives the words that are wrong and were not from the file.
fn spoken(
    desk: &mut Desk,
    pulse: &PrivatePulse,
    side: usize,
    take: usize,
    clips: &[Spoken],
    errors: &[usize],
) -> usize {
    let at = (take + side * TAKES) % clips.len();
    let (ctrl, caps, killed) = (take % 6 == 2, take % 6 == 4, take == TAKES - 2);
    // Half of them on a German keyboard.
    if take == TAKES / 2 {
        desk.screen.layout("de");
    }
    if caps {
        desk.screen.tap(KeyCode::KEY_CAPSLOCK);
    }
    let speaking = pulse.speak(&clips[at].file).unwrap();
    if killed {
        desk.daemon.listening();
        desk.screen.press(TALK);
        desk.daemon.recording();
        speaking.wait(SOON).unwrap();
        // What is said is held by the keyboard; with it the take ends.
        desk.screen.kill();
    } else {
        desk.hold(|desk| {
            speaking.wait(SOON).unwrap();
            if ctrl {
                desk.screen.press(CTRL);
            }
        });
    }
    let report = desk.text();
    if ctrl {
        // Many times what a text takes to its window.
        let early = desk.daemon.within(Duration::from_millis(150), |event| {
            matches!(event, ControllerEvent::Delivered { take, .. } if *take == report.take).then_some(())
        });
        let due = desk.lines.len() - 1;
        assert!(early.is_none() && desk.terminal.lines(due).len() == due, "typed while Ctrl is down");
        desk.screen.release(CTRL);
    }
    if killed {
        desk.daemon.until("the failed delivery", |event| match event {
            ControllerEvent::Fault { take, fault } if *take == Some(report.take) => {
                (fault.component == Component::Output).then_some(())
            }
            _ => None,
        });
        desk.restart();
        desk.lines.push(ruled(&report.text));
        desk.daemon.ask("retry").unwrap();
        desk.assert_lines();
        desk.daemon.has("keyboard");
    }
    desk.assert_lines();
    // The window may be quicker to read than the server to put it back.
    rig::await_some("Caps Lock as it was", SOON, || (desk.screen.caps_lock() == caps).then_some(()));
    if caps {
        desk.screen.tap(KeyCode::KEY_CAPSLOCK);
    }
    let wrong = Errors::of(&clips[at].text, &report.text).edits;
    assert!(wrong <= errors[at] + 1, "{:?} was heard as {:?}", clips[at].text, report.text);
    wrong.saturating_sub(errors[at])
}

/// A key that is held for a minute is told as 1,500 presses. Here as many come in a few seconds.
#[test]
fn a_key_that_repeats_for_a_minute_is_one_take() {
    const REPEATS: usize = 1_500;
    let screen = match Screen::start_with(&["-ardelay", "20", "-arinterval", "2"]) {
        Ok(screen) => screen,
        Err(skip) => return skip.say("a key that repeats for a minute"),
    };
    let mut desk = Desk::new(screen, &[], "audio.wav_pace = 'fast'\nstt.canned_texts = ['one take']");
    let presses = desk.screen.presses();
    desk.hold(|desk| {
        for number in 0..REPEATS {
            presses.recv_timeout(SOON).unwrap_or_else(|_| panic!("{number} presses, and no more"));
        }
        desk.screen.focus(desk.terminal.window());
    });
    desk.text();
    desk.hold(|_| std::thread::sleep(Duration::from_millis(200)));
    desk.text();
    desk.assert_lines();
    let begun = desk.daemon.seen().iter().filter(|event| rig::is_recording(event).is_some()).count();
    assert_eq!(begun, 2, "each hold was one take");
}

#[test]
fn escape_while_a_text_waits_types_nothing_and_a_retry_does() {
    let screen = match Screen::start() {
        Ok(screen) => screen,
        Err(skip) => return skip.say("a text that is cancelled while it waits"),
    };
    let texts = "audio.wav_pace = 'fast'\nstt.canned_texts = ['withdrawn', 'typed']";
    let mut desk = Desk::new(screen, &[], texts);
    desk.hold(|desk| {
        std::thread::sleep(Duration::from_millis(200));
        desk.screen.press(CTRL);
    });
    let report = desk.text();
    desk.screen.tap(CANCEL);
    desk.daemon.until("the withdrawal", |event| {
        matches!(event, ControllerEvent::Withdrawn { take } if *take == report.take).then_some(())
    });
    desk.screen.release(CTRL);
    // What comes after it is typed, and alone: texts are put out one after the other.
    desk.lines.clear();
    desk.hold(|_| std::thread::sleep(Duration::from_millis(200)));
    desk.text();
    desk.assert_lines();
    assert_eq!(desk.lines, ["typed"]);

    desk.daemon.ask("retry").unwrap();
    desk.lines.push("withdrawn".to_owned());
    desk.assert_lines();
}
