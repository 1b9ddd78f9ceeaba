//! The shipped program's two sockets under clients that idle, drip, flood, vanish or stop reading,
//! and the program as a client of a daemon that does not answer.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ptt_app::Exit;
use ptt_messages::{ControllerEvent, Outcome};
use ptt_tests::hardware_free;
use ptt_tests::rig::{self, Daemon, DaemonBuilder, Finished, Process};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

const SOON: Duration = Duration::from_secs(20);

fn config() -> String {
    let more = "audio.wav_pace = 'fast'\nlog.filter = 'info'\nstt.canned_texts = ['a text']";
    hardware_free(&[&rig::bundled().file], more)
}

fn daemon() -> Daemon {
    DaemonBuilder::new().config(&config()).start()
}

/// Runs a command beside the daemon.
fn run(daemon: &Daemon, args: &[&str]) -> Finished {
    DaemonBuilder::new().beside(daemon).run(args)
}

/// A command beside the daemon, to be started by the test.
fn command(daemon: &Daemon, args: &[&str]) -> Command {
    let mut command = Command::new(rig::program());
    command.args(args).env_clear().env("XDG_RUNTIME_DIR", daemon.home()).env("HOME", daemon.home());
    command
}

fn take(daemon: &mut Daemon) {
    let report = daemon.take(|_| std::thread::sleep(Duration::from_millis(250)));
    assert_eq!((report.outcome, report.text.as_str()), (Outcome::Text, "a text"));
}

fn connect(daemon: &Daemon) -> UnixStream {
    let stream = UnixStream::connect(daemon.home().join("ptt/control.sock")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// What the other end says until it closes the connection.
fn rest(mut stream: impl Read) -> String {
    let mut rest = Vec::new();
    // A reset ends it too.
    let _ = stream.read_to_end(&mut rest);
    String::from_utf8(rest).unwrap()
}

// The metrics port.

fn scraper(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, SOON).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = scraper(address);
    stream.write_all(request.as_bytes()).unwrap();
    rest(stream)
}

#[test]
fn a_scraper_gets_the_metrics_and_nothing_else_is_answered() {
    let daemon = daemon();
    let address = daemon.metrics_address();
    let ask = |line: &str, host: &str| {
        exchange(address, &format!("{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    };
    let get = "GET /metrics HTTP/1.1";
    let here = address.to_string();
    let metrics = ask(get, &here);
    assert!(
        metrics.starts_with("HTTP/1.1 200 OK\r\n") && metrics.contains("\nptt_takes_total{"),
        "{metrics}"
    );
    let head = ask("HEAD /metrics HTTP/1.1", &here);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    for (line, host, status) in [
        ("POST /metrics HTTP/1.1", here.as_str(), "405"),
        ("GET / HTTP/1.1", &here, "404"),
        ("GET /health HTTP/1.1", &here, "404"),
        (get, "evil.example", "403"),
        (get, &format!("evil.example:{}", address.port()), "403"),
        (get, "localhost", "200"),
        (get, "[::1]:9091", "200"),
        ("nonsense", &here, "400"),
    ] {
        let told = ask(line, host);
        assert_eq!(told.split(' ').nth(1), Some(status), "{line:?} to {host}: {told}");
    }
    let long = format!("{get}\r\nHost: {here}\r\nX: {}", "x".repeat(64 * 1024));
    assert_eq!(exchange(address, &long).split(' ').nth(1), Some("431"));
}

#[test]
fn a_head_that_drips_is_given_up_after_five_seconds() {
    let daemon = daemon();
    let mut stream = scraper(daemon.metrics_address());
    let began = Instant::now();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let mut drip = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while drip.write_all(b"X").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(rest(&stream), "");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(4_500) && took < Duration::from_secs(10), "{took:?}");
}

/// Processor time the daemon has used.
fn processor_time(daemon: &mut Daemon) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.process().pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    // Ticks are hundredths of a second on every Linux this runs on.
    Duration::from_millis(ticks * 10)
}

fn descriptors(daemon: &mut Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.process().pid())).unwrap().count()
}

