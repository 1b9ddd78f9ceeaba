//! The thread that hears a record stream. It copies audio into the hand-over and flags the stream's end; it neither
//! allocates nor locks nor logs for a block.
//!
//! A server delivers in crumbs, hundreds a second. In a take each is read as it comes; between takes the thread naps after
//! each reading, and what has come meanwhile waits in the socket. A take begins with a place in what was heard before the
//! press, so nobody waits for the nap to end.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, Thread};
use std::time::Duration;

use ptt_messages::Moment;
use pulseaudio::protocol::{Command, GetSourceInfo, PulseError, encode_command_message};

use super::client::{Client, receive};
use super::packets::{Packets, Piece};
use crate::error::AudioError;
use crate::ring::{Feed, Loss};
use crate::source::{Cue, Stream};

/// Bytes of a sample: the server converts whatever the device has.
pub const SAMPLE: usize = size_of::<f32>();

/// The number of our question whether the device that the stream was moved from is still there.
const STILL_THERE: u32 = 1 << 31;

/// How long the thread naps. Far less than the server and the socket hold.
const NAP: Duration = Duration::from_millis(50);

/// A stream that is heard. Dropping it hangs up, which ends the thread; a server that is frozen is not waited for.
#[derive(Debug)]
pub struct Heard {
    socket: Arc<UnixStream>,
    in_take: Arc<AtomicBool>,
    thread: Thread,
}

impl Heard {
    /// Starts to hear the stream `channel`, which is on the source number `device`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(client: Client, channel: u32, device: u32, feed: Feed) -> std::io::Result<Self> {
        let Client { socket, packets, version, .. } = client;
        socket.set_read_timeout(None)?;
        let (socket, in_take) = (Arc::new(socket), Arc::new(AtomicBool::new(false)));
        let mut line = Line {
            channel,
            device,
            version,
            feed,
            in_take: Arc::clone(&in_take),
            next: None,
            read: None,
            catching_up: None,
        };
        let ours = Arc::clone(&socket);
        let thread = thread::Builder::new()
            .name("ptt-pulse".to_owned())
            .spawn(move || line.listen(&ours, packets))?
            .thread()
            .clone();
        Ok(Self { socket, in_take, thread })
    }
}

impl Stream for Heard {
    fn take_begins(&mut self, _press: Moment) -> Result<Cue, AudioError> {
        self.in_take.store(true, Relaxed);
        self.thread.unpark();
        Ok(Cue::Live)
    }

    fn take_ends(&mut self) {
        self.in_take.store(false, Relaxed);
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        // It fails when the server has hung up first.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.thread.unpark();
    }
}

struct Line {
    channel: u32,
    /// The source that the stream is on.
    device: u32,
    version: u16,
    feed: Feed,
    in_take: Arc<AtomicBool>,
    /// When the socket was last empty, and so the latest at which the next sample was captured: what comes late, because we
    /// napped or were stopped, is as old as it is.
    next: Option<Moment>,
    /// When we last read.
    read: Option<Moment>,
    /// We stood still for so long that the socket was full, and until then the server may send what it kept meanwhile.
    catching_up: Option<Moment>,
}

/// A nap is shorter than this.
const STOOD_STILL: Duration = Duration::from_millis(200);
/// So long it is not known whether we or the server stood still.
const DOUBT: Duration = Duration::from_millis(30);
/// What a server kept comes within this; what has not come by then was lost.
const CATCHES_UP: Duration = Duration::from_secs(1);
/// Who is no further behind is not behind.
const CAUGHT_UP: Duration = Duration::from_millis(30);

impl Line {
    fn listen(&mut self, socket: &UnixStream, mut packets: Packets) {
        let mut more = true;
        let loss = loop {
            match self.hear(socket, &mut packets, more, Moment::now()) {
                // Not before the first audio, for which somebody may wait.
                Ok(true) if !more && !self.in_take.load(Relaxed) => thread::park_timeout(NAP),
                Ok(_) => {}
                Err(loss) => break loss,
            }
            match receive(socket, &mut packets) {
                Ok(full) => more = full,
                Err(_) => break Loss::ServerGone,
            }
        };
        self.feed.tally().lose(loss);
        self.feed.wake().unpark();
        let _ = socket.shutdown(Shutdown::Both);
    }

