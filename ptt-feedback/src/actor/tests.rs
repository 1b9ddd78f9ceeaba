use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ptt_messages::{Chime, FaultKind, Moment, TakeId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::{Backend, FeedbackConfig, Player, Ticket, spawn, spawn_with};

#[actix::test]
async fn the_silent_player_tells_every_tone_at_once() {
    let (events, mut told) = listener();
    let config = FeedbackConfig { backend: Backend::Silent, ..FeedbackConfig::default() };
    let feedback = spawn(&config, events).unwrap();
    feedback.post(FeedbackCommand::Open);
    for (i, chime) in Chime::ALL.into_iter().enumerate() {
        let since = Moment::now();
        let take = TakeId(i as u64);
        feedback.post(FeedbackCommand::Play { take, chime, since });
        let Some(FeedbackEvent::Played { take: told_take, chime: told_chime, since: told_since, at }) =
            told.recv().await
        else {
            panic!("{chime:?} was not played")
        };
        assert_eq!((told_take, told_chime, told_since), (take, chime, since));
        assert!(at >= since);
    }
    feedback.post(FeedbackCommand::Close);
    // Also without `Open`, as after `Close`.
    feedback.post(play(9));
    assert!(matches!(told.recv().await, Some(FeedbackEvent::Played { take: TakeId(9), .. })));
}

#[actix::test]
async fn switched_off_means_nothing_at_all() {
    let (events, mut told) = listener();
    let config = FeedbackConfig { enabled: false, ..FeedbackConfig::default() };
    let feedback = spawn(&config, events).unwrap();
    feedback.post(FeedbackCommand::Open);
    feedback.post(play(1));
    feedback.post(FeedbackCommand::Close);
    drop(feedback);
    // The actor ends with its last port, and the listener with the actor's.
    assert_eq!(told.recv().await, None);
}

#[actix::test]
async fn a_device_that_hangs_while_it_opens_blocks_nobody_and_is_told_once() {
    let (events, mut told) = listener();
    let (go, gate) = channel();
    let feedback =
        spawn_with(&FeedbackConfig::default(), events, move |_| Box::new(Hanging { gate, open: false }))
            .unwrap();
    feedback.post(FeedbackCommand::Open);
    for take in 0..60 {
        feedback.post(play(take));
        tokio::task::yield_now().await;
    }
    let Some(FeedbackEvent::Failed(fault)) = told.recv().await else { panic!("not told") };
    assert_eq!(fault.kind, FaultKind::Timeout, "{fault}");
    go.send(()).unwrap();
    // What waited is played or dropped by its age; what comes after the hang is played for sure.
    loop {
        feedback.post(play(100));
        match told.recv().await {
            Some(FeedbackEvent::Played { take: TakeId(100), .. }) => break,
            Some(FeedbackEvent::Played { .. } | FeedbackEvent::Failed(_)) => {}
            None => panic!("the feedback is gone"),
        }
    }
}

#[actix::test]
async fn the_thread_ends_with_the_actor() {
    let (events, _told) = listener();
    let (end, ended) = unbounded_channel();
    let feedback = spawn_with(&FeedbackConfig::default(), events, move |_| Box::new(Telltale(end))).unwrap();
    feedback.post(play(1));
    drop(feedback);
    let mut ended = ended;
    assert_eq!(ended.recv().await, None, "the player was dropped");
}

/// Opens when its gate lets it.
struct Hanging {
    gate: Receiver<()>,
    open: bool,
}

impl Player for Hanging {
    fn open(&mut self) -> Result<(), FeedbackError> {
        self.open = self.gate.recv_timeout(Duration::from_secs(60)).is_ok();
        Ok(())
    }

    fn close(&mut self) {}

    fn is_open(&self) -> bool {
        self.open
    }

    fn lost(&mut self) -> Option<FeedbackError> {
        None
    }

    fn play(&mut self, _: Chime, _: Moment) -> Arc<Ticket> {
        Arc::new(Ticket::begun(Moment::now()))
    }
}

/// Lets somebody know that it was dropped.
struct Telltale(#[expect(dead_code, reason = "its drop is what counts")] UnboundedSender<()>);

impl Player for Telltale {
    fn open(&mut self) -> Result<(), FeedbackError> {
        Err(FeedbackError::Stuck)
    }

    fn close(&mut self) {}

    fn is_open(&self) -> bool {
        false
    }

    fn lost(&mut self) -> Option<FeedbackError> {
        None
    }

    fn play(&mut self, _: Chime, _: Moment) -> Arc<Ticket> {
        Arc::default()
    }
}

fn play(take: u64) -> FeedbackCommand {
    FeedbackCommand::Play { take: TakeId(take), chime: Chime::Start, since: Moment::now() }
}

/// An actor that passes on what it is told.
struct Listener(UnboundedSender<FeedbackEvent>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Posted<FeedbackEvent>> for Listener {
    type Result = ();

    fn handle(&mut self, message: Posted<FeedbackEvent>, _: &mut Context<Self>) {
        let _ = self.0.send(message.open("listener"));
    }
}

fn listener() -> (Port<FeedbackEvent>, UnboundedReceiver<FeedbackEvent>) {
    let (tx, rx) = unbounded_channel();
    (Port::to("listener", &Listener(tx).start()), rx)
}
