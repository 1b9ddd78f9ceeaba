use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use ptt_messages::{FaultKind, Profile, TakeId, Transcript};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::{Backend, OutputConfig, OutputError, Sink, Trailing, spawn, spawn_with};

#[actix::test]
async fn texts_come_out_filtered_ended_and_in_order() {
    let (sink, _go, written) = gated(100);
    let config = OutputConfig { trailing: Trailing::Space, ..OutputConfig::default() };
    let (output, mut told) = start_with(&config, sink);
    for (take, text) in [(1, "one"), (2, "two\u{202e}\nlines"), (3, "\u{1b}"), (4, "")] {
        deliver(&output, take, text);
    }
    for take in 1..=4 {
        let delivered = OutputEvent::Delivered { take: TakeId(take), sink: "gated".to_owned() };
        assert_eq!(next(&mut told).await, Some(delivered));
    }
    assert_eq!(written.try_iter().collect::<Vec<_>>(), ["one ", "two lines "]);
}

#[actix::test]
async fn a_text_is_shaped_and_goes_on_with_the_one_before_it_that_is_out() {
    let (sink, _go, written) = gated(100);
    let config: OutputConfig = toml::from_str(
        r#"
        trailing = "space"
        spoken_commands = ["en"]
        post_command = ["sed", "s/ourty/orty/"]
        post_limit_ms = 60000
        [[replace]]
        from = "um"
        to = ""
        "#,
    )
    .unwrap();
    let (output, mut told) = start_with(&config, sink);
    for (take, text) in
        [(1, "Um, fourty, full stop"), (2, "fail"), (3, "Of them"), (4, "And more. New line"), (5, "No")]
    {
        deliver(&output, take, text);
        let event = next(&mut told).await;
        assert_eq!(matches!(event, Some(OutputEvent::Delivered { .. })), take != 2, "{event:?}");
    }
    assert_eq!(written.try_iter().collect::<Vec<_>>(), ["Forty. ", "Of them ", "and more.\n", "No "]);
}

#[actix::test]
async fn a_text_goes_out_when_the_post_process_command_fails() {
    let (sink, _go, written) = gated(100);
    let post_command = ["sh", "-c", "cat; exit 1"].map(str::to_owned).to_vec();
    let (output, mut told) = start_with(&OutputConfig { post_command, ..OutputConfig::default() }, sink);
    for take in 1..=2 {
        deliver(&output, take, "as it is");
        assert!(matches!(next(&mut told).await, Some(OutputEvent::Delivered { .. })));
    }
    assert_eq!(written.try_iter().collect::<Vec<_>>(), ["as it is\n", "as it is\n"]);
}

#[actix::test]
async fn a_failed_text_is_answered_and_the_next_one_goes_out() {
    let (sink, _go, _written) = gated(100);
    let (output, mut told) = start_with(&OutputConfig::default(), sink);
    deliver(&output, 1, "fail");
    deliver(&output, 2, "fine");
    let Some(OutputEvent::Failed { take: TakeId(1), fault }) = next(&mut told).await else {
        panic!("no fault")
    };
    assert_eq!(fault.kind, FaultKind::Gone);
    assert!(fault.message.contains("`ptt-app retry`"), "{fault}");
    assert!(matches!(next(&mut told).await, Some(OutputEvent::Delivered { take: TakeId(2), .. })));
}

#[actix::test]
async fn a_sink_that_stands_still_blocks_nobody_and_every_text_is_answered() {
    let (sink, go, _written) = gated(1);
    let (output, mut told) = start_with(&OutputConfig::default(), sink);
    deliver(&output, 0, "text");
    assert!(matches!(next(&mut told).await, Some(OutputEvent::Delivered { take: TakeId(0), .. })));
    for take in 1..=50 {
        deliver(&output, take, "text");
    }
    let mut refused = 0;
    // One is in the sink's hands and sixteen wait; until the thread took the first, one more may have been refused.
    while refused < 33 {
        let Some(OutputEvent::Failed { fault, .. }) = next(&mut told).await else { panic!("not refused") };
        assert_eq!(fault.kind, FaultKind::Busy);
        refused += 1;
    }
    for _ in 0..50 {
        go.send(()).unwrap();
    }
    let mut delivered = 0;
    while refused + delivered < 50 {
        match next(&mut told).await {
            Some(OutputEvent::Delivered { .. }) => delivered += 1,
            Some(OutputEvent::Failed { .. }) => refused += 1,
            Some(OutputEvent::Withdrawn { take }) => panic!("nobody withdrew {take}"),
            None => panic!("the output is gone"),
        }
    }
    assert!((16..=17).contains(&delivered), "{delivered}");
}

