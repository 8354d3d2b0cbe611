//! Receive calls that read the socket themselves: what that saves, and what it must not change.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{FIN, Ours, PING, PONG, Peer, TEXT, everywhere, frame, open};
use common::{LATE, Scheme, eventually, once_within, pair, patient, spawn, watchdog};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{CancelToken, Config, Misuse, QueueView, Server, WebSocket};

/// The application has taken one message and is busy: nobody reads, for a while.
fn busy(ours: Ours, scheme: Scheme) -> (WebSocket, Peer) {
    let (ws, mut peer) = open(ours, scheme, patient(ours.config()));
    peer.text("the first");
    assert_eq!(ws.recv().unwrap().as_text(), Some("the first"));
    (ws, peer)
}

/// Texts for one write.
fn burst(peer: &Peer, texts: &[&str]) -> Vec<u8> {
    let frames = texts
        .iter()
        .map(|text| frame(FIN | TEXT, peer.masks(), text.as_bytes()));
    frames.collect::<Vec<_>>().concat()
}

#[test]
fn a_ping_is_answered_while_the_application_is_busy() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            once_within(Duration::from_millis(100), || {
                let (_ws, mut peer) = busy(ours, scheme);
                let began = Instant::now();
                peer.frame(FIN | PING, b"there?");
                let pong = peer.read();
                assert_eq!((pong.opcode, &*pong.payload), (PONG, &b"there?"[..]));
                began.elapsed()
            });
        });
    });
}

#[test]
fn a_close_is_answered_while_the_application_is_busy() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = busy(ours, scheme);
            peer.close(1000);
            assert_eq!(peer.read_close(), Some(1000));
            eventually("the end", || ws.closed().is_some());
        });
    });
}

#[test]
fn what_comes_while_the_application_is_busy_is_seen_in_the_queue() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            once_within(Duration::from_millis(100), || {
                let (ws, mut peer) = busy(ours, scheme);
                let began = Instant::now();
                ["a", "b", "c"].into_iter().for_each(|text| peer.text(text));
                let view: QueueView = ws.queue();
                eventually("three messages", || view.len() == 3);
                let took = began.elapsed();
                let texts: Vec<_> = view.snapshot();
                assert_eq!(texts[2].as_text(), Some("c"));
                took
            });
        });
    });
}

#[test]
fn a_call_that_does_not_wait_gets_what_has_come() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = busy(ours, scheme);
            peer.text("the second");
            // Over loopback it is there at once; the call reads it, or the thread did.
            eventually("the second", || {
                ws.try_recv()
                    .is_ok_and(|m| m.as_text() == Some("the second"))
            });
            ["a", "b", "c"].into_iter().for_each(|text| peer.text(text));
            let mut count = 0;
            eventually("all of them", || {
                count += ws.try_iter().count();
                count == 3
            });
            peer.text("dropped");
            eventually("one to drop", || ws.clear() == 1);
            ["d", "e"].into_iter().for_each(|text| peer.text(text));
            eventually("the last", || {
                ws.drain(10)
                    .last()
                    .is_some_and(|m| m.as_text() == Some("e"))
            });
        });
    });
}

#[test]
fn the_answer_to_the_first_of_a_burst_leaves_while_the_second_is_worked_on() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            once_within(Duration::from_millis(100), || {
                let (ws, mut peer) = busy(ours, scheme);
                let (done, work) = mpsc::channel();
                let working = spawn(move || {
                    for message in ws.iter().take(3) {
                        ws.send(message.unwrap()).unwrap();
                        // As long as the answer has not arrived.
                        work.recv_timeout(LATE).unwrap();
                    }
                });
                peer.bytes(&burst(&peer, &["1", "2", "3"]));
                let began = Instant::now();
                let mut took = Duration::ZERO;
                for answer in ["1", "2", "3"] {
                    assert_eq!(peer.read_message(), answer.as_bytes());
                    took = took.max(began.elapsed());
                    done.send(()).unwrap();
                }
                working.within(LATE, "the application");
                took
            });
        });
    });
}

#[test]
fn a_send_beside_a_consumer_that_was_quick_and_then_is_not_leaves_soon() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            once_within(Duration::from_millis(100), || {
                let (ws, mut peer) = busy(ours, scheme);
                let (ws, (done, work)) = (Arc::new(ws), mpsc::channel());
                let consuming = Arc::clone(&ws);
                let consumer = spawn(move || {
                    consuming.iter().take(50).for_each(drop);
                    work.recv_timeout(LATE).unwrap();
                });
                let five = burst(&peer, &["one of five"; 5]);
                (0..10).for_each(|_| peer.bytes(&five));
                let began = Instant::now();
                ws.send("beside").unwrap();
                assert_eq!(peer.read_message(), b"beside");
                let took = began.elapsed();
                done.send(()).unwrap();
                consumer.within(LATE, "the consumer");
                took
            });
        });
    });
}

#[test]
fn two_that_send_more_than_fits_before_they_receive_do_not_wait_for_each_other() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let (client, server) = pair(scheme);
            let ends = [client, server].map(|ws| {
                spawn(move || {
                    for round in 0..3 {
                        (0..40).for_each(|_| ws.send(vec![round; 500_000]).unwrap());
                        for message in ws.iter().take(40) {
                            assert_eq!(message.unwrap().as_bytes()[0], round);
                        }
                    }
                    ws
                })
            });
            drop(ends.map(|end| end.within(LATE, "an end")));
        }
    });
}

