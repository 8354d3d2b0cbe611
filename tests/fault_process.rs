//! A process that runs out of descriptors, threads or memory, or is stopped. Each is one of its own: the
//! ignored tests here are those processes.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::peer::{BINARY, FIN, Peer};
use common::process::{Process, next_line, tell, told, wait_for_the_end};
use common::{LATE, Scheme, Serving, client_builder, eventually, number_of, numbered};
use common::{once_within, patient, server_builder, spawn, watchdog};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, Timeout, WebSocket};

/// Sets the soft limit, which can be raised again.
fn limit(resource: Resource, current: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current, maximum }).unwrap();
}

/// The address space of this process, in bytes.
fn address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmSize:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

fn scheme_told() -> Option<Scheme> {
    match told()?.as_str() {
        "ws" => Some(Scheme::Ws),
        "wss" => Some(Scheme::Wss),
        _ => None,
    }
}

fn echoes(ws: &WebSocket, text: &str) {
    ws.send(text).unwrap();
    assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some(text));
}

// Descriptors.

/// Descriptors that the server may have.
const DESCRIPTORS: u64 = 40;

#[test]
#[ignore = "is started by another as a process of its own"]
fn serve_with_few_descriptors() {
    let Some(scheme) = scheme_told() else {
        return;
    };
    let builder = server_builder(scheme).config(patient(Config::server()));
    let serving = Serving::echo(builder);
    limit(Resource::Nofile, Some(DESCRIPTORS));
    tell("listening", serving.port);
    wait_for_the_end();
}

fn connect_and_echo(scheme: Scheme, port: u16) {
    let ws = client_builder(scheme, port)
        .config(patient(Config::client()))
        .connect()
        .unwrap();
    echoes(&ws, "hello");
    assert!(ws.close().unwrap().is_normal());
}

#[test]
fn a_server_out_of_descriptors_does_not_spin_and_accepts_again_when_there_are_some() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let mut process = Process::start("serve_with_few_descriptors", scheme.name());
            let port = process.hear("listening").parse().unwrap();
            let open = client_builder(scheme, port).connect().unwrap();
            once_within(Duration::from_millis(200), || {
                let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
                let silent: Vec<_> = (0..2 * DESCRIPTORS).map(|_| connect()).collect();
                // One that waits to be accepted when the others are gone.
                let late = spawn(move || connect_and_echo(scheme, port));
                echoes(&open, "still served");
                let before = process.processor_time();
                thread::sleep(Duration::from_secs(1));
                let spent = process.processor_time() - before;
                assert!(spent <= Duration::from_millis(20), "{spent:?} in a second");
                assert!(late.is_running() && process.is_running());
                let began = Instant::now();
                drop(silent);
                late.within(LATE, "a client that came meanwhile");
                began.elapsed()
            });
            connect_and_echo(scheme, port);
        }
    });
}

// Threads.

/// Less than the stack of any thread, and enough for what the system maps for one that is started in the
/// stack of an earlier one.
const NO_STACK: u64 = 100 << 10;

#[test]
#[ignore = "is started by another as a process of its own"]
fn run_out_of_threads() {
    let Some(elsewhere) = told().and_then(|port| port.parse().ok()) else {
        return;
    };
    let here = Serving::echo(server_builder(Scheme::Ws));
    let open = client_builder(Scheme::Ws, here.port).connect().unwrap();
    echoes(&open, "before");
    limit(Resource::As, Some(address_space() + NO_STACK));
    let (silent, refused) = connect_until_refused(here.port);
    tell("refused", refused.as_millis());
    let (connected, failed) = connect_until_failed(elsewhere);
    tell("failed", failed.as_millis());
    echoes(&open, "meanwhile");
    limit(Resource::As, None);
    drop((silent, connected));
    connect_and_echo(Scheme::Ws, here.port);
    connect_and_echo(Scheme::Ws, elsewhere);
    echoes(&open, "after");
}

/// The server accepts and has no thread. Returns how soon the client learns of it; the clients before it
/// have the stacks of threads that are gone.
fn connect_until_refused(port: u16) -> (Vec<TcpStream>, Duration) {
    let mut silent = Vec::new();
    loop {
        let began = Instant::now();
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        let mut refusal = [0; 12];
        match client.read_exact(&mut refusal) {
            Ok(()) => {
                assert_eq!(&refusal, b"HTTP/1.1 503");
                return (silent, began.elapsed());
            }
            Err(_) => silent.push(client),
        }
    }
}

