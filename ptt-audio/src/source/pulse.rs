//! Microphones of a PulseAudio server, or of PipeWire's, which speaks the same protocol: our own client over the protocol
//! half of the crate `pulseaudio` (docs/adr/0004 says why).
//!
//! *Which one.* A named microphone is held fast: when it vanishes the server must end the stream, not listen somewhere
//! else. `default` is the server's choice, so that a user who chooses another microphone there is
//! heard through it. When the server moves the stream, a take goes on with it; between takes it is
//! opened again, in the other device's own format, which the recorder tells as a fresh `Opened`.
//! That the old device has vanished ends the stream.
//!
//! *How much.* Blocks of `audio.block_ms`, and room for seconds of them in the server, so that nothing is lost while this
//! process does not run.

mod client;
mod packets;
mod server;
mod stream;

use std::ffi::CStr;
use std::io;
use std::thread::Thread;

use ptt_messages::FaultKind;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{
    Command, CreateRecordStreamReply, DEFAULT_SOURCE, GetSourceInfo, MAX_MEMBLOCKQ_LENGTH, Prop, Props,
    ProtocolError, PulseError, RecordStreamParams, SampleFormat, SampleSpec, SourceInfo, SourceInfoList,
};

use self::client::Client;
use self::server::{addresses, cookie};
use self::stream::{Heard, SAMPLE};
use super::microphone::{DEFAULT, InputDeviceInfo, Refusal, pick};
use crate::ring::hand_over;
use crate::source::{Format, Opened};

/// Audio the server keeps while we do not run; as much as the hand-over holds.
const SECONDS: usize = 4;

/// Opens a microphone.
///
/// # Errors
/// Why the server gave none.
pub(super) fn open(wanted: &str, block_ms: u32, wake: &Thread) -> Result<Opened, Refusal> {
    let mut client = connect()?;
    let source = find(&mut client, wanted)?;
    let params = params(&source, wanted != DEFAULT, block_ms);
    let stream: CreateRecordStreamReply = client.request(&Command::CreateRecordStream(params))?;
    let SampleSpec { format, channels, sample_rate: rate_hz } = stream.sample_spec;
    if format != SampleFormat::Float32Le || channels == 0 {
        return Err(Refusal::Failed { reason: format!("it sends {format:?}"), kind: FaultKind::Broken });
    }
    // Where the user once put this program's stream it is put again, whatever the default is.
    let source = if stream.sink_index == source.index {
        source
    } else {
        client
            .request(&Command::GetSourceInfo(GetSourceInfo { index: Some(stream.sink_index), name: None }))?
    };
    client.packets.set_frame(usize::from(channels) * SAMPLE);
    let channels = u16::from(channels);
    let (feed, drain) = hand_over(rate_hz, channels, wake.clone());
    let heard = Heard::start(client, stream.channel, stream.sink_index, feed)
        .map_err(|error| Refusal::Failed { reason: error.to_string(), kind: FaultKind::Broken })?;
    let format = Format { device: name(&source), rate_hz, channels, live: true };
    tracing::debug!(bytes = stream.buffer_attr.fragment_size, "block size");
    Ok(Opened { stream: Box::new(heard), drain, format })
}

/// The microphones of the server, for people.
///
/// # Errors
/// When there is no server.
pub(super) fn list() -> Result<Vec<InputDeviceInfo>, Refusal> {
    let mut client = connect()?;
    let default = find(&mut client, DEFAULT).ok().map(|source| source.index);
    let sources = sources(&mut client)?;
    Ok(sources
        .iter()
        .map(|source| {
            let SampleSpec { format, channels, sample_rate } = source.sample_spec;
            let samples = format!("{format:?}").to_lowercase();
            InputDeviceInfo {
                host: "PulseAudio".to_owned(),
                name: name(source),
                id: text(&source.name),
                is_default: Some(source.index) == default,
                format: Some(format!("{sample_rate} Hz, {channels} channels, {samples}")),
            }
        })
        .collect())
}

fn connect() -> Result<Client, Refusal> {
    let env = ptt_dirs::variable;
    let mut refusal = Refusal::Failed { reason: "it does not run".to_owned(), kind: FaultKind::Gone };
    for address in addresses(env) {
        match Client::connect(&address, cookie(env, |file| std::fs::read(file).ok())) {
            Ok(client) => return Ok(client),
            Err(error) => refusal = Refusal::from(error).at(&address),
        }
    }
    Err(refusal)
}

