use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use actix::Addr;
use ptt_messages::{FaultKind, Moment, Profile};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::chord::{DeviceId, Edge, Signal};
use crate::key_thread::OpenerFn;
use crate::source::KeySource;
use crate::source::portal::PortalError;
use crate::wake::{Inbox, Stop};
use crate::{Driver, KeyboardConfig, KeyboardError, spawn, spawn_driven};

#[actix::test]
async fn a_driven_chord_is_told_with_its_times() {
    let (events, mut told) = probe();
    let (keyboard, driver) = spawn_driven(&KeyboardConfig::default(), events).unwrap();
    driver.press();
    keyboard.post(KeyboardCommand::Listen);
    assert_eq!(told.recv().await, Some(listening("scripted")));
    let (at, until) = (driver.press(), driver.release());
    driver.cancel();
    let toggled = driver.toggle();
    assert_eq!(
        told.recv().await,
        Some(KeyboardEvent::Pressed { at, profile: Profile::DEFAULT }),
        "what was done before is past"
    );
    assert_eq!(told.recv().await, Some(KeyboardEvent::Released { at: until }));
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Cancelled { .. })));
    assert_eq!(told.recv().await, Some(KeyboardEvent::Toggled { at: toggled, profile: Profile::DEFAULT }));
    driver.press();
    driver.unplug();
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Pressed { .. })));
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Released { .. })));
}

#[actix::test]
async fn nothing_is_told_after_ignore_and_all_is_after_listen() {
    let (events, mut told) = probe();
    let (keyboard, driver) = spawn_driven(&KeyboardConfig::default(), events).unwrap();
    for _ in 0..3 {
        keyboard.post(KeyboardCommand::Listen);
        assert_eq!(told.recv().await, Some(listening("scripted")));
        keyboard.post(KeyboardCommand::Listen);
        assert_eq!(told.recv().await, Some(listening("scripted")), "asked twice, answered twice");
        driver.press();
        assert!(matches!(told.recv().await, Some(KeyboardEvent::Pressed { .. })));
        keyboard.post(KeyboardCommand::Ignore);
        driver_is_deaf(&keyboard, &driver).await;
    }
    assert!(told.try_recv().is_err());
}

#[actix::test]
async fn a_script_plays_through_the_actor() {
    let config = toml::from_str("backend = 'scripted'\nscript = '+1ms down; +2ms up; +1ms cancel'").unwrap();
    let (events, mut told) = probe();
    spawn(&config, events).unwrap().post(KeyboardCommand::Listen);
    assert_eq!(told.recv().await, Some(listening("scripted")));
    let (
        Some(KeyboardEvent::Pressed { at, profile: Profile::DEFAULT }),
        Some(KeyboardEvent::Released { at: until }),
    ) = (told.recv().await, told.recv().await)
    else {
        panic!("a press, then a release")
    };
    assert_eq!(until.since(at), Duration::from_millis(2));
    assert_eq!(told.recv().await, Some(KeyboardEvent::Cancelled { at: until + Duration::from_millis(1) }));
}

#[actix::test]
async fn a_configuration_that_cannot_work_is_refused_at_once() {
    for toml in ["chord = 'Escape+A'", "backend = 'scripted'", "backend = 'scripted'\nscript = 'down F13'"] {
        let error = spawn(&toml::from_str(toml).unwrap(), probe().0).unwrap_err();
        assert_eq!(error.kind(), FaultKind::Misconfigured, "{error}");
    }
}

