//! Into the focused window: typed, pasted, or left in the clipboard with a notification.
//!
//! What lives here: which ways are tried in which order, and what each failure means for the text. What does not: the
//! connections (`connection.rs`), and how a windowing system types and pastes (`desktop/`).
//!
//! * The desktop is looked for when it is needed, again and again: the daemon may be older than the session.
//! * Where there is none at all, the keyboard of `uinput` types without one. That a text of `auto` goes to standard
//!   output there is decided before this (`auto.rs`).
//! * A way is followed by the next one only when it has put out nothing. When the connection breaks, a part may be out,
//!   and the text is kept for `retry` instead.
//! * After a chord that pastes nobody types: a slow window may still paste. The text waits for it in the
//!   clipboard, and what was there before comes back once it is taken.
//! * A long text is pasted rather than typed: a window may read keys slowly, and one paste is one event. So
//!   is one with characters beyond the basic plane, such as emoji, which some programs garble as keys.
//! * A text whose window has lost the keyboard since the release goes to the clipboard, as one does while the user holds
//!   a modifier, for which `wait` has waited: what would be typed there is not what was meant. So does one that would reach
//!   no window at all; where that is not certain, it is typed and kept too.

mod connection;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ptt_messages::TakeId;
use tracing::{debug, warn};

use super::notice::Notice;
use super::{AIMS, Sink};
use crate::config::{Backend, Newline, OutputConfig};
use crate::desktop::{Desktop, Listener, Window};
use crate::error::OutputError;
use crate::metrics;
use crate::rule::{Rule, Way, rule, ways};
pub(crate) use connection::Connections;
use connection::{Connection, Ready, Shared};

/// How long a text that waits for the user's hands takes to see that it is not wanted any more.
const LOOK: Duration = Duration::from_millis(30);

/// Characters from which on a text is pasted where it can be. The slowest programs (GTK 3) read 500 keys
/// per second.
const LONG_TEXT: usize = 500;

/// The last character that every program understands as a key: Chromium cuts others to 16 bits.
const LAST_TYPABLE: char = '\u{ffff}';

/// The sinks `type`, `paste`, `uinput`, `clipboard` and `auto`.
pub struct DeskSink {
    config: OutputConfig,
    connection: Shared,
    /// The keyboard of `uinput`, plugged in when first needed.
    uinput: Shared,
    notice: Notice,
    /// Which window had the keyboard at the release of which take, oldest first.
    aims: VecDeque<(TakeId, Window)>,
    /// It was said that the rules have no effect.
    doubted: bool,
}

/// How a text got out.
struct Put {
    way: Way,
    /// Why it was not the first way.
    why: Option<OutputError>,
}

impl DeskSink {
    /// The sink for the desktop that the environment names, by the connection that sinks of the same settings have.
    ///
    /// # Errors
    /// [`OutputError::LayoutUnnamed`], [`OutputError::ClipboardEnds`].
    pub(crate) fn open(config: &OutputConfig, connections: &mut Connections) -> Result<Self, OutputError> {
        let mut sink = Self::open_later(config, connections)?;
        // A desktop that is not there yet is no reason to stop, but a reason to say so.
        let there = sink.connection.lock().ready_or_none(can_do_without(config)).map(|there| {
            sink.doubted = doubts_rules(config, there.as_ref());
            there.is_some()
        });
        match there {
            // Readers take time to notice a keyboard, so one that is sure to be needed is there before the first text.
            Ok(there) if !there || config.sink == Backend::Uinput => {
                if let Err(error) = sink.uinput.lock().ready() {
                    warn!("{error}");
                }
            }
            Ok(_) => {}
            Err(error) => warn!("{error}; until then texts are kept for `ptt-app retry`"),
        }
        Ok(sink)
    }

