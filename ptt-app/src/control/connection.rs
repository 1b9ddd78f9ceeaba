//! One client's connection, from its first request to its end.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ptt_controller::ControllerError;
use ptt_messages::{ControllerEvent, KeyboardEvent, Moment, StateName};
use tracing::info;

use super::clients::{Activity, Client, Place};
use super::expiry::{BootTime, Circumstances, expired};
use super::lines::{Lines, Received, has_hung_up};
use super::server::{Doors, FOLLOWER_LIMIT, ServerState, Slot};
use super::{Action, Reply, Request, Situation, answer, parse_request};

/// Longest request in bytes.
const REQUEST_LIMIT: usize = 4_096;
/// The first request must have come within this.
const FIRST_REQUEST: Duration = Duration::from_secs(2);
/// Each further one must have come within this after the answer to the one before.
const NEXT_REQUEST: Duration = Duration::from_secs(60);
/// How long a client may take to read an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How soon a follower that has gone is noticed when there are no events.
const GONE: Duration = Duration::from_secs(1);
/// How long a request waits for the daemon while that is replaced or starts; less than a client
/// waits.
const GATE: Duration = Duration::from_millis(2_500);
/// Far longer than the machine takes to listen again after a take.
const REARM: Duration = Duration::from_millis(100);
/// How long the status may lag behind a request.
const LAG: Duration = Duration::from_secs(1);
/// How long a retry is watched for the controller's word on it.
const RETRY: Duration = Duration::from_millis(500);

/// What the requests of all clients so far leave behind.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The last press was not let go yet.
    held: bool,
    /// When a take was last asked for, until it was let go or cancelled.
    started: Option<BootTime>,
    /// When the newest request that started something was sent.
    newest_start: Option<BootTime>,
}

/// The times of a request.
#[derive(Clone, Copy, Debug)]
struct RequestTime {
    /// By its client, where that says.
    sent: Option<BootTime>,
    /// When it was read, before it had to wait for the daemon.
    read: Moment,
}

impl Memory {
    /// Notes an action that is carried out, asked for at `sent`.
    fn note(&mut self, request: &Request, action: &Action, sent: BootTime) {
        let key = match action {
            Action::Key(key) => Some(key),
            Action::Command(_) => None,
            Action::None => return,
        };
        if matches!(request, Request::Press { .. } | Request::Toggle { .. } | Request::Enable) {
            self.newest_start = self.newest_start.max(Some(sent));
        }
        match key {
            Some(KeyboardEvent::Pressed { .. }) => (self.held, self.started) = (true, Some(sent)),
            Some(KeyboardEvent::Toggled { .. }) => (self.held, self.started) = (false, Some(sent)),
            Some(KeyboardEvent::Released { .. } | KeyboardEvent::Cancelled { .. }) => {
                (self.held, self.started) = (false, None);
            }
            Some(
                KeyboardEvent::Listening { .. } | KeyboardEvent::UserLeft { .. } | KeyboardEvent::Failed(_),
            )
            | None => {}
        }
    }
}

/// Serves the client until it ends, is silent for too long or gives way to another one.
pub(super) fn serve(place: Place, state: &ServerState) -> std::io::Result<()> {
    let client = place.client();
    client.stream.set_write_timeout(Some(ANSWER))?;
    let mut lines = Lines::new(&client.stream, REQUEST_LIMIT);
    let mut limit = FIRST_REQUEST;
    loop {
        client.enter(Activity::Waiting(Instant::now()));
        let line = match lines.next(Some(Instant::now() + limit))? {
            Received::Line(line) => line,
            Received::End => return Ok(()),
            Received::Late => {
                return tell(
                    &client,
                    &Reply::refused(format!("no request came within {} s", limit.as_secs())),
                );
            }
            Received::TooLong => {
                let reply = Reply::refused(format!("a request has at most {REQUEST_LIMIT} bytes"));
                return tell(&client, &reply);
            }
        };
        client.enter(Activity::Working);
        let (request, sent) = match parse_request(&line) {
            Ok(parsed) => parsed,
            Err(error) => {
                let reply =
                    Reply::refused(format!("not a request: {error}; send one such as {{\"do\":\"status\"}}"));
                return tell(&client, &reply);
            }
        };
        let request_time = RequestTime { sent, read: Moment::now() };
        let (reply, events) = carry_out(&request, request_time, &client, state);
        if let (Request::Follow, Some(events), true) = (&request, events, reply.ok) {
            let Some(_slot) = Slot::take(&state.followers, FOLLOWER_LIMIT) else {
                return tell(&client, &Reply::refused(format!("{FOLLOWER_LIMIT} clients follow; end one")));
            };
            tell(&client, &reply)?;
            // A client that only listens keeps no other one out.
            drop(place);
            return follow(&client.stream, &events, &state.ended);
        }
        tell(&client, &reply)?;
        limit = NEXT_REQUEST;
    }
}

