//! Ends, while one message has the turn and another waits for it: who has it does nothing to end the wait.

use super::sending::{FRAME, crowded};
use super::wire::BINARY;
use super::*;
use crate::close::CloseFrame;
use crate::message::MessageKind;
use shuttle::sync::mpsc::{Receiver, Sender, channel};
use std::io::Write;

/// A thread that has the turn until it is told to leave.
struct Holder {
    has_it: Receiver<()>,
    leave: Sender<()>,
    thread: JoinHandle<()>,
}

impl Holder {
    fn start(model: &Model) -> Self {
        let (tell, has_it) = channel();
        let (leave, left) = channel();
        let thread = model.spawn(move |ws| {
            let mut message = ws.send_streaming(MessageKind::Text).unwrap();
            message.write_all(b"12").unwrap();
            message.flush().unwrap();
            tell.send(()).unwrap();
            left.recv().unwrap();
        });
        Holder {
            has_it,
            leave,
            thread,
        }
    }

    fn wait(&self) {
        self.has_it.recv().unwrap();
    }

    fn end(self) {
        self.leave.send(()).unwrap();
        join(self.thread);
    }
}

/// The peer, and who closes.
type Ending = (JoinHandle<Vec<Frame>>, Option<JoinHandle<()>>);

/// `end` makes the connection end, and is told when the sender that waited is refused.
fn refuse_who_waits(end: fn(&Model, Receiver<()>) -> Ending) {
    // The first has room for the fragments, and for no Close frame.
    for buffer in [2 * FRAME, 100] {
        check(move || refuse(buffer, end));
    }
}

fn refuse(buffer: usize, end: fn(&Model, Receiver<()>) -> Ending) {
    let mut config = config();
    config.fragment_size = Some(1);
    let model = Model::open(config, buffer);
    let holder = Holder::start(&model);
    holder.wait();
    let waiting = model.sender(&[20]);
    let (refused, learns) = channel();
    let (peer, closer) = end(&model, learns);
    let sent = join(waiting);
    assert!(
        sent.error.is_some() && sent.handed_back == Some(20),
        "{sent:?}"
    );
    let _ = refused.send(());
    holder.end();
    closer.map(join);
    let end = model.end(peer);
    assert_eq!(end.frames.iter().filter(|frame| frame.1 == [20]).count(), 0);
}

#[test]
fn a_loss_refuses_who_waits_for_the_turn() {
    refuse_who_waits(|model, _| (model.peer(|peer| peer.wire.reset()), None));
}

#[test]
fn a_close_refuses_who_waits_for_the_turn_before_the_peer_answers() {
    refuse_who_waits(|model, refused| {
        let peer = model.peer(move |_| refused.recv().unwrap());
        let closer = model.spawn(|ws| drop(ws.close()));
        (peer, Some(closer))
    });
}

#[test]
fn a_close_without_waiting_lets_a_reader_go_on_that_waits_for_room() {
    check(|| {
        let mut config = config();
        config.queue.messages = 1;
        let model = Model::open(config, 100);
        let peer = model.peer(|peer| {
            for n in 1..=3 {
                peer.send(BINARY, &[n]);
            }
        });
        let connection = model.ws.connection();
        connection.close_without_waiting(CloseFrame::going_away());
        // Nobody takes anything before the end.
        assert!(connection.wait_for_end(None));
        let end = model.end(peer);
        assert!(end.error.is_none(), "{end:?}");
    });
}

#[test]
fn a_close_refuses_who_waits_for_room_while_another_writes() {
    check(|| {
        let model = Model::open(crowded(), 1);
        let (refused, learns) = channel();
        // One writes, the message of another waits in the outbox: a third has to wait.
        let senders = [10, 20, 30].map(|n| {
            let refused = refused.clone();
            model.spawn(move |ws| {
                if ws.send(vec![n]).is_err() {
                    let _ = refused.send(());
                }
            })
        });
        let closer = model.spawn(|ws| drop(ws.close()));
        let peer = model.peer(move |_| learns.recv().unwrap());
        let _ = senders.map(join);
        join(closer);
        assert!(model.end(peer).error.is_none());
    });
}
