//! The role *controller* on the stock state machine.

use std::convert::Infallible;

use ptt_controller::{ControllerConfig, spawn};
use ptt_tests::contract;

#[actix::test]
async fn the_state_machine_keeps_every_promise() {
    let config = ControllerConfig::default();
    contract::controller(|wire| {
        let Ok(inbox) = spawn(&config, |inbox| Ok::<_, Infallible>(wire(inbox)));
        inbox
    })
    .await;
}
