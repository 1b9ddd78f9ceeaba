//! What input devices there are: their names, their keys, and whether we may read them.
//!
//! Of a device that we may not read the kernel still tells name and keys through sysfs, so an error can say which keyboard is
//! meant, and a device without any key of ours is not even opened.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::ioctl::{self, KeyBits};
use crate::KeyboardConfig;
use crate::chord::{Slots, Watched};
use crate::keys::Key;

/// Where the kernel puts its input devices.
pub const INPUT_DEVICES: &str = "/dev/input";

/// How the names of devices begin that we make ourselves, to pass a keyboard's keys on. They are nobody's keyboard.
pub const PASSED_ON: &str = "ptt passes on ";

/// An input device, for the user's eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDeviceInfo {
    /// The name it gives itself.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether this process may read it.
    pub readable: bool,
    /// Whether it has all keys of one of the chords.
    pub has_chord: bool,
    /// Names of the watched keys it has: of the chord and the cancel key.
    pub watched: Vec<String>,
    /// Whether the configuration's list of devices lets it in.
    pub wanted: bool,
}

/// What is known of a device before it is used.
#[derive(Debug)]
pub struct Probe {
    /// Its name, or its file's where it has none.
    pub name: String,
    /// The watched keys it has; `None` where nobody would tell.
    pub has: Option<Slots>,
}

/// Every input device of this machine, by path. Opens what has to be opened to know and closes it again.
#[must_use]
pub fn list_devices(config: &KeyboardConfig) -> Vec<KeyDeviceInfo> {
    // A cancel key that contradicts the chord is another command's error.
    let watched = config.watched().unwrap_or_else(|_| Watched::chord_only(&config.chord));
    let describe = |path: PathBuf| {
        let fd = open_device(&path);
        let probe = probe(&path, fd.as_ref().ok(), &watched);
        let has = probe.has.unwrap_or_default();
        KeyDeviceInfo {
            readable: fd.is_ok(),
            has_chord: watched.chords().iter().any(|chord| chord.slots.without(has).is_empty()),
            watched: has.iter().map(|slot| watched.key(slot).to_string()).collect(),
            wanted: config.wants_device(&probe.name),
            name: probe.name,
            path,
        }
    };
    let devices = device_files(Path::new(INPUT_DEVICES)).into_iter().map(describe);
    devices.filter(|device| !device.name.starts_with(PASSED_ON)).collect()
}

/// The device files in `directory`, `event2` before `event10`.
pub fn device_files(directory: &Path) -> Vec<PathBuf> {
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("event")?.parse::<u32>().ok()
    };
    let mut files: Vec<(u32, PathBuf)> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| number(&path).map(|number| (number, path)))
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// Opens a device for reading without waiting, not inherited by child processes.
pub fn open_device(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
}

/// What `path` is, from the open device or else from sysfs.
pub fn probe(path: &Path, fd: Option<&OwnedFd>, watched: &Watched) -> Probe {
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let about = Path::new("/sys/class/input").join(&file).join("device");
    let name = fd.and_then(|fd| ioctl::name_of(fd.as_fd()).ok());
    let name = name.or_else(|| fs::read_to_string(about.join("name")).ok());
    let bits = fd.and_then(|fd| ioctl::keys_of(fd.as_fd()).ok());
    let bits = bits.or_else(|| parse_bits(&fs::read_to_string(about.join("capabilities/key")).ok()?));
    Probe {
        name: name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or(file),
        has: bits.map(|bits| slots(&bits, watched)),
    }
}

/// The slots of the watched keys in `bits`.
pub fn slots(bits: &KeyBits, watched: &Watched) -> Slots {
    watched.iter().filter(|(_, key)| bits.has(*key)).map(|(slot, _)| slot).collect()
}

/// Reads a bitmap as sysfs writes it: machine words in hexadecimal, the highest first, leading empty ones left out.
fn parse_bits(text: &str) -> Option<KeyBits> {
    let mut bits = KeyBits::NONE;
    for (n, word) in text.split_whitespace().rev().enumerate() {
        let word = usize::from_str_radix(word, 16).ok()?;
        for bit in (0..usize::BITS).filter(|bit| word & (1 << bit) != 0) {
            let code = u16::try_from(n as u32 * usize::BITS + bit).ok();
            if let Some(key) = code.and_then(Key::from_code) {
                bits.add(key);
            }
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn sysfs_tells_the_keys_of_a_keyboard_and_of_a_power_button() {
        let watched = Watched::new(
            &"Down+Right+F13".parse().unwrap(),
            &[],
            crate::chord::CancelKey("Escape".parse().ok()),
        );
        let watched = watched.unwrap();
        let names = |text: &str| {
            let has = slots(&parse_bits(text).unwrap(), &watched);
            has.iter().map(|slot| watched.key(slot).to_string()).collect::<Vec<_>>()
        };
        // An AT keyboard's.
        assert_eq!(
            names("402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe\n"),
            ["Down", "Right", "F13", "Escape"]
        );
        assert_eq!(names("10000000000000 0\n"), Vec::<String>::new());
        assert!(parse_bits("no bits").is_none());
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["event10", "event2", "mice", "eventful", "js0"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names = device_files(dir.path());
        assert_eq!(names, [dir.path().join("event2"), dir.path().join("event10")]);
        assert!(device_files(Path::new("not/there")).is_empty());
    }
}
