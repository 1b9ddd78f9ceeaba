//! Long clips in pieces an engine can hear, cut where the recorder would have cut them.

use ptt_messages::{Clip, RecorderEvent, Segment, TakeId};

use crate::config::AudioConfig;
use crate::history::History;
use crate::take::{Rules, Take};
use crate::vad::{Earshot, FRAME, Vad};

/// The segments of `clip`: committed ones, each at most 28 s, then the tail, in order and without a gap or an overlap. They are
/// those of a take `take` of the same audio without pre-roll and post-roll, so an engine may be fed them as if live.
#[must_use]
pub fn split_at_pauses(clip: &Clip, take: TakeId, config: &AudioConfig) -> Vec<Segment> {
    split(clip, take, Rules { pre_roll: 0, post_roll: 0, ..Rules::from(config) }, &mut Earshot::default())
}

fn split(clip: &Clip, take: TakeId, rules: Rules, vad: &mut dyn Vad) -> Vec<Segment> {
    let mut history = History::default();
    let mut take = Take::new(take, rules, 0, 0);
    let mut segments = Vec::new();
    let mut keep = |event: RecorderEvent| match event {
        RecorderEvent::Heard(segment) if segment.state == ptt_messages::SegmentState::Committed => {
            segments.push(segment);
        }
        RecorderEvent::Finished { tail, .. } => segments.push(tail),
        RecorderEvent::Heard(_)
        | RecorderEvent::SpeechResumed { .. }
        | RecorderEvent::Opened { .. }
        | RecorderEvent::Lost(_)
        | RecorderEvent::Started { .. }
        | RecorderEvent::StartFailed { .. }
        | RecorderEvent::Failed { .. }
        | RecorderEvent::Cleared { .. } => {}
    };
    for piece in clip.samples().chunks(FRAME) {
        history.push(piece);
        take.hear(&history, vad, u64::MAX).into_iter().for_each(&mut keep);
    }
    take.release(history.end());
    take.hear(&history, vad, u64::MAX).into_iter().for_each(&mut keep);
    segments
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
            let clip = Clip::new(samples).unwrap();
            let segments = split_at_pauses(&clip, TakeId(7), &config);
            let joined: Vec<f32> =
                segments.iter().flat_map(|segment| segment.clip.samples().to_vec()).collect();
            assert_eq!(joined, clip.samples(), "{seconds} s");
            assert!(segments.iter().all(|segment| segment.clip.duration().as_secs_f64() <= 28.02));
        }
    }
}
