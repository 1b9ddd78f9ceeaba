//! Models: where they lie, how they get there, and whether their bytes can be trusted.
//!
//! `pull` fetches a ggml file, `import` converts a CTranslate2 directory, `verify` checks a file before the engine sees
//! it. No engine lives here: whisper.cpp believes what it reads, so everything is checked in safe Rust before.

pub mod catalog;
mod ctranslate2;
pub(crate) mod dequantize;
mod error;
mod file;
mod folder;
pub(crate) mod ggml;
mod import;
pub(crate) mod layout;
pub(crate) mod mel;
mod part;
mod pull;
pub(crate) mod quantize;
mod record;
mod source;
pub(crate) mod structure;
#[cfg(test)]
mod synthetic;
mod verify;
mod vocabulary;
mod weights;

pub use error::ModelError;
pub use folder::{ModelInfo, file_name, folder, installed, installed_in, resolve, resolve_in};
pub use import::{ImportOptions, Imported, import};
pub use layout::Dims;
pub use pull::{Progress, PullOptions, Pulled, pull};
pub use quantize::{Quantization, UnknownQuantization};
pub use record::{Origin, Record, Stamp};
pub use verify::{CheckedModel, Verified, check_before_load, verify};
