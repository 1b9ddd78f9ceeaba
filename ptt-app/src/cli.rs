//! The command line: what can be typed, and which command it becomes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::builder::AppBuilder;
use crate::commands;
use crate::config::Config;
use crate::control::Request;
use crate::exit_code::{Exit, Failure};

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong command line, 66 input or model missing, 69 daemon or device not there,
            70 internal error, 75 another daemon runs, 78 wrong configuration.
Any configuration key can be set with --set section.key=value or a variable PTT_SECTION__KEY.";

/// Push-to-talk dictation: hold a chord, speak, let go, and the text is there.
#[derive(Debug, Parser)]
#[command(name = "ptt-app", version, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    /// Configuration file instead of the user's own (`ptt-app config show` names it).
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Set one key, such as keyboard.chord=F13; may be given several times.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,

    /// What to do; without one, `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: listen for the chord and put texts out.
    Run(RunArgs),
    /// Show a whole take without any hardware: bundled speech, a scripted chord, the real engine.
    Demo(commands::demo::DemoArgs),
    /// Turn audio files into text.
    Transcribe(commands::transcribe::TranscribeArgs),
    /// Play a directory of clips in real time through the whole daemon and report WER and latencies.
    Bench(commands::bench::BenchArgs),
    /// Begin a take in the running daemon, as if the chord went down.
    Press(ProfileArgs),
    /// End the take, as if the chord went up.
    Release,
    /// Begin a take, or end the running one.
    Toggle(ProfileArgs),
    /// Throw the running take away.
    Cancel,
    /// Listen for the chord (again).
    Enable,
    /// Stop listening for the chord.
    Disable,
    /// Bring back the text that was not delivered, or the audio that could not be recognised.
    Retry,
    /// Tell what the daemon is doing.
    Status(commands::status::StatusArgs),
    /// List microphones and keyboards.
    Devices(commands::devices::DevicesArgs),
    /// Show what the keyboard sees of the chord, live; or list the names of keys.
    Keys(commands::keys::KeysArgs),
    /// List, fetch, import and check speech models.
    #[command(subcommand)]
    Models(commands::models::ModelsCommand),
    /// Write, show or check the configuration.
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Flags of `press` and `toggle`.
#[derive(Debug, Default, Args)]
pub struct ProfileArgs {
    /// A take of this `[[profile]]` instead of the default one.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// Flags of `run`.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// End after one take.
    #[arg(long)]
    pub once: bool,
}

/// The whole program with the stock actors.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    main_with(args, |app| app)
}

/// The whole program with a custom build's actors: `customise` is called for every daemon that is put together
/// (`run`, also after SIGHUP).
#[must_use]
pub fn main_with(
    args: impl IntoIterator<Item = OsString>,
    customise: impl Fn(AppBuilder) -> AppBuilder + Clone + 'static,
) -> ExitCode {
    // Before any thread, so that a model that is unloaded leaves nothing in other heaps.
    ptt_stt::memory::use_one_heap();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with code 0, errors to stderr with code 2. Nothing to do when neither can
            // be written.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    match dispatch(cli, customise) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.message.is_empty() {
                commands::complain(&failure.message);
            }
            failure.exit.into()
        }
    }
}

fn dispatch(
    cli: Cli,
    customise: impl Fn(AppBuilder) -> AppBuilder + Clone + 'static,
) -> Result<ExitCode, Failure> {
    let load = {
        let (file, set) = (cli.config.clone(), cli.set.clone());
        move || Config::load(file.as_deref(), &set).map_err(Failure::from)
    };
    match cli.command.unwrap_or(Command::Run(RunArgs::default())) {
        Command::Run(args) => commands::run::run(&args, load, customise),
        Command::Demo(args) => commands::demo::run(&args, load()?),
        Command::Transcribe(args) => commands::transcribe::run(&args, load()?),
        Command::Bench(args) => commands::bench::run(&args, load()?),
        Command::Press(ProfileArgs { profile }) => commands::status::ask(Request::Press { profile }),
        Command::Release => commands::status::ask(Request::Release),
        Command::Toggle(ProfileArgs { profile }) => commands::status::ask(Request::Toggle { profile }),
        Command::Cancel => commands::status::ask(Request::Cancel),
        Command::Enable => commands::status::ask(Request::Enable),
        Command::Disable => commands::status::ask(Request::Disable),
        Command::Retry => commands::status::ask(Request::Retry),
        Command::Status(args) => commands::status::run(&args),
        Command::Devices(args) => commands::devices::run(&args, &load()?),
        Command::Keys(args) => commands::keys::run(&args, &load()?),
        Command::Models(command) => commands::models::run(&command),
        Command::Config(command) => {
            let check = |config| customise(AppBuilder::new(config)).check_all();
            commands::config::run(&command, cli.config.as_deref(), load, check)
        }
        Command::Completions { shell } => {
            // Into memory first: the generator panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ptt-app", &mut script);
            commands::write_answer(String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_exit_code() {
        for (exit, _) in Exit::TABLE {
            assert!(AFTER_HELP.contains(&format!("{} ", exit.code())), "{exit:?}");
        }
    }
}
