//! Messages and control frames as the input wants them, encoded, and what has to come of them.

use crate::Input;
use bytes::Bytes;
use std::sync::LazyLock;
use std::time::Instant;
use wsync::internals::codec::{Compressing, Event, Sending, Side};
use wsync::{CloseCode, CloseFrame, Message, MessageKind};

/// Around where the form of a length changes, and where a server's payload is kept apart.
const LENGTHS: [usize; 16] = [
    0, 1, 2, 5, 60, 124, 125, 126, 127, 300, 2_050, 16_383, 16_384, 16_500, 65_535, 65_536,
];

/// A payload of each kind has one of these over and over.
const LETTERS: [&str; 8] = [
    "a",
    "0123456789",
    " ",
    "\u{e9}",
    "€",
    "\u{1f600}",
    "ab€",
    "\0",
];

/// The most that one input sends.
const MOST: usize = 200_000;

/// Encodes, and knows what it encoded.
pub struct Outgoing {
    sending: Sending,
    compressing: Option<(Compressing, bool)>,
    /// What waits for [`Sending::take`]: the answer to the newest ping.
    pong: Option<Bytes>,
    messages: usize,
    pub bytes: Vec<u8>,
    pub events: Vec<Event>,
}

impl Outgoing {
    /// Messages are compressed, with context takeover or without.
    pub fn new(side: Side, compressing: Option<(Compressing, bool)>) -> Self {
        static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
        Outgoing {
            sending: Sending::new(side, *NOW),
            compressing,
            pong: None,
            messages: 0,
            bytes: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Sends whatever the input says.
    pub fn send_all(&mut self, mut input: Input<'_>) {
        let mut sent = 0;
        while !input.is_empty() && sent < MOST {
            match input.byte() {
                what @ 0..192 => sent += self.send_message(what, &mut input),
                what @ 192..240 => self.send_control(what, &mut input),
                240..250 => self.take(),
                _ => {
                    self.close(&mut input);
                    break;
                }
            }
        }
        self.take();
    }

    fn send_message(&mut self, what: u8, input: &mut Input<'_>) -> usize {
        let kind = match what & 1 {
            0 => MessageKind::Binary,
            _ => MessageKind::Text,
        };
        let payload = payload(kind, input);
        let message: Message = match kind {
            MessageKind::Text => String::from_utf8(payload.clone()).expect("text").into(),
            _ => payload.clone().into(),
        };
        let fragments = usize::from(what >> 1 & 7);
        self.messages += 1;
        if fragments == 0 && self.compressing.is_none() {
            self.sending.message(&message);
        } else {
            self.send_fragments(kind, &payload, fragments, input);
        }
        self.events.push(Event::Message(message));
        payload.len()
    }

    /// A message with so many cuts, and control frames in its middle.
    fn send_fragments(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        cuts: usize,
        input: &mut Input<'_>,
    ) {
        let compressed = self.compressing.is_some();
        let mut rest = payload;
        for i in 0..=cuts {
            let last = i == cuts;
            let size = match last {
                true => rest.len(),
                false => (input.usize() * rest.len() / 256).min(rest.len()),
            };
            let (fragment, after) = rest.split_at(size);
            rest = after;
            let fragment = self.deflate(fragment, last, input);
            self.sending
                .fragment(kind, (i == 0, last), compressed, fragment);
            if !last && size % 3 == 1 {
                self.send_control(192 + input.byte() % 48, input);
            }
        }
    }

    fn deflate(&mut self, part: &[u8], last: bool, input: &mut Input<'_>) -> Bytes {
        let Some((compressing, takeover)) = &mut self.compressing else {
            return Bytes::copy_from_slice(part);
        };
        let mut out = Vec::new();
        let flush = !last && input.byte() & 1 == 1;
        compressing.compress(part, last, flush, &mut out);
        if last && !*takeover {
            compressing.reset();
        }
        out.into()
    }

    fn send_control(&mut self, what: u8, input: &mut Input<'_>) {
        let length = input.usize() % 126;
        let payload = Bytes::copy_from_slice(input.take(length));
        match what % 4 {
            0 => {
                self.sending.ping(&payload);
                self.events.push(Event::Ping(payload));
            }
            1 => {
                self.sending.pong(&payload);
                self.events.push(Event::Pong(payload));
            }
            2 => {
                self.sending.answer(payload.clone(), false);
                self.pong = None;
                self.events.push(Event::Pong(payload));
            }
            _ => {
                self.sending.answer(payload.clone(), true);
                self.pong = Some(payload);
            }
        }
    }

    fn take(&mut self) {
        self.events.extend(self.pong.take().map(Event::Pong));
        assert_eq!(self.sending.take(&mut self.bytes), self.messages);
        self.messages = 0;
    }

    fn close(&mut self, input: &mut Input<'_>) {
        self.events.extend(self.pong.take().map(Event::Pong));
        let code = [
            CloseCode::NORMAL,
            CloseCode::GOING_AWAY,
            CloseCode::from(4999),
        ];
        let frame = match input.byte() {
            0 => no_status(),
            n => CloseFrame {
                code: code[usize::from(n) % 3],
                reason: LETTERS[usize::from(n) % 8]
                    .repeat(usize::from(n) / 32)
                    .into(),
            },
        };
        self.sending.close(frame.clone());
        // Neither changes anything any more.
        self.sending.close(no_status());
        self.sending.answer(Bytes::from_static(b"late"), false);
        self.events.push(Event::Close(frame));
    }
}

/// Of the input, or something of a certain length.
fn payload(kind: MessageKind, input: &mut Input<'_>) -> Vec<u8> {
    let (form, number) = (input.byte(), input.usize());
    let letter = LETTERS[usize::from(form >> 5)];
    match form & 31 {
        form @ 0..16 => {
            let length = LENGTHS[usize::from(form)];
            letter.repeat(length / letter.len()).into_bytes()
        }
        _ => {
            let taken = input.take(number % 64);
            match kind {
                MessageKind::Text => String::from_utf8_lossy(taken).into_owned().into_bytes(),
                _ => taken.to_vec(),
            }
        }
    }
}

/// A Close frame without a body.
fn no_status() -> CloseFrame {
    CloseFrame {
        code: CloseCode::NO_STATUS,
        reason: Default::default(),
    }
}
