//! What the process uses, read by itself.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::ResourcesError;

/// What the process uses at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Processor time of all threads since the start.
    pub cpu: Duration,
}

/// Reads the figures. Called on the actor's thread: it must not block.
pub trait Probe {
    /// What is used now.
    ///
    /// # Errors
    /// [`ResourcesError::Probe`] names what could not be read.
    fn sample(&mut self) -> Result<Usage, ResourcesError>;
}

/// This process, from `/proc/self`: two small reads that the kernel answers from memory.
#[derive(Debug)]
pub struct ProcessProbe(());

impl ProcessProbe {
    /// Looks once whether it can be read.
    ///
    /// # Errors
    /// [`ResourcesError::Probe`] where there is no `/proc`.
    pub fn open() -> Result<Self, ResourcesError> {
        let mut probe = Self(());
        probe.sample()?;
        Ok(probe)
    }
}

impl Probe for ProcessProbe {
    fn sample(&mut self) -> Result<Usage, ResourcesError> {
        let status = fs::read_to_string(STATUS).map_err(|source| failed(STATUS, source))?;
        let number =
            |name| field(&status, name).ok_or_else(|| failed(STATUS, io::ErrorKind::InvalidData.into()));
        let fds = fs::read_dir(FDS).map_err(|source| failed(FDS, source))?.count() as u64;
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Ok(Usage {
            rss_bytes: number("VmRSS:")? * 1_024,
            threads: number("Threads:")?,
            // Listing them opens one more.
            open_fds: fds.saturating_sub(1),
            cpu: Duration::new(cpu.tv_sec.unsigned_abs(), u32::try_from(cpu.tv_nsec).unwrap_or(0)),
        })
    }
}

const STATUS: &str = "/proc/self/status";
const FDS: &str = "/proc/self/fd";

/// Figures from a list, the last of them for ever.
#[derive(Clone, Debug, Default)]
pub struct ScriptedProbe {
    script: VecDeque<Usage>,
    last: Usage,
}

impl ScriptedProbe {
    /// One entry per sample.
    #[must_use]
    pub fn new(script: impl IntoIterator<Item = Usage>) -> Self {
        Self { script: script.into_iter().collect(), last: Usage::default() }
    }
}

impl Probe for ScriptedProbe {
    fn sample(&mut self) -> Result<Usage, ResourcesError> {
        self.last = self.script.pop_front().unwrap_or(self.last);
        Ok(self.last)
    }
}

/// The number after `name` at the beginning of a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn failed(path: &'static str, source: io::Error) -> ResourcesError {
    ResourcesError::Probe { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_name_is_a_field() {
        let status = "Name:\tThreads: 9\nVmRSS:\t   2468 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmRSS:"), Some(2_468));
        assert_eq!(field(status, "Threads:"), Some(7));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    fn the_process_sees_its_own_threads_files_and_work() {
        let mut probe = ProcessProbe::open().unwrap();
        let started = std::time::Instant::now();
        let before = probe.sample().unwrap();
        println!("one sample takes {:?}", started.elapsed());
        assert!(before.rss_bytes > 100_000 && before.rss_bytes < 1 << 32, "{before:?}");
        let file = fs::File::open("/proc/self/statm").unwrap();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (running, runs) = std::sync::mpsc::channel();
        let worker = std::thread::spawn(move || {
            running.send(()).unwrap();
            let _ = stopped.recv();
        });
        runs.recv().unwrap();
        while probe.sample().unwrap().cpu <= before.cpu {}
        let during = probe.sample().unwrap();
        // Other tests run beside this one, so only a lower bound holds.
        assert!(during.threads >= 2 && during.open_fds >= 1, "{during:?}");
        drop((file, stop));
        worker.join().unwrap();
    }
}
