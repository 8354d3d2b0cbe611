//! Messages that wait for a connection, and those that it may have lost.

use crate::message::Message;
use std::collections::VecDeque;

/// What [`Persistent::send`](super::Persistent::send) does with messages while there is no connection, and
/// with those that one has lost.
///
/// # Examples
///
/// ```
/// use wsync::{ClientBuilder, ReconnectPolicy, WhileDown};
///
/// let builder = ClientBuilder::new("wss://example.org/")
///     .persistent(ReconnectPolicy::default())
///     .while_down(WhileDown::Resend { messages: 100, bytes: 1 << 20 });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileDown {
    /// A send fails and hands its message back. What was accepted and not written is lost with its connection.
    HandBack,
    /// Up to so many messages, and bytes, wait for the next connection; then sends fail. A message that was
    /// written may be lost with its connection: nobody knows.
    Hold {
        /// Messages.
        messages: usize,
        /// Bytes of payload. The last message may go beyond.
        bytes: usize,
    },
    /// The same, and a message counts until the peer has answered a ping behind it; whatever it has not is
    /// sent again on the next connection. So each message of a successful send comes to the peer at least
    /// once, in order; those that were under way when a connection was lost may come twice. A peer answers a ping
    /// when it reads it: what it has read and not handled yet is lost with its process. Pings follow one
    /// at a time; an [`on_pong`](crate::ClientBuilder::on_pong) of the client's is not called.
    Resend {
        /// Messages.
        messages: usize,
        /// Bytes of payload. The last message may go beyond.
        bytes: usize,
    },
}

impl WhileDown {
    /// [`Hold`](Self::Hold) with 1024 messages and 1 MiB.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::WhileDown;
    ///
    /// assert_eq!(WhileDown::hold(), WhileDown::Hold { messages: 1024, bytes: 1 << 20 });
    /// ```
    pub fn hold() -> Self {
        WhileDown::Hold {
            messages: 1024,
            bytes: 1 << 20,
        }
    }

    /// [`Resend`](Self::Resend) with 1024 messages and 1 MiB.
    ///
    /// # Examples
    ///
    /// ```
    /// use wsync::WhileDown;
    ///
    /// assert_eq!(WhileDown::resend(), WhileDown::Resend { messages: 1024, bytes: 1 << 20 });
    /// ```
    pub fn resend() -> Self {
        WhileDown::Resend {
            messages: 1024,
            bytes: 1 << 20,
        }
    }
}

/// The messages, the oldest first. Those that were sent and not confirmed are at the front.
#[derive(Debug)]
pub(super) struct Unsent {
    policy: WhileDown,
    messages: VecDeque<Message>,
    bytes: usize,
    /// So many at the front were sent on this connection.
    sent: usize,
    /// How many were confirmed in all: the number of the first.
    confirmed: u64,
    /// The number behind the last message that the ping under way confirms.
    asked: Option<u64>,
}

impl Unsent {
    pub(super) fn new(policy: WhileDown) -> Self {
        Unsent {
            policy,
            messages: VecDeque::new(),
            bytes: 0,
            sent: 0,
            confirmed: 0,
            asked: None,
        }
    }

    /// Hands the message back if there is no room for it.
    pub(super) fn put(&mut self, message: Message) -> Result<(), Message> {
        let (messages, bytes) = match self.policy {
            WhileDown::HandBack => (0, 0),
            WhileDown::Hold { messages, bytes } | WhileDown::Resend { messages, bytes } => {
                (messages, bytes)
            }
        };
        if self.messages.len() >= messages || self.bytes >= bytes.max(1) {
            return Err(message);
        }
        self.bytes += message.len();
        self.messages.push_back(message);
        Ok(())
    }

    /// Whether a message that was sent is kept until it is confirmed.
    pub(super) fn resends(&self) -> bool {
        matches!(self.policy, WhileDown::Resend { .. })
    }

