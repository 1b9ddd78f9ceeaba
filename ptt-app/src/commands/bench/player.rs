//! The daemons of a bench: one for each way of making a text of the same audio, all in this process, one at work.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ptt_keyboard::Driver;
use ptt_messages::{ControllerCommand, ControllerEvent};
use ptt_stt::StrategyKind;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::clips::{BenchClip, Kind};
use crate::builder::{App, AppBuilder};
use crate::commands::driver::{driven, press_for, wait_until_ready};
use crate::commands::measure::{TakeReport, next_take};
use crate::config::Config;
use crate::exit_code::{Exit, Failure};

/// How long it is watched what a daemon costs that only listens.
const IDLE: Duration = Duration::from_secs(2);

/// How the text of a take is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// While the key is held.
    Live,
    /// After the release.
    Batch,
    /// After the release, and the encoder always sees 30 s: what the words of the other two are measured by. Its audio is
    /// there at once, so that it takes no longer than the decode; its latency would mean nothing.
    FullContext,
}

impl Way {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Batch => "batch",
            Self::FullContext => "full",
        }
    }

    /// How often it plays a clip, when busy processes may be beside it.
    pub(super) fn rounds(self, clip: &BenchClip, busy: bool) -> usize {
        match self {
            Self::Live | Self::Batch => 1 + usize::from(busy),
            Self::FullContext => usize::from(clip.kind != Kind::Noise),
        }
    }

    fn sets(self) -> Vec<String> {
        let sets: &[&str] = match self {
            Self::Live => &["stt.strategy=live"],
            Self::Batch => &["stt.strategy=batch"],
            Self::FullContext => &["stt.strategy=batch", "stt.short_context=false", "audio.wav_pace=fast"],
        };
        sets.iter().map(|set| (*set).to_owned()).collect()
    }
}

impl From<StrategyKind> for Way {
    fn from(kind: StrategyKind) -> Self {
        match kind {
            StrategyKind::Live => Self::Live,
            StrategyKind::Batch => Self::Batch,
        }
    }
}

/// What a take was and what it cost.
pub(super) struct Played {
    pub(super) report: TakeReport,
    /// Processor time of this process from the press until all was done.
    pub(super) cpu: Duration,
    /// How long that took.
    pub(super) wall: Duration,
}

/// A daemon that is to be started, and the key that will move it.
pub(super) struct Seat {
    way: Way,
    hand: Arc<OnceLock<Driver>>,
}

impl Seat {
    pub(super) fn new(
        way: Way,
        config: &Config,
        plan: &[BenchClip],
        busy: bool,
    ) -> Result<(Self, AppBuilder), Failure> {
        let mut sets = way.sets();
        if plan.iter().any(|clip| !clip.id.is_empty()) {
            let files: Vec<String> = plan
                .iter()
                .flat_map(|clip| std::iter::repeat_n(clip.path.display().to_string(), way.rounds(clip, busy)))
                .collect();
            sets.push("audio.backend=wav".into());
            sets.push(format!("audio.wav={files:?}"));
        }
        let (builder, hand) = driven(AppBuilder::new(config.overridden(&sets)?));
        Ok((Self { way, hand }, builder))
    }

    /// Lets the daemon listen. Ready when its model is loaded.
    pub(super) fn taken_by(self, app: App) -> Result<Player, Failure> {
        let key = self.hand.get().cloned();
        let key = key.ok_or_else(|| Failure::new(Exit::Failed, "the keyboard was not started"))?;
        let events = app.board.follow();
        app.inbox.commands.post_patiently(ControllerCommand::Enable);
        wait_until_ready(&app)?;
        Ok(Player { way: self.way, app, key, events })
    }
}

/// A daemon that listens.
pub(super) struct Player {
    pub(super) way: Way,
    app: App,
    key: Driver,
    events: Receiver<ControllerEvent>,
}

impl Player {
    /// Holds the key while the clip plays and waits until the daemon is ready again.
    pub(super) fn play(&self, clip: &BenchClip) -> Result<Played, Failure> {
        let (cpu, began) = (cpu_time(), Instant::now());
        let hold = match self.way {
            Way::Live | Way::Batch => clip.length,
            // The whole clip is in the take, however short the hold.
            Way::FullContext => Duration::from_millis(300),
        };
        press_for(&self.key, hold);
        let patience = Duration::from_secs(120) + clip.length;
        let mut report = next_take(&self.events, patience, |_| Ok(()))?;
        wait_until_ready(&self.app)?;
        if self.way == Way::FullContext {
            report.release_to_text = None;
        }
        Ok(Played { report, cpu: cpu_time().saturating_sub(cpu), wall: began.elapsed() })
    }
}

/// What share of a processor this process takes while every daemon of it only listens.
pub(super) fn idle_share() -> f64 {
    let (cpu, began) = (cpu_time(), Instant::now());
    std::thread::sleep(IDLE);
    cpu_time().saturating_sub(cpu).as_secs_f64() / began.elapsed().as_secs_f64()
}

fn cpu_time() -> Duration {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(cpu.tv_sec.unsigned_abs(), u32::try_from(cpu.tv_nsec).unwrap_or(0))
}
