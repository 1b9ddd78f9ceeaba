use ptt_messages::Within;

use super::*;

#[test]
fn the_text_is_what_the_command_makes_of_it() {
    for (argv, given, expected) in [
        (&["tr", "a-z", "A-Z"] as &[&str], "say so", "SAY SO"),
        (&["cat"], "Grüße, 你好 😀", "Grüße, 你好 😀"),
        // Most programs end their output with a line's end; one that was said stays.
        (&["echo", "  something else  "], "x", "something else"),
        (&["cat"], "\ntwo\nlines\n\n", "\ntwo\nlines\n\n"),
        // It may read only a part of it, and write while it reads.
        (&["head", "-c", "2"], "x\u{301}yz", "x\u{301}yz"),
        (&["head", "-c", "1"], "xyz", "x"),
    ] {
        let mut post = post(argv, 60_000);
        let posted = post.pass(given);
        // Half a character is no text, so the whole one goes out.
        assert_eq!(posted.text, expected, "{argv:?}");
        assert_eq!(posted.fault.is_some(), given.starts_with("x\u{301}"), "{argv:?}");
    }
}

#[test]
fn a_long_text_through_a_program_that_answers_while_it_reads() {
    // Longer than both pipes together hold.
    let long = "word ".repeat(60_000);
    let posted = post(&["tr", "o", "0"], 60_000).pass(long.trim_end()).text.into_owned();
    assert_eq!(posted, long.trim_end().replace('o', "0"));
}

#[test]
fn when_it_fails_the_text_goes_out_and_the_user_is_told_once() {
    for (argv, kind, part) in [
        (&["false"] as &[&str], FaultKind::Broken, "exit code 1"),
        // What a failed program wrote is not to be trusted.
        (&["sh", "-c", "cat; exit 3"], FaultKind::Broken, "exit code 3"),
        (&["sleep", "1000"], FaultKind::Timeout, "post_limit_ms"),
        // Its output never ends.
        (&["sh", "-c", "cat; sleep 1000 & exit 0"], FaultKind::Timeout, "post_limit_ms"),
        (&["sh", "-c", "while :; do printf x; done"], FaultKind::Timeout, "post_limit_ms"),
        (&["true"], FaultKind::Broken, "gave nothing back"),
        (&["echo"], FaultKind::Broken, "gave nothing back"),
        (&["printf", "\\377\\376"], FaultKind::Broken, "not UTF-8"),
        (&["no-such-program-for-ptt"], FaultKind::Misconfigured, "was not found"),
        (&["/proc/self/status"], FaultKind::Denied, "cannot run"),
    ] {
        let mut post = post(argv, if kind == FaultKind::Timeout { 300 } else { 60_000 });
        let posted = post.pass("canary");
        assert_eq!(posted.text, "canary", "{argv:?}");
        let fault = posted.fault.unwrap();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(fault.message.contains(part) && !fault.message.contains("canary"), "{fault}");
        assert_eq!(post.pass("another"), Posted { text: Cow::Borrowed("another"), fault: None });
    }
}

#[test]
fn endless_output_is_cut_off_before_it_fills_the_memory() {
    let posted = post(&["yes"], 60_000);
    let error = posted.run("x").unwrap_err();
    assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
}

#[test]
fn after_it_worked_again_the_next_failure_is_told_again() {
    let mut post = post(&["sh", "-c", "read -r line; test \"$line\" = good && echo fine"], 60_000);
    let told = ["bad", "bad", "good", "bad"].map(|text| post.pass(text).fault.is_some());
    assert_eq!(told, [true, false, false, true]);
}

#[test]
fn blanks_alone_never_start_it_and_no_program_is_said_at_once() {
    let mut post = post(&["false"], 60_000);
    assert_eq!(post.pass("\n\n"), Posted { text: Cow::Borrowed("\n\n"), fault: None });
    let blank = OutputConfig { post_command: vec![" ".to_owned()], ..OutputConfig::default() };
    assert!(matches!(Post::open(&blank), Err(OutputError::NoPostCommand)));
    assert!(Post::open(&OutputConfig::default()).unwrap().is_none());
}

fn post(argv: &[&str], limit_ms: u64) -> Post {
    let config = OutputConfig {
        post_command: argv.iter().map(|&argument| argument.to_owned()).collect(),
        post_limit_ms: Within::new(limit_ms),
        ..OutputConfig::default()
    };
    Post::open(&config).unwrap().unwrap()
}
