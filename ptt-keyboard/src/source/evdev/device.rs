//! One open input device.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ptt_messages::Moment;
use rustix::io::{Errno, read};
use tracing::{debug, warn};

use super::decode::{Decoder, EVENT_BYTES};
use super::ioctl::{self, KeyBits};
use super::pass::Passer;
use super::probe;
use crate::chord::{DeviceId, Signal, Slots, Watched, WatchedChord};
use crate::metrics::RESYNCS_TOTAL;

/// A device with at least one watched key. Closed when dropped.
#[derive(Debug)]
pub struct Device {
    /// Which one.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// The watched keys it has.
    pub has: Slots,
    fd: OwnedFd,
    decoder: Decoder,
    /// Whether its times are on our clock.
    stamps: bool,
    /// Reads instead of us, where the chord is kept from the others.
    passer: Option<Passer>,
}

/// The device is gone. Everything it held is up.
#[derive(Debug)]
pub struct Gone(pub Errno);

/// The most events read at once.
const BATCH: usize = 64;

impl Device {
    /// Prepares an open device: our clock, our keys only. Adds [`Signal::Opened`].
    pub fn new(
        id: DeviceId,
        path: &Path,
        (fd, name, has): (OwnedFd, String, Slots),
        watched: &Watched,
        signals: &mut Vec<Signal>,
    ) -> Result<Self, Errno> {
        let mut keys = KeyBits::NONE;
        for slot in has.iter() {
            keys.add(watched.key(slot));
        }
        // Before the first read, so that no other key is ever in our queue.
        if let Err(reason) = ioctl::see_only(fd.as_fd(), &keys) {
            warn!(device = name, %reason, "the kernel cannot withhold other keys from us; they are thrown away unseen");
        }
        let stamps = ioctl::use_monotonic_clock(fd.as_fd());
        if let Err(reason) = stamps {
            warn!(device = name, %reason, "the kernel's times cannot be used; edges are timed when they are read");
        }
        let down = probe::slots(&ioctl::keys_down(fd.as_fd())?, watched);
        signals.push(Signal::Opened { device: id, down, at: Moment::now() });
        let (path, decoder) = (path.to_owned(), Decoder::new(id));
        Ok(Self { id, name, path, has, fd, decoder, stamps: stamps.is_ok(), passer: None })
    }

    /// Keeps each chord of which it has all keys from everybody else, as soon as no key is down. One that cannot be kept is
    /// logged, and heard all the same.
    pub fn take_from_others(&mut self, watched: &Watched) {
        let (whole, partly): (Vec<&WatchedChord>, Vec<_>) = watched
            .chords()
            .iter()
            .filter(|chord| !chord.slots.and(self.has).is_empty())
            .partition(|chord| chord.slots.without(self.has).is_empty());
        let cannot = |chords: &[&WatchedChord], reason: &str| {
            for chord in chords {
                let (device, chord) = (&self.name, watched.describe(chord));
                warn!(device, chord, "the chord is heard, but cannot be kept from the windows: {reason}");
            }
        };
        cannot(&partly, "the device has not all keys of it");
        if whole.is_empty() {
            return;
        }
        let slots: Vec<Slots> = whole.iter().map(|chord| chord.slots).collect();
        match Passer::start(self.id, &self.path, watched, &slots) {
            Ok(passer) => self.passer = Some(passer),
            Err(reason) => cannot(&whole, &reason),
        }
    }

    /// Readable when there are events or the device is gone.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.passer.as_ref().map_or_else(|| self.fd.as_fd(), Passer::fd)
    }

    /// Reads all there is.
    pub fn read(&mut self, watched: &Watched, signals: &mut Vec<Signal>) -> Result<(), Gone> {
        if let Some(passer) = &self.passer {
            return match passer.read(signals) {
                Ok(()) => Ok(()),
                Err(Errno::NODEV) => Err(Gone(Errno::NODEV)),
                Err(reason) => self.give_back(reason, watched, signals),
            };
        }
        let mut buffer = [0_u8; BATCH * EVENT_BYTES];
        loop {
            match read(&self.fd, &mut buffer[..]) {
                Ok(0) => return Err(Gone(Errno::NODEV)),
                Ok(length) => {
                    let seen = (!self.stamps).then(Moment::now);
                    self.decoder.feed(&buffer[..length], watched, seen, signals);
                    if length < buffer.len() {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Gone(errno)),
            }
        }
        if self.decoder.take_needs_state() {
            debug!(device = self.name, "the kernel's queue ran over: reading the true key state");
            metrics::counter!(RESYNCS_TOTAL).increment(1);
            self.ask(watched, signals)?;
        }
        Ok(())
    }

    /// Reads all there is, then asks which keys are down. In this order, because asking empties the queue; what comes in
    /// the microseconds between is part of the answer. Where the keys are passed on the answer is read later: edges may still
    /// be on their way from there, and it must not come before them.
    pub fn actual(&mut self, watched: &Watched, signals: &mut Vec<Signal>) -> Result<(), Gone> {
        self.read(watched, signals)?;
        match &self.passer {
            Some(passer) => {
                passer.ask();
                Ok(())
            }
            None => self.ask(watched, signals),
        }
    }

    /// Nothing is kept from anybody while the user is away.
    pub fn user_is_away(&self, away: bool) {
        if let Some(passer) = &self.passer {
            passer.user_is_away(away);
        }
    }

    /// Its keys cannot be passed on: everybody reads it again, and so do we.
    fn give_back(&mut self, reason: Errno, watched: &Watched, signals: &mut Vec<Signal>) -> Result<(), Gone> {
        self.passer = None;
        warn!(
            device = self.name,
            %reason,
            "the keys of this device cannot be passed on any more, so it is given back: its chords are heard, but not kept from \
             the windows; to have that tried again, plug it in again or restart"
        );
        // What is in our own queue is from before it was taken; asking empties it.
        self.ask(watched, signals)
    }

    fn ask(&self, watched: &Watched, signals: &mut Vec<Signal>) -> Result<(), Gone> {
        let down = probe::slots(&ioctl::keys_down(self.fd.as_fd()).map_err(Gone)?, watched);
        signals.push(Signal::Actual { device: self.id, down, at: Moment::now() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ear::Hand as _;
    use super::super::super::kernel_tests::FakeKeyboard;
    use super::*;
    use crate::chord::Edge;

    #[test]
    fn a_keyboard_whose_keys_cannot_be_passed_on_is_heard_all_the_same() {
        const NAME: &str = "ptt test given back";
        let Some(mut keyboard) = FakeKeyboard::plug(NAME, &["F22"]) else { return };
        let watched = Watched::chord_only(&"F22".parse().unwrap());
        let (path, mut signals) = (keyboard.path(), Vec::new());
        let opened = (probe::open_device(&path).unwrap(), NAME.to_owned(), watched.in_chords());
        let mut device = Device::new(DeviceId(0), &path, opened, &watched, &mut signals).unwrap();
        device.take_from_others(&watched);
        signals.clear();
        device.passer.as_ref().unwrap().fail(Errno::INVAL);
        device.read(&watched, &mut signals).unwrap();
        assert!(matches!(signals[..], [Signal::Actual { down: Slots::NONE, .. }]), "{signals:?}");
        signals.clear();
        keyboard.tap("F22");
        device.read(&watched, &mut signals).unwrap();
        let edges: Vec<Edge> = signals
            .iter()
            .filter_map(|signal| if let Signal::Key { edge, .. } = signal { Some(*edge) } else { None })
            .collect();
        assert_eq!(edges, [Edge::Down, Edge::Up], "{signals:?}");
    }
}