    /// Whether messages are handed back rather than kept.
    pub(super) fn hands_back(&self) -> bool {
        matches!(self.policy, WhileDown::HandBack)
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The next message to send on this connection.
    pub(super) fn next(&self) -> Option<&Message> {
        self.messages.get(self.sent)
    }

    /// The next message was sent.
    pub(super) fn note_sent(&mut self) {
        self.sent += 1;
        if !self.resends() {
            self.confirm(self.confirmed + self.sent as u64);
        }
    }

    /// The payload of a ping, if it is time for one.
    pub(super) fn ask(&mut self) -> Option<[u8; 8]> {
        if self.asked.is_some() || self.sent == 0 {
            return None;
        }
        let behind = self.confirmed + self.sent as u64;
        self.asked = Some(behind);
        Some(behind.to_be_bytes())
    }

    /// A pong came.
    pub(super) fn answer(&mut self, payload: &[u8]) {
        let Some(asked) = self.asked.filter(|asked| asked.to_be_bytes() == payload) else {
            return;
        };
        self.asked = None;
        self.confirm(asked);
    }

    /// The connection is lost: what is not confirmed is to be sent again.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.asked = None;
    }

    pub(super) fn take_all(&mut self) -> Vec<Message> {
        self.rewind();
        self.bytes = 0;
        self.messages.drain(..).collect()
    }

    fn confirm(&mut self, number: u64) {
        while self.confirmed < number && self.sent > 0 {
            if let Some(message) = self.messages.pop_front() {
                self.bytes -= message.len();
            }
            self.sent -= 1;
            self.confirmed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(policy: WhileDown) -> Unsent {
        let mut unsent = Unsent::new(policy);
        for n in 0..3 {
            unsent.put(Message::from(vec![n; 10])).unwrap();
        }
        unsent
    }

    fn send(unsent: &mut Unsent) -> Vec<u8> {
        let mut sent = Vec::new();
        while let Some(message) = unsent.next() {
            sent.push(message.as_bytes()[0]);
            unsent.note_sent();
        }
        sent
    }

    #[test]
    fn held_messages_go_once() {
        let mut unsent = unsent(WhileDown::hold());
        assert_eq!(send(&mut unsent), [0, 1, 2]);
        assert_eq!((unsent.len(), unsent.bytes, unsent.ask()), (0, 0, None));
        unsent.rewind();
        assert_eq!(send(&mut unsent), []);
    }

    #[test]
    fn what_no_ping_has_confirmed_goes_again() {
        let mut unsent = unsent(WhileDown::resend());
        assert_eq!(unsent.ask(), None, "nothing was sent");
        unsent.note_sent();
        let ping = unsent.ask().unwrap();
        assert_eq!(send(&mut unsent), [1, 2]);
        assert_eq!(unsent.ask(), None, "one is under way");
        unsent.answer(b"another");
        assert_eq!(unsent.len(), 3);
        unsent.answer(&ping);
        assert_eq!((unsent.len(), unsent.bytes), (2, 20));
        unsent.rewind();
        assert_eq!(send(&mut unsent), [1, 2]);
        unsent.answer(&ping);
        assert_eq!(unsent.len(), 2, "that of another connection");
        let ping = unsent.ask().unwrap();
        unsent.answer(&ping);
        assert_eq!((unsent.len(), unsent.bytes), (0, 0));
    }

    #[test]
    fn there_is_no_more_room_than_was_given() {
        let mut unsent = Unsent::new(WhileDown::Hold {
            messages: 2,
            bytes: 15,
        });
        unsent.put("0123456789".into()).unwrap();
        unsent.put("0123456789".into()).unwrap();
        assert_eq!(unsent.put("x".into()).unwrap_err().as_text(), Some("x"));
        assert_eq!(unsent.take_all().len(), 2);
        let mut unsent = Unsent::new(WhileDown::HandBack);
        assert!(unsent.put("x".into()).is_err());
    }
}
