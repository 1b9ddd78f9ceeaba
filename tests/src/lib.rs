//! What tests of ptt are made of: probes that stand behind a port, one contract suite per role, a stage with all actors on
//! it, and rigs that run the shipped program against real processes, servers and kernels.
//!
//! What lives here: everything a test needs and nothing it asserts about one crate; the tests themselves are in `it/`,
//! one binary, because the engine is linked once. A crate that replaces one of ours depends on this one for its tests
//! and must pass `contract::<role>`.
#![forbid(unsafe_code)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the one message it waits for; a new variant needs no decision here"
)]

mod config;
pub mod contract;
mod probe;
pub mod rig;
mod stage;

pub use config::hardware_free;
pub use probe::{Told, probe};
pub use stage::Stage;
