//! One gesture on the chord: when it began, what will end it, and when it did.

use ptt_messages::{Moment, Profile};

use super::policy::{Mode, Policy};

/// Something that happened to a chord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// It went down: that of this profile.
    Down(Moment, Profile),
    /// It came up.
    Up(Moment),
    /// A whole gesture in one event.
    Toggle(Moment, Profile),
    /// The keyboard is gone, so the release will never come.
    Lost(Moment),
    /// Nobody is at the keyboard any more, so nothing will end it.
    UserLeft(Moment),
}

/// From the press to what ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gesture {
    /// Whose chord began it.
    pub profile: Profile,
    pub pressed: Moment,
    /// The next press ends it, a release does not.
    latched: bool,
    pub ended: Option<Moment>,
}

/// What an edge did to a gesture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing, or it became a latched one.
    GoesOn,
    /// It was too short to be meant.
    Tap,
    /// It is over.
    Ended,
}

impl Gesture {
    /// The gesture that this edge begins, if it begins one. `tapped` is a press that may be the first of two on the
    /// same chord, and stays empty in other modes than double tap. Releases say nothing there: between two presses there is one.
    pub fn begin(policy: &Policy, tapped: &mut Option<(Moment, Profile)>, edge: Edge) -> Option<Self> {
        let first = tapped.take();
        let (pressed, profile, latched) = match edge {
            Edge::Down(at, profile) if policy.mode == Mode::DoubleTap => {
                let second = first.is_some_and(|(first, of)| {
                    of == profile && at > first && at.since(first) <= policy.double_tap
                });
                if !second {
                    *tapped = Some((at, profile));
                    return None;
                }
                (at, profile, true)
            }
            Edge::Down(at, profile) => (at, profile, policy.mode == Mode::Toggle),
            Edge::Toggle(at, profile) => (at, profile, true),
            Edge::Up(_) => {
                *tapped = first;
                return None;
            }
            Edge::Lost(_) | Edge::UserLeft(_) => return None,
        };
        Some(Self { profile, pressed, latched, ended: None })
    }

    /// A gesture without a key: of a take that is asked for again.
    pub const fn over(at: Moment, profile: Profile) -> Self {
        Self { profile, pressed: at, latched: false, ended: Some(at) }
    }

    /// Whether an edge can still do something to it.
    pub const fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether a release would end it.
    pub const fn is_held(&self) -> bool {
        self.is_open() && !self.latched
    }

    /// What the edge does to it.
    pub fn turn(&mut self, policy: &Policy, edge: Edge) -> Turn {
        if !self.is_open() {
            return Turn::GoesOn;
        }
        match edge {
            Edge::Up(at) if self.is_held() => {
                let held = at.since(self.pressed);
                match policy.mode {
                    Mode::Auto if held < policy.auto_tap => {
                        self.latched = true;
                        Turn::GoesOn
                    }
                    Mode::Hold if held < policy.min_hold => Turn::Tap,
                    Mode::Hold | Mode::Auto | Mode::Toggle | Mode::DoubleTap => self.end(at),
                }
            }
            // However short: the hand may still be on the key of a keyboard that went away.
            Edge::Lost(at) if self.is_held() => self.end(at),
            // A latched one too: a microphone that nobody speaks into on purpose is not left open.
            Edge::UserLeft(at) => self.end(at),
            // Of any chord: whoever presses another one does not want this take to go on unnoticed.
            Edge::Down(at, _) if self.latched && at > self.pressed => self.end(at),
            Edge::Toggle(at, _) if at > self.pressed => self.end(at),
            // A press while held is one whose release was lost: the next release ends both, so no word is.
            // A latched take outlives its keyboard: none of its keys is down.
            Edge::Up(_) | Edge::Lost(_) | Edge::Down(..) | Edge::Toggle(..) => Turn::GoesOn,
        }
    }

    fn end(&mut self, at: Moment) -> Turn {
        self.ended = Some(at.max(self.pressed));
        Turn::Ended
    }
}

#[cfg(test)]
mod tests {
    use super::Edge::{Down, Lost, Toggle, Up, UserLeft};
    use super::*;

    const MAIN: Profile = Profile::DEFAULT;
    const OTHER: Profile = Profile(1);

