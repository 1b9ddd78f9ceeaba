//! Numbers as ggml stores them: half precision, and blocks of 32 values with a common scale.
//!
//! The blocks are ggml's own formats; rounding follows its reference quantisers, so that the bytes are the same.

use std::fmt;
use std::str::FromStr;

/// Values per block of every quantised format here.
pub const BLOCK: usize = 32;

/// What the weights of a model are stored as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantization {
    /// Half precision: 2 bytes a value.
    #[default]
    F16,
    /// 8 bits and a scale: 1.06 bytes a value.
    Q8_0,
    /// 5 bits, a scale and a minimum: 0.75 bytes a value.
    Q5_1,
    /// 5 bits and a scale: 0.69 bytes a value.
    Q5_0,
    /// 4 bits and a scale: 0.56 bytes a value.
    Q4_0,
}

impl Quantization {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::F16, Self::Q8_0, Self::Q5_1, Self::Q5_0, Self::Q4_0];

    /// As in a file's name and on the command line.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q5_1 => "q5_1",
            Self::Q5_0 => "q5_0",
            Self::Q4_0 => "q4_0",
        }
    }

    /// ggml's number for a tensor of this kind.
    #[must_use]
    pub const fn tensor_type(self) -> u32 {
        match self {
            Self::F16 => 1,
            Self::Q8_0 => 8,
            Self::Q5_1 => 7,
            Self::Q5_0 => 6,
            Self::Q4_0 => 2,
        }
    }

    /// ggml's number for a file of such tensors; the thousands are the version of the block formats.
    #[must_use]
    pub const fn file_type(self) -> u32 {
        match self {
            Self::F16 => 1,
            Self::Q8_0 => 2_007,
            Self::Q5_1 => 2_009,
            Self::Q5_0 => 2_008,
            Self::Q4_0 => 2_002,
        }
    }

    /// Appends `values` to `out`. The quantised formats take whole blocks of [`BLOCK`] values.
    pub fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        match self {
            Self::F16 => out.extend(values.iter().flat_map(|&v| half_from(v).to_le_bytes())),
            Self::Q8_0 => blocks(values, out, q8_0),
            Self::Q5_1 => blocks(values, out, q5_1),
            Self::Q5_0 => blocks(values, out, q5_0),
            Self::Q4_0 => blocks(values, out, q4_0),
        }
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A word that names no storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to store weights; choose f16, q8_0, q5_1, q5_0 or q4_0")]
pub struct UnknownQuantization(pub String);

impl FromStr for Quantization {
    type Err = UnknownQuantization;

    fn from_str(word: &str) -> Result<Self, UnknownQuantization> {
        Self::ALL.into_iter().find(|q| q.label() == word).ok_or_else(|| UnknownQuantization(word.to_owned()))
    }
}

/// Widens half precision.
#[must_use]
pub fn half_to(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10 & 0x1f);
    let mantissa = u32::from(half & 0x3ff);
    let magnitude = match exponent {
        // Subnormal: the mantissa counts steps of 2^-24, which f32 holds exactly.
        0 => (mantissa as f32 * f32::from_bits(0x3380_0000)).to_bits(),
        0x1f => 0x7f80_0000 | mantissa << 13,
        _ => ((exponent + 112) << 23) | (mantissa << 13),
    };
    f32::from_bits(sign | magnitude)
}

