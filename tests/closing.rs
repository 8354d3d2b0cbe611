//! The closing handshake, and how each way to the end looks from both sides.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{self, BINARY, CLOSE, FIN, Ours, Peer, TEXT, everywhere};
use common::{
    LATE, Scheme, Task, eventually, once_within, pair, pair_with, patient, spawn, watchdog,
};
use std::io::ErrorKind;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{
    CloseCode, CloseFrame, Closed, Config, Error, Initiator, Misuse, RecvError, RecvTimeoutError,
    Timeout, WebSocket,
};

/// The requirement is 200 ms from `close` to the end of a blocked receive call. The rest is for a loaded
/// machine.
const SOON: Duration = Duration::from_millis(200 + 300);

fn open(ours: Ours, scheme: Scheme) -> (WebSocket, Peer) {
    peer::open(ours, scheme, patient(ours.config()))
}

fn frame(code: u16) -> Option<CloseFrame> {
    Some(CloseFrame {
        code: code.into(),
        reason: "".into(),
    })
}

fn ended(received: Option<CloseFrame>, sent: Option<CloseFrame>, first: Initiator) -> Closed {
    Closed {
        received,
        sent,
        initiator: Some(first),
        ..Closed::default()
    }
}

/// A receive call that blocks, and what it returns when the connection is closed with 1000.
type Blocking = fn(&WebSocket);

const BLOCKING: [(&str, Blocking); 8] = [
    ("recv", |ws| {
        assert!(matches!(ws.recv(), Err(RecvError(Error::Closed(_)))));
    }),
    ("recv_timeout", |ws| {
        let result = ws.recv_timeout(6 * LATE);
        assert!(matches!(
            result,
            Err(RecvTimeoutError::Closed(Error::Closed(_)))
        ));
    }),
    ("recv_deadline", |ws| {
        let result = ws.recv_deadline(Instant::now() + 6 * LATE);
        assert!(matches!(
            result,
            Err(RecvTimeoutError::Closed(Error::Closed(_)))
        ));
    }),
    ("iter", |ws| assert!(ws.iter().next().is_none())),
    ("recv_batch", |ws| {
        let result = ws.recv_batch(10, 6 * LATE);
        assert!(matches!(
            result,
            Err(RecvTimeoutError::Closed(Error::Closed(_)))
        ));
    }),
    ("recv_latest", |ws| {
        assert!(matches!(ws.recv_latest(), Err(RecvError(Error::Closed(_)))));
    }),
    ("recv_or", |ws| {
        let result = ws.recv_or(&wsync::CancelToken::new());
        assert!(matches!(
            result,
            Err(wsync::RecvOrError::Closed(Error::Closed(_)))
        ));
    }),
    ("recv_streaming", |ws| {
        let result = ws.recv_streaming();
        assert!(matches!(result, Err(RecvError(Error::Closed(_)))));
    }),
];

#[test]
fn close_ends_blocked_receive_calls_of_other_threads() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            for (name, blocking) in BLOCKING {
                once_within(SOON, || {
                    let (ws, peer) = pair(scheme);
                    let answering = spawn(move || peer.iter().count());
                    let ws = Arc::new(ws);
                    let waiting: [_; 2] = [(); 2].map(|()| {
                        let ws = Arc::clone(&ws);
                        spawn(move || {
                            blocking(&ws);
                            Instant::now()
                        })
                    });
                    thread::sleep(Duration::from_millis(30));
                    let began = Instant::now();
                    assert!(ws.close().unwrap().is_normal());
                    answering.within(LATE, "the peer");
                    let ends = waiting.map(|task| task.within(LATE, name));
                    ends.into_iter().max().unwrap() - began
                });
            }
        }
    });
}

#[test]
fn close_ends_a_blocked_send_at_the_close_timeout() {
    let timeout = Duration::from_millis(400);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            once_within(timeout + Duration::from_millis(500), || {
                let mut config = patient(ours.config());
                config.timeouts.close = Some(timeout);
                let (ws, peer) = peer::open(ours, scheme, config);
                let sender = ws.sender().clone();
                let sending = spawn(move || (sender.send(vec![0; 64 << 20]), Instant::now()));
                peer.wait_for_a_message();
                assert!(sending.is_running());
                let began = Instant::now();
                let error = ws.close().unwrap_err();
                assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
                let (result, end) = sending.within(LATE, "the send");
                let error = result.unwrap_err();
                assert!(error.message.is_none(), "part of it is on the wire");
                let closed = ws.closed().unwrap();
                let last = began.elapsed().max(end - began);
                assert_eq!((&closed.received, &closed.sent), (&None, &frame(1000)));
                last
            });
        });
    });
}

