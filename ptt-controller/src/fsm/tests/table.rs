//! Every row of the table, every recovery, every promise: as scripts.

use std::time::Duration;

use ptt_messages::StateName;

use super::script::check;
use super::*;

pub(super) const LISTEN: &str = "enable | keyboard:listen, recorder:open, feedback:open, => waiting_for_key";
pub(super) const PRESS: &str =
    "press | resources:acquire#1, chime:start#1@0, stt:load, arm:start_deadline#1, => key_pressed";
pub(super) const START: &str = "granted#1 | recorder:start#1@0
                     started#1 | arm:max_duration#1, => recording";
pub(super) const STOP: &str =
    "+900ms release | recorder:stop#1@900, output:aim#1, arm:stop_deadline#1, => recording_stopped";
pub(super) const AUDIO: &str =
    "finished#1 | chime:stop#1@900, stt:transcribe#1, arm:decode_deadline#1, => processing";
pub(super) const TEXT: &str = "text#1 'hello' | output:deliver#1 'hello', text#1, chime:done#1@900, resources:release#1, \
                    ended:text#1, => idle, => waiting_for_key";

pub(super) fn script(parts: &[&str]) -> String {
    parts.join("\n")
}

pub(super) fn hold(parts: &[&str]) -> Machine {
    check(&Policy::default(), &script(parts))
}

#[test]
fn hold_speak_let_go_text() {
    let machine = hold(&[LISTEN, PRESS, START, STOP, AUDIO, TEXT, "delivered#1 | delivered#1"]);
    assert_eq!(machine.state(), StateName::WaitingForKey);
}

#[test]
fn a_quiet_microphone_is_hinted_at_once_only() {
    let again = |take: u8, parts: &[&str]| script(parts).replace("#1", &format!("#{take}"));
    let quiet = AUDIO.replace("finished#1", "quiet#1");
    let hinted = quiet.replace("stt:transcribe#1", "hint#1, stt:transcribe#1");
    let (press, start) = (PRESS.replace("@0", "@900"), START.replace("@0", "@900"));
    let stop = STOP.replace("@900", "@1800");
    let (quiet, text) = (quiet.replace("@900", "@1800"), TEXT.replace("@900", "@1800"));
    hold(&[LISTEN, PRESS, START, STOP, &hinted, TEXT, &again(2, &[&press, &start, &stop, &quiet, &text])]);
}

#[test]
fn idle_hears_no_key() {
    hold(&[
        "press",
        "+1s release",
        "toggle",
        "escape",
        "user_left",
        "disable",
        "listening | up:keyboard",
        "opened | up:recorder",
    ]);
}

#[test]
fn disable_stops_listening() {
    hold(&[
        LISTEN,
        "enable // once more is nothing",
        "disable | => idle, keyboard:ignore, recorder:close, feedback:close",
        "disable",
        LISTEN,
    ]);
}

#[test]
fn a_disable_lets_the_take_finish() {
    let closed = "text#1 'hello' | output:deliver#1 'hello', text#1, chime:done#1@900, resources:release#1, \
                  ended:text#1, => idle, keyboard:ignore, recorder:close, feedback:close";
    hold(&[LISTEN, PRESS, START, "disable", STOP, "+1ms press // not wanted any more", AUDIO, closed]);
    // What was spoken before the disable still becomes text.
    hold(&[
        LISTEN,
        PRESS,
        START,
        STOP,
        "+100ms press | chime:start#2@1000",
        "disable",
        "+200ms release",
        AUDIO,
        "text#1 'hello' | output:deliver#1 'hello', text#1, chime:done#1@900, resources:release#1, ended:text#1, \
         => idle, => waiting_for_key, resources:acquire#2, stt:load, arm:start_deadline#2, => key_pressed",
        "granted#2 | recorder:start#2@1000",
        "started#2 | arm:max_duration#2, => recording, recorder:stop#2@1200, output:aim#2, arm:stop_deadline#2, => recording_stopped",
        "no_speech#2 | stt:abort#2, resources:release#2, ended:empty#2, => idle, keyboard:ignore, recorder:close, \
         feedback:close",
    ]);
}

