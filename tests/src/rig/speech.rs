//! Real speech with its transcript, and the model to recognise it with. Nothing of it is part of this package.

use std::path::{Path, PathBuf};

use ptt_messages::{Clip, SAMPLE_RATE_HZ};

use super::{Skip, workspace};

/// Names the folder of clips where it does not lie beside the workspace.
const SPEECH: &str = "PTT_SPEECH";
/// Of [`easy_speech`].
const EASY: [&str; 4] = ["cv6-563554", "cvo-001", "cvo-011", "cvo-015"];
/// Names the folder of models.
const MODELS: &str = "PTT_MODELS";

/// A recording and what is said in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Its name in the list of transcripts.
    pub id: String,
    /// The audio file.
    pub file: PathBuf,
    /// What is said, with case and punctuation.
    pub text: String,
}

/// The clips in `$PTT_SPEECH/english`, or in `../shared/speech/english` from the workspace; without them the program's own.
#[must_use]
pub fn speech() -> Vec<Spoken> {
    match read_list(&speech_root().join("english")) {
        clips if clips.is_empty() => vec![bundled()],
        clips => clips,
    }
}

/// The clips in `other-languages` beside them; without that folder none.
#[must_use]
pub fn foreign_speech() -> Vec<Spoken> {
    read_list(&speech_root().join("other-languages"))
}

/// Where clips without speech would be.
#[must_use]
pub fn noise_folder() -> PathBuf {
    speech_root().join("noise")
}

/// Where those clips would be.
pub(super) fn speech_root() -> PathBuf {
    std::env::var_os(SPEECH).map_or_else(|| workspace().join("../shared/speech"), PathBuf::from)
}

/// The clip that comes with the program: three seconds, one sentence, clearly spoken.
#[must_use]
pub fn bundled() -> Spoken {
    Spoken {
        id: "quick_brown_fox".to_owned(),
        file: workspace().join("ptt-app/assets/quick_brown_fox.wav"),
        text: "The quick brown fox jumps over the lazy dog.".to_owned(),
    }
}

/// The ggml file of a model: in `$PTT_MODELS`, in the cache that `make setup` fills, or where the program keeps its own.
///
/// # Errors
/// [`Skip`] when it is in none of them.
pub fn model(name: &str) -> Result<PathBuf, Skip> {
    let env = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = env("HOME").unwrap_or_default();
    [
        env(MODELS),
        Some(env("PTT_CACHE").unwrap_or_else(|| home.join(".cache/ptt")).join("models")),
        Some(env("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("ptt/models")),
    ]
    .into_iter()
    .flatten()
    .map(|folder| folder.join(format!("ggml-{name}.bin")))
    .find(|file| file.is_file())
    .ok_or_else(|| Skip(format!("no model {name}; run `make setup` or set {MODELS}")))
}

/// The bundled clip and those few that the smallest model gets right word for word from the file: what is missing from their
/// text was lost on the way.
#[must_use]
pub fn easy_speech() -> Vec<Spoken> {
    let mut clips = vec![bundled()];
    clips.extend(speech().into_iter().filter(|clip| EASY.contains(&clip.id.as_str())));
    clips
}

/// Writes a clip as 16-bit mono, for players that read nothing else.
///
/// # Errors
/// When the file cannot be written.
pub fn write_wav(file: &Path, clip: &Clip) -> anyhow::Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec)?;
    for sample in clip.samples() {
        writer.write_sample((sample * 32_767.0).round() as i16)?;
    }
    Ok(writer.finalize()?)
}

/// Reads `refs.tsv` (`id<TAB>text`, perhaps with more columns between); a clip without its file is left out.
fn read_list(folder: &Path) -> Vec<Spoken> {
    let list = std::fs::read_to_string(folder.join("refs.tsv")).unwrap_or_default();
    list.lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(id, text)| {
            let file =
                ["flac", "wav"].iter().map(|ext| folder.join(format!("{id}.{ext}"))).find(|f| f.is_file())?;
            let text = text.rsplit('\t').next().unwrap_or_default().trim().to_owned();
            Some(Spoken { id: id.to_owned(), file, text })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_the_clips_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::new(vec![0.25; 160]).unwrap();
        write_wav(&folder.path().join("a.wav"), &clip).unwrap();
        std::fs::write(folder.path().join("refs.tsv"), "a\tSaid so.\nb\tNot there.\n").unwrap();
        let clips = read_list(folder.path());
        assert_eq!(clips.len(), 1);
        assert_eq!((clips[0].id.as_str(), clips[0].text.as_str()), ("a", "Said so."));
        assert_eq!(hound::WavReader::open(&clips[0].file).unwrap().duration(), 160);
    }
}
