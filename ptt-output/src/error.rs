//! What can go wrong with a text on its way out, and what to do about it. No message holds any of the text.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ptt_messages::{Component, Fault, FaultKind};

use crate::desktop::portal::PortalError;

/// Why a text is not out, or why a sink cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The sink `command` has no command.
    #[error(
        "`output.sink` is \"command\" but `output.command` names no program; give it as a list, such as [\"wl-copy\"]"
    )]
    NoCommand,
    /// There is a post-process command without a program.
    #[error(
        "`output.post_command` names no program; give it as a list, such as [\"sed\", \"s/teh/the/\"], or leave it empty"
    )]
    NoPostCommand,
    /// The sink `file` has no file.
    #[error("`output.file_path` is empty; name the file that texts go to")]
    NoPath,
    /// A `~` that cannot be replaced.
    #[error(
        "`output.file_path` begins with ~ but there is no home directory; set HOME, or write the whole path"
    )]
    NoHome,
    /// The file's directory is not there.
    #[error("there is no directory {} for `output.file_path`; make it, or correct the path", directory.display())]
    NoDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// The program is not there.
    #[error("the output command `{program}` was not found; install it, or correct `output.command`")]
    NoProgram {
        /// Its name in the configuration.
        program: String,
    },
    /// The program ended with an error.
    #[error("the output command `{program}` failed ({status}); run it by hand to see why")]
    CommandFailed {
        /// Its name in the configuration.
        program: String,
        /// Its exit code or signal.
        status: String,
    },
    /// The program did not end.
    #[error(
        "the output command `{program}` did not end within {limit:?} and was stopped; correct it, or raise `output.command_limit_ms`"
    )]
    CommandHangs {
        /// Its name in the configuration.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// Nobody reads at the other end.
    #[error("nobody reads {target} any more; start the reader again, or choose another `output.sink`")]
    Closed {
        /// What was written to.
        target: String,
    },
    /// The reader at the other end stands still.
    #[error(
        "{target} took no text for {limit:?}; see why its reader stands still, or choose another `output.sink`"
    )]
    Stuck {
        /// What was written to.
        target: String,
        /// How long it had.
        limit: Duration,
    },
    /// Not permitted.
    #[error("may not use {target}; change its permissions, or choose another in `[output]`")]
    Denied {
        /// What was to be used.
        target: String,
    },
    /// No room.
    #[error("no space left for {target}; make room")]
    NoSpace {
        /// What was written to.
        target: String,
    },
    /// Anything else the system says.
    #[error("cannot write to {target}: {source}")]
    Io {
        /// What was written to.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// No desktop in the environment.
    #[error(
        "neither WAYLAND_DISPLAY nor DISPLAY names a desktop; start ptt-app in the session, or for a service run `systemctl --user import-environment WAYLAND_DISPLAY DISPLAY`; on a text console name its layout in `output.uinput_layout`"
    )]
    NoDesktop,
    /// Texts are to go to standard output, and that is the journal.
    #[error(
        "standard output is the system journal, which would keep every text; set `output.sink` to \"auto\" (the focused window), \"file\" or \"command\""
    )]
    Journal,
    /// No desktop in the environment, and standard output, to which a text would go then, is the journal.
    #[error(
        "no desktop is named, and standard output is the system journal, which would keep every text; run `systemctl --user import-environment WAYLAND_DISPLAY DISPLAY` in the session and start ptt-app again, or set `output.sink` to \"file\" or \"command\""
    )]
    NoDesktopButJournal,
    /// The desktop does not answer, or does not let us in.
    #[error(
        "cannot use the {desktop} display {display} ({reason}); see that it runs and that this user may use it"
    )]
    NoDisplay {
        /// "x11", "wayland" or "portal".
        desktop: &'static str,
        /// Its name in the environment.
        display: String,
        /// What the connection said.
        reason: String,
    },
    /// The connection broke; a part of the text may be out.
    #[error("the connection to the {desktop} desktop broke ({reason}); it is made anew for the next text")]
    DesktopLost {
        /// "x11" or "wayland".
        desktop: &'static str,
        /// What the connection said.
        reason: String,
    },
    /// The desktop, or the keyboard of `uinput`, lacks what this way needs. Nothing was put out.
    #[error("this {desktop} desktop lacks {what}")]
    NotOffered {
        /// "x11", "wayland", "portal" or "uinput".
        desktop: &'static str,
        /// What it lacks, and what helps.
        what: &'static str,
    },
    /// The desktop's portal does not help; nothing was put out.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// The portal's session ended when the keys that paste may have been pressed; the text may be out.
    #[error("{0}; whether the window took the text is not known")]
    PortalLost(#[source] PortalError),
    /// Characters that cannot be bound to keys all at once. Nothing was typed.
    #[error(
        "{characters} different characters that the keyboard layout lacks are more than can be typed; use `output.sink = \"paste\"` or \"auto\""
    )]
    Untypable {
        /// How many.
        characters: usize,
    },
    /// Longer than what a window surely bears that may not read what is typed. Nothing was typed.
    #[error(
        "{characters} characters are more than can be typed at once into a window that may be busy; use `output.sink = \"paste\"` or \"auto\""
    )]
    LongText {
        /// How many.
        characters: usize,
    },
    /// The window has not read what was typed, and may still.
    #[error(
        "the window did not read what was typed within {limit:?}; it may hang, and may still take the text"
    )]
    NotRead {
        /// How long it had.
        limit: Duration,
    },
    /// The window is gone, and what was typed with it.
    #[error("the window was closed before it had read what was typed")]
    WindowGone,
    /// `uinput` is to type and nobody says in which layout.
    #[error(
        "`output.sink` or a rule is \"uinput\" but `output.uinput_layout` names no layout; name the one of the console or the compositor, such as \"us\""
    )]
    LayoutUnnamed,
    /// XKB does not have the layout.
    #[error(
        "XKB has no keyboard layout `{layout}`; correct `output.uinput_layout` (`ls /usr/share/X11/xkb/symbols`), or install xkb-data"
    )]
    NoLayout {
        /// Its name in the configuration.
        layout: String,
    },
    /// Characters that the layout of `uinput` lacks. Nothing was typed.
    #[error(
        "the keyboard layout `{layout}` lacks {characters} of the characters of the text, so none of it was typed; correct `output.uinput_layout`, or use `output.sink = \"auto\""
    )]
    NotInLayout {
        /// Its name in the configuration.
        layout: String,
        /// How many different ones.
        characters: usize,
    },
    /// The kernel makes no keyboards.
    #[error(
        "there is no /dev/uinput, so no keyboard can be made; load the kernel module by `modprobe uinput`, and at every start by a line `uinput` in /etc/modules-load.d/uinput.conf"
    )]
    NoUinput,
    /// We may not make keyboards.
    #[error(
        "may not write /dev/uinput, so no keyboard can be made; give yourself write access by the line for uinput in the udev rule 70-ptt.rules and log in again"
    )]
    UinputDenied,
    /// We may not see whether the user holds a modifier.
    #[error(
        "may not read the keyboard {name:?}, so a held Ctrl would make shortcuts of the text; join the group `input` and log in again"
    )]
    KeyboardDenied {
        /// What it calls itself.
        name: String,
    },
    /// Caps Lock is on.
    #[error("Caps Lock is on, and whether that counts for made keyboards differs; switch it off")]
    CapsLock,
    /// The keyboard of `uinput` broke; a part of the text may be out.
    #[error(
        "the keyboard that was made by /dev/uinput broke ({reason}), and a part of the text may be typed; it is made anew for the next text"
    )]
    KeyboardLost {
        /// What the system said.
        reason: String,
    },
    /// The user holds a modifier in the middle of a text; a part of it is out.
    #[error(
        "a modifier key was held for {limit:?} in the middle of the text, so only its beginning is typed; let go, and remove that"
    )]
    HeldMidway {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The chord was sent and nobody took the text; somebody still may.
    #[error(
        "the window did not paste within {limit:?}; set the chord it pastes by in `output.paste_chord` or a rule"
    )]
    NotTaken {
        /// How long it had.
        limit: Duration,
    },
    /// The clipboard could not be taken, or was taken from us before the text was, maybe after the chord.
    #[error("the clipboard could not be taken within {limit:?}; see which program holds it")]
    ClipboardBusy {
        /// How long it took at least.
        limit: Duration,
    },
    /// The way is by the clipboard, which ends with the program.
    #[error(
        "what `--once` puts into the clipboard ends with it; use `output.sink = \"type\"`, or \"command\" with a program that keeps it"
    )]
    ClipboardEnds,
    /// The user holds a modifier.
    #[error(
        "a modifier key was held for {limit:?}, so that typing would have been shortcuts; let go, or raise `output.wait_for_modifiers_ms`"
    )]
    ModifiersHeld {
        /// How long it was waited for.
        limit: Duration,
    },
    /// Another window has the focus than at the release.
    #[error("another window has the keyboard now; `output.same_window = false` types into whichever has it")]
    FocusMoved,
    /// No window has the keyboard.
    #[error("no window has the keyboard, so typing would have reached nobody; click into one")]
    NoWindow,
    /// It was typed, and no window is known to have the keyboard.
    #[error("no window was known to have the keyboard, so what was typed may have reached nobody")]
    NoWindowTold,
    /// Too many texts wait.
    #[error("{waiting} texts already wait for the output; see why it is so slow")]
    QueueFull {
        /// How many.
        waiting: usize,
    },
    /// The delivering thread is gone.
    #[error("the output has stopped; start ptt-app again")]
    Stopped,
    /// The delivering thread could not be started.
    #[error("cannot start the output's thread: {source}; end other programs, or raise the limit on tasks")]
    NoThread {
        /// What the system said.
        source: io::Error,
    },
}

