//! All actors of the program in this process, wired as the program wires them, with a test at the key and in the audience.

use ptt_app::{App, AppBuilder, Config};
use ptt_messages::{
    ControllerCommand, ControllerEvent, KeyboardEvent, Moment, Outcome, StateName, TakeId, Transcript,
};

use crate::{Told, probe};

/// A running daemon without its process. Must be made inside an actix system.
#[derive(Debug)]
pub struct Stage {
    /// Where key edges and commands may be sent.
    pub app: App,
    /// What the controller lets others watch.
    pub seen: Told<ControllerEvent>,
}

impl Stage {
    /// The stock actors on the backends that this configuration chooses, listening.
    ///
    /// # Panics
    /// When the configuration is wrong or an actor does not start.
    pub async fn with(toml: &str) -> Self {
        Self::custom(toml, |app| app).await
    }

    /// The same, with other actors in some of the slots.
    ///
    /// # Panics
    /// When the configuration is wrong or an actor does not start.
    pub async fn custom(toml: &str, customise: impl FnOnce(AppBuilder) -> AppBuilder) -> Self {
        let config = Config::parse(toml, "the test", [], &[]).unwrap_or_else(|error| panic!("{error}"));
        let (observer, seen) = probe("the audience");
        let app = customise(AppBuilder::new(config)).observer(observer).spawn();
        let app = app.unwrap_or_else(|failure| panic!("{failure}"));
        let mut stage = Self { app, seen };
        stage.app.inbox.commands.post(ControllerCommand::Enable);
        stage.reached(StateName::WaitingForKey).await;
        stage
    }

    /// The chord goes down now.
    pub fn press(&self) -> Moment {
        let at = Moment::now();
        self.app.inbox.keyboard.post(KeyboardEvent::Pressed { at, profile: ptt_messages::Profile::DEFAULT });
        at
    }

    /// The chord goes up now.
    pub fn release(&self) -> Moment {
        let at = Moment::now();
        self.app.inbox.keyboard.post(KeyboardEvent::Released { at });
        at
    }

    /// The next entry into a state; gives the take it is about.
    pub async fn reached(&mut self, state: StateName) -> Option<TakeId> {
        let reached = self.seen.until(state.label(), |event| match event {
            ControllerEvent::Transition { take, to, .. } if *to == state => Some(*take),
            _ => None,
        });
        reached.await.0
    }

    /// A hold of this length, up to the end of its take: how it ended, and its text if it has one.
    pub async fn hold(&mut self, length: std::time::Duration) -> (Outcome, Option<Transcript>) {
        self.press();
        // The user holds the key; nothing is waited for.
        tokio::time::sleep(length).await;
        self.release();
        self.ended().await
    }

    /// The end of the next take that ends.
    pub async fn ended(&mut self) -> (Outcome, Option<Transcript>) {
        let ended = self.seen.until("the end of a take", |event| match event {
            ControllerEvent::Ended { take, outcome } => Some((*take, *outcome)),
            _ => None,
        });
        let ((take, outcome), before) = ended.await;
        let text = before.into_iter().find_map(|event| match event {
            ControllerEvent::Text { take: of, text, .. } if of == take => Some(text),
            _ => None,
        });
        (outcome, text)
    }

    /// The next confirmed delivery.
    pub async fn delivered(&mut self) -> TakeId {
        let delivered = self.seen.until("a delivery", |event| match event {
            ControllerEvent::Delivered { take, .. } => Some(*take),
            _ => None,
        });
        delivered.await.0
    }

    /// The message of the next fault.
    pub async fn fault(&mut self) -> String {
        let told = self.seen.until("a fault", |event| match event {
            ControllerEvent::Fault { fault, .. } => Some(fault.message.clone()),
            _ => None,
        });
        told.await.0
    }
}
