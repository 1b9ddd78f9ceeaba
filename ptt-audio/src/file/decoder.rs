//! Packets of an audio file to samples. Symphonia decodes everything but Opus, for which it knows
//! only the container.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opus_decoder::OpusMultistreamDecoder;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS, CODEC_ID_ALAC, CODEC_ID_MP1, CODEC_ID_MP2,
    CODEC_ID_OPUS, CODEC_ID_SPEEX,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::Packet;

/// The rate that Opus is decoded at.
const OPUS_HZ: u32 = 48_000;

/// The longest packet of Opus: 120 ms.
const OPUS_FRAMES: usize = 5_760;

/// How samples are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Frames per second.
    pub rate_hz: u32,
    /// Samples of a frame.
    pub channels: u16,
}

/// The decoder of one track.
pub struct Decoder {
    parameters: AudioCodecParameters,
    codec: Codec,
}

enum Codec {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<Opus>),
}

impl Decoder {
    /// A decoder for tracks of this kind.
    ///
    /// # Errors
    /// What cannot be decoded.
    pub fn new(parameters: &AudioCodecParameters) -> Result<Self, String> {
        let codec = Codec::new(parameters)?;
        Ok(Self { parameters: parameters.clone(), codec })
    }

    /// Decodes a packet into interleaved samples, in place of what is in `out`.
    ///
    /// # Errors
    /// What is wrong with it. The next one may be right.
    pub fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<Spec, String> {
        self.codec.decode(packet, out).or_else(|first| {
            // In the middle of an MP3 the rate or the channels may change, which takes another
            // decoder.
            let mut fresh = Codec::new(&self.parameters)?;
            let spec = fresh.decode(packet, out).map_err(|_| first)?;
            self.codec = fresh;
            Ok(spec)
        })
    }
}

impl Codec {
    fn new(parameters: &AudioCodecParameters) -> Result<Self, String> {
        if parameters.codec == CODEC_ID_OPUS {
            return Opus::new(parameters.extra_data.as_deref().unwrap_or_default())
                .map(|opus| Self::Opus(Box::new(opus)));
        }
        // Silence before and after what was encoded is left in: where it ends is said by a header
        // that may be wrong.
        let options = AudioDecoderOptions::default().gapless(false);
        let made = symphonia::default::get_codecs().make_audio_decoder(parameters, &options);
        made.map(Self::Symphonia).map_err(|error| match name(parameters.codec) {
            Some(name) => format!("its codec is {name}"),
            None => error.to_string(),
        })
    }

    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<Spec, String> {
        match self {
            Self::Symphonia(decoder) => {
                let audio = decoder.decode(packet).map_err(|error| error.to_string())?;
                let channels = audio.spec().channels().count();
                let channels = u16::try_from(channels).map_err(|_| "it has too many channels")?;
                audio.copy_to_vec_interleaved(out);
                Ok(Spec { rate_hz: audio.spec().rate(), channels })
            }
            Self::Opus(opus) => opus.decode(&packet.data, out),
        }
    }
}

fn name(codec: AudioCodecId) -> Option<&'static str> {
    let names = [
        (CODEC_ID_AAC, "AAC"),
        (CODEC_ID_ALAC, "ALAC"),
        (CODEC_ID_SPEEX, "Speex"),
        (CODEC_ID_MP1, "MPEG audio layer 1"),
        (CODEC_ID_MP2, "MPEG audio layer 2"),
        (CODEC_ID_ADPCM_MS, "Microsoft ADPCM"),
        (CODEC_ID_ADPCM_IMA_WAV, "IMA ADPCM"),
    ];
    names.into_iter().find_map(|(id, name)| (id == codec).then_some(name))
}

struct Opus {
    decoder: OpusMultistreamDecoder,
    channels: u16,
    gain: f32,
}

