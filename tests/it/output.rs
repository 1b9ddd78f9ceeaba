//! The role *output* on the stock sinks. Standard output is tested with the program that owns it, in `binary`.

use ptt_output::{OutputConfig, spawn};
use ptt_tests::{contract, probe};

use crate::section;

#[actix::test]
async fn a_file_keeps_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts.txt");
    for file_sync in [false, true] {
        let _ = std::fs::remove_file(&file);
        let config: OutputConfig =
            section(&format!("sink = 'file'\nfile_path = {file:?}\nfile_sync = {file_sync}"));
        contract::output(
            |events| spawn(&config, events).unwrap(),
            || std::fs::read_to_string(&file).unwrap(),
        )
        .await;
    }
}

#[actix::test]
async fn a_command_keeps_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("texts.txt");
    // The path is an argument: nothing of it is read as a script.
    let config: OutputConfig = section(&format!(
        "sink = 'command'\ncommand = ['sh', '-c', 'cat >> \"$1\"', 'sh', {file:?}]\ncommand_limit_ms = 20000"
    ));
    contract::output(|events| spawn(&config, events).unwrap(), || std::fs::read_to_string(&file).unwrap())
        .await;
}

#[actix::test]
async fn sinks_that_cannot_say_so() {
    for config in [
        "sink = 'file'\nfile_path = '/dev/full'",
        "sink = 'command'\ncommand = ['false']",
        "sink = 'command'\ncommand = ['no-such-program-anywhere']",
        // It talks, too: its words may be the text.
        "sink = 'command'\ncommand = ['sh', '-c', 'cat >&2; exit 3']",
        "sink = 'command'\ncommand = ['sleep', '60']\ncommand_limit_ms = 100",
    ] {
        let config: OutputConfig = section(config);
        contract::output_that_fails(|events| spawn(&config, events).unwrap()).await;
    }
}

#[actix::test]
async fn a_folder_that_is_not_there_is_told_at_the_start() {
    let (events, _told) = probe("the controller");
    let error =
        spawn(&section("sink = 'file'\nfile_path = '/no/such/folder/texts.txt'"), events).unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}
