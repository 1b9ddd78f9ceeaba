//! The actor around the machine: a message becomes an input, an effect goes to its port, and both are timed.

use actix::{Actor, AsyncContext, Context, Handler};
use ptt_messages::{ControllerEvent, KeyboardEvent, Moment, Outcome, Posted, Stage, stage};
use tracing::{debug, info, trace, warn};

use crate::fsm::{Effect, Effects, Input, Machine, Move, Policy};
use crate::handover::{HandOver, HandoverSlot};
use crate::metrics::{Meters, count_take};
use crate::ports::Ports;
use crate::stopwatch::{Cue, Reading, Stopwatch};

#[cfg(test)]
mod tests;

/// The actor's name in labels.
pub(crate) const ACTOR: &str = "controller";

/// More than any burst of a take; a keyboard waits for room, see [`ptt_messages::Port::post_patiently`].
pub(crate) const MAILBOX: usize = 100;

pub(crate) struct Controller {
    machine: Machine,
    /// What follows from the memory that the machine began with.
    first: Effects,
    policy: Policy,
    ports: Ports,
    stopwatch: Stopwatch,
    meters: Meters,
    /// When the state was entered.
    entered: Moment,
    /// Where the machine's memory comes from and goes to.
    slot: HandoverSlot,
    /// The machine's memory was handed over: nothing that happens now has an effect.
    replaced: bool,
}

impl Controller {
    pub fn new(policy: Policy, ports: Ports, slot: HandoverSlot) -> Self {
        // Here and not when it starts: one that never does leaves what it has taken.
        let (machine, first) = slot
            .take()
            .map_or_else(Default::default, |memory| Machine::resume(&policy, Moment::now(), memory));
        let meters = Meters::new();
        meters.enter(machine.state());
        Self {
            machine,
            first,
            policy,
            ports,
            stopwatch: Stopwatch::default(),
            meters,
            entered: Moment::now(),
            slot,
            replaced: false,
        }
    }

    /// Ends the machine's work and leaves its memory to the next controller.
    fn hand_over(&mut self) -> Effects {
        let (memory, effects) = self.machine.hand_over();
        self.slot.put(memory);
        self.replaced = true;
        effects
    }

    /// Lets an input happen that was sent at `now` and caused at `cause`.
    fn happen(&mut self, now: Moment, cause: Moment, input: Input, ctx: &mut Context<Self>) {
        if self.replaced {
            debug!(input = input.name().label(), "too late: the controller was replaced");
            return;
        }
        let began = Moment::now();
        let (cue, name) = (Cue::of(&input), input.name());
        let effects = self.machine.step(&self.policy, now, input);
        trace!(input = name.label(), effects = %List(&effects), "step");
        let readings = self.stopwatch.read(now, cue, &effects);
        let mut moves = Vec::new();
        for effect in effects {
            if let Effect::Moved(moved) = effect {
                moves.push(moved);
            } else {
                self.perform(effect, ctx);
            }
        }
        self.measure(&moves, began, cause);
        for reading in readings {
            match reading {
                Reading::Stage(take, stage, took) => {
                    stage.record(took);
                    self.tell(&ControllerEvent::Stage { take, stage, took });
                }
                Reading::Length(length) => self.meters.length(length),
            }
        }
        self.meters.remembered(self.machine.remembered());
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::Keyboard(command) => _ = self.ports.keyboard.post(command),
            Effect::Recorder(command) => _ = self.ports.recorder.post(command),
            Effect::Stt(command) => _ = self.ports.stt.post(command),
            Effect::Feedback(command) => _ = self.ports.feedback.post(command),
            Effect::Output(command) => _ = self.ports.output.post(command),
            Effect::Resources(command) => _ = self.ports.resources.post(command),
            Effect::Arm(timer, after) => {
                let due = Moment::now() + after;
                ctx.run_later(after, move |controller, ctx| {
                    controller.happen(Moment::now(), due, Input::TimedOut(timer), ctx);
                });
            }
            Effect::Observe(event) => {
                self.note(&event);
                self.tell(&event);
            }
            // Timed together with the step, see `measure`.
            Effect::Moved(_) => {}
        }
    }

    fn measure(&mut self, moves: &[Move], began: Moment, cause: Moment) {
        if moves.is_empty() {
            return;
        }
        let at = Moment::now();
        let took = at.since(cause);
        for &moved in moves {
            let Move { take, from, to, input } = moved;
            self.meters.transition(moved, took);
            self.meters.state(from, at.since(self.entered), to);
            self.entered = at;
            debug!(
                take = take.map(|take| take.0),
                from = from.label(),
                to = to.label(),
                input = input.label(),
                ?took,
                "transition"
            );
            self.tell(&ControllerEvent::Transition { take, from, to, input: input.label().into(), at, took });
        }
        let step = at.since(began);
        Stage::StateTransition.record(step);
        if let Some(take) = moves.iter().find_map(|moved| moved.take) {
            self.tell(&ControllerEvent::Stage { take, stage: Stage::StateTransition, took: step });
        }
    }

    /// Counts and logs what those who watch are told, without the words.
    fn note(&self, event: &ControllerEvent) {
        match event {
            ControllerEvent::Text { take, text, path, release_to_text, .. } => {
                self.meters.text(*path, *release_to_text);
                info!(take = take.0, chars = text.chars(), path = path.label(), ?release_to_text, "text");
            }
            ControllerEvent::Ended { take, outcome } => {
                count_take(*outcome);
                match outcome {
                    Outcome::Text => debug!(take = take.0, outcome = outcome.label(), "the take is over"),
                    Outcome::Empty
                    | Outcome::Tap
                    | Outcome::Cancelled
                    | Outcome::Salvaged
                    | Outcome::NotStarted => {
                        info!(take = take.0, outcome = outcome.label(), "the take is over");
                    }
                }
            }
            ControllerEvent::Fault { take, fault } => {
                stage::count_fault(fault);
                let (component, kind) = (fault.component.label(), fault.kind.label());
                warn!(take = take.map(|take| take.0), component, kind, "{fault}");
            }
            ControllerEvent::Hint { take, hint } => warn!(take = take.0, "{hint}"),
            ControllerEvent::Delivered { take, sink } => debug!(take = take.0, sink, "delivered"),
            ControllerEvent::Withdrawn { take } => {
                info!(take = take.0, "withdrawn before it was out; `ptt-app retry` puts it out");
            }
            ControllerEvent::Languages { take, languages } => {
                info!(take = take.0, languages = languages.join(","), "spoken");
            }
            ControllerEvent::Discarded { take } => {
                info!(take = take.0, "words were left out as noise; `ptt-app retry` puts them out");
            }
            ControllerEvent::Part { component, what: Some(what) } => {
                info!(component = component.label(), what, "ready")
            }
            ControllerEvent::Part { component, what: None } => {
                debug!(component = component.label(), "not there")
            }
            ControllerEvent::Profile { take, profile } => debug!(take = take.0, %profile, "its profile"),
            ControllerEvent::Transition { .. }
            | ControllerEvent::Stage { .. }
            | ControllerEvent::Partial { .. } => {}
        }
    }

    fn tell(&self, event: &ControllerEvent) {
        for observer in &self.ports.observers {
            observer.offer(event.clone());
        }
    }
}

