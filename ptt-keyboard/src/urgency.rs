//! The threads that read keys come before those that compute: by the shortest slice of a core, for which the kernel is asked, and by a
//! high priority, for which rtkit is asked, which every common desktop has for its sound.
//!
//! What it is for: where all processors compute, and the engine sees to that, the kernel lets an ordinary thread that was woken
//! wait for up to a few of its ticks. Such a thread works for microseconds per key. Who is refused, or has no rtkit, goes on
//! as before; nobody waits for the answer.

use rustix::process::Pid;
use rustix::thread::gettid;
use tracing::debug;

use crate::bus::{Address, Bus, BusError};
use crate::wake::Stop;

const RTKIT: [&str; 4] = [
    "org.freedesktop.RealtimeKit1",
    "/org/freedesktop/RealtimeKit1",
    "org.freedesktop.RealtimeKit1",
    "MakeThreadHighPriority",
];
/// The lowest that rtkit gives. Not realtime: a fault of ours must not be able to hold the machine up.
const NICE: i32 = -15;

/// Asks that the calling thread is run before ordinary ones from now on. Comes back at once; the question to rtkit ends with `stop`.
pub(crate) fn ask(bus: Address, stop: &Stop) {
    let (thread, stop) = (gettid(), stop.clone());
    shorten(thread);
    let run = move || match question(bus, thread, &stop) {
        Ok(()) => {
            // With the priority comes an ordinary slice.
            shorten(thread);
            debug!(?thread, "keys are read at high priority");
        }
        Err(BusError::Stopped) => {}
        Err(reason) => debug!(%reason, "keys are read at ordinary priority"),
    };
    // Where the process has no thread left, priorities are not what it lacks.
    let _ = std::thread::Builder::new().name("ptt-urgent".to_owned()).spawn(run);
}

fn shorten(thread: Pid) {
    if let Err(error) = ptt_slice::ask(Some(thread), ptt_slice::SHORTEST) {
        debug!(%error, "keys are read with ordinary slices");
    }
}

fn question(bus: Address, thread: Pid, stop: &Stop) -> Result<(), BusError> {
    let thread = u64::from(thread.as_raw_nonzero().get().unsigned_abs());
    Bus::connect(bus, stop)?.call(RTKIT, &(thread, NICE))
}
