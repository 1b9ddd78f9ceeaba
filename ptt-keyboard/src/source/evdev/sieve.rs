//! Which keys of a keyboard that was taken from everybody are passed on, purely.
//!
//! The key that makes a chord whole is kept, and so is all that the chord's keys do until they are up. Those that went down
//! before it have been passed on already: they are let go for the others at that moment, so a chord of letters leaves at most
//! a letter behind and never one that repeats.

/// A key event of the kernel: code and value (0 up, 1 down, 2 still down).
pub type KeyEvent = (u16, i32);

/// What a keyboard does, and what the others are told of it.
#[derive(Debug)]
pub struct Sieve {
    chords: Vec<Vec<u16>>,
    /// Keys that are down.
    down: Vec<u16>,
    /// Keys that are down for the others.
    passed: Vec<u16>,
}

/// Left Ctrl, Space and Escape together: the user wants the keyboard back, whatever we think.
pub const WAY_OUT: [u16; 3] = [29, 57, 1];

impl Sieve {
    /// For a keyboard on which no key is down.
    #[must_use]
    pub fn new(chords: Vec<Vec<u16>>) -> Self {
        Self { chords, down: Vec::new(), passed: Vec::new() }
    }

    /// Takes an event in and adds what the others are told.
    pub fn step(&mut self, (code, value): KeyEvent, tell: &mut Vec<KeyEvent>) {
        match value {
            0 => {
                self.down.retain(|key| *key != code);
                self.let_go(|key| key == code, tell);
            }
            1 => {
                if !self.down.contains(&code) {
                    self.down.push(code);
                }
                let whole = self.chords.iter().filter(|chord| chord.contains(&code) && self.has(chord));
                let kept: Vec<u16> = whole.flatten().copied().collect();
                if !kept.is_empty() {
                    self.let_go(|key| kept.contains(&key), tell);
                } else if !self.passed.contains(&code) {
                    self.passed.push(code);
                    tell.push((code, value));
                }
            }
            _ if self.passed.contains(&code) => tell.push((code, value)),
            _ => {}
        }
    }

    /// After a hole in the events: these keys are down. What went up unseen is let go; what went down unseen stays unsaid
    /// until it goes down again.
    pub fn resync(&mut self, down: Vec<u16>, tell: &mut Vec<KeyEvent>) {
        self.down = down;
        let down = self.down.clone();
        self.let_go(|key| !down.contains(&key), tell);
    }

    /// Lets everything go for the others: the keyboard is given back.
    pub fn end(&mut self, tell: &mut Vec<KeyEvent>) {
        self.let_go(|_| true, tell);
    }

    /// Whether the user asks for the keyboard.
    #[must_use]
    pub fn wants_out(&self) -> bool {
        self.has(&WAY_OUT)
    }

    fn has(&self, keys: &[u16]) -> bool {
        keys.iter().all(|key| self.down.contains(key))
    }

