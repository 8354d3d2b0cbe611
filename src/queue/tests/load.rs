//! A load for one queue: its producer, consumers of all kinds, and who looks on.

use super::super::*;
use crate::message::MessageKind;
use crate::protocol::{Piece, PieceEnd, Sink};
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool as Flag;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

/// A wait that takes longer was for a wake-up that is lost.
const LOST: Duration = Duration::from_secs(60);

/// A generator of numbers that need not be good, but the same each time.
#[derive(Clone)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// How a consumer takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    Try,
    Wait,
    Deadline,
    TryMany,
    Many,
    Task,
    /// Message by message in pieces, each fourth left in the middle.
    Pieces,
    Latest,
    Clear,
    /// Now this way, now that; but nothing is dropped.
    Mixed,
}

#[derive(Clone)]
pub(super) struct Load {
    pub(super) messages: u32,
    pub(super) seed: u64,
    pub(super) config: QueueConfig,
    /// What the bounds are changed to while it goes on, again and again.
    pub(super) others: Vec<QueueConfig>,
    /// Each eighth message comes in pieces.
    pub(super) pieces: bool,
    pub(super) consumers: Vec<Taking>,
}

/// What came of a load.
pub(super) struct Outcome {
    /// By consumer, the numbers of the messages that it got.
    pub(super) got: Vec<Vec<u32>>,
    pub(super) stats: QueueStats,
}

impl Outcome {
    pub(super) fn total(&self) -> usize {
        self.got.iter().map(Vec::len).sum()
    }
}

/// Bounds of a few messages.
pub(super) fn small(messages: usize, bytes: usize, low_mark: Option<usize>) -> QueueConfig {
    QueueConfig {
        messages,
        bytes,
        low_mark,
        overflow: Overflow::Block,
    }
}

/// Begins with its number, and has a length that follows from it.
pub(super) fn payload(n: u32) -> Bytes {
    let mut payload = n.to_be_bytes().to_vec();
    payload.resize(4 + n as usize % 23, n as u8);
    payload.into()
}

fn number(message: &Message) -> u32 {
    let bytes = message.clone().into_bytes();
    let n = begin_number(&bytes);
    assert_eq!(bytes, payload(n), "whole");
    n
}

fn begin_number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// Runs it to its end, and checks what holds for every load.
pub(super) fn run(load: &Load) -> Outcome {
    let (producer, queue) = queue(&load.config, Exit::ReceiveCalls);
    let done = Flag::new(false);
    let got: Vec<Vec<u32>> = thread::scope(|scope| {
        let consumers = load.consumers.iter().zip(1..);
        let consumers: Vec<_> = consumers
            .map(|(&taking, k)| {
                let rng = Rng(load.seed + k);
                let queue = &queue;
                scope.spawn(move || Consumer::new(queue, rng).run(taking))
            })
            .collect();
        scope.spawn(|| produce(producer, &queue, load));
        scope.spawn(|| look_on(&queue, load, &done));
        scope.spawn(|| reconfigure(&queue, load, &done));
        let got = consumers.into_iter().map(|c| c.join()).collect::<Vec<_>>();
        done.store(true, Ordering::SeqCst);
        got.into_iter().map(Result::unwrap).collect()
    });
    let outcome = Outcome {
        got,
        stats: queue.stats(),
    };
    check(&queue, load, &outcome);
    outcome
}

fn check(queue: &Queue, load: &Load, outcome: &Outcome) {
    for got in &outcome.got {
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "in order");
    }
    let all: HashSet<u32> = outcome.got.iter().flatten().copied().collect();
    assert_eq!(all.len(), outcome.total(), "none twice");
    assert!(all.iter().all(|n| *n < load.messages));
    assert_eq!((queue.len(), queue.bytes(), queue.items()), (0, 0, 0));
    let stats = outcome.stats;
    assert_eq!(stats.received, u64::from(load.messages));
    assert_eq!(stats.received, stats.delivered + stats.dropped);
    let sent: usize = (0..load.messages).map(|n| payload(n).len()).sum();
    assert_eq!(stats.received_bytes, sent as u64);
    assert_eq!(
        stats.received_bytes,
        stats.delivered_bytes + stats.dropped_bytes
    );
    assert_eq!(stats.delivered, outcome.total() as u64);
}

