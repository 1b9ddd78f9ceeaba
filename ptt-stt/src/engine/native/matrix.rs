//! Products of matrices of f32, as fast as the processor's vector units allow. Pure arithmetic; what the numbers mean is
//! known elsewhere.
//!
//! The right-hand side is stored once in panels of 16 columns, in the order in which it is read. The left-hand side is
//! put into strips of as many rows as there are accumulators, so that the innermost loop reads two streams and does
//! nothing but multiply and add (the scheme of Goto and van de Geijn, "Anatomy of High-Performance Matrix
//! Multiplication", 2008). One core of an AVX2 machine does 70 to 90 GFLOPS with it.

use pulp::{Arch, Simd, WithSimd};

use super::soon::read_soon;

/// Columns of a panel: two vectors of AVX2, one of AVX-512.
const PANEL: usize = 16;
/// How much of the depth is worked on at once, so that a panel's part (24 KiB) stays in the first cache.
const DEPTH: usize = 384;

/// A matrix of `columns` columns and `depth` rows, ready to be multiplied by from the left.
#[derive(Clone, Debug, Default)]
pub struct Panels {
    columns: usize,
    depth: usize,
    values: Vec<f32>,
}

impl Panels {
    /// From the transpose: `columns` rows of `depth` values, as the weights of a linear layer are stored.
    #[must_use]
    pub fn of_rows(rows: &[f32], columns: usize, depth: usize) -> Self {
        let mut panels = Self::default();
        panels.fill(columns, depth, |column, at| rows[column * depth + at]);
        panels
    }

    /// Becomes a matrix whose value in `column` at depth `at` is `value(column, at)`.
    pub fn fill(&mut self, columns: usize, depth: usize, value: impl Fn(usize, usize) -> f32) {
        (self.columns, self.depth) = (columns, depth);
        self.values.clear();
        self.values.resize(columns.div_ceil(PANEL) * depth * PANEL, 0.0);
        for (panel, values) in self.values.chunks_exact_mut((depth * PANEL).max(1)).enumerate() {
            for (at, row) in values.chunks_exact_mut(PANEL).enumerate() {
                let first = panel * PANEL;
                for (offset, place) in row.iter_mut().enumerate().take(columns - first) {
                    *place = value(first + offset, at);
                }
            }
        }
    }

    /// Number of columns.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }
}

/// Rows somewhere in memory: row `r` begins at `r * stride`. Rows may overlap, as those of a convolution do.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// From the first row's first value on.
    pub values: &'a [f32],
    /// How many there are.
    pub count: usize,
    /// From the beginning of one to the beginning of the next.
    pub stride: usize,
}

/// Rows to write to.
#[derive(Debug)]
pub struct RowsMut<'a> {
    /// From the first row's first value on.
    pub values: &'a mut [f32],
    /// From the beginning of one to the beginning of the next.
    pub stride: usize,
}

/// Adds the product of `left` and `right` to `sum`. `strips` is memory to work in.
///
/// # Panics
/// When a row of `left` is shorter than the depth of `right`, or one of `sum` than its columns.
pub fn add_product(left: Rows<'_>, right: &Panels, sum: &mut RowsMut<'_>, strips: &mut Vec<f32>) {
    Arch::new().dispatch(Product { left, right, sum, strips });
}

struct Product<'a, 'b> {
    left: Rows<'a>,
    right: &'a Panels,
    sum: &'a mut RowsMut<'b>,
    strips: &'a mut Vec<f32>,
}

impl WithSimd for Product<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many accumulators as there are registers for, with some left for what is read.
        match S::F32_LANES {
            16 => self.run::<S, 12, 1>(simd),
            8 => self.run::<S, 6, 2>(simd),
            4 => self.run::<S, 2, 4>(simd),
            _ => self.run::<S, 1, 16>(simd),
        }
    }
}

