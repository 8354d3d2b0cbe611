//! RUSTFLAGS="--cfg wsync_bench" cargo bench --bench handover
//!
//! The receive queue: messages from the reader to the application. It is private, so a build without
//! that cfg has nothing to measure here.

#[cfg(wsync_bench)]
mod measured {
    use criterion::{Criterion, Throughput};
    use std::iter::repeat_n;
    use std::thread;
    use std::time::{Duration, Instant};
    use wsync::Message;
    use wsync::internals::queue;

    /// Messages in what one read brings.
    const BATCHES: [usize; 3] = [1, 8, 64];

    fn message() -> Message {
        Message::from(vec![b'x'; 64])
    }

    /// Put and taken by one thread, so that nobody waits.
    pub(super) fn one_thread(c: &mut Criterion) {
        let mut group = c.benchmark_group("queue, one thread");
        for batch in BATCHES {
            let (mut supply, demand) = queue();
            let message = message();
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(format!("{batch} at a time"), |b| {
                b.iter(|| {
                    supply.hand_over(repeat_n(message.clone(), batch));
                    (0..batch).filter(|_| demand.take().is_some()).count()
                });
            });
        }
        group.finish();
    }

    /// From one thread to another, as fast as both can: waiting for messages and for room included.
    pub(super) fn two_threads(c: &mut Criterion) {
        let mut group = c.benchmark_group("queue, two threads");
        for batch in BATCHES {
            group.throughput(Throughput::Elements(1));
            group.bench_function(format!("{batch} at a time"), |b| {
                b.iter_custom(|messages| hand_over(messages, batch));
            });
        }
        group.finish();
    }

    /// How long it takes until so many messages have been taken.
    fn hand_over(messages: u64, batch: usize) -> Duration {
        let (mut supply, demand) = queue();
        let message = message();
        thread::scope(|scope| {
            let began = Instant::now();
            scope.spawn(move || {
                let mut left = messages as usize;
                while left > 0 {
                    let count = batch.min(left);
                    supply.hand_over(repeat_n(message.clone(), count));
                    left -= count;
                }
            });
            let taken = std::iter::from_fn(|| demand.take()).count();
            assert_eq!(taken as u64, messages);
            began.elapsed()
        })
    }

    criterion::criterion_group!(benches, one_thread, two_threads);
}

#[cfg(wsync_bench)]
criterion::criterion_main!(measured::benches);

#[cfg(not(wsync_bench))]
fn main() {
    println!("handover: left out, it needs RUSTFLAGS=\"--cfg wsync_bench\"");
}
