//! The metrics of this crate: their names, and the budgets they are held against.

use std::time::Duration;

use metrics::describe_histogram;
use metrics::{Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, gauge, histogram};

use crate::probe::Usage;

/// Gauge of a budget of the design; label `name`, whose unit stands in its value.
pub const BUDGET: &str = "ptt_budget";
/// Gauge: resident memory of the process.
pub const RSS_BYTES: &str = "ptt_resource_rss_bytes";
/// Gauge: threads of the process.
pub const THREADS: &str = "ptt_resource_threads";
/// Gauge: open file descriptors of the process.
pub const OPEN_FDS: &str = "ptt_resource_open_fds";
/// Gauge: processor seconds of the process since its start.
pub const CPU_SECONDS: &str = "ptt_resource_cpu_seconds";
/// Gauge: cores used between the last two samples (1.0 is one whole core).
pub const CPU_RATIO: &str = "ptt_resource_cpu_ratio";
/// Gauge: 1 while a take has the microphone.
pub const LEASE_HELD: &str = "ptt_lease_held";
/// Histogram: how long a take had the microphone and the engine.
pub const LEASE_SECONDS: &str = "ptt_lease_seconds";
/// Counter of takes that found the microphone taken.
pub const LEASE_REFUSALS_TOTAL: &str = "ptt_lease_refusals_total";
/// Gauge: 1 while the model is in memory.
pub const MODEL_RESIDENT: &str = "ptt_model_resident";
/// Counter of models given back after idling.
pub const MODEL_IDLE_UNLOADS_TOTAL: &str = "ptt_model_idle_unloads_total";

/// A limit that the design sets and that is not a latency (those are in `ptt_latency_target_seconds`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Budget {
    /// Audio that a take keeps in memory, whatever its length.
    AudioBufferSeconds,
    /// Messages that may wait for one actor.
    EventQueueMessages,
    /// Decodes at the same time.
    SttExecutors,
    /// Chord edges that are remembered.
    KeyWindowEdges,
    /// Cores used between takes with the microphone open.
    IdleCpuRatio,
    /// Resident memory beside the model's file.
    RssBeyondModelBytes,
}

impl Budget {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AudioBufferSeconds,
        Self::EventQueueMessages,
        Self::SttExecutors,
        Self::KeyWindowEdges,
        Self::IdleCpuRatio,
        Self::RssBeyondModelBytes,
    ];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AudioBufferSeconds => "audio_buffer_seconds",
            Self::EventQueueMessages => "event_queue_messages",
            Self::SttExecutors => "stt_executors",
            Self::KeyWindowEdges => "key_window_edges",
            Self::IdleCpuRatio => "idle_cpu_ratio",
            Self::RssBeyondModelBytes => "rss_beyond_model_bytes",
        }
    }

    /// The limit.
    #[must_use]
    pub const fn limit(self) -> f64 {
        match self {
            Self::AudioBufferSeconds => 30.0,
            Self::EventQueueMessages => 100.0,
            Self::SttExecutors => 1.0,
            Self::KeyWindowEdges => 10.0,
            Self::IdleCpuRatio => 0.01,
            Self::RssBeyondModelBytes => 150_000_000.0,
        }
    }
}

/// Describes the metrics and exports the budgets.
pub fn describe() {
    describe_gauge!(BUDGET, "Budget of the design; the unit is in the label");
    describe_gauge!(RSS_BYTES, Unit::Bytes, "Resident memory of the process");
    describe_gauge!(THREADS, Unit::Count, "Threads of the process");
    describe_gauge!(OPEN_FDS, Unit::Count, "Open file descriptors of the process");
    describe_gauge!(CPU_SECONDS, Unit::Seconds, "Processor seconds of the process since its start");
    describe_gauge!(CPU_RATIO, "Cores used between the last two samples");
    describe_gauge!(LEASE_HELD, "1 while a take has the microphone");
    describe_histogram!(LEASE_SECONDS, Unit::Seconds, "How long a take had the microphone and the engine");
    describe_counter!(LEASE_REFUSALS_TOTAL, Unit::Count, "Takes that found the microphone taken");
    describe_gauge!(MODEL_RESIDENT, "1 while the model is in memory");
    describe_counter!(MODEL_IDLE_UNLOADS_TOTAL, Unit::Count, "Models given back after idling");
    for budget in Budget::ALL {
        gauge!(BUDGET, "name" => budget.label()).set(budget.limit());
    }
}

/// The handles the actor keeps.
#[derive(Clone, Debug)]
pub(crate) struct Meters {
    pub lease_held: Gauge,
    pub lease_seconds: Histogram,
    pub refusals: Counter,
    pub model_resident: Gauge,
    pub idle_unloads: Counter,
    usage: [Gauge; 4],
    cpu_ratio: Gauge,
}

impl Meters {
    /// All at zero, so that they are there before the first take.
    pub fn new() -> Self {
        let meters = Self {
            lease_held: gauge!(LEASE_HELD),
            lease_seconds: histogram!(LEASE_SECONDS),
            refusals: counter!(LEASE_REFUSALS_TOTAL),
            model_resident: gauge!(MODEL_RESIDENT),
            idle_unloads: counter!(MODEL_IDLE_UNLOADS_TOTAL),
            usage: [gauge!(RSS_BYTES), gauge!(THREADS), gauge!(OPEN_FDS), gauge!(CPU_SECONDS)],
            cpu_ratio: gauge!(CPU_RATIO),
        };
        meters.lease_held.set(0.0);
        meters.model_resident.set(0.0);
        meters.refusals.absolute(0);
        meters.idle_unloads.absolute(0);
        meters
    }

    /// Sets the gauges of the process.
    pub fn usage(&self, usage: &Usage) {
        let [rss, threads, fds, cpu] = &self.usage;
        rss.set(usage.rss_bytes as f64);
        threads.set(usage.threads as f64);
        fds.set(usage.open_fds as f64);
        cpu.set(usage.cpu.as_secs_f64());
    }

    /// Sets the cores used: processor time `used` in the time `passed`.
    pub fn cpu_ratio(&self, used: Duration, passed: Duration) {
        if !passed.is_zero() {
            self.cpu_ratio.set(used.as_secs_f64() / passed.as_secs_f64());
        }
    }
}
