//! Measures how soon a decode ends after its flag was set: at random moments of decodes of 20 s of noise.
//!
//! ```text
//! cargo run -p ptt-stt --example abort -- native|whisper MODEL THREADS FRAMES TIMES
//! ```
#![allow(clippy::print_stdout, reason = "it prints what it was asked for")]

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ptt_messages::{Clip, Moment, Transcript};
use ptt_stt::SttError;
use ptt_stt::engine::{CancelFlag, DecodeRequest, Detection, Engine, NativeEngine, Threads, WhisperEngine};
use ptt_stt::model::CheckedModel;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().ok_or(format!("missing argument: {what}"));
    let engine = next("`native` or `whisper`")?;
    let model = CheckedModel::open(Path::new(&next("MODEL")?))?;
    let threads: usize = next("THREADS")?.parse()?;
    let frames: u16 = next("FRAMES")?.parse()?;
    let times: u32 = next("TIMES")?.parse()?;
    let mut engine: Box<dyn Engine> = match engine.as_str() {
        "native" => Box::new(NativeEngine::load(&model, "en", threads)?),
        "whisper" => Box::new(WhisperEngine::load(&model, "en")?),
        other => return Err(format!("{other:?} is neither `native` nor `whisper`").into()),
    };
    let mut x = 1_u32;
    let mut random = move || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x >> 16
    };
    let seconds = (u32::from(frames) / 50).min(20);
    let noise: Vec<f32> = (0..seconds * 16_000).map(|_| random() as f32 / 65_536.0 - 0.5).collect();
    let clip = Clip::new(noise)?;
    let mut request = DecodeRequest {
        frames,
        prompt: Transcript::default(),
        language: None,
        detection: Detection::default(),
        threads: Threads::new(threads),
        deadline: Moment::default(),
    };
    let mut late = Vec::new();
    let mut whole = Duration::ZERO;
    for round in 0..=times {
        let cancel = CancelFlag::default();
        request.deadline = Moment::now() + Duration::from_secs(60);
        if round == 0 {
            let began = Instant::now();
            engine.decode(&clip, &request, &cancel)?;
            whole = began.elapsed();
            continue;
        }
        let after = whole * (random() % 1_000) / 1_000;
        let flag = cancel.clone();
        let setter = thread::spawn(move || {
            thread::sleep(after);
            let set = Instant::now();
            flag.set();
            set
        });
        let result = engine.decode(&clip, &request, &cancel);
        let ended = Instant::now();
        let set = setter.join().map_err(|_| "the setting thread panicked")?;
        match result {
            Err(SttError::Cancelled) => late.push(ended.saturating_duration_since(set)),
            Err(error) => return Err(error.into()),
            // It was done before.
            Ok(_) => {}
        }
    }
    late.sort();
    let at =
        |percent: usize| late.get(late.len() * percent / 100).or(late.last()).copied().unwrap_or_default();
    println!(
        "whole decode {whole:?}; {} aborts: p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        late.len(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
    Ok(())
}
