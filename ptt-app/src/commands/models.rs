//! `ptt-app models`: list, fetch, import and check speech models. What a model is and when its bytes are trusted is
//! decided in `ptt_stt::model`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ptt_stt::SttConfig;
use ptt_stt::model::{self, ImportOptions, ModelError, PullOptions, Quantization};
use serde::Serialize;

use super::{say, say_json};
use crate::exit_code::{Exit, Failure};

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the models that are here and those that can be fetched.
    List {
        /// One JSON object per model.
        #[arg(long)]
        json: bool,
    },
    /// Fetch a published model; an interrupted one goes on where it stopped.
    Pull {
        /// Its name, such as tiny.en, base or small-q5_1.
        name: String,
        /// Fetch from this folder (or this file, ending in .bin) instead.
        #[arg(long)]
        url: Option<String>,
        /// SHA-256 of the file, for models that are not in the list.
        #[arg(long)]
        sha256: Option<String>,
        /// Replace another model of that name.
        #[arg(long)]
        force: bool,
    },
    /// Convert a CTranslate2 directory (what faster-whisper uses) to a model of ours.
    Import {
        /// The directory with model.bin and a vocabulary.
        dir: PathBuf,
        /// Name of the new model; default: that of the published model of the same shape.
        #[arg(long)]
        name: Option<String>,
        /// How to store the weights: f16, q8_0, q5_1, q5_0 or q4_0.
        #[arg(long, default_value = "f16")]
        quantize: String,
        /// Replace a model of that name.
        #[arg(long)]
        force: bool,
    },
    /// Read a whole model and say whether its bytes are what they must be.
    Verify {
        /// Names or files; without one, every model that is here.
        names: Vec<String>,
    },
}

/// Fails early, before anything is started, when the configured engine has no model that it can use.
pub(crate) fn check(stt: &SttConfig) -> Result<(), Failure> {
    ptt_stt::engine::check(stt).map_err(|error| Failure::new(Exit::NoInput, error.to_string()))
}

pub(crate) fn run(command: &ModelsCommand) -> Result<ExitCode, Failure> {
    match command {
        ModelsCommand::List { json } => list(*json)?,
        ModelsCommand::Pull { name, url, sha256, force } => {
            let options = PullOptions {
                url: url.clone(),
                sha256: sha256.clone(),
                force: *force,
                ..PullOptions::new(name, model::folder())
            };
            pull(&options)?;
        }
        ModelsCommand::Import { dir, name, quantize, force } => {
            let quantize: Quantization = quantize
                .parse()
                .map_err(|e| Failure::new(Exit::Usage, format!("--quantize {quantize}: {e}")))?;
            let folder = model::folder();
            import(&ImportOptions {
                directory: dir.clone(),
                folder,
                name: name.clone(),
                quantize,
                force: *force,
            })?;
        }
        ModelsCommand::Verify { names } => verify(names)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    installed: bool,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a std::path::Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
}

fn list(json: bool) -> Result<(), Failure> {
    let here = model::installed();
    let mut rows: Vec<Listed> = here
        .iter()
        .map(|m| Listed {
            name: &m.name,
            installed: true,
            size: m.size,
            path: Some(&m.path),
            sha256: m.record.as_ref().map(|r| r.sha256.as_str()),
        })
        .collect();
    let missing = model::catalog::CATALOG.iter().filter(|p| !here.iter().any(|m| m.name == p.name));
    rows.extend(missing.map(|p| Listed {
        name: p.name,
        installed: false,
        size: p.size,
        path: None,
        sha256: Some(p.sha256),
    }));
    if json {
        return rows.iter().try_for_each(say_json);
    }
    say(format_args!("in {}:", model::folder().display()))?;
    if here.is_empty() {
        say("  none; `ptt-app models pull tiny.en` fetches the default one (78 MB)")?;
    }
    for row in rows.iter().filter(|r| r.installed) {
        say(format_args!("  {:<22}{:>8}", row.name, megabytes(row.size)))?;
    }
    say("can be fetched with `ptt-app models pull NAME`:")?;
    for row in rows.iter().filter(|r| !r.installed) {
        say(format_args!("  {:<22}{:>8}", row.name, megabytes(row.size)))?;
    }
    Ok(())
}

fn pull(options: &PullOptions) -> Result<(), Failure> {
    let bar = bar("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}", &options.name);
    let pulled = model::pull(options, |progress| {
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    let pulled = pulled.map_err(|e| failure(&e))?;
    let how = if pulled.fetched == 0 { "was here already" } else { "fetched and checked" };
    say(format_args!("{} {how}: {}", options.name, pulled.path.display()))
}

fn import(options: &ImportOptions) -> Result<(), Failure> {
    let bar = bar("importing {bar:30} {pos}/{len} tensors", "");
    let imported = model::import(options, |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let imported = imported.map_err(|e| failure(&e))?;
    let same = if imported.published { ", equal to the published file" } else { "" };
    say(format_args!(
        "{} imported ({}{same}): {}",
        imported.name,
        megabytes(imported.size),
        imported.path.display()
    ))
}

fn verify(names: &[String]) -> Result<(), Failure> {
    let paths: Vec<PathBuf> = if names.is_empty() {
        model::installed().into_iter().map(|m| m.path).collect()
    } else {
        names.iter().map(|n| model::resolve(n)).collect::<Result<_, _>>().map_err(|e| failure(&e))?
    };
    if paths.is_empty() {
        return say("no models are here");
    }
    let mut bad = 0;
    for path in &paths {
        match model::verify(path) {
            Ok(good) => say(format_args!("{}: good, SHA-256 {}", path.display(), good.sha256))?,
            Err(error) => {
                bad += 1;
                say(error)?;
            }
        }
    }
    if bad == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::NoInput, format!("{bad} of {} models: not good", paths.len())))
}

fn bar(template: &str, message: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the templates are constants that parse");
    // Hidden when stderr is not a terminal.
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message(message.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

fn failure(error: &ModelError) -> Failure {
    let exit = match error.kind() {
        ptt_messages::FaultKind::Misconfigured => Exit::Usage,
        ptt_messages::FaultKind::Gone | ptt_messages::FaultKind::Broken => Exit::NoInput,
        ptt_messages::FaultKind::Busy
        | ptt_messages::FaultKind::Timeout
        | ptt_messages::FaultKind::Denied => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}
