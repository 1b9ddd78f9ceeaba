//! The recorder with a microphone made of memory, on a clock made of numbers.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};

use ptt_messages::{FaultKind, Segment, SegmentState, TakeSummary};

use super::*;
use crate::link::Work;
use crate::ring::{Feed, Loss, hand_over};
use crate::source::{CaptureSource, Format, Opened, Stream};
use crate::vad::tests::Loudness;

const TAKE: TakeId = TakeId(1);

/// A microphone at 48 kHz stereo.
#[derive(Debug, Default)]
struct Fake {
    /// Errors of the next openings, last first.
    errors: Mutex<Vec<AudioError>>,
    feed: Mutex<Option<Feed>>,
    opened: AtomicUsize,
    closed: Arc<AtomicUsize>,
}

struct Line(Arc<AtomicUsize>);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Stream for Line {
    fn take_begins(&mut self, _press: Moment) -> Result<Cue, AudioError> {
        Ok(Cue::Live)
    }

    fn take_ends(&mut self) {}
}

impl CaptureSource for Fake {
    fn open(&self, wake: &Thread) -> Result<Opened, AudioError> {
        if let Some(error) = self.errors.lock().unwrap().pop() {
            return Err(error);
        }
        let (feed, drain) = hand_over(48_000, 2, wake.clone());
        *self.feed.lock().unwrap() = Some(feed);
        self.opened.fetch_add(1, SeqCst);
        let format = Format { device: "fake".to_owned(), rate_hz: 48_000, channels: 2, live: true };
        Ok(Opened { stream: Box::new(Line(Arc::clone(&self.closed))), drain, format })
    }
}

struct Rig {
    fake: Arc<Fake>,
    recorder: Recorder,
    now: Moment,
    lines: Vec<String>,
    tail: Option<Segment>,
    summary: Option<TakeSummary>,
    first_sample: Moment,
    /// Whether somebody speaks into the microphone.
    loud: bool,
}

impl Rig {
    fn new(change: impl FnOnce(&mut AudioConfig)) -> Self {
        Self::launching(change, |_, work: Work| {
            work();
            Ok(())
        })
    }

    fn launching(change: impl FnOnce(&mut AudioConfig), launch: crate::link::Launch) -> Self {
        let mut config = AudioConfig::default();
        change(&mut config);
        let fake = Arc::new(Fake::default());
        let link = Link::new(Arc::clone(&fake) as Arc<dyn CaptureSource>, launch, thread::current());
        Self {
            recorder: Recorder::new(&config, link, Box::new(Loudness)),
            fake,
            now: Moment::from_millis(100_000),
            lines: Vec::new(),
            tail: None,
            summary: None,
            first_sample: Moment::default(),
            loud: false,
        }
    }

    fn tell(&mut self, command: RecorderCommand) -> &mut Self {
        self.recorder.command(command, self.now);
        self.turn()
    }

    fn start(&mut self) -> &mut Self {
        self.tell(RecorderCommand::Start { take: TAKE, press: self.now })
    }

    fn stop(&mut self) -> &mut Self {
        self.tell(RecorderCommand::Stop { take: TAKE, release: self.now })
    }

    fn turn(&mut self) -> &mut Self {
        // The link answers in the turn after the one that asked.
        for _ in 0..3 {
            self.recorder.turn(self.now);
        }
        for event in self.recorder.told() {
            self.lines.push(match event {
                RecorderEvent::Opened { rate_hz, channels, .. } => format!("opened {rate_hz}/{channels}"),
                RecorderEvent::Lost(fault) => format!("lost {}", fault.kind.label()),
                RecorderEvent::Started { first_sample, .. } => {
                    self.first_sample = first_sample;
                    "started".to_owned()
                }
                RecorderEvent::StartFailed { fault, .. } => format!("start failed {}", fault.kind.label()),
                RecorderEvent::Heard(segment) => {
                    assert_ne!(segment.state, SegmentState::Tail);
                    "heard".to_owned()
                }
                RecorderEvent::SpeechResumed { .. } => "resumed".to_owned(),
                RecorderEvent::Failed { fault, .. } => format!("failed {}", fault.kind.label()),
                RecorderEvent::Finished { tail, summary } => {
                    let line = if summary.cut_short { "finished, cut short" } else { "finished" };
                    self.tail = Some(tail);
                    self.summary = Some(summary);
                    line.to_owned()
                }
                RecorderEvent::Cleared { .. } => "cleared".to_owned(),
            });
        }
        self
    }

