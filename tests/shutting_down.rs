//! A server that stops within a time, and what it tells of it.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{CLOSE, Peer, REQUEST};
use common::{LATE, Scheme, Serving, client_builder, eventually, once_within, patient};
use common::{server_builder, spawn, watchdog};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, RecvError, Server, ServerBuilder, ServerLimits, ShutdownReport};
use wsync::{Timeout, WebSocket};

/// Soon enough to wait for, late enough for a machine.
const SOON: Duration = Duration::from_millis(200);

/// With a close timeout that is none of these tests'.
fn builder(scheme: Scheme) -> ServerBuilder {
    server_builder(scheme).config(patient(Config::server()))
}

/// Peers that never answer a Close frame.
fn silent_peers(scheme: Scheme, port: u16) -> [Peer; 3] {
    [(); 3].map(|()| {
        let mut peer = Peer::connect(port, scheme);
        peer.request(None);
        peer
    })
}

fn wait_for_connections<T>(came: &mpsc::Receiver<T>, count: usize) {
    for _ in 0..count {
        came.recv_timeout(LATE).unwrap();
    }
}

/// A server whose handlers tell that they begin, and how it ended.
fn telling(builder: ServerBuilder) -> (Serving, mpsc::Receiver<()>, mpsc::Receiver<Option<Error>>) {
    let ((begin, begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
    let serving = Serving::new(builder, move |ws: WebSocket| {
        let _ = begin.send(());
        let last = ws.iter().last();
        let _ = end.send(last.and_then(Result::err));
    });
    (serving, begun, ended)
}

fn counts(report: &ShutdownReport) -> [usize; 5] {
    let ShutdownReport {
        told,
        ended,
        cut_off,
        refused,
        busy,
        ..
    } = *report;
    [told, ended, cut_off, refused, busy]
}

#[test]
fn peers_that_close_end_in_time() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            once_within(Duration::from_secs(1), || {
                let (serving, begun, _) = telling(builder(scheme));
                let clients = [(); 3].map(|()| client_builder(scheme, serving.port).connect());
                let clients = clients.map(Result::unwrap);
                wait_for_connections(&begun, 3);
                let began = Instant::now();
                let report = serving.server.shutdown_within(LATE);
                let took = began.elapsed();
                assert_eq!(counts(&report), [3, 3, 0, 0, 0]);
                assert!(report.is_clean());
                for ws in clients {
                    let Err(RecvError(Error::Closed(closed))) = ws.recv() else {
                        panic!("no Close frame");
                    };
                    assert_eq!(u16::from(closed.received.as_ref().unwrap().code), 1001);
                }
                took
            });
        }
    });
}

#[test]
fn peers_that_never_answer_are_cut_off_at_the_deadline_and_their_handlers_see_the_end() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            once_within(SOON + Duration::from_millis(500), || {
                let (serving, begun, ended) = telling(builder(scheme));
                let mut peers = silent_peers(scheme, serving.port);
                wait_for_connections(&begun, 3);
                let began = Instant::now();
                let report = serving.server.shutdown_within(SOON);
                let took = began.elapsed();
                assert_eq!(counts(&report), [3, 0, 3, 0, 0]);
                assert!(took >= SOON, "{took:?}");
                for peer in &mut peers {
                    assert_eq!(peer.read().code(), Some(1001));
                    let error = ended.recv_timeout(LATE).unwrap();
                    let timeout = matches!(error, Some(Error::Timeout(Timeout::Close)));
                    assert!(timeout, "{error:?}");
                    assert!(peer.try_read().is_err());
                }
                took
            });
        }
    });
}

#[test]
fn the_deadline_is_longer_than_the_close_timeout_if_it_says_so() {
    watchdog(60, || {
        let mut config = patient(Config::server());
        config.timeouts.close = Some(Duration::from_millis(1));
        let (serving, begun, _) = telling(Server::builder().config(config));
        let mut peers = silent_peers(Scheme::Ws, serving.port);
        wait_for_connections(&begun, 3);
        let stopping = spawn(move || serving.server.shutdown_within(LATE));
        for peer in &mut peers {
            assert_eq!(peer.read().code(), Some(1001));
        }
        thread::sleep(SOON);
        peers.iter_mut().for_each(|peer| peer.close(1001));
        let report = stopping.within(LATE, "shutdown");
        assert_eq!(counts(&report), [3, 3, 0, 0, 0]);
    });
}

