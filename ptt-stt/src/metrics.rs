//! Names of this crate's metrics, and what they mean.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::check::Suspicion;
use crate::clean::Discard;
use crate::strategy::Note;

/// Histogram of one decode's wall time; label `work` (`background`, `final`).
pub const DECODE_SECONDS: &str = "ptt_stt_decode_seconds";
/// Histogram of the encoder's part of a decode; label `work`.
pub const ENCODE_SECONDS: &str = "ptt_stt_encode_seconds";
/// Histogram of the length of the clips that were decoded; label `work`.
pub const AUDIO_SECONDS: &str = "ptt_stt_audio_seconds";
/// Histogram of a decode's wall time over its clip's length; label `work`.
pub const REAL_TIME_FACTOR: &str = "ptt_stt_real_time_factor";
/// Histogram of the processor time of background decodes; label `use` (`useful`, `wasted`).
pub const BACKGROUND_SECONDS: &str = "ptt_stt_background_seconds";
/// Counter of results that were decoded once more at a wider context; label `reason`.
pub const FALLBACKS_TOTAL: &str = "ptt_stt_fallbacks_total";
/// Counter of texts, or parts of them, that were understood and left out; label `reason`.
pub const DISCARDED_TOTAL: &str = "ptt_stt_discarded_total";
/// Counter of committed segments.
pub const COMMITS_TOTAL: &str = "ptt_stt_commits_total";
/// Counter of background decodes that were stopped.
pub const ABORTS_TOTAL: &str = "ptt_stt_aborts_total";
/// Counter of workers that were given up for a fresh one.
pub const WORKER_RESTARTS_TOTAL: &str = "ptt_stt_worker_restarts_total";
/// Gauge of the engines that hang: left behind in the middle of a load or a decode, with their models.
pub const STUCK_ENGINES: &str = "ptt_stt_stuck_engines";
/// Counter of segments that a take should have had and that never arrived.
pub const SEGMENTS_MISSING_TOTAL: &str = "ptt_stt_segments_missing_total";
/// Histogram of the time a model takes to be loaded and warmed up.
pub const LOAD_SECONDS: &str = "ptt_stt_load_seconds";
/// Gauge: 1 while a model is resident.
pub const MODEL_RESIDENT: &str = "ptt_stt_model_resident";
/// Gauge of the decodes that the worker has, the running one included.
pub const QUEUE_DEPTH: &str = "ptt_stt_queue_depth";

const WORK: [&str; 2] = ["background", "final"];

/// Describes the metrics and exports the zeros.
pub fn describe() {
    describe_histogram!(DECODE_SECONDS, Unit::Seconds, "Wall time of one decode");
    describe_histogram!(ENCODE_SECONDS, Unit::Seconds, "Spectrogram and encoder of one decode");
    describe_histogram!(AUDIO_SECONDS, Unit::Seconds, "Length of the clips that were decoded");
    describe_histogram!(REAL_TIME_FACTOR, "Wall time of a decode over the length of its clip");
    describe_histogram!(BACKGROUND_SECONDS, Unit::Seconds, "Processor time of background decodes by use");
    describe_counter!(
        FALLBACKS_TOTAL,
        Unit::Count,
        "Results decoded once more at a wider context, by reason"
    );
    describe_counter!(DISCARDED_TOTAL, Unit::Count, "Texts that were understood and left out, by reason");
    describe_counter!(COMMITS_TOTAL, Unit::Count, "Segments committed");
    describe_counter!(ABORTS_TOTAL, Unit::Count, "Background decodes stopped");
    describe_counter!(WORKER_RESTARTS_TOTAL, Unit::Count, "Workers given up for a fresh one");
    describe_gauge!(STUCK_ENGINES, Unit::Count, "Engines that hang and were left behind with their models");
    describe_counter!(SEGMENTS_MISSING_TOTAL, Unit::Count, "Segments that never arrived");
    describe_histogram!(LOAD_SECONDS, Unit::Seconds, "Time to load and warm up a model");
    describe_gauge!(MODEL_RESIDENT, "Whether a model is resident");
    describe_gauge!(QUEUE_DEPTH, "Decodes that the worker has");
    for reason in Suspicion::ALL {
        counter!(FALLBACKS_TOTAL, "reason" => reason.label()).absolute(0);
    }
    for reason in Discard::ALL {
        counter!(DISCARDED_TOTAL, "reason" => reason.label()).absolute(0);
    }
    for name in [COMMITS_TOTAL, ABORTS_TOTAL, WORKER_RESTARTS_TOTAL, SEGMENTS_MISSING_TOTAL] {
        counter!(name).absolute(0);
    }
    gauge!(MODEL_RESIDENT).set(0.0);
    gauge!(QUEUE_DEPTH).set(0.0);
    // Those of an earlier actor may still hang.
    gauge!(STUCK_ENGINES).increment(0.0);
}

/// Counts what the strategy noted.
pub(crate) fn note(note: Note) {
    match note {
        Note::Commit => counter!(COMMITS_TOTAL).increment(1),
        Note::Aborted => counter!(ABORTS_TOTAL).increment(1),
        Note::Fallback(why) => counter!(FALLBACKS_TOTAL, "reason" => why.label()).increment(1),
        Note::Discarded(why) => counter!(DISCARDED_TOTAL, "reason" => why.label()).increment(1),
        Note::Useful(cpu) => histogram!(BACKGROUND_SECONDS, "use" => "useful").record(cpu),
        Note::Wasted(cpu) => histogram!(BACKGROUND_SECONDS, "use" => "wasted").record(cpu),
        Note::Missing(segments) => counter!(SEGMENTS_MISSING_TOTAL).increment(segments.into()),
    }
}

/// So many engines hang now.
pub(crate) fn stuck_engines(number: usize) {
    gauge!(STUCK_ENGINES).set(number as f64);
}

/// One decode that came to an end by itself.
pub(crate) fn decode(background: bool, audio: Duration, encode: Duration, wall: Duration) {
    let work = WORK[usize::from(!background)];
    histogram!(DECODE_SECONDS, "work" => work).record(wall);
    histogram!(ENCODE_SECONDS, "work" => work).record(encode);
    histogram!(AUDIO_SECONDS, "work" => work).record(audio);
    if !audio.is_zero() {
        histogram!(REAL_TIME_FACTOR, "work" => work).record(wall.as_secs_f64() / audio.as_secs_f64());
    }
}
