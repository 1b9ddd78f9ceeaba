//! A real compositor without a screen (sway), a real window in it (foot, a terminal), and the clipboard's real tools.
//!
//! Stands by itself: the tests of `ptt-output`, of which this package is made, read this file too.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// Long past anything that should happen.
pub const LONG: Duration = Duration::from_secs(30);
/// The account sway runs under when the tests run as root, which sway refuses: `nobody`.
const NOBODY: u32 = 65_534;

/// A compositor with a runtime directory of its own. Ended, with all in it, when dropped.
#[derive(Debug)]
pub struct Sway {
    dir: TempDir,
    child: Child,
    display: String,
    control: String,
}

/// A terminal that writes all it is given into a file. Ended when dropped.
#[derive(Debug)]
pub struct Reader {
    child: Child,
    file: PathBuf,
}

impl Sway {
    /// Starts it.
    ///
    /// # Errors
    /// What is not there, and the package that has it.
    ///
    /// # Panics
    /// When all is there, and it does not come up.
    pub fn start() -> Result<Self, String> {
        Self::start_with(|_| String::new())
    }

    /// Starts it with more lines of configuration, made for its folder.
    ///
    /// # Errors
    /// As [`Self::start`].
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn start_with(more: impl FnOnce(&Path) -> String) -> Result<Self, String> {
        for (program, package) in [("sway", "sway"), ("foot", "foot"), ("wl-copy", "wl-clipboard")] {
            if !on_path(program) {
                return Err(format!("no {program} here; install the package `{package}`"));
            }
        }
        let dir = TempDir::with_prefix("ptt-sway-").expect("a temporary folder can be made");
        if getuid().is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
        }
        let config = dir.path().join("config");
        let tell = "xwayland disable\nexec echo display $WAYLAND_DISPLAY $SWAYSOCK\n";
        fs::write(&config, tell.to_owned() + &more(dir.path())).expect("the folder is ours");
        let mut child = program("sway", dir.path())
            .args(["-c".as_ref(), config.as_os_str()])
            .envs([
                ("WLR_BACKENDS", "headless"),
                ("WLR_RENDERER", "pixman"),
                ("WLR_LIBINPUT_NO_DEVICES", "1"),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("sway can be started");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let told = lines.map_while(Result::ok).find_map(|line| {
            let (display, control) = line.strip_prefix("display ")?.split_once(' ')?;
            Some((display.to_owned(), control.to_owned()))
        });
        let (display, control) = told.expect("sway says where it listens");
        Ok(Self { dir, child, display, control })
    }

    /// The path of its socket.
    ///
    /// # Panics
    /// Never: the folder's name is UTF-8.
    #[must_use]
    pub fn socket(&self) -> String {
        self.dir.path().join(&self.display).to_str().expect("it is UTF-8").to_owned()
    }

    /// The folder of its files and of its programs' homes. They may write there.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A program in it.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = program(name, self.dir.path());
        command.env("WAYLAND_DISPLAY", &self.display);
        command
    }

    /// A terminal with the focus, which reads what is typed and pasted.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn reader(&self, app: &str) -> Reader {
        let file = self.dir().join(app);
        let script = format!("echo ready >&3; exec cat > {}", file.display());
        let (ready, theirs) = std::io::pipe().expect("the system has a pipe left");
        let mut command = self.program("sh");
        command.args(["-c", "exec foot -a \"$0\" sh -c \"$1\" 3>&1", app, &script]);
        let child = command.stdout(theirs).spawn().expect("foot can be started");
        drop(command);
        let mut line = String::new();
        BufReader::new(ready).read_line(&mut line).expect("foot's shell writes");
        assert_eq!(line, "ready\n", "foot starts");
        self.await_focus(app);
        Reader { child, file }
    }

    /// Puts `content` into the clipboard, as a program of the user's.
    ///
    /// # Panics
    /// When that fails.
    pub fn copy(&self, arguments: &[&str], content: &[u8]) {
        let mut command = self.program("wl-copy");
        let mut child =
            command.args(arguments).stdin(Stdio::piped()).spawn().expect("wl-copy can be started");
        child.stdin.take().expect("it is piped").write_all(content).expect("wl-copy reads");
        assert!(child.wait().expect("it is our child").success());
    }

    /// What is in the clipboard; nothing when it is empty or has nothing of the kind.
    ///
    /// # Panics
    /// When `wl-paste` cannot be started.
    #[must_use]
    pub fn pasted(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        let output = self.program("wl-paste").args(arguments).stderr(Stdio::null()).output();
        let output = output.expect("wl-paste can be started");
        output.status.success().then_some(output.stdout)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits until a window of that application has the focus; `app` is a regular expression.
    ///
    /// # Panics
    /// When none gets it.
    pub fn await_focus(&self, app: &str) {
        await_some("the window's focus", || self.has_focus(app).then_some(()));
    }

    fn has_focus(&self, app: &str) -> bool {
        let mut command = self.program("swaymsg");
        command.args(["-q", "-s", &self.control]).arg(format!("[con_id=__focused__ app_id=\"{app}\"] nop"));
        command.status().is_ok_and(|status| status.success())
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
    ///
    /// # Panics
    /// When its file is gone.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.file).expect("cat has made it")).into_owned()
    }

    /// All it was given, once that ends with `end`.
    ///
    /// # Panics
    /// When it does not.
    pub fn text_until(&self, end: &str) -> String {
        await_some(&format!("{end:?} to be read"), || Some(self.text()).filter(|text| text.ends_with(end)))
    }
}

impl Reader {
    /// Sends the terminal a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended; its id is not given to another one before it is waited for.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks every millisecond until `ready` gives something. For what cannot be awaited: another process's file.
///
/// # Panics
/// After [`LONG`].
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

pub(super) fn on_path(program: &str) -> bool {
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