#[actix::test]
async fn a_broken_source_releases_fails_once_and_is_opened_again() {
    tokio::time::pause();
    let world = World::new();
    let (keyboard, mut told) = world.keyboard();
    keyboard.post(KeyboardCommand::Listen);
    assert_eq!(told.recv().await, Some(listening("evdev")));
    world.edge(Edge::Down);
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Pressed { .. })));
    world.absent.store(true, Ordering::SeqCst);
    world.inbox.put(None);
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Released { .. })), "never stuck");
    // The first retry finds another failure, told once, however often it is tried.
    for kind in [FaultKind::Broken, FaultKind::Gone] {
        let Some(KeyboardEvent::Failed(fault)) = told.recv().await else { panic!("a failure") };
        assert_eq!(fault.kind, kind);
    }
    while world.opened.load(Ordering::SeqCst) < 6 {
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(told.try_recv().is_err());
    world.absent.store(false, Ordering::SeqCst);
    assert_eq!(told.recv().await, Some(listening("evdev")));
    world.edge(Edge::Down);
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Pressed { .. })));
}

#[test]
fn what_a_dialog_or_a_configuration_says_is_not_asked_again() {
    let denied = KeyboardError::Denied { names: vec![], of: 1 };
    let gone = |reason: &str| PortalError::Gone { reason: reason.to_owned() };
    for (error, tried) in [
        (denied, Some(WHEN_DENIED)),
        (KeyboardError::NoKeyboard, Some(Duration::from_millis(500))),
        (KeyboardError::NoScript, None),
        (gone("it left the bus").into(), Some(Duration::from_millis(500))),
        (PortalError::Unnamed.into(), Some(WHEN_DENIED)),
        (PortalError::Declined.into(), None),
        (PortalError::TakenBack.into(), None),
        (PortalError::NoShortcuts.into(), None),
    ] {
        assert_eq!(pause(error.kind(), Duration::ZERO, &mut Backoff::default()), tried, "{error}");
    }
}

#[actix::test]
async fn a_wrong_configuration_is_not_tried_again() {
    tokio::time::pause();
    let world = World::new();
    world.unseen.store(true, Ordering::SeqCst);
    let (keyboard, mut told) = world.keyboard();
    for opened in 1..3 {
        keyboard.post(KeyboardCommand::Listen);
        // Not answered where it is being tried again.
        assert!(matches!(
            soon(&mut told).await,
            Some(KeyboardEvent::Failed(Fault { kind: FaultKind::Misconfigured, .. }))
        ));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.opened.load(Ordering::SeqCst), opened);
    }
}

/// A source that ends slowly has its devices until it has ended.
#[actix::test]
async fn the_next_source_is_opened_when_the_last_one_has_ended() {
    let world = World::new();
    world.lingers.store(true, Ordering::SeqCst);
    let (keyboard, mut told) = world.keyboard();
    for _ in 0..3 {
        keyboard.post(KeyboardCommand::Listen);
        assert_eq!(told.recv().await, Some(listening("evdev")));
        keyboard.post(KeyboardCommand::Ignore);
    }
    assert!(!world.together.raised(), "two at once");
    assert_eq!(world.opened.load(Ordering::SeqCst), 3);
}

/// What comes after it, as a program that begins again with another configuration, finds its devices free.
#[test]
fn a_keyboard_that_is_dropped_has_ended() {
    let world = World::new();
    world.lingers.store(true, Ordering::SeqCst);
    let system = actix::System::new();
    system.block_on(async {
        let (keyboard, mut told) = world.keyboard();
        keyboard.post(KeyboardCommand::Listen);
        assert_eq!(told.recv().await, Some(listening("evdev")));
    });
    actix::System::current().stop();
    system.run().unwrap();
    assert_eq!(world.open.load(Ordering::SeqCst), 0);
}

#[actix::test]
async fn a_permission_that_is_given_later_is_found() {
    tokio::time::pause();
    let world = World::new();
    world.denied.store(true, Ordering::SeqCst);
    let (keyboard, mut told) = world.keyboard();
    let began = tokio::time::Instant::now();
    keyboard.post(KeyboardCommand::Listen);
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Failed(Fault { kind: FaultKind::Denied, .. }))));
    while world.opened.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() >= 2 * WHEN_DENIED, "{:?}", began.elapsed());
    assert!(told.try_recv().is_err(), "told once");
    world.denied.store(false, Ordering::SeqCst);
    assert_eq!(told.recv().await, Some(listening("evdev")));
}

