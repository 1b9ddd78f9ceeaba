//! Headers that tell less than there is: a recorder that was killed, or wrote to a pipe, leaves a
//! WAV or AIFF whose lengths are zero, the largest number, or a little wrong. Here such lengths are
//! replaced by those of the file, so that what reads it reads all of it. Files of other formats
//! pass unchanged.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use symphonia::core::io::MediaSource;

/// Chunks before the audio: a few, and tags with a picture. What has more is no audio file.
const MOST_CHUNKS: usize = 1_000;

/// Bytes before the audio that are kept of a pipe.
const LONGEST_PIPE_HEADER: usize = 4 << 20;

/// Frames that the reader asks for at once; a pipe's last ones are filled up to that with silence.
const FRAMES_AT_ONCE: usize = 1_152;

/// A length that means "until the end".
const UNKNOWN: u32 = u32::MAX;

/// What is between a file and the one who reads it.
pub struct Repaired {
    /// The file with the lengths that it has.
    pub source: Box<dyn MediaSource>,
    /// Where another file begins that was appended to this one.
    pub next: Option<u64>,
}

/// The audio file that begins at `base` of a regular file.
///
/// # Errors
/// When the file cannot be read.
pub fn regular(file: &Arc<File>, base: u64) -> io::Result<Repaired> {
    let length = file.metadata()?.len();
    let mut source = Patched { file: Arc::clone(file), base, end: length, at: base, patches: Vec::new() };
    let mut head = [0; 12];
    let mut next = None;
    if source.read_exact(&mut head).is_ok()
        && let Some(layout) = Layout::of(&head)
        && let Some(found) = layout.find_audio(file, base, length)?
    {
        next = found.next;
        layout.patch(&mut source, &found);
    } else if head.starts_with(b"fLaC") {
        next = find(file, FLAC, base + 1, length)?;
        source.end = next.unwrap_or(length);
    }
    source.at = base;
    Ok(Repaired { source: Box::new(source), next })
}

/// The audio that comes from a pipe or a device, which can be read only once.
///
/// # Errors
/// When it cannot be read.
pub fn pipe(mut file: File) -> io::Result<Repaired> {
    let mut head = Vec::new();
    (&mut file).take(12).read_to_end(&mut head)?;
    let mut frame = 0;
    let wave =
        head.get(..12).and_then(|head| head.try_into().ok()).and_then(Layout::of) == Some(Layout::Wave);
    while wave && head.len() < LONGEST_PIPE_HEADER {
        let begin = head.len();
        (&mut file).take(8).read_to_end(&mut head)?;
        let Some(&[a, b, c, d, e, f, g, h]) = head.get(begin..begin + 8) else { break };
        let size = u32::from_le_bytes([e, f, g, h]);
        if [a, b, c, d] == *b"data" {
            head[..4].copy_from_slice(b"RIFF");
            head[4..8].copy_from_slice(&UNKNOWN.to_le_bytes());
            if size == 0 {
                head[begin + 4..].copy_from_slice(&UNKNOWN.to_le_bytes());
            }
            break;
        }
        if size as usize > LONGEST_PIPE_HEADER {
            break;
        }
        (&mut file).take(u64::from(size) + u64::from(size % 2)).read_to_end(&mut head)?;
        if [a, b, c, d] == *b"fmt "
            && let Some(&[low, high]) = head.get(begin + 20..begin + 22)
        {
            frame = usize::from(u16::from_le_bytes([low, high]));
        }
    }
    let header = head.len();
    let source = Pipe { head: Cursor::new(head), rest: file, frame, audio: 0, ended: false };
    let source = Pipe { audio: 0usize.wrapping_sub(header), ..source };
    Ok(Repaired { source: Box::new(source), next: None })
}

