//! The closing handshake and failures, between two endpoints.

use super::link::{CLOSE_TIMEOUT, DELAY, Link, closed, for_each_link};
use super::*;
use crate::close::Initiator::{Local, Remote};
use crate::close::{CloseCode, Closed};
use std::time::Duration;

#[test]
fn the_client_closes_and_the_server_answers_with_the_same_code() {
    for_each_link(|mut link| {
        link.client.outbound.message(&Message::from("last words"));
        link.close_client(CloseCode::GOING_AWAY);
        assert_eq!(link.run(), 2 * DELAY, "there and back");
        let ends = (closed(1001, 1001, Local), closed(1001, 1001, Remote));
        assert_eq!(link.closed(), ends);
        assert_eq!(link.server.messages, [Message::from("last words")]);
    });
}

#[test]
fn the_server_closes_and_the_client_answers_with_the_same_code() {
    for_each_link(|mut link| {
        link.server.outbound.message(&Message::from("last words"));
        link.close_server(CloseCode::from(4321));
        assert_eq!(link.run(), 2 * DELAY, "there and back");
        let ends = (closed(4321, 4321, Remote), closed(4321, 4321, Local));
        assert_eq!(link.closed(), ends);
        assert_eq!(link.client.messages, [Message::from("last words")]);
    });
}

#[test]
fn both_close_at_once_with_one_close_frame_each_way() {
    for_each_link(|mut link| {
        link.close_client(CloseCode::NORMAL);
        link.close_server(CloseCode::GOING_AWAY);
        assert_eq!(link.run(), DELAY, "neither waits for an answer");
        let ends = (closed(1001, 1000, Local), closed(1000, 1001, Local));
        assert_eq!(link.closed(), ends);
    });
}

#[test]
fn a_close_frame_is_answered_with_its_reason_too() {
    for_each_link(|mut link| {
        let frame = CloseFrame::new(CloseCode::NORMAL, "so long \u{1f44b}").unwrap();
        link.client.outbound.close(frame.clone(), link.now, None);
        link.run();
        let (client, server) = link.closed();
        assert_eq!(
            (client.received, server.received),
            (Some(frame.clone()), Some(frame))
        );
    });
}

#[test]
fn an_empty_close_frame_is_answered_with_an_empty_one() {
    for_each_link(|mut link| {
        link.close_client(CloseCode::NO_STATUS);
        link.run();
        assert_eq!(
            link.closed(),
            (closed(1005, 1005, Local), closed(1005, 1005, Remote))
        );
        assert_eq!(link.client.written(0x88), [b""]);
        assert_eq!(link.server.written(0x88), [b""]);
        assert!(link.closed().0.is_normal());
    });
}

#[test]
fn a_second_close_changes_nothing() {
    for_each_link(|mut link| {
        link.close_client(CloseCode::NORMAL);
        link.close_client(CloseCode::GOING_AWAY);
        link.run();
        link.close_client(CloseCode::GOING_AWAY);
        link.close_server(CloseCode::GOING_AWAY);
        link.run();
        assert_eq!(
            link.closed(),
            (closed(1000, 1000, Local), closed(1000, 1000, Remote))
        );
    });
}

#[test]
fn a_message_in_progress_ends_with_the_close_frame_of_its_sender() {
    for_each_link(|mut link| {
        link.client
            .outbound
            .fragment(&fragment(MessageKind::Text, true, false, b"half a mess"));
        link.close_client(CloseCode::NORMAL);
        link.run();
        assert_eq!(
            link.closed(),
            (closed(1000, 1000, Local), closed(1000, 1000, Remote))
        );
        assert_eq!(link.server.messages, []);
        assert_eq!(link.server.inbound.message_begun(), None);
        assert_eq!(link.server.inbound.held(), 0);
    });
}

#[test]
fn a_message_in_progress_may_be_completed_after_the_close_frame_of_its_receiver() {
    for_each_link(|mut link| {
        link.client
            .outbound
            .fragment(&fragment(MessageKind::Text, true, false, b"half"));
        link.run();
        link.close_server(CloseCode::NORMAL);
        link.client
            .outbound
            .fragment(&fragment(MessageKind::Text, false, true, b" done"));
        link.run();
        assert_eq!(
            link.closed(),
            (closed(1000, 1000, Remote), closed(1000, 1000, Local))
        );
        assert_eq!(link.server.messages, [Message::from("half done")]);
    });
}

#[test]
fn data_after_a_close_frame_is_discarded() {
    for_each_link(|mut link| {
        link.close_client(CloseCode::NORMAL);
        link.write();
        let late = [
            frame(Role::Server, 0x81, b"late"),
            hex("ff ff"),
            vec![0; 1000],
        ]
        .concat();
        link.to_server.send(&late, link.now);
        link.run();
        assert_eq!(
            link.closed(),
            (closed(1000, 1000, Local), closed(1000, 1000, Remote))
        );
        assert!(link.server.messages.is_empty() && link.server.failure.is_none());
    });
}

