//! Downloads from a server on this machine that misbehaves in every way a script says.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use super::*;
use crate::model::part::{part_path, sha256};
use crate::model::quantize::Quantization;
use crate::model::synthetic;

/// One connection: what was asked for, and the stream to answer on.
type Answer = Box<dyn FnOnce(&Request, &mut TcpStream) + Send>;

#[test]
fn a_whole_file_is_fetched_and_remembered() {
    let rig = Rig::new([whole(FILE)]);
    let mut seen = Vec::new();
    let pulled = pull(&rig.options(), |progress| seen.push(progress)).unwrap();
    assert_eq!((pulled.size, pulled.fetched), (SIZE, SIZE));
    assert_eq!(seen.last(), Some(&Progress { done: SIZE, total: Some(SIZE) }));
    assert!(seen.windows(2).all(|pair| pair[0].done < pair[1].done));
    assert_eq!(fs::read(&pulled.path).unwrap(), file());
    let record = Record::read(&pulled.path).unwrap().unwrap();
    assert_eq!((record.sha256, record.origin), (hash(), Origin::Published));
    assert!(!part_path(&pulled.path).exists());
    assert_eq!(rig.requests(), [None]);
}

#[test]
fn a_model_that_is_there_is_fetched_again_only_when_it_is_damaged() {
    let sound = synthetic::ggml_file(Quantization::Q4_0).0;
    let served = sound.clone();
    let rig = Rig::new([whole(move || served.clone())]);
    let options = PullOptions {
        sha256: Some(sha256(&mut sound.as_slice()).unwrap()),
        size: Some(sound.len() as u64),
        ..rig.options()
    };
    fs::write(rig.model(), &sound).unwrap();
    assert_eq!(pull(&options, |_| ()).unwrap().fetched, 0);

    let other = PullOptions { sha256: Some(hash()), ..options.clone() };
    assert!(matches!(pull(&other, |_| ()), Err(ModelError::Exists { .. })));

    let mut damaged = sound.clone();
    damaged[1_000_000] ^= 1;
    fs::write(rig.model(), &damaged).unwrap();
    assert_eq!(pull(&options, |_| ()).unwrap().fetched, sound.len() as u64);
    assert_eq!(fs::read(rig.model()).unwrap(), sound);
    assert_eq!(rig.requests(), [None]);
}

#[test]
fn a_broken_connection_is_resumed_where_it_broke() {
    let rig = Rig::new([cut_after(100_000), rest()]);
    let pulled = pull(&rig.options(), |_| ()).unwrap();
    assert_eq!(pulled.fetched, SIZE, "no byte is fetched twice");
    let ranges = rig.requests();
    assert_eq!(ranges[0], None);
    let from: u64 = ranges[1].unwrap();
    assert!((1..=100_000).contains(&from), "{from}");
}

#[test]
fn an_earlier_process_left_a_part() {
    let rig = Rig::new([rest()]);
    fs::write(rig.part(), &file()[..200_000]).unwrap();
    assert_eq!(pull(&rig.options(), |_| ()).unwrap().fetched, SIZE - 200_000);
    assert_eq!(rig.requests(), [Some(200_000)]);
}

#[test]
fn a_part_that_cannot_be_continued_is_fetched_anew() {
    // A server that ignores the range, one that answers with another range, one that has no such range.
    for answers in [
        vec![whole(FILE)],
        vec![partial(0, SIZE - 1, SIZE), whole(FILE)],
        vec![partial(200_001, SIZE - 1, SIZE), whole(FILE)],
        vec![partial(200_000, SIZE, SIZE + 1), whole(FILE)],
        vec![partial(200_000, 200_009, SIZE), whole(FILE)],
        vec![no_content_range(), whole(FILE)],
        vec![status("416 Range Not Satisfiable"), whole(FILE)],
    ] {
        let rig = Rig::new(answers);
        fs::write(rig.part(), &file()[..200_000]).unwrap();
        let pulled = pull(&rig.options(), |_| ()).unwrap();
        assert_eq!(fs::read(pulled.path).unwrap(), file());
    }
}

#[test]
fn a_part_of_another_file_costs_one_more_fetch() {
    let rig = Rig::new([rest(), whole(FILE)]);
    fs::write(rig.part(), vec![7; 200_000]).unwrap();
    let pulled = pull(&rig.options(), |_| ()).unwrap();
    assert_eq!(fs::read(pulled.path).unwrap(), file());
    assert_eq!(rig.requests(), [Some(200_000), None]);
}

#[test]
fn a_part_larger_than_the_file_is_thrown_away() {
    let rig = Rig::new([whole(FILE)]);
    fs::write(rig.part(), vec![7; SIZE as usize + 1]).unwrap();
    pull(&rig.options(), |_| ()).unwrap();
    assert_eq!(rig.requests(), [None]);
}

