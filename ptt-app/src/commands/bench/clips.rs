//! Which clips a bench plays, and what is said in them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::exit_code::{Exit, Failure};

/// One clip, held from its start to its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BenchClip {
    /// The file's name without its ending; empty for a take on a real microphone.
    pub(super) id: String,
    pub(super) path: PathBuf,
    pub(super) length: Duration,
    /// What is said in it; empty where nothing is.
    pub(super) reference: Option<String>,
    pub(super) kind: Kind,
}

/// What a clip is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Latency and words.
    Clip,
    /// The same of a long take.
    Joined,
    /// No text may come of it.
    Noise,
}

impl BenchClip {
    /// A take of `length` on whatever the microphone is.
    pub(super) fn unnamed(length: Duration) -> Self {
        Self { id: String::new(), path: PathBuf::new(), length, reference: None, kind: Kind::Clip }
    }
}

/// The clips of `dir` in the order of their names, at most `limit`, spread evenly.
pub(super) fn find(dir: &Path, refs: Option<&Path>, limit: Option<usize>) -> Result<Vec<BenchClip>, Failure> {
    let missing = |what: String| Failure::new(Exit::NoInput, what);
    let unreadable = |e: std::io::Error| missing(format!("cannot read {}: {e}", dir.display()));
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(unreadable)?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| {
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
            matches!(ending.as_str(), "wav" | "flac" | "ogg" | "mp3")
        })
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(missing(format!("{} holds no WAV, FLAC, OGG or MP3 file", dir.display())));
    }
    let references =
        match refs.map(Path::to_path_buf).or_else(|| Some(dir.join("refs.tsv")).filter(|p| p.is_file())) {
            Some(path) => read_list(&path)?,
            None => HashMap::new(),
        };
    spread(files, limit)
        .into_iter()
        .map(|path| {
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let clip = ptt_audio::read_audio_file(&path).map_err(|e| Failure::from(e.fault()))?;
            let reference = references.get(&id).cloned();
            let kind = if reference.as_deref() == Some("") { Kind::Noise } else { Kind::Clip };
            Ok(BenchClip { reference, length: clip.duration(), id, path, kind })
        })
        .collect()
}

/// The clips of `dir`, in none of which anything is said.
pub(super) fn find_noise(dir: &Path) -> Result<Vec<BenchClip>, Failure> {
    let silent = |clip| BenchClip { reference: Some(String::new()), kind: Kind::Noise, ..clip };
    Ok(find(dir, None, None)?.into_iter().map(silent).collect())
}

/// Reads `id<TAB>transcript` lines; in three columns the transcript is the last one.
pub(super) fn read_list(path: &Path) -> Result<HashMap<String, String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(Exit::NoInput, format!("cannot read {}: {e}", path.display())))?;
    Ok(parse_list(&text))
}

fn parse_list(text: &str) -> HashMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let (id, rest) = line.split_once('\t')?;
            let transcript = rest.rsplit('\t').next()?;
            Some((id.to_owned(), transcript.to_owned()))
        })
        .collect()
}

fn spread<T>(all: Vec<T>, limit: Option<usize>) -> Vec<T> {
    let n = all.len();
    let keep = limit.unwrap_or(n).min(n);
    all.into_iter().enumerate().filter(|(i, _)| (i + 1) * keep / n > i * keep / n).map(|(_, x)| x).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_spread_over_all() {
        assert_eq!(spread((0..10).collect(), Some(5)), [1, 3, 5, 7, 9]);
        assert_eq!(spread((0..3).collect(), Some(9)), [0, 1, 2]);
        assert_eq!(spread((0..3).collect::<Vec<i32>>(), None), [0, 1, 2]);
        assert_eq!(spread((0..100).collect::<Vec<i32>>(), Some(7)).len(), 7);
    }

    #[test]
    fn references_have_two_or_three_columns() {
        let refs = parse_list("a\tone two\nb\tde\tdrei vier\nbroken\nc\t\n");
        assert_eq!(refs["a"], "one two");
        assert_eq!(refs["b"], "drei vier");
        assert_eq!(refs["c"], "");
        assert_eq!(refs.len(), 3);
    }
}