fn produce(mut producer: Producer, queue: &Queue, load: &Load) {
    let mut rng = Rng(load.seed);
    for n in 0..load.messages {
        if load.pieces && rng.below(8) == 0 {
            for piece in cut(payload(n), &mut rng) {
                let more = producer.push_piece(piece);
                after_push(&mut producer, queue, load, &mut rng, more);
            }
        } else {
            let more = producer.push(Message::Binary(payload(n)));
            after_push(&mut producer, queue, load, &mut rng, more);
        }
    }
    producer.deliver(Instant::now());
}

/// What the reader does.
fn after_push(producer: &mut Producer, queue: &Queue, load: &Load, rng: &mut Rng, more: bool) {
    let configs = load.others.iter().chain([&load.config]);
    let bound = configs.map(|config| config.messages).max().unwrap();
    let waiting = queue.items() + producer.batch_len();
    assert!(waiting <= bound + 1, "{waiting} wait");
    if !more || rng.below(4) == 0 || producer.must_wait() {
        producer.deliver(Instant::now());
    }
    while producer.must_wait() {
        let began = Instant::now();
        producer.wait_for_room(Some(began + LOST));
        assert!(began.elapsed() < LOST, "not woken: {queue:?}");
    }
}

/// The number of a message is in its first piece.
fn cut(payload: Bytes, rng: &mut Rng) -> Vec<Piece> {
    let mut left = payload;
    let mut pieces = Vec::new();
    let mut length = 4 + rng.below(4) as usize;
    loop {
        let payload = left.split_to(length.min(left.len()));
        let end = match left.is_empty() {
            true => PieceEnd::Last,
            false => PieceEnd::More,
        };
        pieces.push(Piece {
            kind: MessageKind::Binary,
            first: pieces.is_empty(),
            end,
            payload,
        });
        if end == PieceEnd::Last {
            return pieces;
        }
        length = 1 + rng.below(10) as usize;
    }
}

/// Looks at all that can be seen until the load is done.
fn look_on(queue: &Arc<Queue>, load: &Load, done: &Flag) {
    let view = QueueView::new(Arc::clone(queue));
    let configs = load.others.iter().chain([&load.config]);
    let bound = configs.map(|config| config.messages).max().unwrap();
    // With pieces the snapshot leaves out messages.
    let gapless = !load.pieces && load.config.overflow != Overflow::DropNewest;
    while !done.load(Ordering::SeqCst) {
        assert!(view.len() <= bound + 1);
        let few = view.peek_n(3);
        assert!(few.len() <= 3);
        let snapshot = view.snapshot();
        assert!(snapshot.len() <= bound + 1, "{} at once", snapshot.len());
        for run in [few, snapshot] {
            let numbers: Vec<u32> = run.iter().map(number).collect();
            let follows = |pair: &[u32]| match gapless {
                true => pair[0] + 1 == pair[1],
                false => pair[0] < pair[1],
            };
            assert!(numbers.windows(2).all(follows), "{numbers:?}");
        }
        let stats = view.stats();
        let gone = stats.delivered + stats.dropped;
        assert!(gone <= stats.received && stats.received <= u64::from(load.messages));
        // What is refused never waits.
        assert!(stats.received - gone <= bound as u64 + 1);
        assert!(view.oldest_age().is_none_or(|age| age < 2 * LOST));
        assert!(view.high_water().messages <= bound + 1);
        if load.seed % 2 == 0 {
            view.reset_high_water();
        }
        thread::sleep(Duration::from_micros(50));
    }
}

