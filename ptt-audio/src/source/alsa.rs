//! ALSA's devices: the kernel's, and what the plugins of alsa-lib make of them.
//!
//! A period is `audio.block_ms` long and the buffer a second, or what the device has. cpal's ALSA host always makes the
//! buffer two periods long: at 10 ms a busy machine overruns it, and the kernel's loopback card delivers nothing at all.
//! A long buffer costs no latency, because each period is read as soon as it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use alsa::device_name::HintIter;
use alsa::pcm::{Access, HwParams, PCM};
use alsa::{Direction, ValueOr};
use ptt_messages::{FaultKind, Moment};
use rustix::io::Errno;

use super::microphone::{DEFAULT, InputDeviceInfo, Refusal, pick};
use crate::error::AudioError;
use crate::ring::{Feed, Loss, hand_over};
use crate::source::{Cue, Format, Opened, Stream};

/// What most devices do without converting, and enough for speech.
const RATE_HZ: u32 = 48_000;
const CHANNELS: u32 = 2;

/// How often the thread looks whether it is still wanted while nothing comes.
const LOOK_MS: u32 = 100;

/// Attempts on a device that is in use, and the time between them.
const BUSY_ATTEMPTS: u32 = 3;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Opens a microphone.
///
/// # Errors
/// Why there is none.
pub(super) fn open(wanted: &str, block_ms: u32, wake: &Thread) -> Result<Opened, Refusal> {
    keep_quiet();
    let (name, id) = find(wanted)?;
    let mut attempt = 1;
    let (pcm, setup) = loop {
        match set_up(&id, block_ms) {
            Ok(found) => break found,
            Err(refusal) if refusal.kind() == FaultKind::Busy && attempt < BUSY_ATTEMPTS => {
                attempt += 1;
                thread::sleep(BUSY_PAUSE);
            }
            Err(refusal) => return Err(refusal),
        }
    };
    let (feed, drain) = hand_over(setup.rate_hz, setup.channels, wake.clone());
    let ended = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&ended);
    let thread = thread::Builder::new()
        .name("ptt-alsa".to_owned())
        .spawn(move || read(&pcm, setup, feed, &watched))
        .map_err(|error| Refusal::Failed { reason: error.to_string(), kind: FaultKind::Broken })?;
    let format = Format { device: name, rate_hz: setup.rate_hz, channels: setup.channels, live: true };
    Ok(Opened { stream: Box::new(Reading { ended, thread: Some(thread) }), drain, format })
}

/// The microphones of ALSA, for people: those that open.
pub(super) fn list() -> Vec<InputDeviceInfo> {
    keep_quiet();
    devices()
        .into_iter()
        // JACK's library complains on standard error when no server runs. By its name it can be opened all the same.
        .filter(|(_, id)| id != "jack")
        .filter_map(|(name, id)| {
            let (_, Setup { rate_hz, channels, samples, .. }) = set_up(&id, 10).ok()?;
            let samples = format!("{samples:?}").to_lowercase();
            let format = Some(format!("{rate_hz} Hz, {channels} channels, {samples}"));
            Some(InputDeviceInfo { host: "ALSA".to_owned(), name, is_default: id == DEFAULT, id, format })
        })
        .collect()
}

/// alsa-lib writes what it thinks of a configuration to standard error, beside the error that it returns. On this thread it
/// no longer does.
fn keep_quiet() {
    // Without the handler it is noisy, nothing else.
    let _ = alsa::Output::local_error_handler();
}

/// Names and ids of what may be a microphone.
fn devices() -> Vec<(String, String)> {
    let hints = HintIter::new(None, c"pcm").into_iter().flatten();
    hints
        .filter(|hint| hint.direction != Some(Direction::Playback))
        .filter_map(|hint| {
            // "null" hears nothing and always opens.
            let id = hint.name.filter(|id| id != "null")?;
            let name = hint.desc.as_deref().and_then(|text| text.lines().next()).unwrap_or(&id).to_owned();
            Some((name, id))
        })
        .collect()
}

