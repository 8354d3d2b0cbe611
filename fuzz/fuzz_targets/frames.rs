//! A stream of frames to either side, in any cuts: the same as from one piece, within its limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsync::internals::codec::Side;
use wsync_fuzz::{Cuts, Input, Setting, limits};

/// Of a message, of a frame, of fragments.
const LIMITS: [(usize, Option<usize>, usize); 8] = [
    (1 << 20, None, 131_072),
    (usize::MAX, None, usize::MAX),
    (1 << 16, Some(20_000), 100),
    (300, Some(200), 9),
    (125, None, 4),
    (20, Some(10), 3),
    (7, None, 1),
    (0, Some(0), 2),
];

/// Behind some inputs, so that large payloads come to their end.
const PADDING: [usize; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20_000];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let flags = input.byte();
    let (message, frame, fragments) = input.pick(&LIMITS);
    let limits = limits(message, frame, fragments);
    let cuts = Cuts::from(&mut input);
    let number = input.usize();
    let padding = input.pick(&PADDING);
    let side = match flags & 1 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let plain = Setting::new(side, limits.clone());
    let setting = Setting {
        wants_more: flags & 2 == 0,
        stream_above: (flags & 4 != 0).then_some(number),
        direct: flags & 8 != 0,
        shrinks: flags & 16 != 0,
        room: match flags & 32 {
            0 => (usize::MAX, usize::MAX),
            _ => (1 + number % 4, 1 + number),
        },
        ..plain.clone()
    };
    let bytes = input.rest();
    if padding == 0 {
        let whole = plain.decode([bytes]);
        assert_eq!(setting.decode(cuts.of(bytes)).joined(&limits), whole);
    } else {
        let padding = vec![0x20; padding];
        let whole = plain.decode([&[bytes, &padding].concat()[..]]);
        let pieces = cuts.of(bytes).chain(padding.chunks(5_000 + number));
        assert_eq!(setting.decode(pieces).joined(&limits), whole);
    }
});
