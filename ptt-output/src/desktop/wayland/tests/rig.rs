//! A real compositor without a screen (sway), a real window in it (foot, a terminal), and the clipboard's real tools.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use super::super::Wayland;
use super::super::client::Client;
use super::super::toplevel::Toplevels;

/// Long past anything that should happen.
pub const LONG: Duration = Duration::from_secs(30);
/// The account sway runs under when the tests run as root, which sway refuses: `nobody`.
const NOBODY: u32 = 65_534;

/// A compositor with a runtime directory of its own. Ended, with all in it, when dropped.
pub struct Sway {
    dir: TempDir,
    child: Child,
    display: String,
}

/// A terminal that writes all it is given into a file. Ended when dropped.
pub struct Reader {
    child: Child,
    file: PathBuf,
}

impl Sway {
    /// Starts it, or says why `test` is skipped.
    pub fn start(test: &str) -> Option<Self> {
        for (program, package) in [("sway", "sway"), ("foot", "foot"), ("wl-copy", "wl-clipboard")] {
            if !on_path(program) {
                skip(test, &format!("no {program} here; install the package `{package}`"));
                return None;
            }
        }
        let dir = TempDir::new().unwrap();
        if getuid().is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let config = dir.path().join("config");
        fs::write(&config, "xwayland disable\nexec echo display $WAYLAND_DISPLAY\n").unwrap();
        let mut child = program("sway", dir.path())
            .args(["-c".as_ref(), config.as_os_str()])
            .envs([
                ("WLR_BACKENDS", "headless"),
                ("WLR_RENDERER", "pixman"),
                ("WLR_LIBINPUT_NO_DEVICES", "1"),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let display = lines.find_map(|line| Some(line.unwrap().strip_prefix("display ")?.to_owned()));
        let display = display.expect("sway starts and says its display");
        Some(Self { dir, child, display })
    }

    /// The path of its socket.
    pub fn socket(&self) -> String {
        self.dir.path().join(&self.display).to_str().unwrap().to_owned()
    }

    pub fn connect(&self) -> Wayland {
        Wayland::connect(&self.socket()).unwrap()
    }

    /// A program in it.
    pub fn program(&self, name: &str) -> Command {
        let mut command = program(name, self.dir.path());
        command.env("WAYLAND_DISPLAY", &self.display);
        command
    }

    /// A terminal with the focus, which reads what is typed and pasted.
    pub fn reader(&self, app: &str) -> Reader {
        let file = self.dir.path().join(app);
        let script = format!("echo ready >&3; exec cat > {}", file.display());
        let (ready, theirs) = std::io::pipe().unwrap();
        let mut command = self.program("sh");
        command.args(["-c", "exec foot -a \"$0\" sh -c \"$1\" 3>&1", app, &script]);
        let child = command.stdout(theirs).spawn().unwrap();
        drop(command);
        let mut line = String::new();
        BufReader::new(ready).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "foot starts");
        let mut watcher = client(&self.socket());
        Toplevels::watch(&mut watcher).unwrap();
        await_some("the window's focus", || {
            watcher.sync().unwrap();
            watcher.world.toplevels.focused().filter(|window| window.app == app)
        });
        Reader { child, file }
    }

    /// Puts `content` into the clipboard, as a program of the user's.
    pub fn copy(&self, arguments: &[&str], content: &[u8]) {
        let mut child = self.program("wl-copy").args(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// What is in the clipboard; nothing when it is empty or has nothing of the kind.
    pub fn pasted(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        let output = self.program("wl-paste").args(arguments).stderr(Stdio::null()).output().unwrap();
        output.status.success().then_some(output.stdout)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Sway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reader {
    /// All it was given so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.file).unwrap()).into_owned()
    }

    /// All it was given, once that ends with `end`.
    pub fn text_until(&self, end: &str) -> String {
        await_some(&format!("{end:?} to be read"), || Some(self.text()).filter(|text| text.ends_with(end)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection without a thread: nothing happens but in calls.
pub fn client(socket: &str) -> Client {
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    Client::new(UnixStream::connect(socket).unwrap(), Arc::new(bell)).unwrap()
}

/// Looks until `ready` gives something. For what cannot be awaited: another process's file.
pub fn await_some<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < end, "waited for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Prints a line past the test runner's capture.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn skip(test: &str, why: &str) {
    assert!(env::var_os("PTT_REQUIRE_RIGS").is_none(), "{test} may not be skipped: {why}");
    say(&format!("SKIPPED {test}: {why}"));
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// A program with nothing of our own environment but the path.
fn program(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    command.envs([("HOME", dir), ("XDG_RUNTIME_DIR", dir)]).env("LANG", "C.UTF-8");
    command.current_dir(dir).stdin(Stdio::null()).stderr(Stdio::null());
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
