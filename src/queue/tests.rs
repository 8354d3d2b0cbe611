//! Tests of the receive queue.

mod bounds;
mod load;
mod looks;
mod pieces;
mod stress;

use super::*;
use crate::message::MessageKind;
use crate::protocol::{Piece, PieceEnd, Sink};
use bytes::Bytes;
use std::thread;

fn bounded(messages: usize, bytes: usize) -> (Producer, Arc<Queue>) {
    let config = QueueConfig {
        messages,
        bytes,
        ..QueueConfig::default()
    };
    queue(&config, Exit::ReceiveCalls)
}

fn numbered(n: u32) -> Message {
    Message::from(n.to_be_bytes().as_slice())
}

fn piece(first: bool, end: PieceEnd, payload: &str) -> Piece {
    Piece {
        kind: MessageKind::Binary,
        first,
        end,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(10))
}

#[test]
fn messages_come_out_in_order_and_are_counted() {
    let (mut producer, queue) = bounded(100, 1 << 20);
    (0..3).for_each(|n| assert!(producer.push(numbered(n))));
    assert_eq!(queue.len(), 0);
    producer.deliver(Instant::now());
    producer.push(numbered(3));
    producer.deliver(Instant::now());
    assert_eq!((queue.len(), queue.bytes()), (4, 16));
    (0..4).for_each(|n| assert_eq!(queue.take(soon()), Ok(numbered(n))));
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
    assert_eq!(queue.try_take(), Err(Empty::Now));
    drop(producer);
    assert_eq!(queue.take(None), Err(Empty::ForEver));
}

#[test]
fn a_consumer_keeps_its_deadline_beside_another_that_waits_for_ever() {
    let (producer, queue) = bounded(10, 1 << 20);
    thread::scope(|scope| {
        let patient = scope.spawn(|| queue.take(None));
        let began = Instant::now();
        let deadline = Some(began + Duration::from_millis(50));
        assert_eq!(queue.take(deadline), Err(Empty::Now));
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(producer);
        assert_eq!(patient.join().unwrap(), Err(Empty::ForEver));
    });
}

#[test]
fn consumers_share_the_messages_and_all_learn_of_the_end() {
    let (mut producer, queue) = bounded(usize::MAX, usize::MAX);
    let taken: usize = thread::scope(|scope| {
        let consumers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| std::iter::from_fn(|| queue.take(soon()).ok()).count()))
            .collect();
        for n in 0..10_000 {
            producer.push(numbered(n));
            if n % 7 == 0 {
                producer.deliver(Instant::now());
            }
        }
        producer.deliver(Instant::now());
        drop(producer);
        consumers.into_iter().map(|c| c.join().unwrap()).sum()
    });
    assert_eq!(taken, 10_000);
}

#[test]
fn a_full_queue_stops_the_producer_until_it_is_low() {
    let (mut producer, queue) = bounded(8, 1 << 20);
    (0..8).for_each(|n| assert_eq!(producer.push(numbered(n)), n < 7));
    assert!(producer.must_wait());
    producer.deliver(Instant::now());
    thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            producer.wait_for_room(soon());
            producer.queued()
        });
        (0..6).for_each(|n| assert_eq!(queue.take(soon()), Ok(numbered(n))));
        assert!(waiting.join().unwrap() <= 2);
    });
}

#[test]
fn a_released_producer_does_not_wait() {
    let (mut producer, queue) = bounded(1, 1 << 20);
    producer.push(numbered(0));
    producer.deliver(Instant::now());
    thread::scope(|scope| {
        scope.spawn(|| producer.wait_for_room(None));
        queue.release();
    });
    assert!(producer.is_open() && !producer.must_wait());
}
