//! Which keys of a keyboard that was taken from everybody are passed on, purely.
//!
//! The key that makes a chord whole is kept, and so is all that the chord's keys do until they are up. Those that went down
//! before it have been passed on already: they are let go for the others at that moment, so a chord of letters leaves at most
//! a letter behind and never one that repeats.
//!
//! An Alt or Meta that goes down and up with nothing between opens menus and overviews. Where there was something between that
//! was kept, a tap of Ctrl is put in its place, which means nothing to anybody.

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
    /// The last key that went down for the others.
    newest: Option<u16>,
    /// A key that went down after it was kept.
    kept: bool,
    /// What is tapped before an Alt or Meta that would speak alone is let go.
    mask: u16,
}

/// Left Ctrl, Space and Escape together: the user wants the keyboard back, whatever we think.
pub const WAY_OUT: [u16; 3] = [29, 57, 1];

/// Left and right Alt, left and right Meta.
pub const SPEAKS_ALONE: [u16; 4] = [56, 100, 125, 126];

/// Left Ctrl, and right Ctrl where a chord has the left one: it must not become whole for the others.
pub const MASKS: [u16; 2] = [29, 97];

impl Sieve {
    /// For a keyboard on which no key is down.
    #[must_use]
    pub fn new(chords: Vec<Vec<u16>>) -> Self {
        let free = |key: &u16| !chords.iter().flatten().any(|taken| taken == key);
        let mask = MASKS.into_iter().find(free).unwrap_or(MASKS[0]);
        Self { chords, down: Vec::new(), passed: Vec::new(), newest: None, kept: false, mask }
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
                    self.kept = true;
                    self.let_go(|key| kept.contains(&key), tell);
                } else if !self.passed.contains(&code) {
                    self.passed.push(code);
                    (self.newest, self.kept) = (Some(code), false);
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

    /// Lets everything go for the others: the keyboard is given back. It may be taken again when no key is down.
    pub fn end(&mut self, tell: &mut Vec<KeyEvent>) {
        self.down.clear();
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
        let speaks = |key: &u16| which(*key) && self.newest == Some(*key) && SPEAKS_ALONE.contains(key);
        if self.kept && self.passed.iter().any(speaks) && !self.passed.contains(&self.mask) {
            tell.extend([(self.mask, 1), (self.mask, 0)]);
            self.newest = Some(self.mask);
        }
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

    /// Meta and Alt with a key that the others do not see open no overview and no menu; alone they do as ever.
    #[test]
    fn an_alt_or_meta_before_a_kept_key_does_not_speak_alone() {
        let [ctrl, shift, alt, space, altgr, right_ctrl, meta, f13] = [29, 42, 56, 57, 100, 97, 125, 183];
        let (down, up) = (|key| (key, 1), |key| (key, 0));
        let [tap, right_tap] = [ctrl, right_ctrl].map(|key| [down(key), up(key)]);
        let plain: &[&[u16]] = &[&[meta, space], &[alt, space], &[altgr, space], &[meta, alt, space], &[f13]];
        let with_ctrl: &[&[u16]] = &[&[meta, ctrl], &[meta, space], &[shift, space]];
        for (chords, events, left) in [
            // The moment it is let go is when the chord becomes whole.
            (plain, vec![down(meta), down(space)], [&[down(meta)][..], &tap, &[up(meta)]].concat()),
            (plain, vec![down(alt), down(space)], [&[down(alt)][..], &tap, &[up(alt)]].concat()),
            (plain, vec![down(altgr), down(space)], [&[down(altgr)][..], &tap, &[up(altgr)]].concat()),
            (
                plain,
                vec![down(meta), down(alt), down(space)],
                [&[down(meta), down(alt)][..], &tap, &[up(meta), up(alt)]].concat(),
            ),
            // One that is in no whole chord is let go by its user, and something was between there too.
            (
                plain,
                vec![down(meta), down(f13), up(f13), up(meta)],
                [&[down(meta)][..], &tap, &[up(meta)]].concat(),
            ),
            // Nothing was kept, or the others have seen something.
            (plain, vec![down(meta), up(meta)], vec![down(meta), up(meta)]),
            (
                plain,
                vec![down(meta), down(B), up(B), down(space)],
                vec![down(meta), down(B), up(B), up(meta)],
            ),
            (
                plain,
                vec![down(ctrl), down(meta), down(space), up(ctrl)],
                vec![down(ctrl), down(meta), up(meta), up(ctrl)],
            ),
            // Once: the next time nothing was kept.
            (
                plain,
                vec![down(f13), up(f13), down(meta), up(meta), down(alt), up(alt)],
                vec![down(meta), up(meta), down(alt), up(alt)],
            ),
            // A chord of its own must not become whole by it.
            (with_ctrl, vec![down(meta), down(ctrl)], [&[down(meta)][..], &right_tap, &[up(meta)]].concat()),
            (with_ctrl, vec![down(meta), down(space)], [&[down(meta)][..], &right_tap, &[up(meta)]].concat()),
            (with_ctrl, vec![down(shift), down(space)], vec![down(shift), up(shift)]),
        ] {
            assert_eq!(told_of(chords, &events), left, "{events:?}");
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
        assert!(!sieve.wants_out(), "should it be taken again, nothing is down");
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
        fn the_others_see_a_keyboard_that_makes_sense(keys in prop::collection::vec((0_usize..6, 0_i32..3), 0..200)) {
            const KEYS: [u16; 6] = [125, 29, 57, 56, 97, B];
            let chords = [vec![KEYS[0], KEYS[1], KEYS[2]], vec![KEYS[2], KEYS[3]]];
            let (mut sieve, mut tell) = (Sieve::new(chords.to_vec()), Vec::new());
            let mut down: Vec<u16> = Vec::new();
            let end: Vec<KeyEvent> = KEYS.map(|key| (key, 0)).to_vec();
            for event in keys.into_iter().map(|(key, value)| (KEYS[key], value)).chain(end) {
                sieve.step(event, &mut tell);
                for (key, value) in tell.drain(..) {
                    prop_assert_eq!(down.contains(&key), value != 1, "{} {}", key, value);
                    down.retain(|known| value != 0 || *known != key);
                    if value == 1 {
                        down.push(key);
                    }
                    prop_assert!(!chords.iter().any(|chord| chord.iter().all(|key| down.contains(key))));
                }
            }
            prop_assert!(down.is_empty());
        }
    }
}
