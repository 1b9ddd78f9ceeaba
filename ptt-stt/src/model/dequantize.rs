//! Numbers from every block format that a ggml Whisper file may have: those that `import` writes
//! (`quantize`), q4_1, and the k-quants, whose blocks of 256 values have scales of their own
//! scales.

use super::quantize::{BLOCK, half_to};

/// Values per block of the k-quants.
const SUPER_BLOCK: usize = 256;

/// The numbers that stand for values stored as ggml's tensor type `kind`; `None` for a type that is
/// not read here.
#[must_use]
pub fn decoded(kind: u32, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match kind {
        0 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        1 => bytes.as_chunks::<2>().0.iter().map(|b| half_to(u16::from_le_bytes(*b))).collect(),
        2 => each::<18, BLOCK>(bytes, |b, j| (f32::from(nibble(&b[2..], j)) - 8.0) * half(b, 0)),
        3 => each::<20, BLOCK>(bytes, |b, j| f32::from(nibble(&b[4..], j)) * half(b, 0) + half(b, 2)),
        6 => each::<22, BLOCK>(bytes, |b, j| (five(&b[2..], j) - 16.0) * half(b, 0)),
        7 => each::<24, BLOCK>(bytes, |b, j| five(&b[4..], j) * half(b, 0) + half(b, 2)),
        8 => each::<34, BLOCK>(bytes, |b, j| f32::from(b[2 + j].cast_signed()) * half(b, 0)),
        10 => each::<84, SUPER_BLOCK>(bytes, q2_k),
        11 => each::<110, SUPER_BLOCK>(bytes, q3_k),
        12 => each::<144, SUPER_BLOCK>(bytes, q4_k),
        13 => each::<176, SUPER_BLOCK>(bytes, q5_k),
        14 => each::<210, SUPER_BLOCK>(bytes, q6_k),
        _ => return None,
    })
}

/// `one(block, j)` is value `j` of a block of `BYTES` bytes and `VALUES` values.
#[inline(always)]
fn each<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    one: impl Fn(&[u8; BYTES], usize) -> f32,
) -> Vec<f32> {
    let blocks = bytes.as_chunks::<BYTES>().0;
    let mut values = Vec::with_capacity(blocks.len() * VALUES);
    for block in blocks {
        values.extend((0..VALUES).map(|j| one(block, j)));
    }
    values
}