impl Actor for Controller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for effect in std::mem::take(&mut self.first) {
            self.perform(effect, ctx);
        }
    }
}

/// However it ends: with the daemon, with the system of actors, or by a panic of another actor.
impl Drop for Controller {
    fn drop(&mut self) {
        if !self.replaced {
            // Nobody is there for the effects any more.
            drop(self.hand_over());
        }
    }
}

impl Handler<Posted<HandOver>> for Controller {
    type Result = ();

    fn handle(&mut self, message: Posted<HandOver>, ctx: &mut Self::Context) {
        let HandOver { answer } = message.open(ACTOR);
        let rests = self.machine.is_at_rest() && !self.replaced;
        if rests {
            for effect in self.hand_over() {
                self.perform(effect, ctx);
            }
        }
        // Who asked may have lost patience.
        let _ = answer.try_send(rests);
    }
}

impl<T> Handler<Posted<T>> for Controller
where
    T: Into<Input> + Send + 'static,
{
    type Result = ();

    fn handle(&mut self, message: Posted<T>, ctx: &mut Self::Context) {
        let sent = message.sent;
        let input: Input = message.open(ACTOR).into();
        self.happen(sent, cause(&input).unwrap_or(sent), input, ctx);
    }
}

/// When what the input tells happened, where that is known better than by its sending.
const fn cause(input: &Input) -> Option<Moment> {
    match input {
        Input::Keyboard(
            KeyboardEvent::Pressed { at, .. }
            | KeyboardEvent::Released { at }
            | KeyboardEvent::Toggled { at, .. }
            | KeyboardEvent::Cancelled { at }
            | KeyboardEvent::UserLeft { at },
        ) => Some(*at),
        Input::Keyboard(KeyboardEvent::Listening { .. } | KeyboardEvent::Failed(_))
        | Input::Command(_)
        | Input::Recorder(_)
        | Input::Stt(_)
        | Input::Feedback(_)
        | Input::Output(_)
        | Input::Resources(_)
        | Input::TimedOut(_) => None,
    }
}

/// Effects on one line of a log.
struct List<'a>(&'a Effects);

impl std::fmt::Display for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for effect in self.0 {
            write!(f, "{effect} ")?;
        }
        Ok(())
    }
}
