//! What a callback may do to its connection, and how a connection with a callback ends.

#![allow(clippy::unwrap_used)]

mod common;

use common::delivery::Delivery;
use common::peer::{self, CLOSE, FIN, Ours, PING, TEXT};
use common::{
    LATE, Scheme, client_builder, eventually, once_within, patient, server_builder, spawn, watchdog,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{CloseCode, Error, Misuse, WebSocket};

/// Runs `test` with both sides and both schemes.
fn for_all(test: impl Fn(Ours, Scheme) + Send + 'static) {
    watchdog(120, move || {
        for ours in Ours::BOTH {
            for &scheme in Scheme::all() {
                test(ours, scheme);
            }
        }
    });
}

/// Why the connection ended.
fn end(ws: &WebSocket) -> Error {
    match ws.recv_timeout(LATE) {
        Err(wsync::RecvTimeoutError::Closed(error)) => error,
        other => panic!("no end: {other:?}"),
    }
}

/// A handle for a callback to drop.
type Slot = Arc<Mutex<Option<WebSocket>>>;

#[test]
fn every_way_to_send_works_from_inside() {
    for_all(|ours, scheme| {
        let callback = Delivery::callback(|sender, message| {
            sender.feed("fed").unwrap();
            sender.flush().unwrap();
            sender.send(message).unwrap();
            sender.ping("ping").unwrap();
            sender.send_all(["one", "two"]).unwrap();
            sender.pong("pong").unwrap();
            // More than a fragment.
            sender.send(vec![7; 3 << 20]).unwrap();
            sender.feed("left in the outbox").unwrap();
        });
        let (_ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
        for _ in 0..3 {
            peer.text("hello");
            let frames: Vec<_> = (0..9).map(|_| peer.read()).collect();
            let small: Vec<_> = frames.iter().filter(|f| f.payload.len() < 100).collect();
            let small: Vec<_> = small.iter().map(|f| &f.payload[..]).collect();
            let expected = ["fed", "hello", "ping", "one", "two", "pong"];
            assert_eq!(small, expected.map(str::as_bytes));
            assert_eq!(
                frames[6..].iter().map(|f| f.payload.len()).sum::<usize>(),
                3 << 20
            );
            assert_eq!(peer.read().payload, b"left in the outbox");
        }
    });
}

#[test]
fn a_close_from_inside_does_not_wait() {
    for_all(|ours, scheme| {
        let callback = Delivery::callback(|sender, message| {
            sender.send(message).unwrap();
            let closed = sender.close_with(CloseCode::from(4000), "enough").unwrap();
            assert_eq!(closed.sent.unwrap().code, CloseCode::from(4000));
            assert!(sender.send("too late").is_err());
            sender.close().unwrap();
        });
        let config = patient(ours.config());
        let (ws, other) = callback.pair(ours, scheme, config.clone(), config);
        other.send("hello").unwrap();
        assert_eq!(other.recv_timeout(LATE).unwrap().as_text(), Some("hello"));
        assert!(matches!(end(&other), Error::Closed(_)));
        assert_eq!(
            u16::from(other.closed().unwrap().received.unwrap().code),
            4000
        );
        assert!(matches!(end(&ws), Error::Closed(_)));
    });
}

#[test]
fn a_close_from_inside_ends_a_flood() {
    for_all(|ours, scheme| {
        let seen = AtomicUsize::new(0);
        let callback = Delivery::callback(move |sender, _| {
            if seen.fetch_add(1, Ordering::SeqCst) == 1000 {
                sender.close().unwrap();
            }
        });
        let mut config = patient(ours.config());
        config.timeouts.close = Some(Duration::from_millis(500));
        let (ws, mut peer) = callback.open(ours, scheme, config);
        let frames = peer::frame(FIN | TEXT, peer.masks(), b"x").repeat(500);
        // It never answers.
        let flooding = spawn(move || while peer.try_bytes(&frames).is_ok() {});
        let error = end(&ws);
        assert!(matches!(error, Error::Timeout(_)), "{error:?}");
        flooding.within(LATE, "flooding");
    });
}

#[test]
fn dropping_the_last_handle_from_inside_closes_with_1001() {
    for_all(|ours, scheme| {
        let slot = Slot::default();
        let inner = Arc::clone(&slot);
        let callback = Delivery::callback(move |sender, message| {
            drop(inner.lock().unwrap().take());
            // It lives as long as the callback runs.
            sender.send(message).unwrap();
        });
        let (ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
        *slot.lock().unwrap() = Some(ws);
        peer.text("hello");
        assert_eq!(peer.read().payload, b"hello");
        assert_eq!(peer.read_close(), Some(1001));
        peer.close(1001);
        peer.read_end_and_leave();
    });
}

#[test]
fn dropping_the_handle_closes_with_1001() {
    for_all(|ours, scheme| {
        let callback = Delivery::callback(|_, _| {});
        let (ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
        drop(ws);
        assert_eq!(peer.read_close(), Some(1001));
        peer.close(1001);
        peer.read_end_and_leave();
    });
}

#[test]
fn a_panic_fails_the_connection_with_1011_and_no_callback_follows() {
    for_all(|ours, scheme| {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let callback = Delivery::callback(move |sender, message| {
            count.fetch_add(1, Ordering::SeqCst);
            assert_ne!(message.as_text(), Some("panic"), "as it was told");
            sender.send(message).unwrap();
        });
        let (ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
        let texts = ["first", "panic", "later", "later"];
        let frames = texts.map(|text| peer::frame(FIN | TEXT, peer.masks(), text.as_bytes()));
        peer.bytes(&frames.concat());
        // What it had sent before goes out.
        assert_eq!(peer.read().payload, b"first");
        assert_eq!(peer.read_close(), Some(1011));
        let error = end(&ws);
        assert!(matches!(error, Error::Misuse(Misuse::Panic)), "{error:?}");
        assert!(ws.send("more").is_err());
        peer.read_end_and_leave();
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        // What came with it was not delivered, and is not kept.
        assert!(ws.is_empty());
        assert_eq!(ws.queue().stats().dropped, 2);
    });
}

#[test]
fn a_panic_harms_no_other_connection_of_the_server() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let server = server_builder(scheme).bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().port();
            let serving = server.clone();
            let serving = spawn(move || {
                serving.serve_upgrades(|upgrade| {
                    let answer = |sender: &wsync::Sender, message: wsync::Message| {
                        assert_ne!(message.as_text(), Some("panic"), "as it was told");
                        let _ = sender.send(message);
                    };
                    let ws = upgrade.unwrap().on_message(answer).accept().unwrap();
                    let _ = ws.recv();
                })
            });
            let connect = || client_builder(scheme, port).connect().unwrap();
            let (other, ws) = (connect(), connect());
            ws.send("panic").unwrap();
            assert!(matches!(end(&ws), Error::Closed(_)));
            assert_eq!(u16::from(ws.closed().unwrap().received.unwrap().code), 1011);
            for ws in [other, connect()] {
                ws.send("alive").unwrap();
                assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("alive"));
            }
            server.shutdown().unwrap();
            serving.within(LATE, "serve").unwrap();
        }
    });
}

