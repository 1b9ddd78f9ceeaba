//! Files of every kind that is easily made, and of every kind that is easily broken.

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

/// A RIFF file of these chunks with these lengths in its headers; the lengths that are true where
/// none are given.
fn riff(form: &[u8; 8], whole: Option<u32>, chunks: &[(&[u8; 4], Option<u32>, &[u8])]) -> Vec<u8> {
    let big = form.starts_with(b"FORM");
    let length = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut body = Vec::new();
    for (id, claimed, bytes) in chunks {
        body.extend_from_slice(*id);
        body.extend_from_slice(&length(claimed.unwrap_or(bytes.len() as u32)));
        body.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            body.push(0);
        }
    }
    let true_length = body.len() as u32 + 4;
    [&form[..4], &length(whole.unwrap_or(true_length)), &form[4..], &body].concat()
}

const RIFF: &[u8; 8] = b"RIFFWAVE";

fn wave_format(channels: u16) -> Vec<u8> {
    let (rate, frame) = (16_000_u32, channels * 2);
    let mut format = Vec::new();
    for short in [1, channels] {
        format.extend_from_slice(&short.to_le_bytes());
    }
    for long in [rate, rate * u32::from(frame)] {
        format.extend_from_slice(&long.to_le_bytes());
    }
    for short in [frame, 16] {
        format.extend_from_slice(&short.to_le_bytes());
    }
    format
}

/// Samples of 16 bit at half of full scale.
fn loud(samples: usize) -> Vec<u8> {
    [0, 0x40].repeat(samples)
}

/// Reads a file of these bytes.
fn read_bytes(name: &str, bytes: &[u8]) -> Result<usize, AudioError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let clip = read_audio_file(&path)?;
    let edge = clip.samples().len().min(100);
    let inner = &clip.samples()[edge..clip.samples().len() - edge];
    assert!(inner.iter().all(|s| s.abs() > 0.1), "{name}: all of it is audio");
    Ok(clip.samples().len())
}

#[test]
fn a_wav_whose_lengths_are_wrong_is_read_to_its_end() {
    let (format, audio) = (wave_format(1), loud(10_001));
    let true_length = 4 + 24 + 8 + 20_002;
    for whole in [0, 36, true_length - 2, true_length, true_length + 2, 0x8000_0024, u32::MAX] {
        for claimed in [0, 19_000, 20_002, 20_004, 0x7fff_f000, 0x8000_0000, u32::MAX] {
            let chunks = [(b"fmt ", None, &format[..]), (b"data", Some(claimed), &audio[..])];
            let read = read_bytes("lengths.wav", &riff(RIFF, Some(whole), &chunks));
            assert_eq!(read, Ok(10_001), "RIFF {whole}, data {claimed}");
        }
    }
}

#[test]
fn what_follows_the_audio_of_a_wav_is_no_audio() {
    let (format, audio, note) = (wave_format(1), loud(1_000), b"INFOISFT\x04\0\0\0test".as_slice());
    let chunks = [(b"fmt ", None, &format[..]), (b"data", None, &audio[..]), (b"LIST", None, note)];
    let whole = riff(RIFF, None, &chunks);
    assert_eq!(read_bytes("list.wav", &whole), Ok(1_000));
    assert_eq!(read_bytes("size.wav", &riff(RIFF, Some(40), &chunks)), Ok(1_000));
    assert_eq!(read_bytes("zeros.wav", &[&whole[..], &[0; 500]].concat()), Ok(1_000));
    let tag = [&b"TAG"[..], &[b' '; 125]].concat();
    assert_eq!(read_bytes("id3.wav", &[&whole[..], &tag].concat()), Ok(1_000));
    // Of more than 4 GiB, or as if.
    let chunks =
        [(b"ds64", None, &[0; 28][..]), (b"fmt ", None, &format[..]), (b"data", Some(u32::MAX), &audio[..])];
    assert_eq!(read_bytes("rf64.wav", &riff(b"RF64WAVE", Some(u32::MAX), &chunks)), Ok(1_000));
}

#[test]
fn files_in_one_file_are_all_read() {
    let format = wave_format(1);
    let part = |samples: usize| {
        riff(RIFF, None, &[(b"fmt ", None, &format[..]), (b"data", None, &loud(samples)[..])])
    };
    assert_eq!(read_bytes("two.wav", &[part(1_000), part(2_000), part(3_000)].concat()), Ok(6_000));
    let mut damaged = part(2_000);
    damaged[16] = 3;
    let error = read_bytes("damaged.wav", &[part(1_000), damaged].concat()).unwrap_err();
    assert!(matches!(error, AudioError::PartlyRead { .. }), "{error:?}");
}

