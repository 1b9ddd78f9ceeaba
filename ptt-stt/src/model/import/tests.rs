//! Imports of small, hostile and real directories.

use std::io::Cursor;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::model::layout::Storage;
use crate::model::structure;
use crate::model::synthetic::{self, DIMS};
use crate::model::verify::check_before_load;

#[test]
fn a_directory_becomes_a_sound_model_with_its_weights_in_place() {
    let (source, target) = directories();
    for quantize in Quantization::ALL {
        let options = options(&source, &target, quantize);
        let mut steps = Vec::new();
        let imported = import(&options, |done, of| steps.push((done, of))).unwrap();
        let count = DIMS.tensors().len();
        assert_eq!(steps.last(), Some(&(count, count)));
        let found = structure::check(File::open(&imported.path).unwrap()).unwrap();
        assert_eq!((found.dims, found.weights, found.size), (DIMS, quantize.tensor_type(), imported.size));
        let verified = check_before_load(&imported.path).unwrap();
        assert_eq!((verified.sha256, verified.origin), (imported.sha256, Origin::Imported));
    }
    let half = std::fs::read(target.path().join("ggml-test-f16.bin")).unwrap();
    for tensor in DIMS.tensors() {
        assert_eq!(values(&half, &tensor), expected(&tensor), "{}", tensor.name);
    }
}

#[test]
fn an_older_model_is_replaced_only_on_demand() {
    let (source, target) = directories();
    let mut options = options(&source, &target, Quantization::Q8_0);
    import(&options, |_, _| ()).unwrap();
    assert!(matches!(import(&options, |_, _| ()), Err(ModelError::Exists { .. })));
    options.force = true;
    import(&options, |_, _| ()).unwrap();
    let left: Vec<_> = std::fs::read_dir(target.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the model and its record: {left:?}");
}

#[test]
fn what_is_no_plain_whisper_model_is_refused_with_the_reason() {
    let whisper = synthetic::ctranslate2_file();
    let changed = |from: &[u8], to: &[u8]| {
        let at = whisper.windows(from.len()).position(|w| w == from).unwrap();
        let mut file = whisper.clone();
        file[at..at + to.len()].copy_from_slice(to);
        file
    };
    let fused_bias = b"self_attention/linear_0/bias\0\x01\xc0\0\0\0\x04\x80\x01\0\0";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "cut short"),
        (whisper[..1_000_000].to_vec(), "cut short"),
        (whisper[..60].to_vec(), "cut short"),
        (b"GGUF".repeat(100), "no CTranslate2 model"),
        (changed(b"WhisperSpec", b"BertEncSpec"), "`BertEncSpec`, not a Whisper model"),
        (changed(b"conv1/weight", b"conv1/weighs"), "has no encoder/conv1/weight"),
        (
            changed(b"ffn/linear_0/weight\0\x02\0\x01", b"ffn/linear_0/weight\0\x02\x01\x01"),
            "has 32768 bytes",
        ),
        (
            changed(b"num_heads\0\0\x02\x02\0\0\0\x01", b"num_heads\0\0\x02\x02\0\0\0\x03"),
            "3 heads at width 64",
        ),
        (changed(b"conv1/bias\0\x01\x40\0\0\0\x04", b"conv1/bias\0\x01\x40\0\0\0\x02"), "whole numbers"),
        (
            changed(
                b"ffn/linear_0/weight\0\x02\0\x01\0\0\x40\0\0\0\x04",
                b"ffn/linear_0/weight\0\x02\0\x01\0\0\x40\0\0\0\x02",
            ),
            "--quantize q8_0",
        ),
        (
            changed(
                b"conv1/bias\0\x01\x40\0\0\0\x04\x80\0\0\0\0",
                b"conv1/bias\0\x01\x40\0\0\0\x04\x80\0\0\0\xff\xff",
            ),
            "not a finite number",
        ),
        (
            {
                let mut file = whisper.clone();
                let at = file.windows(fused_bias.len()).position(|w| w == fused_bias).unwrap();
                file[at + fused_bias.len() + 2 * 64 + 1] = 0x3c;
                file
            },
            "keys have a bias",
        ),
    ];
    for (file, says) in cases {
        let (source, target) = directories();
        std::fs::write(source.path().join("model.bin"), file).unwrap();
        let error = import(&options(&source, &target, Quantization::F16), |_, _| ()).unwrap_err();
        assert!(matches!(error, ModelError::NotImportable { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "expected `{says}`: {error}");
        assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0, "{says}");
    }
    let (empty, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let error = import(&options(&empty, &target, Quantization::F16), |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("has no model.bin"), "{error}");
}

#[test]
fn a_model_of_own_sizes_needs_a_name() {
    let (source, target) = directories();
    let nameless = ImportOptions { name: None, ..options(&source, &target, Quantization::F16) };
    assert!(matches!(import(&nameless, |_, _| ()), Err(ModelError::Unnamed { .. })));
    let outside = ImportOptions { name: Some("../x".to_owned()), ..nameless };
    assert!(matches!(import(&outside, |_, _| ()), Err(ModelError::BadName { .. })));
}

/// Random mutations of the table: none panics, and none makes us take more than the file holds.
#[test]
fn hostile_tables_are_read_without_harm() {
    let file = synthetic::ctranslate2_file();
    let heads: Vec<usize> = (0..file.len())
        .filter(|&at| file[at..].starts_with(b"encoder/") || file[at..].starts_with(b"decoder/"))
        .collect();
    let near_a_name = (prop::sample::select(heads), 0..60_usize).prop_map(|(at, by)| at - 2 + by);
    let places = prop_oneof![4 => near_a_name, 1 => 0..40_usize, 1 => 0..file.len()];
    let values = prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 2, 0x7f, 0x80, 0xff])];
    let mutation =
        (prop::collection::vec((places, values), 1..6), prop::option::weighted(0.1, 0..file.len()));
    let source = Source { directory: Path::new("hostile") };
    let scratch = std::cell::RefCell::new(file.clone());
    let run =
        TestRunner::new(Config { cases: 2_000, ..Config::default() }).run(&mutation, |(changes, cut)| {
            let mut mutant = scratch.borrow_mut();
            for &(at, value) in &changes {
                mutant[at] = value;
            }
            let verdict = Archive::open(Cursor::new(&mutant[..cut.unwrap_or(file.len())]))
                .ok()
                .and_then(|mut archive| Some((source.dims(&mut archive).ok()?, archive.bytes_of_values())));
            for &(at, _) in &changes {
                mutant[at] = file[at];
            }
            if let Some((dims, bytes)) = verdict {
                prop_assert_eq!(dims.check(), Ok(()));
                prop_assert!(bytes <= file.len() as u64);
            }
            Ok(())
        });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The same through the whole import, in the file itself: an error or a sound model, nothing else.