#[actix::test]
async fn a_text_that_waits_is_withdrawn_and_one_that_goes_is_not() {
    let ((go, gate), (written, texts), (begun, mut begins)) = (channel(), channel(), unbounded_channel());
    let (output, mut told) = start_with(&OutputConfig::default(), Box::new(Gated { gate, written, begun }));
    deliver(&output, 1, "text");
    // Until it is in the sink's hands it could be withdrawn itself.
    begins.recv().await.unwrap();
    deliver(&output, 2, "behind it");
    deliver(&output, 3, "and behind that");
    for take in [1, 2, 2, 4] {
        output.post(OutputCommand::Withdraw { take: TakeId(take) });
    }
    assert_eq!(next(&mut told).await, Some(OutputEvent::Withdrawn { take: TakeId(2) }), "at once");
    // Asked for again, it is a text like others.
    deliver(&output, 2, "once more");
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    for take in [1, 3, 2] {
        assert!(
            matches!(next(&mut told).await, Some(OutputEvent::Delivered { take: of, .. }) if of == TakeId(take))
        );
    }
    assert_eq!(texts.try_iter().collect::<Vec<_>>(), ["text\n", "and behind that\n", "once more\n"]);
}

#[actix::test]
async fn a_sink_that_waits_hears_of_the_withdrawal() {
    struct Held(UnboundedSender<()>);
    impl Sink for Held {
        fn name(&self) -> &'static str {
            "held"
        }

        fn wait(&mut self, wanted: &dyn Fn() -> bool) -> Result<(), OutputError> {
            let _ = self.0.send(());
            while wanted() {
                std::thread::yield_now();
            }
            // Nobody is told of it any more.
            Err(OutputError::NoDesktop)
        }

        fn deliver(&mut self, _: TakeId, _: &str) -> Result<(), OutputError> {
            panic!("it was withdrawn");
        }
    }
    let (waits, mut waiting) = unbounded_channel();
    let (output, mut told) = start_with(&OutputConfig::default(), Box::new(Held(waits)));
    for take in 1..=2 {
        deliver(&output, take, "text");
        waiting.recv().await.unwrap();
        output.post(OutputCommand::Withdraw { take: TakeId(take) });
        assert_eq!(next(&mut told).await, Some(OutputEvent::Withdrawn { take: TakeId(take) }));
    }
}

#[actix::test]
async fn an_aim_counts_for_the_first_text_of_its_take_only() {
    /// Says of each text whether there was an aim.
    struct Aiming {
        aims: Vec<TakeId>,
        told: Sender<(u64, bool)>,
        begun: UnboundedSender<()>,
        gate: Receiver<()>,
        fails: bool,
    }
    impl Sink for Aiming {
        fn name(&self) -> &'static str {
            "aiming"
        }

        fn aim(&mut self, take: TakeId) {
            self.aims.push(take);
        }

        fn unaim(&mut self, take: TakeId) {
            self.aims.retain(|aim| *aim != take);
        }

        fn wait(&mut self, _: &dyn Fn() -> bool) -> Result<(), OutputError> {
            let _ = self.begun.send(());
            let _ = self.gate.recv_timeout(Duration::from_secs(60));
            if std::mem::take(&mut self.fails) { Err(OutputError::NoDesktop) } else { Ok(()) }
        }

        fn deliver(&mut self, take: TakeId, _: &str) -> Result<(), OutputError> {
            let _ = self.told.send((take.0, self.aims.contains(&take)));
            Ok(())
        }
    }
    let ((go, gate), (told, texts), (begun, mut begins)) = (channel(), channel(), unbounded_channel());
    let sink = Aiming { aims: Vec::new(), told, begun, gate, fails: true };
    let (output, mut events) = start_with(&OutputConfig::default(), Box::new(sink));
    let aim = |take| output.post(OutputCommand::Aim { take: TakeId(take), profile: Profile::DEFAULT });
    // The wait for the first one fails, the second one is withdrawn, and for the twentieth there is no room.
    for take in [1, 2, 20] {
        aim(take);
    }
    deliver(&output, 1, "text");
    begins.recv().await.unwrap();
    deliver(&output, 2, "text");
    output.post(OutputCommand::Withdraw { take: TakeId(2) });
    assert_eq!(next(&mut events).await, Some(OutputEvent::Withdrawn { take: TakeId(2) }));
    for take in 3..=20 {
        deliver(&output, take, "text");
    }
    // The thread has taken the first one: of sixteen the second is one, so the last three are refused.
    for take in 18..=20 {
        let refused = next(&mut events).await;
        assert!(matches!(refused, Some(OutputEvent::Failed { take: of, .. }) if of == TakeId(take)));
    }
    for _ in 1..=24 {
        go.send(()).unwrap();
    }
    for _ in [1].into_iter().chain(3..=17) {
        next(&mut events).await.unwrap();
    }
    aim(21);
    for take in [1, 2, 20, 21, 21] {
        deliver(&output, take, "text");
        assert!(matches!(next(&mut events).await, Some(OutputEvent::Delivered { .. })));
    }
    let last: Vec<_> = texts.try_iter().filter(|(take, _)| !(3..=17).contains(take)).collect();
    assert_eq!(last, [(1, false), (2, false), (20, false), (21, true), (21, false)]);
}

