//! The public face for custom builds: one slot per role, each with the stock crate in it until another is put there.

use std::sync::Arc;

use ptt_audio::AudioConfig;
use ptt_controller::{HandoverSlot, Inbox, Ports};
use ptt_messages::{
    ControllerEvent, FeedbackCommand, FeedbackEvent, KeyboardCommand, KeyboardEvent, OutputCommand,
    OutputEvent, Port, RecorderCommand, RecorderEvent, ResourceCommand, ResourceEvent, SttCommand, SttEvent,
};
use ptt_output::{Backend, OutputConfig};

use crate::board::Board;
use crate::config::Config;
use crate::exit_code::{Exit, Failure};
use crate::preflight::{self, Stock};
use crate::wiring;

/// Why a slot's actor could not be started.
pub type SlotError = Box<dyn std::error::Error + Send + Sync>;

/// Starts a role's actor: given the configuration and where its events go, returns where its commands go.
pub type Slot<C, E> = Box<dyn FnOnce(&Config, Port<E>) -> Result<Port<C>, Failure>>;

/// Starts the controller: given the configuration and a function that wires the other roles to an inbox.
pub type ControllerSlot =
    Box<dyn FnOnce(&Config, &mut dyn FnMut(&Inbox) -> Result<Ports, Failure>) -> Result<Inbox, Failure>>;

/// Puts a daemon together.
///
/// ```no_run
/// # use ptt_app::{AppBuilder, Config};
/// # use ptt_messages::{KeyboardCommand, KeyboardEvent, Port};
/// # fn pedal(config: &Config, events: Port<KeyboardEvent>) -> Result<Port<KeyboardCommand>, ptt_keyboard::KeyboardError> {
/// #     ptt_keyboard::spawn(&config.keyboard, events)
/// # }
/// fn main() -> std::process::ExitCode {
///     ptt_app::cli::main_with(std::env::args_os(), |app| app.keyboard(pedal))
/// }
/// ```
pub struct AppBuilder {
    pub(crate) config: Config,
    pub(crate) controller: ControllerSlot,
    pub(crate) keyboard: Slot<KeyboardCommand, KeyboardEvent>,
    pub(crate) recorder: Slot<RecorderCommand, RecorderEvent>,
    pub(crate) stt: Slot<SttCommand, SttEvent>,
    pub(crate) feedback: Slot<FeedbackCommand, FeedbackEvent>,
    pub(crate) output: Slot<OutputCommand, OutputEvent>,
    pub(crate) resources: Slot<ResourceCommand, ResourceEvent>,
    pub(crate) observers: Vec<Port<ControllerEvent>>,
    /// Where the status goes, when that is not a new daemon's own board.
    pub(crate) board: Option<Arc<Board>>,
    /// The memory of the controller before this daemon's.
    pub(crate) handover: HandoverSlot,
    /// The roles whose actors are the stock ones.
    pub(crate) stock: Stock,
}

/// A daemon's actors, running on the current actix system until it stops.
#[derive(Clone, Debug)]
pub struct App {
    /// Where the controller hears: key edges and commands may also be sent from outside.
    pub inbox: Inbox,
    /// What is known of the daemon.
    pub board: Arc<Board>,
}

macro_rules! slot {
    ($name:ident, $command:ty, $event:ty, $what:literal) => {
        #[doc = concat!("Replaces the ", $what, ". The function runs once, inside the actix system.")]
        #[must_use]
        pub fn $name<E: Into<SlotError>>(
            mut self,
            spawn: impl FnOnce(&Config, Port<$event>) -> Result<Port<$command>, E> + 'static,
        ) -> Self {
            self.$name = custom(stringify!($name), spawn);
            self.stock = self.stock.without(stringify!($name));
            self
        }
    };
}