#[test]
fn a_tap_is_nothing() {
    // Before the recording, before even the lease, and after it.
    let tap = "+149ms release | recorder:abort#1, stt:abort#1, arm:cancel_deadline#1, => recording_cancelled";
    let over = "cleared#1 | resources:release#1, ended:tap#1, => idle, => waiting_for_key";
    hold(&[LISTEN, PRESS, tap, "granted#1", over]);
    hold(&[LISTEN, PRESS, "granted#1 | recorder:start#1@0", tap, "started#1 // too late", over]);
    hold(&[LISTEN, PRESS, START, tap, over]);
}

#[test]
fn a_release_before_the_start_is_latched() {
    hold(&[
        LISTEN,
        PRESS,
        "+200ms release",
        "granted#1 | recorder:start#1@0",
        "started#1 | arm:max_duration#1, => recording, recorder:stop#1@200, output:aim#1, arm:stop_deadline#1, => recording_stopped",
    ]);
}

#[test]
fn start_failure_recovery() {
    let failed = "chime:error#1@0, fault:denied#1, resources:release#1, ended:not_started#1, => idle, \
                  => waiting_for_key";
    hold(&[LISTEN, PRESS, "granted#1 | recorder:start#1@0", &format!("start_failed#1 | {failed}")]);
    hold(&[
        LISTEN,
        PRESS,
        "refused#1 | chime:error#1@0, fault:busy#1, ended:not_started#1, => idle, => waiting_for_key",
        "+1s release // of the press that failed",
    ]);
    hold(&[
        LISTEN,
        PRESS,
        "+2s | recorder:abort#1, chime:error#1@2000, fault:timeout#1, resources:release#1, ended:not_started#1, \
         => idle, => waiting_for_key",
        "granted#1",
        "started#1",
        "cleared#1",
    ]);
}

#[test]
fn max_duration_stops_transcribes_and_says_so() {
    hold(&[
        LISTEN,
        PRESS,
        START,
        "+120s | recorder:stop#1@120000, output:aim#1, arm:stop_deadline#1, fault:timeout#1, => recording_stopped",
        "finished#1 | chime:stop#1@120000, stt:transcribe#1, arm:decode_deadline#1, => processing",
        "release // of a hold that is over",
        "text#1 'hello' | output:deliver#1 'hello', text#1, chime:done#1@120000, resources:release#1, ended:text#1, \
         => idle, => waiting_for_key",
    ]);
}

#[test]
fn recording_error_recovery() {
    let salvaging = "recorder_failed#1 | down:recorder, chime:error#1@0, fault:broken#1, arm:stop_deadline#1, => recording_stopped";
    let audio = "finished#1 | chime:stop#1@0, stt:transcribe#1, arm:decode_deadline#1, => processing";
    hold(&[LISTEN, PRESS, START, salvaging, audio, "+1s release // a fresh press is needed"]);
    hold(&[LISTEN, PRESS, "granted#1 | recorder:start#1@0", salvaging, audio]);
    // In the post-roll nothing changes, and a source that has come to its end needs no stop.
    hold(&[LISTEN, PRESS, START, STOP, "recorder_failed#1 | down:recorder, fault:broken#1", AUDIO, TEXT]);
    hold(&[LISTEN, PRESS, START, audio]);
}

#[test]
fn no_audio_after_the_release() {
    let timed_out = "+3s | recorder:abort#1, stt:abort#1, chime:error#1@3900, fault:timeout#1, resources:release#1, \
                     ended:salvaged#1, => idle, => waiting_for_key";
    hold(&[LISTEN, PRESS, START, STOP, timed_out, "finished#1 // too late", "retry | fault:gone"]);
    // What was already closed by a pause can still be transcribed.
    hold(&[
        LISTEN,
        PRESS,
        START,
        "committed#1 | stt:hear#1",
        STOP,
        timed_out,
        "retry | resources:acquire#2, stt:hear#2, stt:transcribe#2, arm:decode_deadline#2, => processing",
    ]);
}

