//! The server of `/metrics`: few connections, each for a short time. Whatever connects here can
//! delay only other scrapes: it is bounded in descriptors, memory, log and time. Answers are
//! decided in [`http`](super::http).

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::http::{Answer, HEAD_LIMIT, Hosts, answer};
use super::throttle::Throttle;

/// Most connections at once.
const CONNECTION_LIMIT: usize = 16;
/// The head of a request must be complete within this.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// The answer must have been read within this.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long a connection keeps its place before it gives way to a new one. A scraper sends its
/// request with the connection.
const UNDISTURBED: Duration = Duration::from_millis(50);
/// Before the next connection is accepted after one could not be: descriptors are short, most
/// likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The connections that are open, oldest first.
#[derive(Default)]
struct Connections(VecDeque<(Instant, AbortHandle)>);

impl Connections {
    /// Makes room for one more. Returns whether a connection was closed for that.
    async fn make_room(&mut self) -> bool {
        loop {
            self.0.retain(|(_, task)| !task.is_finished());
            let Some((accepted, _)) = self.0.front().filter(|_| self.0.len() >= CONNECTION_LIMIT) else {
                return false;
            };
            let left = UNDISTURBED.saturating_sub(accepted.elapsed());
            if left.is_zero() {
                if let Some((_, oldest)) = self.0.pop_front() {
                    oldest.abort();
                }
                // Its descriptor is closed when its task is dropped.
                tokio::task::yield_now().await;
                return true;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// Serves the metrics of `handle` for ever.
pub(super) async fn serve(listener: TcpListener, handle: PrometheusHandle, hosts: Hosts) {
    let mut open = Connections::default();
    let (mut failures, mut crowds) = (Throttle::default(), Throttle::default());
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                if let Some(times) = failures.note(Instant::now()) {
                    warn!(%error, times, "a connection to /metrics could not be accepted");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if open.make_room().await
            && let Some(times) = crowds.note(Instant::now())
        {
            warn!(times, limit = CONNECTION_LIMIT, "too many connections to /metrics; the oldest are closed");
        }
        let (handle, hosts) = (handle.clone(), hosts.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = converse(stream, &handle, &hosts).await {
                debug!(%error, "a connection to /metrics ended early");
            }
        });
        open.0.push_back((Instant::now(), task.abort_handle()));
    }
}

/// One request and its answer.
async fn converse(mut stream: TcpStream, handle: &PrometheusHandle, hosts: &Hosts) -> io::Result<()> {
    let Some(answer) = timeout(HEAD_TIME, read_head(&mut stream, hosts)).await?? else {
        return Ok(());
    };
    timeout(ANSWER_TIME, async {
        stream.write_all(written(answer, || handle.render()).as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with something unread would take the answer back.
        let mut rest = [0; 4_096];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    })
    .await?
}

/// Reads until the answer can be decided; `None` when the other side ends before that.
async fn read_head(stream: &mut TcpStream, hosts: &Hosts) -> io::Result<Option<Answer>> {
    let mut head = Vec::new();
    let mut block = [0; 4_096];
    loop {
        let read = stream.read(&mut block).await?;
        if read == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&block[..read]);
        head.truncate(HEAD_LIMIT);
        if let Some(answer) = answer(&head, hosts) {
            return Ok(Some(answer));
        }
    }
}

/// The answer as it goes over the wire.
fn written(answer: Answer, render: impl FnOnce() -> String) -> String {
    let (status, explanation) = answer.status();
    let (body, shown) = match answer {
        Answer::Metrics { body } => (render(), body),
        Answer::BadRequest
        | Answer::ForeignHost
        | Answer::NotFound
        | Answer::MethodNotAllowed
        | Answer::HeadTooLarge => (explanation.to_owned(), true),
    };
    let allow = if answer == Answer::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if shown { head + &body } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_get_without_its_body() {
        let get = written(Answer::Metrics { body: true }, || "ptt_takes_total 1\n".into());
        let head = written(Answer::Metrics { body: false }, || "ptt_takes_total 1\n".into());
        assert_eq!(get, format!("{head}ptt_takes_total 1\n"));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("Content-Length: 18\r\n"), "{head}");
    }

    #[test]
    fn a_refusal_says_why() {
        let refused = written(Answer::MethodNotAllowed, || unreachable!("nothing is rendered"));
        assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
        assert!(refused.ends_with("\r\n\r\nonly GET and HEAD are allowed\n"), "{refused}");
    }
}
