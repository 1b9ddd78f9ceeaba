//! The role *resources* on the stock ledger.

use ptt_resources::{ResourcesConfig, spawn};
use ptt_tests::contract;

use crate::section;

#[actix::test]
async fn the_ledger_keeps_every_promise() {
    for model in ["at_start", "on_first_press"] {
        let config: ResourcesConfig = section(&format!("model = '{model}'\nmodel_idle_s = 1\nprobe = 'off'"));
        contract::resources(|events| spawn(&config, events).unwrap()).await;
    }
}
