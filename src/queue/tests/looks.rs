//! Looking into the queue, and what it says about itself.

use super::*;

fn view(queue: &Arc<Queue>) -> QueueView {
    QueueView::new(Arc::clone(queue))
}

/// Delivers each of the batches by itself.
fn deliver(producer: &mut Producer, batches: &[&[u32]]) {
    for batch in batches {
        batch.iter().for_each(|n| {
            producer.push(numbered(*n));
        });
        producer.deliver(Instant::now());
    }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Message> {
    range.map(numbered).collect()
}

#[test]
fn looks_move_batches_aside_and_change_nothing_for_who_takes() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    let view = view(&queue);
    deliver(&mut producer, &[&[0, 1], &[2], &[3, 4, 5], &[6]]);
    assert_eq!(queue.take(soon()), Ok(numbered(0)));
    assert_eq!(view.peek_n(3), numbers(1..4));
    assert_eq!((view.len(), view.bytes()), (6, 24));
    assert_eq!(view.snapshot(), numbers(1..7));
    deliver(&mut producer, &[&[7, 8]]);
    assert_eq!(view.peek(), Some(numbered(1)));
    assert_eq!(view.peek_n(0), []);
    assert_eq!(view.peek_n(99), numbers(1..9));
    assert_eq!((view.len(), view.bytes()), (8, 32));
    assert_eq!(queue.try_take_many(4), Ok(numbers(1..5)));
    assert_eq!(view.snapshot(), numbers(5..9));
    drop(producer);
    assert_eq!(queue.take_many(99, soon()), Ok(numbers(5..9)));
    assert_eq!((view.peek(), view.len()), (None, 0));
    assert_eq!(queue.try_take(), Err(Empty::ForEver));
}

#[test]
fn a_look_finds_the_message_behind_one_in_pieces() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    let view = view(&queue);
    for end in [PieceEnd::More, PieceEnd::Last] {
        producer.push_piece(piece(end == PieceEnd::More, end, "piece"));
        producer.deliver(Instant::now());
    }
    deliver(&mut producer, &[&[1], &[2]]);
    assert_eq!(view.peek(), Some(numbered(1)));
    assert_eq!(view.snapshot(), numbers(1..3));
    assert_eq!((view.len(), view.bytes()), (3, 18));
    assert_eq!(queue.take(soon()), Ok(Message::from(&b"piecepiece"[..])));
    assert_eq!(queue.take(soon()), Ok(numbered(1)));
}

#[test]
fn the_age_is_that_of_the_next_message() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    let view = view(&queue);
    assert_eq!(view.oldest_age(), None);
    let first = Instant::now() - Duration::from_secs(3);
    let second = first + Duration::from_secs(1);
    for (n, came) in [(0, first), (1, second), (2, Instant::now())] {
        producer.push(numbered(n));
        producer.deliver(came);
    }
    for came in [first, second] {
        let least = came.elapsed();
        let age = view.oldest_age().unwrap();
        assert!(least <= age && age <= came.elapsed());
        view.snapshot();
        assert!(view.oldest_age() >= Some(age));
        queue.try_take().unwrap();
    }
    queue.try_take().unwrap();
    assert_eq!(view.oldest_age(), None);
}

#[test]
fn high_water_is_the_most_since_it_was_reset() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    let view = view(&queue);
    let opened = view.high_water().since;
    deliver(&mut producer, &[&[0, 1, 2], &[3]]);
    assert_eq!(queue.try_take_many(3).unwrap().len(), 3);
    deliver(&mut producer, &[&[4]]);
    let high = view.high_water();
    assert_eq!((high.messages, high.bytes, high.since), (4, 16, opened));
    view.reset_high_water();
    let high = view.high_water();
    assert_eq!((high.messages, high.bytes), (2, 8));
    assert!(high.since > opened);
    assert_eq!(queue.try_take_many(9).unwrap().len(), 2);
    deliver(&mut producer, &[&[5]]);
    assert_eq!(view.high_water().messages, 2);
}

#[test]
fn what_is_received_was_delivered_or_dropped_or_waits() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    deliver(&mut producer, &[&[0, 1, 2], &[3, 4]]);
    assert_eq!(queue.take(soon()), Ok(numbered(0)));
    assert_eq!(queue.take_latest(None), Ok(numbered(4)));
    deliver(&mut producer, &[&[5, 6]]);
    assert_eq!(queue.clear(), 2);
    assert_eq!(queue.clear(), 0);
    deliver(&mut producer, &[&[7]]);
    let stats = view(&queue).stats();
    assert_eq!((stats.received, stats.received_bytes), (8, 32));
    assert_eq!((stats.delivered, stats.delivered_bytes), (2, 8));
    assert_eq!((stats.dropped, stats.dropped_bytes), (5, 20));
    assert_eq!(queue.len(), 1);
}

#[test]
fn the_latest_is_waited_for_if_there_is_none() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    thread::scope(|scope| {
        let latest = scope.spawn(|| queue.take_latest(soon()));
        deliver(&mut producer, &[&[1]]);
        assert_eq!(latest.join().unwrap(), Ok(numbered(1)));
    });
    drop(producer);
    assert_eq!(queue.take_latest(None), Err(Empty::ForEver));
}

#[test]
fn the_time_of_a_pause_is_counted_while_it_goes_on() {
    let (producer, queue) = bounded(1, 1 << 20);
    let view = view(&queue);
    assert_eq!(view.stats().paused, Duration::ZERO);
    producer.begin_pause();
    producer.begin_pause();
    thread::sleep(Duration::from_millis(2));
    let so_far = view.stats().paused;
    assert!(so_far >= Duration::from_millis(2));
    producer.end_pause();
    let all = view.stats().paused;
    producer.end_pause();
    assert!(all >= so_far && view.stats().paused == all);
}
