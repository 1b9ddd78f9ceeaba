//! What an engine tells beside a text: languages, words that were left out, speech without a text.

use super::table::{AUDIO, LISTEN, PRESS, START, STOP, TEXT, hold};

const AGAIN: &str = "retry | resources:acquire#2, stt:transcribe#2, arm:decode_deadline#2, => processing";
const REST: &str = "resources:release#1, ended:text#1, => idle, => waiting_for_key";

#[test]
fn the_languages_are_told_once_they_are_known() {
    hold(&[
        LISTEN,
        PRESS,
        START,
        STOP,
        AUDIO,
        "remarks#1 | languages#1",
        "remarks#2 // of another take",
        TEXT,
    ]);
}

#[test]
fn words_that_were_left_out_come_back() {
    let left = "remarks#1 'left' | languages#1";
    let empty = "text#1 '' | discarded#1, resources:release#1, ended:empty#1, => idle, => waiting_for_key";
    let back = "retry | output:deliver#1 'left out'";
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, left, empty, back, "retry | fault:gone"]);
    // With a text, they are what the text lacks.
    let text =
        format!("text#1 'hello' | discarded#1, output:deliver#1 'hello', text#1, chime:done#1@900, {REST}");
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, left, &text, "delivered#1 | delivered#1", back]);
    // A text that did not arrive comes first.
    let lost = "output_failed#1 | chime:error#1@900, fault:broken#1";
    let first = "retry | output:deliver#1 'hello'";
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, left, &text, lost, first, "delivered#1 | delivered#1", back]);
}

#[test]
fn a_take_whose_speech_has_no_text_says_so_and_keeps_its_audio() {
    let lost = "remarks#1 'incomplete' | languages#1";
    let text = format!(
        "text#1 'hello' | chime:error#1@900, fault:broken#1, output:deliver#1 'hello', text#1, {REST}"
    );
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, lost, &text, "delivered#1 | delivered#1", AGAIN]);
    let empty = "text#1 '' | stt:abort#1, chime:error#1@900, fault:broken#1, resources:release#1, \
                 ended:salvaged#1, => idle, => waiting_for_key";
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, lost, empty, AGAIN]);
}

#[test]
fn remarks_are_of_the_attempt_that_gave_the_text() {
    let failed = "engine_failed#1 | fault:broken#1, stt:transcribe_again#1, arm:decode_deadline#1";
    let lost = "remarks#1 'incomplete' | languages#1";
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, lost, failed, TEXT]);
}
