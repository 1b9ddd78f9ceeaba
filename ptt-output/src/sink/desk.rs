//! Into the focused window: typed, pasted, or left in the clipboard with a notification.
//!
//! What lives here: which ways are tried in which order, and what each failure means for the text. What does not: how a
//! windowing system types and pastes (`desktop/`).
//!
//! * The desktop is looked for when it is needed, again and again: the daemon may be older than the session.
//! * Where there is none at all, the keyboard of `uinput` types without one.
//! * A way is followed by the next one only when it has put out nothing. When the connection breaks, a part may be out,
//!   and the text is kept for `retry` instead.
//! * A text whose window has lost the keyboard since the release goes to the clipboard, as one does while the user holds
//!   a modifier, for which `wait` has waited: what would be typed there is not what was meant. So does one that would reach
//!   no window at all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ptt_messages::TakeId;
use tracing::{debug, warn};

use super::Sink;
use super::notice::Notice;
use crate::config::{Backend, Newline, OutputConfig};
use crate::desktop::uinput::Uinput;
use crate::desktop::{Desktop, Opener, Window};
use crate::error::OutputError;
use crate::metrics;
use crate::rule::{Way, rule, ways};

/// How long a text that waits for the user's hands takes to see that it is not wanted any more.
const LOOK: Duration = Duration::from_millis(30);

/// So many takes can be between their release and their text.
const AIMS: usize = 16;

type Open = Box<dyn FnMut() -> Result<Box<dyn Desktop>, OutputError> + Send>;

/// The sinks `type`, `paste`, `uinput`, `clipboard` and `auto`.
pub struct DeskSink {
    config: OutputConfig,
    connection: Connection,
    /// The keyboard of `uinput`, plugged in when first needed.
    uinput: Connection,
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
    /// The sink for the desktop that the environment names.
    ///
    /// # Errors
    /// [`OutputError::LayoutUnnamed`].
    pub fn open(config: &OutputConfig) -> Result<Self, OutputError> {
        let uinput_alone = config.sink == Backend::Uinput;
        let by_rule = config.rules.iter().any(|rule| rule.sink == Way::Uinput);
        if (uinput_alone || by_rule) && config.uinput_layout.is_none() {
            return Err(OutputError::LayoutUnnamed);
        }
        let mut opener = Opener::new(config.desktop, !(uinput_alone || config.sink == Backend::Clipboard));
        let mut sink = Self::on(config, move || opener.open());
        // A desktop that is not there yet is no reason to stop, but a reason to say so.
        match sink.connection.ready_or_none(can_do_without(config)) {
            Ok(there) => {
                sink.doubted = doubts_rules(config, there.as_ref());
                // Readers take time to notice a keyboard, so one that is sure to be needed is there before the first text.
                if (there.is_none() || uinput_alone)
                    && let Err(error) = sink.uinput.ready()
                {
                    warn!("{error}");
                }
            }
            Err(error) => warn!("{error}; until then texts are kept for `ptt-app retry`"),
        }
        Ok(sink)
    }

    /// The sink for the desktop that `open` connects to.
    pub fn on(
        config: &OutputConfig,
        open: impl FnMut() -> Result<Box<dyn Desktop>, OutputError> + Send + 'static,
    ) -> Self {
        metrics::describe_ways();
        let layout = config.uinput_layout.clone();
        let uinput: Open = Box::new(move || {
            let layout = layout.as_ref().ok_or(OutputError::LayoutUnnamed)?;
            Ok(Box::new(Uinput::plug(layout)?))
        });
        Self {
            config: config.clone(),
            connection: Connection { open: Box::new(open), desktop: None },
            uinput: Connection { open: uinput, desktop: None },
            notice: Notice::default(),
            aims: VecDeque::new(),
            doubted: false,
        }
    }

