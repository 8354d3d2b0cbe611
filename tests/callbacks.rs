//! Messages that go to a callback on the reader thread, with both sides and both schemes.

#![allow(clippy::unwrap_used)]

mod common;

use common::delivery::Delivery;
use common::peer::{self, BINARY, FIN, Ours, PING, PONG, TEXT};
use common::{
    LATE, Scheme, client_builder, eventually, number_of, numbered, once_within, patient, pattern,
    spawn, watchdog,
};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, Interest, Message, Ready, Sender, Transport, TryRecvError};

fn echo(sender: &Sender, message: Message) {
    let _ = sender.send(message);
}

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

#[test]
fn messages_come_in_order_and_receive_calls_get_none_of_them() {
    for_all(|ours, scheme| {
        const COUNT: u64 = 20_000;
        let (put, got) = mpsc::channel();
        let put = Mutex::new(put);
        let callback = Delivery::callback(move |_, message| {
            put.lock().unwrap().send(number_of(&message)).unwrap();
        });
        let config = patient(ours.config());
        let (ws, other) = callback.pair(ours, scheme, config.clone(), config);
        let ws = Arc::new(ws);
        let receiving = Arc::clone(&ws);
        let receiving = spawn(move || receiving.recv());
        let sending = spawn(move || {
            for n in 0..COUNT {
                other.send(numbered(n)).unwrap();
            }
            other
        });
        let mut tries = 0;
        for n in 0..COUNT {
            assert_eq!(got.recv_timeout(LATE), Ok(n));
            if n % 100 == 0 {
                tries += 1;
                assert!(matches!(ws.try_recv(), Err(TryRecvError::Empty)));
                assert!(ws.drain(10).is_empty() && ws.clear() == 0);
            }
        }
        assert_eq!(tries, COUNT / 100);
        assert!(receiving.is_running());
        let stats = ws.queue().stats();
        assert_eq!((stats.received, stats.dropped), (COUNT, 0));
        sending.within(LATE, "sending").close().unwrap();
        let end = receiving.within(LATE, "receiving").unwrap_err();
        assert!(matches!(end.0, Error::Closed(_)), "{end:?}");
        assert_eq!(ws.queue().stats().delivered, COUNT);
    });
}

#[test]
fn bursts_are_echoed_in_order() {
    for_all(|ours, scheme| {
        let config = patient(ours.config());
        let (_ws, other) =
            Delivery::callback(echo).pair(ours, scheme, config.clone(), config.clone());
        for burst in 0..30 {
            let messages: Vec<_> = (0..700).map(|n| numbered(burst * 700 + n)).collect();
            other.send_all(messages.clone()).unwrap();
            for message in messages {
                assert_eq!(other.recv_timeout(LATE).unwrap().as_bytes(), message);
            }
        }
    });
}

/// A TCP stream that counts writes.
#[derive(Debug)]
struct Counting(TcpStream, Arc<AtomicUsize>);

impl Transport for Counting {
    fn prepare(&self) -> io::Result<()> {
        self.0.prepare()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Transport::read(&self.0, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Transport::write(&self.0, bytes)
    }

    fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<Ready> {
        self.0.wait(interest, deadline)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.peer_addr().ok()
    }
}

#[test]
fn the_answers_to_what_one_read_brought_are_one_write() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let (serving, to_serve) = mpsc::channel();
            let server = common::Serving::new(common::server_builder(scheme), move |ws| {
                serving.send(ws.sender().clone()).unwrap();
                // Until the end.
                let _ = ws.recv();
            });
            let writes = Arc::new(AtomicUsize::new(0));
            let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            let (told, tell) = mpsc::channel();
            let told = Mutex::new(told);
            let ws = client_builder(scheme, server.port)
                .on_message(move |sender, message| {
                    let answer = sender.send(message);
                    told.lock().unwrap().send(answer.is_ok()).unwrap();
                })
                .connect_over(Counting(stream, Arc::clone(&writes)))
                .unwrap();
            let sender = to_serve.recv_timeout(LATE).unwrap();
            let before = writes.load(Ordering::SeqCst);
            // 800 messages, in a single write of the server's: several reads at most.
            sender.send_all((0..800).map(numbered)).unwrap();
            for _ in 0..800 {
                assert!(tell.recv_timeout(LATE).unwrap());
            }
            drop(sender);
            ws.close().unwrap();
            let writes = writes.load(Ordering::SeqCst) - before;
            assert!(writes <= 20, "{writes} writes");
        }
    });
}

