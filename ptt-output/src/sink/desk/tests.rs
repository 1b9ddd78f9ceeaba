use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::desktop::PasteChord;

const TAKE: TakeId = TakeId(1);

type Failing = (&'static str, fn() -> OutputError);

/// What was done to the desktop, and what it answers.
#[derive(Default)]
struct State {
    done: Vec<String>,
    focus: Option<Window>,
    held: bool,
    listener: Option<Listener>,
    mute: bool,
    /// Whether the user lets go while that is waited for.
    lets_go: bool,
    /// What happens while the last of those that fail does.
    meanwhile: Option<fn(&mut State)>,
    fails: Vec<Failing>,
    opened: usize,
}

struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn act(&self, what: &'static str, text: &str) -> Result<(), OutputError> {
        let mut state = self.0.lock().unwrap();
        state.done.push(format!("{what} {text}"));
        match state.fails.iter().position(|(way, _)| *way == what) {
            Some(at) => {
                let error = state.fails.remove(at).1();
                if state.fails.is_empty()
                    && let Some(happens) = state.meanwhile
                {
                    happens(&mut state);
                }
                Err(error)
            }
            None => Ok(()),
        }
    }
}

impl Desktop for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn focus(&mut self) -> Result<Option<Window>, OutputError> {
        let mut state = self.0.lock().unwrap();
        match state.fails.iter().position(|(way, _)| *way == "focus") {
            Some(at) => Err(state.fails.remove(at).1()),
            None => Ok(state.focus.clone()),
        }
    }

    fn tells_windows(&self) -> bool {
        !self.0.lock().unwrap().mute
    }

    fn listener(&mut self) -> Result<Listener, OutputError> {
        Ok(self.0.lock().unwrap().listener.unwrap_or(Listener::Window))
    }

    fn hands_free(&mut self, limit: Duration) -> Result<bool, OutputError> {
        let mut state = self.0.lock().unwrap();
        state.held &= !state.lets_go || limit.is_zero();
        Ok(!state.held)
    }

    fn type_text(&mut self, text: &str) -> Result<(), OutputError> {
        self.act("type", text)
    }

    fn paste(&mut self, text: &str, chord: PasteChord, _: Duration) -> Result<(), OutputError> {
        self.act("paste", &format!("{text} by {chord}"))
    }

    fn copy(&mut self, text: &str) -> Result<(), OutputError> {
        self.act("copy", text)
    }
}

/// A desktop with a window of the application `app`, and the sink of this configuration on it.
fn on(app: &str, config: &str) -> (DeskSink, Arc<Mutex<State>>) {
    let config: OutputConfig = toml::from_str(&format!("notify = false\n{config}")).unwrap();
    let state = Arc::new(Mutex::new(State { focus: Some(window(1, app)), ..State::default() }));
    let shared = Arc::clone(&state);
    let sink = DeskSink::on(&config, move || {
        shared.lock().unwrap().opened += 1;
        Ok(Box::new(Fake(Arc::clone(&shared))))
    });
    (sink, state)
}

/// The same with a keyboard of `uinput`, and what was done to that.
fn with_uinput(app: &str, config: &str) -> (DeskSink, Arc<Mutex<State>>, Arc<Mutex<State>>) {
    let (mut sink, desktop) = on(app, config);
    let state = Arc::<Mutex<State>>::default();
    let shared = Arc::clone(&state);
    sink.uinput = Shared::new(move || {
        shared.lock().unwrap().opened += 1;
        Ok(Box::new(Fake(Arc::clone(&shared))))
    });
    (sink, desktop, state)
}

fn window(id: u64, app: &str) -> Window {
    Window { id, app: app.to_owned() }
}

fn untypable() -> OutputError {
    OutputError::Untypable { characters: 90 }
}

fn not_taken() -> OutputError {
    OutputError::NotTaken { limit: Duration::from_secs(2) }
}

