//! The role *speech to text*.

use std::time::Duration;

use ptt_messages::{
    Clip, Component, Port, SAMPLE_RATE_HZ, Segment, SegmentId, SegmentState, SttCommand, SttEvent, TakeId,
    TextPath,
};

use super::{assert_tells, promise, responsive};
use crate::{Told, probe};

/// Long enough for any engine on any machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long after its deadline a take may wait for its answer.
const OVERDUE: Duration = Duration::from_secs(2);
/// A clip that no engine decodes in no time.
const LONG_S: usize = 25;

/// Every promise of a recogniser; `spoken` is a clip in which it must recognise something.
///
/// # Panics
/// When one is broken.
pub async fn stt(spawn: impl Fn(Port<SttEvent>) -> Port<SttCommand>, spoken: &Clip) {
    stt_within(DEADLINE * 2, spawn, spoken).await;
}

/// [`stt`] for a recogniser whose answers come within `patience`.
///
/// # Panics
/// When a promise is broken.
pub async fn stt_within(
    patience: Duration,
    spawn: impl Fn(Port<SttEvent>) -> Port<SttCommand>,
    spoken: &Clip,
) {
    responsive("recogniser", promises(patience, spawn, spoken)).await;
}

async fn promises(patience: Duration, spawn: impl Fn(Port<SttEvent>) -> Port<SttCommand>, spoken: &Clip) {
    promise("recogniser", "`Load` is answered by `Ready`, also when the model is resident");
    let mut desk = Desk::with(&spawn, patience);
    for _ in 0..2 {
        desk.tell(SttCommand::Load);
        desk.ready().await;
    }

    promise("recogniser", "a take's text comes once, with its id");
    let first = desk.transcribe(TakeId(1), spoken, 1).await;
    assert!(!first.text.is_empty(), "the suite needs a clip with recognisable speech");
    assert_ne!(first.path, TextPath::NoSpeech);

    promise("recogniser", "a second attempt gives a text as well");
    let second = desk.transcribe(TakeId(1), spoken, 2).await;
    assert!(!second.text.is_empty());

    promise("recogniser", "what has no speech, or no samples, gives an empty text without asking the engine");
    for (take, clip) in [(TakeId(2), silence(1.0)), (TakeId(3), Clip::empty())] {
        desk.tell(SttCommand::Transcribe {
            profile: ptt_messages::Profile::DEFAULT,
            tail: tail(take, 0, 0, &clip, false),
            attempt: 1,
            deadline: DEADLINE,
        });
        let answer = desk.complete(take).await;
        assert_eq!((answer.text.as_str(), answer.path), ("", TextPath::NoSpeech));
    }

    promise("recogniser", "committed segments belong to the text even when nothing follows them");
    let segment = speech_segment(TakeId(4), 0, SegmentState::Committed, 0, spoken);
    let end = segment.end();
    desk.tell(SttCommand::Hear { segment, profile: ptt_messages::Profile::DEFAULT });
    let nothing = tail(TakeId(4), 1, end, &Clip::empty(), false);
    desk.tell(SttCommand::Transcribe {
        tail: nothing,
        profile: ptt_messages::Profile::DEFAULT,
        attempt: 1,
        deadline: DEADLINE,
    });
    assert!(!desk.complete(TakeId(4)).await.text.is_empty());

    promise("recogniser", "a pause is not the end: speech goes on, and the text comes with the tail");
    desk.tell(SttCommand::Hear {
        segment: speech_segment(TakeId(5), 0, SegmentState::Paused, 0, spoken),
        profile: ptt_messages::Profile::DEFAULT,
    });
    desk.tell(SttCommand::SpeechResumed { take: TakeId(5), index: 0 });
    assert!(!desk.transcribe(TakeId(5), spoken, 1).await.text.is_empty());

    promise("recogniser", "nothing is said about an aborted take");
    for begun in [false, true] {
        let take = if begun { TakeId(7) } else { TakeId(6) };
        desk.tell(SttCommand::Hear {
            segment: speech_segment(take, 0, SegmentState::Paused, 0, spoken),
            profile: ptt_messages::Profile::DEFAULT,
        });
        if begun {
            let tail = speech_segment(take, 0, SegmentState::Tail, 0, spoken);
            desk.tell(SttCommand::Transcribe {
                tail,
                profile: ptt_messages::Profile::DEFAULT,
                attempt: 1,
                deadline: DEADLINE,
            });
        }
        desk.tell(SttCommand::Abort { take });
    }
    // What was on its way when `Abort` was sent may come before the next answer, but not after it.
    desk.transcribe(TakeId(8), spoken, 1).await;
    desk.transcribe(TakeId(9), spoken, 1).await;
    let late: Vec<_> =
        desk.since_complete.iter().filter(|event| about(event).is_some_and(|t| t < TakeId(8))).collect();
    assert!(late.is_empty(), "{late:?}");

    promise("recogniser", "`Abort` for a take that is not known is harmless");
    desk.tell(SttCommand::Abort { take: TakeId(999) });
    desk.transcribe(TakeId(10), spoken, 1).await;

    promise("recogniser", "what comes while it decodes is not lost");
    let transcribe = |tail| SttCommand::Transcribe {
        tail,
        profile: ptt_messages::Profile::DEFAULT,
        attempt: 1,
        deadline: DEADLINE,
    };
    let segment = speech_segment(TakeId(14), 0, SegmentState::Committed, 0, spoken);
    let nothing = tail(TakeId(14), 1, segment.end(), &Clip::empty(), false);
    desk.tell(transcribe(tail(TakeId(13), 0, 0, spoken, true)));
    desk.tell(SttCommand::Hear { segment, profile: ptt_messages::Profile::DEFAULT });
    desk.tell(transcribe(nothing));
    desk.tell(transcribe(tail(TakeId(15), 0, 0, spoken, true)));
    desk.tell(SttCommand::Load);
    let mut missing = vec![Some(TakeId(13)), Some(TakeId(14)), Some(TakeId(15)), None];
    while !missing.is_empty() {
        let answer = desk.told.until("an answer to each command", |event| match event {
            SttEvent::Complete { take, text, .. } => {
                assert!(!text.reveal().is_empty(), "{take} has lost its speech");
                Some(Some(*take))
            }
            SttEvent::Ready { .. } => Some(None),
            SttEvent::Failed { fault, .. } => panic!("while it decodes: {fault}"),
            SttEvent::Partial { .. } | SttEvent::Remarks { .. } | SttEvent::Unloaded => None,
        });
        let answer = answer.await.0;
        missing.retain(|command| *command != answer);
    }

    promise("recogniser", "a deadline is kept: when it has passed there is a text or a fault at once");
    let long: Vec<f32> =
        spoken.samples().iter().copied().cycle().take(LONG_S * SAMPLE_RATE_HZ as usize).collect();
    let long = Clip::new(long).expect("the samples of a clip");
    let deadline = Duration::from_millis(1);
    let asked = tokio::time::Instant::now();
    desk.tell(SttCommand::Transcribe {
        tail: speech_segment(TakeId(11), 0, SegmentState::Tail, 0, &long),
        profile: ptt_messages::Profile::DEFAULT,
        attempt: 1,
        deadline,
    });
    let fault = loop {
        let left = (deadline + OVERDUE).saturating_sub(asked.elapsed());
        match desk.told.within(left).await {
            Some(SttEvent::Complete { take: TakeId(11), .. }) => break None,
            Some(SttEvent::Failed { take: Some(TakeId(11)), fault }) => break Some(fault),
            Some(_) => {}
            None => panic!("the deadline of {deadline:?} was ignored for {:?}", asked.elapsed()),
        }
    };
    fault.iter().for_each(|fault| assert_tells(fault, Component::Stt));

    promise("recogniser", "after `Unload` the next take loads the model again by itself");
    desk.tell(SttCommand::Unload);
    desk.told.until("Unloaded", |event| (*event == SttEvent::Unloaded).then_some(())).await;
    desk.transcribe(TakeId(12), spoken, 1).await;

    promise("recogniser", "a take may come before anything was loaded");
    let mut desk = Desk::with(&spawn, patience);
    desk.transcribe(TakeId(1), spoken, 1).await;
}

