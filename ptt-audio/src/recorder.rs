//! The recorder without its thread: commands, audio and time go in, events come out. Time is an argument; devices are
//! behind [`CaptureSource`](crate::source::CaptureSource).
//!
//! Its owner calls [`Recorder::turn`] whenever it is woken: by a block, a command, the link, or the alarm of the last
//! turn.

mod running;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ptt_messages::{Moment, RecorderCommand, RecorderEvent, TakeId};

use self::running::{Running, Waiting};
use crate::clock::{GapWatch, SampleClock, length};
use crate::config::{AudioConfig, MicrophonePolicy};
use crate::dsp::Intake;
use crate::error::AudioError;
use crate::history::{CAPACITY, History};
use crate::link::Link;
use crate::metrics::Handles;
use crate::source::Cue;
use crate::take::{Rules, Take};
use crate::vad::{FRAME, Vad};

/// How long a take waits for a microphone that is not open yet.
const START_PATIENCE: Duration = Duration::from_millis(900);

/// How long a microphone just opened may take to its first audio: an idle sound server's first block can be 2 s late.
const FIRST_AUDIO: Duration = Duration::from_secs(3);

/// How long an open microphone may deliver nothing while the key is held, and between takes: a
/// paused sound server or a busy machine goes on after some seconds.
const STALL: Duration = Duration::from_secs(5);

/// While nothing comes it is looked this often whether we were stopped ourselves.
const LOOK: Duration = Duration::from_millis(500);

/// Waits before a lost microphone is opened again.
const RETRY_MS: [u64; 6] = [100, 200, 500, 1_000, 2_000, 5_000];

/// An alarm this late means that the whole program did not run, so that silence is nobody's fault.
const ASLEEP: Duration = Duration::from_millis(100);

/// How far back a press may lie; what is older was not kept for it.
const MOST_PAST: u64 = 20 * 16_000;

/// How much a take that begins in the past hears for each new sample: it catches up at ten times speed, so that a `Stop` on
/// its way finds it before it has heard far beyond the release.
const CATCH_UP: u64 = 10;

/// The recorder.
pub struct Recorder {
    rules: Rules,
    policy: MicrophonePolicy,
    idle_close: Duration,
    starve: Duration,
    /// The same after the release.
    released_starve: Duration,
    link: Link,
    vad: Box<dyn Vad>,
    intake: Intake,
    /// Frames of the stream so far, at its own rate, and the history's end when it began.
    frames: u64,
    base: u64,
    history: History,
    clock: SampleClock,
    gaps: GapWatch,
    fresh: Vec<f32>,
    running: Option<Running>,
    /// Where the last take ended: what was in one take is not in the next, however soon that comes.
    told_up_to: u64,
    waiting: Option<Waiting>,
    /// Takes may come.
    listening: bool,
    /// Audio arrived on this link.
    delivering: bool,
    /// Since when the link is wished for, and when it last showed life.
    wished: Moment,
    alive: Moment,
    idle_since: Moment,
    retry_at: Option<Moment>,
    failures: usize,
    alarm: Option<Moment>,
    told: Vec<RecorderEvent>,
    metrics: Handles,
}

impl Recorder {
    /// A recorder whose link is closed.
    #[must_use]
    pub fn new(config: &AudioConfig, link: Link, vad: Box<dyn Vad>) -> Self {
        Self {
            rules: Rules::from(config),
            policy: config.microphone,
            idle_close: config.idle_close_s.secs(),
            starve: config.starve_ms.millis(),
            released_starve: config.patience_after_release(),
            link,
            vad,
            intake: Intake::new(16_000, 1),
            frames: 0,
            base: 0,
            history: History::default(),
            clock: SampleClock::default(),
            gaps: GapWatch::default(),
            fresh: Vec::with_capacity(4_096),
            running: None,
            told_up_to: 0,
            waiting: None,
            listening: false,
            delivering: false,
            wished: Moment::default(),
            alive: Moment::default(),
            idle_since: Moment::default(),
            retry_at: None,
            failures: 0,
            alarm: None,
            told: Vec::new(),
            metrics: Handles::new(),
        }
    }