fn lacking() -> OutputError {
    OutputError::NotOffered { desktop: "fake", what: "all of it" }
}

fn busy() -> OutputError {
    OutputError::ClipboardBusy { limit: Duration::from_secs(2) }
}

fn unplugged() -> OutputError {
    OutputError::KeyboardLost { reason: "pulled out".to_owned() }
}

fn held_midway() -> OutputError {
    OutputError::HeldMidway { limit: Duration::from_secs(2) }
}

fn lost() -> OutputError {
    OutputError::DesktopLost { desktop: "fake", reason: "killed".to_owned() }
}

#[test]
fn each_sink_goes_its_ways_until_one_works() {
    for (config, fails, expected) in [
        ("sink = \"type\"", &[][..], &["type a b"][..]),
        ("sink = \"type\"", &["type"], &["type a b", "copy a b"]),
        ("sink = \"paste\"", &[], &["paste a b by Shift+Insert"]),
        // A text that was not taken is in the clipboard, and what was there before is still owed.
        ("sink = \"paste\"\npaste_chord = \"Ctrl+V\"", &["paste"], &["paste a b by Ctrl+V"]),
        ("sink = \"clipboard\"", &[], &["copy a b"]),
        ("sink = \"auto\"", &[], &["type a b"]),
        ("sink = \"auto\"", &["type"], &["type a b", "paste a b by Shift+Insert"]),
        ("sink = \"auto\"", &["type", "paste"], &["type a b", "paste a b by Shift+Insert"]),
        ("sink = \"auto\"\nnewline = \"enter\"", &[], &["type a\nb"]),
        (
            "sink = \"auto\"\n[[rules]]\napp = \"Term\"\nsink = \"paste\"\npaste_chord = \"Ctrl+Shift+V\"",
            &[],
            &["paste a b by Ctrl+Shift+V"],
        ),
    ] {
        let (mut sink, state) = on("term", config);
        state.lock().unwrap().fails = fails
            .iter()
            .map(|way| (*way, if *way == "type" { untypable } else { not_taken } as fn() -> _))
            .collect();
        sink.deliver(TAKE, "a\nb").unwrap();
        assert_eq!(state.lock().unwrap().done, expected, "{config} {fails:?}");
    }
}

#[test]
fn a_held_modifier_and_another_window_send_the_text_to_the_clipboard() {
    for (config, held, moved, expected) in [
        ("sink = \"auto\"", true, false, "copy text"),
        ("sink = \"auto\"", false, true, "copy text"),
        ("sink = \"paste\"", false, true, "copy text"),
        ("sink = \"auto\"\nsame_window = false", false, true, "type text"),
        ("sink = \"clipboard\"", true, true, "copy text"),
    ] {
        let (mut sink, state) = on("term", config);
        sink.aim(TAKE);
        let mut now = state.lock().unwrap();
        now.held = held;
        now.focus = Some(window(if moved { 2 } else { 1 }, "term"));
        drop(now);
        sink.deliver(TAKE, "text").unwrap();
        assert_eq!(state.lock().unwrap().done, [expected], "{config} {held} {moved}");
    }
}

#[test]
fn a_text_that_would_reach_nobody_goes_to_the_clipboard() {
    let (mut sink, desktop, uinput) = with_uinput("term", "sink = \"auto\"\nuinput_layout = \"us\"");
    desktop.lock().unwrap().listener = Some(Listener::Nobody);
    sink.deliver(TAKE, "text").unwrap();
    assert_eq!(desktop.lock().unwrap().done, ["copy text"]);
    assert!(uinput.lock().unwrap().done.is_empty());
}

