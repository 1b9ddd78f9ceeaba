//! A program started for each text: its arguments as they stand in the configuration, the text on its standard input.
//!
//! No shell takes part, and the text is never an argument, which any user of the machine could read.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Sink, patient};
use crate::error::OutputError;

/// Starts the program, waits for its end, and ends it with all it started when it takes too long.
#[derive(Debug)]
pub struct CommandSink {
    program: String,
    arguments: Vec<String>,
    limit: Duration,
}

impl CommandSink {
    /// `argv` is the program and its arguments.
    ///
    /// # Errors
    /// [`OutputError::NoCommand`] when there is no program in it.
    pub fn open(argv: &[String], limit: Duration) -> Result<Self, OutputError> {
        let (program, arguments) = argv.split_first().ok_or(OutputError::NoCommand)?;
        if program.trim().is_empty() {
            return Err(OutputError::NoCommand);
        }
        Ok(Self { program: program.clone(), arguments: arguments.to_vec(), limit })
    }

    fn start(&self) -> Result<Running, OutputError> {
        // What the program writes may repeat the text, so it goes neither into a message nor into our own log.
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match child {
            Ok(child) => Ok(Running { child, ended: false }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(OutputError::NoProgram { program: self.program.clone() })
            }
            Err(error) => Err(self.system(error)),
        }
    }

    fn hangs(&self) -> OutputError {
        OutputError::CommandHangs { program: self.program.clone(), limit: self.limit }
    }

    fn system(&self, error: io::Error) -> OutputError {
        OutputError::from_io(format!("the output command `{}`", self.program), error)
    }
}

impl Sink for CommandSink {
    fn name(&self) -> &'static str {
        "command"
    }

    fn deliver(&mut self, text: &str) -> Result<(), OutputError> {
        let deadline = Instant::now() + self.limit;
        let mut running = self.start()?;
        match running.feed(text, self.limit) {
            Ok(()) => {}
            // It has read as much as it wanted. Whether it did its work, its exit code says.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(self.hangs()),
            Err(error) => return Err(self.system(error)),
        }
        match running.wait(deadline) {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => {
                Err(OutputError::CommandFailed { program: self.program.clone(), status: spoken(status) })
            }
            Ok(None) => Err(self.hangs()),
            Err(error) => Err(self.system(error)),
        }
    }
}

/// A started program. Dropping it before its end ends its whole process group.
struct Running {
    child: Child,
    ended: bool,
}

impl Running {
    fn feed(&mut self, text: &str, limit: Duration) -> io::Result<()> {
        let stdin = self.child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        fcntl_setfl(&stdin, OFlags::NONBLOCK)?;
        patient::write_all(&stdin, text.as_bytes(), limit)
    }

    /// The exit status, or nothing when the deadline comes first.
    fn wait(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        // Most programs end within a few milliseconds, and the thread has nothing else to do.
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
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

fn spoken(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

#[cfg(test)]
#[path = "command/tests.rs"]
mod tests;