#[test]
fn a_thousand_half_open_connections_cost_no_take() {
    const CONNECTIONS: usize = 1_000;
    let room = getrlimit(Resource::Nofile);
    let wanted = room.maximum.unwrap_or(4_096).min(4_096);
    if wanted < 2_000 {
        return rig::Skip("the limit of descriptors is too low".into()).say("half-open connections");
    }
    let current = Some(room.current.unwrap_or(wanted).max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current, maximum: room.maximum }).unwrap();
    let _alone = rig::heavy();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("limited");
    let text = format!("#!/bin/sh\nulimit -n 1024\nexec '{}' \"$@\"\n", rig::program().display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut daemon = DaemonBuilder::of(&script).config(&config()).start();
    take(&mut daemon);
    let (logged, before) = (daemon.log().len(), processor_time(&mut daemon));
    let (address, began) = (daemon.metrics_address(), Instant::now());
    let load = std::thread::spawn(move || {
        let open = |n: usize| {
            let mut stream = TcpStream::connect_timeout(&address, SOON).ok()?;
            // Some say nothing at all.
            let begun = n.is_multiple_of(2) || stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").is_ok();
            begun.then_some(stream)
        };
        let open: Vec<_> = (0..CONNECTIONS).filter_map(open).collect();
        assert!(open.len() > CONNECTIONS * 9 / 10, "{} connections", open.len());
        // Then they only stay.
        std::thread::sleep(Duration::from_secs(1));
    });
    let mut takes = 0;
    while !load.is_finished() {
        take(&mut daemon);
        takes += 1;
        assert!(descriptors(&mut daemon) < 200, "{} descriptors", descriptors(&mut daemon));
    }
    load.join().unwrap();
    let (lasted, used) = (began.elapsed(), processor_time(&mut daemon) - before);
    let _ = daemon.scrape();
    let lines = daemon.log()[logged..].to_owned();
    let load = used.as_secs_f64() / lasted.as_secs_f64();
    rig::say(&format!(
        "half-open connections: {lasted:.1?}, {takes} takes, {:.0} % of a core, {} bytes of log",
        load * 100.0,
        lines.len()
    ));
    assert!(takes > 0);
    assert!(load < 0.5, "{load}");
    // The takes say a few lines each; the connections one a minute.
    assert!(lines.matches("/metrics").count() <= 2, "{lines}");
    assert!(lines.len() < 2_000 + takes * 1_000, "{} bytes: {lines}", lines.len());
}

#[test]
fn a_scrape_is_answered_beside_connections_that_stay_silent() {
    let daemon = daemon();
    let silent: Vec<TcpStream> = (0..64).map(|_| scraper(daemon.metrics_address())).collect();
    let began = Instant::now();
    let _ = daemon.scrape();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(silent);
}

#[test]
fn every_metric_is_described() {
    let mut daemon = daemon();
    take(&mut daemon);
    let (_, metrics) = rig::http_get(daemon.metrics_address(), "/metrics").unwrap();
    let names = |kind: &str| -> BTreeSet<String> {
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(kind));
        lines.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
    };
    let (described, typed) = (names("# HELP "), names("# TYPE "));
    assert!(typed.len() > 40, "{typed:?}");
    let missing: Vec<_> = typed.difference(&described).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn promtool_finds_nothing_wrong() {
    if let Err(skip) = rig::needs(&[("promtool", "prometheus")]) {
        return skip.say("promtool check metrics");
    }
    let mut daemon = daemon();
    take(&mut daemon);
    let (status, metrics) = rig::http_get(daemon.metrics_address(), "/metrics").unwrap();
    assert_eq!(status, 200);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let told = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&told.stdout) + String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && complaints.is_empty(), "{complaints}");
}

// The control socket.