#[test]
fn a_program_that_ends_with_the_text_leaves_nothing_in_the_clipboard() {
    let no_clipboard: fn(&OutputError) -> bool = |error| matches!(error, OutputError::ClipboardEnds);
    let held: fn(&OutputError) -> bool = |error| matches!(error, OutputError::ModifiersHeld { .. });
    for (config, hands, expected, fails) in [
        ("sink = \"auto\"", false, &["type text"][..], None),
        ("sink = \"auto\"", true, &[], Some(held)),
        ("sink = \"paste\"", false, &[], Some(no_clipboard)),
        ("sink = \"clipboard\"", false, &[], Some(no_clipboard)),
        ("sink = \"auto\"\n[[rules]]\napp = \"term\"\nsink = \"paste\"", false, &[], Some(no_clipboard)),
    ] {
        let (mut sink, desktop) = on("term", config);
        sink.config.brief = true;
        desktop.lock().unwrap().held = hands;
        let done = sink.deliver(TAKE, "text");
        assert_eq!(
            done.as_ref().err().map(|error| fails.is_some_and(|is| is(error))),
            fails.map(|_| true),
            "{config}"
        );
        assert_eq!(desktop.lock().unwrap().done, expected, "{config}");
    }
}

#[test]
fn a_text_that_may_have_reached_nobody_is_kept_too() {
    for (sink, by_desktop, by_uinput, kept) in [
        ("auto", &["type text"][..], &[][..], true),
        ("uinput", &[], &["type text"], true),
        // Somebody took it.
        ("paste", &["paste text by Shift+Insert"], &[], false),
        ("clipboard", &["copy text"], &[], false),
    ] {
        let config = format!("sink = {sink:?}\nuinput_layout = \"us\"");
        let (mut sink, desktop, uinput) = with_uinput("term", &config);
        desktop.lock().unwrap().listener = Some(Listener::Untold);
        let done = sink.deliver(TAKE, "text");
        assert_eq!(matches!(done, Err(OutputError::NoWindowTold)), kept, "{config} {done:?}");
        assert_eq!(done.is_err(), kept, "{config} {done:?}");
        assert_eq!(desktop.lock().unwrap().done, by_desktop, "{config}");
        assert_eq!(uinput.lock().unwrap().done, by_uinput, "{config}");
    }
}

#[test]
fn rules_are_doubted_where_nobody_tells_which_window_has_the_keyboard() {
    let rules = "[[rules]]\napp = \"term\"\nsink = \"paste\"";
    for (config, mute, doubted) in [
        ("sink = \"auto\"", true, false),
        (&format!("sink = \"auto\"\n{rules}"), false, false),
        (&format!("sink = \"auto\"\n{rules}"), true, true),
        // That is said elsewhere.
        (&format!("sink = \"clipboard\"\n{rules}"), true, false),
    ] {
        let (mut sink, state) = on("term", config);
        state.lock().unwrap().mute = mute;
        for _ in 0..2 {
            sink.wait(&|| true).unwrap();
            assert_eq!(sink.doubted, doubted, "{config} {mute}");
        }
    }
    let (mut sink, _, _) = with_uinput("", &format!("sink = \"auto\"\nuinput_layout = \"us\"\n{rules}"));
    sink.connection = Shared::new(|| Err(OutputError::NoDesktop));
    sink.wait(&|| true).unwrap();
    assert!(sink.doubted, "a console has no windows");
}

#[test]
fn an_aim_counts_for_its_own_take_and_once() {
    let (mut sink, state) = on("term", "sink = \"type\"");
    sink.aim(TAKE);
    state.lock().unwrap().focus = Some(window(2, "term"));
    sink.aim(TakeId(2));
    sink.deliver(TAKE, "one").unwrap();
    sink.deliver(TakeId(2), "two").unwrap();
    sink.deliver(TAKE, "one again").unwrap();
    assert_eq!(state.lock().unwrap().done, ["copy one", "type two", "type one again"]);
    for take in 0..100 {
        sink.aim(TakeId(take));
    }
    assert_eq!(sink.aims.len(), AIMS);
}

