//! `ptt-app run`: the daemon.

use std::process::ExitCode;
use std::sync::Arc;

use crate::builder::AppBuilder;
use crate::cli::RunArgs;
use crate::config::Config;
use crate::exit_code::Failure;
use crate::lifecycle;

pub(crate) fn run(
    args: &RunArgs,
    load: impl Fn() -> Result<Config, Failure> + Send + Sync + 'static,
    customise: impl Fn(AppBuilder) -> AppBuilder,
) -> Result<ExitCode, Failure> {
    let once = args.once;
    let load = move || {
        load().map(|mut config| {
            config.controller.once |= once;
            config
        })
    };
    let config = load()?;
    lifecycle::run(config, Arc::new(load), |config| customise(AppBuilder::new(config)))
}
