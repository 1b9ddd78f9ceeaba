//! Fetches a published ggml file: over https, with the size and hash pinned beforehand, going on where an earlier
//! attempt stopped, and never visible under its name before it is complete and right.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::catalog;
use super::error::ModelError;
use super::folder;
use super::part::Part;
use super::record::{Origin, Record};
use super::source::Source;
use super::verify;

/// What to fetch and how.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The model's name.
    pub name: String,
    /// The models folder to write into.
    pub folder: PathBuf,
    /// Where to fetch from instead: a folder, or the file itself when it ends in `.bin`.
    pub url: Option<String>,
    /// The file's SHA-256, when it is not the published one.
    pub sha256: Option<String>,
    /// The file's size in bytes, when it is not the published one and known.
    pub size: Option<u64>,
    /// Replace another model of that name.
    pub force: bool,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long the server may send nothing.
    pub stall: Duration,
    /// Attempts in a row that may bring nothing.
    pub attempts: u32,
    /// Before the next attempt.
    pub pause: Duration,
}

impl PullOptions {
    /// The published model of this name.
    #[must_use]
    pub fn new(name: &str, folder: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            folder,
            url: None,
            sha256: None,
            size: None,
            force: false,
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(60),
            attempts: 4,
            pause: Duration::from_secs(2),
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there.
    pub done: u64,
    /// Bytes in all, when that is known.
    pub total: Option<u64>,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Bytes that came over the network; 0 when it was there already.
    pub fetched: u64,
}

/// Fetches a model; tells `progress` after every piece.
///
/// # Errors
/// Says what the server did wrong and whether the same command goes on where it stopped. A model that was there is
/// untouched then.
pub fn pull(options: &PullOptions, mut progress: impl FnMut(Progress)) -> Result<Pulled, ModelError> {
    let path = options.folder.join(folder::file_name(&options.name)?);
    let wanted = Wanted::of(options)?;
    let source = Source::new(options, &path)?;
    if let Some(there) = already_there(options, &path, &wanted.sha256)? {
        return Ok(there);
    }
    let mut fetch = Fetch { options, wanted: &wanted, source: &source, fetched: 0 };
    let mut part = fetch.complete(&path, &mut progress)?;
    if part.sha256() != wanted.sha256 && fetch.fetched < part.length() {
        // What an earlier attempt left may be of another file: once more, from the beginning.
        part.restart()?;
        drop(part);
        part = fetch.complete(&path, &mut progress)?;
    }
    let found = part.sha256();
    if found != wanted.sha256 {
        part.discard();
        return Err(ModelError::Damaged { path, expected: wanted.sha256, found });
    }
    let Record { size, sha256, .. } = Record::install(part, &path, &options.name, Origin::Published)?;
    tracing::info!(name = options.name, size, sha256, fetched = fetch.fetched, "model fetched");
    Ok(Pulled { path, size, sha256, fetched: fetch.fetched })
}

/// What is known beforehand.
struct Wanted {
    sha256: String,
    size: Option<u64>,
}

impl Wanted {
    fn of(options: &PullOptions) -> Result<Self, ModelError> {
        let published = catalog::published(&options.name);
        let Some(given) = &options.sha256 else {
            let published = published.ok_or_else(|| ModelError::Unpinned {
                name: options.name.clone(),
                known: catalog::names(),
            })?;
            return Ok(Self { sha256: published.sha256.to_owned(), size: Some(published.size) });
        };
        let sha256 = given.trim().to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ModelError::BadHash { given: given.clone() });
        }
        let size = options.size.or(published.filter(|p| p.sha256 == sha256).map(|p| p.size));
        Ok(Self { sha256, size })
    }
}

/// The wanted model, when it lies there and is right. A damaged one is fetched again; another one is not touched unasked.
fn already_there(options: &PullOptions, path: &Path, sha256: &str) -> Result<Option<Pulled>, ModelError> {
    match verify::check_before_load(path) {
        Ok(there) if there.sha256 == sha256 => {
            Ok(Some(Pulled { path: there.path, size: there.size, sha256: there.sha256, fetched: 0 }))
        }
        Ok(_) if !options.force => Err(ModelError::Exists { path: path.to_owned() }),
        Ok(_) | Err(_) => Ok(None),
    }
}

struct Fetch<'a> {
    options: &'a PullOptions,
    wanted: &'a Wanted,
    source: &'a Source,
    /// Bytes that came over the network.
    fetched: u64,
}

/// What to do after an attempt.
enum Next {
    Done,
    /// What is there was thrown away; ask for all of it.
    FromTheBeginning,
}

