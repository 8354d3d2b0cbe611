//! Models of the queue for a checker that tries orders in which threads can run (`.ci/models`).
//!
//! Here a lost wake-up is a deadlock, which the checker reports. Time stands still: a wait with a
//! deadline lasts until it is woken. Memory is sequentially consistent.

mod role;
mod tallies;

use super::*;
use crate::message::MessageKind;
use crate::protocol::{Piece, PieceEnd, Sink};
use bytes::Bytes;
use shuttle::thread::{self, JoinHandle};
use std::task::{Wake, Waker};

/// So many schedules at random, and as many that change priorities at few places.
fn check(model: fn()) {
    shuttle::check_random(model, schedules());
    shuttle::check_pct(model, schedules(), 3);
}

fn schedules() -> usize {
    std::env::var("WSYNC_SCHEDULES").map_or(2000, |n| n.parse().unwrap())
}

fn small(messages: usize) -> (Producer, Arc<Queue>) {
    queue(&bounds(messages, None), Exit::ReceiveCalls)
}

fn bounds(messages: usize, low_mark: Option<usize>) -> QueueConfig {
    QueueConfig {
        messages,
        low_mark,
        ..QueueConfig::default()
    }
}

fn spawn<T: Send + 'static>(
    queue: &Arc<Queue>,
    f: impl FnOnce(&Queue) -> T + Send + 'static,
) -> JoinHandle<T> {
    let queue = Arc::clone(queue);
    thread::spawn(move || f(&queue))
}

fn join<T>(handle: JoinHandle<T>) -> T {
    handle.join().unwrap()
}

fn message(n: u8) -> Message {
    Message::from(vec![n])
}

fn number(message: Message) -> u8 {
    message.into_bytes()[0]
}

/// As the reader does: no more than there is room for.
fn send(producer: &mut Producer, burst: impl IntoIterator<Item = u8>) {
    for n in burst {
        if producer.must_wait() {
            producer.deliver(Instant::now());
        }
        while producer.must_wait() {
            producer.wait_for_room(None);
        }
        producer.push(message(n));
    }
    producer.deliver(Instant::now());
}

fn send_piece(producer: &mut Producer, first: bool, end: PieceEnd, n: u8) {
    producer.push_piece(Piece {
        kind: MessageKind::Binary,
        first,
        end,
        payload: Bytes::from(vec![n]),
    });
    producer.deliver(Instant::now());
}

/// All that is taken until the end.
fn take_all(queue: &Queue) -> Vec<u8> {
    std::iter::from_fn(|| queue.take(None).ok().map(number)).collect()
}

fn take_one(queue: &Queue) -> u8 {
    number(queue.take(None).unwrap())
}

/// A task that sleeps between polls.
#[derive(Default)]
struct Task {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.wake.notify_one();
    }
}

impl Task {
    fn take(self: &Arc<Self>, queue: &Queue, id: u64) -> Result<u8, Empty> {
        let waker = Waker::from(Arc::clone(self));
        loop {
            match queue.poll_take(id, &waker) {
                Err(Empty::Now) => {}
                result => return result.map(number),
            }
            let mut woken = self.woken.lock().unwrap();
            while !std::mem::take(&mut *woken) {
                woken = self.wake.wait(woken).unwrap();
            }
        }
    }
}

fn poll_one(queue: &Queue) -> u8 {
    let id = queue.new_task();
    let taken = Arc::new(Task::default()).take(queue, id);
    queue.forget_task(id);
    taken.unwrap()
}

