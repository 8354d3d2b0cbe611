//! Senders and the one of them that writes.

use super::wire::{PING, PONG};
use super::*;
use crate::error::Timeout;

/// A frame of a message here has so many bytes.
pub(super) const FRAME: usize = 3;

/// The peer's Close after all was sent.
fn close_and_end(model: Model, peer: JoinHandle<Vec<Frame>>) -> End {
    model.ws.close().expect("the peer answers");
    model.end(peer)
}

pub(super) fn crowded() -> Config {
    let mut config = config();
    config.limits.outbox = 1;
    config
}

#[test]
fn what_two_senders_append_is_written_by_either() {
    for buffer in [1, FRAME + 1] {
        check(move || {
            let model = Model::open(config(), buffer);
            let peer = model.peer(|_| {});
            let senders = [model.sender(&[10, 11]), model.sender(&[20, 21])];
            let sent = senders.map(join);
            assert!(sent.iter().all(|sent| sent.accepted.len() == 2));
            close_and_end(model, peer).assert_clean(&sent);
        });
    }
}

#[test]
fn senders_that_wait_for_room_take_over_the_writing() {
    check(|| {
        let model = Model::open(crowded(), FRAME + 1);
        let peer = model.peer(|_| {});
        let senders = [
            model.sender(&[10, 11]),
            model.sender(&[20, 21]),
            model.sender(&[30]),
        ];
        let sent = senders.map(join);
        assert!(sent.iter().all(|sent| sent.error.is_none()));
        close_and_end(model, peer).assert_clean(&sent);
    });
}

#[test]
fn what_was_fed_leaves_with_a_flush_beside_a_sender() {
    check(|| {
        let model = Model::open(config(), FRAME + 1);
        let peer = model.peer(|peer| {
            // Without a Close that would take it along.
            (0..3).for_each(|_| drop(peer.next()));
            peer.close();
        });
        let feeder = model.spawn(|ws| {
            ws.feed(vec![10]).unwrap();
            ws.feed(vec![11]).unwrap();
            // If another was faster, the peer may have closed by then.
            let flushed = ws.flush();
            assert!(matches!(flushed, Ok(()) | Err(Error::Closed(_))));
        });
        let sender = model.sender(&[20]);
        join(feeder);
        let fed = Sent {
            accepted: vec![10, 11],
            error: None,
            handed_back: None,
        };
        let sent = [join(sender), fed];
        model.end(peer).assert_clean(&sent);
    });
}

#[test]
fn fragments_of_two_messages_do_not_mix() {
    check(|| {
        let mut config = crowded();
        config.fragment_size = Some(1);
        let model = Model::open(config, FRAME + 1);
        let peer = model.peer(|_| {});
        let senders = [[10, 11], [20, 21]];
        let senders = senders.map(|message| model.spawn(move |ws| ws.send(message.to_vec())));
        let small = model.sender(&[30]);
        assert!(senders.map(join).iter().all(Result::is_ok));
        join(small);
        let mut end = close_and_end(model, peer);
        end.frames.retain(|frame| frame.1 != [30]);
        assert_eq!(end.closed.unsent, 0);
        let messages: Vec<_> = end.frames.iter().map(|frame| frame.1[0]).collect();
        assert!(matches!(messages[..4], [10, 11, 20, 21] | [20, 21, 10, 11]));
        assert_eq!((end.frames[0].0, end.frames[1].0), (0x02, 0x80));
    });
}

#[test]
fn the_last_ping_is_answered_whoever_writes() {
    for config in [config, crowded] {
        check(move || {
            let model = Model::open(config(), FRAME - 1);
            let peer = model.peer(|peer| {
                for n in 1..=3 {
                    peer.send(PING, &[n]);
                }
                peer.wait_for(PONG, &[3]);
                peer.close();
            });
            let senders = [model.sender(&[10, 11]), model.sender(&[20])];
            let sent = senders.map(join);
            let end = model.end(peer);
            end.assert_clean(&sent);
            let pongs = end.frames.iter().filter(|frame| frame.0 == PONG);
            let pongs: Vec<_> = pongs.map(|frame| frame.1[0]).collect();
            assert!(pongs.is_sorted_by(|a, b| a < b), "{pongs:?}");
        });
    }
}

#[test]
fn pings_of_ours_and_answers_to_the_peers_pass_senders() {
    check(|| {
        let model = Model::open(config(), FRAME - 1);
        let peer = model.peer(|peer| {
            peer.send(PING, &[1]);
            loop {
                let frame = peer.next().expect("a ping comes");
                if frame.0 == PING {
                    peer.send(PONG, &frame.1);
                    return;
                }
            }
        });
        let pinger = model.spawn(|ws| ws.ping_wait(LONG).map(drop));
        let sent = [join(model.sender(&[10, 11]))];
        join(pinger).expect("the peer answers");
        close_and_end(model, peer).assert_clean(&sent);
    });
}

/// The writer's time is over once while others wait for the role, or have left it their messages.
fn time_out(config: Config, buffer: usize) {
    let mut config = config;
    config.timeouts.send = Some(LONG);
    let model = Model::open(config, buffer);
    model.wire.make_impatient(1);
    let peer = model.peer(|_| {});
    let senders = [
        model.sender(&[10, 11]),
        model.sender(&[20, 21]),
        model.sender(&[30]),
    ];
    let sent = senders.map(join);
    let timed_out = |sent: &&Sent| matches!(sent.error, Some(Error::Timeout(Timeout::Send)));
    let closed = model.ws.close();
    let end = model.end(peer);
    match end.error {
        None => {
            assert!(closed.is_ok());
            // Nobody is told that another's time was over.
            assert!(sent.iter().filter(timed_out).count() <= 1);
            let failed = sent.iter().filter(|sent| sent.error.is_some());
            failed.for_each(|sent| assert!(sent.handed_back.is_some()));
            end.assert_clean(&sent);
        }
        Some(_) => {
            assert!(closed.is_err() && sent.iter().any(|sent| timed_out(&sent)));
            end.assert_kept(&sent);
        }
    }
}

#[test]
fn a_write_that_times_out_leaves_the_role_to_who_waits_for_it() {
    for buffer in [FRAME - 1, FRAME, 2 * FRAME] {
        check(move || time_out(crowded(), buffer));
    }
}

#[test]
fn a_write_that_times_out_strands_no_message_of_others() {
    for buffer in [FRAME - 1, FRAME] {
        check(move || time_out(config(), buffer));
    }
}