#[test]
fn a_send_of_another_thread_takes_along_what_the_callback_has_sent() {
    for_all(|ours, scheme| {
        let (begun, began) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let both = Mutex::new((begun, gone));
        let callback = Delivery::callback(move |sender, _| {
            let both = both.lock().unwrap();
            sender.send("from inside").unwrap();
            both.0.send(()).unwrap();
            both.1.recv_timeout(LATE).unwrap();
        });
        let (ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
        peer.text("go");
        began.recv_timeout(LATE).unwrap();
        // The callback runs all the while.
        ws.send("from outside").unwrap();
        assert_eq!(peer.read().payload, b"from inside");
        assert_eq!(peer.read().payload, b"from outside");
        go.send(()).unwrap();
    });
}

#[test]
fn a_hundred_megabytes_are_echoed_to_a_client_that_sends_all_before_it_receives() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let mut config = patient(Config::client());
            // Somebody has to hold them.
            config.queue.bytes = 128 << 20;
            let server = patient(Config::server());
            let (_ws, client) = Delivery::callback(echo).pair(Ours::Server, scheme, server, config);
            let payload = pattern(7, 1 << 20);
            for n in 0..100 {
                client.send(payload[n..].to_vec()).unwrap();
            }
            for n in 0..100 {
                let message = client.recv_timeout(LATE).unwrap();
                assert!(message.as_bytes() == &payload[n..], "message {n}");
            }
        }
    });
}

#[test]
fn a_peer_that_reads_only_when_it_has_sent_all_gets_what_a_queue_would_hold() {
    for_all(|ours, scheme| {
        let (_ws, mut peer) = Delivery::callback(echo).open(ours, scheme, patient(ours.config()));
        let payload = pattern(3, 1 << 20);
        let frame = peer::frame(FIN | BINARY, peer.masks(), &payload);
        for _ in 0..14 {
            peer.bytes(&frame);
        }
        for _ in 0..14 {
            assert!(read_message(&mut peer) == payload);
        }
    });
}

fn read_message(peer: &mut peer::Peer) -> Vec<u8> {
    let mut payload = Vec::new();
    loop {
        let frame = peer.read();
        payload.extend(frame.payload);
        if frame.fin {
            return payload;
        }
    }
}

#[test]
fn two_callbacks_answer_each_other_for_a_while() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let (done, finished) = mpsc::channel();
            let done = Mutex::new(done);
            let count = move |sender: &Sender, message: Message| match number_of(&message) {
                20_000.. => drop(done.lock().unwrap().send(())),
                n => sender.send(numbered(n + 1)).unwrap(),
            };
            let server = common::server_builder(scheme).bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().port();
            let mut incoming = server.incoming().unwrap();
            let count = Arc::new(count);
            let counting = Arc::clone(&count);
            let accepted = spawn(move || {
                let upgrade = incoming.next().unwrap();
                let answer = move |sender: &Sender, message| counting(sender, message);
                upgrade.on_message(answer).accept().unwrap()
            });
            let ws = client_builder(scheme, port)
                .on_message(move |sender, message| count(sender, message))
                .connect()
                .unwrap();
            let accepted = accepted.within(LATE, "accepting");
            // Several of them are under way at once.
            for n in 0..10 {
                ws.send(numbered(n)).unwrap();
                accepted.send(numbered(n)).unwrap();
            }
            for _ in 0..20 {
                finished.recv_timeout(LATE).unwrap();
            }
            assert!(ws.close().unwrap().is_normal());
        }
    });
}

