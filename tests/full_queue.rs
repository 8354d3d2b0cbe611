//! A queue that is full: when the reader reads on, what can be changed meanwhile, and what becomes
//! of pings.

#![allow(clippy::unwrap_used)]

mod common;

use common::faulty::{self, Open};
use common::peer::{self, CLOSE, FIN, Ours, PING, PONG, Peer};
use common::{
    LATE, Scheme, client_builder, eventually, number_of, patient, server_builder, spawn, watchdog,
};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Accept, CloseCode, Config, Error, Misuse, Overflow, QueueConfig, Server, WebSocket};

/// How long nothing may happen for it to count as nothing.
const NOTHING: Duration = Duration::from_millis(40);

/// One of ours with this queue and its peer, for both ends and both schemes.
fn each(queue: &QueueConfig, test: impl Fn(WebSocket, Peer)) {
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            let mut config = patient(ours.config());
            config.queue = queue.clone();
            let (ws, peer) = peer::open(ours, scheme, config);
            test(ws, peer);
        }
    }
}

fn queue(messages: usize, low_mark: Option<usize>) -> QueueConfig {
    let mut queue = QueueConfig::default();
    (queue.messages, queue.low_mark) = (messages, low_mark);
    queue
}

/// Takes the next ones.
fn take(ws: &WebSocket, numbers: std::ops::Range<u64>) {
    for n in numbers {
        assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), n);
    }
}

/// Waits until so many have come, and asserts that no more do.
fn stays_at(ws: &WebSocket, received: u64) {
    let view = ws.queue();
    eventually("messages", || view.stats().received >= received);
    thread::sleep(NOTHING);
    assert_eq!(view.stats().received, received);
}

#[test]
fn the_reader_reads_on_at_the_low_mark_and_not_before() {
    watchdog(120, || {
        for (messages, low_mark, low) in [(8, Some(3), 3), (8, None, 2), (8, Some(7), 7)] {
            each(&queue(messages, low_mark), |ws, mut peer| {
                peer.numbers(0..30);
                stays_at(&ws, 8);
                take(&ws, 0..7 - low);
                stays_at(&ws, 8);
                take(&ws, 7 - low..8 - low);
                stays_at(&ws, 16 - low);
                assert_eq!(ws.len(), 8);
                take(&ws, 8 - low..30);
            });
        }
    });
}

#[test]
fn a_pong_that_cannot_leave_does_not_let_the_reader_read_on_before_the_low_mark() {
    watchdog(60, || {
        let mut config = patient(Config::client());
        config.queue = queue(8, Some(3));
        let Open {
            ws,
            mut peer,
            faults,
        } = faulty::open(Scheme::Ws, config);
        faults.full.store(true, Ordering::SeqCst);
        peer.frame(FIN | PING, b"owed");
        peer.numbers(0..30);
        stays_at(&ws, 8);
        take(&ws, 0..4);
        stays_at(&ws, 8);
        take(&ws, 4..5);
        stays_at(&ws, 13);
        faults.full.store(false, Ordering::SeqCst);
        assert_eq!(peer.read().payload, b"owed");
        take(&ws, 5..30);
    });
}

#[test]
fn with_a_bound_of_one_the_next_message_comes_when_the_queue_is_empty() {
    watchdog(60, || {
        for low_mark in [None, Some(0)] {
            each(&queue(1, low_mark), |ws, mut peer| {
                (0..5).for_each(|n| peer.numbers(n..n + 1));
                for n in 0..5 {
                    stays_at(&ws, n + 1);
                    assert_eq!(ws.len(), 1);
                    take(&ws, n..n + 1);
                }
            });
        }
    });
}

#[test]
fn the_low_mark_holds_for_the_same_share_of_the_bytes() {
    watchdog(60, || {
        let mut queue = queue(100, Some(50));
        queue.bytes = 64;
        each(&queue, |ws, mut peer| {
            peer.numbers(0..30);
            stays_at(&ws, 8);
            take(&ws, 0..3);
            stays_at(&ws, 8);
            take(&ws, 3..4);
            stays_at(&ws, 12);
            take(&ws, 4..30);
        });
    });
}

