//! The shipped program in a home of its own: started, asked over its control socket, watched, scraped, and ended.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ptt_messages::{ControllerEvent, Outcome, StateName, TakeId, TextPath};
use tempfile::TempDir;

use super::{Finished, Metrics, Process, Stream, await_some};

/// Names the program to test instead of the one that is built here.
pub(super) const PROGRAM: &str = "PTT_APP";
/// How long anything the daemon does by itself may take on a loaded machine.
const SOON: Duration = Duration::from_secs(60);

/// The program under test: what `ptt-app` ships, built by this package too so that every test run has it current, with
/// the dependencies it already has.
///
/// # Panics
/// When this does not run as a test of this package.
pub fn program() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| std::env::var_os(PROGRAM).map_or_else(|| built("ptt-app-shipped"), PathBuf::from))
}

/// The example build with another keyboard.
///
/// # Panics
/// As [`program`].
#[must_use]
pub fn foot_pedal() -> PathBuf {
    built("ptt-foot-pedal")
}

fn built(name: &str) -> PathBuf {
    // target/debug/deps/it-0123 -> target/debug/name
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.parent().and_then(Path::parent).expect("a test lies in target/PROFILE/deps");
    profile.join(name)
}

/// How the program is started.
#[derive(Debug)]
pub struct DaemonBuilder {
    home: TempDir,
    command: Command,
    metrics: SocketAddr,
}

impl Default for DaemonBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl DaemonBuilder {
    /// A program that knows nothing of this user: an empty home, no sound server, no display, a free port for metrics.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[must_use]
    pub fn new() -> Self {
        Self::of(program())
    }

