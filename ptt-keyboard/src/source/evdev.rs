//! The kernel's input devices, read directly: no display server, tens of microseconds, and the kernel's own times.
//!
//! * One `poll` over all devices with a watched key, inotify and the stop: no wake-up while nothing happens.
//! * `EVIOCSMASK`: the kernel queues the watched keys for us and no others. That they are not logged is not a promise; they
//!   are not there.
//! * `EVIOCSCLOCKID`: events carry `CLOCK_MONOTONIC`, the clock of [`Moment`].
//! * `EVIOCGKEY` at opening, after a hole (`SYN_DROPPED`) and, while the chord is held, every 100 ms by the listener: "held" is
//!   a level, not two edges.
//! * With `swallow` a keyboard is taken from everybody else and passed on but for the chord ([`pass`]).
//! * A device that cannot be read any more takes its keys with it: a reader that was busy meanwhile gets no release.
//!
//! Otherwise events are decoded here rather than by the crate `evdev`, which has no masks and no choice of clock, keeps the state of
//! every key of the keyboard, and after a hole says so through the same events as edges. The format is 24 bytes.

mod claim;
mod decode;
mod device;
mod hotplug;
mod ioctl;
mod pass;
pub mod probe;
mod sieve;
mod twin;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use ptt_messages::Moment;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use tracing::{debug, info, warn};

use self::device::{Device, Gone};
use self::hotplug::{Change, Hotplug};
use self::probe::PASSED_ON;
use super::{Backend, KeySource};
use crate::chord::{DeviceId, Signal, Slots, Watched};
use crate::metrics::DEVICES;
use crate::wake::{Stop, poll_until};
use crate::{KeyboardConfig, KeyboardError};

/// All input devices with a watched key.
#[derive(Debug)]
pub struct EvdevSource {
    config: KeyboardConfig,
    watched: Watched,
    stop: Stop,
    directory: PathBuf,
    hotplug: Hotplug,
    devices: Vec<Device>,
    opened: u32,
    /// Files of which it was said that they may not be read.
    denied: Vec<PathBuf>,
    /// The watched keys of devices that might not be read when it was opened.
    shut: Slots,
    away: bool,
    /// What opening found, for the first wait.
    first: Vec<Signal>,
}

/// A device that may not be read.
struct Refused {
    path: PathBuf,
    name: String,
    /// The watched keys it has, or may have.
    has: Slots,
}

/// What became of a device file.
enum Looked {
    /// It is open, or was.
    Open,
    /// It has no watched key, is not wanted, or is gone again.
    NotOurs,
    /// It has a watched key, or may have, and may not be read.
    Denied(Refused),
}

impl EvdevSource {
    /// Opens every device with a watched key.
    ///
    /// # Errors
    /// There are such devices and none of them may be read, or this is a place where none can ever be. No such device at all
    /// is no error: one may be plugged in.
    pub fn open(config: &KeyboardConfig, watched: &Watched, stop: &Stop) -> Result<Self, KeyboardError> {
        let directory = Path::new(probe::INPUT_DEVICES).to_owned();
        let hotplug = Hotplug::watch(&directory)?;
        let mut source = Self {
            config: config.clone(),
            watched: watched.clone(),
            stop: stop.clone(),
            directory,
            hotplug,
            devices: Vec::new(),
            opened: 0,
            denied: Vec::new(),
            shut: Slots::NONE,
            away: false,
            first: Vec::new(),
        };
        let mut first = Vec::new();
        let denied = source.look_at_all(&mut first);
        source.first = first;
        if source.devices.is_empty() && !denied.is_empty() {
            return Err(source.refused(denied));
        }
        source.shut = denied.iter().fold(Slots::NONE, |all, device| all.or(device.has));
        source.say_denied(denied);
        source.say_what_is_missing();
        Ok(source)
    }

    fn look_at_all(&mut self, signals: &mut Vec<Signal>) -> Vec<Refused> {
        let mut denied = Vec::new();
        for path in probe::device_files(&self.directory) {
            if let Looked::Denied(device) = self.look_at(&path, signals) {
                denied.push(device);
            }
        }
        denied
    }

