//! The names of this crate's metrics. Labels come from closed enums: never a key, never a device's name.

use metrics::{Unit, describe_counter, describe_gauge, gauge};

use crate::source::Backend;

/// Counter of edges of the chord, by `edge` (`pressed`, `released`, `cancelled`, `toggled`, `user_left`).
pub const EVENTS_TOTAL: &str = "ptt_keyboard_events_total";
/// Counter of releases that no edge told and that the check of the true key state found.
pub const LOST_RELEASES_TOTAL: &str = "ptt_keyboard_lost_releases_total";
/// Counter of holes in the kernel's event queue after which the true key state was read.
pub const RESYNCS_TOTAL: &str = "ptt_keyboard_resyncs_total";
/// Gauge of input devices that are read.
pub const DEVICES: &str = "ptt_keyboard_devices";
/// Gauge, 1 for the `backend` in use and 0 for the others.
pub const SOURCE: &str = "ptt_keyboard_source";

/// Describes the metrics and starts the gauges at zero.
pub fn describe() {
    describe_counter!(
        EVENTS_TOTAL,
        Unit::Count,
        "Presses, releases, cancels and toggles of the chord, and leavings"
    );
    describe_counter!(LOST_RELEASES_TOTAL, Unit::Count, "Releases found by reading the true key state");
    describe_counter!(RESYNCS_TOTAL, Unit::Count, "Holes in the kernel's event queue (SYN_DROPPED)");
    describe_gauge!(DEVICES, Unit::Count, "Input devices that are read");
    describe_gauge!(SOURCE, Unit::Count, "1 for the key source in use");
    for edge in ["pressed", "released", "cancelled", "toggled", "user_left"] {
        metrics::counter!(EVENTS_TOTAL, "edge" => edge).absolute(0);
    }
    metrics::counter!(LOST_RELEASES_TOTAL).absolute(0);
    metrics::counter!(RESYNCS_TOTAL).absolute(0);
    gauge!(DEVICES).set(0);
    source_in_use(None);
}

pub(crate) fn source_in_use(backend: Option<Backend>) {
    for known in Backend::ALL.into_iter().filter(|known| *known != Backend::Auto) {
        gauge!(SOURCE, "backend" => known.name()).set(f64::from(u8::from(backend == Some(known))));
    }
}