/// A segment of `clip` whose speech goes to its end, starting at the sample `start` of its take.
#[must_use]
pub fn speech_segment(take: TakeId, index: u32, state: SegmentState, start: u64, clip: &Clip) -> Segment {
    let speech_end = start + clip.samples().len() as u64;
    Segment { id: SegmentId { take, index }, state, start, speech_end, certain: true, clip: clip.clone() }
}

fn tail(take: TakeId, index: u32, start: u64, clip: &Clip, speech: bool) -> Segment {
    let whole = speech_segment(take, index, SegmentState::Tail, start, clip);
    Segment { speech_end: if speech { whole.speech_end } else { start }, ..whole }
}

fn silence(seconds: f64) -> Clip {
    let samples = vec![0.0; (seconds * f64::from(SAMPLE_RATE_HZ)) as usize];
    Clip::new(samples).expect("zeros are samples")
}

struct Answer {
    text: String,
    path: TextPath,
}

struct Desk {
    commands: Port<SttCommand>,
    told: Told<SttEvent>,
    /// What came between the last two texts.
    since_complete: Vec<SttEvent>,
}

impl Desk {
    fn with(spawn: &impl Fn(Port<SttEvent>) -> Port<SttCommand>, patience: Duration) -> Self {
        let (events, told) = probe("the controller");
        Self { commands: spawn(events), told: told.patient(patience), since_complete: Vec::new() }
    }

    fn tell(&self, command: SttCommand) {
        assert!(self.commands.post(command), "the recogniser takes commands");
    }

    async fn ready(&mut self) {
        let ready = self.told.until("Ready", |event| match event {
            SttEvent::Ready { model, .. } => Some(model.clone()),
            SttEvent::Failed { fault, .. } => panic!("the suite needs a model: {fault}"),
            _ => None,
        });
        assert!(!ready.await.0.is_empty(), "a model has a name");
    }

    async fn transcribe(&mut self, take: TakeId, clip: &Clip, attempt: u32) -> Answer {
        let tail = tail(take, 0, 0, clip, true);
        self.tell(SttCommand::Transcribe {
            tail,
            profile: ptt_messages::Profile::DEFAULT,
            attempt,
            deadline: DEADLINE,
        });
        self.complete(take).await
    }

    async fn complete(&mut self, take: TakeId) -> Answer {
        let completed = self.told.until("Complete", |event| match event {
            SttEvent::Complete { take: of, text, path, .. } if *of == take => {
                Some(Answer { text: text.reveal().to_owned(), path: *path })
            }
            SttEvent::Failed { take: Some(of), fault } if *of == take => {
                panic!("take {take} failed: {fault}")
            }
            _ => None,
        });
        let (answer, before) = completed.await;
        self.since_complete = before;
        assert_eq!(answer.text.trim(), answer.text, "a text has no space around it");
        answer
    }
}

fn about(event: &SttEvent) -> Option<TakeId> {
    match event {
        SttEvent::Ready { .. } | SttEvent::Unloaded => None,
        SttEvent::Partial { take, .. } | SttEvent::Remarks { take, .. } | SttEvent::Complete { take, .. } => {
            Some(*take)
        }
        SttEvent::Failed { take, .. } => *take,
    }
}
