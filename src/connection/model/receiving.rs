//! Consumers that read themselves, beside senders and the end.

use super::wire::BINARY;
use super::*;
use crate::error::{RecvTimeoutError, TryRecvError};
use crate::queue::Summons;

/// A connection whose consumers read.
fn direct(buffer: usize) -> (Arc<WebSocket>, Arc<Wire>) {
    let mut config = config();
    config.direct_read = true;
    let wire = Wire::new(buffer);
    let (ws, reader) = WebSocket::new(&mut opened(config, &wire), heads(), None);
    reader.start(ws.sender()).unwrap();
    (Arc::new(ws), wire)
}

fn spawn<T: Send + 'static>(
    ws: &Arc<WebSocket>,
    f: impl FnOnce(&WebSocket) -> T + Send + 'static,
) -> JoinHandle<T> {
    let ws = Arc::clone(ws);
    thread::spawn(move || f(&ws))
}

/// Without waiting, until the end.
fn try_all(ws: &WebSocket) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match ws.try_recv() {
            Ok(message) => all.push(number(message)),
            Err(TryRecvError::Empty) => thread::yield_now(),
            Err(TryRecvError::Closed(_)) => return all,
        }
    }
}

fn wait_for_all(ws: &WebSocket) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match ws.recv_timeout(LONG) {
            Ok(message) => all.push(number(message)),
            Err(RecvTimeoutError::Closed(_)) => return all,
            Err(RecvTimeoutError::Timeout) => unreachable!("the end comes first"),
        }
    }
}

/// Two consumers share what comes before the peer goes.
fn share(direct_read: bool, consumers: [fn(&WebSocket) -> Vec<u8>; 2], end: fn(&mut Peer)) {
    let (ws, wire, reader) = match direct_read {
        true => {
            let (ws, wire) = direct(100);
            (ws, wire, None)
        }
        false => {
            let model = Model::open(config(), 100);
            (model.ws, model.wire, Some(model.reader))
        }
    };
    let peer = wire::peer(&wire, move |peer| {
        peer.send(BINARY, &[1]);
        peer.send(BINARY, &[2]);
        end(peer);
    });
    let mut all = consumers
        .map(|consumer| spawn(&ws, consumer))
        .map(join)
        .concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2]);
    assert!(ws.closed().is_some());
    reader.into_iter().for_each(join);
    join(peer);
    let stats = ws.queue().stats();
    assert_eq!((stats.received, stats.delivered, ws.len()), (2, 2, 0));
}

#[test]
fn calls_that_wait_and_that_do_not_learn_of_a_disconnect_behind_the_last_message() {
    for direct_read in [false, true] {
        for end in [|peer: &mut Peer| peer.wire.end(), Peer::close] {
            check(move || share(direct_read, [try_all, wait_for_all], end));
        }
    }
}

#[test]
fn consumers_that_take_turns_at_reading_learn_of_a_disconnect() {
    check(|| share(true, [wait_for_all, receive], |peer| peer.wire.end()));
    check(|| share(true, [try_all, try_all], |peer| peer.wire.end()));
}

/// Answers to two messages that come at once leave without a Close that would take them along.
fn answer(ws: &Arc<WebSocket>, wire: &Arc<Wire>, other: bool) {
    let peer = wire::peer(wire, |peer| {
        let both = [wire::frame(BINARY, &[1]), wire::frame(BINARY, &[2])];
        peer.wire.send(&both.concat());
        peer.wait_for(BINARY, &[12]);
        peer.close();
    });
    let sender = other.then(|| spawn(ws, |ws| send(ws, &[20, 21])));
    let answering = spawn(ws, |ws| {
        while let Ok(message) = ws.recv() {
            let answer = vec![10 + number(message)];
            ws.send(answer).unwrap();
        }
    });
    join(answering);
    sender.into_iter().for_each(|sender| drop(join(sender)));
    let mut messages = wire::messages(&join(peer));
    messages.retain(|n| *n < 20);
    assert_eq!(messages, [11, 12]);
}

#[test]
fn deferred_answers_leave_whether_the_thread_or_the_consumer_reads() {
    for other in [false, true] {
        check(move || {
            let (ws, wire) = direct(4);
            answer(&ws, &wire, other);
        });
        check(move || {
            let model = Model::open(config(), 4);
            answer(&model.ws, &model.wire, other);
            join(model.reader);
        });
    }
}

#[test]
fn a_close_beside_a_consumer_that_reads_gets_its_answer() {
    for timeout in [false, true] {
        check(move || {
            let (ws, wire) = direct(1);
            let peer = wire::peer(&wire, |peer| peer.send(BINARY, &[1]));
            let consumer = spawn(&ws, if timeout { wait_for_all } else { receive });
            let sender = spawn(&ws, |ws| send(ws, &[10]));
            ws.close().unwrap();
            assert!(join(consumer).len() <= 1);
            let accepted = join(sender).accepted;
            assert_eq!(wire::messages(&join(peer)), accepted);
        });
    }
}

#[test]
fn a_sender_that_waits_for_room_gets_a_thread_that_reads() {
    check(|| {
        let (ws, wire) = direct(1);
        // It reads only after it was read from, as two that both write would.
        let peer = wire::peer(&wire, |peer| {
            peer.send(BINARY, &[1]);
            while !peer.wire.is_read() {
                thread::yield_now();
            }
        });
        let sent = send(&ws, &[10, 11]);
        assert!(sent.error.is_none());
        ws.close().unwrap();
        assert_eq!(wire::messages(&join(peer)), [10, 11]);
    });
}

#[test]
fn a_drop_of_all_handles_ends_a_lease() {
    check(|| {
        let (ws, wire) = direct(1);
        let peer = wire::peer(&wire, |peer| peer.send(BINARY, &[1]));
        let connection = Arc::clone(ws.connection());
        let consumer = spawn(&ws, |ws| drop(ws.try_recv()));
        drop(ws);
        join(consumer);
        let frames = join(peer);
        assert!(frames.len() == 1 && frames[0].is_close());
        assert!(connection.wait_for_end(None));
        connection.queue().summon(Summons::Alone);
        assert!(connection.end().is_some_and(|end| end.error.is_none()));
    });
}