#[test]
fn handlers_that_do_not_return_are_counted_and_waited_for_no_longer() {
    watchdog(60, || {
        once_within(SOON + Duration::from_millis(500), || {
            let ((begin, begun), (go, gone)) = (mpsc::channel(), mpsc::channel::<()>());
            let gone = Mutex::new(gone);
            let serving = Serving::new(builder(Scheme::Ws), move |_ws| {
                begin.send(()).unwrap();
                let _ = gone.lock().unwrap().recv();
            });
            let clients = [(); 2].map(|()| client_builder(Scheme::Ws, serving.port).connect());
            wait_for_connections(&begun, 2);
            let began = Instant::now();
            let report = serving.server.shutdown_within(SOON);
            let took = began.elapsed();
            assert_eq!(counts(&report), [2, 2, 0, 0, 2]);
            assert!(!report.is_clean() && took >= SOON, "{took:?}");
            drop((go, clients));
            let report = serving.server.shutdown_within(LATE);
            assert_eq!(report, ShutdownReport::default());
            took
        });
    });
}

#[test]
fn opening_handshakes_are_refused_and_cut_off_if_their_clients_stay() {
    watchdog(60, || {
        let connect = |port| {
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client.write_all(&REQUEST.as_bytes()[..20]).unwrap();
            client
        };
        let refusal = |mut client: TcpStream| {
            let mut refusal = String::new();
            client.read_to_string(&mut refusal).unwrap();
            assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
        };
        // Refused clients have a second to read why.
        once_within(Duration::from_millis(500), || {
            let mut limits = ServerLimits::default();
            limits.connections = Some(2);
            let serving = Serving::echo(builder(Scheme::Ws).limits(limits));
            let clients = [(); 2].map(|()| connect(serving.port));
            // Who finds no place comes after handshakes that are under way.
            refusal(connect(serving.port));
            let began = Instant::now();
            let report = serving.server.shutdown_within(Duration::from_millis(50));
            let took = began.elapsed();
            assert_eq!(counts(&report), [0, 0, 0, 2, 0]);
            clients.into_iter().for_each(refusal);
            took
        });
    });
}

#[test]
fn it_may_be_called_again_and_by_several_at_once() {
    watchdog(60, || {
        let (serving, begun, _) = telling(builder(Scheme::Ws));
        let mut peers = silent_peers(Scheme::Ws, serving.port);
        wait_for_connections(&begun, 3);
        let patient = [(); 2].map(|()| serving.server.clone());
        let patient = patient.map(|server| spawn(move || server.shutdown_within(LATE)));
        for peer in &mut peers {
            assert_eq!(peer.read().code(), Some(1001));
        }
        assert!(patient.iter().all(common::Task::is_running));
        let report = serving.server.shutdown_within(Duration::ZERO);
        assert_eq!(counts(&report), [3, 0, 3, 0, 0]);
        let patient = patient.map(|task| counts(&task.within(LATE, "another call")));
        for [told, ended, cut_off, refused, busy] in patient {
            // One may have come when some were cut off already.
            assert_eq!([cut_off, ended, refused, busy], [told, 0, 0, 0]);
        }
        assert!(patient.iter().any(|counts| counts[0] == 3), "{patient:?}");
        let report = serving.server.shutdown_within(LATE);
        assert_eq!(report, ShutdownReport::default());
        serving.server.shutdown().unwrap();
    });
}

#[test]
fn called_from_a_handler_it_waits_for_all_others() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let server = builder(scheme).bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().port();
            let ((tell, told), (begin, begun)) = (mpsc::channel(), mpsc::channel());
            let (serve, stop) = (server.clone(), server);
            let serving = spawn(move || {
                serve.serve(move |ws| {
                    begin.send(()).unwrap();
                    if ws.recv().is_ok() {
                        tell.send(stop.shutdown_within(SOON)).unwrap();
                    }
                })
            });
            let _silent = silent_peers(scheme, port);
            wait_for_connections(&begun, 3);
            let ws = client_builder(scheme, port).connect().unwrap();
            ws.send("stop").unwrap();
            let report = told.recv_timeout(LATE).unwrap();
            // The client answers the Close frame by itself; the others do not.
            let _ = ws.recv();
            assert_eq!(counts(&report), [4, 1, 3, 0, 0]);
            serving.within(LATE, "serving").unwrap();
        }
    });
}

