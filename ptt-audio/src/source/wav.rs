//! Audio files as the microphone, one per take, in turn.
//!
//! At the pace `real_time` the source is silent until a take starts; then the file's first sample lies at the press (or
//! at the moment the start is heard of, where the press is past), so the take's pre-roll is silence; after the file's
//! last sample, and after the take, it is silent again. At the pace `fast` the whole file belongs to the take as soon as
//! it starts, after a pre-roll of silence, and the take ends where the file does, whenever the key goes up; nothing
//! depends on the clock, so the same file gives the same take. At either pace a thread reads some
//! seconds ahead, so a file of any length takes the memory of a short one.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use ptt_messages::{Moment, SAMPLE_RATE_HZ};

use crate::config::WavPace;
use crate::error::AudioError;
use crate::file::AudioFile;
use crate::ring::hand_over;
use crate::source::paced::Paced;
use crate::source::{CaptureSource, Cue, Format, Opened, Stream};
use crate::vad::samples_in;

/// Samples of a piece, half a second, and pieces that are read ahead.
const PIECE: usize = SAMPLE_RATE_HZ as usize / 2;
const AHEAD: usize = 16;

/// The backend `wav`.
#[derive(Debug)]
pub struct Files {
    playlist: Arc<Mutex<Playlist>>,
    pace: WavPace,
}

impl Files {
    /// Plays `paths` in turn, `repeat` times over (0: for ever). Starts to read the first.
    ///
    /// # Errors
    /// [`AudioError::NoFiles`], or [`AudioError::Unreadable`] for the first file that is not there.
    pub fn new(paths: &[PathBuf], repeat: u64, pace: WavPace) -> Result<Self, AudioError> {
        if paths.is_empty() {
            return Err(AudioError::NoFiles);
        }
        for path in paths {
            std::fs::metadata(path)
                .map_err(|e| AudioError::Unreadable { path: path.clone(), reason: e.to_string() })?;
        }
        let mut playlist = Playlist { paths: paths.to_vec(), repeat, played: 0, upcoming: None };
        playlist.read_ahead();
        Ok(Self { playlist: Arc::new(Mutex::new(playlist)), pace })
    }
}

impl CaptureSource for Files {
    fn open(&self, wake: &Thread) -> Result<Opened, AudioError> {
        let (feed, drain) = hand_over(SAMPLE_RATE_HZ, 1, wake.clone());
        let stage = Arc::new(Mutex::new(None::<Playing>));
        let live = self.pace == WavPace::RealTime;
        let paced = if live {
            let stage = Arc::clone(&stage);
            let fill = move |at: Moment, block: &mut [f32]| {
                block.fill(0.0);
                if let Some(playing) = locked(&stage).as_mut() {
                    playing.fill(at, block);
                }
            };
            Some(Paced::start(feed, fill)?)
        } else {
            None
        };
        let format = Format { device: "audio files".to_owned(), rate_hz: SAMPLE_RATE_HZ, channels: 1, live };
        let stream = Player { playlist: Arc::clone(&self.playlist), stage, _paced: paced };
        Ok(Opened { stream: Box::new(stream), drain, format })
    }
}

struct Player {
    playlist: Arc<Mutex<Playlist>>,
    stage: Arc<Mutex<Option<Playing>>>,
    /// `None` at the pace `fast`.
    _paced: Option<Paced>,
}

impl Stream for Player {
    fn take_begins(&mut self, press: Moment) -> Result<Cue, AudioError> {
        let pieces = locked(&self.playlist).next()?;
        if self._paced.is_none() {
            return Ok(Cue::AtOnce(pieces));
        }
        *locked(&self.stage) = Some(Playing { pieces, press, begun: false });
        Ok(Cue::Live)
    }

    fn take_ends(&mut self) {
        *locked(&self.stage) = None;
    }
}

/// A file's audio, from its first sample to its last.
#[derive(Debug)]
pub struct Pieces {
    /// What is left of the piece that was begun.
    current: Vec<f32>,
    following: Receiver<Result<Vec<f32>, AudioError>>,
}

