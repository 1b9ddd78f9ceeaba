//! A take: where it begins, which stretches of it are segments, where it ends. Pure: it looks at a [`History`] and says
//! what is to be told; no clock, thread or device in it.
//!
//! The voice-activity detector is asked about the take's audio only, from its first sample on, so the same samples give
//! the same segments however they came in. A segment closes in the middle of a long pause, or, where nobody pauses for
//! [`LONGEST`], at the quietest place of the last seconds: the clips of all committed segments and the tail, put one
//! after the other, are exactly the samples of the take.

use std::collections::VecDeque;

use ptt_messages::{RecorderEvent, Segment, SegmentId, SegmentState, TakeId, TakeSummary};

use crate::activity;
use crate::clock::length;
use crate::config::AudioConfig;
use crate::dsp::mean_square;
use crate::history::History;
use crate::loudness::Loudness;
use crate::vad::{FRAME, Hysteresis, Vad, Verdict, samples_in};

/// The longest a segment gets: what an engine hears at once (30 s) less a post-roll.
pub const LONGEST: u64 = 28 * 16_000;

/// Where a quiet place is looked for when a segment has become too long.
const SEARCH: u64 = 6 * 16_000;

/// Frames that must be quiet together to be a place between words; the closure of a plosive is shorter.
const QUIET_FRAMES: usize = 10;

/// Frames of silence after the release from which on the take is probably over, where speech went on behind the release. The
/// rest of the hang is waited for all the same, but the engine need not wait with it.
const ENDING_FRAMES: u64 = 2;

/// Frames a take goes on after its last speech, 112 ms: longer than the closure of a plosive, behind which a word may end. Of 4,287
/// releases one frame less would lose words (`docs/performance.md`).
const END_FRAMES: u64 = 7;

const FRAME_LEN: u64 = FRAME as u64;

/// The lengths that decide, in samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// How much before the press belongs to the take.
    pub pre_roll: u64,
    /// How long it may go on after the release.
    pub post_roll: u64,
    /// Silence that is worth telling.
    pub pause: u64,
    /// Silence that closes a segment.
    pub commit_pause: u64,
    /// Speech, from its first to its last, with which a pause of that length closes it.
    pub commit_min: u64,
    /// Score from which on it is speech.
    pub threshold: f32,
}

impl From<&AudioConfig> for Rules {
    fn from(config: &AudioConfig) -> Self {
        Self {
            pre_roll: samples_in(config.pre_roll_ms.millis()),
            post_roll: samples_in(config.post_roll_ms.millis()),
            pause: samples_in(config.pause_ms.millis()),
            commit_pause: samples_in(config.commit_pause_ms.millis()),
            commit_min: samples_in(config.commit_min_s.secs()),
            threshold: config.vad_threshold_percent.get() as f32 / 100.0,
        }
    }
}

impl Rules {
    /// Whether a segment of so much speech is closed by such a pause. The less was said, the longer the pause has to be: half
    /// as much, twice as long. What is torn apart in a sentence is understood worse; where a sentence ends, people pause longer.
    fn close(&self, speech: u64, pause: u64) -> bool {
        pause >= self.commit_pause && pause * speech >= self.commit_pause * self.commit_min
    }
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    speech: bool,
    energy: f32,
}

/// A running take. All sample numbers are those of the [`History`].
#[derive(Debug)]
pub struct Take {
    id: TakeId,
    rules: Rules,
    ear: Hysteresis,
    loudness: Loudness,
    begin: u64,
    press: u64,
    release: Option<u64>,
    /// What was there at the release was told.
    release_told: bool,
    /// The next sample the detector hears.
    next: u64,
    /// Where the open segment begins; on the grid of frames.
    open: u64,
    index: u32,
    /// One per frame of `open..next`.
    marks: VecDeque<Mark>,
    /// Frames at the end that sound like speech and are not confirmed.
    maybes: u32,
    /// The open segment was told as `Paused` or `Ending` and nothing was said since.
    paused: bool,
    speech_frames: u64,
    /// A committed segment has, or may have, speech.
    spoken: bool,
    sounding: bool,
}

impl Take {
    /// A take whose key went down at sample `press` and whose audio begins at `begin`.
    #[must_use]
    pub fn new(id: TakeId, rules: Rules, begin: u64, press: u64) -> Self {
        Self {
            id,
            ear: Hysteresis::new(rules.threshold),
            loudness: Loudness::default(),
            rules,
            begin,
            press,
            release: None,
            release_told: false,
            next: begin,
            open: begin,
            index: 0,
            marks: VecDeque::with_capacity((LONGEST / FRAME_LEN) as usize + 64),
            maybes: 0,
            paused: false,
            speech_frames: 0,
            spoken: false,
            sounding: false,
        }
    }

    /// Which take it is.
    #[must_use]
    pub const fn id(&self) -> TakeId {
        self.id
    }

    /// The sample at which the key went down.
    #[must_use]
    pub const fn pressed(&self) -> u64 {
        self.press
    }

