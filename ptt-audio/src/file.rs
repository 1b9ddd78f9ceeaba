//! Audio files as 16 kHz mono, piece by piece: WAV in any format, FLAC, Ogg with Vorbis or Opus,
//! MP3, AIFF. However long a file is, it takes no more memory than a short one.
//!
//! All of a file is read: every link of a chained Ogg, an MP3 that changes its format, a WAV whose
//! header is wrong ([`repair`]). What cannot be read is left out, and [`AudioFile::unread`] tells
//! of it.

mod decoder;
mod loss;
mod mp3;
mod ogg;
mod repair;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ptt_messages::{Clip, SAMPLE_RATE_HZ};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_MP3, FORMAT_ID_OGG};
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use self::decoder::{Decoder, Spec};
use self::loss::{Loss, Unread};
use self::repair::Repaired;
use crate::dsp::{Intake, RATES_HZ};
use crate::error::AudioError;

/// Errors in a row, without a packet between them, after which a file is given up.
const MOST_ERRORS: u32 = 100;

/// A file that is being read.
pub struct AudioFile {
    path: PathBuf,
    extension: Option<String>,
    /// `None` for a pipe.
    file: Option<Arc<File>>,
    format: Box<dyn FormatReader>,
    /// Time stamps that jump say nothing here: pages do.
    ogg: bool,
    /// What the reader of the container will pass over.
    losses: Vec<Loss>,
    /// Where another file follows in the same one.
    next: Option<u64>,
    /// `None` where it cannot be decoded.
    track: Option<Track>,
    intake: Option<(Spec, Intake)>,
    interleaved: Vec<f32>,
    fresh: Vec<f32>,
    /// `fresh` was not given out yet.
    ahead: bool,
    /// Samples of all pieces but `fresh`.
    samples: u64,
    errors: u32,
    ended: bool,
    unread: Unread,
}

struct Track {
    id: u32,
    decoder: Decoder,
    /// Frames of the track per second.
    rate_hz: f64,
    /// When the next packet begins, in frames.
    expected: Option<i64>,
}

