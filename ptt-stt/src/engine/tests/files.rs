//! Model files of every storage and every kind of damage, in both engines; with tiny.en, skipped
//! where it is not installed.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::model::ModelError;
use crate::model::dequantize::decoded;
use crate::model::quantize::half_from;

/// The head's numbers, and the place of the file's type among them.
const HEAD: usize = 48;
const FILE_TYPE: usize = 44;
/// Behind the head: the size of the filter bank, 80 filters of 201 weights.
const VOCABULARY: usize = HEAD + 8 + 80 * 201 * 4;
const SAID: &str = "the quick brown fox jumps over the lazy dog";

/// The bytes of tiny.en, and an empty folder.
fn tiny_en() -> Option<(Vec<u8>, TempDir)> {
    let Some(path) = model::resolve("tiny.en").ok().filter(|path| path.exists()) else {
        println!("skipped: the model tiny.en is not installed (`make setup`)");
        return None;
    };
    Some((fs::read(path).unwrap(), tempfile::tempdir().unwrap()))
}

fn written(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("ggml-other.bin");
    fs::write(&path, bytes).unwrap();
    path
}

fn config(backend: Backend, path: &std::path::Path) -> SttConfig {
    SttConfig { backend, model: path.to_str().unwrap().to_owned(), ..SttConfig::default() }
}

fn words_of(mut engine: Box<dyn Engine>) -> String {
    let decoded = engine.decode(&bundled(), &request(FULL_FRAMES, 60_000), &CancelFlag::default()).unwrap();
    words(decoded.text.reveal()).join(" ")
}

#[test]
fn a_model_without_a_space_ends_no_process() {
    let Some((mut bytes, folder)) = tiny_en() else { return };
    let space = *b"\x01\0\0\0\x20";
    let at = VOCABULARY + bytes[VOCABULARY..].windows(5).position(|w| w == space).unwrap();
    bytes[at + 4] = 0x07;
    let path = written(&folder, &bytes);
    for backend in [Backend::Native, Backend::Whisper] {
        let refused = |result: Result<(), SttError>| {
            let error = result.unwrap_err();
            assert!(matches!(error, SttError::Model(ModelError::OtherVocabulary { .. })), "{error}");
        };
        refused(check(&config(backend, &path)));
        refused(open(&config(backend, &path)).map(|_| ()));
    }
    assert!(matches!(model::verify(&path), Err(ModelError::OtherVocabulary { .. })));
}

#[test]
fn a_named_pipe_is_no_model_and_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ggml-pipe.bin");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for backend in [Backend::Native, Backend::Whisper] {
        let error = open(&config(backend, &path)).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("is a named pipe"), "{error}");
    }
}

#[test]
fn the_engines_read_the_file_that_was_checked() {
    let Some((bytes, folder)) = tiny_en() else { return };
    for backend in [Backend::Native, Backend::Whisper] {
        let path = written(&folder, &bytes);
        let checked = CheckedModel::open(&path).unwrap();
        let other = folder.path().join("other");
        fs::write(&other, b"something else").unwrap();
        fs::rename(&other, &path).unwrap();
        let _ = fs::remove_file(path.with_extension("json"));
        let engine: Box<dyn Engine> = match backend {
            Backend::Native => Box::new(NativeEngine::load(&checked, "en", 2).unwrap()),
            Backend::Whisper | Backend::Canned => Box::new(WhisperEngine::load(&checked, "en").unwrap()),
        };
        assert_eq!(words_of(engine), SAID, "{backend:?}");
    }
}

#[test]
fn q4_1_is_read_by_both_engines() {
    let Some((bytes, folder)) = tiny_en() else { return };
    let path = written(&folder, &requantised(&bytes, (3, 2_003), q4_1));
    for backend in [Backend::Native, Backend::Whisper] {
        check(&config(backend, &path)).unwrap();
        assert_eq!(words_of(open(&config(backend, &path)).unwrap()), SAID, "{backend:?}");
    }
}

