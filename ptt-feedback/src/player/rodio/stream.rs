//! The device's stream: built with cpal, because rodio's own hides it and so cannot be paused, and fed by rodio's
//! mixer.

use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, FromSample, I24, SampleFormat, SizedSample, StreamConfig, U24};
use metrics::counter;
use rodio::mixer::{Mixer, MixerSource, mixer};
use rodio::{SampleRate, Source};
use tracing::debug;

use crate::metrics::XRUNS_TOTAL;
use crate::player::Wake;

/// A stream that plays what its mixer is given, and silence.
pub(super) struct Stream {
    stream: cpal::Stream,
    mixer: Mixer,
    rate: SampleRate,
    paused: bool,
    trouble: Arc<Trouble>,
}

impl Stream {
    /// Opens it and lets it run. Its errors wake `wake` when they are its end.
    pub fn open(
        device: &cpal::Device,
        config: &cpal::SupportedStreamConfig,
        block: BufferSize,
        wake: Wake,
    ) -> Result<Self, cpal::Error> {
        let invalid = || cpal::Error::new(ErrorKind::UnsupportedConfig);
        let channels = NonZero::new(config.channels()).ok_or_else(invalid)?;
        let rate = NonZero::new(config.sample_rate()).ok_or_else(invalid)?;
        let (mixer, source) = mixer(channels, rate);
        let trouble = Arc::new(Trouble { fatal: AtomicBool::new(false), reason: Mutex::new(None), wake });
        let wanted = StreamConfig { buffer_size: block, ..config.config() };
        let format = config.sample_format();
        let stream = build(device, wanted, format, source, Arc::clone(&trouble))?;
        stream.play()?;
        Ok(Self { stream, mixer, rate, paused: false, trouble })
    }

    /// The rate for which to render.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Mixes `source` in from the next block on. A paused stream runs again.
    pub fn play(&mut self, source: impl Source + Send + 'static) {
        // First into the mixer: so the first block that the device asks for has it.
        self.mixer.add(source);
        if std::mem::take(&mut self.paused)
            && let Err(error) = self.stream.play()
        {
            self.trouble.end(&error);
        }
    }

    /// Asks the device to ask for no more blocks. One that cannot plays on.
    pub fn pause(&mut self) {
        match self.stream.pause() {
            Ok(()) => self.paused = true,
            Err(error) if error.kind() == ErrorKind::UnsupportedOperation => {
                debug!(%error, "the output cannot pause and plays on");
            }
            Err(error) => self.trouble.end(&error),
        }
    }

    /// What ended it; told once.
    pub fn ended(&self) -> Option<String> {
        self.trouble.take()
    }
}

fn build(
    device: &cpal::Device,
    config: StreamConfig,
    format: SampleFormat,
    source: MixerSource,
    trouble: Arc<Trouble>,
) -> Result<cpal::Stream, cpal::Error> {
    match format {
        SampleFormat::F32 => build_as::<f32>(device, config, source, trouble),
        SampleFormat::F64 => build_as::<f64>(device, config, source, trouble),
        SampleFormat::I8 => build_as::<i8>(device, config, source, trouble),
        SampleFormat::I16 => build_as::<i16>(device, config, source, trouble),
        SampleFormat::I24 => build_as::<I24>(device, config, source, trouble),
        SampleFormat::I32 => build_as::<i32>(device, config, source, trouble),
        SampleFormat::I64 => build_as::<i64>(device, config, source, trouble),
        SampleFormat::U8 => build_as::<u8>(device, config, source, trouble),
        SampleFormat::U16 => build_as::<u16>(device, config, source, trouble),
        SampleFormat::U24 => build_as::<U24>(device, config, source, trouble),
        SampleFormat::U32 => build_as::<u32>(device, config, source, trouble),
        SampleFormat::U64 => build_as::<u64>(device, config, source, trouble),
        SampleFormat::DsdU8 | SampleFormat::DsdU16 | SampleFormat::DsdU32 | _ => {
            Err(cpal::Error::with_message(
                ErrorKind::UnsupportedConfig,
                format!("samples as {format} are not supported"),
            ))
        }
    }
}

fn build_as<T: SizedSample + FromSample<f32>>(
    device: &cpal::Device,
    config: StreamConfig,
    mut source: MixerSource,
    trouble: Arc<Trouble>,
) -> Result<cpal::Stream, cpal::Error> {
    device.build_output_stream(
        config,
        move |block: &mut [T], _: &_| fill(block, &mut source),
        move |error| trouble.note(&error),
        None,
    )
}

/// Takes a block from the mixer, which gives nothing while nothing is played.
fn fill<T: SizedSample + FromSample<f32>>(block: &mut [T], source: &mut impl Iterator<Item = f32>) {
    block.fill_with(|| source.next().map_or(T::EQUILIBRIUM, T::from_sample));
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, paused, trouble, .. } = self;
        let mut fields = f.debug_struct("Stream");
        fields.field("rate", rate).field("paused", paused).field("trouble", trouble).finish_non_exhaustive()
    }
}

/// What the stream's error callback saw.
#[derive(Debug)]
struct Trouble {
    fatal: AtomicBool,
    reason: Mutex<Option<String>>,
    wake: Wake,
}

impl Trouble {
    /// Runs on the stream's thread. Only the first error that ends the stream allocates and locks: after it there is no
    /// audio to disturb.
    fn note(&self, error: &cpal::Error) {
        let kind = error.kind();
        if kind == ErrorKind::Xrun {
            counter!(XRUNS_TOTAL).increment(1);
        } else if !matches!(kind, ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged) {
            // The stream plays on after those two.
            self.end(error);
        }
    }

    fn end(&self, error: &cpal::Error) {
        if !self.fatal.swap(true, Ordering::AcqRel) {
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            self.wake.wake();
        }
    }

    fn take(&self) -> Option<String> {
        if !self.fatal.load(Ordering::Acquire) {
            return None;
        }
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_play_is_silence_in_every_format() {
        let mut block = [7_u8; 4];
        fill(&mut block, &mut [0.5, -1.0].into_iter());
        assert_eq!(block, [192, 0, 128, 128]);
        let mut block = [7_i16; 3];
        fill(&mut block, &mut [-0.5].into_iter());
        assert_eq!(block, [-16_384, 0, 0]);
    }

    #[test]
    fn only_what_ends_the_stream_counts() {
        let (woken, wakes) = std::sync::mpsc::channel();
        let wake = Wake::new(move || woken.send(()).unwrap());
        let trouble = Trouble { fatal: AtomicBool::new(false), reason: Mutex::new(None), wake };
        for harmless in [ErrorKind::Xrun, ErrorKind::RealtimeDenied, ErrorKind::DeviceChanged] {
            trouble.note(&cpal::Error::new(harmless));
            assert_eq!(trouble.take(), None);
        }
        for _ in 0..3 {
            trouble.note(&cpal::Error::new(ErrorKind::DeviceNotAvailable));
        }
        assert!(trouble.take().is_some());
        assert_eq!(trouble.take(), None);
        assert_eq!(wakes.try_iter().count(), 1, "woken once");
    }
}
