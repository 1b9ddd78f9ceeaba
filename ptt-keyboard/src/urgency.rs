//! The threads that read keys come before those that compute: a request to rtkit, which every common desktop has for its sound.
//!
//! What it is for: where all processors compute, and the engine sees to that, the kernel lets an ordinary thread that was woken
//! wait for up to a few of its ticks. Such a thread works for microseconds per key. Who is refused, or has no rtkit, goes on
//! as before; nobody waits for the answer.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::gettid;
use tracing::debug;

use crate::bus::{Address, Bus, BusError};
use crate::wake::Stop;

const RTKIT: [&str; 4] = [
    "org.freedesktop.RealtimeKit1",
    "/org/freedesktop/RealtimeKit1",
    "org.freedesktop.RealtimeKit1",
    "MakeThreadRealtime",
];
/// Before every ordinary thread, after those of the sound server.
const PRIORITY: u32 = 5;
/// For how many microseconds a realtime thread may compute without a pause before the kernel ends the process. rtkit wants a limit,
/// and no higher one.
const LONGEST_RUN_US: u64 = 200_000;

/// Asks that the calling thread is run before ordinary ones from now on. Comes back at once; the question ends with `stop`.
pub(crate) fn ask(bus: Address, stop: &Stop) {
    let (thread, stop) = (u64::from(gettid().as_raw_nonzero().get().unsigned_abs()), stop.clone());
    let run = move || match question(bus, thread, &stop) {
        Ok(()) => debug!(thread, "keys are read at realtime priority"),
        Err(BusError::Stopped) => {}
        Err(reason) => debug!(%reason, "keys are read at ordinary priority"),
    };
    // Where the process has no thread left, priorities are not what it lacks.
    let _ = std::thread::Builder::new().name("ptt-urgent".to_owned()).spawn(run);
}

fn question(bus: Address, thread: u64, stop: &Stop) -> Result<(), BusError> {
    let bus = Bus::connect(bus, stop)?;
    let before = getrlimit(Resource::Rttime);
    let lower = |limit: Option<u64>| Some(limit.map_or(LONGEST_RUN_US, |limit| limit.min(LONGEST_RUN_US)));
    let limit = Rlimit { current: lower(before.current), maximum: lower(before.maximum) };
    setrlimit(Resource::Rttime, limit).map_err(|error| BusError::Gone(error.to_string()))?;
    bus.call(RTKIT, &(thread, PRIORITY))
}
