//! What is known of one take: its pieces, their texts, and who waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use ptt_messages::{
    Clip, Moment, Profile, Remarks, Segment, SegmentState, SttEvent, SttTiming, TakeId, Transcript,
};

use super::{Effect, Note, Policy, Running};
use crate::check::{Suspicion, echoes, hole, suspect};
use crate::clean::{Cleaned, Discard, clean, without};
use crate::context::{FULL_FRAMES, LONGEST_CLIP_SAMPLES};
use crate::engine::{Decoded, Ending, NO_SPEECH};
use crate::join::{Seam, append, last_words};
use crate::second_look::is_believed;
use crate::trim;

/// A piece that the engine did not come to the end of is cut into pieces of at most 10 s, and one
/// that is no longer than that at its weakest place: in a shorter one it gets lost less easily.
const CUT_SAMPLES: usize = 10 * 16_000;

/// What follows the last word that was written begins this soon after it.
const BEHIND: Duration = Duration::from_secs(1);

/// So much sound between two words is more than the first of them.
const SOUND_IN_HOLE: Duration = Duration::from_secs(1);
/// So much sound from the last word on is more than that word: in clips of real speech, slower ones
/// among them, it is 1.16 s at most, and in repetitions that were written once 1.3 s and more.
const SOUND_BEHIND: Duration = Duration::from_millis(1_240);

/// A piece of a take: a segment, or a part of one that was too long for the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) index: u32,
    /// Its first sample in the segment.
    from: usize,
}

impl Key {
    pub(super) const fn whole(index: u32) -> Self {
        Self { index, from: 0 }
    }
}

/// What somebody waits for, and how it went so far.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) at: Moment,
    pub(super) until: Moment,
    pub(super) attempt: u32,
    pub(super) waited: bool,
    pub(super) fallback: bool,
    pub(super) timing: SttTiming,
    began: bool,
}

impl Wanted {
    pub(super) fn new(at: Moment, attempt: u32, deadline: Duration) -> Self {
        Self {
            at,
            until: at + deadline,
            attempt,
            waited: false,
            fallback: false,
            timing: SttTiming::default(),
            began: false,
        }
    }
}

/// The text of a piece's audio up to `speech_end`.
#[derive(Clone, Debug)]
pub(super) struct Text {
    speech_end: u64,
    cleaned: Cleaned,
    /// The engine did not come to the end of what was said.
    lost: bool,
    /// Code of the language, where it was detected.
    language: Option<String>,
    /// Background processor time that it took.
    cpu: Duration,
    /// Encoder positions that were used on suspicion.
    speculated: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) segment: Segment,
    text: Option<Text>,
    /// Speech went on after the pause at its end.
    pub(super) resumed: bool,
    /// It is not decoded before it is closed: a decode in the background failed, or the engine got lost in it.
    pub(super) failed: bool,
    /// A result of it was suspect: the next one is at a wider context. The piece is cut when the
    /// engine gets lost in that one.
    doubted: bool,
    /// The result that was suspect, when the engine came to an end with it.
    first: Option<Decoded>,
    /// It is a part of a segment that was cut in a pause: no word goes on behind it.
    pause: bool,
}

impl Piece {
    fn new(segment: Segment) -> Self {
        Self { segment, text: None, resumed: false, failed: false, doubted: false, first: None, pause: false }
    }

    /// Whether its audio is final.
    pub(super) fn closed(&self) -> bool {
        match self.segment.state {
            SegmentState::Paused | SegmentState::Ending => false,
            SegmentState::Committed | SegmentState::Tail => true,
        }
    }

    fn settled(&self) -> bool {
        !self.segment.has_speech()
            || self.text.as_ref().is_some_and(|text| text.speech_end == self.segment.speech_end)
    }

    /// Whether a decode of the audio up to `speech_end` is of use.
    pub(super) fn needs(&self, speech_end: u64) -> bool {
        !self.settled() && self.segment.speech_end == speech_end
    }