impl Product<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let Panels { columns, depth, values } = self.right;
        for from in (0..*depth).step_by(DEPTH) {
            let part = DEPTH.min(depth - from);
            into_strips::<ROWS>(self.left, from, part, self.strips);
            for (panel, weights) in values.chunks_exact(depth * PANEL).enumerate() {
                let weights = &weights[from * PANEL..][..part * PANEL];
                let next = values.get(((panel + 1) * depth + from) * PANEL..).unwrap_or_default();
                let width = PANEL.min(columns - panel * PANEL);
                for (strip, rows) in self.strips.chunks_exact(part * ROWS).enumerate() {
                    let tile = tile::<S, ROWS, VECTORS>(simd, rows, weights, next);
                    let first = strip * ROWS;
                    for (row, values) in tile.iter().enumerate().take(self.left.count - first) {
                        let place = (first + row) * self.sum.stride + panel * PANEL;
                        add(simd, values, &mut self.sum.values[place..place + width]);
                    }
                }
            }
        }
    }
}

/// Puts a part of the rows' depth into strips: of `ROWS` rows the first values, then the second ones, and so on.
#[inline(always)]
fn into_strips<const ROWS: usize>(left: Rows<'_>, from: usize, part: usize, strips: &mut Vec<f32>) {
    strips.clear();
    strips.resize(left.count.div_ceil(ROWS) * ROWS * part, 0.0);
    for (strip, values) in strips.chunks_exact_mut(part * ROWS).enumerate() {
        let first = strip * ROWS;
        for row in 0..ROWS.min(left.count - first) {
            let source = &left.values[(first + row) * left.stride + from..][..part];
            for (place, value) in values.chunks_exact_mut(ROWS).zip(source) {
                place[row] = *value;
            }
        }
    }
}

/// The product of a strip and a panel's part. `next` is read after it.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    rows: &[f32],
    weights: &[f32],
    next: &[f32],
) -> [[S::f32s; VECTORS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let (weights, _) = S::as_simd_f32s(weights);
    for (at, (values, weights)) in rows.chunks_exact(ROWS).zip(weights.chunks_exact(VECTORS)).enumerate() {
        read_soon(next, at * PANEL);
        for (value, sums) in values.iter().zip(&mut sums) {
            let value = simd.splat_f32s(*value);
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_f32s(value, *weight, *sum);
            }
        }
    }
    sums
}

#[inline(always)]
fn add<S: Simd>(simd: S, values: &[S::f32s], sum: &mut [f32]) {
    let (whole, rest) = S::as_mut_simd_f32s(sum);
    for (place, value) in whole.iter_mut().zip(values) {
        *place = simd.add_f32s(*place, *value);
    }
    if !rest.is_empty() {
        let mut last = [0.0; PANEL];
        S::as_mut_simd_f32s(&mut last).0[0] = values[whole.len()];
        for (place, value) in rest.iter_mut().zip(last) {
            *place += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut x = seed | 1;
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 16) as f32 / 32_768.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_product_is_the_sum_of_products(rows in 1usize..30, depth in 1usize..900, columns in 1usize..70,
                                            more in 0usize..5, seed in any::<u32>()) {
            let stride = depth + more;
            let left = noise(rows * stride, seed);
            let right = noise(columns * depth, !seed);
            let before = noise(rows * (columns + more), seed ^ 77);
            let mut sum = before.clone();
            let panels = Panels::of_rows(&right, columns, depth);
            add_product(
                Rows { values: &left, count: rows, stride },
                &panels,
                &mut RowsMut { values: &mut sum, stride: columns + more },
                &mut Vec::new(),
            );
            for row in 0..rows {
                for column in 0..columns + more {
                    let at = row * (columns + more) + column;
                    let product: f64 = if column < columns {
                        let values = &left[row * stride..][..depth];
                        values.iter().zip(&right[column * depth..]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                    } else {
                        0.0
                    };
                    let expected = f64::from(before[at]) + product;
                    prop_assert!((f64::from(sum[at]) - expected).abs() < 1e-3, "{} is not {expected}", sum[at]);
                }
            }
        }
    }
}
