//! From the bytes of an input device to signals, purely.

use std::time::Duration;

use ptt_messages::Moment;

use crate::chord::{DeviceId, Edge, Signal, Watched};

/// Reads the `struct input_event`s of one device.
#[derive(Debug)]
pub struct Decoder {
    device: DeviceId,
    /// The kernel's queue ran over: what follows up to the next report is the rest of a broken packet.
    in_hole: bool,
    /// There was such a hole and the true state has not been asked for since.
    needs_state: bool,
}

/// Bytes of one event: two machine words of time, type, code, value. (Not `struct timeval`: that has 64-bit seconds on some
/// 32-bit systems where the kernel's words have not.)
pub const EVENT_BYTES: usize = 2 * WORD + 8;

const WORD: usize = size_of::<usize>();
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const SYN_REPORT: u16 = 0;
const SYN_DROPPED: u16 = 3;

impl Decoder {
    /// A decoder for `device`.
    pub fn new(device: DeviceId) -> Self {
        Self { device, in_hole: false, needs_state: false }
    }

    /// Adds the signals in `bytes`, whole events each stamped by the kernel, or all with `seen` where its clock is another.
    pub fn feed(&mut self, bytes: &[u8], watched: &Watched, seen: Option<Moment>, signals: &mut Vec<Signal>) {
        for event in bytes.chunks_exact(EVENT_BYTES) {
            let (time, rest) = event.split_at(2 * WORD);
            let kind = u16::from_ne_bytes([rest[0], rest[1]]);
            let code = u16::from_ne_bytes([rest[2], rest[3]]);
            let value = i32::from_ne_bytes([rest[4], rest[5], rest[6], rest[7]]);
            match (kind, code) {
                (EV_SYN, SYN_DROPPED) => (self.in_hole, self.needs_state) = (true, true),
                (EV_SYN, SYN_REPORT) => self.in_hole = false,
                (EV_KEY, _) if !self.in_hole => {
                    let edge = match value {
                        0 => Edge::Up,
                        1 => Edge::Down,
                        _ => Edge::Repeat,
                    };
                    // A key that is not watched is forgotten here, should the kernel have let it through.
                    if let Some(slot) = watched.slot(code) {
                        let at = seen.unwrap_or_else(|| stamp(time));
                        signals.push(Signal::Key { device: self.device, slot, edge, at });
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether the true state has to be asked for, which is then taken as done. To be called when all bytes there are have
    /// been fed: the answer is newer than all of them, and what is read after it is newer than the answer.
    pub fn take_needs_state(&mut self) -> bool {
        let needs = std::mem::take(&mut self.needs_state);
        self.in_hole &= !needs;
        needs
    }
}

fn stamp(time: &[u8]) -> Moment {
    let word = |bytes: &[u8]| bytes.try_into().map(usize::from_ne_bytes).unwrap_or_default() as u64;
    let (seconds, micros) = time.split_at(WORD);
    Moment::default() + Duration::from_secs(word(seconds)) + Duration::from_micros(word(micros))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KeyboardConfig;
    use crate::chord::{ChordEvent, ChordTracker, Slots};

    const DOWN: u16 = 108;
    const RIGHT: u16 = 106;
    const DEVICE: DeviceId = DeviceId(3);

    fn event(us: usize, kind: u16, code: u16, value: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((us / 1_000_000).to_ne_bytes());
        bytes.extend((us % 1_000_000).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
        bytes
    }

    fn decode(events: &[(u16, u16, i32)]) -> (Vec<(u16, Edge)>, bool) {
        let watched = KeyboardConfig::default().watched().unwrap();
        let (mut decoder, mut signals) = (Decoder::new(DEVICE), Vec::new());
        for (n, (kind, code, value)) in events.iter().enumerate() {
            decoder.feed(&event(n, *kind, *code, *value), &watched, None, &mut signals);
        }
        let keys = signals.iter().map(|signal| match signal {
            Signal::Key { slot, edge, device: DEVICE, .. } => (watched.key(*slot).code(), *edge),
            Signal::Key { .. }
            | Signal::Opened { .. }
            | Signal::Actual { .. }
            | Signal::Lost { .. }
            | Signal::Toggled { .. }
            | Signal::Away { .. }
            | Signal::Back { .. } => {
                panic!("{signal:?}")
            }
        });
        (keys.collect(), decoder.take_needs_state())
    }

    #[test]
    fn only_watched_keys_come_through() {
        let events = [(EV_KEY, 30, 1), (4, 4, 30), (EV_KEY, DOWN, 1), (EV_SYN, SYN_REPORT, 0), (2, 0, 5)];
        assert_eq!(decode(&events), (vec![(DOWN, Edge::Down)], false));
        let events = [(EV_KEY, DOWN, 2), (EV_SYN, SYN_REPORT, 1), (EV_KEY, DOWN, 0)];
        assert_eq!(decode(&events), (vec![(DOWN, Edge::Repeat), (DOWN, Edge::Up)], false));
    }

    #[test]
    fn after_a_hole_the_rest_of_the_packet_is_ignored_and_the_state_is_asked_for() {
        let events = [
            (EV_KEY, DOWN, 1),
            (EV_SYN, SYN_DROPPED, 0),
            (EV_KEY, DOWN, 0),
            (EV_SYN, SYN_REPORT, 0),
            (EV_KEY, RIGHT, 1),
        ];
        assert_eq!(decode(&events), (vec![(DOWN, Edge::Down), (RIGHT, Edge::Down)], true));
    }

    #[test]
    fn a_hole_ends_with_the_question() {
        let watched = KeyboardConfig::default().watched().unwrap();
        let (mut decoder, mut signals) = (Decoder::new(DEVICE), Vec::new());
        // The kernel may announce a hole without a report after it.
        decoder.feed(&event(1, EV_SYN, SYN_DROPPED, 0), &watched, None, &mut signals);
        assert!(decoder.take_needs_state() && !decoder.take_needs_state());
        decoder.feed(&event(2, EV_KEY, DOWN, 1), &watched, None, &mut signals);
        assert_eq!(signals.len(), 1);
    }

    #[test]
    fn times_are_the_kernels() {
        let watched = KeyboardConfig::default().watched().unwrap();
        let (mut decoder, mut signals) = (Decoder::new(DEVICE), Vec::new());
        let bytes = event(1_234_567_890_123, EV_KEY, DOWN, 1);
        decoder.feed(&bytes, &watched, None, &mut signals);
        decoder.feed(&bytes, &watched, Some(Moment::from_millis(9)), &mut signals);
        decoder.feed(&bytes[..EVENT_BYTES - 1], &watched, None, &mut signals);
        let times: Vec<u64> = signals.iter().map(|signal| signal.at().as_nanos()).collect();
        assert_eq!(times, [1_234_567_890_123_000, 9_000_000]);
    }

    /// A million edges of other keys around one hold, as an old kernel without masks would deliver them.
    #[test]
    fn a_flood_of_typing_leaves_one_hold_and_no_trace() {
        let config = KeyboardConfig::default();
        let watched = config.watched().unwrap();
        let (mut decoder, mut signals) = (Decoder::new(DEVICE), Vec::new());
        let flood: Vec<u8> =
            (0..500).flat_map(|n| event(n, EV_KEY, 30 + (n % 20) as u16, (n % 2) as i32)).collect();
        let hold = |signals: &mut Vec<Signal>, decoder: &mut Decoder, down: bool, us: usize| {
            for code in [DOWN, RIGHT] {
                decoder.feed(&event(us, EV_KEY, code, i32::from(down)), &watched, None, signals);
            }
        };
        for round in 0..2_000 {
            decoder.feed(&flood, &watched, None, &mut signals);
            match round {
                500 => hold(&mut signals, &mut decoder, true, 5_000_000),
                1_500 => hold(&mut signals, &mut decoder, false, 9_000_000),
                _ => {}
            }
        }
        assert_eq!(signals.len(), 4);
        let (mut tracker, mut events) = (ChordTracker::new(&watched, Duration::ZERO), Vec::new());
        for signal in signals {
            tracker.step(signal, &mut events);
        }
        let (at, until) = (Moment::from_millis(5_000), Moment::from_millis(9_000));
        assert_eq!(
            events,
            [
                ChordEvent::Pressed { at, profile: ptt_messages::Profile::DEFAULT },
                ChordEvent::Released { at: until }
            ]
        );
    }

    /// Any bytes, or events of a few kinds and keys: a watched key hardly ever comes out of any bytes.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let codes = prop::sample::select(vec![SYN_REPORT, SYN_DROPPED, 30, DOWN, RIGHT]);
        let events = (0_u16..3, codes, 0_i32..3).prop_map(|(kind, code, value)| event(7, kind, code, value));
        let events = prop::collection::vec(events, 0..8).prop_map(|events| events.concat());
        prop_oneof![prop::collection::vec(any::<u8>(), 0..200), events]
    }

    proptest! {
        /// Any bytes, in any pieces: nothing panics, no unwatched key appears, and the true state ends every hold.
        #[test]
        fn no_bytes_break_it(pieces in prop::collection::vec(piece(), 0..10)) {
            let watched = KeyboardConfig::default().watched().unwrap();
            let (mut decoder, mut signals) = (Decoder::new(DEVICE), Vec::new());
            for piece in &pieces {
                decoder.feed(piece, &watched, None, &mut signals);
            }
            // Each signal is that of an event of its key, in their order.
            let events = pieces.iter().flat_map(|piece| piece.chunks_exact(EVENT_BYTES));
            let mut codes = events.map(|event| u16::from_ne_bytes([event[2 * WORD + 2], event[2 * WORD + 3]]));
            for signal in &signals {
                let Signal::Key { slot, .. } = signal else { panic!("{signal:?}") };
                let key = watched.key(*slot).code();
                prop_assert!(codes.any(|code| code == key), "{key} in {signals:?}");
            }
            let (mut tracker, mut events) = (ChordTracker::new(&watched, Duration::ZERO), Vec::new());
            for signal in signals {
                tracker.step(signal, &mut events);
            }
            let at = Moment::from_nanos(u64::MAX);
            tracker.step(Signal::Actual { device: DEVICE, down: Slots::NONE, at }, &mut events);
            prop_assert!(!tracker.is_held());
        }
    }
}