#[actix::test]
async fn the_real_file_sink_behind_the_real_spawn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("texts");
    let config = OutputConfig {
        sink: Backend::File,
        file_path: path.to_str().unwrap().to_owned(),
        ..OutputConfig::default()
    };
    let (events, mut told) = listener();
    let output = spawn(&config, events).unwrap();
    deliver(&output, 1, "hello");
    let delivered = OutputEvent::Delivered { take: TakeId(1), sink: "file".to_owned() };
    assert_eq!(next(&mut told).await, Some(delivered));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "hello\n");
}

#[actix::test]
async fn each_profile_has_an_output_of_its_own_and_an_unknown_one_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let to = |name: &str, more: &str| {
        let more = format!("sink = \"file\"\nfile_path = {:?}\n{more}", dir.path().join(name));
        toml::from_str::<OutputConfig>(&more).unwrap()
    };
    let loud =
        to("loud", "trailing = \"space\"\npost_command = [\"tr\", \"a-z\", \"A-Z\"]\npost_limit_ms = 60000");
    let config = OutputConfig { profiles: vec![loud], ..to("plain", "") };
    let (events, mut told) = listener();
    let output = spawn(&config, events).unwrap();
    for (take, profile, text) in
        [(1, 0, "one"), (2, 1, "two"), (3, 0, "Three"), (4, 1, "four"), (5, 9, "Five")]
    {
        deliver_of(&output, Profile(profile), take, text);
        assert!(matches!(next(&mut told).await, Some(OutputEvent::Delivered { .. })));
    }
    let texts = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!((texts("plain"), texts("loud")), ("one\nThree\nFive\n".to_owned(), "TWO FOUR ".to_owned()));
    let broken = OutputConfig { sink: Backend::Command, ..OutputConfig::default() };
    let config = OutputConfig { profiles: vec![broken], ..to("plain", "") };
    assert!(matches!(spawn(&config, listener().0), Err(OutputError::NoCommand)));
}

#[actix::test]
async fn what_is_wrong_with_the_sink_is_said_at_once() {
    let config = OutputConfig { sink: Backend::Command, ..OutputConfig::default() };
    assert!(matches!(spawn(&config, listener().0), Err(OutputError::NoCommand)));
    let config = OutputConfig { post_command: vec![String::new()], ..OutputConfig::default() };
    assert!(matches!(spawn(&config, listener().0), Err(OutputError::NoPostCommand)));
}

/// What is told next; an answer that never comes fails the test.
async fn next(told: &mut UnboundedReceiver<OutputEvent>) -> Option<OutputEvent> {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, told.recv()).await.expect("an answer within a minute")
}

/// Takes a text for each message in its gate, and none while there is none.
struct Gated {
    gate: Receiver<()>,
    written: Sender<String>,
    /// Told when a text is in its hands.
    begun: UnboundedSender<()>,
}

impl Sink for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn deliver(&mut self, _: TakeId, text: &str) -> Result<(), OutputError> {
        let _ = self.begun.send(());
        let _ = self.gate.recv_timeout(Duration::from_secs(60));
        if text.starts_with("fail") {
            return Err(OutputError::Closed { target: "the gate".to_owned() });
        }
        let _ = self.written.send(text.to_owned());
        Ok(())
    }
}

fn gated(open_for: usize) -> (Box<dyn Sink>, Sender<()>, Receiver<String>) {
    let (go, gate) = channel();
    for _ in 0..open_for {
        go.send(()).unwrap();
    }
    let (written, texts) = channel();
    (Box::new(Gated { gate, written, begun: unbounded_channel().0 }), go, texts)
}

fn start_with(
    config: &OutputConfig,
    sink: Box<dyn Sink>,
) -> (Port<OutputCommand>, UnboundedReceiver<OutputEvent>) {
    let (events, told) = listener();
    (spawn_with(config, sink, events).unwrap(), told)
}

fn deliver(output: &Port<OutputCommand>, take: u64, text: &str) {
    deliver_of(output, Profile::DEFAULT, take, text);
}

fn deliver_of(output: &Port<OutputCommand>, profile: Profile, take: u64, text: &str) {
    output.post(OutputCommand::Deliver { take: TakeId(take), profile, text: Transcript::new(text) });
}

/// An actor that passes on what it is told.
struct Listener(UnboundedSender<OutputEvent>);

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(100);
    }
}

impl Handler<Posted<OutputEvent>> for Listener {
    type Result = ();

    fn handle(&mut self, message: Posted<OutputEvent>, _: &mut Context<Self>) {
        let _ = self.0.send(message.open("listener"));
    }
}

fn listener() -> (Port<OutputEvent>, UnboundedReceiver<OutputEvent>) {
    let (tx, rx) = unbounded_channel();
    (Port::to("listener", &Listener(tx).start()), rx)
}
