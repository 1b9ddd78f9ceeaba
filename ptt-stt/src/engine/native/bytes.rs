//! Matrices of bytes for the decoder, which reads every weight once per token: what counts there is how many bytes that
//! is. Weights are rows of blocks of 32 with a common scale, as in ggml's Q8_0; the other side is rounded to 16 bits, so
//! that nothing is lost there.

/// Weights per scale.
pub const BLOCK: usize = 32;

/// Rows that are multiplied together, so that the other side is read once for all of them.
const TOGETHER: usize = 4;
/// Blocks of a part that stays in the first cache: 16 KiB.
const PART: usize = 512;

/// A matrix of bytes: `rows` rows of `depth` weights.
#[derive(Clone, Debug, Default)]
pub struct ByteRows {
    depth: usize,
    weights: Vec<[i8; BLOCK]>,
    scales: Vec<f32>,
}

impl ByteRows {
    /// Rounds rows of `depth` values.
    ///
    /// # Panics
    /// When `depth` is not a multiple of [`BLOCK`].
    #[must_use]
    pub fn of_rows(values: &[f32], depth: usize) -> Self {
        assert!(depth.is_multiple_of(BLOCK), "the widths of Whisper models are multiples of 64");
        let mut rows = Self { depth, ..Self::default() };
        for block in values.as_chunks::<BLOCK>().0 {
            let most = block.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            let scale = most / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            rows.weights.push(block.map(|x| (x * inverse).round() as i8));
            rows.scales.push(scale);
        }
        rows
    }

    /// Number of rows.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.weights.len() * BLOCK / self.depth
    }

    /// Values in a row.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// One row as numbers, into `out`.
    pub fn read(&self, row: usize, out: &mut [f32]) {
        let blocks = self.blocks(row..row + 1);
        for ((weights, scale), out) in
            self.weights[blocks.clone()].iter().zip(&self.scales[blocks]).zip(out.chunks_exact_mut(BLOCK))
        {
            for (out, weight) in out.iter_mut().zip(weights) {
                *out = f32::from(*weight) * scale;
            }
        }
    }

    /// The products of `rows` with each of the vectors in `right`, vector after vector: `out[v * rows.len() + r]`.
    pub fn products(&self, rows: std::ops::Range<usize>, right: &[Rounded], out: &mut [f32]) {
        let count = rows.len();
        let range = self.blocks(rows);
        let (weights, scales) = (&self.weights[range.clone()], &self.scales[range]);
        // A part of the matrix small enough for the first cache goes with all vectors before the next one comes.
        let blocks = self.depth / BLOCK;
        let part = (PART / blocks).next_multiple_of(TOGETHER);
        for (at, (weights, scales)) in
            weights.chunks(part * blocks).zip(scales.chunks(part * blocks)).enumerate()
        {
            for (vector, right) in right.iter().enumerate() {
                let first = vector * count + at * part;
                products(weights, scales, right, &mut out[first..first + weights.len() / blocks]);
            }
        }
    }

    fn blocks(&self, rows: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let blocks = self.depth / BLOCK;
        rows.start * blocks..rows.end * blocks
    }
}

/// A vector rounded to 16 bits.
#[derive(Clone, Debug, Default)]
pub struct Rounded {
    values: Vec<[i16; BLOCK]>,
    scale: f32,
}

impl Rounded {
    /// Rounds `values`.
    #[must_use]
    pub fn of(values: &[f32]) -> Self {
        let most = values.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        // 127 * 16,383 * 32 fits a sum of 32 bits with room for four lanes to be added.
        let scale = most / 16_383.0;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let round = |block: &[f32; BLOCK]| block.map(|x| (x * inverse).round() as i16);
        Self { values: values.as_chunks::<BLOCK>().0.iter().map(round).collect(), scale }
    }
}

/// The product of each row with `right`.
fn products(weights: &[[i8; BLOCK]], scales: &[f32], right: &Rounded, out: &mut [f32]) {
    let blocks = right.values.len();
    let rows =
        weights.chunks(TOGETHER * blocks).zip(scales.chunks(TOGETHER * blocks)).zip(out.chunks_mut(TOGETHER));
    #[cfg(target_arch = "x86_64")]
    {
        use std::sync::LazyLock;
        static V3: LazyLock<Option<pulp::x86::V3>> = LazyLock::new(pulp::x86::V3::try_new);
        if let Some(simd) = *V3 {
            simd.vectorize(
                #[inline(always)]
                || {
                    for ((weights, scales), out) in rows {
                        avx2::rows(simd, weights, scales, right, out);
                    }
                },
            );
            return;
        }
    }
    for ((weights, scales), out) in rows {
        plain(weights, scales, right, out);
    }
}