    fn let_go(&mut self, which: impl Fn(u16) -> bool, tell: &mut Vec<KeyEvent>) {
        self.passed.retain(|key| {
            if which(*key) {
                tell.push((*key, 0));
            }
            !which(*key)
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOWN: u16 = 108;
    const RIGHT: u16 = 106;
    const B: u16 = 48;

    fn told(chord: &[u16], events: &[KeyEvent]) -> Vec<KeyEvent> {
        told_of(&[chord], events)
    }

    fn told_of(chords: &[&[u16]], events: &[KeyEvent]) -> Vec<KeyEvent> {
        let chords = chords.iter().map(|chord| chord.to_vec()).collect();
        let (mut sieve, mut tell) = (Sieve::new(chords), Vec::new());
        events.iter().for_each(|event| sieve.step(*event, &mut tell));
        tell
    }

    #[test]
    fn a_chord_of_one_key_leaves_no_trace() {
        let events = [(183, 1), (B, 1), (183, 2), (B, 2), (B, 0), (183, 0), (B, 1), (B, 0)];
        assert_eq!(told(&[183], &events), [(B, 1), (B, 2), (B, 0), (B, 1), (B, 0)]);
    }

    #[test]
    fn of_a_longer_chord_the_first_key_is_let_go_when_the_last_comes() {
        let events =
            [(DOWN, 1), (DOWN, 2), (RIGHT, 1), (DOWN, 2), (RIGHT, 2), (DOWN, 0), (RIGHT, 2), (RIGHT, 0)];
        assert_eq!(told(&[DOWN, RIGHT], &events), [(DOWN, 1), (DOWN, 2), (DOWN, 0)]);
        // One of them alone is as ever; one that comes back to the other makes the chord again.
        assert_eq!(
            told(&[DOWN, RIGHT], &[(RIGHT, 1), (RIGHT, 2), (RIGHT, 0)]),
            [(RIGHT, 1), (RIGHT, 2), (RIGHT, 0)]
        );
        let events =
            [(DOWN, 1), (RIGHT, 1), (RIGHT, 0), (RIGHT, 1), (RIGHT, 0), (DOWN, 0), (DOWN, 1), (DOWN, 0)];
        assert_eq!(told(&[DOWN, RIGHT], &events), [(DOWN, 1), (DOWN, 0), (DOWN, 1), (DOWN, 0)]);
    }

    /// Ctrl+Space, Ctrl+Shift+Space and F13.
    #[test]
    fn of_several_chords_all_keys_of_those_that_become_whole_are_let_go() {
        let [ctrl, shift, space, f13] = [29, 42, 57, 183];
        let chords: [&[u16]; 3] = [&[ctrl, space], &[ctrl, shift, space], &[f13]];
        let (down, up) = (|key| (key, 1), |key| (key, 0));
        for (keys, left) in [
            (&[ctrl, space][..], &[down(ctrl), up(ctrl)][..]),
            (&[shift, ctrl, space], &[down(shift), down(ctrl), up(shift), up(ctrl)]),
            (&[f13, ctrl, space], &[down(ctrl), up(ctrl)]),
            // What makes no chord stays as it is, beside one too.
            (&[shift, space], &[down(shift), down(space), up(shift), up(space)]),
            (&[f13, space], &[down(space), up(space)]),
            (&[ctrl, B, space], &[down(ctrl), down(B), up(ctrl), up(B)]),
        ] {
            let events: Vec<KeyEvent> =
                keys.iter().map(|key| down(*key)).chain(keys.iter().map(|key| up(*key))).collect();
            assert_eq!(told_of(&chords, &events), left, "{keys:?}");
        }
    }

    #[test]
    fn the_way_out_is_seen_and_ends_with_nothing_down() {
        let (mut sieve, mut tell) = (Sieve::new(vec![vec![183]]), Vec::new());
        for key in WAY_OUT {
            assert!(!sieve.wants_out());
            sieve.step((key, 1), &mut tell);
        }
        assert!(sieve.wants_out());
        tell.clear();
        sieve.end(&mut tell);
        assert_eq!(tell, WAY_OUT.map(|key| (key, 0)));
    }

    #[test]
    fn after_a_hole_nothing_is_stuck() {
        let (mut sieve, mut tell) = (Sieve::new(vec![vec![183]]), Vec::new());
        [(42, 1), (B, 1)].iter().for_each(|event| sieve.step(*event, &mut tell));
        tell.clear();
        sieve.resync(vec![42, 30], &mut tell);
        assert_eq!(tell, [(B, 0)]);
        tell.clear();
        [(30, 0), (42, 0)].iter().for_each(|event| sieve.step(*event, &mut tell));
        assert_eq!(tell, [(42, 0)]);
    }

    proptest! {
        /// Whatever is pressed: the others see presses and releases in turns, never a chord whole, and nothing stays down.
        #[test]
        fn the_others_see_a_keyboard_that_makes_sense(keys in prop::collection::vec((0_u16..5, 0_i32..3), 0..200)) {
            let (mut sieve, mut tell) = (Sieve::new(vec![vec![0, 1, 2], vec![2, 3]]), Vec::new());
            let mut down: Vec<u16> = Vec::new();
            let end: Vec<KeyEvent> = (0..5).map(|key| (key, 0)).collect();
            for event in keys.into_iter().chain(end) {
                sieve.step(event, &mut tell);
                for (key, value) in tell.drain(..) {
                    prop_assert_eq!(down.contains(&key), value != 1, "{} {}", key, value);
                    down.retain(|known| value != 0 || *known != key);
                    if value == 1 {
                        down.push(key);
                    }
                }
                prop_assert!(![0, 1, 2].iter().all(|key| down.contains(key)));
                    prop_assert!(![2, 3].iter().all(|key| down.contains(key)));
            }
            prop_assert!(down.is_empty());
        }
    }
}
