//! The metrics of this crate.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use ptt_messages::FaultKind;

use crate::rule::Way;

/// Histogram: from the command to the text being out (or not); label `sink`.
pub const DELIVERY_SECONDS: &str = "ptt_delivery_seconds";
/// Counter of texts that are out; label `sink`.
pub const DELIVERED_TOTAL: &str = "ptt_delivered_total";
/// Counter of texts that are not; labels `sink` and `kind`.
pub const DELIVERY_FAILURES_TOTAL: &str = "ptt_delivery_failures_total";
/// Counter of texts in which the filter removed or replaced something.
pub const FILTERED_TOTAL: &str = "ptt_output_filtered_total";
/// Histogram: runs of the post-process command.
pub const POST_SECONDS: &str = "ptt_output_post_seconds";
/// Counter of texts that went out without the post-process command's work; label `kind`.
pub const POST_FAILURES_TOTAL: &str = "ptt_output_post_failures_total";
/// Counter of attempts to get a text into a window; labels `way` and `result`.
pub const WAYS_TOTAL: &str = "ptt_output_ways_total";
/// Gauge: texts that wait for the sink.
pub const QUEUE_LENGTH: &str = "ptt_output_queue_length";

/// Describes the metrics and exports those of `sink` at zero.
pub fn describe(sink: &'static str) {
    describe_histogram!(DELIVERY_SECONDS, Unit::Seconds, "From the command to the text being out, or not");
    describe_counter!(DELIVERED_TOTAL, Unit::Count, "Texts that are out");
    describe_counter!(DELIVERY_FAILURES_TOTAL, Unit::Count, "Texts that are not out, by what may help");
    describe_counter!(FILTERED_TOTAL, Unit::Count, "Texts in which the filter removed or replaced something");
    describe_histogram!(POST_SECONDS, Unit::Seconds, "How long the post-process command runs");
    describe_counter!(
        POST_FAILURES_TOTAL,
        Unit::Count,
        "Texts that went out without the post-process command's work, by what may help"
    );
    describe_gauge!(QUEUE_LENGTH, Unit::Count, "Texts that wait for the sink");
    counter!(DELIVERED_TOTAL, "sink" => sink).absolute(0);
    counter!(FILTERED_TOTAL).absolute(0);
    gauge!(QUEUE_LENGTH).set(0.0);
    for kind in FaultKind::ALL {
        counter!(DELIVERY_FAILURES_TOTAL, "sink" => sink, "kind" => kind.label()).absolute(0);
        counter!(POST_FAILURES_TOTAL, "kind" => kind.label()).absolute(0);
    }
}

/// The same for the ways into a window.
pub(crate) fn describe_ways() {
    describe_counter!(
        WAYS_TOTAL,
        Unit::Count,
        "Attempts to get a text into a window, by the way and how it went"
    );
    for way in Way::ALL {
        for result in ["ok", "failed"] {
            counter!(WAYS_TOTAL, "way" => way.label(), "result" => result).absolute(0);
        }
    }
}

/// Counts one attempt.
pub(crate) fn count_way(way: Way, ok: bool) {
    let result = if ok { "ok" } else { "failed" };
    counter!(WAYS_TOTAL, "way" => way.label(), "result" => result).increment(1);
}
