//! A custom build: the keyboard is a foot pedal that writes a line `down` or `up` to a serial port (or a FIFO).
//!
//! ```toml
//! [custom]
//! pedal = "/dev/ttyACM0"
//! ```
//!
//! Everything else (command line, recorder, engine, metrics) stays as it is.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::ExitCode;

use actix::{Actor, Context, Handler};
use ptt_app::{AppBuilder, Config};
use ptt_messages::{Component, Fault, FaultKind, KeyboardCommand, KeyboardEvent, Moment, Port, Posted};

fn main() -> ExitCode {
    ptt_app::cli::main_with(std::env::args_os(), |app: AppBuilder| app.keyboard(spawn))
}

fn spawn(config: &Config, events: Port<KeyboardEvent>) -> Result<Port<KeyboardCommand>, &'static str> {
    let path =
        config.custom.get("pedal").and_then(|v| v.as_str()).ok_or("set custom.pedal to the pedal's port")?;
    Ok(Port::to("keyboard", &FootPedal { path: path.to_owned(), events, reading: false }.start()))
}

struct FootPedal {
    path: String,
    events: Port<KeyboardEvent>,
    reading: bool,
}

impl Actor for FootPedal {
    type Context = Context<Self>;
}

impl Handler<Posted<KeyboardCommand>> for FootPedal {
    type Result = ();

    fn handle(&mut self, message: Posted<KeyboardCommand>, _: &mut Context<Self>) {
        // The port stays open when the daemon is disabled: the controller ignores presses then.
        if message.open("keyboard") == KeyboardCommand::Listen && !std::mem::replace(&mut self.reading, true)
        {
            let (path, events) = (self.path.clone(), self.events.clone());
            // Reading blocks, so it has a thread of its own.
            std::thread::spawn(move || read(&path, &events));
        }
    }
}

fn read(path: &str, events: &Port<KeyboardEvent>) {
    let lines = match File::open(path) {
        Ok(port) => BufReader::new(port).lines(),
        Err(error) => {
            let message = format!("cannot open the pedal at {path}: {error}");
            events.post_patiently(KeyboardEvent::Failed(Fault::new(
                Component::Keyboard,
                FaultKind::Gone,
                message,
            )));
            return;
        }
    };
    events.post_patiently(KeyboardEvent::Listening { backend: "foot_pedal".into() });
    for line in lines.map_while(Result::ok) {
        let at = Moment::now();
        match line.trim() {
            "down" => {
                events.post_patiently(KeyboardEvent::Pressed { at, profile: ptt_messages::Profile::DEFAULT })
            }
            "up" => events.post_patiently(KeyboardEvent::Released { at }),
            _ => continue,
        };
    }
    let message = format!("the pedal at {path} was unplugged");
    events.post_patiently(KeyboardEvent::Failed(Fault::new(Component::Keyboard, FaultKind::Gone, message)));
}
