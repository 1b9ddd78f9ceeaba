//! Real microphones through the sound system: PipeWire (feature `pipewire`), PulseAudio, ALSA.
//!
//! Blocks of `audio.block_ms` are asked for; where a device refuses them, twice and four times as long, then whatever it
//! likes (which with a sound server can be two seconds, so it comes last). The callbacks run on the sound system's threads and only copy, count
//! and flag.
#![expect(clippy::wildcard_enum_match_arm, reason = "cpal's enums may grow, so they want a wildcard")]

use std::thread::{self, Thread};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Data, Device, ErrorKind, FromSample, HostId, I24, InputCallbackInfo, SampleFormat};
use cpal::{StreamConfig, U24};
use ptt_messages::{FaultKind, Moment};
use serde::Serialize;

use crate::config::{AudioConfig, HostChoice};
use crate::error::AudioError;
use crate::ring::{Feed, Loss, hand_over};
use crate::source::{CaptureSource, Cue, Format, Opened, Stream};

/// `audio.device` for the one the sound system prefers.
const DEFAULT: &str = "default";

/// How long a stream may take to be made. What hangs longer hangs on the thread that opens.
const BUILD_TIMEOUT: Duration = Duration::from_secs(2);

/// Attempts on a device that is in use, and the time between them.
const BUSY_ATTEMPTS: u32 = 3;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// The backend `cpal`.
#[derive(Debug)]
pub struct Microphone {
    hosts: Vec<HostId>,
    device: String,
    block_ms: u32,
}

impl Microphone {
    /// The microphone `config` names, of the sound systems it allows.
    ///
    /// # Errors
    /// [`AudioError::NoSuchHost`] when this build has not the one that is asked for.
    pub fn new(config: &AudioConfig) -> Result<Self, AudioError> {
        let (name, wanted) = match config.host {
            HostChoice::Auto => ("auto", None),
            HostChoice::PipeWire => ("pipewire", Some("PipeWire")),
            HostChoice::PulseAudio => ("pulseaudio", Some("PulseAudio")),
            HostChoice::Alsa => ("alsa", Some("ALSA")),
        };
        let mut hosts = hosts();
        if let Some(wanted) = wanted {
            hosts.retain(|host| host.to_string().eq_ignore_ascii_case(wanted));
        }
        if hosts.is_empty() {
            return Err(AudioError::NoSuchHost { host: name });
        }
        let block_ms = config.block_ms.get() as u32;
        Ok(Self { hosts, device: config.device.clone(), block_ms })
    }
}

impl CaptureSource for Microphone {
    fn open(&self, wake: &Thread) -> Result<Opened, AudioError> {
        let mut refusals: Vec<(HostId, Refusal)> = Vec::new();
        for &host in &self.hosts {
            match self.open_on(host, wake) {
                Ok(opened) => {
                    let Format { device, rate_hz, channels, .. } = &opened.format;
                    for (skipped, refusal) in &refusals {
                        tracing::info!(host = %skipped, reason = refusal.reason(), "sound system skipped");
                    }
                    tracing::info!(%host, device, rate_hz, channels, "microphone open");
                    return Ok(opened);
                }
                Err(refusal) => refusals.push((host, refusal)),
            }
        }
        Err(verdict(&self.device, refusals))
    }
}

impl Microphone {
    fn open_on(&self, id: HostId, wake: &Thread) -> Result<Opened, Refusal> {
        keep_alsa_quiet();
        let host = cpal::host_from_id(id).map_err(Refusal::Failed)?;
        let device = find(&host, &self.device)?;
        let mut attempt = 1;
        loop {
            match open_device(&device, self.block_ms, wake) {
                Err(Refusal::Failed(error))
                    if error.kind() == ErrorKind::DeviceBusy && attempt < BUSY_ATTEMPTS =>
                {
                    attempt += 1;
                    thread::sleep(BUSY_PAUSE);
                }
                other => return other,
            }
        }
    }
}

/// A device that can be recorded from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputDeviceInfo {
    /// The sound system it belongs to.
    pub host: String,
    /// For people; `audio.device` may be a part of it.
    pub name: String,
    /// For machines; `audio.device` may be it.
    pub id: String,
    /// Whether the sound system prefers it.
    pub is_default: bool,
    /// What it delivers when nothing is asked for, as "48000 Hz, 2 channels, i16".
    pub format: Option<String>,
}

