//! The head of a request, in any cuts: the same as from one piece, and never more than the limit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wsync::Compression;
use wsync::internals::opening::answer;
use wsync_fuzz::{Cuts, Input, Served, compression, judged, serve};

const LIMITS: [usize; 6] = [16 << 10, 16 << 10, 16 << 10, 400, 120, 0];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let limit = input.pick(&LIMITS);
    let cuts = Cuts::from(&mut input);
    let ours = compression(&mut input);
    let bytes = input.rest();
    let whole = serve(limit, [bytes]);
    assert_eq!(serve(limit, cuts.of(bytes)), whole);
    let Served::Request(request, _) = whole else {
        return;
    };
    // A client that offers everything understands the answer.
    let (response, answer) = answer(&request, Some(&ours));
    let key = request.headers()["sec-websocket-key"].to_str();
    let offered: Vec<&str> = answer.subprotocol.as_deref().into_iter().collect();
    let offering = Some(Compression::client());
    let key = key.expect("checked by the server");
    assert_eq!(judged(&response, key, &offered, offering), answer);
});
