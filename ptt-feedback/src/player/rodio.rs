//! The sound output through rodio: opened once with small blocks, tones rendered beforehand at its rate, paused while
//! nothing is played, because small blocks of silence cost the sound server and us several percent of a core.
//!
//! Tones go straight to the mixer: it takes them at the next frame of the next block, while rodio's own queue would
//! first play out up to 512 samples of silence. rodio's default block of 50 ms alone would miss the 20 ms target.

mod stream;

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, ErrorKind, HostId};
use metrics::gauge;
use ptt_messages::{Chime, FaultKind, Moment};
use rodio::{ChannelCount, SampleRate, Source};
use tracing::{debug, info};

use self::stream::Stream;
use super::{Player, Ticket, Wake};
use crate::config::FeedbackConfig;
use crate::error::FeedbackError;
use crate::metrics::BLOCK_FRAMES;
use crate::tones;

/// Plays through the first host that has a working output.
#[derive(Debug)]
pub struct RodioPlayer {
    device: String,
    volume: f32,
    blocks: [BufferSize; 4],
    wake: Wake,
    open: Option<Output>,
}

#[derive(Debug)]
struct Output {
    stream: Stream,
    tones: [Arc<[f32]>; Chime::ALL.len()],
}

impl RodioPlayer {
    /// A player for this configuration. Nothing is opened yet.
    #[must_use]
    pub fn new(config: &FeedbackConfig, wake: Wake) -> Self {
        let fixed = |factor| {
            let frames = config.block_frames.get() * factor;
            BufferSize::Fixed(u32::try_from(frames).unwrap_or(u32::MAX))
        };
        Self {
            device: config.device.clone(),
            volume: config.volume(),
            blocks: [fixed(1), fixed(2), fixed(4), BufferSize::Default],
            wake,
            open: None,
        }
    }

    fn try_host(&self, id: HostId, seen: &mut Vec<String>) -> Result<Output, Refusal> {
        // Asked for a default that it does not have, ALSA prints eight lines of its own to standard error, each time.
        if id == HostId::Alsa && self.device == "default" && !has_card() {
            return Err(Refusal::gone("no sound card"));
        }
        let host = cpal::host_from_id(id)?;
        let device = if self.device == "default" {
            host.default_output_device()
        } else {
            let wanted = self.device.to_lowercase();
            let mut found = None;
            for device in host.output_devices()? {
                let name = name(&device);
                if found.is_none() && name.to_lowercase().contains(&wanted) {
                    found = Some(device);
                }
                seen.push(name);
            }
            found
        };
        let device = device.ok_or_else(|| Refusal::gone("no output device"))?;
        self.try_device(&device)
    }

    fn try_device(&self, device: &cpal::Device) -> Result<Output, Refusal> {
        let config = device.default_output_config()?;
        let mut last = Refusal::gone("no block size");
        for block in self.blocks {
            match Stream::open(device, &config, block, self.wake.clone()) {
                Ok(stream) => {
                    let rate = stream.rate().get();
                    let frames = if let BufferSize::Fixed(frames) = block { frames } else { 0 };
                    info!(output = name(device), rate_hz = rate, frames, "sound output open");
                    gauge!(BLOCK_FRAMES).set(frames);
                    let tones = Chime::ALL.map(|c| tones::render(c, rate, self.volume).into());
                    return Ok(Output { stream, tones });
                }
                Err(error) => {
                    last = error.into();
                    // Only another block size may help then; anything else would fail again the same way.
                    if !last.about_the_config {
                        break;
                    }
                    debug!(?block, reason = last.reason, "block size refused");
                }
            }
        }
        Err(last)
    }
}

impl Player for RodioPlayer {
    fn open(&mut self) -> Result<(), FeedbackError> {
        if self.open.is_some() {
            return Ok(());
        }
        let (mut reasons, mut seen, mut kind) = (Vec::new(), Vec::new(), FaultKind::Gone);
        for id in cpal::available_hosts() {
            match self.try_host(id, &mut seen) {
                Ok(output) => {
                    self.open = Some(output);
                    return Ok(());
                }
                Err(refusal) => {
                    debug!(host = id.name(), reason = refusal.reason, "no sound output here");
                    if kind == FaultKind::Gone {
                        kind = refusal.kind;
                    }
                    reasons.push(format!("{}: {}", id.name(), refusal.reason));
                }
            }
        }
        let matching = seen.iter().any(|name| name.to_lowercase().contains(&self.device.to_lowercase()));
        if self.device != "default" && !matching {
            let found = if seen.is_empty() { "nothing".to_owned() } else { seen.join(", ") };
            return Err(FeedbackError::NoSuchDevice { wanted: self.device.clone(), found });
        }
        Err(FeedbackError::NoOutput { reasons: reasons.join("; "), kind })
    }

