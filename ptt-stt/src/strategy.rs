//! What to decode next. Pure: no clock, actor, engine or log in it; inputs carry their time, every effect is data.
//!
//! A take is a row of pieces: the segments the recorder closed, and at the end the open one. *live* decodes pieces in the
//! background while the key is held, so that at the release only the rest is left; *batch* decodes the whole take at
//! the release. One decode runs at a time. Results that are suspect are decoded once more at a wider context, and
//! then in parts where the piece is long.

mod state;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use ptt_messages::{
    Component, Fault, FaultKind, Moment, Profile, Remarks, Segment, SegmentState, SttEvent, TakeId, TextPath,
    Transcript,
};

use crate::engine::Detection;
use crate::{gain, trim};
use state::{Key, Take, Wanted};
pub use values::{Assignment, Done, Effect, Failure, Input, JobId, Note, Policy, Speech, StrategyKind};

/// How many takes are remembered: the running one, the one before it, and failed ones that may be tried again.
const TAKES: usize = 4;
/// How long a background decode may take: the constant part, and as a multiple of its audio.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(20);
const BACKGROUND_FACTOR: u32 = 4;

/// The decisions. Feed it inputs, do its effects.
#[derive(Debug)]
pub struct Strategy {
    policy: Policy,
    takes: BTreeMap<TakeId, Take>,
    running: Option<Running>,
    /// Cancelled decodes that have not ended yet.
    ending: Vec<(JobId, TakeId)>,
    /// What went wrong last was only that it took too long: the engine itself kept its deadline, or is new.
    sound: bool,
    /// The last language that was detected in a take.
    language: Option<String>,
    next_job: u64,
    /// Seconds of background processor time per encoder position, as last seen.
    pace: Option<f64>,
}

#[derive(Clone, Debug)]
struct Running {
    job: JobId,
    take: TakeId,
    key: Key,
    speech_end: u64,
    frames: u16,
    audio: Duration,
    background: bool,
    /// Started in the background, and somebody waits for it now.
    hurried: bool,
    /// Started before somebody waited for it.
    early: bool,
    /// Started at a pause that may not be the segment's end.
    speculative: bool,
    since: Moment,
}

