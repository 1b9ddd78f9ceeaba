//! The role *feedback*: what the user hears. Best effort, so a suite can ask for little more than the truth.

use ptt_messages::{Chime, Component, FeedbackCommand, FeedbackEvent, Moment, Port, TakeId};

use super::{assert_tells, promise, responsive};
use crate::probe;

/// Every promise of a player. One without an output device may say so instead of playing.
///
/// # Panics
/// When one is broken.
pub async fn feedback(spawn: impl Fn(Port<FeedbackEvent>) -> Port<FeedbackCommand>) {
    responsive("player", feedback_promises(spawn)).await;
}

async fn feedback_promises(spawn: impl Fn(Port<FeedbackEvent>) -> Port<FeedbackCommand>) {
    promise(
        "player",
        "each chime is reported with what it answers, and was not heard before it was asked for",
    );
    let (events, mut told) = probe("the controller");
    let commands = spawn(events);
    commands.post(FeedbackCommand::Open);
    for (n, chime) in (1..).zip(Chime::ALL) {
        let (take, since) = (TakeId(n), Moment::now());
        commands.post(FeedbackCommand::Play { take, chime, since });
        match told.next().await {
            FeedbackEvent::Played { take: of, chime: which, since: zero, at } => {
                assert_eq!((of, which, zero), (take, chime, since));
                assert!(at >= since && at <= Moment::now(), "{chime:?} at {at:?}");
            }
            FeedbackEvent::Failed(fault) => return assert_tells(&fault, Component::Feedback),
        }
    }

    promise("player", "it opens again after it was closed");
    commands.post(FeedbackCommand::Close);
    commands.post(FeedbackCommand::Open);
    let since = Moment::now();
    commands.post(FeedbackCommand::Play { take: TakeId(9), chime: Chime::Start, since });
    match told.next().await {
        FeedbackEvent::Played { take, .. } => assert_eq!(take, TakeId(9)),
        FeedbackEvent::Failed(fault) => assert_tells(&fault, Component::Feedback),
    }
}