    /// What is to be told since the last call.
    pub fn told(&mut self) -> Vec<RecorderEvent> {
        std::mem::take(&mut self.told)
    }

    /// Does as told. [`Recorder::turn`] must follow.
    pub fn command(&mut self, command: RecorderCommand, now: Moment) {
        match command {
            RecorderCommand::Open => {
                self.listening = true;
                if self.policy == MicrophonePolicy::Always {
                    self.open(now);
                }
            }
            RecorderCommand::Close => {
                self.listening = false;
                self.cut_short();
                if let Some(Waiting { take, .. }) = self.waiting.take() {
                    let fault = AudioError::Closed.fault();
                    self.told.push(RecorderEvent::StartFailed { take, fault });
                }
                self.close();
            }
            RecorderCommand::Start { take, press } => self.start(take, press, now),
            RecorderCommand::Stop { take, release } => self.stop(take, release, now),
            RecorderCommand::Abort { take } => {
                let waited = self.waiting.take_if(|waiting| waiting.take == take).is_some();
                let ran = self.running.take_if(|running| running.take.id() == take);
                if let Some(Running { take, .. }) = &ran
                    && take.heard() > take.pressed() + self.rules.pre_roll
                {
                    // What was cancelled is not in the next take; what a finger slipped on may be its beginning.
                    self.told_up_to = self.history.end();
                }
                if waited || ran.is_some() {
                    self.after_take(now);
                }
                self.told.push(RecorderEvent::Cleared { take });
            }
        }
    }

    /// Takes what has arrived and does what is due. Returns when it wants to be called again at the latest.
    pub fn turn(&mut self, now: Moment) -> Option<Moment> {
        if self.alarm.is_some_and(|alarm| now > alarm + ASLEEP) {
            self.alive = now;
            if let Some(running) = &mut self.running {
                running.stopped = running.stopped.map(|_| now);
            }
        }
        self.poll_link(now);
        self.drain(now);
        self.hear_pieces(now);
        self.look_for_loss(now);
        self.begin_waiting(now);
        self.timers(now);
        // A wish made in this turn starts now, not at the next one.
        self.poll_link(now);
        let goes_on = self.running.as_ref().is_some_and(|running| running.pieces.is_some());
        self.alarm = if goes_on { Some(now) } else { self.next_alarm(now) };
        self.alarm
    }

    fn start(&mut self, take: TakeId, press: Moment, now: Moment) {
        if self.running.is_some() || self.waiting.is_some() {
            let fault = AudioError::TakeRunning.fault();
            self.told.push(RecorderEvent::StartFailed { take, fault });
            return;
        }
        self.waiting = Some(Waiting { take, press, until: now + START_PATIENCE });
        self.open(now);
    }

    fn stop(&mut self, id: TakeId, release: Moment, now: Moment) {
        let Some(running) = self.running.as_mut().filter(|running| running.take.id() == id) else { return };
        running.stopped.get_or_insert(now);
        if running.at_once {
            if running.pieces.is_none() {
                self.release_at_once();
            }
        } else {
            running.release.get_or_insert(release);
            self.place_edges();
        }
    }

    /// Lets a take that is heard at once hear the next of it: not all, because what it has to tell
    /// must be taken from memory meanwhile.
    fn hear_pieces(&mut self, now: Moment) {
        while let Some(running) = &mut self.running
            && let Some(pieces) = &mut running.pieces
            && self.told.is_empty()
        {
            let Some(piece) = pieces.next() else {
                running.pieces = None;
                if running.stopped.is_some() {
                    self.release_at_once();
                }
                break;
            };
            // In parts, because a piece may be longer than the history.
            for part in piece.chunks(FRAME) {
                self.history.push(part);
                self.hear(now, 0);
            }
        }
        if self.running.as_ref().is_some_and(|running| running.at_once) {
            self.hear(now, 0);
        }
    }

    /// The end of a take that was heard at once, where it has come to its end.
    fn release_at_once(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.take.release(self.history.end());
        // What a microphone would have gone on hearing.
        let silence = vec![0.0; usize::try_from(self.rules.post_roll).unwrap_or(0) + FRAME];
        self.history.push(&silence);
    }

