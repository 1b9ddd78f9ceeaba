//! HTTP as far as a scraper needs it: reads the head of a request and decides the answer. Pure.

use std::net::IpAddr;

/// Longest head of a request in bytes.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;
/// Most header fields of a request.
const FIELD_LIMIT: usize = 100;

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The metrics; for `HEAD` without the body.
    Metrics { body: bool },
    /// Not HTTP, or a request without one clear `Host`.
    BadRequest,
    /// A `Host` that is not this machine: a web page behind a rebound DNS name.
    ForeignHost,
    /// Another path than `/metrics`.
    NotFound,
    /// Another method than `GET` and `HEAD`.
    MethodNotAllowed,
    /// A head longer than [`HEAD_LIMIT`].
    HeadTooLarge,
}

impl Answer {
    /// Status line and, for an error, the text that explains it.
    pub(super) const fn status(self) -> (&'static str, &'static str) {
        match self {
            Self::Metrics { .. } => ("200 OK", ""),
            Self::BadRequest => ("400 Bad Request", "this is not a request for metrics\n"),
            Self::ForeignHost => (
                "403 Forbidden",
                "the Host of this request is not this machine; use its address or 127.0.0.1\n",
            ),
            Self::NotFound => ("404 Not Found", "the metrics are at /metrics\n"),
            Self::MethodNotAllowed => ("405 Method Not Allowed", "only GET and HEAD are allowed\n"),
            Self::HeadTooLarge => ("431 Request Header Fields Too Large", "the head is longer than 64 KiB\n"),
        }
    }
}

/// The names and addresses under which this endpoint may be asked. DNS rebinding needs a foreign
/// name, so loopback and the configured address are enough.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    listen: IpAddr,
    machine: String,
}

impl Hosts {
    /// Those of an endpoint at `listen` on a machine called `machine`.
    pub(super) fn new(listen: IpAddr, machine: impl Into<String>) -> Self {
        Self { listen, machine: machine.into() }
    }

    /// Tells whether `host`, the value of a `Host` field, is one of them. Any port will do: it may
    /// have been forwarded.
    fn allow(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        if let Ok(address) = name.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback()
                || address == self.listen.to_canonical()
                || self.listen.is_unspecified();
        }
        let name = name.trim_end_matches('.');
        name.eq_ignore_ascii_case("localhost")
            || (!self.listen.is_loopback()
                && !self.machine.is_empty()
                && name.eq_ignore_ascii_case(&self.machine))
    }
}

/// The name or address in `host`, without brackets and port; `None` where it is malformed.
fn without_port(host: &str) -> Option<&str> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = rest.strip_prefix(':').unwrap_or(rest);
    (!name.is_empty() && port.chars().all(|c| c.is_ascii_digit())).then_some(name)
}