#[test]
fn higher_bounds_wake_a_reader_that_waits_for_room() {
    watchdog(60, || {
        each(&queue(4, None), |ws, mut peer| {
            peer.numbers(0..100);
            stays_at(&ws, 4);
            // More than the new low mark are queued.
            ws.configure_queue(&queue(6, None)).unwrap();
            stays_at(&ws, 6);
            ws.configure_queue(&queue(40, None)).unwrap();
            stays_at(&ws, 40);
            let mut more_bytes = queue(1000, None);
            more_bytes.bytes = 400;
            ws.configure_queue(&more_bytes).unwrap();
            stays_at(&ws, 50);
            more_bytes.bytes = 480;
            ws.configure_queue(&more_bytes).unwrap();
            stays_at(&ws, 60);
            assert_eq!(ws.len(), 60);
            take(&ws, 0..100);
        });
    });
}

#[test]
fn lower_bounds_are_in_force_from_the_next_read_on() {
    watchdog(60, || {
        each(&queue(1000, None), |ws, mut peer| {
            peer.numbers(0..20);
            peer.settle();
            ws.configure_queue(&queue(10, None)).unwrap();
            // What is queued stays, and nothing is added.
            peer.numbers(20..100);
            stays_at(&ws, 20);
            take(&ws, 0..20);
            ws.queue().reset_high_water();
            eventually("more", || ws.queue().stats().received > 20);
            take(&ws, 20..100);
            assert!(ws.queue().high_water().messages <= 10);
        });
    });
}

#[test]
fn another_policy_wakes_a_reader_that_waits_for_room() {
    watchdog(60, || {
        for overflow in [
            Overflow::DropOldest,
            Overflow::DropNewest,
            Overflow::KeepLatest,
        ] {
            each(&queue(4, None), |ws, mut peer| {
                peer.numbers(0..100);
                stays_at(&ws, 4);
                let mut changed = queue(4, None);
                changed.overflow = overflow;
                ws.configure_queue(&changed).unwrap();
                peer.settle();
                assert_eq!(ws.queue().stats().received, 100);
                // And back.
                ws.configure_queue(&queue(4, None)).unwrap();
                ws.clear();
                peer.numbers(100..200);
                stays_at(&ws, 104);
                take(&ws, 100..200);
            });
        }
    });
}

#[test]
fn a_policy_that_closes_is_in_force_for_what_waits_with_the_peer() {
    watchdog(60, || {
        each(&queue(4, None), |ws, mut peer| {
            peer.numbers(0..100);
            stays_at(&ws, 4);
            let mut changed = queue(4, None);
            changed.overflow = Overflow::Close(CloseCode::TRY_AGAIN_LATER);
            ws.configure_queue(&changed).unwrap();
            assert_eq!(peer.read_close(), Some(1013));
            peer.close(1013);
            peer.read_end_and_leave();
            take(&ws, 0..4);
            assert!(matches!(ws.recv().unwrap_err().0, Error::Overflow(_)));
        });
    });
}

#[test]
fn clear_makes_room_for_a_reader_that_waits() {
    watchdog(60, || {
        each(&queue(4, None), |ws, mut peer| {
            peer.numbers(0..10);
            stays_at(&ws, 4);
            assert_eq!(ws.clear(), 4);
            eventually("more", || ws.queue().stats().received > 4);
            take(&ws, 4..10);
        });
    });
}