impl AppBuilder {
    /// Every role from its stock crate.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let handover = HandoverSlot::default();
        let slot = handover.clone();
        Self {
            config,
            controller: Box::new(|config, wire| {
                ptt_controller::spawn_after(&config.controller, slot, |inbox| wire(inbox))
            }),
            keyboard: Box::new(|c, out| ptt_keyboard::spawn(&c.keyboard, out).map_err(|e| fault(&e))),
            recorder: Box::new(|c, out| ptt_audio::spawn(&audio_of(c), out).map_err(|e| e.fault().into())),
            stt: Box::new(|c, out| ptt_stt::spawn(&c.stt, out).map_err(|e| fault(&e))),
            feedback: Box::new(|c, out| ptt_feedback::spawn(&c.feedback, out).map_err(|e| fault(&e))),
            output: Box::new(|c, out| ptt_output::spawn(&output_of(c), out).map_err(|e| fault(&e))),
            resources: Box::new(|c, out| ptt_resources::spawn(&c.resources, out).map_err(|e| fault(&e))),
            observers: Vec::new(),
            board: None,
            handover,
            stock: Stock::ALL,
        }
    }

    slot!(keyboard, KeyboardCommand, KeyboardEvent, "keyboard: key edges in");
    slot!(recorder, RecorderCommand, RecorderEvent, "recorder: takes of audio");
    slot!(stt, SttCommand, SttEvent, "engine: audio to text");
    slot!(feedback, FeedbackCommand, FeedbackEvent, "feedback: chimes");
    slot!(output, OutputCommand, OutputEvent, "output: where texts go");
    slot!(resources, ResourceCommand, ResourceEvent, "resource manager");

    /// Replaces the controller itself.
    #[must_use]
    pub fn controller(
        mut self,
        spawn: impl FnOnce(&Config, &mut dyn FnMut(&Inbox) -> Result<Ports, Failure>) -> Result<Inbox, Failure>
        + 'static,
    ) -> Self {
        self.controller = Box::new(spawn);
        self
    }

    /// Lets one more actor watch what the controller does.
    #[must_use]
    pub fn observer(mut self, port: Port<ControllerEvent>) -> Self {
        self.observers.push(port);
        self
    }

    /// Checks what can be checked of the stock actors' sections before any of them is started: the
    /// filter of the log, the model, the output.
    ///
    /// # Errors
    /// What would keep the daemon from working, with what to do.
    pub fn check(&self) -> Result<(), Failure> {
        preflight::check(&self.config, self.stock)
    }

    /// Checks the same, and everything else in the stock actors' sections that would keep a part of
    /// the program from working on this machine.
    ///
    /// # Errors
    /// All of that, a line each.
    pub fn check_all(&self) -> Result<(), Failure> {
        let problems = preflight::problems(&self.config, self.stock);
        if !problems.is_empty() {
            return Err(Failure::new(Exit::Config, problems.join("\nptt-app: ")));
        }
        self.check()
    }

    /// Starts every actor on the current actix system. Nothing listens until [`ptt_messages::ControllerCommand::Enable`].
    ///
    /// # Errors
    /// The first role that could not be started, with what to do.
    pub fn spawn(self) -> Result<App, Failure> {
        wiring::spawn(self)
    }
}

impl std::fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The recorder knows by when the controller wants the end of a take.
fn audio_of(config: &Config) -> AudioConfig {
    let stop_deadline = Some(config.controller.stop_deadline_ms.millis());
    AudioConfig { stop_deadline, ..config.audio.clone() }
}

/// With `--once` nobody is there for what a text leaves in the clipboard, and who chose no output
/// reads the text from the program.
pub(crate) fn output_of(config: &Config) -> OutputConfig {
    let for_one_text = |mut output: OutputConfig| {
        if config.controller.once {
            output.brief = true;
            if output.sink == Backend::Auto {
                output.sink = Backend::Stdout;
            }
        }
        output
    };
    let profiles = config.output.profiles.iter().cloned().map(for_one_text).collect();
    OutputConfig { profiles, ..for_one_text(config.output.clone()) }
}

fn fault<'a, E>(error: &'a E) -> Failure
where
    ptt_messages::Fault: From<&'a E>,
{
    ptt_messages::Fault::from(error).into()
}

fn custom<C, E, X: Into<SlotError>>(
    role: &'static str,
    spawn: impl FnOnce(&Config, Port<E>) -> Result<Port<C>, X> + 'static,
) -> Slot<C, E>
where
    C: Send + Unpin + 'static,
    E: Send + Unpin + 'static,
{
    Box::new(move |config, events| {
        spawn(config, events).map_err(|e| Failure::new(Exit::Failed, format!("custom {role}: {}", e.into())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_once_a_text_is_read_from_the_program_unless_another_sink_was_chosen() {
        let text =
            "[[profile]]\nname = 'typed'\nchord = 'F9'\noutput.sink = 'type'\n[[profile]]\nname = 'same'";
        for (once, sinks) in [
            (false, [Backend::Auto, Backend::Type, Backend::Auto]),
            (true, [Backend::Stdout, Backend::Type, Backend::Stdout]),
        ] {
            let mut config = Config::parse(text, "f", [], &[]).unwrap();
            config.controller.once = once;
            let output = output_of(&config);
            let found = std::iter::once(&output).chain(&output.profiles).map(|o| (o.sink, o.brief));
            assert_eq!(found.collect::<Vec<_>>(), sinks.map(|sink| (sink, once)));
        }
    }
}