fn sorted<const N: usize>(mut numbers: [u8; N]) -> [u8; N] {
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_consumer_gets_what_is_sent_and_learns_of_the_end() {
    check(|| {
        let (mut producer, queue) = small(8);
        let consumer = spawn(&queue, take_all);
        send(&mut producer, [0]);
        send(&mut producer, [1, 2]);
        drop(producer);
        assert_eq!(join(consumer), [0, 1, 2]);
        assert_eq!(queue.waiting.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn two_consumers_get_one_of_two_messages_each() {
    check(|| {
        let (mut producer, queue) = small(8);
        let consumers = [spawn(&queue, take_one), spawn(&queue, take_one)];
        send(&mut producer, [0]);
        send(&mut producer, [1]);
        assert_eq!(sorted(consumers.map(join)), [0, 1]);
    });
}

#[test]
fn two_consumers_share_a_burst_and_both_learn_of_the_end() {
    check(|| {
        let (mut producer, queue) = small(8);
        let consumers = [spawn(&queue, take_all), spawn(&queue, take_all)];
        send(&mut producer, [0, 1]);
        drop(producer);
        let mut all = consumers.map(join).concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1]);
    });
}

#[test]
fn a_consumer_that_takes_wakes_a_paused_producer() {
    check(|| {
        let (mut producer, queue) = small(1);
        let consumer = spawn(&queue, |queue| {
            let first = take_one(queue);
            // The second without a wait.
            let second = loop {
                match queue.try_take() {
                    Ok(message) => break number(message),
                    Err(_) => thread::yield_now(),
                }
            };
            [first, second, take_one(queue)]
        });
        send(&mut producer, [0, 1, 2]);
        assert_eq!(join(consumer), [0, 1, 2]);
    });
}

#[test]
fn the_taking_that_reaches_the_low_mark_wakes_a_paused_producer() {
    check(|| {
        let (mut producer, queue) = queue(&bounds(3, Some(1)), Exit::ReceiveCalls);
        let consumers = [spawn(&queue, take_one), spawn(&queue, take_one)];
        send(&mut producer, [0, 1, 2, 3]);
        assert_eq!(sorted(consumers.map(join)), [0, 1]);
        assert_eq!(queue.len(), 2);
    });
}

#[test]
fn release_wakes_a_paused_producer() {
    check(|| {
        let (mut producer, queue) = small(1);
        let releaser = spawn(&queue, Queue::release);
        send(&mut producer, [0, 1]);
        join(releaser);
        assert!(queue.len() <= 2);
    });
}

#[test]
fn a_change_of_the_bounds_wakes_a_paused_producer() {
    check(|| {
        let (mut producer, queue) = small(1);
        let changer = spawn(&queue, |queue| {
            queue.configure(&bounds(2, Some(1))).unwrap();
        });
        send(&mut producer, [0, 1]);
        join(changer);
        assert_eq!(queue.len(), 2);
    });
}

#[test]
fn of_two_changes_of_the_bounds_one_is_in_force() {
    check(|| {
        let (_producer, queue) = small(1);
        let change = |to: QueueConfig| move |queue: &Queue| queue.configure(&to).unwrap();
        let changers = [
            spawn(&queue, change(bounds(10, Some(9)))),
            spawn(&queue, change(bounds(3, Some(1)))),
        ];
        changers.into_iter().for_each(join);
        let marks = (queue.bounds.get().0, queue.bounds.low_marks().0);
        assert!(marks == (10, 9) || marks == (3, 1), "{marks:?}");
    });
}

#[test]
fn a_task_and_a_thread_get_one_of_two_messages_each() {
    check(|| {
        let (mut producer, queue) = small(8);
        let consumers = [spawn(&queue, poll_one), spawn(&queue, take_one)];
        send(&mut producer, [0]);
        send(&mut producer, [1]);
        assert_eq!(sorted(consumers.map(join)), [0, 1]);
        assert_eq!(queue.waiting.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_task_learns_of_the_end() {
    check(|| {
        let (mut producer, queue) = small(1);
        let task = spawn(&queue, |queue| {
            let (task, id) = (Arc::new(Task::default()), queue.new_task());
            assert_eq!(task.take(queue, id), Ok(0));
            assert_eq!(task.take(queue, id), Ok(1));
            assert_eq!(task.take(queue, id), Err(Empty::ForEver));
        });
        send(&mut producer, [0, 1]);
        drop(producer);
        join(task);
    });
}

#[test]
fn a_task_that_is_forgotten_takes_no_wake_up_from_a_thread() {
    check(|| {
        let (mut producer, queue) = small(8);
        let thread = spawn(&queue, take_one);
        let task = spawn(&queue, |queue| {
            let (task, id) = (Arc::new(Task::default()), queue.new_task());
            let result = queue.poll_take(id, &Waker::from(task));
            queue.forget_task(id);
            result.ok().map(number)
        });
        send(&mut producer, [0]);
        // Unless the task got it, the thread does.
        if join(task) == Some(0) {
            send(&mut producer, [1]);
        }
        join(thread);
        assert_eq!(queue.waiting.load(Ordering::SeqCst), 0);
    });
}

/// Reads a message in pieces, or leaves it after the first one.
fn read_pieces(queue: &Queue, patient: bool) -> Vec<u8> {
    let mut next = match queue.begin_pieces(None).unwrap() {
        Begun::Whole(message) => return message.into_bytes().to_vec(),
        Begun::InPieces { next, .. } => next,
    };
    let mut read = Vec::new();
    loop {
        match next {
            Next::Piece(piece) => read.extend_from_slice(&piece),
            Next::Last(piece) => {
                read.extend_from_slice(&piece);
                return read;
            }
            Next::Torn => unreachable!("there is room"),
        }
        if !patient {
            queue.abandon_pieces();
            return read;
        }
        next = queue.next_piece(None).unwrap();
    }
}

/// A message in two pieces and one that is whole, for one that reads pieces and another.
fn claim(patient: bool, other: fn(&Queue) -> Vec<u8>) {
    let (mut producer, queue) = small(8);
    let reader = spawn(&queue, move |queue| read_pieces(queue, patient));
    let other = spawn(&queue, other);
    send_piece(&mut producer, true, PieceEnd::More, 1);
    send_piece(&mut producer, false, PieceEnd::Last, 2);
    send(&mut producer, [3]);
    match (join(reader).as_slice(), join(other).as_slice()) {
        ([1, 2], [3]) | ([3], [1, 2]) => {}
        ([1], [3]) => assert!(!patient),
        (read, taken) => panic!("{read:?}, {taken:?}"),
    }
    assert_eq!(
        (queue.items(), queue.waiting.load(Ordering::SeqCst)),
        (0, 0)
    );
}

fn take_bytes(queue: &Queue) -> Vec<u8> {
    queue.take(None).unwrap().into_bytes().to_vec()
}

fn poll_bytes(queue: &Queue) -> Vec<u8> {
    let (task, id) = (Arc::new(Task::default()), queue.new_task());
    let waker = Waker::from(Arc::clone(&task));
    loop {
        match queue.poll_take(id, &waker) {
            Err(_) => {
                let woken = task.woken.lock().unwrap();
                let mut woken = task.wake.wait_while(woken, |woken| !*woken).unwrap();
                *woken = false;
            }
            Ok(message) => {
                queue.forget_task(id);
                return message.into_bytes().to_vec();
            }
        }
    }
}

#[test]
fn a_thread_behind_a_claim_is_woken_at_its_end() {
    check(|| claim(true, take_bytes));
}

#[test]
fn a_thread_behind_a_claim_is_woken_when_it_is_given_up() {
    check(|| claim(false, take_bytes));
}

#[test]
fn a_task_behind_a_claim_is_woken_at_its_end() {
    check(|| claim(true, poll_bytes));
    check(|| claim(false, poll_bytes));
}

#[test]
fn two_readers_of_pieces_do_not_wait_for_each_other() {
    check(|| claim(true, |queue| read_pieces(queue, true)));
}

#[test]
fn looks_take_nothing_from_a_consumer_that_waits() {
    check(|| {
        let (mut producer, queue) = small(2);
        let consumer = spawn(&queue, take_all);
        let view = QueueView::new(Arc::clone(&queue));
        let observer = thread::spawn(move || {
            for n in [1, 9] {
                assert!(view.len() <= 2, "more than ever were there");
                let seen: Vec<u8> = view.peek_n(n).into_iter().map(number).collect();
                assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                let stats = view.stats();
                assert!(stats.delivered + stats.dropped <= stats.received);
            }
        });
        send(&mut producer, [0]);
        send(&mut producer, [1, 2]);
        drop(producer);
        join(observer);
        assert_eq!(join(consumer), [0, 1, 2]);
    });
}

#[test]
fn clear_beside_a_producer_and_a_consumer_counts_what_it_drops() {
    check(|| {
        let (mut producer, queue) = small(1);
        let consumer = spawn(&queue, take_all);
        let clearer = spawn(&queue, Queue::clear);
        send(&mut producer, [0, 1, 2]);
        drop(producer);
        let (dropped, taken) = (join(clearer), join(consumer));
        assert_eq!(dropped + taken.len(), 3);
        assert!(taken.is_sorted());
        let stats = queue.stats();
        assert_eq!(
            (stats.delivered, stats.dropped),
            (taken.len() as u64, dropped as u64)
        );
    });
}

#[test]
fn clear_wakes_a_paused_producer() {
    check(|| {
        let (mut producer, queue) = small(1);
        send(&mut producer, [0]);
        let clearer = spawn(&queue, Queue::clear);
        send(&mut producer, [1]);
        assert_eq!((join(clearer), queue.len()), (1, 1));
    });
}

#[test]
fn the_latest_is_never_older_than_one_that_was_passed_over() {
    check(|| {
        let (mut producer, queue) = small(2);
        let consumer = spawn(&queue, |queue| {
            let latest = || queue.take_latest(None).ok().map(number);
            std::iter::from_fn(latest).collect::<Vec<_>>()
        });
        send(&mut producer, [0]);
        send(&mut producer, [1, 2]);
        drop(producer);
        let taken = join(consumer);
        assert!(taken.is_sorted() && taken.last() == Some(&2));
        assert_eq!(queue.stats().dropped, 3 - taken.len() as u64);
    });
}

#[test]
fn a_producer_that_drops_the_oldest_leaves_the_newest_to_a_consumer() {
    check(|| {
        let config = QueueConfig {
            overflow: Overflow::DropOldest,
            ..bounds(1, None)
        };
        let (mut producer, queue) = queue(&config, Exit::ReceiveCalls);
        let consumer = spawn(&queue, take_all);
        for n in 0..3 {
            send(&mut producer, [n]);
            assert!(queue.len() <= 2);
        }
        drop(producer);
        let taken = join(consumer);
        assert!(taken.is_sorted() && taken.last() == Some(&2));
        assert_eq!(queue.stats().dropped, 3 - taken.len() as u64);
    });
}

#[test]
fn the_producer_learns_that_a_consumer_has_taken_all() {
    check(|| {
        let (mut producer, queue) = small(8);
        let consumer = spawn(&queue, take_all);
        send(&mut producer, [0, 1]);
        producer.wait_for_consumer(Instant::now() + Duration::from_secs(3600));
        assert_eq!(queue.len(), 0);
        drop(producer);
        assert_eq!(join(consumer), [0, 1]);
    });
}
