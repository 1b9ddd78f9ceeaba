//! `ptt-app transcribe`: audio files to text, cut where the recorder would cut them and decoded by the daemon's engine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, System};
use clap::Args;
use ptt_messages::{
    Clip, Port, Posted, Profile, SAMPLE_RATE_HZ, Segment, SegmentId, SegmentState, SttCommand, SttEvent,
    TakeId, Within,
};
use serde::Serialize;

use super::{models, say, say_json};
use crate::config::Config;
use crate::exit_code::{Exit, Failure};
use crate::telemetry;

/// A file is not cut before this: what was said before helps the engine.
const SEGMENT_MIN_S: u64 = 20;

/// Flags of `transcribe`.
#[derive(Debug, Args)]
pub struct TranscribeArgs {
    /// WAV, FLAC, OGG or MP3, any sample rate, any number of channels.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// One JSON object per file: file, text, audio_s, wall_s, segments.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Transcribed {
    file: String,
    text: String,
    audio_s: f64,
    wall_s: f64,
    segments: Vec<TimedText>,
}

#[derive(Serialize)]
struct TimedText {
    start_s: f64,
    end_s: f64,
    text: String,
}

pub(crate) fn run(args: &TranscribeArgs, config: Config) -> Result<ExitCode, Failure> {
    telemetry::start_quiet_log(&config.log)?;
    models::check(&config.stt)?;
    // Before the first is decoded, so that a typo in the last name costs nothing.
    args.files.iter().try_for_each(|file| is_there(file))?;
    let config = config.overridden(&["stt.strategy=batch".into()])?;
    let (sender, answers) = channel();
    let system = System::new();
    let engine =
        system.block_on(async { ptt_stt::spawn(&config.stt, Port::to("transcribe", &Ear(sender).start())) });
    let engine = engine.map_err(|e| Failure::from(ptt_messages::Fault::from(&e)))?;
    let stopper = system.block_on(async { System::current() });
    let (files, json) = (args.files.clone(), args.json);
    let worker = std::thread::spawn(move || {
        let mut desk = Desk { engine, answers, next: TakeId(1), config };
        let done = files.iter().try_for_each(|file| {
            let transcribed = desk.transcribe(file, &read(file)?)?;
            if json { say_json(&transcribed) } else { say(transcribed.text) }
        });
        stopper.stop();
        done
    });
    system.run().map_err(|e| Failure::new(Exit::Failed, e.to_string()))?;
    let done =
        worker.join().unwrap_or_else(|_| Err(Failure::new(Exit::Panicked, "internal error; see above")));
    done.map(|()| ExitCode::SUCCESS)
}

fn is_there(file: &Path) -> Result<(), Failure> {
    // A pipe can be opened only once.
    let readable = std::fs::metadata(file)
        .is_ok_and(|there| !there.is_dir() && (!there.is_file() || std::fs::File::open(file).is_ok()));
    // Whoever reads it says what is wrong.
    if readable { Ok(()) } else { read(file).map(|_| ()) }
}

fn read(file: &Path) -> Result<Clip, Failure> {
    ptt_audio::read_audio_file(file).map_err(|e| Failure::new(Exit::NoInput, e.to_string()))
}

/// Hands segments to the engine, one after the other, and waits for their texts.
struct Desk {
    engine: Port<SttCommand>,
    answers: Receiver<SttEvent>,
    next: TakeId,
    config: Config,
}

impl Desk {
    fn transcribe(&mut self, file: &Path, clip: &Clip) -> Result<Transcribed, Failure> {
        let began = Instant::now();
        let cutting =
            ptt_audio::AudioConfig { commit_min_s: Within::new(SEGMENT_MIN_S), ..self.config.audio.clone() };
        let seconds = |samples: u64| samples as f64 / f64::from(SAMPLE_RATE_HZ);
        let mut segments = Vec::new();
        for segment in ptt_audio::split_at_pauses(clip, self.next, &cutting) {
            let (start_s, end_s) = (seconds(segment.start), seconds(segment.end()));
            let text = self.decode(segment)?;
            if !text.is_empty() {
                segments.push(TimedText { start_s, end_s, text });
            }
        }
        let texts: Vec<&str> = segments.iter().map(|s| s.text.as_str()).collect();
        Ok(Transcribed {
            file: file.display().to_string(),
            text: texts.join(" "),
            audio_s: clip.duration().as_secs_f64(),
            wall_s: began.elapsed().as_secs_f64(),
            segments,
        })
    }

    /// Each segment is a take of its own to the engine.
    fn decode(&mut self, segment: Segment) -> Result<String, Failure> {
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
                Ok(SttEvent::Failed { fault, .. }) => return Err(fault.into()),
                Ok(
                    SttEvent::Complete { .. }
                    | SttEvent::Ready { .. }
                    | SttEvent::Unloaded
                    | SttEvent::Partial { .. },
                ) => {}
                Err(_) => return Err(Failure::new(Exit::Failed, "the engine does not answer")),
            }
        }
    }
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
