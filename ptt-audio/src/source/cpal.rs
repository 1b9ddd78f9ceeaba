//! Microphones of the sound systems that cpal talks to for us: PipeWire (feature `pipewire`).
//!
//! Blocks of `audio.block_ms` are asked for; where a device refuses them, twice and four times as long, then whatever it
//! likes (which with a sound server can be two seconds, so it comes last). The callbacks run on the sound system's threads and only copy, count
//! and flag.
#![expect(clippy::wildcard_enum_match_arm, reason = "cpal's enums may grow, so they want a wildcard")]

use std::thread::Thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Data, Device, ErrorKind, FromSample, HostId, I24, InputCallbackInfo, SampleFormat};
use cpal::{StreamConfig, U24};
use ptt_messages::{FaultKind, Moment};

use super::microphone::{DEFAULT, InputDeviceInfo, Refusal, pick};
use crate::error::AudioError;
use crate::ring::{Feed, Loss, hand_over};
use crate::source::{Cue, Format, Opened, Stream};

/// How long a stream may take to be made. What hangs longer hangs on the thread that opens.
const BUILD_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens a microphone of this sound system.
///
/// # Errors
/// Why it gave none.
pub(super) fn open(id: HostId, wanted: &str, block_ms: u32, wake: &Thread) -> Result<Opened, Refusal> {
    let host = cpal::host_from_id(id)?;
    open_device(&find(&host, wanted)?, block_ms, wake)
}

/// The microphones of this sound system, for people; none when it does not answer.
pub(super) fn list(id: HostId) -> Vec<InputDeviceInfo> {
    let Ok(host) = cpal::host_from_id(id) else { return Vec::new() };
    let default = host.default_input_device().and_then(|device| device.id().ok());
    let Ok(devices) = host.input_devices() else { return Vec::new() };
    devices
        .map(|device| {
            let device_id = device.id().ok();
            InputDeviceInfo {
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
            }
        })
        .collect()
}

impl From<cpal::Error> for Refusal {
    fn from(error: cpal::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::PermissionDenied => FaultKind::Denied,
            ErrorKind::DeviceBusy => FaultKind::Busy,
            ErrorKind::UnsupportedConfig | ErrorKind::UnsupportedOperation | ErrorKind::InvalidInput => {
                FaultKind::Broken
            }
            _ => FaultKind::Gone,
        };
        Self::Failed { reason: error.to_string().trim_end_matches('.').to_owned(), kind }
    }
}

fn find(host: &cpal::Host, wanted: &str) -> Result<Device, Refusal> {
    if wanted == DEFAULT {
        return host.default_input_device().ok_or(Refusal::NoDefault);
    }
    let mut devices: Vec<_> = host.input_devices()?.collect();
    let names: Vec<_> = devices
        .iter()
        .map(|device| {
            (device.to_string(), device.id().map_or_else(|_| String::new(), |id| id.id().to_owned()))
        })
        .collect();
    match pick(wanted, &names) {
        Some(best) => Ok(devices.swap_remove(best)),
        None => Err(Refusal::NotCalledThat { there_is: names.into_iter().map(|(name, _)| name).collect() }),
    }
}

fn open_device(device: &Device, block_ms: u32, wake: &Thread) -> Result<Opened, Refusal> {
    let supported = device.default_input_config()?;
    let (rate_hz, channels, samples) =
        (supported.sample_rate(), supported.channels(), supported.sample_format());
    if !readable(samples) {
        return Err(unreadable(samples));
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
            Err(error) => return Err(error.into()),
        }
    }
    Err(refusal.map_or_else(|| unreadable(samples), Refusal::from))
}

fn unreadable(format: SampleFormat) -> Refusal {
    let reason = format!("samples of the format {format} cannot be read");
    Refusal::Failed { reason, kind: FaultKind::Broken }
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