#[test]
fn silence_types_nothing() {
    let nothing = "resources:release#1, ended:empty#1, => idle, => waiting_for_key";
    hold(&[LISTEN, PRESS, START, STOP, &format!("no_speech#1 | stt:abort#1, {nothing}")]);
    hold(&[
        LISTEN,
        PRESS,
        START,
        STOP,
        &format!("zeros#1 | stt:abort#1, chime:error#1@900, fault:gone#1, {nothing}"),
    ]);
    // Too short to call a microphone dead for.
    hold(&[LISTEN, PRESS, START, STOP, &format!("short_zeros#1 | stt:abort#1, {nothing}")]);
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, &format!("text#1 '' | {nothing}")]);
}

#[test]
fn escape_throws_away_in_every_state_of_a_take() {
    let escape = "escape | chime:cancelled#1@0, recorder:abort#1, stt:abort#1, arm:cancel_deadline#1, \
                  => recording_cancelled";
    let later = "escape | chime:cancelled#1@900, recorder:abort#1, stt:abort#1, arm:cancel_deadline#1, \
                 => recording_cancelled";
    let over = "cleared#1 | resources:release#1, ended:cancelled#1, => idle, => waiting_for_key";
    let after = "escape
                 cleared#1
                 release";
    hold(&[LISTEN, "escape", PRESS, escape, "escape", over, after]);
    hold(&[LISTEN, PRESS, START, "stale_escape", escape, over, after]);
    hold(&[LISTEN, PRESS, START, STOP, later, "finished#1", over, after]);
    hold(&[
        LISTEN,
        PRESS,
        START,
        "escape | chime:cancelled#1@0, recorder:abort#1, stt:abort#1, arm:cancel_deadline#1, => recording_cancelled",
        "+1s | resources:release#1, ended:cancelled#1, => idle, => waiting_for_key",
    ]);
}

#[test]
fn a_text_cancelled_in_processing_is_not_typed_and_can_be_brought_back() {
    let escape = "escape | arm:undo_deadline#1, chime:cancelled#1@900, recorder:abort#1, stt:abort#1, \
                  arm:cancel_deadline#1, => recording_cancelled";
    let over = "text#1 'hello' // nothing is typed after the key
                cleared#1 | resources:release#1, ended:cancelled#1, => idle, => waiting_for_key
                text#1 'hello'";
    let again = "+29s retry | resources:acquire#2, stt:transcribe#2, arm:decode_deadline#2, => processing
                 text#2 'hello' | output:deliver#2 'hello', text#2, chime:done#2@29900, resources:release#2, \
                 ended:text#2, => idle, => waiting_for_key
                 retry | fault:gone";
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, escape, over, again]);
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, escape, over, "+30s", "retry | fault:gone"]);
}

#[test]
fn processing_error_recovery() {
    let again = "engine_failed#1 | fault:broken#1, stt:transcribe_again#1, arm:decode_deadline#1";
    let salvaged = "stt:abort#1, chime:error#1@900, fault:broken#1, resources:release#1, ended:salvaged#1, => idle, \
                    => waiting_for_key";
    let retry = "retry | resources:acquire#2, stt:transcribe#2, arm:decode_deadline#2, => processing";
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, again, TEXT]);
    hold(&[
        LISTEN,
        PRESS,
        START,
        STOP,
        AUDIO,
        again,
        &format!("engine_failed#1 | {salvaged}"),
        "text#1 'late'",
        retry,
    ]);
    // What only the user can mend is not tried again.
    let hopeless = salvaged.replace("broken", "misconfigured");
    hold(&[LISTEN, PRESS, START, STOP, AUDIO, &format!("engine_hopeless#1 | {hopeless}"), retry]);
    // Ten seconds for the engine, and one of grace; a timer of the first attempt means nothing to the second.
    hold(&[
        LISTEN,
        PRESS,
        START,
        STOP,
        AUDIO,
        "+5s engine_failed#1 | fault:broken#1, stt:transcribe_again#1, arm:decode_deadline#1",
        "+10s",
        "+1s | stt:abort#1, chime:error#1@16900, fault:timeout#1, resources:release#1, ended:salvaged#1, => idle, \
         => waiting_for_key",
    ]);
}

