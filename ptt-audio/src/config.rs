//! The section `[audio]` of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use ptt_messages::Within;
use serde::{Deserialize, Serialize};

/// Where audio comes from, when the microphone is open, and where a take begins, pauses and ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioConfig {
    /// What plays the microphone.
    pub backend: BackendKind,
    /// Which sound system the `cpal` backend asks.
    pub host: HostChoice,
    /// `default`, or a device's name, id, or a part of its name.
    pub device: String,
    /// Audio per block from the sound system. Shorter is heard of sooner; longer survives a busy machine better.
    pub block_ms: Within<5, 100>,
    /// When the microphone is open.
    pub microphone: MicrophonePolicy,
    /// How long after a take `idle_close` closes the microphone.
    pub idle_close_s: Within<1, 86_400>,
    /// Audio from before the press that belongs to the take.
    pub pre_roll_ms: Within<0, 1_000>,
    /// The longest a take goes on after the release; it does only while speech is heard.
    pub post_roll_ms: Within<0, 2_000>,
    /// Silence after speech that is worth a decode in the background.
    pub pause_ms: Within<100, 2_000>,
    /// Silence after speech that closes a segment for good; longer where less was said than `commit_min_s`, in proportion.
    pub commit_pause_ms: Within<200, 5_000>,
    /// Speech with which a pause of `commit_pause_ms` closes a segment.
    pub commit_min_s: Within<1, 20>,
    /// No audio from an open microphone for this long is a fault; where it is less, 5 s while the
    /// key is held and between takes, and after the release as much of 2 s as the deadline allows.
    pub starve_ms: Within<100, 10_000>,
    /// After the release a take must end within this, or nobody takes it. The program sets it.
    #[serde(skip)]
    pub stop_deadline: Option<Duration>,
    /// The score from which on the voice-activity detector's verdict is "speech".
    pub vad_threshold_percent: Within<20, 95>,
    /// Files the `wav` backend plays, one per take, in turn.
    pub wav: Vec<PathBuf>,
    /// How often the list of files is played; 0 is for ever.
    pub wav_repeat: Within<0, 1_000_000>,
    /// Whether the `wav` backend takes as long as its files are.
    pub wav_pace: WavPace,
    /// What the `silence` backend sounds like.
    pub silence: SilenceKind,
}

impl AudioConfig {
    /// How long a take waits after the release for a microphone that delivers nothing: the
    /// post-roll and this end a little before the deadline.
    #[must_use]
    pub fn patience_after_release(&self) -> Duration {
        const WANTED: Duration = Duration::from_secs(2);
        const MARGIN: Duration = Duration::from_millis(100);
        let starve = self.starve_ms.millis();
        let left = self
            .stop_deadline
            .map_or(Duration::MAX, |deadline| deadline.saturating_sub(self.post_roll_ms.millis() + MARGIN));
        starve.max(WANTED.min(left))
    }
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            backend: BackendKind::Cpal,
            host: HostChoice::Auto,
            device: "default".to_owned(),
            block_ms: Within::new(10),
            microphone: MicrophonePolicy::Always,
            idle_close_s: Within::new(30),
            pre_roll_ms: Within::new(300),
            post_roll_ms: Within::new(500),
            pause_ms: Within::new(240),
            commit_pause_ms: Within::new(300),
            commit_min_s: Within::new(4),
            starve_ms: Within::new(500),
            stop_deadline: None,
            vad_threshold_percent: Within::new(50),
            wav: Vec::new(),
            wav_repeat: Within::new(0),
            wav_pace: WavPace::RealTime,
            silence: SilenceKind::Digital,
        }
    }
}

/// What plays the microphone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// A real one, through the sound system.
    Cpal,
    /// Audio files.
    Wav,
    /// Nobody speaks.
    Silence,
}

/// Which sound system is asked for the microphone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostChoice {
    /// The first of the others that works, in the order they stand here.
    Auto,
    /// Natively; only in a build with the feature `pipewire`.
    PipeWire,
    /// Natively, which PipeWire understands too.
    PulseAudio,
    /// The kernel's devices, and the plugins of alsa-lib.
    Alsa,
}

/// When the microphone is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MicrophonePolicy {
    /// As long as takes may come: no take waits for it, and each has its pre-roll.
    Always,
    /// From the press to the end of the take: no pre-roll, and the first word may be lost while it opens.
    OnPress,
    /// From a press on, until no take came for `idle_close_s`.
    IdleClose,
}

/// How fast files are played as the microphone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WavPace {
    /// As fast as they would be spoken.
    RealTime,
    /// The whole file is there when the take starts.
    Fast,
}

/// What silence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SilenceKind {
    /// Every sample is zero: a dead or muted microphone.
    Digital,
    /// Noise at -70 dBFS: a quiet room.
    Room,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_survives_a_round_trip() {
        let json = serde_json::to_string(&AudioConfig::default()).unwrap();
        assert_eq!(serde_json::from_str::<AudioConfig>(&json).unwrap(), AudioConfig::default());
        assert_eq!(serde_json::from_str::<AudioConfig>("{}").unwrap(), AudioConfig::default());
    }

    #[test]
    fn after_the_release_a_take_waits_as_long_as_the_deadline_allows() {
        for (starve_ms, stop_deadline_ms, expected_ms) in [
            (500, None, 2_000),
            (3_000, None, 3_000),
            (500, Some(3_000), 2_000),
            (500, Some(1_200), 600),
            (500, Some(1_001), 500),
            (2_400, Some(3_000), 2_400),
        ] {
            let config = AudioConfig {
                starve_ms: Within::new(starve_ms),
                stop_deadline: stop_deadline_ms.map(Duration::from_millis),
                ..AudioConfig::default()
            };
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(config.patience_after_release(), expected, "{starve_ms}, {stop_deadline_ms:?}");
        }
    }

    #[test]
    fn what_is_not_known_or_out_of_range_is_an_error() {
        for (json, expected) in [
            (r#"{"pre_rol_ms": 1}"#, "unknown field `pre_rol_ms`"),
            (r#"{"pre_roll_ms": 1001}"#, "allowed is 0 to 1000"),
            (r#"{"microphone": "sometimes"}"#, "`always`, `on_press`, `idle_close`"),
            (r#"{"host": "jack"}"#, "`auto`, `pipewire`, `pulseaudio`, `alsa`"),
        ] {
            let error = serde_json::from_str::<AudioConfig>(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
