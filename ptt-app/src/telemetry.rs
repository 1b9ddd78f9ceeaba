//! Logs to stderr and metrics to Prometheus. What is logged and counted is decided where it happens.

mod http;
mod server;
mod throttle;

use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use metrics_util::layers::FanoutBuilder;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use self::http::Hosts;
use crate::config::{LogConfig, LogFormat, MetricsConfig};
use crate::exit_code::{Exit, Failure};
use crate::log_filter;

/// Upper bounds in seconds of every histogram of latencies. The design targets 1, 5, 10, 20, 50 and 100 ms are exact
/// boundaries, so that "how many met it" is a count and not an estimate.
pub const LATENCY_BUCKETS: [f64; 24] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075,
    0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0,
];

/// Upper bounds in seconds of histograms of lengths (takes, states): up to ten minutes.
pub const LENGTH_BUCKETS: [f64; 12] = [0.15, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 600.0];

/// Upper bounds of ratios such as the real-time factor.
pub const RATIO_BUCKETS: [f64; 11] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0];

/// Starts logging to stderr for a command whose answer is its output, faults included: errors only, unless another
/// filter than the default was asked for.
///
/// # Errors
/// When `log.filter` is not a filter.
pub fn start_quiet_log(config: &LogConfig) -> Result<(), Failure> {
    let usual = config.filter == LogConfig::default().filter;
    let filter = if usual { "error".into() } else { config.filter.clone() };
    start_log(&LogConfig { filter, format: config.format })
}

/// Checks the filter of a log that is not started here.
///
/// # Errors
/// When `log.filter` is not a filter.
pub fn check_filter(config: &LogConfig) -> Result<(), Failure> {
    filter(config).map(|_| ())
}

fn filter(config: &LogConfig) -> Result<EnvFilter, Failure> {
    log_filter::parse(&config.filter).map_err(|why| Failure::new(Exit::Config, why))
}

/// Starts logging to stderr.
///
/// # Errors
/// When `log.filter` is not a filter.
pub fn start_log(config: &LogConfig) -> Result<(), Failure> {
    let filter = filter(config)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // A second subscriber in one process (tests) keeps the first.
    let _ = match config.format {
        LogFormat::Text => lines.with_target(false).compact().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Starts the recorder and, where enabled, the endpoint on a thread of its own, so that a slow scraper can delay
/// nothing. A taken port is a warning: dictating goes on without the endpoint.
pub fn start_metrics(config: &MetricsConfig) {
    install(prometheus(config));
}

/// The same, and every measurement is also kept as it is, for a command that reports percentiles at its end.
#[must_use]
pub fn start_metrics_and_keep(config: &MetricsConfig) -> Snapshotter {
    let exact = DebuggingRecorder::new();
    let snapshotter = exact.snapshotter();
    install(FanoutBuilder::default().add_recorder(prometheus(config)).add_recorder(exact).build());
    snapshotter
}

fn install(recorder: impl metrics::Recorder + Sync + 'static) {
    // A second recorder in one process (tests) keeps the first.
    let _ = metrics::set_global_recorder(recorder);
    describe();
}

fn prometheus(config: &MetricsConfig) -> PrometheusRecorder {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    let listener = config.enabled.then(|| listen(config.listen)).transpose().unwrap_or_else(|why| {
        warn!(
            listen = %config.listen, %why,
            "no /metrics; dictation works without it (metrics.listen sets another address, metrics.enabled=false silences this)"
        );
        None
    });
    if listener.is_some() {
        info!(url = %format!("http://{}/metrics", config.listen), "metrics");
    }
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let hosts = Hosts::new(config.listen.ip(), machine);
    let work = move || {
        if let Err(error) = keep_metrics(listener, handle, hosts) {
            warn!(%error, "the metrics thread ended");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("ptt-metrics".into()).spawn(work) {
        warn!(%error, "no thread for the metrics");
    }
    recorder
}

/// Drains the histograms, which grow otherwise until they are scraped, and serves the metrics where
/// there is a listener.
fn keep_metrics(
    listener: Option<TcpListener>,
    handle: PrometheusHandle,
    hosts: Hosts,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(listener) = listener {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(server::serve(listener, handle.clone(), hosts));
        }
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            handle.run_upkeep();
        }
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn builder() -> PrometheusBuilder {
    // Without any buckets a histogram would be a summary of the last minute, useless for a tool used now and then.
    let lengths = [
        ptt_controller::metrics::STATE_SECONDS,
        ptt_controller::metrics::TAKE_SECONDS,
        ptt_stt::metrics::AUDIO_SECONDS,
        ptt_audio::metrics::TAKE_SECONDS,
        ptt_audio::metrics::TAKE_SPEECH_SECONDS,
        ptt_resources::metrics::LEASE_SECONDS,
    ];
    let builder = PrometheusBuilder::new().set_buckets(&LATENCY_BUCKETS).and_then(|b| {
        b.set_buckets_for_metric(Matcher::Full(ptt_stt::metrics::REAL_TIME_FACTOR.into()), &RATIO_BUCKETS)
    });
    lengths
        .into_iter()
        .fold(builder, |b, name| b?.set_buckets_for_metric(Matcher::Full(name.into()), &LENGTH_BUCKETS))
        .expect("no list of buckets is empty")
}

/// What no actor describes: each describes its own metrics when it starts, with zeros before the first take.
fn describe() {
    ptt_messages::stage::describe();
    metrics::describe_gauge!("ptt_build_info", "Always 1; the label tells the version");
    metrics::gauge!("ptt_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_an_exact_boundary() {
        for stage in ptt_messages::Stage::ALL {
            if let Some(target) = stage.target() {
                assert!(LATENCY_BUCKETS.contains(&target.as_secs_f64()), "{stage:?}");
            }
        }
        assert!(LATENCY_BUCKETS.is_sorted() && LENGTH_BUCKETS.is_sorted() && RATIO_BUCKETS.is_sorted());
    }

    #[test]
    fn a_wrong_filter_is_a_configuration_error() {
        let config = LogConfig { filter: "info,=".into(), ..LogConfig::default() };
        assert_eq!(start_log(&config).unwrap_err().exit, Exit::Config);
    }
}
