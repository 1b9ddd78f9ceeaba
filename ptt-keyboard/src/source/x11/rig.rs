//! A private Xvfb, a hand on its keyboard and mouse (XTEST), and a window that sees what windows see.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ptt_messages::Moment;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateWindowAux, EventMask, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
    WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::{COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT, CURRENT_TIME, NONE};

use super::super::ear::Hand;
use super::layout::{Layout, Names};
use crate::chord::Watched;

/// An X server of our own. Killed when dropped.
pub struct Server {
    child: Child,
    pub display: String,
}

impl Server {
    /// `None`, and a line, where Xvfb is not installed.
    pub fn start(more: &[&str]) -> Option<Self> {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "64x64x24", "-noreset", "-nolisten", "tcp"]);
        let spawned = command.args(more).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut child) = spawned else {
            println!("skipped: no Xvfb here, install the package `xvfb`");
            return None;
        };
        // It writes its number when it is ready.
        let mut number = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut number).unwrap();
        assert!(!number.is_empty(), "Xvfb did not start");
        Some(Self { child, display: format!(":{}", number.trim()) })
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same display once more, after [`Server::kill`].
    pub fn restart(&mut self) {
        let again = Self::start(&[&self.display.clone()]).unwrap();
        assert_eq!(again.display, self.display);
        *self = again;
    }

    /// Gives it another keyboard map; false, and a line, where there is no setxkbmap.
    pub fn set_map(&self, args: &[&str]) -> bool {
        let run = Command::new("setxkbmap").args(["-display", &self.display]).args(args).output();
        let done = run.is_ok_and(|run| run.status.success());
        if !done {
            println!("skipped: no setxkbmap here, install the package `x11-xkb-utils`");
        }
        done
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub fn client(&self) -> RustConnection {
        RustConnection::connect(Some(&self.display)).unwrap().0
    }

    pub fn hand(&self) -> XHand {
        XHand { link: self.client(), names: Names::default() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Moves keys and buttons with XTEST.
pub struct XHand {
    pub link: RustConnection,
    pub names: Names,
}

impl XHand {
    /// Comes back when the server has done all that was asked of it.
    pub fn sync(&self) {
        self.link.get_input_focus().unwrap().reply().unwrap();
    }
}

impl Hand for XHand {
    fn set(&mut self, keys: &[&str], down: bool) -> Moment {
        let mut at = Moment::now();
        for key in keys {
            let layout = Layout::new(&Watched::chord_only(&key.parse().unwrap()), &self.names).unwrap();
            let (kind, number) = match (layout.keys(), layout.buttons()) {
                ([(key, _)], []) => (KEY_PRESS_EVENT, *key),
                ([], [(button, _)]) => (KEY_PRESS_EVENT + 2, *button),
                _ => unreachable!("one key"),
            };
            let kind = if down { kind } else { kind + KEY_RELEASE_EVENT - KEY_PRESS_EVENT };
            at = Moment::now();
            self.link.xtest_fake_input(kind, number, CURRENT_TIME, NONE, 0, 0, 0).unwrap();
            self.link.flush().unwrap();
        }
        at
    }
}

/// A window that has the focus.
pub struct Window {
    pub link: RustConnection,
}

impl Window {
    pub fn open(server: &Server) -> Self {
        let link = server.client();
        let (window, root) = (link.generate_id().unwrap(), link.setup().roots[0].root);
        let wanted = EventMask::KEY_PRESS | EventMask::KEY_RELEASE | EventMask::EXPOSURE;
        let aux = CreateWindowAux::new().event_mask(wanted).override_redirect(1);
        let (depth, class) = (COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
        link.create_window(depth, window, root, 0, 0, 64, 64, 0, class, COPY_FROM_PARENT, &aux).unwrap();
        link.map_window(window).unwrap();
        link.flush().unwrap();
        while !matches!(link.wait_for_event().unwrap(), Event::Expose(_)) {}
        link.set_input_focus(InputFocus::NONE, window, CURRENT_TIME).unwrap().check().unwrap();
        Self { link }
    }

    /// The numbers of the keys it saw go down since the last call.
    pub fn presses(&self) -> Vec<u8> {
        self.link.get_input_focus().unwrap().reply().unwrap();
        let mut seen = Vec::new();
        while let Some(event) = self.link.poll_for_event().unwrap() {
            if let Event::KeyPress(press) = event {
                seen.push(press.detail);
            }
        }
        seen
    }

    /// Waits until it has seen `presses` of any key.
    pub fn await_presses(&self, presses: usize) {
        let begun = Moment::now();
        let mut seen = self.presses().len();
        while seen < presses {
            assert!(Moment::now().since(begun) < Duration::from_secs(5), "{seen} of {presses}");
            seen += usize::from(matches!(self.link.wait_for_event().unwrap(), Event::KeyPress(_)));
        }
    }
}