    /// Hands over what has come by `now`, of which `more` may wait in the socket. Says whether any of it was audio.
    fn hear(
        &mut self,
        socket: &UnixStream,
        packets: &mut Packets,
        more: bool,
        now: Moment,
    ) -> Result<bool, Loss> {
        let mut audio = false;
        if self.read.replace(now).is_some_and(|before| now.since(before) > STOOD_STILL) {
            self.catching_up = Some(now + DOUBT);
        }
        // After a pause of ours the socket is full, perhaps behind what was read before it; after one
        // of the server's there is little to read.
        if more && let Some(until) = &mut self.catching_up {
            *until = now + CATCHES_UP;
        }
        while let Some(piece) = packets.next().map_err(|_| Loss::Broken)? {
            match piece {
                Piece::Audio { channel, bytes } if channel == self.channel => {
                    let (samples, _) = bytes.as_chunks::<SAMPLE>();
                    let length = self.feed.length(samples.len());
                    // It is as old as it is long, at least; asking the server for more would cost more than it tells.
                    let latest = now - length;
                    let captured = self.next.map_or(latest, |next| next.min(latest));
                    self.feed.store(now, captured, samples, f32::from_le_bytes);
                    self.next = Some(captured + length);
                    audio = true;
                }
                Piece::Audio { .. } => {}
                Piece::Command(bytes) => self.obey(socket, bytes)?,
            }
        }
        let behind = |next: Moment| now.since(next) > CAUGHT_UP;
        self.catching_up = self.catching_up.filter(|until| now < *until && self.next.is_some_and(behind));
        if !more && self.catching_up.is_none() {
            self.next = Some(now);
        }
        self.feed.tell();
        Ok(audio)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "of the server's hundred commands few are about us")]
    fn obey(&mut self, mut socket: &UnixStream, mut bytes: &[u8]) -> Result<(), Loss> {
        let Ok((number, command)) = Command::read_tag_prefixed(&mut bytes, self.version) else {
            return Ok(());
        };
        let tally = self.feed.tally();
        match command {
            Command::RecordStreamKilled(channel) if channel == self.channel => Err(Loss::Gone),
            Command::RecordStreamMoved(moved) if moved.stream_index == self.channel => {
                // The server goes on sending in the format that was agreed on. A device that
                // vanished is lost, though another one was put in its place; one that is still
                // there was given up by the user.
                tally.move_on();
                let left = std::mem::replace(&mut self.device, moved.device_index);
                let question = Command::GetSourceInfo(GetSourceInfo { index: Some(left), name: None });
                let mut request = Vec::new();
                encode_command_message(&mut request, STILL_THERE, &question, self.version)
                    .map_err(|_| Loss::Broken)?;
                socket.write_all(&request).map_err(|_| Loss::ServerGone)?;
                self.feed.wake().unpark();
                Ok(())
            }
            Command::Error(PulseError::NoEntity) if number == STILL_THERE => Err(Loss::Gone),
            Command::Overflow(channel) if channel == self.channel => {
                tally.xruns.fetch_add(1, Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use assert_no_alloc::assert_no_alloc;
    use pulseaudio::protocol::stream::BufferAttr;
    use pulseaudio::protocol::{DESCRIPTOR_SIZE, MAX_VERSION, RecordStreamMovedParams, write_memblock};
    use std::io::Read as _;

    use super::*;
    use crate::ring::{Drain, hand_over};

    const CHANNEL: u32 = 3;
    const DEVICE: u32 = 7;

    fn line() -> (Line, Packets, Drain) {
        let (feed, drain) = hand_over(48_000, 2, thread::current());
        let mut packets = Packets::default();
        packets.set_frame(2 * SAMPLE);
        (
            Line {
                channel: CHANNEL,
                device: DEVICE,
                version: MAX_VERSION,
                feed,
                in_take: Arc::default(),
                next: None,
                read: None,
                catching_up: None,
            },
            packets,
            drain,
        )
    }

    fn put(packets: &mut Packets, bytes: &[u8]) {
        packets.space()[..bytes.len()].copy_from_slice(bytes);
        packets.received(bytes.len());
    }

    #[test]
    fn a_block_is_handed_over_without_an_allocation() {
        let (mut line, mut packets, mut drain) = line();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let samples: Vec<f32> = (0..960).map(|n| n as f32 / 960.0).collect();
        let body: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut block = Vec::new();
        // Of another stream: not ours.
        write_memblock(&mut block, CHANNEL + 1, &body[..80], 0).unwrap();
        write_memblock(&mut block, CHANNEL, &body, 0).unwrap();
        for _ in 0..1_000 {
            let mut heard = Vec::with_capacity(samples.len());
            // However the kernel cuts it.
            for part in block.chunks(1_001) {
                assert_no_alloc(|| {
                    put(&mut packets, part);
                    line.hear(&ours, &mut packets, false, Moment::now()).unwrap();
                });
            }
            while let Some((_, got)) = drain.next() {
                heard.extend_from_slice(got);
            }
            assert_eq!(heard, samples);
        }
    }

    #[test]
    fn what_waited_while_we_stood_still_is_as_old_as_it_is() {
        let (mut line, mut packets, mut drain) = line();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut captured = Vec::new();
        // A block of 10 ms in time; then we stand still for 0.3 s. The socket had room for two thirds of it, in two readings;
        // the server sends the rest once there is room again, and we are in time again.
        // What was read before it is looked at after it only.
        for (now_ms, blocks, more) in [
            (5_000, 1, false),
            (5_300, 0, false),
            (5_300, 5, true),
            (5_300, 5, true),
            (5_300, 5, true),
            (5_301, 5, false),
            (5_303, 5, true),
            (5_303, 5, false),
            (5_310, 1, false),
            (5_320, 1, false),
        ] {
            for _ in 0..blocks {
                let mut block = Vec::new();
                write_memblock(&mut block, CHANNEL, &[0; 960 * SAMPLE], 0).unwrap();
                put(&mut packets, &block);
            }
            line.hear(&ours, &mut packets, more, Moment::from_millis(now_ms)).unwrap();
            while let Some((block, _)) = drain.next() {
                captured.push(block.captured);
            }
        }
        let in_a_row: Vec<Moment> = (0..31).map(|block| Moment::from_millis(4_990 + 10 * block)).collect();
        assert_eq!(captured[..31], in_a_row);
        assert_eq!(captured[31..], [5_300, 5_310].map(Moment::from_millis));
    }

    #[test]
    fn what_the_server_lost_while_we_stood_still_does_not_come_late_for_ever() {
        let (mut line, mut packets, mut drain) = line();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut captured = Moment::default();
        for now_ms in [5_000, 6_000].into_iter().chain((6_010..7_050).step_by(10)) {
            let mut block = Vec::new();
            write_memblock(&mut block, CHANNEL, &[0; 960 * SAMPLE], 0).unwrap();
            put(&mut packets, &block);
            line.hear(&ours, &mut packets, false, Moment::from_millis(now_ms)).unwrap();
            while let Some((block, _)) = drain.next() {
                captured = block.captured;
            }
        }
        assert_eq!(captured, Moment::from_millis(7_030));
    }

    #[test]
    fn what_comes_after_a_pause_of_the_server_is_new() {
        let (mut line, mut packets, mut drain) = line();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut captured = Vec::new();
        for now_ms in [5_000].into_iter().chain((8_000..8_060).step_by(10)) {
            let mut block = Vec::new();
            write_memblock(&mut block, CHANNEL, &[0; 960 * SAMPLE], 0).unwrap();
            put(&mut packets, &block);
            line.hear(&ours, &mut packets, false, Moment::from_millis(now_ms)).unwrap();
            while let Some((block, _)) = drain.next() {
                captured.push(block.captured);
            }
        }
        // The first of them may have been on their way when the pause began.
        assert_eq!(captured.last(), Some(&Moment::from_millis(8_040)));
    }

    #[test]
    fn what_the_server_tells_of_our_stream_is_obeyed() {
        for (command, loss, xruns) in [
            (Command::RecordStreamKilled(CHANNEL), Some(Loss::Gone), 0),
            (Command::RecordStreamKilled(CHANNEL + 1), None, 0),
            (moved(CHANNEL + 1, DEVICE + 1), None, 0),
            (Command::Overflow(CHANNEL), None, 1),
        ] {
            let (mut line, mut packets, drain) = line();
            let (ours, _theirs) = UnixStream::pair().unwrap();
            tell(&mut packets, u32::MAX, &command);
            assert_eq!(line.hear(&ours, &mut packets, false, Moment::now()).err(), loss, "{command:?}");
            let tally = drain.tally();
            assert_eq!((tally.elsewhere(), tally.xruns.load(Relaxed)), (false, xruns), "{command:?}");
        }
    }

    #[test]
    fn a_stream_that_was_moved_goes_on_unless_its_device_has_vanished() {
        let refused = Command::Error(PulseError::NoEntity);
        for (number, answer, loss) in [
            (STILL_THERE, Command::Reply, None),
            (STILL_THERE, Command::Error(PulseError::Internal), None),
            (STILL_THERE + 1, refused.clone(), None),
            (STILL_THERE, refused, Some(Loss::Gone)),
        ] {
            let (mut line, mut packets, mut drain) = line();
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut asked = vec![0; 1_000];
            for (left, now_on) in [(DEVICE, 9), (9, 10)] {
                tell(&mut packets, u32::MAX, &moved(CHANNEL, now_on));
                line.hear(&ours, &mut packets, false, Moment::now()).unwrap();
                let length = theirs.read(&mut asked).unwrap();
                let mut question = &asked[DESCRIPTOR_SIZE..length];
                let question = Command::read_tag_prefixed(&mut question, MAX_VERSION).unwrap();
                let expected = GetSourceInfo { index: Some(left), name: None };
                assert_eq!(question, (STILL_THERE, Command::GetSourceInfo(expected)));
            }
            let tally = drain.tally();
            assert_eq!((tally.elsewhere(), tally.moved.load(Relaxed)), (true, 2));
            let mut block = Vec::new();
            write_memblock(&mut block, CHANNEL, &[0; 2 * SAMPLE], 0).unwrap();
            put(&mut packets, &block);
            tell(&mut packets, number, &answer);
            assert_eq!(line.hear(&ours, &mut packets, false, Moment::now()).err(), loss, "{answer:?}");
            assert!(drain.next().is_some(), "what the other device hears is taken");
        }
    }

    fn moved(channel: u32, device_index: u32) -> Command {
        Command::RecordStreamMoved(RecordStreamMovedParams {
            stream_index: channel,
            device_index,
            device_name: c"other".to_owned(),
            device_suspended: false,
            buffer_attr: BufferAttr::default(),
            configured_source_latency: 0,
        })
    }

    fn tell(packets: &mut Packets, number: u32, command: &Command) {
        let mut bytes = Vec::new();
        encode_command_message(&mut bytes, number, command, MAX_VERSION).unwrap();
        put(packets, &bytes);
    }

    #[test]
    fn the_end_of_either_side_ends_the_thread() {
        for hang_up in [true, false] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (feed, drain) = hand_over(48_000, 2, thread::current());
            let heard = Heard::start(Client::over(ours), CHANNEL, DEVICE, feed).unwrap();
            let _other = if hang_up {
                drop(theirs);
                (Some(heard), None)
            } else {
                drop(heard);
                (None, Some(theirs))
            };
            while drain.tally().lost().is_none() {
                thread::park();
            }
            assert_eq!(drain.tally().lost(), Some(Loss::ServerGone));
        }
    }
}
