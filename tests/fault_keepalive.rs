//! Links that take everything and bring nothing, with pings of our own and without.

#![allow(clippy::unwrap_used)]

mod common;

use common::peer::{Ours, everywhere};
use common::relay::{Mode, linked};
use common::{LATE, number_of, numbered, once_within, patient, spawn, watchdog};
use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use wsync::{Config, Error, Keepalive, RecvTimeoutError, Sender, Timeout, WebSocket};

const INTERVAL: Duration = Duration::from_millis(150);
const TIMEOUT: Duration = Duration::from_millis(300);

fn with_pings(ours: Ours) -> Config {
    let mut config = patient(ours.config());
    config.keepalive.interval = Some(INTERVAL);
    config.keepalive.timeout = Some(TIMEOUT);
    config
}

/// Sends until it cannot.
fn send_on(sender: &Sender) -> Error {
    loop {
        if let Err(error) = sender.send(vec![0; 100_000]) {
            return error.error;
        }
    }
}

#[test]
fn in_a_black_hole_recv_and_send_fail_after_interval_and_timeout() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            once_within(INTERVAL + TIMEOUT + Duration::from_millis(500), || {
                let (ws, _other, relay) = linked(ours, scheme, with_pings(ours));
                let ws = Arc::new(ws);
                let (receives, sender) = (Arc::clone(&ws), ws.sender().clone());
                let receiving = spawn(move || (receives.recv().unwrap_err().0, Instant::now()));
                relay.set(Mode::Hold);
                let began = Instant::now();
                let sending = spawn(move || (send_on(&sender), Instant::now()));
                let ends = [receiving, sending].map(|task| task.within(LATE, "a call"));
                for (error, _) in &ends {
                    assert!(matches!(error, Error::Timeout(Timeout::Ping)), "{error}");
                }
                ends.map(|(_, end)| end - began).into_iter().max().unwrap()
            });
        });
    });
}

#[test]
fn without_pings_a_receive_call_waits_in_a_black_hole() {
    watchdog(60, || {
        everywhere(|ours, scheme| {
            let mut config = patient(ours.config());
            config.keepalive = Keepalive::off();
            let (ws, other, relay) = linked(ours, scheme, config);
            relay.set(Mode::Hold);
            let nothing = ws.recv_timeout(INTERVAL + TIMEOUT);
            assert!(nothing.is_err() && ws.closed().is_none());
            // It is as good as before when the link is back.
            relay.set(Mode::Forward);
            other.send("back").unwrap();
            assert_eq!(ws.recv_timeout(LATE).unwrap().as_text(), Some("back"));
        });
    });
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn without_pings_the_user_timeout_of_tcp_fails_a_send() {
    watchdog(120, || {
        everywhere(|ours, scheme| {
            // The kernel looks when it probes, ever more rarely.
            once_within(Duration::from_secs(5), || {
                let mut config = patient(ours.config());
                config.keepalive = Keepalive::off();
                config.socket.user_timeout = Some(TIMEOUT);
                config.socket.send_buffer = Some(100_000);
                let (ws, _other, relay) = linked(ours, scheme, config);
                relay.set(Mode::Hold);
                let began = Instant::now();
                let kind = |error: Error| match error {
                    Error::Io(e) => e.kind(),
                    error => panic!("{error:?}"),
                };
                let sent = kind(send_on(ws.sender()));
                let took = began.elapsed();
                let RecvTimeoutError::Closed(end) = ws.recv_timeout(LATE).unwrap_err() else {
                    panic!("it has ended")
                };
                // The system tells it once, to who writes or to who reads.
                let told = [sent, kind(end)];
                assert!(told.contains(&ErrorKind::TimedOut), "{told:?}");
                took
            });
        });
    });
}

/// Sends a number now and then, until it fails or the link has been back for some.
fn count_up(ws: &WebSocket, until: u64) -> Result<(), Error> {
    for n in 0..until {
        ws.send(numbered(n)).map_err(|error| error.error)?;
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

#[test]
fn a_pause_of_the_link_that_is_shorter_than_the_timeout_loses_nothing() {
    const PAUSE: Duration = Duration::from_millis(100);
    watchdog(120, || {
        everywhere(|ours, scheme| {
            // A busy machine may make the pause a long one.
            once_within(PAUSE, || {
                let (ws, other, relay) = linked(ours, scheme, with_pings(ours));
                let sending = spawn(move || {
                    let result = count_up(&other, 40);
                    (result, other)
                });
                assert_eq!(number_of(&ws.recv_timeout(LATE).unwrap()), 0);
                relay.set(Mode::Hold);
                thread::sleep(PAUSE);
                relay.set(Mode::Forward);
                for n in 1..40 {
                    match ws.recv() {
                        Ok(message) => assert_eq!(number_of(&message), n),
                        Err(error) => {
                            let lost = matches!(error.0, Error::Timeout(Timeout::Ping));
                            assert!(lost, "{error}");
                            return Duration::MAX;
                        }
                    }
                }
                let (result, _other) = sending.within(LATE, "sending");
                result.unwrap();
                assert!(ws.closed().is_none());
                PAUSE
            });
        });
    });
}