impl Strategy {
    /// Nothing heard yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            takes: BTreeMap::new(),
            running: None,
            ending: Vec::new(),
            sound: false,
            language: None,
            next_job: 1,
            pace: None,
        }
    }

    /// Takes one input at a moment and says what to do.
    pub fn step(&mut self, at: Moment, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Hear(segment, profile) => self.hear(segment, profile, &mut effects),
            Input::SpeechResumed { take, index } => {
                if let Some(piece) =
                    self.takes.get_mut(&take).and_then(|t| t.pieces.get_mut(&Key::whole(index)))
                {
                    piece.resumed = true;
                }
            }
            Input::Transcribe { tail, profile, attempt, deadline } => {
                self.transcribe((tail, profile), Wanted::new(at, attempt, deadline), &mut effects);
            }
            Input::Abort { take } => self.forget(take, &mut effects),
            Input::Done(done) => self.done(at, done, &mut effects),
            Input::Overdue { take, attempt } => self.overdue(take, attempt, &mut effects),
        }
        self.cancel_useless(at, &mut effects);
        self.hurry(&mut effects);
        self.complete(&mut effects);
        self.start_next(at, &mut effects);
        effects
    }

    fn hear(&mut self, segment: Segment, profile: Profile, effects: &mut Vec<Effect>) {
        let id = segment.id.take;
        if !self.takes.contains_key(&id) {
            self.make_room(effects);
        }
        let take = self.takes.entry(id).or_insert_with(|| Take::new(profile));
        if take.sealed {
            return;
        }
        if matches!(segment.state, SegmentState::Committed | SegmentState::Tail) {
            effects.push(Effect::Note(Note::Commit));
        }
        take.put(segment, self.policy.kind == StrategyKind::Live, effects);
    }

    fn transcribe(&mut self, (tail, profile): (Segment, Profile), wanted: Wanted, effects: &mut Vec<Effect>) {
        let id = tail.id.take;
        // A sound engine is kept: to load another one takes of the time that there is.
        if wanted.attempt > 1 && !self.sound {
            self.renew(effects);
        }
        if !self.takes.contains_key(&id) {
            self.make_room(effects);
        }
        let live = self.policy.kind == StrategyKind::Live;
        let take = self.takes.entry(id).or_insert_with(|| Take::new(profile));
        if !take.sealed {
            let last = tail.id.index;
            take.put(tail, live, effects);
            take.seal(last, live, effects);
        }
        take.wanted = Some(wanted);
    }

    fn done(&mut self, at: Moment, done: Done, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.take_if(|running| running.job == done.job) else {
            // Cancelled before: its time was in vain.
            if let Some(at) = self.ending.iter().position(|(job, _)| *job == done.job) {
                let (_, take) = self.ending.swap_remove(at);
                if let Some(take) = self.takes.get_mut(&take) {
                    take.background += done.cpu;
                }
                effects.push(Effect::Note(Note::Wasted(done.cpu)));
            }
            return;
        };
        let Some(take) = self.takes.get_mut(&running.take) else { return };
        if running.background {
            take.background += done.cpu;
        }
        if running.speculative {
            take.speculated += u64::from(running.frames);
        }
        match done.result {
            Ok(decoded) => {
                if running.background && !running.hurried {
                    self.pace = Some(done.cpu.as_secs_f64() / f64::from(running.frames));
                }
                take.decoded(&running, &decoded, done.began, done.cpu, effects);
                if take.wanted.is_none() {
                    effects.extend(take.partial(running.take));
                }
            }
            Err(failure) => {
                self.sound = matches!(&failure, Failure::Failed(fault) if fault.kind == FaultKind::Timeout);
                // A failing decode is not repeated in the background for ever.
                if let Some(piece) = take.pieces.get_mut(&running.key) {
                    piece.failed = true;
                }
                if running.background {
                    effects.push(Effect::Note(Note::Wasted(done.cpu)));
                }
                let ended =
                    take.wanted.as_ref().is_some_and(|wanted| !running.background || at > wanted.until);
                if ended {
                    take.wanted = None;
                    let fault = match failure {
                        Failure::Failed(fault) => fault,
                        Failure::Cancelled => stopped(),
                    };
                    effects.push(Effect::Tell(SttEvent::Failed { take: Some(running.take), fault }));
                }
            }
        }
    }

    fn overdue(&mut self, id: TakeId, attempt: u32, effects: &mut Vec<Effect>) {
        let Some(take) = self.takes.get_mut(&id) else { return };
        let Some(wanted) = take.wanted.take_if(|wanted| wanted.attempt == attempt) else { return };
        let fault = Fault::from(&crate::SttError::Timeout { limit: wanted.until.since(wanted.at) });
        effects.push(Effect::Tell(SttEvent::Failed { take: Some(id), fault }));
        // The engine neither ended nor listened.
        self.renew(effects);
    }

    fn renew(&mut self, effects: &mut Vec<Effect>) {
        self.running = None;
        self.ending.clear();
        self.sound = true;
        effects.push(Effect::Renew);
    }

    /// Stops the running decode when its result is of no use any more.
    fn cancel_useless(&mut self, at: Moment, effects: &mut Vec<Effect>) {
        let Some(running) = &self.running else { return };
        let useful = self.takes.get(&running.take).is_some_and(|take| {
            take.pieces
                .get(&running.key)
                .is_some_and(|piece| piece.needs(running.speech_end) && (piece.closed() || !piece.resumed))
        });
        let in_the_way = running.background
            && self.takes.iter().any(|(id, take)| *id != running.take && take.wanted.is_some());
        if useful && !in_the_way {
            return;
        }
        effects.push(Effect::Cancel(running.job));
        if running.background {
            effects.push(Effect::Note(Note::Aborted));
        }
        self.ending.push((running.job, running.take));
        if let (true, Some(take)) = (running.speculative, self.takes.get_mut(&running.take)) {
            let done = self.pace.map_or(1.0, |pace| {
                at.since(running.since).as_secs_f64()
                    / (pace * f64::from(running.frames)).max(f64::MIN_POSITIVE)
            });
            take.speculated += (done.min(1.0) * f64::from(running.frames)) as u64;
        }
        self.running = None;
    }

    /// Gives a background decode all threads as soon as somebody waits for it.
    fn hurry(&mut self, effects: &mut Vec<Effect>) {
        let Some(running) = self.running.as_mut().filter(|running| running.background && !running.hurried)
        else {
            return;
        };
        if self.takes.get(&running.take).is_some_and(|take| take.awaits(running.key)) {
            running.hurried = true;
            effects.push(Effect::Hurry(running.job, self.policy.threads));
        }
    }

    /// Delivers the texts that are complete.
    fn complete(&mut self, effects: &mut Vec<Effect>) {
        let complete: Vec<TakeId> = self
            .takes
            .iter()
            .filter(|(_, take)| take.wanted.is_some() && take.next_needed().is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in complete {
            let Some(mut take) = self.takes.remove(&id) else { continue };
            let Some(wanted) = take.wanted.take() else { continue };
            let path = match () {
                () if !take.has_speech() => TextPath::NoSpeech,
                () if wanted.fallback => TextPath::Fallback,
                () if self.policy.kind == StrategyKind::Batch => TextPath::Batch,
                () if wanted.waited => TextPath::Tail,
                () => TextPath::Ready,
            };
            let mut timing = wanted.timing;
            timing.background = take.background;
            let text = Transcript::new(take.text());
            let remarks = take.remarks();
            self.language = remarks.languages.last().cloned().or(self.language.take());
            take.settle(effects);
            if remarks != Remarks::default() {
                effects.push(Effect::Tell(SttEvent::Remarks { take: id, remarks }));
            }
            effects.push(Effect::Tell(SttEvent::Complete { take: id, text, path, timing }));
        }
    }

    /// Starts a decode when none runs: first what somebody waits for, then what is needed anyway, then what may be.
    fn start_next(&mut self, at: Moment, effects: &mut Vec<Effect>) {
        if self.running.is_some() {
            return;
        }
        let wanted = self.takes.iter().find(|(_, take)| take.wanted.is_some());
        let chosen = match wanted {
            Some((id, take)) => take.next_needed().map(|key| (*id, key, false)),
            None if self.policy.kind == StrategyKind::Batch => None,
            None => {
                // A sealed take that nobody waits for has failed: it is tried again when somebody asks.
                let needed = |(id, take): (&TakeId, &Take)| {
                    let key = take.next_needed().filter(|key| !take.sealed && !take.failed(*key));
                    key.map(|key| (*id, key, false))
                };
                let maybe =
                    |(id, take): (&TakeId, &Take)| take.speculation(&self.policy).map(|key| (*id, key, true));
                self.takes.iter().find_map(needed).or_else(|| self.takes.iter().rev().find_map(maybe))
            }
        };
        let Some((id, key, speculative)) = chosen else { return };
        let Some(take) = self.takes.get_mut(&id) else { return };
        let prompt = take.prompt(key, &self.policy);
        let language = self.policy.speech(take.profile).and_then(|speech| speech.language.clone());
        let among = self.policy.languages.clone();
        let usual = self.language.clone();
        let detection = Detection { among, before: take.language_before(key), usual };
        let Some(piece) = take.pieces.get(&key) else { return };
        let clip = gain::raised(trim::speech(&piece.segment));
        let audio = clip.duration();
        let frames = piece.frames(&self.policy, &clip);
        let speech_end = piece.segment.speech_end;
        let background = !take.awaits(key);
        let deadline = match &mut take.wanted {
            Some(wanted) => {
                wanted.waited = true;
                wanted.timing.audio += audio;
                wanted.until
            }
            None => at + BACKGROUND_LIMIT + audio * BACKGROUND_FACTOR,
        };
        let job = JobId(self.next_job);
        self.next_job += 1;
        self.running = Some(Running {
            job,
            take: id,
            key,
            speech_end,
            frames,
            audio,
            background,
            hurried: false,
            early: take.wanted.is_none(),
            speculative,
            since: at,
        });
        let threads = if background { self.policy.background_threads } else { self.policy.threads };
        let job =
            Assignment { job, clip, frames, prompt, language, detection, threads, background, deadline };
        effects.push(Effect::Decode(job));
    }

    fn forget(&mut self, id: TakeId, effects: &mut Vec<Effect>) {
        if let Some(mut take) = self.takes.remove(&id) {
            take.waste(effects);
        }
    }

    /// Forgets the oldest takes that nobody waits for.
    fn make_room(&mut self, effects: &mut Vec<Effect>) {
        while self.takes.len() >= TAKES {
            let Some(oldest) = self.takes.iter().find(|(_, take)| take.wanted.is_none()).map(|(id, _)| *id)
            else {
                return;
            };
            self.forget(oldest, effects);
        }
    }
}

fn stopped() -> Fault {
    Fault::new(
        Component::Stt,
        FaultKind::Broken,
        "the engine stopped without a text; the audio is kept, try again",
    )
}
