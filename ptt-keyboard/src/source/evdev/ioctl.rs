//! The five questions and requests to an input device that are no read: the one module of this crate with `unsafe`.
//!
//! Every buffer is initialised before the kernel sees it and its size is part of the request's number.

use std::os::fd::BorrowedFd;

use rustix::io::Result;
use rustix::ioctl::{Direction, Opcode, Setter, Updater, ioctl, opcode};

use crate::keys::{CODE_MAX, Key};

/// One bit per key code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyBits([u8; KEY_BYTES]);

const KEY_BYTES: usize = (CODE_MAX as usize + 1) / 8;
const NAME_BYTES: usize = 256;
const EV_KEY: u8 = 0x01;

/// `struct input_mask` of `linux/input.h`.
#[repr(C)]
struct InputMask {
    kind: u32,
    bytes: u32,
    bits: u64,
}

const fn from_device(number: u8, bytes: usize) -> Opcode {
    opcode::from_components(Direction::Read, b'E', number, bytes)
}

const EVIOCGNAME: Opcode = from_device(0x06, NAME_BYTES);
const EVIOCGKEY: Opcode = from_device(0x18, KEY_BYTES);
const EVIOCGBIT_KEY: Opcode = from_device(0x20 + EV_KEY, KEY_BYTES);
const EVIOCSMASK: Opcode = opcode::write::<InputMask>(b'E', 0x93);
const EVIOCSCLOCKID: Opcode = opcode::write::<i32>(b'E', 0xa0);

impl KeyBits {
    /// No key.
    pub const NONE: Self = Self([0; KEY_BYTES]);

    /// Whether `key` is in it.
    pub fn has(&self, key: Key) -> bool {
        let code = usize::from(key.code());
        self.0[code / 8] & (1 << (code % 8)) != 0
    }

    /// Adds `key`.
    pub fn add(&mut self, key: Key) {
        let code = usize::from(key.code());
        self.0[code / 8] |= 1 << (code % 8);
    }
}

/// The keys a device has.
pub fn keys_of(fd: BorrowedFd<'_>) -> Result<KeyBits> {
    read_bits::<EVIOCGBIT_KEY>(fd)
}

/// The keys of a device that are down. Also empties the device's queue of key events that were not read yet: they are part of
/// the answer.
pub fn keys_down(fd: BorrowedFd<'_>) -> Result<KeyBits> {
    read_bits::<EVIOCGKEY>(fd)
}

/// The name a device gives itself.
#[expect(unsafe_code, reason = "ioctl")]
pub fn name_of(fd: BorrowedFd<'_>) -> Result<String> {
    let mut name = [0_u8; NAME_BYTES];
    // SAFETY: EVIOCGNAME writes at most as many bytes as its number says, which is the size of `name`.
    unsafe { ioctl(fd, Updater::<EVIOCGNAME, [u8; NAME_BYTES]>::new(&mut name))? };
    let end = name.iter().position(|b| *b == 0).unwrap_or(NAME_BYTES);
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

/// Makes a device stamp its events with `CLOCK_MONOTONIC`.
#[expect(unsafe_code, reason = "ioctl")]
pub fn use_monotonic_clock(fd: BorrowedFd<'_>) -> Result<()> {
    const CLOCK_MONOTONIC: i32 = 1;
    // SAFETY: EVIOCSCLOCKID reads one `int`.
    unsafe { ioctl(fd, Setter::<EVIOCSCLOCKID, i32>::new(CLOCK_MONOTONIC)) }
}

/// Makes a device queue events of `keys` for us and nothing else: no other key, no movement, no scan code. Kernels before 4.4
/// refuse.
pub fn see_only(fd: BorrowedFd<'_>, keys: &KeyBits) -> Result<()> {
    // Event types by the mask of type 0; EV_SYN is never masked. The kernel wants whole machine words.
    let mut types = [0_u8; 8];
    types[0] = 1 << EV_KEY;
    set_mask(fd, EV_KEY, &keys.0)?;
    set_mask(fd, 0, &types)
}

#[expect(unsafe_code, reason = "ioctl")]
fn set_mask(fd: BorrowedFd<'_>, kind: u8, bits: &[u8]) -> Result<()> {
    let bytes = u32::try_from(bits.len()).expect("a mask has at most 96 bytes");
    let mask = InputMask { kind: u32::from(kind), bytes, bits: bits.as_ptr() as u64 };
    // SAFETY: EVIOCSMASK reads one `struct input_mask` and, while it runs, `bytes` bytes at `bits`.
    unsafe { ioctl(fd, Setter::<EVIOCSMASK, InputMask>::new(mask)) }
}

#[expect(unsafe_code, reason = "ioctl")]
fn read_bits<const OPCODE: Opcode>(fd: BorrowedFd<'_>) -> Result<KeyBits> {
    let mut bits = KeyBits::NONE;
    // SAFETY: EVIOCGKEY and EVIOCGBIT write at most as many bytes as their number says, which is the size of the array.
    unsafe { ioctl(fd, Updater::<OPCODE, [u8; KEY_BYTES]>::new(&mut bits.0))? };
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// The numbers as `linux/input.h` gives them on the common architectures.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
    #[test]
    fn request_numbers_are_those_of_the_kernel() {
        let numbers = [EVIOCGNAME, EVIOCGKEY, EVIOCGBIT_KEY, EVIOCSMASK, EVIOCSCLOCKID];
        assert_eq!(numbers, [0x8100_4506, 0x8060_4518, 0x8060_4521, 0x4010_4593, 0x4004_45a0]);
    }

    #[test]
    fn bits_are_keys() {
        let (a, side) = ("A".parse().unwrap(), "MouseSide".parse().unwrap());
        let mut bits = KeyBits::NONE;
        bits.add(side);
        assert!(bits.has(side) && !bits.has(a));
        assert_eq!(bits.0[0x113 / 8], 1 << (0x113 % 8));
        assert!(KeyBits([0xff; KEY_BYTES]).has(Key::from_code(CODE_MAX).unwrap()));
    }

    #[test]
    fn what_is_no_input_device_refuses() {
        let file = tempfile::tempfile().unwrap();
        assert!(keys_of(file.as_fd()).is_err() && keys_down(file.as_fd()).is_err());
        assert!(name_of(file.as_fd()).is_err() && use_monotonic_clock(file.as_fd()).is_err());
        assert!(see_only(file.as_fd(), &KeyBits::NONE).is_err());
    }
}
