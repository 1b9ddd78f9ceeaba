//! `ptt-app config`: write, show and check the configuration.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::say;
use crate::config::{Config, DEFAULT_TOML, user_file};
use crate::exit_code::{Exit, Failure};

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Write the commented default to the user's configuration file (or to --config FILE).
    Init {
        /// Replace a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Print what is in force: file, environment and --set, defaults included.
    Show,
    /// Say whether `run` would start with the configuration: its keys, the model, the output.
    Check,
}

pub(crate) fn run(
    command: &ConfigCommand,
    file: Option<&Path>,
    load: impl Fn() -> Result<Config, Failure>,
    check: impl Fn(Config) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let path = file.map_or_else(user_file, Path::to_path_buf);
    match command {
        ConfigCommand::Init { force } => {
            init(&path, *force)?;
            say(format_args!("wrote {}", path.display()))?;
        }
        ConfigCommand::Show => {
            let state = if path.exists() { "" } else { " (not there: defaults)" };
            say(format_args!("# {}{state}\n{}", path.display(), load()?.to_toml().trim_end()))?;
        }
        ConfigCommand::Check => {
            check(load()?)?;
            let state = if path.exists() { "is good" } else { "is not there; the defaults are used" };
            say(format_args!("{} {state}", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn init(path: &Path, force: bool) -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        let why = if e.kind() == std::io::ErrorKind::AlreadyExists {
            format!("{} is there already; --force replaces it", path.display())
        } else {
            format!("cannot write {}: {e}", path.display())
        };
        Failure::new(Exit::Failed, why)
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .create_new(!force)
        .truncate(force)
        .mode(0o600)
        .open(path)
        .and_then(|mut f| f.write_all(DEFAULT_TOML.as_bytes()))
        .map_err(failed)
}
