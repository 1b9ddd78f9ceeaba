//! The role *output*: where texts go.

use ptt_messages::{Component, OutputCommand, OutputEvent, Port, TakeId, Transcript};

use super::{assert_tells, promise, responsive};
use crate::{Told, probe};

/// A text that no fault, log or metric may hold.
const SECRET: &str = "meet me at the harbour";

/// Every promise of a sink that works; `read` gives what it has put out so far.
///
/// # Panics
/// When one is broken.
pub async fn output(spawn: impl Fn(Port<OutputEvent>) -> Port<OutputCommand>, read: impl Fn() -> String) {
    responsive("sink", output_promises(spawn, read)).await;
}

async fn output_promises(
    spawn: impl Fn(Port<OutputEvent>) -> Port<OutputCommand>,
    read: impl Fn() -> String,
) {
    promise("sink", "each text is put out once, in the order of the commands, and confirmed with its take");
    let (events, mut told) = probe("the controller");
    let commands = spawn(events);
    let takes = || (1..=12).map(TakeId);
    for take in takes() {
        assert!(commands.post(deliver(take, &format!("text {take} end"))), "a dozen texts may wait");
    }
    for take in takes() {
        delivered(&mut told, take).await;
    }
    let out = read();
    let mut from = 0;
    for take in takes() {
        let text = format!("text {take} end");
        assert_eq!(out.matches(&text).count(), 1, "{text:?} in {out:?}");
        from += out[from..].find(&text).unwrap_or_else(|| panic!("{text:?} is out of order in {out:?}"));
    }

    promise("sink", "a text that is withdrawn is out or is not, and which of them is told once");
    let (takes, mut out) = (14..=17, 0);
    for take in takes.clone().map(TakeId) {
        commands.post(deliver(take, &format!("text {take} end")));
        commands.post(OutputCommand::Withdraw { take });
    }
    for _ in takes.clone() {
        match told.next().await {
            OutputEvent::Delivered { .. } => out += 1,
            OutputEvent::Withdrawn { .. } => {}
            OutputEvent::Failed { fault, .. } => panic!("the suite needs a sink that works: {fault}"),
        }
    }
    let written = read();
    let found = takes.map(TakeId).filter(|take| written.contains(&format!("text {take} end"))).count();
    assert_eq!(found, out, "{written:?}");

    promise("sink", "no control or bidi character reaches the other side");
    commands.post(deliver(TakeId(13), "be\u{7}ep \u{1b}[31mred \u{202e}trebor\u{2066} grüße 你好 😀"));
    delivered(&mut told, TakeId(13)).await;
    let out = read();
    assert!(!out.contains(['\u{7}', '\u{1b}', '\u{202e}', '\u{2066}']), "{out:?}");
    assert!(out.contains("beep") && out.contains("grüße 你好 😀"), "{out:?}");
}

/// Every promise of a sink that cannot put anything out.
///
/// # Panics
/// When one is broken.
pub async fn output_that_fails(spawn: impl Fn(Port<OutputEvent>) -> Port<OutputCommand>) {
    responsive("sink", output_that_fails_promises(spawn)).await;
}

async fn output_that_fails_promises(spawn: impl Fn(Port<OutputEvent>) -> Port<OutputCommand>) {
    promise("sink", "a text that is not out is said so, every time, without the words");
    let (events, mut told) = probe("the controller");
    let commands = spawn(events);
    for take in [TakeId(1), TakeId(2)] {
        commands.post(deliver(take, SECRET));
        match told.next().await {
            OutputEvent::Failed { take: of, fault } => {
                assert_eq!(of, take);
                assert_tells(&fault, Component::Output);
                assert!(!fault.message.contains("harbour"), "the words are in the fault: {fault}");
            }
            other @ (OutputEvent::Delivered { .. } | OutputEvent::Withdrawn { .. }) => {
                panic!("{other:?} by a sink that cannot")
            }
        }
    }
}

fn deliver(take: TakeId, text: &str) -> OutputCommand {
    OutputCommand::Deliver { take, profile: ptt_messages::Profile::DEFAULT, text: Transcript::new(text) }
}

async fn delivered(told: &mut Told<OutputEvent>, take: TakeId) {
    match told.next().await {
        OutputEvent::Delivered { take: of, sink } => {
            assert_eq!(of, take);
            assert!(!sink.is_empty(), "a sink has a name");
        }
        OutputEvent::Failed { fault, .. } => panic!("the suite needs a sink that works: {fault}"),
        OutputEvent::Withdrawn { .. } => panic!("nobody withdrew {take}"),
    }
}
