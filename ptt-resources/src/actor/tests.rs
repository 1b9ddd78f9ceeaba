use actix::{Actor, Context, Handler};
use ptt_messages::{FaultKind, TakeId, Within};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::probe::ScriptedProbe;
use crate::{Residency, spawn_with};

#[actix::test]
async fn a_take_at_a_time_and_the_model_first() {
    let (resources, mut told) = start(ResourcesConfig::default());
    assert_eq!(told.recv().await, Some(ResourceEvent::LoadModel));
    resources.post(ResourceCommand::ModelResident(true));
    resources.post(ResourceCommand::Acquire { take: TakeId(1) });
    assert_eq!(told.recv().await, Some(ResourceEvent::Granted { take: TakeId(1) }));
    resources.post(ResourceCommand::Acquire { take: TakeId(2) });
    let Some(ResourceEvent::Refused { take: TakeId(2), fault }) = told.recv().await else {
        panic!("the second take was not refused")
    };
    assert_eq!(fault.kind, FaultKind::Busy);
    assert!(fault.message.starts_with("recording already in progress (take #1, for 0.0 s)"), "{fault}");
    for _ in 0..2 {
        resources.post(ResourceCommand::Release { take: TakeId(1) });
    }
    resources.post(ResourceCommand::Acquire { take: TakeId(2) });
    assert_eq!(told.recv().await, Some(ResourceEvent::Granted { take: TakeId(2) }));
}

#[actix::test]
async fn an_idle_model_goes_and_comes_back_with_the_next_take() {
    tokio::time::pause();
    let config = ResourcesConfig {
        model: Residency::OnFirstPress,
        model_idle_s: Within::new(600),
        ..ResourcesConfig::default()
    };
    let (resources, mut told) = start(config);
    resources.post(ResourceCommand::Acquire { take: TakeId(1) });
    assert_eq!(told.recv().await, Some(ResourceEvent::LoadModel));
    assert_eq!(told.recv().await, Some(ResourceEvent::Granted { take: TakeId(1) }));
    resources.post(ResourceCommand::ModelResident(true));
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(told.try_recv().is_err(), "the take still needs the model");

    let released = tokio::time::Instant::now();
    resources.post(ResourceCommand::Release { take: TakeId(1) });
    assert_eq!(told.recv().await, Some(ResourceEvent::UnloadModel));
    let idle = released.elapsed();
    assert!((600..601).contains(&idle.as_secs()), "after {idle:?}");

    resources.post(ResourceCommand::ModelResident(false));
    resources.post(ResourceCommand::Acquire { take: TakeId(2) });
    assert_eq!(told.recv().await, Some(ResourceEvent::LoadModel));
    assert_eq!(told.recv().await, Some(ResourceEvent::Granted { take: TakeId(2) }));
}

#[actix::test]
async fn a_broken_probe_costs_its_figures_and_nothing_else() {
    struct Broken;
    impl Probe for Broken {
        fn sample(&mut self) -> Result<Usage, ResourcesError> {
            Err(ResourcesError::Probe {
                path: "/proc/self/stat",
                source: std::io::ErrorKind::NotFound.into(),
            })
        }
    }
    tokio::time::pause();
    let (events, mut told) = probe_port();
    let resources = spawn_with(&ResourcesConfig::default(), Some(Box::new(Broken)), events);
    tokio::time::sleep(Duration::from_secs(60)).await;
    resources.post(ResourceCommand::Acquire { take: TakeId(1) });
    assert_eq!(told.recv().await, Some(ResourceEvent::LoadModel));
    assert_eq!(told.recv().await, Some(ResourceEvent::LoadModel), "not resident yet: asked again");
    assert_eq!(told.recv().await, Some(ResourceEvent::Granted { take: TakeId(1) }));
}

fn start(config: ResourcesConfig) -> (Port<ResourceCommand>, UnboundedReceiver<ResourceEvent>) {
    let (events, told) = probe_port();
    let scripted = ScriptedProbe::new([Usage { threads: 3, ..Usage::default() }]);
    (spawn_with(&config, Some(Box::new(scripted)), events), told)
}

/// An actor that passes on what it is told.
struct Listener(UnboundedSender<ResourceEvent>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Posted<ResourceEvent>> for Listener {
    type Result = ();

    fn handle(&mut self, message: Posted<ResourceEvent>, _: &mut Context<Self>) {
        let _ = self.0.send(message.open("listener"));
    }
}

fn probe_port() -> (Port<ResourceEvent>, UnboundedReceiver<ResourceEvent>) {
    let (tx, rx) = unbounded_channel();
    (Port::to("listener", &Listener(tx).start()), rx)
}
