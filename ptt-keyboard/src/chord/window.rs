//! The last ten edges of the chord, for diagnosis. Never the keys that were typed: they have no [`Slot`].

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use ptt_messages::Moment;

use super::Slot;

/// One edge of a key of the chord.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChordEdge {
    /// Which key of the chord.
    pub slot: Slot,
    /// Down or up.
    pub down: bool,
    /// When.
    pub at: Moment,
}

/// A rolling window of the last [`EdgeWindow::LENGTH`] edges.
#[derive(Clone, Default)]
pub struct EdgeWindow(VecDeque<ChordEdge>);

impl EdgeWindow {
    /// How many edges it holds at most.
    pub const LENGTH: usize = 10;

    /// The edges, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ChordEdge> {
        self.0.iter()
    }

    /// How long the key of the newest edge had been up when that edge pressed it again: a finger takes tens of milliseconds
    /// for that, a worn switch a few.
    #[must_use]
    pub fn last_gap(&self) -> Option<Duration> {
        let newest = self.0.back().filter(|edge| edge.down)?;
        let before = self.0.iter().rev().skip(1).find(|edge| edge.slot == newest.slot)?;
        (!before.down).then(|| newest.at.since(before.at))
    }

    pub(super) fn push(&mut self, edge: ChordEdge) {
        if self.0.len() == Self::LENGTH {
            self.0.pop_front();
        }
        self.0.push_back(edge);
    }
}

/// Redacted: which key of the chord was used when is the user's.
impl fmt::Debug for ChordEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChordEdge(..)")
    }
}

impl fmt::Debug for EdgeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeWindow({} of {})", self.0.len(), Self::LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(slot: u8, down: bool, ms: u64) -> ChordEdge {
        ChordEdge { slot: Slot(slot), down, at: Moment::from_millis(ms) }
    }

    #[test]
    fn it_keeps_ten_and_shows_none() {
        let mut window = EdgeWindow::default();
        for n in 0..25 {
            window.push(edge(0, n % 2 == 0, n));
        }
        assert_eq!(
            window.iter().map(|edge| edge.at.as_nanos() / 1_000_000).collect::<Vec<_>>(),
            [15, 16, 17, 18, 19, 20, 21, 22, 23, 24]
        );
        assert_eq!(format!("{window:?}"), "EdgeWindow(10 of 10)");
        assert_eq!(format!("{:?}", window.iter().next()), "Some(ChordEdge(..))");
    }

    #[test]
    fn the_gap_is_that_of_one_key() {
        let mut window = EdgeWindow::default();
        assert_eq!(window.last_gap(), None);
        for (e, expected) in [
            (edge(0, true, 10), None),
            (edge(1, true, 12), None),
            (edge(0, false, 50), None),
            (edge(1, false, 51), None),
            (edge(0, true, 54), Some(Duration::from_millis(4))),
            (edge(1, true, 91), Some(Duration::from_millis(40))),
        ] {
            window.push(e);
            assert_eq!(window.last_gap(), expected);
        }
    }
}