#[test]
fn a_silent_peer_holds_up_close_and_blocked_receive_calls_until_the_close_timeout() {
    let timeout = Duration::from_millis(300);
    watchdog(120, move || {
        everywhere(|ours, scheme| {
            once_within(timeout + Duration::from_millis(500), || {
                let mut config = patient(ours.config());
                config.timeouts.close = Some(timeout);
                let (ws, _peer) = peer::open(ours, scheme, config);
                let ws = Arc::new(ws);
                let receiving = Arc::clone(&ws);
                let receiving = spawn(move || receiving.recv());
                let began = Instant::now();
                let error = ws.close().unwrap_err();
                let took = began.elapsed();
                assert!(took >= timeout, "{took:?}");
                assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
                let RecvError(error) = receiving.within(LATE, "recv").unwrap_err();
                assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
                let expected = ended(None, frame(1000), Initiator::Local);
                assert_eq!(ws.closed(), Some(expected));
                took
            });
        });
    });
}

#[test]
fn both_sides_may_close_at_once() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            for _ in 0..20 {
                let (client, server) = pair(scheme);
                let start = Arc::new(Barrier::new(2));
                let close = |ws: WebSocket, code: u16| {
                    let start = Arc::clone(&start);
                    spawn(move || {
                        start.wait();
                        ws.close_with(code, "").unwrap()
                    })
                };
                let tasks = [close(client, 4001), close(server, 4002)];
                let [client, server] = tasks.map(|task| task.within(LATE, "close"));
                // Whoever got the other's frame before it sent its own has answered with that.
                for (closed, own) in [(&client, 4001), (&server, 4002)] {
                    match closed.initiator.unwrap() {
                        Initiator::Local => assert_eq!(closed.sent, frame(own)),
                        Initiator::Remote => assert_eq!(closed.sent, closed.received),
                    }
                }
                assert_eq!(client.sent, server.received);
                assert_eq!(server.sent, client.received);
            }
        }
    });
}

#[test]
fn close_may_be_called_by_many_threads_and_again() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let (ws, peer) = pair(scheme);
            let answering = spawn(move || (peer.iter().count(), peer.closed()));
            let closing: Vec<Task<Closed>> = (0..8)
                .map(|n| {
                    let sender = ws.sender().clone();
                    spawn(move || sender.close_with(4000 + n, "").unwrap())
                })
                .collect();
            let closed: Vec<_> = closing
                .into_iter()
                .map(|task| task.within(LATE, "close"))
                .collect();
            assert!(closed.iter().all(|one| *one == closed[0]), "{closed:?}");
            assert_eq!(ws.close_with(1011, "too late").unwrap(), closed[0]);
            assert_eq!(ws.closed().as_ref(), Some(&closed[0]));
            let (messages, peer) = answering.within(LATE, "the peer");
            assert_eq!(messages, 1, "the error that tells of a code above 1001");
            assert_eq!(peer.unwrap().received, closed[0].sent);
        }
    });
}

#[test]
fn close_with_a_full_queue_records_the_peers_code_and_leaves_the_messages() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            once_within(SOON, || {
                let mut config = patient(ours.config());
                config.queue.messages = 4;
                let (ws, mut peer) = peer::open(ours, scheme, config);
                let text = peer::frame(FIN | TEXT, peer.masks(), b"x");
                peer.bytes(&text.repeat(5000));
                eventually("a full queue", || ws.len() == 4);
                let answering = spawn(move || {
                    let code = peer.read_close();
                    peer.frame(FIN | CLOSE, &4321_u16.to_be_bytes());
                    code
                });
                let began = Instant::now();
                let closed = ws.close().unwrap();
                let took = began.elapsed();
                assert_eq!(answering.within(LATE, "the peer"), Some(1000));
                assert_eq!(
                    (closed.received, closed.sent, closed.initiator),
                    (frame(4321), frame(1000), Some(Initiator::Local))
                );
                assert_eq!((ws.len(), closed.dropped), (4, 5000 - 4));
                for _ in 0..4 {
                    assert_eq!(ws.recv().unwrap().as_text(), Some("x"));
                }
                assert!(matches!(ws.recv(), Err(RecvError(Error::Closed(_)))));
                took
            });
        });
    });
}

#[test]
fn messages_before_the_close_are_delivered_and_then_the_end() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let (client, server) = pair(scheme);
            (0..500).for_each(|n| client.send(common::numbered(n)).unwrap());
            let closing = spawn(move || client.close().unwrap());
            // Those are queued when the end is known.
            eventually("the end", || server.closed().is_some());
            assert_eq!(server.len(), 500);
            for (n, message) in server.iter().enumerate() {
                assert_eq!(common::number_of(&message.unwrap()), n as u64);
            }
            assert!(matches!(server.recv(), Err(RecvError(Error::Closed(_)))));
            let error = server.send("too late").unwrap_err();
            assert!(matches!(error.error, Error::Closed(_)));
            assert_eq!(error.message.unwrap().as_text(), Some("too late"));
            assert!(closing.within(LATE, "close").is_normal());
        }
    });
}

