//! Records one take through the real recorder and writes it as a WAV file, printing every event with its time:
//!
//! ```text
//! cargo run -p ptt-audio --example record -- --seconds 4 out.wav
//! cargo run -p ptt-audio --example record -- --set host=alsa --set device=USB --seconds 4 out.wav
//! ```
//!
//! `--set KEY=VALUE` sets a key of the section `[audio]`; `--wait S` keeps the microphone open before the take,
//! `--takes N` records that many and writes the last.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]
#![expect(clippy::wildcard_enum_match_arm, reason = "most events are only printed")]

use std::error::Error;
use std::time::Duration;

use actix::prelude::*;
use ptt_audio::AudioConfig;
use ptt_messages::{Moment, Port, Posted, RecorderCommand, RecorderEvent, Segment, SegmentState, TakeId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

struct Inbox(UnboundedSender<RecorderEvent>);

impl Actor for Inbox {
    type Context = Context<Self>;
}

impl Handler<Posted<RecorderEvent>> for Inbox {
    type Result = ();

    fn handle(&mut self, message: Posted<RecorderEvent>, _ctx: &mut Self::Context) {
        let _ = self.0.send(message.body);
    }
}

struct Arguments {
    config: AudioConfig,
    seconds: f64,
    wait: f64,
    takes: u64,
    path: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    System::new().block_on(record(arguments))
}

async fn record(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let (tell, mut events) = unbounded_channel();
    let inbox = Inbox(tell).start();
    let begin = Moment::now();
    let recorder = ptt_audio::spawn(&arguments.config, Port::to("inbox", &inbox))?;
    recorder.post(RecorderCommand::Open);
    let mut samples = Vec::new();
    watch(&mut events, begin, arguments.wait, &mut samples).await;
    for take in (1..=arguments.takes).map(TakeId) {
        let press = Moment::now();
        recorder.post(RecorderCommand::Start { take, press });
        while match next(&mut events, begin).await? {
            RecorderEvent::StartFailed { fault, .. } => return Err(fault.into()),
            event => !matches!(event, RecorderEvent::Started { .. }),
        } {}
        println!("          start took {:.3} ms", millis(Moment::now().since(press)));
        samples.clear();
        let over = watch(&mut events, begin, arguments.seconds, &mut samples).await;
        let release = Moment::now();
        recorder.post(RecorderCommand::Stop { take, release });
        // A take whose microphone was lost is over already.
        if !over {
            while !keep(&next(&mut events, begin).await?, &mut samples) {}
        }
        println!("          stop took {:.3} ms", millis(Moment::now().since(release)));
    }
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: ptt_messages::SAMPLE_RATE_HZ,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(&arguments.path, spec)?;
    for sample in samples {
        writer.write_sample(sample)?;
    }
    writer.finalize()?;
    Ok(())
}

/// Prints events for some seconds and keeps their audio; says whether a take ended in them.
async fn watch(
    events: &mut UnboundedReceiver<RecorderEvent>,
    begin: Moment,
    seconds: f64,
    samples: &mut Vec<f32>,
) -> bool {
    let mut over = false;
    let end = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
    while let Ok(Ok(event)) = tokio::time::timeout_at(end, next(events, begin)).await {
        over |= keep(&event, samples);
    }
    over
}

async fn next(
    events: &mut UnboundedReceiver<RecorderEvent>,
    begin: Moment,
) -> Result<RecorderEvent, Box<dyn Error>> {
    let event = events.recv().await.ok_or("the recorder is gone")?;
    println!("{:9.3} {event:?}", Moment::now().since(begin).as_secs_f64());
    Ok(event)
}

/// Keeps the audio of committed segments and of the tail; says whether this was the tail.
fn keep(event: &RecorderEvent, samples: &mut Vec<f32>) -> bool {
    match event {
        RecorderEvent::Heard(Segment { state: SegmentState::Committed, clip, .. }) => {
            samples.extend_from_slice(clip.samples());
            false
        }
        RecorderEvent::Finished { tail, .. } => {
            samples.extend_from_slice(tail.clip.samples());
            true
        }
        _ => false,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut sets = serde_json::Map::new();
    let (mut seconds, mut wait, mut takes, mut path) = (3.0, 1.0, 1, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--seconds" => seconds = value()?.parse()?,
            "--wait" => wait = value()?.parse()?,
            "--takes" => takes = value()?.parse()?,
            "--set" => {
                let pair = value()?;
                let (key, text) = pair.split_once('=').ok_or("--set wants KEY=VALUE")?;
                let parsed = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                sets.insert(key.to_owned(), parsed);
            }
            _ => path = Some(word),
        }
    }
    let config = serde_json::from_value(serde_json::Value::Object(sets))?;
    Ok(Arguments { config, seconds, wait, takes, path: path.ok_or("say which file to write")? })
}
