//! Closing, by either side and by a drop.

use super::wire::BINARY;
use super::*;

#[test]
fn a_close_beside_two_senders_comes_behind_what_was_accepted() {
    for outbox in [1, 1000] {
        check(move || {
            let mut config = config();
            config.limits.outbox = outbox;
            let model = Model::open(config, 4);
            let peer = model.peer(|_| {});
            let senders = [model.sender(&[10, 11]), model.sender(&[20, 21])];
            let closer = model.spawn(|ws| ws.close());
            let sent = senders.map(join);
            let closed = join(closer).expect("the peer answers");
            let end = model.end(peer);
            assert_eq!(closed, end.closed);
            let refused = |sent: &Sent| matches!(sent.error, None | Some(Error::Closed(_)));
            assert!(sent.iter().all(refused), "{sent:?}");
            end.assert_clean(&sent);
        });
    }
}

#[test]
fn closes_of_both_sides_meet_beside_two_senders() {
    for outbox in [1, 1000] {
        check(move || {
            let mut config = config();
            config.limits.outbox = outbox;
            let model = Model::open(config, 4);
            let peer = model.peer(Peer::close);
            let senders = [model.sender(&[10, 11]), model.sender(&[20, 21])];
            let closer = model.spawn(|ws| ws.close());
            let sent = senders.map(join);
            let closed = join(closer).expect("both have said so");
            let end = model.end(peer);
            assert_eq!(closed, end.closed);
            end.assert_clean(&sent);
        });
    }
}

#[test]
fn the_peers_close_ends_senders_and_consumers() {
    check(|| {
        let model = Model::open(config(), 4);
        let peer = model.peer(|peer| {
            peer.send(BINARY, &[1]);
            peer.close();
        });
        let consumer = model.consumer();
        let senders = [model.sender(&[10, 11]), model.sender(&[20, 21])];
        let sent = senders.map(join);
        assert_eq!(join(consumer), [1]);
        model.end(peer).assert_clean(&sent);
    });
}

#[test]
fn threads_that_close_at_once_learn_the_same() {
    check(|| {
        let model = Model::open(config(), 1);
        let peer = model.peer(|peer| peer.send(BINARY, &[1]));
        let closers = [(); 2].map(|()| model.spawn(|ws| ws.close().unwrap()));
        let consumer = model.consumer();
        let sender = model.sender(&[10]);
        let [one, other] = closers.map(join);
        join(consumer);
        let sent = [join(sender)];
        let end = model.end(peer);
        assert_eq!((&one, &other), (&end.closed, &end.closed));
        end.assert_clean(&sent);
    });
}

/// All handles are dropped while the peer sends more than the queue holds.
fn drop_beside_reader(timeout: Option<Duration>, taken: usize) {
    let mut config = config();
    config.queue.messages = 1;
    config.timeouts.close = timeout;
    let Model { ws, wire, reader } = Model::open(config, 1);
    let peer = wire::peer(&wire, |peer| {
        for n in 1..=3 {
            peer.send(BINARY, &[n]);
        }
    });
    let connection = Arc::clone(ws.connection());
    let consumer = Arc::clone(&ws);
    let consumer = thread::spawn(move || {
        let take = || consumer.recv().ok().map(number);
        let all: Vec<u8> = std::iter::from_fn(take).take(taken).collect();
        assert!(all.iter().copied().eq(1..=all.len() as u8));
    });
    drop(ws);
    join(consumer);
    join(reader);
    let frames = join(peer);
    let end = connection.end().expect("the reader has ended").clone();
    assert!(frames.len() <= 1, "{frames:?}");
    if timeout.is_none() {
        assert!(end.error.is_none() && frames.len() == 1, "{end:?}");
        let sent = end.closed.sent.as_ref().map(|frame| frame.code);
        assert_eq!(sent, Some(CloseCode::GOING_AWAY));
    }
    let queue = connection.queue();
    let stats = queue.stats();
    let taken = stats.delivered + stats.dropped;
    assert_eq!(stats.received, taken + queue.len() as u64);
    assert!(timeout.is_some() || stats.received == 3);
    queue.clear();
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
}

#[test]
fn a_drop_of_all_handles_ends_a_reader_that_waits_for_room() {
    for taken in [0, 1, 2] {
        check(move || drop_beside_reader(None, taken));
    }
}

#[test]
fn after_a_drop_the_timeout_may_pass_at_any_time() {
    for taken in [0, 1] {
        check(move || drop_beside_reader(Some(LONG), taken));
    }
}

#[test]
fn a_drop_beside_a_full_socket_is_told_to_the_peer() {
    check(|| {
        let Model { ws, wire, reader } = Model::open(config(), 1);
        let peer = wire::peer(&wire, |_| {});
        let sender = ws.sender().clone();
        let sending = thread::spawn(move || sender.send(vec![10]).is_ok());
        drop(ws);
        assert!(join(sending));
        join(reader);
        let frames = join(peer);
        assert_eq!((wire::messages(&frames).len(), frames.len()), (1, 2));
    });
}