#[test]
fn a_silent_peer_ends_at_the_close_deadline() {
    let mut link = Link::new(1);
    assert_eq!(link.client.outbound.deadline(), None);
    let start = link.now;
    link.close_client(CloseCode::NORMAL);
    let deadline = Some(start + CLOSE_TIMEOUT);
    assert_eq!(link.client.outbound.deadline(), deadline);
    // Neither frames of the peer nor another close move it.
    link.now += Duration::from_secs(4);
    link.to_client
        .send(&hex("89 00  81 01 61  01 01 62"), link.now);
    link.client.write();
    link.run();
    link.close_client(CloseCode::GOING_AWAY);
    assert_eq!(link.client.outbound.deadline(), deadline);
    assert_eq!(link.client.outbound.closed().received, None);
    assert_eq!(link.client.messages, [Message::from("a")]);
}

#[test]
fn the_answer_to_a_close_frame_has_a_deadline() {
    let mut link = Link::new(1);
    link.close_client(CloseCode::NORMAL);
    link.server.room = 0;
    link.run();
    assert_eq!(
        link.server.outbound.deadline(),
        Some(link.now + CLOSE_TIMEOUT)
    );
}

#[test]
fn without_a_close_timeout_or_with_one_beyond_time_there_is_no_deadline() {
    for timeout in [None, Some(Duration::MAX)] {
        let mut outbound = Outbound::new(Role::Client);
        outbound.close(CloseFrame::no_status(), Instant::now(), timeout);
        assert_eq!(outbound.deadline(), None);
    }
}

#[test]
fn a_pong_that_is_due_goes_before_the_close_frame_and_none_after_it() {
    let mut link = Link::new(3);
    link.client.outbound.ping(b"before");
    link.close_client(CloseCode::NORMAL);
    link.run();
    let firsts: Vec<_> = frames(&link.server.written).iter().map(|f| f.0).collect();
    assert_eq!(firsts, [0x8a, 0x88]);

    let mut link = Link::new(3);
    link.close_server(CloseCode::NORMAL);
    link.client.outbound.ping(b"crossing");
    link.run();
    let firsts: Vec<_> = frames(&link.server.written).iter().map(|f| f.0).collect();
    assert_eq!(firsts, [0x88]);
}

#[test]
fn a_failure_is_told_to_the_peer_with_its_code() {
    let big = header(Role::Server, 0x82, (1 << 16) + 1);
    let fragments = [
        frame(Role::Server, 0x02, b""),
        frame(Role::Server, 0x00, b"").repeat(50),
    ];
    let total = [
        frame(Role::Server, 0x02, &[0; 1 << 16]),
        frame(Role::Server, 0x00, &[0; 1 << 16]).repeat(15),
        header(Role::Server, 0x00, 1),
    ];
    for (bytes, code) in [
        (hex("c1 80"), 1002),
        (hex("83 80"), 1002),
        (hex("81 05"), 1002),
        (hex("89 fe"), 1002),
        (hex("09 80"), 1002),
        (hex("82 fe 0001 00000000"), 1002),
        (hex("82 ff ffffffffffffffff 00000000"), 1002),
        (hex("80 80 00000000"), 1002),
        (hex("01 80 00000000  81 80 00000000"), 1002),
        (hex("88 81 00000000 00"), 1002),
        (hex("88 82 00000000 03ed"), 1002),
        (hex("81 82 00000000 ff"), 1007),
        (hex("01 81 00000000 c3  80 80 00000000"), 1007),
        (hex("88 83 00000000 03e8 ff"), 1007),
        (big, 1009),
        (fragments.concat(), 1009),
        (total.concat(), 1009),
    ] {
        let mut link = Link::new(code.into());
        link.client.outbound.message(&Message::from("before"));
        link.write();
        link.to_server.send(&bytes, link.now);
        link.to_server
            .send(&frame(Role::Server, 0x81, b"after"), link.now);
        link.run();
        let error = link.server.failure.as_ref().expect("it fails");
        assert_eq!(error.close_code(), Some(code.into()), "{bytes:x?}");
        assert_eq!(link.server.messages, [Message::from("before")]);
        assert_eq!(link.server.inbound.message_begun(), None);
        assert_eq!(link.server.inbound.held(), 0);
        let (client, server) = link.closed();
        assert_eq!(client, closed(code, code, Remote));
        // The answer of the client is discarded with all the rest (section 7.1.7).
        let received = None;
        assert_eq!(
            server,
            Closed {
                received,
                ..closed(code, code, Local)
            }
        );
    }
}
