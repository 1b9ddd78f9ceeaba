//! The connections of the sinks into windows. Sinks of equal settings share one: the user is asked once, one keyboard is plugged
//! in, and no sink takes the passing text of another for what the user has copied.
//!
//! What lives here: connecting when it is needed, and who shares what. What is done with a desktop is the sink's affair.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::debug;

use crate::config::{Backend, OutputConfig};
use crate::desktop::uinput::{LayoutName, Uinput};
use crate::desktop::{Desktop, Opener, System, Window};
use crate::error::OutputError;

/// A desktop that answers, and its focused window.
pub(super) type Ready<'c> = (&'c mut dyn Desktop, Option<Window>);

type Open = Box<dyn FnMut() -> Result<Box<dyn Desktop>, OutputError> + Send>;

/// The connections of all sinks of a program.
#[derive(Default)]
pub(crate) struct Connections {
    /// Where keys are wanted, not only the clipboard.
    keys: Vec<System>,
    desktops: Vec<(System, Shared)>,
    keyboards: Vec<(Option<LayoutName>, Shared)>,
}

/// The same connection for all that have a clone. They are all on the delivering thread, so nobody waits for it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Connection>>);

/// The desktop, while there is one.
pub(super) struct Connection {
    open: Open,
    pub desktop: Option<Box<dyn Desktop>>,
}

impl Connections {
    /// Those of these outputs; nothing is connected yet.
    pub fn of<'a>(outputs: impl Iterator<Item = &'a OutputConfig>) -> Self {
        let keys = outputs.filter(|config| match config.sink {
            Backend::Type | Backend::Paste | Backend::Auto => true,
            Backend::Uinput | Backend::Clipboard | Backend::Stdout | Backend::File | Backend::Command => {
                false
            }
        });
        Self { keys: keys.map(|config| config.desktop).collect(), ..Self::default() }
    }

    /// To this desktop.
    pub(super) fn desktop(&mut self, system: System) -> Shared {
        let keys = self.keys.contains(&system);
        shared(&mut self.desktops, system, || {
            let mut opener = Opener::new(system, keys);
            Shared::new(move || opener.open())
        })
    }

    /// To the keyboard of `uinput` with this layout.
    pub(super) fn keyboard(&mut self, layout: Option<&LayoutName>) -> Shared {
        let layout = layout.cloned();
        shared(&mut self.keyboards, layout.clone(), || {
            Shared::new(move || {
                let layout = layout.as_ref().ok_or(OutputError::LayoutUnnamed)?;
                Ok(Box::new(Uinput::plug(layout)?))
            })
        })
    }
}

/// The one that is there for these settings, else a new one.
fn shared<K: PartialEq>(known: &mut Vec<(K, Shared)>, settings: K, new: impl FnOnce() -> Shared) -> Shared {
    if let Some((_, shared)) = known.iter().find(|(known, _)| *known == settings) {
        return shared.clone();
    }
    let new = new();
    known.push((settings, new.clone()));
    new
}

impl Shared {
    /// To what `open` connects to.
    pub fn new(open: impl FnMut() -> Result<Box<dyn Desktop>, OutputError> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Connection { open: Box::new(open), desktop: None })))
    }

    /// The connection.
    pub fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// A desktop that answers, and its focused window. A connection that broke while nothing was done with it is made
    /// anew once.
    pub fn ready(&mut self) -> Result<Ready<'_>, OutputError> {
        if let Some(mut desktop) = self.desktop.take() {
            match desktop.focus() {
                Ok(focus) => return Ok((self.desktop.insert(desktop).as_mut(), focus)),
                Err(error) => debug!(%error, "connecting again"),
            }
        }
        let mut desktop = (self.open)()?;
        let focus = desktop.focus()?;
        Ok((self.desktop.insert(desktop).as_mut(), focus))
    }

    /// The same; `None` where there is no desktop and it `can` be done without.
    pub fn ready_or_none(&mut self, can: bool) -> Result<Option<Ready<'_>>, OutputError> {
        match self.ready() {
            Ok(there) => Ok(Some(there)),
            Err(OutputError::NoDesktop) if can => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_of_equal_settings_share_and_have_keys_where_one_of_them_wants_some() {
        let outputs = [
            "sink = \"clipboard\"",
            "sink = \"paste\"",
            "sink = \"clipboard\"\ndesktop = \"portal\"",
            "sink = \"file\"\ndesktop = \"wayland\"",
        ]
        .map(|output| toml::from_str::<OutputConfig>(output).unwrap());
        let mut all = Connections::of(outputs.iter());
        assert_eq!(all.keys, [System::Auto]);
        let same = |one: &Shared, other: &Shared| Arc::ptr_eq(&one.0, &other.0);
        let (auto, again) = (all.desktop(System::Auto), all.desktop(System::Auto));
        assert!(same(&auto, &again) && !same(&auto, &all.desktop(System::Portal)));
        let [us, de] = ["us", "de"].map(|layout| LayoutName::try_from(layout.to_owned()).unwrap());
        let (one, again) = (all.keyboard(Some(&us)), all.keyboard(Some(&us)));
        assert!(same(&one, &again) && !same(&one, &all.keyboard(Some(&de))));
    }
}