    /// Time passes with the microphone delivering.
    fn pass(&mut self, millis: u64) -> &mut Self {
        for _ in 0..millis / 10 {
            self.block(10);
        }
        self
    }

    /// The microphone delivers so much at once.
    fn block(&mut self, millis: u32) {
        let block = Duration::from_millis(millis.into());
        self.now = self.now + block;
        let level = if self.loud { 0.25 } else { 0.001 };
        if let Some(feed) = self.fake.feed.lock().unwrap().as_mut() {
            feed.push_at(self.now, &vec![level; 96 * millis as usize], block, |s| s);
        }
        self.turn();
    }

    /// A block of 10 ms comes that ended so long ago.
    fn late_block(&mut self, millis: u64) {
        let captured = self.now - Duration::from_millis(millis + 10);
        if let Some(feed) = self.fake.feed.lock().unwrap().as_mut() {
            feed.store(self.now, captured, &[0.001; 960], |s| s);
        }
        self.turn();
    }

    /// Time passes without a sound.
    fn nothing(&mut self, millis: u64) -> &mut Self {
        for _ in 0..millis / 10 {
            self.now = self.now + Duration::from_millis(10);
            self.turn();
        }
        self
    }

    fn expect(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.lines), expected);
        self
    }

    fn opened(&self) -> usize {
        self.fake.opened.load(SeqCst)
    }

    fn closed(&self) -> usize {
        self.fake.closed.load(SeqCst)
    }
}

fn gone() -> AudioError {
    AudioError::NoMicrophone { reasons: "test".to_owned(), kind: FaultKind::Gone }
}

#[test]
fn with_an_open_microphone_the_take_begins_before_the_press() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).expect(&["opened 48000/2"]);
    let press = rig.now;
    rig.start().expect(&["started"]);
    assert!(press.since(rig.first_sample).abs_diff(Duration::from_millis(300)) < Duration::from_millis(1));
    rig.loud = true;
    rig.pass(800);
    rig.loud = false;
    rig.pass(400).expect(&["heard"]);
    rig.stop().pass(20).expect(&["finished"]);
    let summary = rig.summary.unwrap();
    assert!(summary.has_speech);
    assert!(summary.length.abs_diff(Duration::from_millis(1_500)) < Duration::from_millis(2), "{summary:?}");
    assert!(summary.pre_roll.abs_diff(Duration::from_millis(300)) < Duration::from_millis(1), "{summary:?}");
    assert_eq!((rig.opened(), rig.closed()), (1, 0));
}

#[test]
fn a_remembered_press_gets_the_audio_of_its_time() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(2_000);
    let press = rig.now;
    rig.loud = true;
    rig.pass(1_000);
    rig.loud = false;
    rig.pass(500);
    let release = rig.now;
    rig.pass(5_000).expect(&["opened 48000/2"]);
    rig.tell(RecorderCommand::Start { take: TAKE, press });
    rig.tell(RecorderCommand::Stop { take: TAKE, release });
    let told = rig.lines.join(", ");
    assert!(told.starts_with("started") && told.ends_with("finished"), "{told}");
    let summary = rig.summary.unwrap();
    assert!(summary.length.abs_diff(Duration::from_millis(1_800)) < Duration::from_millis(2), "{summary:?}");
    assert!(summary.has_speech);
}

#[test]
fn on_press_opens_for_a_take_and_closes_after_it() {
    let mut rig = Rig::new(|config| config.microphone = MicrophonePolicy::OnPress);
    rig.tell(RecorderCommand::Open).nothing(100).expect(&[]);
    assert_eq!(rig.opened(), 0);
    rig.start().expect(&[]);
    rig.pass(50).expect(&["opened 48000/2", "started"]);
    rig.pass(500).stop().pass(20).expect(&["finished"]);
    assert_eq!((rig.opened(), rig.closed()), (1, 1));
    assert_eq!(rig.summary.unwrap().pre_roll, Duration::ZERO);
}

