//! What is known of the running daemon: written by the controller's events, read by the control socket and by commands
//! that run the daemon inside themselves (`demo`, `bench`). Decides nothing.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler};
use ptt_messages::{Component, ControllerEvent, Outcome, Port, Posted, StateName, TakeId, TextPath};
use serde::{Deserialize, Serialize};

use crate::profile::Profiles;

/// Events a follower may lag behind before it loses some.
const FOLLOWER_BACKLOG: usize = 1_000;

/// A snapshot for `ptt-app status`. Holds no text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// State of the machine.
    pub state: StateName,
    /// Where keys come from, once they do.
    pub keyboard: Option<String>,
    /// The open microphone.
    pub microphone: Option<String>,
    /// The resident model.
    pub model: Option<String>,
    /// The running take, or the last one.
    pub take: Option<TakeId>,
    /// The name of the running take's profile, where it is not the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Takes that ended, by outcome.
    pub takes: Vec<(Outcome, u64)>,
    /// Takes whose text was handed out and has not reached its sink.
    #[serde(default)]
    pub undelivered: Vec<TakeId>,
    /// Codes of the languages that were detected in the last take in which any was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Of the last take with a text.
    pub last: Option<LastText>,
    /// What the user could improve, for as long as the daemon runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The last fault's message, until a text was delivered after it.
    pub fault: Option<String>,
}

/// How the last text came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastText {
    /// Its take.
    pub take: TakeId,
    /// How.
    pub path: TextPath,
    /// From the release to the text, in milliseconds.
    pub release_to_text_ms: f64,
    /// Characters in it.
    pub chars: usize,
}

/// Shared by everyone who watches.
#[derive(Debug, Default)]
pub struct Board {
    profiles: Profiles,
    status: Mutex<Status>,
    changed: Condvar,
    /// Those of the board before this one too, where there was one.
    followers: Arc<Followers>,
}

type Followers = Mutex<Vec<SyncSender<ControllerEvent>>>;

impl Board {
    /// Of a daemon with these profiles, before anything has happened.
    #[must_use]
    pub fn new(profiles: Profiles) -> Self {
        Self { profiles, ..Self::default() }
    }

    /// Of the daemon that replaces this board's, with these profiles: takes are counted on, and who
    /// follows goes on following, unless the numbers of profiles in the events mean something else now.
    #[must_use]
    pub fn successor(&self, profiles: Profiles) -> Self {
        let before = self.status();
        let status = Status {
            take: before.take,
            takes: before.takes,
            last: before.last,
            fault: before.fault,
            ..Status::default()
        };
        let same = profiles == self.profiles;
        let followers = if same { Arc::clone(&self.followers) } else { Arc::default() };
        Self { profiles, status: Mutex::new(status), changed: Condvar::new(), followers }
    }

    /// What the daemon's profiles are called.
    #[must_use]
    pub const fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// The daemon as it is now.
    #[must_use]
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// Every event from now on. A follower that does not read loses events rather than holding anything up.
    #[must_use]
    pub fn follow(&self) -> Receiver<ControllerEvent> {
        let (sender, receiver) = sync_channel(FOLLOWER_BACKLOG);
        lock(&self.followers).push(sender);
        receiver
    }

