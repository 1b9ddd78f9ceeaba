//! Tests of the machine: scripts for every row of its table, random worlds, and a search of all there is.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test says what it looks at")]

mod exhaustive;
mod handover;
mod hostile;
mod modes;
mod remarks;
mod script;
mod table;
mod watch;
mod world;

use ptt_messages::{
    Clip, Component, Fault, FaultKind, Moment, Remarks, Segment, SegmentId, SegmentState, SttTiming, TakeId,
    TakeSummary, TextPath, Transcript,
};

use super::*;

fn fault(component: Component, kind: FaultKind) -> Fault {
    Fault::new(component, kind, "broken on purpose; mend it")
}

fn segment(take: TakeId, index: u32, state: SegmentState) -> Segment {
    let start = u64::from(index) * 16;
    let id = SegmentId { take, index };
    Segment { id, state, start, speech_end: start + 8, certain: true, clip: clip() }
}

/// A millisecond of audio, the same one every time.
fn clip() -> Clip {
    static CLIP: std::sync::OnceLock<Clip> = std::sync::OnceLock::new();
    CLIP.get_or_init(|| Clip::new(vec![0.25; 16]).unwrap()).clone()
}

fn finished(take: TakeId, has_speech: bool) -> Rec {
    let length = std::time::Duration::from_secs(2);
    let summary = TakeSummary { has_speech, length, ..TakeSummary::default() };
    Rec::Finished { tail: segment(take, 9, SegmentState::Tail), summary }
}

fn started(take: TakeId) -> Rec {
    Rec::Started { take, first_sample: Moment::default() }
}

fn complete(take: TakeId, text: &str) -> Stt {
    Stt::Complete { take, text: Transcript::new(text), path: TextPath::Tail, timing: SttTiming::default() }
}

fn engine_failed(take: TakeId, kind: FaultKind) -> Stt {
    Stt::Failed { take: Some(take), fault: fault(Component::Stt, kind) }
}
