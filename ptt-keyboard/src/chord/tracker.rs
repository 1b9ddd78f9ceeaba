//! From edges of single keys to presses and releases of the chord.
//!
//! The rules, each of which a user of some other program had to report:
//! * The chord is down when every key of it is down, on whichever devices; it is up as soon as *any* of them is.
//! * After that nothing starts until all its keys have been up.
//! * A key that was down before we looked (at opening, after a hole in what the kernel told) is *stale*: it counts as up until
//!   it has been up, so a hold that was there before does not start a take.
//! * A device that goes takes its keys with it, and only its own.
//! * When the user leaves (sleep, lock, another session in front) every key is stale, and so is one that goes down before they
//!   are back.

use std::time::Duration;

use ptt_messages::Moment;

use super::{ChordEdge, EdgeWindow, Slot, Slots, Watched};

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
    /// Not a key: one gesture that starts or ends a take.
    Toggled { at: Moment },
    /// The user left: whatever is down now, or goes down, is not meant for us.
    Away { at: Moment },
    /// The user is back.
    Back { at: Moment },
}

/// What the chord did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChordEvent {
    /// The last missing key went down.
    Pressed { at: Moment },
    /// The first key went up.
    Released { at: Moment },
    /// The cancel key went down.
    Cancelled { at: Moment },
    /// Passed on from the source.
    Toggled { at: Moment },
    /// The user left, which is a release where the chord was held.
    UserLeft { at: Moment },
}

/// The state of the chord. Presses and releases alternate, beginning with a press; [`ChordEvent::UserLeft`] is a release too.
#[derive(Debug)]
pub struct ChordTracker {
    chord: Slots,
    cancel: Option<Slot>,
    bounce: Duration,
    devices: Vec<Device>,
    hold: Hold,
    /// All keys of the chord have been up since the last hold.
    armed: bool,
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
            | Self::Toggled { at }
            | Self::Away { at }
            | Self::Back { at } => *at,
        }
    }
}

impl ChordTracker {
    /// A tracker that has seen nothing. With a `bounce` longer than zero a release is told that much later, and not at all
    /// when the chord is whole again by then.
    #[must_use]
    pub fn new(watched: &Watched, bounce: Duration) -> Self {
        Self {
            chord: watched.chord(),
            cancel: watched.cancel(),
            bounce,
            devices: Vec::new(),
            hold: Hold::Up,
            armed: true,
            away: false,
            window: EdgeWindow::default(),
        }
    }

    /// Takes a signal in. Signals of one batch are given in the order of their times.
    pub fn step(&mut self, signal: Signal, events: &mut Vec<ChordEvent>) {
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
                self.settle(at, events);
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
            Signal::Toggled { .. } => events.push(ChordEvent::Toggled { at }),
            Signal::Away { .. } => {
                // A release that was held back in case of a bounce was one.
                if let Hold::Lifted { due, .. } = self.hold {
                    self.expire(due, events);
                }
                for device in &mut self.devices {
                    device.stale = device.down;
                }
                (self.away, self.hold, self.armed) = (true, Hold::Up, true);
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
            self.armed = self.live().is_empty();
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

    /// The last edges of the chord.
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

    /// The keys of the chord that are down and count.
    fn live(&self) -> Slots {
        let down =
            self.devices.iter().fold(Slots::NONE, |all, device| all.or(device.down.without(device.stale)));
        down.and(self.chord)
    }

    fn went(&mut self, slot: Slot, down: bool, at: Moment, events: &mut Vec<ChordEvent>) {
        if self.chord.has(slot) {
            self.window.push(ChordEdge { slot, down, at });
        } else if down {
            events.push(ChordEvent::Cancelled { at });
        }
    }

    fn settle(&mut self, at: Moment, events: &mut Vec<ChordEvent>) {
        let live = self.live();
        let whole = live == self.chord;
        match self.hold {
            Hold::Up => {
                self.armed |= live.is_empty();
                if whole && self.armed {
                    self.armed = false;
                    self.hold = Hold::Down;
                    events.push(ChordEvent::Pressed { at });
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
