//! A child process: its output kept line by line as it comes, ended by its id, never left behind.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// One of a process's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A running child.
pub struct Process {
    name: String,
    child: Child,
    out: Lines,
    err: Lines,
    readers: Vec<JoinHandle<()>>,
}

/// A process that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub out: String,
    /// All it wrote to standard error.
    pub err: String,
}

impl Process {
    /// Starts it with both outputs captured and no input.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = Self::start(command)?;
        let out = process.child.stdout.take().context("stdout is piped")?;
        process.readers.push(process.out.read(out));
        process.keep_err()?;
        Ok(process)
    }

    /// Starts it with its output for the caller to read, byte by byte as it comes.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn_raw(command: &mut Command) -> anyhow::Result<(Self, ChildStdout)> {
        let mut process = Self::start(command)?;
        let out = process.child.stdout.take().context("stdout is piped")?;
        process.keep_err()?;
        Ok((process, out))
    }

    /// The first line of `stream` that `pick` makes something of, as soon as it is written. Lines that came earlier count.
    ///
    /// # Errors
    /// When it is not written within `limit` or the process ends first; both outputs are in the error.
    pub fn line<T>(
        &mut self,
        stream: Stream,
        limit: Duration,
        pick: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let lines = match stream {
            Stream::Out => &self.out,
            Stream::Err => &self.err,
        };
        match lines.find(limit, pick) {
            Some(found) => Ok(found),
            None => bail!(
                "{} did not write the awaited line within {limit:?}\n-- stdout\n{}-- stderr\n{}",
                self.name,
                self.out.text(),
                self.err.text()
            ),
        }
    }

    /// What was written to `stream` so far.
    #[must_use]
    pub fn text(&self, stream: Stream) -> String {
        match stream {
            Stream::Out => self.out.text(),
            Stream::Err => self.err.text(),
        }
    }

    /// The number of complete lines written to `stream` so far.
    #[must_use]
    pub fn lines(&self, stream: Stream) -> usize {
        match stream {
            Stream::Out => self.out.count(),
            Stream::Err => self.err.count(),
        }
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal to this process and no other.
    pub fn signal(&self, signal: Signal) {
        // It may have ended already; its id is not given to another one before it is waited for.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(mut self, limit: Duration) -> anyhow::Result<Finished> {
        match self.ended(limit)? {
            Some(status) => {
                self.readers.drain(..).for_each(|reader| drop(reader.join()));
                Ok(Finished { status, out: self.out.text(), err: self.err.text() })
            }
            None => bail!(
                "{} still runs after {limit:?}\n-- stdout\n{}-- stderr\n{}",
                self.name,
                self.out.text(),
                self.err.text()
            ),
        }
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// When it does not end within ten seconds; it is killed then.
    pub fn stop(self) -> anyhow::Result<Finished> {
        self.signal(Signal::TERM);
        self.wait(GRACE)
    }

    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, out: Lines::default(), err: Lines::default(), readers: Vec::new() })
    }

    fn keep_err(&mut self) -> anyhow::Result<()> {
        let err = self.child.stderr.take().context("stderr is piped")?;
        self.readers.push(self.err.read(err));
        Ok(())
    }

    fn ended(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.alive() {
            // A frozen process ends only after it goes on.
            self.signal(Signal::TERM);
            self.signal(Signal::CONT);
            if !matches!(self.ended(Duration::from_secs(3)), Ok(Some(_))) {
                self.signal(Signal::KILL);
                let _ = self.child.wait();
            }
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name).field("pid", &self.pid()).finish_non_exhaustive()
    }
}

/// Lines as they come, and whether more may.
#[derive(Clone, Default)]
struct Lines(Arc<(Mutex<Kept>, Condvar)>);

#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    closed: bool,
}

impl Lines {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = self.clone();
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                lines.kept().lines.push(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned());
                lines.0.1.notify_all();
                line.clear();
            }
            lines.kept().closed = true;
            lines.0.1.notify_all();
        })
    }

    fn find<T>(&self, limit: Duration, pick: impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut kept = self.kept();
        let mut looked = 0;
        loop {
            if let Some(found) = kept.lines[looked..].iter().find_map(|line| pick(line)) {
                return Some(found);
            }
            looked = kept.lines.len();
            let left = end.saturating_duration_since(Instant::now());
            if kept.closed || left.is_zero() {
                return None;
            }
            kept = self.0.1.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn text(&self) -> String {
        self.kept().lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    fn count(&self) -> usize {
        self.kept().lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        Process::spawn(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn lines_are_found_as_they_come_and_the_end_is_told() {
        let mut process = shell("echo one; echo two >&2; exec sleep 60");
        assert_eq!(process.line(Stream::Out, SOON, |l| (l == "one").then_some(1)).unwrap(), 1);
        assert_eq!(process.line(Stream::Err, SOON, |l| (l == "two").then_some(2)).unwrap(), 2);
        assert!(process.alive());
        let ended = process.stop().unwrap();
        assert!(!ended.status.success());
        assert_eq!((ended.out.as_str(), ended.err.as_str()), ("one\n", "two\n"));
    }

    #[test]
    fn a_missing_line_is_an_error_with_what_was_written() {
        let error = shell("echo other").line(Stream::Out, SOON, |l| (l == "one").then_some(())).unwrap_err();
        assert!(error.to_string().contains("other"), "{error}");
    }

    #[test]
    fn a_dropped_process_is_gone_even_when_it_ignores_sigterm_or_is_frozen() {
        for script in ["exec sleep 60", "trap '' TERM; echo up; while :; do sleep 1; done"] {
            let mut process = shell(script);
            if script.contains("up") {
                process.line(Stream::Out, SOON, |l| (l == "up").then_some(())).unwrap();
            } else {
                process.signal(Signal::STOP);
            }
            let pid = process.pid();
            drop(process);
            assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{script}");
        }
    }
}
