//! The threads that read keys come before those that compute: they ask the kernel for the shortest slice of a core, and rtkit, which
//! every common desktop has for its sound, for the lowest realtime priority or else a high ordinary one.
//!
//! What it is for: where all processors compute, and the engine sees to that, the kernel lets an ordinary thread that was woken
//! wait for up to a few of its ticks. Such a thread works for microseconds per key. Who is refused, or has no rtkit, goes on
//! as before; nobody waits for the answer.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::gettid;
use tracing::debug;
use zbus::zvariant::OwnedValue;

use crate::bus::{Address, Bus, BusError};
use crate::wake::Stop;

const RTKIT: &str = "org.freedesktop.RealtimeKit1";
const RTKIT_PATH: &str = "/org/freedesktop/RealtimeKit1";
/// The lowest there is: above every ordinary thread, below the sound.
const REALTIME: u32 = 1;
/// The lowest that rtkit gives.
const NICE: i32 = -15;

/// Asks that the calling thread is run before ordinary ones from now on. Comes back at once; the question to rtkit ends with `stop`.
pub(crate) fn ask(bus: Address, stop: &Stop) {
    let (thread, stop) = (gettid(), stop.clone());
    shorten(thread);
    let run = move || match question(bus, thread, &stop) {
        Ok(priority) => debug!(?thread, priority, "keys are read before other things are done"),
        Err(BusError::Stopped) => {}
        Err(reason) => debug!(%reason, "keys are read at ordinary priority"),
    };
    // Where the process has no thread left, priorities are not what it lacks.
    let _ = std::thread::Builder::new().name("ptt-urgent".to_owned()).spawn(run);
}

fn question(bus: Address, thread: Pid, stop: &Stop) -> Result<&'static str, BusError> {
    let bus = Bus::connect(bus, stop)?;
    let id = u64::from(thread.as_raw_nonzero().get().unsigned_abs());
    // Who has no rtkit keeps its limits.
    let longest: OwnedValue =
        bus.call([RTKIT, RTKIT_PATH, "org.freedesktop.DBus.Properties", "Get"], &(RTKIT, "RTTimeUSecMax"))?;
    if let Ok(longest) = i64::try_from(longest) {
        bound_runs(longest.unsigned_abs());
    }
    match bus.call([RTKIT, RTKIT_PATH, RTKIT, "MakeThreadRealtime"], &(id, REALTIME)) {
        Ok(()) => return Ok("realtime"),
        Err(BusError::Stopped) => return Err(BusError::Stopped),
        Err(reason) => debug!(%reason, "no realtime priority"),
    }
    let () = bus.call([RTKIT, RTKIT_PATH, RTKIT, "MakeThreadHighPriority"], &(id, NICE))?;
    // With the priority came an ordinary slice.
    shorten(thread);
    Ok("high")
}

/// Has the kernel end the process when a realtime thread of it computes for so long without a pause: a fault of ours must not be able
/// to hold the machine up, and rtkit gives nothing to who is not bound so (its own figure is 200 ms). Keeps a lower limit that is
/// there already. Where it fails rtkit refuses.
fn bound_runs(longest_us: u64) {
    let there = getrlimit(Resource::Rttime);
    let bound = |limit: Option<u64>| Some(limit.map_or(longest_us, |limit| limit.min(longest_us)));
    let limit = Rlimit { current: bound(there.current), maximum: bound(there.maximum) };
    if let Err(error) = setrlimit(Resource::Rttime, limit) {
        debug!(%error, "no limit for realtime threads");
    }
}

fn shorten(thread: Pid) {
    if let Err(error) = ptt_slice::ask(Some(thread), ptt_slice::SHORTEST) {
        debug!(%error, "keys are read with ordinary slices");
    }
}
