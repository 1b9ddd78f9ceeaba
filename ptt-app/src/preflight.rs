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
    keyboard: bool,
    recorder: bool,
    stt: bool,
    output: bool,
}

impl Stock {
    pub(crate) const ALL: Self = Self { keyboard: true, recorder: true, stt: true, output: true };

    /// The same with another actor in the slot of this name.
    pub(crate) fn without(self, slot: &str) -> Self {
        Self {
            keyboard: self.keyboard && slot != "keyboard",
            recorder: self.recorder && slot != "recorder",
            stt: self.stt && slot != "stt",
            output: self.output && slot != "output",
        }
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

/// Everything in the sections of stock actors that would keep a part of the program from working on
/// this machine, a line each: `config check` finds what would otherwise be found at the first take.
#[must_use]
pub(crate) fn problems(config: &Config, stock: Stock) -> Vec<String> {
    let mut problems = Vec::new();
    if stock.keyboard {
        problems.extend(ptt_keyboard::check(&config.keyboard).err().map(|error| error.to_string()));
    }
    if stock.recorder {
        problems.extend(ptt_audio::check(&config.audio).err().map(|error| error.to_string()));
    }
    if stock.output {
        let of_output = |output| ptt_output::problems(output).into_iter().map(|error| error.to_string());
        let whole: Vec<String> = of_output(&config.output).collect();
        for profile in &config.profile {
            // What a profile has from `[output]` is said once.
            let own = of_output(&profile.output).filter(|problem| !whole.contains(problem));
            problems.extend(own.map(|problem| format!("profile {:?}: {problem}", profile.name.as_str())));
        }
        problems.extend(whole);
    }
    problems
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

    #[test]
    fn every_section_is_looked_at_and_every_problem_is_named() {
        for (toml, expected) in [
            ("", &[][..]),
            ("[output]\nsink = 'command'\ncommand = ['cat']", &[]),
            ("[output]\nsink = 'command'", &["`output.command` names no program"]),
            ("[audio]\nbackend = 'wav'", &["audio.wav"]),
            ("[keyboard]\nbackend = 'scripted'", &["keyboard.script"]),
            (
                "[keyboard]\nbackend = 'x11'\nchord = 'PadSouth'\n[output]\nsink = 'uinput'",
                &["cannot see PadSouth", "`output.uinput_layout`"],
            ),
            (
                "[[profile]]\nname = 'german'\n[profile.output]\nsink = 'command'",
                &["profile \"german\": `output.sink` is \"command\""],
            ),
            (
                "[output]\nsink = 'command'\n[[profile]]\nname = 'german'",
                &["`output.command` names no program"],
            ),
        ] {
            let config = Config::parse(toml, "config.toml", [], &[]).unwrap();
            let problems = problems(&config, Stock::ALL);
            assert_eq!(problems.len(), expected.len(), "{toml}: {problems:?}");
            for (problem, part) in problems.iter().zip(expected) {
                assert!(problem.contains(part), "{toml}: {problem:?} lacks {part:?}");
            }
        }
    }

    #[test]
    #[cfg(not(feature = "pipewire"))]
    fn a_sound_system_that_this_build_lacks_is_named_with_the_feature_that_has_it() {
        let config = Config::parse("[audio]\nhost = 'pipewire'", "config.toml", [], &[]).unwrap();
        let problems = problems(&config, Stock::ALL);
        assert!(problems[0].contains("--path ptt-app --features pipewire"), "{problems:?}");
    }
}