    /// Says what to do about devices that may not be read, once for each file.
    fn say_denied(&mut self, mut denied: Vec<Refused>) {
        denied.retain(|device| !self.denied.contains(&device.path));
        if !denied.is_empty() {
            self.denied.extend(denied.iter().map(|device| device.path.clone()));
            warn!("{}", self.refused(denied));
        }
    }

    fn refused(&self, denied: Vec<Refused>) -> KeyboardError {
        let of = denied.len() + self.devices.len();
        KeyboardError::Denied { names: denied.into_iter().map(|device| device.name).collect(), of }
    }

    fn look_at(&mut self, path: &Path, signals: &mut Vec<Signal>) -> Looked {
        if self.devices.iter().any(|device| device.path == path) {
            return Looked::Open;
        }
        // sysfs first: a device without any key of ours is left alone.
        let before = probe::probe(path, None, &self.watched);
        let has = before.has.unwrap_or_else(|| self.watched.iter().map(|(slot, _)| slot).collect());
        if has.is_empty() || before.name.starts_with(PASSED_ON) {
            return Looked::NotOurs;
        }
        let fd = match probe::open_device(path) {
            Ok(fd) => fd,
            Err(Errno::ACCESS | Errno::PERM) if self.config.wants_device(&before.name) => {
                return Looked::Denied(Refused { path: path.to_owned(), name: before.name, has });
            }
            Err(reason) => {
                debug!(path = %path.display(), %reason, "input device not opened");
                return Looked::NotOurs;
            }
        };
        let found = probe::probe(path, Some(&fd), &self.watched);
        let has = found.has.unwrap_or_default();
        // Its own name once more: without sysfs nothing was known before, and a device of ours must never be passed on.
        if has.is_empty() || found.name.starts_with(PASSED_ON) || !self.config.wants_device(&found.name) {
            return Looked::NotOurs;
        }
        let id = DeviceId(self.opened);
        match Device::new(id, path, (fd, found.name, has), &self.watched, signals) {
            Ok(mut device) => {
                if self.config.swallow {
                    device.take_from_others(&self.watched);
                    device.user_is_away(self.away);
                }
                info!(device = device.name, path = %path.display(), "listening to");
                self.opened += 1;
                self.devices.push(device);
                metrics::gauge!(DEVICES).set(self.devices.len() as f64);
                Looked::Open
            }
            Err(reason) => {
                debug!(path = %path.display(), %reason, "input device gone again");
                Looked::NotOurs
            }
        }
    }

    /// The watched keys of the open devices.
    fn there(&self) -> Slots {
        self.devices.iter().fold(Slots::NONE, |all, device| all.or(device.has))
    }

    fn say_what_is_missing(&self) {
        let missing = self.watched.in_chords().without(self.there());
        if self.devices.is_empty() {
            warn!("{}; listening for one, and the control socket works meanwhile", KeyboardError::NoKeyboard);
        } else if !missing.is_empty() {
            let names: Vec<String> = missing.iter().map(|slot| self.watched.key(slot).to_string()).collect();
            warn!(missing = names.join(", "), "no open device has these keys of a chord; listening for one");
        }
    }

    fn plugged(&mut self, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        for change in self.hotplug.changes()? {
            match change {
                Change::All => {
                    let denied = self.look_at_all(signals);
                    self.say_denied(denied);
                }
                Change::File { path, new } => match self.look_at(&path, signals) {
                    // udev has not set the permissions of a new file yet; when it does we hear of it.
                    Looked::Denied(_) if new => self.denied.retain(|said| *said != path),
                    Looked::Denied(device) => self.say_denied(vec![device]),
                    Looked::Open | Looked::NotOurs => {}
                },
            }
        }
        Ok(())
    }

