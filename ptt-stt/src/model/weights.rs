//! Checks a model's weights: every one is a finite number, and no matrix consists of zeros. An
//! engine would take such a model and write nothing, or nonsense.

use std::io::{Read, Seek};

use super::dequantize::decoded;
use super::ggml::{F16, block_of};
use super::layout::Tensor;
use super::structure::{self, Structure, Unsound};

/// Bytes that are read at once, about.
const PIECE: u64 = 256 << 10;

/// Checks all of a file: its structure and its weights.
///
/// # Errors
/// [`Unsound`] says what is wrong first.
pub fn check<R: Read + Seek>(file: R) -> Result<Structure, Unsound> {
    let mut piece = Vec::new();
    structure::check_with(file, |tensor, kind, values| {
        let (_, block) = block_of(kind).ok_or_else(|| wrong(tensor, "has an unknown type"))?;
        let mut sum = Sum::default();
        while values.limit() > 0 {
            piece.clear();
            // As many whole blocks as a piece holds: the values of a tensor are whole blocks.
            values.by_ref().take(PIECE / block * block).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            sum.add(kind, &piece).ok_or_else(|| wrong(tensor, "has an unknown type"))?;
        }
        // A bias may be zero.
        match sum {
            Sum { infinite: true, .. } => Err(wrong(tensor, "holds a weight that is not a finite number")),
            Sum { zero: true, .. } if !tensor.name.ends_with(".bias") => {
                Err(wrong(tensor, "holds nothing but zeros"))
            }
            Sum { .. } => Ok(()),
        }
    })
}

fn wrong(tensor: &Tensor, what: &str) -> Unsound {
    // The caller knows the place.
    Unsound::Malformed { at: 0, what: format!("{} {what}", tensor.name) }
}

/// What is known of the values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    infinite: bool,
    zero: bool,
}

impl Default for Sum {
    fn default() -> Self {
        Self { infinite: false, zero: true }
    }
}

impl Sum {
    /// Takes a piece of whole blocks in; `None` for a type that is not read here.
    fn add(&mut self, kind: u32, bytes: &[u8]) -> Option<()> {
        // Most weights of most models are halves: a look at their bits is a tenth of the work.
        if kind == F16 {
            for half in bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)) {
                self.infinite |= half & 0x7c00 == 0x7c00;
                self.zero &= half & 0x7fff == 0;
            }
            return Some(());
        }
        for value in decoded(kind, bytes)? {
            self.infinite |= !value.is_finite();
            self.zero &= value == 0.0;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::model::ggml::bytes_of;
    use crate::model::quantize::Quantization;
    use crate::model::synthetic;

    #[test]
    fn weights_that_no_model_has_are_named() {
        for storage in Quantization::ALL {
            let (sound, heads) = synthetic::ggml_file(storage);
            assert!(check(Cursor::new(&sound)).is_ok(), "{storage}");
            let kinds =
                ["decoder.positional_embedding", "encoder.conv1.weight", "mlp.0.weight", "query.bias"];
            let tensors = synthetic::DIMS.tensors().into_iter().zip(heads);
            for (tensor, head) in tensors.filter(|(t, _)| kinds.iter().any(|kind| t.name.ends_with(kind))) {
                let kind = u32::from_le_bytes(sound[head.start + 8..head.start + 12].try_into().unwrap());
                let length = bytes_of(kind, tensor.values()).unwrap() as usize;
                let place = head.end..head.end + length;
                let mut spoilt = sound.clone();
                // The largest exponent in the last value of a tensor of numbers, in the last scale
                // of a tensor of blocks.
                let block = block_of(kind).unwrap().1 as usize;
                let infinite: &[u8] = if kind == 0 { &[0, 0, 0x80, 0x7f] } else { &[0, 0x7c] };
                let at = place.end - block;
                spoilt[at..at + infinite.len()].copy_from_slice(infinite);
                let error = check(Cursor::new(&spoilt)).unwrap_err().to_string();
                assert!(error.contains(&format!("{} holds a weight", tensor.name)), "{storage}: {error}");

                let mut zeros = sound.clone();
                zeros[place].fill(0);
                let verdict = check(Cursor::new(&zeros));
                if tensor.name.ends_with(".bias") {
                    assert!(verdict.is_ok(), "{} may be zero", tensor.name);
                } else {
                    let error = verdict.unwrap_err().to_string();
                    assert!(error.contains(&format!("{} holds nothing", tensor.name)), "{storage}: {error}");
                }
            }
        }
    }
}
