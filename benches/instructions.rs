//! What .ci/instructions counts: `instructions CASE COUNT` does one thing COUNT times and nothing
//! else that depends on COUNT; without arguments it lists the cases.

#[cfg(wsync_bench)]
mod common;

#[cfg(wsync_bench)]
mod cases {
    use super::common::{BINARY, Echo, KEY, Mode, Peer, TEXT, fragments, frames, json};
    use std::hint::black_box;
    use std::iter::repeat_n;
    use wsync::Message;
    use wsync::internals::{Compressor, Decoder, Encoder, queue};

    /// What one read brings in the cases named burst; the cost is that of one message.
    const BURST: usize = 64;

    type Case = (&'static str, fn(usize));

    const CODEC: &[Case] = &[
        ("decode-64-masked", |n| decode(n, 1, 64)),
        ("decode-64-masked-burst", |n| decode(n, BURST, 64)),
        ("decode-1k-masked", |n| decode(n, 1, 1 << 10)),
        ("decode-64-text", decode_text),
        ("assemble-4x256", assemble),
        ("encode-64-client", |n| encode(n, Encoder::client(), 64)),
        ("encode-64-server", |n| encode(n, Encoder::server(), 64)),
        ("encode-1k-client", |n| {
            encode(n, Encoder::client(), 1 << 10)
        }),
        ("queue-64", |n| hand_over(n, 1)),
        ("queue-64-burst", |n| hand_over(n, BURST)),
        ("echo-64-recv", |n| echo(n, Mode::Recv)),
        ("echo-64-callback", |n| echo(n, Mode::Callback)),
    ];

    #[cfg(feature = "deflate")]
    const DEFLATE: &[Case] = &[("deflate-1k", deflate), ("inflate-1k", inflate)];
    #[cfg(not(feature = "deflate"))]
    const DEFLATE: &[Case] = &[];

    pub(super) fn all() -> impl Iterator<Item = &'static Case> {
        CODEC.iter().chain(DEFLATE)
    }

    /// Masked binary payload stays such when it is unmasked again, so the same bytes serve each time.
    fn decode(count: usize, burst: usize, size: usize) {
        let mut bytes = frames(burst, BINARY, Some(KEY), &vec![b'x'; size]);
        repeat_decode(count / burst, Decoder::server(), &mut bytes, size * burst);
    }

    fn decode_text(count: usize) {
        let mut bytes = frames(1, TEXT, None, json(64).as_bytes());
        repeat_decode(count, Decoder::client(), &mut bytes, 64);
    }

    fn assemble(count: usize) {
        let mut bytes = fragments(4, Some(KEY), &[b'x'; 256]);
        repeat_decode(count, Decoder::server(), &mut bytes, 4 * 256);
    }

    fn inflate(count: usize) {
        let text = json(1 << 10);
        let mut compressor = Compressor::new();
        let mut bytes = frames(1, TEXT | 0x40, None, compressor.compress(text.as_bytes()));
        repeat_decode(count, Decoder::client().inflating(), &mut bytes, text.len());
    }

    fn repeat_decode(count: usize, mut decoder: Decoder, bytes: &mut [u8], payload: usize) {
        for _ in 0..count {
            assert_eq!(decoder.decode(black_box(bytes)), payload);
        }
    }

    fn encode(count: usize, mut encoder: Encoder, size: usize) {
        let message = Message::from(vec![b'x'; size]);
        for _ in 0..count {
            encoder.append(black_box(&message));
            assert!(encoder.take() > size);
        }
    }

    fn deflate(count: usize) {
        let text = json(1 << 10);
        let mut compressor = Compressor::new();
        // In context, as it is by default.
        for _ in 0..count {
            assert!(!compressor.compress(black_box(text.as_bytes())).is_empty());
        }
    }

    fn hand_over(count: usize, burst: usize) {
        let (mut supply, demand) = queue();
        let message = Message::from(vec![b'x'; 64]);
        for _ in 0..count / burst {
            supply.hand_over(repeat_n(message.clone(), burst));
            assert!((0..burst).all(|_| demand.take().is_some()));
        }
    }

    /// With what the peer does for it: next to nothing beside its two system calls.
    fn echo(count: usize, mode: Mode) {
        let echo = Echo::start(mode);
        let mut peer = Peer::new(echo.address(), 64, 1);
        (0..count).for_each(|_| peer.round());
    }
}

#[cfg(wsync_bench)]
fn main() {
    // `cargo bench` puts an option of its own behind them.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [name, count, ..] => {
            let case = cases::all().find(|(case, _)| case == name);
            let (_, run) = case.expect("a case of the list");
            run(count.parse().expect("a number"));
        }
        _ => cases::all().for_each(|(name, _)| println!("{name}")),
    }
}

#[cfg(not(wsync_bench))]
fn main() {
    println!("instructions: left out, it needs RUSTFLAGS=\"--cfg wsync_bench\"");
}
