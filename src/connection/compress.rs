//! Compressing what is sent (RFC 7692 section 7.2.1), in the thread that sends and outside the lock.

use super::send::{Counts, Deadline, Failed, Flush};
use super::{Connection, Fragments};
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
        let result = match self.compressing(Some(message.len()), options) {
            // The usual case, and the shortest way.
            None if self.large(message.len()).is_none() => {
                self.send_frame(flush, Counts::Message(message.len()), |path| {
                    path.outbound.message(&message);
                })
            }
            compressing => self.send_message(&message, flush, compressing),
        };
        result.map_err(|failed| failed.hand_back(message))
    }

    pub(crate) fn send_prepared(&self, prepared: &PreparedMessage) -> Result<(), SendError> {
        let message = prepared.message();
        let result = match self.compressing(Some(message.len()), SendOptions::new()) {
            Some(compressing) if !compressing.takeover => {
                let deflated = prepared.compressed(compressing.settings);
                self.send_alone(message, deflated, Flush::Now)
            }
            compressing => self.send_message(message, Flush::Now, compressing),
        };
        result.map_err(|failed| failed.hand_back(message.clone()))
    }

    fn send_message(
        &self,
        message: &Message,
        flush: Flush,
        compressing: Option<Compressing>,
    ) -> Result<(), Failed> {
        match (self.large(message.len()), compressing) {
            (_, None) => self.send_alone(message, None, flush),
            (Some(size), compressing) => {
                let fragments = Fragments::new(self, message.kind(), compressing);
                fragments.send_all(message.to_bytes(), size, flush)
            }
            (None, Some(compressing)) if compressing.takeover => {
                self.send_in_context(message, flush, compressing.settings)
            }
            (None, Some(compressing)) => {
                let deflated = compress_alone(message.as_bytes(), compressing.settings);
                self.send_alone(message, deflated, flush)
            }
        }
    }

    /// Sends a message that needs no context: `deflated`, or as it is.
    fn send_alone(
        &self,
        message: &Message,
        deflated: Option<Bytes>,
        flush: Flush,
    ) -> Result<(), Failed> {
        let compressed = deflated.is_some();
        let payload = deflated.unwrap_or_else(|| message.to_bytes());
        if let Some(size) = self.large(payload.len()) {
            let mut fragments = Fragments::new(self, message.kind(), None);
            if compressed {
                (fragments.compressed, fragments.length) = (true, message.len());
            }
            return fragments.send_all(payload, size, flush);
        }
        let frame = Fragment::whole(message.kind(), compressed, payload);
        self.send_frame(flush, Counts::Message(message.len()), |path| {
            path.outbound.fragment(&frame);
        })
    }

    /// The size of fragments, if so many bytes have to go in fragments.
    fn large(&self, length: usize) -> Option<usize> {
        self.config.fragment_size.filter(|size| length > *size)
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
        let frame = Fragment::whole(message.kind(), true, payload.into());
        let mut path = self.lock_send();
        path.deflater = Some(deflater);
        self.give_turn_back(&mut path);
        if let Some(error) = path.refusal() {
            return Err(Failed { error, torn: false });
        }
        let mut path = self.append(path, flush, &mut deadline, |path| {
            path.compressed += 1;
            path.outbound.fragment(&frame);
        })?;
        path.outbound.sent.message(message.len());
        Ok(())
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

impl Failed {
    /// With the message, unless part of it is on the wire.
    fn hand_back(self, message: Message) -> SendError {
        SendError {
            error: self.error,
            message: (!self.torn).then_some(message),
        }
    }
}