#[test]
fn a_connection_that_breaks_while_typing_keeps_the_text_and_an_idle_one_is_made_anew() {
    let (mut sink, state) = on("term", "sink = \"auto\"");
    state.lock().unwrap().fails = vec![("type", lost)];
    let error = sink.deliver(TAKE, "text").unwrap_err();
    assert!(matches!(error, OutputError::DesktopLost { .. }), "{error}");
    assert_eq!(state.lock().unwrap().done, ["type text"], "a part may be out: no other way");

    sink.deliver(TAKE, "text").unwrap();
    assert_eq!(state.lock().unwrap().opened, 2);
    state.lock().unwrap().fails = vec![("focus", lost)];
    sink.deliver(TAKE, "text").unwrap();
    let state = state.lock().unwrap();
    assert_eq!((state.opened, state.done.len()), (3, 3));
}

#[test]
fn the_wait_for_a_held_modifier_ends_with_it_or_when_the_text_is_not_wanted() {
    let (mut sink, state) = on("term", "sink = \"auto\"\nwait_for_modifiers_ms = 60000");
    sink.wait(&|| panic!("there is nothing to wait for")).unwrap();
    state.lock().unwrap().held = true;
    let looks = std::cell::Cell::new(0);
    sink.wait(&|| looks.replace(looks.get() + 1) < 2).unwrap();
    assert_eq!(looks.get(), 3, "it looked until it was not wanted");
    sink.wait(&|| {
        state.lock().unwrap().held = false;
        true
    })
    .unwrap();
    sink.deliver(TAKE, "text").unwrap();
    assert_eq!(state.lock().unwrap().done, ["type text"]);

    // Not for the clipboard, which no shortcut disturbs.
    let (mut sink, state) = on("term", "sink = \"clipboard\"\nwait_for_modifiers_ms = 60000");
    state.lock().unwrap().held = true;
    sink.wait(&|| panic!("there is nothing to wait for")).unwrap();
}

#[test]
fn without_a_desktop_the_text_is_kept() {
    let config = toml::from_str("sink = \"auto\"").unwrap();
    let mut sink = DeskSink::on(&config, || Err(OutputError::NoDesktop));
    sink.aim(TAKE);
    let fault = sink.deliver(TAKE, "secret").unwrap_err().undelivered();
    assert!(fault.message.contains("DISPLAY") && fault.message.contains("retry"), "{fault}");
    assert!(!fault.message.contains("secret"));
}

#[test]
fn uinput_is_the_last_way_before_the_clipboard() {
    let auto = "sink = \"auto\"\nuinput_layout = \"us\"";
    let typed = ["type a b", "paste a b by Shift+Insert"];
    for (config, desktop_fails, uinput_fails, desktop_does, uinput_does) in [
        (auto, &[][..], &[][..], &typed[..1], &[][..]),
        (auto, &["type", "paste"], &[], &typed, &["type a b"]),
        (
            auto,
            &["type", "paste"],
            &["type"],
            &["type a b", "paste a b by Shift+Insert", "copy a b"],
            &["type a b"],
        ),
        ("sink = \"uinput\"\nuinput_layout = \"us\"\nnewline = \"enter\"", &[], &[], &[], &["type a\nb"]),
        ("sink = \"uinput\"\nuinput_layout = \"us\"", &[], &["type"], &["copy a b"], &["type a b"]),
    ] {
        let (mut sink, desktop, uinput) = with_uinput("term", config);
        let failing = |ways: &[&'static str]| -> Vec<Failing> {
            ways.iter().map(|way| (*way, lacking as fn() -> _)).collect()
        };
        desktop.lock().unwrap().fails = failing(desktop_fails);
        uinput.lock().unwrap().fails = failing(uinput_fails);
        sink.deliver(TAKE, "a\nb").unwrap();
        assert_eq!(desktop.lock().unwrap().done, desktop_does, "{config} {desktop_fails:?}");
        assert_eq!(uinput.lock().unwrap().done, uinput_does, "{config} {uinput_fails:?}");
    }
}

