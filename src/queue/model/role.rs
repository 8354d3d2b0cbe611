//! Models of the role of reading: the thread, consumers that read directly, and who summons whom.
//!
//! There is no monitor here, so that a consumer which sleeps while nobody reads is a deadlock.

use super::*;
use crate::queue::{Outcome, Source, Summons};

/// What the peer has sent, and whether it has ended.
#[derive(Default)]
struct Wire {
    sent: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Wire {
    fn send(&self, messages: impl IntoIterator<Item = u8>) {
        self.sent.lock().unwrap().0.extend(messages);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.sent.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

struct Socket {
    producer: Producer,
    wire: Arc<Wire>,
}

impl Socket {
    /// Reads into the batch, if need be when there is something. False at the end.
    fn fill(&mut self, wait: bool) -> bool {
        let mut sent = self.wire.sent.lock().unwrap();
        while wait && sent.0.is_empty() && !sent.1 {
            sent = self.wire.changed.wait(sent).unwrap();
        }
        for n in sent.0.drain(..) {
            self.producer.push(message(n));
        }
        self.producer.batch_len() > 0 || !sent.1
    }
}

impl Source for Socket {
    fn read(&mut self, deadline: Option<Instant>) -> Outcome {
        let goes_on = self.fill(deadline.is_none() && !self.producer.has_queued());
        self.producer.enqueue(Instant::now());
        match goes_on {
            true => Outcome::Done,
            false => Outcome::Unfinished,
        }
    }

    fn serve(mut self: Box<Self>, shared: bool) -> Option<Box<dyn Source>> {
        while self.fill(true) {
            if self.producer.deliver(Instant::now()) && !shared {
                return Some(self);
            }
        }
        None
    }
}

/// A queue whose source is leased, and the wire that it reads from.
fn leased() -> (Arc<Wire>, Arc<Queue>) {
    let (source, wire, queue) = source();
    assert!(queue.lease(source).is_ok());
    (wire, queue)
}

/// The same with a thread that reads.
fn served() -> (Arc<Wire>, Arc<Queue>) {
    let (source, wire, queue) = source();
    spawn(&queue, move |queue| queue.serve(source));
    (wire, queue)
}

fn source() -> (Box<dyn Source>, Arc<Wire>, Arc<Queue>) {
    let (producer, queue) = small(8);
    let wire = Arc::new(Wire::default());
    let socket = Socket {
        producer,
        wire: Arc::clone(&wire),
    };
    (Box::new(socket), wire, queue)
}

/// The end, whoever reads.
fn end(wire: &Wire, queue: &Queue) {
    wire.end();
    queue.summon(Summons::Alone);
}

#[test]
fn a_consumer_reads_from_a_lease_until_the_end() {
    check(|| {
        let (wire, queue) = leased();
        let consumer = spawn(&queue, take_all);
        wire.send([0]);
        wire.send([1, 2]);
        wire.end();
        assert_eq!(join(consumer), [0, 1, 2]);
    });
}

#[test]
fn a_consumer_takes_over_from_the_thread() {
    check(|| {
        let (wire, queue) = served();
        let consumer = spawn(&queue, take_all);
        wire.send([0]);
        wire.send([1]);
        wire.end();
        assert_eq!(join(consumer), [0, 1]);
    });
}

#[test]
fn two_consumers_share_what_either_or_the_thread_reads() {
    for begin in [leased, served] {
        check_with(begin, |wire, queue| {
            let consumers = [spawn(queue, take_one), spawn(queue, take_one)];
            wire.send([0]);
            wire.send([1]);
            assert_eq!(sorted(consumers.map(join)), [0, 1]);
            end(wire, queue);
        });
    }
}

#[test]
fn two_consumers_share_a_burst_and_learn_of_the_end() {
    for begin in [leased, served] {
        check_with(begin, |wire, queue| {
            let consumers = [spawn(queue, take_all), spawn(queue, take_all)];
            wire.send([0, 1]);
            wire.end();
            let mut all = consumers.map(join).concat();
            all.sort_unstable();
            assert_eq!(all, [0, 1]);
        });
    }
}

#[test]
fn a_task_and_a_thread_share_what_is_read() {
    for begin in [leased, served] {
        check_with(begin, |wire, queue| {
            let consumers = [spawn(queue, poll_one), spawn(queue, take_one)];
            wire.send([0]);
            wire.send([1]);
            assert_eq!(sorted(consumers.map(join)), [0, 1]);
            end(wire, queue);
        });
    }
}

#[test]
fn a_task_alone_gets_a_thread_that_reads() {
    check(|| {
        let (wire, queue) = leased();
        let task = spawn(&queue, poll_one);
        wire.send([0]);
        assert_eq!(join(task), 0);
        end(&wire, &queue);
    });
}

#[test]
fn who_summons_the_thread_takes_nothing_from_a_consumer() {
    for begin in [leased, served] {
        check_with(begin, |wire, queue| {
            let consumer = spawn(queue, take_all);
            let summoner = spawn(queue, |queue| queue.summon(Summons::Alone));
            wire.send([0]);
            wire.send([1]);
            wire.end();
            assert_eq!(join(consumer), [0, 1]);
            join(summoner);
        });
    }
}

#[test]
fn a_monitor_that_looks_at_any_time_takes_nothing_from_a_consumer() {
    check(|| {
        let (wire, queue) = leased();
        let consumer = spawn(&queue, take_all);
        let monitor = spawn(&queue, |queue| {
            (0..3).for_each(|_| _ = queue.look_at_lease())
        });
        wire.send([0]);
        wire.send([1]);
        wire.end();
        assert_eq!(join(consumer), [0, 1]);
        join(monitor);
    });
}

#[test]
fn a_lease_that_nobody_comes_back_to_ends_at_the_second_look() {
    check(|| {
        let (wire, queue) = leased();
        wire.send([0, 1]);
        assert_eq!(take_one(&queue), 0);
        assert!(queue.look_at_lease());
        assert!(!queue.look_at_lease());
        wire.send([2]);
        wire.end();
        // Without a call that reads.
        while queue.len() < 2 {
            thread::yield_now();
        }
        assert_eq!(take_all(&queue), [1, 2]);
    });
}

#[test]
fn calls_that_do_not_wait_get_what_was_sent() {
    check(|| {
        let (wire, queue) = leased();
        let consumer = spawn(&queue, take_one);
        let other = spawn(&queue, |queue| {
            loop {
                match queue.try_take() {
                    Ok(message) => return number(message),
                    Err(_) => drop(queue.try_read()),
                }
                thread::yield_now();
            }
        });
        wire.send([0]);
        wire.send([1]);
        assert_eq!(sorted([consumer, other].map(join)), [0, 1]);
        end(&wire, &queue);
    });
}

fn check_with(begin: fn() -> (Arc<Wire>, Arc<Queue>), model: fn(&Arc<Wire>, &Arc<Queue>)) {
    let run = move || {
        let (wire, queue) = begin();
        model(&wire, &queue);
    };
    let schedules = schedules();
    shuttle::check_random(run, schedules);
    shuttle::check_pct(run, schedules, 3);
}
