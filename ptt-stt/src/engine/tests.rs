//! What every real engine must do; with the model tiny.en, skipped where it is not installed.

mod files;

use std::f32::consts::TAU;
use std::thread;

use ptt_messages::SAMPLE_RATE_HZ;

use super::*;
use crate::check::words;
use crate::context::{ContextRule, FULL_FRAMES};
use crate::model::{self, CheckedModel};

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ptt-app/assets/quick_brown_fox.wav");

fn engines() -> Vec<Box<dyn Engine>> {
    let Some(path) = model::resolve("tiny.en").ok().filter(|path| path.exists()) else {
        println!("skipped: the model tiny.en is not installed (`make setup`)");
        return Vec::new();
    };
    let model = CheckedModel::open(&path).expect("an installed model is sound");
    vec![
        Box::new(NativeEngine::load(&model, "auto", 2).expect("an installed model can be loaded")),
        Box::new(WhisperEngine::load(&model, "auto").expect("an installed model can be loaded")),
    ]
}

fn tone(hz: f32, seconds: usize) -> Clip {
    let rate = SAMPLE_RATE_HZ as f32;
    let wave = (0..seconds * SAMPLE_RATE_HZ as usize).map(|i| 0.4 * (TAU * hz * i as f32 / rate).sin());
    Clip::new(wave.collect::<Vec<_>>()).expect("a quiet sine is a clip")
}

fn bundled() -> Clip {
    let file = hound::WavReader::open(BUNDLED).expect("it comes with the program");
    assert_eq!(file.spec().sample_rate, SAMPLE_RATE_HZ);
    let samples: Result<Vec<f32>, _> = file.into_samples().collect();
    Clip::new(samples.expect("a whole file")).expect("finite samples")
}

fn request(frames: u16, millis: u64) -> DecodeRequest {
    let deadline = Moment::now() + Duration::from_millis(millis);
    let threads = Threads::new(2);
    DecodeRequest {
        frames,
        prompt: Transcript::default(),
        language: None,
        detection: Detection::default(),
        threads,
        deadline,
    }
}

#[test]
fn all_engines_hear_the_same_words_at_any_context() {
    let clip = bundled();
    let short = ContextRule::native().frames(clip.samples().len());
    // The short one is for our own engine only: it comes first.
    for (mut engine, contexts) in
        engines().into_iter().zip([&[FULL_FRAMES, 512, short][..], &[FULL_FRAMES, 512]])
    {
        for &frames in contexts {
            let decoded = engine.decode(&clip, &request(frames, 60_000), &CancelFlag::default()).unwrap();
            let said = "the quick brown fox jumps over the lazy dog";
            assert_eq!(words(decoded.text.reveal()).join(" "), said, "at {frames}");
            assert!(decoded.avg_logprob > -0.5 && decoded.ending == Ending::Natural, "{decoded:?}");
        }
    }
}

#[test]
fn a_decode_ends_in_the_middle_of_the_encoder() {
    let clip = tone(300.0, 20);
    for mut engine in engines() {
        let cancel = CancelFlag::default();
        let flag = cancel.clone();
        let setter = thread::spawn(move || {
            thread::sleep(Duration::from_millis(80));
            flag.set();
            Moment::now()
        });
        let result = engine.decode(&clip, &request(FULL_FRAMES, 60_000), &cancel);
        let late = Moment::now().since(setter.join().unwrap());
        assert!(matches!(result, Err(SttError::Cancelled)), "{result:?}");
        // 20 ms on a quiet machine; a whole encoder pass at this context takes more than a second.
        assert!(late < Duration::from_millis(500), "{late:?}");
        let result = engine.decode(&clip, &request(FULL_FRAMES, 50), &CancelFlag::default());
        assert!(matches!(result, Err(SttError::Timeout { .. })), "{result:?}");
    }
}

#[test]
fn nothing_of_a_clip_is_left_for_the_next() {
    for mut engine in engines() {
        let mut decode = |clip: &Clip| {
            engine.decode(clip, &request(256, 60_000), &CancelFlag::default()).map(|decoded| decoded.text)
        };
        let (a, b) = (tone(300.0, 2), tone(1_000.0, 2));
        let alone = decode(&b).unwrap();
        decode(&a).unwrap();
        assert!(decode(&b).unwrap() == alone);
    }
}

#[test]
fn clips_of_any_length_and_prompts_of_any_kind_are_taken() {
    for mut engine in engines() {
        for (samples, prompt) in
            [(0, "\0"), (1, ""), (200, "naïve 日本語 \u{1f600}"), (800, ""), (16_000, "word "), (470_000, "")]
        {
            let mut request = request(256, 60_000);
            request.prompt = Transcript::new(prompt.repeat(300));
            let clip = Clip::new(vec![0.0; samples]).unwrap();
            let decoded = engine.decode(&clip, &request, &CancelFlag::default()).unwrap();
            assert!(decoded.tokens <= 300, "{samples}: {decoded:?}");
        }
    }
}
