//! Decides whether a request still counts: one that reached a stopped daemon was meant for a moment
//! that is over. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Request;

/// How long a client waits for its answer, and how long a request that starts something counts.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Milliseconds since boot, suspend included (`CLOCK_BOOTTIME`): the same for every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootTime(pub u64);

impl BootTime {
    /// Reads the clock.
    #[must_use]
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // The clock starts at boot and is never negative.
        Self(time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000)
    }

    /// Time since `earlier`; zero where it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The circumstances under which a request is about to be carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// When the client sent it; `None` from a client that does not say.
    pub sent: Option<BootTime>,
    /// Now.
    pub now: BootTime,
    /// The client has closed its connection, so it does not wait for an answer.
    pub client_gone: bool,
    /// When the newest request that started something was sent.
    pub newest_start: Option<BootTime>,
}

/// The reason why the request is not carried out any more, or `None` where it is.
///
/// What starts something needs a client that still waits for it. What ends something counts also
/// when it is late, but not against something that was started after it.
pub(super) fn expired(request: &Request, at: &Circumstances) -> Option<String> {
    match request {
        Request::Press { .. } | Request::Toggle { .. } | Request::Enable | Request::Retry => {
            let age = at.sent.map_or(Duration::ZERO, |sent| at.now.since(sent));
            if at.client_gone {
                return Some("the client has gone".into());
            }
            (age > PATIENCE).then(|| {
                format!(
                    "the request is {:.1} s old and does not count any more; ask again",
                    age.as_secs_f64()
                )
            })
        }
        Request::Release | Request::Cancel | Request::Disable => {
            let (sent, start) = (at.sent?, at.newest_start?);
            (sent < start).then(|| "something newer was started since this was sent; ask again".into())
        }
        Request::Status | Request::Follow => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BootTime = BootTime(100_000);

    fn starts() -> [Request; 4] {
        let profile = None;
        [
            Request::Press { profile: profile.clone() },
            Request::Toggle { profile },
            Request::Enable,
            Request::Retry,
        ]
    }

    const ENDS: [Request; 3] = [Request::Release, Request::Cancel, Request::Disable];

    fn at(sent: Option<u64>) -> Circumstances {
        Circumstances { sent: sent.map(BootTime), now: NOW, client_gone: false, newest_start: None }
    }

    #[test]
    fn a_start_counts_for_as_long_as_its_client_waits() {
        for request in starts() {
            for (circumstances, counts) in [
                (at(Some(99_999)), true),
                (at(Some(97_000)), true),
                (at(Some(96_999)), false),
                (at(Some(0)), false),
                (at(None), true),
                // A clock that is wrong harms nobody.
                (at(Some(200_000)), true),
                (Circumstances { client_gone: true, ..at(Some(99_999)) }, false),
                (Circumstances { client_gone: true, ..at(None) }, false),
            ] {
                assert_eq!(
                    expired(&request, &circumstances).is_none(),
                    counts,
                    "{request:?} {circumstances:?}"
                );
            }
        }
    }

    #[test]
    fn an_end_counts_also_late_but_not_against_what_started_after_it() {
        for request in ENDS {
            for (sent, newest_start, counts) in [
                (Some(99_999), None, true),
                (Some(0), None, true),
                (Some(50_000), Some(40_000), true),
                (Some(50_000), Some(50_000), true),
                (Some(50_000), Some(60_000), false),
                (None, Some(60_000), true),
            ] {
                let circumstances =
                    Circumstances { client_gone: true, newest_start: newest_start.map(BootTime), ..at(sent) };
                assert_eq!(
                    expired(&request, &circumstances).is_none(),
                    counts,
                    "{request:?} {circumstances:?}"
                );
            }
        }
    }
}