/// How a FLAC file begins: its name, and the header of the stream information, which is 34 bytes
/// long and may be the last.
const FLAC: [&[u8]; 2] = [b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"];

/// Where one of these patterns of the same length is next, from `at` on.
fn find(file: &File, patterns: [&[u8]; 2], mut at: u64, length: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; 1 << 20];
    let overlap = patterns[0].len() - 1;
    while at + (overlap as u64) < length {
        let left = usize::try_from(length - at).unwrap_or(usize::MAX);
        let window = &mut window[..left.min(1 << 20)];
        file.read_exact_at(window, at)?;
        let found = window.windows(overlap + 1).position(|bytes| patterns.contains(&bytes));
        if let Some(found) = found {
            return Ok(Some(at + found as u64));
        }
        at += (window.len() - overlap) as u64;
    }
    Ok(None)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// RIFF, or its forms for more than 4 GiB.
    Wave,
    Aiff,
}

/// The audio in a file of chunks.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Where the chunk's length stands.
    length_at: u64,
    /// What the chunk holds.
    audio: std::ops::Range<u64>,
    /// The file is as its header says.
    sound: bool,
    next: Option<u64>,
}

impl Layout {
    fn of(head: &[u8; 12]) -> Option<Self> {
        match (&head[..4], &head[8..]) {
            (b"RIFF" | b"RF64" | b"BW64", b"WAVE") => Some(Self::Wave),
            (b"FORM", b"AIFF" | b"AIFC") => Some(Self::Aiff),
            _ => None,
        }
    }

    const fn length(self, bytes: [u8; 4]) -> u64 {
        match self {
            Self::Wave => u32::from_le_bytes(bytes) as u64,
            Self::Aiff => u32::from_be_bytes(bytes) as u64,
        }
    }

    const fn audio_chunk(self) -> [u8; 4] {
        match self {
            Self::Wave => *b"data",
            Self::Aiff => *b"SSND",
        }
    }

    /// `None` where there is no chunk of audio.
    fn find_audio(self, file: &File, base: u64, length: u64) -> io::Result<Option<Found>> {
        let mut at = base + 12;
        for _ in 0..MOST_CHUNKS {
            let Some((id, size)) = self.chunk(file, at, length)? else { return Ok(None) };
            let body = at + 8;
            if id != self.audio_chunk() {
                at = (body + size).next_multiple_of(2);
                continue;
            }
            let claimed = body + size;
            // A header that was written before the audio says nothing, or what was there when it
            // was last looked after: then the bytes behind it are no chunks.
            let tail = if size == 0 || claimed > length { None } else { self.tail(file, claimed, length)? };
            let (end, next) = match tail {
                Some(next) => (claimed, next),
                None => (length, None),
            };
            let whole = self.chunk_length(file, base)?;
            let sound = tail.is_some() && base + 8 + whole <= length && base + 8 + whole >= claimed;
            return Ok(Some(Found { length_at: at + 4, audio: body..end, sound, next }));
        }
        Ok(None)
    }

