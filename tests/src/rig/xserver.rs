//! A private X server (Xvfb) and a hand on its keyboard, XTEST: to every client what is plugged in. Nobody else's display is
//! touched.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use evdev::KeyCode;
use rustix::process::Signal;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{KEY_PRESS_EVENT, KEY_RELEASE_EVENT};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::{CURRENT_TIME, NONE};

use super::{Process, Skip, Stream, needs};

const SOON: Duration = Duration::from_secs(30);

/// The server; dropping it ends it.
#[derive(Debug)]
pub struct PrivateX {
    process: Option<Process>,
    display: String,
}

/// Keys of a [`PrivateX`].
#[derive(Debug)]
pub struct XKeys(RustConnection);

impl PrivateX {
    /// Starts it on a display that is free.
    ///
    /// # Errors
    /// [`Skip`] where Xvfb is not installed.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Result<Self, Skip> {
        needs(&[("Xvfb", "xvfb")])?;
        let (process, display) = start(None).unwrap_or_else(|error| panic!("{error:#}"));
        Ok(Self { process: Some(process), display })
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(Signal::KILL);
            // A failure is one of reading what it wrote.
            let _ = process.wait(SOON);
        }
    }

    /// Starts it again on the same display.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        let (process, _) = start(Some(&self.display)).unwrap_or_else(|error| panic!("{error:#}"));
        self.process = Some(process);
    }

    /// What a client needs in its environment.
    #[must_use]
    pub fn env(&self) -> [(&'static str, &str); 1] {
        [("DISPLAY", &self.display)]
    }

    /// A hand on its keyboard.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn keys(&self) -> XKeys {
        XKeys(RustConnection::connect(Some(&self.display)).expect("the server answers").0)
    }
}

impl XKeys {
    /// Presses the keys in this order.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn press(&mut self, keys: &[KeyCode]) -> anyhow::Result<()> {
        keys.iter().try_for_each(|key| self.fake(KEY_PRESS_EVENT, *key))
    }

    /// Lets the keys go in this order.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn release(&mut self, keys: &[KeyCode]) -> anyhow::Result<()> {
        keys.iter().try_for_each(|key| self.fake(KEY_RELEASE_EVENT, *key))
    }

    fn fake(&self, kind: u8, key: KeyCode) -> anyhow::Result<()> {
        // X11 counts keys from 8.
        let number = u8::try_from(key.code() + 8)?;
        self.0.xtest_fake_input(kind, number, CURRENT_TIME, NONE, 0, 0, 0)?;
        self.0.flush().context("the X server is gone")
    }
}

fn start(display: Option<&str>) -> anyhow::Result<(Process, String)> {
    let mut command = Command::new("Xvfb");
    command.args(display).args([
        "-displayfd",
        "1",
        "-screen",
        "0",
        "64x64x24",
        "-noreset",
        "-nolisten",
        "tcp",
    ]);
    let mut process = Process::spawn(&mut command)?;
    // It writes its number when it is ready.
    let number = process.line(Stream::Out, SOON, |line| line.trim().parse::<u32>().ok())?;
    Ok((process, format!(":{number}")))
}