fn find(wanted: &str) -> Result<(String, String), Refusal> {
    let mut devices = devices();
    match pick(wanted, &devices) {
        // The default is called so, and its name is what it is.
        _ if wanted == DEFAULT => Ok((DEFAULT.to_owned(), DEFAULT.to_owned())),
        Some(best) => Ok(devices.swap_remove(best)),
        // alsa-lib knows more than it lists: "hw:1,0".
        None if wanted.contains(':') => Ok((wanted.to_owned(), wanted.to_owned())),
        None => {
            Err(Refusal::NotCalledThat { there_is: list().into_iter().map(|device| device.name).collect() })
        }
    }
}

/// What a device agreed to.
#[derive(Clone, Copy, Debug)]
struct Setup {
    rate_hz: u32,
    channels: u16,
    samples: Samples,
    /// Frames.
    period: usize,
}

/// The samples that can be read; all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Samples {
    F32,
    S32,
    /// Of 24 bits, in 32.
    S24,
    /// Of 24 bits, in as many.
    S24Packed,
    S16,
    U8,
}

impl Samples {
    /// The best first.
    const ALL: [Self; 6] = [Self::F32, Self::S32, Self::S24, Self::S24Packed, Self::S16, Self::U8];

    const fn format(self) -> alsa::pcm::Format {
        match self {
            Self::F32 => alsa::pcm::Format::FloatLE,
            Self::S32 => alsa::pcm::Format::S32LE,
            Self::S24 => alsa::pcm::Format::S24LE,
            Self::S24Packed => alsa::pcm::Format::S243LE,
            Self::S16 => alsa::pcm::Format::S16LE,
            Self::U8 => alsa::pcm::Format::U8,
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::S32 | Self::S24 => 4,
            Self::S24Packed => 3,
            Self::S16 => 2,
            Self::U8 => 1,
        }
    }

    /// Hands a block over. It is as old as it is long, at least.
    fn push(self, feed: &mut Feed, bytes: &[u8]) {
        let (four, age) = (bytes.as_chunks().0, Duration::ZERO);
        match self {
            Self::F32 => feed.push(four, age, f32::from_le_bytes),
            Self::S32 => feed.push(four, age, |s| i32::from_le_bytes(s) as f32 / 2_147_483_648.0),
            Self::S24 => feed.push(four, age, |[a, b, c, _]| of_24_bits([a, b, c])),
            Self::S24Packed => feed.push(bytes.as_chunks().0, age, of_24_bits),
            Self::S16 => {
                feed.push(bytes.as_chunks().0, age, |s| f32::from(i16::from_le_bytes(s)) / 32_768.0);
            }
            Self::U8 => feed.push(bytes, age, |s| (f32::from(s) - 128.0) / 128.0),
        }
    }
}

fn of_24_bits([a, b, c]: [u8; 3]) -> f32 {
    i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.0
}

fn set_up(id: &str, block_ms: u32) -> Result<(PCM, Setup), Refusal> {
    let pcm = PCM::new(id, Direction::Capture, true)?;
    let setup = agree(&pcm, block_ms)?;
    Ok((pcm, setup))
}

fn agree(pcm: &PCM, block_ms: u32) -> Result<Setup, Refusal> {
    let params = HwParams::any(pcm)?;
    params.set_access(Access::RWInterleaved)?;
    // What is not done here is done better behind.
    params.set_rate_resample(false)?;
    let samples = Samples::ALL.into_iter().find(|samples| params.test_format(samples.format()).is_ok());
    let samples = samples.ok_or_else(|| Refusal::Failed {
        reason: "its samples cannot be read".to_owned(),
        kind: FaultKind::Broken,
    })?;
    params.set_format(samples.format())?;
    let rate_hz = params.set_rate_near(RATE_HZ, ValueOr::Nearest)?;
    let channels = params.set_channels_near(CHANNELS)? as u16;
    let period = params.set_period_size_near((rate_hz * block_ms / 1_000).into(), ValueOr::Nearest)?;
    let buffer = params.set_buffer_size_near(rate_hz.into())?;
    tracing::debug!(period, buffer, "frames");
    pcm.hw_params(&params)?;
    let wakes = pcm.sw_params_current()?;
    wakes.set_avail_min(period)?;
    pcm.sw_params(&wakes)?;
    let period = usize::try_from(period).unwrap_or_default().max(1);
    Ok(Setup { rate_hz, channels, samples, period })
}