fn find(client: &mut Client, wanted: &str) -> Result<SourceInfo, Refusal> {
    if wanted == DEFAULT {
        let default = GetSourceInfo { index: None, name: Some(DEFAULT_SOURCE.to_owned()) };
        return match client.request(&Command::GetSourceInfo(default)) {
            Err(ProtocolError::ServerError(PulseError::NoEntity)) => Err(Refusal::NoDefault),
            other => Ok(other?),
        };
    }
    let mut sources = sources(client)?;
    let names: Vec<_> = sources.iter().map(|source| (name(source), text(&source.name))).collect();
    match pick(wanted, &names) {
        Some(best) => Ok(sources.swap_remove(best)),
        None => Err(Refusal::NotCalledThat { there_is: names.into_iter().map(|(name, _)| name).collect() }),
    }
}

/// What can be recorded from, real microphones before what only listens to the speakers.
fn sources(client: &mut Client) -> Result<Vec<SourceInfo>, ProtocolError> {
    let mut sources: SourceInfoList = client.request(&Command::GetSourceInfoList)?;
    sources.sort_by_key(|source| source.monitor_of_sink_index.is_some());
    Ok(sources)
}

fn params(source: &SourceInfo, named: bool, block_ms: u32) -> RecordStreamParams {
    let SampleSpec { channels, sample_rate, .. } = source.sample_spec;
    let frame = usize::from(channels) * SAMPLE;
    let bytes = |millis: usize| {
        let frames = (sample_rate as usize * millis / 1_000).max(1);
        (frames * frame).min(MAX_MEMBLOCKQ_LENGTH / frame * frame) as u32
    };
    let mut props = Props::new();
    props.set(Prop::MediaName, c"push-to-talk");
    RecordStreamParams {
        sample_spec: SampleSpec { format: SampleFormat::Float32Le, channels, sample_rate },
        channel_map: source.channel_map,
        source_index: named.then_some(source.index),
        buffer_attr: BufferAttr {
            max_length: bytes(SECONDS * 1_000),
            fragment_size: bytes(block_ms as usize),
            ..BufferAttr::default()
        },
        flags: StreamFlags { no_move: named, adjust_latency: true, ..StreamFlags::default() },
        props,
        ..RecordStreamParams::default()
    }
}

fn name(source: &SourceInfo) -> String {
    text(source.description.as_ref().unwrap_or(&source.name))
}

fn text(text: &CStr) -> String {
    text.to_string_lossy().into_owned()
}

impl From<ProtocolError> for Refusal {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the system's errors are many, and few need words of ours"
    )]
    fn from(error: ProtocolError) -> Self {
        use io::ErrorKind as Io;
        let failed = |reason: &str, kind| Self::Failed { reason: reason.to_owned(), kind };
        match error {
            ProtocolError::ServerError(PulseError::AccessDenied | PulseError::AuthKey) => {
                failed("the server does not let us in", FaultKind::Denied)
            }
            ProtocolError::ServerError(PulseError::Busy) => failed("the device is in use", FaultKind::Busy),
            ProtocolError::ServerError(error) => failed(&error.to_string(), FaultKind::Gone),
            ProtocolError::Io(error) => match error.kind() {
                Io::NotFound | Io::ConnectionRefused => failed("no server there", FaultKind::Gone),
                Io::WouldBlock | Io::TimedOut => failed("the server does not answer", FaultKind::Timeout),
                Io::UnexpectedEof => failed("the server hung up", FaultKind::Gone),
                Io::PermissionDenied => failed("the server belongs to somebody else", FaultKind::Denied),
                _ => failed(&error.to_string(), FaultKind::Gone),
            },
            ProtocolError::UnsupportedVersion(_)
            | ProtocolError::UnexpectedCommand(_)
            | ProtocolError::Invalid(_)
            | ProtocolError::Unimplemented(..)
            | ProtocolError::Timeout => failed(&error.to_string(), FaultKind::Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_microphone_is_held_fast_and_the_default_is_the_servers() {
        let spec = SampleSpec { format: SampleFormat::S16Le, channels: 2, sample_rate: 44_100 };
        let source = SourceInfo { index: 5, sample_spec: spec, ..SourceInfo::default() };
        let [named, default] = [true, false].map(|named| params(&source, named, 10));
        assert_eq!((named.source_index, named.flags.no_move), (Some(5), true));
        assert_eq!(
            (default.source_index, default.source_name.clone(), default.flags.no_move),
            (None, None, false)
        );
        for params in [named, default] {
            assert_eq!(params.buffer_attr.fragment_size, 441 * 8);
            assert_eq!(params.buffer_attr.max_length, 4 * 44_100 * 8);
            assert_eq!(params.sample_spec, SampleSpec { format: SampleFormat::Float32Le, ..spec });
        }
        // A studio's interface: what the protocol allows, in whole frames.
        let many = SampleSpec { format: SampleFormat::S32Le, channels: 18, sample_rate: 192_000 };
        let wide = params(&SourceInfo { sample_spec: many, ..SourceInfo::default() }, true, 10);
        assert_eq!(wide.buffer_attr.max_length as usize, MAX_MEMBLOCKQ_LENGTH / 72 * 72);
    }
}