#[test]
fn a_failed_output_keeps_the_texts() {
    hold(&[
        LISTEN,
        PRESS,
        START,
        STOP,
        AUDIO,
        TEXT,
        "output_failed#1 | chime:error#1@900, fault:broken#1",
        "output_failed#1 // told twice",
        "retry | output:deliver#1 'hello'",
        "output_failed#1 | chime:error#1@900, fault:broken#1",
        "disable | => idle, keyboard:ignore, recorder:close, feedback:close",
        "retry | output:deliver#1 'hello'",
        "delivered#1 | delivered#1",
        "retry | fault:gone",
    ]);
}

#[test]
fn escape_withdraws_a_text_that_waits_and_keeps_it() {
    let said = script(&[LISTEN, PRESS, START, STOP, AUDIO, TEXT]);
    hold(&[
        &said,
        "stale_escape",
        "+10ms escape | output:withdraw#1",
        "+2ms withdrawn#1 | chime:cancelled#1@912, withdrawn#1",
        "withdrawn#1 // told twice",
        "escape",
        "retry | output:deliver#1 'hello'",
        "escape | output:withdraw#1",
        "delivered#1 | delivered#1 // it was too late",
        "retry | fault:gone",
    ]);
    // Nothing is typed after it, of the takes before either.
    hold(&[
        &said,
        "+100ms press | resources:acquire#2, chime:start#2@1000, stt:load, arm:start_deadline#2, => key_pressed",
        "escape | output:withdraw#1, chime:cancelled#2@1000, recorder:abort#2, stt:abort#2, arm:cancel_deadline#2, \
         => recording_cancelled",
        "withdrawn#1 | withdrawn#1 // heard already",
    ]);
    // Two texts that wait are one chime, and the next cancel has one of its own.
    hold(&[
        &said,
        "+100ms press | resources:acquire#2, chime:start#2@1000, stt:load, arm:start_deadline#2, => key_pressed",
        "granted#2 | recorder:start#2@1000",
        "started#2 | arm:max_duration#2, => recording",
        "+1s release | recorder:stop#2@2000, output:aim#2, arm:stop_deadline#2, => recording_stopped",
        "finished#2 | chime:stop#2@2000, stt:transcribe#2, arm:decode_deadline#2, => processing",
        "text#2 'two' | output:deliver#2 'two', text#2, chime:done#2@2000, resources:release#2, ended:text#2, => idle, \
         => waiting_for_key",
        "escape | output:withdraw#1, output:withdraw#2",
        "withdrawn#1 | chime:cancelled#1@2000, withdrawn#1",
        "withdrawn#2 | withdrawn#2",
        "retry | output:deliver#1 'hello', output:deliver#2 'two'",
        "delivered#1 | delivered#1",
        "escape | output:withdraw#2",
        "withdrawn#2 | chime:cancelled#2@2000, withdrawn#2",
    ]);
}

#[test]
fn a_retry_waits_for_the_take_that_runs_and_works_while_disabled() {
    let failed = "engine_hopeless#1 | stt:abort#1, chime:error#1@900, fault:misconfigured#1, resources:release#1, \
                  ended:salvaged#1, => idle, => waiting_for_key";
    hold(&[
        LISTEN,
        PRESS,
        START,
        "retry | fault:busy",
        STOP,
        AUDIO,
        failed,
        "disable | => idle, keyboard:ignore, recorder:close, feedback:close",
        "retry | resources:acquire#2, stt:transcribe#2, arm:decode_deadline#2, => processing",
        "granted#2",
        "engine_hopeless#2 | stt:abort#2, chime:error#2@900, fault:misconfigured#2, resources:release#2, \
         ended:salvaged#2, => idle",
        "retry | resources:acquire#3, stt:transcribe#3, arm:decode_deadline#3, => processing",
        "enable | keyboard:listen, recorder:open, feedback:open",
        "text#3 'hello' | output:deliver#3 'hello', text#3, chime:done#3@900, resources:release#3, ended:text#3, \
         => idle, => waiting_for_key",
    ]);
}

