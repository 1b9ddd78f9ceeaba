//! From edges of single keys to presses and releases of chords.
//!
//! The rules, each of which a user of some other program had to report:
//! * A chord is down when every key of it is down, on whichever devices; it is up as soon as *any* of them is.
//! * Of several that become whole with one key the one with the most keys is meant, and of equally long ones the first. Keys that
//!   went down at the same moment are one such key.
//! * While one is down there is no other. After it nothing starts until all its keys have been up, and then only with keys that
//!   went down later.
//! * A key that was down before we looked (at opening, after a hole in what the kernel told) is *stale*: it counts as up until
//!   it has been up, so a hold that was there before does not start a take.
//! * A device that goes takes its keys with it, and only its own.
//! * When the user leaves (sleep, lock, another session in front) every key is stale, and so is one that goes down before they
//!   are back.

use std::time::Duration;

use ptt_messages::{Moment, Profile};

use super::{ChordEdge, EdgeWindow, Slot, Slots, Watched, WatchedChord};

/// A device, for as long as it is open. Never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId(pub u32);

/// What one key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It went down.
    Down,
    /// It went up.
    Up,
    /// It is still down, says the keyboard's auto-repeat.
    Repeat,
}

/// What a source tells. Times are those of the kernel where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A key did something.
    Key { device: DeviceId, slot: Slot, edge: Edge, at: Moment },
    /// A device is new; these of its keys are down already.
    Opened { device: DeviceId, down: Slots, at: Moment },
    /// These keys of a device are really down, whatever its edges said.
    Actual { device: DeviceId, down: Slots, at: Moment },
    /// A device is gone.
    Lost { device: DeviceId, at: Moment },
    /// Not a key: one gesture that starts a take of this profile, or ends any.
    Toggled { at: Moment, profile: Profile },
    /// The user left: whatever is down now, or goes down, is not meant for us.
    Away { at: Moment },
    /// The user is back.
    Back { at: Moment },
}

/// What a chord did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChordEvent {
    /// The last missing key of this profile's chord went down.
    Pressed { at: Moment, profile: Profile },
    /// The first key went up.
    Released { at: Moment },
    /// The cancel key went down.
    Cancelled { at: Moment },
    /// Passed on from the source.
    Toggled { at: Moment, profile: Profile },
    /// The user left, which is a release where the chord was held.
    UserLeft { at: Moment },
}

/// The state of the chords. Presses and releases alternate, beginning with a press; [`ChordEvent::UserLeft`] is a release too.
#[derive(Debug)]
pub struct ChordTracker {
    chords: Vec<WatchedChord>,
    /// The keys of all chords.
    keys: Slots,
    cancel: Option<Slot>,
    bounce: Duration,
    devices: Vec<Device>,
    hold: Hold,
    /// The keys of the chord that is held, or was; none where all of them have been up since.
    last: Slots,
    /// Keys that went down too early for the next press: they count again once they have been up.
    spent: Slots,
    away: bool,
    window: EdgeWindow,
}

#[derive(Debug)]
struct Device {
    id: DeviceId,
    down: Slots,
    /// Part of `down` that does not count.
    stale: Slots,
}

#[derive(Clone, Copy, Debug)]
enum Hold {
    Up,
    Down,
    /// Up since `at`; a release unless all keys are down again by `due`.
    Lifted {
        at: Moment,
        due: Moment,
    },
}

impl Signal {
    /// When it happened.
    #[must_use]
    pub const fn at(&self) -> Moment {
        match self {
            Self::Key { at, .. }
            | Self::Opened { at, .. }
            | Self::Actual { at, .. }
            | Self::Lost { at, .. }
            | Self::Toggled { at, .. }
            | Self::Away { at }
            | Self::Back { at } => *at,
        }
    }

    /// When a key went down, if that is what it tells.
    const fn goes_down(&self) -> Option<Moment> {
        match self {
            Self::Key { edge: Edge::Down, at, .. } => Some(*at),
            Self::Key { edge: Edge::Up | Edge::Repeat, .. }
            | Self::Opened { .. }
            | Self::Actual { .. }
            | Self::Lost { .. }
            | Self::Toggled { .. }
            | Self::Away { .. }
            | Self::Back { .. } => None,
        }
    }
}