/// The devices of every sound system of this build that answers. May take some seconds.
#[must_use]
pub fn list_devices() -> Vec<InputDeviceInfo> {
    keep_alsa_quiet();
    let mut found = Vec::new();
    for id in hosts() {
        let Ok(host) = cpal::host_from_id(id) else { continue };
        let default = host.default_input_device().and_then(|device| device.id().ok());
        let Ok(devices) = host.input_devices() else { continue };
        for device in devices {
            let device_id = device.id().ok();
            found.push(InputDeviceInfo {
                host: id.to_string(),
                name: device.to_string(),
                is_default: device_id.is_some() && device_id == default,
                id: device_id.map_or_else(String::new, |id| id.id().to_owned()),
                format: device.default_input_config().ok().map(|config| {
                    format!(
                        "{} Hz, {} channels, {}",
                        config.sample_rate(),
                        config.channels(),
                        config.sample_format()
                    )
                }),
            });
        }
    }
    found
}

/// The sound systems of this build, in the order they are asked.
fn hosts() -> Vec<HostId> {
    let rank = |host: &HostId| match host.to_string().to_ascii_lowercase().as_str() {
        "pipewire" => 0,
        "pulseaudio" => 1,
        "alsa" => 2,
        _ => 3,
    };
    let mut hosts: Vec<_> = cpal::ALL_HOSTS.to_vec();
    hosts.sort_by_key(rank);
    hosts
}

/// Why a sound system gave no microphone.
enum Refusal {
    NotCalledThat { there_is: Vec<String> },
    NoDefault,
    Failed(cpal::Error),
    Format(SampleFormat),
}

impl Refusal {
    fn reason(&self) -> String {
        match self {
            Self::NotCalledThat { there_is } if there_is.is_empty() => "it has no input device".to_owned(),
            Self::NotCalledThat { .. } => "no device of that name".to_owned(),
            Self::NoDefault => "it has no default input device".to_owned(),
            Self::Failed(error) => error.to_string().trim_end_matches('.').to_owned(),
            Self::Format(format) => format!("samples of the format {format} cannot be read"),
        }
    }

    fn kind(&self) -> FaultKind {
        match self {
            Self::Failed(error) => match error.kind() {
                ErrorKind::PermissionDenied => FaultKind::Denied,
                ErrorKind::DeviceBusy => FaultKind::Busy,
                ErrorKind::UnsupportedConfig | ErrorKind::UnsupportedOperation | ErrorKind::InvalidInput => {
                    FaultKind::Broken
                }
                _ => FaultKind::Gone,
            },
            Self::NotCalledThat { .. } | Self::NoDefault => FaultKind::Gone,
            Self::Format(_) => FaultKind::Broken,
        }
    }
}

/// What all refusals together mean.
fn verdict(wanted: &str, refusals: Vec<(HostId, Refusal)>) -> AudioError {
    for (_, refusal) in &refusals {
        if let Refusal::NotCalledThat { there_is } = refusal
            && !there_is.is_empty()
        {
            return AudioError::NoSuchDevice { wanted: wanted.to_owned(), there_is: there_is.join(", ") };
        }
    }
    let reasons: Vec<_> =
        refusals.iter().map(|(host, refusal)| format!("{host}: {}", refusal.reason())).collect();
    let reasons = reasons.join("; ");
    let kinds: Vec<_> = refusals.iter().map(|(_, refusal)| refusal.kind()).collect();
    if kinds.contains(&FaultKind::Denied) {
        return AudioError::Denied { reason: reasons };
    }
    let kind = if kinds.contains(&FaultKind::Busy) { FaultKind::Busy } else { FaultKind::Gone };
    AudioError::NoMicrophone { reasons, kind }
}

fn find(host: &cpal::Host, wanted: &str) -> Result<Device, Refusal> {
    if wanted == DEFAULT {
        return host.default_input_device().ok_or(Refusal::NoDefault);
    }
    let mut devices: Vec<_> = host
        .input_devices()
        .map_err(Refusal::Failed)?
        .map(|device| {
            (device.to_string(), device.id().map_or_else(|_| String::new(), |id| id.id().to_owned()), device)
        })
        .collect();
    let lower = wanted.to_lowercase();
    let best = devices.iter().position(|(name, id, _)| name == wanted || id == wanted).or_else(|| {
        devices.iter().position(|(name, id, _)| {
            name.to_lowercase().contains(&lower) || id.to_lowercase().contains(&lower)
        })
    });
    match best {
        Some(best) => Ok(devices.swap_remove(best).2),
        None => {
            Err(Refusal::NotCalledThat { there_is: devices.into_iter().map(|(name, ..)| name).collect() })
        }
    }
}

/// alsa-lib writes what it thinks of a configuration to standard error, beside the error that it returns. On this thread it
/// no longer does.
fn keep_alsa_quiet() {
    // Without the handler it is noisy, nothing else.
    let _ = alsa::Output::local_error_handler();
}

