//! `ptt-app transcribe`: audio files to text, cut where the recorder would cut them and decoded by the daemon's engine.
//!
//! A file is read, cut and decoded piece by piece, so one of any length takes the memory of a short
//! one. What cannot be read or understood is said and does not keep the rest, or the files after
//! it, from being done.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, System};
use clap::Args;
use ptt_audio::{AudioFile, Splitter};
use ptt_messages::{
    Port, Posted, Profile, SAMPLE_RATE_HZ, Segment, SegmentId, SegmentState, SttCommand, SttEvent, TakeId,
    Within,
};
use serde::Serialize;

use super::{may_say_texts, models, say, say_json};
use crate::config::Config;
use crate::exit_code::{Exit, Failure};
use crate::telemetry;

/// A file is not cut before this: what was said before helps the engine.
const SEGMENT_MIN_S: u64 = 20;

/// Flags of `transcribe`.
#[derive(Debug, Args)]
pub struct TranscribeArgs {
    /// WAV, FLAC, Ogg (Vorbis or Opus), MP3 or AIFF, any sample rate, any number of channels.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// One JSON object per file: file, text, audio_s, wall_s, segments; missing where a part could
    /// not be done.
    #[arg(long)]
    pub json: bool,
}

#[derive(Default, Serialize)]
struct Transcribed {
    file: String,
    text: String,
    audio_s: f64,
    wall_s: f64,
    segments: Vec<TimedText>,
    /// What was left out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    #[serde(skip)]
    left_out: Vec<Failure>,
}

#[derive(Serialize)]
struct TimedText {
    start_s: f64,
    end_s: f64,
    text: String,
}

pub(crate) fn run(args: &TranscribeArgs, config: Config) -> Result<ExitCode, Failure> {
    telemetry::start_quiet_log(&config.log)?;
    may_say_texts()?;
    models::check(&config.stt)?;
    // Before the first is decoded, so that a typo in the last name is seen at once.
    let mut result = Exit::Ok;
    let mut files = args.files.clone();
    files.retain(|file| match is_there(file) {
        Ok(()) => true,
        Err(failure) => {
            result = complain(&failure, result);
            false
        }
    });
    let config = config.overridden(&["stt.strategy=batch".into()])?;
    let (sender, answers) = channel();
    let system = System::new();
    let engine =
        system.block_on(async { ptt_stt::spawn(&config.stt, Port::to("transcribe", &Ear(sender).start())) });
    let engine = engine.map_err(|e| Failure::from(ptt_messages::Fault::from(&e)))?;
    let stopper = system.block_on(async { System::current() });
    let json = args.json;
    let worker = std::thread::spawn(move || {
        let mut desk = Desk { engine, answers, next: TakeId(1), config };
        let done = files.iter().try_for_each(|file| {
            let mut transcribed = match desk.transcribe(file) {
                Ok(transcribed) => transcribed,
                Err(Trouble::File(failure)) => {
                    result = complain(&failure, result);
                    return Ok(());
                }
                Err(Trouble::Engine(failure)) => return Err(failure),
            };
            for failure in transcribed.left_out.drain(..) {
                result = complain(&failure, result);
            }
            if json { say_json(&transcribed) } else { say(transcribed.text) }
        });
        stopper.stop();
        done.map(|()| result)
    });
    system.run().map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
    let done =
        worker.join().unwrap_or_else(|_| Err(Failure::new(Exit::Panicked, "internal error; see above")));
    done.map(ExitCode::from)
}

/// Says what went wrong, and with which code the command ends after `before`: a file that was not
/// read counts most.
fn complain(failure: &Failure, before: Exit) -> Exit {
    // Nobody may hear it.
    let _ = writeln!(std::io::stderr(), "ptt-app: {}", failure.message);
    if before == Exit::NoInput { before } else { failure.exit }
}

fn is_there(file: &Path) -> Result<(), Failure> {
    // A pipe can be opened only once.
    let readable = std::fs::metadata(file)
        .is_ok_and(|there| !there.is_dir() && (!there.is_file() || std::fs::File::open(file).is_ok()));
    // Whoever reads it says what is wrong.
    if readable { Ok(()) } else { open(file).map(drop) }
}

fn open(file: &Path) -> Result<AudioFile, Failure> {
    AudioFile::open(file).map_err(|e| Failure::new(Exit::NoInput, e.to_string()))
}