fn tell(client: &Client, reply: &Reply) -> std::io::Result<()> {
    client.enter(Activity::Answering(Instant::now()));
    (&client.stream).write_all(reply.line().as_bytes())
}

/// Carries a request out. Returns the reply and, for a client that follows, the events after it.
fn carry_out(
    request: &Request,
    time: RequestTime,
    client: &Client,
    state: &ServerState,
) -> (Reply, Option<Receiver<ControllerEvent>>) {
    let ends = matches!(request, Request::Release | Request::Cancel);
    // Those are never kept waiting by others.
    let Some(_slot) = ends.then(Slot::free).or_else(|| state.working_slot()) else {
        return (Reply::refused("too many requests at once; ask again"), None);
    };
    let (reply, events) = {
        // Kept until the action is posted: what is acknowledged is in the mailbox of the daemon that
        // will do it.
        let Some(doors) = state.enter(Instant::now() + GATE) else {
            return (Reply::refused("the daemon is starting or ending; try again"), None);
        };
        if matches!(request, Request::Press { .. } | Request::Toggle { .. }) {
            // Between two takes the machine is idle for a moment before it listens again: that is
            // not "switched off".
            let _ = doors.board.wait_until(REARM, |status| status.state != StateName::Idle);
        }
        // Subscribed before the action, so that nothing that follows it is missed.
        let watched = matches!(request, Request::Follow | Request::Retry);
        let events = watched.then(|| doors.board.follow());
        (decide(request, time, client, state, &doors), events)
    };
    match (request, events) {
        (Request::Retry, Some(events)) if reply.ok => (outcome_of_retry(&events), None),
        (_, events) => (reply, events),
    }
}

fn decide(
    request: &Request,
    RequestTime { sent, read }: RequestTime,
    client: &Client,
    state: &ServerState,
    doors: &Doors,
) -> Reply {
    let now = BootTime::now();
    let mut memory = state.memory();
    let circumstances = Circumstances {
        sent,
        now,
        client_gone: has_hung_up(&client.stream),
        newest_start: memory.newest_start,
    };
    if let Some(why) = expired(request, &circumstances) {
        info!(?request, why, "a request over the control socket came too late");
        return Reply::refused(why);
    }
    let situation = Situation {
        status: &doors.board.status(),
        held: memory.held,
        starting: memory.started.is_some_and(|started| now.since(started) < LAG),
        profiles: doors.board.profiles(),
        at: read,
    };
    let (action, reply) = answer(request, &situation);
    memory.note(request, &action, sent.map_or(now, |sent| sent.min(now)));
    drop(memory);
    let delivered = match action {
        Action::Key(edge) => doors.keys.post_patiently(edge),
        Action::Command(command) => {
            info!(?command, "asked over the control socket");
            doors.commands.post_patiently(command)
        }
        Action::None => true,
    };
    if delivered { reply } else { Reply::refused("the daemon is ending") }
}

/// The controller's word on a retry, where it comes soon: it alone knows what it has kept.
fn outcome_of_retry(events: &Receiver<ControllerEvent>) -> Reply {
    let deadline = Instant::now() + RETRY;
    loop {
        let Ok(event) = events.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            return Reply::done();
        };
        if let Some(reply) = reply_to_retry(&event) {
            return reply;
        }
    }
}

