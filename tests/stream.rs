//! `MessageStream` on the executors of tokio, smol and the futures crates.

#![allow(clippy::unwrap_used)]

mod common;

use async_executor::Executor;
use common::peer::{self, BINARY, FIN, Ours};
use common::{LATE, Scheme, eventually, number_of, numbered, numbers, pair, pair_with, patient};
use common::{pattern, spawn, watchdog};
use futures_util::future::{Either, select};
use futures_util::stream::{self, FusedStream, Stream, StreamExt};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;
use wsync::{Config, Error, Message, MessageStream, QueueView, Sender, WebSocket};

const MOMENT: Duration = Duration::from_millis(30);

#[derive(Debug, Clone, Copy)]
enum Runtime {
    Futures,
    Tokio,
    Smol,
}

impl Runtime {
    const ALL: [Runtime; 3] = [Runtime::Futures, Runtime::Tokio, Runtime::Smol];

    /// Runs a task to its end; where there are threads, on one of them.
    fn run<T: Send + 'static>(self, task: impl Future<Output = T> + Send + 'static) -> T {
        static TOKIO: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
        static SMOL: Executor<'static> = Executor::new();
        static SMOL_THREAD: OnceLock<()> = OnceLock::new();
        match self {
            Runtime::Futures => futures_executor::block_on(task),
            Runtime::Tokio => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                let start = || builder.worker_threads(2).enable_time().build().unwrap();
                let runtime = TOKIO.get_or_init(start);
                runtime.block_on(runtime.spawn(task)).unwrap()
            }
            Runtime::Smol => {
                let serve = || async_io::block_on(SMOL.run(std::future::pending::<()>()));
                SMOL_THREAD.get_or_init(|| drop(thread::spawn(serve)));
                async_io::block_on(SMOL.run(SMOL.spawn(task)))
            }
        }
    }

    async fn sleep(self, duration: Duration) {
        match self {
            Runtime::Tokio => tokio::time::sleep(duration).await,
            Runtime::Futures | Runtime::Smol => drop(async_io::Timer::after(duration).await),
        }
    }
}

fn stream_of(ws: WebSocket) -> (Sender, MessageStream) {
    let (sender, receiver) = ws.split();
    (sender, receiver.into_stream())
}

/// The numbers of all messages until the end, which is a normal one.
async fn numbers_of(mut stream: impl Stream<Item = Result<Message, Error>> + Unpin) -> Vec<u64> {
    let mut got = Vec::new();
    while let Some(message) = stream.next().await {
        got.push(number_of(&message.unwrap()));
    }
    got
}

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll_with(
    stream: &mut MessageStream,
    waker: &Arc<impl Wake + Send + Sync + 'static>,
) -> Poll<Option<Result<Message, Error>>> {
    let waker = Waker::from(Arc::clone(waker));
    Pin::new(stream).poll_next(&mut Context::from_waker(&waker))
}

#[test]
fn a_hundred_thousand_messages_come_in_order_and_then_the_end() {
    const COUNT: u64 = 100_000;
    watchdog(120, || {
        for runtime in Runtime::ALL {
            let scheme = *Scheme::all().last().unwrap();
            let (client, server) = pair(scheme);
            let (_sender, stream) = stream_of(server);
            let sending = spawn(move || {
                (0..COUNT).for_each(|n| client.feed(numbered(n)).unwrap());
                client.close().unwrap()
            });
            assert!(runtime.run(numbers_of(stream)).into_iter().eq(0..COUNT));
            assert_eq!(sending.within(LATE, "the sender").unsent, 0);
        }
    });
}