#[actix::test]
async fn ignore_ends_the_retries() {
    tokio::time::pause();
    let world = World::new();
    world.absent.store(true, Ordering::SeqCst);
    let (keyboard, mut told) = world.keyboard();
    keyboard.post(KeyboardCommand::Listen);
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Failed(_))));
    keyboard.post(KeyboardCommand::Ignore);
    world.settled().await;
    let opened = world.opened.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.settled().await;
    assert_eq!(world.opened.load(Ordering::SeqCst), opened);
}

#[actix::test]
async fn a_panic_of_a_source_is_a_failure() {
    let (events, mut told) = probe();
    let opener: Opener = Arc::new(|_| panic!("libinput is not there"));
    let watched = KeyboardConfig::default().watched().unwrap();
    let keyboard = Keyboard::new(opener, watched, Duration::ZERO, Backend::Inputbot, None, events).start();
    Port::to(ACTOR, &keyboard).post(KeyboardCommand::Listen);
    let Some(KeyboardEvent::Failed(fault)) = told.recv().await else { panic!("a failure") };
    assert_eq!(fault.kind, FaultKind::Broken);
    assert!(fault.message.contains("inputbot") && fault.message.contains("libinput is not there"), "{fault}");
}

/// The safety net: the source says nothing of the release, the true key state does.
#[actix::test]
async fn a_lost_release_is_found() {
    let world = World::new();
    let (keyboard, mut told) = world.keyboard();
    keyboard.post(KeyboardCommand::Listen);
    told.recv().await;
    world.really_down.store(true, Ordering::SeqCst);
    world.edge(Edge::Down);
    assert!(matches!(told.recv().await, Some(KeyboardEvent::Pressed { .. })));
    let lost = Moment::now();
    world.really_down.store(false, Ordering::SeqCst);
    let Some(KeyboardEvent::Released { at }) = told.recv().await else { panic!("a release") };
    assert!(at.since(lost) < 3 * crate::listener::CHECK_EVERY, "{:?}", at.since(lost));
}

/// A probe at the end of a port.
struct Probe(tokio::sync::mpsc::UnboundedSender<KeyboardEvent>);

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<Posted<KeyboardEvent>> for Probe {
    type Result = ();

    fn handle(&mut self, message: Posted<KeyboardEvent>, _: &mut Context<Self>) {
        let _ = self.0.send(message.open("probe"));
    }
}

fn probe() -> (Port<KeyboardEvent>, UnboundedReceiver<KeyboardEvent>) {
    let (sender, receiver) = unbounded_channel();
    let probe: Addr<Probe> = Probe(sender).start();
    (Port::to("probe", &probe), receiver)
}

fn listening(backend: &str) -> KeyboardEvent {
    KeyboardEvent::Listening { backend: backend.to_owned() }
}