impl ChordTracker {
    /// A tracker that has seen nothing. With a `bounce` longer than zero a release is told that much later, and not at all
    /// when the chord is whole again by then.
    #[must_use]
    pub fn new(watched: &Watched, bounce: Duration) -> Self {
        Self {
            chords: watched.chords().to_vec(),
            keys: watched.in_chords(),
            cancel: watched.cancel(),
            bounce,
            devices: Vec::new(),
            hold: Hold::Up,
            last: Slots::NONE,
            spent: Slots::NONE,
            away: false,
            window: EdgeWindow::default(),
        }
    }

    /// As [`ChordTracker::step`] with a batch's next signal in view: keys that go down at one moment are judged together.
    pub fn step_before(&mut self, next: Option<&Signal>, signal: Signal, events: &mut Vec<ChordEvent>) {
        let together = signal.goes_down().is_some() && signal.goes_down() == next.and_then(Signal::goes_down);
        self.take(signal, !together, events);
    }

    /// Takes a signal in. Signals of one batch are given in the order of their times.
    pub fn step(&mut self, signal: Signal, events: &mut Vec<ChordEvent>) {
        self.take(signal, true, events);
    }

    /// `judge`: whether the chords are looked at, too, when a key goes down.
    fn take(&mut self, signal: Signal, judge: bool, events: &mut Vec<ChordEvent>) {
        let at = signal.at();
        if let Hold::Lifted { due, .. } = self.hold
            && due < at
        {
            self.expire(due, events);
        }
        match signal {
            Signal::Key { edge: Edge::Repeat, .. } => {}
            Signal::Key { device, slot, edge: Edge::Down, .. } if self.away => {
                let of = self.device(device);
                of.down = of.down.with(slot);
                of.stale = of.stale.with(slot);
            }
            Signal::Key { device, slot, edge: Edge::Down, .. } => {
                let of = self.device(device);
                // The kernel tells a press only of a key that was up: a stale key has been up meanwhile.
                let fresh = !of.down.has(slot) || of.stale.has(slot);
                of.down = of.down.with(slot);
                of.stale = of.stale.without(slot.into());
                if fresh {
                    self.went(slot, true, at, events);
                }
                if judge {
                    self.settle(at, events);
                }
            }
            Signal::Key { device, slot, edge: Edge::Up, .. } => {
                let of = self.device(device);
                let was_down = of.down.has(slot);
                of.down = of.down.without(slot.into());
                of.stale = of.stale.and(of.down);
                if was_down {
                    self.went(slot, false, at, events);
                }
                self.settle(at, events);
            }
            Signal::Opened { device, down, .. } => {
                let of = self.device(device);
                (of.down, of.stale) = (down, down);
                self.settle(at, events);
            }
            Signal::Actual { device, down, .. } => {
                let of = self.device(device);
                let (new, gone) = (down.without(of.down), of.down.without(down));
                of.down = down;
                of.stale = of.stale.or(new).and(down);
                for slot in gone.iter() {
                    self.went(slot, false, at, events);
                }
                // Nobody holds the cancel key for long: it went down just now and its edge was lost.
                if !self.away && self.cancel.is_some_and(|slot| new.has(slot)) {
                    events.push(ChordEvent::Cancelled { at });
                }
                self.settle(at, events);
            }
            Signal::Lost { device, .. } => {
                self.devices.retain(|known| known.id != device);
                self.settle(at, events);
                // Its keys will not bounce back.
                if let Hold::Lifted { due, .. } = self.hold {
                    self.expire(due, events);
                }
            }
            Signal::Toggled { .. } if self.away => {}
            Signal::Toggled { profile, .. } => events.push(ChordEvent::Toggled { at, profile }),
            Signal::Away { .. } => {
                // A release that was held back in case of a bounce was one.
                if let Hold::Lifted { due, .. } = self.hold {
                    self.expire(due, events);
                }
                for device in &mut self.devices {
                    device.stale = device.down;
                }
                (self.away, self.hold) = (true, Hold::Up);
                (self.last, self.spent) = (Slots::NONE, Slots::NONE);
                events.push(ChordEvent::UserLeft { at });
            }
            Signal::Back { .. } => self.away = false,
        }
    }

