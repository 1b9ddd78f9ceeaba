//! What of an MP3 its reader will pass over without a word: whatever is between two frames and is no tag.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::loss::Loss;

/// Bytes that are searched at once for the next frame.
const WINDOW: usize = 64 << 10;

/// What of this file will not be read.
///
/// # Errors
/// When it cannot be read.
pub fn losses(file: &File) -> io::Result<Vec<Loss>> {
    let length = file.metadata()?.len();
    let (mut at, mut seconds, mut bytes) = (0, 0.0, 0);
    let mut losses = Vec::new();
    while let Some(head) = head(file, at)? {
        if let Some(tag) = tag_length(&head, length - at) {
            at += tag;
            continue;
        }
        if let Some(frame) = Frame::parse(&head) {
            at += frame.bytes;
            bytes += frame.bytes;
            seconds += frame.seconds;
            continue;
        }
        let next = next_frame(file, at, length)?;
        let end = next.unwrap_or(length);
        // Zeros at the end are no audio, and before the first frame there is none that could be known.
        if bytes > 0 && (next.is_some() || !is_zero(file, at, length)?) {
            let lost = (end - at) as f64 * seconds / bytes as f64;
            let reason = "the file is damaged there".to_owned();
            losses.push(Loss { at_s: seconds, seconds: Some(lost), reason });
        }
        at = end;
    }
    Ok(losses)
}

/// The ten bytes at `at`; `None` where there are not so many.
fn head(file: &File, at: u64) -> io::Result<Option<[u8; 10]>> {
    let mut head = [0; 10];
    match file.read_exact_at(&mut head, at) {
        Ok(()) => Ok(Some(head)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The length of the tag that begins so, `left` bytes before the end.
fn tag_length(head: &[u8; 10], left: u64) -> Option<u64> {
    match head {
        [b'I', b'D', b'3', _, _, flags, size @ ..] => {
            let size = size.iter().fold(0, |size, seven| size << 7 | u64::from(seven & 0x7f));
            Some(10 + size + if flags & 0x10 == 0 { 0 } else { 10 })
        }
        // These are at the end.
        [b'T', b'A', b'G', ..] if left == 128 => Some(left),
        [b'A', b'P', b'E', b'T', b'A', b'G', b'E', b'X', ..] | b"LYRICSBEGI" => Some(left),
        _ => None,
    }
}

struct Frame {
    bytes: u64,
    seconds: f64,
}

impl Frame {
    /// A frame of layer 3 that begins with these bytes.
    fn parse(head: &[u8]) -> Option<Self> {
        const RATES_V1: [u64; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
        const RATES_V2: [u64; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        let &[0xff, version, rates, ..] = head else { return None };
        if version & 0xe6 != 0xe2 {
            return None;
        }
        let first = version & 0x18 == 0x18;
        let divisor = match version & 0x18 {
            0x18 => 1,
            0x10 => 2,
            0 => 4,
            _ => return None,
        };
        let rate_hz = [44_100, 48_000, 32_000].get(usize::from(rates >> 2 & 3))? / divisor;
        let kbps = *if first { RATES_V1 } else { RATES_V2 }.get(usize::from(rates >> 4))?;
        let samples = if first { 1_152 } else { 576 };
        let bytes = samples / 8 * kbps * 1_000 / rate_hz + u64::from(rates >> 1 & 1);
        (kbps > 0).then_some(Self { bytes, seconds: samples as f64 / rate_hz as f64 })
    }
}

/// Where the next frame begins that is followed by another one, or by a tag or the end.
fn next_frame(file: &File, from: u64, length: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; WINDOW];
    let mut at = from + 1;
    while at + 4 <= length {
        let left = usize::try_from(length - at).unwrap_or(usize::MAX).min(WINDOW);
        file.read_exact_at(&mut window[..left], at)?;
        for (offset, bytes) in window[..left].windows(4).enumerate() {
            let begin = at + offset as u64;
            if bytes.starts_with(b"ID3") {
                return Ok(Some(begin));
            }
            let Some(frame) = Frame::parse(bytes) else { continue };
            let following = begin + frame.bytes;
            let sound = match head(file, following)? {
                None => following <= length,
                Some(head) => {
                    Frame::parse(&head).is_some() || tag_length(&head, length - following).is_some()
                }
            };
            if sound {
                return Ok(Some(begin));
            }
        }
        at += (left - 3) as u64;
    }
    Ok(None)
}

fn is_zero(file: &File, at: u64, length: u64) -> io::Result<bool> {
    let mut bytes = vec![0; usize::try_from(length - at).unwrap_or(usize::MAX).min(WINDOW)];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses_of(bytes: &[u8]) -> Vec<Loss> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        losses(&File::open(path).unwrap()).unwrap()
    }

    fn data() -> Vec<u8> {
        std::fs::read(format!("{}/testdata/stereo-then-mono.mp3", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn tags_and_padding_are_no_loss() {
        let sound = data();
        let id3 = [&b"ID3\x03\0\0\0\0\x02\x01"[..], &[0xff; 257]].concat();
        let old_tag = [&b"TAG"[..], &[b' '; 125]].concat();
        for (what, bytes) in [
            ("as it is", sound.clone()),
            ("two, each with a picture", [&id3[..], &sound, &id3, &sound, &old_tag].concat()),
            ("APE", [&sound[..], b"APETAGEX", &[7; 900]].concat()),
            ("zeros", [&sound[..], &[0; 5_000]].concat()),
            ("cut in a frame", sound[..5_000].to_vec()),
        ] {
            let lost: f64 = losses_of(&bytes).iter().filter_map(|loss| loss.seconds).sum();
            assert!(lost < 0.03, "{what}: {lost}");
        }
    }

    #[test]
    fn a_hole_is_found() {
        // Ten frames of 417 or 418 bytes, 26 ms each, then ten of half that.
        let mut hole = data();
        hole[500..2_900].fill(0);
        let losses = losses_of(&hole);
        let [Loss { at_s, seconds: Some(seconds), .. }] = losses[..] else { panic!("{losses:?}") };
        assert!((0.02..0.06).contains(&at_s) && (0.1..0.2).contains(&seconds), "{losses:?}");
    }
}