#[test]
fn a_task_that_waits_is_woken_by_each_message() {
    watchdog(60, || {
        for runtime in Runtime::ALL {
            for &scheme in Scheme::all() {
                let (client, server) = pair(scheme);
                let (sender, stream) = stream_of(server);
                let echoing = spawn(move || {
                    runtime.run(stream.for_each(move |message| {
                        sender.send(message.unwrap()).unwrap();
                        std::future::ready(())
                    }));
                });
                for n in 0..300 {
                    if n % 100 == 0 {
                        thread::sleep(MOMENT);
                    }
                    client.send(numbered(n)).unwrap();
                    assert_eq!(number_of(&client.recv_timeout(LATE).unwrap()), n);
                }
                client.close().unwrap();
                echoing.within(LATE, "the task");
            }
        }
    });
}

#[test]
fn an_abnormal_end_is_the_last_item_and_a_normal_one_is_none() {
    watchdog(60, || {
        for runtime in Runtime::ALL {
            for how in 0..4 {
                let (ws, mut peer) = peer::open(Ours::Client, Scheme::Ws, Config::client());
                let (sender, mut stream) = stream_of(ws);
                assert!(!stream.is_terminated());
                peer.text("before");
                let ending = spawn(move || {
                    thread::sleep(MOMENT);
                    match how {
                        0 => peer.close(1000),
                        1 => peer.close(3000),
                        2 => peer.end(),
                        _ => peer.bytes(&[0xff, 0xff]),
                    }
                    peer
                });
                let came = runtime.run(async move {
                    let came: Vec<_> = stream.by_ref().collect().await;
                    assert!(stream.is_terminated());
                    for _ in 0..3 {
                        assert!(stream.next().await.is_none(), "nothing follows the end");
                    }
                    came
                });
                assert_eq!(came[0].as_ref().unwrap().as_text(), Some("before"));
                let is_expected = match (how, &came[1..]) {
                    (0, []) => true,
                    (1, [Err(Error::Closed(closed))]) => !closed.is_normal(),
                    (2, [Err(Error::Io(_))]) | (3, [Err(Error::Protocol(_))]) => true,
                    _ => false,
                };
                assert!(is_expected, "{runtime:?}, {how}: {came:?}");
                drop(sender);
                ending.within(LATE, "the peer");
            }
        }
    });
}

#[test]
fn a_close_of_ours_ends_a_stream_that_waits() {
    watchdog(60, || {
        for runtime in Runtime::ALL {
            let (client, server) = pair(Scheme::Ws);
            let peer = spawn(move || client.iter().count());
            let (sender, stream) = stream_of(server);
            let waiting = spawn(move || runtime.run(numbers_of(stream)));
            thread::sleep(MOMENT);
            assert!(waiting.is_running());
            sender.close().unwrap();
            assert_eq!(waiting.within(LATE, "the stream"), []);
            peer.within(LATE, "the peer");
        }
    });
}

#[test]
fn dropping_a_future_that_waits_loses_nothing() {
    const COUNT: u64 = 3000;
    watchdog(120, || {
        for runtime in Runtime::ALL {
            let (client, server) = pair(Scheme::Ws);
            let (_sender, mut stream) = stream_of(server);
            let sending = spawn(move || {
                let mut next = numbers(7);
                for n in 0..COUNT {
                    client.send(numbered(n)).unwrap();
                    if next() % 8 == 0 {
                        thread::sleep(Duration::from_micros(next() % 2000));
                    }
                }
                client.close().unwrap();
            });
            let (got, dropped) = runtime.run(async move {
                let (mut got, mut dropped, mut next) = (Vec::new(), 0, numbers(8));
                loop {
                    let timer = pin!(runtime.sleep(Duration::from_micros(next() % 500)));
                    match select(stream.next(), timer).await {
                        Either::Left((Some(message), _)) => got.push(number_of(&message.unwrap())),
                        Either::Left((None, _)) => return (got, dropped),
                        Either::Right(_) => dropped += 1,
                    }
                }
            });
            assert!(got.into_iter().eq(0..COUNT));
            assert!(dropped > 0, "{runtime:?}: {dropped} futures were dropped");
            sending.within(LATE, "the sender");
        }
    });
}