fn reconfigure(queue: &Queue, load: &Load, done: &Flag) {
    for config in load.others.iter().cycle() {
        if done.load(Ordering::SeqCst) {
            return;
        }
        queue.configure(config).unwrap();
        thread::sleep(Duration::from_micros(200));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

struct Consumer<'a> {
    queue: &'a Queue,
    rng: Rng,
    task: u64,
    waker: Waker,
    got: Vec<u32>,
}

impl<'a> Consumer<'a> {
    fn new(queue: &'a Queue, rng: Rng) -> Self {
        Consumer {
            queue,
            rng,
            task: queue.new_task(),
            waker: Waker::from(Arc::new(Unpark(thread::current()))),
            got: Vec::new(),
        }
    }

    fn run(mut self, taking: Taking) -> Vec<u32> {
        const MIX: [Taking; 7] = [
            Taking::Try,
            Taking::Wait,
            Taking::Deadline,
            Taking::TryMany,
            Taking::Many,
            Taking::Task,
            Taking::Pieces,
        ];
        loop {
            let way = match taking {
                Taking::Mixed => MIX[self.rng.below(MIX.len() as u64) as usize],
                way => way,
            };
            match self.step(way) {
                Ok(messages) => self.got.extend(messages.iter().map(number)),
                Err(Empty::Now) => {}
                Err(Empty::ForEver) => break,
            }
        }
        self.queue.forget_task(self.task);
        self.got
    }

    fn step(&mut self, taking: Taking) -> Result<Vec<Message>, Empty> {
        let (queue, now) = (self.queue, Instant::now());
        let many = 1 + self.rng.below(5) as usize;
        let one = |message| vec![message];
        let result = match taking {
            Taking::Try => queue.try_take().map(one),
            Taking::Wait => queue.take(Some(now + LOST)).map(one),
            Taking::Deadline => queue.take(Some(now + Duration::from_micros(100))).map(one),
            Taking::TryMany => queue.try_take_many(many),
            Taking::Many => queue.take_many(many, Some(now + LOST)),
            Taking::Task => self.poll().map(one),
            Taking::Pieces | Taking::Mixed => self.in_pieces(),
            Taking::Latest => queue.take_latest(Some(now + LOST)).map(one),
            Taking::Clear => {
                queue.clear();
                queue.take(Some(now + Duration::from_micros(100))).map(one)
            }
        };
        assert!(now.elapsed() < LOST, "not woken: {taking:?} {queue:?}");
        if let (Err(Empty::Now), Taking::Try | Taking::TryMany) = (&result, taking) {
            thread::yield_now();
        }
        result
    }

    fn poll(&mut self) -> Result<Message, Empty> {
        let result = self.queue.poll_take(self.task, &self.waker);
        if result == Err(Empty::Now) {
            if self.rng.below(4) == 0 {
                self.queue.forget_task(self.task);
                self.task = self.queue.new_task();
            } else {
                thread::park_timeout(LOST);
            }
        }
        result
    }

    fn in_pieces(&mut self) -> Result<Vec<Message>, Empty> {
        let deadline = Some(Instant::now() + LOST);
        let mut next = match self.queue.begin_pieces(deadline)? {
            Begun::Whole(message) => return Ok(vec![message]),
            Begun::InPieces { next, .. } => next,
        };
        let mut whole = Vec::new();
        loop {
            match next {
                Next::Piece(piece) => whole.extend_from_slice(&piece),
                Next::Last(piece) => {
                    whole.extend_from_slice(&piece);
                    return Ok(vec![Message::from(whole)]);
                }
                Next::Torn => panic!("never released"),
            }
            if self.rng.below(4) == 0 {
                self.queue.abandon_pieces();
                self.got.push(begin_number(&whole));
                return Err(Empty::Now);
            }
            // A timeout in between changes nothing.
            let soon = Instant::now() + Duration::from_micros(20);
            next = match self.queue.next_piece(Some(soon)) {
                Err(Empty::Now) => self.queue.next_piece(deadline),
                result => result,
            }
            .expect("the message is whole");
        }
    }
}
