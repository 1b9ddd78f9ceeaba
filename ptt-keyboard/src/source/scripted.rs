//! Keys moved by a script in the configuration, in real time: for demonstrations, tests and soaks without a keyboard.
//!
//! A script is a list of steps, `"+100ms down; +2s up"`: how long after the step before, then what happens. A step's edges carry
//! the time they were due, as a kernel's would, so the lateness of our own thread is measured like that of a real key.

mod script;

use std::time::Duration;

use ptt_messages::{Moment, Profile};

pub use script::{Action, Script, Step};

use super::{Backend, KeySource};
use crate::chord::{DeviceId, Edge, Signal, Watched};
use crate::wake::{Stop, earlier};
use crate::{KeyboardConfig, KeyboardError};

/// Plays a script, some rounds of it, and then keeps still.
#[derive(Debug)]
pub struct ScriptedSource {
    steps: Vec<Step>,
    watched: Watched,
    stop: Stop,
    rounds_left: u64,
    gap: Duration,
    next: usize,
    due: Option<Moment>,
}

/// The one device there is.
const ROBOT: DeviceId = DeviceId(0);

impl ScriptedSource {
    /// Reads the script of the configuration; its clock starts now.
    ///
    /// # Errors
    /// There is no script, two of them, or one that cannot be read; a step names a key that is in no chord.
    pub fn open(config: &KeyboardConfig, watched: &Watched, stop: &Stop) -> Result<Self, KeyboardError> {
        let script = match (&config.script_file, config.script.is_empty()) {
            (None, false) => config.script.clone(),
            (Some(path), true) => std::fs::read_to_string(path)
                .map_err(|source| KeyboardError::ScriptFile { path: path.clone(), source })?
                .parse()?,
            (None, true) | (Some(_), false) => return Err(KeyboardError::NoScript),
        };
        script.check(watched)?;
        let steps = script.steps().to_vec();
        let due = steps.first().map(|step| Moment::now() + step.after);
        Ok(Self {
            steps,
            watched: watched.clone(),
            stop: stop.clone(),
            rounds_left: config.script_repeat.get(),
            gap: config.script_gap_ms.millis(),
            next: 0,
            due,
        })
    }

    fn play(&mut self, at: Moment, signals: &mut Vec<Signal>) {
        let keys = |edge, slots: Vec<_>| {
            slots.into_iter().map(move |slot| Signal::Key { device: ROBOT, slot, edge, at })
        };
        let named = |key: Option<crate::Key>| match key {
            Some(key) => self.watched.slot(key.code()).into_iter().collect(),
            None => self.watched.chord().iter().collect(),
        };
        match self.steps[self.next].action {
            Action::Down(key) => signals.extend(keys(Edge::Down, named(key))),
            Action::Up(key) => signals.extend(keys(Edge::Up, named(key))),
            Action::Cancel => {
                let cancel: Vec<_> = self.watched.cancel().into_iter().collect();
                signals.extend(keys(Edge::Down, cancel.clone()));
                signals.extend(keys(Edge::Up, cancel));
            }
            Action::Toggle => signals.push(Signal::Toggled { at, profile: Profile::DEFAULT }),
            Action::Unplug => signals.push(Signal::Lost { device: ROBOT, at }),
        }
    }

    /// The step after this one, timed from when this one was due: lateness does not add up.
    fn advance(&mut self, from: Moment) {
        self.next += 1;
        let mut pause = Duration::ZERO;
        if self.next == self.steps.len() {
            self.rounds_left -= 1;
            (self.next, pause) = (0, self.gap);
        }
        self.due = (self.rounds_left > 0).then(|| from + pause + self.steps[self.next].after);
    }
}

impl KeySource for ScriptedSource {
    fn backend(&self) -> Backend {
        Backend::Scripted
    }

    fn wait(&mut self, until: Option<Moment>, signals: &mut Vec<Signal>) -> Result<(), KeyboardError> {
        self.stop.wait(earlier(until, self.due))?;
        let now = Moment::now();
        // One step at a time: what the first one causes is handled before the second one happens.
        if let Some(due) = self.due.filter(|due| *due <= now) {
            self.play(due, signals);
            self.advance(due);
        }
        Ok(())
    }

    fn stamps_at_origin(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chord::{ChordEvent, ChordTracker};

    fn play(toml: &str) -> Vec<(char, u64)> {
        let config: KeyboardConfig = toml::from_str(toml).unwrap();
        let (watched, stop) = (config.watched().unwrap(), Stop::new().unwrap());
        let mut source = ScriptedSource::open(&config, &watched, &stop).unwrap();
        let mut tracker = ChordTracker::new(&watched, Duration::ZERO);
        let (begun, mut signals, mut events) = (source.due.unwrap(), Vec::new(), Vec::new());
        while source.due.is_some() {
            source.wait(None, &mut signals).unwrap();
            for signal in signals.drain(..) {
                tracker.step(signal, &mut events);
            }
        }
        let told = events.into_iter().map(|event| match event {
            ChordEvent::Pressed { at, .. } => ('P', at),
            ChordEvent::Released { at } => ('R', at),
            ChordEvent::Cancelled { at } => ('C', at),
            ChordEvent::Toggled { at, .. } => ('T', at),
            ChordEvent::UserLeft { at } => ('L', at),
        });
        told.map(|(letter, at)| (letter, at.since(begun).as_micros() as u64)).collect()
    }

    #[test]
    fn steps_are_stamped_when_they_were_due() {
        let told = play("script = '+3ms down; +4ms up; +1ms cancel'\nscript_repeat = 2\nscript_gap_ms = 2");
        assert_eq!(told, [('P', 0), ('R', 4_000), ('C', 5_000), ('P', 10_000), ('R', 14_000), ('C', 15_000)]);
    }

    #[test]
    fn a_script_moves_single_keys_and_pulls_the_plug() {
        let told = play("script = ['down Right', '+1ms down Down', '+1ms unplug', '+1ms toggle', 'up']");
        assert_eq!(told, [('P', 1_000), ('R', 2_000), ('T', 3_000)]);
    }

    #[test]
    fn a_script_comes_from_exactly_one_place() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"# a tap\n+1ms down\n+1ms up\n").unwrap();
        let from_file = format!("script_file = {:?}", file.path());
        assert_eq!(play(&from_file), [('P', 0), ('R', 1_000)]);
        let stop = Stop::new().unwrap();
        for (toml, part) in [
            ("", "exactly one"),
            (&*format!("script = 'down'\n{from_file}"), "exactly one"),
            ("script_file = 'not/there'", "cannot read the key script not/there"),
            ("script = 'down A'", "A is not a key of a chord"),
        ] {
            let config: KeyboardConfig = toml::from_str(toml).unwrap();
            let error = ScriptedSource::open(&config, &config.watched().unwrap(), &stop).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