    pub(super) fn frames(&self, policy: &Policy, clip: &Clip) -> u16 {
        match policy.context {
            Some(rule) if self.doubted => rule.wider(rule.frames(clip.samples().len())),
            Some(rule) => rule.frames(clip.samples().len()),
            None => FULL_FRAMES,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Take {
    pub(super) profile: Profile,
    pub(super) pieces: BTreeMap<Key, Piece>,
    pub(super) wanted: Option<Wanted>,
    /// The tail is there: no audio follows.
    pub(super) sealed: bool,
    /// Processor time spent in the background.
    pub(super) background: Duration,
    /// Encoder positions used in vain so far, or on suspicion.
    pub(super) speculated: u64,
    told: (String, String),
}

impl Take {
    pub(super) fn new(profile: Profile) -> Self {
        Self { profile, ..Self::default() }
    }

    /// Whether somebody waits for the text of this piece, or as good as waits: it may be the take's end.
    pub(super) fn awaits(&self, key: Key) -> bool {
        let ends = |piece: &Piece| piece.segment.state == SegmentState::Ending;
        self.wanted.is_some() || self.pieces.get(&key).is_some_and(ends)
    }

    /// Takes a segment in; what is too long for the engine becomes several pieces. In `live`, texts that its audio had
    /// before stay when nothing was said since.
    pub(super) fn put(&mut self, segment: Segment, live: bool, effects: &mut Vec<Effect>) {
        let key = Key::whole(segment.id.index);
        if self.pieces.get(&key).is_some_and(Piece::closed) {
            return;
        }
        let before = self.pieces.remove(&key);
        let mut piece = Piece::new(segment);
        if let Some(before) = before {
            let same = before.segment.speech_end == piece.segment.speech_end;
            piece.doubted = before.doubted && same;
            piece.first = before.first.filter(|_| same);
            piece.failed = before.failed && same && !piece.closed();
            match before.text {
                Some(text) if same && piece.closed() => {
                    self.speculated = self.speculated.saturating_sub(text.speculated);
                    piece.text = Some(Text { speculated: 0, ..text });
                }
                other if piece.closed() => waste(other, effects),
                // An open segment's text stays to be shown until there is a newer one.
                other => piece.text = other,
            }
        }
        let too_long = || trim::speech(&piece.segment).samples().len() > LONGEST_CLIP_SAMPLES;
        if live && piece.closed() && !piece.settled() && too_long() {
            let cuts = trim::windows(piece.segment.clip.samples(), LONGEST_CLIP_SAMPLES);
            self.put_parts(key, &piece.segment, cuts);
        } else {
            self.pieces.insert(key, piece);
        }
    }

    /// No audio follows after the segment `last`. In batch the pieces become as few as the engine can take.
    pub(super) fn seal(&mut self, last: u32, live: bool, effects: &mut Vec<Effect>) {
        self.sealed = true;
        for (key, piece) in &mut self.pieces {
            if key.index != last {
                // Its last message did not arrive: what was heard of it is better than nothing.
                piece.segment.state = SegmentState::Committed;
            }
        }
        let there = self.pieces.keys().map(|key| key.index).collect::<BTreeSet<_>>().len();
        let missing = (last + 1).saturating_sub(u32::try_from(there).unwrap_or(u32::MAX));
        if missing > 0 {
            effects.push(Effect::Note(Note::Missing(missing)));
        }
        if !live {
            self.merge();
        }
    }

    fn merge(&mut self) {
        let pieces = std::mem::take(&mut self.pieces);
        let mut row: Vec<Segment> = Vec::new();
        for (_, piece) in pieces {
            let segment = piece.segment;
            match row.last_mut() {
                Some(last)
                    if last.clip.samples().len() + segment.clip.samples().len() <= LONGEST_CLIP_SAMPLES =>
                {
                    if segment.has_speech() {
                        // Counted in the row's own samples: a hole before the segment is closed by joining.
                        last.speech_end = last.end() + (segment.speech_end - segment.start);
                        last.certain |= segment.certain;
                    }
                    let joined = [last.clip.samples(), segment.clip.samples()].concat();
                    last.clip = Clip::new(joined).expect("two clips in a row are a clip");
                    last.state = segment.state;
                }
                _ => row.push(segment),
            }
        }
        for segment in row {
            if segment.clip.samples().len() > LONGEST_CLIP_SAMPLES {
                let cuts = trim::windows(segment.clip.samples(), LONGEST_CLIP_SAMPLES);
                self.put_parts(Key::whole(segment.id.index), &segment, cuts);
            } else {
                self.pieces.insert(Key::whole(segment.id.index), Piece::new(segment));
            }
        }
    }

    /// Puts the segment of the piece `whole` in as parts of its samples.
    fn put_parts(&mut self, whole: Key, segment: &Segment, parts: Vec<Range<usize>>) {
        for range in parts {
            let key = Key { from: whole.from + range.start, ..whole };
            let pause = trim::is_pause(segment.clip.samples(), range.end);
            let start = segment.start + range.start as u64;
            let end = segment.start + range.end as u64;
            let piece = Segment {
                start,
                speech_end: segment.speech_end.clamp(start, end),
                clip: trim::part(&segment.clip, range),
                ..segment.clone()
            };
            self.pieces.insert(key, Piece { pause, ..Piece::new(piece) });
        }
    }

    /// Takes a result in, or asks for a second one at a wider context.
    pub(super) fn decoded(
        &mut self,
        running: &Running,
        decoded: &Decoded,
        began: Moment,
        cpu: Duration,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(wanted) = &mut self.wanted {
            if !wanted.began {
                wanted.began = true;
                wanted.timing.queued = began.since(wanted.at);
            }
            wanted.timing.encode += decoded.encode;
            wanted.timing.decode += decoded.decode;
            if running.early {
                // It was under way when somebody began to wait.
                wanted.waited = true;
                wanted.timing.audio += running.audio;
            }
        }
        let cpu = if running.background { cpu } else { Duration::ZERO };
        let said = self.joined(|key, _| key < running.key);
        let Some(piece) = self.pieces.get_mut(&running.key) else { return };
        if !piece.segment.certain && !is_believed(decoded) {
            // Most likely nobody spoke, and a wider context does not change that.
            let cleaned = without(decoded, Discard::Uncertain);
            let speech_end = running.speech_end;
            piece.text = Some(Text { speech_end, lost: false, cleaned, language: None, cpu, speculated: 0 });
            return;
        }
        if let Ending::LanguageSwitch(at) = decoded.ending {
            effects.extend(running.background.then_some(Effect::Note(Note::Wasted(cpu))));
            if piece.closed() {
                let at = trim::speech_range(&piece.segment).start + at;
                let parts = vec![0..at, at..piece.segment.clip.samples().len()];
                self.cut(running.key, parts, effects);
            } else {
                piece.failed = true;
            }
            return;
        }
        let suspicion = suspect(decoded, running.audio).or_else(|| {
            let echo = echoes(decoded.text.reveal(), &said, running.audio);
            (echo && !piece.doubted).then_some(Suspicion::Echo)
        });
        if let None | Some(Suspicion::Missing | Suspicion::Repeats) = suspicion
            && let Some(between) = unwritten(decoded, suspicion, &piece.segment)
            && let Some(parts) = trim::cut_between(&piece.segment, &between)
        {
            fall_back(Suspicion::Missing, running.background.then_some(cpu), &mut self.wanted, effects);
            if piece.closed() {
                self.cut(running.key, parts, effects);
            } else {
                piece.failed = true;
            }
            return;
        }
        if running.frames < FULL_FRAMES
            && !piece.doubted
            && let Some(why) = suspicion
        {
            piece.doubted = true;
            piece.first = matches!(why, Suspicion::Repeats | Suspicion::Unsure).then(|| decoded.clone());
            fall_back(why, running.background.then_some(cpu), &mut self.wanted, effects);
            return;
        }
        // What it came to an end with is better than what it does not believe either.
        let first = piece.first.take().filter(|_| suspicion.is_some());
        let (decoded, suspicion) = first.as_ref().map_or((decoded, suspicion), |first| (first, None));
        // The engine did not come to the end of what was said.
        let lost = suspicion.filter(|why| matches!(why, Suspicion::Loop | Suspicion::TooLong));
        if let Some(why) = lost
            && let Some(parts) = trim::smaller(&piece.segment, CUT_SAMPLES)
        {
            fall_back(why, running.background.then_some(cpu), &mut self.wanted, effects);
            if piece.closed() {
                self.cut(running.key, parts, effects);
            } else {
                piece.failed = true;
            }
            return;
        }
        waste(piece.text.take(), effects);
        let speculated = if running.speculative && !piece.closed() { u64::from(running.frames) } else { 0 };
        if running.speculative && piece.closed() {
            self.speculated = self.speculated.saturating_sub(u64::from(running.frames));
        }
        let cleaned = clean(decoded);
        piece.text = Some(Text {
            speech_end: running.speech_end,
            lost: lost.is_some() && !cleaned.text.is_empty(),
            cleaned,
            language: decoded.language.clone(),
            cpu,
            speculated,
        });
    }

    /// Replaces a piece by parts of it.
    fn cut(&mut self, key: Key, parts: Vec<Range<usize>>, effects: &mut Vec<Effect>) {
        if let Some(piece) = self.pieces.remove(&key) {
            waste(piece.text, effects);
            self.put_parts(key, &piece.segment, parts);
        }
    }

    /// The first closed piece without a text.
    pub(super) fn next_needed(&self) -> Option<Key> {
        self.pieces.iter().find(|(_, piece)| piece.closed() && !piece.settled()).map(|(key, _)| *key)
    }

    pub(super) fn failed(&self, key: Key) -> bool {
        self.pieces.get(&key).is_some_and(|piece| piece.failed)
    }

    /// The open piece, when a decode of it may be the last and enough was useful so far to risk it.
    pub(super) fn speculation(&self, policy: &Policy) -> Option<Key> {
        if self.sealed || policy.speculation_percent == 0 {
            return None;
        }
        let (key, piece) = self.pieces.iter().next_back()?;
        let open = !piece.closed() && !piece.resumed && !piece.failed && !piece.settled();
        let fits = trim::speech(&piece.segment).samples().len() <= LONGEST_CLIP_SAMPLES;
        let needed: u64 = self
            .pieces
            .values()
            .filter(|piece| piece.segment.has_speech())
            .map(|piece| u64::from(piece.frames(policy, &piece.segment.clip)))
            .sum();
        let affordable = self.speculated * 100 <= needed * policy.speculation_percent;
        let ending = piece.segment.state == SegmentState::Ending;
        (open && fits && (affordable || ending)).then_some(*key)
    }

    /// Words to know and the last words before a piece. One that is doubted is heard for itself: it may have been an echo of them.
    pub(super) fn prompt(&self, before: Key, policy: &Policy) -> Transcript {
        let said = self.joined(|key, _| key < before);
        let speech = policy.speech(self.profile);
        let mut prompt = speech.map(|speech| speech.vocabulary.clone()).unwrap_or_default();
        if !self.pieces.get(&before).is_some_and(|piece| piece.doubted) {
            append(&mut prompt, &last_words(&said, policy.prompt_words), Seam::Pause);
        }
        Transcript::new(prompt)
    }

    /// The language of the last piece before this one that has one.
    pub(super) fn language_before(&self, before: Key) -> Option<String> {
        let texts = self.pieces.range(..before).rev().filter_map(|(_, piece)| piece.text.as_ref());
        texts.filter(|text| !text.cleaned.text.is_empty()).find_map(|text| text.language.clone())
    }

    /// What is to be told beside the text.
    pub(super) fn remarks(&self) -> Remarks {
        let texts = || self.pieces.values().filter_map(|piece| piece.text.as_ref());
        let mut languages: Vec<String> = Vec::new();
        for language in texts().filter(|t| !t.cleaned.text.is_empty()).filter_map(|t| t.language.as_ref()) {
            if !languages.contains(language) {
                languages.push(language.clone());
            }
        }
        let mut discarded = String::new();
        for words in texts().filter_map(|text| text.cleaned.discarded.as_ref()) {
            append(&mut discarded, words.words.reveal(), Seam::Pause);
        }
        let discarded = (!discarded.is_empty()).then(|| Transcript::new(discarded));
        Remarks { languages, discarded, incomplete: texts().any(|text| text.lost) }
    }

    pub(super) fn text(&self) -> String {
        self.joined(|_, _| true)
    }

    pub(super) fn has_speech(&self) -> bool {
        self.pieces.values().any(|piece| piece.segment.has_speech())
    }

    /// The text so far, when it changed.
    pub(super) fn partial(&mut self, take: TakeId) -> Option<Effect> {
        let committed = self.joined(|_, piece| piece.closed());
        let tentative = self.joined(|_, piece| !piece.closed());
        let now = (committed, tentative);
        if now == self.told {
            return None;
        }
        self.told = now.clone();
        let (committed, tentative) = (Transcript::new(now.0), Transcript::new(now.1));
        Some(Effect::Tell(SttEvent::Partial { take, committed, tentative }))
    }

    /// Its text was delivered: counts what was of use.
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        for text in self.pieces.values().filter_map(|piece| piece.text.as_ref()) {
            let why = text.cleaned.discarded.as_ref().map(|discarded| discarded.why);
            effects.extend(why.map(|why| Effect::Note(Note::Discarded(why))));
        }
        for cpu in self.pieces.values().filter_map(|piece| piece.text.as_ref()).map(|text| text.cpu) {
            if !cpu.is_zero() {
                effects.push(Effect::Note(Note::Useful(cpu)));
            }
        }
    }

    /// Its text is not wanted: counts what was in vain.
    pub(super) fn waste(&mut self, effects: &mut Vec<Effect>) {
        for piece in self.pieces.values_mut() {
            waste(piece.text.take(), effects);
        }
    }

    fn joined(&self, which: impl Fn(Key, &Piece) -> bool) -> String {
        let mut text = String::new();
        let mut seam = Seam::Pause;
        for (_, piece) in self.pieces.iter().filter(|(key, piece)| which(**key, piece)) {
            if let Some(found) = &piece.text {
                append(&mut text, found.cleaned.text.reveal(), seam);
            }
            // Speech up to the last sample was cut; the detector's frames are 16 ms.
            let cut = piece.segment.speech_end + 320 >= piece.segment.end() && !piece.pause;
            seam = if cut { Seam::Forced } else { Seam::Pause };
        }
        text
    }
}

/// Between which times, in a segment's speech, speech begins that the text has nothing of.
fn unwritten(decoded: &Decoded, suspicion: Option<Suspicion>, segment: &Segment) -> Option<Range<Duration>> {
    if decoded.no_speech_prob > NO_SPEECH {
        return None;
    }
    let sounding = |between: &Range<Duration>| trim::sounding(segment, between);
    hole(decoded).filter(|hole| sounding(hole) >= SOUND_IN_HOLE).or_else(|| {
        let last = decoded.word_times().last().copied()?;
        let rest = last..segment.clip.duration();
        let missing = suspicion == Some(Suspicion::Missing) || sounding(&rest) >= SOUND_BEHIND;
        missing.then(|| last..decoded.last_time() + BEHIND)
    })
}

/// A result is not believed, and the audio is decoded anew; `wasted` in the background.
fn fall_back(
    why: Suspicion,
    wasted: Option<Duration>,
    wanted: &mut Option<Wanted>,
    effects: &mut Vec<Effect>,
) {
    effects.push(Effect::Note(Note::Fallback(why)));
    effects.extend(wasted.map(|cpu| Effect::Note(Note::Wasted(cpu))));
    if let Some(wanted) = wanted {
        wanted.fallback = true;
    }
}

fn waste(text: Option<Text>, effects: &mut Vec<Effect>) {
    if let Some(text) = text.filter(|text| !text.cpu.is_zero()) {
        effects.push(Effect::Note(Note::Wasted(text.cpu)));
    }
}
