//! Real microphones: which sound systems there are, in which order they are asked, which device is meant, and what it means
//! when none of them has it. How to talk to one is in [`pulse`], [`alsa`] and, for PipeWire, [`cpal`].

use std::fmt;
use std::thread::Thread;

use ::cpal::HostId;
use ptt_messages::FaultKind;
use serde::Serialize;

use super::{CaptureSource, Format, Opened, alsa, cpal, pulse};
use crate::config::{AudioConfig, HostChoice};
use crate::dsp::RATES_HZ;
use crate::error::AudioError;

/// `audio.device` for the one the sound system prefers.
pub(super) const DEFAULT: &str = "default";

/// The backend `cpal`: a microphone of one of the sound systems.
#[derive(Debug)]
pub struct Microphone {
    systems: Vec<System>,
    device: String,
    block_ms: u32,
}

impl Microphone {
    /// The microphone `config` names, of the sound systems it allows.
    ///
    /// # Errors
    /// [`AudioError::NoSuchHost`] when this build has not the one that is asked for.
    pub fn new(config: &AudioConfig) -> Result<Self, AudioError> {
        let (name, wanted) = match config.host {
            HostChoice::Auto => ("auto", None),
            HostChoice::PipeWire => ("pipewire", Some("PipeWire")),
            HostChoice::PulseAudio => ("pulseaudio", Some("PulseAudio")),
            HostChoice::Alsa => ("alsa", Some("ALSA")),
        };
        let mut systems = systems();
        if let Some(wanted) = wanted {
            systems.retain(|system| system.to_string().eq_ignore_ascii_case(wanted));
        }
        if systems.is_empty() {
            return Err(AudioError::NoSuchHost { host: name });
        }
        let block_ms = config.block_ms.get() as u32;
        Ok(Self { systems, device: config.device.clone(), block_ms })
    }
}

impl CaptureSource for Microphone {
    fn open(&self, wake: &Thread) -> Result<Opened, AudioError> {
        let mut refusals: Vec<(System, Refusal)> = Vec::new();
        for &system in &self.systems {
            let opened = match system {
                System::PulseAudio => pulse::open(&self.device, self.block_ms, wake),
                System::Alsa => alsa::open(&self.device, self.block_ms, wake),
                System::Cpal(host) => cpal::open(host, &self.device, self.block_ms, wake),
            };
            match opened.and_then(|opened| believed(&opened.format).map(|()| opened)) {
                Ok(opened) => {
                    let Format { device, rate_hz, channels, .. } = &opened.format;
                    for (skipped, refusal) in &refusals {
                        tracing::info!(host = %skipped, reason = refusal.reason(), "sound system skipped");
                    }
                    tracing::info!(host = %system, device, rate_hz, channels, "microphone open");
                    return Ok(opened);
                }
                Err(refusal) => refusals.push((system, refusal)),
            }
        }
        Err(verdict(&self.device, &refusals))
    }
}

/// A device that can be recorded from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputDeviceInfo {
    /// The sound system it belongs to.
    pub host: String,
    /// For people; `audio.device` may be a part of it.
    pub name: String,
    /// For machines; `audio.device` may be it.
    pub id: String,
    /// Whether the sound system prefers it.
    pub is_default: bool,
    /// What it delivers when nothing is asked for, as "48000 Hz, 2 channels, i16".
    pub format: Option<String>,
}

/// The devices of every sound system of this build that answers. May take some seconds.
#[must_use]
pub fn list_devices() -> Vec<InputDeviceInfo> {
    let list = |system| match system {
        System::PulseAudio => pulse::list().unwrap_or_default(),
        System::Alsa => alsa::list(),
        System::Cpal(host) => cpal::list(host),
    };
    systems().into_iter().flat_map(list).collect()
}

/// A sound system of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    /// PipeWire, where it is built in.
    Cpal(HostId),
    PulseAudio,
    Alsa,
}

/// The sound systems of this build, in the order they are asked.
fn systems() -> Vec<System> {
    let ours = [System::PulseAudio, System::Alsa];
    // cpal can do these as well; here only the chimes use it.
    let others = ::cpal::ALL_HOSTS
        .iter()
        .filter(|host| !ours.iter().any(|system| host.to_string().eq_ignore_ascii_case(&system.to_string())));
    others.copied().map(System::Cpal).chain(ours).collect()
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpal(host) => host.fmt(f),
            Self::PulseAudio => f.write_str("PulseAudio"),
            Self::Alsa => f.write_str("ALSA"),
        }
    }
}

/// Why a sound system gave no microphone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has devices, perhaps, and none is called so.
    NotCalledThat {
        /// What they are called.
        there_is: Vec<String>,
    },
    /// It prefers none.
    NoDefault,
    /// It could not.
    Failed {
        /// For people.
        reason: String,
        /// For the machine.
        kind: FaultKind,
    },
}

impl Refusal {
    /// The same, of this place.
    #[must_use]
    pub fn at(self, place: &impl fmt::Display) -> Self {
        match self {
            Self::Failed { reason, kind } => Self::Failed { reason: format!("{reason} ({place})"), kind },
            other @ (Self::NotCalledThat { .. } | Self::NoDefault) => other,
        }
    }

