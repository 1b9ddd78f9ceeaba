//! How long a thread may keep a core before the kernel looks for others.
//!
//! Since Linux 6.12 a thread may say how long it wants a core at a time (EEVDF; `sched_runtime` of an ordinary thread). Who wakes up and
//! wants it for a shorter time than the one who has it gets it at once. So threads that compute ask for the longest slice: they are
//! in nobody's way then, be it the sound, the X server or the window that is typed into, and keep their share of the cores. And
//! those that read keys ask for the shortest: nobody who wakes up meanwhile comes before them. It needs no permission and is no
//! priority. Older kernels ignore it.
//!
//! A thread with a long slice must not yield: since Linux 6.17 it forfeits the rest of it.
//!
//! What does not live here: which thread asks for what, and priorities (`ptt-keyboard/src/urgency.rs`).
#![expect(unsafe_code, reason = "two system calls that no crate wraps")]

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, RawPid};

/// The kernel's longest. For threads that compute.
pub const LONGEST: Duration = Duration::from_millis(100);
/// The kernel's shortest. For threads that are to answer at once and do little.
pub const SHORTEST: Duration = Duration::from_micros(100);

/// The length of the attributes in bytes, as it was in the first kernel that had them.
const BYTES: u32 = 48;

/// Asks for a slice of this length, from [`SHORTEST`] to [`LONGEST`], for a thread of this process (`None`: the calling one) and every
/// thread that it starts from now on. Its priority and its policy stay; who changes one of these takes the slice away.
///
/// # Errors
/// The kernel's, where it does not have these calls or a sandbox forbids them: nothing has changed then.
pub fn ask(thread: Option<Pid>, length: Duration) -> Result<(), Errno> {
    let thread = Pid::as_raw(thread);
    let mut attributes = attributes(thread)?;
    attributes.sched_runtime = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the kernel reads the `BYTES` that `attributes.size` says and that it has, and keeps no pointer.
    result(unsafe { libc::syscall(libc::SYS_sched_setattr, thread, &raw const attributes, 0) })
}

fn attributes(thread: RawPid) -> Result<libc::sched_attr, Errno> {
    let mut attributes = libc::sched_attr {
        size: BYTES,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most the `BYTES` that it is told, and `attributes` has as many.
    result(unsafe { libc::syscall(libc::SYS_sched_getattr, thread, &raw mut attributes, BYTES, 0) })?;
    Ok(attributes)
}

fn result(returned: libc::c_long) -> Result<(), Errno> {
    match returned {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::thread::gettid;

    use super::*;

    const _: () = assert!(size_of::<libc::sched_attr>() == BYTES as usize);
    const SELF: RawPid = 0;

    /// What a kernel before 6.12 says of an ordinary thread's slice.
    fn has_slices() -> bool {
        attributes(SELF).unwrap().sched_runtime != 0
    }

    #[test]
    fn a_thread_has_the_slice_that_it_asks_for_and_its_children_have_it_too() {
        let asked = thread::spawn(|| {
            for length in [LONGEST, SHORTEST] {
                let before = attributes(SELF).unwrap();
                ask(None, length).unwrap();
                let (after, child) =
                    (attributes(SELF).unwrap(), thread::spawn(|| attributes(SELF).unwrap()).join().unwrap());
                assert_eq!((before.sched_policy, before.sched_nice), (after.sched_policy, after.sched_nice));
                if has_slices() {
                    let length = u64::try_from(length.as_nanos()).unwrap();
                    assert_eq!((after.sched_runtime, child.sched_runtime), (length, length));
                }
            }
        });
        asked.join().unwrap();
    }

    #[test]
    fn one_thread_asks_for_another() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let other = thread::spawn(move || {
            tell.send(gettid()).unwrap();
            let _ = ended.recv();
            attributes(SELF).unwrap().sched_runtime
        });
        ask(Some(told.recv().unwrap()), SHORTEST).unwrap();
        drop(end);
        let has = other.join().unwrap();
        assert!(!has_slices() || has == 100_000, "{has}");
    }

    #[test]
    fn a_thread_that_is_not_there_is_an_error() {
        assert_eq!(ask(Pid::from_raw(RawPid::MAX), SHORTEST), Err(Errno::SRCH));
    }
}