#[test]
fn hostile_files_are_refused_or_become_sound_models() {
    let (source, target) = directories();
    let path = source.path().join("model.bin");
    let original = std::fs::read(&path).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let options = ImportOptions { force: true, ..options(&source, &target, Quantization::Q4_0) };
    let mutation = prop::collection::vec((0..original.len() as u64, any::<[u8; 2]>()), 1..4);
    let run = TestRunner::new(Config { cases: 24, ..Config::default() }).run(&mutation, |changes| {
        for (at, bytes) in &changes {
            let end = (*at as usize + 2).min(original.len());
            file.write_all_at(&bytes[..end - *at as usize], *at).unwrap();
        }
        let verdict = import(&options, |_, _| ());
        for (at, _) in &changes {
            let at = *at as usize;
            file.write_all_at(&original[at..(at + 2).min(original.len())], at as u64).unwrap();
        }
        if let Ok(imported) = verdict {
            prop_assert!(check_before_load(&imported.path).is_ok());
        }
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The real thing, when the set-up has fetched it: the result is the published file, bit for bit.
#[test]
fn tiny_en_comes_out_as_published() {
    let directory = std::env::var_os("PTT_TEST_CTRANSLATE2").map(PathBuf::from).unwrap_or_default();
    if !directory.join("model.bin").exists() {
        println!(
            "skipped: PTT_TEST_CTRANSLATE2 names no directory of tiny.en (`make test` fetches it and sets it)"
        );
        return;
    }
    let target = tempfile::tempdir().unwrap();
    for quantize in [Quantization::F16, Quantization::Q8_0] {
        let imported = import(
            &ImportOptions {
                directory: directory.clone(),
                folder: target.path().to_owned(),
                name: None,
                quantize,
                force: false,
            },
            |_, _| (),
        )
        .unwrap();
        let published = catalog::published(&imported.name).unwrap();
        assert_eq!((imported.size, imported.sha256.as_str()), (published.size, published.sha256));
        assert!(imported.published);
    }
}

fn directories() -> (tempfile::TempDir, tempfile::TempDir) {
    let source = tempfile::tempdir().unwrap();
    synthetic::ctranslate2_directory(source.path());
    (source, tempfile::tempdir().unwrap())
}

fn options(source: &tempfile::TempDir, target: &tempfile::TempDir, quantize: Quantization) -> ImportOptions {
    ImportOptions {
        directory: source.path().to_owned(),
        folder: target.path().to_owned(),
        name: Some(format!("test-{quantize}")),
        quantize,
        force: false,
    }
}

/// The values of a tensor in a ggml file, as halves.
fn values(file: &[u8], tensor: &Tensor) -> Vec<u16> {
    let name = tensor.name.as_bytes();
    let at = file.windows(name.len()).position(|w| w == name).unwrap() + name.len();
    let count = tensor.values() as usize;
    match tensor.storage {
        Storage::Single => {
            let (values, _) = file[at..at + 4 * count].as_chunks::<4>();
            values.iter().map(|&b| crate::model::quantize::half_from(f32::from_le_bytes(b))).collect()
        }
        Storage::Half | Storage::Weight => {
            file[at..at + 2 * count].as_chunks::<2>().0.iter().map(|&b| u16::from_le_bytes(b)).collect()
        }
    }
}

/// Counted from the beginning of the fused variable, which is what tells query, key and value apart.
fn expected(tensor: &Tensor) -> Vec<u16> {
    let skip = match tensor.name.rsplit('.').nth(1) {
        Some("key") if !tensor.name.contains("cross") => 1,
        Some("value") => 2 - u64::from(tensor.name.contains("cross")),
        _ => 0,
    };
    synthetic::expected_values(tensor, skip).collect()
}