#[test]
fn idle_close_keeps_it_open_for_a_while() {
    let mut rig = Rig::new(|config| {
        config.microphone = MicrophonePolicy::IdleClose;
        config.idle_close_s = ptt_messages::Within::new(2);
    });
    rig.tell(RecorderCommand::Open).start().pass(300).stop().pass(1_000);
    assert_eq!((rig.opened(), rig.closed()), (1, 0));
    rig.start().pass(300).stop().pass(1_900);
    assert_eq!((rig.opened(), rig.closed()), (1, 0), "a take starts the wait again");
    rig.pass(200);
    assert_eq!((rig.opened(), rig.closed()), (1, 1));
}

#[test]
fn a_microphone_lost_between_takes_is_opened_again() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(100).expect(&["opened 48000/2"]);
    rig.fake.errors.lock().unwrap().extend([gone(), gone()]);
    let tally = rig.fake.feed.lock().unwrap().as_ref().unwrap().tally();
    tally.lose(Loss::Gone);
    rig.turn().expect(&["lost gone"]);
    rig.nothing(90);
    assert_eq!(rig.fake.errors.lock().unwrap().len(), 2, "not before 100 ms");
    rig.nothing(1_000);
    assert_eq!(rig.opened(), 2);
    rig.pass(10).expect(&["opened 48000/2"]);
}

#[test]
fn a_microphone_that_was_changed_for_another_one_is_opened_anew_and_is_no_fault() {
    let mut rig = Rig::new(|_| {});
    let change = |rig: &Rig| rig.fake.feed.lock().unwrap().as_ref().unwrap().tally().move_on();
    rig.tell(RecorderCommand::Open).pass(100).expect(&["opened 48000/2"]);
    change(&rig);
    rig.turn().expect(&[]).pass(10).expect(&["opened 48000/2"]);
    assert_eq!((rig.opened(), rig.closed()), (2, 1));
}

#[test]
fn a_take_goes_on_with_the_microphone_that_was_chosen_in_it() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).start().pass(500);
    rig.fake.feed.lock().unwrap().as_ref().unwrap().tally().move_on();
    rig.pass(500).expect(&["opened 48000/2", "started"]);
    rig.stop().pass(20).expect(&["finished", "opened 48000/2"]);
    let length = rig.summary.unwrap().length;
    assert!(length.abs_diff(Duration::from_millis(1_300)) < Duration::from_millis(20), "{length:?}");
    assert_eq!((rig.opened(), rig.closed()), (2, 1), "between takes it is opened in its own format");
    // When the one that was left has vanished, that is a fault all the same.
    rig.pass(1_000).start().pass(500);
    let tally = rig.fake.feed.lock().unwrap().as_ref().unwrap().tally();
    tally.move_on();
    rig.turn().expect(&["started"]);
    tally.lose(Loss::Gone);
    rig.turn().expect(&["failed gone", "finished, cut short"]);
}

#[test]
fn a_microphone_lost_in_a_take_leaves_what_there_is() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).start().pass(700);
    rig.fake.feed.lock().unwrap().as_ref().unwrap().tally().lose(Loss::ServerGone);
    rig.turn().expect(&["opened 48000/2", "started", "failed gone", "finished, cut short"]);
    let length = rig.summary.unwrap().length;
    // The last 5 ms are in the resampler's filter.
    assert!(length.abs_diff(Duration::from_millis(1_000)) < Duration::from_millis(8), "{length:?}");
    rig.nothing(100).pass(10).expect(&["opened 48000/2"]);
}

#[test]
fn a_microphone_that_says_nothing_starves() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).start().pass(500).nothing(4_990);
    rig.expect(&["opened 48000/2", "started"]);
    rig.nothing(10).expect(&["failed timeout", "finished, cut short"]);
    assert_eq!(rig.closed(), 1);
}

#[test]
fn a_microphone_that_stalls_and_goes_on_does_not_end_the_take() {
    for starve_ms in [100, 500, 2_000] {
        let mut rig = Rig::new(|config| config.starve_ms = ptt_messages::Within::new(starve_ms));
        rig.tell(RecorderCommand::Open).pass(1_000).start();
        for stall_ms in [500, 3_000, 4_900] {
            rig.pass(500).nothing(stall_ms);
        }
        rig.pass(500).stop().pass(20).expect(&["opened 48000/2", "started", "finished"]);
        let length = rig.summary.unwrap().length;
        assert!(length.abs_diff(Duration::from_millis(2_300)) < Duration::from_millis(20), "{length:?}");
    }
}

