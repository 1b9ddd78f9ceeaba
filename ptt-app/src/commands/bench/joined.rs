//! Long takes made of short clips with pauses between them, as a person who dictates makes them. Which clips and which
//! pauses is decided from a seed, purely; then they are written as files, which is what the `wav` microphone plays.

use std::path::Path;
use std::time::Duration;

use ptt_messages::SAMPLE_RATE_HZ;

use super::clips::{BenchClip, Kind};
use crate::exit_code::{Exit, Failure};

/// Between two sentences, in milliseconds; the clips' own silent ends come on top.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 300..=900;

/// The loudness of a pause: a quiet room, -70 dBFS. Digital silence would be easier than life.
const ROOM: f32 = 0.000_316;

/// One long take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joint {
    /// Which clips, in turn.
    pub(super) parts: std::ops::Range<usize>,
    /// The pause before each but the first.
    pub(super) pauses: Vec<Duration>,
}

/// Joins neighbours to takes as near to `target` as they come. The clips at the end that do not reach three quarters of
/// it are in none.
pub(super) fn plan(lengths: &[Duration], target: Duration, seed: u64) -> Vec<Joint> {
    let mut chance = Chance(seed);
    let mut joints = Vec::new();
    let (mut first, mut length, mut pauses) = (0, Duration::ZERO, Vec::new());
    for (at, clip) in lengths.iter().enumerate() {
        if at > first {
            let pause = Duration::from_millis(chance.within(PAUSE_MS));
            if length + (pause + *clip) / 2 > target {
                joints.push(Joint { parts: first..at, pauses: std::mem::take(&mut pauses) });
                (first, length) = (at, Duration::ZERO);
            } else {
                length += pause;
                pauses.push(pause);
            }
        }
        length += *clip;
    }
    if length >= target * 3 / 4 {
        joints.push(Joint { parts: first..lengths.len(), pauses });
    }
    joints
}

impl Joint {
    /// For people: which clips with which pauses.
    pub(super) fn text(&self, clips: &[BenchClip]) -> String {
        let mut text = String::new();
        for (n, clip) in clips[self.parts.clone()].iter().enumerate() {
            if let Some(pause) = n.checked_sub(1).and_then(|before| self.pauses.get(before)) {
                text += &format!(" +{:.2} s ", pause.as_secs_f64());
            }
            text += &clip.id;
        }
        text
    }
}

/// Makes takes of about `target` of `clips` and writes them into `dir`; with each the number of the clip it ends with.
pub(super) fn write(
    clips: &[BenchClip],
    target: Duration,
    seed: u64,
    dir: &Path,
) -> Result<Vec<(usize, BenchClip, Joint)>, Failure> {
    let lengths: Vec<Duration> = clips.iter().map(|clip| clip.length).collect();
    let mut chance = Chance(!seed);
    let mut written = Vec::new();
    for (n, joint) in plan(&lengths, target, seed).into_iter().enumerate() {
        let parts = &clips[joint.parts.clone()];
        let mut samples: Vec<f32> = Vec::new();
        for (part, clip) in parts.iter().enumerate() {
            if let Some(pause) = part.checked_sub(1).and_then(|before| joint.pauses.get(before)) {
                let silence = pause.as_millis() as usize * (SAMPLE_RATE_HZ / 1_000) as usize;
                samples.extend(std::iter::repeat_with(|| chance.noise() * ROOM).take(silence));
            }
            let clip = ptt_audio::read_audio_file(&clip.path).map_err(|e| Failure::from(e.fault()))?;
            samples.extend_from_slice(clip.samples());
        }
        let id = format!("joined-{:02}", n + 1);
        let path = dir.join(format!("{id}.wav"));
        write_wav(&path, &samples)
            .map_err(|e| Failure::new(Exit::Failed, format!("cannot write {}: {e}", path.display())))?;
        let references: Option<Vec<&str>> = parts.iter().map(|p| p.reference.as_deref()).collect();
        let clip = BenchClip {
            id,
            path,
            length: Duration::from_secs_f64(samples.len() as f64 / f64::from(SAMPLE_RATE_HZ)),
            reference: references.map(|r| r.join(" ")),
            kind: Kind::Joined,
        };
        written.push((joint.parts.end - 1, clip, joint));
    }
    Ok(written)
}

