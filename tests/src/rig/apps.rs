//! Real applications with a field for text, in the compositor of the tests: what they received can be
//! read back. What is needed for it is installed, or the application is left out.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::sway::{Sway, await_some, on_path};
use super::x11::Screen;

/// Tells the server what is in its field, after every change and one at a time.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>field</title>
<textarea id="field" autofocus style="width:90vw;height:90vh"></textarea><script>
const field = document.getElementById('field');
let told = null, telling = false;
async function tell() {
    field.focus();
    if (telling || !document.hasFocus() || told === field.value) return;
    telling = true;
    const text = field.value;
    try { await fetch('/text', { method: 'POST', body: text }); told = text; } catch {}
    telling = false;
}
setInterval(tell, 20);
</script>"#;

/// Writes what is in its text view into a file, after every change.
const GTK_VIEW: &str = r"
import os, sys, gi
gi.require_version('Gtk', '3.0')
from gi.repository import GLib, Gtk
GLib.set_prgname('gtk-view')
path, view = sys.argv[1], Gtk.TextView()
def write(buffer):
    with open(path + '.new', 'w') as file:
        file.write(buffer.get_text(*buffer.get_bounds(), True))
    os.rename(path + '.new', path)
view.get_buffer().connect('changed', write)
window = Gtk.Window()
window.add(view)
window.connect('destroy', Gtk.main_quit)
window.show_all()
write(view.get_buffer())
Gtk.main()
";

/// The distribution's, which has GTK.
const PYTHON: &str = "/usr/bin/python3";
/// Ends itself, so that the tests can look for GTK in the Python that is there.
const HAS_GTK: &str = "import gi; gi.require_version('Gtk', '3.0'); from gi.repository import Gtk";

/// What a browser asks on its first start.
const FIREFOX_SETTINGS: &str = r#"
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("browser.sessionstore.resume_from_crash", false);
"#;

/// Mousepad looks at its file for changes that are not its own, but not for half a second around saving.
/// One that is stopped then takes its own saving for somebody else's when it goes on, and asks in a dialog,
/// which has the keyboard, whether to read the file again.
const MOUSEPAD_SETTINGS: &str = "[org/xfce/mousepad/preferences/file]\nmonitor-changes=false\n";

/// The applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum App {
    /// A page in Chromium.
    Chromium,
    /// A page in Firefox.
    Firefox,
    /// A text view of GTK 3.
    GtkView,
    /// An editor.
    Mousepad,
    /// A terminal.
    Foot,
}

/// A running one, with the focus. Ended when dropped.
#[derive(Debug)]
pub struct AppWindow {
    child: Child,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(PathBuf),
    Page(Arc<Mutex<Option<String>>>),
}

impl App {
    /// The package that is missing for it.
    #[must_use]
    pub fn lacks(self) -> Option<&'static str> {
        let (there, package) = match self {
            Self::Chromium => (on_path("chromium"), "chromium"),
            Self::Firefox => (on_path("firefox-esr"), "firefox-esr"),
            Self::GtkView => (
                Command::new(PYTHON).args(["-c", HAS_GTK]).output().is_ok_and(|o| o.status.success()),
                "python3-gi gir1.2-gtk-3.0",
            ),
            Self::Mousepad => (on_path("mousepad"), "mousepad"),
            Self::Foot => (on_path("foot"), "foot"),
        };
        (!there).then_some(package)
    }

    /// Whether it writes its file only when its user says so.
    #[must_use]
    pub fn has_to_save(self) -> bool {
        self == Self::Mousepad
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(self, sway: &Sway) -> AppWindow {
        let file = sway.dir().join(format!("{self:?}.txt"));
        let profile = sway.dir().join("profile");
        match self {
            Self::Chromium => {
                let (url, content) = serve();
                let mut command = sway.program("chromium");
                command.arg("--ozone-platform=wayland").args(chromium(&profile, &url));
                page(&mut command, content, || ())
            }
            Self::Firefox => {
                let (url, content) = serve();
                make(sway, &profile);
                fs::write(profile.join("user.js"), FIREFOX_SETTINGS).expect("the folder is ours");
                let mut command = sway.program("firefox-esr");
                command.envs([("MOZ_ENABLE_WAYLAND", "1"), ("MOZ_CRASHREPORTER_DISABLE", "1")]);
                command.args(["--no-remote", "--profile"]).arg(profile).args(["--kiosk", &url]);
                page(&mut command, content, || ())
            }
            Self::GtkView => {
                let mut command = sway.program(PYTHON);
                let child = command.args(["-c", GTK_VIEW]).arg(&file).spawn().expect("python3 is there");
                sway.await_focus("gtk-view");
                AppWindow { child, content: Content::File(file) }
            }
            Self::Mousepad => {
                let settings = sway.dir().join(".config/glib-2.0/settings");
                make(sway, &settings);
                fs::write(settings.join("keyfile"), MOUSEPAD_SETTINGS).expect("the folder is ours");
                let mut command = sway.program("mousepad");
                command.env("GSETTINGS_BACKEND", "keyfile");
                let child = command.arg("--disable-server").arg(&file).spawn().expect("mousepad is there");
                sway.await_focus(".*mousepad.*");
                AppWindow { child, content: Content::File(file) }
            }
            Self::Foot => {
                // A line of a terminal holds 4,095 bytes, unless its program wants single characters.
                let script = format!("stty raw -echo; echo ready >&3; exec cat > {}", file.display());
                let (ready, theirs) = io::pipe().expect("the system has a pipe left");
                let mut command = sway.program("sh");
                command.args(["-c", "exec foot -a terminal sh -c \"$0\" 3>&1", &script]);
                let child = command.stdout(theirs).spawn().expect("foot is there");
                drop(command);
                let mut line = String::new();
                BufReader::new(ready).read_line(&mut line).expect("foot's shell writes");
                sway.await_focus("terminal");
                AppWindow { child, content: Content::File(file) }
            }
        }
    }
}

