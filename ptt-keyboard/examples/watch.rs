//! Shows what the daemon would hear: edges of the chord with their latency, presses and releases. Ends with Ctrl-C.
//!
//!     cargo run -p ptt-keyboard --example watch -- 'chord = "F13"' 'backend = "evdev"'
//!
//! Each argument is a line of the section `[keyboard]`.
#![allow(clippy::print_stdout)]

use std::ops::ControlFlow;

use ptt_keyboard::{Heard, KeyboardConfig, Stop, list_devices, watch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let lines: Vec<String> = std::env::args().skip(1).collect();
    let config: KeyboardConfig = toml::from_str(&lines.join("\n"))?;
    for device in list_devices(&config).iter().filter(|device| !device.watched.is_empty()) {
        let may = if device.readable { "readable" } else { "not readable" };
        println!("{} ({}): {}, {may}", device.path.display(), device.name, device.watched.join(", "));
    }
    println!("waiting for {}", config.chord);
    watch(&config, &Stop::new()?, |heard| {
        match heard {
            Heard::Listening(backend) => println!("listening through {}", backend.name()),
            Heard::Key { key, down, took, .. } => {
                let took = took.map_or("unknown".to_owned(), |took| format!("{took:?}"));
                println!("  {key} {} (latency {took})", if down { "down" } else { "up" });
            }
            Heard::Chord(event) => println!("{event:?}"),
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}
