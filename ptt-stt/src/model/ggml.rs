//! Writes a ggml Whisper file: head, mel filters, vocabulary, and the head of each tensor.
//!
//! Reading one is the business of `structure`.

use std::io::{self, Write};

use super::layout::{Dims, Storage, Tensor};
use super::mel::BINS;
use super::quantize::{BLOCK, Quantization};

/// The first four bytes, as a little-endian number.
pub const MAGIC: u32 = 0x6767_6d6c;
/// ggml's number for tensors of f32.
pub const F32: u32 = 0;
/// ggml's number for tensors of f16.
pub const F16: u32 = 1;

/// Writes everything before the tensors.
///
/// # Errors
/// When the file does not take it.
pub fn write_head(
    file: &mut impl Write,
    dims: &Dims,
    weights: Quantization,
    filters: &[f32],
    tokens: &[Vec<u8>],
) -> io::Result<()> {
    let numbers = [
        MAGIC,
        dims.vocab,
        dims.audio_ctx,
        dims.audio_state,
        dims.audio_head,
        dims.audio_layer,
        dims.text_ctx,
        dims.text_state,
        dims.text_head,
        dims.text_layer,
        dims.mels,
        weights.file_type(),
        dims.mels,
        BINS as u32,
    ];
    put(file, &numbers)?;
    for weight in filters {
        file.write_all(&weight.to_le_bytes())?;
    }
    put(file, &[tokens.len() as u32])?;
    for token in tokens {
        put(file, &[token.len() as u32])?;
        file.write_all(token)?;
    }
    Ok(())
}

/// Writes the head of one tensor; its values follow in the storage that is returned: `None` for f32.
///
/// # Errors
/// When the file does not take it.
pub fn write_tensor_head(
    file: &mut impl Write,
    tensor: &Tensor,
    weights: Quantization,
) -> io::Result<Option<Quantization>> {
    let storage = match tensor.storage {
        Storage::Single => None,
        Storage::Half => Some(Quantization::F16),
        Storage::Weight => Some(weights),
    };
    let kind = storage.map_or(F32, Quantization::tensor_type);
    put(file, &[tensor.shape.len() as u32, tensor.name.len() as u32, kind])?;
    for &dimension in tensor.shape.iter().rev() {
        put(file, &[dimension])?;
    }
    file.write_all(tensor.name.as_bytes())?;
    Ok(storage)
}

/// Bytes that `values` values take in a tensor of ggml's type `kind`; `None` for a type that is not known here, or values
/// that are no whole blocks.
#[must_use]
pub fn bytes_of(kind: u32, values: u64) -> Option<u64> {
    let (block, bytes) = block_of(kind)?;
    if values.is_multiple_of(block) { (values / block).checked_mul(bytes) } else { None }
}

/// Values in a block of ggml's tensor type `kind`, and its size in bytes; `None` for a type that is not known here.
#[must_use]
pub const fn block_of(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        F32 => (1, 4),
        F16 => (1, 2),
        2 => (BLOCK as u64, 18),
        3 => (BLOCK as u64, 20),
        6 => (BLOCK as u64, 22),
        7 => (BLOCK as u64, 24),
        8 => (BLOCK as u64, 34),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        _ => return None,
    })
}

/// ggml's tensor type of the weights in a file of this type; `None` for one that is not known here.
#[must_use]
pub fn weight_type(file_type: u32) -> Option<u32> {
    // The thousands are the version of the block formats; the engine ignores them, none is above 2.
    if file_type >= 3_000 {
        return None;
    }
    Some(match file_type % 1_000 {
        kind @ (0..=3 | 10..=14) => kind,
        7 => 8,
        8 => 6,
        9 => 7,
        _ => return None,
    })
}

fn put(file: &mut impl Write, numbers: &[u32]) -> io::Result<()> {
    numbers.iter().try_for_each(|n| file.write_all(&n.to_le_bytes()))
}
