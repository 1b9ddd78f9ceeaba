//! The stages of a take, measured from what the machine hears and what it does about it. Pure: time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use ptt_messages::{
    Chime, ControllerEvent, FeedbackCommand, FeedbackEvent, Moment, OutputCommand, OutputEvent,
    RecorderEvent, ResourceCommand, Stage, StateName, TakeId,
};

use crate::fsm::{Effect, Effects, Input, Move};

/// More texts than this are not on their way at a time.
const DELIVERIES: usize = 8;

/// Something measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A stage of a take.
    Stage(TakeId, Stage, Duration),
    /// The length of a take.
    Length(Duration),
}

/// The part of an input that is needed after the machine has had it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cue {
    Played { take: TakeId, after: Duration },
    Finished { take: TakeId, post_roll: Duration, length: Duration },
    Delivered { take: TakeId },
    Other,
}

/// Measures one take after the other.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    response: Option<Response>,
    handed_out: VecDeque<(TakeId, Moment)>,
}

/// From a press to what answers it.
#[derive(Debug)]
struct Response {
    take: TakeId,
    press: Moment,
    recording: Option<Duration>,
    chime: Option<Duration>,
}

impl Cue {
    pub fn of(input: &Input) -> Self {
        match input {
            Input::Feedback(FeedbackEvent::Played { take, chime: Chime::Start, since, at }) => {
                Self::Played { take: *take, after: at.since(*since) }
            }
            Input::Recorder(RecorderEvent::Finished { tail, summary }) => {
                Self::Finished { take: tail.id.take, post_roll: summary.post_roll, length: summary.length }
            }
            Input::Output(OutputEvent::Delivered { take, .. }) => Self::Delivered { take: *take },
            Input::Command(_)
            | Input::Keyboard(_)
            | Input::Recorder(_)
            | Input::Stt(_)
            | Input::Feedback(_)
            | Input::Output(_)
            | Input::Resources(_)
            | Input::TimedOut(_) => Self::Other,
        }
    }
}

impl Stopwatch {
    /// What one input, sent at `now`, and the effects it had let us measure. An input without effects was stale.
    pub fn read(&mut self, now: Moment, cue: Cue, effects: &Effects) -> Vec<Reading> {
        let mut readings = Vec::new();
        match cue {
            Cue::Played { take, after } => {
                if let Some(response) = self.response.as_mut().filter(|r| r.take == take && r.chime.is_none())
                {
                    response.chime = Some(after);
                    readings.push(Reading::Stage(take, Stage::Feedback, after));
                    readings.extend(response.complete());
                }
            }
            Cue::Finished { take, post_roll, length } if !effects.is_empty() => {
                readings.push(Reading::Stage(take, Stage::PostRoll, post_roll));
                readings.push(Reading::Length(length));
            }
            Cue::Delivered { take } => {
                if let Some(at) = self.handed_out.iter().position(|(id, _)| *id == take)
                    && let Some((_, since)) = self.handed_out.remove(at)
                {
                    readings.push(Reading::Stage(take, Stage::Deliver, now.since(since)));
                }
            }
            Cue::Finished { .. } | Cue::Other => {}
        }
        self.follow(now, effects, &mut readings);
        readings
    }

    fn follow(&mut self, now: Moment, effects: &Effects, readings: &mut Vec<Reading>) {
        let mut acquired = None;
        for effect in effects {
            match effect {
                Effect::Resources(ResourceCommand::Acquire { take }) => acquired = Some(*take),
                // The chime of a remembered press comes without its take beginning, which says nothing of how quick a
                // start is.
                Effect::Feedback(FeedbackCommand::Play { take, chime: Chime::Start, since })
                    if acquired == Some(*take) =>
                {
                    self.response =
                        Some(Response { take: *take, press: *since, recording: None, chime: None });
                }
                Effect::Moved(Move { take: Some(take), to: StateName::Recording, .. }) => {
                    if let Some(response) = self.response.as_mut().filter(|response| response.take == *take) {
                        let after = now.since(response.press);
                        response.recording = Some(after);
                        readings.push(Reading::Stage(*take, Stage::RecordingStart, after));
                        readings.extend(response.complete());
                    }
                }
                Effect::Output(OutputCommand::Deliver { take, .. }) => {
                    // What came before a retry is not the delivery's time.
                    self.handed_out.retain(|(id, _)| id != take);
                    if self.handed_out.len() == DELIVERIES {
                        self.handed_out.pop_front();
                    }
                    self.handed_out.push_back((*take, now));
                }
                Effect::Observe(ControllerEvent::Text { take, timing, .. }) => {
                    for (stage, took) in [(Stage::Encode, timing.encode), (Stage::Decode, timing.decode)] {
                        // A text that was there at the release took no decode.
                        if !took.is_zero() {
                            readings.push(Reading::Stage(*take, stage, took));
                        }
                    }
                }
                Effect::Observe(ControllerEvent::Ended { take, .. }) => {
                    let over = self.response.take_if(|response| response.take == *take);
                    // No chime was played, so the recording was the whole response.
                    if let Some(Response { recording: Some(took), chime: None, .. }) = over {
                        readings.push(Reading::Stage(*take, Stage::PttResponse, took));
                    }
                }
                Effect::Keyboard(_)
                | Effect::Recorder(_)
                | Effect::Stt(_)
                | Effect::Feedback(_)
                | Effect::Output(OutputCommand::Aim { .. } | OutputCommand::Withdraw { .. })
                | Effect::Resources(_)
                | Effect::Arm(..)
                | Effect::Observe(_)
                | Effect::Moved(_) => {}
            }
        }
    }
}