fn plain(weights: &[[i8; BLOCK]], scales: &[f32], right: &Rounded, out: &mut [f32]) {
    let blocks = right.values.len();
    for ((weights, scales), out) in weights.chunks(blocks).zip(scales.chunks(blocks)).zip(out) {
        let sums = weights.iter().zip(&right.values).map(|(weights, right)| {
            weights.iter().zip(right).map(|(w, r)| i32::from(*w) * i32::from(*r)).sum::<i32>() as f32
        });
        *out = sums.zip(scales).map(|(sum, scale)| sum * scale).sum::<f32>() * right.scale;
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{__m128i, __m256, __m256i};

    use pulp::x86::V3;

    use super::super::soon::read_soon;
    use super::{BLOCK, Rounded, TOGETHER, plain};

    /// How many times [`TOGETHER`] rows are fetched before they are read, some 8 KiB. Twice as many and half as many are slower or
    /// no faster.
    const AHEAD: usize = 4;
    /// Blocks that are fetched at once.
    const BLOCKS_FETCHED: usize = 64 / BLOCK;

    /// The products of [`TOGETHER`] rows; of fewer at the end of a matrix.
    #[inline(always)]
    pub fn rows(simd: V3, weights: &[[i8; BLOCK]], scales: &[f32], right: &Rounded, out: &mut [f32]) {
        let blocks = right.values.len();
        let (Ok(out), true) =
            (<&mut [f32; TOGETHER]>::try_from(&mut *out), weights.len() == TOGETHER * blocks)
        else {
            return plain(weights, scales, right, out);
        };
        let rows: [_; TOGETHER] = std::array::from_fn(|row| {
            (&weights[row * blocks..][..blocks], &scales[row * blocks..][..blocks])
        });
        let mut sums = [simd.avx._mm256_setzero_ps(); TOGETHER];
        for (at, right) in right.values.iter().enumerate() {
            let right: [__m256i; 2] = pulp::cast(*right);
            for next in (0..TOGETHER).step_by(BLOCKS_FETCHED) {
                read_soon(weights, (AHEAD * blocks + at) * TOGETHER + next);
            }
            for (sum, (weights, scales)) in sums.iter_mut().zip(rows) {
                *sum = block(simd, weights[at], scales[at], right, *sum);
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            let lanes: [f32; 8] = pulp::cast(sum);
            *out = lanes.iter().sum::<f32>() * right.scale;
        }
    }

    #[inline(always)]
    fn block(simd: V3, weights: [i8; BLOCK], scale: f32, right: [__m256i; 2], sum: __m256) -> __m256 {
        let [low, high]: [__m128i; 2] = pulp::cast(weights);
        let low = simd.avx2._mm256_madd_epi16(simd.avx2._mm256_cvtepi8_epi16(low), right[0]);
        let high = simd.avx2._mm256_madd_epi16(simd.avx2._mm256_cvtepi8_epi16(high), right[1]);
        let both = simd.avx._mm256_cvtepi32_ps(simd.avx2._mm256_add_epi32(low, high));
        simd.fma._mm256_fmadd_ps(both, simd.avx._mm256_set1_ps(scale), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, mut x: u32) -> Vec<f32> {
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 16) as f32 / 32_768.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn products_are_those_of_the_numbers_nearly() {
        for depth in [64, 384, 512, 2_048, 5_120] {
            let (rows, vectors) = (7, 3);
            let matrix = noise(rows * depth, 3);
            let right = noise(vectors * depth, 9);
            let bytes = ByteRows::of_rows(&matrix, depth);
            let rounded: Vec<_> = right.chunks_exact(depth).map(Rounded::of).collect();
            let mut out = vec![0.0; 6 * vectors];
            bytes.products(1..7, &rounded, &mut out);
            for vector in 0..vectors {
                for row in 0..6 {
                    let mut read = vec![0.0; depth];
                    bytes.read(row + 1, &mut read);
                    let right = &right[vector * depth..][..depth];
                    let dot = |row: &[f32]| row.iter().zip(right).map(|(a, b)| a * b).sum::<f32>();
                    let (found, exact) = (out[vector * 6 + row], dot(&matrix[(row + 1) * depth..][..depth]));
                    // Each weight is off by 1/254 of its block's largest at most, and the errors add up like noise.
                    assert!((found - dot(&read)).abs() < 1e-2, "{depth}: {found} is not {}", dot(&read));
                    assert!(
                        (found - exact).abs() < 0.004 * 3.0 * (depth as f32).sqrt(),
                        "{depth}: {found}, {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow_and_zeros_stay_zero() {
        let depth = 5_120;
        let bytes = ByteRows::of_rows(&vec![1.0; depth], depth);
        let mut out = [0.0];
        bytes.products(0..1, &[Rounded::of(&vec![-1.0; depth])], &mut out);
        assert!((out[0] + depth as f32).abs() < 0.1, "{out:?}");
        bytes.products(0..1, &[Rounded::of(&vec![0.0; depth])], &mut out);
        assert_eq!(out, [0.0]);
        let zeros = ByteRows::of_rows(&vec![0.0; depth], depth);
        zeros.products(0..1, &[Rounded::of(&vec![1.0; depth])], &mut out);
        assert_eq!(out, [0.0]);
    }
}