#[test]
fn a_long_text_is_pasted_where_it_can_be() {
    let long = "x".repeat(LONG_TEXT + 1);
    let (pasted, typed, copied) =
        (format!("paste {long} by Shift+Insert"), format!("type {long}"), format!("copy {long}"));
    for (config, fails, expected) in [
        ("sink = \"auto\"", None, &[&pasted][..]),
        // Without a clipboard it is typed.
        ("sink = \"auto\"", Some(lacking as fn() -> _), &[&pasted, &typed]),
        ("sink = \"auto\"", Some(busy), &[&pasted, &copied]),
        ("sink = \"type\"", None, &[&typed]),
        ("sink = \"paste\"", None, &[&pasted]),
    ] {
        let (mut sink, state) = on("term", config);
        state.lock().unwrap().fails = fails.map(|fails| ("paste", fails)).into_iter().collect();
        sink.deliver(TAKE, &long).unwrap();
        let done = &state.lock().unwrap().done;
        assert!(done.iter().eq(expected.iter().copied()), "{config}");
    }
    for (text, way) in [(&long[1..], "type "), ("你好", "type "), ("fine 🎤", "paste ")] {
        let (mut sink, state) = on("term", "sink = \"auto\"");
        sink.deliver(TAKE, text).unwrap();
        assert!(state.lock().unwrap().done[0].starts_with(way), "{way}");
    }
}

#[test]
fn after_a_chord_that_may_still_paste_nobody_types() {
    let all = ["type text", "paste text by Shift+Insert", "copy text"];
    // What the window did not take is in the clipboard already.
    for (fails, does) in [(not_taken as fn() -> _, &all[..2]), (busy, &all)] {
        let (mut sink, desktop, uinput) = with_uinput("term", "sink = \"auto\"\nuinput_layout = \"us\"");
        desktop.lock().unwrap().fails = vec![("type", untypable), ("paste", fails)];
        sink.deliver(TAKE, "text").unwrap();
        assert_eq!(desktop.lock().unwrap().done, does);
        assert!(uinput.lock().unwrap().done.is_empty());
    }
    // The clipboard's own failure is the last one.
    let (mut sink, desktop) = on("term", "sink = \"clipboard\"");
    desktop.lock().unwrap().fails = vec![("copy", busy)];
    assert!(matches!(sink.deliver(TAKE, "text").unwrap_err(), OutputError::ClipboardBusy { .. }));
}

#[test]
fn each_way_that_presses_keys_asks_for_the_window_and_the_users_hands() {
    let moves: fn(&mut State) = |state| state.focus = Some(window(2, "other"));
    let holds: fn(&mut State) = |state| state.held = true;
    for (meanwhile, fails, done) in [
        (moves, &["type"][..], &["type text", "copy text"][..]),
        (holds, &["type"], &["type text", "copy text"]),
        (moves, &["type", "paste"], &["type text", "paste text by Shift+Insert", "copy text"]),
    ] {
        let (mut sink, desktop, uinput) = with_uinput("term", "sink = \"auto\"\nuinput_layout = \"us\"");
        sink.aim(TAKE);
        let mut state = desktop.lock().unwrap();
        state.fails = fails.iter().map(|way| (*way, lacking as fn() -> _)).collect();
        state.meanwhile = Some(meanwhile);
        drop(state);
        sink.deliver(TAKE, "text").unwrap();
        assert_eq!(desktop.lock().unwrap().done, done);
        assert!(uinput.lock().unwrap().done.is_empty());
    }
}

