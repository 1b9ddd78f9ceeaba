//! A conversation with a PulseAudio server: one request, one answer. Nobody else uses the connection meanwhile.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use pulseaudio::protocol::{
    AuthParams, AuthReply, Command, CommandReply, MAX_VERSION, MIN_VERSION, Prop, Props, ProtocolError,
    SetClientNameReply, TagStructReader, encode_command_message,
};

use super::packets::{Packets, Piece};
use super::server::Address;

/// How long a server may take to do anything. A frozen one takes for ever.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server that has let us in.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub socket: UnixStream,
    /// What was received and not asked for.
    pub packets: Packets,
    /// The protocol that both sides know.
    pub version: u16,
    requests: u32,
}

impl Client {
    /// Connects and introduces us. Takes a few seconds at most, as does each request.
    ///
    /// # Errors
    /// When there is no server, or it does not answer, or does not let us in.
    pub fn connect(address: &Address, cookie: Vec<u8>) -> Result<Self, ProtocolError> {
        let mut client = Self::over(address.connect(PATIENCE)?);
        let auth = AuthParams { version: MAX_VERSION, supports_shm: false, supports_memfd: false, cookie };
        let reply: AuthReply = client.request(&Command::Auth(auth))?;
        if reply.version < MIN_VERSION {
            return Err(ProtocolError::UnsupportedVersion(reply.version));
        }
        client.version = reply.version.min(MAX_VERSION);
        let mut us = Props::new();
        us.set(Prop::ApplicationName, c"ptt-app");
        us.set(Prop::ApplicationProcessId, CString::new(std::process::id().to_string()).unwrap_or_default());
        let _: SetClientNameReply = client.request(&Command::SetClientName(us))?;
        Ok(client)
    }

    /// Over a connection on which nothing was said yet.
    pub fn over(socket: UnixStream) -> Self {
        Self { socket, packets: Packets::default(), version: MAX_VERSION, requests: 0 }
    }

    /// Asks for something and waits for the answer. What else comes meanwhile is left out.
    ///
    /// # Errors
    /// The server's refusal, or what is wrong with the connection.
    pub fn request<T: CommandReply>(&mut self, command: &Command) -> Result<T, ProtocolError> {
        let request = self.requests;
        self.requests += 1;
        let mut bytes = Vec::new();
        encode_command_message(&mut bytes, request, command, self.version)?;
        self.socket.write_all(&bytes)?;
        loop {
            while let Some(piece) = self.packets.next()? {
                let Piece::Command(mut bytes) = piece else { continue };
                // An event that nobody knows is none of our business either.
                let Ok((to, answer)) = Command::read_tag_prefixed(&mut bytes, self.version) else { continue };
                if to == request && answer == Command::Reply {
                    return TagStructReader::new(&mut bytes, self.version).read();
                }
                if let Command::Error(error) = answer
                    && to == request
                {
                    return Err(ProtocolError::ServerError(error));
                }
            }
            receive(&self.socket, &mut self.packets)?;
        }
    }
}

/// Waits for more bytes. Says whether there may be still more.
///
/// # Errors
/// When the connection has ended, or nothing came within its time limit.
pub fn receive(mut socket: &UnixStream, packets: &mut Packets) -> io::Result<bool> {
    loop {
        let space = packets.space();
        let room = space.len();
        match socket.read(space) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                packets.received(bytes);
                return Ok(bytes == room);
            }
            // A process that was stopped and goes on.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
