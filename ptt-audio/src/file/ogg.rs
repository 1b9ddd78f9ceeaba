//! What of an Ogg file its reader will pass over without a word: pages that are damaged or not
//! there, and audio of codecs that it does not know. Pages have numbers and checksums, so this can
//! be known beforehand.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::loss::Loss;

/// The longest page: 27 bytes, 255 lengths, 255 times 255 bytes.
const LONGEST_PAGE: usize = 65_307;

/// Where a granule position is none.
const NO_GRANULE: u64 = u64::MAX;

/// So many pages are not missing; the numbers mean something else there.
const MOST_MISSING: u32 = 10_000;

/// What of this file will not be read; nothing where it is no Ogg file.
///
/// # Errors
/// When it cannot be read.
pub fn losses(file: &File) -> io::Result<Vec<Loss>> {
    let mut scan = Scan::default();
    let mut window = vec![0; 2 * LONGEST_PAGE];
    let mut at = 0;
    loop {
        let filled = read(file, &mut window, at)?;
        let mut rest = &window[..filled];
        if at == 0 && !rest.starts_with(b"OggS") {
            return Ok(Vec::new());
        }
        let mut used = 0;
        while let Some(begin) = rest.windows(4).position(|four| four == b"OggS") {
            rest = &rest[begin..];
            used += begin;
            // The rest of the page is read with the next window, unless there is no more of the
            // file.
            if rest.len() < LONGEST_PAGE && filled == window.len() {
                break;
            }
            let length = Page::parse(rest).map_or(4, |page| {
                let length = page.whole.len();
                scan.page(&page);
                length
            });
            used += length;
            rest = &rest[length..];
        }
        if filled < window.len() {
            scan.end_of_links();
            return Ok(scan.losses);
        }
        // Three bytes may be the beginning of the next page.
        at += used.max(filled - LONGEST_PAGE - 3) as u64;
    }
}

fn read(file: &File, window: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < window.len() {
        match file.read_at(&mut window[filled..], at + filled as u64)? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    Ok(filled)
}

struct Page<'a> {
    whole: &'a [u8],
    body: &'a [u8],
    first: bool,
    granule: u64,
    serial: u32,
    number: u32,
    sound: bool,
}

impl<'a> Page<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let lengths = usize::from(*bytes.get(26)?);
        let body_at = 27 + lengths;
        let body: usize = bytes.get(27..body_at)?.iter().map(|length| usize::from(*length)).sum();
        let whole = bytes.get(..body_at + body)?;
        let long = |at: usize| u32::from_le_bytes(std::array::from_fn(|n| whole[at + n]));
        Some(Self {
            whole,
            body: &whole[body_at..],
            first: whole[5] & 2 != 0,
            granule: u64::from(long(6)) | u64::from(long(10)) << 32,
            serial: long(14),
            number: long(18),
            sound: checksum(whole) == long(22),
        })
    }
}

/// CRC-32 with the polynomial 0x04c11db7, of the page with zeros in place of the checksum.
fn checksum(page: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut rest = (n as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                rest = if rest >> 31 == 1 { rest << 1 ^ 0x04c1_1db7 } else { rest << 1 };
                bit += 1;
            }
            table[n] = rest;
            n += 1;
        }
        table
    };
    page.iter().enumerate().fold(0, |sum, (at, byte)| {
        let byte = if (22..26).contains(&at) { 0 } else { *byte };
        sum << 8 ^ TABLE[(sum >> 24) as usize ^ usize::from(byte)]
    })
}

#[derive(Default)]
struct Scan {
    /// Of the present links.
    streams: BTreeMap<u32, Stream>,
    /// The last page was the first one of a stream.
    beginning: bool,
    /// Seconds of the links before.
    done_s: f64,
    losses: Vec<Loss>,
}

struct Stream {
    rate_hz: f64,
    number: u32,
    granule: u64,
    damaged: u32,
}

impl Stream {
    fn seconds(&self) -> f64 {
        self.granule as f64 / self.rate_hz
    }
}

impl Scan {
    fn page(&mut self, page: &Page<'_>) {
        if page.first && page.sound {
            return self.first_page(page);
        }
        self.beginning = false;
        let Some(stream) = self.streams.get_mut(&page.serial) else { return };
        if !page.sound {
            stream.damaged += 1;
            return;
        }
        let missing = page.number.wrapping_sub(stream.number).wrapping_sub(1);
        if page.granule != NO_GRANULE {
            if (1..MOST_MISSING).contains(&missing) {
                let all = page.granule.saturating_sub(stream.granule) as f64 / stream.rate_hz;
                let seconds = all * f64::from(missing) / f64::from(missing + 1);
                let reason = "the file is damaged there".to_owned();
                let at_s = self.done_s + stream.seconds();
                self.losses.push(Loss { at_s, seconds: Some(seconds), reason });
            }
            stream.granule = page.granule;
        }
        stream.number = page.number;
        stream.damaged = 0;
    }

