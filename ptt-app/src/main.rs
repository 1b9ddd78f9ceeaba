//! The binary: parse, dispatch, exit code. Everything else is in the library, where a custom build can reach it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ptt_app::cli::main(std::env::args_os())
}
