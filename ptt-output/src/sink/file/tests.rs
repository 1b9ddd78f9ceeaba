use ptt_messages::FaultKind;
use tempfile::TempDir;

use super::*;

const LIMIT: Duration = Duration::from_millis(50);
const TAKE: TakeId = TakeId(1);

#[test]
fn append_keeps_and_overwrite_replaces() {
    let dir = TempDir::new().unwrap();
    for (mode, expected) in [(WriteMode::Append, "one\ntwo\n"), (WriteMode::Overwrite, "two\n")] {
        for sync in [false, true] {
            let path = dir.path().join(format!("{mode:?}-{sync}"));
            let mut sink = sink(&path, mode, sync);
            sink.deliver(TAKE, "one\n").unwrap();
            sink.deliver(TAKE, "two\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "nothing else is left");
}

#[test]
fn a_link_stays_a_link_and_permissions_stay_what_they_were() {
    let dir = TempDir::new().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    sink(&link, WriteMode::Overwrite, false).deliver(TAKE, "new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_removed_file_is_made_again_and_a_removed_directory_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("texts");
    let mut sink = sink(&path, WriteMode::Append, false);
    sink.deliver(TAKE, "one\n").unwrap();
    fs::remove_file(&path).unwrap();
    sink.deliver(TAKE, "two\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    dir.close().unwrap();
    let error = sink.deliver(TAKE, "three\n").unwrap_err();
    assert!(matches!(error, OutputError::NoDirectory { .. }), "{error}");
}

#[test]
fn what_cannot_be_a_file_is_said_before_the_first_text() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("no/such/texts");
    for (path, part) in [
        (missing.to_str().unwrap(), "there is no directory"),
        (dir.path().to_str().unwrap(), "is a directory"),
        ("", "is empty"),
    ] {
        let error = FileSink::open(path, WriteMode::Append, false, LIMIT).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_full_device_and_a_fifo_without_a_reader_are_faults() {
    for mode in [WriteMode::Append, WriteMode::Overwrite] {
        let full = sink(Path::new("/dev/full"), mode, false).deliver(TAKE, "x").unwrap_err();
        assert!(matches!(full, OutputError::NoSpace { .. }), "{full}");

        let dir = TempDir::new().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(PRIVATE)).unwrap();
        let unread = sink(&fifo, mode, false).deliver(TAKE, "x").unwrap_err();
        assert_eq!(unread.kind(), FaultKind::Gone, "{unread}");
    }
}

#[test]
fn a_tilde_is_the_home_directory_only_in_front_of_a_slash() {
    let home = Some(Path::new("/home/me"));
    for (given, expected) in [
        ("~/notes/a.txt", "/home/me/notes/a.txt"),
        ("~", "/home/me"),
        ("~you/a.txt", "~you/a.txt"),
        ("/tmp/~", "/tmp/~"),
    ] {
        assert_eq!(expand(given, home).unwrap(), Path::new(expected));
    }
    assert!(matches!(expand("~/a", None), Err(OutputError::NoHome)));
}

fn sink(path: &Path, mode: WriteMode, sync: bool) -> FileSink {
    FileSink::open(path.to_str().unwrap(), mode, sync, LIMIT).unwrap()
}