impl Opus {
    /// A decoder for what an identification header (RFC 7845, section 5.1) tells.
    fn new(head: &[u8]) -> Result<Self, String> {
        let damaged = || "its header of Opus is damaged".to_owned();
        let &[_, _, _, _, _, _, _, _, _, channels, _, _, _, _, _, _, low, high, family, ref table @ ..] =
            head
        else {
            return Err(damaged());
        };
        let ours = [0, 1];
        let (streams, coupled, mapping) = match (family, channels, table) {
            (0, 1 | 2, _) => (1, channels - 1, ours.get(..usize::from(channels))),
            (0, ..) => return Err(damaged()),
            (_, _, &[streams, coupled, ref mapping @ ..]) => {
                (streams, coupled, mapping.get(..usize::from(channels)))
            }
            _ => return Err(damaged()),
        };
        let decoder = OpusMultistreamDecoder::new(
            OPUS_HZ,
            channels.into(),
            streams.into(),
            coupled.into(),
            mapping.ok_or_else(damaged)?,
        );
        let decoder = decoder.map_err(|error| format!("its header of Opus is damaged: {error}"))?;
        let gain = 10.0_f32.powf(f32::from(i16::from_le_bytes([low, high])) / (20.0 * 256.0));
        Ok(Self { decoder, channels: channels.into(), gain })
    }

    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<Spec, String> {
        let channels = usize::from(self.channels);
        out.resize(OPUS_FRAMES * channels, 0.0);
        // Its arithmetic relies on wrapping here and there, which panics in a build that checks for
        // overflows.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decoder.decode_float(packet, out, false)));
        let frames = match decoded.map(|decoded| decoded.map_err(|error| error.to_string())) {
            Ok(Ok(frames)) => frames,
            failed => {
                out.clear();
                return Err(failed
                    .ok()
                    .and_then(Result::err)
                    .unwrap_or_else(|| "its decoder failed".to_owned()));
            }
        };
        out.truncate(frames * channels);
        out.iter_mut().for_each(|sample| *sample *= self.gain);
        Ok(Spec { rate_hz: OPUS_HZ, channels: self.channels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of a real voice, from a file whose pages have a checksum that hides damage from the
    /// decoder otherwise.
    fn packets() -> Vec<Vec<u8>> {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/opus.ogg")).unwrap();
        let (mut packets, mut rest) = (Vec::new(), &file[..]);
        while let [b'O', b'g', b'g', b'S', ..] = rest {
            let lengths = &rest[27..27 + usize::from(rest[26])];
            let mut body = &rest[27 + lengths.len()..];
            for length in lengths {
                packets.push(body[..usize::from(*length)].to_vec());
                body = &body[usize::from(*length)..];
            }
            rest = body;
        }
        packets.drain(..2);
        packets
    }

    fn head(channels: u8, family: u8, table: &[u8]) -> Vec<u8> {
        [&b"OpusHead"[..], &[1, channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, family], table].concat()
    }

    #[test]
    fn damaged_packets_of_opus_are_errors_or_noise() {
        let seed =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        println!("seed {seed}");
        let mut state = seed | 1;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut out = Vec::new();
        let whole = packets();
        let mut decoder = Opus::new(&head(2, 0, &[])).unwrap();
        for _ in 0..6_000 {
            let mut packet = whole[random(whole.len())].clone();
            for _ in 0..random(6) {
                let at = random(packet.len());
                packet[at] = random(256) as u8;
            }
            packet.truncate(1 + random(packet.len()));
            if random(10) == 0 {
                packet = (0..random(400)).map(|_| random(256) as u8).collect();
            }
            if decoder.decode(&packet, &mut out).is_ok() {
                assert!(out.iter().all(|sample| sample.is_finite()));
            }
        }
        let mut decoder = Opus::new(&head(1, 0, &[])).unwrap();
        let spec = decoder.decode(&whole[20], &mut out).unwrap();
        assert_eq!((spec, out.len()), (Spec { rate_hz: 48_000, channels: 1 }, 960));
    }

    #[test]
    fn a_header_of_opus_that_cannot_be_is_refused() {
        for (head, good) in [
            (head(1, 0, &[]), true),
            (head(2, 0, &[]), true),
            (head(0, 0, &[]), false),
            (head(3, 0, &[]), false),
            (head(3, 1, &[2, 1, 0, 2, 1]), true),
            (head(3, 1, &[2, 1, 0, 2]), false),
            (head(2, 1, &[0, 0, 0, 1]), false),
            (head(2, 1, &[1, 2, 0, 1]), false),
            (head(2, 1, &[1, 1, 0, 9]), false),
            (b"OpusHead".to_vec(), false),
            (Vec::new(), false),
        ] {
            assert_eq!(Opus::new(&head).is_ok(), good, "{head:?}");
        }
    }
}
