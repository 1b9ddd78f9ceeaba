//! The thread's insides on a real X server: the harder cases of other clients. What a user sees of it is in the integration
//! tests.

mod rig;

use std::time::Instant;

use x11rb::protocol::Event;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};

use super::content::{Content, Format};
use super::owner::{Held, is_before};
use super::save::Saved;
use super::*;
use rig::{Has, How, LONG, Server, atom, await_event, hold, take, window};

/// A server, or the end of the test with a line that says why.
macro_rules! server {
    ($what:literal) => {
        match Server::start($what) {
            Some(server) => server,
            None => return,
        }
    };
}

fn owner(server: &Server) -> Owner {
    Owner::new(open(&server.display).unwrap()).unwrap()
}

/// Different bytes everywhere.
fn bytes(seed: u32, length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|n| n.wrapping_mul(seed).to_le_bytes()).take(length).collect()
}

/// What of these formats is kept, by its name, and how many are missing.
fn saved(server: &Server, formats: Vec<Has>) -> (Vec<(&'static str, Vec<u8>)>, usize) {
    let names: Vec<&str> = formats.iter().map(|Has(name, _, _)| *name).collect();
    hold(server, formats);
    let mut owner = owner(server);
    let Saved { content, missing } = owner.save(owner.atoms.CLIPBOARD).unwrap();
    let known: Vec<_> = names.into_iter().map(|name| (atom(&owner.conn, name), name)).collect();
    let name = |format: &Format| known.iter().find(|(atom, _)| *atom == format.target).unwrap().1;
    let kept = content.unwrap_or_default().formats.into_iter();
    (kept.map(|format| (name(&format), format.bytes)).collect(), missing)
}

#[test]
fn what_comes_in_pieces_is_whole_also_after_one_that_was_too_large() {
    let server = server!("a clipboard in pieces");
    let (large, picture, html) = (bytes(3, 5 << 20), bytes(5, 600_001), b"<b>old</b>".to_vec());
    let formats = vec![
        Has("image/x-large", large, How::Pieces(400_000)),
        Has("image/x-test", picture.clone(), How::Pieces(70_000)),
        Has("image/x-empty", Vec::new(), How::Pieces(100)),
        Has("text/html", html.clone(), How::Whole),
    ];
    let (kept, missing) = saved(&server, formats);
    let names: Vec<&str> = kept.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["image/x-test", "image/x-empty", "text/html"]);
    assert!(kept[0].1 == picture, "the bytes of another format");
    assert_eq!((&kept[1].1, &kept[2].1, missing), (&Vec::new(), &html, 1));
}

#[test]
fn what_an_owner_makes_a_mess_of_is_missing_and_the_rest_is_kept() {
    let server = server!("a clipboard of a hostile owner");
    let text = b"old".to_vec();
    let formats = vec![
        Has("image/x-mixed", bytes(3, 333), How::Mixed(100)),
        Has("image/x-absent", Vec::new(), How::Not),
        Has("UTF8_STRING", text.clone(), How::Whole),
    ];
    assert_eq!(saved(&server, formats), (vec![("UTF8_STRING", text)], 2));
}

#[test]
fn an_owner_that_comes_to_no_end_holds_nobody_up() {
    let server = server!("a clipboard in very many pieces");
    let began = Instant::now();
    let formats = vec![
        Has("image/x-slow", bytes(3, 1_000_000), How::Pieces(1)),
        Has("text/html", b"<b>old</b>".to_vec(), How::Whole),
    ];
    assert_eq!(saved(&server, formats), (Vec::new(), 2));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_clipboard_that_nobody_owns_lacks_nothing() {
    let server = server!("an empty clipboard");
    let mut owner = owner(&server);
    let Saved { content, missing } = owner.save(owner.atoms.CLIPBOARD).unwrap();
    assert_eq!((content, missing), (None, 0));
    assert_eq!(saved(&server, Vec::new()), (Vec::new(), 0), "an owner of nothing");
}

#[test]
fn who_asks_while_the_old_content_is_given_back_is_answered() {
    let server = server!("a question at the wrong moment");
    let mut owner = owner(&server);
    let since = owner.now(Instant::now() + LONG).unwrap();
    let content = |owner: &Owner, text| Content::text(&owner.atoms, text, false);
    let (new, old) = (content(&owner, "new"), content(&owner, "old"));
    assert!(owner.own(0, Held { content: new, since, before: Some(Some(old)) }).unwrap());

    let asking = server.connect();
    let (asker, text, selection) = (window(&asking), owner.atoms.UTF8_STRING, owner.atoms.CLIPBOARD);
    asking.get_input_focus().unwrap().reply().unwrap();
    // On the owner's own wire and not sent yet, so that it goes out with what gives back: the question is there before
    // that is answered.
    owner.conn.convert_selection(asker, selection, text, text, since).unwrap();
    owner.due = Some(Instant::now());
    let (orders, inbox) = channel::<Order>();
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap());
    let woken = Arc::clone(&wake);
    let running = thread::spawn(move || owner.run(&inbox, &woken).unwrap());
    let property = await_event(&asking, |event| {
        let Event::SelectionNotify(answer) = event else { return None };
        Some(answer.property)
    });
    let got = asking.get_property(false, asker, property, AtomEnum::ANY, 0, 9).unwrap().reply().unwrap();
    assert_eq!(got.value, b"old");
    drop(orders);
    rustix::io::write(&wake, &1_u64.to_ne_bytes()).unwrap();
    running.join().unwrap();
}

#[test]
fn a_selection_that_somebody_took_later_is_not_ours() {
    let server = server!("a selection that is taken at the same moment");
    let mut owner = owner(&server);
    let since = owner.now(Instant::now() + LONG).unwrap();
    // They take it when the server's clock has moved on.
    while !is_before(since, owner.now(Instant::now() + LONG).unwrap()) {}
    let (other, primary) = (server.connect(), AtomEnum::PRIMARY.into());
    let theirs = window(&other);
    take(&other, theirs, primary);

    let content = |text| Content::text(&owner.atoms, text, false);
    let (text, old, selected) = (content("text"), content("old"), content("selected"));
    assert!(!owner.lend(&text, vec![Some(old.clone()), Some(selected)], since).unwrap());
    let owns = |selection| other.get_selection_owner(selection).unwrap().reply().unwrap().owner;
    assert_eq!(owns(primary), theirs);
    let clipboard = owner.atoms.CLIPBOARD;
    assert_eq!(owns(clipboard), owner.window);
    let held = owner.selections[0].held.as_ref().unwrap();
    assert!(held.content == old && held.before.is_none(), "it is not lent any more");

    take(&other, theirs, clipboard);
    assert!(!owner.own(0, Held { content: text, since, before: None }).unwrap());
    assert_eq!(owns(clipboard), theirs);

    let told = |ours: bool| {
        let (tell, told) = channel();
        tell.send(ours).unwrap();
        is_ours(&told)
    };
    assert!(told(true).is_ok());
    assert!(matches!(told(false), Err(OutputError::ClipboardBusy { .. })));
}

#[test]
fn the_servers_time_begins_again_and_its_order_stays() {
    for (time, other, before) in [
        (1, 2, true),
        (2, 2, false),
        (3, 2, false),
        (u32::MAX - 5, 5, true),
        (5, u32::MAX - 5, false),
        (0, u32::MAX, false),
    ] {
        assert_eq!(is_before(time, other), before, "{time} {other}");
    }
}