#[test]
fn presses_while_a_take_takes_its_time_are_takes_of_their_own() {
    hold(&[
        LISTEN,
        PRESS,
        START,
        STOP,
        "+100ms press | chime:start#2@1000",
        "press // the same one again",
        "+300ms release",
        AUDIO,
        "+100ms press | chime:start#3@1400",
        "+100ms release | ended:tap#3",
        "+100ms press | chime:start#4@1600",
        "text#1 'one' | output:deliver#1 'one', text#1, chime:done#1@900, resources:release#1, ended:text#1, => idle, \
         => waiting_for_key, resources:acquire#2, stt:load, arm:start_deadline#2, => key_pressed",
        "granted#2 | recorder:start#2@1000",
        "started#2 | arm:max_duration#2, => recording, recorder:stop#2@1300, output:aim#2, arm:stop_deadline#2, => recording_stopped",
        "finished#2 | chime:stop#2@1300, stt:transcribe#2, arm:decode_deadline#2, => processing",
        "text#2 'two' | output:deliver#2 'two', text#2, chime:done#2@1300, resources:release#2, ended:text#2, => idle, \
         => waiting_for_key, resources:acquire#4, stt:load, arm:start_deadline#4, => key_pressed",
        "granted#4 | recorder:start#4@1600",
        "started#4 | arm:max_duration#4, => recording",
        "+1s release | recorder:stop#4@2600, output:aim#4, arm:stop_deadline#4, => recording_stopped",
    ]);
}

#[test]
fn a_press_is_remembered_while_the_one_before_it_is_still_starting() {
    hold(&[
        LISTEN,
        PRESS,
        "+200ms release",
        "+50ms press | chime:start#2@250",
        "keyboard_lost | down:keyboard, fault:gone#1",
    ]);
}

#[test]
fn too_many_presses_are_refused_aloud() {
    let mut parts = vec![LISTEN.to_string(), PRESS.to_string(), START.to_string(), STOP.to_string()];
    for n in 2..6 {
        parts.push(format!("+200ms press | chime:start#{n}@{}", 900 + (n - 2) * 400 + 200));
        parts.push("+200ms release".into());
    }
    parts.push("+200ms press | chime:error#6@2700, fault:busy#6, ended:not_started#6".into());
    parts.push("+200ms release".into());
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    assert_eq!(hold(&parts).remembered(), policy::REMEMBERED);
}

#[test]
fn escape_throws_the_remembered_presses_away_too() {
    hold(&[
        LISTEN,
        PRESS,
        START,
        STOP,
        "+100ms press | chime:start#2@1000",
        "+100ms escape | ended:cancelled#2, chime:cancelled#1@1100, recorder:abort#1, stt:abort#1, \
         arm:cancel_deadline#1, => recording_cancelled",
        "+100ms release // of the press that was thrown away",
        "+100ms press | chime:start#3@1300",
        "+100ms escape | ended:cancelled#3",
        "cleared#1 | resources:release#1, ended:cancelled#1, => idle, => waiting_for_key",
    ]);
}

#[test]
fn a_lost_keyboard_is_a_release_at_that_time() {
    let lost = "+50ms keyboard_lost | down:keyboard, fault:gone#1, recorder:stop#1@50, output:aim#1, arm:stop_deadline#1, => recording_stopped";
    hold(&[LISTEN, PRESS, START, lost, "listening | up:keyboard", "+1s release // a fresh press is needed"]);
    hold(&[LISTEN, "keyboard_lost | down:keyboard, fault:gone", "listening | up:keyboard", PRESS]);
    // A take that no key holds goes on.
    let toggle = PRESS.replace("press |", "toggle |");
    let stop = "+2s toggle | recorder:stop#1@2000, output:aim#1, arm:stop_deadline#1, => recording_stopped";
    hold(&[
        LISTEN,
        &toggle,
        START,
        "keyboard_lost | down:keyboard, fault:gone#1",
        "listening | up:keyboard",
        stop,
    ]);
}

