//! What a configuration is asked before anything is started or swapped: `run`, a reload and
//! `config check` refuse what could only fail later. What can be wrong in a section alone is the
//! section's own affair ([`Config::load`]); here the files and programs that it names are looked at.

use crate::builder::output_of;
use crate::commands::models;
use crate::config::Config;
use crate::exit_code::Failure;
use crate::telemetry;

/// The roles whose sections can be checked, because stock actors read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stock {
    stt: bool,
    output: bool,
}

impl Stock {
    pub(crate) const ALL: Self = Self { stt: true, output: true };

    /// The same with another actor in the slot of this name.
    pub(crate) fn without(self, slot: &str) -> Self {
        Self { stt: self.stt && slot != "stt", output: self.output && slot != "output" }
    }
}

/// Checks a configuration as far as stock actors read it.
///
/// # Errors
/// What would keep the daemon from working, with what to do.
pub(crate) fn check(config: &Config, stock: Stock) -> Result<(), Failure> {
    telemetry::check_filter(&config.log)?;
    if stock.output {
        ptt_output::check(&output_of(config)).map_err(|e| Failure::from(ptt_messages::Fault::from(&e)))?;
    }
    if stock.stt {
        models::check(&config.stt)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::Exit;

    #[test]
    fn what_another_actor_reads_is_not_judged() {
        let text = "stt.model = '/no/such/ggml-none.bin'\noutput.sink = 'command'";
        let config = Config::parse(text, "f", [], &[]).unwrap();
        let exit = |stock| check(&config, stock).map_err(|failure| failure.exit).err();
        assert_eq!(exit(Stock::ALL), Some(Exit::Config));
        assert_eq!(exit(Stock::ALL.without("output")), Some(Exit::NoInput));
        assert_eq!(exit(Stock::ALL.without("output").without("stt")), None);
        assert_eq!(exit(Stock::ALL.without("keyboard")), Some(Exit::Config));
    }
}
