//! Plays chimes on the real output and prints how long each took from the command to the block that begins with it:
//! `cargo run -p ptt-feedback --example chime_latency -- [COUNT] [GAP_MS] [CONFIG] [IDLE_S]`. CONFIG is the section
//! `[feedback]`, as in `'idle_pause_s = 0'`; a gap longer than `idle_pause_s` finds the output paused each time. With
//! IDLE_S it also prints what doing nothing for so long costs.
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
    let gap_ms: u64 = arguments.next().map_or(Ok(150), |gap| gap.parse())?;
    let config: FeedbackConfig = toml::from_str(&arguments.next().unwrap_or_default())?;
    let idle_s: u64 = arguments.next().map_or(Ok(0), |idle| idle.parse())?;

    let (told, mut events) = unbounded_channel();
    let listener = Port::to("listener", &Listener(told).start());
    let feedback = spawn(&config, listener)?;
    feedback.post(FeedbackCommand::Open);
    // An idle PulseAudio null sink wakes up after up to two seconds.
    sleep(Duration::from_secs(3)).await;

    let mut took = Vec::new();
    for take in 0..count {
        let chime = Chime::ALL[take as usize % Chime::ALL.len()];
        feedback.post(FeedbackCommand::Play { take: TakeId(take), chime, since: Moment::now() });
        match actix_rt::time::timeout(Duration::from_secs(1), events.recv()).await {
            Ok(Some(FeedbackEvent::Played { since, at, .. })) => took.push(at.since(since)),
            Ok(Some(FeedbackEvent::Failed(fault))) => println!("take {take}: {fault}"),
            Ok(None) | Err(_) => println!("{chime:?} of take {take} was dropped"),
        }
        // Steps of a prime number of milliseconds fall on every phase of the device's blocks.
        sleep(Duration::from_millis(gap_ms + take * 7 % 31)).await;
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

    if idle_s > 0 {
        // Two seconds for the pause to come.
        sleep(Duration::from_secs(2)).await;
        let before = processor_ticks()?;
        sleep(Duration::from_secs(idle_s)).await;
        let ticks = processor_ticks()? - before;
        println!("idle for {idle_s} s: {:.2} % of a core", ticks as f64 / idle_s as f64);
    }
    Ok(())
}

/// The processor time of this process so far, in hundredths of a second.
fn processor_ticks() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // Fields 14 and 15, counted from 1; the name in brackets was the second.
    fields.skip(11).take(2).map(|ticks| Ok(ticks.parse::<u64>()?)).sum()
}
