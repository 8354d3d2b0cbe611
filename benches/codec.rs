//! RUSTFLAGS="--cfg wsync_bench" cargo bench --bench codec
//!
//! The protocol without sockets and threads. It is private, so a build without that cfg has nothing
//! to measure here.

#[cfg(wsync_bench)]
mod common;

#[cfg(wsync_bench)]
mod measured {
    use super::common::{BINARY, KEY, TEXT, fragments, frames, json};
    use criterion::{Criterion, Throughput};
    use std::hint::black_box;
    use wsync::Message;
    use wsync::internals::{Compressor, Decoder, Encoder, mask};

    /// What one read brings, in messages.
    const BURST: usize = 64;

    /// Masked binary payload stays such when it is unmasked again, so the same bytes serve each time.
    pub(super) fn decode(c: &mut Criterion) {
        let mut group = c.benchmark_group("decode");
        for (size, name) in [(64, "64 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB")] {
            for (count, read) in [(1, "alone"), (BURST, "64 in a read")] {
                if size * count > 1 << 20 {
                    continue;
                }
                let mut bytes = frames(count, BINARY, Some(KEY), &vec![b'x'; size]);
                let mut decoder = Decoder::server();
                group.throughput(Throughput::Bytes((size * count) as u64));
                group.bench_function(format!("{name} masked, {read}"), |b| {
                    b.iter(|| decoder.decode(black_box(&mut bytes)));
                });
            }
        }
        let mut bytes = frames(1, TEXT, None, json(64).as_bytes());
        let mut decoder = Decoder::client();
        group.throughput(Throughput::Bytes(64));
        group.bench_function("64 B of text unmasked, alone", |b| {
            b.iter(|| decoder.decode(black_box(&mut bytes)));
        });
        group.finish();
    }

    pub(super) fn assemble(c: &mut Criterion) {
        let mut group = c.benchmark_group("assemble");
        for (count, size) in [(4, 256), (64, 1 << 10)] {
            let mut bytes = fragments(count, Some(KEY), &vec![b'x'; size]);
            let mut decoder = Decoder::server();
            group.throughput(Throughput::Bytes((size * count) as u64));
            group.bench_function(format!("{count} fragments of {size} B, masked"), |b| {
                b.iter(|| decoder.decode(black_box(&mut bytes)));
            });
        }
        group.finish();
    }

    pub(super) fn apply_mask(c: &mut Criterion) {
        let mut group = c.benchmark_group("mask");
        for (size, name) in [(64, "64 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB")] {
            let mut bytes = vec![b'x'; size];
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(name, |b| {
                b.iter(|| mask(black_box(&mut bytes), u32::from_ne_bytes(KEY)));
            });
        }
        group.finish();
    }

    pub(super) fn encode(c: &mut Criterion) {
        let mut group = c.benchmark_group("encode");
        for (size, name) in [(64, "64 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB")] {
            let message = Message::from(vec![b'x'; size]);
            group.throughput(Throughput::Bytes(size as u64));
            for (mut encoder, side) in
                [(Encoder::server(), "server"), (Encoder::client(), "client")]
            {
                group.bench_function(format!("{name}, {side}"), |b| {
                    b.iter(|| {
                        encoder.append(black_box(&message));
                        encoder.take()
                    });
                });
            }
        }
        group.finish();
    }

    pub(super) fn deflate(c: &mut Criterion) {
        if cfg!(not(feature = "deflate")) {
            return;
        }
        let mut group = c.benchmark_group("deflate");
        for (size, name) in [(64, "64 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB")] {
            let message = json(size);
            let mut compressor = Compressor::new();
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(format!("{name} in context"), |b| {
                b.iter(|| compressor.compress(black_box(message.as_bytes())).len());
            });
            group.bench_function(format!("{name} without context"), |b| {
                b.iter(|| {
                    compressor.reset();
                    compressor.compress(black_box(message.as_bytes())).len()
                });
            });
            let mut compressor = Compressor::new();
            let compressed = compressor.compress(message.as_bytes());
            let mut bytes = frames(1, TEXT | 0x40, None, compressed);
            let mut decoder = Decoder::client().inflating();
            assert_eq!(decoder.decode(&mut bytes), size);
            group.bench_function(format!("{name} inflated, without context"), |b| {
                b.iter(|| decoder.decode(black_box(&mut bytes)));
            });
        }
        group.finish();
    }

    criterion::criterion_group!(benches, decode, assemble, apply_mask, encode, deflate);
}

#[cfg(wsync_bench)]
criterion::criterion_main!(measured::benches);

#[cfg(not(wsync_bench))]
fn main() {
    println!("codec: left out, it needs RUSTFLAGS=\"--cfg wsync_bench\"");
}
