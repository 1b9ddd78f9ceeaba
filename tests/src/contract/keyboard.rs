//! The role *keyboard*: edges of the push-to-talk chord.

use std::time::Duration;

use ptt_messages::{Component, KeyboardCommand, KeyboardEvent, Moment, Port};
use tokio::time::Instant;

use super::{assert_tells, promise, responsive};
use crate::{Told, probe};

/// How long an answer or the next key may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what was sent before `Ignore` was read may be on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// Every promise of a keyboard. The one that `spawn` starts must see, again and again after each
/// `Listen`, two holds of the chord soon after each other and then the cancel key: from a script, or
/// from a hand.
///
/// # Panics
/// When one is broken.
pub async fn keyboard(spawn: impl Fn(Port<KeyboardEvent>) -> Port<KeyboardCommand>) {
    keyboard_within(PATIENCE, spawn).await;
}

/// [`keyboard`] for one whose answers and keys come within `patience`.
///
/// # Panics
/// When a promise is broken.
pub async fn keyboard_within(
    patience: Duration,
    spawn: impl Fn(Port<KeyboardEvent>) -> Port<KeyboardCommand>,
) {
    responsive("keyboard", promises(patience, spawn)).await;
}

async fn promises(patience: Duration, spawn: impl Fn(Port<KeyboardEvent>) -> Port<KeyboardCommand>) {
    promise("keyboard", "nothing is reported before `Listen`");
    let (events, told) = probe("the controller");
    let mut told = told.patient(patience);
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

    promise("keyboard", "the cancel key is reported, with its time");
    let cancelled = told.until("Cancelled", |event| match event {
        KeyboardEvent::Cancelled { at } => Some(*at),
        KeyboardEvent::Failed(fault) => panic!("the suite needs a keyboard that works: {fault}"),
        _ => None,
    });
    let (at, _) = cancelled.await;
    assert!(at >= last && at <= Moment::now(), "Cancelled at {at:?} after {last:?}");

    promise("keyboard", "nothing is reported after `Ignore`");
    commands.post(KeyboardCommand::Ignore);
    let end = Instant::now() + ON_ITS_WAY;
    while told.within(end.saturating_duration_since(Instant::now())).await.is_some() {}
    assert_eq!(told.within(Duration::from_millis(700)).await, None, "after `Ignore`");

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
