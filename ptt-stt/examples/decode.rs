//! Decodes WAV files (16 kHz, mono) in this process and prints what each took, as JSON lines: the measuring table of
//! contexts and threads. 0 threads = one per core that is idle when the clip's turn comes.
//!
//! ```text
//! cargo run -p ptt-stt --example decode -- native|whisper MODEL THREADS MARGIN_MS|native|full MIN_MS FILE...
//! ```
#![allow(clippy::print_stdout, reason = "it prints what it was asked for")]

use std::path::Path;
use std::time::Duration;

use ptt_messages::{Clip, Moment, Transcript};
use ptt_stt::check::suspect;
use ptt_stt::clean::clean;
use ptt_stt::context::{ContextRule, FULL_FRAMES};
use ptt_stt::cores;
use ptt_stt::engine::{CancelFlag, DecodeRequest, Detection, Engine, NativeEngine, Threads, WhisperEngine};
use ptt_stt::model::CheckedModel;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().ok_or(format!("missing argument: {what}"));
    let engine = next("`native` or `whisper`")?;
    let model = CheckedModel::open(Path::new(&next("MODEL")?))?;
    let threads: usize = next("THREADS")?.parse()?;
    let margin = next("MARGIN_MS, or `full`")?;
    let least = Duration::from_millis(next("MIN_MS")?.parse()?);
    let rule = match margin.as_str() {
        "full" => None,
        "native" => Some(ContextRule::native()),
        ms => Some(ContextRule::new(Duration::from_millis(ms.parse()?), least)),
    };
    let mut engine: Box<dyn Engine> = match engine.as_str() {
        "native" => Box::new(NativeEngine::load(&model, "en", threads.max(1))?),
        "whisper" => Box::new(WhisperEngine::load(&model, "en")?),
        other => return Err(format!("{other:?} is neither `native` nor `whisper`").into()),
    };
    for file in args {
        let clip = read(Path::new(&file))?;
        let frames = rule.map_or(FULL_FRAMES, |rule| rule.frames(clip.samples().len()));
        let began = Moment::now();
        let request = DecodeRequest {
            frames,
            prompt: Transcript::default(),
            language: None,
            detection: Detection::default(),
            threads: Threads::new(if threads == 0 { cores::idle(8) } else { threads }),
            deadline: began + Duration::from_secs(60),
        };
        let decoded = engine.decode(&clip, &request, &CancelFlag::default())?;
        let line = serde_json::json!({
            "file": Path::new(&file).file_stem().unwrap_or_default().to_string_lossy(),
            "audio_s": clip.duration().as_secs_f64(),
            "frames": frames,
            "wall_s": Moment::now().since(began).as_secs_f64(),
            "encode_s": decoded.encode.as_secs_f64(),
            "decode_s": decoded.decode.as_secs_f64(),
            "tokens": decoded.tokens,
            "avg_logprob": decoded.avg_logprob,
            "no_speech_prob": decoded.no_speech_prob,
            "ending": format!("{:?}", decoded.ending),
            "suspicion": suspect(&decoded, clip.duration()).map(|why| why.label()),
            "times": decoded.times.iter().map(|t| (t.end, t.at.as_secs_f64())).collect::<Vec<_>>(),
            "raw": decoded.text.reveal(),
            "text": clean(&decoded).text.reveal(),
        });
        println!("{line}");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Clip, Box<dyn std::error::Error>> {
    let mut wav = hound::WavReader::open(path)?;
    let spec = wav.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (16_000, 1, 16) {
        return Err(format!("{} is not 16 kHz, mono, 16 bit", path.display()).into());
    }
    let samples: Result<Vec<f32>, _> =
        wav.samples::<i16>().map(|s| s.map(|s| f32::from(s) / 32_768.0)).collect();
    Ok(Clip::new(samples?)?)
}