impl AppWindow {
    /// Chromium on an X server, with its files in `folder`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn chromium_on(screen: &Screen, folder: &Path) -> Self {
        let (url, content) = serve();
        let mut command = Command::new("chromium");
        command.env("DISPLAY", screen.display()).env("HOME", folder).env_remove("WAYLAND_DISPLAY");
        command.args(["--ozone-platform=x11", "--class=Field"]);
        command.args(chromium(&folder.join("profile"), &url)).stderr(Stdio::null());
        // There is no window manager that would give it the keyboard.
        page(&mut command, content, || screen.focus_on("Field"))
    }

    /// Has `press` type until a page receives it: a browser that has just come up drops keys, although
    /// its page has the focus. Returns what the page has then. The other applications receive from the
    /// start, and nothing is typed.
    ///
    /// # Panics
    /// When the page receives nothing.
    #[must_use]
    pub fn awaken(&self, mut press: impl FnMut()) -> String {
        if matches!(self.content, Content::File(_)) {
            return String::new();
        }
        for _ in 0..60 {
            press();
            for _ in 0..50 {
                thread::sleep(Duration::from_millis(10));
                if !self.text().is_empty() {
                    return self.settled();
                }
            }
        }
        panic!("the page receives no key");
    }

    /// What it has received, once nothing comes any more of what was typed before.
    fn settled(&self) -> String {
        loop {
            let text = self.text();
            thread::sleep(Duration::from_millis(500));
            if self.text() == text {
                return text;
            }
        }
    }

    /// What it has received.
    ///
    /// # Panics
    /// When the test's own thread did.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.content {
            Content::File(file) => String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned(),
            Content::Page(text) => {
                text.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
            }
        }
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops it, until it is woken.
    #[must_use]
    pub fn stop(&self) -> Stopped {
        self.signal(Signal::STOP);
        Stopped(Pid::from_child(&self.child))
    }

    fn signal(&self, signal: Signal) {
        // It may have ended; its id is not given to another one before it is waited for.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

/// A stopped application.
#[derive(Debug)]
pub struct Stopped(Pid);

impl Stopped {
    /// Lets it go on.
    pub fn wake(&self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

impl Drop for AppWindow {
    fn drop(&mut self) {
        // Browsers end their other processes.
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let ended = |child: &mut Child| {
            (0..300).any(|_| {
                thread::sleep(Duration::from_millis(10));
                !matches!(child.try_wait(), Ok(None))
            })
        };
        if !ended(&mut self.child) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The arguments that Chromium needs for a page, in a window of its own.
fn chromium(profile: &Path, url: &str) -> Vec<String> {
    let fixed = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"];
    let mut arguments = fixed.map(str::to_owned).to_vec();
    arguments.push("--password-store=basic".to_owned());
    arguments.extend([format!("--user-data-dir={}", profile.display()), format!("--app={url}")]);
    arguments
}

/// Starts a browser, and waits until the page has the focus; `focus` gives it to the browser's window.
fn page(command: &mut Command, content: Arc<Mutex<Option<String>>>, focus: impl FnOnce()) -> AppWindow {
    let child = command.stdout(Stdio::null()).spawn().expect("the browser is there");
    focus();
    await_some("the page's focus", || {
        content.lock().unwrap_or_else(PoisonError::into_inner).is_some().then_some(())
    });
    AppWindow { child, content: Content::Page(content) }
}

/// A folder that the compositor's programs may write to.
fn make(sway: &Sway, folder: &Path) {
    let made = sway.program("mkdir").arg("-p").arg(folder).status();
    assert!(made.is_ok_and(|status| status.success()), "{} is made", folder.display());
}

/// Serves the page until the test ends: its address, and what is in its field once it has the focus.
fn serve() -> (String, Arc<Mutex<Option<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("it has an address");
    let content = Arc::new(Mutex::new(None));
    let field = Arc::clone(&content);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let field = Arc::clone(&field);
            thread::spawn(move || answer(stream, &field));
        }
    });
    (format!("http://{address}/"), content)
}

fn answer(stream: TcpStream, field: &Mutex<Option<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    reader.read_line(&mut head).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(("content-length", value)) = line.to_ascii_lowercase().split_once(':') {
            length = value.trim().parse().ok()?;
        }
    }
    let body = if head.starts_with("POST") {
        let mut text = vec![0; length];
        reader.read_exact(&mut text).ok()?;
        *field.lock().unwrap_or_else(PoisonError::into_inner) = Some(String::from_utf8_lossy(&text).into());
        ""
    } else {
        PAGE
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close";
    write!(&stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()
}
