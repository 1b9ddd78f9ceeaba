//! The one form in which audio leaves the recorder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The sample rate of every [`Clip`]: what Whisper was trained on.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Mono PCM at 16 kHz, f32, every sample finite and in -1.0..=1.0. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Clip(Arc<[f32]>);

/// A sample that is not a number, or outside -1.0..=1.0. One NaN makes whisper.cpp decode for minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "sample {at} of the clip is not a finite number in -1..=1; sanitise the audio before making a clip of it"
)]
pub struct NotFinite {
    /// Index of the first bad sample.
    pub at: usize,
}

impl Clip {
    /// Checks every sample.
    ///
    /// # Errors
    /// [`NotFinite`] names the first sample that is NaN, infinite or outside -1.0..=1.0.
    pub fn new(samples: impl Into<Arc<[f32]>>) -> Result<Self, NotFinite> {
        let samples = samples.into();
        match samples.iter().position(|s| !(-1.0..=1.0).contains(s)) {
            Some(at) => Err(NotFinite { at }),
            None => Ok(Self(samples)),
        }
    }

    /// Replaces what a clip may not hold: NaN and infinities by 0.0, the rest by the nearest bound.
    /// Also tells how many samples were not finite.
    #[must_use]
    pub fn sanitised(mut samples: Vec<f32>) -> (Self, usize) {
        let mut replaced = 0;
        for s in &mut samples {
            if s.is_finite() {
                *s = s.clamp(-1.0, 1.0);
            } else {
                *s = 0.0;
                replaced += 1;
            }
        }
        (Self(samples.into()), replaced)
    }

    /// No samples at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// The PCM, 16 kHz mono.
    #[must_use]
    pub fn samples(&self) -> &[f32] {
        &self.0
    }

    /// How long the clip plays.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.0.len() as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE_HZ))
    }

    /// Whether there is no sample in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shows the length only: what was said stays out of logs.
impl fmt::Debug for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clip({:?})", self.duration())
    }
}

impl Serialize for Clip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Clip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::<f32>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_samples_are_named_or_replaced() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1.000_1] {
            assert_eq!(Clip::new(vec![0.0, bad]), Err(NotFinite { at: 1 }));
        }
        let (clip, replaced) = Clip::sanitised(vec![0.5, f32::NAN, f32::INFINITY, 7.0, -7.0]);
        assert_eq!(clip.samples(), [0.5, 0.0, 0.0, 1.0, -1.0]);
        assert_eq!(replaced, 2);
    }

    #[test]
    fn debug_says_how_long_and_nothing_else() {
        assert_eq!(format!("{:?}", Clip::new(vec![0.25; 16_000]).unwrap()), "Clip(1s)");
    }

    proptest! {
        #[test]
        fn a_sanitised_clip_is_a_clip(samples in prop::collection::vec(any::<f32>(), 0..200)) {
            let length = samples.len();
            let (clip, _) = Clip::sanitised(samples);
            prop_assert_eq!(clip.samples().len(), length);
            prop_assert!(Clip::new(clip.samples()).is_ok());
            let json = serde_json::to_string(&clip).unwrap();
            prop_assert_eq!(serde_json::from_str::<Clip>(&json).unwrap(), clip);
        }
    }
}
