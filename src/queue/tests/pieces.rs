//! Messages in pieces.

use super::*;

fn text(text: &str) -> Message {
    Message::from(text.as_bytes())
}

fn push(producer: &mut Producer, first: bool, end: PieceEnd, payload: &str) {
    producer.push_piece(piece(first, end, payload));
    producer.deliver(Instant::now());
}

fn now() -> Option<Instant> {
    Some(Instant::now())
}

/// Claims the message that is next, and returns its begin.
fn claim(queue: &Queue) -> Bytes {
    match queue.begin_pieces(soon()) {
        Ok(Begun::InPieces {
            next: Next::Piece(piece),
            ..
        }) => piece,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_timeout_in_the_middle_of_a_message_keeps_its_begin() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    push(&mut producer, true, PieceEnd::More, "a");
    assert_eq!(queue.take(now()), Err(Empty::Now));
    assert_eq!(queue.try_take_many(9), Err(Empty::Now));
    push(&mut producer, false, PieceEnd::More, "b");
    assert_eq!(queue.take_latest(now()), Err(Empty::Now));
    push(&mut producer, false, PieceEnd::Last, "c");
    assert_eq!(queue.take(now()), Ok(text("abc")));
    assert_eq!((queue.len(), queue.bytes(), queue.items()), (0, 0, 0));
}

#[test]
fn a_message_that_receive_calls_began_can_be_claimed() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    push(&mut producer, true, PieceEnd::More, "a");
    push(&mut producer, false, PieceEnd::More, "b");
    assert_eq!(queue.try_take(), Err(Empty::Now));
    assert_eq!(claim(&queue), "ab");
    assert!(matches!(queue.next_piece(now()), Err(Empty::Now)));
    push(&mut producer, false, PieceEnd::Last, "c");
    assert!(matches!(queue.next_piece(now()), Ok(Next::Last(c)) if c == "c"));
}

#[test]
fn clear_in_the_middle_of_a_message_drops_all_of_it() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    producer.push(text("x"));
    push(&mut producer, true, PieceEnd::More, "aa");
    assert_eq!(queue.clear(), 2);
    push(&mut producer, false, PieceEnd::More, "bb");
    push(&mut producer, false, PieceEnd::Last, "cc");
    producer.push(text("y"));
    producer.deliver(Instant::now());
    assert_eq!(queue.try_take(), Ok(text("y")));
    let stats = queue.stats();
    assert_eq!(
        (stats.received, stats.delivered, stats.dropped),
        (3, 1, 2),
        "{stats:?}"
    );
    assert_eq!((stats.delivered_bytes, stats.dropped_bytes), (1, 7));
}

#[test]
fn a_message_that_breaks_off_with_the_connection_counts_as_dropped() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    push(&mut producer, true, PieceEnd::More, "aa");
    assert_eq!(queue.try_take(), Err(Empty::Now));
    drop(producer);
    assert_eq!(queue.try_take(), Err(Empty::ForEver));
    assert_eq!(queue.take(None), Err(Empty::ForEver));
    let stats = queue.stats();
    assert_eq!((stats.delivered, stats.dropped), (0, 1));
    assert_eq!((stats.delivered_bytes, stats.dropped_bytes), (0, 2));
}

#[test]
fn a_claimed_message_that_breaks_off_tells_the_claimant_and_then_all() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    push(&mut producer, true, PieceEnd::More, "aa");
    assert_eq!(claim(&queue), "aa");
    thread::scope(|scope| {
        let other = scope.spawn(|| queue.begin_pieces(None).map(|_| ()));
        drop(producer);
        assert!(matches!(queue.next_piece(None), Err(Empty::ForEver)));
        queue.abandon_pieces();
        assert_eq!(other.join().unwrap(), Err(Empty::ForEver));
    });
}

#[test]
fn consumers_that_wait_behind_a_claim_are_woken_at_its_end() {
    for abandoned in [false, true] {
        let (mut producer, queue) = bounded(100, 1 << 20);
        push(&mut producer, true, PieceEnd::More, "a");
        assert_eq!(claim(&queue), "a");
        thread::scope(|scope| {
            let whole = scope.spawn(|| queue.take(soon()));
            let begun = scope.spawn(|| match queue.begin_pieces(soon()) {
                Ok(Begun::Whole(message)) => message,
                other => panic!("{other:?}"),
            });
            push(&mut producer, false, PieceEnd::Last, "b");
            producer.push(text("1"));
            producer.push(text("2"));
            producer.deliver(Instant::now());
            while queue.waiting.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            assert!(!whole.is_finished() && !begun.is_finished());
            match abandoned {
                true => queue.abandon_pieces(),
                false => assert!(matches!(queue.next_piece(None), Ok(Next::Last(_)))),
            }
            let mut got = [whole.join().unwrap().unwrap(), begun.join().unwrap()];
            got.sort_by_key(|message| message.clone().into_bytes());
            assert_eq!(got, [text("1"), text("2")]);
        });
        assert_eq!((queue.items(), queue.bytes()), (0, 0));
    }
}

#[test]
fn others_find_nothing_while_a_message_is_claimed() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    push(&mut producer, true, PieceEnd::More, "a");
    push(&mut producer, false, PieceEnd::Last, "b");
    producer.push(text("c"));
    producer.deliver(Instant::now());
    assert_eq!(claim(&queue), "a");
    assert_eq!(queue.try_take(), Err(Empty::Now));
    assert_eq!(queue.take(now()), Err(Empty::Now));
    assert!(matches!(queue.begin_pieces(now()), Err(Empty::Now)));
    assert_eq!(queue.clear(), 0);
    assert!(matches!(queue.next_piece(None), Ok(Next::Last(b)) if b == "b"));
    assert_eq!(queue.try_take(), Ok(text("c")));
}

#[test]
fn a_released_queue_that_is_full_tears_a_message_and_counts_the_rest() {
    let (mut producer, queue) = bounded(2, 1 << 20);
    push(&mut producer, true, PieceEnd::More, "aa");
    push(&mut producer, false, PieceEnd::More, "bb");
    queue.release();
    push(&mut producer, false, PieceEnd::More, "cc");
    push(&mut producer, false, PieceEnd::Last, "dd");
    // One that finds no room from its begin.
    push(&mut producer, true, PieceEnd::More, "ee");
    push(&mut producer, false, PieceEnd::Last, "ff");
    assert!(queue.items() <= 3);
    assert_eq!(claim(&queue), "aa");
    assert!(matches!(queue.next_piece(None), Ok(Next::Piece(b)) if b == "bb"));
    assert!(matches!(queue.next_piece(None), Ok(Next::Torn)));
    // There is room again.
    push(&mut producer, true, PieceEnd::Last, "gg");
    assert_eq!(queue.try_take(), Ok(text("gg")));
    let stats = queue.stats();
    assert_eq!((stats.received, stats.received_bytes), (3, 14));
    assert_eq!((stats.delivered, stats.dropped), (2, 1));
    assert_eq!((stats.delivered_bytes, stats.dropped_bytes), (6, 8));
}

#[test]
fn a_torn_message_is_nothing_to_calls_that_want_it_whole() {
    let (mut producer, queue) = bounded(1, 1 << 20);
    push(&mut producer, true, PieceEnd::More, "aa");
    queue.release();
    push(&mut producer, false, PieceEnd::Last, "bb");
    drop(producer);
    assert_eq!(queue.take(None), Err(Empty::ForEver));
    let stats = queue.stats();
    assert_eq!((stats.received, stats.delivered, stats.dropped), (1, 0, 1));
    assert_eq!((stats.delivered_bytes, stats.dropped_bytes), (0, 4));
}