#[test]
fn idle_clients_keep_nobody_out_and_are_told_why_they_must_go() {
    let mut daemon = daemon();
    for (clients, begun) in [(8, ""), (8, "{\"do\":"), (40, ""), (40, "{\"do\":")] {
        let idle: Vec<UnixStream> = (0..clients)
            .map(|_| {
                let mut stream = connect(&daemon);
                // One that gave way already cannot write any more.
                let _ = stream.write_all(begun.as_bytes());
                stream
            })
            .collect();
        let connected = Instant::now();
        for args in ["release", "cancel", "press"] {
            let finished = run(&daemon, &[args]);
            assert!(finished.status.success(), "{args} beside {clients}: {finished:?}");
        }
        assert!(run(&daemon, &["cancel"]).status.success());
        assert_eq!(daemon.ended().outcome, Outcome::Cancelled);
        take(&mut daemon);
        for stream in idle {
            let reason = rest(&stream);
            assert!(
                reason.contains("no request came within 2 s") || reason.contains("idle longest"),
                "{reason:?}"
            );
        }
        assert!(connected.elapsed() < Duration::from_secs(15), "{:?}", connected.elapsed());
    }
}

#[test]
fn the_first_request_must_come_within_two_seconds_and_the_next_may_take_longer() {
    let daemon = daemon();
    let (idle, mut asks) = (connect(&daemon), connect(&daemon));
    let mut answers = BufReader::new(asks.try_clone().unwrap());
    let mut ask = || {
        asks.write_all(b"{\"do\":\"status\"}\n").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        line
    };
    let began = Instant::now();
    assert!(ask().contains("\"ok\":true"));
    assert!(rest(idle).contains("no request came within 2 s"));
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_900) && took < Duration::from_secs(5), "{took:?}");
    std::thread::sleep(Duration::from_millis(500));
    assert!(ask().contains("\"ok\":true"));
}

#[test]
fn clients_that_read_no_answer_keep_nobody_out() {
    let mut daemon = daemon();
    let requests = "{\"do\":\"status\"}\n".repeat(20_000);
    let stuck: Vec<UnixStream> = (0..16)
        .map(|_| {
            let mut stream = connect(&daemon);
            stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            // Until the daemon cannot write any more and therefore reads no more.
            let _ = stream.write_all(requests.as_bytes());
            stream
        })
        .collect();
    let began = Instant::now();
    assert!(run(&daemon, &["release"]).status.success());
    assert!(run(&daemon, &["status"]).status.success());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    take(&mut daemon);
    drop(stuck);
}

#[test]
fn a_stopped_daemon_is_given_up_and_what_was_asked_of_it_expires() {
    let mut daemon = daemon();
    take(&mut daemon);
    daemon.process().signal(Signal::STOP);
    let began = Instant::now();
    let start = |args: &[&str]| Process::spawn(&mut command(&daemon, args)).unwrap();
    let mut killed: Vec<Process> = [["press"], ["toggle"]].iter().map(|args| start(args)).collect();
    let patient: Vec<Process> =
        ["press", "toggle", "retry", "status", "release", "cancel"].map(|what| start(&[what])).into();
    // A client of another make, which cannot say when it asked.
    let mut foreign = connect(&daemon);
    foreign.write_all(b"{\"do\":\"press\"}\n").unwrap();
    drop(foreign);
    std::thread::sleep(Duration::from_secs(1));
    killed.iter_mut().for_each(|client| client.signal(Signal::KILL));
    for client in patient {
        let finished = client.wait(SOON).unwrap();
        assert_eq!(finished.status.code(), Some(Exit::Unavailable.code().into()), "{finished:?}");
        assert!(finished.err.contains("has not answered for 3 s"), "{finished:?}");
        assert_eq!(finished.err.lines().count(), 1, "{finished:?}");
    }
    let gave_up = began.elapsed();
    assert!(gave_up >= Duration::from_secs(3) && gave_up < Duration::from_secs(6), "{gave_up:?}");
    daemon.process().signal(Signal::CONT);
    // Answered after all that came before it.
    rig::await_some("all requests to be refused", SOON, || {
        (daemon.log().matches("came too late").count() >= 6).then_some(())
    });
    assert!(run(&daemon, &["status"]).out.contains("state      waiting_for_key"));
    let pressed = |event: &ControllerEvent| is_press(event).then_some(());
    let nothing = daemon.within(Duration::from_millis(500), pressed);
    assert_eq!(nothing, None, "a take was started");
    // And none was remembered.
    daemon.ask("press").unwrap();
    daemon.recording();
    std::thread::sleep(Duration::from_millis(300));
    daemon.ask("release").unwrap();
    assert_eq!(daemon.ended().take.0, 2);
}