    fn first_page(&mut self, page: &Page<'_>) {
        if !self.beginning {
            self.end_of_links();
        }
        self.beginning = true;
        let rate_hz = match page.body {
            [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', ..] => 48_000,
            &[1, b'v', b'o', b'r', b'b', b'i', b's', _, _, _, _, _, a, b, c, d, ..] => {
                u32::from_le_bytes([a, b, c, d])
            }
            // The stream information of a FLAC file, behind a header of 13 bytes and one of 4.
            [0x7f, b'F', b'L', b'A', b'C', rest @ ..] if rest.len() >= 25 => {
                u32::from_be_bytes([0, rest[22], rest[23], rest[24]]) >> 4
            }
            other => return self.stranger(other),
        };
        let stream =
            Stream { rate_hz: f64::from(rate_hz.max(1)), number: page.number, granule: 0, damaged: 0 };
        self.streams.insert(page.serial, stream);
    }

    fn stranger(&mut self, body: &[u8]) {
        // Video, text and tables of contents are not listened to.
        let audio: [(&[u8], &str); 3] =
            [(b"Speex   ", "Speex"), (b"CELT    ", "CELT"), (b"PCM     ", "PCM in Ogg")];
        if let Some((_, name)) = audio.into_iter().find(|(magic, _)| body.starts_with(magic)) {
            self.losses.push(Loss {
                at_s: self.done_s,
                seconds: None,
                reason: format!("its codec is {name}"),
            });
        }
    }

    fn end_of_links(&mut self) {
        let streams = std::mem::take(&mut self.streams);
        for stream in streams.values().filter(|stream| stream.damaged > 0) {
            let reason = "the file is damaged there".to_owned();
            self.losses.push(Loss { at_s: self.done_s + stream.seconds(), seconds: None, reason });
        }
        self.done_s += streams.values().map(Stream::seconds).fold(0.0, f64::max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn losses_of(bytes: &[u8]) -> Vec<Loss> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        losses(&File::open(path).unwrap()).unwrap()
    }

    /// A page of this stream that begins one.
    fn first_page(body: &[u8]) -> Vec<u8> {
        let mut page =
            [&b"OggS\0\x02"[..], &[0; 8], &[9, 9, 9, 9], &[0; 8], &[1, body.len() as u8], body].concat();
        let sum = checksum(&page).to_le_bytes();
        page[22..26].copy_from_slice(&sum);
        page
    }

    #[test]
    fn sound_files_lose_nothing() {
        let (a, b, opus) = (data("a.ogg"), data("b.ogg"), data("opus.ogg"));
        let long = opus.repeat(30);
        for file in
            [&a, &b, &opus, &[&a[..], &b, &a].concat(), &long, &long[..200_000].to_vec(), &data("a.flac")]
        {
            assert_eq!(losses_of(file), []);
        }
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        // Pages of a second each begin at 137, 2957 and 6063.
        let whole = data("opus.ogg");
        let zeroed = |range: std::ops::Range<usize>| {
            let mut bytes = whole.clone();
            bytes[range].fill(0);
            bytes
        };
        for (what, bytes, at_s, seconds) in [
            ("a body", zeroed(4_000..4_100), 1.0, Some(1.0)),
            ("a header", zeroed(2_957..2_970), 1.0, Some(1.0)),
            ("a whole page", [&whole[..2_957], &whole[6_063..]].concat(), 1.0, Some(1.0)),
            ("the first", zeroed(500..600), 0.0, Some(1.0)),
            ("the last", zeroed(7_000..7_001), 2.0, None),
            ("the second link", [whole.clone(), zeroed(4_000..4_100)].concat(), 4.0, Some(1.0)),
        ] {
            let losses = losses_of(&bytes);
            let [Loss { at_s: at, seconds: lost, .. }] = &losses[..] else { panic!("{what}: {losses:?}") };
            assert!((at - at_s).abs() < 0.02, "{what}: {losses:?}");
            assert_eq!(lost.map(f64::round), seconds, "{what}: {losses:?}");
        }
    }

    #[test]
    fn a_codec_that_nobody_here_knows_is_named() {
        let file = [data("a.ogg"), first_page(b"Speex   1.2"), first_page(b"\x80theora")].concat();
        let losses = losses_of(&file);
        assert_eq!(losses.len(), 1, "{losses:?}");
        assert!(losses[0].reason.contains("Speex") && losses[0].seconds.is_none(), "{losses:?}");
    }
}
