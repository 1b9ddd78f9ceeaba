//! Names of the recorder's metrics, and the handles the capture thread keeps.

use metrics::{Counter, Gauge, Histogram, Unit};
use ptt_messages::SAMPLE_RATE_HZ;

use crate::dsp::Findings;

/// Gauge: 1 while the microphone delivers audio.
pub const MICROPHONE_OPEN: &str = "ptt_microphone_open";
/// Counter of overruns the sound system told of.
pub const XRUNS_TOTAL: &str = "ptt_audio_xruns_total";
/// Counter of samples that found no room between the device's thread and ours.
pub const DROPPED_SAMPLES_TOTAL: &str = "ptt_audio_dropped_samples_total";
/// Counter of samples at 16 kHz of audio that the sound system never delivered.
pub const MISSING_SAMPLES_TOTAL: &str = "ptt_audio_missing_samples_total";
/// Counter of samples that were NaN or infinite and were replaced by silence.
pub const REPLACED_SAMPLES_TOTAL: &str = "ptt_audio_replaced_samples_total";
/// Counter of samples at or beyond full scale.
pub const CLIPPED_SAMPLES_TOTAL: &str = "ptt_audio_clipped_samples_total";
/// Counter of times the sound system moved the stream to another device.
pub const MOVED_TOTAL: &str = "ptt_audio_moved_total";
/// Counter of times an open microphone delivered nothing.
pub const STARVATIONS_TOTAL: &str = "ptt_audio_starvations_total";
/// Counter of streams that were lost.
pub const LOST_TOTAL: &str = "ptt_audio_lost_total";
/// Gauge, 0 to 1: how full the ring between the device's thread and ours is.
pub const RING_FILL: &str = "ptt_audio_ring_fill_ratio";
/// Gauge, 0 to 1: how much of the 30 s of audio the open segment of the running take holds.
pub const BUFFER_FILL: &str = "ptt_audio_buffer_fill_ratio";
/// Histogram: from a block's arrival to its being filtered, heard and stored.
pub const BLOCK_SECONDS: &str = "ptt_audio_block_seconds";
/// Histogram: from the wish to open the microphone to its first audio.
pub const OPEN_SECONDS: &str = "ptt_audio_open_seconds";
/// Histogram: length of a take's audio, pre-roll and post-roll included.
pub const TAKE_SECONDS: &str = "ptt_take_audio_seconds";
/// Histogram: how much of a take the voice-activity detector heard speech in.
pub const TAKE_SPEECH_SECONDS: &str = "ptt_take_speech_seconds";

/// Describes the metrics named here.
pub fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_gauge!(MICROPHONE_OPEN, Unit::Count, "1 while the microphone delivers audio");
    describe_counter!(XRUNS_TOTAL, Unit::Count, "Overruns the sound system told of");
    describe_counter!(
        DROPPED_SAMPLES_TOTAL,
        Unit::Count,
        "Samples lost between the device's thread and ours"
    );
    describe_counter!(
        REPLACED_SAMPLES_TOTAL,
        Unit::Count,
        "Samples that were no number, replaced by silence"
    );
    describe_counter!(
        MISSING_SAMPLES_TOTAL,
        Unit::Count,
        "Samples at 16 kHz that the sound system never delivered"
    );
    describe_counter!(CLIPPED_SAMPLES_TOTAL, Unit::Count, "Samples at or beyond full scale");
    describe_counter!(MOVED_TOTAL, Unit::Count, "Times the sound system moved the stream to another device");
    describe_counter!(STARVATIONS_TOTAL, Unit::Count, "Times an open microphone delivered nothing");
    describe_counter!(LOST_TOTAL, Unit::Count, "Streams that were lost");
    describe_gauge!(RING_FILL, Unit::Count, "Fill of the ring between the device's thread and ours, 0 to 1");
    describe_gauge!(BUFFER_FILL, Unit::Count, "Part of the 30 s buffer the open segment holds, 0 to 1");
    describe_histogram!(BLOCK_SECONDS, Unit::Seconds, "Arrival of a block to its being stored");
    describe_histogram!(OPEN_SECONDS, Unit::Seconds, "Wish to open the microphone to its first audio");
    describe_histogram!(TAKE_SECONDS, Unit::Seconds, "Length of a take's audio");
    describe_histogram!(TAKE_SPEECH_SECONDS, Unit::Seconds, "Speech heard in a take");
}

/// Counts audio that is missing, whose length is known in milliseconds.
pub(crate) struct MissingAudio(Counter);

impl MissingAudio {
    /// Counts this many milliseconds.
    pub fn increment(&self, ms: u64) {
        self.0.increment(ms * u64::from(SAMPLE_RATE_HZ) / 1_000);
    }
}

/// The handles of what is measured at every block or take.
pub(crate) struct Handles {
    pub open: Gauge,
    pub xruns: Counter,
    pub dropped: Counter,
    pub missing: MissingAudio,
    pub moved: Counter,
    pub starvations: Counter,
    pub lost: Counter,
    pub ring_fill: Gauge,
    pub buffer_fill: Gauge,
    pub block: Histogram,
    pub opening: Histogram,
    pub take: Histogram,
    pub speech: Histogram,
    replaced: Counter,
    clipped: Counter,
}

impl Handles {
    pub fn new() -> Self {
        use metrics::{counter, gauge, histogram};
        Self {
            open: gauge!(MICROPHONE_OPEN),
            xruns: counter!(XRUNS_TOTAL),
            dropped: counter!(DROPPED_SAMPLES_TOTAL),
            missing: MissingAudio(counter!(MISSING_SAMPLES_TOTAL)),
            moved: counter!(MOVED_TOTAL),
            starvations: counter!(STARVATIONS_TOTAL),
            lost: counter!(LOST_TOTAL),
            ring_fill: gauge!(RING_FILL),
            buffer_fill: gauge!(BUFFER_FILL),
            block: histogram!(BLOCK_SECONDS),
            opening: histogram!(OPEN_SECONDS),
            take: histogram!(TAKE_SECONDS),
            speech: histogram!(TAKE_SPEECH_SECONDS),
            replaced: counter!(REPLACED_SAMPLES_TOTAL),
            clipped: counter!(CLIPPED_SAMPLES_TOTAL),
        }
    }

    pub fn found(&self, findings: Findings) {
        if findings != Findings::default() {
            self.replaced.increment(findings.replaced);
            self.clipped.increment(findings.clipped);
        }
    }
}
