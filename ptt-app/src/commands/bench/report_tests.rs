use super::*;

#[test]
fn the_ways_are_compared_on_the_same_clips() {
    let lines = [
        line("cv-1", Way::Live, 10.0, 0.6, 1),
        line("cv-1", Way::Batch, 200.0, 0.4, 1),
        line("cv-1", Way::FullContext, 0.0, 1.0, 0),
        line("lj-2", Way::Live, 40.0, 0.9, 0),
        line("lj-2", Way::Batch, 400.0, 0.3, 0),
        line("lj-2", Way::FullContext, 0.0, 1.0, 0),
        Line { busy: true, ..line("lj-2", Way::Live, 50.0, 0.3, 0) },
        Line { kind: Kind::Joined, ..line("joined-01", Way::Live, 12.0, 0.0, 0) },
    ];
    let totals = totals(&lines);
    let found = Comparison::of(&lines, &totals);
    assert_eq!(found.batch_over_live, Some(Ratios { p50: 20.0, p95: 10.0, p99: 10.0, max: 10.0 }));
    let cpu = found.cpu_live_over_batch.unwrap();
    let rounded = [cpu.all, cpu.p50, cpu.p95, cpu.max].map(|ratio| (ratio * 100.0).round() / 100.0);
    assert_eq!(rounded, [2.14, 1.5, 3.0, 3.0], "a take beside busy processes has no partner here");
    assert_eq!(found.wer_points_over_full_context[&Way::Live], 5.0);
    assert_eq!(found.busy_over_quiet_p50, BTreeMap::from([(Way::Live, 5.0)]));
    assert_eq!(found.joined_over_clips_p50, BTreeMap::from([(Way::Live, 1.2)]));
    let text = found.text();
    assert!(text.contains("p50 20.0 x") && text.contains("live +5.00 points, batch +5.00 points"), "{text}");
}

#[test]
fn one_way_alone_is_compared_with_nothing() {
    let lines = [line("cv-1", Way::Live, 10.0, 0.6, 1)];
    assert_eq!(Comparison::of(&lines, &totals(&lines)).text(), "");
}

#[test]
fn characters_where_nothing_was_said_are_counted_apart() {
    let silent = Line {
        kind: Kind::Noise,
        text: "Thank you.".into(),
        words: Some(0),
        ..line("tap-1", Way::Live, 9.0, 0.1, 2)
    };
    let lines = [line("cv-1", Way::Live, 10.0, 0.6, 0), silent];
    let total = &totals(&lines)[&Way::Live];
    assert_eq!(total.clips.as_ref().unwrap().wer, Some(0.0));
    assert!(total.text().contains("nothing said: 10 characters delivered in 1 takes"), "{}", total.text());
}

#[test]
fn the_figures_of_the_clips_stand_at_the_top_of_a_total() {
    let lines = [line("cv-1", Way::Live, 10.0, 0.6, 1), line("lj-2", Way::Live, 10.0, 0.6, 0)];
    let total = serde_json::to_value(&totals(&lines)[&Way::Live]).unwrap();
    assert_eq!((&total["takes"], &total["wer"]), (&2.into(), &0.05.into()));
    assert_eq!(total["by_source"], serde_json::json!({ "cv": 0.1, "lj": 0.0 }));
    assert!(total.get("busy").is_none(), "{total}");
}

fn totals(lines: &[Line]) -> BTreeMap<Way, Total> {
    let ways = [Way::Live, Way::Batch, Way::FullContext]
        .into_iter()
        .filter(|way| lines.iter().any(|l| l.strategy == *way));
    ways.map(|way| (way, Total::of(lines, way, Vec::new(), 0))).collect()
}

/// Of ten words.
fn line(id: &str, way: Way, ms: f64, cpu_s: f64, edits: usize) -> Line {
    Line {
        id: id.into(),
        strategy: way,
        kind: Kind::Clip,
        busy: false,
        audio_s: 3.0,
        outcome: Outcome::Text,
        path: Some(TextPath::Tail),
        release_to_text_ms: (way != Way::FullContext).then_some(ms),
        encode_ms: 0.0,
        decode_ms: 0.0,
        background_s: 0.0,
        cpu_s,
        text: "said".into(),
        reference: None,
        edits: Some(edits),
        words: Some(10),
        fault: None,
    }
}