    fn close(&mut self) {
        self.open = None;
    }

    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn lost(&mut self) -> Option<FeedbackError> {
        let reason = self.open.as_ref()?.stream.ended()?;
        self.open = None;
        Some(FeedbackError::Lost { reason })
    }

    fn pause(&mut self) {
        if let Some(output) = &mut self.open {
            output.stream.pause();
        }
    }

    fn play(&mut self, chime: Chime, stale: Moment) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::default());
        if let Some(output) = &mut self.open {
            let index = Chime::ALL.iter().position(|&c| c == chime).expect("ALL has every chime");
            output.stream.play(Tone {
                samples: Arc::clone(&output.tones[index]),
                next: 0,
                rate: output.stream.rate(),
                stale,
                ticket: Arc::clone(&ticket),
            });
        }
        ticket
    }
}

/// A rendered tone that notes when the device comes to it. The device's callback runs `next`: it reads the clock once
/// and neither allocates nor locks.
struct Tone {
    samples: Arc<[f32]>,
    next: usize,
    rate: SampleRate,
    stale: Moment,
    ticket: Arc<Ticket>,
}

impl Iterator for Tone {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        if self.next == 0 && !self.ticket.begin(Moment::now(), self.stale) {
            self.next = self.samples.len();
        }
        let sample = self.samples.get(self.next).copied();
        self.next += 1;
        sample
    }
}

impl Source for Tone {
    fn current_span_len(&self) -> Option<usize> {
        None
    }

    fn channels(&self) -> ChannelCount {
        NonZero::<u16>::MIN
    }

    fn sample_rate(&self) -> SampleRate {
        self.rate
    }

    fn total_duration(&self) -> Option<Duration> {
        None
    }
}

/// Why a host or a device did not do.
struct Refusal {
    reason: String,
    kind: FaultKind,
    about_the_config: bool,
}

impl Refusal {
    fn gone(reason: &str) -> Self {
        Self { reason: reason.to_owned(), kind: FaultKind::Gone, about_the_config: false }
    }
}

impl From<cpal::Error> for Refusal {
    fn from(error: cpal::Error) -> Self {
        let kind = error.kind();
        Self {
            reason: error.to_string(),
            kind: if kind == ErrorKind::DeviceBusy {
                FaultKind::Busy
            } else if kind == ErrorKind::PermissionDenied {
                FaultKind::Denied
            } else {
                FaultKind::Gone
            },
            about_the_config: matches!(kind, ErrorKind::UnsupportedConfig | ErrorKind::InvalidInput),
        }
    }
}

/// Whether the kernel knows a sound card.
fn has_card() -> bool {
    std::fs::read_to_string("/proc/asound/cards").is_ok_and(|cards| cards.contains('['))
}

/// What a person may write into the configuration: the description and the id.
fn name(device: &cpal::Device) -> String {
    let description = device.description().map_or_else(|_| "unnamed".to_owned(), |d| d.name().to_owned());
    device.id().map_or_else(|_| description.clone(), |id| format!("{description} ({id})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(stale: Moment) -> (Tone, Arc<Ticket>) {
        let ticket = Arc::new(Ticket::default());
        let samples: Arc<[f32]> = tones::render(Chime::Done, 48_000, 1.0).into();
        let rate = NonZero::new(48_000).unwrap();
        (Tone { samples, next: 0, rate, stale, ticket: Arc::clone(&ticket) }, ticket)
    }

    #[test]
    fn the_ticket_is_written_by_the_callback_and_not_by_handing_the_tone_over() {
        let (mixer, mut callback) =
            rodio::mixer::mixer(NonZero::new(2).unwrap(), NonZero::new(48_000).unwrap());
        let (tone, ticket) = tone(Moment::now() + Duration::from_secs(60));
        mixer.add(tone);
        assert_eq!(ticket.read(), crate::Begun::Waiting);
        let before = Moment::now();
        let played: Vec<f32> = callback.by_ref().collect();
        let crate::Begun::At(at) = ticket.read() else { panic!("not begun") };
        assert!(at >= before && at <= Moment::now());
        let mono = tones::render(Chime::Done, 48_000, 1.0);
        assert_eq!(played.len(), 2 * mono.len(), "both channels");
        assert!(played.chunks(2).zip(&mono).all(|(frame, &s)| frame == [s, s]), "bit for bit");
    }

    #[test]
    fn a_tone_that_comes_too_late_is_not_heard() {
        let (mixer, mut callback) =
            rodio::mixer::mixer(NonZero::new(2).unwrap(), NonZero::new(48_000).unwrap());
        let (tone, ticket) = tone(Moment::from_millis(1));
        mixer.add(tone);
        assert_eq!(callback.next(), None);
        assert_eq!(ticket.read(), crate::Begun::TooLate);
    }
}
