//! The controller's whole surface: what it may say, and where it hears.

use actix::Addr;
use ptt_messages::{
    ControllerCommand, ControllerEvent, FeedbackCommand, FeedbackEvent, KeyboardCommand, KeyboardEvent,
    OutputCommand, OutputEvent, Port, RecorderCommand, RecorderEvent, ResourceCommand, ResourceEvent,
    SttCommand, SttEvent,
};

use crate::actor::{ACTOR, Controller};
use crate::handover::HandOver;

/// Everyone the controller talks to.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Who reports the chord.
    pub keyboard: Port<KeyboardCommand>,
    /// Who records takes.
    pub recorder: Port<RecorderCommand>,
    /// Who makes texts of them.
    pub stt: Port<SttCommand>,
    /// Who plays the chimes.
    pub feedback: Port<FeedbackCommand>,
    /// Who puts texts out.
    pub output: Port<OutputCommand>,
    /// Who lends the microphone and the memory.
    pub resources: Port<ResourceCommand>,
    /// Who watches. An observer that does not keep up loses events, and holds up nothing.
    pub observers: Vec<Port<ControllerEvent>>,
}

/// Where the controller hears each role, and what it can be asked for.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Enable, disable, retry.
    pub commands: Port<ControllerCommand>,
    /// For the keyboard, and for whatever else has edges to tell.
    pub keyboard: Port<KeyboardEvent>,
    /// For the recorder.
    pub recorder: Port<RecorderEvent>,
    /// For the engine.
    pub stt: Port<SttEvent>,
    /// For the chimes.
    pub feedback: Port<FeedbackEvent>,
    /// For the output.
    pub output: Port<OutputEvent>,
    /// For the resource manager.
    pub resources: Port<ResourceEvent>,
    /// For who replaces this controller by another one.
    pub hand_over: Port<HandOver>,
}

impl Inbox {
    pub(crate) fn of(controller: &Addr<Controller>) -> Self {
        Self {
            commands: Port::to(ACTOR, controller),
            keyboard: Port::to(ACTOR, controller),
            recorder: Port::to(ACTOR, controller),
            stt: Port::to(ACTOR, controller),
            feedback: Port::to(ACTOR, controller),
            output: Port::to(ACTOR, controller),
            resources: Port::to(ACTOR, controller),
            hand_over: Port::to(ACTOR, controller),
        }
    }
}
