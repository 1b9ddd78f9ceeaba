//! The integration tests, in one binary because the engine is linked once. Cheap ones first: the shape of the workspace,
//! each role's contract on the stock actors, all actors together, then the shipped program and real devices.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the one message it waits for; a new variant needs no decision here"
)]
#![expect(clippy::unwrap_used, reason = "all of this is tests, the helpers between them too")]

mod audio;
mod bad_audio;
mod bench;
mod binary;
mod capture;
mod controller;
mod decode;
mod desktop_bus;
mod faults;
mod feedback;
mod files;
mod kernel;
mod kernel_keys;
mod kernel_latency;
mod kernel_swallow;
mod kernel_usb;
mod keyboard;
mod levels;
mod metrics;
mod models;
mod notifications;
mod output;
mod packages;
mod pipeline;
mod planted_bugs;
mod private;
mod profiles;
mod pulse;
mod readme;
mod reload;
mod remote_desktop;
mod resources;
mod rigs;
mod sockets;
mod stt;
mod tidy;
mod uinput;
mod wayland_apps;
mod windows;
mod x11;
mod x11_apps;
mod x11_keys;
mod x11_speech;
mod x11_swallow;

/// A section of the configuration from its TOML.
fn section<T: serde::de::DeserializeOwned>(toml: &str) -> T {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{error}"))
}
