//! Whether anything sounded in audio in which the detector was certain of nothing: then the engine takes a second look,
//! because a take that is declared empty by mistake is lost. Pure: energies only.

/// Frames over which the room's energy is taken.
const ROOM_FRAMES: usize = 8;

/// Factor over the room, 10 dB: noise of one kind varies by less from frame to frame.
const ABOVE_ROOM: f32 = 10.0;

/// Frames above the room that are more than a click or two: 128 ms.
const LEAST_FRAMES: usize = 8;

/// Whether enough of these frames (mean squares, 16 ms each) stand out from the quietest of them. Digital silence is no room.
#[must_use]
pub fn stands_out(energies: &[f32]) -> bool {
    let sounding: Vec<f32> = energies.iter().copied().filter(|energy| *energy > 0.0).collect();
    let room = sounding
        .windows(ROOM_FRAMES)
        .map(|frames| frames.iter().sum::<f32>() / ROOM_FRAMES as f32)
        .fold(f32::INFINITY, f32::min);
    sounding.iter().filter(|energy| **energy > room * ABOVE_ROOM).count() >= LEAST_FRAMES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames of (number, energy).
    fn frames(parts: &[(usize, f32)]) -> Vec<f32> {
        parts.iter().flat_map(|(number, energy)| std::iter::repeat_n(*energy, *number)).collect()
    }

    #[test]
    fn by_table() {
        for (parts, expected) in [
            (&[][..], false),
            (&[(100, 0.0)], false),
            (&[(100, 1e-6)], false),
            // A click, and a word.
            (&[(40, 1e-6), (4, 1e-2), (40, 1e-6)], false),
            (&[(40, 1e-6), (12, 1e-4), (40, 1e-6)], true),
            // As loud as the room varies.
            (&[(40, 1e-6), (12, 5e-6), (40, 1e-6)], false),
            // Without a room nothing stands out.
            (&[(40, 0.0), (12, 1e-4), (40, 0.0)], false),
            (&[(40, 0.0), (12, 1e-6), (40, 1e-4)], true),
        ] {
            assert_eq!(stands_out(&frames(parts)), expected, "{parts:?}");
        }
    }

    proptest! {
        #[test]
        fn the_level_does_not_matter(energies in prop::collection::vec(1e-7f32..1e-3, 0..80), power in -6i32..6) {
            let factor = 2.0f32.powi(power);
            let other: Vec<f32> = energies.iter().map(|energy| energy * factor).collect();
            prop_assert_eq!(stands_out(&energies), stands_out(&other));
        }
    }
}
