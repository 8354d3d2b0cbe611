//! cargo bench --bench echo
//!
//! An echo server over TCP on the loopback: one message at a time, and a burst of them. The client
//! writes ready frames to a bare socket, so most of what is measured is the server and the kernel.

// What criterion's macro makes has no documentation.
#![allow(missing_docs)]

mod common;

use common::{Echo, Mode, Peer};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Messages in a burst.
const BURST: usize = 64;

fn one_at_a_time(c: &mut Criterion) {
    let mut group = c.benchmark_group("echo one message");
    for (size, name) in [(64, "64 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB")] {
        group.throughput(Throughput::Bytes(size as u64));
        for mode in Mode::ALL {
            let echo = Echo::start(mode);
            let mut peer = Peer::new(echo.address(), size, 1);
            group.bench_function(format!("{name}, {}", mode.name()), |b| {
                b.iter(|| peer.round());
            });
        }
    }
    group.finish();
}

fn bursts(c: &mut Criterion) {
    let mut group = c.benchmark_group("echo a burst of 64 messages");
    group.throughput(Throughput::Elements(BURST as u64));
    for (size, name) in [(64, "64 B"), (1 << 10, "1 KiB")] {
        for mode in Mode::ALL {
            let echo = Echo::start(mode);
            let mut peer = Peer::new(echo.address(), size, BURST);
            group.bench_function(format!("{name}, {}", mode.name()), |b| {
                b.iter(|| peer.round());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, one_at_a_time, bursts);
criterion_main!(benches);
