//! A USB boot keyboard: a gadget of the kernel's own (`dummy_hcd`, configfs, `f_hid`), whose reports go through its USB and HID
//! drivers as those of a keyboard that is plugged in. Needs to be root where those are built in, so it lives in the kernel rig.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::await_some;

const GADGET: &str = "/sys/kernel/config/usb_gadget/ptt-rig";
const PRODUCT: &str = "boot keyboard";
const CONTROLLER: &str = "dummy_udc.0";
/// What its reports are made of, from the HID specification, appendix B.1: eight modifier bits, a byte of nothing, five
/// lights, six keys of 0 to 101.
const REPORT_DESCRIPTOR: [u8; 63] = [
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75,
    0x01, 0x95, 0x08, 0x81, 0x02, 0x95, 0x01, 0x75, 0x08, 0x81, 0x03, 0x95, 0x05, 0x75, 0x01, 0x05, 0x08,
    0x19, 0x01, 0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, 0x91, 0x03, 0x95, 0x06, 0x75, 0x08, 0x15,
    0x00, 0x25, 0x65, 0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
];
const SOON: Duration = Duration::from_secs(10);

/// The keyboard; dropping it unplugs it. One at a time.
#[derive(Debug)]
pub struct UsbKeyboard {
    reports: File,
    node: PathBuf,
}

/// One report: what is down, all of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootReport {
    /// Bits from left Ctrl, Shift, Alt, Meta to the right ones.
    pub modifiers: u8,
    /// The usages of at most six keys, in any order; 0 is none.
    pub keys: [u8; 6],
}

impl BootReport {
    /// Nothing is down.
    pub const UP: Self = Self { modifiers: 0, keys: [0; 6] };
    /// More keys are down than it can tell: `ErrorRollOver` in every place.
    pub const TOO_MANY: Self = Self { modifiers: 0, keys: [1; 6] };

    /// These keys are down, in the order in which the keyboard found them.
    ///
    /// # Panics
    /// Where there are more than six.
    #[must_use]
    pub fn of(keys: &[u8]) -> Self {
        let mut report = Self::UP;
        report.keys[..keys.len()].copy_from_slice(keys);
        report
    }

    /// The same with these modifiers.
    #[must_use]
    pub const fn with(self, modifiers: u8) -> Self {
        Self { modifiers, ..self }
    }
}

impl UsbKeyboard {
    /// Plugs it in and waits until the kernel has found it.
    ///
    /// # Errors
    /// Where the kernel has no gadgets or this is not root.
    pub fn plug() -> anyhow::Result<Self> {
        let gadget = Path::new(GADGET);
        if !gadget.is_dir() {
            make(gadget).context("the kernel makes no USB gadget")?;
        }
        std::fs::write(gadget.join("UDC"), CONTROLLER).context("the gadget cannot be plugged in")?;
        let (node, reports) = await_some("the USB keyboard", SOON, || {
            let (node, _) = evdev::enumerate().find(|(_, found)| is_ours(found.name()))?;
            Some((node, OpenOptions::new().write(true).open("/dev/hidg0").ok()?))
        });
        Ok(Self { reports, node })
    }

    /// Its node, `/dev/input/eventN`.
    #[must_use]
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// Sends a report, when the host has fetched the one before.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(&mut self, report: BootReport) -> anyhow::Result<()> {
        let [a, b, c, d, e, f] = report.keys;
        Ok(self.reports.write_all(&[report.modifiers, 0, a, b, c, d, e, f])?)
    }

    /// Pulls the plug, whatever is held.
    pub fn unplug(self) {
        drop(self);
    }
}

impl Drop for UsbKeyboard {
    fn drop(&mut self) {
        // An empty line pulls it out; it may be out already.
        let _ = std::fs::write(Path::new(GADGET).join("UDC"), "\n");
    }
}

fn is_ours(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.ends_with(PRODUCT))
}

fn make(gadget: &Path) -> std::io::Result<()> {
    let (strings, function, config) =
        (gadget.join("strings/0x409"), gadget.join("functions/hid.0"), gadget.join("configs/c.1"));
    for folder in [gadget, &strings, &function, &config] {
        std::fs::create_dir(folder)?;
    }
    for (file, text) in [
        (gadget.join("idVendor"), "0x1d6b"),
        (gadget.join("idProduct"), "0x0104"),
        (strings.join("manufacturer"), "rig"),
        (strings.join("product"), PRODUCT),
        (function.join("protocol"), "1"),
        (function.join("subclass"), "1"),
        (function.join("report_length"), "8"),
    ] {
        std::fs::write(file, text)?;
    }
    std::fs::write(function.join("report_desc"), REPORT_DESCRIPTOR)?;
    std::os::unix::fs::symlink(&function, config.join("hid.0"))
}
