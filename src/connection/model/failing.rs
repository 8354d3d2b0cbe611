//! Peers that break the protocol or go away.

use super::wire::{BINARY, WRONG};
use super::*;

/// What a peer does instead of going on; it reads and answers Close all the same.
fn fail(how: fn(&mut Peer), buffer: usize) {
    let model = Model::open(config(), buffer);
    let peer = model.peer(move |peer| {
        peer.send(BINARY, &[1]);
        how(peer);
    });
    let consumer = model.consumer();
    let closer = model.spawn(|ws| ws.close());
    let sender = model.sender(&[10, 11]);
    let closed = join(closer);
    let received = join(consumer);
    let sent = [join(sender)];
    let end = model.end(peer);
    assert!(received.len() <= 1, "{received:?}");
    end.assert_kept(&sent);
    match closed {
        Ok(closed) => {
            assert_eq!(closed, end.closed);
            end.assert_clean(&sent);
        }
        Err(error) => {
            let known = end.error.as_ref().expect("the end of all is that of one");
            assert_eq!(error.kind(), known.kind());
        }
    }
}

#[test]
fn a_violation_ends_a_close_that_waits_for_the_peers() {
    for buffer in [1, 100] {
        check(move || fail(|peer| peer.send(WRONG, &[]), buffer));
    }
}

#[test]
fn a_violation_behind_the_answer_to_a_close_changes_nothing() {
    check(|| {
        fail(
            |peer| {
                peer.close();
                peer.send(WRONG, &[]);
            },
            100,
        );
    });
}

#[test]
fn an_end_without_close_ends_a_close_that_waits_for_the_peers() {
    for buffer in [1, 100] {
        check(move || fail(|peer| peer.wire.end(), buffer));
    }
}

#[test]
fn a_reset_ends_a_close_that_waits_for_the_peers() {
    for buffer in [1, 100] {
        check(move || fail(|peer| peer.wire.reset(), buffer));
    }
}

#[test]
fn a_violation_is_told_to_the_peer_beside_senders_and_a_consumer() {
    check(|| {
        let model = Model::open(config(), 4);
        let peer = model.peer(|peer| {
            peer.send(BINARY, &[1]);
            peer.send(WRONG, &[]);
        });
        let consumer = model.consumer();
        let senders = [model.sender(&[10, 11]), model.sender(&[20])];
        let sent = senders.map(join);
        assert_eq!(join(consumer), [1]);
        let end = model.end(peer);
        assert_eq!(end.sent_code(), Some(CloseCode::PROTOCOL_ERROR));
        assert!(matches!(end.error, Some(Error::Protocol(_))));
        end.assert_kept(&sent);
    });
}

#[test]
fn who_waits_for_a_pong_learns_of_the_end() {
    for how in [|peer: &mut Peer| peer.wire.end(), Peer::close] {
        check(move || {
            let model = Model::open(config(), 1);
            let peer = model.peer(how);
            let pingers = [(); 2].map(|()| model.spawn(|ws| ws.ping_wait(LONG).is_err()));
            assert_eq!(pingers.map(join), [true; 2]);
            model.end(peer).assert_kept(&[]);
        });
    }
}
