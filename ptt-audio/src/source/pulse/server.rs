//! Where the PulseAudio server is and how it knows us: what libpulse reads from the environment. Decides in data; only
//! [`Address::connect`] and [`cookie`]'s caller touch the system.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_passcred, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// The length of a cookie; the protocol knows no other.
const COOKIE: usize = 256;

/// Where a server listens that was told nothing else.
const PORT: u16 = 4713;

/// A place where a server may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// Where to look for a server, in order. `env` gives a variable of the environment, directories of the user only where they
/// are absolute.
#[must_use]
pub fn addresses(env: impl Fn(&str) -> Option<OsString>) -> Vec<Address> {
    if let Some(servers) = env("PULSE_SERVER").filter(|servers| !servers.is_empty()) {
        return servers.to_string_lossy().split_whitespace().map(Address::parse).collect();
    }
    let runtime = env("PULSE_RUNTIME_PATH").map(|folder| PathBuf::from(folder).join("native"));
    let session = env("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("pulse/native"));
    [runtime, session].into_iter().flatten().map(Address::Unix).collect()
}

/// The secret that a server knows us by: of the first file that has one. Zeros otherwise, because a server on this machine
/// lets the user who runs it in without, but wants to be sent one.
#[must_use]
pub fn cookie(env: impl Fn(&str) -> Option<OsString>, read: impl Fn(&Path) -> Option<Vec<u8>>) -> Vec<u8> {
    let under = |variable, rest: &str| env(variable).map(|folder| PathBuf::from(folder).join(rest));
    let files = [
        env("PULSE_COOKIE").map(PathBuf::from),
        under("XDG_CONFIG_HOME", "pulse/cookie"),
        under("HOME", ".config/pulse/cookie"),
        under("HOME", ".pulse-cookie"),
    ];
    files
        .iter()
        .flatten()
        .filter_map(|file| read(file))
        .find_map(|bytes| bytes.get(..COOKIE).map(<[u8]>::to_vec))
        .unwrap_or_else(|| vec![0; COOKIE])
}

impl Address {
    fn parse(text: &str) -> Self {
        // "{machine}server": for one machine only, which libpulse checks; a wrong one fails to answer soon enough.
        let text =
            text.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or(text, |(_, rest)| rest);
        let path = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text));
        if let Some(path) = path {
            return Self::Unix(path.into());
        }
        let host =
            ["tcp:", "tcp4:", "tcp6:"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
        let has_port =
            host.rsplit_once(':').is_some_and(|(name, _)| !name.contains(':') || name.ends_with(']'));
        Self::Tcp(if has_port { host.to_owned() } else { format!("{host}:{PORT}") })
    }

    /// Connects within `limit`. From then on reading and writing wait no longer than that either.
    ///
    /// # Errors
    /// What the system says.
    pub fn connect(&self, limit: Duration) -> io::Result<UnixStream> {
        let socket: OwnedFd = match self {
            Self::Unix(path) => {
                let socket =
                    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
                // Before it connects, because a frozen server has a full queue.
                set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
                // So that whose we are goes with what we send; the server may ask for it too late.
                set_socket_passcred(&socket, true)?;
                connect(&socket, &SocketAddrUnix::new(path)?)?;
                socket
            }
            Self::Tcp(host) => {
                let address = host.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
                let socket = TcpStream::connect_timeout(&address, limit)?;
                socket.set_nodelay(true)?;
                socket.into()
            }
        };
        // To who reads and writes, one stream socket is like another.
        let socket = UnixStream::from(socket);
        socket.set_write_timeout(Some(limit))?;
        socket.set_read_timeout(Some(limit))?;
        Ok(socket)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(host) => write!(f, "{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        move |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
    }

    #[test]
    fn a_server_is_looked_for_where_libpulse_looks() {
        let unix = |path: &str| Address::Unix(path.into());
        let tcp = |host: &str| Address::Tcp(host.to_owned());
        let everything =
            [("PULSE_SERVER", ""), ("PULSE_RUNTIME_PATH", "/run/p"), ("XDG_RUNTIME_DIR", "/run/user/1")];
        assert_eq!(addresses(env(&everything)), [unix("/run/p/native"), unix("/run/user/1/pulse/native")]);
        assert_eq!(addresses(env(&[])), []);
        for (servers, expected) in [
            ("unix:/tmp/a", vec![unix("/tmp/a")]),
            ("/tmp/a", vec![unix("/tmp/a")]),
            ("{0123}unix:/tmp/a tcp:host", vec![unix("/tmp/a"), tcp("host:4713")]),
            ("host", vec![tcp("host:4713")]),
            ("tcp4:10.0.0.1:99", vec![tcp("10.0.0.1:99")]),
            ("tcp6:[::1]:99", vec![tcp("[::1]:99")]),
            ("tcp6:[::1]", vec![tcp("[::1]:4713")]),
        ] {
            assert_eq!(addresses(env(&[("PULSE_SERVER", servers), everything[2]])), expected, "{servers}");
        }
    }

    #[test]
    fn a_cookie_is_taken_from_the_first_file_that_has_one() {
        let home = [("PULSE_COOKIE", "/named"), ("HOME", "/home"), ("XDG_CONFIG_HOME", "/config")];
        let files = |found: &'static [(&str, usize)]| {
            move |path: &Path| {
                let (name, length) = found.iter().find(|(name, _)| Path::new(name) == path)?;
                Some(vec![name.as_bytes()[1]; *length])
            }
        };
        for (found, expected) in [
            (&[][..], 0),
            (&[("/named", 256), ("/home/.pulse-cookie", 256)], b'n'),
            // Too short is none.
            (&[("/named", 255), ("/config/pulse/cookie", 300)], b'c'),
            (&[("/home/.config/pulse/cookie", 256)], b'h'),
        ] {
            assert_eq!(cookie(env(&home), files(found)), vec![expected; 256], "{found:?}");
        }
    }
}
