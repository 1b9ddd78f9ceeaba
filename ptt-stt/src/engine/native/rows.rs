//! What a transformer does to rows of numbers beside multiplying them: normalise, bend, weigh. Pure arithmetic.

use pulp::Arch;

/// What keeps a constant row from being divided by zero; Whisper was trained with it.
const EPSILON: f32 = 1e-5;

/// Each row of `rows` less its mean, divided by its deviation, times `gain`, plus `bias`, into `out`.
pub fn layer_norm(rows: &[f32], gain: &[f32], bias: &[f32], out: &mut [f32]) {
    let width = gain.len();
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                let mean = sum(row) / width as f32;
                let square = |sum: f32, x: f32| sum + (x - mean) * (x - mean);
                let variance = fold(row, 0.0, square, |a, b| a + b) / width as f32;
                let scale = 1.0 / (variance + EPSILON).sqrt();
                for (((out, x), gain), bias) in out.iter_mut().zip(row).zip(gain).zip(bias) {
                    *out = (x - mean) * scale * gain + bias;
                }
            }
        },
    );
}

/// Gaussian error linear unit, exact to 2e-7: the error function is Abramowitz and Stegun's 7.1.26.
pub fn gelu(values: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for x in values {
                let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
                let t = 1.0 / (1.0 + 0.327_591_1 * z);
                let poly = t
                    * (0.254_829_6
                        + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152 + t * 1.061_405_4))));
                let erf = 1.0 - poly * exp(-z * z);
                *x = 0.5 * (*x + x.abs() * erf);
            }
        },
    );
}

/// Turns each row of `width` scores into shares that add up to one. `weights` are added to the scores before: the
/// logarithm of how many keys each stands for.
pub fn softmax(scores: &mut [f32], width: usize, weights: Option<&[f32]>) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in scores.chunks_exact_mut(width) {
                if let Some(weights) = weights {
                    for (score, weight) in row.iter_mut().zip(weights) {
                        *score += weight;
                    }
                }
                let larger = |a: f32, b: f32| if a > b { a } else { b };
                let most = fold(row, f32::NEG_INFINITY, larger, larger);
                for score in &mut *row {
                    *score = exp(*score - most);
                }
                let share = 1.0 / sum(row);
                for score in row {
                    *score *= share;
                }
            }
        },
    );
}

/// Sets each row to `value`.
pub fn set_rows(rows: &mut [f32], value: &[f32]) {
    for row in rows.chunks_exact_mut(value.len()) {
        row.copy_from_slice(value);
    }
}

/// Adds `value` to each row.
pub fn add_to_rows(rows: &mut [f32], value: &[f32]) {
    for row in rows.chunks_exact_mut(value.len()) {
        for (x, value) in row.iter_mut().zip(value) {
            *x += value;
        }
    }
}

/// e to the power of `x`, exact to 2e-7, in a form that the compiler turns into vectors (Cephes' `expf`).
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest whole number, which then stands in the last bits: read there, because a conversion
    // of a float, which might be none, is not turned into vectors.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let poly = 1.0
        + r * (1.0
            + r * (0.5 + r * (0.166_666_65 + r * (0.041_665_795 + r * (0.008_333_452 + r * 0.001_398_2)))));
    poly * f32::from_bits((rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23)
}

/// Folds in sixteen lanes: floats are not added in another order than the one that is written, and one lane after the
/// other would not be done in vectors.
#[inline(always)]
fn fold(values: &[f32], start: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; 16];
    let (whole, rest) = values.as_chunks::<16>();
    for values in whole {
        for (lane, value) in lanes.iter_mut().zip(values) {
            *lane = step(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, *value);
    }
    lanes.into_iter().fold(start, join)
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    fold(values, 0.0, |sum, x| sum + x, |a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_normalised() {
        let mut out = [0.0; 4];
        layer_norm(&[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0, 1.0, 2.0], &[0.0, 0.0, 0.5, 0.0], &mut out);
        for (found, expected) in out.iter().zip([-1.341_636, -0.447_212, 0.947_212, 2.683_272]) {
            assert!((found - expected).abs() < 1e-4, "{out:?}");
        }
    }

    #[test]
    fn the_bent_line_is_the_exact_one() {
        // x times the normal distribution's integral, from a table.
        for (x, expected) in [
            (-4.0, -0.000_126_7),
            (-1.0, -0.158_655_3),
            (0.0, 0.0),
            (0.5, 0.345_731_2),
            (1.0, 0.841_344_7),
            (3.0, 2.995_950_3),
        ] {
            let mut value = [x];
            gelu(&mut value);
            assert!((value[0] - expected).abs() < 1e-6, "{x}: {} is not {expected}", value[0]);
        }
    }

    #[test]
    fn exponents_over_the_whole_range() {
        for step in -870..880 {
            let x = step as f32 / 10.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 1e-6, "{x}: {found} is not {expected}");
        }
    }

    #[test]
    fn shares_add_up_and_a_key_that_stands_for_three_counts_thrice() {
        let mut one = vec![0.3, 0.1, 0.1, 0.1];
        let mut merged = vec![0.3, 0.1];
        softmax(&mut one, 4, None);
        softmax(&mut merged, 2, Some(&[0.0, 3.0_f32.ln()]));
        assert!((one.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(
            (one[0] - merged[0]).abs() < 1e-6 && (one[1] * 3.0 - merged[1]).abs() < 1e-6,
            "{one:?} {merged:?}"
        );
    }
}
