//! Streams that are used again know nothing of the connection that had them before.

use super::super::{DeflateSettings, Deflater, Part};
use super::{Failure, Feeder, Fragment, Message, Outbound, ProtocolError, Role, take};
use crate::config::Limits;
use crate::message::MessageKind;
use bytes::Bytes;

/// Other tests take spares meanwhile, so no single round is sure to get the one that it gave.
const ROUNDS: usize = 50;

const SETTINGS: DeflateSettings = DeflateSettings {
    level: 4,
    window_bits: 11,
    mem_level: 3,
};

/// A match of three bytes at a distance of 1, with nothing before it.
const BEFORE_THE_BEGIN: &[u8] = &[0x02, 0x02, 0x00];

fn deflate(deflater: &mut Deflater, text: &[u8]) -> Bytes {
    let mut packed = Vec::new();
    deflater.deflate(text, Part::Last, &mut packed);
    packed.into()
}

fn frame(payload: Bytes) -> Vec<u8> {
    let mut outbound = Outbound::new(Role::Server);
    outbound.fragment(&Fragment {
        kind: MessageKind::Binary,
        first: true,
        last: true,
        compressed: true,
        payload,
    });
    take(&mut outbound)
}

fn receiver() -> Feeder {
    let mut feeder = Feeder::new(Role::Client, &Limits::default());
    feeder.inbound = feeder.inbound.inflating(true);
    feeder
}

#[test]
fn what_one_connection_received_cannot_be_referred_to_on_another() {
    for _ in 0..ROUNDS {
        let mut one = receiver();
        one.feed(&frame(deflate(&mut Deflater::new(SETTINGS), b"a secret")));
        assert_eq!(one.outcome.failure, None);
        drop(one);
        let mut other = receiver();
        other.feed(&frame(Bytes::from_static(BEFORE_THE_BEGIN)));
        let expected = Failure::Protocol(ProtocolError::Deflate);
        assert_eq!(other.outcome.failure, Some(expected));
    }
}

#[test]
fn what_one_connection_sent_is_not_referred_to_on_another() {
    let text = b"the same words, the same words again, and the same words";
    for _ in 0..ROUNDS {
        drop(deflate(&mut Deflater::new(SETTINGS), text));
        let mut receiver = receiver();
        receiver.feed(&frame(deflate(&mut Deflater::new(SETTINGS), text)));
        let message = Message::Binary(Bytes::from_static(text));
        assert_eq!(receiver.outcome.failure, None);
        assert_eq!(receiver.outcome.events, [super::Event::Message(message)]);
    }
}
