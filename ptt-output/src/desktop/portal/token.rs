//! What the portal remembers the user's word by: a token, good for one start, which brings the next one. It stands in the
//! state folder where only the user can read it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A longer one is none: the portals' are UUIDs.
const LONGEST: usize = 4_096;

/// The file in the state folder.
pub(super) fn file(state: &Path) -> PathBuf {
    state.join("ptt").join("remote-desktop.token")
}

/// The token, where there is one.
pub(super) fn load(file: &Path) -> Option<String> {
    let token = fs::read_to_string(file).ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty() && token.len() <= LONGEST)
}

/// Puts a token in the place of the one that was used; `None` leaves none.
///
/// # Errors
/// The folder or the file cannot be written.
pub(super) fn store(file: &Path, token: Option<&str>) -> io::Result<()> {
    let Some(token) = token else {
        return match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
    };
    fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
    // Beside it first: a half written token would be a dialog at every start, and the old one is used up.
    let new = file.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?
        .write_all(token.as_bytes())?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_the_users_alone_and_used_once() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("ptt").join("token");
        assert_eq!(load(&file), None);
        store(&file, None).unwrap();
        store(&file, Some("first")).unwrap();
        store(&file, Some("second")).unwrap();
        assert_eq!(load(&file).as_deref(), Some("second"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        store(&file, None).unwrap();
        assert_eq!(load(&file), None);
        fs::write(&file, "x".repeat(LONGEST + 1)).unwrap();
        assert_eq!(load(&file), None);
        fs::write(&file, "\n").unwrap();
        assert_eq!(load(&file), None);
    }
}