fn open_device(device: &Device, block_ms: u32, wake: &Thread) -> Result<Opened, Refusal> {
    let supported = device.default_input_config().map_err(Refusal::Failed)?;
    let (rate_hz, channels, samples) =
        (supported.sample_rate(), supported.channels(), supported.sample_format());
    if !readable(samples) {
        return Err(Refusal::Format(samples));
    }
    let block = (rate_hz * block_ms / 1_000).max(1);
    let sizes = [block, 2 * block, 4 * block].map(BufferSize::Fixed).into_iter().chain([BufferSize::Default]);
    let mut refusal = None;
    for buffer_size in sizes {
        let (feed, drain) = hand_over(rate_hz, channels, wake.clone());
        let config = StreamConfig { channels, sample_rate: rate_hz, buffer_size };
        match build(device, config, samples, feed).and_then(|stream| stream.play().map(|()| stream)) {
            Ok(stream) => {
                tracing::debug!(asked = ?buffer_size, got = ?stream.buffer_size().ok(), "block size in frames");
                let format = Format { device: device.to_string(), rate_hz, channels, live: true };
                return Ok(Opened { stream: Box::new(Playing(stream)), drain, format });
            }
            Err(error) if error.kind() == ErrorKind::UnsupportedConfig => refusal = Some(error),
            Err(error) => return Err(Refusal::Failed(error)),
        }
    }
    Err(refusal.map_or(Refusal::Format(samples), Refusal::Failed))
}

fn build(
    device: &Device,
    config: StreamConfig,
    samples: SampleFormat,
    mut feed: Feed,
) -> Result<cpal::Stream, cpal::Error> {
    let (tally, wake) = (feed.tally(), feed.wake());
    let on_error = move |error: cpal::Error| {
        let loss = match error.kind() {
            ErrorKind::Xrun => {
                tally.xruns.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return;
            }
            ErrorKind::DeviceChanged => {
                tally.moved.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return;
            }
            ErrorKind::RealtimeDenied => return,
            ErrorKind::DeviceNotAvailable => Loss::Gone,
            ErrorKind::HostUnavailable => Loss::ServerGone,
            ErrorKind::StreamInvalidated => Loss::ServerGone,
            ErrorKind::UnsupportedConfig => Loss::Changed,
            _ => Loss::Broken,
        };
        tally.lose(loss);
        wake.unpark();
    };
    let on_data = move |data: &Data, info: &InputCallbackInfo| take_over(&mut feed, data, info);
    device.build_input_stream_raw(config, samples, on_data, on_error, Some(BUILD_TIMEOUT))
}

const fn readable(format: SampleFormat) -> bool {
    use SampleFormat as S;
    matches!(
        format,
        S::I8
            | S::I16
            | S::I24
            | S::I32
            | S::I64
            | S::U8
            | S::U16
            | S::U24
            | S::U32
            | S::U64
            | S::F32
            | S::F64
    )
}

/// The body of the callback.
fn take_over(feed: &mut Feed, data: &Data, info: &InputCallbackInfo) {
    use SampleFormat as S;
    let timestamp = info.timestamp();
    let age = timestamp.callback.duration_since(timestamp.capture);
    match data.sample_format() {
        S::I8 => push::<i8>(feed, data, age),
        S::I16 => push::<i16>(feed, data, age),
        S::I24 => push::<I24>(feed, data, age),
        S::I32 => push::<i32>(feed, data, age),
        S::I64 => push::<i64>(feed, data, age),
        S::U8 => push::<u8>(feed, data, age),
        S::U16 => push::<u16>(feed, data, age),
        S::U24 => push::<U24>(feed, data, age),
        S::U32 => push::<u32>(feed, data, age),
        S::U64 => push::<u64>(feed, data, age),
        S::F32 => push::<f32>(feed, data, age),
        S::F64 => push::<f64>(feed, data, age),
        // `readable` kept the stream from being built.
        _ => {}
    }
}

fn push<T: cpal::SizedSample>(feed: &mut Feed, data: &Data, age: Duration)
where
    f32: FromSample<T>,
{
    feed.push(data.as_slice::<T>().unwrap_or_default(), age, f32::from_sample_);
}

struct Playing(#[expect(dead_code, reason = "dropping it closes the stream")] cpal::Stream);

impl Stream for Playing {
    fn take_begins(&mut self, _press: Moment) -> Result<Cue, AudioError> {
        Ok(Cue::Live)
    }

    fn take_ends(&mut self) {}
}
