//! The rule for audio of which the voice-activity detector was not certain: something sounded, and only what the engine
//! itself believes in is a text. Stricter than [`clean`](crate::clean), because most of such audio is noise. Pure.

use crate::engine::Decoded;

/// The engine thinks that nobody speaks: our own engine says 0.49 and more of noise and silence, and 0.20 at most of speech.
const NO_SPEECH: f32 = 0.3;

/// The engine does not believe its own words. whisper.cpp, whose no-speech probability tells nothing, has -0.69 and less for
/// noise that becomes words.
const UNSURE: f32 = -0.6;

/// Whether the words of such audio were said.
#[must_use]
pub fn is_believed(decoded: &Decoded) -> bool {
    decoded.no_speech_prob <= NO_SPEECH && decoded.avg_logprob >= UNSURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_table() {
        for (no_speech_prob, avg_logprob, expected) in [
            (0.02, -0.3, true),
            (0.2, -0.59, true),
            (0.31, -0.3, false),
            (0.02, -0.61, false),
            (0.9, -2.0, false),
        ] {
            let decoded = Decoded { no_speech_prob, avg_logprob, ..Decoded::default() };
            assert_eq!(is_believed(&decoded), expected, "{no_speech_prob} {avg_logprob}");
        }
    }
}
