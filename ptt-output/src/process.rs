//! One run of a program: a text on its standard input, a time limit, and nothing of it left behind when that runs out.
//!
//! No shell takes part, and the text is never an argument, which any user of the machine could read. What a run means
//! for a take, and what the user is told about it, is its caller's affair.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};

/// A pipe that polls as writable takes this much without blocking (`PIPE_BUF`); as much is read at once.
const CHUNK: usize = 4_096;

/// A program with its arguments, started anew for each text and ended with all it started when it takes too long.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    arguments: Vec<String>,
    limit: Duration,
}

/// Why a run gave nothing. None of the text is in it.
#[derive(Debug)]
pub(crate) enum ProgramError {
    /// There is no such program.
    Missing,
    /// It did not do well: its exit code, the signal that ended it, or what else was wrong with it.
    Failed(String),
    /// It did not end in time.
    Hangs,
    /// Anything else the system says.
    System(io::Error),
}

impl Program {
    /// `argv` is the program and its arguments; nothing when it names no program.
    pub fn new(argv: &[String], limit: Duration) -> Option<Self> {
        let (name, arguments) = argv.split_first().filter(|(name, _)| !name.trim().is_empty())?;
        Some(Self { name: name.clone(), arguments: arguments.to_vec(), limit })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long a run may take.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Runs it for what it does with the text. What it writes is thrown away: it may repeat the text, so it goes neither
    /// into a message nor into our own log.
    ///
    /// # Errors
    /// It did not end well, in time.
    pub fn feed(&self, text: &str) -> Result<(), ProgramError> {
        self.run(text, Stdio::null(), 0).map(|_| ())
    }

    /// Runs it for what it writes to its standard output, which ends when the last process closes that.
    ///
    /// # Errors
    /// It did not end well, in time, or wrote more than `most` bytes.
    pub fn pass(&self, text: &str, most: usize) -> Result<Vec<u8>, ProgramError> {
        self.run(text, Stdio::piped(), most)
    }

    fn run(&self, text: &str, stdout: Stdio, most: usize) -> Result<Vec<u8>, ProgramError> {
        let deadline = Instant::now() + self.limit;
        let mut running = Running::start(
            Command::new(&self.name)
                .args(&self.arguments)
                .stdin(Stdio::piped())
                .stdout(stdout)
                .stderr(Stdio::null())
                .process_group(0),
        )?;
        let written = running.exchange(text.as_bytes(), most, deadline)?;
        let status = running.wait(deadline)?;
        if status.success() { Ok(written) } else { Err(ProgramError::Failed(spoken(status))) }
    }
}

/// A started program. Dropping it before its end ends its whole process group.
struct Running {
    child: Child,
    ended: bool,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self, ProgramError> {
        match command.spawn() {
            Ok(child) => Ok(Self { child, ended: false }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ProgramError::Missing),
            Err(error) => Err(ProgramError::System(error)),
        }
    }

    /// Writes the text and reads what comes back, both at once: a program that answers while it reads would otherwise
    /// wait for us while we wait for it.
    fn exchange(&mut self, mut text: &[u8], most: usize, deadline: Instant) -> Result<Vec<u8>, ProgramError> {
        let mut input = self.child.stdin.take();
        let mut output = self.child.stdout.take();
        if let Some(input) = &input {
            fcntl_setfl(input, OFlags::NONBLOCK)?;
        }
        if let Some(output) = &output {
            fcntl_setfl(output, OFlags::NONBLOCK)?;
        }
        let mut written = Vec::new();
        let mut chunk = [0; CHUNK];
        loop {
            if text.is_empty() {
                input = None;
            }
            if input.is_none() && output.is_none() {
                return Ok(written);
            }
            let ready = ready(input.as_ref(), output.as_ref(), deadline)?;
            if let Some(to) = input.as_ref().filter(|_| ready.input) {
                match rustix::io::write(to, &text[..text.len().min(CHUNK)]) {
                    Ok(taken) => text = &text[taken..],
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    // It has read as much as it wanted. Whether it did its work, its exit code says.
                    Err(Errno::PIPE) => text = &[],
                    Err(error) => return Err(error.into()),
                }
            }
            if let Some(from) = output.as_ref().filter(|_| ready.output) {
                match rustix::io::read(from, &mut chunk) {
                    Ok(0) => output = None,
                    Ok(read) if written.len() + read > most => {
                        return Err(ProgramError::Failed(format!("more than {most} bytes of output")));
                    }
                    Ok(read) => written.extend_from_slice(&chunk[..read]),
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn wait(&mut self, deadline: Instant) -> Result<ExitStatus, ProgramError> {
        // Most programs end within a few milliseconds, and the thread has nothing else to do.
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = self.child.try_wait().map_err(ProgramError::System)? {
                self.ended = true;
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(ProgramError::Hangs);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // The group's number is the child's own, which nobody else can have before it is waited for.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl From<Errno> for ProgramError {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

/// Which ends of the pipes can be used without waiting. A hang-up is ready too: the call that follows says which it is.
struct Ready {
    input: bool,
    output: bool,
}

fn ready(
    input: Option<&ChildStdin>,
    output: Option<&ChildStdout>,
    deadline: Instant,
) -> Result<Ready, ProgramError> {
    let input = input.map(|input| PollFd::new(input, PollFlags::OUT));
    let output = output.map(|output| PollFd::new(output, PollFlags::IN));
    let reads = output.is_some();
    let mut ends: Vec<PollFd<'_>> = input.into_iter().chain(output).collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Asked first: a program that always has something more to say would never time out.
        if left.is_zero() {
            return Err(ProgramError::Hangs);
        }
        let timeout = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut ends, Some(&timeout)) {
            Ok(0) => return Err(ProgramError::Hangs),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let moved = |end: Option<&PollFd<'_>>| end.is_some_and(|end| !end.revents().is_empty());
    let (inputs, outputs) = ends.split_at(ends.len() - usize::from(reads));
    Ok(Ready { input: moved(inputs.first()), output: moved(outputs.first()) })
}

fn spoken(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}
