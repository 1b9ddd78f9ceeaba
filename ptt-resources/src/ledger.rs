//! Who has the microphone, and whether the model should be in memory. Pure: time is an argument, decisions are data.

use std::time::Duration;

use ptt_messages::{Moment, TakeId};

use crate::config::Residency;

/// What the ledger decides. The actor turns each into one event.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The take has the microphone to itself.
    Grant(TakeId),
    /// Another take has it.
    Refuse {
        /// The take that asked.
        take: TakeId,
        /// The take that has it.
        holder: TakeId,
        /// For how long.
        held: Duration,
    },
    /// The model should become resident. May be repeated while it loads.
    LoadModel,
    /// The model's memory should be given back.
    UnloadModel,
}

/// One lease and one model.
#[derive(Debug)]
pub struct Ledger {
    residency: Residency,
    model_idle: Option<Duration>,
    lease: Option<Lease>,
    model: Model,
    /// Since when there is neither a lease nor a reason to count from later.
    idle_since: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    holder: TakeId,
    since: Moment,
}

/// What is known of the model. It was told, or it is on its way out because we asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    Absent,
    Resident,
    Leaving,
}

impl Ledger {
    /// Nothing held, nothing resident. `model_idle` of zero keeps a resident model for ever.
    #[must_use]
    pub fn new(residency: Residency, model_idle: Duration, now: Moment) -> Self {
        Self {
            residency,
            model_idle: (!model_idle.is_zero()).then_some(model_idle),
            lease: None,
            model: Model::Absent,
            idle_since: now,
        }
    }

    /// What is to be done before the first take.
    #[must_use]
    pub fn start(&self) -> Option<Decision> {
        match self.residency {
            Residency::AtStart => Some(Decision::LoadModel),
            Residency::OnFirstPress => None,
        }
    }

    /// A take asks. Asking again for what it has is granted again. A grant is preceded by `LoadModel` where the model
    /// is not known to stay resident: a repeated load is harmless, a missing one costs the take.
    pub fn acquire(&mut self, take: TakeId, now: Moment) -> impl Iterator<Item = Decision> + use<> {
        let lease = *self.lease.get_or_insert(Lease { holder: take, since: now });
        let (load, answer) = if lease.holder == take {
            let missing = self.model != Model::Resident;
            (missing.then_some(Decision::LoadModel), Decision::Grant(take))
        } else {
            let held = now.since(lease.since);
            (None, Decision::Refuse { take, holder: lease.holder, held })
        };
        load.into_iter().chain([answer])
    }

    /// A take gives back. How long it had it; `None` when it had nothing, which is harmless.
    pub fn release(&mut self, take: TakeId, now: Moment) -> Option<Duration> {
        let lease = self.lease.take_if(|lease| lease.holder == take)?;
        self.idle_since = now;
        Some(now.since(lease.since))
    }

    /// The model became resident, or its memory was given back.
    pub fn model_resident(&mut self, resident: bool, now: Moment) {
        self.model = if resident { Model::Resident } else { Model::Absent };
        self.idle_since = self.idle_since.max(now);
    }

    /// When to [`poll`](Self::poll) next, if ever.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        match (self.lease, self.model) {
            (None, Model::Resident) => self.model_idle.map(|idle| self.idle_since + idle),
            (Some(_), _) | (None, Model::Absent | Model::Leaving) => None,
        }
    }

    /// Whether the model has been idle for too long. Says so once.
    #[must_use]
    pub fn poll(&mut self, now: Moment) -> Option<Decision> {
        if self.due()? > now {
            return None;
        }
        self.model = Model::Leaving;
        Some(Decision::UnloadModel)
    }

    /// The take that has the microphone.
    #[must_use]
    pub fn holder(&self) -> Option<TakeId> {
        self.lease.map(|lease| lease.holder)
    }
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
