//! The vocabulary: what the actors of ptt say to each other.
//!
//! What lives here: the types that two crates exchange, one command enum and one event enum per role, faults as values,
//! the names and targets of the stages that more than one crate measures, and [`Port`], the one way to send.
//! What does not: actors, devices, configuration, decisions. The clock is read in one function, [`Moment::now`].
#![forbid(unsafe_code)]

mod clip;
mod controller;
mod fault;
mod feedback;
mod keyboard;
mod moment;
mod output;
mod port;
mod profile;
mod recorder;
mod resources;
mod segment;
pub mod stage;
mod stt;
mod take;
mod transcript;
mod within;

pub use clip::{Clip, NotFinite, SAMPLE_RATE_HZ};
pub use controller::{ControllerCommand, ControllerEvent, Outcome, StateName};
pub use fault::{Component, Fault, FaultKind};
pub use feedback::{Chime, FeedbackCommand, FeedbackEvent};
pub use keyboard::{KeyboardCommand, KeyboardEvent};
pub use moment::Moment;
pub use output::{OutputCommand, OutputEvent};
pub use port::{Port, Posted};
pub use profile::Profile;
pub use recorder::{RecorderCommand, RecorderEvent, TakeSummary};
pub use resources::{ResourceCommand, ResourceEvent};
pub use segment::{Segment, SegmentId, SegmentState};
pub use stage::Stage;
pub use stt::{Remarks, SttCommand, SttEvent, SttTiming, TextPath};
pub use take::TakeId;
pub use transcript::Transcript;
pub use within::{OutOfRange, Within};
