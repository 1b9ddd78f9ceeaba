//! Other programs that want the processor, for as long as they are held.

use std::process::{Child, Command, Stdio};

use crate::exit_code::{Exit, Failure};

/// Counts for ever in a shell; looks now and then whether the bench (`$0`) still lives, so that none outlives it.
const BUSY: &str =
    r#"while kill -0 "$0" 2>/dev/null; do n=0; while [ $n -lt 100000 ]; do n=$((n+1)); done; done"#;

/// So many busy processes at the priority of this one; ended when dropped.
#[derive(Debug, Default)]
pub(super) struct Neighbours(Vec<Child>);

impl Neighbours {
    pub(super) fn start(count: usize) -> Result<Self, Failure> {
        let mut started = Self::default();
        for _ in 0..count {
            let me = std::process::id().to_string();
            let busy = Command::new("sh").args(["-c", BUSY, &me]).stdin(Stdio::null()).spawn();
            let busy = busy
                .map_err(|e| Failure::new(Exit::Failed, format!("cannot start a busy process (sh): {e}")))?;
            started.0.push(busy);
        }
        Ok(started)
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for busy in &mut self.0 {
            // It may have ended by itself; there is nothing left to do then.
            let _ = busy.kill();
            let _ = busy.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_run_while_they_are_held_and_are_gone_then() {
        let mut neighbours = Neighbours::start(2).unwrap();
        let mut processes = Vec::new();
        for busy in &mut neighbours.0 {
            assert!(busy.try_wait().unwrap().is_none(), "it ended by itself");
            processes.push(std::path::PathBuf::from(format!("/proc/{}", busy.id())));
        }
        assert!(processes.iter().all(|p| p.exists()));
        drop(neighbours);
        assert!(processes.iter().all(|p| !p.exists()), "one was left behind");
    }
}