/// The thread: reads each period as soon as it is there.
fn read(pcm: &PCM, setup: Setup, mut feed: Feed, ended: &AtomicBool) {
    keep_quiet();
    let mut block = vec![0; setup.period * usize::from(setup.channels) * setup.samples.bytes()];
    let frame = block.len() / setup.period;
    let device = pcm.io_bytes();
    let mut next = pcm.start().map(|()| 0);
    while !ended.load(Relaxed) {
        match next {
            Ok(frames) => {
                setup.samples.push(&mut feed, block.get(..frames * frame).unwrap_or_default());
                next = pcm
                    .wait(Some(LOOK_MS))
                    .and_then(|there| if there { device.readi(&mut block) } else { Ok(0) });
            }
            Err(error) => match after(Errno::from_raw_os_error(error.errno())) {
                Next::Again => next = Ok(0),
                Next::Restart => {
                    feed.tally().xruns.fetch_add(1, Relaxed);
                    next = pcm.prepare().and_then(|()| pcm.start()).map(|()| 0);
                }
                Next::End(loss) => {
                    feed.tally().lose(loss);
                    return feed.wake().unpark();
                }
            },
        }
    }
}

/// What to do after an error.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Again,
    Restart,
    End(Loss),
}

fn after(error: Errno) -> Next {
    match error {
        Errno::AGAIN | Errno::INTR => Next::Again,
        // Overrun; suspended and resumed.
        Errno::PIPE | Errno::STRPIPE => Next::Restart,
        // A USB microphone that is pulled out says BADFD.
        Errno::NODEV | Errno::BADFD => Next::End(Loss::Gone),
        _ => Next::End(Loss::Broken),
    }
}

struct Reading {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stream for Reading {
    fn take_begins(&mut self, _press: Moment) -> Result<Cue, AudioError> {
        Ok(Cue::Live)
    }

    fn take_ends(&mut self) {}
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        // The device must be free again before it is opened again.
        self.thread.take().map(JoinHandle::join);
    }
}

impl From<alsa::Error> for Refusal {
    fn from(error: alsa::Error) -> Self {
        let errno = Errno::from_raw_os_error(error.errno());
        let kind = match errno {
            Errno::ACCESS | Errno::PERM => FaultKind::Denied,
            Errno::BUSY => FaultKind::Busy,
            Errno::INVAL => FaultKind::Broken,
            _ => FaultKind::Gone,
        };
        Self::Failed { reason: errno.to_string(), kind }
    }
}

#[cfg(test)]
mod tests {
    use assert_no_alloc::assert_no_alloc;

    use super::*;

    #[test]
    fn each_format_is_read_for_what_it_is_and_without_an_allocation() {
        let half = 0.5_f32;
        for (samples, bytes, expected) in [
            (Samples::F32, half.to_le_bytes().to_vec(), half),
            (Samples::S32, (1_i32 << 30).to_le_bytes().to_vec(), half),
            // The fourth byte is anything.
            (Samples::S24, vec![0, 0, 0x40, 0x77], half),
            (Samples::S24Packed, vec![0, 0, 0xc0], -half),
            (Samples::S16, (-16_384_i16).to_le_bytes().to_vec(), -half),
            (Samples::U8, vec![192], half),
        ] {
            assert_eq!(bytes.len(), samples.bytes());
            let (mut feed, mut drain) = hand_over(48_000, 2, thread::current());
            let block = bytes.repeat(960);
            assert_no_alloc(|| samples.push(&mut feed, &block));
            let (_, heard) = drain.next().unwrap();
            assert_eq!(heard, [expected; 960], "{samples:?}");
        }
    }

    #[test]
    fn an_overrun_goes_on_and_a_device_that_is_gone_does_not() {
        for (error, expected) in [
            (Errno::AGAIN, Next::Again),
            (Errno::PIPE, Next::Restart),
            (Errno::STRPIPE, Next::Restart),
            (Errno::NODEV, Next::End(Loss::Gone)),
            (Errno::BADFD, Next::End(Loss::Gone)),
            (Errno::IO, Next::End(Loss::Broken)),
        ] {
            assert_eq!(after(error), expected, "{error}");
        }
    }
}