    #[test]
    fn a_gesture_ends_as_its_mode_says() {
        use Mode::{Auto, DoubleTap, Hold, Toggle as Toggled};
        let at = Moment::from_millis;
        let table: &[(Mode, Edge, &[Edge], Turn)] = &[
            (Hold, Down(at(10), MAIN), &[Up(at(159))], Turn::Tap),
            (Hold, Down(at(10), MAIN), &[Up(at(160))], Turn::Ended),
            (Hold, Down(at(10), MAIN), &[Down(at(10), MAIN), Down(at(99), MAIN)], Turn::GoesOn),
            (Hold, Down(at(10), MAIN), &[Down(at(99), OTHER)], Turn::GoesOn),
            (Hold, Down(at(10), MAIN), &[Lost(at(11))], Turn::Ended),
            (Hold, Down(at(10), MAIN), &[UserLeft(at(11))], Turn::Ended),
            (Hold, Down(at(10), MAIN), &[Toggle(at(500), MAIN)], Turn::Ended),
            (Hold, Toggle(at(10), MAIN), &[Up(at(500))], Turn::GoesOn),
            (Hold, Toggle(at(10), MAIN), &[Lost(at(500))], Turn::GoesOn),
            (Hold, Toggle(at(10), MAIN), &[UserLeft(at(500))], Turn::Ended),
            (Hold, Toggle(at(10), MAIN), &[Toggle(at(10), MAIN)], Turn::GoesOn),
            (Hold, Toggle(at(10), MAIN), &[Toggle(at(500), MAIN)], Turn::Ended),
            (Toggled, Down(at(10), MAIN), &[Up(at(500))], Turn::GoesOn),
            (Toggled, Down(at(10), MAIN), &[Up(at(500)), Down(at(10), MAIN)], Turn::GoesOn),
            (Toggled, Down(at(10), MAIN), &[Up(at(500)), Down(at(900), MAIN)], Turn::Ended),
            (Toggled, Down(at(10), MAIN), &[Up(at(500)), Down(at(900), OTHER)], Turn::Ended),
            (Toggled, Down(at(10), MAIN), &[Up(at(500)), UserLeft(at(900))], Turn::Ended),
            (Auto, Down(at(10), MAIN), &[Up(at(359))], Turn::GoesOn),
            (Auto, Down(at(10), MAIN), &[Up(at(359)), Up(at(2_000))], Turn::GoesOn),
            (Auto, Down(at(10), MAIN), &[Up(at(359)), Down(at(2_000), MAIN)], Turn::Ended),
            (Auto, Down(at(10), MAIN), &[Up(at(360))], Turn::Ended),
            (DoubleTap, Toggle(at(10), MAIN), &[Up(at(500))], Turn::GoesOn),
            (DoubleTap, Toggle(at(10), MAIN), &[Down(at(500), MAIN)], Turn::Ended),
        ];
        for (mode, first, edges, expected) in table {
            let policy = Policy { mode: *mode, ..Policy::default() };
            let mut gesture = Gesture::begin(&policy, &mut None, *first).unwrap();
            let last = edges.iter().map(|edge| gesture.turn(&policy, *edge)).last();
            assert_eq!(last, Some(*expected), "{mode:?}: {first:?} {edges:?}");
        }
        assert_eq!(Gesture::begin(&Policy::default(), &mut None, Up(at(1))), None);
    }

    #[test]
    fn two_quick_taps_begin_one_gesture_and_the_next_press_ends_it() {
        let at = Moment::from_millis;
        let policy = Policy { mode: Mode::DoubleTap, ..Policy::default() };
        let table: &[(&[Edge], Option<u64>)] = &[
            (&[Down(at(10), MAIN)], None),
            (&[Down(at(10), MAIN), Up(at(60)), Down(at(410), MAIN), Up(at(450))], Some(410)),
            (&[Down(at(10), MAIN), Up(at(60)), Down(at(411), MAIN)], None),
            // Too far apart for two, but the second and the third are near enough.
            (&[Down(at(10), MAIN), Down(at(411), MAIN), Down(at(700), MAIN)], Some(700)),
            (&[Down(at(10), MAIN), Down(at(10), MAIN)], None),
            (&[Down(at(10), MAIN), Down(at(5), MAIN)], None),
            // The hand was on a keyboard that went away.
            (&[Down(at(10), MAIN), Lost(at(20)), Down(at(100), MAIN)], None),
            (&[Down(at(10), MAIN), Toggle(at(100), MAIN)], Some(100)),
            (&[Up(at(10)), Down(at(100), MAIN)], None),
            // Two chords, one tap each; the third press is the second one of its chord.
            (&[Down(at(10), MAIN), Down(at(100), OTHER)], None),
            (&[Down(at(10), MAIN), Down(at(100), OTHER), Down(at(200), MAIN)], None),
            (&[Down(at(10), MAIN), Down(at(100), OTHER), Down(at(200), OTHER)], Some(200)),
        ];
        for (edges, expected) in table {
            let mut tapped = None;
            let begun: Vec<Gesture> =
                edges.iter().filter_map(|edge| Gesture::begin(&policy, &mut tapped, *edge)).collect();
            assert_eq!(begun.first().map(|gesture| gesture.pressed), expected.map(at), "{edges:?}");
            for mut gesture in begun {
                assert!(tapped.is_none() && !gesture.is_held(), "{edges:?}");
                assert_eq!(gesture.turn(&policy, Up(at(800))), Turn::GoesOn, "hands are free");
                assert_eq!(gesture.turn(&policy, Lost(at(801))), Turn::GoesOn);
                assert_eq!(gesture.turn(&policy, Down(at(900), MAIN)), Turn::Ended);
            }
        }
        for mode in [Mode::Hold, Mode::Toggle, Mode::Auto] {
            let mut tapped = None;
            let policy = Policy { mode, ..Policy::default() };
            assert!(Gesture::begin(&policy, &mut tapped, Down(at(10), MAIN)).is_some());
            assert_eq!(tapped, None, "{mode:?}");
        }
    }

    #[test]
    fn a_release_that_claims_to_be_older_than_its_press_ends_no_earlier_than_it() {
        let policy = Policy { min_hold: std::time::Duration::ZERO, ..Policy::default() };
        let mut gesture = Gesture::begin(&policy, &mut None, Down(Moment::from_millis(10), MAIN)).unwrap();
        assert_eq!(gesture.turn(&policy, Up(Moment::from_millis(5))), Turn::Ended);
        assert_eq!(gesture.ended, Some(Moment::from_millis(10)));
    }
}
