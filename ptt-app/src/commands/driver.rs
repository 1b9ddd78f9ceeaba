//! Stand-ins for commands that run a daemon inside themselves: a key that the command's thread moves, and a sink that
//! takes every text, which is read from the controller's events instead.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::{Actor, Context, Handler};
use ptt_keyboard::Driver;
use ptt_messages::{Moment, OutputCommand, OutputEvent, Port, Posted, StateName};

use crate::board::Status;
use crate::builder::{App, AppBuilder};
use crate::config::Config;
use crate::exit_code::{Exit, Failure};

/// Puts a driven key and a sink that drops everything into `builder`. The key can be moved once the actors run.
pub(crate) fn driven(builder: AppBuilder) -> (AppBuilder, Arc<OnceLock<Driver>>) {
    let hand = Arc::new(OnceLock::new());
    let place = Arc::clone(&hand);
    let builder = builder.output(discard).keyboard(move |config, events| {
        ptt_keyboard::spawn_driven(&config.keyboard, events).map(|(port, driver)| {
            // Only this closure sets it, and it runs once.
            let _ = place.set(driver);
            port
        })
    });
    (builder, hand)
}

/// Waits until the machine waits for a key, the keyboard listens and the model is resident, so that a take is measured alone
/// and no press goes unseen.
pub(crate) fn wait_until_ready(app: &App) -> Result<(), Failure> {
    let ready = |s: &Status| s.state == StateName::WaitingForKey && s.keyboard.is_some() && s.model.is_some();
    if app.board.wait_until(Duration::from_secs(60), ready) {
        return Ok(());
    }
    let status = app.board.status();
    let why =
        status.fault.unwrap_or_else(|| format!("the daemon is {} after a minute", status.state.label()));
    Err(Failure::new(Exit::Unavailable, why))
}

/// Holds the chord.
pub(crate) fn press_for(key: &Driver, hold: Duration) {
    let press = key.press();
    std::thread::sleep((press + hold).since(Moment::now()));
    key.release();
}

/// Takes every text and drops it.
fn discard(_: &Config, events: Port<OutputEvent>) -> Result<Port<OutputCommand>, std::convert::Infallible> {
    Ok(Port::to("output", &Discard(events).start()))
}

struct Discard(Port<OutputEvent>);

impl Actor for Discard {
    type Context = Context<Self>;
}

impl Handler<Posted<OutputCommand>> for Discard {
    type Result = ();

    fn handle(&mut self, message: Posted<OutputCommand>, _: &mut Context<Self>) {
        match message.open("output") {
            // Every text is out at once.
            OutputCommand::Aim { .. } | OutputCommand::Withdraw { .. } => {}
            OutputCommand::Deliver { take, .. } => {
                self.0.post(OutputEvent::Delivered { take, sink: "discard".into() });
            }
        }
    }
}