impl Response {
    fn complete(&self) -> Option<Reading> {
        let took = self.recording?.max(self.chime?);
        Some(Reading::Stage(self.take, Stage::PttResponse, took))
    }
}

#[cfg(test)]
mod tests {
    use ptt_messages::{
        Clip, ControllerCommand, KeyboardEvent, Profile, ResourceEvent, Segment, SegmentId, SegmentState,
        SttEvent, SttTiming, TakeSummary, TextPath, Transcript,
    };

    use super::*;
    use crate::fsm::{Machine, Policy};

    #[test]
    fn a_take_is_measured_from_press_to_sink() {
        let mut bench = Bench::default();
        let ms = Duration::from_millis;
        let stage = |stage, took| Reading::Stage(TakeId(1), stage, ms(took));
        bench.at(0, ControllerCommand::Enable);
        bench.at(1_000, KeyboardEvent::Pressed { at: Moment::from_millis(1_000), profile: Profile::DEFAULT });
        bench.at(1_001, ResourceEvent::Granted { take: TakeId(1) });
        assert_eq!(bench.at(1_004, started()), [stage(Stage::RecordingStart, 4)]);
        assert_eq!(bench.at(1_004, started()), []);
        assert_eq!(bench.at(1_013, played(12)), [stage(Stage::Feedback, 12), stage(Stage::PttResponse, 12)]);
        assert_eq!(bench.at(1_013, played(12)), []);
        bench.at(2_000, KeyboardEvent::Released { at: Moment::from_millis(2_000) });
        assert_eq!(bench.at(2_200, finished()), [stage(Stage::PostRoll, 150), Reading::Length(ms(1_450))]);
        assert_eq!(bench.at(2_200, finished()), []);
        assert_eq!(bench.at(2_300, complete()), [stage(Stage::Encode, 70), stage(Stage::Decode, 20)]);
        assert_eq!(bench.at(2_303, delivered()), [stage(Stage::Deliver, 3)]);
        assert_eq!(bench.at(2_303, delivered()), []);
    }

    #[test]
    fn without_a_chime_the_recording_is_the_response() {
        let mut bench = Bench::default();
        bench.at(0, ControllerCommand::Enable);
        bench.at(1_000, KeyboardEvent::Pressed { at: Moment::from_millis(1_000), profile: Profile::DEFAULT });
        bench.at(1_001, ResourceEvent::Granted { take: TakeId(1) });
        bench.at(1_004, started());
        bench.at(1_020, KeyboardEvent::Released { at: Moment::from_millis(1_020) });
        let response = Reading::Stage(TakeId(1), Stage::PttResponse, Duration::from_millis(4));
        assert_eq!(bench.at(1_021, RecorderEvent::Cleared { take: TakeId(1) }), [response]);
    }

    #[derive(Default)]
    struct Bench {
        machine: Machine,
        stopwatch: Stopwatch,
    }

    impl Bench {
        fn at(&mut self, millis: u64, input: impl Into<Input>) -> Vec<Reading> {
            let (now, input) = (Moment::from_millis(millis), input.into());
            let cue = Cue::of(&input);
            let effects = self.machine.step(&Policy::default(), now, input);
            self.stopwatch.read(now, cue, &effects)
        }
    }

    fn started() -> RecorderEvent {
        RecorderEvent::Started { take: TakeId(1), first_sample: Moment::from_millis(700) }
    }

    fn played(after: u64) -> FeedbackEvent {
        let since = Moment::from_millis(1_000);
        let at = since + Duration::from_millis(after);
        FeedbackEvent::Played { take: TakeId(1), chime: Chime::Start, since, at }
    }

    fn finished() -> RecorderEvent {
        let summary = TakeSummary {
            has_speech: true,
            length: Duration::from_millis(1_450),
            post_roll: Duration::from_millis(150),
            ..TakeSummary::default()
        };
        let id = SegmentId { take: TakeId(1), index: 0 };
        let clip = Clip::empty();
        RecorderEvent::Finished {
            tail: Segment { id, state: SegmentState::Tail, start: 0, speech_end: 0, certain: true, clip },
            summary,
        }
    }

    fn complete() -> SttEvent {
        let timing = SttTiming {
            encode: Duration::from_millis(70),
            decode: Duration::from_millis(20),
            ..SttTiming::default()
        };
        SttEvent::Complete { take: TakeId(1), text: Transcript::new("hello"), path: TextPath::Tail, timing }
    }

    fn delivered() -> OutputEvent {
        OutputEvent::Delivered { take: TakeId(1), sink: "stdout".into() }
    }
}