    /// Tells the running take the samples of its press and its release as far as they are known.
    /// Says whether the take may hear.
    fn place_edges(&mut self) -> bool {
        let Some(running) = &self.running else { return false };
        let id = running.take.id();
        let placed = match running.press.map(|press| self.clock.settled_number_at(press)) {
            Some(None) => return false,
            Some(Some(pressed)) => Some(self.take_from(id, pressed)),
            None => None,
        };
        let Some(running) = &mut self.running else { return false };
        if let Some(take) = placed {
            running.press = None;
            running.take = take;
        }
        if let Some(release) = running.release
            && let Some(number) = self.clock.settled_number_at(release)
        {
            running.release = None;
            running.take.release(number);
        }
        true
    }

    /// A take whose key went down at sample `pressed`; its audio begins before, as far as it is
    /// there.
    fn take_from(&self, id: TakeId, pressed: u64) -> Take {
        let kept = self.history.end().saturating_sub(MOST_PAST);
        if kept > pressed {
            let missing = length(kept - pressed);
            tracing::warn!(take = %id, ?missing, "the take before it took so long that its beginning is lost");
            self.metrics.missing.increment(missing.as_millis() as u64);
        }
        let earliest = self.history.oldest().max(kept).max(self.told_up_to);
        Take::new(id, self.rules, pressed.saturating_sub(self.rules.pre_roll).max(earliest), pressed)
    }

    fn open(&mut self, now: Moment) {
        if self.link.opened().is_none() {
            self.wished = now;
        }
        self.retry_at = None;
        self.link.open();
    }

    fn close(&mut self) {
        self.link.close();
        self.delivering = false;
        self.retry_at = None;
        self.history.wipe();
        self.metrics.open.set(0.0);
    }

    fn connected(&mut self, now: Moment) {
        let Some(opened) = self.link.opened() else { return };
        self.intake = Intake::new(opened.format.rate_hz, opened.format.channels);
        self.history.restart();
        self.clock.restart();
        self.gaps = GapWatch::default();
        self.base = self.history.end();
        self.frames = 0;
        self.alive = now;
        self.delivering = false;
        if !opened.format.live {
            self.delivers(now);
        }
    }

    fn poll_link(&mut self, now: Moment) {
        match self.link.poll() {
            Some(Ok(())) => self.connected(now),
            Some(Err(error)) => self.failed(&error, now),
            None => {}
        }
    }

    /// The first audio of a link is there.
    fn delivers(&mut self, now: Moment) {
        let Some(opened) = self.link.opened() else { return };
        let format = opened.format.clone();
        self.delivering = true;
        self.failures = 0;
        self.idle_since = now;
        self.metrics.open.set(1.0);
        self.metrics.opening.record(now.since(self.wished));
        self.told.push(RecorderEvent::Opened {
            device: format.device,
            rate_hz: format.rate_hz,
            channels: format.channels,
        });
    }

    fn drain(&mut self, now: Moment) {
        loop {
            let Some(opened) = self.link.opened() else { return };
            let rate = u64::from(opened.format.rate_hz.max(1));
            let channels = opened.format.channels.max(1) as usize;
            let Some((block, samples)) = opened.drain.next() else { break };
            let heard = self.frames * 16_000 / rate;
            self.clock.note(self.base + heard, block.captured);
            if let Some(missing) = self.gaps.note(heard, block.captured) {
                tracing::warn!(?missing, "the sound system left audio out; a longer audio.block_ms may help");
                self.metrics.missing.increment(missing.as_millis() as u64);
            }
            self.frames += (samples.len() / channels) as u64;
            self.fresh.clear();
            self.intake.push(samples, &mut self.fresh);
            self.history.push(&self.fresh);
            self.alive = now;
            if !self.delivering {
                self.delivers(now);
            }
            self.hear(now, CATCH_UP * self.fresh.len() as u64);
            self.metrics.block.record(Moment::now().since(block.arrived));
        }
        self.hear(now, 0);
        self.publish();
    }

