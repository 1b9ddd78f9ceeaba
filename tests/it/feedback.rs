//! The role *feedback*: without an output, and with one that is not there. Real chimes are heard in `pulse`.

use ptt_feedback::{FeedbackConfig, spawn};
use ptt_tests::contract;

use crate::section;

#[actix::test]
async fn the_silent_player_keeps_every_promise() {
    let config: FeedbackConfig = section("backend = 'silent'");
    contract::feedback(|events| spawn(&config, events).unwrap()).await;
}

#[actix::test]
async fn a_missing_output_is_told_and_harms_nothing() {
    let config: FeedbackConfig = section("backend = 'rodio'\ndevice = 'speakers that nobody has'");
    contract::feedback(|events| spawn(&config, events).unwrap()).await;
}