#[test]
fn iteration_ends_silently_after_a_normal_close() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            for code in [1000, 1001] {
                let (ws, mut peer) = open(ours, scheme);
                peer.text("one");
                peer.close(code);
                let texts: Vec<_> = ws.iter().map(|message| message.unwrap()).collect();
                assert_eq!(texts, ["one".into()]);
                let expected = ended(frame(code), frame(code), Initiator::Remote);
                assert_eq!(ws.closed(), Some(expected));
                assert_eq!(peer.read_close(), Some(code), "the answer");
            }
            let (ws, mut peer) = open(ours, scheme);
            peer.frame(FIN | CLOSE, b"");
            assert!(ws.iter().next().is_none());
            let expected = ended(frame(1005), frame(1005), Initiator::Remote);
            assert_eq!(ws.closed(), Some(expected));
            assert_eq!(peer.read_close(), None, "the answer has no code either");
        });
    });
}

#[test]
fn iteration_yields_the_error_of_an_abnormal_close_once() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            for code in [1002, 1008, 1011, 1012, 3000, 4999] {
                let (ws, mut peer) = open(ours, scheme);
                peer.text("one");
                peer.close(code);
                let mut iter = ws.iter();
                assert_eq!(iter.next().unwrap().unwrap().as_text(), Some("one"));
                let expected = ended(frame(code), frame(code), Initiator::Remote);
                match iter.next().unwrap().unwrap_err() {
                    Error::Closed(closed) => assert_eq!(*closed, expected),
                    error => panic!("{error:?}"),
                }
                assert!(iter.next().is_none() && iter.next().is_none());
                assert_eq!(peer.read_close(), Some(code), "the answer");
            }
        });
    });
}

#[test]
fn iteration_yields_the_loss_of_a_connection_once() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            for (reset, kind) in [
                (false, ErrorKind::UnexpectedEof),
                (true, ErrorKind::ConnectionReset),
            ] {
                let (ws, mut peer) = open(ours, scheme);
                peer.text("one");
                eventually("a message", || ws.len() == 1);
                if reset {
                    peer.reset();
                } else {
                    peer.end();
                }
                let mut iter = ws.iter();
                assert_eq!(iter.next().unwrap().unwrap().as_text(), Some("one"));
                match iter.next().unwrap().unwrap_err() {
                    Error::Io(e) => assert_eq!(e.kind(), kind),
                    error => panic!("{error:?}"),
                }
                assert!(iter.next().is_none());
                assert_eq!(ws.closed(), Some(Closed::default()));
            }
        });
    });
}

#[test]
fn after_our_close_the_peer_may_send_on_until_its_own() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = open(ours, scheme);
            let sender = ws.sender().clone();
            let closing = spawn(move || sender.close_with(4000, "mine").unwrap());
            let close = peer.read();
            assert_eq!(close.payload, b"\x0f\xa0mine");
            peer.frame(TEXT, b"a late ");
            peer.frame(FIN, b"message");
            peer.frame(FIN | BINARY, b"and another");
            peer.close(4000);
            let closed = closing.within(LATE, "close");
            assert_eq!(closed.sent.unwrap().reason, "mine");
            let messages: Vec<_> = std::iter::from_fn(|| ws.recv().ok()).collect();
            assert_eq!(messages, ["a late message".into(), b"and another".into()]);
            peer.read_end();
        });
    });
}

#[test]
fn a_close_that_must_not_be_sent_is_misuse_and_leaves_the_connection_alone() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let (client, server) = pair_with(scheme, Config::client(), Config::server());
            for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
                let error = client.close_with(code, "").unwrap_err();
                let expected = Misuse::CloseCode(CloseCode::from(code));
                assert!(matches!(error, Error::Misuse(m) if m == expected));
            }
            let error = client.close_with(1000, "x".repeat(124)).unwrap_err();
            assert!(matches!(error, Error::Misuse(Misuse::CloseReason(124))));
            assert_eq!(client.closed(), None);
            client.send("alive").unwrap();
            let message = server.recv_timeout(LATE).unwrap();
            assert_eq!(message.as_text(), Some("alive"));
            let answering = spawn(move || server.iter().count());
            let closed = client.close_with(1000, "x".repeat(123)).unwrap();
            assert_eq!(closed.sent.unwrap().reason.len(), 123);
            answering.within(LATE, "the peer");
        }
    });
}
