//! Compressed messages, good or not, in any cuts: the same as from one piece, within the limits; and
//! what the deflater makes comes back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsync::Limits;
use wsync::internals::codec::{Compressing, Event, Side};
use wsync_fuzz::{Cuts, Input, Outcome, Outgoing, Setting, limits};

const LIMITS: [usize; 6] = [1 << 20, 1 << 20, 100_000, 20_000, 300, 5];

/// Level, window and memory.
const SETTINGS: [(u8, u8, u8); 6] = [
    (1, 8, 1),
    (6, 15, 8),
    (9, 9, 9),
    (3, 12, 4),
    (1, 15, 8),
    (5, 10, 2),
];

/// A frame to either side, masked if it has to be.
fn append_frame(bytes: &mut Vec<u8>, side: Side, first: u8, payload: &[u8]) {
    let mask = match side {
        Side::Server => 0x80,
        Side::Client => 0,
    };
    bytes.push(first);
    match payload.len() {
        length @ 0..126 => bytes.push(mask | length as u8),
        length => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    if mask == 0 {
        bytes.extend_from_slice(payload);
    } else {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        bytes.extend_from_slice(&key);
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    }
}

/// Messages whose payloads are what the input has, in fragments.
fn frames_of(mut input: Input<'_>, side: Side) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !input.is_empty() {
        let what = input.byte();
        let (kind, fragment) = (1 + (what & 1), 1 + usize::from(what >> 2 & 31));
        let length = if what & 128 == 0 {
            usize::MAX
        } else {
            input.usize()
        };
        let payload = input.take(length);
        let mut first = 0x40 | kind;
        let mut rest = payload;
        while rest.len() > fragment && what & 2 != 0 {
            let (one, after) = rest.split_at(fragment);
            append_frame(&mut bytes, side, first, one);
            (first, rest) = (0, after);
        }
        append_frame(&mut bytes, side, first | 0x80, rest);
    }
    bytes
}

/// Of several things that are wrong, cuts decide which is seen first.
fn same(mut one: Outcome, mut other: Outcome) -> bool {
    if let (Some(_), Some(_)) = (one.failure, other.failure) {
        (one.failure, other.failure) = (None, None);
    }
    one == other
}

fn check(setting: &Setting, cuts: Cuts, bytes: &[u8]) {
    let limit = setting.limits.message;
    let plain = Setting {
        inflating: setting.inflating,
        ..Setting::new(setting.side, setting.limits.clone())
    };
    let whole = plain.decode([bytes]);
    for event in &whole.events {
        assert!(!matches!(event, Event::Message(message) if message.len() > limit));
    }
    assert!(same(
        setting.decode(cuts.of(bytes)).joined(&setting.limits),
        whole
    ));
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (mode, flags) = (input.byte(), input.byte());
    let message = input.pick(&LIMITS);
    let cuts = Cuts::from(&mut input);
    let number = input.usize();
    let side = match flags & 1 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let takeover = flags & 32 == 0;
    let limits = limits(message, None, 131_072);
    let mut setting = Setting {
        wants_more: flags & 2 == 0,
        stream_above: (flags & 4 != 0).then_some(number),
        direct: flags & 8 != 0,
        shrinks: flags & 16 != 0,
        inflating: Some(takeover),
        ..Setting::new(side, limits)
    };
    match mode % 4 {
        0 | 1 => check(&setting, cuts, &frames_of(input, side)),
        2 => check(&setting, cuts, input.rest()),
        _ => {
            let (level, window, memory) = input.pick(&SETTINGS);
            let compressing = Compressing::new(level, window, memory);
            let mut outgoing = Outgoing::new(side.peer(), Some((compressing, takeover)));
            outgoing.send_all(input);
            setting.limits = Limits::default();
            let came = setting
                .decode(cuts.of(&outgoing.bytes))
                .joined(&setting.limits);
            let expected = Outcome {
                events: outgoing.events,
                failure: None,
                left: 0,
            };
            assert!(came == expected);
        }
    }
});
