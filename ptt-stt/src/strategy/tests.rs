//! Scripts: one line per input, with the effects it must have. Audio is silence and tones; the engine is the test.

use proptest::prelude::{
    Just, ProptestConfig, Strategy as _, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use ptt_messages::{Clip, SAMPLE_RATE_HZ, SegmentId, SttTiming};

use super::{Strategy, *};
use crate::check::Suspicion;
use crate::context::ContextRule;
use crate::engine::{Decoded, Ending};

mod attempts;
mod languages;
mod parts;
mod second_look;

const RATE: u64 = SAMPLE_RATE_HZ as u64;

fn policy(kind: StrategyKind) -> Policy {
    Policy {
        kind,
        threads: 2,
        background_threads: 1,
        speculation_percent: 150,
        context: Some(ContextRule::new(Duration::from_millis(2_560), Duration::from_millis(7_680))),
        profiles: vec![Speech::default()],
        languages: Vec::new(),
        prompt_words: 30,
    }
}

fn speech(language: Option<&str>, vocabulary: &str) -> Speech {
    Speech { language: language.map(str::to_owned), vocabulary: vocabulary.to_owned() }
}

#[test]
fn a_take_is_decoded_in_the_language_and_with_the_words_of_its_profile() {
    let profiles = vec![speech(None, "Enea."), speech(Some("de"), ""), speech(Some("fr"), "Compel.")];
    let mut script = Script::new(Policy { profiles, ..policy(StrategyKind::Live) });
    // A profile that nobody knows is the default one.
    for (take, profile, language, prompt) in
        [(1, 1, Some("de"), ""), (2, 0, None, "Enea."), (3, 2, Some("fr"), "Compel."), (4, 9, None, "Enea.")]
    {
        let clip = Clip::new(vec![0.1; 32_000]).unwrap();
        let id = SegmentId { take: TakeId(take), index: 0 };
        let tail =
            Segment { id, state: SegmentState::Tail, start: 0, speech_end: 32_000, certain: true, clip };
        let (attempt, deadline) = (1, Duration::from_secs(10));
        script.feed(Input::Transcribe { tail, profile: Profile(profile), attempt, deadline });
        let job = script.jobs.last().unwrap().clone();
        assert_eq!((job.language.as_deref(), job.prompt.reveal()), (language, prompt), "take {take}");
        script.feed(Input::Abort { take: TakeId(take) });
        let result = Err(Failure::Cancelled);
        script.feed(Input::Done(Done { job: job.job, began: script.now, cpu: Duration::ZERO, result }));
    }
}

/// A strategy with its time, and the jobs it has ordered.
struct Script {
    strategy: Strategy,
    now: Moment,
    jobs: Vec<Assignment>,
    notes: Vec<Note>,
}

impl Script {
    fn new(policy: Policy) -> Self {
        let now = Moment::from_millis(1_000);
        Self { strategy: Strategy::new(policy), now, jobs: Vec::new(), notes: Vec::new() }
    }

    fn live() -> Self {
        Self::new(policy(StrategyKind::Live))
    }

    fn batch() -> Self {
        Self::new(policy(StrategyKind::Batch))
    }

    fn later(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// Feeds one input and gives its effects but for the notes, one line each.
    fn feed(&mut self, input: Input) -> Vec<String> {
        let mut lines = Vec::new();
        for effect in self.strategy.step(self.now, input) {
            match effect {
                Effect::Note(note) => self.notes.push(note),
                Effect::Decode(job) => {
                    lines.push(format!(
                        "decode {} {:.1}s/{} {}x{}{}",
                        job.job.0,
                        job.clip.duration().as_secs_f64(),
                        job.frames,
                        if job.background { "back" } else { "final" },
                        job.threads,
                        if job.prompt.is_empty() {
                            String::new()
                        } else {
                            format!(" after '{}'", job.prompt.reveal())
                        },
                    ));
                    self.jobs.push(job);
                }
                Effect::Hurry(job, threads) => lines.push(format!("hurry {} x{threads}", job.0)),
                Effect::Cancel(job) => lines.push(format!("cancel {}", job.0)),
                Effect::Renew => lines.push("renew".to_owned()),
                Effect::Tell(event) => lines.push(told(&event)),
            }
        }
        lines
    }

    fn hear(&mut self, segment: Segment) -> Vec<String> {
        self.feed(Input::Hear(segment, Profile::DEFAULT))
    }

    fn release(&mut self, tail: Segment, attempt: u32) -> Vec<String> {
        self.feed(Input::Transcribe {
            tail,
            profile: Profile::DEFAULT,
            attempt,
            deadline: Duration::from_secs(10),
        })
    }

    fn resume(&mut self, index: u32) -> Vec<String> {
        self.feed(Input::SpeechResumed { take: TakeId(1), index })
    }

    fn says(&mut self, job: u64, text: &str) -> Vec<String> {
        self.ends(job, Ok(said(text)))
    }

    fn fails(&mut self, job: u64) -> Vec<String> {
        let fault = Fault::new(Component::Stt, FaultKind::Broken, "no");
        self.ends(job, Err(Failure::Failed(fault)))
    }

    fn ends(&mut self, job: u64, result: Result<Decoded, Failure>) -> Vec<String> {
        let cpu = Duration::from_millis(100);
        self.feed(Input::Done(Done { job: JobId(job), began: self.now, cpu, result }))
    }
}

fn said(text: &str) -> Decoded {
    let tokens = u32::try_from(text.split_whitespace().count()).unwrap();
    Decoded {
        text: Transcript::new(text),
        tokens,
        avg_logprob: -0.2,
        encode: Duration::from_millis(50),
        decode: Duration::from_millis(20),
        ..Decoded::default()
    }
}

fn told(event: &SttEvent) -> String {
    match event {
        SttEvent::Partial { committed, tentative, .. } => {
            format!("partial '{}' '{}'", committed.reveal(), tentative.reveal())
        }
        SttEvent::Complete { take, text, path, .. } => {
            format!("complete {take} '{}' {}", text.reveal(), path.label())
        }
        SttEvent::Failed { take, fault } => {
            format!("failed {} {}", take.map_or_else(String::new, |t| t.to_string()), fault.kind.label())
        }
        SttEvent::Remarks { take, remarks } => {
            let words = remarks.discarded.as_ref().map_or("", Transcript::reveal);
            let incomplete = if remarks.incomplete { " incomplete" } else { "" };
            format!("remarks {take} {} '{words}'{incomplete}", remarks.languages.join(","))
        }
        SttEvent::Ready { .. } | SttEvent::Unloaded => "other".to_owned(),
    }
}

/// A segment in seconds: from `start`, with speech up to `speech_end` and audio up to `end`.
fn segment(take: u64, index: u32, state: SegmentState, start: f64, speech_end: f64, end: f64) -> Segment {
    let at = |seconds: f64| (seconds * RATE as f64) as u64;
    let samples: Vec<f32> =
        (at(start)..at(end)).map(|i| if i < at(speech_end) { 0.3 } else { 0.0 }).collect();
    Segment {
        id: SegmentId { take: TakeId(take), index },
        state,
        start: at(start),
        speech_end: at(speech_end),
        certain: true,
        clip: Clip::new(samples).unwrap(),
    }
}

fn paused(index: u32, start: f64, speech_end: f64, end: f64) -> Segment {
    segment(1, index, SegmentState::Paused, start, speech_end, end)
}

fn committed(index: u32, start: f64, speech_end: f64, end: f64) -> Segment {
    segment(1, index, SegmentState::Committed, start, speech_end, end)
}

fn tail(index: u32, start: f64, speech_end: f64, end: f64) -> Segment {
    segment(1, index, SegmentState::Tail, start, speech_end, end)
}

#[test]
fn a_pause_that_was_the_end_has_its_text_ready() {
    let mut s = Script::live();
    assert_eq!(s.hear(paused(0, 0.0, 2.0, 2.3)), ["decode 1 2.2s/384 backx1"]);
    assert_eq!(s.says(1, " One two."), ["partial '' 'One two.'"]);
    assert_eq!(s.release(tail(0, 0.0, 2.0, 3.0), 1), ["complete #1 'One two.' ready"]);
    assert_eq!(s.notes, [Note::Useful(Duration::from_millis(100))]);
}

#[test]
fn the_end_is_decoded_by_all_while_the_tail_is_waited_for() {
    let ending = |speech_end, end| segment(1, 0, SegmentState::Ending, 0.0, speech_end, end);
    let mut s = Script::live();
    assert_eq!(s.hear(ending(2.0, 2.03)), ["decode 1 2.0s/384 finalx2"]);
    s.later(30);
    assert!(s.release(tail(0, 0.0, 2.0, 2.1), 1).is_empty());
    assert_eq!(s.says(1, "One two."), ["complete #1 'One two.' tail"]);
    // It was done before.
    let mut s = Script::live();
    s.hear(ending(2.0, 2.03));
    assert_eq!(s.says(1, "One two."), ["partial '' 'One two.'"]);
    assert_eq!(s.release(tail(0, 0.0, 2.0, 2.1), 1), ["complete #1 'One two.' ready"]);
    // It was not the end.
    let mut s = Script::live();
    s.hear(ending(2.0, 2.03));
    assert_eq!(s.resume(0), ["cancel 1"]);
    assert_eq!(s.release(tail(0, 0.0, 2.3, 2.4), 1), ["decode 2 2.4s/384 finalx2"]);
    // A decode of the same in the background gets all threads, once.
    let mut s = Script::live();
    s.hear(paused(0, 0.0, 2.0, 2.3));
    assert_eq!(s.hear(ending(2.0, 2.4)), ["hurry 1 x2"]);
    assert!(s.release(tail(0, 0.0, 2.0, 2.5), 1).is_empty());
    assert_eq!(s.says(1, "One."), ["complete #1 'One.' tail"]);
    let mut s = Script::batch();
    assert!(s.hear(ending(2.0, 2.03)).is_empty());
}

#[test]
fn a_pause_in_the_middle_is_decoded_in_vain() {
    let mut s = Script::live();
    assert_eq!(s.hear(paused(0, 0.0, 2.0, 2.3)), ["decode 1 2.2s/384 backx1"]);
    assert_eq!(s.resume(0), ["cancel 1"]);
    assert_eq!(s.hear(paused(0, 0.0, 4.0, 4.3)), ["decode 2 4.2s/384 backx1"]);
    assert!(s.ends(1, Err(Failure::Cancelled)).is_empty());
    assert_eq!(s.says(2, "One two three."), ["partial '' 'One two three.'"]);
    assert!(s.resume(0).is_empty());
    assert_eq!(s.release(tail(0, 0.0, 5.0, 5.1), 1), ["decode 3 5.1s/384 finalx2"]);
    assert_eq!(s.says(3, "One two three four."), ["complete #1 'One two three four.' tail"]);
    let in_vain = Note::Wasted(Duration::from_millis(100));
    assert_eq!(s.notes, [Note::Aborted, in_vain, in_vain]);
}

#[test]
fn a_newer_pause_takes_the_place_of_an_older_one() {
    let mut s = Script::live();
    assert_eq!(s.hear(paused(0, 0.0, 2.0, 2.3)), ["decode 1 2.2s/384 backx1"]);
    assert_eq!(s.hear(paused(0, 0.0, 4.0, 4.3)), ["cancel 1", "decode 2 4.2s/384 backx1"]);
}

#[test]
fn committed_text_is_the_prompt_of_what_follows() {
    let mut s = Script::new(Policy {
        profiles: vec![speech(None, "Enea.")],
        prompt_words: 2,
        ..policy(StrategyKind::Live)
    });
    assert_eq!(s.hear(paused(0, 0.0, 6.0, 6.3)), ["decode 1 6.2s/448 backx1 after 'Enea.'"]);
    // The pause becomes the segment's end while it is decoded: the decode goes on.
    assert!(s.hear(committed(0, 0.0, 6.0, 6.5)).is_empty());
    assert_eq!(s.says(1, "It was a dark night."), ["partial 'It was a dark night.' ''"]);
    assert_eq!(s.release(tail(1, 6.5, 8.0, 8.2), 1), ["decode 2 1.7s/384 finalx2 after 'Enea. dark night.'"]);
    assert_eq!(s.says(2, "And cold."), ["complete #1 'It was a dark night. And cold.' tail"]);
    assert_eq!(s.notes, [Note::Commit, Note::Useful(Duration::from_millis(100))]);
}

/// A sound of half a second after a sentence, of which the engine makes the sentence once more.
#[test]
fn what_may_be_an_echo_is_heard_for_itself() {
    let mut s = Script::new(Policy { profiles: vec![speech(None, "Enea.")], ..policy(StrategyKind::Live) });
    let _ = s.hear(committed(0, 0.0, 6.0, 6.5));
    let _ = s.says(1, "But in his heart he knew that it did matter.");
    let first = s.release(tail(1, 6.5, 6.7, 6.8), 1);
    assert!(first[0].ends_with(" after 'Enea. But in his heart he knew that it did matter.'"), "{first:?}");
    let again = s.says(2, "But in his heart he knew that it did matter.");
    assert!(again[0].contains("/1500 ") && again[0].ends_with(" after 'Enea.'"), "{again:?}");
    let text = "complete #1 'But in his heart he knew that it did matter.' fallback";
    assert_eq!(s.says(3, ""), [text]);
}

#[test]
fn nothing_after_the_last_commit_needs_no_decode() {
    let mut s = Script::live();
    assert_eq!(s.hear(committed(0, 0.0, 6.0, 6.5)), ["decode 1 6.2s/448 backx1"]);
    assert_eq!(s.says(1, "All of it."), ["partial 'All of it.' ''"]);
    assert_eq!(s.release(tail(1, 6.5, 6.5, 6.5), 1), ["complete #1 'All of it.' ready"]);
}

#[test]
fn a_commit_in_flight_at_the_release_is_finished_first_by_all_threads() {
    let mut s = Script::live();
    assert_eq!(s.hear(committed(0, 0.0, 6.0, 6.5)), ["decode 1 6.2s/448 backx1"]);
    assert_eq!(s.release(tail(1, 6.5, 8.0, 8.2), 1), ["hurry 1 x2"]);
    assert_eq!(s.says(1, "One."), ["decode 2 1.7s/384 finalx2 after 'One.'"]);
    assert_eq!(s.says(2, "Two."), ["complete #1 'One. Two.' tail"]);
}

#[test]
fn silence_never_reaches_the_engine() {
    for mut s in [Script::live(), Script::batch()] {
        assert!(s.hear(committed(0, 0.0, 0.0, 6.0)).is_empty());
        assert_eq!(s.release(tail(1, 6.0, 6.0, 7.0), 1), ["complete #1 '' no_speech"]);
        assert_eq!(s.release(tail(0, 0.0, 0.0, 0.0), 1), ["complete #1 '' no_speech"]);
    }
}

#[test]
fn batch_decodes_everything_at_once_after_the_release() {
    let mut s = Script::batch();
    assert!(s.hear(paused(0, 0.0, 2.0, 2.3)).is_empty());
    assert!(s.hear(committed(0, 0.0, 6.0, 6.5)).is_empty());
    assert_eq!(s.release(tail(1, 6.5, 8.0, 8.5), 1), ["decode 1 8.2s/576 finalx2"]);
    assert_eq!(s.says(1, "One. Two."), ["complete #1 'One. Two.' batch"]);
}

#[test]
fn batch_fills_windows_of_less_than_thirty_seconds() {
    let mut s = Script::batch();
    for i in 0..3 {
        let start = f64::from(i) * 12.0;
        assert!(s.hear(committed(i, start, start + 11.0, start + 12.0)).is_empty());
    }
    assert_eq!(s.release(tail(3, 36.0, 37.0, 37.2), 1), ["decode 1 23.2s/1500 finalx2"]);
    assert_eq!(s.says(1, "One."), ["decode 2 13.2s/832 finalx2 after 'One.'"]);
    assert_eq!(s.says(2, "Two."), ["complete #1 'One. Two.' batch"]);
}

#[test]
fn speech_without_a_pause_is_cut_and_joined_without_doubling() {
    for mut s in [Script::live(), Script::batch()] {
        let first = s.release(tail(0, 0.0, 40.0, 40.0), 1);
        assert!(first[0].starts_with("decode 1 2"), "{first:?}");
        let second = s.says(1, "It was a dark and");
        assert!(second[0].ends_with("finalx2 after 'It was a dark and'"), "{second:?}");
        let end = s.says(2, "And stormy night.");
        assert!(end[0].starts_with("complete #1 'It was a dark and stormy night.'"), "{end:?}");
    }
}

#[test]
fn what_is_suspect_is_decoded_once_more_at_full_context() {
    let loops = Decoded { ending: Ending::Loop, ..said("so my fellow so my fellow so my fellow") };
    let mut s = Script::live();
    assert_eq!(s.release(tail(0, 0.0, 4.0, 4.2), 1), ["decode 1 4.2s/384 finalx2"]);
    assert_eq!(s.ends(1, Ok(loops.clone())), ["decode 2 4.2s/1500 finalx2"]);
    assert_eq!(s.says(2, "Fine."), ["complete #1 'Fine.' fallback"]);
    assert_eq!(s.notes, [Note::Fallback(Suspicion::Loop)]);

    // In the background nobody waits for it: it is ready at the release.
    let mut s = Script::live();
    assert_eq!(s.hear(paused(0, 0.0, 4.0, 4.2)), ["decode 1 4.2s/384 backx1"]);
    assert_eq!(s.ends(1, Ok(loops)), ["decode 2 4.2s/1500 backx1"]);
    assert_eq!(s.says(2, "Fine."), ["partial '' 'Fine.'"]);
    assert_eq!(s.release(tail(0, 0.0, 4.0, 4.5), 1), ["complete #1 'Fine.' ready"]);
}

#[test]
fn after_an_abort_nothing_is_said() {
    let mut s = Script::live();
    s.hear(committed(0, 0.0, 6.0, 6.5));
    assert_eq!(s.feed(Input::Abort { take: TakeId(1) }), ["cancel 1"]);
    assert!(s.says(1, "One.").is_empty());
    assert!(s.feed(Input::Overdue { take: TakeId(1), attempt: 1 }).is_empty());

    s.release(segment(2, 0, SegmentState::Tail, 0.0, 1.0, 1.2), 1);
    assert_eq!(s.feed(Input::Abort { take: TakeId(2) }), ["cancel 2"]);
    assert!(s.ends(2, Err(Failure::Cancelled)).is_empty());
}

#[test]
fn the_next_take_waits_for_the_text_of_the_last() {
    let mut s = Script::live();
    let next = |state, end| segment(2, 0, state, 0.0, end - 0.3, end);
    assert_eq!(s.release(tail(0, 0.0, 4.0, 4.2), 1), ["decode 1 4.2s/384 finalx2"]);
    assert!(s.hear(next(SegmentState::Paused, 2.3)).is_empty());
    assert_eq!(s.says(1, "One."), ["complete #1 'One.' tail", "decode 2 2.2s/384 backx1"]);

    // And in the other order: what is in the background makes way.
    assert_eq!(
        s.release(segment(3, 0, SegmentState::Tail, 0.0, 1.0, 1.3), 1),
        ["cancel 2", "decode 3 1.2s/384 finalx2"]
    );
    assert_eq!(s.says(3, "Three."), ["complete #3 'Three.' tail", "decode 4 2.2s/384 backx1"]);
}

#[test]
fn work_in_vain_is_limited() {
    let mut s = Script::live();
    let mut decodes = 0;
    for i in 1..=20 {
        let end = f64::from(i) * 0.5;
        let effects = s.hear(paused(0, 0.0, end, end + 0.3));
        decodes += effects.iter().filter(|line| line.starts_with("decode")).count();
        if let Some(job) = s.jobs.last().map(|job| job.job.0) {
            s.says(job, "Words.");
        }
        s.resume(0);
    }
    // Each costs about what the take needs at its end; 1.5 of those were allowed, and the one that went over.
    assert!((2..=4).contains(&decodes), "{decodes}");
    // What is committed is decoded all the same.
    assert!(!s.hear(committed(0, 0.0, 12.0, 12.5)).is_empty());
}

#[test]
fn a_hole_is_noted() {
    let mut s = Script::live();
    s.hear(committed(0, 0.0, 6.0, 6.5));
    s.says(1, "One.");
    s.release(tail(2, 12.0, 13.0, 13.2), 1);
    assert_eq!(s.notes, [Note::Commit, Note::Missing(1)]);
}

#[test]
fn the_timing_is_that_of_the_release() {
    let mut s = Script::live();
    s.hear(committed(0, 0.0, 6.0, 6.5));
    s.says(1, "One.");
    s.release(tail(1, 6.5, 8.0, 8.2), 1);
    s.later(3);
    let done = Done { job: JobId(2), began: s.now, cpu: Duration::from_secs(1), result: Ok(said("Two.")) };
    let effects = s.strategy.step(s.now, Input::Done(done));
    let Some(Effect::Tell(SttEvent::Complete { timing, .. })) = effects.last() else { panic!("{effects:?}") };
    let expected = SttTiming {
        audio: Duration::from_millis(1_700),
        queued: Duration::from_millis(3),
        encode: Duration::from_millis(50),
        decode: Duration::from_millis(20),
        background: Duration::from_millis(100),
    };
    assert_eq!(timing, &expected);
}

/// Whole seconds of speech, each with a level of its own that stands for a word, and half a second of silence.
fn sentence(take: u64, index: u32, state: SegmentState, first: u64, from: u64, count: u64) -> Segment {
    let mut samples: Vec<f32> = (from..from + count)
        .flat_map(|word| std::iter::repeat_n(0.2 + word as f32 / 200.0, RATE as usize))
        .collect();
    samples.extend(std::iter::repeat_n(0.0, RATE as usize / 2));
    Segment {
        id: SegmentId { take: TakeId(take), index },
        state,
        start: first,
        speech_end: first + count * RATE,
        certain: true,
        clip: Clip::new(samples).unwrap(),
    }
}

fn words_of(clip: &Clip) -> String {
    let mut words = Vec::new();
    for level in clip.samples().iter().filter(|s| **s > 0.1) {
        let word = format!("w{}", ((level - 0.2) * 200.0).round());
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

#[derive(Clone, Debug)]
enum Step {
    Pause(u64),
    Commit(u64),
    Resume,
    Work,
    Fail,
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (1u64..4).prop_map(Step::Pause),
        1 => (1u64..6).prop_map(Step::Commit),
        1 => Just(Step::Resume),
        3 => Just(Step::Work),
        1 => Just(Step::Fail),
    ];
    prop::collection::vec(step, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the pauses, the speed of the engine and its failures in the background: at most one decode runs, and at
    /// the end every word is there once, in its order.
    #[test]
    fn no_word_is_lost_or_doubled(steps in steps(), rest in 0u64..4, batch: bool) {
        let kind = if batch { StrategyKind::Batch } else { StrategyKind::Live };
        let mut s = super::Strategy::new(policy(kind));
        let mut now = Moment::from_millis(1_000);
        let (mut index, mut start, mut word) = (0, 0, 0);
        let mut running: Option<Assignment> = None;
        let mut complete = None;
        let mut inputs: Vec<Option<Input>> = Vec::new();
        let mut work = Vec::new();
        for step in steps {
            match step {
                Step::Pause(n) => inputs.push(Some(Input::Hear(sentence(1, index, SegmentState::Paused, start, word, n), Profile::DEFAULT))),
                Step::Commit(n) => {
                    let closed = sentence(1, index, SegmentState::Committed, start, word, n);
                    start = closed.end();
                    inputs.push(Some(Input::Hear(closed, Profile::DEFAULT)));
                    index += 1;
                    word += n;
                }
                Step::Resume => inputs.push(Some(Input::SpeechResumed { take: TakeId(1), index })),
                Step::Work | Step::Fail => {
                    work.push(matches!(step, Step::Work));
                    inputs.push(None);
                }
            }
        }
        let tail = sentence(1, index, SegmentState::Tail, start, word, rest);
        word += rest;
        inputs.push(Some(Input::Transcribe { tail, profile: Profile::DEFAULT, attempt: 1, deadline: Duration::from_secs(60) }));
        inputs.extend(std::iter::repeat_n(None, 40));
        let mut work = work.into_iter();
        for input in inputs {
            now = now + Duration::from_millis(20);
            let input = match (input, running.take()) {
                (Some(input), job) => {
                    running = job;
                    input
                }
                (None, None) => continue,
                (None, Some(job)) => {
                    let good = work.next().unwrap_or(true) || !job.background;
                    let fault = Fault::new(Component::Stt, FaultKind::Broken, "no");
                    let result = if good { Ok(said(&words_of(&job.clip))) } else { Err(Failure::Failed(fault)) };
                    Input::Done(Done { job: job.job, began: now, cpu: Duration::from_millis(20), result })
                }
            };
            for effect in s.step(now, input) {
                match effect {
                    Effect::Decode(job) => {
                        prop_assert!(running.is_none(), "two decodes at a time");
                        running = Some(job);
                    }
                    Effect::Hurry(job, _) => {
                        prop_assert!(running.as_ref().is_some_and(|running| running.job == job && running.background));
                    }
                    Effect::Cancel(job) => {
                        prop_assert_eq!(running.take().map(|job| job.job), Some(job));
                    }
                    Effect::Tell(SttEvent::Complete { text, .. }) => {
                        prop_assert!(complete.replace(text).is_none(), "two texts of one take");
                    }
                    Effect::Tell(SttEvent::Partial { .. }) | Effect::Note(_) => {}
                    other @ (Effect::Tell(_) | Effect::Renew) => prop_assert!(false, "{:?}", other),
                }
            }
        }
        let expected: Vec<String> = (0..word).map(|word| format!("w{word}")).collect();
        prop_assert_eq!(complete.map(|text| text.reveal().to_owned()), Some(expected.join(" ")));
        prop_assert!(running.is_none());
    }
}
