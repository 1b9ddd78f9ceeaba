//! The other device of a keyboard that is passed on.

use ::evdev::raw_stream::RawDevice;
use ::evdev::uinput::VirtualDevice;
use ::evdev::{AttributeSet, KeyCode};

use super::probe::PASSED_ON;
use super::sieve::{MASKS, SPEAKS_ALONE};

/// A uinput device with the keys of a keyboard or mouse, and with those that are tapped besides. Lights need none: whoever lights them writes to the real one too.
pub fn twin(of: &RawDevice) -> Result<VirtualDevice, String> {
    if of.supported_absolute_axes().is_some()
        || of.supported_switches().is_some()
        || of.supported_ff().is_some()
    {
        return Err("only keyboards and mice can be passed on".to_owned());
    }
    let uinput = |error: std::io::Error| {
        format!(
            "uinput refuses ({error}); give yourself write access to /dev/uinput, with the module uinput loaded"
        )
    };
    // uinput takes 79 bytes.
    let name: String = format!("{PASSED_ON}{}", of.name().unwrap_or_default())
        .chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes < 78).then_some(c)
        })
        .collect();
    let mut builder = VirtualDevice::builder().map_err(uinput)?.name(&name).input_id(of.input_id());
    if let Some(keys) = of.supported_keys() {
        builder = builder.with_keys(keys).map_err(uinput)?;
        if keys.iter().any(|key| SPEAKS_ALONE.contains(&key.code())) {
            let masks: AttributeSet<KeyCode> = MASKS.map(KeyCode).into_iter().collect();
            builder = builder.with_keys(&masks).map_err(uinput)?;
        }
    }
    if let Some(axes) = of.supported_relative_axes() {
        builder = builder.with_relative_axes(axes).map_err(uinput)?;
    }
    if let Some(misc) = of.misc_properties() {
        builder = builder.with_msc(misc).map_err(uinput)?;
    }
    builder.with_properties(of.properties()).and_then(|b| b.build()).map_err(uinput)
}
