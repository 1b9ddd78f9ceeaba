//! What a PulseAudio server sends, cut into packets. Pure: who reads the bytes and what a command means is elsewhere.
//!
//! Audio is given out in whole frames as it comes, so a packet of any length passes through a small buffer. A command is
//! given out when it is complete; only for one that is longer than the buffer does the buffer grow.

use std::ops::Range;

use pulseaudio::protocol::{DESCRIPTOR_SIZE, Descriptor, ProtocolError, read_descriptor};

/// Bytes that are read at once: 80 ms of stereo at 48 kHz.
const BUFFER: usize = 32 << 10;

/// No server has that much to say, even of a hundred sources.
const LONGEST_COMMAND: usize = 1 << 20;

/// A command comes on no stream's channel but this one.
const COMMANDS: u32 = u32::MAX;

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Whole frames of the stream `channel`.
    Audio {
        /// Which stream.
        channel: u32,
        /// As the server sent them.
        bytes: &'a [u8],
    },
    /// A command or a reply, complete.
    Command(&'a [u8]),
}

/// The bytes of a connection that were received and not looked at yet.
#[derive(Debug)]
pub struct Packets {
    buffer: Vec<u8>,
    unread: Range<usize>,
    packet: Option<Packet>,
    frame: usize,
}

/// A packet whose header was read.
#[derive(Clone, Copy, Debug)]
struct Packet {
    channel: u32,
    left: usize,
}

impl Default for Packets {
    fn default() -> Self {
        Self { buffer: vec![0; BUFFER], unread: 0..0, packet: None, frame: 1 }
    }
}

impl Packets {
    /// From now on audio has frames of so many bytes.
    pub fn set_frame(&mut self, bytes: usize) {
        self.frame = bytes.max(1);
    }

    /// Where the next bytes go; never empty after [`Packets::next`] had nothing more.
    pub fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if let Some(packet) = self.packet
            && packet.channel == COMMANDS
            && packet.left > self.buffer.len()
        {
            self.buffer.resize(packet.left, 0);
        }
        self.buffer.get_mut(self.unread.end..).unwrap_or_default()
    }

    /// So many bytes were put into [`Packets::space`].
    pub fn received(&mut self, bytes: usize) {
        self.unread.end = (self.unread.end + bytes).min(self.buffer.len());
    }

    /// The next piece, if there is one. Does not allocate.
    ///
    /// # Errors
    /// When this is no PulseAudio server, or one that does not keep to what was agreed.
    pub fn next(&mut self) -> Result<Option<Piece<'_>>, ProtocolError> {
        loop {
            let Some(Packet { channel, left }) = self.packet else {
                let Some(mut header) = self.here().get(..DESCRIPTOR_SIZE) else { return Ok(None) };
                self.packet = Some(Packet::parse(read_descriptor(&mut header)?)?);
                self.unread.start += DESCRIPTOR_SIZE;
                continue;
            };
            let here = self.unread.len().min(left);
            if channel == COMMANDS {
                return Ok((here == left).then(|| Piece::Command(self.take(left))));
            }
            let frame = self.frame;
            match here - here % frame {
                // The rest of a packet that is no frame is nothing.
                0 if here == left => drop(self.take(left)),
                0 => return Ok(None),
                whole => return Ok(Some(Piece::Audio { channel, bytes: self.take(whole) })),
            }
        }
    }

    fn here(&self) -> &[u8] {
        self.buffer.get(self.unread.clone()).unwrap_or_default()
    }

    /// Takes bytes of the packet, which are all here.
    fn take(&mut self, bytes: usize) -> &[u8] {
        self.packet = self
            .packet
            .map(|packet| Packet { left: packet.left - bytes, ..packet })
            .filter(|packet| packet.left > 0);
        let taken = self.unread.start..self.unread.start + bytes;
        self.unread.start = taken.end;
        self.buffer.get(taken).unwrap_or_default()
    }
}

impl Packet {
    fn parse(header: Descriptor) -> Result<Self, ProtocolError> {
        let left = header.length as usize;
        if !header.flags.is_empty() {
            return Err(ProtocolError::Invalid("shared memory, which was not agreed on".to_owned()));
        }
        if header.channel == COMMANDS && left > LONGEST_COMMAND {
            return Err(ProtocolError::Invalid(format!("a command of {left} bytes")));
        }
        Ok(Self { channel: header.channel, left })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulseaudio::protocol::{DescriptorFlags, write_descriptor};

    use super::*;

    fn packet(channel: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let flags = DescriptorFlags::empty();
        write_descriptor(&mut bytes, &Descriptor { length: body.len() as u32, channel, offset: 0, flags })
            .unwrap();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Receives `bytes` in portions of at most `portion`, and joins what comes out.
    fn received(packets: &mut Packets, mut bytes: &[u8], portion: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut audio, mut commands) = (Vec::new(), Vec::new());
        let frame = packets.frame;
        while !bytes.is_empty() {
            let space = packets.space();
            assert!(!space.is_empty());
            let read = bytes.len().min(portion).min(space.len());
            space[..read].copy_from_slice(&bytes[..read]);
            packets.received(read);
            bytes = &bytes[read..];
            while let Some(piece) = packets.next().unwrap() {
                match piece {
                    Piece::Audio { channel, bytes } => {
                        assert_eq!((channel, bytes.len() % frame), (7, 0));
                        audio.extend_from_slice(bytes);
                    }
                    Piece::Command(bytes) => commands.push(bytes.to_vec()),
                }
            }
        }
        (audio, commands)
    }

    #[test]
    fn the_rest_of_a_packet_that_is_no_frame_is_left_out() {
        let mut packets = Packets::default();
        packets.set_frame(4);
        let bytes = [packet(7, &[1; 10]), packet(7, &[]), packet(7, &[2; 3]), packet(7, &[3; 4])].concat();
        assert_eq!(received(&mut packets, &bytes, 5).0, [vec![1; 8], vec![3; 4]].concat());
    }

    #[test]
    fn what_was_not_agreed_on_is_refused() {
        let shared = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0];
        let endless = [&[0x7f; 4][..], &[0xff; 4], &[0; 12]].concat();
        for header in [&shared[..], &endless] {
            let mut packets = Packets::default();
            packets.space()[..header.len()].copy_from_slice(header);
            packets.received(header.len());
            assert!(packets.next().is_err(), "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn however_the_bytes_come_they_come_out_whole(
            frame in 1usize..9,
            portion in 1usize..40_000,
            bodies in prop::collection::vec((any::<bool>(), 0usize..3_000, any::<u8>()), 1..40),
            long in 0usize..200_000,
        ) {
            let mut packets = Packets::default();
            packets.set_frame(frame);
            let (mut bytes, mut audio, mut commands) = (Vec::new(), Vec::new(), Vec::new());
            for (is_audio, size, fill) in bodies {
                let body = vec![fill; size * frame];
                bytes.extend(packet(if is_audio { 7 } else { COMMANDS }, &body));
                if is_audio { audio.extend(body) } else { commands.push(body) }
            }
            let body = vec![9; long];
            bytes.extend(packet(COMMANDS, &body));
            commands.push(body);
            let got = received(&mut packets, &bytes, portion);
            prop_assert_eq!(got, (audio, commands));
        }
    }
}