    /// Waits until `wanted` holds, at most `patience`. Tells whether it does.
    #[must_use]
    pub fn wait_until(&self, patience: Duration, wanted: impl Fn(&Status) -> bool) -> bool {
        let until = Instant::now() + patience;
        let mut status = lock(&self.status);
        while !wanted(&status) {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return false;
            };
            status = self.changed.wait_timeout(status, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Takes an event in and hands it on.
    pub fn note(&self, event: &ControllerEvent) {
        lock(&self.status).note(event, &self.profiles);
        lock(&self.followers)
            .retain(|f| !matches!(f.try_send(event.clone()), Err(TrySendError::Disconnected(_))));
        self.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while noting leaves a status that is at worst one event old.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Status {
    /// How many takes ended in this way.
    #[must_use]
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.takes.iter().find(|(o, _)| *o == outcome).map_or(0, |(_, n)| *n)
    }

    fn note(&mut self, event: &ControllerEvent, profiles: &Profiles) {
        match event {
            ControllerEvent::Transition { take, to, .. } => {
                self.state = *to;
                self.take = take.or(self.take);
            }
            ControllerEvent::Text { take, text, path, release_to_text, .. } => {
                self.last = Some(LastText {
                    take: *take,
                    path: *path,
                    release_to_text_ms: release_to_text.as_secs_f64() * 1e3,
                    chars: text.chars(),
                });
                self.undelivered.push(*take);
            }
            ControllerEvent::Profile { profile, .. } => self.profile = Some(profiles.name(*profile)),
            ControllerEvent::Ended { take, outcome } => {
                // Not one that was only remembered.
                if self.take == Some(*take) {
                    self.profile = None;
                }
                match self.takes.iter_mut().find(|(o, _)| o == outcome) {
                    Some((_, n)) => *n += 1,
                    None => self.takes.push((*outcome, 1)),
                }
            }
            ControllerEvent::Delivered { take, .. } => {
                self.undelivered.retain(|known| known != take);
                self.fault = None;
            }
            ControllerEvent::Withdrawn { take } => self.undelivered.retain(|known| known != take),
            ControllerEvent::Hint { hint, .. } => self.hint = Some(hint.clone()),
            ControllerEvent::Fault { take, fault } => {
                if fault.component == Component::Output {
                    // It is kept, and on its way no more.
                    self.undelivered.retain(|known| Some(*known) != *take);
                }
                self.fault = Some(fault.message.clone());
            }
            ControllerEvent::Part { component: Component::Keyboard, what } => self.keyboard.clone_from(what),
            ControllerEvent::Part { component: Component::Recorder, what } => {
                self.microphone.clone_from(what)
            }
            ControllerEvent::Part { component: Component::Stt, what } => self.model.clone_from(what),
            ControllerEvent::Languages { languages, .. } => self.languages.clone_from(languages),
            ControllerEvent::Part { .. }
            | ControllerEvent::Discarded { .. }
            | ControllerEvent::Stage { .. }
            | ControllerEvent::Partial { .. } => {}
        }
    }
}

/// The actor at the end of the controller's observer port.
pub(crate) struct Observer(pub(crate) Arc<Board>);

impl Observer {
    pub(crate) fn start_on(board: Arc<Board>) -> Port<ControllerEvent> {
        Port::start("observer", 1_000, Self(board))
    }
}

impl Actor for Observer {
    type Context = Context<Self>;
}

impl Handler<Posted<ControllerEvent>> for Observer {
    type Result = ();

    fn handle(&mut self, message: Posted<ControllerEvent>, _: &mut Context<Self>) {
        self.0.note(&message.body);
    }
}

#[cfg(test)]
mod tests {
    use ptt_messages::{Fault, FaultKind, Moment};

    use super::*;

    fn moved(to: StateName) -> ControllerEvent {
        ControllerEvent::Transition {
            take: Some(TakeId(1)),
            from: StateName::Idle,
            to,
            input: "key_down".into(),
            at: Moment::default(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn the_status_follows_the_events() {
        let board = Board::default();
        let follower = board.follow();
        board.note(&moved(StateName::Recording));
        let fault = Fault::new(Component::Output, FaultKind::Broken, "the command failed");
        board.note(&ControllerEvent::Fault { take: None, fault });
        board.note(&ControllerEvent::Ended { take: TakeId(1), outcome: Outcome::Text });
        board.note(&ControllerEvent::Ended { take: TakeId(2), outcome: Outcome::Text });
        let status = board.status();
        assert_eq!(status.state, StateName::Recording);
        assert_eq!(status.take, Some(TakeId(1)));
        assert_eq!(status.ended(Outcome::Text), 2);
        assert_eq!(status.fault.as_deref(), Some("the command failed"));
        assert_eq!(follower.try_iter().count(), 4);
        board.note(&ControllerEvent::Delivered { take: TakeId(2), sink: "file".into() });
        assert_eq!(board.status().fault, None);
    }

    #[test]
    fn a_hint_stays_when_a_text_is_delivered() {
        let board = Board::default();
        board.note(&ControllerEvent::Hint { take: TakeId(1), hint: "speak up".into() });
        board.note(&ControllerEvent::Delivered { take: TakeId(1), sink: "file".into() });
        assert_eq!(board.status().hint.as_deref(), Some("speak up"));
    }

    #[test]
    fn the_profile_of_the_running_take_is_named_while_it_runs() {
        let text = "stt.model = 'tiny'\n[[profile]]\nname = 'german'";
        let board = Board::new(Profiles::of(&crate::Config::parse(text, "f", [], &[]).unwrap()));
        board.note(&ControllerEvent::Profile { take: TakeId(1), profile: ptt_messages::Profile(1) });
        board.note(&moved(StateName::KeyPressed));
        // A tap that was remembered meanwhile.
        board.note(&ControllerEvent::Ended { take: TakeId(2), outcome: Outcome::Tap });
        assert_eq!(board.status().profile.as_deref(), Some("german"));
        board.note(&ControllerEvent::Ended { take: TakeId(1), outcome: Outcome::Text });
        assert_eq!(board.status().profile, None);
    }

    #[test]
    fn a_text_is_undelivered_until_its_sink_has_it_or_has_failed() {
        let board = Board::default();
        for take in [1, 2].map(TakeId) {
            board.note(&ControllerEvent::Text {
                take,
                text: ptt_messages::Transcript::new("some words"),
                path: TextPath::Ready,
                release_to_text: Duration::ZERO,
                timing: ptt_messages::SttTiming::default(),
            });
        }
        assert_eq!(board.status().undelivered, [1, 2].map(TakeId));
        board.note(&ControllerEvent::Delivered { take: TakeId(1), sink: "file".into() });
        assert_eq!(board.status().undelivered, [TakeId(2)]);
        let fault = |component| Fault::new(component, FaultKind::Broken, "it failed");
        board.note(&ControllerEvent::Fault { take: Some(TakeId(2)), fault: fault(Component::Stt) });
        assert_eq!(board.status().undelivered, [TakeId(2)]);
        board.note(&ControllerEvent::Fault { take: Some(TakeId(2)), fault: fault(Component::Output) });
        assert_eq!(board.status().undelivered, []);
    }

    #[test]
    fn a_follower_that_does_not_read_holds_nothing_up() {
        let board = Board::default();
        let lazy = board.follow();
        for _ in 0..FOLLOWER_BACKLOG + 10 {
            board.note(&moved(StateName::Recording));
        }
        assert_eq!(lazy.try_iter().count(), FOLLOWER_BACKLOG);
        drop(lazy);
        board.note(&moved(StateName::Idle));
        assert!(lock(&board.followers).is_empty());
    }

    #[test]
    fn the_board_of_the_next_daemon_counts_on_and_keeps_who_follows() {
        let board = Board::default();
        let follower = board.follow();
        board.note(&moved(StateName::WaitingForKey));
        board.note(&ControllerEvent::Ended { take: TakeId(1), outcome: Outcome::Text });
        let microphone = Component::Recorder;
        board.note(&ControllerEvent::Part { component: microphone, what: Some("mic".into()) });
        let next = board.successor(Profiles::default());
        let status = next.status();
        assert_eq!((status.ended(Outcome::Text), status.take), (1, Some(TakeId(1))));
        assert_eq!((status.state, status.microphone), (StateName::Idle, None));
        next.note(&moved(StateName::Recording));
        assert_eq!(follower.try_iter().count(), 4);
        let others = Profiles::of(&crate::Config::parse("[[profile]]\nname = 'a'", "f", [], &[]).unwrap());
        let other = next.successor(others);
        drop((board, next));
        other.note(&moved(StateName::Recording));
        assert!(follower.recv().is_err(), "it would read wrong names");
    }

    #[test]
    fn waiting_ends_when_it_holds_or_when_patience_does() {
        let board = Arc::new(Board::default());
        assert!(!board.wait_until(Duration::from_millis(1), |s| s.state == StateName::Processing));
        let other = Arc::clone(&board);
        let writer = std::thread::spawn(move || other.note(&moved(StateName::Processing)));
        assert!(board.wait_until(Duration::from_secs(10), |s| s.state == StateName::Processing));
        writer.join().unwrap();
    }
}