    /// When [`ChordTracker::expire`] has something to do.
    #[must_use]
    pub const fn due(&self) -> Option<Moment> {
        match self.hold {
            Hold::Up | Hold::Down => None,
            Hold::Lifted { due, .. } => Some(due),
        }
    }

    /// Tells a release whose time to bounce back is over. Give it the signals that are there first.
    pub fn expire(&mut self, now: Moment, events: &mut Vec<ChordEvent>) {
        if let Hold::Lifted { at, due } = self.hold
            && due <= now
        {
            self.hold = Hold::Up;
            self.rest();
            events.push(ChordEvent::Released { at });
        }
    }

    /// Forgets every device: the source is gone.
    pub fn lose_all(&mut self, at: Moment, events: &mut Vec<ChordEvent>) {
        while let Some(device) = self.devices.first().map(|device| device.id) {
            self.step(Signal::Lost { device, at }, events);
        }
    }

    /// Whether a press has been told and its release has not.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        match self.hold {
            Hold::Up => false,
            Hold::Down | Hold::Lifted { .. } => true,
        }
    }

    /// Whether a release is held back in case the key only bounced.
    #[must_use]
    pub const fn forgives_bounce(&self) -> bool {
        !self.bounce.is_zero()
    }

    /// The last edges of keys of the chords.
    #[must_use]
    pub const fn window(&self) -> &EdgeWindow {
        &self.window
    }

    fn device(&mut self, id: DeviceId) -> &mut Device {
        let at = self.devices.iter().position(|device| device.id == id).unwrap_or_else(|| {
            self.devices.push(Device { id, down: Slots::NONE, stale: Slots::NONE });
            self.devices.len() - 1
        });
        &mut self.devices[at]
    }

    /// The keys of the chords that are down and count.
    fn live(&self) -> Slots {
        let down =
            self.devices.iter().fold(Slots::NONE, |all, device| all.or(device.down.without(device.stale)));
        down.and(self.keys)
    }

    fn went(&mut self, slot: Slot, down: bool, at: Moment, events: &mut Vec<ChordEvent>) {
        if self.keys.has(slot) {
            self.window.push(ChordEdge { slot, down, at });
        } else if down {
            events.push(ChordEvent::Cancelled { at });
        }
    }

    /// While nothing is held: which of the keys that are down count for the next press.
    fn rest(&mut self) {
        let live = self.live();
        if live.and(self.last).is_empty() {
            self.spent = if self.last.is_empty() { self.spent.and(live) } else { live };
            self.last = Slots::NONE;
        }
    }

    /// The chord that is whole with keys that count.
    fn meant(&self) -> Option<&WatchedChord> {
        let fresh = self.live().without(self.spent);
        let whole = self.chords.iter().filter(|chord| chord.slots.without(fresh).is_empty());
        // Of equals `max_by_key` takes the last one.
        whole.rev().max_by_key(|chord| chord.slots.count())
    }

    fn settle(&mut self, at: Moment, events: &mut Vec<ChordEvent>) {
        let whole = self.last.without(self.live()).is_empty();
        match self.hold {
            Hold::Up => {
                self.rest();
                if self.last.is_empty()
                    && let Some(meant) = self.meant()
                {
                    events.push(ChordEvent::Pressed { at, profile: meant.profile });
                    (self.hold, self.last) = (Hold::Down, meant.slots);
                }
            }
            Hold::Down if whole => {}
            Hold::Down => {
                self.hold = Hold::Lifted { at, due: at + self.bounce };
                if self.bounce.is_zero() {
                    self.expire(at, events);
                }
            }
            Hold::Lifted { .. } if whole => self.hold = Hold::Down,
            Hold::Lifted { .. } => {}
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