#[test]
fn a_keyboard_that_is_plugged_in_only_now_waits_for_the_users_hands() {
    for (lets_go, uinput_does, desktop_does) in
        [(true, &["type text"][..], &[][..]), (false, &[], &["copy text"])]
    {
        let config = "sink = \"auto\"\nuinput_layout = \"us\"\nwait_for_modifiers_ms = 60000\n\
                      rules = [{ app = \"kiosk\", sink = \"uinput\" }]";
        let (mut sink, desktop, uinput) = with_uinput("kiosk", config);
        let mut state = uinput.lock().unwrap();
        (state.held, state.lets_go) = (true, lets_go);
        drop(state);
        sink.wait(&|| true).unwrap();
        sink.deliver(TAKE, "text").unwrap();
        assert_eq!(uinput.lock().unwrap().done, uinput_does);
        assert_eq!(desktop.lock().unwrap().done, desktop_does);
    }
}

#[test]
fn what_breaks_the_made_keyboard_leaves_the_desktop_alone() {
    // What the desktop's connection has in the clipboard is gone with it.
    for (fails, plugged) in [(unplugged as fn() -> _, 2), (held_midway, 1)] {
        let (mut sink, desktop, uinput) = with_uinput("term", "sink = \"uinput\"\nuinput_layout = \"us\"");
        uinput.lock().unwrap().fails = vec![("type", fails)];
        let error = sink.deliver(TAKE, "text").unwrap_err();
        assert!(error.to_string().contains("typed"), "{error}");
        assert!(desktop.lock().unwrap().done.is_empty(), "a part may be out: no other way");
        sink.deliver(TAKE, "text").unwrap();
        assert_eq!((desktop.lock().unwrap().opened, uinput.lock().unwrap().opened), (1, plugged));
    }
}

#[test]
fn uinput_types_where_there_is_no_desktop_and_not_where_one_is_gone() {
    let (mut sink, _, uinput) = with_uinput("", "sink = \"auto\"\nuinput_layout = \"us\"");
    sink.connection = Shared::new(|| Err(OutputError::NoDesktop));
    sink.aim(TAKE);
    sink.wait(&|| panic!("there is nothing to wait for")).unwrap();
    sink.deliver(TAKE, "text").unwrap();
    assert_eq!(uinput.lock().unwrap().done, ["type text"]);

    // Its modifiers are waited for, and what it cannot type is kept: there is no clipboard.
    uinput.lock().unwrap().held = true;
    sink.wait(&|| {
        uinput.lock().unwrap().held = false;
        true
    })
    .unwrap();
    uinput.lock().unwrap().held = true;
    let error = sink.deliver(TAKE, "text").unwrap_err();
    assert!(matches!(error, OutputError::ModifiersHeld { .. }), "{error}");
    let mut state = uinput.lock().unwrap();
    state.held = false;
    state.fails = vec![("type", untypable)];
    drop(state);
    assert!(matches!(sink.deliver(TAKE, "text").unwrap_err(), OutputError::Untypable { .. }));
    assert_eq!(uinput.lock().unwrap().opened, 1);

    // One that breaks is made anew for the next text.
    uinput.lock().unwrap().fails = vec![("type", unplugged)];
    assert!(matches!(sink.deliver(TAKE, "text").unwrap_err(), OutputError::KeyboardLost { .. }));
    sink.deliver(TAKE, "text").unwrap();
    assert_eq!(uinput.lock().unwrap().opened, 2);

    let before = uinput.lock().unwrap().done.len();
    sink.connection = Shared::new(|| Err(lost()));
    assert!(matches!(sink.deliver(TAKE, "text").unwrap_err(), OutputError::DesktopLost { .. }));
    assert_eq!(uinput.lock().unwrap().done.len(), before);
}

#[test]
fn uinput_without_a_layout_is_said_at_once() {
    for config in ["sink = \"uinput\"", "sink = \"auto\"\nrules = [{ app = \"a\", sink = \"uinput\" }]"] {
        let config: OutputConfig = toml::from_str(config).unwrap();
        let unnamed = DeskSink::open(&config, &mut Connections::default());
        assert!(matches!(unnamed, Err(OutputError::LayoutUnnamed)));
    }
}