#[test]
fn wrong_bytes_never_get_the_models_name() {
    let rig = Rig::new([whole(|| vec![1; SIZE as usize])]);
    let error = pull(&rig.options(), |_| ()).unwrap_err();
    assert!(matches!(&error, ModelError::Damaged { expected, .. } if *expected == hash()), "{error}");
    assert!(!rig.model().exists() && !rig.part().exists());
}

#[test]
fn a_file_of_another_size_is_refused_before_it_is_read() {
    for (kind, says) in
        [("text/html; charset=utf-8", "a web page of 12 bytes"), ("x/y", "a file of 12 bytes")]
    {
        let rig = Rig::new([Box::new(move |_: &Request, stream: &mut TcpStream| {
            head(stream, "200 OK", &format!("Content-Type: {kind}\r\nContent-Length: 12"));
            let _ = stream.write_all(b"<html></html");
        }) as Answer]);
        let error = pull(&rig.options(), |_| ()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn more_bytes_than_announced_are_not_taken() {
    // Without a length, as with chunked encoding: the pinned size is the limit.
    let rig = Rig::new([Box::new(|_: &Request, stream: &mut TcpStream| {
        head(stream, "200 OK", "Connection: close");
        let _ = stream.write_all(&file());
        let _ = stream.write_all(&[0; 100_000]);
    }) as Answer]);
    let error = pull(&rig.options(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("more bytes than the file has"), "{error}");
    assert!(!rig.model().exists());
    assert!(!rig.part().exists());
}

#[test]
fn a_stalled_server_is_left_in_time_and_the_part_is_kept() {
    let (release, held) = mpsc::channel::<()>();
    let rig = Rig::new([Box::new(move |_: &Request, stream: &mut TcpStream| {
        head(stream, "200 OK", &format!("Content-Length: {SIZE}"));
        let _ = stream.write_all(&file()[..1_000]);
        let _ = held.recv();
    }) as Answer]);
    let mut options = rig.options();
    options.stall = Duration::from_millis(200);
    options.attempts = 1;
    let before = Instant::now();
    let error = pull(&options, |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Stalled { .. }), "{error}");
    assert!(before.elapsed() < Duration::from_secs(20));
    assert_eq!(fs::metadata(rig.part()).unwrap().len(), 1_000);
    drop(release);
}

#[test]
fn attempts_that_bring_nothing_come_to_an_end() {
    let rig = Rig::new((0..3).map(|_| status("503 Service Unavailable")));
    let error = pull(&rig.options(), |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Refused { status: 503, .. }), "{error}");
    assert_eq!(rig.requests().len(), 3);

    let rig = Rig::new([status("404 Not Found")]);
    let error = pull(&rig.options(), |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Refused { status: 404, .. }), "{error}");
    assert_eq!(rig.requests().len(), 1, "no server finds a file the second time");
    assert_eq!(fs::read_dir(rig.folder.path()).unwrap().count(), 0, "nothing is left of nothing");
}

#[test]
fn a_redirect_from_this_machine_is_not_followed() {
    let rig = Rig::new([Box::new(|_: &Request, stream: &mut TcpStream| {
        head(stream, "302 Found", "Location: http://192.0.2.1/x.bin\r\nContent-Length: 0");
    }) as Answer]);
    let error = pull(&rig.options(), |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Refused { status: 302, .. }), "{error}");
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    for (url, allowed) in [
        ("https://example.org/models", true),
        ("http://localhost:1/", true),
        ("http://127.3.2.1/m.bin", true),
        ("http://[::1]:8080/", true),
        ("http://example.org/", false),
        ("http://localhost.example.org/", false),
        ("http://10.0.0.1/", false),
        ("ftp://localhost/", false),
        ("file:///etc/passwd", false),
        ("nonsense", false),
    ] {
        let options =
            PullOptions { url: Some(url.to_owned()), ..PullOptions::new("tiny.en", folder.path().into()) };
        assert_eq!(Source::new(&options, Path::new("ggml-tiny.en.bin")).is_ok(), allowed, "{url}");
    }
}

#[test]
fn only_pinned_files_are_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |options: PullOptions| pull(&options, |_| ()).unwrap_err();
    let options = PullOptions::new("my-model", folder.path().into());
    let error = refuse(options.clone());
    assert!(matches!(&error, ModelError::Unpinned { known, .. } if known.contains("tiny.en")), "{error}");
    let error = refuse(PullOptions { sha256: Some("abc".to_owned()), ..options.clone() });
    assert!(matches!(error, ModelError::BadHash { .. }), "{error}");
    let error = refuse(PullOptions { name: "../evil".to_owned(), ..options });
    assert!(matches!(error, ModelError::BadName { .. }), "{error}");
}

#[test]
fn two_processes_do_not_write_one_file() {
    let rig = Rig::new([]);
    let _held = Part::open(&rig.model()).unwrap();
    let error = pull(&rig.options(), |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Busy { .. }), "{error}");
}

