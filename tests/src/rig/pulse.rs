//! A PulseAudio server of the test's own: the null sink `mic`, whose monitor is the default microphone, and the null sink
//! `out` for what the daemon plays. Works as root and without a session bus; nothing outside its folder is touched.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Finished, Process, Skip, needs};

const SOON: Duration = Duration::from_secs(20);

/// The server, and the silent client that keeps its microphone awake.
#[derive(Debug)]
pub struct PrivatePulse {
    // Dropped in this order: the client, the server, the folder.
    keep_alive: Option<Process>,
    server: Option<Process>,
    folder: TempDir,
}

impl PrivatePulse {
    /// Starts a server and waits until its microphone runs.
    ///
    /// # Errors
    /// [`Skip`] when the packages are not there.
    ///
    /// # Panics
    /// When they are, and the server does not come up.
    pub fn start() -> Result<Self, Skip> {
        if needs(&[("pulseaudio", "pulseaudio")]).is_err() {
            let why = "no pulseaudio here; `make test` installs it, except on a desktop with PipeWire, \
                       which it would damage";
            return Err(Skip(why.to_owned()));
        }
        needs(&[
            ("pactl", "pulseaudio-utils"),
            ("paplay", "pulseaudio-utils"),
            ("pacat", "pulseaudio-utils"),
            ("parec", "pulseaudio-utils"),
            ("parecord", "pulseaudio-utils"),
        ])?;
        match Self::up() {
            Ok(pulse) => Ok(pulse),
            Err(error) => panic!("the private PulseAudio does not come up: {error:#}"),
        }
    }

