//! The contract suites against actors with planted bugs: each bug is caught, within a bounded time,
//! and the same actor without one passes.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, SpawnHandle};
use ptt_messages::{
    Clip, Component, Fault, FaultKind, KeyboardCommand, KeyboardEvent, Moment, Port, Posted, Profile,
    Segment, SegmentState, SttCommand, SttEvent, SttTiming, TakeId, TextPath, Transcript,
};
use ptt_tests::contract;

/// Longer than an actor without a bug takes for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a suite may take to catch a bug.
const CAUGHT_WITHIN: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// A handler waits for two seconds.
    BlockingHandler,
    /// Keyboard: goes on reporting after `Ignore`.
    DeafToIgnore,
    /// Keyboard: does not know the cancel key.
    WithoutCancelled,
    /// Keyboard: `Listen` is not answered.
    Silent,
    /// Recogniser: answers when it is done, whatever the deadline was.
    IgnoredDeadline,
    /// Recogniser: forgets commands that come while it decodes.
    LostWhileDecoding,
}

/// Why a suite failed; `None` where it passed.
async fn verdict(suite: impl Future<Output = ()> + 'static) -> Option<String> {
    let running = actix::spawn(suite);
    let ended = tokio::time::timeout(CAUGHT_WITHIN, running).await;
    let ended = ended.unwrap_or_else(|_| panic!("the suite still runs after {CAUGHT_WITHIN:?}"));
    let panic = ended.err()?.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

fn assert_caught(bug: Bug, verdict: Option<String>, because: &str) {
    match verdict {
        None => assert_eq!(bug, Bug::None, "the bug was missed"),
        Some(text) => assert!(bug != Bug::None && text.contains(because), "{bug:?}: {text}"),
    }
}

#[actix::test]
async fn every_bug_of_a_keyboard_is_caught() {
    for (bug, because) in [
        (Bug::None, ""),
        (Bug::BlockingHandler, "the keyboard blocked the thread of all actors"),
        (Bug::DeafToIgnore, "after `Ignore`"),
        (Bug::WithoutCancelled, "was not told Cancelled within"),
        (Bug::Silent, "was told nothing within"),
    ] {
        let suite = contract::keyboard_within(PATIENCE, move |events| {
            Port::start("keyboard", 100, FakeKeyboard { bug, events, playing: None, step: 0 })
        });
        assert_caught(bug, verdict(suite).await, because);
    }
}

#[actix::test]
async fn every_bug_of_a_recogniser_is_caught() {
    for (bug, because) in [
        (Bug::None, ""),
        (Bug::BlockingHandler, "the recogniser blocked the thread of all actors"),
        (Bug::IgnoredDeadline, "the deadline of 1ms was ignored"),
        (Bug::LostWhileDecoding, "was not told an answer to each command within"),
    ] {
        let suite = async move {
            let spoken = Clip::new(vec![0.1; 32_000]).unwrap();
            let spawn = |events| Port::start("stt", 100, FakeStt::new(bug, events));
            contract::stt_within(PATIENCE, spawn, &spoken).await;
        };
        assert_caught(bug, verdict(suite).await, because);
    }
}

/// Two holds and the cancel key, again and again.
struct FakeKeyboard {
    bug: Bug,
    events: Port<KeyboardEvent>,
    playing: Option<SpawnHandle>,
    step: usize,
}

impl FakeKeyboard {
    fn play(&mut self, _: &mut Context<Self>) {
        let (at, profile) = (Moment::now(), Profile::DEFAULT);
        let event = match self.step % 5 {
            0 | 2 => KeyboardEvent::Pressed { at, profile },
            1 | 3 => KeyboardEvent::Released { at },
            _ => KeyboardEvent::Cancelled { at },
        };
        self.step += 1;
        if self.bug != Bug::WithoutCancelled || !matches!(event, KeyboardEvent::Cancelled { .. }) {
            self.events.post(event);
        }
    }
}

impl Actor for FakeKeyboard {
    type Context = Context<Self>;
}

impl Handler<Posted<KeyboardCommand>> for FakeKeyboard {
    type Result = ();

    fn handle(&mut self, message: Posted<KeyboardCommand>, ctx: &mut Context<Self>) {
        match (message.open("keyboard"), self.bug) {
            (KeyboardCommand::Listen, Bug::Silent) => {}
            (KeyboardCommand::Listen, bug) => {
                if bug == Bug::BlockingHandler {
                    std::thread::sleep(Duration::from_secs(2));
                }
                self.events.post(KeyboardEvent::Listening { backend: "fake".to_owned() });
                self.step = 0;
                self.playing = Some(ctx.run_interval(Duration::from_millis(30), Self::play));
            }
            (KeyboardCommand::Ignore, Bug::DeafToIgnore) => {}
            (KeyboardCommand::Ignore, _) => {
                self.playing.take().into_iter().for_each(|playing| {
                    ctx.cancel_future(playing);
                });
            }
        }
    }
}

/// Understands anything; long clips take it five seconds.
struct FakeStt {
    bug: Bug,
    events: Port<SttEvent>,
    /// Takes with a committed segment.
    heard: HashSet<TakeId>,
    decoding: Option<(TakeId, SpawnHandle)>,
    waiting: VecDeque<SttCommand>,
}

impl FakeStt {
    fn new(bug: Bug, events: Port<SttEvent>) -> Self {
        Self { bug, events, heard: HashSet::new(), decoding: None, waiting: VecDeque::new() }
    }

    fn obey(&mut self, command: SttCommand, ctx: &mut Context<Self>) {
        match command {
            SttCommand::Load => {
                let (model, load) = ("fake".to_owned(), Duration::ZERO);
                self.events.post(SttEvent::Ready { model, load });
            }
            SttCommand::Unload => {
                self.events.post(SttEvent::Unloaded);
            }
            SttCommand::Hear { segment, .. } => {
                if segment.state == SegmentState::Committed {
                    self.heard.insert(segment.id.take);
                }
            }
            SttCommand::SpeechResumed { .. } => {}
            SttCommand::Abort { take } => {
                self.heard.remove(&take);
            }
            SttCommand::Transcribe { tail, deadline, .. } => self.decode(&tail, deadline, ctx),
        }
    }

    fn decode(&mut self, tail: &Segment, deadline: Duration, ctx: &mut Context<Self>) {
        if self.bug == Bug::BlockingHandler {
            std::thread::sleep(Duration::from_secs(2));
        }
        let take = tail.id.take;
        let has_speech = self.heard.remove(&take) || tail.has_speech();
        let long = tail.clip.duration() > Duration::from_secs(10);
        let takes = if long { Duration::from_secs(5) } else { Duration::from_millis(40) };
        let in_time = takes <= deadline || self.bug == Bug::IgnoredDeadline;
        let handle = ctx.run_later(if in_time { takes } else { deadline }, move |actor, ctx| {
            actor.events.post(if in_time {
                complete(take, has_speech)
            } else {
                let message = "the text took too long; try again";
                let fault = Fault::new(Component::Stt, FaultKind::Timeout, message);
                SttEvent::Failed { take: Some(take), fault }
            });
            actor.go_on(ctx);
        });
        self.decoding = Some((take, handle));
    }

    fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.decoding = None;
        while self.decoding.is_none()
            && let Some(command) = self.waiting.pop_front()
        {
            self.obey(command, ctx);
        }
    }
}

fn complete(take: TakeId, has_speech: bool) -> SttEvent {
    let (text, path) = if has_speech { ("Words.", TextPath::Batch) } else { ("", TextPath::NoSpeech) };
    SttEvent::Complete { take, text: Transcript::new(text), path, timing: SttTiming::default() }
}

impl Actor for FakeStt {
    type Context = Context<Self>;
}

impl Handler<Posted<SttCommand>> for FakeStt {
    type Result = ();

    fn handle(&mut self, message: Posted<SttCommand>, ctx: &mut Context<Self>) {
        let command = message.open("stt");
        let Some((take, handle)) = self.decoding else { return self.obey(command, ctx) };
        match command {
            SttCommand::Abort { take: aborted } => {
                self.waiting.retain(|waiting| match waiting {
                    SttCommand::Transcribe { tail: segment, .. } | SttCommand::Hear { segment, .. } => {
                        segment.id.take != aborted
                    }
                    _ => true,
                });
                self.heard.remove(&aborted);
                if take == aborted {
                    ctx.cancel_future(handle);
                    self.go_on(ctx);
                }
            }
            _ if self.bug == Bug::LostWhileDecoding => {}
            command => self.waiting.push_back(command),
        }
    }
}