/// Rows of tiny.en have 384 weights, one and a half blocks: whisper.cpp would end the process.
#[test]
fn k_quants_are_read_by_our_engine_and_by_the_other_where_it_can() {
    let Some((bytes, folder)) = tiny_en() else { return };
    let path = written(&folder, &requantised(&bytes, (14, 2_014), q6_k));
    assert_eq!(words_of(open(&config(Backend::Native, &path)).unwrap()), SAID);
    for result in
        [check(&config(Backend::Whisper, &path)), open(&config(Backend::Whisper, &path)).map(|_| ())]
    {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("set `stt.backend` to `native`"), "{error}");
    }
}

/// A ggml file in f16 with its matrices in another storage: ggml's numbers for its tensors and for
/// the file.
fn requantised(file: &[u8], (tensor, file_type): (u32, u32), encode: fn(&[f32], &mut Vec<u8>)) -> Vec<u8> {
    let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let mut at = VOCABULARY + 4;
    for _ in 0..number(VOCABULARY) {
        at += 4 + number(at);
    }
    let mut out = file[..at].to_vec();
    out[FILE_TYPE..HEAD].copy_from_slice(&file_type.to_le_bytes());
    while at < file.len() {
        let (rank, name_length, kind) = (number(at), number(at + 4), number(at + 8));
        let count: usize = (0..rank).map(|d| number(at + 12 + 4 * d)).product();
        let name = at + 12 + 4 * rank;
        let values = name + name_length;
        let end = values + count * if kind == 0 { 4 } else { 2 };
        let matrix = rank == 2 && kind == 1;
        out.extend(&file[at..at + 8]);
        out.extend(if matrix { tensor } else { kind as u32 }.to_le_bytes());
        out.extend(&file[at + 12..values]);
        if matrix {
            encode(&decoded(1, &file[values..end]).unwrap(), &mut out);
        } else {
            out.extend(&file[values..end]);
        }
        at = end;
    }
    out
}

fn q4_1(values: &[f32], out: &mut Vec<u8>) {
    for block in values.as_chunks::<32>().0 {
        let min = block.iter().copied().fold(f32::MAX, f32::min);
        let step = (block.iter().copied().fold(f32::MIN, f32::max) - min) / 15.0;
        let level = |j: usize| if step == 0.0 { 0 } else { ((block[j] - min) / step).round() as u8 };
        out.extend(half_from(step).to_le_bytes());
        out.extend(half_from(min).to_le_bytes());
        out.extend((0..16).map(|j| level(j) | level(j + 16) << 4));
    }
}

fn q6_k(values: &[f32], out: &mut Vec<u8>) {
    for block in values.as_chunks::<256>().0 {
        let scales: Vec<f32> = block
            .as_chunks::<16>()
            .0
            .iter()
            .map(|run| run.iter().fold(0.0, |most: f32, v| most.max(v.abs())) / 31.0)
            .collect();
        let scale = scales.iter().copied().fold(0.0, f32::max) / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let factors: Vec<i8> = scales.iter().map(|s| (s * inverse).round().max(1.0) as i8).collect();
        let level = |i: usize| {
            let step = scale * f32::from(factors[i / 16]);
            let level = if step == 0.0 { 0.0 } else { (block[i] / step).round().clamp(-32.0, 31.0) };
            (level as i8 + 32).cast_unsigned()
        };
        let low = |i: usize| level(i) & 0xf;
        let high = |i: usize| level(i) >> 4;
        for side in [0, 128] {
            out.extend((side..side + 64).map(|i| low(i) | low(i + 64) << 4));
        }
        for side in [0, 128] {
            out.extend(
                (side..side + 32)
                    .map(|i| high(i) | high(i + 32) << 2 | high(i + 64) << 4 | high(i + 96) << 6),
            );
        }
        out.extend(factors.iter().map(|factor| factor.cast_unsigned()));
        out.extend(half_from(scale).to_le_bytes());
    }
}