#[test]
fn called_from_a_callback_it_does_not_wait_and_the_deadline_holds() {
    watchdog(60, || {
        let server = builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let ((tell, told), (end, ended)) = (mpsc::channel(), mpsc::channel());
        let (serve, stop) = (server.clone(), server);
        let _serving = spawn(move || {
            serve.serve_upgrades(move |upgrade| {
                let (stop, tell) = (stop.clone(), tell.clone());
                let upgrade = upgrade.unwrap().on_message(move |_, _| {
                    let began = Instant::now();
                    let report = stop.shutdown_within(SOON);
                    tell.send((report, began.elapsed())).unwrap();
                });
                let _ = end.send(upgrade.run().map(|ws| ws.recv().unwrap_err().0));
            })
        });
        let mut peers = silent_peers(Scheme::Ws, port);
        peers[0].text("stop");
        let (report, took) = told.recv_timeout(LATE).unwrap();
        assert_eq!(counts(&report)[1..4], [0, 0, 0]);
        assert!(took < LATE / 2, "{took:?}");
        for peer in &mut peers {
            let frame = peer.read();
            assert_eq!((frame.opcode, frame.code()), (CLOSE, Some(1001)));
            let error = ended.recv_timeout(LATE).unwrap().unwrap();
            assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error:?}");
        }
    });
}

#[test]
fn a_connection_that_is_accepted_meanwhile_is_told_and_counted() {
    watchdog(60, || {
        let ((come, came), (go, gone)) = (mpsc::channel(), mpsc::channel::<()>());
        let (come, gone) = (Mutex::new(come), Mutex::new(gone));
        let server = builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let serve = server.clone();
        let _serving = spawn(move || {
            serve.serve_upgrades(move |upgrade| {
                // Those that only look whether anybody listens ask for nothing.
                let Ok(upgrade) = upgrade else { return };
                come.lock().unwrap().send(()).unwrap();
                gone.lock().unwrap().recv().unwrap();
                let _ = upgrade.accept().unwrap().recv();
            })
        });
        let client = spawn(move || {
            let ws = client_builder(Scheme::Ws, port).connect().unwrap();
            ws.recv().unwrap_err()
        });
        came.recv_timeout(LATE).unwrap();
        let stopping = spawn(move || server.shutdown_within(LATE));
        eventually("nobody listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_err()
        });
        // It has looked for open connections by then.
        thread::sleep(SOON);
        assert!(stopping.is_running());
        go.send(()).unwrap();
        let error = client.within(LATE, "the client").0;
        assert!(matches!(error, Error::Closed(_)), "{error}");
        let [told, ended, cut_off, _, busy] = counts(&stopping.within(LATE, "shutdown"));
        assert_eq!([told, ended, cut_off, busy], [1, 1, 0, 0]);
    });
}

#[test]
fn connections_in_the_hands_of_the_application_are_waited_for_and_cut_off_too() {
    watchdog(60, || {
        let server = builder(Scheme::Ws).bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().port();
        let mut incoming = server.incoming().unwrap();
        let client = spawn(move || client_builder(Scheme::Ws, port).connect().unwrap());
        let ours = incoming.next().unwrap().accept().unwrap();
        let _client = client.within(LATE, "the client");
        let peers = spawn(move || silent_peers(Scheme::Ws, port));
        let silent: Vec<_> = incoming
            .by_ref()
            .take(3)
            .map(|u| u.accept().unwrap())
            .collect();
        let _peers = peers.within(LATE, "the peers");
        let report = server.shutdown_within(SOON);
        assert_eq!(counts(&report), [4, 1, 3, 0, 0]);
        assert!(matches!(ours.recv(), Err(RecvError(Error::Closed(_)))));
        for ws in silent {
            let RecvError(error) = ws.recv().unwrap_err();
            assert!(matches!(error, Error::Timeout(Timeout::Close)), "{error}");
        }
        assert!(incoming.next().is_none());
    });
}
