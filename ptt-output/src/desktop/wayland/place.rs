//! Where the compositor listens, by the environment's rules. Nothing connects here.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The socket of a display: its own path when it is absolute, else its name in the runtime directory (`None`: there is
/// no such directory).
pub(super) fn socket(display: &str, runtime_dir: Option<&Path>) -> Option<PathBuf> {
    if Path::new(display).is_absolute() {
        return Some(PathBuf::from(display));
    }
    Some(runtime_dir?.join(display))
}

/// The newest display in the runtime directory.
pub(super) fn newest(runtime_dir: &Path) -> Option<String> {
    let entries = fs::read_dir(runtime_dir).ok()?.flatten();
    let displays = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let metadata = entry.metadata().ok()?;
        let is_display = name.starts_with("wayland-") && metadata.file_type().is_socket();
        Some((metadata.modified().ok()?, name)).filter(|_| is_display)
    });
    displays.max().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_display_is_a_name_or_a_path() {
        let dir = Some(Path::new("/run/user/1000"));
        for (display, dir, expected) in [
            ("wayland-1", dir, Some("/run/user/1000/wayland-1")),
            ("/tmp/socket", None, Some("/tmp/socket")),
            ("wayland-1", None, None),
        ] {
            assert_eq!(socket(display, dir), expected.map(PathBuf::from), "{display} in {dir:?}");
        }
    }

    #[test]
    fn without_a_name_it_is_the_newest_socket() {
        let dir = tempfile::TempDir::new().unwrap();
        assert_eq!(newest(dir.path()), None);
        fs::write(dir.path().join("wayland-9.lock"), "").unwrap();
        fs::write(dir.path().join("wayland-9"), "no socket").unwrap();
        let _other = UnixListener::bind(dir.path().join("bus")).unwrap();
        assert_eq!(newest(dir.path()), None);
        let _socket = UnixListener::bind(dir.path().join("wayland-1")).unwrap();
        assert_eq!(newest(dir.path()).as_deref(), Some("wayland-1"));
        assert_eq!(newest(Path::new("/no/such")), None);
    }
}
