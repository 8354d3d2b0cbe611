//! Pings of our own, with a clock that is moved by hand.

use crate::keepalive::Keepalive;
use crate::protocol::{Due, PingPayload, Pings};
use std::time::{Duration, Instant};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn keepalive(interval: u64, timeout: u64) -> Keepalive {
    let mut keepalive = Keepalive::off();
    (keepalive.interval, keepalive.timeout) = (Some(s(interval)), Some(s(timeout)));
    keepalive
}

/// The ping that is due.
fn ping(pings: &mut Pings, heard: bool, now: Instant) -> PingPayload {
    assert_eq!(pings.due(heard, now), Due::Ping);
    pings.send(now, false)
}

#[test]
fn a_ping_is_due_at_each_interval_and_not_between() {
    let t = Instant::now();
    let mut pings = Pings::new(keepalive(10, 100), t);
    assert_eq!(pings.keepalive(), keepalive(10, 100));
    assert_eq!(pings.next(), Some(t + s(10)));
    assert_eq!(pings.due(false, t + s(9)), Due::Nothing);
    let first = ping(&mut pings, false, t + s(10));
    assert_eq!(pings.due(true, t + s(19)), Due::Nothing);
    assert_ne!(ping(&mut pings, true, t + s(20)), first);
    assert_eq!(pings.next(), Some(t + s(30)));
}

#[test]
fn silence_after_a_ping_is_the_end_when_the_timeout_is_over_and_not_before() {
    let t = Instant::now();
    for (interval, timeout) in [(10, 3), (10, 10), (10, 25)] {
        let mut pings = Pings::new(keepalive(interval, timeout), t);
        let lost = 10 + timeout;
        let mut now = 0;
        while now + 1 < lost {
            now += 1;
            assert_ne!(pings.due(false, t + s(now)), Due::Lost, "{timeout}: {now}");
        }
        assert_eq!(pings.next(), Some(t + s(lost)));
        assert_eq!(pings.due(false, t + s(lost)), Due::Lost);
    }
}

#[test]
fn any_byte_is_a_sign_of_life_and_the_silence_counts_from_the_next_ping() {
    let t = Instant::now();
    let mut pings = Pings::new(keepalive(10, 5), t);
    ping(&mut pings, false, t + s(10));
    assert_eq!(pings.due(true, t + s(14)), Due::Nothing);
    assert_eq!(pings.due(false, t + s(15)), Due::Nothing);
    ping(&mut pings, false, t + s(20));
    assert_eq!(pings.due(false, t + s(25)), Due::Lost);
    pings.excuse();
    assert_eq!(pings.next(), Some(t + s(30)));
}

#[test]
fn without_a_timeout_nobody_is_lost_and_without_an_interval_nothing_is_sent() {
    let t = Instant::now();
    let mut patient = keepalive(10, 1);
    patient.timeout = None;
    let mut pings = Pings::new(patient, t);
    for n in 1..100 {
        ping(&mut pings, false, t + s(10 * n));
    }
    let mut silent = keepalive(1, 10);
    silent.interval = None;
    let mut pings = Pings::new(silent, t);
    assert_eq!(pings.next(), None);
    assert_eq!(pings.due(false, t + s(1000)), Due::Nothing);
}

#[test]
fn the_latency_is_the_last_the_least_and_a_smoothed_one() {
    let t = Instant::now();
    let mut pings = Pings::new(keepalive(10, 100), t);
    assert_eq!(pings.latency(), None);
    let first = ping(&mut pings, true, t + s(10));
    assert_eq!(pings.pong(&first, t + s(18)), Some(s(8)));
    let second = ping(&mut pings, true, t + s(20));
    assert_eq!(pings.pong(&second, t + s(36)), Some(s(16)));
    let latency = pings.latency().unwrap();
    assert_eq!((latency.last, latency.minimum), (s(16), s(8)));
    assert_eq!(latency.smoothed, s(7) + s(2));
}

#[test]
fn a_pong_answers_its_ping_once_and_those_before_it() {
    let t = Instant::now();
    let mut pings = Pings::new(keepalive(10, 100), t);
    let waited = pings.send(t, true);
    let unasked = ping(&mut pings, true, t + s(10));
    assert_eq!(pings.pong(b"another", t + s(11)), None);
    assert_eq!(pings.answer(waited), None);
    assert_eq!(pings.pong(&unasked, t + s(12)), Some(s(2)));
    assert_eq!(pings.answer(waited), Some(s(12)));
    assert_eq!(pings.pong(&unasked, t + s(13)), None);
    assert_eq!(pings.pong(&waited, t + s(13)), None);
    pings.forget(waited);
    assert_eq!(pings.answer(waited), None);
}

#[test]
fn pings_without_an_answer_are_forgotten_but_for_the_newest_and_those_somebody_waits_for() {
    let t = Instant::now();
    let mut pings = Pings::new(keepalive(1, 100_000), t);
    let waited = pings.send(t, true);
    let sent: Vec<_> = (1..=100)
        .map(|n| ping(&mut pings, true, t + s(n)))
        .collect();
    assert_eq!(pings.pong(&sent[83], t + s(200)), None);
    assert_eq!(pings.pong(&sent[84], t + s(200)), Some(s(115)));
    assert_eq!(pings.answer(waited), Some(s(200)));
    assert_eq!(pings.pong(&sent[99], t + s(200)), Some(s(100)));
}

#[test]
fn a_new_interval_counts_from_the_change() {
    let t = Instant::now();
    let mut pings = Pings::new(keepalive(10, 5), t);
    ping(&mut pings, false, t + s(10));
    pings.configure(keepalive(2, 5), t + s(12));
    assert_eq!(pings.next(), Some(t + s(14)));
    ping(&mut pings, false, t + s(14));
    pings.configure(Keepalive::off(), t + s(15));
    assert_eq!(pings.next(), None);
}
