//! Rigs: the shipped program and the real things around it, each started by the test and ended by its own process id.
//!
//! What lives here: child processes, the daemon, a private PulseAudio, a private X server, a Wayland compositor and applications in it, a private
//! D-Bus with portals, a logind, an rtkit and notifications on it, the kernel rig, a virtual keyboard, a USB keyboard, real speech, and reading `/metrics`. What
//! does not: assertions about one crate. A rig whose packages are not there gives a [`Skip`].
//!
//! | variable | what it names | without it |
//! |---|---|---|
//! | `PTT_RIG` | the script `kernel-run` of the kernel rig | `../shared/rig/kernel-run` |
//! | `PTT_SPEECH` | a folder with `english/refs.tsv` and its clips | `../shared/speech`, else the bundled clip |
//! | `PTT_MODELS` | the folder of `ggml-tiny.en.bin` | the cache of `make setup`, else the user's models |
//! | `PTT_APP` | the program to test | the one built with the tests |
//! | `PTT_REQUIRE_RIGS` | (set at all) a skipped test fails | a skipped test says so and passes |

mod apps;
mod daemon;
mod desktop;
mod kernel;
mod keyboard;
mod levels;
mod metrics;
mod notifications;
mod process;
mod pulse;
mod realtime_kit;
mod remote_desktop;
mod speech;
mod sway;
mod usb_keyboard;
mod x11;

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use apps::{App, AppWindow, Stopped};
pub use daemon::{Daemon, DaemonBuilder, TakeReport, foot_pedal, is_recording, program};
pub use desktop::{Dialog, MockLogind, MockPortal, PrivateBus};
pub use kernel::{KernelRig, play_into_loopback};
pub use keyboard::VirtualKeyboard;
pub use levels::{amplified, at_level, in_noise, music, rumble};
pub use metrics::{Metrics, Quantile, http_get};
pub use notifications::{MockNotifications, Notification};
pub use process::{Finished, Process, Stream};
pub use pulse::{Ear, PrivatePulse, Recording};
pub use realtime_kit::RealtimeKit;
pub use remote_desktop::{Formats, Habits, MockRemoteDesktop, Wanted};
pub use speech::{Spoken, bundled, easy_speech, foreign_speech, model, noise_folder, speech, write_wav};
pub use sway::{Reader, Sway};
pub use usb_keyboard::{BootReport, UsbKeyboard};
pub use x11::{Holder, Screen, Terminal};

/// Set to make every skipped test a failed one: where the rigs are meant to be there.
pub const REQUIRE_RIGS: &str = "PTT_REQUIRE_RIGS";

/// Why a test cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip(pub String);

impl Skip {
    /// The same for what a machine may lack where the rigs are meant to be there, such as a large application.
    pub fn say_only(&self, test: &str) {
        say(&format!("SKIPPED {test}: {self}"));
    }

    /// Says on the terminal, past the test runner's capture, that `test` was skipped and why.
    ///
    /// # Panics
    /// When [`REQUIRE_RIGS`] is set.
    pub fn say(&self, test: &str) {
        assert!(
            std::env::var_os(REQUIRE_RIGS).is_none(),
            "{test} may not be skipped ({REQUIRE_RIGS} is set): {self}"
        );
        say(&format!("SKIPPED {test}: {self}"));
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prints a line for the person who runs the tests: a figure or a skip. The test runner does not capture it.
pub fn say(line: &str) {
    // Nothing is left to do when the terminal is gone.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Held by a test that needs the machine's processors to itself, so that no two such tests run at once.
#[derive(Debug)]
#[must_use = "others wait only as long as this is held"]
pub struct Alone(#[expect(dead_code, reason = "holding it is the point")] MutexGuard<'static, ()>);

/// Waits until no other test that needs the machine to itself runs.
pub fn heavy() -> Alone {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    Alone(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Looks until `ready` gives something. For what cannot be awaited: another process's socket or port.
///
/// # Panics
/// After `limit`, naming `what` was waited for.
pub fn await_some<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < end, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package lies in the workspace").to_path_buf()
}

/// The first of the programs that is not on the path, as the reason to skip.
///
/// # Errors
/// [`Skip`] names the program and the Debian package that has it.
pub fn needs(programs: &[(&str, &str)]) -> Result<(), Skip> {
    match programs.iter().find(|(program, _)| !on_path(program)) {
        Some((program, package)) => Err(Skip(format!("no {program} here; install the package `{package}`"))),
        None => Ok(()),
    }
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
