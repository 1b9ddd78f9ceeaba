//! Long audio in pieces an engine can hear, cut where the recorder would have cut them.

use ptt_messages::{RecorderEvent, Segment, SegmentState, TakeId};

use crate::config::AudioConfig;
use crate::history::History;
use crate::take::{Rules, Take};
use crate::vad::{Earshot, FRAME, Vad};

/// Cuts audio of any length, as it comes, into segments: committed ones, each at most 28 s, then
/// the tail, in order and without a gap or an overlap. They are those of a take of the same audio
/// without pre-roll and post-roll, so an engine may be fed them as if live.
pub struct Splitter {
    history: History,
    take: Take,
    vad: Box<dyn Vad>,
}

impl Splitter {
    /// For a take `take`, which begins.
    #[must_use]
    pub fn new(take: TakeId, config: &AudioConfig) -> Self {
        let rules = Rules { pre_roll: 0, post_roll: 0, ..Rules::from(config) };
        Self {
            history: History::default(),
            take: Take::new(take, rules, 0, 0),
            vad: Box::new(Earshot::default()),
        }
    }

    /// Hears what comes next and gives the segments that it closes.
    pub fn push(&mut self, samples: &[f32]) -> Vec<Segment> {
        let mut segments = Vec::new();
        for piece in samples.chunks(FRAME) {
            self.history.push(piece);
            segments.extend(self.hear());
        }
        segments
    }

    /// There is no more: gives what is left, the tail last.
    #[must_use]
    pub fn finish(mut self) -> Vec<Segment> {
        self.take.release(self.history.end());
        self.hear()
    }

    fn hear(&mut self) -> Vec<Segment> {
        let events = self.take.hear(&self.history, self.vad.as_mut(), u64::MAX);
        events.into_iter().filter_map(closed).collect()
    }
}

impl std::fmt::Debug for Splitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Splitter").field("take", &self.take.id()).finish_non_exhaustive()
    }
}

fn closed(event: RecorderEvent) -> Option<Segment> {
    match event {
        RecorderEvent::Heard(segment) => (segment.state == SegmentState::Committed).then_some(segment),
        RecorderEvent::Finished { tail, .. } => Some(tail),
        RecorderEvent::SpeechResumed { .. }
        | RecorderEvent::Opened { .. }
        | RecorderEvent::Lost(_)
        | RecorderEvent::Started { .. }
        | RecorderEvent::StartFailed { .. }
        | RecorderEvent::Failed { .. }
        | RecorderEvent::Cleared { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_are_the_whole() {
        let config = AudioConfig::default();
        for seconds in [0.0, 0.01, 3.0, 28.0, 61.7] {
            let samples: Vec<_> =
                (0..(seconds * 16_000.0) as usize).map(|n| (n % 97) as f32 / 500.0).collect();
            let mut splitter = Splitter::new(TakeId(7), &config);
            let mut segments: Vec<Segment> =
                samples.chunks(1_000).flat_map(|piece| splitter.push(piece)).collect();
            segments.extend(splitter.finish());
            let joined: Vec<f32> =
                segments.iter().flat_map(|segment| segment.clip.samples().to_vec()).collect();
            assert_eq!(joined, samples, "{seconds} s");
            assert!(segments.iter().all(|segment| segment.clip.duration().as_secs_f64() <= 28.02));
        }
    }
}
