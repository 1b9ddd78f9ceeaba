//! Several chords, each with a profile of its own, through all real actors.

use std::time::Duration;

use ptt_messages::{Outcome, StateName, TakeId};
use ptt_tests::{Stage, hardware_free, rig};

#[actix::test]
async fn two_chords_speak_two_languages_into_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let [english, german] = ["english", "german"].map(|name| folder.path().join(name));
    let more = format!(
        "keyboard.backend = 'scripted'\nkeyboard.chord = 'LeftCtrl+F13'\n\
         keyboard.script = '+300ms down; +1200ms up; +1500ms down F13; +1200ms up F13'\n\
         stt.language = 'en'\nstt.canned_texts = ['spoken in {{language}}']\n\
         output.file_path = {english:?}\n\
         [[profile]]\nname = 'german'\nchord = 'F13'\nlanguage = 'de'\n\
         [profile.output]\nfile_path = {german:?}\ntrailing = 'space'\npost_command = ['tr', 'a-z', 'A-Z']\n"
    );
    let mut stage = Stage::with(&hardware_free(&[&rig::bundled().file], &more)).await;
    assert_eq!(stage.reached(StateName::Recording).await, Some(TakeId(1)));
    assert_eq!(stage.app.board.status().profile, None);
    assert_eq!(stage.ended().await.0, Outcome::Text);
    assert_eq!(stage.delivered().await, TakeId(1));
    assert_eq!(stage.reached(StateName::Recording).await, Some(TakeId(2)));
    // The board is another listener: it may hear of it a moment later.
    let named = async {
        while stage.app.board.status().profile.as_deref() != Some("german") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), named).await.expect("the status names the profile");
    assert_eq!(stage.ended().await.0, Outcome::Text);
    assert_eq!(stage.delivered().await, TakeId(2));
    let read = |file| std::fs::read_to_string(file).unwrap();
    assert_eq!((read(english), read(german)), ("spoken in en\n".to_owned(), "SPOKEN IN DE ".to_owned()));
}