/// Why a file has no text.
enum Trouble {
    /// The next one may have.
    File(Failure),
    /// None of those that follow will.
    Engine(Failure),
}

/// Hands segments to the engine, one after the other, and waits for their texts.
struct Desk {
    engine: Port<SttCommand>,
    answers: Receiver<SttEvent>,
    next: TakeId,
    config: Config,
}

impl Desk {
    fn transcribe(&mut self, path: &Path) -> Result<Transcribed, Trouble> {
        let began = Instant::now();
        let mut file = open(path).map_err(Trouble::File)?;
        let cutting =
            ptt_audio::AudioConfig { commit_min_s: Within::new(SEGMENT_MIN_S), ..self.config.audio.clone() };
        let mut splitter = Splitter::new(self.next, &cutting);
        let mut done = Transcribed { file: path.display().to_string(), ..Transcribed::default() };
        let mut samples = 0;
        while let Some(piece) = file.next_piece() {
            samples += piece.len() as u64;
            for segment in splitter.push(piece) {
                self.add(segment, &mut done)?;
            }
        }
        for segment in splitter.finish() {
            self.add(segment, &mut done)?;
        }
        if let Some(unread) = file.unread() {
            done.left_out.push(Failure::new(Exit::NoInput, unread.to_string()));
        }
        done.missing = done.left_out.iter().map(|failure| failure.message.clone()).collect();
        let texts: Vec<&str> = done.segments.iter().map(|s| s.text.as_str()).collect();
        done.text = texts.join(" ");
        done.audio_s = seconds(samples);
        done.wall_s = began.elapsed().as_secs_f64();
        Ok(done)
    }

    fn add(&mut self, segment: Segment, done: &mut Transcribed) -> Result<(), Trouble> {
        let (start_s, end_s) = (seconds(segment.start), seconds(segment.end()));
        match self.decode(segment) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => done.segments.push(TimedText { start_s, end_s, text }),
            Err(Trouble::File(Failure { exit, message })) => {
                let place = format!("{} from {start_s:.1} to {end_s:.1} s: {message}", done.file);
                done.left_out.push(Failure::new(exit, place));
            }
            Err(engine) => return Err(engine),
        }
        Ok(())
    }

    /// Each segment is a take of its own to the engine.
    fn decode(&mut self, segment: Segment) -> Result<String, Trouble> {
        let take = self.next;
        self.next = take.next();
        let length = segment.clip.duration();
        let tail = Segment {
            id: SegmentId { take, index: 0 },
            state: SegmentState::Tail,
            start: 0,
            speech_end: segment.speech_end - segment.start,
            certain: segment.certain,
            clip: segment.clip,
        };
        let deadline = Duration::from_secs(60) + length * 10;
        self.engine.post_patiently(SttCommand::Transcribe {
            tail,
            profile: Profile::DEFAULT,
            attempt: 1,
            deadline,
        });
        loop {
            match self.answers.recv_timeout(deadline * 2) {
                Ok(SttEvent::Complete { take: of, text, .. }) if of == take => {
                    return Ok(text.reveal().to_owned());
                }
                Ok(SttEvent::Remarks { take: of, remarks }) if of == take && remarks.incomplete => {
                    tracing::warn!("a part of what is said could not be understood; the text lacks it");
                }
                Ok(SttEvent::Failed { take: Some(_), fault }) => return Err(Trouble::File(fault.into())),
                Ok(SttEvent::Failed { take: None, fault }) => return Err(Trouble::Engine(fault.into())),
                Ok(
                    SttEvent::Complete { .. }
                    | SttEvent::Ready { .. }
                    | SttEvent::Remarks { .. }
                    | SttEvent::Unloaded
                    | SttEvent::Partial { .. },
                ) => {}
                Err(_) => {
                    let failure = Failure::new(Exit::Failed, "the engine does not answer");
                    return Err(Trouble::Engine(failure));
                }
            }
        }
    }
}

fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE_HZ)
}

/// Passes what the engine tells to the waiting thread.
struct Ear(Sender<SttEvent>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Posted<SttEvent>> for Ear {
    type Result = ();

    fn handle(&mut self, message: Posted<SttEvent>, _: &mut Context<Self>) {
        // The thread that waits may have failed and gone.
        let _ = self.0.send(message.body);
    }
}
