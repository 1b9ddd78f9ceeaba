//! What can go wrong with the portal, and what may help.

use ptt_messages::FaultKind;

/// A failure of the portal. The texts are for the user.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// No session bus.
    #[error(
        "no session bus ({reason}), and the desktop's portal is reached through it; start ptt-app inside the desktop's \
         session, or use another keyboard.backend"
    )]
    NoBus {
        /// Why.
        reason: String,
    },
    /// Nobody answers as the portal.
    #[error(
        "no desktop portal ({reason}); install xdg-desktop-portal and your desktop's part of it (xdg-desktop-portal-gnome, \
         -kde, -hyprland), or use another keyboard.backend"
    )]
    NoPortal {
        /// Why.
        reason: String,
    },
    /// A portal without this interface.
    #[error(
        "this desktop's portal has no global shortcuts (GNOME has from 48 on, KDE Plasma from 5.27 on, Hyprland too); bind \
         `ptt-app press` and `ptt-app release` in the desktop's own settings, or use keyboard.backend = \"evdev\""
    )]
    NoShortcuts,
    /// The portal wants to know which program this is.
    #[error(
        "the portal serves only programs that it knows by a desktop file; put {}.desktop of this program into \
         ~/.local/share/applications, with ptt-app where its Exec says",
        super::APP_ID
    )]
    Unnamed,
    /// The user said no.
    #[error(
        "the shortcut was declined in the desktop's dialog; `ptt-app disable` and `ptt-app enable` ask again, and \
         keyboard.backend = \"control\" never does"
    )]
    Declined,
    /// The desktop could not do it.
    #[error(
        "the desktop could not set the shortcut up ({what}); look at the log of xdg-desktop-portal, or use another \
         keyboard.backend"
    )]
    Failed {
        /// Its answer.
        what: String,
    },
    /// The session was closed by the desktop.
    #[error(
        "the desktop took the shortcut back; see its keyboard settings, then `ptt-app disable` and `ptt-app enable` ask again"
    )]
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
            // Asking again would open the dialog again, which nobody wants who has just closed it.
            Self::Declined | Self::TakenBack => FaultKind::Misconfigured,
            Self::NoShortcuts | Self::Failed { .. } => FaultKind::Misconfigured,
            Self::Unnamed => FaultKind::Denied,
        }
    }
}