#[test]
fn a_user_who_leaves_ends_every_take_and_keeps_it() {
    let left =
        "+50ms user_left | recorder:stop#1@50, output:aim#1, arm:stop_deadline#1, => recording_stopped";
    let fresh = "press | chime:start#2@850";
    hold(&[LISTEN, PRESS, START, left, "+800ms release // of the hold before", fresh]);
    hold(&[LISTEN, &PRESS.replace("press |", "toggle |"), START, left]);
    hold(&[
        LISTEN,
        "user_left",
        PRESS,
        "user_left",
        "granted#1 | recorder:start#1@0",
        "started#1 | arm:max_duration#1, => recording, recorder:stop#1@0, output:aim#1, arm:stop_deadline#1, => recording_stopped",
    ]);
}

#[test]
fn live_recognition_passes_through() {
    hold(&[
        LISTEN,
        PRESS,
        START,
        "paused#1 | stt:hear#1",
        "resumed#1 | stt:speech_resumed#1",
        "committed#1 | stt:hear#1",
        "partial#1 'hel' | partial#1",
        "engine_failed#1 | fault:broken#1 // of a background decode",
        STOP,
        "paused#1 | stt:hear#1",
        "resumed#1 | stt:speech_resumed#1",
        AUDIO,
        "partial#1 'hello' | partial#1",
        TEXT,
        "paused#1",
        "resumed#1",
        "partial#1 'late'",
    ]);
}

#[test]
fn a_retry_replays_the_committed_audio_up_to_its_limit() {
    let parts = |kept: &str| {
        let failed = "engine_hopeless#1 | stt:abort#1, chime:error#1@900, fault:misconfigured#1, resources:release#1, \
                      ended:salvaged#1, => idle, => waiting_for_key";
        let retry = format!(
            "retry | resources:acquire#2, {kept}stt:transcribe#2, arm:decode_deadline#2, => processing"
        );
        let hear = "committed#1 | stt:hear#1";
        let pause = "paused#1 | stt:hear#1";
        script(&[LISTEN, PRESS, START, hear, pause, hear, hear, STOP, AUDIO, failed, &retry])
    };
    check(&Policy::default(), &parts("stt:hear#2, stt:hear#2, stt:hear#2, "));
    let two = Policy { retry_audio: Duration::from_millis(2), ..Policy::default() };
    check(&two, &parts("stt:hear#2, stt:hear#2, "));
    check(&Policy { retry_audio: Duration::ZERO, ..Policy::default() }, &parts(""));
}

#[test]
fn the_model_comes_and_goes_between_takes() {
    hold(&[
        "load | stt:load",
        "ready | up:stt, resources:model_resident",
        "ready | resources:model_resident // as every take asks for it",
        LISTEN,
        "unload | stt:unload",
        "unloaded | down:stt, resources:model_gone",
        PRESS,
        "unload // not now",
        "load_failed | down:stt, resources:model_gone, fault:misconfigured",
    ]);
}

#[test]
fn what_is_lost_between_takes_is_said() {
    hold(&[
        LISTEN,
        "microphone_lost | down:recorder, fault:gone",
        "feedback_failed | down:feedback, fault:gone",
        "played#1",
    ]);
}

#[test]
fn an_answer_to_another_take_changes_nothing() {
    for stage in [vec![PRESS], vec![PRESS, START], vec![PRESS, START, STOP], vec![PRESS, START, STOP, AUDIO]]
    {
        let stale = "granted#7
            refused#7
            started#7
            start_failed#7
            paused#7
            resumed#7
            recorder_failed#7
            finished#7
            no_speech#7
            cleared#7
            partial#7
            text#7 'wrong'
            engine_failed#7
            played#7
            delivered#7
            output_failed#7";
        let mut parts = vec![LISTEN];
        parts.extend(stage);
        parts.push(stale);
        hold(&parts);
    }
}
