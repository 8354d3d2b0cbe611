//! Properties of the queue under many threads: nothing is lost, doubled or out of order, and nobody
//! sleeps through what he waits for.
//!
//! `WSYNC_STRESS=100 cargo test --release queue::tests::stress` runs a hundred times the load.

use super::load::{Load, Taking, run, small};
use crate::close::CloseCode;
use crate::config::{Overflow, QueueConfig};
use std::thread;

/// So many messages, times what the environment says.
fn scaled(messages: u32) -> u32 {
    let factor = std::env::var("WSYNC_STRESS").map_or(1, |n| n.parse().unwrap());
    messages * factor
}

fn load(messages: u32, config: QueueConfig, consumers: &[Taking]) -> Load {
    Load {
        messages: scaled(messages),
        seed: u64::from(messages) << 8,
        config,
        others: Vec::new(),
        pieces: false,
        consumers: consumers.to_vec(),
    }
}

/// None of its messages is lost, whoever takes them.
fn assert_complete(load: &Load) {
    let outcome = run(load);
    assert_eq!(outcome.total(), load.messages as usize);
    assert_eq!(outcome.stats.dropped, 0);
}

#[test]
fn a_sole_consumer_gets_all_in_order_whatever_way_it_takes() {
    let ways = [
        Taking::Try,
        Taking::Wait,
        Taking::Deadline,
        Taking::TryMany,
        Taking::Many,
        Taking::Task,
        Taking::Pieces,
        Taking::Mixed,
    ];
    for (way, bound) in ways.into_iter().zip([1, 2, 3, 5, 8, 13, 21, 34]) {
        let load = Load {
            pieces: true,
            ..load(4000 + bound, small(bound as usize, 1 << 20, None), &[way])
        };
        let outcome = run(&load);
        assert!(outcome.got[0].iter().copied().eq(0..load.messages));
    }
}

#[test]
fn several_queues_with_consumers_of_all_kinds_lose_nothing() {
    let consumers = [
        Taking::Try,
        Taking::Wait,
        Taking::Wait,
        Taking::Deadline,
        Taking::TryMany,
        Taking::Many,
        Taking::Task,
        Taking::Task,
    ];
    thread::scope(|scope| {
        for (bound, bytes) in [(3, 1 << 20), (16, 100), (64, 1 << 20)] {
            let config = small(bound, bytes, None);
            scope.spawn(move || assert_complete(&load(10_000 + bound as u32, config, &consumers)));
        }
    });
}

#[test]
fn messages_in_pieces_beside_consumers_of_all_kinds_stay_whole() {
    let consumers = [
        Taking::Pieces,
        Taking::Pieces,
        Taking::Wait,
        Taking::Task,
        Taking::Many,
        Taking::Try,
    ];
    thread::scope(|scope| {
        for (bound, low) in [(1, Some(0)), (4, Some(3)), (32, None)] {
            let load = Load {
                pieces: true,
                ..load(6000 + bound as u32, small(bound, 1 << 20, low), &consumers)
            };
            scope.spawn(move || {
                let outcome = run(&load);
                assert_eq!(outcome.total(), load.messages as usize);
            });
        }
    });
}

#[test]
fn bounds_that_change_all_the_time_stop_nobody_for_good() {
    let consumers = [Taking::Mixed, Taking::Wait, Taking::Task];
    for pieces in [false, true] {
        let load = Load {
            pieces,
            others: vec![
                small(1, 1, None),
                small(40, 1 << 20, Some(39)),
                small(7, 60, Some(0)),
                small(20, 30, None),
            ],
            ..load(12_000, small(5, 1 << 20, None), &consumers)
        };
        let outcome = run(&load);
        assert_eq!(outcome.total(), load.messages as usize);
    }
}

#[test]
fn a_consumer_that_only_looks_whether_there_is_something_keeps_the_producer_going() {
    for low in [None, Some(0)] {
        assert_complete(&load(5000, small(1, 1 << 20, low), &[Taking::Try]));
    }
}

#[test]
fn what_is_cleared_or_passed_over_is_counted_as_dropped() {
    for pieces in [false, true] {
        let consumers = [Taking::Latest, Taking::Wait, Taking::Clear, Taking::Task];
        let load = Load {
            pieces,
            ..load(10_000, small(12, 1 << 20, None), &consumers)
        };
        let outcome = run(&load);
        assert!(outcome.stats.dropped > 0);
    }
}

#[test]
fn a_policy_drops_and_counts_but_keeps_the_order_and_the_bound() {
    let policies = [
        Overflow::DropOldest,
        Overflow::DropNewest,
        Overflow::KeepLatest,
    ];
    let consumers = [Taking::Deadline, Taking::Many, Taking::Task];
    for overflow in policies {
        for bound in [1, 10] {
            let config = QueueConfig {
                overflow,
                ..small(bound, 1 << 20, None)
            };
            let outcome = run(&load(20_000, config, &consumers));
            assert!(outcome.stats.dropped > 0, "{overflow:?}");
        }
    }
}

#[test]
fn a_policy_that_closes_delivers_nothing_behind_what_it_dropped() {
    for seed in 0..20 {
        let config = QueueConfig {
            overflow: Overflow::Close(CloseCode::POLICY_VIOLATION),
            ..small(4, 1 << 20, None)
        };
        let load = Load {
            seed: 1 + seed,
            ..load(500, config, &[Taking::Wait])
        };
        let outcome = run(&load);
        assert!(outcome.got[0].iter().copied().eq(0..outcome.total() as u32));
    }
}
