//! Models in the shipped program: the memory of one that is given back, and engines that hang with
//! theirs.

use std::time::{Duration, Instant};

use ptt_messages::Outcome;
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder};

/// More than this of a model may not stay in memory.
const LEFT_OVER: u64 = 10_000_000;

#[test]
fn a_model_that_is_given_back_leaves_little_behind() {
    let model = match rig::model("tiny.en") {
        Ok(model) => model,
        Err(skip) => return skip.say("giving a model back"),
    };
    let _alone = rig::heavy();
    for engine in ["native", "whisper"] {
        let more = format!(
            "audio.wav_pace = 'fast'\nstt.backend = '{engine}'\nstt.model = {model:?}\n\
             resources.model = 'on_first_press'\nresources.model_idle_s = 1"
        );
        let mut daemon = DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], &more)).start();
        let before = resident(&mut daemon);
        // Twice: what is kept of one model may hide what is kept of each.
        for _ in 0..2 {
            let take = daemon.take(|_| std::thread::sleep(Duration::from_millis(300)));
            assert_eq!(take.outcome, Outcome::Text, "{engine}");
            let with_model = resident(&mut daemon);
            rig::await_some("the model to be given back", Duration::from_secs(30), || {
                daemon.ask("status").is_ok_and(|status| status["status"]["model"].is_null()).then_some(())
            });
            let after = resident(&mut daemon);
            rig::say(&format!(
                "{engine}: {} MB before, {} MB with the model, {} MB after",
                before / 1_000_000,
                with_model / 1_000_000,
                after / 1_000_000
            ));
            assert!(with_model > before + 30_000_000, "{engine}: {before} {with_model}");
            assert!(after < before + LEFT_OVER, "{engine}: {before} {with_model} {after}");
        }
    }
}

#[test]
fn engines_that_hang_do_not_multiply() {
    let more = "audio.wav_pace = 'fast'\nstt.canned_script = ['stuck']\n\
                controller.decode_deadline_s = 1\ncontroller.decode_deadline_factor = 1";
    let mut daemon = DaemonBuilder::new().config(&hardware_free(&[&rig::bundled().file], more)).start();
    for hang in [1.0, 2.0, 2.0, 2.0] {
        let began = Instant::now();
        let take = daemon.take(|_| std::thread::sleep(Duration::from_millis(300)));
        assert_eq!(take.outcome, Outcome::Salvaged);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!(daemon.scrape().sum("ptt_stt_stuck_engines", &[]), Some(hang));
    }
    let engines = threads(&mut daemon).into_iter().filter(|name| name.starts_with("ptt-stt-")).count();
    // Two that hang, and the one that would load the next.
    assert!(engines <= 3, "{engines}");
    assert!(daemon.log().contains("2 left behind"), "{}", daemon.log());
}

fn resident(daemon: &mut Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

fn threads(daemon: &mut Daemon) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.process().pid())).unwrap();
    // One may end meanwhile.
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}