    fn publish(&mut self) {
        self.metrics.found(self.intake.findings());
        self.metrics
            .buffer_fill
            .set(self.running.as_ref().map_or(0.0, |r| r.take.held() as f64 / CAPACITY as f64));
        if let Some(opened) = self.link.opened() {
            let tally = opened.drain.tally();
            self.metrics.dropped.increment(tally.dropped.swap(0, Relaxed));
            self.metrics.xruns.increment(tally.xruns.swap(0, Relaxed));
            let moved = tally.moved.swap(0, Relaxed);
            if moved > 0 && self.running.is_some() {
                tracing::info!("another microphone was chosen in the sound system; the take goes on with it");
            }
            self.metrics.moved.increment(moved);
            self.metrics.ring_fill.set(opened.drain.fill());
        }
    }

    /// Lets the running take hear so many samples of what is there, or all of it when its end is known.
    fn hear(&mut self, now: Moment, most: u64) {
        if !self.place_edges() {
            return;
        }
        let Some(running) = &mut self.running else { return };
        let take = &mut running.take;
        let limit = if running.at_once || take.released() { u64::MAX } else { take.heard() + most };
        let events = take.hear(&self.history, self.vad.as_mut(), limit);
        let summary = match events.last() {
            Some(RecorderEvent::Finished { summary, .. }) => Some(*summary),
            _ => None,
        };
        self.told.extend(events);
        if let Some(summary) = summary {
            self.metrics.take.record(summary.length);
            self.metrics.speech.record(length(take.speech()));
            self.told_up_to = take.open();
            self.running = None;
            self.after_take(now);
        }
    }

    fn look_for_loss(&mut self, now: Moment) {
        let Some(opened) = self.link.opened() else { return };
        if opened.drain.tally().elsewhere() && self.running.is_none() {
            tracing::info!("the sound system put another microphone in place of ours; opening that one");
            self.publish();
            self.close();
            return self.open(now);
        }
        if let Some(loss) = opened.drain.tally().lost() {
            self.lose(&AudioError::Lost { reason: loss.reason(), kind: loss.kind() }, now);
            return;
        }
        if opened.format.live && now >= self.starves_at() {
            self.metrics.starvations.increment(1);
            self.lose(&AudioError::Starved { silent: now.since(self.alive) }, now);
        }
    }

    /// When the silence of an open microphone becomes a fault.
    fn starves_at(&self) -> Moment {
        if !self.delivering {
            return self.alive + FIRST_AUDIO.max(self.starve);
        }
        match self.running.as_ref().and_then(|running| running.stopped) {
            Some(stopped) => self.alive.max(stopped) + self.released_starve,
            None => self.alive + STALL.max(self.starve),
        }
    }

    /// An open link is lost.
    fn lose(&mut self, error: &AudioError, now: Moment) {
        let fault = error.fault();
        tracing::warn!(%fault, "microphone lost");
        self.metrics.lost.increment(1);
        if let Some(running) = &self.running {
            let take = running.take.id();
            self.told.push(RecorderEvent::Failed { take, fault });
            self.cut_short();
        } else if self.waiting.is_none() {
            self.told.push(RecorderEvent::Lost(fault));
        }
        self.close();
        self.try_again(now);
    }

    /// The link could not be opened.
    fn failed(&mut self, error: &AudioError, now: Moment) {
        let fault = error.fault();
        if let Some(Waiting { take, .. }) = self.waiting.take() {
            self.told.push(RecorderEvent::StartFailed { take, fault });
        } else if self.failures == 0 {
            self.told.push(RecorderEvent::Lost(fault));
        }
        self.try_again(now);
    }

    fn try_again(&mut self, now: Moment) {
        if self.waiting.is_some() {
            self.open(now);
        } else if self.listening && self.policy == MicrophonePolicy::Always {
            let wait = RETRY_MS[self.failures.min(RETRY_MS.len() - 1)];
            self.retry_at = Some(now + Duration::from_millis(wait));
            self.failures += 1;
        }
    }