    /// For people.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::NotCalledThat { there_is } if there_is.is_empty() => "it has no input device",
            Self::NotCalledThat { .. } => "no device of that name",
            Self::NoDefault => "it has no default input device",
            Self::Failed { reason, .. } => reason,
        }
    }

    /// For the machine.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::NotCalledThat { .. } | Self::NoDefault => FaultKind::Gone,
            Self::Failed { kind, .. } => *kind,
        }
    }
}

/// A sound system of another machine may claim any rate.
fn believed(format: &Format) -> Result<(), Refusal> {
    if RATES_HZ.contains(&format.rate_hz) {
        return Ok(());
    }
    let reason = format!("{} claims to send {} samples a second", format.device, format.rate_hz);
    Err(Refusal::Failed { reason, kind: FaultKind::Broken })
}

/// The device that is meant, of these names and ids: the one that is called so, or the first of which it is a part.
pub(super) fn pick(wanted: &str, devices: &[(String, String)]) -> Option<usize> {
    let part = wanted.to_lowercase();
    let is = |(name, id): &(String, String)| name == wanted || id == wanted;
    let contains = |(name, id): &(String, String)| {
        name.to_lowercase().contains(&part) || id.to_lowercase().contains(&part)
    };
    devices.iter().position(is).or_else(|| devices.iter().position(contains))
}

/// What all refusals together mean.
fn verdict(wanted: &str, refusals: &[(System, Refusal)]) -> AudioError {
    for (_, refusal) in refusals {
        if let Refusal::NotCalledThat { there_is } = refusal
            && !there_is.is_empty()
        {
            return AudioError::NoSuchDevice { wanted: wanted.to_owned(), there_is: there_is.join(", ") };
        }
    }
    let reasons: Vec<_> =
        refusals.iter().map(|(system, refusal)| format!("{system}: {}", refusal.reason())).collect();
    let reasons = reasons.join("; ");
    let has = |kind| refusals.iter().any(|(_, refusal)| refusal.kind() == kind);
    if has(FaultKind::Denied) {
        return AudioError::Denied { reason: reasons };
    }
    let kind = if has(FaultKind::Busy) { FaultKind::Busy } else { FaultKind::Gone };
    AudioError::NoMicrophone { reasons, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sound_system_is_asked_once_and_alsa_last() {
        let names: Vec<_> = systems().iter().map(|system| system.to_string().to_lowercase()).collect();
        assert!(names.ends_with(&["pulseaudio".to_owned(), "alsa".to_owned()]), "{names:?}");
        let pipewire = names.iter().position(|name| name == "pipewire");
        assert_eq!(pipewire, cfg!(feature = "pipewire").then_some(0), "{names:?}");
        assert_eq!(names.len(), 2 + pipewire.iter().len());
    }

    #[test]
    fn a_device_is_found_by_its_name_its_id_or_a_part_of_either() {
        let devices = [("USB Mic 2", "usb.2"), ("USB Mic", "usb.1"), ("Monitor of Speakers", "out.monitor")]
            .map(|(name, id)| (name.to_owned(), id.to_owned()));
        for (wanted, expected) in [
            ("USB Mic", Some(1)),
            ("usb.1", Some(1)),
            ("usb", Some(0)),
            ("speak", Some(2)),
            ("MONITOR", Some(2)),
            ("webcam", None),
        ] {
            assert_eq!(pick(wanted, &devices), expected, "{wanted}");
        }
    }

    #[test]
    fn a_rate_that_cannot_be_is_no_microphone() {
        for (rate_hz, is_one) in
            [(0, false), (1, false), (999, false), (1_000, true), (48_000, true), (768_001, false)]
        {
            let format = Format { device: "Mic".to_owned(), rate_hz, channels: 1, live: true };
            assert_eq!(believed(&format).is_ok(), is_one, "{rate_hz} Hz");
        }
    }

    #[test]
    fn a_verdict_says_what_helps_most() {
        let pulse = |refusal| (System::PulseAudio, refusal);
        let failed = |kind| pulse(Refusal::Failed { reason: "so".to_owned(), kind });
        let named = pulse(Refusal::NotCalledThat { there_is: vec!["a".to_owned(), "b".to_owned()] });
        let empty = pulse(Refusal::NotCalledThat { there_is: Vec::new() });
        let none = |kind, reasons: &str| AudioError::NoMicrophone { reasons: reasons.to_owned(), kind };
        for (refusals, expected) in [
            (
                vec![failed(FaultKind::Denied), named],
                AudioError::NoSuchDevice { wanted: "x".to_owned(), there_is: "a, b".to_owned() },
            ),
            (
                vec![empty, failed(FaultKind::Denied)],
                AudioError::Denied {
                    reason: "PulseAudio: it has no input device; PulseAudio: so".to_owned(),
                },
            ),
            (
                vec![failed(FaultKind::Gone), failed(FaultKind::Busy)],
                none(FaultKind::Busy, "PulseAudio: so; PulseAudio: so"),
            ),
            (
                vec![pulse(Refusal::NoDefault)],
                none(FaultKind::Gone, "PulseAudio: it has no default input device"),
            ),
        ] {
            assert_eq!(verdict("x", &refusals), expected, "{refusals:?}");
        }
    }
}