    /// The first sample that was not heard yet.
    #[must_use]
    pub const fn heard(&self) -> u64 {
        self.next
    }

    /// Where the open segment begins: what lies before is in one that was told.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.open
    }

    /// Samples the history must keep for it.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.next.saturating_sub(self.open)
    }

    /// Samples in which speech was heard; none as long as it may all be noise.
    #[must_use]
    pub const fn speech(&self) -> u64 {
        if self.ear.certain() { self.speech_frames * FRAME_LEN } else { 0 }
    }

    /// The key went up at sample `at`, which may be still to come, or long heard.
    pub fn release(&mut self, at: u64) {
        self.release.get_or_insert(at.max(self.begin));
    }

    /// Whether the key is up.
    #[must_use]
    pub const fn released(&self) -> bool {
        self.release.is_some()
    }

    /// Hears what `history` has up to `limit` and says what is to be told. When the take is over the last of it is
    /// `Finished`, and it must not be asked again.
    pub fn hear(&mut self, history: &History, vad: &mut dyn Vad, limit: u64) -> Vec<RecorderEvent> {
        let mut told = Vec::new();
        let limit = limit.min(history.end());
        loop {
            if let Some(end) = self.end().filter(|end| *end <= history.end()) {
                told.push(self.finish(history, end, false));
                return told;
            }
            if self.release.is_some_and(|release| self.next + FRAME_LEN > release) && !self.release_told {
                // Most often nothing follows, and then the engine has begun the last decode by now.
                self.release_told = true;
                self.tell_ending(history, &mut told);
            }
            if self.next + FRAME_LEN > limit {
                return told;
            }
            self.hear_frame(history, vad, &mut told);
        }
    }

    /// Ends the take with what there is: no more audio comes.
    pub fn cut_short(&mut self, history: &History) -> RecorderEvent {
        let end = match self.release {
            Some(release) => history.end().min(release + self.rules.post_roll),
            None => history.end(),
        };
        self.finish(history, end, true)
    }

    fn hear_frame(&mut self, history: &History, vad: &mut dyn Vad, told: &mut Vec<RecorderEvent>) {
        let mut frame = [0.0; FRAME];
        history.read(self.next, &mut frame);
        self.next += FRAME_LEN;
        let energy = mean_square(&frame);
        self.sounding |= energy > 0.0;
        let quiet = self.loudness.quiet(energy);
        let heard = self.ear.judge(vad.score(&frame));
        let verdict = if quiet && matches!(heard, Verdict::Speech { .. }) { Verdict::Silence } else { heard };
        self.marks.push_back(Mark { speech: matches!(verdict, Verdict::Speech { .. }), energy });
        match verdict {
            Verdict::Speech { maybes } => {
                self.loudness.spoken(energy);
                for mark in self.marks.iter_mut().rev().skip(1).take(maybes as usize) {
                    mark.speech = true;
                }
                self.maybes = 0;
                self.speech_frames += 1 + u64::from(maybes);
                if std::mem::take(&mut self.paused) {
                    told.push(RecorderEvent::SpeechResumed { take: self.id, index: self.index });
                }
            }
            Verdict::Maybe => self.maybes += 1,
            Verdict::Silence => {
                self.maybes = 0;
                match self.release {
                    None => self.look_at_pause(history, told),
                    Some(release) if self.next >= release => self.look_at_end(history, told),
                    Some(_) => {}
                }
            }
        }
        if self.next - self.open >= LONGEST {
            let cut = self.quietest_place();
            told.push(self.commit(history, cut));
        }
    }

    fn look_at_pause(&mut self, history: &History, told: &mut Vec<RecorderEvent>) {
        let Some((first, last)) = self.speech_until(self.next) else { return };
        let pause = self.next - last;
        if pause >= self.rules.pause && !self.paused {
            self.paused = true;
            told.push(RecorderEvent::Heard(self.segment(history, SegmentState::Paused, self.next)));
        }
        if self.rules.close(last - first, pause) {
            let middle = last + pause / FRAME_LEN / 2 * FRAME_LEN;
            told.push(self.commit(history, middle));
        }
    }

    fn look_at_end(&mut self, history: &History, told: &mut Vec<RecorderEvent>) {
        if self.speech_until(self.next).is_some_and(|(_, last)| self.next - last >= ENDING_FRAMES * FRAME_LEN)
        {
            self.tell_ending(history, told);
        }
    }

    fn tell_ending(&mut self, history: &History, told: &mut Vec<RecorderEvent>) {
        if self.speech_until(self.next).is_some() && !self.paused {
            self.paused = true;
            told.push(RecorderEvent::Heard(self.segment(history, SegmentState::Ending, self.next)));
        }
    }

    /// First and last sample of speech in the open segment before `to`. None as long as it may all be noise: typing
    /// what a model makes of noise is worse than a decode that comes a little later.
    fn speech_until(&self, to: u64) -> Option<(u64, u64)> {
        if !self.ear.certain() {
            return None;
        }
        let frames = usize::try_from(to.saturating_sub(self.open).div_ceil(FRAME_LEN)).unwrap_or(0);
        let last = self.marks.iter().take(frames).rposition(|mark| mark.speech)?;
        let first = self.marks.iter().position(|mark| mark.speech)?;
        let sample = |frame: usize| self.open + frame as u64 * FRAME_LEN;
        Some((sample(first), sample(last + 1).min(to)))
    }

    fn segment(&self, history: &History, state: SegmentState, to: u64) -> Segment {
        let closed = matches!(state, SegmentState::Committed | SegmentState::Tail);
        let end = match self.speech_until(to) {
            Some((_, last)) => last,
            None if closed && self.may_be_speech(to) => to,
            None => self.open,
        };
        Segment {
            id: SegmentId { take: self.id, index: self.index },
            state,
            start: self.open - self.begin,
            speech_end: end - self.begin,
            certain: self.ear.certain(),
            clip: history.clip(self.open, to),
        }
    }

    /// Whether anything sounded in the open segment before `to` of a take in which no voice was certain so far.
    fn may_be_speech(&self, to: u64) -> bool {
        let frames = usize::try_from(to.saturating_sub(self.open) / FRAME_LEN).unwrap_or(0);
        let marks = || self.marks.iter().take(frames);
        // Steady noise may be speech to the detector in up to half of its frames.
        let mostly_speech = || marks().filter(|mark| mark.speech).count() * 4 > frames * 3;
        !self.ear.certain()
            && (mostly_speech() || activity::stands_out(&marks().map(|mark| mark.energy).collect::<Vec<_>>()))
    }

    /// Closes the open segment at `cut`, which is on the grid of frames.
    fn commit(&mut self, history: &History, cut: u64) -> RecorderEvent {
        let segment = self.segment(history, SegmentState::Committed, cut);
        self.spoken |= segment.has_speech();
        self.marks.drain(..((cut - self.open) / FRAME_LEN) as usize);
        self.open = cut;
        self.index += 1;
        self.paused = false;
        RecorderEvent::Heard(segment)
    }

    /// The middle of the quietest [`QUIET_FRAMES`] of the last seconds; the later one of equals. Never after the
    /// release, behind which a take may end.
    fn quietest_place(&self) -> u64 {
        let to = self.next.min(self.release.unwrap_or(u64::MAX));
        let frames = ((to - self.open) / FRAME_LEN) as usize;
        let from = frames.saturating_sub((SEARCH / FRAME_LEN) as usize);
        let window =
            |start: usize| self.marks.range(start..start + QUIET_FRAMES).map(|m| m.energy).sum::<f32>();
        let quietest = (from..frames.saturating_sub(QUIET_FRAMES))
            .rev()
            .map(|start| (start, window(start)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let frame = quietest.map_or(frames, |(start, _)| start + QUIET_FRAMES / 2);
        self.open + frame as u64 * FRAME_LEN
    }

    /// Where the take ends, once that is known: at the release when nobody spoke just before it, else a little after the
    /// last speech, but never later than the post-roll.
    fn end(&self) -> Option<u64> {
        let release = self.release?.max(self.open);
        let latest = release + self.rules.post_roll;
        let mut end = release;
        loop {
            if self.next + FRAME_LEN <= end {
                return None;
            }
            let over = self.last_sound_before(end).map_or(end, |last| last + END_FRAMES * FRAME_LEN);
            if over <= end {
                return Some(end);
            }
            if end == latest {
                return Some(latest);
            }
            end = over.min(latest);
        }
    }

    /// The end of the last frame that begins before `to` and is, or may become, speech.
    fn last_sound_before(&self, to: u64) -> Option<u64> {
        let frames = (to - self.open).div_ceil(FRAME_LEN) as usize;
        let unconfirmed = self.marks.len() - self.maybes as usize;
        let last =
            (0..frames.min(self.marks.len())).rev().find(|&i| self.marks[i].speech || i >= unconfirmed)?;
        Some(self.open + (last as u64 + 1) * FRAME_LEN)
    }

    fn finish(&mut self, history: &History, end: u64, cut_short: bool) -> RecorderEvent {
        let end = end.max(self.open);
        let tail = self.segment(history, SegmentState::Tail, end);
        self.open = end;
        self.sounding |= tail.clip.samples().iter().any(|s| *s != 0.0);
        let summary = TakeSummary {
            has_speech: tail.has_speech() || self.spoken,
            length: length(end - self.begin),
            pre_roll: length(self.press.min(end).saturating_sub(self.begin)),
            post_roll: length(end.saturating_sub(self.release.unwrap_or(end))),
            digital_silence: !self.sounding && end > self.begin,
            quiet: (tail.has_speech() || self.spoken) && self.loudness.is_weak(),
            cut_short,
        };
        RecorderEvent::Finished { tail, summary }
    }
}

#[cfg(test)]
mod tests;
