//! Reads a ggml Whisper file as an adversary's: every number in it is compared with what a Whisper model can be, and
//! with the size of the file, before the engine may see it. The filter bank and the vocabulary must be Whisper's own.
//! Weights are read by [`check_with`] only.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

use super::ggml::{F16, F32, MAGIC, block_of, bytes_of, weight_type};
use super::layout::{Dims, Storage, TEXT_TOKENS, Tensor};
use super::mel::{self, BINS};
use super::vocabulary::Fingerprint;

/// The longest token of the published vocabularies has 128 bytes.
const MAX_TOKEN: u32 = 1_024;
/// The largest weight of a filter is 0.025; other programs compute them in another order.
const FILTER_TOLERANCE: f32 = 1e-5;
/// Before a tensor's dimensions: their number, the name's length and the type.
const TENSOR_HEAD: u64 = 12;

/// What a sound file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Its dimensions.
    pub dims: Dims,
    /// ggml's number for the type of its weights.
    pub weights: u32,
    /// Its size in bytes.
    pub size: u64,
}

impl Structure {
    /// Whether every row of the weights is a whole number of blocks, as ggml needs it.
    #[must_use]
    pub fn has_whole_rows(&self) -> bool {
        // Rows are as long as a layer is wide, or four times that.
        block_of(self.weights)
            .is_some_and(|(block, _)| u64::from(self.dims.audio_state).is_multiple_of(block))
    }
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub enum Unsound {
    /// It is something else.
    #[error("it is {found}; {advice}")]
    Other { found: &'static str, advice: &'static str },
    /// It ends early.
    #[error("it needs {expected} bytes and has {found}")]
    CutShort { expected: u64, found: u64 },
    /// Its token texts are not Whisper's.
    #[error("it has another vocabulary than Whisper's")]
    Vocabulary,
    /// A number in it cannot be.
    #[error("byte {at}: {what}")]
    Malformed { at: u64, what: String },
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Checks all of a file but its weights.
///
/// # Errors
/// [`Unsound`] says what is wrong first.
pub fn check<R: Read + Seek>(file: R) -> Result<Structure, Unsound> {
    check_with(file, |_, _, values| {
        let length = values.limit().cast_signed();
        values.get_mut().seek_relative(length).map_err(Unsound::from)
    })
}

/// As [`check`], and hands each tensor with its type and a reader of its values to `values`, which has to read or to skip
/// all of them.
///
/// # Errors
/// As [`check`], and those of `values`.
pub fn check_with<R: Read + Seek>(
    mut file: R,
    mut values: impl FnMut(&Tensor, u32, &mut Take<&mut BufReader<R>>) -> Result<(), Unsound>,
) -> Result<Structure, Unsound> {
    let size = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut cursor = Cursor { file: BufReader::with_capacity(64 << 10, file), at: 0, size };
    cursor.kind_of_file()?;
    let (dims, weights) = cursor.head()?;
    cursor.filters(&dims)?;
    cursor.vocabulary(&dims)?;
    cursor.tensors(&dims, weights, &mut values)?;
    Ok(Structure { dims, weights, size })
}

struct Cursor<R> {
    file: BufReader<R>,
    at: u64,
    size: u64,
}

impl<R: Read + Seek> Cursor<R> {
    fn kind_of_file(&mut self) -> Result<(), Unsound> {
        let mut start = [0; 32];
        let length = self.size.min(32) as usize;
        self.file.read_exact(&mut start[..length])?;
        self.file.rewind()?;
        match other_kind(&start[..length]) {
            Some((found, advice)) => Err(Unsound::Other { found, advice }),
            None => Ok(()),
        }
    }

    fn head(&mut self) -> Result<(Dims, u32), Unsound> {
        let mut numbers = [0; 12];
        for number in &mut numbers {
            *number = self.u32()?;
        }
        let [
            _magic,
            vocab,
            audio_ctx,
            audio_state,
            audio_head,
            audio_layer,
            text_ctx,
            text_state,
            text_head,
            text_layer,
            mels,
            file_type,
        ] = numbers;
        let dims = Dims {
            vocab,
            audio_ctx,
            audio_state,
            audio_head,
            audio_layer,
            text_ctx,
            text_state,
            text_head,
            text_layer,
            mels,
        };
        dims.check().map_err(|what| self.malformed(what))?;
        let weights = weight_type(file_type)
            .ok_or_else(|| self.malformed(format!("weights of the unknown type {file_type}")))?;
        Ok((dims, weights))
    }

    fn filters(&mut self, dims: &Dims) -> Result<(), Unsound> {
        let (mels, bins) = (self.u32()?, self.u32()?);
        if mels != dims.mels || bins as usize != BINS {
            return Err(self.malformed(format!("a filter bank of {mels} x {bins} values")));
        }
        for expected in mel::filters(mels as usize) {
            let weight = f32::from_bits(self.u32()?);
            // NaN is near to no number.
            if weight.is_nan() || (weight - expected).abs() > FILTER_TOLERANCE {
                return Err(self.malformed(format!("a filter weight of {weight}, Whisper's is {expected}")));
            }
        }
        Ok(())
    }

    fn vocabulary(&mut self, dims: &Dims) -> Result<(), Unsound> {
        let count = self.u32()?;
        // Without the end-of-text token at the least, with all special tokens at the most.
        if !(TEXT_TOKENS - 1..=dims.vocab).contains(&count) {
            return Err(self.malformed(format!("a vocabulary of {count} tokens")));
        }
        let mut found = Fingerprint::default();
        for _ in 0..count {
            let length = self.u32()?;
            if length > MAX_TOKEN {
                return Err(self.malformed(format!("a token of {length} bytes")));
            }
            let mut token = vec![0; length as usize];
            self.fill(&mut token)?;
            found.add(&token);
        }
        if found.is_published(dims.is_multilingual()) { Ok(()) } else { Err(Unsound::Vocabulary) }
    }

    fn tensors(
        &mut self,
        dims: &Dims,
        weights: u32,
        values: &mut impl FnMut(&Tensor, u32, &mut Take<&mut BufReader<R>>) -> Result<(), Unsound>,
    ) -> Result<(), Unsound> {
        let mut missing = BTreeMap::new();
        let mut end = self.at;
        for tensor in dims.tensors() {
            let kind = stored_as(tensor.storage, weights);
            let bytes = bytes_of(kind, tensor.values()).ok_or_else(|| {
                self.malformed(format!("{} values in weights of type {weights}", tensor.values()))
            })?;
            end += TENSOR_HEAD + 4 * tensor.shape.len() as u64 + tensor.name.len() as u64 + bytes;
            missing.insert(tensor.name.clone(), (tensor, kind, bytes));
        }
        // The dimensions fix the size: a file that was cut or grew anywhere shows it here.
        if self.size < end {
            return Err(Unsound::CutShort { expected: end, found: self.size });
        }
        if self.size > end {
            self.at = end;
            return Err(self.malformed(format!("{} bytes follow the end", self.size - end)));
        }
        while !missing.is_empty() {
            let head = (self.u32()?, self.u32()?, self.u32()?);
            let name = self.tensor(head, &missing)?;
            let (tensor, kind, bytes) = missing.remove(&name).expect("`tensor` found it there");
            self.room_for(bytes)?;
            values(&tensor, kind, &mut (&mut self.file).take(bytes)).map_err(|unsound| {
                if let Unsound::Malformed { what, .. } = unsound { self.malformed(what) } else { unsound }
            })?;
            self.at += bytes;
        }
        Ok(())
    }

    /// Reads the rest of a tensor's head; returns its name, which is one of `missing`.
    fn tensor(
        &mut self,
        (rank, name_length, kind): (u32, u32, u32),
        missing: &BTreeMap<String, (Tensor, u32, u64)>,
    ) -> Result<String, Unsound> {
        if !(1..=3).contains(&rank) || !(1..=64).contains(&name_length) {
            return Err(
                self.malformed(format!("a tensor of {rank} dimensions, its name of {name_length} bytes"))
            );
        }
        let mut shape = (0..rank).map(|_| self.u32()).collect::<Result<Vec<u32>, _>>()?;
        shape.reverse();
        let mut name = vec![0; name_length as usize];
        self.fill(&mut name)?;
        let Some((tensor, expected_kind, _)) =
            std::str::from_utf8(&name).ok().and_then(|name| missing.get(name))
        else {
            return Err(self.malformed("a tensor that is not in such a model, or twice".to_owned()));
        };
        if shape != tensor.shape || kind != *expected_kind {
            return Err(self.malformed(format!(
                "{} has shape {shape:?} and type {kind}, expected {:?} and {expected_kind}",
                tensor.name, tensor.shape
            )));
        }
        Ok(tensor.name.clone())
    }

    fn malformed(&self, what: String) -> Unsound {
        Unsound::Malformed { at: self.at, what }
    }

    fn room_for(&self, bytes: u64) -> Result<(), Unsound> {
        let expected = self.at.saturating_add(bytes);
        if expected > self.size { Err(Unsound::CutShort { expected, found: self.size }) } else { Ok(()) }
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), Unsound> {
        self.room_for(into.len() as u64)?;
        self.file.read_exact(into)?;
        self.at += into.len() as u64;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, Unsound> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

fn stored_as(storage: Storage, weights: u32) -> u32 {
    match storage {
        Storage::Single => F32,
        Storage::Half if weights == F32 => F32,
        Storage::Half => F16,
        Storage::Weight => weights,
    }
}

/// Names what is often taken for a model.
fn other_kind(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const FETCH: &str = "fetch one with `ptt-app models pull tiny.en`";
    const IMPORT: &str = "convert its directory with `ptt-app models import DIR`";
    let text: Vec<u8> =
        start.iter().map(u8::to_ascii_lowercase).filter(|b| !b.is_ascii_whitespace()).collect();
    if start.is_empty() {
        return Some(("an empty file", FETCH));
    }
    if start.starts_with(&MAGIC.to_le_bytes()) {
        return None;
    }
    Some(match () {
        () if start.starts_with(b"GGUF") => {
            ("a GGUF file, which whisper.cpp does not read", "use the ggml file of the same model")
        }
        () if start.get(6..17) == Some(b"WhisperSpec") => ("a CTranslate2 model", IMPORT),
        () if text.starts_with(b"<!doctype") || text.starts_with(b"<html") || text.starts_with(b"<?xml") => {
            ("a web page", "the download went wrong; fetch it with `ptt-app models pull tiny.en`")
        }
        () if start.starts_with(b"version https://git-lfs") => {
            ("a Git LFS pointer, not the file itself", "run `git lfs pull` there")
        }
        () if start.starts_with(b"PK\x03\x04") => {
            ("a ZIP archive or a PyTorch checkpoint", "unpack it, or use the ggml file of the same model")
        }
        () if start.get(8..10) == Some(b"{\"") => {
            ("a safetensors file", "use the ggml file of the same model")
        }
        () if text.starts_with(b"{") => ("a JSON file", FETCH),
        () => ("of no known kind (its first bytes are not those of ggml)", FETCH),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor as Bytes;
    use std::ops::Range;

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;
    use crate::model::quantize::Quantization;
    use crate::model::synthetic::{self, DIMS};

    #[test]
    fn a_sound_file_is_accepted_in_every_storage() {
        for storage in Quantization::ALL {
            let (file, _) = synthetic::ggml_file(storage);
            let structure = check(Bytes::new(&file)).unwrap();
            let weights = storage.tensor_type();
            assert_eq!(structure, Structure { dims: DIMS, weights, size: file.len() as u64 });
        }
    }

    #[test]
    fn other_files_are_called_by_their_names() {
        let ctranslate2 = synthetic::ctranslate2_file();
        for (start, says) in [
            (&b""[..], "an empty file"),
            (b"<!DOCTYPE html>\n<html>", "a web page"),
            (b"\n <HTML lang", "a web page"),
            (b"GGUF\x03\0\0\0", "a GGUF file"),
            (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
            (b"PK\x03\x04\x14\0", "a ZIP archive"),
            (b"\x10\0\0\0\0\0\0\0{\"__metadata__\"", "a safetensors file"),
            (b"{\"error\":\"x\"}", "a JSON file"),
            (b"\x7fELF", "of no known kind"),
            (b"lmg", "of no known kind"),
            (&ctranslate2[..64], "a CTranslate2 model"),
        ] {
            let error = check(Bytes::new(start)).unwrap_err();
            assert!(error.to_string().starts_with(&format!("it is {says}")), "{error}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_tells_its_true_size() {
        let (file, heads) = synthetic::ggml_file(Quantization::Q8_0);
        let tensors = heads[0].start;
        for length in [tensors, tensors + 1, tensors + 100_000, file.len() - 200_000, file.len() - 1] {
            let error = check(Bytes::new(&file[..length])).unwrap_err();
            let Unsound::CutShort { expected, found } = error else { panic!("{length}: {error}") };
            assert_eq!((expected, found), (file.len() as u64, length as u64));
        }
        for length in [4, 47, 48, 60, 5_000, 64_400, tensors - 1] {
            let error = check(Bytes::new(&file[..length])).unwrap_err();
            assert!(matches!(error, Unsound::CutShort { .. }), "{length}: {error}");
        }
        let longer = [&file[..], b"x"].concat();
        assert!(check(Bytes::new(longer)).unwrap_err().to_string().contains("1 bytes follow the end"));
    }

    #[test]
    fn a_change_of_any_number_that_shapes_the_file_is_refused() {
        let (mut file, heads) = synthetic::ggml_file(Quantization::Q4_0);
        let vocabulary = 48 + 8 + 80 * BINS * 4;
        let lengths = (0..50).map(|token| vocabulary + 4 + token * 5).map(|at| at..at + 4);
        let numbers = [0..44, 48..56, vocabulary..vocabulary + 4];
        let places: Vec<Range<usize>> = numbers.into_iter().chain(heads).chain(lengths.take(10)).collect();
        for at in places.into_iter().flatten() {
            let flip = [0x01, 0x80, 0xff][at % 3];
            file[at] ^= flip;
            assert!(check(Bytes::new(&file)).is_err(), "byte {at} ^ {flip:#x}");
            file[at] ^= flip;
        }
    }

    /// Random mutations: none panics, none takes long, and what is accepted has the shape of the original.
    #[test]
    fn no_mutant_gets_through_with_another_shape() {
        let (file, heads) = synthetic::ggml_file(Quantization::Q4_0);
        let (size, start) = (file.len(), heads[0].start);
        let original = check(Bytes::new(&file)).unwrap();
        let places = prop_oneof![0..64_usize, 48..64_500_usize, 64_300..start, start..size];
        let places = prop_oneof![4 => places, 2 => prop::sample::select(heads).prop_flat_map(|head| head)];
        let values = prop_oneof![
            any::<u32>(),
            prop::sample::select(vec![0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0xffff, 1 << 20])
        ];
        let mutation = (prop::collection::vec((places, values), 1..6), prop::option::weighted(0.1, 0..size));
        let mut runner = TestRunner::new(Config { cases: 2_000, ..Config::default() });
        let scratch = std::cell::RefCell::new(file.clone());
        let run = runner.run(&mutation, |(changes, cut)| {
            let mut mutant = scratch.borrow_mut();
            for &(at, value) in &changes {
                let end = (at + 4).min(size);
                mutant[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            }
            let verdict = check(Bytes::new(&mutant[..cut.unwrap_or(size)]));
            for &(at, _) in &changes {
                let end = (at + 4).min(size);
                mutant[at..end].copy_from_slice(&file[at..end]);
            }
            if let Ok(structure) = verdict {
                prop_assert_eq!(structure, original);
                prop_assert_eq!(cut, None);
            }
            Ok(())
        });
        run.unwrap_or_else(|failure| panic!("{failure}"));
    }
}