fn connect_until_failed(port: u16) -> (Vec<WebSocket>, Duration) {
    let mut config = patient(Config::client());
    config.direct_read = false;
    let mut connected = Vec::new();
    loop {
        let began = Instant::now();
        match client_builder(Scheme::Ws, port)
            .config(config.clone())
            .connect()
        {
            Ok(ws) => connected.push(ws),
            Err(Error::Io(_)) => return (connected, began.elapsed()),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn without_a_thread_a_client_gets_an_error_and_a_server_goes_on() {
    watchdog(60, || {
        let serving = Serving::echo(server_builder(Scheme::Ws));
        once_within(Duration::from_millis(100), || {
            let mut process = Process::start("run_out_of_threads", &serving.port.to_string());
            let took = ["refused", "failed"].map(|what| process.hear(what).parse().unwrap());
            process.succeeds();
            Duration::from_millis(took.into_iter().max().unwrap())
        });
    });
}

// Memory.

const MIB: usize = 1 << 20;

#[test]
#[ignore = "is started by another as a process of its own"]
fn serve_with_little_memory() {
    let Some(scheme) = scheme_told() else {
        return;
    };
    let mut config = patient(Config::server());
    config.limits.message = 1024 * MIB;
    config.queue.bytes = 2048 * MIB;
    let serving = Serving::new(server_builder(scheme).config(config), |ws| {
        for message in &ws {
            match message {
                Ok(message) => drop(ws.send(message)),
                Err(error) => tell("ended", error.kind()),
            }
        }
    });
    tell("listening", serving.port);
    next_line();
    limit(Resource::As, Some(address_space() + 100 * MIB as u64));
    tell("limited", "");
    wait_for_the_end();
}

#[test]
fn a_message_that_no_memory_is_there_for_ends_its_connection_and_not_the_process() {
    watchdog(120, || {
        for &scheme in Scheme::all() {
            let mut process = Process::start("serve_with_little_memory", scheme.name());
            let port = process.hear("listening").parse().unwrap();
            let bystander = client_builder(scheme, port).connect().unwrap();
            echoes(&bystander, "before");
            let mut peer = Peer::connect(port, scheme);
            peer.request(None);
            process.say("limit");
            process.hear("limited");
            // Within the limit of a message.
            let mut head = vec![FIN | BINARY, 0x80 | 127];
            head.extend((512 * MIB as u64).to_be_bytes());
            head.extend([0; 4]);
            peer.bytes(&head);
            let sending = spawn(move || {
                let piece = vec![0; MIB];
                // What comes after the failure is discarded, for a second at most.
                let _ = (0..100).try_for_each(|_| peer.try_bytes(&piece));
                peer.try_read().ok().map(|frame| frame.code())
            });
            assert_eq!(process.hear("ended"), "io");
            let code = sending.within(LATE, "the peer");
            assert!(matches!(code, None | Some(Some(1011))), "{code:?}");
            echoes(&bystander, "after");
            assert!(process.is_running());
        }
    });
}

// A process that is stopped.

#[test]
#[ignore = "is started by another as a process of its own"]
fn serve_and_tell_of_ends() {
    let Some(scheme) = scheme_told() else {
        return;
    };
    let builder = server_builder(scheme).config(patient(Config::server()));
    let serving = Serving::new(builder, |ws| {
        for message in &ws {
            match message {
                Ok(message) => drop(ws.send(message)),
                Err(error) => tell("ended", error.kind()),
            }
        }
    });
    tell("listening", serving.port);
    wait_for_the_end();
}

/// An echo in a process that stops and goes on.
fn stoppable(scheme: Scheme) -> (Process, u16, impl Fn(Signal)) {
    let process = Process::start("serve_and_tell_of_ends", scheme.name());
    let port = process.hear("listening").parse().unwrap();
    let pid = Pid::from_raw(process.id() as i32).unwrap();
    let stat = format!("/proc/{}/stat", process.id());
    (process, port, move |signal| {
        kill_process(pid, signal).unwrap();
        // It takes effect in its own time.
        eventually("a process that has stopped, or goes on", || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            let state = stat.rsplit(") ").next().unwrap();
            state.starts_with('T') == (signal == Signal::STOP)
        });
    })
}

#[test]
fn a_peer_that_is_stopped_for_a_while_loses_nothing() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let (_process, port, signal) = stoppable(scheme);
            let builder = client_builder(scheme, port).config(patient(Config::client()));
            let (sender, receiver) = builder.connect().unwrap().split();
            signal(Signal::STOP);
            let sending = spawn(move || {
                for n in 0..300 {
                    let mut message = numbered(n);
                    message.resize(100_000, 0);
                    sender.send(message).unwrap();
                }
                sender
            });
            assert!(receiver.recv_timeout(Duration::from_millis(300)).is_err());
            assert!(sending.is_running(), "the kernel does not take so much");
            signal(Signal::CONT);
            for n in 0..300 {
                assert_eq!(number_of(&receiver.recv_timeout(LATE).unwrap()), n);
            }
            assert!(sending.within(LATE, "sending").close().unwrap().is_normal());
        }
    });
}