#[test]
fn an_aiff_whose_lengths_are_wrong_is_read_to_its_end() {
    let rate = [0x40, 0x0c, 0xfa, 0, 0, 0, 0, 0, 0, 0];
    let common = |frames: u32| [&[0, 1][..], &frames.to_be_bytes(), &[0, 16], &rate].concat();
    let audio = [vec![0; 8], [0x40, 0].repeat(5_000)].concat();
    for (whole, claimed, frames) in [
        (None, None, 5_000),
        (Some(0), Some(0), 0),
        (Some(46), Some(8), 0),
        (Some(10_052), None, 5_000),
        (Some(u32::MAX), Some(u32::MAX), u32::MAX),
    ] {
        let common = common(frames);
        let chunks = [(b"COMM", None, &common[..]), (b"SSND", claimed, &audio[..])];
        let read = read_bytes("lengths.aiff", &riff(b"FORMAIFF", whole, &chunks));
        assert_eq!(read, Ok(5_000), "FORM {whole:?}, SSND {claimed:?}");
    }
}

#[test]
fn a_pipe_is_read_to_its_end_whatever_its_header_says() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let format = wave_format(2);
    for (whole, claimed) in [(0, 0), (36, 0), (u32::MAX, u32::MAX), (50, 40_000)] {
        let audio = loud(20_000);
        let chunks = [(b"fmt ", None, &format[..]), (b"data", Some(claimed), &audio[..])];
        let (to, bytes) = (pipe.clone(), riff(RIFF, Some(whole), &chunks));
        let writer = std::thread::spawn(move || std::fs::write(to, bytes));
        let clip = read_audio_file(&pipe).unwrap();
        writer.join().unwrap().unwrap();
        // The last block may be filled up with silence.
        let read = clip.samples().iter().filter(|s| **s == 0.5).count();
        assert_eq!(read, 10_000, "RIFF {whole}, data {claimed}");
        assert!(clip.samples().len() < 10_000 + 1_152, "{}", clip.samples().len());
    }
}

/// A file of `testdata`.
fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)).unwrap()
}

fn seconds_of(name: &str, bytes: &[u8]) -> Result<f64, AudioError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let clip = read_audio_file(&path)?;
    assert!(crate::dsp::mean_square(clip.samples()) > 1e-5, "{name} is not silent");
    Ok(clip.duration().as_secs_f64())
}

#[test]
fn every_link_of_a_chained_file_is_read_in_its_own_format() {
    let (a, b) = (data("a.ogg"), data("b.ogg"));
    for (links, expected) in [
        (vec![&a[..]], 0.6),
        (vec![&a, &b], 1.2),
        (vec![&b, &a, &b, &a], 2.4),
        // One whose number is that of the one before it.
        (vec![&a, &a, &a], 1.8),
        (vec![&a, &data("opus.ogg")[..], &b], 4.2),
    ] {
        let seconds = seconds_of("chained.ogg", &links.concat()).unwrap();
        // Each may be longer by what its encoder filled up.
        let more = seconds - expected;
        assert!((-0.01..0.1 * links.len() as f64).contains(&more), "{} links: {seconds} s", links.len());
    }
    let (a, b) = (data("a.flac"), data("b.flac"));
    let seconds = seconds_of("chained.flac", &[&a[..], &b].concat()).unwrap();
    assert!((seconds - 0.8).abs() < 0.01, "{seconds}");
}

#[test]
fn an_mp3_that_changes_its_channels_is_read_to_its_end() {
    let seconds = seconds_of("changes.mp3", &data("stereo-then-mono.mp3")).unwrap();
    // 20 frames of 1,152 samples at 44.1 kHz.
    assert!((seconds - 0.522).abs() < 0.03, "{seconds}");
}

#[test]
fn opus_is_read() {
    let seconds = seconds_of("voice.ogg", &data("opus.ogg")).unwrap();
    assert!((seconds - 3.0).abs() < 0.02, "{seconds}");
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hole.ogg");
    let whole = data("opus.ogg");
    // The second of three pages of a second each.
    let mut hole = whole.clone();
    hole[3_500..3_600].fill(0x55);
    let end = whole[..7_000].iter().chain(&[0]).chain(&whole[7_001..]).copied().collect();
    for (bytes, seconds, what) in
        [(&hole, 2.0, "1.0 s at 1.0 s are missing"), (&end, 2.0, "what follows 2.0 s is missing")]
    {
        std::fs::write(&path, bytes).unwrap();
        let mut file = AudioFile::open(&path).unwrap();
        let mut samples = 0;
        while let Some(piece) = file.next_piece() {
            samples += piece.len();
        }
        assert!((samples as f64 / 16_000.0 - seconds).abs() < 0.02, "{samples}");
        let told = file.unread().expect("it is told").to_string();
        assert!(told.contains(what) && told.contains("hole.ogg") && told.contains("ffmpeg"), "{told}");
        assert_eq!(read_audio_file(&path).unwrap_err().to_string(), told);
    }
}

#[test]
fn no_bytes_bring_a_decoder_down() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut state = seed | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fuzz");
    for name in ["opus.ogg", "a.ogg", "a.flac", "stereo-then-mono.mp3"] {
        let whole = data(name);
        for _ in 0..30 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(20) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            bytes.truncate(bytes.len() - random(bytes.len() / 4));
            std::fs::write(&path, bytes).unwrap();
            if let Ok(mut file) = AudioFile::open(&path) {
                while let Some(piece) = file.next_piece() {
                    assert!(piece.iter().all(|s| (-1.0..=1.0).contains(s)), "{name}");
                }
            }
        }
    }
}
