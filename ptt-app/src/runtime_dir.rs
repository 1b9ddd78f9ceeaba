//! The daemon's own folder, and the lock that makes it one daemon per user.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::exit_code::{Exit, Failure};

/// `$XDG_RUNTIME_DIR/ptt` with mode 0700; without that variable a folder of this user under the system's temporary one.
///
/// # Errors
/// When it cannot be made, or belongs to someone else.
pub fn runtime_dir() -> Result<PathBuf, Failure> {
    let dir = ptt_dirs::runtime().map_or_else(
        || ptt_dirs::temporary().join(format!("ptt-{}", rustix::process::getuid().as_raw())),
        |base| base.join("ptt"),
    );
    let failed = |what: &str| {
        Failure::new(
            Exit::Unavailable,
            format!("{} {what}; set XDG_RUNTIME_DIR to a folder of yours", dir.display()),
        )
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|e| failed(&format!("cannot be made ({e})")))?;
    let found = std::fs::symlink_metadata(&dir).map_err(|e| failed(&format!("cannot be read ({e})")))?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() {
        return Err(failed("is not a folder of this user"));
    }
    if found.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))
            .map_err(|e| failed(&format!("is open to others ({e})")))?;
    }
    Ok(dir)
}

/// Held as long as the daemon lives; the kernel gives it back however the process ends. The file is never removed:
/// a removed lock file can be locked twice.
#[derive(Debug)]
pub struct DaemonLock(#[expect(dead_code, reason = "holding it is the point")] File);

impl DaemonLock {
    /// Takes the lock in `dir`.
    ///
    /// # Errors
    /// [`Exit::AlreadyRunning`] names the process that holds it.
    pub fn take(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("lock");
        let unavailable = |e: &dyn std::fmt::Display| {
            Failure::new(Exit::Unavailable, format!("cannot lock {}: {e}", path.display()))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| unavailable(&e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Best effort: the number only helps the reader.
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                return Err(Failure::new(
                    Exit::AlreadyRunning,
                    format!(
                        "another ptt-app runs for this user (process {}); use it with `ptt-app status`, or end it first",
                        if holder.is_empty() { "unknown" } else { holder }
                    ),
                ));
            }
            Err(error) => return Err(unavailable(&error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|e| unavailable(&e))?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_lock_and_it_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let held = DaemonLock::take(dir.path()).unwrap();
        let refused = DaemonLock::take(dir.path()).unwrap_err();
        assert_eq!(refused.exit, Exit::AlreadyRunning);
        assert!(refused.message.contains(&format!("process {}", std::process::id())), "{}", refused.message);
        drop(held);
        DaemonLock::take(dir.path()).unwrap();
    }
}
