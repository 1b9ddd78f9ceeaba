//! A keyboard made with uinput: to every reader a real one. Needs `/dev/uinput`, so it lives in the kernel rig.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use evdev::uinput::VirtualDevice;
use evdev::{AttributeSet, EventType, InputEvent, KeyCode};

use super::await_some;

/// The keyboard; dropping it unplugs it.
#[derive(Debug)]
pub struct VirtualKeyboard {
    device: VirtualDevice,
    node: PathBuf,
}

impl VirtualKeyboard {
    /// Plugs in a keyboard with every ordinary key and waits for its node.
    ///
    /// # Errors
    /// When uinput is not there or not permitted.
    pub fn plug(name: &str) -> anyhow::Result<Self> {
        // Up to the last key of a common keyboard; readers tell a keyboard from a button box by its letters.
        let keys: AttributeSet<KeyCode> = (1..=248).map(KeyCode::new).collect();
        let mut device = VirtualDevice::builder()
            .context("no /dev/uinput")?
            .name(name)
            .with_keys(&keys)?
            .build()
            .context("uinput refuses the keyboard")?;
        let node = await_some("the keyboard's node", Duration::from_secs(10), || {
            device.enumerate_dev_nodes_blocking().ok()?.flatten().find(|node| node.exists())
        });
        Ok(Self { device, node })
    }

    /// Its node, `/dev/input/eventN`.
    #[must_use]
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// Presses the keys in this order, each with a report of its own, as a hand does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn press(&mut self, keys: &[KeyCode]) -> anyhow::Result<()> {
        keys.iter().try_for_each(|key| self.emit(*key, 1))
    }

    /// Lets the keys go in this order.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn release(&mut self, keys: &[KeyCode]) -> anyhow::Result<()> {
        keys.iter().try_for_each(|key| self.emit(*key, 0))
    }

    /// Pulls the plug, whatever is held.
    pub fn unplug(self) {
        drop(self);
    }

    fn emit(&mut self, key: KeyCode, value: i32) -> anyhow::Result<()> {
        self.device.emit(&[InputEvent::new(EventType::KEY.0, key.code(), value)])?;
        Ok(())
    }
}
