//! The clients that are connected, and which of them gives way to a new one. The decision,
//! [`admit`], is pure.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Reply;
use super::lines::has_unread;

/// Most clients that are connected at once, followers aside.
const CONNECTION_LIMIT: usize = 16;
/// How long a client keeps its place before it gives way. A client sends its request with the
/// connection.
const UNDISTURBED: Duration = Duration::from_millis(50);
/// How soon a place is looked for again when no client may give way.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a client's thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Waiting for a request since then.
    Waiting(Instant),
    /// Carrying a request out, which takes a bounded time.
    Working,
    /// Writing an answer since then, which the client may not read.
    Answering(Instant),
}

/// A client as [`admit`] sees it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    activity: Activity,
    /// Part of a request has come that was not read yet.
    unread: bool,
}

/// The decision about a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    /// There is room.
    Serve,
    /// The client with this index is idle longest and gives way.
    InsteadOf(usize),
    /// No client is idle at this moment.
    Later,
}

/// Decides at `now` whether a new client is admitted beside these.
fn admit(clients: &[Seen], now: Instant) -> Admission {
    if clients.len() < CONNECTION_LIMIT {
        return Admission::Serve;
    }
    let idle_since = |seen: &Seen| match seen.activity {
        Activity::Waiting(since) if !seen.unread => Some(since),
        Activity::Answering(since) => Some(since),
        Activity::Waiting(_) | Activity::Working => None,
    };
    let idle = clients.iter().enumerate().filter_map(|(n, seen)| Some((idle_since(seen)?, n)));
    match idle.min() {
        Some((since, n)) if now.duration_since(since) >= UNDISTURBED => Admission::InsteadOf(n),
        Some(_) | None => Admission::Later,
    }
}

/// One client's connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: UnixStream,
    activity: Mutex<Activity>,
}

impl Client {
    /// Notes what is done for the client from now on.
    pub(super) fn enter(&self, activity: Activity) {
        *self.activity.lock().unwrap_or_else(PoisonError::into_inner) = activity;
    }

    fn seen(&self) -> Seen {
        let activity = *self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        Seen { activity, unread: has_unread(&self.stream) }
    }

    /// Closes the connection with the reason; the client's thread ends by that.
    fn give_way(&self) {
        let reply = Reply::refused(format!(
            "{CONNECTION_LIMIT} clients are connected, and of these this one was idle longest; ask again"
        ));
        // A client that does not read learns it by the end of the connection alone.
        if self.stream.set_nonblocking(true).is_ok() {
            let _ = (&self.stream).write_all(reply.line().as_bytes());
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// All clients that are connected, followers aside.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Vec<Arc<Client>>>);

impl Clients {
    /// Takes a client in, for which another one may have to give way; waits while none is idle,
    /// which is for as long as requests are carried out.
    pub(super) fn admit(self: &Arc<Self>, stream: UnixStream) -> Place {
        let activity = Mutex::new(Activity::Waiting(Instant::now()));
        let client = Arc::new(Client { stream, activity });
        loop {
            let mut clients = self.lock();
            let seen: Vec<Seen> = clients.iter().map(|client| client.seen()).collect();
            match admit(&seen, Instant::now()) {
                Admission::Serve => {}
                Admission::InsteadOf(n) => clients.remove(n).give_way(),
                Admission::Later => {
                    drop(clients);
                    std::thread::sleep(LOOK_AGAIN);
                    continue;
                }
            }
            clients.push(Arc::clone(&client));
            return Place { clients: Arc::clone(self), client };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Client>>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place among the others; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Arc<Clients>,
    client: Arc<Client>,
}

impl Place {
    /// The client.
    pub(super) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.lock().retain(|other| !Arc::ptr_eq(other, &self.client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(activity: Activity) -> Seen {
        Seen { activity, unread: false }
    }

    #[test]
    fn the_client_that_is_idle_longest_gives_way() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut clients = vec![seen(Activity::Working); CONNECTION_LIMIT];
        assert_eq!(admit(&clients[1..], at(0)), Admission::Serve);
        assert_eq!(admit(&clients, at(1_000)), Admission::Later);
        clients[3] = seen(Activity::Waiting(at(500)));
        assert_eq!(admit(&clients, at(549)), Admission::Later);
        assert_eq!(admit(&clients, at(550)), Admission::InsteadOf(3));
        clients[5] = seen(Activity::Answering(at(400)));
        assert_eq!(admit(&clients, at(550)), Admission::InsteadOf(5));
        clients[7] = Seen { unread: true, ..seen(Activity::Waiting(at(300))) };
        assert_eq!(admit(&clients, at(550)), Admission::InsteadOf(5));
    }

    #[test]
    fn a_client_that_gives_way_learns_why_and_its_place_is_free() {
        use super::super::lines::{Lines, Received};
        let clients = Arc::new(Clients::default());
        let mut ends = Vec::new();
        let mut places = Vec::new();
        for _ in 0..CONNECTION_LIMIT + 3 {
            let (ours, theirs) = UnixStream::pair().unwrap();
            places.push(clients.admit(ours));
            ends.push(theirs);
        }
        assert_eq!(clients.lock().len(), CONNECTION_LIMIT);
        let soon = || Some(Instant::now() + Duration::from_secs(20));
        for end in &ends[..3] {
            let mut lines = Lines::new(end, 4_096);
            let Received::Line(line) = lines.next(soon()).unwrap() else { panic!("no reason") };
            assert!(line.contains("idle longest"), "{line}");
            assert_eq!(lines.next(soon()).unwrap(), Received::End);
        }
        let now = Some(Instant::now());
        assert_eq!(Lines::new(&ends[3], 4_096).next(now).unwrap(), Received::Late);
        drop(places);
        assert!(clients.lock().is_empty());
    }
}
