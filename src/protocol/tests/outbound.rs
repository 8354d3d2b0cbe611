//! What waits to be written: pings and pongs of which only the newest counts, and what is given up.

use super::fragment;
use crate::close::CloseFrame;
use crate::keepalive::Keepalive;
use crate::message::{Message, MessageKind};
use crate::protocol::{Fragment, Frames, Outbound, PingPayload, Pings, Role};
use bytes::Bytes;
use std::time::Instant;

/// Of a server, whose frames are not masked.
fn outbound() -> Outbound {
    Outbound::new(Role::Server)
}

fn taken(outbound: &mut Outbound) -> Vec<u8> {
    let mut frames = Frames::default();
    outbound.take(&mut frames);
    frames.pieces(0).collect::<Vec<_>>().concat()
}

fn pings<const N: usize>() -> [PingPayload; N] {
    let now = Instant::now();
    let mut pings = Pings::new(Keepalive::off(), now);
    [(); N].map(|()| pings.send(now, false))
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

#[test]
fn of_pings_that_nobody_asked_for_only_the_newest_waits_for_a_stalled_writer() {
    let [old, new, now] = pings();
    let mut outbound = outbound();
    outbound.ping_unasked(old, true);
    outbound.ping_unasked(new, true);
    // It is no part of what a limit counts, and it has to be written all the same.
    assert_eq!((outbound.len(), outbound.is_empty()), (0, false));
    assert_eq!(taken(&mut outbound), frame(0x89, &new));
    assert!(outbound.is_empty());
    outbound.ping_unasked(now, false);
    assert_eq!(outbound.len(), frame(0x89, &now).len());
    assert_eq!(taken(&mut outbound), frame(0x89, &now));
}

#[test]
fn a_pong_and_a_ping_that_wait_go_before_what_is_appended_later() {
    let [ping] = pings();
    let mut outbound = outbound();
    outbound.ping_unasked(ping, true);
    outbound.answer(Bytes::from_static(b"old"), true);
    outbound.answer(Bytes::from_static(b"new"), true);
    outbound.settle();
    outbound.message(&Message::from("text"));
    let expected = [
        frame(0x8a, b"new"),
        frame(0x89, &ping),
        frame(0x81, b"text"),
    ];
    assert_eq!(taken(&mut outbound), expected.concat());
}

#[test]
fn behind_a_close_frame_there_is_no_ping_and_no_pong() {
    let [before, behind] = pings();
    let mut outbound = outbound();
    outbound.ping_unasked(before, true);
    outbound.close(CloseFrame::going_away(), Instant::now(), None);
    outbound.ping_unasked(behind, false);
    outbound.answer(Bytes::from_static(b"behind"), false);
    let expected = [frame(0x89, &before), frame(0x88, &1001_u16.to_be_bytes())];
    assert_eq!(taken(&mut outbound), expected.concat());
}

#[test]
fn what_is_given_up_is_told_in_messages_that_were_to_end() {
    let [ping] = pings();
    let mut outbound = outbound();
    outbound.message(&Message::from("one"));
    outbound.fragment(&fragment(MessageKind::Text, true, false, b"two"));
    outbound.fragment(&fragment(MessageKind::Text, false, true, b"end"));
    outbound.fragment(&fragment(MessageKind::Text, true, false, b"never"));
    outbound.ping_unasked(ping, true);
    assert_eq!(outbound.messages(), 2);
    assert_eq!(outbound.abandon(), 2);
    assert!(outbound.is_empty());
    assert_eq!((outbound.messages(), outbound.len()), (0, 0));
}

#[test]
fn a_whole_compressed_message_is_one_frame_with_rsv1() {
    let mut outbound = outbound();
    let payload = Bytes::from_static(b"\xf2\x48\xcd");
    outbound.fragment(&Fragment::whole(MessageKind::Text, true, payload));
    assert_eq!(outbound.messages(), 1);
    assert_eq!(taken(&mut outbound), frame(0xc1, b"\xf2\x48\xcd"));
}
