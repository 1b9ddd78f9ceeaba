//! How loud the voice of a take is and how quiet its room: what is as quiet as the room is no speech, whatever the
//! detector says. A detector with a memory goes on hearing a voice that stopped at once: `earshot` for 0.1 to 0.2 s.
//! Pure: energies only.

/// Frames over which the room's energy is taken: longer than the closure of a plosive.
const ROOM_FRAMES: usize = 8;
/// How much louder than the room a frame may be and still be the room: 6 dB, what noise varies by from frame to frame.
const ROOM_FACTOR: f32 = 4.0;
/// What is this much weaker than the voice is never speech (45 dB), and what is louder than this (33 dB below it) is never
/// taken for the room. The weakest fricatives are some 30 dB below the vowels.
const ALWAYS_QUIET: f32 = 3e-5;
const NEVER_QUIET: f32 = 5e-4;

/// Frames whose median is taken for the loudest sound, so that no click is it.
const LOUD_FRAMES: usize = 5;
/// A take whose loudest sound is weaker, RMS 0.01, is of a microphone that must be turned up: one of 143 recordings is.
const WEAK: f32 = 1e-4;

/// Energies of a take so far, as mean squares of frames.
#[derive(Clone, Copy, Debug)]
pub struct Loudness {
    loudest: f32,
    voice: f64,
    voiced: u32,
    recent: [f32; ROOM_FRAMES],
    heard: usize,
    room: f32,
}

impl Default for Loudness {
    fn default() -> Self {
        let recent = [0.0; ROOM_FRAMES];
        Self { loudest: 0.0, voice: 0.0, voiced: 0, recent, heard: 0, room: f32::INFINITY }
    }
}

impl Loudness {
    /// Takes the next frame in, and says whether it is as quiet as the room.
    pub fn quiet(&mut self, energy: f32) -> bool {
        self.recent[self.heard % ROOM_FRAMES] = energy;
        self.heard += 1;
        self.loudest = self.loudest.max(self.median());
        if self.heard >= ROOM_FRAMES {
            self.room = self.room.min(self.recent.iter().sum::<f32>() / ROOM_FRAMES as f32);
        }
        let voice = if self.voiced == 0 { 0.0 } else { (self.voice / f64::from(self.voiced)) as f32 };
        energy < (self.room * ROOM_FACTOR).clamp(voice * ALWAYS_QUIET, voice * NEVER_QUIET)
    }

    /// Whether the loudest sound so far is weaker than a voice should be.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.loudest < WEAK
    }

    fn median(&self) -> f32 {
        let mut newest: [f32; LOUD_FRAMES] =
            std::array::from_fn(|back| self.recent[(self.heard + ROOM_FRAMES - 1 - back) % ROOM_FRAMES]);
        newest.sort_by(f32::total_cmp);
        newest[LOUD_FRAMES / 2]
    }

    /// The frame was speech.
    pub fn spoken(&mut self, energy: f32) {
        self.voice += f64::from(energy);
        self.voiced += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A room at `room`, a voice at `voice`, then `energy`: is that quiet?
    fn quiet(room: f32, voice: f32, energy: f32) -> bool {
        let mut loudness = Loudness::default();
        for _ in 0..20 {
            loudness.quiet(room);
        }
        for _ in 0..60 {
            assert!(!loudness.quiet(voice), "a voice is not quiet");
            loudness.spoken(voice);
        }
        loudness.quiet(energy)
    }

    #[test]
    fn by_table() {
        // Energies; the voice is at -20 dB.
        for (room, energy, expected) in [
            // A quiet room: as it, and twice as loud as it (3 dB).
            (1e-7, 1e-7, true),
            (1e-6, 2e-6, true),
            (1e-6, 5e-6, false),
            // No room at all: 45 dB below the voice.
            (0.0, 2e-7, true),
            (0.0, 4e-7, false),
            // A loud one: nothing above -53 dB is taken for it.
            (1e-4, 1e-4, false),
            (1e-4, 4e-6, true),
        ] {
            assert_eq!(quiet(room, 1e-2, energy), expected, "room {room}, then {energy}");
        }
    }

    #[test]
    fn before_anybody_spoke_nothing_is_quiet() {
        let mut loudness = Loudness::default();
        assert!((0..20).all(|_| !loudness.quiet(0.0) && !loudness.quiet(1e-6)));
    }

    #[test]
    fn a_closure_in_a_word_is_not_the_room() {
        let mut loudness = Loudness::default();
        for _ in 0..40 {
            loudness.quiet(1e-2);
            loudness.spoken(1e-2);
        }
        // Five frames, 80 ms.
        for _ in 0..5 {
            assert!(!loudness.quiet(1e-5));
        }
    }
}
