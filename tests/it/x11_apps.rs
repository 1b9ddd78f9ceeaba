//! A real browser on a real X server receives every character.

use std::thread;
use std::time::{Duration, Instant};

use ptt_messages::TakeId;
use ptt_output::desktop::x11::X11;
use ptt_output::{DeskSink, Sink};
use ptt_tests::rig::{self, App, AppWindow, Screen, Skip};
use tempfile::TempDir;

use crate::section;
use crate::wayland_apps::{capitals, difference, texts};

/// How long it may take to show what it was sent, on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// How long the window is stopped.
const STILL: Duration = Duration::from_millis(300);
/// What is typed at once: too short to be pasted.
const TYPED: usize = 490;

#[test]
fn chromium_receives_all_of_it() {
    let _alone = rig::heavy();
    let what = "texts into Chromium on X11";
    if let Some(package) = App::Chromium.lacks() {
        return Skip(format!("install the package `{package}`")).say_only(what);
    }
    let screen = match Screen::start() {
        Ok(screen) => screen,
        Err(skip) => return skip.say(what),
    };
    let folder = TempDir::with_prefix("ptt-chromium-").unwrap();
    let window = AppWindow::chromium_on(&screen, folder.path());
    let display = screen.display().to_owned();
    let config = section("sink = \"auto\"\nnotify = false");
    let mut sink = DeskSink::on(&config, move || Ok(Box::new(X11::connect(&display)?)));
    let mut all = window.awaken(|| {
        sink.deliver(TakeId(1), ".").unwrap();
        sink.rest();
    });
    let mut deliver = |text: &str, stands_still: bool| {
        let stopped = stands_still.then(|| window.stop());
        sink.deliver(TakeId(1), text).unwrap();
        all += text;
        if let Some(window) = stopped {
            thread::sleep(STILL);
            window.wake();
        }
        let begun = Instant::now();
        while window.text() != all {
            let late = begun.elapsed() > SOON;
            assert!(!late, "Chromium lacks some: {:?}", difference(&window.text(), &all));
            thread::sleep(Duration::from_millis(5));
        }
        sink.rest();
    };
    for stands_still in [false, true] {
        for text in texts() {
            deliver(&text, stands_still);
        }
        deliver(&capitals(TYPED), stands_still);
    }
}
