//! Several channels to one: the mean, in which a channel that is another one upside down counts
//! upside down. So a balanced line on a stereo plug, or a file whose channels cancel each other
//! out, does not become silence. Pure.

/// The time over which channels are compared.
const MEMORY_S: f32 = 0.05;

/// A channel is turned when its correlation with the others is below the first of these, and turned
/// back when it is above the second, for so long: by chance two voices are opposed for some
/// milliseconds.
const TURNED: f32 = -0.9;
const STRAIGHT: f32 = 0.0;
const TURNED_S: f32 = 0.02;
const STRAIGHT_S: f32 = 0.003;

/// How long a turn takes: at once it would click.
const TURN_S: f32 = 0.002;

/// Mixes the frames of one source down.
#[derive(Clone, Debug)]
pub struct Mixdown {
    /// One for each channel but the first.
    others: Vec<Channel>,
    frame_s: f32,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    /// Energy of what was mixed before it, its own, and what both have in common; all fading.
    before: f32,
    own: f32,
    common: f32,
    turned: bool,
    /// For how long it should be the other way round.
    doubtful_s: f32,
    /// -1.0 turned, 1.0 straight, and between while it turns.
    sign: f32,
}

impl Mixdown {
    /// For frames of so many channels at this rate.
    #[must_use]
    pub fn new(rate_hz: u32, channels: usize) -> Self {
        let straight =
            Channel { before: 0.0, own: 0.0, common: 0.0, turned: false, doubtful_s: 0.0, sign: 1.0 };
        Self { others: vec![straight; channels.saturating_sub(1)], frame_s: 1.0 / rate_hz.max(1) as f32 }
    }

    /// The sum of a frame's channels. Samples are finite.
    pub fn sum(&mut self, frame: impl IntoIterator<Item = f32>) -> f32 {
        let mut frame = frame.into_iter();
        let mut sum = frame.next().unwrap_or(0.0);
        for (channel, sample) in self.others.iter_mut().zip(frame) {
            sum += channel.signed(sum, sample, self.frame_s);
        }
        sum
    }
}

impl Channel {
    fn signed(&mut self, before: f32, sample: f32, frame_s: f32) -> f32 {
        let memory = (frame_s / MEMORY_S).min(1.0);
        let fade = |mean: &mut f32, now: f32| *mean += memory * (now - *mean);
        fade(&mut self.before, before * before);
        fade(&mut self.own, sample * sample);
        fade(&mut self.common, before * sample);
        let scale = (self.before * self.own).sqrt();
        let (doubtful, limit_s) = if self.turned {
            (self.common > STRAIGHT * scale, STRAIGHT_S)
        } else {
            (self.common < TURNED * scale, TURNED_S)
        };
        self.doubtful_s = if doubtful { self.doubtful_s + frame_s } else { 0.0 };
        if self.doubtful_s >= limit_s {
            self.turned = !self.turned;
            self.doubtful_s = 0.0;
        }
        let goal = if self.turned { -1.0 } else { 1.0 };
        let step = 2.0 * frame_s / TURN_S;
        self.sign += (goal - self.sign).clamp(-step, step);
        sample * self.sign
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::mean_square;

    const RATE: u32 = 16_000;

    /// Words with pauses between them, made of noise.
    fn voice(seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut low = 0.0;
        (0..2 * RATE)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                low += 0.2 * ((state >> 8) as f32 / 8_388_608.0 - 1.0 - low);
                if (n / (RATE / 4)).is_multiple_of(2) { low } else { low * 0.001 }
            })
            .collect()
    }

    fn mixed(channels: &[&[f32]]) -> Vec<f32> {
        let mut mixdown = Mixdown::new(RATE, channels.len());
        let scale = 1.0 / channels.len() as f32;
        (0..channels[0].len())
            .map(|n| mixdown.sum(channels.iter().map(|channel| channel[n])) * scale)
            .collect()
    }

    fn scaled(samples: &[f32], by: f32) -> Vec<f32> {
        samples.iter().map(|sample| sample * by).collect()
    }

    #[test]
    fn channels_that_cancel_out_are_heard() {
        let voice = voice(1);
        let other = scaled(&voice, -1.0);
        let full = mean_square(&voice);
        for (what, channels) in [
            ("upside down", vec![&voice[..], &other]),
            ("four of them", vec![&voice, &other, &voice, &other]),
            ("the second half of six", vec![&voice, &voice, &voice, &other, &other, &other]),
            ("weaker", vec![&voice, &scaled(&voice, -0.9)]),
        ] {
            let level = mean_square(&mixed(&channels)) / full;
            assert!(level > 0.8, "{what}: {level}");
        }
    }

    #[test]
    fn what_does_not_cancel_out_is_the_mean() {
        let (left, right) = (voice(1), voice(99));
        let silence = vec![0.0; left.len()];
        // The same voice, half a millisecond later: a second microphone.
        let late: Vec<f32> = [&silence[..8], &left[..left.len() - 8]].concat();
        for (what, a, b) in [
            ("the same", &left, &left),
            ("two voices", &left, &right),
            ("a dead channel", &left, &silence),
            ("the other one dead", &silence, &left),
            ("two microphones", &left, &late),
        ] {
            let mean: Vec<f32> = a.iter().zip(b).map(|(a, b)| (a + b) * 0.5).collect();
            assert_eq!(mixed(&[a, b]), mean, "{what}");
        }
    }

    #[test]
    fn a_turn_does_not_click() {
        let hum: Vec<f32> = (0..RATE).map(|n| (n as f32 * 0.05).sin() * 0.5).collect();
        let mut other = hum.clone();
        // Where it is nearly zero.
        other.iter_mut().skip(7_980).for_each(|sample| *sample *= -1.0);
        let mixed = mixed(&[&hum, &other]);
        let steps = mixed.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(steps < 0.06, "{steps}, the hum's own are 0.025");
        assert!(mean_square(&mixed[RATE as usize * 3 / 4..]) > 0.1);
    }
}
