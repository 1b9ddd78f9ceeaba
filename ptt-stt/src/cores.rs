//! How many cores are idle at this moment.
//!
//! ggml's compute threads wait for each other by spinning, hundreds of times per token. A thread more than there are
//! idle cores does not make a decode a little slower, but several times: one waits for the other to be scheduled again.
//! With a load of 14 on two cores, two threads took five times as long as one.

use std::fs::read_to_string;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// Threads that find a core of their own now: at least 1, at most `limit`. Two small reads from the kernel; where they
/// do not tell (not Linux), `limit`.
#[must_use]
pub fn idle(limit: usize) -> usize {
    let cores = read_to_string("/sys/devices/system/cpu/online").ok().and_then(|text| online(&text));
    let cores = cores.or_else(|| available_parallelism().ok().map(NonZeroUsize::get));
    let running = read_to_string("/proc/loadavg").ok().and_then(|text| running(&text));
    match (cores, running) {
        (Some(cores), Some(running)) => spare(limit, cores, running),
        _ => limit.max(1),
    }
}

/// `running` counts the caller.
fn spare(limit: usize, cores: usize, running: usize) -> usize {
    let others = running.saturating_sub(1);
    cores.saturating_sub(others).min(limit).max(1)
}

/// The number of threads that run or want to, from `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206`.
fn running(loadavg: &str) -> Option<usize> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.0.parse().ok()
}

/// The number of cores in a list like `0-3,8`.
fn online(list: &str) -> Option<usize> {
    list.trim().split(',').try_fold(0, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        Some(sum + (last + 1).checked_sub(first)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(running("0.20 0.18 0.12 3/80 11206\n"), Some(3));
        assert_eq!(running("nonsense"), None);
        for (list, cores) in
            [("0\n", Some(1)), ("0-1\n", Some(2)), ("0-3,8,10-11", Some(7)), ("", None), ("3-0", None)]
        {
            assert_eq!(online(list), cores, "{list}");
        }
    }

    #[test]
    fn only_idle_cores_are_used() {
        for (limit, cores, running, threads) in [
            (2, 2, 1, 2),
            (2, 2, 2, 1),
            (2, 2, 9, 1),
            (8, 16, 4, 8),
            (8, 8, 4, 5),
            (8, 2, 0, 2),
            (0, 4, 1, 1),
        ] {
            assert_eq!(spare(limit, cores, running), threads);
        }
        assert!((1..=4).contains(&idle(4)));
    }
}