#[test]
fn a_stall_between_takes_costs_the_next_one_nothing() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).nothing(3_000);
    // The key goes down while nothing comes; what the device lost is no part of the take's time.
    rig.start().expect(&["opened 48000/2", "started"]).nothing(1_000);
    rig.loud = true;
    rig.pass(1_000).stop();
    rig.loud = false;
    rig.pass(300);
    assert_eq!(rig.lines.last().map(String::as_str), Some("finished"));
    let summary = rig.summary.unwrap();
    assert!(summary.has_speech);
    assert!(summary.length >= Duration::from_millis(1_290), "{summary:?}");
    assert_eq!((rig.opened(), rig.closed()), (1, 0));
}

#[test]
fn a_release_in_a_stall_waits_for_what_was_kept_but_not_for_long() {
    // The device has kept what was said while it stalled: all of it, up to the release, is in the
    // take.
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).start().pass(500).nothing(800).stop().nothing(700);
    rig.expect(&["opened 48000/2", "started"]);
    for age in (0..150).rev() {
        rig.late_block(age * 10);
    }
    rig.pass(20).expect(&["finished"]);
    let length = rig.summary.unwrap().length;
    assert!(length.abs_diff(Duration::from_millis(1_600)) < Duration::from_millis(30), "{length:?}");
    // It has lost it: the take ends with the first audio after the release.
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).start().pass(500).nothing(800).stop().nothing(700);
    rig.pass(50).expect(&["opened 48000/2", "started", "finished"]);
    // Nothing comes any more.
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).start().pass(500).nothing(1_000).stop().nothing(1_990);
    rig.expect(&["opened 48000/2", "started"]);
    rig.nothing(10).expect(&["failed timeout", "finished, cut short"]);
}

#[test]
fn a_microphone_that_falls_behind_for_ever_does_not_keep_a_released_take() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).start().pass(500).nothing(1_000).stop();
    // What comes is always older than the release.
    for late in 0..249 {
        rig.now = rig.now + Duration::from_millis(10);
        rig.late_block(1_000 + 10 * late);
    }
    rig.expect(&["opened 48000/2", "started"]);
    rig.nothing(10).expect(&["finished, cut short"]);
}

#[test]
fn a_program_that_was_stopped_does_not_blame_the_microphone() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(1_000).start().pass(500);
    rig.now = rig.now + Duration::from_secs(5);
    rig.turn().pass(500).expect(&["opened 48000/2", "started"]);
}

#[test]
fn a_take_that_cannot_start_says_so_within_a_second() {
    let mut rig = Rig::new(|_| {});
    rig.fake.errors.lock().unwrap().push(gone());
    rig.start().expect(&["start failed gone"]);
    // It opens, but there is no audio.
    rig.start().nothing(890).expect(&[]);
    rig.nothing(10).expect(&["start failed timeout"]);
    // It does not even answer.
    let mut rig = Rig::launching(
        |_| {},
        |_, work| {
            std::mem::forget(work);
            Ok(())
        },
    );
    rig.start().nothing(890).expect(&[]);
    rig.nothing(10).expect(&["start failed timeout"]);
}

#[test]
fn a_hanging_close_is_waited_for_before_anything_is_opened() {
    let mut rig = Rig::launching(
        |_| {},
        |name, work| {
            if name == "ptt-audio-close" {
                std::mem::forget(work);
            } else {
                work();
            }
            Ok(())
        },
    );
    rig.tell(RecorderCommand::Open).pass(100).expect(&["opened 48000/2"]);
    rig.nothing(5_000).expect(&["lost timeout"]);
    rig.start().nothing(900).expect(&["start failed timeout"]);
    assert_eq!(rig.opened(), 1);
}

