//! When a take begins and ends, in each mode and with more than one chord: as scripts.

use super::script::check;
use super::table::{AUDIO, LISTEN, PRESS, START, STOP, TEXT, hold, script};
use super::*;

#[test]
fn once_is_one_text() {
    let policy = Policy { once: true, ..Policy::default() };
    let closed = "text#1 'hello' | output:deliver#1 'hello', text#1, chime:done#1@900, ended:cancelled#2, \
                  resources:release#1, ended:text#1, => idle, keyboard:ignore, recorder:close, feedback:close";
    let presses = "+10ms press | chime:start#2@910";
    check(
        &policy,
        &script(&[LISTEN, PRESS, START, STOP, AUDIO, presses, closed, "press", "delivered#1 | delivered#1"]),
    );
    // A take without a text was not it.
    let empty = "no_speech#1 | stt:abort#1, resources:release#1, ended:empty#1, => idle, => waiting_for_key";
    check(&policy, &script(&[LISTEN, PRESS, START, STOP, empty]));
}

#[test]
fn toggle_mode_goes_from_press_to_press() {
    let policy = Policy { mode: Mode::Toggle, ..Policy::default() };
    let stop = "+5s press | recorder:stop#1@5100, output:aim#1, arm:stop_deadline#1, => recording_stopped";
    check(
        &policy,
        &script(&[LISTEN, PRESS, START, "press", "+100ms release", stop, "+10ms release", "release"]),
    );
}

#[test]
fn auto_mode_is_a_toggle_after_a_tap_and_a_hold_after_a_long_press() {
    let policy = Policy { mode: Mode::Auto, ..Policy::default() };
    let stop = "+5s press | recorder:stop#1@5100, output:aim#1, arm:stop_deadline#1, => recording_stopped";
    check(&policy, &script(&[LISTEN, PRESS, START, "+100ms release", stop, "+10ms release"]));
    check(&policy, &script(&[LISTEN, PRESS, START, STOP]));
}

#[test]
fn double_tap_mode_goes_from_the_second_tap_to_the_next() {
    let policy = Policy { mode: Mode::DoubleTap, ..Policy::default() };
    let second = PRESS.replace("press |", "+400ms press |").replace("@0", "@1500");
    let start = START.replace("@0", "@1500");
    let stop = "+5s press | recorder:stop#1@6500, output:aim#1, arm:stop_deadline#1, => recording_stopped";
    check(
        &policy,
        &script(&[
            LISTEN,
            "press",
            "+50ms release",
            "+1050ms press // alone again",
            "+0ms release",
            &second,
            "release",
            &start,
            "+0ms release",
            stop,
            "+10ms release",
            "+100ms press // the first of two while the text is made",
            "+10ms release",
            "+100ms press | chime:start#2@6720",
        ]),
    );
}

#[test]
fn a_take_keeps_the_profile_of_its_press() {
    let own = |part: &str| {
        let part = part.replace("press |", "press_other |").replace("stt:load,", "profile#1/1, stt:load,");
        let part = part.replace("transcribe#1", "transcribe#1/1").replace("aim#1", "aim#1/1");
        part.replace("deliver#1", "deliver#1/1")
    };
    let [press, stop, audio, text] = [PRESS, STOP, AUDIO, TEXT].map(own);
    let remembered = text.clone() + ", resources:acquire#2, stt:load, arm:start_deadline#2, => key_pressed";
    hold(&[
        LISTEN,
        &press,
        START,
        "+10ms press // another chord, by another way than the keyboard: it is held already",
        "committed#1 | stt:hear#1/1",
        "+890ms release | recorder:stop#1@900, output:aim#1/1, arm:stop_deadline#1, => recording_stopped",
        "+50ms press | chime:start#2@950 // remembered with its own",
        &audio,
        &remembered,
    ]);
    let failed = "engine_hopeless#1 | stt:abort#1, chime:error#1@900, fault:misconfigured#1, \
        resources:release#1, ended:salvaged#1, => idle, => waiting_for_key";
    let undelivered = "output_failed#1 | chime:error#1@900, fault:broken#1";
    hold(&[LISTEN, &press, START, &stop, &audio, &text, undelivered, "retry | output:deliver#1/1 'hello'"]);
    let again = "retry | resources:acquire#2, profile#2/1, stt:hear#2/1, stt:transcribe#2/1, \
        arm:decode_deadline#2, => processing";
    hold(&[LISTEN, &press, START, "committed#1 | stt:hear#1/1", &stop, &audio, failed, again]);
}

#[test]
fn two_taps_on_two_chords_are_no_double_tap() {
    let policy = Policy { mode: Mode::DoubleTap, ..Policy::default() };
    let second = PRESS.replace("press |", "+100ms press_other |").replace("@0", "@200");
    let second = second.replace("stt:load", "profile#1/1, stt:load");
    check(&policy, &script(&[LISTEN, "press", "release", "+100ms press_other", "release", &second]));
}

#[test]
fn a_press_of_any_chord_ends_a_toggled_take() {
    let policy = Policy { mode: Mode::Toggle, ..Policy::default() };
    let stop =
        "+2s press_other | recorder:stop#1@2000, output:aim#1, arm:stop_deadline#1, => recording_stopped";
    check(&policy, &script(&[LISTEN, PRESS, START, "+0ms release", stop]));
}

#[test]
fn a_toggle_works_in_every_mode() {
    for mode in [Mode::Hold, Mode::Toggle, Mode::Auto, Mode::DoubleTap] {
        let policy = Policy { mode, ..Policy::default() };
        let toggle = PRESS.replace("press |", "toggle |");
        let stop =
            "+2s toggle | recorder:stop#1@2000, output:aim#1, arm:stop_deadline#1, => recording_stopped";
        check(&policy, &script(&[LISTEN, &toggle, START, "toggle // doubled", stop, "toggle // doubled"]));
        if mode != Mode::DoubleTap {
            check(&policy, &script(&[LISTEN, PRESS, START, stop]));
        }
    }
}