#[test]
fn a_peer_that_was_stopped_when_it_was_given_up_sees_the_loss_and_goes_on() {
    let timeout = Duration::from_millis(300);
    watchdog(60, move || {
        for &scheme in Scheme::all() {
            once_within(Duration::from_secs(5), || {
                let (process, port, signal) = stoppable(scheme);
                let mut config = patient(Config::client());
                config.timeouts.send = Some(timeout);
                let ws = client_builder(scheme, port)
                    .config(config)
                    .connect()
                    .unwrap();
                signal(Signal::STOP);
                let error = ws.send(vec![0; 64 * MIB]).unwrap_err().error;
                assert!(matches!(error, Error::Timeout(Timeout::Send)), "{error}");
                drop(ws);
                let began = Instant::now();
                signal(Signal::CONT);
                let kind = process.hear("ended");
                assert!(matches!(&*kind, "io" | "tls" | "too_big"), "{kind}");
                connect_and_echo(scheme, port);
                began.elapsed()
            });
        }
    });
}

#[test]
fn a_peer_that_is_stopped_is_lost_by_pings_and_sees_the_loss_when_it_goes_on() {
    let (interval, timeout) = (Duration::from_millis(150), Duration::from_millis(300));
    watchdog(60, move || {
        for &scheme in Scheme::all() {
            let (process, port, signal) = stoppable(scheme);
            once_within(interval + timeout + Duration::from_millis(500), || {
                let mut config = patient(Config::client());
                config.keepalive.interval = Some(interval);
                config.keepalive.timeout = Some(timeout);
                let ws = client_builder(scheme, port)
                    .config(config)
                    .connect()
                    .unwrap();
                echoes(&ws, "before");
                signal(Signal::STOP);
                let began = Instant::now();
                let error = ws.recv().unwrap_err().0;
                let took = began.elapsed();
                assert!(matches!(error, Error::Timeout(Timeout::Ping)), "{error}");
                drop(ws);
                let began = Instant::now();
                signal(Signal::CONT);
                process.hear("ended");
                connect_and_echo(scheme, port);
                assert!(began.elapsed() < LATE);
                took
            });
        }
    });
}

#[test]
#[ignore = "is started by another as a process of its own"]
fn serve_with_pings() {
    let Some(scheme) = scheme_told() else {
        return;
    };
    let mut config = patient(Config::server());
    config.keepalive.interval = Some(Duration::from_millis(100));
    config.keepalive.timeout = Some(Duration::from_millis(600));
    let serving = Serving::echo(server_builder(scheme).config(config));
    tell("listening", serving.port);
    wait_for_the_end();
}

#[test]
fn a_process_that_was_stopped_does_not_take_its_own_silence_for_the_peers() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let process = Process::start("serve_with_pings", scheme.name());
            let port = process.hear("listening").parse().unwrap();
            let pid = Pid::from_raw(process.id() as i32).unwrap();
            let builder = client_builder(scheme, port).config(patient(Config::client()));
            once_within(Duration::from_secs(1), || {
                let ws = builder.connect().unwrap();
                let mut longest = Duration::ZERO;
                for text in ["one", "two", "three"] {
                    echoes(&ws, text);
                    // So that a ping may be on its way when it stops.
                    thread::sleep(Duration::from_millis(110));
                    kill_process(pid, Signal::STOP).unwrap();
                    thread::sleep(Duration::from_millis(800));
                    kill_process(pid, Signal::CONT).unwrap();
                    let began = Instant::now();
                    if ws.send(text).is_err() || ws.recv_timeout(LATE).is_err() {
                        return Duration::MAX;
                    }
                    longest = longest.max(began.elapsed());
                }
                longest
            });
        }
    });
}

#[test]
fn a_server_whose_clients_reset_before_they_are_accepted_goes_on() {
    watchdog(60, || {
        for &scheme in Scheme::all() {
            let (_process, port, signal) = stoppable(scheme);
            // Nobody accepts while it is stopped.
            signal(Signal::STOP);
            for _ in 0..50 {
                let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let reset = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
                reset.unwrap();
            }
            signal(Signal::CONT);
            connect_and_echo(scheme, port);
        }
    });
}
