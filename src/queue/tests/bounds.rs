//! The bounds, what happens at them, and their change.

use super::*;
use crate::close::CloseCode;
use crate::error::Misuse;
use std::task::Waker;

fn with(messages: usize, overflow: Overflow) -> QueueConfig {
    QueueConfig {
        messages,
        overflow,
        ..QueueConfig::default()
    }
}

/// What is left of ten messages, and which were dropped.
fn left_of_ten(overflow: Overflow, deliver_each: bool) -> Vec<Message> {
    let (mut producer, queue) = queue(&with(4, overflow), Exit::ReceiveCalls);
    for n in 0..10 {
        producer.push(numbered(n));
        assert!(queue.items() + producer.batch_len() <= 5);
        assert!(!producer.must_wait());
        if deliver_each {
            producer.deliver(Instant::now());
        }
    }
    producer.deliver(Instant::now());
    let left = queue.try_take_many(99).unwrap();
    let stats = queue.stats();
    assert_eq!((stats.received, stats.delivered), (10, left.len() as u64));
    assert_eq!(stats.dropped, 10 - left.len() as u64);
    left
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Message> {
    range.map(numbered).collect()
}

#[test]
fn each_policy_drops_what_it_says() {
    for deliver_each in [false, true] {
        let left = |overflow| left_of_ten(overflow, deliver_each);
        assert_eq!(left(Overflow::DropOldest), numbers(6..10));
        assert_eq!(left(Overflow::DropNewest), numbers(0..4));
        assert_eq!(left(Overflow::KeepLatest), numbers(8..10));
        let close = Overflow::Close(CloseCode::POLICY_VIOLATION);
        assert_eq!(left(close), numbers(0..4));
    }
}

#[test]
fn a_policy_heeds_the_bound_in_bytes() {
    let config = QueueConfig {
        bytes: 10,
        ..with(100, Overflow::DropOldest)
    };
    let (mut producer, queue) = queue(&config, Exit::ReceiveCalls);
    for n in 0..10 {
        producer.push(numbered(n));
        producer.deliver(Instant::now());
        assert!(queue.bytes() < 10 + 4);
    }
    // A message above the bound passes, alone but for those it was let in beside.
    producer.push(Message::from(vec![0; 100]));
    producer.deliver(Instant::now());
    producer.push(numbered(10));
    producer.deliver(Instant::now());
    assert_eq!(queue.try_take_many(99), Ok(numbers(10..11)));
}

#[test]
fn nothing_passes_behind_a_message_that_found_no_room_if_the_policy_is_to_close() {
    let close = Overflow::Close(CloseCode::POLICY_VIOLATION);
    let (mut producer, queue) = queue(&with(2, close), Exit::ReceiveCalls);
    assert!(producer.push(numbered(0)) && producer.push(numbered(1)));
    producer.deliver(Instant::now());
    assert_eq!(producer.overflowed(), None);
    assert!(!producer.push(numbered(2)));
    assert_eq!(producer.overflowed(), Some(CloseCode::POLICY_VIOLATION));
    // A consumer makes room, or a change of the bounds, before the reader has looked.
    assert_eq!(queue.take(soon()), Ok(numbered(0)));
    assert!(!producer.push(numbered(3)));
    queue.configure(&with(99, Overflow::Block)).unwrap();
    assert!(!producer.push(numbered(4)) && !producer.must_wait());
    producer.deliver(Instant::now());
    drop(producer);
    assert_eq!(queue.take(soon()), Ok(numbered(1)));
    assert_eq!(queue.take(None), Err(Empty::ForEver));
    assert_eq!(queue.stats().dropped, 3);
}

/// Fills the queue, lets `wake` happen while the producer waits, and returns what waits then.
fn woken_by(config: &QueueConfig, wake: impl Fn(&Queue)) -> usize {
    let (mut producer, queue) = queue(config, Exit::ReceiveCalls);
    (0..config.messages as u32).for_each(|n| {
        producer.push(numbered(n));
    });
    producer.deliver(Instant::now());
    assert!(producer.must_wait());
    thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            let began = Instant::now();
            producer.wait_for_room(soon());
            assert!(began.elapsed() < Duration::from_secs(9), "woken");
            assert!(!producer.must_wait());
        });
        while !queue.paused.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        wake(&queue);
        waiting.join().unwrap();
        queue.len()
    })
}

