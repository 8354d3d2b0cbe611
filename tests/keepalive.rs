//! Pings of our own: who is gone is noticed in time, and nobody else.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{FIN, Ours, PING, PONG, Peer, TEXT, everywhere, frame, open, open_with};
use common::{LATE, Scheme, eventually, once_within, pair, patient, spawn, watchdog};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, Keepalive, Misuse, Overflow, RecvError, Timeout, WebSocket};

const MS: Duration = Duration::from_millis(1);

fn keepalive(interval: Duration, timeout: Duration) -> Keepalive {
    let mut keepalive = Keepalive::off();
    (keepalive.interval, keepalive.timeout) = (Some(interval), Some(timeout));
    keepalive
}

fn config(ours: Ours, keepalive: Keepalive) -> Config {
    let mut config = patient(ours.config());
    config.keepalive = keepalive;
    config
}

fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Timeout(Timeout::Ping))
}

#[test]
fn a_peer_that_says_nothing_is_lost_after_interval_and_timeout() {
    let (interval, timeout) = (150 * MS, 200 * MS);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            once_within(interval + timeout + 500 * MS, || {
                let began = Instant::now();
                let (ws, mut peer) = open(ours, scheme, config(ours, keepalive(interval, timeout)));
                let RecvError(error) = ws.recv().unwrap_err();
                let took = began.elapsed();
                assert!(is_lost(&error), "{error}");
                assert!(took >= interval + timeout, "{took:?}");
                assert!(is_lost(&ws.send("x").unwrap_err().error));
                assert!(is_lost(&ws.close().unwrap_err()));
                // It had been asked, and is told why.
                let ping = peer.read();
                assert_eq!((ping.opcode, ping.payload.len()), (PING, 8));
                while let Ok(frame) = peer.try_read() {
                    if frame.opcode != PING {
                        assert_eq!(frame.code(), Some(1011));
                    }
                }
                took
            });
        });
    });
}

#[test]
fn whoever_waits_learns_of_the_loss_whatever_it_waits_for() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            let (ws, _peer) = open(ours, scheme, config(ours, keepalive(200 * MS, 200 * MS)));
            let ws = Arc::new(ws);
            let (receiving, sending) = (Arc::clone(&ws), ws.sender().clone());
            let receiving = spawn(move || receiving.recv().unwrap_err().0);
            let sending = spawn(move || sender_error(&sending));
            let pinging = ws.ping_wait(LATE).unwrap_err();
            assert!(is_lost(&pinging), "{pinging}");
            assert!(is_lost(&receiving.within(LATE, "recv")));
            assert!(is_lost(&sending.within(LATE, "send")));
        });
    });
}

/// Sends until it cannot.
fn sender_error(sender: &wsync::Sender) -> Error {
    loop {
        if let Err(error) = sender.send(vec![0; 1 << 20]) {
            return error.error;
        }
    }
}

#[test]
fn any_byte_is_a_sign_of_life() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme, config(ours, keepalive(150 * MS, 600 * MS)));
            let bytes = frame(FIN | TEXT, peer.masks(), &[b'x'; 20]);
            // No pong, only a message that drips: it takes longer than interval and timeout.
            let talking = spawn(move || {
                for byte in bytes {
                    peer.bytes(&[byte]);
                    thread::sleep(60 * MS);
                }
                peer
            });
            assert_eq!(ws.recv().unwrap().len(), 20);
            let _peer = talking.within(LATE, "the peer");
            assert!(ws.closed().is_none());
        });
    });
}

#[test]
fn a_peer_that_answers_stays_and_is_measured_whether_or_not_anybody_receives() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let (client, server) = pair(scheme);
            for ws in [&client, &server] {
                ws.set_keepalive(keepalive(20 * MS, 2000 * MS)).unwrap();
            }
            eventually("latencies", || {
                client.latency().is_some() && server.latency().is_some()
            });
            let first = client.latency().unwrap();
            eventually("another", || client.latency().unwrap() != first);
            let latency = client.latency().unwrap();
            assert!(latency.minimum <= latency.last && latency.minimum <= latency.smoothed);
            assert!(client.closed().is_none() && server.closed().is_none());
            assert_eq!(client.keepalive().interval, Some(20 * MS));
        }
    });
}