#[test]
fn a_callback_that_sends_without_bound_gets_its_message_back_after_the_send_timeout() {
    for_all(|ours, scheme| {
        let (put, got) = mpsc::channel();
        let put = Mutex::new(put);
        let callback = Delivery::callback(move |sender, _| {
            let payload = Message::from(vec![7; 64 << 10]);
            let mut sent = 0;
            let error = loop {
                match sender.send(payload.clone()) {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            put.lock().unwrap().send((sent, error)).unwrap();
        });
        let mut config = patient(ours.config());
        config.timeouts.send = Some(Duration::from_millis(300));
        config.timeouts.close = Some(Duration::from_millis(300));
        config.queue.bytes = 4 << 20;
        let (ws, mut peer) = callback.open(ours, scheme, config);
        peer.text("go");
        let (sent, error) = got.recv_timeout(LATE).unwrap();
        assert!(matches!(error.error, Error::Timeout(_)), "{error:?}");
        assert!(error.message.is_some());
        // What the outbox and the kernel hold, and no more.
        assert!((64..(32 << 20) / (64 << 10)).contains(&sent), "{sent}");
        drop(ws);
    });
}

#[test]
fn a_peer_that_floods_an_echo_and_does_not_read_is_stopped_by_bounds() {
    for_all(|ours, scheme| {
        let sent = Arc::new(AtomicUsize::new(0));
        let failed = Arc::new(AtomicUsize::new(0));
        let count = (Arc::clone(&sent), Arc::clone(&failed));
        let callback = Delivery::callback(move |sender, message| {
            let length = message.len();
            match sender.send(message) {
                Ok(()) => count.0.fetch_add(length, Ordering::SeqCst),
                Err(_) => count.1.fetch_add(1, Ordering::SeqCst),
            };
        });
        let mut config = patient(ours.config());
        config.timeouts.send = Some(Duration::from_millis(300));
        config.queue.bytes = 4 << 20;
        let (_ws, mut peer) = callback.open(ours, scheme, config);
        let frame = peer::frame(FIN | BINARY, peer.masks(), &[7; 32 << 10]);
        let tcp = peer.tcp.try_clone().unwrap();
        let flooding = spawn(move || {
            // Until the connection is failed.
            while peer.try_bytes(&frame).is_ok() {}
        });
        eventually("a send that fails", || failed.load(Ordering::SeqCst) > 0);
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < 48 << 20, "{sent} bytes are held somewhere");
        let _ = tcp.shutdown(Shutdown::Both);
        flooding.within(LATE, "flooding");
    });
}

#[test]
fn a_send_that_times_out_in_a_callback_holds_up_no_other_connection() {
    watchdog(60, || {
        let server = common::Serving::new(common::server_builder(Scheme::Ws), |ws| drop(ws.recv()));
        drop(server);
        let mut config = patient(Config::server());
        config.timeouts.send = Some(Duration::from_millis(500));
        let flood = Delivery::callback(|sender, _| while sender.send(vec![7; 1 << 20]).is_ok() {});
        let (_blocked, mut peer) = flood.open(Ours::Server, Scheme::Ws, config);
        peer.text("go");
        let (_ws, other) = Delivery::callback(echo).pair(
            Ours::Server,
            Scheme::Ws,
            patient(Config::server()),
            patient(Config::client()),
        );
        once_within(Duration::from_millis(200), || {
            let began = Instant::now();
            other.send("hello").unwrap();
            assert_eq!(other.recv_timeout(LATE).unwrap().as_text(), Some("hello"));
            began.elapsed()
        });
    });
}

#[test]
fn pings_are_answered() {
    for_all(|ours, scheme| {
        let (_ws, mut peer) = Delivery::callback(echo).open(ours, scheme, patient(ours.config()));
        for n in 0..20u8 {
            let mut bytes = peer::frame(FIN | TEXT, peer.masks(), b"x");
            bytes.extend(peer::frame(FIN | PING, peer.masks(), &[n]));
            peer.bytes(&bytes);
            let answers = [peer.read(), peer.read()];
            assert!(answers.iter().any(|a| a.opcode == TEXT), "{answers:?}");
            let pong = answers.iter().find(|a| a.opcode == PONG).unwrap();
            assert_eq!(pong.payload, [n]);
        }
    });
}

#[test]
fn a_slow_callback_does_not_use_up_the_time_of_the_next_message() {
    for_all(|ours, scheme| {
        let callback = Delivery::callback(|sender, message| {
            if message.as_text() == Some("slow") {
                thread::sleep(Duration::from_millis(700));
            }
            echo(sender, message);
        });
        let mut config = patient(ours.config());
        config.timeouts.message = Some(Duration::from_millis(500));
        let (_ws, mut peer) = callback.open(ours, scheme, config);
        let next = peer::frame(FIN | TEXT, peer.masks(), b"next");
        let mut bytes = peer::frame(FIN | TEXT, peer.masks(), b"slow");
        bytes.extend_from_slice(&next[..next.len() - 1]);
        peer.bytes(&bytes);
        thread::sleep(Duration::from_millis(20));
        peer.bytes(&next[next.len() - 1..]);
        assert_eq!(peer.read().payload, b"slow");
        assert_eq!(peer.read().payload, b"next");
    });
}

#[test]
fn a_callback_may_use_the_stack_of_an_ordinary_thread() {
    fn deep(n: usize) -> usize {
        let space = std::hint::black_box([n as u8; 1024]);
        match n {
            0 => space.len(),
            n => deep(n - 1) + usize::from(space[0] == n as u8),
        }
    }
    for_all(|ours, scheme| {
        let callback = Delivery::callback(|sender, _| {
            sender.send(deep(500).to_string()).unwrap();
        });
        let (_ws, mut peer) = callback.open(ours, scheme, patient(ours.config()));
        peer.text("go");
        assert_eq!(peer.read().payload, b"1524");
    });
}

#[test]
fn a_policy_drops_nothing_while_the_callback_keeps_up() {
    for_all(|ours, scheme| {
        use wsync::Overflow::{DropNewest, DropOldest, KeepLatest};
        for overflow in [
            DropOldest,
            DropNewest,
            KeepLatest,
            wsync::Overflow::Close(wsync::CloseCode::POLICY_VIOLATION),
        ] {
            let seen = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&seen);
            let callback = Delivery::callback(move |_, _| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            let mut config = patient(ours.config());
            config.queue.messages = 2;
            config.queue.overflow = overflow;
            let (ws, mut peer) = callback.open(ours, scheme, config);
            let frame = peer::frame(FIN | TEXT, peer.masks(), b"x");
            peer.bytes(&frame.repeat(1000));
            eventually("all messages", || ws.queue().stats().received == 1000);
            eventually("a callback for each", || {
                seen.load(Ordering::SeqCst) == 1000
            });
            assert_eq!(ws.queue().stats().dropped, 0, "{overflow:?}");
        }
    });
}