    /// The same with another program: a custom build.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[must_use]
    pub fn of(program: &Path) -> Self {
        let home = TempDir::with_prefix("ptt-home-").expect("a temporary folder can be made");
        let mut command = Command::new(program);
        command.current_dir(home.path()).env("HOME", home.path());
        for folder in
            ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"]
        {
            command.env(folder, home.path());
        }
        for (name, _) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("PTT_"));
            let session = [
                "PULSE_SERVER",
                "DISPLAY",
                "WAYLAND_DISPLAY",
                "DBUS_SESSION_BUS_ADDRESS",
                "JOURNAL_STREAM",
                "RUST_LOG",
            ];
            if ours || session.iter().any(|known| name == *known) {
                command.env_remove(name);
            }
        }
        // The machine's own would tell of this user's screen.
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/no-bus", home.path().display()));
        Self { home, command, metrics: free_address() }
    }

    /// Writes the user's configuration file.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn config(self, toml: &str) -> Self {
        let folder = self.home.path().join("ptt");
        std::fs::create_dir_all(&folder).expect("the home can be written");
        std::fs::write(folder.join("config.toml"), toml).expect("the home can be written");
        self
    }

    /// Variables of the environment.
    #[must_use]
    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, vars: impl IntoIterator<Item = (K, V)>) -> Self {
        for (name, value) in vars {
            self.command.env(name.as_ref(), value.as_ref());
        }
        self
    }

    /// Listens for scrapes there.
    #[must_use]
    pub fn metrics(mut self, address: SocketAddr) -> Self {
        self.metrics = address;
        self
    }

    /// Lives in the home of another program: its lock, its socket, its configuration.
    #[must_use]
    pub fn beside(mut self, daemon: &Daemon) -> Self {
        for folder in ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            self.command.env(folder, daemon.home());
        }
        self
    }

    /// The folder it lives in.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs it with these arguments to its own end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    #[must_use]
    pub fn run<A: AsRef<str>>(mut self, args: &[A]) -> Finished {
        self.command.args(args.iter().map(AsRef::as_ref));
        Process::spawn(&mut self.command).and_then(|p| p.wait(SOON * 2)).expect("the program runs and ends")
    }

    /// Starts the daemon and waits until it listens for the chord.
    ///
    /// # Panics
    /// When it does not come up; what it wrote is in the failure.
    #[must_use]
    pub fn start(self) -> Daemon {
        self.try_start().unwrap_or_else(|error| panic!("the daemon does not come up: {error:#}"))
    }

    fn try_start(mut self) -> anyhow::Result<Daemon> {
        self.command.args(["--set", &format!("metrics.listen={}", self.metrics), "run"]);
        let mut process = Process::spawn(&mut self.command)?;
        let socket = self.home.path().join("ptt/control.sock");
        let end = Instant::now() + SOON;
        let follower = loop {
            match ask(&socket, "follow") {
                Ok((_, follower)) => break follower,
                Err(error) if !process.alive() || Instant::now() > end => {
                    bail!("{error:#}\n{}{}", process.text(Stream::Out), process.text(Stream::Err))
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let (tell, events) = channel();
        // Ends with the daemon, whose end closes the socket.
        std::thread::spawn(move || {
            for line in follower.lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str::<ControllerEvent>(&line) else { return };
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        let daemon =
            Daemon { process, socket, metrics: self.metrics, events, seen: Vec::new(), home: self.home };
        daemon.listening();
        Ok(daemon)
    }
}

/// A running daemon; dropping it ends it.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    socket: PathBuf,
    metrics: SocketAddr,
    events: Receiver<ControllerEvent>,
    seen: Vec<ControllerEvent>,
    // Dropped last: the process has ended by then.
    home: TempDir,
}

/// How a take went, as a watcher saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct TakeReport {
    /// Which one.
    pub take: TakeId,
    /// How it ended.
    pub outcome: Outcome,
    /// What was said; empty without a text.
    pub text: String,
    /// How the text came about.
    pub path: Option<TextPath>,
    /// From the release to the text.
    pub release_to_text: Option<Duration>,
}

impl Daemon {
    /// Asks for one thing (`press`, `status`, ...) over the control socket.
    ///
    /// # Errors
    /// When nobody answers or the answer is a refusal.
    pub fn ask(&self, what: &str) -> anyhow::Result<serde_json::Value> {
        ask(&self.socket, what).map(|(reply, _)| reply)
    }

    /// The next event that `pick` makes something of.
    ///
    /// # Panics
    /// When it does not come in time; the failure lists what came, and the daemon's log.
    pub fn until<T>(&mut self, what: &str, pick: impl Fn(&ControllerEvent) -> Option<T>) -> T {
        self.within(SOON, pick).unwrap_or_else(|| {
            panic!(
                "the daemon did not tell {what} within {SOON:?}; it told\n{}-- its log\n{}",
                self.seen.iter().map(|e| format!("{e:?}\n")).collect::<String>(),
                self.process.text(Stream::Err)
            )
        })
    }

    /// The same, where nothing within `limit` is an answer too.
    pub fn within<T>(&mut self, limit: Duration, pick: impl Fn(&ControllerEvent) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        loop {
            let event = self.events.recv_timeout(end.saturating_duration_since(Instant::now())).ok()?;
            let picked = pick(&event);
            self.seen.push(event);
            if picked.is_some() {
                return picked;
            }
        }
    }

    /// Waits until it listens for the chord, or has begun a take.
    ///
    /// # Panics
    /// When it does neither.
    pub fn listening(&self) {
        await_some("the daemon to listen", SOON, || {
            let status = self.ask("status").ok()?;
            (status["status"]["state"] != "idle").then_some(())
        });
    }

    /// Waits until a part is usable, by its name in the status: `keyboard`, `microphone` or `model`.
    ///
    /// # Panics
    /// When it does not become so; the daemon's log is in the failure.
    pub fn has(&self, part: &str) {
        let end = Instant::now() + SOON;
        while self.ask("status").is_ok_and(|status| status["status"][part].is_null()) {
            assert!(Instant::now() < end, "no {part} within {SOON:?}\n{}", self.process.text(Stream::Err));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a take is being recorded.
    ///
    /// # Panics
    /// As [`Self::until`].
    pub fn recording(&mut self) {
        self.until("a recording", is_recording);
    }

    /// The end of the next take that ends.
    ///
    /// # Panics
    /// As [`Self::until`].
    pub fn ended(&mut self) -> TakeReport {
        let (take, outcome) = self.until("the end of a take", |event| match event {
            ControllerEvent::Ended { take, outcome } => Some((*take, *outcome)),
            _ => None,
        });
        let text = self.seen.iter().find_map(|event| match event {
            ControllerEvent::Text { take: of, text, path, release_to_text, .. } if *of == take => {
                Some((text.reveal().to_owned(), *path, *release_to_text))
            }
            _ => None,
        });
        TakeReport {
            take,
            outcome,
            text: text.as_ref().map_or_else(String::new, |(text, ..)| text.clone()),
            path: text.as_ref().map(|(_, path, _)| *path),
            release_to_text: text.map(|(.., took)| took),
        }
    }

    /// Everything it told so far.
    #[must_use]
    pub fn seen(&self) -> &[ControllerEvent] {
        &self.seen
    }

    /// Holds the chord while `hold` runs, and waits for the end of the take.
    ///
    /// # Panics
    /// When the daemon refuses or the take does not end.
    pub fn take(&mut self, hold: impl FnOnce(&mut Self)) -> TakeReport {
        // A take ends a moment before the daemon listens again.
        self.listening();
        self.ask("press").expect("the chord may go down");
        hold(self);
        self.ask("release").expect("the chord may go up");
        self.ended()
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.text(Stream::Err)
    }

    /// What a scraper sees now.
    ///
    /// # Panics
    /// When the endpoint does not answer.
    #[must_use]
    pub fn scrape(&self) -> Metrics {
        Metrics::scrape(self.metrics).expect("the endpoint answers")
    }

    /// Where scrapes are answered.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The folder it lives in.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Asks it to end with SIGTERM, and gives what it wrote.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn stop(self) -> Finished {
        self.process.stop().expect("the daemon ends when asked to")
    }
}

/// Whether the event is the beginning of a recording.
#[must_use]
pub fn is_recording(event: &ControllerEvent) -> Option<()> {
    matches!(event, ControllerEvent::Transition { to: StateName::Recording, .. }).then_some(())
}

/// An address on loopback that nobody listens on. Another process may take it before the daemon does; none of the tests'
/// own does, because the kernel hands out ports in turn.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
}

/// The answer, when it is not a refusal, and the connection for what follows it.
fn ask(socket: &Path, what: &str) -> anyhow::Result<(serde_json::Value, BufReader<UnixStream>)> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("no daemon at {}", socket.display()))?;
    writeln!(stream, "{}", serde_json::json!({ "do": what }))?;
    let mut answers = BufReader::new(stream);
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let reply: serde_json::Value = serde_json::from_str(&line).with_context(|| format!("answer: {line}"))?;
    if reply["ok"] == true { Ok((reply, answers)) } else { bail!("{what}: {line}") }
}
