//! `ptt-app bench`: what it plays and what it prints, with the canned engine, whose words are known.

use std::path::Path;

use ptt_tests::rig::{self, DaemonBuilder, Finished};

/// A folder with the first words of the bundled clip, twice, and a folder with a second of silence.
fn folders() -> (tempfile::TempDir, tempfile::TempDir) {
    let (clips, noise) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let speech = ptt_audio::read_audio_file(&rig::bundled().file).unwrap();
    let clip = |samples: &[f32]| ptt_messages::Clip::new(samples).unwrap();
    for id in ["a-1", "b-1"] {
        rig::write_wav(&clips.path().join(format!("{id}.wav")), &clip(&speech.samples()[..24_000])).unwrap();
    }
    std::fs::write(clips.path().join("refs.tsv"), "a-1\tThe quick brown fox\nb-1\tThe quick brown ox\n")
        .unwrap();
    rig::write_wav(&noise.path().join("silence.wav"), &clip(&[0.001; 8_000])).unwrap();
    (clips, noise)
}

fn bench(args: &[&str]) -> Finished {
    let sets =
        ["stt.backend=canned", "stt.canned_texts=[\"The quick brown fox.\"]", "feedback.backend=silent"];
    let mut all = vec!["bench", "--json"];
    sets.iter().for_each(|set| all.extend(["--set", set]));
    all.extend(["--set", "metrics.enabled=false"]);
    DaemonBuilder::new().run(&[&all, args].concat())
}

fn lines(finished: &Finished) -> Vec<serde_json::Value> {
    assert!(finished.status.success(), "{}", finished.err);
    finished.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn live_and_batch_play_the_same_clips_in_one_run_and_are_compared() {
    let (clips, noise) = folders();
    let args = ["--clips", text(clips.path()), "--noise", text(noise.path()), "--busy", "1"];
    let lines = lines(&bench(&args));
    let takes: Vec<&serde_json::Value> = lines.iter().filter(|line| line["id"].is_string()).collect();
    let count = |strategy: &str, busy: bool, id: &str| {
        let is = |take: &&&serde_json::Value| {
            take["strategy"] == strategy && take["busy"] == busy && take["id"] == id
        };
        takes.iter().filter(is).count()
    };
    for id in ["a-1", "b-1"] {
        for (strategy, busy, times) in [
            ("live", false, 1),
            ("live", true, 1),
            ("batch", false, 1),
            ("batch", true, 1),
            ("full_context", false, 1),
        ] {
            assert_eq!(count(strategy, busy, id), times, "{strategy} {busy} {id}");
        }
    }
    assert_eq!((count("live", false, "silence"), count("full_context", false, "silence")), (1, 0));
    let totals: Vec<&serde_json::Value> = lines.iter().filter(|line| line["total"].is_object()).collect();
    assert_eq!(totals.len(), 3);
    for total in totals {
        let (strategy, total) = (total["strategy"].as_str().unwrap(), &total["total"]);
        assert_eq!((&total["takes"], &total["edits"], &total["words"]), (&2.into(), &1.into(), &8.into()));
        assert_eq!(total["by_source"]["b"], 0.25);
        let heard_in_time = strategy != "full_context";
        assert_eq!(total["release_to_text"].is_object(), heard_in_time, "{strategy}");
        assert_eq!(total["busy"]["takes"].is_number(), heard_in_time, "{strategy}");
        assert_eq!(total["noise"]["characters"] == 0, heard_in_time, "{strategy}");
    }
    let comparison = &lines.last().unwrap()["comparison"];
    assert!(comparison["batch_over_live"]["p95"].is_number(), "{comparison}");
    assert_eq!(comparison["wer_points_over_full_context"]["live"], 0.0);
    assert!(comparison["busy_over_quiet_p50"]["batch"].is_number(), "{comparison}");
}

#[test]
fn a_bench_in_steps_ends_with_its_input() {
    let (clips, _) = folders();
    // The program's standard input is empty.
    let lines = lines(&bench(&["--clips", text(clips.path()), "--strategy", "live", "--step"]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["strategy"], "live");
}

#[test]
fn joined_takes_are_played_after_their_clips() {
    let folder = tempfile::tempdir().unwrap();
    let speech = ptt_audio::read_audio_file(&rig::bundled().file).unwrap();
    let second = ptt_messages::Clip::new(&speech.samples()[..16_000]).unwrap();
    for n in 1..=3 {
        rig::write_wav(&folder.path().join(format!("{n}.wav")), &second).unwrap();
    }
    let lines = lines(&bench(&["--clips", text(folder.path()), "--strategy", "batch", "--joined", "2"]));
    let ids: Vec<&str> = lines.iter().filter_map(|line| line["id"].as_str()).collect();
    assert_eq!(ids, ["1", "2", "joined-01", "3"]);
    let total = &lines.last().unwrap()["comparison"];
    assert!(total["joined_over_clips_p50"]["batch"].is_number(), "{total}");
}

#[test]
fn texts_of_others_are_scored_by_the_same_rules() {
    let (clips, _) = folders();
    let texts = clips.path().join("texts.tsv");
    std::fs::write(&texts, "a-1\tthe QUICK, brown fox!\nb-1\tThe brown ox\nother\tnot asked for\n").unwrap();
    let lines = lines(&bench(&["--score", text(&texts), "--clips", text(clips.path())]));
    assert_eq!(lines[1]["edits"], 1);
    assert_eq!(lines.last().unwrap()["total"]["wer"], 0.125);
    let without = bench(&["--score", text(&texts)]);
    assert!(!without.status.success() && without.err.contains("--refs"), "{}", without.err);
}