    fn begin_waiting(&mut self, now: Moment) {
        let Some(&Waiting { take, press, until }) = self.waiting.as_ref() else { return };
        if self.delivering {
            self.waiting = None;
            self.begin(take, press, now);
        } else if now >= until {
            self.waiting = None;
            let error = match self.link.opened() {
                Some(_) => AudioError::Starved { silent: START_PATIENCE },
                None => AudioError::NoAnswer { within: START_PATIENCE },
            };
            self.told.push(RecorderEvent::StartFailed { take, fault: error.fault() });
            self.after_take(now);
        }
    }

    fn begin(&mut self, id: TakeId, press: Moment, now: Moment) {
        let Some(opened) = self.link.opened() else { return };
        let cue = match opened.stream.take_begins(press) {
            Ok(cue) => cue,
            Err(error) => {
                self.told.push(RecorderEvent::StartFailed { take: id, fault: error.fault() });
                self.after_take(now);
                return;
            }
        };
        self.vad.reset();
        match cue {
            Cue::Live => {
                let pressed = self.clock.settled_number_at(press);
                let take = self.take_from(id, pressed.unwrap_or_else(|| self.history.end()));
                let first_sample = self.clock.moment_of(take.heard()).unwrap_or(press);
                self.told.push(RecorderEvent::Started { take: id, first_sample });
                let unplaced = pressed.is_none().then_some(press);
                self.running = Some(Running { press: unplaced, ..Running::new(take) });
                self.hear(now, 0);
            }
            Cue::AtOnce(pieces) => {
                let begin = self.history.end();
                let pressed = begin + self.rules.pre_roll;
                let first_sample = press - length(self.rules.pre_roll);
                self.told.push(RecorderEvent::Started { take: id, first_sample });
                let take = Take::new(id, self.rules, begin, pressed);
                self.running = Some(Running { at_once: true, pieces: Some(pieces), ..Running::new(take) });
                self.history.push(&vec![0.0; usize::try_from(self.rules.pre_roll).unwrap_or(0)]);
                self.hear(now, 0);
            }
        }
    }

    /// Ends a running take with what there is.
    fn cut_short(&mut self) {
        let Some(Running { mut take, .. }) = self.running.take() else { return };
        // It may still be catching up.
        let mut events = take.hear(&self.history, self.vad.as_mut(), u64::MAX);
        if !matches!(events.last(), Some(RecorderEvent::Finished { .. })) {
            events.push(take.cut_short(&self.history));
        }
        self.told.extend(events);
        self.told_up_to = take.open();
    }

    fn after_take(&mut self, now: Moment) {
        self.idle_since = now;
        if let Some(opened) = self.link.opened() {
            opened.stream.take_ends();
        }
        if self.policy == MicrophonePolicy::OnPress {
            self.close();
        }
    }

    fn timers(&mut self, now: Moment) {
        if self.ends_at().is_some_and(|at| now >= at) {
            tracing::warn!("the microphone fell behind, so the take ends with what there is");
            self.cut_short();
            self.after_take(now);
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            self.open(now);
        }
        if self.closes_at().is_some_and(|at| now >= at) {
            self.close();
        }
    }

    /// When a take whose key is up ends at the latest: it may wait for audio that never comes.
    fn ends_at(&self) -> Option<Moment> {
        let stopped = self.running.as_ref().filter(|running| !running.at_once)?.stopped?;
        Some(stopped + self.released_starve + length(self.rules.post_roll))
    }

    fn closes_at(&self) -> Option<Moment> {
        let idle = self.running.is_none() && self.waiting.is_none() && self.delivering;
        (idle && self.policy == MicrophonePolicy::IdleClose).then(|| self.idle_since + self.idle_close)
    }

    fn next_alarm(&mut self, now: Moment) -> Option<Moment> {
        let live = self.link.opened().is_some_and(|opened| opened.format.live);
        let starves = live.then(|| self.starves_at().min(now + LOOK));
        let gives_up = self.waiting.as_ref().map(|waiting| waiting.until);
        [starves, gives_up, self.retry_at, self.ends_at(), self.closes_at()].into_iter().flatten().min()
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("link", &self.link).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