impl Pieces {
    /// Fills the beginning of `space` with what comes next and was read already; says how much.
    fn fill(&mut self, space: &mut [f32]) -> usize {
        let mut filled = 0;
        while filled < space.len() {
            if self.current.is_empty() {
                match self.following.try_recv() {
                    Ok(Ok(piece)) => self.current = piece,
                    Ok(Err(_)) | Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            let length = self.current.len().min(space.len() - filled);
            space[filled..filled + length].copy_from_slice(&self.current[..length]);
            self.current.drain(..length);
            filled += length;
        }
        filled
    }
}

impl Iterator for Pieces {
    type Item = Vec<f32>;

    fn next(&mut self) -> Option<Vec<f32>> {
        let current = std::mem::take(&mut self.current);
        if current.is_empty() { self.following.recv().ok()?.ok() } else { Some(current) }
    }
}

/// A file on its way through the blocks.
struct Playing {
    pieces: Pieces,
    press: Moment,
    begun: bool,
}

impl Playing {
    /// Puts what falls into the block that begins at `at`.
    fn fill(&mut self, at: Moment, block: &mut [f32]) {
        let from = if self.begun {
            0
        } else {
            usize::try_from(samples_in(self.press.since(at))).unwrap_or(usize::MAX).min(block.len())
        };
        let Some(space) = block.get_mut(from..).filter(|space| !space.is_empty()) else { return };
        self.begun |= self.pieces.fill(space) > 0;
    }
}

/// Reads a file as far as it is taken. Nobody takes more when the other side is gone.
fn read(path: &Path, tell: &SyncSender<Result<Vec<f32>, AudioError>>) {
    let mut file = match AudioFile::open(path) {
        Ok(file) => file,
        Err(error) => return drop(tell.send(Err(error))),
    };
    let mut piece = Vec::with_capacity(PIECE);
    while let Some(samples) = file.next_piece() {
        piece.extend_from_slice(samples);
        if piece.len() >= PIECE && tell.send(Ok(std::mem::take(&mut piece))).is_err() {
            return;
        }
    }
    if let Some(unread) = file.unread() {
        tracing::warn!(%unread, "an audio file is played only in part");
    }
    drop(tell.send(Ok(piece)));
}

/// Reads one file ahead, so that a take need not wait for a decoder.
#[derive(Debug)]
struct Playlist {
    paths: Vec<PathBuf>,
    repeat: u64,
    played: u64,
    upcoming: Option<Receiver<Result<Vec<f32>, AudioError>>>,
}

impl Playlist {
    fn next(&mut self) -> Result<Pieces, AudioError> {
        let following = self.upcoming.take().ok_or(AudioError::PlayedOut)?;
        let first = following.recv().unwrap_or_else(|_| {
            Err(AudioError::Thread { reason: "the decoder of an audio file panicked".to_owned() })
        });
        self.played += 1;
        self.read_ahead();
        Ok(Pieces { current: first?, following })
    }

    fn read_ahead(&mut self) {
        let count = self.paths.len() as u64;
        if self.repeat > 0 && self.played >= self.repeat * count {
            return;
        }
        let path = self.paths[usize::try_from(self.played % count).unwrap_or(0)].clone();
        let (tell, upcoming) = sync_channel(AHEAD);
        self.upcoming = thread::Builder::new()
            .name("ptt-audio-read".to_owned())
            .spawn(move || read(&path, &tell))
            .inspect_err(|error| tracing::error!(%error, "cannot start a thread to read the next audio file"))
            .ok()
            .map(|_| upcoming);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_lies_at_the_press() {
        let pieces = || {
            let (tell, following) = sync_channel(AHEAD);
            [70, 0, 100].into_iter().for_each(|length| tell.send(Ok(vec![1.0; length])).unwrap());
            Pieces { current: vec![1.0; 30], following }
        };
        let at = Moment::from_millis(1_000);
        for (press_ms, silent) in [(1_004, 64), (1_000, 0), (900, 0)] {
            let press = Moment::from_millis(press_ms);
            let mut playing = Playing { pieces: pieces(), press, begun: false };
            let mut heard = Vec::new();
            for block in 0..4 {
                let mut samples = [0.0; 160];
                playing.fill(Moment::from_millis(1_000 + block * 10), &mut samples);
                heard.extend(samples);
            }
            assert_eq!(heard.iter().position(|s| *s == 1.0), Some(silent), "{press_ms}");
            assert_eq!(heard.iter().filter(|s| **s == 1.0).count(), 200, "{press_ms}");
        }
        // A press in a later block.
        let press = at + std::time::Duration::from_millis(15);
        let mut playing = Playing { pieces: pieces(), press, begun: false };
        let mut samples = [0.0; 160];
        playing.fill(at, &mut samples);
        assert!(samples.iter().all(|s| *s == 0.0));
    }

    #[test]
    fn files_are_played_in_turn_and_as_often_as_asked() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = [(1, 100), (2, 200)]
            .map(|(n, length)| {
                let path = dir.path().join(format!("{n}.wav"));
                crate::file::tests::write_wav(&path, 16_000, 1, &vec![0.5; length]);
                path
            })
            .into();
        let files = Files::new(&paths, 2, WavPace::Fast).unwrap();
        let mut opened = files.open(&thread::current()).unwrap();
        let mut lengths = Vec::new();
        let ended = loop {
            match opened.stream.take_begins(Moment::now()) {
                Ok(Cue::AtOnce(pieces)) => lengths.push(pieces.map(|piece| piece.len()).sum::<usize>()),
                Ok(Cue::Live) => panic!("it is played fast"),
                Err(error) => break error,
            }
        };
        assert_eq!(lengths, [100, 200, 100, 200]);
        assert_eq!(ended, AudioError::PlayedOut);
    }

    #[test]
    fn a_missing_file_is_named_at_once() {
        let missing = Files::new(&["/nowhere/a.wav".into()], 0, WavPace::Fast).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/a.wav"), "{missing}");
        assert_eq!(Files::new(&[], 0, WavPace::Fast).unwrap_err(), AudioError::NoFiles);
    }
}