#[test]
fn a_deadline_is_kept_while_a_message_drips_in() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = busy(ours, scheme);
            let bytes = frame(FIN | TEXT, peer.masks(), &[b'x'; 100]);
            let dripping = spawn(move || {
                for byte in bytes {
                    peer.bytes(&[byte]);
                    thread::sleep(Duration::from_millis(5));
                }
                peer
            });
            let began = Instant::now();
            assert!(ws.recv_timeout(Duration::from_millis(50)).is_err());
            assert!(began.elapsed() < LATE / 2);
            assert_eq!(ws.recv().unwrap().len(), 100);
            drop(dripping.within(LATE, "the peer"));
        });
    });
}

#[test]
fn consumers_of_all_kinds_share_the_messages() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            let (ws, mut peer) = busy(ours, scheme);
            let ws = Arc::new(ws);
            let stop = CancelToken::new();
            let blocking = Arc::clone(&ws);
            let timed = Arc::clone(&ws);
            let stopped = (Arc::clone(&ws), stop.clone());
            let tasks = [
                spawn(move || blocking.iter().count()),
                spawn(move || {
                    let mut count = 0;
                    while timed.closed().is_none() || !timed.is_empty() {
                        let got = timed.recv_timeout(Duration::from_millis(3));
                        count += usize::from(got.is_ok());
                    }
                    count
                }),
                spawn(move || {
                    let (ws, stop) = stopped;
                    std::iter::from_fn(|| ws.recv_or(&stop).ok()).count()
                }),
            ];
            for n in 0..300 {
                peer.text("one of many");
                if n % 50 == 0 {
                    thread::sleep(Duration::from_millis(30));
                }
            }
            peer.close(1000);
            let counts = tasks.map(|task| task.within(LATE, "a consumer"));
            assert_eq!(counts.iter().sum::<usize>(), 300, "{counts:?}");
            drop(stop);
        });
    });
}

#[test]
fn a_timeout_of_zero_gets_what_has_come() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            once_within(Duration::from_millis(10), || {
                let (ws, mut peer) = busy(ours, scheme);
                peer.text("the second");
                let began = Instant::now();
                while ws.recv_timeout(Duration::ZERO).is_err() {
                    assert!(began.elapsed() < LATE);
                }
                began.elapsed()
            });
        });
    });
}

#[test]
fn run_serves_a_callback_in_the_thread_of_the_handler() {
    watchdog(60, || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let (ended, ends) = mpsc::channel();
        let serving = server.clone();
        thread::spawn(move || {
            serving.serve_upgrades(move |upgrade| {
                let handler = thread::current().id();
                let same = move |sender: &wsync::Sender, message| {
                    assert_eq!(thread::current().id(), handler);
                    sender.send(message).unwrap();
                };
                let ws = upgrade.unwrap().on_message(same).run().unwrap();
                ended.send((ws.closed(), ws.recv().is_err())).unwrap();
            })
        });
        let client = common::client_builder(Scheme::Ws, port).connect().unwrap();
        client.send("over and back").unwrap();
        assert_eq!(client.recv().unwrap().as_text(), Some("over and back"));
        client.close().unwrap();
        let (closed, no_more) = ends.recv_timeout(LATE).unwrap();
        assert!(closed.unwrap().is_normal() && no_more);
        let client = common::client_builder(Scheme::Ws, port).connect().unwrap();
        drop(server.shutdown());
        let (closed, _) = ends.recv_timeout(LATE).unwrap();
        assert_eq!(
            closed.unwrap().sent.unwrap().code,
            wsync::CloseCode::GOING_AWAY
        );
        drop(client);
    });
}

#[test]
fn run_without_anything_to_run_for_is_refused() {
    watchdog(60, || {
        let server = Server::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let mut incoming = server.incoming().unwrap();
        let serving = spawn(move || incoming.next().unwrap().run().map(drop));
        assert!(common::client_builder(Scheme::Ws, port).connect().is_err());
        let error = serving.within(LATE, "run").unwrap_err();
        assert!(matches!(error, wsync::Error::Misuse(Misuse::NoDelivery)));
    });
}

/// The threads of this process that read a connection.
#[cfg(target_os = "linux")]
fn readers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    tasks
        .filter_map(|task| name(task.ok()?))
        .filter(|name| name.trim() == "ws-read")
        .count()
}

/// By itself, since all tests of a process share its threads.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "counts the threads of the process: alone only"]
fn a_connection_has_a_reader_thread_only_while_it_needs_one() {
    watchdog(120, || {
        let (ws, mut peer) = open(Ours::Server, Scheme::Ws, Config::server());
        let ws = Arc::new(ws);
        let waiting = Arc::clone(&ws);
        let echo = spawn(move || {
            for message in waiting.iter().take(101) {
                waiting.send(message.unwrap()).unwrap();
            }
        });
        for _ in 0..100 {
            peer.text("quick");
            assert_eq!(peer.read_message(), b"quick");
        }
        thread::sleep(Duration::from_millis(200));
        assert_eq!(readers(), 0, "while a thread waits in recv");
        peer.text("last");
        echo.within(LATE, "the application");
        eventually("a reader", || readers() == 1);
        // A thread that waits gets the next message from it, and reads itself from then on.
        for _ in 0..2 {
            peer.text("again");
            assert_eq!(ws.recv().unwrap().as_text(), Some("again"));
        }
        let waiting = Arc::clone(&ws);
        let last = spawn(move || waiting.recv());
        eventually("no reader", || readers() == 0);
        peer.close(1000);
        assert!(last.within(LATE, "recv").is_err());
    });
}
