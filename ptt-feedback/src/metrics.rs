//! The metrics of this crate.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use ptt_messages::Chime;

/// Histogram: from what a tone answers (the press, for `start`) to the block that begins with it; label `chime`.
pub const CHIME_SECONDS: &str = "ptt_chime_seconds";
/// Histogram: the part of that which the sound device takes, from being handed the tone to beginning with it.
pub const CHIME_DEVICE_SECONDS: &str = "ptt_chime_device_seconds";
/// Counter of tones; labels `chime` and `result` (see [`Fate`]).
pub const CHIMES_TOTAL: &str = "ptt_chimes_total";
/// Gauge: 1 while the output is open.
pub const OUTPUT_OPEN: &str = "ptt_feedback_open";
/// Gauge: 1 while the output is open and not paused.
pub const OUTPUT_RUNNING: &str = "ptt_feedback_running";
/// Gauge: frames per block of the open output; 0 where the device chose them.
pub const BLOCK_FRAMES: &str = "ptt_feedback_block_frames";
/// Counter of blocks that came too late for the device.
pub const XRUNS_TOTAL: &str = "ptt_feedback_xruns_total";

/// What became of a tone. Also the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The device took it.
    Played,
    /// It would have come too late to mean anything.
    Late,
    /// There is no output.
    NoOutput,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Played, Self::Late, Self::NoOutput];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Played => "played",
            Self::Late => "late",
            Self::NoOutput => "no_output",
        }
    }

    /// Counts one.
    pub(crate) fn count(self, chime: Chime) {
        counter!(CHIMES_TOTAL, "chime" => label(chime), "result" => self.label()).increment(1);
    }
}

/// A tone's name as a label.
#[must_use]
pub const fn label(chime: Chime) -> &'static str {
    match chime {
        Chime::Start => "start",
        Chime::Stop => "stop",
        Chime::Cancelled => "cancelled",
        Chime::Done => "done",
        Chime::Error => "error",
    }
}

/// Describes the metrics and exports the counters at zero.
pub fn describe() {
    describe_histogram!(
        CHIME_SECONDS,
        Unit::Seconds,
        "From what a tone answers to the block that begins with it"
    );
    describe_histogram!(
        CHIME_DEVICE_SECONDS,
        Unit::Seconds,
        "From handing a tone over to the block that begins with it"
    );
    describe_counter!(CHIMES_TOTAL, Unit::Count, "Tones by what became of them");
    describe_gauge!(OUTPUT_OPEN, "1 while the sound output is open");
    describe_gauge!(OUTPUT_RUNNING, "1 while the sound output is open and not paused");
    describe_gauge!(
        BLOCK_FRAMES,
        Unit::Count,
        "Frames per block of the open output; 0 where the device chose"
    );
    describe_counter!(XRUNS_TOTAL, Unit::Count, "Blocks that came too late for the device");
    gauge!(OUTPUT_OPEN).set(0.0);
    gauge!(OUTPUT_RUNNING).set(0.0);
    counter!(XRUNS_TOTAL).absolute(0);
    for chime in Chime::ALL {
        for fate in Fate::ALL {
            counter!(CHIMES_TOTAL, "chime" => label(chime), "result" => fate.label()).absolute(0);
        }
    }
}