#[test]
fn a_stream_moves_from_task_to_task_and_thread_to_thread() {
    const COUNT: u64 = 300;
    watchdog(60, || {
        let (client, server) = pair(Scheme::Ws);
        let (_sender, mut stream) = stream_of(server);
        for n in 0..COUNT {
            let runtime = Runtime::ALL[n as usize % 3];
            // Waits in one task, is moved away, and gets the message in the next.
            stream = runtime.run(async move {
                let moving = std::future::ready(());
                let is_moving = matches!(select(stream.next(), moving).await, Either::Right(_));
                assert!(is_moving);
                stream
            });
            let sending = spawn({
                let sender = client.sender().clone();
                move || sender.send(numbered(n)).unwrap()
            });
            let next = async move {
                let message = stream.next().await.unwrap().unwrap();
                (number_of(&message), stream)
            };
            let (number, back) = Runtime::ALL[n as usize % 2].run(next);
            assert_eq!(number, n);
            stream = back;
            sending.within(LATE, "the sender");
        }
    });
}

#[test]
fn only_the_last_waker_is_woken_and_only_while_the_stream_waits() {
    watchdog(60, || {
        let (client, server) = pair(Scheme::Ws);
        let (_sender, mut stream) = stream_of(server);
        let (first, last) = (Arc::<Wakes>::default(), Arc::<Wakes>::default());
        assert!(poll_with(&mut stream, &first).is_pending());
        assert!(poll_with(&mut stream, &last).is_pending());
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&last)),
            (1, 2)
        );
        client.send("one").unwrap();
        eventually("a wake", || last.count() == 1);
        eventually("its end", || Arc::strong_count(&last) == 1);
        client.send("two").unwrap();
        eventually("two", || stream.receiver().len() == 2);
        assert_eq!((first.count(), last.count()), (0, 1));
        assert!(poll_with(&mut stream, &first).is_ready());
        assert!(poll_with(&mut stream, &first).is_ready());
        assert!(poll_with(&mut stream, &first).is_pending());
        client.close().unwrap();
        eventually("a wake by the end", || first.count() == 1);
        assert!(matches!(poll_with(&mut stream, &first), Poll::Ready(None)));
        assert!(matches!(poll_with(&mut stream, &last), Poll::Ready(None)));
        assert_eq!((first.count(), last.count()), (1, 1));
    });
}

#[test]
fn a_stream_that_is_dropped_while_it_waits_leaves_no_waker() {
    watchdog(60, || {
        let (client, server) = pair(Scheme::Ws);
        let (sender, mut stream) = stream_of(server);
        let wakes = Arc::<Wakes>::default();
        assert!(poll_with(&mut stream, &wakes).is_pending());
        let queue = stream.receiver().queue();
        drop(stream);
        assert_eq!(Arc::strong_count(&wakes), 1);
        client.send("to nobody").unwrap();
        eventually("a message", || queue.len() == 1);
        assert_eq!(wakes.count(), 0);
        // What is left of the connection goes on.
        sender.send("still here").unwrap();
        assert_eq!(client.recv().unwrap().as_text(), Some("still here"));
    });
}

/// A waker that owns something that looks into the queue when it goes.
struct Looking(QueueView);

impl Wake for Looking {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.snapshot();
    }
}

#[test]
fn a_waker_that_is_dropped_may_come_back_to_the_queue() {
    watchdog(20, || {
        let (client, server) = pair(Scheme::Ws);
        let (_sender, mut stream) = stream_of(server);
        let queue = stream.receiver().queue();
        let poll = |stream: &mut MessageStream| {
            let looking = Arc::new(Looking(queue.clone()));
            poll_with(stream, &looking).is_pending()
        };
        assert!(
            poll(&mut stream) && poll(&mut stream),
            "one replaces another"
        );
        client.send("one").unwrap();
        eventually("one", || stream.receiver().len() == 1);
        assert!(!poll(&mut stream) && poll(&mut stream));
        drop(stream);
    });
}