fn write_wav(path: &Path, samples: &[f32]) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec)?;
    for sample in samples {
        writer.write_sample((sample * f32::from(i16::MAX)).round() as i16)?;
    }
    writer.finalize()
}

/// SplitMix64: the same numbers for a seed on every machine and in every version.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    /// -1 to 1.
    fn noise(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(lengths: &[u64]) -> Vec<Duration> {
        lengths.iter().copied().map(Duration::from_secs).collect()
    }

    #[test]
    fn neighbours_are_joined_to_about_the_target() {
        let joints = plan(&seconds(&[5, 6, 4, 7, 30, 3, 2]), Duration::from_secs(15), 7);
        let parts: Vec<_> = joints.iter().map(|joint| joint.parts.clone()).collect();
        assert_eq!(parts, [0..3, 3..4, 4..5], "a clip that is longer stands alone, the short rest in none");
        assert!(joints.iter().all(|joint| joint.pauses.len() + 1 == joint.parts.len()));
        assert_eq!(plan(&[], Duration::from_secs(15), 7), []);
    }

    #[test]
    fn a_seed_decides_the_pauses() {
        let (lengths, target) = (seconds(&[5; 20]), Duration::from_secs(60));
        assert_eq!(plan(&lengths, target, 1), plan(&lengths, target, 1));
        assert_ne!(plan(&lengths, target, 1), plan(&lengths, target, 2));
    }

    #[test]
    fn what_is_written_is_the_clips_and_the_pauses() {
        let dir = tempfile::tempdir().unwrap();
        let clips: Vec<BenchClip> = (0..3)
            .map(|n| {
                let path = dir.path().join(format!("{n}.wav"));
                write_wav(&path, &vec![0.5; 16_000]).unwrap();
                let (id, reference) = (n.to_string(), Some(format!("word {n}")));
                BenchClip { id, path, length: Duration::from_secs(1), reference, kind: Kind::Clip }
            })
            .collect();
        let written = write(&clips, Duration::from_secs(4), 3, dir.path()).unwrap();
        let [(2, clip, joint)] = &written[..] else { panic!("{written:?}") };
        assert_eq!(clip.reference.as_deref(), Some("word 0 word 1 word 2"));
        assert!(joint.text(&clips).starts_with("0 +0."), "{}", joint.text(&clips));
        let samples = ptt_audio::read_audio_file(&clip.path).unwrap();
        let loud = samples.samples().iter().filter(|s| **s > 0.4).count();
        assert_eq!(loud, 3 * 16_000);
        let pauses: Duration = joint.pauses.iter().sum();
        assert_eq!(samples.samples().len() - loud, pauses.as_millis() as usize * 16);
        assert!(samples.samples().iter().all(|s| *s > 0.4 || s.abs() <= ROOM * 1.2));
    }

    proptest! {
        #[test]
        fn every_clip_is_in_at_most_one_take(
            lengths in prop::collection::vec(500_u64..40_000, 0..60), target in 5_u64..120, seed: u64
        ) {
            let lengths: Vec<Duration> = lengths.into_iter().map(Duration::from_millis).collect();
            let target = Duration::from_secs(target);
            let mut next = 0;
            for joint in plan(&lengths, target, seed) {
                prop_assert_eq!(joint.parts.start, next, "no clip is left out before the end");
                next = joint.parts.end;
                let clips = &lengths[joint.parts.clone()];
                let length = clips.iter().chain(&joint.pauses).sum::<Duration>();
                let longest = clips.iter().max().copied().unwrap_or_default();
                prop_assert!(length <= target + longest, "{length:?}");
                prop_assert!(joint.pauses.iter().all(|p| PAUSE_MS.contains(&(p.as_millis() as u64))));
            }
        }
    }
}