/// The queue is full and nobody takes: the peer's pong is behind data that is not read.
#[test]
fn a_full_queue_of_ours_is_no_silence_of_the_peer() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            let mut config = config(ours, keepalive(50 * MS, 100 * MS));
            (config.queue.messages, config.queue.overflow) = (1, Overflow::Block);
            let (ws, mut peer) = open(ours, scheme, config);
            for n in 0..50 {
                peer.text(&format!("{n}"));
            }
            eventually("a full queue", || ws.len() == 1);
            // The peer answers no ping, and its bytes wait to be read.
            let (over, mut talking) = (Instant::now() + 500 * MS, 0);
            while Instant::now() < over {
                peer.text("more");
                talking += 1;
                thread::sleep(20 * MS);
            }
            let received = (0..50 + talking).map(|_| ws.recv_timeout(LATE).unwrap());
            assert_eq!(received.count(), 50 + talking);
            assert!(ws.closed().is_none());
        });
    });
}

#[test]
fn a_callback_that_takes_its_time_is_no_silence_of_the_peer() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (done, handled) = std::sync::mpsc::channel();
            let delivery = common::delivery::Delivery::callback(move |_, _| {
                thread::sleep(400 * MS);
                done.send(()).unwrap();
            });
            let config = config(ours, keepalive(50 * MS, 100 * MS));
            let (ws, mut peer) = open_with(ours, scheme, config, delivery);
            peer.text("work");
            // Its pongs wait to be read.
            spawn(move || {
                while let Ok(frame) = peer.try_read() {
                    if frame.opcode == PING {
                        peer.frame(FIN | PONG, &frame.payload);
                    }
                }
            });
            handled.recv_timeout(LATE).unwrap();
            assert!(ws.closed().is_none());
        });
    });
}

#[test]
fn ping_wait_returns_how_long_it_took_and_leaves_the_connection_as_good_when_no_pong_comes() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme, config(ours, Keepalive::off()));
            let error = ws.ping_wait(50 * MS).unwrap_err();
            assert!(is_lost(&error), "{error}");
            assert!(ws.closed().is_none());
            let ws = Arc::new(ws);
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let ws = Arc::clone(&ws);
                    spawn(move || ws.ping_wait(LATE))
                })
                .collect();
            let pings: Vec<_> = (0..4).map(|_| peer.read()).collect();
            assert!(pings.iter().all(|ping| ping.opcode == PING));
            // The newest answer stands for all (RFC 6455 section 5.5.3).
            peer.frame(FIN | PONG, &pings[3].payload);
            for task in waiting {
                let took = task.within(LATE, "a ping").unwrap();
                assert!(took > Duration::ZERO && took < LATE);
            }
            assert!(ws.latency().is_some());
        });
    });
}

#[test]
fn ping_wait_ends_with_the_connection() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme, config(ours, Keepalive::off()));
            let (ws, pinging) = {
                let ws = Arc::new(ws);
                let clone = Arc::clone(&ws);
                (ws, spawn(move || clone.ping_wait(10 * LATE)))
            };
            assert_eq!(peer.read().opcode, PING);
            peer.close(1000);
            let error = pinging.within(LATE, "ping_wait").unwrap_err();
            assert!(matches!(error, Error::Closed(_)), "{error}");
            assert!(matches!(ws.ping_wait(LATE), Err(Error::Closed(_))));
        });
    });
}

