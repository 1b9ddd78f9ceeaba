//! An engine without a model: prepared texts, a prepared delay, prepared faults.

use std::thread::{park, sleep};
use std::time::Duration;

use ptt_messages::{Clip, Moment, Transcript};
use serde::{Deserialize, Serialize};

use super::{CancelFlag, DecodeRequest, Decoded, Engine};
use crate::{SttConfig, SttError};

/// What a decode of the canned engine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CannedStep {
    /// Gives the next text.
    Ok,
    /// Reports an error.
    Fail,
    /// Does not end by itself: ignores its deadline, ends only when it is cancelled.
    Hang,
    /// Panics.
    Panic,
    /// Never ends, whatever it is told.
    Stuck,
}

/// How often a waiting decode looks at its flag.
const LOOK: Duration = Duration::from_millis(2);

/// Prepared texts in turn.
#[derive(Debug)]
pub struct CannedEngine {
    texts: Vec<String>,
    language: String,
    delay: Duration,
    script: std::vec::IntoIter<CannedStep>,
    next: usize,
}

impl CannedEngine {
    /// As the keys `canned_*` say. A fresh engine starts its script again.
    #[must_use]
    pub fn new(config: &SttConfig) -> Self {
        Self {
            texts: config.canned_texts.clone(),
            language: config.language.clone(),
            delay: config.canned_delay_ms.millis(),
            script: config.canned_script.clone().into_iter(),
            next: 0,
        }
    }
}

impl Engine for CannedEngine {
    fn name(&self) -> &str {
        "canned"
    }

    fn decode(
        &mut self,
        _: &Clip,
        request: &DecodeRequest,
        cancel: &CancelFlag,
    ) -> Result<Decoded, SttError> {
        let began = Moment::now();
        let step = self.script.next().unwrap_or(CannedStep::Ok);
        if step == CannedStep::Stuck {
            loop {
                park();
            }
        }
        loop {
            let now = Moment::now();
            if cancel.is_set() {
                return Err(SttError::Cancelled);
            }
            let hangs = step == CannedStep::Hang;
            if !hangs && now > request.deadline {
                return Err(SttError::Timeout { limit: request.deadline.since(began) });
            }
            if !hangs && now.since(began) >= self.delay {
                break;
            }
            sleep(LOOK);
        }
        match step {
            CannedStep::Fail => return Err(SttError::Scripted),
            CannedStep::Panic => panic!("the canned engine panics because its script says so"),
            CannedStep::Ok | CannedStep::Hang | CannedStep::Stuck => {}
        }
        let text = match self.texts.len() {
            0 => String::new(),
            n => self.texts[self.next % n].clone(),
        };
        self.next += 1;
        let text = text.replace("{language}", request.language.as_ref().unwrap_or(&self.language));
        let tokens = u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
        let text = Transcript::new(text);
        Ok(Decoded {
            text,
            tokens,
            avg_logprob: -0.1,
            decode: Moment::now().since(began),
            ..Decoded::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use ptt_messages::Within;

    use super::*;
    use crate::engine::{Detection, Threads};

    fn engine(script: &[CannedStep], delay_ms: u64) -> CannedEngine {
        CannedEngine::new(&SttConfig {
            canned_texts: vec!["one".to_owned(), "two".to_owned()],
            canned_script: script.to_vec(),
            canned_delay_ms: Within::try_from(i64::try_from(delay_ms).unwrap()).unwrap(),
            ..SttConfig::default()
        })
    }

    fn request(deadline: Moment) -> DecodeRequest {
        let threads = Threads::new(1);
        DecodeRequest {
            frames: 1_500,
            prompt: Transcript::default(),
            language: None,
            detection: Detection::default(),
            threads,
            deadline,
        }
    }

    #[test]
    fn texts_come_in_turn_and_faults_as_scripted() {
        let mut engine = engine(&[CannedStep::Ok, CannedStep::Fail], 0);
        let late = request(Moment::now() + Duration::from_secs(60));
        let mut decode = || engine.decode(&Clip::empty(), &late, &CancelFlag::default());
        assert_eq!(decode().unwrap().text.reveal(), "one");
        assert!(matches!(decode(), Err(SttError::Scripted)));
        assert_eq!(decode().unwrap().text.reveal(), "two");
        assert_eq!(decode().unwrap().text.reveal(), "one");
    }

    #[test]
    fn a_deadline_ends_a_delay_and_a_flag_ends_a_hang() {
        let mut engine = engine(&[CannedStep::Ok, CannedStep::Hang], 60_000);
        let cancel = CancelFlag::default();
        let past = request(Moment::now());
        assert!(matches!(engine.decode(&Clip::empty(), &past, &cancel), Err(SttError::Timeout { .. })));
        cancel.set();
        assert!(matches!(engine.decode(&Clip::empty(), &past, &cancel), Err(SttError::Cancelled)));
    }
}