#[test]
fn what_came_before_the_end_is_handed_on_and_can_be_answered() {
    for_all(|ours, scheme| {
        for normal in [true, false] {
            let (put, got) = mpsc::channel();
            let put = Mutex::new(put);
            let callback = Delivery::callback(move |sender, message| {
                thread::sleep(Duration::from_millis(2));
                let sent = sender.send(message.clone()).is_ok();
                put.lock().unwrap().send((message, sent)).unwrap();
            });
            let (ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
            let mut bytes = peer::frame(FIN | TEXT, peer.masks(), b"x").repeat(20);
            // With the end behind them in the same read: a Close frame, or a reserved opcode.
            let last = if normal { CLOSE } else { 0x3 };
            bytes.extend(peer::frame(
                FIN | last,
                peer.masks(),
                &1000u16.to_be_bytes(),
            ));
            peer.bytes(&bytes);
            for _ in 0..20 {
                let (message, sent) = got.recv_timeout(LATE).unwrap();
                assert_eq!((message.as_text(), sent), (Some("x"), true));
                assert_eq!(peer.read().payload, b"x");
            }
            assert_eq!(peer.read_close(), Some(if normal { 1000 } else { 1002 }));
            peer.read_end_and_leave();
            assert_eq!(matches!(end(&ws), Error::Closed(_)), normal);
            assert_eq!(ws.queue().stats().delivered, 20);
        }
    });
}

#[test]
fn a_close_beside_a_slow_callback_waits_for_it_no_longer_than_its_timeout() {
    for_all(|ours, scheme| {
        // A callback that still runs then is not interrupted.
        once_within(Duration::from_millis(300 + 1000 + 500), || {
            let (begun, began) = mpsc::channel();
            let (go, gone) = mpsc::channel::<()>();
            let both = Mutex::new((begun, gone));
            let callback = Delivery::callback(move |_, _| {
                let both = both.lock().unwrap();
                both.0.send(()).unwrap();
                let _ = both.1.recv_timeout(LATE);
            });
            let mut config = patient(ours.config());
            config.timeouts.close = Some(Duration::from_millis(300));
            let (ws, mut peer) = callback.open(ours, scheme, config);
            peer.text("go");
            began.recv_timeout(LATE).unwrap();
            let closing = Instant::now();
            assert!(matches!(ws.close(), Err(Error::Timeout(_))));
            let took = closing.elapsed();
            drop(go);
            assert!(matches!(end(&ws), Error::Timeout(_)));
            took
        });
    });
}

#[test]
fn a_server_may_be_shut_down_from_a_callback() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            once_within(Duration::from_secs(2), || {
                let server = server_builder(scheme).bind("127.0.0.1:0").unwrap();
                let port = server.local_addr().port();
                let serving = server.clone();
                let (put, got) = mpsc::channel();
                let serving = spawn(move || {
                    let stop = serving.clone();
                    serving.serve_upgrades(move |upgrade| {
                        let (stop, put) = (stop.clone(), Mutex::new(put.clone()));
                        let shutdown = move |_: &wsync::Sender, _| {
                            put.lock().unwrap().send(stop.shutdown().is_ok()).unwrap();
                        };
                        let ws = upgrade.unwrap().on_message(shutdown).accept().unwrap();
                        let _ = ws.recv();
                    })
                });
                let ws = client_builder(scheme, port).connect().unwrap();
                let began = Instant::now();
                ws.send("stop").unwrap();
                assert!(got.recv_timeout(LATE).unwrap());
                assert!(matches!(end(&ws), Error::Closed(_)));
                assert_eq!(u16::from(ws.closed().unwrap().received.unwrap().code), 1001);
                serving.within(LATE, "serve").unwrap();
                began.elapsed()
            });
        }
    });
}

#[test]
fn a_look_at_the_queue_from_another_thread_loses_nothing() {
    for_all(|ours, scheme| {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let callback = Delivery::callback(move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let (ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
        let queue = ws.queue();
        let seeing = Arc::clone(&seen);
        let looking = spawn(move || {
            while seeing.load(Ordering::SeqCst) < 20_000 {
                let _ = (queue.oldest_age(), queue.peek(), queue.snapshot());
                thread::yield_now();
            }
        });
        let frames = peer::frame(FIN | TEXT, peer.masks(), b"x").repeat(20_000);
        peer.bytes(&frames);
        eventually("a callback for each", || {
            seen.load(Ordering::SeqCst) == 20_000
        });
        looking.within(LATE, "looking");
        peer.frame(FIN | PING, b"");
        peer.read();
    });
}