/// Decides the answer to the request that begins with `bytes`; `None` while its head is incomplete.
pub(super) fn answer(bytes: &[u8], hosts: &Hosts) -> Option<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_LIMIT => {}
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_LIMIT => return None,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Some(Answer::HeadTooLarge),
        Err(_) => return Some(Answer::BadRequest),
    }
    let mut named = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let host = match (named.next(), named.next()) {
        (Some(field), None) => std::str::from_utf8(field.value).ok(),
        // HTTP/1.0 has none, and no browser speaks it.
        (None, _) if request.version == Some(0) => Some("localhost"),
        (None | Some(_), _) => None,
    };
    let Some(host) = host else { return Some(Answer::BadRequest) };
    if !hosts.allow(host) {
        return Some(Answer::ForeignHost);
    }
    // A target with a host of its own ("GET http://other/metrics") is none of ours either.
    let path = request.path.unwrap_or_default().split('?').next();
    Some(match (path, request.method) {
        (Some("/metrics"), Some("GET")) => Answer::Metrics { body: true },
        (Some("/metrics"), Some("HEAD")) => Answer::Metrics { body: false },
        (Some("/metrics"), _) => Answer::MethodNotAllowed,
        (_, _) => Answer::NotFound,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn local() -> Hosts {
        Hosts::new(Ipv4Addr::LOCALHOST.into(), "desk")
    }

    fn told(request: &str) -> Option<Answer> {
        answer(request.as_bytes(), &local())
    }

    #[test]
    fn only_get_and_head_of_the_metrics_are_answered() {
        for (line, expected) in [
            ("GET /metrics HTTP/1.1", Answer::Metrics { body: true }),
            ("GET /metrics?name=x HTTP/1.1", Answer::Metrics { body: true }),
            ("HEAD /metrics HTTP/1.1", Answer::Metrics { body: false }),
            ("POST /metrics HTTP/1.1", Answer::MethodNotAllowed),
            ("DELETE /metrics HTTP/1.1", Answer::MethodNotAllowed),
            ("GET / HTTP/1.1", Answer::NotFound),
            ("GET /health HTTP/1.1", Answer::NotFound),
            ("GET /metrics/ HTTP/1.1", Answer::NotFound),
            ("GET http://evil.example/metrics HTTP/1.1", Answer::NotFound),
            ("OPTIONS * HTTP/1.1", Answer::NotFound),
            ("hello", Answer::BadRequest),
            ("GET /metrics HTTP/3.0", Answer::BadRequest),
        ] {
            assert_eq!(told(&format!("{line}\r\nHost: localhost\r\n\r\n")), Some(expected), "{line}");
        }
    }

    #[test]
    fn a_name_that_is_not_this_machine_is_refused() {
        let lan = IpAddr::from([192, 168, 1, 5]);
        for (listen, allowed, refused) in [
            (
                IpAddr::from(Ipv4Addr::LOCALHOST),
                &[
                    "localhost",
                    "LocalHost:9091",
                    "localhost.",
                    "127.0.0.1",
                    "127.0.0.1:1",
                    "[::1]:9091",
                    "127.9.9.9",
                ][..],
                &[
                    "evil.example",
                    "evil.example:9091",
                    "localhost.evil.example",
                    "192.168.1.5",
                    "desk",
                    "",
                    "[::1",
                    ":9091",
                    "localhost:9091:9091",
                    "localhost:x",
                ][..],
            ),
            (lan, &["192.168.1.5:9091", "desk:9091", "localhost"], &["192.168.1.6", "desk.evil.example"]),
            (Ipv4Addr::UNSPECIFIED.into(), &["192.168.1.6", "desk", "[fe80::1]:9091"], &["evil.example"]),
            (Ipv6Addr::UNSPECIFIED.into(), &["192.168.1.6", "[::1]"], &["evil.example"]),
        ] {
            let hosts = Hosts::new(listen, "desk");
            for host in allowed {
                assert!(hosts.allow(host), "{host} at {listen}");
            }
            for host in refused {
                assert!(!hosts.allow(host), "{host} at {listen}");
            }
        }
    }

    #[test]
    fn one_host_is_named() {
        let get = "GET /metrics HTTP/1.1\r\n";
        assert_eq!(told(&format!("{get}\r\n")), Some(Answer::BadRequest));
        let twice = format!("{get}Host: localhost\r\nHost: evil.example\r\n\r\n");
        assert_eq!(told(&twice), Some(Answer::BadRequest));
        assert_eq!(told(&format!("{get}Host: evil.example\r\n\r\n")), Some(Answer::ForeignHost));
        assert_eq!(told("GET /metrics HTTP/1.0\r\n\r\n"), Some(Answer::Metrics { body: true }));
    }

    #[test]
    fn a_head_is_waited_for_up_to_its_limit() {
        let begun = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ";
        for end in 0..begun.len() {
            assert_eq!(told(&begun[..end]), None, "after {end} bytes");
        }
        let long = |length: usize| format!("{begun}{}", "x".repeat(length - begun.len()));
        assert_eq!(told(&long(HEAD_LIMIT - 1)), None);
        assert_eq!(told(&long(HEAD_LIMIT)), Some(Answer::HeadTooLarge));
        let whole = format!("{}\r\n\r\n", long(HEAD_LIMIT - 4));
        assert_eq!(told(&whole), Some(Answer::Metrics { body: true }));
        let many = format!("{begun}x\r\n{}\r\n", "Y: y\r\n".repeat(FIELD_LIMIT));
        assert_eq!(told(&many), Some(Answer::HeadTooLarge));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = answer(&bytes, &local());
            let mut request = b"GET /metrics HTTP/1.1\r\nHost: ".to_vec();
            request.extend(&bytes);
            request.extend(b"\r\n\r\n");
            let _ = answer(&request, &local());
        }
    }
}