/// Every config that is refused, with the misuse it is.
fn refused() -> Vec<(Config, &'static str)> {
    let change = |change: fn(&mut Config)| {
        let mut config = Config::client();
        change(&mut config);
        config
    };
    let code = |code: u16| Overflow::Close(CloseCode::from(code));
    let closing = [1005, 1006, 1015, 999, 1004, 2999, 5000].map(|n| {
        let mut config = Config::client();
        config.queue.overflow = code(n);
        (config, "misuse.close_code")
    });
    let others = [
        change(|c| c.queue.messages = 0),
        change(|c| c.queue.bytes = 0),
        change(|c| c.queue.low_mark = Some(1024)),
        change(|c| (c.queue.messages, c.queue.low_mark) = (3, Some(4))),
        change(|c| {
            c.stream_above = Some(1 << 20);
            c.queue.overflow = Overflow::DropOldest;
        }),
        change(|c| {
            c.stream_above = Some(1 << 20);
            c.queue.overflow = Overflow::Close(CloseCode::TRY_AGAIN_LATER);
        }),
    ];
    let others = others.map(|config| (config, "misuse.config"));
    closing.into_iter().chain(others).collect()
}

#[test]
fn a_config_that_cannot_be_is_misuse_wherever_it_is_given() {
    watchdog(60, || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let mut incoming = server.incoming().unwrap();
        for (config, kind) in refused() {
            let is_misuse = |error: Error| {
                assert!(matches!(error, Error::Misuse(_)), "{error}");
                assert_eq!(error.kind(), kind, "{error}");
            };
            let builder = client_builder(Scheme::Ws, port).config(config.clone());
            is_misuse(builder.connect().unwrap_err());
            let builder = server_builder(Scheme::Ws).config(config.clone());
            is_misuse(builder.bind("127.0.0.1:0").unwrap_err());
            let connecting = spawn(move || client_builder(Scheme::Ws, port).connect());
            let accept = Accept::new().config(config);
            is_misuse(incoming.next().unwrap().accept_with(accept).unwrap_err());
            let refusal = connecting.within(LATE, "the client").unwrap_err();
            assert_eq!(refusal.response().unwrap().status(), 500);
        }
    });
}

#[test]
fn a_queue_that_cannot_be_is_misuse_and_changes_nothing() {
    watchdog(60, || {
        each(&queue(5, None), |ws, mut peer| {
            for (config, kind) in refused() {
                // That pieces need to wait is known from the connection.
                if config.stream_above.is_none() {
                    let misuse: Misuse = ws.configure_queue(&config.queue).unwrap_err();
                    assert_eq!(misuse.kind(), kind);
                }
            }
            assert_eq!(ws.queue().capacity().messages, 5);
            peer.numbers(0..10);
            stays_at(&ws, 5);
            take(&ws, 0..10);
        });
        let mut config = patient(Config::client());
        config.stream_above = Some(1000);
        let (ws, _peer) = peer::open(Ours::Client, Scheme::Ws, config.clone());
        config.queue.overflow = Overflow::DropOldest;
        let misuse = ws.configure_queue(&config.queue).unwrap_err();
        assert!(matches!(misuse, Misuse::Config(_)));
        config.queue.overflow = Overflow::Block;
        config.queue.messages = 3;
        ws.configure_queue(&config.queue).unwrap();
        assert_eq!(ws.queue().capacity().messages, 3);
    });
}

/// A queue that is full and a consumer that is idle: when a peer pings so often, for so long.
#[derive(Clone, Copy)]
struct Pinging {
    every: Duration,
    lasts: Duration,
}

/// How late an answer may be.
const LIMIT: Duration = Duration::from_secs(3);

const BRIEF: Pinging = Pinging {
    every: Duration::from_millis(100),
    lasts: Duration::from_secs(3),
};

const LONG: Pinging = Pinging {
    every: Duration::from_secs(1),
    lasts: Duration::from_secs(30),
};

