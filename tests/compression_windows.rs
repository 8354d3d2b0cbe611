//! Every window and every choice of takeover, between two of ours and as it shows on the wire.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)]

mod common;

use common::offers::{answered, asked, compression, line, pair, params};
use common::peer::{FIN, Ours, Peer};
use common::{LATE, Scheme, patient, pattern, server_builder, watchdog};
use std::io::Read;
use wsync::{Compression, Config, Message, WebSocket};

const TAKEOVER: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// Messages that refer to each other and to themselves over short and long distances.
fn messages(seed: u64) -> Vec<Message> {
    let noise = pattern(seed, 34_000);
    let text = "all work and no play makes Jack a dull boy. ".repeat(300);
    let mixed = [
        &noise[..700],
        text.as_bytes(),
        &noise[..5000],
        &noise[..700],
    ]
    .concat();
    vec![
        Message::from(text.as_str()),
        Message::from(noise[..300].to_vec()),
        Message::from(mixed),
        Message::from(&text[..100]),
        Message::from(Vec::new()),
        Message::from(noise[..300].to_vec()),
        Message::from([&noise[..], &noise[..1000]].concat()),
        Message::from(text),
    ]
}

fn exchange(from: &WebSocket, to: &WebSocket, messages: &[Message]) {
    for message in messages {
        from.send(message.clone()).unwrap();
        assert_eq!(&to.recv_timeout(LATE).unwrap(), message);
    }
}

#[test]
fn messages_pass_with_every_window_with_and_without_takeover() {
    watchdog(120, || {
        for (server_bits, takeover) in (8..=15).flat_map(|b| TAKEOVER.map(|t| (b, t))) {
            let client_bits = 23 - server_bits;
            let ours = compression(|c| {
                (c.server_max_window_bits, c.client_max_window_bits) = (server_bits, client_bits);
                c.server_no_context_takeover = takeover.0;
                c.min_size = 0;
            });
            let offered = compression(|c| {
                c.client_no_context_takeover = takeover.1;
                c.min_size = 0;
            });
            let (client, server) = pair(offered, ours);
            let agreed = client.compression().map(params);
            let expected = (server_bits, client_bits, takeover.0, takeover.1);
            assert_eq!(agreed, Some(expected));
            assert_eq!(server.compression(), client.compression());
            let messages = messages(u64::from(server_bits));
            exchange(&client, &server, &messages);
            exchange(&server, &client, &messages);
            client.close().unwrap();
        }
    });
}

/// A connection with these windows and takeover for both sides, and a peer that sees the wire.
fn wire(ours: Ours, bits: u8, takeover: bool) -> (WebSocket, Peer) {
    let compression = compression(|c| c.min_size = 0);
    let no_takeover = match takeover {
        true => "",
        false => "; server_no_context_takeover; client_no_context_takeover",
    };
    let line = line(&format!(
        "permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}{no_takeover}"
    ));
    match ours {
        Ours::Client => {
            let (ws, peer) = answered(Some(compression), &line);
            (ws.unwrap(), peer.within(LATE, "the server"))
        }
        Ours::Server => {
            let (ws, mut peer) = asked(Some(compression), &line);
            peer.read_head();
            (ws.within(LATE, "accepting").unwrap(), peer)
        }
    }
}

/// The length of the only frame that comes, which is compressed.
fn compressed_length(peer: &Peer) -> usize {
    let mut tcp = &peer.tcp;
    let mut head = [0; 2];
    tcp.read_exact(&mut head).unwrap();
    assert_eq!(head[0] & 0xf0, FIN | 0x40, "one frame, compressed");
    let mut array = [0; 2];
    let length = match head[1] & 0x7f {
        126 => {
            tcp.read_exact(&mut array).unwrap();
            usize::from(u16::from_be_bytes(array))
        }
        127 => panic!("a long frame"),
        length => usize::from(length),
    };
    let mask = if head[1] & 0x80 == 0 { 0 } else { 4 };
    tcp.read_exact(&mut vec![0; length + mask]).unwrap();
    length
}

/// What a message that came before costs the second time.
fn second(ours: Ours, bits: u8, takeover: bool, length: usize) -> usize {
    let (ws, peer) = wire(ours, bits, takeover);
    let expected = ws.compression().unwrap();
    assert_eq!(expected.server_max_window_bits, bits);
    assert_eq!(expected.client_max_window_bits, bits);
    assert_eq!(expected.server_no_context_takeover, !takeover);
    assert_eq!(expected.client_no_context_takeover, !takeover);
    let message = pattern(7, length);
    // Without takeover what gets no smaller is not compressed.
    let padded = [&message[..], &[0; 64]].concat();
    ws.send(padded.clone()).unwrap();
    assert!(compressed_length(&peer) > length);
    ws.send(padded).unwrap();
    compressed_length(&peer)
}

#[test]
fn no_reference_goes_back_further_than_agreed_and_only_with_takeover_to_another_message() {
    watchdog(120, || {
        for ours in Ours::BOTH {
            for bits in 8..=15 {
                let window = 1 << bits;
                let near = window / 4;
                let short = second(ours, bits, true, near);
                assert!(short < near / 4 + 16, "{short} of {near} with {bits}");
                let far = window;
                let long = second(ours, bits, true, far);
                assert!(long > far, "{long} of {far} with {bits}");
                let alone = second(ours, bits, false, near);
                assert!(alone > near, "{alone} of {near} with {bits}");
            }
        }
    });
}

#[test]
fn every_connection_has_the_level_of_its_upgrade() {
    watchdog(60, || {
        let server = server_builder(Scheme::Ws)
            .config(patient(Config::server()))
            .compression(Compression::server())
            .bind("127.0.0.1:0")
            .unwrap();
        let port = server.local_addr().port();
        let text: String = (0..900u64).map(|n| format!("{} ", n * n % 1009)).collect();
        let mut incoming = server.incoming().unwrap();
        let lengths = [1, 9].map(|level| {
            let mut peer = Peer::connect(port, Scheme::Ws);
            let request = common::peer::REQUEST;
            let offer = format!("\r\n{}\r\n", line("permessage-deflate"));
            peer.bytes(request.replace("\r\n\r\n", &offer).as_bytes());
            let mut compression = Compression::server();
            compression.level = level;
            let ws = incoming.next().unwrap().compression(compression).accept();
            peer.read_head();
            ws.unwrap().send(text.as_str()).unwrap();
            compressed_length(&peer)
        });
        assert!(lengths[0] > lengths[1] && lengths[1] > 100, "{lengths:?}");
    });
}
