//! The mel filter bank that a ggml file carries: triangles on Slaney's scale, each of area one.

/// Bins of a spectrum of 400 samples.
pub const BINS: usize = 201;

const RATE_HZ: f64 = 16_000.0;
const FFT: f64 = 400.0;
/// Slaney's scale is linear up to 1 kHz (15 mel) and logarithmic above, 27 mel for a factor of 6.4.
const LINEAR_HZ: f64 = 1_000.0;
const HZ_PER_MEL: f64 = 200.0 / 3.0;
const LINEAR_MEL: f64 = LINEAR_HZ / HZ_PER_MEL;

/// The filters for `bands` mel bands between 0 and 8 kHz, one row of [`BINS`] weights per band.
#[must_use]
pub fn filters(bands: usize) -> Vec<f32> {
    let top = mel(RATE_HZ / 2.0);
    let edges: Vec<f64> = (0..bands + 2).map(|i| hz(top * i as f64 / (bands + 1) as f64)).collect();
    let mut weights = Vec::with_capacity(bands * BINS);
    for band in 0..bands {
        let (low, centre, high) = (edges[band], edges[band + 1], edges[band + 2]);
        let area_one = 2.0 / (high - low);
        for bin in 0..BINS {
            let at = RATE_HZ / FFT * bin as f64;
            let rising = (at - low) / (centre - low);
            let falling = (high - at) / (high - centre);
            // Rounded twice, as the bank that Whisper was trained with was.
            let triangle = rising.min(falling).max(0.0) as f32;
            weights.push((f64::from(triangle) * area_one) as f32);
        }
    }
    weights
}

fn mel(hz: f64) -> f64 {
    if hz < LINEAR_HZ { hz / HZ_PER_MEL } else { LINEAR_MEL + (hz / LINEAR_HZ).ln() / log_step() }
}

fn hz(mel: f64) -> f64 {
    if mel < LINEAR_MEL { mel * HZ_PER_MEL } else { LINEAR_HZ * ((mel - LINEAR_MEL) * log_step()).exp() }
}

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::part::sha256;

    #[test]
    fn the_banks_are_the_ones_whisper_was_trained_with() {
        // SHA-256 of the banks in the published ggml files of tiny.en and large-v3.
        for (bands, expected) in [
            (80, "85818f156f7e189453901a515e4726d270d307f976e161cf9403e8caab405498"),
            (128, "e399c2d72d2f7375e503c296d8453cefcc0c1e47a9c1a0a09e0d70f59c820f20"),
        ] {
            let bytes: Vec<u8> = filters(bands).iter().flat_map(|w| w.to_le_bytes()).collect();
            assert_eq!(sha256(&mut bytes.as_slice()).unwrap(), expected, "{bands} bands");
        }
    }
}