fn is_press(event: &ControllerEvent) -> bool {
    use ptt_messages::StateName;
    matches!(event, ControllerEvent::Transition { to: StateName::KeyPressed, .. })
}

#[test]
fn a_release_that_a_stopped_daemon_did_not_answer_ends_the_take_all_the_same() {
    let mut daemon = daemon();
    daemon.listening();
    daemon.ask("press").unwrap();
    daemon.recording();
    std::thread::sleep(Duration::from_millis(300));
    daemon.process().signal(Signal::STOP);
    let release = run(&daemon, &["release"]);
    assert_eq!(release.status.code(), Some(Exit::Unavailable.code().into()), "{release:?}");
    daemon.process().signal(Signal::CONT);
    assert_eq!(daemon.ended().outcome, Outcome::Text);
}

#[test]
fn a_following_client_gives_up_on_a_stopped_daemon() {
    let mut daemon = daemon();
    daemon.process().signal(Signal::STOP);
    let followed = run(&daemon, &["status", "--follow"]);
    daemon.process().signal(Signal::CONT);
    assert_eq!(followed.status.code(), Some(Exit::Unavailable.code().into()), "{followed:?}");
}

// The command line.

#[test]
fn that_there_is_nothing_to_do_is_said() {
    let mut daemon = daemon();
    for (what, told) in [
        ("release", "nothing to release"),
        ("cancel", "nothing to cancel"),
        ("retry", "nothing to try again"),
    ] {
        let finished = run(&daemon, &[what]);
        assert!(finished.status.success() && finished.out.is_empty(), "{finished:?}");
        assert!(finished.err.contains(told) && finished.err.lines().count() == 1, "{finished:?}");
    }
    assert!(run(&daemon, &["press"]).err.is_empty());
    daemon.recording();
    let busy = run(&daemon, &["retry"]);
    assert_eq!(busy.status.code(), Some(Exit::Failed.code().into()), "{busy:?}");
    assert!(busy.err.contains("a take is running"), "{busy:?}");
    std::thread::sleep(Duration::from_millis(300));
    let released = run(&daemon, &["release"]);
    assert!(released.status.success() && released.err.is_empty(), "{released:?}");
    assert_eq!(daemon.ended().outcome, Outcome::Text);
    assert!(run(&daemon, &["release"]).err.contains("nothing to release"));
}

#[test]
fn a_closed_pipe_is_no_error_of_any_command() {
    let daemon = daemon();
    for args in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["completions", "elvish"],
        &["completions", "powershell"],
        &["--help"],
        &["--version"],
        &["help", "models"],
        &["config", "show"],
        &["--set", "stt.backend=canned", "config", "check"],
        &["models", "list"],
        &["models", "list", "--json"],
        &["models", "verify"],
        &["keys", "--names"],
        &["status"],
        &["status", "--json"],
    ] {
        let finished = command(&daemon, args).stdout(closed()).stderr(Stdio::piped()).output().unwrap();
        assert!(finished.status.success(), "{args:?}: {finished:?}");
        assert!(finished.stderr.is_empty(), "{args:?}: {finished:?}");
        // Standard error may be closed too: a wrong command line ends with its own code all the
        // same.
        let wrong = [&["--no-such-flag"], args].concat();
        let finished = command(&daemon, &wrong).stderr(closed()).output().unwrap();
        assert_eq!(finished.status.code(), Some(Exit::Usage.code().into()), "{wrong:?}: {finished:?}");
    }
    let refused = command(&daemon, &["--config", "/no/such/file", "config", "show"]);
    assert_eq!(broken(refused), Some(Exit::Config.code().into()));
}

/// The exit code of a command whose outputs are both closed.
fn broken(mut command: Command) -> Option<i32> {
    command.stdout(closed()).stderr(closed()).status().unwrap().code()
}

/// A pipe that nobody reads.
fn closed() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}