#[test]
fn a_pause_lasts_until_the_low_mark() {
    for (messages, low_mark) in [
        (1, None),
        (8, Some(0)),
        (8, Some(7)),
        (8, Some(3)),
        (8, None),
    ] {
        let config = QueueConfig {
            low_mark,
            ..with(messages, Overflow::Block)
        };
        let low = low_mark.unwrap_or(messages / 4);
        let left = woken_by(&config, |queue| {
            for _ in low..messages {
                assert!(queue.len() > low && queue.paused.load(Ordering::SeqCst));
                queue.take(soon()).unwrap();
            }
        });
        assert_eq!(left, low);
    }
}

#[test]
fn a_change_of_the_bounds_or_the_policy_wakes_a_paused_producer() {
    let full = with(8, Overflow::Block);
    let more_room = with(40, Overflow::Block);
    let left = woken_by(&full, |queue| queue.configure(&more_room).unwrap());
    assert_eq!(left, 8);
    let policy = with(8, Overflow::DropNewest);
    woken_by(&full, |queue| queue.configure(&policy).unwrap());
    let higher_mark = QueueConfig {
        low_mark: Some(7),
        ..full.clone()
    };
    woken_by(&full, |queue| {
        queue.take(soon()).unwrap();
        queue.configure(&higher_mark).unwrap();
    });
    woken_by(&full, Queue::release);
    woken_by(&full, |queue| assert_eq!(queue.clear(), 8));
}

#[test]
fn a_smaller_bound_is_in_force_from_the_next_batch_on() {
    let (mut producer, queue) = bounded(1000, 1 << 20);
    producer.push(numbered(0));
    producer.deliver(Instant::now());
    queue.configure(&with(3, Overflow::Block)).unwrap();
    assert!(!producer.must_wait());
    assert!(producer.push(numbered(1)));
    assert!(!producer.push(numbered(2)));
    assert!(producer.must_wait());
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let (_producer, queue) = bounded(5, 50);
    let wrong = [
        with(0, Overflow::Block),
        QueueConfig {
            bytes: 0,
            ..with(1, Overflow::Block)
        },
        QueueConfig {
            low_mark: Some(4),
            ..with(4, Overflow::Block)
        },
    ];
    for config in wrong {
        assert!(matches!(queue.configure(&config), Err(Misuse::Config(_))));
    }
    let code = CloseCode::from(1005);
    let result = queue.configure(&with(4, Overflow::Close(code)));
    assert_eq!(result, Err(Misuse::CloseCode(code)));
    let capacity = QueueView::new(queue).capacity();
    assert_eq!((capacity.messages, capacity.bytes), (5, 50));
}

#[test]
fn receive_calls_on_a_diverted_queue_learn_of_the_end_though_messages_are_left() {
    let (mut producer, queue) = queue(&QueueConfig::default(), Exit::Channel);
    producer.push(numbered(0));
    producer.deliver(Instant::now());
    assert_eq!(queue.try_take(), Err(Empty::Now));
    producer.end();
    assert_eq!(queue.try_take(), Err(Empty::ForEver));
    assert_eq!(queue.take(None), Err(Empty::ForEver));
    let task = queue.new_task();
    let polled = queue.poll_take(task, Waker::noop());
    assert_eq!(polled, Err(Empty::ForEver));
    assert_eq!(producer.take_front().len(), 1);
}

/// A task that looks at the queue when it is dropped.
struct Dropped(Arc<Queue>);

impl std::task::Wake for Dropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.clear();
    }
}

#[test]
fn a_task_is_dropped_without_the_lock() {
    let (_producer, queue) = bounded(5, 50);
    let task = queue.new_task();
    for _ in 0..2 {
        let waker = Waker::from(Arc::new(Dropped(Arc::clone(&queue))));
        assert_eq!(queue.poll_take(task, &waker), Err(Empty::Now));
    }
    assert_eq!(queue.waiting.load(Ordering::SeqCst), 1);
    queue.forget_task(task);
    queue.forget_task(task);
    assert_eq!(queue.waiting.load(Ordering::SeqCst), 0);
}