    /// What a client must have in its environment to talk to this server and no other.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 3] {
        let folder = self.folder.path().display().to_string();
        [
            ("PULSE_SERVER", format!("unix:{folder}/pulse.sock")),
            // Clients put their cookie and their runtime files here and not into the user's folders.
            ("PULSE_COOKIE", format!("{folder}/cookie")),
            ("PULSE_RUNTIME_PATH", folder),
        ]
    }

    /// Plays an audio file into the microphone; the process ends when its last sample was heard.
    ///
    /// # Errors
    /// When `paplay` cannot be started.
    pub fn speak(&self, file: &Path) -> anyhow::Result<Process> {
        self.speak_into("mic", file)
    }

    /// Plays it into another sink, whose monitor is a microphone too.
    ///
    /// # Errors
    /// When `paplay` cannot be started.
    pub fn speak_into(&self, sink: &str, file: &Path) -> anyhow::Result<Process> {
        let device = format!("--device={sink}");
        // Enough in stock that a busy machine does not make the speaker stutter.
        Process::spawn(self.client("paplay").args([device.as_str(), "--latency-msec=200"]).arg(file))
    }

    /// Begins to record what is played to the speakers: the chimes.
    ///
    /// # Errors
    /// When `parecord` cannot be started.
    pub fn record_out(&self) -> anyhow::Result<Recording> {
        self.record("out.monitor")
    }

    /// Begins to record the microphone: what a client hears there.
    ///
    /// # Errors
    /// When `parecord` cannot be started.
    pub fn record_mic(&self) -> anyhow::Result<Recording> {
        self.record("mic.monitor")
    }

    /// Puts an ear to the microphone, for the moment when something is heard.
    ///
    /// # Errors
    /// When `parec` cannot be started.
    pub fn listen(&self) -> anyhow::Result<Ear> {
        let format = ["--raw", "--rate=16000", "--channels=1", "--format=s16le", "--latency-msec=10"];
        let (process, mut heard) =
            Process::spawn_raw(self.client("parec").arg("--device=mic.monitor").args(format))?;
        // It hears as soon as silence comes out.
        heard.read_exact(&mut [0; 2])?;
        Ok(Ear { _process: process, heard })
    }

    /// Takes the microphone away, as unplugging it does.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn unplug_microphone(&mut self) -> anyhow::Result<()> {
        let modules = self.pactl(&["list", "short", "modules"])?.out;
        let module = modules
            .lines()
            .find(|line| line.contains("sink_name=mic"))
            .and_then(|line| line.split('\t').next())
            .context("the microphone is gone already")?
            .to_owned();
        self.keep_alive = None;
        self.pactl(&["unload-module", &module]).map(drop)
    }

    /// Puts it back.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn plug_microphone(&mut self) -> anyhow::Result<()> {
        self.pactl(&[&["load-module", "module-null-sink"], &MIC[..]].concat())?;
        self.wake_microphone()
    }

    /// Makes another source the default one, as a user does in the desktop's settings.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn choose_microphone(&self, source: &str) -> anyhow::Result<()> {
        self.pactl(&["set-default-source", source]).map(drop)
    }

    /// Plays silence into a sink, `mic` or `out`. An idle null sink has two seconds of latency, and a new recording of it
    /// loses its start: somebody has to play.
    ///
    /// # Errors
    /// When `pacat` cannot be started.
    pub fn keep_awake(&self, sink: &str) -> anyhow::Result<Process> {
        let silence = ["--raw", "--rate=48000", "--channels=1", "--format=s16le", "/dev/zero"];
        Process::spawn(
            self.client("pacat").args(["--playback", "--latency-msec=10", "-d", sink]).args(silence),
        )
    }

    /// Kills the server: clients get an error.
    pub fn kill(&mut self) {
        self.keep_alive = None;
        if let Some(server) = self.server.take() {
            server.signal(Signal::KILL);
        }
    }

    /// Starts the server again after [`Self::kill`], in the same place.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.server = Some(serve(self.folder.path())?);
        self.await_output(&["info"], "the server")?;
        self.wake_microphone()
    }

    /// Stops the server in its tracks: clients get neither data nor an error.
    pub fn freeze(&self) {
        self.server.iter().for_each(|server| server.signal(Signal::STOP));
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.server.iter().for_each(|server| server.signal(Signal::CONT));
    }

    fn record(&self, source: &str) -> anyhow::Result<Recording> {
        let file = self.folder.path().join(format!("{source}.wav"));
        let format =
            ["--rate=48000", "--channels=1", "--format=s16le", "--file-format=wav", "--latency-msec=20"];
        let process = Process::spawn(
            self.client("parecord").arg(format!("--device={source}")).args(format).arg(&file),
        )?;
        self.await_output(&["list", "short", "source-outputs"], "parecord's stream")?;
        Ok(Recording { process, file })
    }

    fn up() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("ptt-pulse-")?;
        let server = Some(serve(folder.path())?);
        let mut pulse = Self { keep_alive: None, server, folder };
        pulse.await_output(&["info"], "the server")?;
        pulse.wake_microphone()?;
        Ok(pulse)
    }

    fn wake_microphone(&mut self) -> anyhow::Result<()> {
        self.pactl(&["set-default-source", "mic.monitor"])?;
        self.pactl(&["set-default-sink", "out"])?;
        self.keep_alive = Some(self.keep_awake("mic")?);
        self.await_output(&["list", "short", "sink-inputs"], "the silent client")
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.env()).env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.folder.path());
        command.env("LC_ALL", "C");
        command
    }

    fn pactl(&self, args: &[&str]) -> anyhow::Result<Finished> {
        let finished = Process::spawn(self.client("pactl").args(args))?.wait(SOON)?;
        if !finished.status.success() {
            bail!("pactl {args:?}: {}", finished.err);
        }
        Ok(finished)
    }

    fn await_output(&self, args: &[&str], what: &str) -> anyhow::Result<()> {
        let end = std::time::Instant::now() + SOON;
        loop {
            let last = self.pactl(args);
            if last.as_ref().is_ok_and(|finished| !finished.out.trim().is_empty()) {
                return Ok(());
            }
            if std::time::Instant::now() > end {
                bail!("{what} is not there after {SOON:?} (pactl {args:?}: {last:?})");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Hears the microphone beside the daemon.
#[derive(Debug)]
pub struct Ear {
    _process: Process,
    heard: ChildStdout,
}

impl Ear {
    /// Returns as soon as it is louder than a whisper.
    ///
    /// # Errors
    /// When the server goes away.
    pub fn await_sound(mut self) -> anyhow::Result<()> {
        let mut sample = [0; 2];
        while i16::from_le_bytes(sample).unsigned_abs() < 300 {
            self.heard.read_exact(&mut sample)?;
        }
        Ok(())
    }
}

/// A recording of the speakers that runs.
#[derive(Debug)]
pub struct Recording {
    process: Process,
    file: PathBuf,
}

impl Recording {
    /// Ends it and gives what was played: mono, -1.0..=1.0, and its rate in Hz.
    ///
    /// # Errors
    /// When the recorder did not end or its file cannot be read.
    pub fn finish(self) -> anyhow::Result<(Vec<f32>, u32)> {
        // parecord writes the header's lengths only at a proper end.
        self.process.signal(Signal::INT);
        self.process.wait(SOON)?;
        let mut reader = hound::WavReader::open(&self.file)?;
        let rate_hz = reader.spec().sample_rate;
        let samples =
            reader.samples::<i16>().map(|s| s.map(|s| f32::from(s) / 32_768.0)).collect::<Result<_, _>>()?;
        Ok((samples, rate_hz))
    }
}

/// Without `norewinds` the monitor's recording is up to 1.8 s short.
const MIC: [&str; 6] = [
    "sink_name=mic",
    "sink_properties=device.description=Mic",
    "rate=48000",
    "channels=1",
    "format=s16le",
    "norewinds=1",
];

fn serve(folder: &Path) -> anyhow::Result<Process> {
    let socket = format!("socket={}/pulse.sock", folder.display());
    // Not anonymous: as on a desktop, who has no cookie is known by the user it runs as.
    let protocol = format!("module-native-protocol-unix {socket}");
    let mic = format!("module-null-sink {}", MIC.join(" "));
    Process::spawn(
        Command::new("pulseaudio")
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes", "--use-pid-file=no"])
            .args(["-L", &protocol, "-L", &mic, "-L", "module-null-sink sink_name=out rate=48000"])
            .env("HOME", folder)
            .env("XDG_RUNTIME_DIR", folder)
            .env("XDG_CONFIG_HOME", folder)
            .env("PULSE_RUNTIME_PATH", folder)
            .env_remove("PULSE_SERVER")
            .env_remove("DISPLAY"),
    )
}