/// A process that is killed in the middle: nothing under the model's name, and the next one goes on.
#[test]
fn killed_in_the_middle() {
    let rig = Rig::new([
        Box::new(|_: &Request, stream: &mut TcpStream| {
            head(stream, "200 OK", &format!("Content-Length: {SIZE}"));
            let _ = stream.write_all(&file()[..150_000]);
            // Open until the child is gone.
            let _ = BufReader::new(stream).read_line(&mut String::new());
        }) as Answer,
        rest(),
    ]);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "model::pull::tests::a_child_that_pulls", "--ignored", "--nocapture"])
        .env("PTT_TEST_PULL_URL", &rig.url)
        .env("PTT_TEST_PULL_FOLDER", rig.folder.path())
        .spawn()
        .unwrap();
    while fs::metadata(rig.part()).map_or(0, |meta| meta.len()) < 150_000 {
        assert!(child.try_wait().unwrap().is_none(), "the child ended early");
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!rig.model().exists());
    let pulled = pull(&rig.options(), |_| ()).unwrap();
    assert_eq!((pulled.fetched, fs::read(pulled.path).unwrap()), (SIZE - 150_000, file()));
}

#[test]
#[ignore = "the process that killed_in_the_middle kills"]
fn a_child_that_pulls() {
    let (Ok(url), Some(folder)) =
        (std::env::var("PTT_TEST_PULL_URL"), std::env::var_os("PTT_TEST_PULL_FOLDER"))
    else {
        return;
    };
    let _ = pull(&options(&url, Path::new(&folder)), |_| ());
}

const SIZE: u64 = 300_000;
const FILE: fn() -> Vec<u8> = file;

/// The file that is wanted.
fn file() -> Vec<u8> {
    (0..SIZE).map(|i| (i * i % 251) as u8).collect()
}

fn hash() -> String {
    sha256(&mut file().as_slice()).unwrap()
}

fn options(url: &str, folder: &Path) -> PullOptions {
    PullOptions {
        url: Some(url.to_owned()),
        sha256: Some(hash()),
        size: Some(SIZE),
        stall: Duration::from_secs(20),
        attempts: 3,
        pause: Duration::ZERO,
        ..PullOptions::new("test", folder.to_owned())
    }
}

struct Request {
    /// The first byte that was asked for.
    from: Option<u64>,
}

struct Rig {
    folder: tempfile::TempDir,
    url: String,
    asked: mpsc::Receiver<Option<u64>>,
}

impl Rig {
    /// A server that answers one connection after the other with these, and then no more.
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/models", listener.local_addr().unwrap());
        let answers: Vec<Answer> = answers.into_iter().collect();
        let (tell, asked) = mpsc::channel();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read_request(&stream);
                let _ = tell.send(request.from);
                answer(&request, &mut stream);
            }
        });
        Self { folder: tempfile::tempdir().unwrap(), url, asked }
    }

    fn options(&self) -> PullOptions {
        options(&self.url, self.folder.path())
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("ggml-test.bin")
    }

    fn part(&self) -> PathBuf {
        part_path(&self.model())
    }

    /// The ranges that were asked for so far.
    fn requests(&self) -> Vec<Option<u64>> {
        self.asked.try_iter().collect()
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut from = None;
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
    }
    Request { from }
}

fn head(stream: &mut TcpStream, status: &str, headers: &str) {
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{headers}\r\n\r\n");
}

fn whole(body: impl Fn() -> Vec<u8> + Send + 'static) -> Answer {
    Box::new(move |_, stream| {
        let body = body();
        head(stream, "200 OK", &format!("Content-Length: {}\r\nConnection: close", body.len()));
        let _ = stream.write_all(&body);
    })
}

fn cut_after(bytes: usize) -> Answer {
    Box::new(move |_, stream| {
        head(stream, "200 OK", &format!("Content-Length: {SIZE}\r\nConnection: close"));
        let _ = stream.write_all(&file()[..bytes]);
    })
}

/// The rest from where it was asked for.
fn rest() -> Answer {
    Box::new(|request, stream| {
        let from = request.from.unwrap();
        range_head(stream, from, SIZE - 1, SIZE);
        let _ = stream.write_all(&file()[from as usize..]);
    })
}

/// A range that was perhaps not asked for.
fn partial(first: u64, last: u64, total: u64) -> Answer {
    Box::new(move |_, stream| {
        range_head(stream, first, last, total);
        let _ = stream.write_all(&vec![9; (last + 1 - first) as usize]);
    })
}

fn range_head(stream: &mut TcpStream, first: u64, last: u64, total: u64) {
    let length = last + 1 - first;
    let headers = format!(
        "Content-Range: bytes {first}-{last}/{total}\r\nContent-Length: {length}\r\nConnection: close"
    );
    head(stream, "206 Partial Content", &headers);
}

fn no_content_range() -> Answer {
    Box::new(|_, stream| {
        head(stream, "206 Partial Content", "Content-Length: 4\r\nConnection: close");
        let _ = stream.write_all(b"abcd");
    })
}

fn status(line: &'static str) -> Answer {
    Box::new(move |_, stream| head(stream, line, "Content-Length: 0\r\nConnection: close"))
}