    /// The same, and nothing is connected before the first text.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_later(
        config: &OutputConfig,
        connections: &mut Connections,
    ) -> Result<Self, OutputError> {
        Self::check(config)?;
        Ok(Self::with(config, connections.desktop(config.desktop), connections))
    }

    /// What is wrong with the configuration and can be seen without a desktop.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn check(config: &OutputConfig) -> Result<(), OutputError> {
        let by_rule = config.rules.iter().any(|rule| rule.sink == Way::Uinput);
        if (config.sink == Backend::Uinput || by_rule) && config.uinput_layout.is_none() {
            return Err(OutputError::LayoutUnnamed);
        }
        if config.brief && matches!(config.sink, Backend::Paste | Backend::Clipboard) {
            return Err(OutputError::ClipboardEnds);
        }
        Ok(())
    }

    /// The sink for the desktop that `open` connects to.
    pub fn on(
        config: &OutputConfig,
        open: impl FnMut() -> Result<Box<dyn Desktop>, OutputError> + Send + 'static,
    ) -> Self {
        Self::with(config, Shared::new(open), &mut Connections::default())
    }

    fn with(config: &OutputConfig, connection: Shared, connections: &mut Connections) -> Self {
        metrics::describe_ways();
        Self {
            config: config.clone(),
            connection,
            uinput: connections.keyboard(config.uinput_layout.as_ref()),
            notice: Notice::default(),
            aims: VecDeque::new(),
            doubted: false,
        }
    }

    /// Waits until the user holds no modifier, unless the text goes to the clipboard anyway.
    fn hands_free(&mut self, wanted: &dyn Fn() -> bool) -> Result<(), OutputError> {
        let config = &self.config;
        let (mut connection, mut uinput) = (self.connection.lock(), self.uinput.lock());
        let mut there = connection.ready_or_none(can_do_without(config))?;
        self.doubted = self.doubted || doubts_rules(config, there.as_ref());
        let app = there.as_ref().and_then(|(_, focus)| focus.as_ref()).map(|window| &window.app);
        let found = app.and_then(|app| rule(&config.rules, app));
        if ways_of(config, found) == [Way::Clipboard] {
            return Ok(());
        }
        let end = Instant::now() + config.wait_for_modifiers_ms.millis();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let look = left.min(LOOK);
            let free = match (&mut there, &mut uinput.desktop) {
                // The keyboard sees what a desktop may not tell. Where it cannot, its way says why.
                (there, Some(uinput)) => {
                    let desktop = there.as_mut().map_or(Ok(true), |(desktop, _)| desktop.hands_free(look))?;
                    desktop && uinput.hands_free(look).unwrap_or(true)
                }
                (Some((desktop, _)), None) => desktop.hands_free(look)?,
                (None, None) => true,
            };
            if free || left.is_zero() || !wanted() {
                return Ok(());
            }
        }
    }

    /// Puts the text out by the first way that works.
    fn put(&mut self, aim: Option<&Window>, text: &str) -> Result<Put, OutputError> {
        let config = &self.config;
        let lines = match config.newline {
            Newline::Space => text.replace('\n', " "),
            Newline::Enter => text.to_owned(),
        };
        let (mut connection, mut uinput) = (self.connection.lock(), self.uinput.lock());
        let Some((desktop, focus)) = connection.ready_or_none(can_do_without(config))? else {
            let done = type_by_uinput(&mut uinput, config, &lines, || Ok(Listener::Window));
            metrics::count_way(Way::Uinput, done.is_ok());
            return done.map(|()| Put { way: Way::Uinput, why: None });
        };
        let found = focus.as_ref().and_then(|window| rule(&config.rules, &window.app));
        if let (Some(window), None, false) = (&focus, found, config.rules.is_empty()) {
            debug!(app = window.app, "no rule is for this application");
        }
        let chord = found.and_then(|rule| rule.paste_chord).or(config.paste_chord);
        let chord = chord.unwrap_or_else(|| desktop.paste_chord());
        let mut ways = VecDeque::from(ways_of(config, found));
        if lines.chars().nth(LONG_TEXT).is_some() || lines.chars().any(|c| c > LAST_TYPABLE) {
            paste_first(&mut ways);
        }
        let mut why = None;
        while let Some(way) = ways.pop_front() {
            let done = match way {
                Way::Type => may_press(desktop, aim, config).and_then(|listener| {
                    desktop.type_text(&lines)?;
                    heard_by(listener)
                }),
                Way::Paste => may_press(desktop, aim, config)
                    .and_then(|_| desktop.paste(&lines, chord, config.limit_ms.millis())),
                Way::Uinput => {
                    type_by_uinput(&mut uinput, config, &lines, || may_press(desktop, aim, config))
                }
                Way::Clipboard => desktop.copy(&lines),
            };
            metrics::count_way(way, done.is_ok());
            match done {
                Ok(()) => return Ok(Put { way, why }),
                Err(error) if error.may_be_out() => return Err(error),
                // It is there already, and a window that is slow may still paste it.
                Err(error @ OutputError::NotTaken { .. }) if ways.contains(&Way::Clipboard) => {
                    metrics::count_way(Way::Clipboard, true);
                    return Ok(Put { way: Way::Clipboard, why: Some(error) });
                }
                Err(error) => {
                    debug!(way = way.label(), %error, "the next way is tried");
                    if error.bars_keys() {
                        ways.retain(|way| *way == Way::Clipboard);
                    }
                    why = Some(error);
                }
            }
        }
        Err(why.unwrap_or(OutputError::ClipboardEnds))
    }

    /// A connection that broke is of no use any more.
    fn forget_lost<T>(&self, done: &Result<T, OutputError>) {
        if matches!(done, Err(OutputError::DesktopLost { .. })) {
            self.connection.lock().desktop = None;
        }
    }

    fn take_aim(&mut self, take: TakeId) -> Option<Window> {
        let at = self.aims.iter().position(|(of, _)| *of == take)?;
        self.aims.remove(at).map(|(_, window)| window)
    }
}

/// The ways to try, in this order.
fn ways_of(config: &OutputConfig, rule: Option<&Rule>) -> Vec<Way> {
    let ways = ways(config.sink, rule, config.uinput_layout.is_some()).iter().copied();
    ways.filter(|way| !config.brief || way.is_keys()).collect()
}

