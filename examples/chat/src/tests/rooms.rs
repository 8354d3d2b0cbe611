//! What people in rooms see, on one server and on two that share a broker.

use super::*;
use crate::broker::Beat;
use crate::protocol::Id;
use crossbeam_channel::bounded;
use std::collections::BTreeMap;

#[test]
fn what_is_said_goes_to_everybody_in_the_room_and_to_nobody_else() {
    let server = Server::alone();
    let (ann, bo, eve) = (
        server.join("tea", "Ann"),
        server.join("tea", "Bo"),
        server.join("rum", "Eve"),
    );
    ann.say("1", "hello");
    let heard = bo.hear("said");
    assert_eq!(
        (&heard["from"], &heard["text"], &heard["nonce"]),
        (&json!("Ann"), &json!("hello"), &json!("1"))
    );
    assert_eq!(ann.hear("said"), heard);
    eve.say("1", "alone");
    assert_eq!(eve.hear("said")["text"], "alone");
}

#[test]
fn what_is_said_again_with_the_same_nonce_is_shown_once() {
    let server = Server::alone();
    let ann = server.join("tea", "Ann");
    for (nonce, text) in [
        ("1", "one"),
        ("1", "one"),
        ("2", "two"),
        ("1", "one"),
        ("3", "three"),
    ] {
        ann.say(nonce, text);
    }
    assert_eq!(texts(&ann.said(3)), ["one", "two", "three"]);
}

#[test]
fn two_servers_show_the_same_in_the_same_order() {
    let exchange = Choice::InProcess(Arc::default());
    let servers = [
        Server::start(&exchange, None),
        Server::start(&exchange, None),
    ];
    same_order(&servers);
}

/// Four browsers on each server talk at once.
pub(super) fn same_order(servers: &[Server]) {
    const EACH: usize = 25;
    let talk = |(n, browser): (usize, Browser)| {
        thread::spawn(move || {
            for text in own_texts(n, EACH) {
                browser.say(&text, &text);
            }
            browser
        })
    };
    let joined = servers.iter().cycle().take(4 * servers.len());
    let joined: Vec<_> = joined
        .enumerate()
        .map(|(n, server)| server.join("tea", &format!("P{n}")))
        .collect();
    let talking: Vec<_> = joined.into_iter().enumerate().map(talk).collect();
    let browsers = talking.into_iter().map(|thread| thread.join().unwrap());
    let browsers: Vec<_> = browsers.collect();
    let all = EACH * browsers.len();
    let first = browsers[0].said(all);
    for (n, browser) in browsers.iter().enumerate() {
        if n > 0 {
            assert_eq!(browser.said(all), first);
        }
        let own = first.iter().filter(|said| said["from"] == format!("P{n}"));
        let own: Vec<_> = own.cloned().collect();
        assert_eq!(texts(&own), own_texts(n, EACH));
    }
}

fn own_texts(person: usize, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{person}-{n}")).collect()
}

#[test]
fn who_is_here_is_told_over_all_servers() {
    let exchange = Choice::InProcess(Arc::default());
    let (one, mut two) = (
        Server::start(&exchange, None),
        Server::start(&exchange, None),
    );
    let ann = one.join("tea", "Ann");
    ann.sees(&["Ann"]);
    let bo = two.join("tea", "Bo");
    bo.sees(&["Ann", "Bo"]);
    ann.sees(&["Ann", "Bo"]);
    let also_bo = one.join("tea", "Bo");
    also_bo.sees(&["Ann", "Bo"]);
    drop(also_bo);
    two.stop();
    ann.sees(&["Ann"]);
}

#[test]
fn people_of_a_server_that_has_died_are_gone() {
    let exchange = Arc::default();
    let server = Server::start(&Choice::InProcess(Arc::clone(&exchange)), None);
    let ann = server.join("tea", "Ann");
    let (sender, _deliveries) = bounded(100);
    let mortal = Choice::InProcess(exchange)
        .connect(Id::default(), sender)
        .unwrap();
    mortal.beat(Beat {
        server: "mortal".into(),
        rooms: BTreeMap::from([("tea".into(), vec!["Bo".into()])]),
    });
    ann.sees(&["Ann", "Bo"]);
    ann.sees(&["Ann"]);
}

#[test]
fn who_joins_gets_the_last_fifty() {
    let server = Server::alone();
    let ann = server.join("tea", "Ann");
    for n in 0..60 {
        ann.say(&n.to_string(), &n.to_string());
    }
    let all = ann.said(60);
    assert_eq!(server.join("tea", "Bo").said(50), all[10..]);
}

#[test]
fn who_comes_back_gets_what_came_after() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.db");
    let choice = || Choice::InProcess(Arc::default());
    let mut server = Server::start(&choice(), Some(&file));
    let ann = server.join("tea", "Ann");
    for n in 0..70 {
        ann.say(&n.to_string(), &n.to_string());
    }
    let all = ann.said(70);
    server.stop();

    let server = Server::start(&choice(), Some(&file));
    let after = all[4]["id"].as_str().unwrap();
    let bo = server.join_after("tea", "Bo", after);
    assert_eq!(bo.said(65), all[5..]);
    let newest = all[69]["id"].as_str().unwrap();
    let eve = server.join_after("tea", "Eve", newest);
    bo.say("new", "new");
    // What was said before is known after the restart.
    bo.say("7", "7");
    bo.say("newer", "newer");
    assert_eq!(texts(&bo.said(2)), ["new", "newer"]);
    assert_eq!(texts(&eve.said(2)), ["new", "newer"]);
}

#[test]
fn an_unknown_place_to_go_on_from_is_a_gap() {
    let server = Server::alone();
    let ann = server.join("tea", "Ann");
    ann.say("1", "one");
    let id = ann.hear("said")["id"].as_str().unwrap().to_owned();
    for after in ["1-1", "nonsense", "99999999999999-0", ""] {
        let bo = server.join_after("tea", "Bo", after);
        bo.hear("gap");
        assert_eq!(texts(&bo.said(1)), ["one"], "{after}");
    }
    // Another room's is unknown, too.
    server.join_after("rum", "Bo", &id).hear("gap");
}

#[test]
fn who_did_not_learn_that_a_message_was_accepted_learns_it_by_saying_it_again() {
    let server = Server::alone();
    let ann = server.join("tea", "Ann");
    for n in 0..60 {
        ann.say(&n.to_string(), &n.to_string());
    }
    let all = ann.said(60);
    // She comes back, and the first is no longer among what she is sent.
    let ann = server.join_after("tea", "Ann", "1-1");
    assert_eq!(ann.said(50), all[10..]);
    ann.say("0", "0");
    assert_eq!(ann.hear("said"), all[0]);
}
