//! Where models lie and what their files are called.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::ModelError;
use super::record::Record;

/// A model that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// As the configuration names it.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// What is known of it, when it was fetched, imported or checked here.
    pub record: Option<Record>,
}

/// The models folder: `$PTT_MODELS`, else `$XDG_DATA_HOME/ptt/models`, else `~/.local/share/ptt/models`.
#[must_use]
pub fn folder() -> PathBuf {
    let named = env::var_os("PTT_MODELS").filter(|value| !value.is_empty()).map(PathBuf::from);
    named.unwrap_or_else(|| {
        // A user without a home directory has no models; those of the working directory are not theirs.
        ptt_dirs::data().unwrap_or_else(|| "/nonexistent".into()).join("ptt/models")
    })
}

/// The file of a model: of a name like `tiny.en` in the models folder, of anything with a `/` or ending in `.bin` that
/// path itself. Only looks whether it is there.
///
/// # Errors
/// [`ModelError::Missing`] says how to get it.
pub fn resolve(name_or_path: &str) -> Result<PathBuf, ModelError> {
    resolve_in(&folder(), name_or_path)
}

/// [`resolve`] in another models folder.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_in(folder: &Path, name_or_path: &str) -> Result<PathBuf, ModelError> {
    let is_path = name_or_path.contains('/')
        || Path::new(name_or_path).extension().is_some_and(|extension| extension == "bin");
    let path = if is_path { PathBuf::from(name_or_path) } else { folder.join(file_name(name_or_path)?) };
    if path.exists() {
        return Ok(path);
    }
    let name = if is_path { name_of(&path).unwrap_or("NAME") } else { name_or_path };
    Err(ModelError::Missing { name: name.to_owned(), path: path.clone() })
}

/// The models in the models folder, by name. A folder that is not there holds none.
#[must_use]
pub fn installed() -> Vec<ModelInfo> {
    installed_in(&folder())
}

/// [`installed`] in another models folder.
#[must_use]
pub fn installed_in(folder: &Path) -> Vec<ModelInfo> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut models: Vec<ModelInfo> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
            let name = name_of(&path)?.to_owned();
            Some(ModelInfo { record: Record::read(&path).ok().flatten(), name, size: meta.len(), path })
        })
        .collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models
}

/// `ggml-NAME.bin`.
///
/// # Errors
/// [`ModelError::BadName`] when the name could lead out of the folder or hide the file.
pub fn file_name(name: &str) -> Result<String, ModelError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.chars().all(plain) {
        return Err(ModelError::BadName { name: name.to_owned() });
    }
    Ok(format!("ggml-{name}.bin"))
}

/// The name in `ggml-NAME.bin`.
#[must_use]
pub fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()?.strip_prefix("ggml-")?.strip_suffix(".bin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("ggml-tiny.en.bin");
        let error = resolve_in(folder.path(), "tiny.en").unwrap_err().to_string();
        assert!(error.contains("ptt-app models pull tiny.en") && error.contains("models import"), "{error}");
        fs::write(&model, b"x").unwrap();
        assert_eq!(resolve_in(folder.path(), "tiny.en").unwrap(), model);
        assert_eq!(resolve_in(Path::new("elsewhere"), model.to_str().unwrap()).unwrap(), model);
        assert!(matches!(resolve_in(folder.path(), "other.bin"), Err(ModelError::Missing { .. })));
        for bad in ["", ".hidden", "-x", "a b", "ä", "a\0b", &"x".repeat(65)] {
            assert!(matches!(resolve_in(folder.path(), bad), Err(ModelError::BadName { .. })), "{bad:?}");
        }
    }

    #[test]
    fn only_models_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ggml-b.bin", "ggml-a.bin", "ggml-a.json", "ggml-c.bin.part", "notes.txt"] {
            fs::write(folder.path().join(name), b"xyz").unwrap();
        }
        fs::create_dir(folder.path().join("ggml-d.bin")).unwrap();
        let found = installed_in(folder.path());
        let names: Vec<_> = found.iter().map(|m| (m.name.as_str(), m.size, m.record.is_some())).collect();
        assert_eq!(names, [("a", 3, false), ("b", 3, false)]);
        assert!(installed_in(&folder.path().join("none")).is_empty());
    }
}