/// What is told next, in a time that is not the paused one: that does not pass meanwhile, because the runtime is never idle.
async fn soon(told: &mut UnboundedReceiver<KeyboardEvent>) -> Option<KeyboardEvent> {
    let begun = Moment::now();
    while Moment::now().since(begun) < Duration::from_secs(5) {
        if let Ok(event) = told.try_recv() {
            return Some(event);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Waits until the commands before are handled, then moves the key of a keyboard that does not listen.
async fn driver_is_deaf(keyboard: &Port<KeyboardCommand>, driver: &Driver) {
    // A second Ignore is handled after the first one, and a task of this arbiter runs after both.
    keyboard.post(KeyboardCommand::Ignore);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    driver.press();
    driver.release();
}

/// A source of one key whose world the test holds in its hand.
#[derive(Clone)]
struct World {
    inbox: Arc<Inbox<Option<Edge>>>,
    absent: Arc<AtomicBool>,
    denied: Arc<AtomicBool>,
    unseen: Arc<AtomicBool>,
    really_down: Arc<AtomicBool>,
    opened: Arc<AtomicU32>,
    /// How many are open.
    open: Arc<AtomicU32>,
    /// A source takes a while to end.
    lingers: Arc<AtomicBool>,
    /// Raised where two are open at once.
    together: Stop,
    /// Held by the actor and by each of its key threads.
    opener: Arc<OnceLock<Weak<OpenerFn>>>,
}

struct WorldSource(World, Stop);

impl World {
    fn new() -> Self {
        Self {
            inbox: Arc::new(Inbox::new().unwrap()),
            absent: Arc::default(),
            denied: Arc::default(),
            unseen: Arc::default(),
            really_down: Arc::new(AtomicBool::new(true)),
            opened: Arc::default(),
            open: Arc::default(),
            lingers: Arc::default(),
            together: Stop::new().unwrap(),
            opener: Arc::default(),
        }
    }

    /// Waits until the commands before, the last of which is to ignore, are handled and the key threads have ended. Time does not pass
    /// meanwhile: it is paused, and the runtime is never idle.
    async fn settled(&self) {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        while self.opener.get().is_some_and(|opener| opener.strong_count() > 1) {
            tokio::task::yield_now().await;
        }
    }

    fn keyboard(&self) -> (Port<KeyboardCommand>, UnboundedReceiver<KeyboardEvent>) {
        let (events, told) = probe();
        let world = self.clone();
        let opener: Opener = Arc::new(move |stop| {
            world.opened.fetch_add(1, Ordering::SeqCst);
            if world.denied.load(Ordering::SeqCst) {
                return Err(KeyboardError::Denied { names: vec!["AT keyboard".to_owned()], of: 1 });
            }
            if world.unseen.load(Ordering::SeqCst) {
                return Err(KeyboardError::NoScript);
            }
            if world.absent.load(Ordering::SeqCst) {
                return Err(KeyboardError::NoKeyboard);
            }
            if world.open.fetch_add(1, Ordering::SeqCst) > 0 {
                world.together.raise();
            }
            Ok(Box::new(WorldSource(world.clone(), stop.clone())))
        });
        self.opener.set(Arc::downgrade(&opener)).expect("one keyboard in a world");
        let config: KeyboardConfig = toml::from_str("chord = 'F13'").unwrap();
        let watched = config.watched().unwrap();
        let keyboard = Keyboard::new(opener, watched, Duration::ZERO, Backend::Evdev, None, events).start();
        (Port::to(ACTOR, &keyboard), told)
    }

    fn edge(&self, edge: Edge) {
        self.inbox.put(Some(edge));
    }
}

impl Drop for WorldSource {
    fn drop(&mut self) {
        if self.0.lingers.load(Ordering::SeqCst) {
            let _ = self.0.together.wait(Some(Moment::now() + Duration::from_millis(50)));
        }
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl KeySource for WorldSource {
    fn backend(&self) -> Backend {
        Backend::Evdev
    }

    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        self.0.inbox.wait(&self.1, until)?;
        for told in self.0.inbox.take() {
            let Some(edge) = told else {
                return Err(KeyboardError::os("read")(rustix::io::Errno::IO));
            };
            let slot = KeyboardConfig { chord: "F13".parse().unwrap(), ..KeyboardConfig::default() };
            let slot = slot.watched().unwrap().slot(183).unwrap();
            signals.push(Signal::Key { device: DeviceId(0), slot, edge, at: Moment::now() });
        }
        Ok(())
    }

    fn actual(&mut self, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        let config: KeyboardConfig = toml::from_str("chord = 'F13'").unwrap();
        let all = config.watched().unwrap().chord();
        let down = if self.0.really_down.load(Ordering::SeqCst) { all } else { Default::default() };
        signals.push(Signal::Actual { device: DeviceId(0), down, at: Moment::now() });
        Ok(())
    }

    fn stamps_at_origin(&self) -> bool {
        true
    }
}
