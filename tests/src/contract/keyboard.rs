//! The role *keyboard*: edges of the push-to-talk chord.

use std::time::Duration;

use ptt_messages::{Component, KeyboardCommand, KeyboardEvent, Moment, Port};

use super::{assert_tells, promise};
use crate::{Told, probe};

/// Every promise of a keyboard. The one that `spawn` starts must see at least two holds after each `Listen`, the second
/// one soon after the first: from a script, or from a hand.
///
/// # Panics
/// When one is broken.
pub async fn keyboard(spawn: impl Fn(Port<KeyboardEvent>) -> Port<KeyboardCommand>) {
    promise("keyboard", "nothing is reported before `Listen`");
    let (events, mut told) = probe("the controller");
    let commands = spawn(events);
    assert_eq!(told.within(Duration::from_millis(100)).await, None);

    promise("keyboard", "`Listen` is answered by the name of the source");
    commands.post(KeyboardCommand::Listen);
    listening(&mut told).await;

    promise(
        "keyboard",
        "presses and releases take turns, in the order of their times, which are not in the future",
    );
    let mut last = Moment::default();
    for _ in 0..2 {
        for wanted in ["Pressed", "Released"] {
            let at = edge(&mut told, wanted).await;
            assert!(at >= last && at <= Moment::now(), "{wanted} at {at:?} after {last:?}");
            last = at;
        }
    }

    promise("keyboard", "nothing is reported after `Ignore`");
    commands.post(KeyboardCommand::Ignore);
    // What was sent before the command was read is still on its way.
    while told.within(Duration::from_millis(300)).await.is_some() {}
    assert_eq!(told.within(Duration::from_millis(700)).await, None);

    promise("keyboard", "it listens again when it is told to, and begins with a press");
    commands.post(KeyboardCommand::Listen);
    listening(&mut told).await;
    edge(&mut told, "Pressed").await;
}

async fn listening(told: &mut Told<KeyboardEvent>) {
    match told.next().await {
        KeyboardEvent::Listening { backend } => assert!(!backend.is_empty(), "a source has a name"),
        KeyboardEvent::Failed(fault) => {
            assert_tells(&fault, Component::Keyboard);
            panic!("the suite needs a keyboard that works: {fault}");
        }
        other => panic!("{other:?} before `Listening`"),
    }
}

async fn edge(told: &mut Told<KeyboardEvent>, wanted: &str) -> Moment {
    match told.next().await {
        KeyboardEvent::Pressed { at, .. } if wanted == "Pressed" => at,
        KeyboardEvent::Released { at } if wanted == "Released" => at,
        other => panic!("{other:?} instead of {wanted}"),
    }
}
