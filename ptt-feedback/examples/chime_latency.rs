//! Plays chimes on the real output and prints how long each took from the command to the block that begins with it:
//! `cargo run -p ptt-feedback --example chime_latency -- [COUNT] [BLOCK_FRAMES]`. The first one opens the output.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::Duration;

use actix::{Actor, Context, Handler};
use actix_rt::time::sleep;
use ptt_feedback::{FeedbackConfig, spawn};
use ptt_messages::{Chime, FeedbackCommand, FeedbackEvent, Moment, Port, Posted, TakeId};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

struct Listener(UnboundedSender<FeedbackEvent>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Posted<FeedbackEvent>> for Listener {
    type Result = ();

    fn handle(&mut self, message: Posted<FeedbackEvent>, _: &mut Context<Self>) {
        let _ = self.0.send(message.body);
    }
}

#[actix_rt::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(200), |count| count.parse())?;
    let block_frames = match arguments.next() {
        Some(frames) => frames.parse::<i64>()?.try_into()?,
        None => FeedbackConfig::default().block_frames,
    };

    let (told, mut events) = unbounded_channel();
    let listener = Port::to("listener", &Listener(told).start());
    let feedback = spawn(&FeedbackConfig { block_frames, ..FeedbackConfig::default() }, listener)?;

    let mut took = Vec::new();
    for take in 0..=count {
        let chime = Chime::ALL[take as usize % Chime::ALL.len()];
        feedback.post(FeedbackCommand::Play { take: TakeId(take), chime, since: Moment::now() });
        match actix_rt::time::timeout(Duration::from_secs(1), events.recv()).await {
            Ok(Some(FeedbackEvent::Played { since, at, .. })) if take == 0 => {
                println!("the first, on a closed output: {:?}", at.since(since));
                // Closed again after its tone, so that the next ones need an order to stay.
                feedback.post(FeedbackCommand::Open);
            }
            Ok(Some(FeedbackEvent::Played { since, at, .. })) => took.push(at.since(since)),
            Ok(Some(FeedbackEvent::Failed(fault))) => return Err(fault.into()),
            Ok(None) | Err(_) => println!("{chime:?} of take {take} was dropped"),
        }
        // Steps of a prime number of milliseconds fall on every phase of the device's blocks.
        sleep(Duration::from_millis(151 + take * 7 % 31)).await;
    }
    took.sort();
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
    println!(
        "{} of {count} played; command to first block: p50 {:?}, p95 {:?}, p99 {:?}, max {:?}",
        took.len(),
        at(50),
        at(95),
        at(99),
        took.last()
    );
    Ok(())
}
