//! What can go wrong with the portal, and what may help.

use ptt_messages::FaultKind;

/// A failure of the portal. The texts are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortalError {
    /// No session bus.
    #[error(
        "no session bus ({reason}), and the desktop's portal is reached through it; start ptt-app inside the desktop's \
         session, or use another `output.desktop`"
    )]
    NoBus {
        /// Why.
        reason: String,
    },
    /// Nobody answers as the portal.
    #[error(
        "no desktop portal ({reason}); install xdg-desktop-portal and your desktop's part of it \
         (xdg-desktop-portal-gnome, -kde), or use `output.sink = \"command\"` with `output.command = [\"wl-copy\"]`"
    )]
    NoPortal {
        /// Why.
        reason: String,
    },
    /// A portal that lacks an interface.
    #[error(
        "this desktop's portal lacks {interface}, so programs can press no keys through it (GNOME has it from 46 on, KDE \
         Plasma from 6 on); use `output.sink = \"command\"` with `output.command = [\"wl-copy\"]`, or `output.desktop = \"x11\"` \
         for X11 programs"
    )]
    NotThere {
        /// Its name.
        interface: &'static str,
    },
    /// The portal wants to know which program this is.
    #[error(
        "the portal serves only programs that it knows by a desktop file; put {}.desktop of this program into \
         ~/.local/share/applications, with ptt-app where its Exec says, and start ptt-app again",
        super::session::APP_ID
    )]
    Unnamed,
    /// The dialog is open.
    #[error(
        "the desktop asks whether ptt-app may control it, and waits for your answer; allow it in that dialog"
    )]
    Waiting,
    /// The user said no.
    #[error(
        "remote control was declined in the desktop's dialog; start ptt-app again to be asked again, or use \
         `output.sink = \"command\"` with `output.command = [\"wl-copy\"]`"
    )]
    Declined,
    /// The user said yes to less than was asked for.
    #[error("the desktop's dialog was answered without {what}; start ptt-app again, and allow it there")]
    Partly {
        /// What was left out.
        what: &'static str,
    },
    /// The desktop could not do it.
    #[error(
        "the desktop could not let ptt-app press keys ({what}); look at the log of xdg-desktop-portal, and start ptt-app again"
    )]
    Failed {
        /// Its answer.
        what: String,
    },
    /// The session was closed by the user or the desktop.
    #[error("the desktop ended ptt-app's remote control; start ptt-app again to be asked again")]
    TakenBack,
    /// The portal or the bus is gone.
    #[error("the desktop's portal is gone ({reason}); it is asked again when it is back")]
    Gone {
        /// Why.
        reason: String,
    },
}

impl PortalError {
    /// What may help.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::NoBus { .. } | Self::NoPortal { .. } | Self::Gone { .. } => FaultKind::Gone,
            Self::NotThere { .. } | Self::Failed { .. } => FaultKind::Misconfigured,
            Self::Waiting => FaultKind::Busy,
            // Asking again would open the dialog again, which nobody wants who has just closed it.
            Self::Unnamed | Self::Declined | Self::Partly { .. } | Self::TakenBack => FaultKind::Denied,
        }
    }
}