#[test]
fn one_take_at_a_time_and_an_abort_clears() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(500).start();
    rig.tell(RecorderCommand::Start { take: TakeId(2), press: rig.now });
    rig.expect(&["opened 48000/2", "started", "start failed busy"]);
    rig.tell(RecorderCommand::Abort { take: TAKE }).expect(&["cleared"]);
    rig.stop().pass(100).expect(&[]);
    rig.tell(RecorderCommand::Abort { take: TakeId(9) }).expect(&["cleared"]);
    rig.start().expect(&["started"]);
}

#[test]
fn what_was_in_one_take_is_not_in_the_next() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(500).start();
    rig.loud = true;
    rig.pass(1_000).stop();
    rig.loud = false;
    rig.pass(200);
    assert!(rig.tail.as_ref().unwrap().has_speech());
    // The key is down again before the pre-roll is over.
    rig.start().pass(100).stop().pass(200);
    assert_eq!(rig.lines.iter().filter(|line| *line == "finished").count(), 2);
    assert!(!rig.tail.as_ref().unwrap().has_speech());
    assert!(rig.summary.unwrap().pre_roll < Duration::from_millis(200), "{:?}", rig.summary);
}

#[test]
fn what_was_cancelled_is_not_in_the_next_take_and_a_slip_of_the_finger_is() {
    for (held_ms, before_it_ms) in [(1_000, 100), (150, 300)] {
        let mut rig = Rig::new(|_| {});
        rig.tell(RecorderCommand::Open).pass(500).start().pass(held_ms);
        rig.tell(RecorderCommand::Abort { take: TAKE });
        rig.pass(100).start().pass(500).stop().pass(200);
        let pre_roll = rig.summary.unwrap().pre_roll;
        let expected = Duration::from_millis(before_it_ms);
        assert!(pre_roll.abs_diff(expected) < Duration::from_millis(8), "{held_ms} ms held: {pre_roll:?}");
    }
}

#[test]
fn a_take_that_begins_in_the_past_is_heard_at_ten_times_speed() {
    for block_ms in [10, 100] {
        let mut rig = Rig::new(|_| {});
        rig.tell(RecorderCommand::Open).pass(500);
        let press = rig.now;
        rig.loud = true;
        rig.pass(15_000);
        rig.tell(RecorderCommand::Start { take: TAKE, press });
        for _ in 0..1_000 / block_ms {
            rig.block(block_ms);
        }
        let take = &rig.recorder.running.as_ref().unwrap().take;
        let seconds = length(take.heard() - take.pressed()).as_secs_f64();
        // Less the pre-roll, in whole frames.
        assert!((9.0..10.0).contains(&seconds), "{block_ms} ms: {seconds} s");
    }
}

#[test]
fn a_microphone_lost_while_a_take_catches_up_leaves_all_that_there_is() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(500);
    let press = rig.now;
    rig.loud = true;
    rig.pass(15_000);
    rig.tell(RecorderCommand::Start { take: TAKE, press }).pass(100);
    rig.fake.feed.lock().unwrap().as_ref().unwrap().tally().lose(Loss::ServerGone);
    rig.turn();
    assert!(
        rig.lines.ends_with(&["failed gone".to_owned(), "finished, cut short".to_owned()]),
        "{:?}",
        rig.lines
    );
    let tail = rig.tail.as_ref().unwrap();
    let unheard = length(tail.end() - tail.speech_end);
    assert!(unheard < Duration::from_millis(20), "{unheard:?}");
}

#[test]
fn close_ends_everything() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(500).start().pass(200);
    rig.tell(RecorderCommand::Close);
    rig.expect(&["opened 48000/2", "started", "finished, cut short"]);
    rig.nothing(10_000).expect(&[]);
    assert_eq!((rig.opened(), rig.closed()), (1, 1));
}

#[test]
fn the_buffer_is_bounded_however_long_the_take() {
    let mut rig = Rig::new(|_| {});
    rig.tell(RecorderCommand::Open).pass(500).start();
    rig.loud = true;
    rig.pass(70_000).stop().pass(600);
    // Two that were too long, and what was there at the release.
    assert_eq!(rig.lines.iter().filter(|line| *line == "heard").count(), 3);
    let length = rig.summary.unwrap().length;
    assert!(length.abs_diff(Duration::from_millis(70_800)) < Duration::from_millis(20), "{length:?}");
}
