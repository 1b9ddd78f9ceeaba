//! Audio files to clips: WAV in any format, FLAC, Ogg Vorbis, MP3, AIFF.

use std::fs::File;
use std::path::Path;

use ptt_messages::Clip;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as DecodeError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use crate::dsp::{Intake, RATES_HZ};
use crate::error::AudioError;

/// Reads a file of any rate, format and number of channels as 16 kHz mono. A file that ends in the middle gives what
/// there is of it.
///
/// # Errors
/// [`AudioError::Unreadable`] when the file cannot be opened, [`AudioError::NotAudio`] when nothing in it can be decoded
/// or its rate cannot be meant.
pub fn read_audio_file(path: &Path) -> Result<Clip, AudioError> {
    let unreadable = |e: std::io::Error| AudioError::Unreadable { path: path.into(), reason: e.to_string() };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(AudioError::Unreadable { path: path.into(), reason: "it is a directory".to_owned() });
    }
    decode(file, path).map_err(|reason| AudioError::NotAudio { path: path.into(), reason })
}

fn decode(file: File, path: &Path) -> Result<Clip, String> {
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| e.to_string())?;
    let track = format.default_track(TrackType::Audio).ok_or("it has no audio track")?;
    let parameters = track.codec_params.as_ref().and_then(|c| c.audio()).ok_or("its codec is not known")?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|e| e.to_string())?;
    let track = track.id;

    let mut intake = None;
    let mut interleaved = Vec::<f32>::new();
    let mut samples = Vec::new();
    let mut damage = None;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(error) => {
                damage = Some(error.to_string());
                break;
            }
        };
        match decoder.decode(&packet) {
            Ok(audio) => {
                let (rate, channels) = (audio.spec().rate(), audio.spec().channels().count());
                if !RATES_HZ.contains(&rate) {
                    return Err(format!("it claims to have {rate} samples a second"));
                }
                let channels = u16::try_from(channels).map_err(|_| "it has too many channels")?;
                audio.copy_to_vec_interleaved(&mut interleaved);
                let (_, intake) =
                    intake.get_or_insert_with(|| ((rate, channels), Intake::new(rate, channels)));
                intake.push(&interleaved, &mut samples);
            }
            Err(DecodeError::DecodeError(reason)) => damage = Some(reason.to_owned()),
            Err(error) => {
                damage = Some(error.to_string());
                break;
            }
        }
    }
    match (intake, damage) {
        (Some((_, mut intake)), _) => {
            intake.flush(&mut samples);
            Ok(Clip::sanitised(samples).0)
        }
        (None, Some(damage)) => Err(damage),
        // A well-formed file of no samples.
        (None, None) => Ok(Clip::empty()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use hound::{SampleFormat, WavSpec, WavWriter};

    use super::*;

    /// A file of 16 bit; every channel is the same.
    pub(crate) fn write_wav(path: &Path, rate: u32, channels: u16, mono: &[f32]) {
        write(path, rate, channels, 16, SampleFormat::Int, mono);
    }

    fn write(path: &Path, rate: u32, channels: u16, bits: u16, kind: SampleFormat, mono: &[f32]) {
        let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: kind };
        let mut writer = WavWriter::create(path, spec).unwrap();
        for s in mono {
            for _ in 0..channels {
                match kind {
                    SampleFormat::Float => writer.write_sample(*s).unwrap(),
                    SampleFormat::Int => {
                        let scale = f64::from(2_u32.pow(u32::from(bits) - 1)) - 1.0;
                        writer.write_sample((f64::from(*s) * scale) as i32).unwrap();
                    }
                }
            }
        }
        writer.finalize().unwrap();
    }

    fn tone(rate: u32, seconds: f64) -> Vec<f32> {
        (0..(f64::from(rate) * seconds) as usize)
            .map(|n| (0.5 * (std::f64::consts::TAU * 500.0 * n as f64 / f64::from(rate)).sin()) as f32)
            .collect()
    }

    #[test]
    fn wav_of_odd_formats() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odd.wav");
        let expected = tone(16_000, 0.5);
        for (rate, channels, bits, kind) in [
            (16_000, 1, 16, SampleFormat::Int),
            (8_000, 1, 8, SampleFormat::Int),
            (44_100, 2, 24, SampleFormat::Int),
            (48_000, 6, 32, SampleFormat::Int),
            (96_000, 3, 32, SampleFormat::Float),
            (11_025, 1, 16, SampleFormat::Int),
        ] {
            write(&path, rate, channels, bits, kind, &tone(rate, 0.5));
            let clip = read_audio_file(&path).unwrap();
            let what = format!("{rate} Hz, {channels} channels, {bits} bit {kind:?}");
            assert!(clip.samples().len().abs_diff(8_000) <= 1, "{what}: {}", clip.samples().len());
            let worst = (400..7_600).map(|n| (clip.samples()[n] - expected[n]).abs()).fold(0.0, f32::max);
            assert!(worst < 0.098, "{what}: off by {worst}, a sample is 0.098");
        }
    }

    #[test]
    fn numbers_that_are_none_become_silence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nan.wav");
        write(&path, 16_000, 1, 32, SampleFormat::Float, &[f32::NAN, 0.5, f32::INFINITY, 1e30]);
        assert_eq!(read_audio_file(&path).unwrap().samples(), [0.0, 0.5, 0.0, 1.0]);
    }

    #[test]
    fn a_file_that_was_cut_gives_what_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.wav");
        write_wav(&path, 16_000, 1, &tone(16_000, 1.0));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..16_044]).unwrap();
        let left = read_audio_file(&path).unwrap().samples().len();
        assert!((7_000..=8_000).contains(&left), "{left}");
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("notes.wav");
        std::fs::write(&text, "dear diary, today I did not record anything at all").unwrap();
        let none = dir.path().join("none.wav");
        std::fs::write(&none, "").unwrap();
        let header = dir.path().join("header.wav");
        write_wav(&header, 16_000, 1, &tone(16_000, 0.1));
        std::fs::write(&header, &std::fs::read(&header).unwrap()[..20]).unwrap();
        for path in [&text, &none, &header] {
            let error = read_audio_file(path).unwrap_err();
            assert!(matches!(error, AudioError::NotAudio { .. }), "{error:?}");
            assert!(error.to_string().contains("ffmpeg"), "{error}");
        }
        for path in [dir.path(), Path::new("/nowhere/to.wav")] {
            let error = read_audio_file(path).unwrap_err();
            assert!(matches!(error, AudioError::Unreadable { .. }), "{error:?}");
        }
    }

    #[test]
    fn a_header_that_claims_what_cannot_be_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("claims.wav");
        write(&path, 16_000, 1, 8, SampleFormat::Int, &[0.5; 100]);
        let honest = std::fs::read(&path).unwrap();
        let claims = |channels: u16, rate: u32| {
            let mut bytes = honest.clone();
            bytes[22..24].copy_from_slice(&channels.to_le_bytes());
            bytes[24..28].copy_from_slice(&rate.to_le_bytes());
            std::fs::write(&path, bytes).unwrap();
            read_audio_file(&path).map(|clip| clip.samples().len())
        };
        for (channels, rate, reason) in [
            (1, 0, "0 samples a second"),
            (1, 1, "1 samples a second"),
            (1, 999, "999 samples a second"),
            (1, 768_001, "768001 samples a second"),
            (1, u32::MAX, "4294967295 samples a second"),
            (0, 16_000, "invalid channel count"),
            (u16::MAX, 16_000, "invalid channel count"),
        ] {
            let error = claims(channels, rate).unwrap_err();
            assert!(matches!(error, AudioError::NotAudio { .. }), "{channels} x {rate} Hz: {error:?}");
            assert!(error.to_string().contains(reason), "{channels} x {rate} Hz: {error}");
        }
        assert_eq!(claims(1, 1_000), Ok(1_600));
        assert_eq!(claims(1, 768_000), Ok(2));
    }

    #[test]
    fn a_file_of_no_samples_is_an_empty_clip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.wav");
        write_wav(&path, 48_000, 2, &[]);
        assert!(read_audio_file(&path).unwrap().is_empty());
    }
}