impl OutputError {
    /// What the system said about `target`, as the error that says what to do.
    pub(crate) fn from_io(target: impl Into<String>, source: io::Error) -> Self {
        use io::ErrorKind as K;
        let target = target.into();
        let is_one_of = |kinds: &[K]| kinds.contains(&source.kind());
        if is_one_of(&[K::BrokenPipe]) {
            Self::Closed { target }
        } else if is_one_of(&[K::PermissionDenied, K::ReadOnlyFilesystem]) {
            Self::Denied { target }
        } else if is_one_of(&[K::StorageFull, K::QuotaExceeded, K::FileTooLarge]) {
            Self::NoSpace { target }
        } else {
            Self::Io { target, source }
        }
    }

    /// As [`from_io`](Self::from_io), for a write that had a time limit.
    pub(crate) fn from_write(target: impl Into<String>, limit: Duration, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::TimedOut {
            Self::Stuck { target: target.into(), limit }
        } else {
            Self::from_io(target, source)
        }
    }

    /// What may help.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::NoCommand
            | Self::NoPostCommand
            | Self::NoPath
            | Self::NoHome
            | Self::NoDirectory { .. }
            | Self::NoProgram { .. }
            | Self::LayoutUnnamed
            | Self::NoLayout { .. }
            | Self::ClipboardEnds
            | Self::Journal
            | Self::NotOffered { .. } => FaultKind::Misconfigured,
            Self::CommandFailed { .. }
            | Self::Untypable { .. }
            | Self::LongText { .. }
            | Self::NotInLayout { .. }
            | Self::NoSpace { .. }
            | Self::Io { .. }
            | Self::Stopped
            | Self::NoThread { .. } => FaultKind::Broken,
            Self::CommandHangs { .. } | Self::Stuck { .. } | Self::NotTaken { .. } | Self::NotRead { .. } => {
                FaultKind::Timeout
            }
            Self::Closed { .. }
            | Self::NoDesktop
            | Self::NoDesktopButJournal
            | Self::NoDisplay { .. }
            | Self::DesktopLost { .. }
            | Self::WindowGone
            | Self::KeyboardLost { .. }
            | Self::NoUinput => FaultKind::Gone,
            Self::Denied { .. } | Self::UinputDenied | Self::KeyboardDenied { .. } => FaultKind::Denied,
            Self::Portal(error) | Self::PortalLost(error) => error.kind(),
            Self::QueueFull { .. }
            | Self::ClipboardBusy { .. }
            | Self::ModifiersHeld { .. }
            | Self::HeldMidway { .. }
            | Self::CapsLock
            | Self::NoWindow
            | Self::NoWindowTold
            | Self::FocusMoved => FaultKind::Busy,
        }
    }

    /// Whether the text, or a part of it, may be in a window.
    pub(crate) const fn may_be_out(&self) -> bool {
        matches!(
            self,
            Self::DesktopLost { .. }
                | Self::PortalLost(_)
                | Self::KeyboardLost { .. }
                | Self::HeldMidway { .. }
                | Self::NotRead { .. }
                | Self::WindowGone
                | Self::NoWindowTold
        )
    }

    /// Whether keys of another way would be wrong too, though nothing is out: they would not mean the text or not go where it was
    /// meant for, or the window may still paste it.
    pub(crate) const fn bars_keys(&self) -> bool {
        matches!(
            self,
            Self::ModifiersHeld { .. }
                | Self::FocusMoved
                | Self::NoWindow
                | Self::NotTaken { .. }
                | Self::ClipboardBusy { .. }
        )
    }

    /// The fault of a delivery: beside the reason it says how to get at the text.
    #[must_use]
    pub fn undelivered(&self) -> Fault {
        let message = format!("{self}; the text is kept, `ptt-app retry` delivers it again");
        Fault::new(Component::Output, self.kind(), message)
    }
}

impl From<&OutputError> for Fault {
    fn from(error: &OutputError) -> Self {
        Self::new(Component::Output, error.kind(), error.to_string())
    }
}
