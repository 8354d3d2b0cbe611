//! Compressing what is sent (RFC 7692 section 7.2.1), in the thread that sends and outside the lock.

use super::Connection;
use super::send::{Deadline, Failed, Flush};
use crate::compression::{Compressing, PreparedMessage, SendOptions, compress_alone};
use crate::error::SendError;
use crate::message::Message;
use crate::protocol::{DeflateSettings, Deflater, Fragment, Part};
use bytes::Bytes;

impl Connection {
    pub(crate) fn send(
        &self,
        message: Message,
        flush: Flush,
        options: SendOptions,
    ) -> Result<(), SendError> {
        self.send_message(&message, flush, options, |settings| {
            compress_alone(message.as_bytes(), settings)
        })
        .map_err(|Failed { error, torn }| SendError {
            error,
            message: (!torn).then_some(message),
        })
    }

    pub(crate) fn send_prepared(&self, prepared: &PreparedMessage) -> Result<(), SendError> {
        let (message, options) = (prepared.message(), SendOptions::new());
        self.send_message(message, Flush::Now, options, |settings| {
            prepared.compressed(settings)
        })
        .map_err(|Failed { error, torn }| SendError {
            error,
            message: (!torn).then(|| message.clone()),
        })
    }

    /// `compress_alone` is for a message that does not refer to others.
    fn send_message(
        &self,
        message: &Message,
        flush: Flush,
        options: SendOptions,
        compress_alone: impl FnOnce(DeflateSettings) -> Option<Bytes>,
    ) -> Result<(), Failed> {
        let length = message.len();
        if let Some(size) = self.config.fragment_size.filter(|size| length > *size) {
            return self.send_fragments(message, size, flush, options);
        }
        let alone = match self.compressing(Some(length), options) {
            None => None,
            Some(compressing) if compressing.takeover => {
                return self.send_in_context(message, flush, compressing.settings);
            }
            Some(compressing) => compress_alone(compressing.settings),
        };
        match alone.map(|payload| compressed(message, payload)) {
            Some(frame) => self.send_frame(flush, true, |path| path.outbound.fragment(&frame)),
            None => self.send_frame(flush, true, |path| path.outbound.message(message)),
        }
    }

    /// How to compress a message of so many bytes, if it is to be.
    pub(super) fn compressing(
        &self,
        length: Option<usize>,
        options: SendOptions,
    ) -> Option<Compressing> {
        self.compressing
            .filter(|compressing| compressing.wants(length, options))
    }

    /// Compresses a message with those before as context, so in the order in which they are appended.
    /// Meanwhile no other message may begin; control frames may pass.
    fn send_in_context(
        &self,
        message: &Message,
        flush: Flush,
        settings: DeflateSettings,
    ) -> Result<(), Failed> {
        let mut deadline = Deadline::new(self.config.timeouts.send);
        let mut deflater = self.take_deflater(settings, &mut deadline)?;
        let mut payload = Vec::new();
        deflater.deflate(message.as_bytes(), Part::Last, &mut payload);
        let frame = compressed(message, payload.into());
        let mut path = self.lock_send();
        path.deflater = Some(deflater);
        self.give_turn_back(&mut path);
        if let Some(error) = path.refusal() {
            return Err(Failed { error, torn: false });
        }
        self.append(path, flush, &mut deadline, |path| {
            path.compressed += 1;
            path.outbound.fragment(&frame);
        })
        .map(drop)
    }

    /// Takes the turn, and the compressor with it.
    pub(super) fn take_deflater(
        &self,
        settings: DeflateSettings,
        deadline: &mut Deadline,
    ) -> Result<Deflater, Failed> {
        let mut path = self.wait_for_turn(self.lock_send(), true, deadline)?;
        path.turn_taken = true;
        let deflater = path.deflater.take();
        drop(path);
        Ok(deflater.unwrap_or_else(|| Deflater::new(settings)))
    }
}

fn compressed(message: &Message, payload: Bytes) -> Fragment {
    Fragment {
        kind: message.kind(),
        first: true,
        last: true,
        compressed: true,
        payload,
    }
}