/// A reader that always reads answers each ping, and keeps what the policy says.
fn pings_are_answered(scheme: Scheme, ours: Ours, overflow: Overflow, pinging: Pinging) {
    let mut config = patient(ours.config());
    (config.queue.messages, config.queue.overflow) = (16, overflow);
    let (ws, mut peer) = peer::open(ours, scheme, config);
    peer.numbers(0..100);
    peer.settle();
    assert!(ws.queue().stats().dropped > 0);
    peer.tcp.set_read_timeout(Some(LIMIT)).unwrap();
    let (began, mut pings, mut longest) = (Instant::now(), 0_u64, Duration::ZERO);
    while began.elapsed() < pinging.lasts {
        peer.numbers(100 + pings..101 + pings);
        let sent = Instant::now();
        peer.frame(FIN | PING, &pings.to_be_bytes());
        let pong = peer.try_read().expect("a pong within the limit");
        let took = sent.elapsed();
        assert_eq!(
            (pong.opcode, &*pong.payload),
            (PONG, &pings.to_be_bytes()[..])
        );
        assert!(took <= LIMIT, "{took:?}");
        longest = longest.max(took);
        pings += 1;
        thread::sleep(pinging.every.saturating_sub(took));
    }
    println!("{ours:?} {scheme:?} {overflow:?}: {pings} pings, longest {longest:?}");
    assert!(ws.closed().is_none());
    let kept = ws.drain(usize::MAX);
    let kept: Vec<_> = kept.iter().map(number_of).collect();
    assert!(kept.is_sorted() && kept.len() <= 16);
    match overflow {
        Overflow::DropNewest => assert!(kept.into_iter().eq(0..16)),
        _ => assert_eq!(kept.last(), Some(&(99 + pings))),
    }
}

/// A reader that waits for room answers none before there is room. Of the pings that came together
/// then, the last at least is answered (RFC 6455 section 5.5.3). Nothing is lost meanwhile.
fn pings_wait_behind_the_queue(scheme: Scheme, ours: Ours, pinging: Pinging) {
    let mut config = patient(ours.config());
    config.queue.messages = 16;
    let (ws, mut peer) = peer::open(ours, scheme, config);
    peer.numbers(0..100);
    stays_at(&ws, 16);
    peer.tcp.set_read_timeout(Some(pinging.every)).unwrap();
    let (began, mut pings) = (Instant::now(), 0_u64);
    while began.elapsed() < pinging.lasts {
        peer.frame(FIN | PING, &pings.to_be_bytes());
        pings += 1;
        let answer = peer.try_read();
        assert!(answer.is_err(), "with the queue full: {answer:?}");
    }
    assert!(ws.closed().is_none());
    assert_eq!(ws.queue().stats().received, 16);
    peer.tcp.set_read_timeout(Some(LATE)).unwrap();
    let drained = Instant::now();
    take(&ws, 0..100);
    let mut answered = Vec::new();
    while answered.last() != Some(&(pings - 1)) {
        let pong = peer.read();
        assert_eq!(pong.opcode, PONG);
        answered.push(u64::from_be_bytes(pong.payload.try_into().unwrap()));
    }
    let took = drained.elapsed();
    assert!(answered.is_sorted());
    let count = answered.len();
    println!("{ours:?} {scheme:?} Block: {pings} pings, {count} answered {took:?} after draining");
    ws.send("still open").unwrap();
    assert_eq!(peer.read().payload, b"still open");
    peer.frame(FIN | CLOSE, &[]);
    assert_eq!(peer.read_close(), None);
    assert!(ws.recv().is_err());
}

/// All of them at once.
fn ping_full_queues(pinging: Pinging) {
    let mut tasks = Vec::new();
    for ours in Ours::BOTH {
        for &scheme in Scheme::all() {
            for overflow in [
                Overflow::DropOldest,
                Overflow::DropNewest,
                Overflow::KeepLatest,
            ] {
                tasks.push(spawn(move || {
                    pings_are_answered(scheme, ours, overflow, pinging);
                }));
            }
            tasks.push(spawn(move || {
                pings_wait_behind_the_queue(scheme, ours, pinging);
            }));
        }
    }
    for task in tasks {
        task.within(pinging.lasts + LATE, "pinging");
    }
}

#[test]
fn pings_are_answered_with_the_queue_full_unless_the_policy_is_to_wait() {
    watchdog(60, || ping_full_queues(BRIEF));
}

#[test]
#[ignore = "takes 30 s: pings every second with a limit of 3 s"]
fn pings_are_answered_for_30_s_with_the_queue_full_unless_the_policy_is_to_wait() {
    watchdog(60, || ping_full_queues(LONG));
}