    /// Whether chunks follow from `at` to the end, or nothing that could be audio: `Some`, with the
    /// place of a whole file among them.
    fn tail(self, file: &File, at: u64, length: u64) -> io::Result<Option<Option<u64>>> {
        for begin in [at.next_multiple_of(2), at] {
            if let Some(next) = self.chunks_to_the_end(file, begin, length)? {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    fn chunks_to_the_end(self, file: &File, mut at: u64, length: u64) -> io::Result<Option<Option<u64>>> {
        for _ in 0..MOST_CHUNKS {
            let Some((id, size)) = self.chunk(file, at, length)? else { return Ok(Some(None)) };
            if matches!(&id, b"RIFF" | b"RF64" | b"BW64" | b"FORM") {
                return Ok(Some(Some(at)));
            }
            let tag = id.starts_with(b"TAG") && length - at == 128;
            if tag || self.is_zero(file, at, length)? {
                return Ok(Some(None));
            }
            let named = id.iter().all(|byte| (b' '..=b'~').contains(byte));
            if !named || at + 8 + size > length {
                return Ok(None);
            }
            at = (at + 8 + size).next_multiple_of(2);
        }
        Ok(None)
    }

    fn is_zero(self, file: &File, at: u64, length: u64) -> io::Result<bool> {
        let mut bytes = vec![0; usize::try_from(length - at).unwrap_or(usize::MAX).min(64 << 10)];
        file.read_exact_at(&mut bytes, at)?;
        Ok(bytes.iter().all(|byte| *byte == 0))
    }

    /// Name and length of the chunk at `at`; `None` where there is no room for one.
    fn chunk(self, file: &File, at: u64, length: u64) -> io::Result<Option<([u8; 4], u64)>> {
        if at + 8 > length {
            return Ok(None);
        }
        let mut id = [0; 4];
        file.read_exact_at(&mut id, at)?;
        Ok(Some((id, self.chunk_length(file, at)?)))
    }

    fn chunk_length(self, file: &File, at: u64) -> io::Result<u64> {
        let mut length = [0; 4];
        file.read_exact_at(&mut length, at + 4)?;
        Ok(self.length(length))
    }

    fn patch(self, source: &mut Patched, found: &Found) {
        let size = found.audio.end - found.audio.start;
        match self {
            Self::Wave => {
                // What follows the audio is not asked for.
                source.end = found.audio.end;
                let size = u32::try_from(size).unwrap_or(UNKNOWN);
                source.put(source.base, *b"RIFF");
                source.put(source.base + 4, UNKNOWN.to_le_bytes());
                source.put(found.length_at, size.to_le_bytes());
            }
            Self::Aiff if found.sound => {}
            Self::Aiff => {
                source.end = found.audio.end;
                let whole = found.audio.end - source.base - 8;
                source.put(source.base + 4, u32::try_from(whole).unwrap_or(UNKNOWN).to_be_bytes());
                source.put(found.length_at, u32::try_from(size).unwrap_or(UNKNOWN).to_be_bytes());
            }
        }
    }
}

/// A part of a file, with other lengths in its header.
struct Patched {
    file: Arc<File>,
    base: u64,
    end: u64,
    at: u64,
    /// Places in the file, and what stands there instead.
    patches: Vec<(u64, [u8; 4])>,
}

impl Patched {
    fn put(&mut self, at: u64, bytes: [u8; 4]) {
        self.patches.push((at, bytes));
    }
}

impl Read for Patched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..room], self.at)?;
        for (place, bytes) in &self.patches {
            for (at, byte) in (*place..).zip(bytes) {
                let target = at.checked_sub(self.at).and_then(|n| usize::try_from(n).ok());
                if let Some(target) = target.filter(|n| *n < read) {
                    buffer[target] = *byte;
                }
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Patched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(n) => self.base.checked_add(n),
            SeekFrom::End(n) => self.end.checked_add_signed(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        let place = place.filter(|place| *place >= self.base);
        self.at = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at - self.base)
    }
}

impl MediaSource for Patched {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.end - self.base)
    }
}

/// A pipe whose beginning was read already.
struct Pipe {
    head: Cursor<Vec<u8>>,
    rest: File,
    /// Bytes of a frame, or zero where nothing is to be filled up.
    frame: usize,
    /// Bytes of audio so far.
    audio: usize,
    ended: bool,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = self.head.read(buffer)?;
        if read == 0 && !self.ended && !buffer.is_empty() {
            read = self.rest.read(buffer)?;
            if read == 0 {
                self.ended = true;
                let block = self.frame * FRAMES_AT_ONCE;
                let missing = if block == 0 { 0 } else { self.audio.next_multiple_of(block) - self.audio };
                self.head = Cursor::new(vec![0; missing]);
                return self.head.read(buffer);
            }
        }
        self.audio = self.audio.wrapping_add(read);
        Ok(read)
    }
}

impl Seek for Pipe {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl MediaSource for Pipe {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}
