//! The key thread's loop: wait on a source, give what it says to the tracker, tell what comes out.
//!
//! The listener of a daemon ([`crate::spawn`]) and the display of `ptt-app keys` ([`crate::watch`]) run the same loop.

use std::ops::ControlFlow;
use std::time::Duration;

use ptt_messages::{Moment, Stage};
use tracing::{trace, warn};

use crate::chord::{ChordEvent, ChordTracker, Edge, Signal, Watched};
use crate::metrics::LOST_RELEASES_TOTAL;
use crate::session::SessionWatch;
use crate::source::{Backend, KeySource};
use crate::wake::{Stop, earlier};
use crate::{Key, KeyboardError};

/// How often the true key state is read while the chord is held.
pub const CHECK_EVERY: Duration = Duration::from_millis(100);

/// A finger needs longer than this to press a key again.
const NOT_A_FINGER: Duration = Duration::from_millis(12);

/// What a listener hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A source is open.
    Listening(Backend),
    /// A watched key moved. `took` is the edge's age when it was handled, where its time is that of its origin.
    Key { key: Key, down: bool, at: Moment, took: Option<Duration> },
    /// The chord did something.
    Chord(ChordEvent),
}

/// The loop. A press is told before anything else is done about it.
pub(crate) fn listen(
    source: &mut dyn KeySource,
    session: Option<&SessionWatch>,
    tracker: &mut ChordTracker,
    watched: &Watched,
    stop: &Stop,
    hear: &mut dyn FnMut(Heard) -> ControlFlow<()>,
) -> Result<(), KeyboardError> {
    let mut pass = Pass {
        on_time: source.stamps_at_origin(),
        watched,
        signals: Vec::new(),
        events: Vec::new(),
        warned: tracker.forgives_bounce(),
    };
    let mut check = None;
    loop {
        let waited = source.wait(earlier(tracker.due(), check), &mut pass.signals);
        // A source that was broken off in a question says so with an error.
        if stop.raised() {
            return Ok(());
        }
        waited?;
        if let Some(session) = session {
            stop.heed();
            let told = session.told().inspect(|signal| tell_source(source, *signal));
            pass.signals.extend(told);
        }
        let now = Moment::now();
        if pass.handle(tracker, now, hear).is_break() {
            return Ok(());
        }
        tracker.expire(now, &mut pass.events);
        if pass.tell(hear).is_break() {
            return Ok(());
        }
        if !tracker.is_held() {
            check = None;
        } else if check.is_none_or(|due| due <= now) {
            // The first check comes with the press: a key whose release was lost earlier made half of it.
            let asked = source.actual(&mut pass.signals);
            if stop.raised() {
                return Ok(());
            }
            asked?;
            if pass.handle(tracker, Moment::now(), hear).is_break() {
                return Ok(());
            }
            check = Some(now + CHECK_EVERY);
        }
    }
}

/// What a source must know of its user.
fn tell_source(source: &mut dyn KeySource, signal: Signal) {
    match signal {
        Signal::Away { .. } => source.user_is_away(true),
        Signal::Back { .. } => source.user_is_away(false),
        Signal::Opened { .. }
        | Signal::Key { .. }
        | Signal::Actual { .. }
        | Signal::Lost { .. }
        | Signal::Toggled { .. } => {}
    }
}

/// Buffers of the loop.
struct Pass<'a> {
    on_time: bool,
    watched: &'a Watched,
    signals: Vec<Signal>,
    events: Vec<ChordEvent>,
    /// No (further) word about bouncing keys.
    warned: bool,
}

impl Pass<'_> {
    /// Takes the signals to the tracker and tells what comes of them.
    fn handle(
        &mut self,
        tracker: &mut ChordTracker,
        now: Moment,
        hear: &mut dyn FnMut(Heard) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut signals = std::mem::take(&mut self.signals);
        // Devices were read one after the other; a chord over two of them wants one order.
        signals.sort_by_key(Signal::at);
        for (n, &signal) in signals.iter().enumerate() {
            tracker.step_before(signals.get(n + 1), signal, &mut self.events);
            if matches!(signal, Signal::Actual { .. })
                && self.events.iter().any(|event| matches!(event, ChordEvent::Released { .. }))
            {
                metrics::counter!(LOST_RELEASES_TOTAL).increment(1);
            }
            self.tell(hear)?;
            self.tell_key(signal, tracker, now, hear)?;
        }
        signals.clear();
        self.signals = signals;
        ControlFlow::Continue(())
    }

    fn tell(&mut self, hear: &mut dyn FnMut(Heard) -> ControlFlow<()>) -> ControlFlow<()> {
        self.events.drain(..).try_for_each(|event| hear(Heard::Chord(event)))
    }

    fn tell_key(
        &mut self,
        signal: Signal,
        tracker: &ChordTracker,
        now: Moment,
        hear: &mut dyn FnMut(Heard) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Signal::Key { slot, edge, at, .. } = signal else { return ControlFlow::Continue(()) };
        let down = match edge {
            Edge::Down => true,
            Edge::Up => false,
            Edge::Repeat => return ControlFlow::Continue(()),
        };
        trace!(at_ns = at.as_nanos(), read_ns = now.as_nanos(), "an edge");
        let took = self.on_time.then(|| now.since(at));
        if let Some(took) = took {
            Stage::KeyDetection.record(took);
        }
        if !self.warned && down && tracker.window().last_gap().is_some_and(|gap| gap < NOT_A_FINGER) {
            self.warned = true;
            warn!(
                "a key of the chord went up and down again faster than a finger can; if it is worn, set bounce_ms = 20"
            );
        }
        hear(Heard::Key { key: self.watched.key(slot), down, at, took })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chord::DeviceId;

    #[test]
    fn a_source_hears_when_its_user_leaves_and_comes_back() {
        let (at, mut source) = (Moment::from_millis(1), Told(Vec::new()));
        for signal in [
            Signal::Away { at },
            Signal::Lost { device: DeviceId(0), at },
            Signal::Back { at },
            Signal::Away { at },
        ] {
            tell_source(&mut source, signal);
        }
        assert_eq!(source.0, [true, false, true]);
    }

    /// A source that notes what it is told.
    struct Told(Vec<bool>);

    impl KeySource for Told {
        fn backend(&self) -> Backend {
            Backend::Evdev
        }

        fn wait(&mut self, _: Option<Moment>, _: &mut Vec<Signal>) -> Result<(), KeyboardError> {
            Ok(())
        }

        fn user_is_away(&mut self, away: bool) {
            self.0.push(away);
        }

        fn stamps_at_origin(&self) -> bool {
            true
        }
    }
}