    /// Waits until the user holds no modifier, unless the text goes to the clipboard anyway.
    fn hands_free(&mut self, wanted: &dyn Fn() -> bool) -> Result<(), OutputError> {
        let config = &self.config;
        let mut there = self.connection.ready_or_none(can_do_without(config))?;
        self.doubted = self.doubted || doubts_rules(config, there.as_ref());
        let app = there.as_ref().and_then(|(_, focus)| focus.as_ref()).map(|window| &window.app);
        let found = app.and_then(|app| rule(&config.rules, app));
        if ways(config.sink, found, config.uinput_layout.is_some()) == [Way::Clipboard] {
            return Ok(());
        }
        let end = Instant::now() + config.wait_for_modifiers_ms.millis();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let look = left.min(LOOK);
            let free = match (&mut there, &mut self.uinput.desktop) {
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
        let Some((desktop, focus)) = self.connection.ready_or_none(can_do_without(config))? else {
            let done = type_by_uinput(&mut self.uinput, config, &lines);
            metrics::count_way(Way::Uinput, done.is_ok());
            return done.map(|()| Put { way: Way::Uinput, why: None });
        };
        let found = focus.as_ref().and_then(|window| rule(&config.rules, &window.app));
        if let (Some(window), None, false) = (&focus, found, config.rules.is_empty()) {
            debug!(app = window.app, "no rule is for this application");
        }
        let chord = found.and_then(|rule| rule.paste_chord).or(config.paste_chord);
        let chord = chord.unwrap_or_else(|| desktop.paste_chord());
        let mut ways = ways(config.sink, found, config.uinput_layout.is_some());
        let mut why = None;
        if ways != [Way::Clipboard] {
            why = obstacle(desktop, aim, config)?;
            if why.is_some() {
                ways = &[Way::Clipboard];
            }
        }
        for &way in ways {
            let done = match way {
                Way::Type => desktop.type_text(&lines),
                Way::Paste => desktop.paste(&lines, chord, config.limit_ms.millis()),
                Way::Uinput => type_by_uinput(&mut self.uinput, config, &lines),
                Way::Clipboard => desktop.copy(&lines),
            };
            metrics::count_way(way, done.is_ok());
            match done {
                Ok(()) => return Ok(Put { way, why }),
                Err(error @ (OutputError::DesktopLost { .. } | OutputError::PortalLost(_))) => {
                    return Err(error);
                }
                Err(error) => {
                    debug!(way = way.label(), %error, "the next way is tried");
                    why = Some(error);
                }
            }
        }
        Err(why.expect("there is at least one way"))
    }

    /// A connection that broke is of no use any more.
    fn forget_lost<T>(&mut self, done: &Result<T, OutputError>) {
        if matches!(done, Err(OutputError::DesktopLost { .. })) {
            self.connection.desktop = None;
        }
    }
}

/// Whether a text can be put out where there is no desktop.
fn can_do_without(config: &OutputConfig) -> bool {
    ways(config.sink, None, config.uinput_layout.is_some()).contains(&Way::Uinput)
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

/// Types by the keyboard of `uinput`, plugging it in where it is not.
fn type_by_uinput(uinput: &mut Connection, config: &OutputConfig, text: &str) -> Result<(), OutputError> {
    let (keyboard, _) = uinput.ready()?;
    if !keyboard.hands_free(Duration::ZERO)? {
        return Err(OutputError::ModifiersHeld { limit: config.wait_for_modifiers_ms.millis() });
    }
    let typed = keyboard.type_text(text);
    if matches!(typed, Err(OutputError::DesktopLost { .. })) {
        uinput.desktop = None;
    }
    typed
}

/// Why nothing can be typed now.
fn obstacle(
    desktop: &mut dyn Desktop,
    aim: Option<&Window>,
    config: &OutputConfig,
) -> Result<Option<OutputError>, OutputError> {
    if !desktop.hands_free(Duration::ZERO)? {
        return Ok(Some(OutputError::ModifiersHeld { limit: config.wait_for_modifiers_ms.millis() }));
    }
    if desktop.nobody_listens()? {
        return Ok(Some(OutputError::NoWindow));
    }
    let Some(aim) = aim else { return Ok(None) };
    let moved = desktop.focus()?.is_none_or(|window| window.id != aim.id);
    Ok(moved.then_some(OutputError::FocusMoved))
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

    fn aim(&mut self, take: TakeId) {
        if !self.config.same_window {
            return;
        }
        match self.connection.ready() {
            Ok((_, Some(window))) => {
                if self.aims.len() == AIMS {
                    self.aims.pop_front();
                }
                self.aims.push_back((take, window));
            }
            // Then the text goes wherever the keyboard is.
            Ok((_, None)) => {}
            Err(error) => debug!(%error, "no window to aim at"),
        }
    }

    fn wait(&mut self, wanted: &dyn Fn() -> bool) -> Result<(), OutputError> {
        let waited = self.hands_free(wanted);
        self.forget_lost(&waited);
        waited
    }

    fn deliver(&mut self, take: TakeId, text: &str) -> Result<(), OutputError> {
        // For once: a retry is meant for the window that has the keyboard then.
        let at = self.aims.iter().position(|(of, _)| *of == take);
        let aim = at.and_then(|at| self.aims.remove(at)).map(|(_, window)| window);
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
        for connection in [&mut self.connection, &mut self.uinput] {
            if let Some(desktop) = &mut connection.desktop {
                desktop.rest();
            }
        }
    }
}

/// A desktop that answers, and its focused window.
type Ready<'c> = (&'c mut dyn Desktop, Option<Window>);

/// The desktop, while there is one.
struct Connection {
    open: Open,
    desktop: Option<Box<dyn Desktop>>,
}

impl Connection {
    /// A desktop that answers, and its focused window. A connection that broke while nothing was done with it is made
    /// anew once.
    fn ready(&mut self) -> Result<Ready<'_>, OutputError> {
        if let Some(mut desktop) = self.desktop.take() {
            match desktop.focus() {
                Ok(focus) => return Ok((self.desktop.insert(desktop).as_mut(), focus)),
                Err(error) => debug!(%error, "connecting again"),
            }
        }
        let mut desktop = (self.open)()?;
        let focus = desktop.focus()?;
        Ok((self.desktop.insert(desktop).as_mut(), focus))
    }

    /// The same; `None` where there is no desktop and it `can` be done without.
    fn ready_or_none(&mut self, can: bool) -> Result<Option<Ready<'_>>, OutputError> {
        match self.ready() {
            Ok(there) => Ok(Some(there)),
            Err(OutputError::NoDesktop) if can => Ok(None),
            Err(error) => Err(error),
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