    /// Calls `read` on the device at `index` and closes it when it is gone; says whether it is still there.
    fn attend(
        &mut self,
        index: usize,
        signals: &mut Vec<Signal>,
        read: fn(&mut Device, &Watched, &mut Vec<Signal>) -> Result<(), Gone>,
    ) -> bool {
        let device = &mut self.devices[index];
        let Err(Gone(reason)) = read(device, &self.watched, signals) else { return true };
        info!(device = device.name, %reason, "input device gone");
        signals.push(Signal::Lost { device: device.id, at: Moment::now() });
        self.devices.remove(index);
        metrics::gauge!(DEVICES).set(self.devices.len() as f64);
        false
    }
}

impl KeySource for EvdevSource {
    fn backend(&self) -> Backend {
        Backend::Evdev
    }

    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        if !self.first.is_empty() {
            signals.append(&mut self.first);
            return Ok(());
        }
        let input = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let fds: Vec<BorrowedFd<'_>> = [self.stop.fd(), self.hotplug.fd()]
            .into_iter()
            .chain(self.devices.iter().map(Device::fd))
            .collect();
        let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(input).collect();
        poll_until(&mut fds, until)?;
        let ready: Vec<PollFlags> = fds.iter().skip(1).map(PollFd::revents).collect();
        // From the back, because a device that is gone is removed.
        for (index, flags) in ready[1..].iter().enumerate().rev() {
            if !flags.is_empty() {
                let there = self.attend(index, signals, Device::read);
                if there && flags.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
                    // It has nothing to read and never will have: leaving it open would wake us for ever.
                    self.attend(index, signals, |_, _, _| Err(Gone(Errno::NODEV)));
                }
            }
        }
        if !ready[0].is_empty() {
            self.plugged(signals)?;
        }
        Ok(())
    }

    fn actual(&mut self, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        for index in (0..self.devices.len()).rev() {
            self.attend(index, signals, Device::actual);
        }
        Ok(())
    }

    fn waits_for_device(&self) -> bool {
        self.devices.is_empty() || is_shut_out(&self.watched, self.there(), self.shut)
    }

    fn user_is_away(&mut self, away: bool) {
        self.away = away;
        self.devices.iter().for_each(|device| device.user_is_away(away));
    }

    fn stamps_at_origin(&self) -> bool {
        true
    }
}

/// Whether a chord is not whole `there`, and has keys on a device that is `shut`: another backend may see those. Keys of a
/// keyboard that is not plugged in are seen by none, and need no other.
fn is_shut_out(watched: &Watched, there: Slots, shut: Slots) -> bool {
    !watched.in_chords().without(there).and(shut).is_empty()
}

impl Drop for EvdevSource {
    fn drop(&mut self) {
        metrics::gauge!(DEVICES).set(0);
    }
}

#[cfg(test)]
mod tests {
    use ptt_messages::Profile;

    use super::*;
    use crate::{CancelKey, ProfileChord};

    /// The main chord is on the keyboard, another profile's is a pedal, and Escape is only the cancel key.
    #[test]
    fn a_chord_on_a_device_that_may_not_be_read_is_looked_for_elsewhere() {
        let pedal =
            ProfileChord { profile: Profile(1), name: "pedal".to_owned(), chord: "F13".parse().unwrap() };
        let chord = "LeftCtrl+Space".parse().unwrap();
        let watched = Watched::new(&chord, &[pedal], CancelKey("Escape".parse().ok())).unwrap();
        let slots = |keys: &[u16]| keys.iter().filter_map(|key| watched.slot(*key)).collect::<Slots>();
        let [escape, ctrl, space, f13] = [1, 29, 57, 183];
        for (there, shut, shut_out) in [
            (&[f13][..], &[escape, ctrl, space][..], true),
            (&[f13, ctrl], &[escape, space], true),
            (&[escape, ctrl, space], &[f13], true),
            // Nothing is missing, or what is missing is nowhere.
            (&[escape, ctrl, space, f13], &[escape, ctrl, space], false),
            (&[ctrl, space, f13], &[escape], false),
            (&[escape, ctrl, space], &[escape, ctrl], false),
            (&[f13], &[], false),
        ] {
            assert_eq!(is_shut_out(&watched, slots(there), slots(shut)), shut_out, "{there:?} {shut:?}");
        }
    }
}
