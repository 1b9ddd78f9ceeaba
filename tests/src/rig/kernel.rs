//! The kernel rig: a command under a User-Mode-Linux kernel that has what a test machine lacks: uinput, evdev, ALSA loopback.
//!
//! The guest sees this machine's file system read-only, so a test runs *itself* in there: the same binary, one test
//! named, with [`GUEST`] set. Harness and assertions are then the same inside and outside.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::daemon::PROGRAM;
use super::speech::{model, speech_root};
use super::{Finished, Process, Skip, needs, workspace};

/// Set inside the guest; its value is the folder that both sides can write to.
const GUEST: &str = "PTT_RIG_GUEST";
/// Names the rig's script where it does not lie beside the workspace.
const RIG: &str = "PTT_RIG";

/// The rig's script.
#[derive(Clone, Debug)]
pub struct KernelRig {
    script: PathBuf,
}

impl KernelRig {
    /// Finds the rig: at `$PTT_RIG`, or at `../shared/rig/kernel-run` from the workspace.
    ///
    /// # Errors
    /// [`Skip`] when it is not there, or what it needs is not.
    pub fn find() -> Result<Self, Skip> {
        let script =
            std::env::var_os(RIG).map_or_else(|| workspace().join("../shared/rig/kernel-run"), PathBuf::from);
        if !script.is_file() {
            return Err(Skip(format!("no kernel rig; set {RIG} to the path of `kernel-run`")));
        }
        needs(&[("xz", "xz-utils"), ("aplay", "alsa-utils"), ("udevadm", "udev")])?;
        Ok(Self { script })
    }

    /// The shared folder, when this process runs inside the guest.
    #[must_use]
    pub fn guest() -> Option<PathBuf> {
        std::env::var_os(GUEST).map(PathBuf::from)
    }

    /// Runs one test of this very binary inside the guest, with `folder` writable on both sides.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn run_test(&self, test: &str, folder: &Path, limit: Duration) -> anyhow::Result<Finished> {
        let binary = std::env::current_exe()?;
        let mut command = Command::new(&self.script);
        let mut seen = vec![folder.to_path_buf(), workspace(), speech_root()];
        seen.extend(
            [binary.parent(), super::program().parent()].into_iter().flatten().map(Path::to_path_buf),
        );
        seen.extend(model("tiny.en").ok().and_then(|file| file.parent().map(Path::to_path_buf)));
        // The guest has a fresh /tmp: whatever lies there must be named.
        for there in seen.iter().filter(|path| path.starts_with("/tmp") && path.is_dir()) {
            command.arg("-w").arg(there);
        }
        command.arg("--").arg(&binary).args(["--exact", test, "--nocapture", "--test-threads=1"]);
        // Nothing can be built in there.
        command.env(GUEST, folder).env(PROGRAM, super::program());
        Process::spawn(command.current_dir(folder))?.wait(limit)
    }
}

/// Plays an audio file into the guest's ALSA loopback: what a capture from `hw:Loopback,1` hears. Ends with its last sample.
///
/// # Errors
/// When `aplay` cannot be started.
pub fn play_into_loopback(file: &Path) -> anyhow::Result<Process> {
    // The rate and the format are those of whoever opened the loopback first: `plughw` converts.
    Process::spawn(Command::new("aplay").args(["--quiet", "-D", "plughw:Loopback,0"]).arg(file))
}
