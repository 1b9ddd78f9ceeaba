//! The default: into the focused window where there is a desktop, else to standard output. Decided
//! anew for each text, because the daemon may be older than the session.

use std::time::Duration;

use ptt_messages::TakeId;
use tracing::{info, warn};

use super::desk::{Connections, DeskSink};
use super::{Sink, StdoutSink};
use crate::config::OutputConfig;
use crate::desktop::{System, is_there};
use crate::error::OutputError;
use crate::standard_output::Target;

/// The sink `auto`.
pub(crate) struct AutoSink {
    window: DeskSink,
    stdout: StdoutSink,
    /// Whether there is a desktop now; a test says otherwise.
    desktop: Box<dyn Fn() -> bool + Send>,
}

impl AutoSink {
    /// For the desktop and the standard output of this process.
    ///
    /// # Errors
    /// As [`DeskSink`]'s, and [`StdoutSink`]'s where no descriptor is left.
    pub(crate) fn open(
        config: &OutputConfig,
        connections: &mut Connections,
        limit: Duration,
    ) -> Result<Self, OutputError> {
        let (system, console) = (config.desktop, config.uinput_layout.is_some());
        let desktop = move || console || is_desktop(system);
        let stdout = StdoutSink::open_any(limit)?;
        let window = if desktop() {
            DeskSink::open(config, connections)?
        } else {
            match unfit(stdout.target()) {
                None => info!("there is no desktop: texts go to standard output"),
                Some(error) => warn!("{error}; until then texts are kept for `ptt-app retry`"),
            }
            DeskSink::open_later(config, connections)?
        };
        Ok(Self { window, stdout, desktop: Box::new(desktop) })
    }

    fn has_desktop(&self) -> bool {
        (self.desktop)()
    }
}

/// Whether the environment names a desktop, or one is found. Whether it answers is seen when it is used.
fn is_desktop(system: System) -> bool {
    is_there(system, |name| std::env::var_os(name), || crate::desktop::wayland::found().is_some())
}

/// Why standard output is no place for a text of somebody who did not choose it.
const fn unfit(target: Target) -> Option<OutputError> {
    match target {
        Target::Reader => None,
        Target::Journal => Some(OutputError::NoDesktopButJournal),
        Target::Nowhere => Some(OutputError::NoDesktop),
    }
}

impl Sink for AutoSink {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn ending(&self) -> &'static str {
        if self.has_desktop() { self.window.ending() } else { self.stdout.ending() }
    }

    fn aim(&mut self, take: TakeId) {
        if self.has_desktop() {
            self.window.aim(take);
        }
    }

    fn unaim(&mut self, take: TakeId) {
        self.window.unaim(take);
    }

    fn wait(&mut self, wanted: &dyn Fn() -> bool) -> Result<(), OutputError> {
        if self.has_desktop() { self.window.wait(wanted) } else { Ok(()) }
    }

    fn deliver(&mut self, take: TakeId, text: &str) -> Result<(), OutputError> {
        if self.has_desktop() {
            return self.window.deliver(take, text);
        }
        match unfit(self.stdout.target()) {
            None => self.stdout.deliver(take, text),
            Some(error) => Err(error),
        }
    }

    fn rest(&mut self) {
        self.window.rest();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const TAKE: TakeId = TakeId(1);

    /// No desktop answers; whether one is named can be changed.
    fn sink(stdout: StdoutSink) -> (AutoSink, Arc<AtomicBool>) {
        let named = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&named);
        let window = DeskSink::on(&OutputConfig::default(), || {
            let reason = "nobody is there".to_owned();
            Err(OutputError::NoDisplay { desktop: "x11", display: ":7".to_owned(), reason })
        });
        (AutoSink { window, stdout, desktop: Box::new(move || asked.load(Ordering::Relaxed)) }, named)
    }

    #[test]
    fn a_text_goes_to_standard_output_only_while_there_is_no_desktop() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let (mut sink, named) = sink(StdoutSink::to(writer, Duration::from_secs(1)));
        assert_eq!(sink.ending(), "\n");
        sink.aim(TAKE);
        sink.wait(&|| true).unwrap();
        sink.deliver(TAKE, "one\n").unwrap();
        let mut seen = [0; 4];
        reader.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"one\n");
        named.store(true, Ordering::Relaxed);
        assert_eq!(sink.ending(), " ");
        let error = sink.deliver(TAKE, "two").unwrap_err();
        assert!(
            matches!(error, OutputError::NoDisplay { .. }),
            "{error}: one that does not answer is none to pass over"
        );
    }

    #[test]
    fn a_text_that_nobody_could_read_is_not_delivered() {
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
        let (mut sink, _) = sink(StdoutSink::to(null, Duration::from_secs(1)));
        let error = sink.deliver(TAKE, "secret").unwrap_err();
        assert!(matches!(error, OutputError::NoDesktop), "{error}");
    }
}
