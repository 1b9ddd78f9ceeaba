use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use ptt_messages::FaultKind;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::*;

const TAKE: TakeId = TakeId(1);

const LONG: Duration = Duration::from_secs(60);

#[test]
fn the_text_is_the_programs_input_and_the_arguments_are_untouched() {
    let dir = TempDir::new().unwrap();
    let (file, args) = (dir.path().join("a b; $(true)"), dir.path().join("args"));
    let file = file.to_str().unwrap();
    sink(&["tee", file], LONG).deliver(TAKE, "Grüße; $(rm -rf x) `y`\n").unwrap();
    assert_eq!(fs::read_to_string(file).unwrap(), "Grüße; $(rm -rf x) `y`\n");

    // Neither its arguments nor its environment hold the text.
    let look = format!("cat /proc/$$/cmdline /proc/$$/environ > {}", args.display());
    sink(&["sh", "-c", &look], LONG).deliver(TAKE, "canary").unwrap();
    let seen = fs::read(&args).unwrap();
    assert!(!seen.is_empty() && !seen.windows(6).any(|w| w == b"canary"));
}

#[test]
fn a_program_that_reads_nothing_or_writes_a_lot_is_no_problem() {
    sink(&["true"], LONG).deliver(TAKE, &"x".repeat(1 << 20)).unwrap();
    sink(&["sh", "-c", "head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2"], LONG)
        .deliver(TAKE, "x")
        .unwrap();
}

#[test]
fn failures_are_told_apart_and_keep_the_text_out() {
    for (argv, kind, part) in [
        (&["no-such-program-for-ptt"] as &[&str], FaultKind::Misconfigured, "was not found"),
        (&["sh", "-c", "cat >&2; exit 3"], FaultKind::Broken, "exit code 3"),
        (&["sh", "-c", "kill -9 $$"], FaultKind::Broken, "signal 9"),
        (&["/proc/self/status"], FaultKind::Denied, "may not use"),
    ] {
        let fault = sink(argv, LONG).deliver(TAKE, "canary").unwrap_err().undelivered();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(fault.message.contains(part) && fault.message.contains("`ptt-app retry`"), "{fault}");
        assert!(!fault.message.contains("canary"));
    }
    assert!(matches!(CommandSink::open(&[], LONG), Err(OutputError::NoCommand)));
    assert!(matches!(CommandSink::open(&[" ".to_owned()], LONG), Err(OutputError::NoCommand)));
}

#[test]
fn a_hanging_program_is_ended_with_all_it_started() {
    let dir = TempDir::new().unwrap();
    let pids = dir.path().join("pids");
    // The one in the background ignores what a polite end would send, and the text never fits into the pipe.
    let script = format!("(trap '' TERM HUP; exec sleep 1000) & echo $! $$ > {}; wait", pids.display());
    let mut sink = sink(&["sh", "-c", &script], Duration::from_millis(500));
    for text in ["short", &"long".repeat(100_000)] {
        let started = Instant::now();
        let error = sink.deliver(TAKE, text).unwrap_err();
        assert_eq!(error.kind(), FaultKind::Timeout, "{error}");
        assert!(started.elapsed() >= Duration::from_millis(500));
        let pids = fs::read_to_string(&pids).unwrap();
        assert_eq!(pids.split_whitespace().count(), 2);
        for pid in pids.split_whitespace() {
            while is_running(pid) {
                assert!(started.elapsed() < LONG, "{pid} still runs");
                thread::yield_now();
            }
        }
    }
}

#[test]
fn what_a_good_program_leaves_running_stays() {
    // As `wl-copy` does: a process in the background keeps the clipboard's content.
    let dir = TempDir::new().unwrap();
    let pid = dir.path().join("pid");
    let script = format!("cat >/dev/null; sleep 1000 & echo $! > {}", pid.display());
    sink(&["sh", "-c", &script], LONG).deliver(TAKE, "x").unwrap();
    let pid = fs::read_to_string(&pid).unwrap();
    assert!(is_running(pid.trim()));
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

/// Neither gone nor a zombie that waits for somebody to reap it.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn sink(argv: &[&str], limit: Duration) -> CommandSink {
    let argv: Vec<String> = argv.iter().map(|&a| a.to_owned()).collect();
    CommandSink::open(&argv, limit).unwrap()
}