/// Narrows to half precision: to the nearest, ties to even, too large to infinity.
#[must_use]
pub fn half_from(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // 65520 is halfway between the largest finite half and the next step.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    // Below 2^-14 the steps are 2^-24 wide: adding 0.5 lets f32's own rounding find the nearest one.
    if magnitude < 0x3880_0000 {
        let steps = (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits();
        return sign | steps as u16;
    }
    let odd = magnitude >> 13 & 1;
    let rounded = magnitude - (112 << 23) + 0xfff + odd;
    sign | (rounded >> 13) as u16
}

fn blocks(values: &[f32], out: &mut Vec<u8>, one: fn(&[f32; BLOCK], &mut Vec<u8>)) {
    let (whole, rest) = values.as_chunks::<BLOCK>();
    debug_assert!(rest.is_empty(), "rows are whole blocks");
    for block in whole {
        one(block, out);
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The value of the largest magnitude, with its sign.
fn extreme(block: &[f32; BLOCK]) -> f32 {
    let mut extreme = 0.0_f32;
    for &v in block {
        if extreme.abs() < v.abs() {
            extreme = v;
        }
    }
    extreme
}

fn q8_0(block: &[f32; BLOCK], out: &mut Vec<u8>) {
    let scale = extreme(block).abs() / 127.0;
    let by = inverse(scale);
    out.extend(half_from(scale).to_le_bytes());
    out.extend(block.iter().map(|v| (v * by).round() as i8 as u8));
}

fn q4_0(block: &[f32; BLOCK], out: &mut Vec<u8>) {
    let scale = extreme(block) / -8.0;
    let by = inverse(scale);
    out.extend(half_from(scale).to_le_bytes());
    let level = |v: f32| ((v * by + 8.5) as i8 as u8).min(15);
    for j in 0..BLOCK / 2 {
        out.push(level(block[j]) | level(block[j + BLOCK / 2]) << 4);
    }
}

fn q5_0(block: &[f32; BLOCK], out: &mut Vec<u8>) {
    let scale = extreme(block) / -16.0;
    let by = inverse(scale);
    out.extend(half_from(scale).to_le_bytes());
    five_bits(block.map(|v| ((v * by + 16.5) as i8 as u8).min(31)), out);
}

fn q5_1(block: &[f32; BLOCK], out: &mut Vec<u8>) {
    let min = block.iter().copied().fold(f32::MAX, f32::min);
    let max = block.iter().copied().fold(f32::MIN, f32::max);
    let scale = (max - min) / 31.0;
    let by = inverse(scale);
    out.extend(half_from(scale).to_le_bytes());
    out.extend(half_from(min).to_le_bytes());
    five_bits(block.map(|v| ((v - min) * by + 0.5) as u8), out);
}

/// The fifth bits of all values first, then the low four bits in pairs.
fn five_bits(levels: [u8; BLOCK], out: &mut Vec<u8>) {
    let fifth = levels.iter().enumerate().fold(0_u32, |bits, (j, &l)| bits | u32::from(l >> 4 & 1) << j);
    out.extend(fifth.to_le_bytes());
    for j in 0..BLOCK / 2 {
        out.push(levels[j] & 0xf | (levels[j + BLOCK / 2] & 0xf) << 4);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::dequantize::decoded;

    #[test]
    fn every_half_survives_the_way_to_single_precision_and_back() {
        for half in 0..=u16::MAX {
            let wide = half_to(half);
            if wide.is_nan() {
                assert!(half_to(half_from(wide)).is_nan(), "{half:#06x}");
            } else {
                assert_eq!(half_from(wide), half, "{half:#06x}");
            }
        }
    }

    #[test]
    fn halves_are_known_numbers() {
        for (half, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(half_to(half), value, "{half:#06x}");
        }
        assert_eq!((half_from(65_519.996), half_from(65_520.0), half_from(-1e9)), (0x7bff, 0x7c00, 0xfc00));
    }

    #[test]
    fn blocks_have_the_sizes_of_ggml() {
        let sizes = [(Quantization::F16, 64), (Quantization::Q8_0, 34), (Quantization::Q5_1, 24)];
        for (kind, size) in sizes.into_iter().chain([(Quantization::Q5_0, 22), (Quantization::Q4_0, 18)]) {
            let mut bytes = Vec::new();
            kind.encode(&[0.25; BLOCK], &mut bytes);
            assert_eq!(bytes.len(), size, "{kind}");
            assert_eq!(kind.label().parse(), Ok(kind));
        }
        assert!("q3_k".parse::<Quantization>().is_err());
    }

    proptest! {
        #[test]
        fn rounding_to_half_takes_the_nearest_and_ties_go_to_even(low in 0_u16..0x7bff, between in 0.0_f32..=1.0) {
            let (a, b) = (half_to(low), half_to(low + 1));
            let value = a + (b - a) * between;
            let expected = match (value - a).total_cmp(&(b - value)) {
                std::cmp::Ordering::Less => low,
                std::cmp::Ordering::Greater => low + 1,
                std::cmp::Ordering::Equal => low + (low & 1),
            };
            prop_assert_eq!(half_from(value), expected);
            prop_assert_eq!(half_from(-value), expected | 0x8000);
        }

        #[test]
        fn blocks_come_back_within_a_step(values in prop::array::uniform32(-4.0_f32..4.0)) {
            let span = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            let range = values.iter().fold(f32::MIN, |m, &v| m.max(v))
                - values.iter().fold(f32::MAX, |m, &v| m.min(v));
            // A step of the format, and what rounding its scale to half precision adds.
            for (kind, step) in [
                (Quantization::Q8_0, span / 127.0),
                (Quantization::Q5_1, range / 31.0),
                (Quantization::Q5_0, span / 16.0),
                (Quantization::Q4_0, span / 8.0),
            ] {
                let mut bytes = Vec::new();
                kind.encode(&values, &mut bytes);
                let back = decoded(kind.tensor_type(), &bytes).unwrap();
                for (value, back) in values.iter().zip(back) {
                    prop_assert!((value - back).abs() <= step * 1.01 + span / 500.0, "{kind}: {value} -> {back}");
                }
            }
        }
    }
}
