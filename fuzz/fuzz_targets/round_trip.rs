//! What one side encodes is what the other decodes, in any cuts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsync::Limits;
use wsync::internals::codec::Side;
use wsync_fuzz::{Cuts, Input, Outcome, Outgoing, Setting};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let flags = input.byte();
    let cuts = Cuts::from(&mut input);
    let number = input.usize();
    let side = match flags & 1 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let mut outgoing = Outgoing::new(side.peer(), None);
    outgoing.send_all(input);
    let setting = Setting {
        wants_more: flags & 2 == 0,
        stream_above: (flags & 4 != 0).then_some(number),
        direct: flags & 8 != 0,
        shrinks: flags & 16 != 0,
        ..Setting::new(side, Limits::default())
    };
    let expected = Outcome {
        events: outgoing.events,
        failure: None,
        left: 0,
    };
    let bytes = &outgoing.bytes[..];
    // A byte at a time is for short ones.
    let cuts = match bytes.len() {
        ..2000 => cuts,
        _ => Cuts::Each(1000 * (1 + number)),
    };
    assert!(setting.decode(cuts.of(bytes)).joined(&setting.limits) == expected);
});
