//! Real applications under a real compositor receive every character, idle and while they stand still,
//! survive it, and no key binding fires. Each test runs where its application is installed.

use std::fmt::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ptt_messages::TakeId;
use ptt_output::desktop::Desktop;
use ptt_output::desktop::wayland::Wayland;
use ptt_output::{DeskSink, Sink};
use ptt_tests::rig::{self, App, AppWindow, Skip, Sway};

/// How long a window stands still.
const STILL: Duration = Duration::from_secs(3);
/// How long it may take to show what it was sent, on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// What is typed: too short to be pasted.
const TYPED: usize = 490;
/// What is pasted.
const PASTED: usize = 10_000;

/// Some of what windows have to receive, where the whole list is not there.
const TEXTS: [&str; 6] = [
    "Hello World, WHY? 50% of #1: \"A&B\" x+y* {Z} <T> ~^|_@$ `q`!",
    "Die Straße: Größe, Übung, çà et là, œuvre, l’été – «où»?",
    "Привет, как дела? Ёж. αβγδεζηθικλμνξοπρστυφχψω",
    "你好，世界！😀👍🏽 éä 👩‍👩‍👧 🇩🇪 שלום עולם مرحبا",
    "Thank you! Tom can come at 5: $20, 50% off.",
    "Rome and Rio.",
];

/// Kernel codes of the keys that a US keyboard writes by, and of Tab, Return and Insert.
const WRITING: [(u16, u16); 6] = [(2, 13), (15, 28), (30, 41), (43, 53), (57, 57), (110, 110)];

#[test]
fn chromium_receives_all_of_it() {
    receives(App::Chromium);
}

#[test]
fn firefox_receives_all_of_it() {
    receives(App::Firefox);
}

#[test]
fn a_gtk_3_text_view_receives_all_of_it() {
    receives(App::GtkView);
}

#[test]
fn mousepad_receives_all_of_it() {
    receives(App::Mousepad);
}

#[test]
fn foot_receives_all_of_it() {
    receives(App::Foot);
}

/// Delivers every text to the application while it is idle, then short and long ones while it stands still.
fn receives(app: App) {
    let _alone = rig::heavy();
    let what = format!("texts into {app:?}");
    if let Some(package) = app.lacks() {
        return Skip(format!("install the package `{package}`")).say_only(&what);
    }
    let sway = match Sway::start_with(bindings) {
        Ok(sway) => sway,
        Err(why) => return Skip(why).say(&what),
    };
    // A seat of a user has a keyboard; without one no window has its focus.
    let _users = Wayland::connect(&sway.socket()).unwrap();
    let window = app.start(&sway);
    let display = sway.socket();
    let config = toml::from_str("sink = \"auto\"\nnotify = false").unwrap();
    let mut sink = DeskSink::on(&config, move || Ok(Box::new(Wayland::connect(&display)?)));
    let all = window.awaken(|| {
        sink.deliver(TakeId(1), ".").unwrap();
        sink.rest();
    });
    let mut reading = Receiving { app, window, sink, sway: &sway, all, saver: None };
    for text in texts() {
        reading.deliver(&text);
    }
    reading.deliver(&capitals(TYPED));
    reading.deliver(&sentences(PASTED));
    let in_between = texts().concat().chars().take(TYPED).collect::<String>();
    for text in [in_between, capitals(TYPED), sentences(PASTED)] {
        let pid = reading.window.stop();
        let waking = thread::spawn(move || {
            thread::sleep(STILL);
            pid.wake();
        });
        reading.deliver(&text);
        waking.join().unwrap();
    }
    assert!(reading.window.lives(), "{app:?} survives");
    let fired: Vec<String> = std::fs::read_dir(sway.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("fired"))
        .collect();
    assert!(fired.is_empty(), "{fired:?}");
}

/// An application, and what it has to have received.
struct Receiving<'s> {
    app: App,
    window: AppWindow,
    sink: DeskSink,
    sway: &'s Sway,
    all: String,
    /// Presses the keys that save.
    saver: Option<Wayland>,
}

impl Receiving<'_> {
    /// Delivers a text, and waits until the application has all of it.
    fn deliver(&mut self, text: &str) {
        let begun = Instant::now();
        self.sink.deliver(TakeId(1), text).unwrap();
        self.all += text;
        let delivered = begun.elapsed();
        if self.app.has_to_save() {
            // The next owner of the clipboard would take it from under a reader that is not done.
            let pasted = || self.sway.pasted(&["-n"]).is_some_and(|there| there == text.as_bytes());
            rig::await_some("the old clipboard", SOON, || (!pasted()).then_some(()));
        }
        loop {
            let received = self.received();
            if received == self.all {
                break;
            }
            let late = begun.elapsed() > SOON;
            assert!(!late, "{:?} lacks some: {:?}", self.app, difference(&received, &self.all));
            thread::sleep(Duration::from_millis(5));
        }
        self.sink.rest();
        let count = text.chars().count();
        rig::say(&format!(
            "{:?}: {count} characters delivered after {delivered:.1?}, there after {:.1?}",
            self.app,
            begun.elapsed()
        ));
    }

    fn received(&mut self) -> String {
        if self.app.has_to_save() {
            let saver = self.saver.get_or_insert_with(|| Wayland::connect(&self.sway.socket()).unwrap());
            // It pastes nothing, so nobody takes it.
            let _ = saver.paste("", "Ctrl+S".parse().unwrap(), Duration::from_millis(1));
        }
        self.window.text()
    }
}

/// Where two texts part: the position, and what follows there.
pub(crate) fn difference(seen: &str, wanted: &str) -> (usize, String, String) {
    let at = seen.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
    let rest = |text: &str| text.chars().skip(at).take(20).collect();
    (at, rest(seen), rest(wanted))
}

/// Every text of the list, each with a space behind it.
pub(crate) fn texts() -> Vec<String> {
    let list = rig::workspace().join("../shared/cases/texts.tsv");
    let texts: Vec<String> = match std::fs::read_to_string(list) {
        Ok(list) => list.lines().filter_map(|line| Some(line.split_once('\t')?.1.to_owned())).collect(),
        Err(_) => TEXTS.map(str::to_owned).to_vec(),
    };
    texts.into_iter().map(|text| text + " ").collect()
}

/// The worst for a window: every other key has another modifier.
pub(crate) fn capitals(count: usize) -> String {
    "aBcD eFgH, iJ! ".chars().cycle().take(count).collect()
}

fn sentences(count: usize) -> String {
    "The quick brown fox jumps over the lazy dog: Größe 5! ".chars().cycle().take(count).collect()
}

/// Leaves a file behind when a key is pressed that writes nothing.
fn bindings(dir: &Path) -> String {
    let mut lines = String::new();
    let writes =
        |code: u16| WRITING.iter().any(|&(first, last)| (first..=last).contains(&code)) || code == 86;
    for code in (1..=247).filter(|code| !writes(*code)) {
        for modifiers in ["", "Shift+", "Mod5+", "Mod3+"] {
            let file = dir.join(format!("fired-{modifiers}{code}"));
            let _ = writeln!(lines, "bindcode {modifiers}{} exec touch {}", code + 8, file.display());
        }
    }
    lines
}