impl AudioFile {
    /// Opens a file and reads the beginning of its audio.
    ///
    /// # Errors
    /// [`AudioError::Unreadable`] when the file cannot be opened, [`AudioError::NotAudio`] when
    /// nothing in it can be decoded or its rate cannot be meant.
    pub fn open(path: &Path) -> Result<Self, AudioError> {
        let unreadable = |reason: String| AudioError::Unreadable { path: path.into(), reason };
        let file = File::open(path).map_err(|e| unreadable(e.to_string()))?;
        let kind = file.metadata().map_err(|e| unreadable(e.to_string()))?;
        if kind.is_dir() {
            return Err(unreadable("it is a directory".to_owned()));
        }
        let failed = |e: std::io::Error| unreadable(e.to_string());
        let (file, repaired, losses) = if kind.is_file() {
            let losses = ogg::losses(&file).map_err(failed)?;
            let file = Arc::new(file);
            let repaired = repair::regular(&file, 0);
            (Some(file), repaired, losses)
        } else {
            (None, repair::pipe(file), Vec::new())
        };
        let Repaired { source, next } = repaired.map_err(failed)?;
        let not_audio = |reason| AudioError::NotAudio { path: path.into(), reason };
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_owned);
        let format = probe(source, extension.as_deref())
            .map_err(|reason| not_audio(losses.first().map_or(reason, |loss| loss.reason.clone())))?;
        let kind = format.format_info().format;
        let losses = match &file {
            Some(file) if kind == FORMAT_ID_MP3 => mp3::losses(file).map_err(failed)?,
            _ => losses,
        };
        let mut opened = Self {
            path: path.into(),
            extension,
            file,
            format,
            ogg: kind == FORMAT_ID_OGG,
            losses,
            next,
            track: None,
            intake: None,
            interleaved: Vec::new(),
            fresh: Vec::new(),
            ahead: true,
            samples: 0,
            errors: 0,
            ended: false,
            unread: Unread::default(),
        };
        opened.choose_track();
        opened.read_piece();
        match opened.unread.reason.take() {
            Some(reason) if opened.intake.is_none() => Err(not_audio(reason)),
            reason => {
                opened.unread.reason = reason;
                Ok(opened)
            }
        }
    }

    /// The next piece, a fraction of a second long; `None` at the end.
    pub fn next_piece(&mut self) -> Option<&[f32]> {
        if !std::mem::take(&mut self.ahead) {
            self.read_piece();
        }
        (!self.fresh.is_empty()).then_some(&self.fresh)
    }

    /// What of all that was passed could not be read, if it is worth a word.
    #[must_use]
    pub fn unread(&self) -> Option<AudioError> {
        let what = self.unread.summary()?;
        Some(AudioError::PartlyRead { path: self.path.clone(), what })
    }

    /// Fills `fresh`, unless the file has ended.
    fn read_piece(&mut self) {
        self.samples += self.fresh.len() as u64;
        self.fresh.clear();
        while self.fresh.is_empty() && !self.ended {
            match self.format.next_packet() {
                Ok(Some(packet)) => self.take(&packet),
                // A file that was cut at its end has been read to its end.
                Ok(None) => self.end(),
                Err(Error::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => self.end(),
                Err(Error::ResetRequired) => self.choose_track(),
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Seconds of audio so far.
    fn position(&self) -> f64 {
        (self.samples + self.fresh.len() as u64) as f64 / f64::from(SAMPLE_RATE_HZ)
    }

    /// Goes on with the audio of what the container now has.
    fn choose_track(&mut self) {
        let audio = self.format.tracks().iter().filter(|track| {
            track.codec_params.as_ref().is_some_and(|parameters| parameters.audio().is_some())
        });
        let others = audio.count().saturating_sub(1);
        let track = self.format.default_track(TrackType::Audio);
        let parameters = track.and_then(|track| track.codec_params.as_ref()?.audio());
        let opened = match (track, parameters) {
            (None, _) => Err("it has no audio track".to_owned()),
            (Some(_), None) => Err("its codec is not known".to_owned()),
            (Some(track), Some(parameters)) => Track::new(track.id, parameters),
        };
        let position = self.position();
        if others > 0 {
            self.unread.rest(position, format!("{others} more audio tracks, of which one is read"));
        }
        self.track = opened.map_err(|reason| self.unread.rest(position, reason)).ok();
    }

    fn take(&mut self, packet: &Packet) {
        self.errors = 0;
        let position = self.position();
        let Some(track) = self.track.as_mut().filter(|track| track.id == packet.track_id) else { return };
        let begin = packet.pts.get();
        if let Some(expected) = track.expected.filter(|_| !self.ogg) {
            let missing = begin.saturating_sub(expected) as f64 / track.rate_hz;
            self.unread.stretch(position, missing, "it is damaged there");
        }
        let length = i64::try_from(packet.block_dur().get()).unwrap_or(i64::MAX);
        track.expected = Some(begin.saturating_add(length));
        let spec = match track.decoder.decode(packet, &mut self.interleaved) {
            Ok(spec) => spec,
            Err(reason) => {
                let missing = length as f64 / track.rate_hz;
                return self.unread.stretch(position, missing, &reason);
            }
        };
        if !RATES_HZ.contains(&spec.rate_hz) || spec.channels == 0 {
            self.ended = true;
            return self
                .unread
                .rest(position, format!("it claims to have {} samples a second", spec.rate_hz));
        }
        if let Some((of, intake)) = &mut self.intake
            && *of != spec
        {
            intake.flush(&mut self.fresh);
            self.intake = None;
        }
        let (_, intake) = self.intake.get_or_insert_with(|| (spec, Intake::new(spec.rate_hz, spec.channels)));
        intake.push(&self.interleaved, &mut self.fresh);
    }

    /// The container has no more.
    fn end(&mut self) {
        if let (Some(base), Some(file)) = (self.next.take(), &self.file) {
            let following = repair::regular(file, base).map_err(|e| e.to_string());
            let opened = following.and_then(|Repaired { source, next }| {
                self.next = next;
                probe(source, self.extension.as_deref())
            });
            match opened {
                Ok(format) => {
                    self.format = format;
                    return self.choose_track();
                }
                Err(reason) => {
                    let position = self.position();
                    self.unread.rest(position, reason);
                }
            }
        }
        for Loss { at_s, seconds, reason } in std::mem::take(&mut self.losses) {
            match seconds {
                Some(seconds) => self.unread.stretch(at_s, seconds, &reason),
                None => self.unread.rest(at_s, reason),
            }
        }
        self.ended = true;
        if let Some((_, intake)) = &mut self.intake {
            intake.flush(&mut self.fresh);
        }
    }

    fn fail(&mut self, error: &Error) {
        self.errors += 1;
        let given_up = matches!(error, Error::IoError(_)) || self.errors > MOST_ERRORS;
        self.unread.rest(self.position(), error.to_string());
        if given_up {
            self.end();
        }
    }
}

impl std::fmt::Debug for AudioFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Track {
    fn new(id: u32, parameters: &AudioCodecParameters) -> Result<Self, String> {
        let rate_hz = f64::from(parameters.sample_rate.unwrap_or(SAMPLE_RATE_HZ).max(1));
        Ok(Self { id, decoder: Decoder::new(parameters)?, rate_hz, expected: None })
    }
}

fn probe(
    source: Box<dyn symphonia::core::io::MediaSource>,
    extension: Option<&str>,
) -> Result<Box<dyn FormatReader>, String> {
    let mut hint = Hint::new();
    if let Some(extension) = extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| e.to_string())
}

/// Reads a whole file. A file that ends in the middle gives what there is of it.
///
/// # Errors
/// As [`AudioFile::open`], and [`AudioError::PartlyRead`] when a part of it cannot be read.
pub fn read_audio_file(path: &Path) -> Result<Clip, AudioError> {
    let mut file = AudioFile::open(path)?;
    let mut samples = Vec::new();
    while let Some(piece) = file.next_piece() {
        samples.extend_from_slice(piece);
    }
    match file.unread() {
        Some(error) => Err(error),
        None => Ok(Clip::sanitised(samples).0),
    }
}

#[cfg(test)]
pub(crate) mod tests;
