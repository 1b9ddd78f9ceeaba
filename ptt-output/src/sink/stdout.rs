//! Standard output, past the library's own buffer: a text that could not be written is not written later by accident.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use ptt_messages::TakeId;

use super::{Sink, patient};
use crate::error::OutputError;
use crate::standard_output::{self, Target};

/// Writes to standard output, or to a descriptor that stands for it.
#[derive(Debug)]
pub struct StdoutSink {
    out: OwnedFd,
    limit: Duration,
}

impl StdoutSink {
    /// The process's standard output. A reader that takes nothing for `limit` is a failure.
    ///
    /// # Errors
    /// [`OutputError::Journal`]; no descriptor is left.
    pub fn open(limit: Duration) -> Result<Self, OutputError> {
        let sink = Self::open_any(limit)?;
        if sink.target() == Target::Journal { Err(OutputError::Journal) } else { Ok(sink) }
    }

    /// The same where it may be the journal, to which nothing is written.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(crate) fn open_any(limit: Duration) -> Result<Self, OutputError> {
        let out = io::stdout().as_fd().try_clone_to_owned();
        Ok(Self::to(out.map_err(|source| OutputError::from_io(TARGET, source))?, limit))
    }

    /// Any other descriptor.
    #[must_use]
    pub fn to(out: impl Into<OwnedFd>, limit: Duration) -> Self {
        Self { out: out.into(), limit }
    }

    /// Where it leads.
    pub(crate) fn target(&self) -> Target {
        standard_output::target(self.out.as_fd())
    }
}

const TARGET: &str = "standard output";

impl Sink for StdoutSink {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn deliver(&mut self, _: TakeId, text: &str) -> Result<(), OutputError> {
        if self.target() == Target::Journal {
            return Err(OutputError::Journal);
        }
        patient::write_all(&self.out, text.as_bytes(), self.limit)
            .map_err(|error| OutputError::from_write(TARGET, self.limit, error))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Read;

    use ptt_messages::FaultKind;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);
    const TAKE: TakeId = TakeId(1);

    #[test]
    fn what_is_delivered_is_written_at_once() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = StdoutSink::to(writer, LIMIT);
        sink.deliver(TAKE, "one\n").unwrap();
        let mut seen = [0; 4];
        reader.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"one\n");
    }

    #[test]
    fn a_closed_a_full_and_a_stuck_reader_are_faults_not_panics() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let closed = StdoutSink::to(writer, LIMIT).deliver(TAKE, "secret\n").unwrap_err();
        assert_eq!(closed.kind(), FaultKind::Gone);

        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let full = StdoutSink::to(full, LIMIT).deliver(TAKE, "secret\n").unwrap_err();
        assert!(matches!(full, OutputError::NoSpace { .. }), "{full}");

        let (_reader, writer) = io::pipe().unwrap();
        let stuck = StdoutSink::to(writer, LIMIT).deliver(TAKE, &"secret".repeat(100_000)).unwrap_err();
        assert_eq!(stuck.kind(), FaultKind::Timeout);

        for error in [closed, full, stuck] {
            assert!(!error.undelivered().message.contains("secret"));
        }
    }
}
