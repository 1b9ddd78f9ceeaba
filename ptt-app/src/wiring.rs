//! Who is told what: the spawn order of the actors and the ports between them. The only place that knows every role.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, System};
use ptt_controller::Ports;
use tracing::error;

use crate::board::{Board, Observer};
use crate::builder::{App, AppBuilder};
use crate::exit_code::{Exit, Failure};
use crate::profile::Profiles;

/// How long a dead actor can go unnoticed.
const HEARTBEAT: Duration = Duration::from_millis(250);

pub(crate) fn spawn(builder: AppBuilder) -> Result<App, Failure> {
    let AppBuilder {
        config,
        controller,
        keyboard,
        recorder,
        stt,
        feedback,
        output,
        resources,
        observers,
        board,
        ..
    } = builder;
    let board = board.unwrap_or_else(|| Arc::new(Board::new(Profiles::of(&config))));
    let mut watchers = vec![Observer::start_on(Arc::clone(&board))];
    watchers.extend(observers);
    let mut roles = Some((keyboard, recorder, stt, feedback, output, resources));
    let mut lifelines: Vec<Lifeline> = Vec::new();
    let inbox = controller(&config, &mut |inbox| {
        let (keyboard, recorder, stt, feedback, output, resources) =
            roles.take().ok_or_else(|| Failure::new(Exit::Failed, "a controller wires its ports once"))?;
        let ports = Ports {
            keyboard: keyboard(&config, inbox.keyboard.clone())?,
            recorder: recorder(&config, inbox.recorder.clone())?,
            stt: stt(&config, inbox.stt.clone())?,
            feedback: feedback(&config, inbox.feedback.clone())?,
            output: output(&config, inbox.output.clone())?,
            resources: resources(&config, inbox.resources.clone())?,
            observers: std::mem::take(&mut watchers),
        };
        lifelines = vec![
            lifeline("keyboard", &ports.keyboard),
            lifeline("recorder", &ports.recorder),
            lifeline("stt", &ports.stt),
            lifeline("feedback", &ports.feedback),
            lifeline("output", &ports.output),
            lifeline("resources", &ports.resources),
        ];
        Ok(ports)
    })?;
    lifelines.push(lifeline("controller", &inbox.commands));
    Heart { lifelines }.start();
    Ok(App { inbox, board })
}

type Lifeline = (&'static str, Box<dyn Fn() -> bool>);

fn lifeline<T: Send + Unpin + 'static>(actor: &'static str, port: &ptt_messages::Port<T>) -> Lifeline {
    let port = port.clone();
    (actor, Box::new(move || port.connected()))
}

/// A panic in a handler ends that actor for good while actix runs on: half a daemon that looks healthy. So a dead actor
/// ends the process with its own code, and the service manager starts a whole one.
struct Heart {
    lifelines: Vec<Lifeline>,
}

impl Actor for Heart {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(HEARTBEAT, |heart, _| {
            if let Some((actor, _)) = heart.lifelines.iter().find(|(_, lives)| !lives()) {
                error!(actor, "an actor died; ending so that the daemon can be started whole");
                System::current().stop_with_code(i32::from(Exit::Panicked.code()));
            }
        });
    }
}