/// Puts pasting before typing, where both are ways.
fn paste_first(ways: &mut VecDeque<Way>) {
    let at = |way| ways.iter().position(|known| *known == way);
    if let (Some(typing), Some(pasting)) = (at(Way::Type), at(Way::Paste))
        && typing < pasting
    {
        ways.swap(typing, pasting);
    }
}

/// Whether a text can be put out where there is no desktop.
fn can_do_without(config: &OutputConfig) -> bool {
    ways_of(config, None).contains(&Way::Uinput)
}

/// Says so where the rules can have no effect, because nobody tells which window has the keyboard.
fn doubts_rules(config: &OutputConfig, there: Option<&Ready<'_>>) -> bool {
    let told = there.is_some_and(|(desktop, _)| desktop.tells_windows());
    let doubts = !(told || config.rules.is_empty() || config.sink == Backend::Clipboard);
    if doubts {
        warn!(
            "`output.rules` have no effect here: nobody tells programs which window has the keyboard, so every text goes as \
             `output.sink` says"
        );
    }
    doubts
}

/// Types by the keyboard of `uinput`, plugging it in where it is not, if then it still `may`.
fn type_by_uinput(
    uinput: &mut Connection,
    config: &OutputConfig,
    text: &str,
    may: impl FnOnce() -> Result<Listener, OutputError>,
) -> Result<(), OutputError> {
    let limit = config.wait_for_modifiers_ms.millis();
    // While the text waited, a keyboard that is plugged in only now could not be asked.
    let wait = if uinput.desktop.is_none() { limit } else { Duration::ZERO };
    let (keyboard, _) = uinput.ready()?;
    if !keyboard.hands_free(wait)? {
        return Err(OutputError::ModifiersHeld { limit });
    }
    let listener = may()?;
    let typed = keyboard.type_text(text);
    if matches!(typed, Err(OutputError::KeyboardLost { .. })) {
        uinput.desktop = None;
    }
    typed.and_then(|()| heard_by(listener))
}

/// What was typed without a window may be lost: it is kept too.
const fn heard_by(listener: Listener) -> Result<(), OutputError> {
    match listener {
        Listener::Window => Ok(()),
        Listener::Untold | Listener::Nobody => Err(OutputError::NoWindowTold),
    }
}

/// Who gets keys, if they would mean the text and go where it is meant for. Asked before each way that presses some: the one
/// before it may have taken seconds.
fn may_press(
    desktop: &mut dyn Desktop,
    aim: Option<&Window>,
    config: &OutputConfig,
) -> Result<Listener, OutputError> {
    if !desktop.hands_free(Duration::ZERO)? {
        return Err(OutputError::ModifiersHeld { limit: config.wait_for_modifiers_ms.millis() });
    }
    let listener = desktop.listener()?;
    if listener == Listener::Nobody {
        return Err(OutputError::NoWindow);
    }
    let Some(aim) = aim else { return Ok(listener) };
    match desktop.focus()? {
        Some(window) if window.id == aim.id => Ok(listener),
        Some(_) | None => Err(OutputError::FocusMoved),
    }
}

impl Sink for DeskSink {
    fn name(&self) -> &'static str {
        match self.config.sink {
            Backend::Type => "type",
            Backend::Paste => "paste",
            Backend::Uinput => "uinput",
            Backend::Clipboard => "clipboard",
            Backend::Auto | Backend::Stdout | Backend::File | Backend::Command => "auto",
        }
    }

    fn ending(&self) -> &'static str {
        if self.config.sink == Backend::Clipboard { "" } else { " " }
    }

    fn aim(&mut self, take: TakeId) {
        if !self.config.same_window {
            return;
        }
        let focus = self.connection.lock().ready().map(|(_, focus)| focus);
        match focus {
            Ok(Some(window)) => {
                if self.aims.len() == AIMS {
                    self.aims.pop_front();
                }
                self.aims.push_back((take, window));
            }
            // Then the text goes wherever the keyboard is.
            Ok(None) => {}
            Err(error) => debug!(%error, "no window to aim at"),
        }
    }

    fn unaim(&mut self, take: TakeId) {
        self.take_aim(take);
    }

    fn wait(&mut self, wanted: &dyn Fn() -> bool) -> Result<(), OutputError> {
        let waited = self.hands_free(wanted);
        self.forget_lost(&waited);
        waited
    }

    fn deliver(&mut self, take: TakeId, text: &str) -> Result<(), OutputError> {
        let aim = self.take_aim(take);
        let put = self.put(aim.as_ref(), text);
        self.forget_lost(&put);
        if let Put { way: Way::Clipboard, why: Some(why) } = put? {
            warn!("the text is in the clipboard: {why}");
            if self.config.notify {
                self.notice.show(&why);
            }
        }
        Ok(())
    }

    fn rest(&mut self) {
        for connection in [&self.connection, &self.uinput] {
            if let Some(desktop) = &mut connection.lock().desktop {
                desktop.rest();
            }
        }
    }
}

impl std::fmt::Debug for DeskSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeskSink").field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "desk/tests.rs"]
mod tests;