#[test]
fn a_receive_call_between_polls_takes_its_share() {
    watchdog(60, || {
        let (client, server) = pair(Scheme::Ws);
        let (_sender, mut stream) = stream_of(server);
        let wakes = Arc::<Wakes>::default();
        for n in 0..200 {
            assert!(poll_with(&mut stream, &wakes).is_pending());
            client.send(numbered(n)).unwrap();
            if n % 2 == 0 {
                let message = stream.receiver().recv_timeout(LATE).unwrap();
                assert_eq!(number_of(&message), n);
            } else {
                let message = futures_executor::block_on(stream.next()).unwrap();
                assert_eq!(number_of(&message.unwrap()), n);
            }
        }
    });
}

#[test]
fn streams_of_several_connections_are_read_by_one_task() {
    const COUNT: u64 = 500;
    watchdog(60, || {
        for runtime in Runtime::ALL {
            let (streams, sending): (Vec<_>, Vec<_>) = (0..4)
                .map(|n| {
                    let (client, server) = pair(Scheme::Ws);
                    let sending = spawn(move || {
                        (0..COUNT).for_each(|m| client.send(numbered(m * 4 + n)).unwrap());
                        client.close().unwrap();
                    });
                    let (sender, stream) = stream_of(server);
                    drop(sender);
                    (stream, sending)
                })
                .unzip();
            let mut streams = streams.into_iter();
            let mut next = || streams.next().unwrap();
            let halves = [(); 2].map(|()| stream::select(next(), next()));
            let [one, other] = halves;
            let got = runtime.run(numbers_of(stream::select(one, other)));
            assert_eq!(got.len() as u64, 4 * COUNT);
            for n in 0..4 {
                let of_one = got.iter().filter(|m| *m % 4 == n).map(|m| m / 4);
                assert!(of_one.eq(0..COUNT), "connection {n}");
            }
            sending.into_iter().for_each(|s| s.within(LATE, "a sender"));
        }
    });
}

#[test]
fn a_stream_holds_the_peer_up_and_gives_messages_in_pieces_whole() {
    watchdog(60, || {
        for runtime in Runtime::ALL {
            let mut config = patient(Config::server());
            config.stream_above = Some(1000);
            config.queue.bytes = 50_000;
            let (client, server) = pair_with(Scheme::Ws, patient(Config::client()), config);
            let sending = spawn(move || {
                (0..30).for_each(|n| client.send(pattern(n, 300_000)).unwrap());
                client.close().unwrap();
            });
            let (_sender, mut stream) = stream_of(server);
            let queue = stream.receiver().queue();
            runtime.run(async move {
                for n in 0..30 {
                    let message = stream.next().await.unwrap().unwrap();
                    assert!(message.as_bytes() == pattern(n, 300_000));
                    runtime.sleep(Duration::from_millis(1)).await;
                }
                assert!(stream.next().await.is_none());
            });
            assert!(queue.high_water().bytes < 50_000 + 300_000);
            sending.within(LATE, "the sender");
        }
    });
}

#[test]
fn a_future_that_is_dropped_in_the_middle_of_a_message_loses_nothing() {
    watchdog(60, || {
        for runtime in Runtime::ALL {
            let mut config = patient(Config::client());
            config.stream_above = Some(100);
            let (ws, mut peer) = peer::open(Ours::Client, Scheme::Ws, config);
            let (_sender, mut stream) = stream_of(ws);
            let bytes = pattern(9, 10_000);
            let expected = bytes.clone();
            let sending = spawn(move || {
                for (n, chunk) in bytes.chunks(1000).enumerate() {
                    peer.frame(if n == 0 { BINARY } else { 0 }, chunk);
                    thread::sleep(Duration::from_millis(3));
                }
                peer.frame(FIN, b"");
                peer
            });
            let came = runtime.run(async move {
                loop {
                    let timer = pin!(runtime.sleep(Duration::from_millis(1)));
                    if let Either::Left((message, _)) = select(stream.next(), timer).await {
                        return message.unwrap().unwrap();
                    }
                }
            });
            assert!(came.as_bytes() == expected);
            sending.within(LATE, "the peer");
        }
    });
}