/// The reply to a retry that this event decides.
fn reply_to_retry(event: &ControllerEvent) -> Option<Reply> {
    match event {
        ControllerEvent::Fault { fault, .. } => {
            let is = |error: ControllerError| fault.message == error.to_string();
            if is(ControllerError::NothingToRetry) {
                Some(Reply::noted(fault.message.clone()))
            } else {
                is(ControllerError::TakeRunning).then(|| Reply::refused(fault.message.clone()))
            }
        }
        ControllerEvent::Transition { input, .. } if input == "retry" => Some(Reply::done()),
        ControllerEvent::Delivered { .. } => Some(Reply::done()),
        ControllerEvent::Transition { .. }
        | ControllerEvent::Profile { .. }
        | ControllerEvent::Stage { .. }
        | ControllerEvent::Part { .. }
        | ControllerEvent::Partial { .. }
        | ControllerEvent::Text { .. }
        | ControllerEvent::Ended { .. }
        | ControllerEvent::Withdrawn { .. }
        | ControllerEvent::Languages { .. }
        | ControllerEvent::Discarded { .. }
        | ControllerEvent::Hint { .. } => None,
    }
}

/// Tells every event until the client hangs up or the daemon ends.
fn follow(
    mut out: &UnixStream,
    events: &Receiver<ControllerEvent>,
    ended: &AtomicBool,
) -> std::io::Result<()> {
    loop {
        match events.recv_timeout(GONE) {
            Ok(event) => writeln!(out, "{}", serde_json::to_string(&event)?)?,
            Err(RecvTimeoutError::Timeout) if !ended.load(Ordering::Acquire) && !has_hung_up(out) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ptt_messages::{Component, Fault, Profile, StateName, TakeId};

    use super::*;

    #[test]
    fn what_was_asked_for_is_remembered_until_it_ends() {
        let at = Moment::default();
        let press = Request::Press { profile: None };
        let toggle = Request::Toggle { profile: None };
        let key = |event| Action::Key(event);
        let mut memory = Memory::default();
        let mut after = |request: &Request, action: Action, sent| {
            memory.note(request, &action, BootTime(sent));
            (memory.held, memory.started.map(|at| at.0), memory.newest_start.map(|at| at.0))
        };
        let profile = Profile::DEFAULT;
        for (request, action, sent, expected) in [
            (&press, Action::None, 1, (false, None, None)),
            (&press, key(KeyboardEvent::Pressed { at, profile }), 2, (true, Some(2), Some(2))),
            (&Request::Status, Action::None, 3, (true, Some(2), Some(2))),
            (&Request::Release, key(KeyboardEvent::Released { at }), 4, (false, None, Some(2))),
            (&toggle, key(KeyboardEvent::Toggled { at, profile }), 5, (false, Some(5), Some(5))),
            (&Request::Cancel, key(KeyboardEvent::Cancelled { at }), 6, (false, None, Some(5))),
            // One that was sent earlier and came later.
            (&press, key(KeyboardEvent::Pressed { at, profile }), 3, (true, Some(3), Some(5))),
        ] {
            assert_eq!(after(request, action, sent), expected, "{request:?} at {sent}");
        }
    }

    #[test]
    fn the_controller_decides_what_a_retry_is_answered() {
        let fault = |error: ControllerError| ControllerEvent::Fault { take: None, fault: error.into() };
        let nothing = reply_to_retry(&fault(ControllerError::NothingToRetry)).unwrap();
        assert!(nothing.ok && nothing.note.is_some(), "{nothing:?}");
        assert!(!reply_to_retry(&fault(ControllerError::TakeRunning)).unwrap().ok);
        let begun = ControllerEvent::Transition {
            take: Some(TakeId(1)),
            from: StateName::WaitingForKey,
            to: StateName::Processing,
            input: "retry".into(),
            at: Moment::default(),
            took: Duration::ZERO,
        };
        assert_eq!(reply_to_retry(&begun), Some(Reply::done()));
        let other = Fault::new(Component::Output, ptt_messages::FaultKind::Gone, "the window is gone");
        let other = ControllerEvent::Fault { take: None, fault: other };
        assert_eq!(reply_to_retry(&other), None);
    }
}
