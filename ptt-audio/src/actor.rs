//! The actor: passes commands on to the capture thread, and starts another thread when that one died.

use std::sync::Arc;

use actix::prelude::*;
use ptt_messages::{Port, Posted, RecorderCommand, RecorderEvent};

use crate::capture::Capture;
use crate::config::AudioConfig;
use crate::error::AudioError;
use crate::source::CaptureSource;

/// The recorder's mailbox.
#[derive(Debug)]
pub(crate) struct RecorderActor {
    config: AudioConfig,
    source: Arc<dyn CaptureSource>,
    events: Port<RecorderEvent>,
    capture: Capture,
    /// Takes may come: what a fresh capture thread has to be told first.
    open: bool,
}

impl RecorderActor {
    pub(crate) fn new(
        config: &AudioConfig,
        source: Arc<dyn CaptureSource>,
        events: Port<RecorderEvent>,
    ) -> Result<Self, AudioError> {
        let capture = Capture::start(config.clone(), Arc::clone(&source), events.clone())?;
        Ok(Self { config: config.clone(), source, events, capture, open: false })
    }
}

impl Actor for RecorderActor {
    type Context = Context<Self>;
}

impl Handler<Posted<RecorderCommand>> for RecorderActor {
    type Result = ();

    fn handle(&mut self, message: Posted<RecorderCommand>, _ctx: &mut Self::Context) {
        let command = message.open("recorder");
        match command {
            RecorderCommand::Open => self.open = true,
            RecorderCommand::Close => self.open = false,
            RecorderCommand::Start { .. } | RecorderCommand::Stop { .. } | RecorderCommand::Abort { .. } => {}
        }
        let Err(command) = self.capture.tell(command) else { return };
        tracing::error!("the capture thread died; starting another one");
        let told = Capture::start(self.config.clone(), Arc::clone(&self.source), self.events.clone())
            .and_then(|capture| {
                self.capture = capture;
                let first = (self.open && command != RecorderCommand::Open).then_some(RecorderCommand::Open);
                let dead = |_| AudioError::Thread { reason: "it ended at once".to_owned() };
                first
                    .into_iter()
                    .chain([command.clone()])
                    .try_for_each(|command| self.capture.tell(command).map_err(dead))
            });
        if let (Err(error), RecorderCommand::Start { take, .. }) = (told, command) {
            self.events.post(RecorderEvent::StartFailed { take, fault: error.fault() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::Thread;
    use std::time::Duration;

    use ptt_messages::{Moment, TakeId};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::config::{BackendKind, WavPace};
    use crate::ring::hand_over;
    use crate::source::{Cue, Format, Opened, Stream};

    struct Probe(UnboundedSender<RecorderEvent>);

    impl Actor for Probe {
        type Context = Context<Self>;
    }

    impl Handler<Posted<RecorderEvent>> for Probe {
        type Result = ();

        fn handle(&mut self, message: Posted<RecorderEvent>, _ctx: &mut Self::Context) {
            let _ = self.0.send(message.body);
        }
    }

    fn recorder(config: &AudioConfig) -> (Port<RecorderCommand>, UnboundedReceiver<RecorderEvent>) {
        let (tell, events) = unbounded_channel();
        let probe = Probe(tell).start();
        (crate::spawn(config, Port::to("probe", &probe)).unwrap(), events)
    }

    /// A microphone of which a take brings the capture thread down.
    #[derive(Debug)]
    struct Deadly;

    impl CaptureSource for Deadly {
        fn open(&self, wake: &Thread) -> Result<Opened, AudioError> {
            let (_, drain) = hand_over(16_000, 1, wake.clone());
            let format = Format { device: "deadly".to_owned(), rate_hz: 16_000, channels: 1, live: false };
            Ok(Opened { stream: Box::new(Self), drain, format })
        }
    }

    impl Stream for Deadly {
        fn take_begins(&mut self, _press: Moment) -> Result<Cue, AudioError> {
            panic!("the capture thread is to die")
        }

        fn take_ends(&mut self) {}
    }

    #[actix::test]
    async fn a_capture_thread_in_place_of_one_that_died_listens_too() {
        let (tell, mut events) = unbounded_channel();
        let probe = Port::to("probe", &Probe(tell).start());
        let actor = RecorderActor::new(&AudioConfig::default(), Arc::new(Deadly), probe).unwrap();
        let recorder = Port::start("recorder", 100, actor);
        recorder.post(RecorderCommand::Open);
        assert!(matches!(events.recv().await, Some(RecorderEvent::Opened { .. })));
        recorder.post(RecorderCommand::Start { take: TakeId(1), press: Moment::now() });
        // What is told while the thread dies is lost with it, so something is told until there is an answer.
        let mut event = None;
        while event.is_none() {
            recorder.post(RecorderCommand::Abort { take: TakeId(2) });
            tokio::task::yield_now().await;
            event = events.try_recv().ok();
        }
        while !matches!(event, Some(RecorderEvent::Opened { .. })) {
            let next = tokio::time::timeout(Duration::from_secs(20), events.recv());
            event = next.await.expect("the microphone is opened again");
        }
    }

    /// Plays a second of a tone and returns the take it made.
    async fn played(pace: WavPace) -> (Vec<f32>, ptt_messages::TakeSummary, Vec<f32>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tone.wav");
        let tone: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.2).sin() * 0.5).collect();
        crate::file::tests::write_wav(&path, 16_000, 1, &tone);
        let (recorder, mut events) = recorder(&AudioConfig {
            backend: BackendKind::Wav,
            wav: vec![path],
            wav_pace: pace,
            ..AudioConfig::default()
        });
        recorder.post(RecorderCommand::Open);
        assert!(matches!(events.recv().await, Some(RecorderEvent::Opened { .. })));
        let take = TakeId(1);
        if pace == WavPace::RealTime {
            // A second of silence before the press, from which the pre-roll comes.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        recorder.post(RecorderCommand::Start { take, press: Moment::now() });
        assert!(matches!(events.recv().await, Some(RecorderEvent::Started { .. })));
        if pace == WavPace::RealTime {
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
        recorder.post(RecorderCommand::Stop { take, release: Moment::now() });
        loop {
            match events.recv().await {
                Some(RecorderEvent::Finished { tail, summary }) => {
                    return (tail.clip.samples().to_vec(), summary, tone);
                }
                Some(RecorderEvent::Heard(_) | RecorderEvent::SpeechResumed { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Where the tone begins in a take.
    fn offset(heard: &[f32], tone: &[f32]) -> usize {
        let begin = heard.iter().position(|s| s.abs() > 0.01).unwrap() - 1;
        for (a, b) in heard[begin..].iter().zip(tone) {
            assert!((a - b).abs() < 0.001, "the file is played as it is");
        }
        begin
    }

    #[actix::test]
    async fn a_file_played_fast_is_the_take() {
        let (heard, summary, tone) = played(WavPace::Fast).await;
        assert_eq!(offset(&heard, &tone), 4_800, "the pre-roll lies before it");
        assert!((20_800..=28_800).contains(&heard.len()), "{}", heard.len());
        assert!(!summary.cut_short && !summary.digital_silence);
        let (again, ..) = played(WavPace::Fast).await;
        assert_eq!(again, heard);
    }

    #[actix::test]
    async fn a_file_played_in_real_time_begins_at_the_press() {
        let (heard, summary, tone) = played(WavPace::RealTime).await;
        // A press is heard of within the block it falls into, unless this machine is very busy.
        let late = offset(&heard, &tone).saturating_sub(4_800);
        assert!(late <= 1_600, "{late} samples late");
        assert_eq!(summary.pre_roll.as_millis(), 300);
    }

    #[actix::test]
    async fn a_microphone_that_is_not_there_says_what_to_do() {
        let config = AudioConfig { device: "no such device".to_owned(), ..AudioConfig::default() };
        let (recorder, mut events) = recorder(&config);
        let asked = Moment::now();
        recorder.post(RecorderCommand::Start { take: TakeId(1), press: asked });
        let Some(RecorderEvent::StartFailed { fault, .. }) = events.recv().await else { panic!() };
        assert!(Moment::now().since(asked).as_millis() < 1_500);
        assert!(fault.message.contains(';'), "{fault}");
    }
}
