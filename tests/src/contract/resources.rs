//! The role *resources*: who holds the microphone.

use ptt_messages::{Component, FaultKind, Port, ResourceCommand, ResourceEvent, TakeId};

use super::{assert_tells, promise, responsive};
use crate::{Told, probe};

/// Every promise of a resource manager.
///
/// # Panics
/// When one is broken.
pub async fn resources(spawn: impl Fn(Port<ResourceEvent>) -> Port<ResourceCommand>) {
    responsive("resource manager", resources_promises(spawn)).await;
}

async fn resources_promises(spawn: impl Fn(Port<ResourceEvent>) -> Port<ResourceCommand>) {
    promise("resource manager", "one take has the microphone; another is told who and why not");
    let (events, mut told) = probe("the controller");
    let commands = spawn(events);
    let tell = |command| assert!(commands.post(command), "the resource manager takes commands");
    tell(ResourceCommand::Acquire { take: TakeId(1) });
    assert!(granted(&mut told, TakeId(1)).await);
    tell(ResourceCommand::Acquire { take: TakeId(2) });
    assert!(!granted(&mut told, TakeId(2)).await);

    promise("resource manager", "giving back what one does not have changes nothing");
    tell(ResourceCommand::Release { take: TakeId(2) });
    tell(ResourceCommand::Acquire { take: TakeId(3) });
    assert!(!granted(&mut told, TakeId(3)).await);

    promise("resource manager", "what was given back is free, and giving back twice is harmless");
    tell(ResourceCommand::Release { take: TakeId(1) });
    tell(ResourceCommand::Release { take: TakeId(1) });
    tell(ResourceCommand::Acquire { take: TakeId(4) });
    assert!(granted(&mut told, TakeId(4)).await);
    tell(ResourceCommand::Release { take: TakeId(1) });
    tell(ResourceCommand::Acquire { take: TakeId(5) });
    assert!(!granted(&mut told, TakeId(5)).await);

    promise("resource manager", "what is told about the model is not answered and disturbs no lease");
    tell(ResourceCommand::ModelResident(true));
    tell(ResourceCommand::ModelResident(false));
    tell(ResourceCommand::Release { take: TakeId(4) });
    tell(ResourceCommand::Acquire { take: TakeId(6) });
    assert!(granted(&mut told, TakeId(6)).await);
}

/// The answer to `Acquire`; wishes about the model may come at any time.
async fn granted(told: &mut Told<ResourceEvent>, take: TakeId) -> bool {
    let answer = told.until("an answer", |event| match event {
        ResourceEvent::Granted { take: to } => {
            assert_eq!(*to, take);
            Some(true)
        }
        ResourceEvent::Refused { take: to, fault } => {
            assert_eq!((*to, fault.kind), (take, FaultKind::Busy));
            assert_tells(fault, Component::Resources);
            Some(false)
        }
        ResourceEvent::LoadModel | ResourceEvent::UnloadModel => None,
    });
    answer.await.0
}