#[test]
fn on_pong_gets_each_pong_and_what_it_sends_leaves() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let heard = Arc::new(Mutex::new(Vec::new()));
            let (pongs, answers) = (Arc::clone(&heard), Arc::new(Mutex::new(None)));
            let sender: Arc<Mutex<Option<wsync::Sender>>> = Arc::clone(&answers);
            let on_pong = move |pong: wsync::Pong| {
                let measured = pong.latency.is_some();
                pongs
                    .lock()
                    .unwrap()
                    .push((pong.payload.to_vec(), measured));
                if let Some(sender) = &*sender.lock().unwrap() {
                    sender.send("heard").unwrap();
                    assert!(matches!(
                        sender.ping_wait(LATE),
                        Err(Error::Misuse(Misuse::InCallback))
                    ));
                }
            };
            let config = config(ours, Keepalive::off());
            let (ws, mut peer) = open_with(
                ours,
                scheme,
                config,
                common::delivery::Delivery::pong(on_pong),
            );
            peer.frame(FIN | PONG, b"unasked");
            eventually("a pong", || heard.lock().unwrap().len() == 1);
            *answers.lock().unwrap() = Some(ws.sender().clone());
            let ws = Arc::new(ws);
            let clone = Arc::clone(&ws);
            let pinging = spawn(move || clone.ping_wait(LATE));
            let ping = peer.read();
            peer.frame(FIN | PONG, &ping.payload);
            pinging.within(LATE, "ping_wait").unwrap();
            assert_eq!(peer.read_message(), b"heard");
            let heard = heard.lock().unwrap().clone();
            assert_eq!(heard, [(b"unasked".to_vec(), false), (ping.payload, true)]);
            *answers.lock().unwrap() = None;
        });
    });
}

#[test]
fn a_panic_in_on_pong_fails_its_connection_with_1011() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let delivery = common::delivery::Delivery::pong(|_| panic!("on purpose"));
            let config = config(ours, Keepalive::off());
            let (ws, mut peer) = open_with(ours, scheme, config, delivery);
            peer.frame(FIN | PONG, b"");
            assert_eq!(peer.read_close(), Some(1011));
            let RecvError(error) = ws.recv().unwrap_err();
            assert!(matches!(error, Error::Misuse(Misuse::Panic)), "{error}");
        });
    });
}

#[test]
fn the_interval_can_be_changed_and_turned_off_while_the_connection_is_open() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme, config(ours, Keepalive::default()));
            ws.set_keepalive(keepalive(10 * MS, LATE)).unwrap();
            for _ in 0..3 {
                assert_eq!(peer.read().opcode, PING);
            }
            ws.set_keepalive(Keepalive::off()).unwrap();
            ws.send("last").unwrap();
            // What was under way may come before it, and nothing behind.
            while peer.read().opcode == PING {}
            ws.send("again").unwrap();
            assert_eq!(peer.read().payload, b"again");
            let zero = keepalive(Duration::ZERO, LATE);
            assert!(matches!(ws.set_keepalive(zero), Err(Misuse::Config(_))));
        });
    });
}

/// Pings wait in one place, however long the peer does not read.
#[test]
fn pings_to_a_peer_that_does_not_read_do_not_pile_up() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme, config(ours, keepalive(5 * MS, LATE)));
            let sending = spawn({
                let sender = ws.sender().clone();
                move || sender.send(vec![0; 16 << 20])
            });
            peer.wait_for_a_message();
            // A hundred intervals.
            thread::sleep(500 * MS);
            let mut pings = 0;
            loop {
                match peer.read() {
                    frame if frame.opcode == PING => pings += 1,
                    frame if frame.fin => break,
                    _ => {}
                }
            }
            sending.within(LATE, "the send").unwrap();
            // Those before the message filled the buffers, one in the writer's hands, one in the outbox,
            // and those that became due while the peer was reading.
            assert!(pings < 60, "{pings} pings");
        });
    });
}

#[test]
fn receive_calls_in_a_callback_of_the_connection_fail_instead_of_waiting_for_ever() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let handle: Arc<Mutex<Option<WebSocket>>> = Arc::default();
            let (inner, (done, result)) = (Arc::clone(&handle), std::sync::mpsc::channel());
            let delivery = common::delivery::Delivery::callback(move |_, _| {
                let ws = inner.lock().unwrap();
                let ws = ws.as_ref().unwrap();
                let error = ws.recv().unwrap_err().0;
                let last = ws.iter().next().unwrap().unwrap_err();
                done.send((error, last)).unwrap();
            });
            let config = config(ours, Keepalive::off());
            let (ws, mut peer): (_, Peer) = open_with(ours, scheme, config, delivery);
            *handle.lock().unwrap() = Some(ws);
            peer.text("x");
            let (error, last) = result.recv_timeout(LATE).unwrap();
            assert!(
                matches!(error, Error::Misuse(Misuse::InCallback)),
                "{error}"
            );
            assert!(matches!(last, Error::Misuse(Misuse::InCallback)), "{last}");
            *handle.lock().unwrap() = None;
        });
    });
}
