//! The capture thread: it owns the recorder, and sleeps until a block, a command or an alarm wakes it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, Thread};

use ptt_messages::{Moment, Port, RecorderCommand, RecorderEvent};

use crate::config::AudioConfig;
use crate::error::AudioError;
use crate::link::{Link, launch_thread};
use crate::recorder::Recorder;
use crate::source::CaptureSource;
use crate::vad::Earshot;

/// A running capture thread. It ends, and closes the microphone, when this is dropped.
#[derive(Debug)]
pub struct Capture {
    commands: Option<Sender<RecorderCommand>>,
    thread: Thread,
}

impl Capture {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`AudioError::Thread`] when there cannot be one.
    pub fn start(
        config: AudioConfig,
        source: Arc<dyn CaptureSource>,
        events: Port<RecorderEvent>,
    ) -> Result<Self, AudioError> {
        let (commands, inbox) = channel();
        let work = move || {
            let link = Link::new(source, launch_thread, thread::current());
            run(Recorder::new(&config, link, Box::new(Earshot::default())), &inbox, &events);
        };
        let thread = thread::Builder::new()
            .name("ptt-capture".to_owned())
            .spawn(work)
            .map_err(|e| AudioError::Thread { reason: e.to_string() })?
            .thread()
            .clone();
        Ok(Self { commands: Some(commands), thread })
    }

    /// Hands a command over and wakes the thread; never waits. Gives the command back when the thread is dead.
    ///
    /// # Errors
    /// The command.
    pub fn tell(&self, command: RecorderCommand) -> Result<(), RecorderCommand> {
        let Some(commands) = &self.commands else { return Err(command) };
        commands.send(command).map_err(|back| back.0)?;
        self.thread.unpark();
        Ok(())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.commands = None;
        self.thread.unpark();
    }
}

fn run(mut recorder: Recorder, inbox: &Receiver<RecorderCommand>, events: &Port<RecorderEvent>) {
    loop {
        let mut ended = false;
        loop {
            match inbox.try_recv() {
                Ok(command) => recorder.command(command, Moment::now()),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    ended = true;
                    break;
                }
            }
        }
        if ended || !events.connected() {
            recorder.command(RecorderCommand::Close, Moment::now());
            return;
        }
        let alarm = recorder.turn(Moment::now());
        for event in recorder.told() {
            events.post_patiently(event);
        }
        match alarm {
            Some(alarm) => thread::park_timeout(alarm.since(Moment::now())),
            None => thread::park(),
        }
    }
}
