//! The role *keyboard* on the stock sources that need no device.

use ptt_keyboard::{KeyboardConfig, spawn};
use ptt_messages::{KeyboardCommand, KeyboardEvent};
use ptt_tests::{contract, probe};

use crate::section;

#[actix::test]
async fn a_script_keeps_every_promise() {
    let config: KeyboardConfig = section(
        "backend = 'scripted'\nscript = '+300ms down; +100ms up; +100ms down; +100ms up; +100ms cancel'\nscript_repeat = 1000\nscript_gap_ms = 50",
    );
    contract::keyboard(|events| spawn(&config, events).unwrap()).await;
}

#[actix::test]
async fn the_control_socket_is_always_a_keyboard() {
    let (events, mut told) = probe("the controller");
    let keyboard = spawn(&section("backend = 'control'"), events).unwrap();
    keyboard.post(KeyboardCommand::Listen);
    told.expect(KeyboardEvent::Listening { backend: "control".to_owned() }).await;
}

#[actix::test]
async fn auto_finds_a_keyboard_everywhere() {
    let (events, mut told) = probe("the controller");
    let keyboard = spawn(&KeyboardConfig::default(), events).unwrap();
    keyboard.post(KeyboardCommand::Listen);
    assert!(matches!(told.next().await, KeyboardEvent::Listening { .. }));
    keyboard.post(KeyboardCommand::Ignore);
}