impl Fetch<'_> {
    /// Fetches until the file is complete, or no attempt brings anything any more. What is there is kept.
    fn complete(&mut self, path: &Path, progress: &mut impl FnMut(Progress)) -> Result<Part, ModelError> {
        let mut part = Part::open(path)?;
        match self.fill(&mut part, progress) {
            Ok(()) => Ok(part),
            Err(error) => {
                if part.length() == 0 {
                    part.discard();
                }
                Err(error)
            }
        }
    }

    fn fill(&mut self, part: &mut Part, progress: &mut impl FnMut(Progress)) -> Result<(), ModelError> {
        if let Some(size) = self.wanted.size {
            if part.length() > size {
                part.restart()?;
            }
            part.reserve(size)?;
        }
        let agent = self.source.agent();
        let mut fruitless = 0;
        while self.wanted.size != Some(part.length()) {
            let before = self.fetched;
            match self.attempt(&agent, part, progress) {
                Ok(Next::Done) => break,
                Ok(Next::FromTheBeginning) if fruitless < self.options.attempts => fruitless += 1,
                Ok(Next::FromTheBeginning) => {
                    return Err(self.source.wrong("it answers with other bytes than asked for, every time"));
                }
                Err(error) if !transient(&error) => return Err(error),
                Err(error) => {
                    fruitless = if self.fetched > before { 1 } else { fruitless + 1 };
                    if fruitless >= self.options.attempts {
                        return Err(error);
                    }
                    tracing::debug!(%error, "fetching goes on");
                    thread::sleep(self.options.pause);
                }
            }
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        agent: &Agent,
        part: &mut Part,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Next, ModelError> {
        let from = part.length();
        let mut request = agent.get(self.source.url()).header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let response = request.call().map_err(|e| self.source.failed(&e))?;
        let total = match response.status() {
            StatusCode::OK => {
                if from > 0 {
                    part.restart()?;
                }
                self.whole(&response)?
            }
            StatusCode::PARTIAL_CONTENT if from > 0 => match self.rest(&response, from) {
                Some(total) => Some(total),
                None => {
                    part.restart()?;
                    return Ok(Next::FromTheBeginning);
                }
            },
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                part.restart()?;
                return Ok(Next::FromTheBeginning);
            }
            status => return Err(self.source.refused(status)),
        };
        self.body(response, part, total, progress)?;
        Ok(Next::Done)
    }

    /// The size of the whole file, by an answer that carries all of it.
    fn whole(&self, response: &Response<Body>) -> Result<Option<u64>, ModelError> {
        let announced = number(response, header::CONTENT_LENGTH);
        match (announced, self.wanted.size) {
            (Some(announced), Some(size)) if announced != size => {
                let page = response
                    .headers()
                    .get(header::CONTENT_TYPE)
                    .is_some_and(|kind| kind.as_bytes().starts_with(b"text/"));
                let what = if page { "a web page" } else { "a file" };
                Err(self.source.wrong(&format!("{what} of {announced} bytes instead of {size}")))
            }
            (announced, size) => Ok(size.or(announced)),
        }
    }

    /// The size of the whole file, by an answer that carries the rest of it; `None` when it carries something else.
    fn rest(&self, response: &Response<Body>, from: u64) -> Option<u64> {
        let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
        let (span, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let total: u64 = total.parse().ok()?;
        let fits = first.parse() == Ok(from)
            && last.parse::<u64>().ok()?.checked_add(1) == Some(total)
            && self.wanted.size.is_none_or(|size| size == total);
        fits.then_some(total)
    }

    fn body(
        &mut self,
        response: Response<Body>,
        part: &mut Part,
        total: Option<u64>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), ModelError> {
        /// No Whisper model is larger than this.
        const LIMIT: u64 = 8 << 30;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.source.broke(&e)),
            };
            if part.length() + read as u64 > total.unwrap_or(LIMIT) {
                part.restart()?;
                return Err(self.source.wrong("more bytes than the file has"));
            }
            part.write_all(&buffer[..read]).map_err(ModelError::io("write", part.path()))?;
            self.fetched += read as u64;
            progress(Progress { done: part.length(), total });
        }
        match total {
            Some(total) if part.length() < total => Err(self
                .source
                .network(format!("the connection ended after {} of {total} bytes", part.length()))),
            _ => Ok(()),
        }
    }
}

fn number(response: &Response<Body>, name: header::HeaderName) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.parse().ok()
}

/// Whether the same request may go well a moment later.
fn transient(error: &ModelError) -> bool {
    matches!(error, ModelError::Network { .. } | ModelError::Stalled { .. })
        || matches!(error, ModelError::Refused { status, .. } if *status == 429 || *status >= 500)
}

#[cfg(test)]
mod tests;
