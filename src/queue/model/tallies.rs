//! Models of what is counted: room in bytes, and the end behind the last message.

use super::*;

/// Two bytes of messages may wait.
fn narrow() -> (Producer, Arc<Queue>) {
    let config = QueueConfig {
        bytes: 2,
        ..QueueConfig::default()
    };
    queue(&config, Exit::ReceiveCalls)
}

/// Everything that was put is taken, and counted so.
fn assert_empty(queue: &Queue) {
    let stats = queue.stats();
    let taken = (stats.delivered, stats.delivered_bytes);
    assert_eq!((stats.received, stats.received_bytes), taken);
    assert_eq!((queue.items(), queue.bytes()), (0, 0));
}

#[test]
fn a_consumer_makes_room_in_bytes_for_a_producer() {
    check(|| {
        let (mut producer, queue) = narrow();
        let consumers = [spawn(&queue, take_all), spawn(&queue, take_all)];
        for burst in [vec![0, 1, 2], vec![3]] {
            send(&mut producer, burst);
            assert!(queue.bytes() <= 3);
        }
        drop(producer);
        let mut all = consumers.map(join).concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
        assert_empty(&queue);
    });
}

#[test]
fn release_lets_a_producer_go_that_waits_for_room_in_bytes_beside_a_consumer() {
    check(|| {
        let (mut producer, queue) = narrow();
        let releaser = spawn(&queue, Queue::release);
        let consumer = spawn(&queue, |queue| [take_one(queue), take_one(queue)]);
        send(&mut producer, [0, 1, 2, 3, 4]);
        drop(producer);
        join(releaser);
        assert_eq!(join(consumer), [0, 1]);
        let rest = take_all(&queue);
        assert!(rest.is_sorted_by(|a, b| a < b));
        // What did not fit then is dropped, and counted.
        let stats = queue.stats();
        assert_eq!(stats.received, 5);
        assert_eq!(stats.delivered + stats.dropped, 5);
        assert_eq!(rest.len() as u64 + 2, stats.delivered);
        assert_eq!((queue.items(), queue.bytes()), (0, 0));
    });
}

#[test]
fn calls_with_a_deadline_and_without_a_wait_learn_of_the_end_behind_the_last_message() {
    check(|| {
        let (mut producer, queue) = small(8);
        let waiting = spawn(&queue, |queue| {
            let deadline = Instant::now() + Duration::from_secs(3600);
            let take = || queue.take(Some(deadline)).ok().map(number);
            std::iter::from_fn(take).collect::<Vec<_>>()
        });
        let trying = spawn(&queue, |queue| {
            let mut all = Vec::new();
            loop {
                match queue.try_take() {
                    Ok(message) => all.push(number(message)),
                    Err(Empty::Now) => thread::yield_now(),
                    Err(Empty::ForEver) => return all,
                }
            }
        });
        send(&mut producer, [0]);
        send(&mut producer, [1, 2]);
        drop(producer);
        let mut all = [waiting, trying].map(join).concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
        assert_empty(&queue);
    });
}
