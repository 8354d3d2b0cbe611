//! How to do things with the crate, one chapter for each. The code in them is run by the tests.
//!
//! | chapter | |
//! |---|---|
//! | [threads] | who reads and who sends; the receive queue, and other ways out of it |
//! | [back_pressure] | peers that are too fast or too slow; large messages |
//! | [closing] | the closing handshake, and how a connection ended |
//! | [errors] | what can go wrong, who is to blame, and what to do |
//! | [timeouts] | every deadline; pings |
//! | [tls] | `wss`: certificates, and which library |
//! | [proxies] | proxies, and the rest of the way to a server |
//! | [compression] | permessage-deflate |
//! | [servers] | requests, limits, many clients, stopping, other HTTP servers |
//! | [reconnecting] | clients that connect again |
//! | [async_programs] | the receive queue as a `Stream` |
//! | [testing] | tests of your own program |
//! | [from_tungstenite] | what becomes of a program that uses tungstenite |
//! | [from_websockets] | what becomes of one that uses Python's `websockets` |
//!
//! The examples of the project are whole programs.

// Links to what a build leaves out cannot be resolved in it.
#![cfg_attr(
    not(all(
        feature = "cookies",
        feature = "digest",
        feature = "router",
        feature = "stream"
    )),
    allow(rustdoc::broken_intra_doc_links)
)]

macro_rules! chapters {
    ($($name:ident $file:literal)*) => {$(
        #[doc = include_str!(concat!("../docs/guide/", $file))]
        pub mod $name {}
    )*};
}

chapters! {
    threads "01-threads.md"
    back_pressure "02-back-pressure.md"
    closing "03-closing.md"
    errors "04-errors.md"
    timeouts "05-timeouts.md"
    tls "06-tls.md"
    proxies "07-proxies.md"
    compression "08-compression.md"
    servers "09-servers.md"
    reconnecting "10-reconnecting.md"
    async_programs "11-async-programs.md"
    testing "12-testing.md"
    from_tungstenite "13-from-tungstenite.md"
    from_websockets "14-from-websockets.md"
}