#[inline(always)]
fn half(bytes: &[u8], at: usize) -> f32 {
    half_to(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

#[inline(always)]
fn nibble(bytes: &[u8], j: usize) -> u8 {
    bytes[j % 16] >> (j / 16 * 4) & 0xf
}

#[inline(always)]
fn five(bytes: &[u8], j: usize) -> f32 {
    let fifths = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    f32::from(nibble(&bytes[4..], j) | ((fifths >> j & 1) as u8) << 4)
}

/// Where value `i` of a block of 256 is: its half, its run of 32 in that half, and its place in
/// that run.
#[inline(always)]
const fn place(i: usize) -> (usize, usize, usize) {
    (i / 128, i % 128 / 32, i % 32)
}

/// 16 scales and minima of 4 bits, 256 values of 2 bits, the scale of the scales and that of the
/// minima.
#[inline(always)]
fn q2_k(block: &[u8; 84], i: usize) -> f32 {
    let (side, run, at) = place(i);
    let scale = block[side * 8 + run * 2 + at / 16];
    let value = block[16 + side * 32 + at] >> (2 * run) & 3;
    half(block, 80) * f32::from(scale & 0xf) * f32::from(value) - half(block, 82) * f32::from(scale >> 4)
}

/// The third bits of 256 values, their lower two bits, 16 scales of 6 bits, the scale of the
/// scales.
#[inline(always)]
fn q3_k(block: &[u8; 110], i: usize) -> f32 {
    let (side, run, at) = place(i);
    let low = block[32 + side * 32 + at] >> (2 * run) & 3;
    let high = block[at] >> (side * 4 + run) & 1;
    let (scales, k) = (&block[96..108], side * 8 + run * 2 + at / 16);
    let scale = scales[k % 8] >> (k / 8 * 4) & 0xf | (scales[8 + k % 4] >> (k / 4 * 2) & 3) << 4;
    half(block, 108) * (f32::from(scale) - 32.0) * (f32::from(low | high << 2) - 4.0)
}

/// Scale and minimum number `k` of the eight of 6 bits that q4_k and q5_k have.
#[inline(always)]
fn scale_and_min(packed: &[u8], k: usize) -> (f32, f32) {
    let (scale, min) = if k < 4 {
        (packed[k] & 63, packed[k + 4] & 63)
    } else {
        (packed[k + 4] & 0xf | packed[k - 4] >> 6 << 4, packed[k + 4] >> 4 | packed[k] >> 6 << 4)
    };
    (f32::from(scale), f32::from(min))
}

/// The scale of the scales and that of the minima, 8 scales and minima of 6 bits, 256 values of 4
/// bits.
#[inline(always)]
fn q4_k(block: &[u8; 144], i: usize) -> f32 {
    let run = i / 32;
    let (scale, min) = scale_and_min(&block[4..16], run);
    let value = block[16 + run / 2 * 32 + i % 32] >> (run % 2 * 4) & 0xf;
    half(block, 0) * scale * f32::from(value) - half(block, 2) * min
}

/// As q4_k, with the fifth bits of the values before the lower four.
#[inline(always)]
fn q5_k(block: &[u8; 176], i: usize) -> f32 {
    let run = i / 32;
    let (scale, min) = scale_and_min(&block[4..16], run);
    let low = block[48 + run / 2 * 32 + i % 32] >> (run % 2 * 4) & 0xf;
    let high = block[16 + i % 32] >> run & 1;
    half(block, 0) * scale * f32::from(low | high << 4) - half(block, 2) * min
}

/// The lower four bits of 256 values, their upper two, 16 scales of 8 bits, the scale of the
/// scales.
#[inline(always)]
fn q6_k(block: &[u8; 210], i: usize) -> f32 {
    let (side, run, at) = place(i);
    let low = block[side * 64 + run % 2 * 32 + at] >> (run / 2 * 4) & 0xf;
    let high = block[128 + side * 32 + at] >> (2 * run) & 3;
    let scale = block[192 + side * 8 + run * 2 + at / 16].cast_signed();
    half(block, 208) * f32::from(scale) * (f32::from(low | high << 4) - 32.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ggml::block_of;

    /// 256 numbers as ggml quantises them; some of those that it gets back, and the sum of all,
    /// each times its place from 1 on.
    struct Known {
        kind: u32,
        block: &'static str,
        values: [(usize, f32); 5],
        weighted: f64,
    }

    const KNOWN: [Known; 6] = [
        Known {
            kind: 3,
            block: "\
                b33340be5082a5c7fa1c3e5083a5d7fa1c3f6083d034a4bef90c3e5082a5c7fa1c3e5083a5d7fa1c533698c084b6\
                d8fa2c4f6294b6d80a2d4f7294b6bd3632c13e5082a5c7fa1c3e5083a5d7fa1c3f60b33700c1c7f90c3e5082a5c7\
                fa1c3e5083a5d7fabe38f6c27294b6d80b2d5f7294b6d90b3d507294d03808c30c3e5082a5c7fa1c3e5083a5d7fa\
                1c3f3a3972c2a5c7fa0c3e5082a5d7fa1c3f5083a5d8",
            values: [(0, -1.5625), (17, 0.3623047), (40, 1.9492188), (129, 1.8308105), (255, 5.270508)],
            weighted: 34934.7339,
        },
        Known {
            kind: 10,
            block: "\
                766577777888baaabbabccecfeeeefdfc8191d6172b687d8196d6176b687d8192d6276b78bd81d2d6276878bd81d\
                6d626176868bd81d6d62b687dbd82d6162b6868bd81d6162b686dbdc2d6166b68bdbc9328033",
            values: [(0, -1.640625), (17, 0.7141113), (40, 1.3278809), (129, 2.08667), (255, 6.494751)],
            weighted: 37103.3760,
        },
        Known {
            kind: 11,
            block: "\
                a52d694b529294a52d694b5292b4a52d694a5292b4a52d694a5296b4a52d494a1bc6b168d6816c1bc6b168d6816c\
                1bc6b12bd6816c1bc6712bd6a16c1b86702b1bc6b16c0ab5601bc6b16c0ab56c1bc6a15806b16c1bc6a15806b16c\
                1bc6ad58b79663b27f5e1f0e010101018d2a",
            values: [(0, -1.3818054), (17, 0.5117798), (40, 1.9959412), (129, 2.149475), (255, 4.913086)],
            weighted: 34861.3642,
        },
        Known {
            kind: 12,
            block: "\
                2d210f2b97ddeae99cdeebefceeffa6ea0c2f5072a5c7fa0c3f5083a5d8fa0d3f5083a5d8fa1d3f5183a6d8fa1d3\
                f618e406285a7caec2f406385a8caec2f406385a8caed2f416385a8ca0d2f416386a274a6c8fa0c2e5274a6c8fa0\
                c305284a6c8fa0c305284a6d8fa0c305284a6d8f4c7fa0c2f5072a5c7fa0c3f5082a5c7fa0c3f5083a5d8fa1d3f5\
                083a5d8fa1d3",
            values: [(0, -1.5440674), (17, 0.315979), (40, 1.8635559), (129, 2.2237244), (255, 5.1699677)],
            weighted: 34614.2865,
        },
        Known {
            kind: 13,
            block: "\
                181d222b97dde6e99cdee9efcfe9fa9f4a5296b4a52d694a5296b5a52d4b4a5296b5ad6d4b4ad296b5ad694b5ad2\
                96b54095ea0f54a9fe4095ea0055ba0f51a6fb1065ba0f51a6fb1065ba0f52a7fc21d80c51a5fa4f93e81d51a6fa\
                4f94e81d62b60b5fa4f91d62b70b50a5f92e72c74e83d82d60b5fa4f94d92d60b50a4f94e92e71b60a5f94e93e71\
                c61b50a5ea3fa9fe4095ea0f54a9fe4095ea0f54a9fe51a6fb1065ba0f51a6fb1065ba0f52a7",
            values: [(0, -1.5603027), (17, 0.27026367), (40, 1.9346619), (129, 1.9902039), (255, 4.9716797)],
            weighted: 34596.1753,
        },
        Known {
            kind: 14,
            block: "\
                7900860d941bf278ff760d830ae167fe75fc830ad166ed64fb7249d055dc63ea2279e154cb33aa1169d043ba2299\
                0168c131b921a91149b031a920980038b020ba2159c142ba31a92148c031a921981029a120a820a82028a02f971f\
                971018901e961f971008810d860e870f08840d850d841be278fe750c830ae167ee75fc7327e3929d49482427d292\
                9d49482427d2928d49482427d2928d49782427d2928d8949742427d2928949742423d29e8949742423929e494974\
                2422929d49493424d9d8ccc9bab9bab7aaa594a7979185809916",
            values: [(0, -1.570487), (17, 0.25772095), (40, 1.9264641), (129, 2.0778751), (255, 5.154419)],
            weighted: 34791.9413,
        },
    ];

    #[test]
    fn every_block_means_what_it_means_to_ggml() {
        for Known { kind, block, values, weighted } in KNOWN {
            let digits: Vec<u8> =
                block.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
            let bytes: Vec<u8> =
                digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect();
            let (size, length) = block_of(kind).unwrap();
            assert_eq!(bytes.len() as u64, length * 256 / size, "{kind}");
            let found = decoded(kind, &bytes).unwrap();
            assert_eq!(found.len(), 256, "{kind}");
            for (at, value) in values {
                assert!((found[at] - value).abs() < 1e-5, "{kind}: {at}: {} is not {value}", found[at]);
            }
            let sum: f64 = (1..).zip(&found).map(|(place, value)| f64::from(place) * f64::from(*value)).sum();
            assert!((sum - weighted).abs() < 0.1, "{kind}: {sum} is not {weighted}");
        }
    }
}
